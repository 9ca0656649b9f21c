//! The verdict on one message: what a check concluded, and never less than that.
//!
//! There are four, and "we could not tell" is one of them, with its reason: an `unverifiable`
//! that is shown as a pass is the fault this room exists to prevent. Several checks of one message
//! merge by [`Verdict::worst_of`], so that one unread body cannot hide behind nine good headers.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{Finding, Undeclared, document::Document};
use crate::{json::Indices, limits};

/// What a check of one message concluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Everything the contract says of this message was checked and holds.
    Conforms,
    /// At least one rule is broken; the findings say which.
    Violates,
    /// No rule was seen broken, but a part could not be checked.
    Unverifiable(Reason),
    /// The contract says nothing of this message.
    NotApplicable,
}

/// Why a message could not be checked in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The contract declares no schema for what was sent.
    NoSchema,
    /// The body is not text that a schema speaks of.
    Binary,
    /// The body is larger than the limit for checking.
    Size,
    /// The body's arrays and objects nest deeper than [`crate::limits::JSON_DEPTH`].
    Depth,
    /// The body was sent on without being collected.
    Streamed,
    /// The recording of the exchange does not have the body.
    NotRecorded,
    /// A pattern of the contract cannot be compiled by the linear engine.
    Pattern,
    /// A schema of the contract cannot be compiled.
    Schema,
    /// A schema of the contract holds more against one value, or reaches more, than is compiled.
    Cost,
    /// The contract's operation cannot be read.
    Operation,
    /// A parameter is serialised in a style that is not decoded yet.
    Style,
    /// The media type is declared with a schema, but is not decoded yet.
    MediaType,
    /// The body is in a charset other than UTF-8.
    Charset,
    /// The body is compressed in a way that is not undone here.
    ContentEncoding,
    /// The contract asks for a credential that a message does not show (a client certificate).
    Security,
}

/// Whether the findings of a message may stop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Force {
    /// They are told and never stop anything: a missing credential is the vendor's to refuse, and
    /// a query parameter that nobody declared may be reported only.
    Told,
    /// Where the hop is enforced, the message is refused.
    Binding,
}

/// A verdict with the findings it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The conclusion.
    pub verdict: Verdict,
    /// The broken rules, at most [`crate::limits::FINDINGS_PER_MESSAGE`]. Empty unless the verdict
    /// is [`Verdict::Violates`].
    pub findings: Vec<Finding>,
    /// Whether they may stop the message. Without findings it says nothing.
    pub force: Force,
}

// === impl Verdict ===

impl Verdict {
    /// The worse of two verdicts: `violates`, then `unverifiable` (the first reason stays), then
    /// `conforms`, then `not-applicable`.
    #[must_use]
    pub fn worst_of(self, other: Self) -> Self {
        if other.badness() > self.badness() { other } else { self }
    }

    const fn badness(self) -> u8 {
        match self {
            Self::NotApplicable => 0,
            Self::Conforms => 1,
            Self::Unverifiable(_) => 2,
            Self::Violates => 3,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conforms => f.write_str("conforms"),
            Self::Violates => f.write_str("violates"),
            Self::Unverifiable(reason) => write!(f, "unverifiable({reason})"),
            Self::NotApplicable => f.write_str("not-applicable"),
        }
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

// === impl Reason ===

impl Reason {
    /// The reason's stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSchema => "no-schema",
            Self::Binary => "binary",
            Self::Size => "size",
            Self::Depth => "depth",
            Self::Streamed => "streamed",
            Self::NotRecorded => "not-recorded",
            Self::Pattern => "pattern",
            Self::Schema => "schema",
            Self::Cost => "cost",
            Self::Operation => "operation",
            Self::Style => "style",
            Self::MediaType => "media-type",
            Self::Charset => "charset",
            Self::ContentEncoding => "content-encoding",
            Self::Security => "security",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Checked ===

impl Checked {
    /// A verdict without findings.
    #[must_use]
    pub const fn of(verdict: Verdict) -> Self {
        Self { verdict, findings: Vec::new(), force: Force::Told }
    }
}

/// Gathers what the checks of one message find.
#[derive(Debug)]
pub(crate) struct Report {
    verdict: Verdict,
    findings: Vec<Finding>,
    /// Findings beyond the limit.
    more: usize,
    force: Force,
    /// What undeclared things are.
    undeclared: Undeclared,
}

// === impl Report ===

impl Report {
    pub(crate) const fn new() -> Self {
        Self {
            verdict: Verdict::NotApplicable,
            findings: Vec::new(),
            more: 0,
            force: Force::Told,
            undeclared: Undeclared::Ignore,
        }
    }

    /// The same, in strict mode or not.
    pub(crate) const fn strict(mut self, undeclared: Undeclared) -> Self {
        self.undeclared = undeclared;
        self
    }

    /// What undeclared things are.
    pub(crate) const fn undeclared(&self) -> Undeclared {
        self.undeclared
    }

    /// How many findings there are so far.
    pub(crate) const fn findings(&self) -> usize {
        self.findings.len() + self.more
    }

    /// A rule was checked and is not known to be broken.
    pub(crate) fn checked(&mut self) {
        self.verdict = self.verdict.worst_of(Verdict::Conforms);
    }

    pub(crate) fn unverifiable(&mut self, reason: Reason) {
        self.verdict = self.verdict.worst_of(Verdict::Unverifiable(reason));
    }

    pub(crate) fn finding(&mut self, finding: Finding) {
        self.force = Force::Binding;
        self.tell(finding);
    }

    /// A finding that never stops a message.
    pub(crate) fn tell(&mut self, finding: Finding) {
        self.verdict = Verdict::Violates;
        if self.findings.len() < limits::FINDINGS_PER_MESSAGE {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }

    /// A finding of strict mode.
    pub(crate) fn undeclared_finding(&mut self, finding: Finding) {
        self.undeclared_as(self.undeclared, finding);
    }

    /// A finding of strict mode, where it is another than the report's own.
    pub(crate) fn undeclared_as(&mut self, undeclared: Undeclared, finding: Finding) {
        match undeclared {
            Undeclared::Reject => self.finding(finding),
            Undeclared::Report | Undeclared::Ignore => self.tell(finding),
        }
    }

    /// Takes over what another report has, save for the findings that are not to be kept.
    pub(crate) fn merge(&mut self, other: Self, mut keep: impl FnMut(&Finding) -> bool) {
        if other.verdict == Verdict::Violates {
            self.checked();
        } else {
            self.verdict = self.verdict.worst_of(other.verdict);
        }
        self.more += other.more;
        for finding in other.findings.into_iter().filter(|finding| keep(finding)) {
            match other.force {
                Force::Binding => self.finding(finding),
                Force::Told => self.tell(finding),
            }
        }
    }

    /// Ends it: each finding learns where its rule was written.
    pub(crate) fn finish_in(mut self, document: &Document) -> Checked {
        for finding in &mut self.findings {
            document.locate(finding);
        }
        self.end()
    }

    /// Ends it without places.
    #[cfg(test)]
    pub(crate) fn finish(self) -> Checked {
        self.end()
    }

    fn end(mut self) -> Checked {
        if self.more > 0
            && let Some(last) = self.findings.last_mut()
        {
            // The last place tells how many it stands for, itself included.
            *last = Finding {
                code: "findings.more",
                location: last.location,
                pointer: String::new(),
                spec_pointer: String::new(),
                position: None,
                indices: Indices::default(),
                keyword: String::new(),
                expected: format!("{} more findings are not shown", self.more + 1),
            };
        }
        Checked { verdict: self.verdict, findings: self.findings, force: self.force }
    }
}
