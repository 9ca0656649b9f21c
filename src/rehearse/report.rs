//! What came of a rehearsal, before it takes a form.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Dates;
use super::compare::Difference;
use super::world::Moved;
use crate::change::Principal;
use crate::change::announced::Made;
use crate::change::call::path_of;

/// A whole rehearsal.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The day of the first lane.
    pub before: String,
    /// The day of the other two.
    pub after: String,
    /// What was played, in order.
    pub sources: Vec<Source>,
    /// How it ended, for all calls.
    pub totals: Totals,
    /// The calls that ran, in order.
    pub calls: Vec<Rehearsed>,
    /// The calls that did not.
    pub not_rehearsed: Vec<NotRehearsed>,
    #[serde(skip)]
    group: Option<String>,
    #[serde(skip)]
    number: usize,
}

/// A file or a scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Source {
    /// As it was named.
    pub name: String,
    /// What it is about.
    pub title: Option<String>,
}

/// Calls by how they ended.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Totals {
    /// The client gets what it got.
    pub same: usize,
    /// It does, and headers beside it that its terms announce.
    pub beside: usize,
    /// It gets something else, and its terms say so.
    pub announced: usize,
    /// It gets something else because of an earlier call.
    pub follows: usize,
    /// It gets something else, and nothing says so.
    pub unannounced: usize,
    /// It did not run.
    pub not_rehearsed: usize,
}

/// A call that ran.
#[derive(Clone, Debug, Serialize)]
pub struct Rehearsed {
    /// Its number, from 1, over all sources.
    pub call: usize,
    /// Where it stands.
    pub place: String,
    /// Its group.
    pub group: Option<String>,
    /// What it is about.
    pub name: String,
    /// Its method.
    pub method: String,
    /// Raw path and query, as the vendor gets them.
    pub target: String,
    /// The principal who made it, where one was named.
    pub caller: Option<String>,
    /// The upstream that serves it.
    pub upstream: String,
    /// The operation's id, or method and path shape.
    pub operation: String,
    /// Whose terms held.
    pub client: String,
    /// The day whose contract the answers were held against.
    pub as_of: String,
    /// Straight to the vendor on the first day.
    pub before: LaneShown,
    /// Straight to the vendor on the second.
    pub after: LaneShown,
    /// Through recgate on the second.
    pub recgate: LaneShown,
    /// What the vendor changed: the second lane against the first.
    pub vendor_changed: Vec<Difference>,
    /// What the client sees of it: the third lane against the first.
    pub client_sees: Vec<Judged>,
    /// What that comes to.
    pub conclusion: Conclusion,
}

/// One lane of a call.
#[derive(Clone, Debug, Serialize)]
pub struct LaneShown {
    /// The status; nothing where no answer came.
    pub status: Option<u16>,
    /// What kind of body.
    pub body: &'static str,
    /// What the contract of the client's day says of it.
    pub verdict: String,
    /// What became of the world.
    pub world: Vec<Moved>,
    /// What reached the vendor, in order.
    pub sent: Vec<String>,
}

/// A difference with its cause.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// What is otherwise.
    #[serde(flatten)]
    pub difference: Difference,
    /// What says so.
    pub cause: Cause,
}

/// What says that a difference is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum Cause {
    /// A setting of the client's terms.
    Announced {
        /// The change, or `gateway`.
        by: &'static str,
        /// The setting.
        setting: String,
        /// Why.
        why: &'static str,
    },
    /// An earlier call after which the two worlds were no longer the same.
    Follows {
        /// Its number.
        call: usize,
    },
    /// Nothing.
    Unannounced,
}

/// What a call's differences come to, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Conclusion {
    /// There are none.
    Same,
    /// Announced headers beside an answer that is the same.
    Beside,
    /// All are announced.
    Announced,
    /// Some follow from an earlier call.
    Follows,
    /// Some are not announced.
    Unannounced,
}

/// A call that did not run.
#[derive(Clone, Debug, Serialize)]
pub struct NotRehearsed {
    /// Where it stands.
    pub place: String,
    /// Method and target, where they could be read.
    pub call: String,
    /// Why.
    pub reason: &'static str,
}

// === impl Report ===

impl Report {
    pub(super) fn new(dates: Dates) -> Self {
        Self {
            before: dates.before.to_string(),
            after: dates.after.to_string(),
            sources: Vec::new(),
            totals: Totals::default(),
            calls: Vec::new(),
            not_rehearsed: Vec::new(),
            group: None,
            number: 0,
        }
    }

    pub(super) fn begin(&mut self, source: Source) {
        self.group = None;
        self.sources.push(source);
    }

    pub(super) fn begin_group(&mut self, name: &str) {
        self.group = Some(name.to_owned());
    }

    pub(super) const fn next_number(&mut self) -> usize {
        self.number += 1;
        self.number
    }

    pub(super) fn add(&mut self, mut rehearsed: Rehearsed) {
        rehearsed.group.clone_from(&self.group);
        let total = match rehearsed.conclusion {
            Conclusion::Same => &mut self.totals.same,
            Conclusion::Beside => &mut self.totals.beside,
            Conclusion::Announced => &mut self.totals.announced,
            Conclusion::Follows => &mut self.totals.follows,
            Conclusion::Unannounced => &mut self.totals.unannounced,
        };
        *total += 1;
        self.calls.push(rehearsed);
    }

    pub(super) fn left_out(&mut self, place: String, call: String, reason: &'static str) {
        self.totals.not_rehearsed += 1;
        self.not_rehearsed.push(NotRehearsed { place, call, reason });
    }

    /// Calls that did not run, by reason.
    #[must_use]
    pub fn reasons(&self) -> BTreeMap<&'static str, Vec<&NotRehearsed>> {
        let mut reasons: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for it in &self.not_rehearsed {
            reasons.entry(it.reason).or_default().push(it);
        }
        reasons
    }
}

// === impl Conclusion ===

impl Conclusion {
    pub(super) fn of(sees: &[Judged]) -> Self {
        sees.iter()
            .map(|judged| match judged.cause {
                Cause::Announced { .. } if judged.difference.is_added_header() => Self::Beside,
                Cause::Announced { .. } => Self::Announced,
                Cause::Follows { .. } => Self::Follows,
                Cause::Unannounced => Self::Unannounced,
            })
            .max_by_key(|it| *it as u8)
            .unwrap_or(Self::Same)
    }
}

/// What reached the vendor, for people: paths that begin as the call's own are cut short.
pub(super) fn sent_words(calls: &[Made], target: &str) -> Vec<String> {
    let own = path_of(target);
    calls
        .iter()
        .map(|made| {
            let path = match made.kind.path.strip_prefix(own) {
                Some("") => String::new(),
                Some(rest) => format!(" …{rest}"),
                None => format!(" {}", made.kind.path),
            };
            let status = made.status.map_or_else(|| "no answer".to_owned(), |it| it.to_string());
            let by = match made.by {
                Principal::Caller => "",
                Principal::Service => " (the gateway's service account)",
                Principal::Recovery => " (the gateway's recovery account)",
            };
            format!("{}{path} {status}{by}", made.kind.method)
        })
        .collect()
}
