//! A scenario: calls of our own, in groups that each begin in a world of their own.
//!
//! The format is TOML and strict: an unknown key, a placeholder that nothing fills, a caller whom
//! the world does not know are errors with line and column. `docs/rehearse.md` describes it. Two
//! scenarios are compiled in ([`SHIPPED`]) and go by their names.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;

use super::call::Call;
use super::error::RehearseError;
use crate::config::ConfigError;
use crate::dialect::Dialect;
use crate::limits::{REHEARSE_CALLS, SCENARIO_BYTES};

/// The scenarios that are compiled in, by name.
pub const SHIPPED: [(&str, &str); 2] = [
    ("pauses", include_str!("../../fixtures/scenarios/pauses.toml")),
    ("protection", include_str!("../../fixtures/scenarios/protection.toml")),
];

/// A scenario, checked.
#[derive(Debug)]
pub struct Scenario {
    /// What it is about.
    pub title: String,
    /// Whose API its calls are of.
    pub vendor: Dialect,
    /// A world in place of the configured one.
    pub world: Option<String>,
    /// Its groups, in order.
    pub groups: Vec<Group>,
}

/// Calls that share a world.
#[derive(Debug)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Where it begins.
    pub start: Start,
    /// Calls that are made straight to the vendor of every lane first; nobody judges them.
    pub setup: Vec<Call>,
    /// Faults of the vendor on the first day, as the mock's control plane takes them.
    pub faults_before: Vec<Value>,
    /// The same on the second day.
    pub faults_after: Vec<Value>,
    /// Where the group stands, for what is found wrong later.
    pub place: String,
    /// The calls, in order.
    pub calls: Vec<Call>,
}

/// Where a group begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// In the world as it stands at the beginning, with a gateway that has seen nothing.
    #[default]
    Anew,
    /// Where the group before it ended.
    Continued,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScenario {
    title: String,
    vendor: RawVendor,
    world: Option<Spanned<PathBuf>>,
    group: Vec<Spanned<RawGroup>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawVendor {
    Genesys,
    Webex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGroup {
    name: String,
    #[serde(default)]
    start: Start,
    #[serde(default)]
    each: Vec<BTreeMap<String, String>>,
    #[serde(default)]
    setup: Vec<Spanned<RawCall>>,
    #[serde(default)]
    faults: RawFaults,
    call: Vec<Spanned<RawCall>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFaults {
    #[serde(default)]
    before: Vec<toml::Table>,
    #[serde(default)]
    after: Vec<toml::Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCall {
    #[serde(default)]
    name: String,
    #[serde(rename = "as")]
    caller: Option<Spanned<String>>,
    method: Spanned<String>,
    path: Spanned<String>,
    #[serde(default)]
    headers: BTreeMap<String, Spanned<String>>,
    body: Option<Spanned<toml::Value>>,
    text: Option<Spanned<String>>,
}

/// Knows where in the text a value stands.
struct Reader<'a> {
    origin: &'a str,
    text: &'a str,
}

/// Reads a scenario's file.
pub fn read_file(path: &Path) -> Result<Scenario, RehearseError> {
    let origin = path.display().to_string();
    let unreadable = |why: String| {
        RehearseError::Input(ConfigError {
            origin: origin.clone(),
            position: None,
            key: String::new(),
            message: why,
        })
    };
    let cannot = |error: std::io::Error| unreadable(format!("cannot be read: {error}"));
    let bytes = std::fs::metadata(path).map_err(cannot)?.len();
    if bytes > SCENARIO_BYTES {
        return Err(unreadable(format!(
            "has {bytes} bytes; a scenario has at most {SCENARIO_BYTES}"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(cannot)?;
    read(&origin, &text, path.parent())
}

/// Reads a scenario. `beside` is where its world's file is looked for.
pub fn read(origin: &str, text: &str, beside: Option<&Path>) -> Result<Scenario, RehearseError> {
    let reader = Reader { origin, text };
    let raw: RawScenario = toml::from_str(text)
        .map_err(|error| reader.error(error.span(), "", error.message().to_owned()))?;
    let world = match raw.world {
        None => None,
        Some(file) => {
            let path = beside.unwrap_or(Path::new("")).join(file.get_ref());
            let read = std::fs::read_to_string(&path).map_err(|error| {
                let why = format!("{} cannot be read: {error}", path.display());
                reader.error(Some(file.span()), "world", why)
            });
            Some(read?)
        }
    };
    let mut left = REHEARSE_CALLS;
    let groups: Result<Vec<Group>, RehearseError> =
        raw.group.into_iter().map(|group| reader.group(group, &mut left)).collect();
    let vendor = match raw.vendor {
        RawVendor::Genesys => Dialect::Genesys,
        RawVendor::Webex => Dialect::Webex,
    };
    Ok(Scenario { title: raw.title, vendor, world, groups: groups? })
}

// === impl Reader ===

impl Reader<'_> {
    fn group(&self, raw: Spanned<RawGroup>, left: &mut usize) -> Result<Group, RehearseError> {
        let span = raw.span();
        let raw = raw.into_inner();
        let once = [BTreeMap::new()];
        let rows = if raw.each.is_empty() { &once[..] } else { &raw.each[..] };
        let too_many = || {
            let why = format!("makes more than {REHEARSE_CALLS} calls");
            self.error(Some(span.clone()), "group", why)
        };
        let mut expand = |calls: &[Spanned<RawCall>]| {
            let mut all = Vec::new();
            for row in rows {
                for call in calls {
                    *left = left.checked_sub(1).ok_or_else(too_many)?;
                    all.push(self.call(call, row)?);
                }
            }
            Ok::<_, RehearseError>(all)
        };
        let (setup, calls) = (expand(&raw.setup)?, expand(&raw.call)?);
        let faults = |tables: Vec<toml::Table>| {
            let tables = tables.into_iter().map(|it| json(&toml::Value::Table(it)));
            tables.collect::<Option<Vec<_>>>().ok_or_else(|| {
                let why = "a fault is not written with dates".to_owned();
                self.error(Some(span.clone()), "faults", why)
            })
        };
        Ok(Group {
            name: raw.name,
            start: raw.start,
            setup,
            faults_before: faults(raw.faults.before)?,
            faults_after: faults(raw.faults.after)?,
            place: self.place(&span),
            calls,
        })
    }

    fn call(
        &self,
        raw: &Spanned<RawCall>,
        row: &BTreeMap<String, String>,
    ) -> Result<Call, RehearseError> {
        let place = self.place(&raw.span());
        let raw = raw.get_ref();
        let method = filled(raw.method.get_ref(), row);
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| {
            self.error(Some(raw.method.span()), "method", "must be a method".into())
        })?;
        let path = filled(raw.path.get_ref(), row);
        let wrong = |why: &str| self.error(Some(raw.path.span()), "path", why.to_owned());
        if path.contains(['{', '}']) {
            return Err(wrong("holds a placeholder that `each` does not fill"));
        }
        if !path.starts_with('/') || path.parse::<http::uri::PathAndQuery>().is_err() {
            return Err(wrong("must be a path that begins with /, as it is sent"));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &raw.headers {
            let wrong = |why: &str| self.error(Some(value.span()), "headers", why.to_owned());
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| wrong("its name is no header's name"))?;
            let text = HeaderValue::from_str(&filled(value.get_ref(), row))
                .map_err(|_| wrong("must be a header's value"))?;
            headers.append(name, text);
        }
        if let Some(caller) = &raw.caller {
            let name = filled(caller.get_ref(), row);
            let value = HeaderValue::from_str(&format!("Bearer {name}")).map_err(|_| {
                self.error(Some(caller.span()), "as", "must be a principal's token".into())
            })?;
            headers.insert(header::AUTHORIZATION, value);
        }
        let body = match (&raw.body, &raw.text) {
            (Some(_), Some(text)) => {
                let why = "stands beside `body`; a call has one of the two".to_owned();
                return Err(self.error(Some(text.span()), "text", why));
            }
            (Some(body), None) => {
                let value = json(body.get_ref()).ok_or_else(|| {
                    let why = "JSON has no dates; write them as texts".to_owned();
                    self.error(Some(body.span()), "body", why)
                })?;
                Some(fill(value, row).to_string())
            }
            (None, Some(text)) => Some(filled(text.get_ref(), row)),
            (None, None) => None,
        };
        if body.is_some() && !headers.contains_key(header::CONTENT_TYPE) {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Ok(Call {
            name: filled(&raw.name, row),
            caller: raw
                .caller
                .as_ref()
                .map(|it| (filled(it.get_ref(), row), self.place_of_key(&it.span(), "as"))),
            place,
            method,
            authority: String::new(),
            target: path,
            headers,
            body: body.map(String::into_bytes).unwrap_or_default(),
            recorded: None,
        })
    }

    fn error(&self, span: Option<Range<usize>>, key: &str, message: String) -> RehearseError {
        let error = ConfigError::in_text(self.origin, self.text, span, key.to_owned(), message);
        RehearseError::Input(error)
    }

    fn place(&self, span: &Range<usize>) -> String {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        format!("{}:{}", self.origin, before.matches('\n').count() + 1)
    }

    fn place_of_key(&self, span: &Range<usize>, key: &str) -> String {
        format!("{}: {key}", self.place(span))
    }
}

/// A text with the placeholders of a row filled. Braces that are no placeholder stay: bodies have
/// them.
fn filled(text: &str, row: &BTreeMap<String, String>) -> String {
    row.iter()
        .fold(text.to_owned(), |text, (key, value)| text.replace(&format!("{{{key}}}"), value))
}

/// The same for the texts of a body.
fn fill(value: Value, row: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) => Value::String(filled(&text, row)),
        Value::Array(items) => items.into_iter().map(|item| fill(item, row)).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(key, value)| (key, fill(value, row))).collect()
        }
        other => other,
    }
}

/// JSON for TOML; nothing where it holds a date, which JSON does not know.
fn json(value: &toml::Value) -> Option<Value> {
    Some(match value {
        toml::Value::String(text) => Value::String(text.clone()),
        toml::Value::Integer(number) => Value::from(*number),
        toml::Value::Float(number) => Value::from(*number),
        toml::Value::Boolean(is) => Value::Bool(*is),
        toml::Value::Array(items) => items.iter().map(json).collect::<Option<_>>()?,
        toml::Value::Table(members) => members
            .iter()
            .map(|(key, value)| Some((key.clone(), json(value)?)))
            .collect::<Option<_>>()?,
        toml::Value::Datetime(_) => return None,
    })
}
