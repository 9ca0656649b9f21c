//! What is otherwise in one lane than in another, for one call.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::answer::{Body, Shown};
use super::world::{Fact, Moved, World};
use crate::change::announced::Aspect;

/// Places of a body that are told.
const PLACES: usize = 64;
/// Characters of a value that are spelt out.
const VALUE: usize = 48;
/// What stands for a header or a member that is not there.
const NONE: &str = "none";

/// What came of one call in one lane, comparable.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) shown: Shown,
    pub(super) verdict: String,
    pub(super) moved: Vec<Moved>,
    pub(super) world: World,
}

/// One thing that is otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// In what.
    #[serde(flatten)]
    pub of: Of,
    /// There.
    pub from: String,
    /// Here.
    pub to: String,
}

/// What a difference is in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "in", rename_all = "lowercase")]
pub enum Of {
    /// The status.
    Status,
    /// The verdict on the answer.
    Verdict,
    /// A place of the body, as an RFC 6901 pointer; empty for all of it.
    Body {
        /// Where.
        at: String,
    },
    /// A header.
    Header {
        /// Its name, in lower case.
        name: String,
    },
    /// A fact of the world.
    World {
        /// Which.
        fact: Fact,
    },
}

/// What is otherwise in `here` than in `there`.
pub(super) fn differences(there: &Outcome, here: &Outcome) -> Vec<Difference> {
    let mut all = Vec::new();
    let status = |it: &Shown| it.status.map_or_else(|| "no answer".to_owned(), |it| it.to_string());
    let mut note = |of, from: String, to: String| {
        if from != to {
            all.push(Difference { of, from, to });
        }
    };
    note(Of::Status, status(&there.shown), status(&here.shown));
    note(Of::Verdict, there.verdict.clone(), here.verdict.clone());
    for (at, from, to) in bodies(&there.shown.body, &here.shown.body) {
        note(Of::Body { at }, from, to);
    }
    for (name, from, to) in headers(&there.shown.headers, &here.shown.headers) {
        note(Of::Header { name }, from, to);
    }
    all.extend(worlds(there, here));
    all
}

/// Facts that the call moved in one of the lanes and that are not the same in both now. What was
/// otherwise before the call, and still is, is not this call's.
fn worlds(there: &Outcome, here: &Outcome) -> Vec<Difference> {
    let mut facts: Vec<&Fact> =
        there.moved.iter().chain(&here.moved).map(|moved| &moved.fact).collect();
    facts.sort();
    facts.dedup();
    let word = |world: &World, fact| world.get(fact).cloned().unwrap_or_else(|| "nothing".into());
    facts
        .into_iter()
        .filter(|fact| there.world.get(fact) != here.world.get(fact))
        .map(|fact| Difference {
            of: Of::World { fact: fact.clone() },
            from: word(&there.world, fact),
            to: word(&here.world, fact),
        })
        .collect()
}

fn headers(
    there: &BTreeMap<String, String>,
    here: &BTreeMap<String, String>,
) -> Vec<(String, String, String)> {
    let mut names: Vec<&String> = there.keys().chain(here.keys()).collect();
    names.sort();
    names.dedup();
    let word = |all: &BTreeMap<String, String>, name: &String| {
        all.get(name).map_or_else(|| NONE.to_owned(), |value| short(value))
    };
    names.into_iter().map(|name| (name.clone(), word(there, name), word(here, name))).collect()
}

fn bodies(there: &Body, here: &Body) -> Vec<(String, String, String)> {
    if there == here {
        return Vec::new();
    }
    match (there, here) {
        (Body::Json(there), Body::Json(here)) => {
            let mut places = Vec::new();
            walk("", there, here, &mut places);
            places.truncate(PLACES);
            places
        }
        _ => vec![(String::new(), kind(there), kind(here))],
    }
}

fn walk(at: &str, there: &Value, here: &Value, places: &mut Vec<(String, String, String)>) {
    match (there, here) {
        _ if there == here => {}
        (Value::Object(a), Value::Object(b)) => {
            let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let place = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                match (a.get(name), b.get(name)) {
                    (Some(a), Some(b)) => walk(&place, a, b, places),
                    (a, b) => places.push((place, value(a), value(b))),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                walk(&format!("{at}/{index}"), a, b, places);
            }
        }
        (a, b) => places.push((at.to_owned(), value(Some(a)), value(Some(b)))),
    }
}

fn value(value: Option<&Value>) -> String {
    match value {
        None => NONE.to_owned(),
        Some(Value::Array(items)) => format!("a list of {}", items.len()),
        Some(Value::Object(members)) => format!("an object of {}", members.len()),
        Some(Value::String(text)) => short(text),
        Some(other) => other.to_string(),
    }
}

fn kind(body: &Body) -> String {
    match body {
        Body::Empty => NONE.to_owned(),
        Body::Json(json) => value(Some(json)),
        Body::Text(text) => format!("text of {} characters", text.chars().count()),
        Body::Bytes(bytes) => format!("{} bytes", bytes.len()),
    }
}

fn short(text: &str) -> String {
    if text.chars().count() <= VALUE {
        return text.to_owned();
    }
    text.chars().take(VALUE - 1).chain(['…']).collect()
}

// === impl Difference ===

impl Difference {
    /// Whether it is a header that is only here.
    pub(super) fn is_added_header(&self) -> bool {
        matches!(self.of, Of::Header { .. }) && self.from == NONE
    }
}

// === impl Of ===

impl Of {
    /// Whether an announcement about this aspect is about this difference.
    pub(super) fn is(&self, aspect: Aspect) -> bool {
        match (self, aspect) {
            (Self::Status, Aspect::Status)
            | (Self::Verdict, Aspect::Verdict)
            | (Self::Body { .. }, Aspect::Body)
            | (Self::World { .. }, Aspect::World) => true,
            (Self::Header { name }, Aspect::Header(announced)) => name == announced,
            // What kind of body it is goes with the body.
            (Self::Header { name }, Aspect::Body) => name == "content-type",
            _ => false,
        }
    }
}

impl std::fmt::Display for Of {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status => f.write_str("status"),
            Self::Verdict => f.write_str("verdict"),
            Self::Body { at } if at.is_empty() => f.write_str("body"),
            Self::Body { at } => write!(f, "body {}", crate::contract::OneLine(at)),
            Self::Header { name } => write!(f, "header {name}"),
            Self::World { fact } => write!(f, "world {} {}", fact.of, fact.what),
        }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} -> {}", self.of, self.from, self.to)
    }
}
