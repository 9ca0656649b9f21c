//! What an operation declares of its answers: each status with each media type, for coverage.
//!
//! Read from the raw document beside the checks, so that the list is what the document says and
//! not what the engine makes of it. What is malformed here is refused where the answers are read.

use std::fmt;

use http::StatusCode;
use serde::{Serialize, Serializer};

use super::{Operation, document::At};

/// One kind of answer that an operation declares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Declared {
    /// The status, as the document writes it.
    pub status: DeclaredStatus,
    /// The media type or range in lower case, without parameters; `None`: an answer without a body.
    pub media_type: Option<String>,
}

/// A key of `responses`, in the order in which an answer's status looks for its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeclaredStatus {
    /// `200`
    Exact(u16),
    /// `4XX`, by its digit.
    Range(u16),
    /// `default`
    Default,
}

// === impl Operation ===

impl Operation {
    /// Every kind of answer that the document declares: by status, then as the document orders its
    /// media types.
    #[must_use]
    pub fn declared(&self) -> &[Declared] {
        &self.declared
    }

    /// Which of [`Self::declared`] an answer with this status and media type is. `None`: none of
    /// them. The most specific status is the one that counts (3.0.3, Responses Object), under it
    /// the most specific media type. Parameters and letter case of the media type do not matter.
    #[must_use]
    pub fn declares(&self, status: StatusCode, media_type: Option<&str>) -> Option<usize> {
        let code = status.as_u16();
        let candidates = [
            DeclaredStatus::Exact(code),
            DeclaredStatus::Range(code / 100),
            DeclaredStatus::Default,
        ];
        let has = |wanted: DeclaredStatus| self.declared.iter().any(|it| it.status == wanted);
        let status = candidates.into_iter().find(|wanted| has(*wanted))?;
        let cells = self.declared.iter().enumerate().filter(|(_, it)| it.status == status);
        let fit = |declared: &Declared| match (declared.media_type.as_deref(), media_type) {
            (None, None) => Some(3),
            (Some(range), Some(sent)) => fit(range, bare(sent)),
            _ => None,
        };
        cells
            .filter_map(|(index, declared)| Some((fit(declared)?, index)))
            .max_by_key(|(fit, _)| *fit)
            .map(|(_, index)| index)
    }
}

/// Reads the `responses` of an operation.
pub(super) fn read(responses: &At<'_>) -> Vec<Declared> {
    let mut declared = Vec::new();
    for (key, response) in responses.members() {
        let Some(status) = DeclaredStatus::parse(key) else { continue };
        let Ok(response) = response.resolved() else { continue };
        let before = declared.len();
        if let Some(content) = response.get("content") {
            let names = content.all_members().map(|(name, _)| bare(name).to_ascii_lowercase());
            declared.extend(names.map(|name| Declared { status, media_type: Some(name) }));
        }
        if declared.len() == before {
            declared.push(Declared { status, media_type: None });
        }
    }
    declared.sort_by_key(|it| it.status);
    declared
}

/// A media type without its parameters.
fn bare(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

/// How closely a declared range fits a media type; `None` where it does not.
fn fit(range: &str, sent: &str) -> Option<u8> {
    if range.eq_ignore_ascii_case(sent) {
        return Some(2);
    }
    let kind = range.strip_suffix("/*")?;
    if kind == "*" {
        return Some(0);
    }
    let (sent_kind, _) = sent.split_once('/')?;
    sent_kind.eq_ignore_ascii_case(kind).then_some(1)
}

// === impl DeclaredStatus ===

impl DeclaredStatus {
    fn parse(key: &str) -> Option<Self> {
        if key == "default" {
            return Some(Self::Default);
        }
        match key.strip_suffix("XX") {
            Some(class) => class.parse().ok().map(Self::Range),
            None => key.parse().ok().map(Self::Exact),
        }
    }
}

impl fmt::Display for DeclaredStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(code) => write!(f, "{code}"),
            Self::Range(class) => write!(f, "{class}XX"),
            Self::Default => f.write_str("default"),
        }
    }
}

impl Serialize for DeclaredStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use http::{Method, StatusCode};

    use super::super::{Contract, Found, Source, Timeline};
    use crate::contract::ContractDate;

    fn contract() -> std::sync::Arc<Contract> {
        let text = r##"{"openapi": "3.0.3", "info": {"title": "t", "version": "1"}, "paths": {"/a": {"get": {
            "responses": {
                "default": {"description": "d", "content": {"application/json": {}}},
                "4XX": {"description": "d"},
                "200": {"$ref": "#/components/responses/ok"}
            }}}},
            "components": {"responses": {"ok": {"description": "d", "content": {
                "*/*": {}, "Application/JSON; charset=utf-8": {}, "text/*": {}}}}}}"##;
        let source = Source { name: "d.json".to_owned(), text: text.into() };
        let timeline = Timeline::load(&source, &[]).unwrap();
        std::sync::Arc::clone(timeline.at(ContractDate::Latest))
    }

    #[test]
    fn an_answer_finds_its_most_specific_declaration() {
        let contract = contract();
        let Found::Operation(found) = contract.find(&Method::GET, "/a") else { panic!("no route") };
        let shown = |status: u16, media: Option<&str>| {
            let index = found.operation.declares(StatusCode::from_u16(status).unwrap(), media)?;
            let it = &found.operation.declared()[index];
            Some(format!("{} {}", it.status, it.media_type.as_deref().unwrap_or("-")))
        };
        for (status, media, wanted) in [
            (200, Some("application/json"), Some("200 application/json")),
            (200, Some("APPLICATION/json ; charset=x"), Some("200 application/json")),
            (200, Some("text/html"), Some("200 text/*")),
            (200, Some("image/png"), Some("200 */*")),
            (200, None, None),
            (404, None, Some("4XX -")),
            (404, Some("application/json"), None),
            (500, Some("application/json"), Some("default application/json")),
        ] {
            assert_eq!(shown(status, media).as_deref(), wanted, "{status} {media:?}");
        }
    }
}
