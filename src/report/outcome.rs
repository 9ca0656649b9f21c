//! What came of checking recorded traffic, before it takes a form.
//!
//! `unverifiable` stands beside `conforms` and never in it: a case in which anything could not be
//! checked did not pass.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::findings::{Fingerprint, Shown};
use super::{Hop, Trace, coverage};
use crate::limits;

/// What came of one entry.
#[derive(Clone, Debug)]
pub enum Examined {
    /// It was held against a contract, or is known to have none.
    Judged(Box<Judged>),
    /// It belongs to no upstream.
    Unmatched,
    /// A preflight that the gateway answers, or a tunnel: no contract is asked, as live.
    Beside,
}

/// One exchange, judged.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Which.
    pub trace: Trace,
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// The operation's id, or method and path shape of an unknown one.
    pub operation: String,
    /// The answer's status; `None` where none came.
    pub status: Option<u16>,
    /// The verdicts, in the hops' order.
    pub hops: [Option<HopVerdict>; 4],
    /// The kinds of what was found.
    pub kinds: Vec<Fingerprint>,
}

/// The verdict on one hop, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HopVerdict {
    /// `conforms`, `violates`, `unverifiable`, `not-applicable`.
    pub verdict: &'static str,
    /// Why it is `unverifiable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

/// A whole check.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The files, as they were named.
    pub files: Vec<String>,
    /// Entries read.
    pub entries: u64,
    /// Entries of no upstream: nothing was checked of them.
    pub unmatched: u64,
    /// Preflights that the gateway answers, and tunnels: nothing was checked of them either.
    pub beside: u64,
    /// Messages by hop and verdict.
    pub verdicts: BTreeMap<Hop, Tally>,
    /// Broken rules, the most frequent first.
    pub findings: Vec<Shown>,
    /// By upstream, operation and status.
    pub cases: Vec<Case>,
    /// Those that did not conform on every hop, in the files' order.
    pub exchanges: Vec<Exchange>,
    /// Such exchanges beyond [`limits::CHECK_EXCHANGES`], which are not listed.
    pub exchanges_left_out: u64,
    /// Over the contracts that some entry concerns.
    pub coverage: coverage::Shown,
}

/// Messages by verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Checked in full, nothing broken.
    pub conforms: u64,
    /// A rule is broken.
    pub violates: u64,
    /// Not checked in full, by reason.
    pub unverifiable: BTreeMap<&'static str, u64>,
    /// The contract says nothing of them.
    pub not_applicable: u64,
}

/// An operation with one status.
#[derive(Clone, Debug, Serialize)]
pub struct Case {
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// The operation's id, or method and path shape of an unknown one.
    pub operation: String,
    /// The status; `None` where no answer was recorded.
    pub status: Option<u16>,
    /// How often.
    pub exchanges: u64,
    /// Exchanges with a broken rule.
    pub violating: u64,
    /// Exchanges that could not be checked in full, by the first reason.
    pub unverifiable: BTreeMap<&'static str, u64>,
    /// Fingerprints of the findings.
    pub findings: BTreeSet<Fingerprint>,
}

/// One exchange that did not conform, or could not be checked in full.
#[derive(Clone, Debug, Serialize)]
pub struct Exchange {
    /// The file and the entry's number.
    pub exchange: Trace,
    /// The verdicts of the hops that were judged.
    pub hops: BTreeMap<Hop, HopVerdict>,
    /// Fingerprints of the findings.
    pub findings: Vec<Fingerprint>,
}

/// Gathers a check.
#[derive(Debug, Default)]
pub struct Gathering {
    entries: u64,
    unmatched: u64,
    beside: u64,
    verdicts: BTreeMap<Hop, Tally>,
    cases: BTreeMap<(Arc<str>, String, Option<u16>), Case>,
    exchanges: Vec<Exchange>,
    exchanges_left_out: u64,
}

// === impl Gathering ===

impl Gathering {
    /// Takes one entry.
    pub fn add(&mut self, examined: Examined) {
        self.entries += 1;
        let judged = match examined {
            Examined::Judged(judged) => *judged,
            Examined::Unmatched => return self.unmatched += 1,
            Examined::Beside => return self.beside += 1,
        };
        let hops = Hop::ALL.into_iter().zip(judged.hops);
        for (hop, verdict) in hops.filter_map(|(hop, verdict)| Some((hop, verdict?))) {
            self.verdicts.entry(hop).or_default().add(verdict);
        }
        let violating = judged.hops.iter().flatten().any(|it| it.verdict == "violates");
        let reason = judged.hops.iter().flatten().find_map(|it| it.reason);
        let case = self.case(&judged);
        case.exchanges += 1;
        case.violating += u64::from(violating);
        if let Some(reason) = reason {
            *case.unverifiable.entry(reason).or_default() += 1;
        }
        case.findings.extend(judged.kinds.iter().copied());
        if violating || reason.is_some() {
            self.list(judged);
        }
    }

    fn list(&mut self, judged: Judged) {
        if self.exchanges.len() >= limits::CHECK_EXCHANGES {
            self.exchanges_left_out += 1;
            return;
        }
        let hops = Hop::ALL.into_iter().zip(judged.hops);
        self.exchanges.push(Exchange {
            exchange: judged.trace,
            hops: hops.filter_map(|(hop, verdict)| Some((hop, verdict?))).collect(),
            findings: judged.kinds,
        });
    }

    fn case(&mut self, judged: &Judged) -> &mut Case {
        let mut key = (Arc::clone(&judged.upstream), judged.operation.clone(), judged.status);
        if self.cases.len() >= limits::CHECK_CASES && !self.cases.contains_key(&key) {
            key = (Arc::clone(&judged.upstream), "other operations".to_owned(), None);
        }
        let (upstream, operation, status) = key.clone();
        self.cases.entry(key).or_insert_with(|| Case {
            upstream,
            operation,
            status,
            exchanges: 0,
            violating: 0,
            unverifiable: BTreeMap::new(),
            findings: BTreeSet::new(),
        })
    }

    /// Ends it.
    #[must_use]
    pub fn finish(
        self,
        files: Vec<String>,
        findings: Vec<Shown>,
        coverage: coverage::Shown,
    ) -> Outcome {
        Outcome {
            files,
            entries: self.entries,
            unmatched: self.unmatched,
            beside: self.beside,
            verdicts: self.verdicts,
            findings,
            cases: self.cases.into_values().collect(),
            exchanges: self.exchanges,
            exchanges_left_out: self.exchanges_left_out,
            coverage,
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// Exchanges in which a rule is broken.
    #[must_use]
    pub fn violating(&self) -> u64 {
        self.cases.iter().map(|case| case.violating).sum()
    }

    /// The findings of a case, in the order of all findings.
    pub fn findings_of<'o>(&'o self, case: &'o Case) -> impl Iterator<Item = &'o Shown> {
        self.findings.iter().filter(|it| case.findings.contains(&it.fingerprint))
    }
}

// === impl Tally ===

impl Tally {
    fn add(&mut self, it: HopVerdict) {
        match it.verdict {
            "conforms" => self.conforms += 1,
            "violates" => self.violates += 1,
            "not-applicable" => self.not_applicable += 1,
            _ => *self.unverifiable.entry(it.reason.unwrap_or("unknown")).or_default() += 1,
        }
    }
}

// === impl Case ===

impl Case {
    /// `200`, or `no answer`.
    #[must_use]
    pub fn status_text(&self) -> String {
        self.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string())
    }
}

/// `binary 2, size 1`
#[must_use]
pub fn reasons(by_reason: &BTreeMap<&'static str, u64>) -> String {
    let parts: Vec<String> =
        by_reason.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    parts.join(", ")
}
