//! Security requirements: is the credential there, in the declared place.
//!
//! Whether it is a good one is the vendor's to say. So is what happens without one: its findings
//! are told and never stop a message, so that the vendor's own 401 stays reachable under
//! `enforce`. An empty requirement (`{}`) makes the others optional. OAuth 2 and `OpenID` Connect
//! credentials are bearer tokens (RFC 6750 §2.1). What a message does not show (`mutualTLS`, a
//! scheme that the document does not declare) is `unverifiable(security)`, unless another
//! alternative is there.

use http::{HeaderMap, header};

use crate::json::Indices;

use super::{
    Finding, Location, Reason,
    document::{At, DocumentError},
    parameter::Query,
    verdict::Report,
};

/// The alternatives of an operation: one of them has to be there, with all of its schemes.
#[derive(Debug, Default)]
pub(crate) struct Security {
    pointer: String,
    alternatives: Vec<Vec<Scheme>>,
}

#[derive(Debug)]
struct Scheme {
    name: String,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// `Authorization: SCHEME …`; the scheme in lower case.
    Authorization(String),
    Header(String),
    Query(String),
    Cookie(String),
    NotShown,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Yes,
    No,
    Unknown,
}

// === impl Security ===

impl Security {
    /// Reads the requirements of an operation, or of its document where it has none.
    pub(crate) fn read(operation: &At<'_>) -> Result<Self, DocumentError> {
        let document = operation.document;
        let Some(list) = operation.get("security").or_else(|| document.at("/security")) else {
            return Ok(Self::default());
        };
        let schemes = document.at("/components/securitySchemes");
        let mut alternatives = Vec::new();
        for requirement in list.elements() {
            let mut all = Vec::new();
            for name in requirement.object()?.keys() {
                let scheme = schemes.as_ref().and_then(|schemes| schemes.get(name));
                let place = match scheme {
                    Some(scheme) => Place::read(&scheme.resolved()?)?,
                    None => Place::NotShown,
                };
                all.push(Scheme { name: name.clone(), place });
            }
            alternatives.push(all);
        }
        Ok(Self { pointer: list.pointer, alternatives })
    }

    /// Whether a name is a declared place of a credential.
    pub(crate) fn claims(&self, location: Location, name: &str) -> bool {
        self.alternatives.iter().flatten().any(|scheme| match &scheme.place {
            Place::Query(own) => location == Location::Query && own == name,
            Place::Cookie(own) => location == Location::Cookie && own == name,
            Place::Header(own) => location == Location::Header && own.eq_ignore_ascii_case(name),
            Place::Authorization(_) | Place::NotShown => false,
        })
    }

    /// Checks a request.
    pub(crate) fn check(
        &self,
        headers: &HeaderMap,
        query: &Query<'_>,
        cookies: &Query<'_>,
        report: &mut Report,
    ) {
        if self.alternatives.is_empty() {
            return;
        }
        let shown = |scheme: &Scheme| scheme.place.shown(headers, query, cookies);
        let mut unknown = false;
        for alternative in &self.alternatives {
            if alternative.iter().all(|scheme| shown(scheme) == Shown::Yes) {
                return report.checked();
            }
            unknown |= alternative.iter().all(|scheme| shown(scheme) != Shown::No);
        }
        if unknown {
            return report.unverifiable(Reason::Security);
        }
        let missing = self.alternatives.iter().flatten().find(|scheme| shown(scheme) == Shown::No);
        let (location, pointer) = missing.map_or((Location::Header, ""), |it| it.place.location());
        let alternatives: Vec<String> = self
            .alternatives
            .iter()
            .map(|all| all.iter().map(Scheme::words).collect::<Vec<_>>().join(" and "))
            .collect();
        report.tell(Finding {
            code: "security.missing",
            location,
            pointer: pointer.to_owned(),
            spec_pointer: self.pointer.clone(),
            position: None,
            indices: Indices::default(),
            keyword: "security".to_owned(),
            expected: alternatives.join(", or "),
        });
    }
}

// === impl Scheme ===

impl Scheme {
    fn words(&self) -> String {
        let place = match &self.place {
            Place::Authorization(scheme) => format!("{scheme} in Authorization"),
            Place::Header(name) => format!("in the header {name}"),
            Place::Query(name) => format!("in the query as {name}"),
            Place::Cookie(name) => format!("in the cookie {name}"),
            Place::NotShown => "not in the message".to_owned(),
        };
        format!("the credential {} ({place})", self.name)
    }
}

// === impl Place ===

impl Place {
    fn read(at: &At<'_>) -> Result<Self, DocumentError> {
        let text = |key: &str| {
            at.text(key).map(str::to_owned).ok_or_else(|| at.error(format!("`{key}` is missing")))
        };
        Ok(match at.text("type") {
            Some("http") => Self::Authorization(text("scheme")?.to_ascii_lowercase()),
            Some("oauth2" | "openIdConnect") => Self::Authorization("bearer".to_owned()),
            Some("apiKey") => match at.text("in") {
                Some("header") => Self::Header(text("name")?),
                Some("query") => Self::Query(text("name")?),
                Some("cookie") => Self::Cookie(text("name")?),
                _ => return Err(at.error("`in` of an apiKey must be header, query or cookie")),
            },
            // `mutualTLS`, and whatever a later version adds.
            _ => Self::NotShown,
        })
    }

    fn shown(&self, headers: &HeaderMap, query: &Query<'_>, cookies: &Query<'_>) -> Shown {
        let among = |query: &Query<'_>, name: &str| {
            query.pairs.iter().any(|(other, value)| other == name && !value.is_empty())
        };
        let is_there = match self {
            Self::Authorization(scheme) => {
                headers.get_all(header::AUTHORIZATION).iter().any(|value| {
                    let value = value.as_bytes();
                    let (own, rest) = value.split_at_checked(scheme.len()).unwrap_or((value, b""));
                    own.eq_ignore_ascii_case(scheme.as_bytes())
                        && rest.first() == Some(&b' ')
                        && !rest.trim_ascii().is_empty()
                })
            }
            Self::Header(name) => {
                headers.get_all(name.as_str()).iter().any(|value| !value.is_empty())
            }
            Self::Query(name) => among(query, name),
            Self::Cookie(name) => among(cookies, name),
            Self::NotShown => return Shown::Unknown,
        };
        if is_there { Shown::Yes } else { Shown::No }
    }

    fn location(&self) -> (Location, &str) {
        match self {
            Self::Authorization(_) | Self::NotShown => (Location::Header, "Authorization"),
            Self::Header(name) => (Location::Header, name),
            Self::Query(name) => (Location::Query, name),
            Self::Cookie(name) => (Location::Cookie, name),
        }
    }
}
