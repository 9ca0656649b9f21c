//! What went wrong between a client and its answer, as data.
//!
//! Every failure has a stable code (metrics, logs and callers use the same), the side that is to
//! blame, whether trying again can help, and two texts: one for the caller, which never holds a
//! value out of a message, and one for the operator's log. Failures become answers in one place,
//! `gateway/respond.rs`.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;

use crate::dialect::{Detail, ErrorAnswer, genesys};

/// A failure of an exchange.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}: {inside}", code.as_str())]
pub struct Failure {
    /// What kind.
    pub code: Code,
    /// For the operator's log: what happened and where.
    pub inside: Cow<'static, str>,
    /// Single faults for the caller.
    pub details: Vec<Detail>,
    /// When trying again makes sense.
    pub retry_after: Option<Duration>,
}

/// The kinds of failures. A code, once released, keeps its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// No `Host`, two, or one that is no authority (RFC 9110 §7.2).
    HostInvalid,
    /// Bytes that are no HTTP request, or one that two servers could read differently (RFC 9112
    /// §11.2).
    RequestMalformed,
    /// A version of HTTP that is not spoken here.
    RequestVersion,
    /// A transfer coding other than `chunked` (RFC 9112 §6.1).
    RequestCoding,
    /// `CONNECT` and `TRACE`: what they ask for, a gateway does not do.
    RequestMethod,
    /// An expectation other than `100-continue` (RFC 9110 §10.1.1).
    RequestExpectation,
    /// A request line over the limit.
    RequestTargetTooLong,
    /// A head over the limits.
    RequestHeadTooLarge,
    /// A path that servers read differently: an encoded slash, a dot segment, broken UTF-8.
    RequestPath,
    /// No upstream serves this path.
    NoRoute,
    /// The request breaks the contract of the client's date, and hop 1 is enforced.
    RequestContract,
    /// JSON that parsers read differently, in a request whose meaning matters.
    RequestAmbiguous,
    /// A rule of the vendor that no schema states (Webex's limits).
    RequestRule,
    /// The body is longer than is checked, and hop 1 is enforced.
    RequestTooLarge,
    /// The header by which a client chooses its day does not name one.
    RequestDate,
    /// The request's body ended early.
    RequestBody,
    /// The request's body did not come in time; nothing was sent.
    RequestTimeout,
    /// The request's body stood still when its head had gone upstream: the outcome is unknown.
    RequestStalled,
    /// An adapted request broke the contract: a fault of recgate's own.
    ChangeContract,
    /// The upstream's answer broke the contract of its date, and hop 3 is enforced.
    ResponseContract,
    /// The answer breaks the contract of the client's date, and hop 4 is enforced.
    AnswerContract,
    /// No connection: nothing was sent.
    UpstreamUnreachable,
    /// So many calls failed in a row that the upstream is left alone for a while: nothing was sent.
    BreakerOpen,
    /// The connection broke after something was sent: the outcome is unknown.
    UpstreamBroke,
    /// No answer inside the deadline: the outcome is unknown.
    UpstreamTimeout,
    /// The answer says neither done nor not done.
    OutcomeUnknown,
    /// Some conversations were changed and some were not.
    PartialResult,
    /// None of the conversations was changed.
    AllFailed,
    /// A newer pause of the same conversation came before this resume was sent.
    Superseded,
    /// An older command of the same conversation took the whole deadline; nothing was sent.
    QueueTimeout,
    /// The ledger could not take the intent; nothing was sent.
    LedgerUnwritten,
    /// The gateway could not sign in with its own account; nothing was sent with it.
    OwnSignIn,
    /// The caller did not prove the right that the gateway's own account would act upon.
    NotEntitled,
    /// A revoke that must be undone where it fails in part, and could not be: it was not sent.
    CompensationUnready,
    /// Some conversations could not be released, so none was: the others are protected again.
    RolledBack,
    /// No trigger of this name, or no event of this id.
    TriggerUnknown,
    /// An event that nobody proves.
    TriggerUnproven,
    /// An event that is its sender's, and not of now.
    TriggerTime,
    /// An event whose id was used before.
    TriggerReplayed,
    /// An event that is its sender's, and cannot be used.
    TriggerPayload,
    /// An event that is longer than events may be.
    TriggerTooLarge,
    /// A method other than POST, which is all that triggers take.
    TriggerMethod,
    /// More events wait than may.
    TriggerFull,
    /// More requests are under way than the gateway has places for; nothing was sent.
    Overloaded,
    /// recgate is at fault.
    Internal,
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    /// The client's.
    Client,
    /// The upstream's.
    Upstream,
    /// recgate's, in adapting.
    Change,
    /// recgate's, elsewhere.
    Gateway,
}

/// Whether the same request can succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Not as it is.
    Never,
    /// Yes, nothing was sent.
    Safe,
    /// Only where the request can be repeated without harm: it may have been carried out.
    Idempotent,
}

// === impl Blame ===

impl Blame {
    /// The word in findings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Change => "change",
            Self::Gateway => "gateway",
        }
    }
}

// === impl Failure ===

impl Failure {
    /// A failure with the operator's text.
    #[must_use]
    pub fn new(code: Code, inside: impl Into<Cow<'static, str>>) -> Self {
        Self { code, inside: inside.into(), details: Vec::new(), retry_after: None }
    }

    /// The same with `details` for the caller.
    #[must_use]
    pub fn with_details(mut self, details: Vec<Detail>) -> Self {
        self.details = details;
        self
    }

    /// The error for the caller, before it takes a dialect's shape.
    #[must_use]
    pub fn answer(&self) -> ErrorAnswer {
        let status = self.code.status();
        let code = match self.code {
            Code::RequestRule | Code::RequestContract if !self.details.is_empty() => {
                "invalid.value"
            }
            _ => genesys::code_for(status),
        };
        ErrorAnswer::new(status, code, self.code.outside()).with_details(self.details.clone())
    }
}

// === impl Code ===

impl Code {
    /// The stable spelling: in `Recgate-Error`, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.facts().0
    }

    /// The status a caller gets.
    #[must_use]
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.facts().1).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Who is to blame.
    #[must_use]
    pub const fn blame(self) -> Blame {
        self.facts().2
    }

    /// Whether trying again can help.
    #[must_use]
    pub const fn retry(self) -> Retry {
        self.facts().3
    }

    /// The sentence for the caller.
    #[must_use]
    pub const fn outside(self) -> &'static str {
        self.facts().4
    }

    #[expect(clippy::too_many_lines, reason = "a table, one row a code")]
    const fn facts(self) -> (&'static str, u16, Blame, Retry, &'static str) {
        use Blame::{Change, Client, Gateway, Upstream};
        use Retry::{Idempotent, Never, Safe};
        match self {
            Self::HostInvalid => {
                ("request.host", 400, Client, Never, "The request needs exactly one valid Host.")
            }
            Self::RequestMalformed => (
                "request.malformed",
                400,
                Client,
                Never,
                "The request is not HTTP as RFC 9112 has it, or can be read in two ways. It was not forwarded.",
            ),
            Self::RequestVersion => {
                ("request.version", 505, Client, Never, "HTTP/1.0, 1.1 and 2 are spoken here.")
            }
            Self::RequestCoding => (
                "request.coding",
                501,
                Client,
                Never,
                "No transfer coding but chunked is taken here; a Content-Encoding passes.",
            ),
            Self::RequestMethod => {
                ("request.method", 501, Client, Never, "This method is not carried by the gateway.")
            }
            Self::RequestExpectation => (
                "request.expectation",
                417,
                Client,
                Never,
                "100-continue is the only expectation that can be met here.",
            ),
            Self::RequestTargetTooLong => (
                "request.target-too-long",
                414,
                Client,
                Never,
                "The request line is longer than the gateway takes.",
            ),
            Self::RequestHeadTooLarge => (
                "request.head-too-large",
                431,
                Client,
                Never,
                "The request's head has more bytes or more lines than the gateway takes.",
            ),
            Self::RequestPath => (
                "request.path",
                400,
                Client,
                Never,
                "The path can be read in more than one way (an encoded slash, a dot segment, broken UTF-8), so the request was not forwarded.",
            ),
            Self::NoRoute => (
                "route.none",
                404,
                Client,
                Never,
                "No API is served under this path by this gateway.",
            ),
            Self::RequestContract => (
                "request.contract",
                400,
                Client,
                Never,
                "The request does not keep to the API's contract; details name the places and the rules. It was not forwarded.",
            ),
            Self::RequestAmbiguous => (
                "request.ambiguous",
                400,
                Client,
                Never,
                "The request's JSON can be read in more than one way, so it was not forwarded.",
            ),
            Self::RequestRule => (
                "request.rule",
                400,
                Client,
                Never,
                "The request breaks a documented rule of the API; details name it. It was not forwarded.",
            ),
            Self::RequestTooLarge => (
                "request.too-large",
                413,
                Client,
                Never,
                "The body is longer than the gateway checks, so it was not forwarded.",
            ),
            Self::RequestDate => (
                "request.date",
                400,
                Client,
                Never,
                "The header that chooses the API's day takes exactly one day such as 2026-09-20, or latest. The request was not forwarded.",
            ),
            Self::RequestBody => {
                ("request.body", 400, Client, Never, "The request's body could not be read.")
            }
            Self::RequestTimeout => {
                ("request.timeout", 408, Client, Safe, "The request's body did not come in time.")
            }
            Self::RequestStalled => (
                "request.stalled",
                408,
                Client,
                Idempotent,
                "The request's body stood still when a part of the request had gone upstream; what the upstream made of that is unknown.",
            ),
            Self::ChangeContract => (
                "change.contract",
                500,
                Change,
                Never,
                "The gateway could not carry this request forward; it was not sent.",
            ),
            Self::ResponseContract => (
                "upstream.contract",
                502,
                Upstream,
                Idempotent,
                "The upstream's answer does not keep to its contract.",
            ),
            Self::AnswerContract => (
                "answer.contract",
                502,
                Upstream,
                Idempotent,
                "The answer does not keep to the contract this client was written for.",
            ),
            Self::UpstreamUnreachable => (
                "upstream.unreachable",
                503,
                Upstream,
                Safe,
                "The upstream cannot be reached; nothing was sent.",
            ),
            Self::BreakerOpen => (
                "upstream.breaker-open",
                503,
                Upstream,
                Safe,
                "The upstream has failed again and again and is left alone for a while; nothing was sent. Try again after Retry-After.",
            ),
            Self::UpstreamBroke => (
                "upstream.broke",
                502,
                Upstream,
                Idempotent,
                "The upstream broke off; whether the request was carried out is unknown.",
            ),
            Self::UpstreamTimeout => (
                "upstream.timeout",
                504,
                Upstream,
                Idempotent,
                "The upstream did not answer in time; whether the request was carried out is unknown.",
            ),
            Self::OutcomeUnknown => (
                "outcome.unknown",
                409,
                Upstream,
                Idempotent,
                "The upstream's answer does not tell what was done. Treat the outcome as unknown and look.",
            ),
            Self::PartialResult => (
                "outcome.partial",
                409,
                Upstream,
                Idempotent,
                "Some conversations were changed and some were not.",
            ),
            Self::AllFailed => (
                "outcome.all-failed",
                403,
                Upstream,
                Never,
                "None of the conversations was changed.",
            ),
            Self::Superseded => (
                "queue.superseded",
                409,
                Client,
                Never,
                "A newer pause of this conversation came first; the recording stays paused.",
            ),
            Self::QueueTimeout => (
                "queue.timeout",
                503,
                Upstream,
                Safe,
                "An older command of this conversation is not finished; nothing was sent.",
            ),
            Self::LedgerUnwritten => (
                "ledger.unwritten",
                503,
                Gateway,
                Safe,
                "The gateway cannot record this request, so it was not sent.",
            ),
            Self::OwnSignIn => (
                "authority.sign-in",
                503,
                Gateway,
                Safe,
                "The gateway could not sign in with its own account; nothing was sent with it.",
            ),
            Self::NotEntitled => (
                "authority.refused",
                403,
                Client,
                Never,
                "The caller may not do this, so the gateway's own account did not do it for them.",
            ),
            Self::CompensationUnready => (
                "compensation.unready",
                503,
                Gateway,
                Safe,
                "The gateway could not make sure that this can be undone, so it was not sent.",
            ),
            Self::RolledBack => (
                "outcome.rolled-back",
                403,
                Upstream,
                Never,
                "Some conversations could not be changed, so the others were changed back.",
            ),
            Self::TriggerUnknown => {
                ("trigger.unknown", 404, Client, Never, "There is no such trigger or event here.")
            }
            Self::TriggerUnproven => (
                "trigger.unproven",
                401,
                Client,
                Never,
                "The event's signature, id or time is not accepted. Nothing was done.",
            ),
            Self::TriggerTime => (
                "trigger.time",
                401,
                Client,
                Never,
                "The event is its sender's, but its time is none, or not within 5 minutes of this gateway's clock (see Date). Nothing was done.",
            ),
            Self::TriggerReplayed => (
                "trigger.replayed",
                409,
                Client,
                Never,
                "An event with this id was accepted before. Nothing was done again.",
            ),
            Self::TriggerPayload => (
                "trigger.payload",
                400,
                Client,
                Never,
                "The event is its sender's, but its payload cannot be used. Nothing was done.",
            ),
            Self::TriggerTooLarge => (
                "trigger.too-large",
                413,
                Client,
                Never,
                "The event's body is longer than limits.trigger_body_bytes. Nothing was done.",
            ),
            Self::TriggerMethod => {
                ("trigger.method", 405, Client, Never, "Events come by POST. Nothing was done.")
            }
            Self::TriggerFull => (
                "trigger.full",
                503,
                Gateway,
                Safe,
                "Too many events wait for their turn. Nothing was done.",
            ),
            Self::Overloaded => (
                "gateway.overloaded",
                503,
                Gateway,
                Safe,
                "The gateway has too much to do; nothing was sent. Try again after Retry-After.",
            ),
            Self::Internal => (
                "gateway.internal",
                500,
                Gateway,
                Idempotent,
                "The gateway failed on this request.",
            ),
        }
    }
}
