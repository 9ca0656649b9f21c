//! What was asked, and what the upstream's answer says about it.

use std::collections::{HashMap, HashSet};

use http::StatusCode;

use crate::change::journal::Outcome;
use crate::change::{Answer, retry};
use crate::json::{self, FaultKind, Node};

/// The conversations of a request, each once, in their order. Two spellings of an id that differ
/// in letter case are one id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    ids: Vec<String>,
    /// How often each of them was given.
    given: Vec<usize>,
}

/// Why a request's ids cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// Two readers can take it differently.
    Ambiguous,
    /// It is not the operation's body.
    Other,
}

/// One conversation that was not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// Its id, as it was asked for.
    pub(super) id: String,
    /// The vendor's `errorCode`: a free string.
    pub(super) code: String,
    /// How often the list names it.
    pub(super) named: usize,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// An error, or something else that is no success: it stays what it is.
    Refused,
    /// Everything was changed.
    AllDone,
    /// These were not; at least one.
    Failed(Vec<Failed>),
    /// A success that does not say what was done, and why.
    Unreadable(&'static str),
}

// === impl Asked ===

impl Asked {
    /// Reads `conversationIds`.
    pub(super) fn of(body: &[u8]) -> Result<Self, Unread> {
        let body = json::parse(body).map_err(|fault| match fault.kind {
            FaultKind::DuplicateKey => Unread::Ambiguous,
            _ => Unread::Other,
        })?;
        let Some(Node::Array(ids)) = body.get("conversationIds") else {
            return Err(Unread::Other);
        };
        let mut seen = HashMap::new();
        let mut asked = Self::default();
        for id in ids {
            let id = id.as_str().ok_or(Unread::Other)?;
            let at = *seen.entry(id.to_ascii_lowercase()).or_insert_with(|| {
                asked.ids.push(id.to_owned());
                asked.given.push(0);
                asked.ids.len() - 1
            });
            asked.given[at] += 1;
        }
        Ok(asked)
    }

    /// These ids.
    pub(super) fn new(ids: Vec<String>) -> Self {
        Self { given: vec![1; ids.len()], ids }
    }

    pub(super) fn ids(&self) -> &[String] {
        &self.ids
    }

    /// Whether an id was given twice. Then one of the two may have failed because the other had
    /// been done.
    pub(super) fn has_repetitions(&self) -> bool {
        self.given.iter().any(|given| *given > 1)
    }

    /// Whether an id failed less often than it was given: then nobody can tell whether it was
    /// changed.
    pub(super) fn leaves_open(&self, failed: &[Failed]) -> bool {
        let given = self.ids.iter().zip(&self.given);
        given.into_iter().any(|(id, given)| {
            failed.iter().any(|failure| failure.id == *id && failure.named < *given)
        })
    }

    /// The ids that are not among `failed`.
    pub(super) fn without(&self, failed: &[Failed]) -> Vec<&str> {
        let failed: HashSet<&str> = failed.iter().map(|failure| &*failure.id).collect();
        self.ids.iter().map(String::as_str).filter(|id| !failed.contains(id)).collect()
    }
}

// === impl Told ===

impl Told {
    /// Reads an answer against what was asked.
    pub(super) fn of(answer: &Answer, asked: &Asked) -> Self {
        match answer.status {
            StatusCode::NO_CONTENT => Self::AllDone,
            StatusCode::OK => Self::of_list(answer, asked),
            status if status.is_success() => {
                Self::Unreadable("a success that is neither 204 nor 200")
            }
            _ => Self::Refused,
        }
    }

    fn of_list(answer: &Answer, asked: &Asked) -> Self {
        let Some(body) = answer.whole() else {
            return Self::Unreadable("a failure list over the limit");
        };
        let Ok(body) = json::parse(body) else {
            return Self::Unreadable("a failure list that is not strict JSON");
        };
        let Some(Node::Array(entries)) = body.get("failedUpdates") else {
            return Self::Unreadable("a 200 without a failure list");
        };
        let mut seen = HashMap::new();
        let mut failed: Vec<Failed> = Vec::with_capacity(entries.len());
        for entry in entries {
            let id = entry.get("conversation").and_then(|it| it.get("id")).and_then(Node::as_str);
            let Some(id) = id else {
                return Self::Unreadable("a failure without a conversation id");
            };
            let Some(id) = asked.ids.iter().find(|asked| asked.eq_ignore_ascii_case(id)) else {
                return Self::Unreadable("a failure for a conversation that was not asked for");
            };
            let code = match entry.get("errorCode") {
                None | Some(Node::Null) => "not.authorized",
                Some(Node::String(code)) => code,
                Some(_) => return Self::Unreadable("a failure whose code is no string"),
            };
            let at = *seen.entry(id).or_insert_with(|| {
                failed.push(Failed { id: id.clone(), code: code.to_owned(), named: 0 });
                failed.len() - 1
            });
            failed[at].named += 1;
        }
        if failed.is_empty() { Self::AllDone } else { Self::Failed(failed) }
    }

    /// The same for the ledger.
    pub(super) fn outcome(&self, answer: &Answer) -> Outcome {
        match self {
            Self::Refused if retry::is_doubtful(answer) => Outcome::Unknown,
            Self::Refused => Outcome::Refused { status: answer.status.as_u16() },
            Self::AllDone => Outcome::Done,
            Self::Failed(failed) => Outcome::Partial {
                failed: failed.iter().map(|failure| failure.id.clone()).collect(),
            },
            Self::Unreadable(_) => Outcome::Unknown,
        }
    }
}
