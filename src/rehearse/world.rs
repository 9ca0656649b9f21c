//! What is so in a lane's world: recording states, protections, deletions, read from the mock's
//! control side and not from what it answered.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// A world, as facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct World(BTreeMap<Fact, String>);

/// Something that is so or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fact {
    /// The vendor's id of a conversation or a recording.
    pub of: String,
    /// What of it: `recordingState`, `protected`, `status`.
    pub what: String,
}

/// A fact that is no longer what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Which.
    #[serde(flatten)]
    pub fact: Fact,
    /// What it was; nothing where it was not.
    pub from: Option<String>,
    /// What it is.
    pub to: Option<String>,
}

// === impl World ===

impl World {
    /// Reads the mock's `/_mock/state`.
    pub(super) fn of(state: &Value) -> Self {
        let mut facts = BTreeMap::new();
        for list in ["conversations", "webexRecordings"] {
            let things = state.get(list).and_then(Value::as_object).into_iter().flatten();
            for (of, members) in things {
                for (what, value) in members.as_object().into_iter().flatten() {
                    let value = match value {
                        Value::Null => continue,
                        Value::String(text) => text.clone(),
                        other => other.to_string(),
                    };
                    facts.insert(Fact { of: of.clone(), what: what.clone() }, value);
                }
            }
        }
        let protected = state.get("protected").and_then(Value::as_array).into_iter().flatten();
        for id in protected.filter_map(Value::as_str) {
            let fact = Fact { of: id.to_owned(), what: "protected".to_owned() };
            facts.insert(fact, "true".to_owned());
        }
        Self(facts)
    }

    pub(super) fn get(&self, fact: &Fact) -> Option<&String> {
        self.0.get(fact)
    }

    /// What is otherwise in `later`.
    pub(super) fn moved(&self, later: &Self) -> Vec<Moved> {
        let facts = self.0.keys().chain(later.0.keys().filter(|it| !self.0.contains_key(it)));
        let mut moved: Vec<Moved> = facts
            .filter(|fact| self.get(fact) != later.get(fact))
            .map(|fact| Moved {
                fact: fact.clone(),
                from: self.get(fact).cloned(),
                to: later.get(fact).cloned(),
            })
            .collect();
        moved.sort_by(|a, b| a.fact.cmp(&b.fact));
        moved
    }
}

// === impl Moved ===

impl std::fmt::Display for Moved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Fact { of, what } = &self.fact;
        match (&*what.clone(), &self.from, &self.to) {
            ("protected", None, _) => write!(f, "{of} protected"),
            ("protected", _, None) => write!(f, "{of} not protected any more"),
            (_, from, to) => {
                let word = |it: &Option<String>| it.clone().unwrap_or_else(|| "nothing".to_owned());
                write!(f, "{of} {what} {} -> {}", word(from), word(to))
            }
        }
    }
}
