//! The four hops of one exchange: what was checked, what came of it, and who is told.
//!
//! A hop that several upstream calls pass keeps the worst verdict. Findings go to the report with
//! their hop and blame; the verdicts go out with the answer in `Recgate-Conformance`, an RFC 9651
//! dictionary: `client-request=conforms, upstream-response=unverifiable;reason=size`.

use std::cell::Cell;
use std::cell::RefCell;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use jiff::Timestamp;

use super::metrics::Metrics;
use crate::config::raw::Mode;
use crate::contract::{Checked, Finding, Force, Reason, Verdict};
use crate::dialect::Detail;
use crate::error::Blame;
use crate::report::findings::{Fingerprint, Place};
use crate::report::{Findings, Hop, Trace};

/// `Recgate-Conformance`
pub(crate) const CONFORMANCE: HeaderName = HeaderName::from_static("recgate-conformance");

/// What became of one hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It was judged.
    Judged(Verdict),
    /// The contract does not know the path.
    UnknownOperation,
    /// The contract knows the path, and not this method of it: a 405 to be expected, not a 404.
    UnknownMethod,
    /// The upstream has no contract.
    NoContract,
    /// The operator switched the check off.
    Off,
}

/// The watch over one exchange.
pub(crate) struct Watch {
    trace: Trace,
    clock: Clock,
    upstream: Arc<str>,
    findings: Findings,
    metrics: Arc<Metrics>,
    hops: [Cell<Option<Seen>>; 4],
    /// The kinds of what was found.
    kinds: RefCell<Vec<Fingerprint>>,
    /// Findings of hop 1 for the caller, should it be refused.
    broken: RefCell<Vec<Detail>>,
}

/// When what is found was found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    /// When it is found.
    Live,
    /// When the exchange was recorded.
    Recorded(Timestamp),
}

/// Whether a message may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// It may.
    Open,
    /// It broke the contract and the hop is enforced.
    Shut,
    /// It is too long to be checked and the hop is enforced.
    TooLong,
}

// === impl Watch ===

impl Watch {
    pub(crate) fn new(
        trace: Trace,
        clock: Clock,
        upstream: Arc<str>,
        findings: Findings,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            trace,
            clock,
            upstream,
            findings,
            metrics,
            hops: Default::default(),
            kinds: RefCell::default(),
            broken: RefCell::default(),
        }
    }

    /// Notes what was seen on a hop.
    pub(crate) fn note(&self, hop: Hop, seen: Seen) {
        let cell = &self.hops[hop as usize];
        let worse = match cell.get() {
            Some(before) if before.badness() >= seen.badness() => before,
            _ => seen,
        };
        cell.set(Some(worse));
        self.metrics.judged(hop, seen);
    }

    /// What a hop came to.
    pub(crate) fn seen(&self, hop: Hop) -> Option<Seen> {
        self.hops[hop as usize].get()
    }

    /// Judges a message on a hop: notes the verdict, reports the findings, decides.
    pub(crate) fn judge(
        &self,
        hop: Hop,
        mode: Mode,
        operation: &str,
        blame: Blame,
        check: impl FnOnce() -> Checked,
    ) -> Gate {
        if mode == Mode::Off {
            self.note(hop, Seen::Off);
            return Gate::Open;
        }
        let checked = check();
        self.note(hop, Seen::Judged(checked.verdict));
        let place = Place {
            trace: &self.trace,
            at: match self.clock {
                Clock::Live if checked.findings.is_empty() => Timestamp::UNIX_EPOCH,
                Clock::Live => Timestamp::now(),
                Clock::Recorded(at) => at,
            },
            upstream: &self.upstream,
            operation,
            hop,
            blame,
        };
        for finding in &checked.findings {
            tracing::debug!(
                exchange = %self.trace, operation, hop = hop.as_str(),
                code = finding.code, pointer = finding.pointer, rule = finding.spec_pointer,
                "contract broken"
            );
            self.kinds.borrow_mut().push(self.findings.add(&place, finding));
        }
        match checked.verdict {
            _ if mode != Mode::Enforce => Gate::Open,
            // A missing credential is the upstream's to refuse.
            Verdict::Violates if checked.force == Force::Told => Gate::Open,
            Verdict::Violates => {
                self.broken.borrow_mut().extend(checked.findings.iter().map(detail));
                Gate::Shut
            }
            Verdict::Unverifiable(Reason::Size) => Gate::TooLong,
            _ => Gate::Open,
        }
    }

    /// Counts a request that the contract does not know.
    pub(crate) fn unknown_operation(&self) {
        self.metrics.unknown_operation(&self.upstream);
    }

    /// The kinds of what was found so far.
    pub(crate) fn take_kinds(&self) -> Vec<Fingerprint> {
        self.kinds.take()
    }

    /// The findings that shut a gate, for the caller.
    pub(crate) fn broken(&self) -> Vec<Detail> {
        self.broken.take()
    }

    /// The dictionary of all hops that were reached.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        thread_local! {
            // Most exchanges of a thread end as the one before.
            static LAST: RefCell<([Option<Seen>; 4], Option<HeaderValue>)> =
                const { RefCell::new(([None; 4], None)) };
        }
        let hops = Hop::ALL.map(|hop| self.seen(hop));
        LAST.with_borrow_mut(|(last, header)| {
            if *last != hops {
                (*last, *header) = (hops, dictionary(hops));
            }
            header.clone()
        })
    }
}

fn dictionary(hops: [Option<Seen>; 4]) -> Option<HeaderValue> {
    let mut text = String::with_capacity(160);
    for (hop, seen) in Hop::ALL.into_iter().zip(hops) {
        let Some(seen) = seen else { continue };
        if !text.is_empty() {
            text.push_str(", ");
        }
        let (verdict, reason) = seen.words();
        text.extend([hop.as_str(), "=", verdict]);
        if let Some(reason) = reason {
            text.extend([";reason=", reason]);
        }
    }
    if text.is_empty() { None } else { HeaderValue::try_from(text).ok() }
}

// === impl Seen ===

impl Seen {
    /// The verdict's word and, where it is `unverifiable`, the reason's.
    pub(crate) const fn words(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Judged(Verdict::Conforms) => ("conforms", None),
            Self::Judged(Verdict::Violates) => ("violates", None),
            Self::Judged(Verdict::NotApplicable) => ("not-applicable", None),
            Self::Judged(Verdict::Unverifiable(reason)) => ("unverifiable", Some(reason.as_str())),
            Self::UnknownOperation => ("unverifiable", Some("unknown-operation")),
            Self::UnknownMethod => ("unverifiable", Some("unknown-method")),
            Self::NoContract => ("unverifiable", Some("no-contract")),
            Self::Off => ("unverifiable", Some("off")),
        }
    }

    const fn badness(self) -> u8 {
        match self {
            Self::Judged(Verdict::NotApplicable) => 0,
            Self::Judged(Verdict::Conforms) => 1,
            Self::Judged(Verdict::Unverifiable(_))
            | Self::UnknownOperation
            | Self::UnknownMethod
            | Self::NoContract
            | Self::Off => 2,
            Self::Judged(Verdict::Violates) => 3,
        }
    }
}

/// A finding for the caller: the rule, its place and what it allows; never the value.
fn detail(finding: &Finding) -> Detail {
    Detail {
        code: format!("{}:{}", finding.code, finding.keyword),
        field: Some(finding.pointer.clone()),
        entity: None,
        message: Some(format!("{} {}: {}", finding.location, finding.pointer, finding.expected)),
    }
}
