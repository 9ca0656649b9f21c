//! WEM-1493, 21 September 2026: the partial result of deletion protection.
//!
//! `PUT /api/v2/recordings/deletionprotection` began to answer 200 with a list of failures, for
//! callers under an ABAC policy, where it had always said 204 or failed as a whole. A client that
//! was written before reads every 2xx as "all done". What such a client gets is a [`Policy`], by
//! direction. The vendor did not publish the hour, so a policy holds whatever the clock says.
//!
//! Errors of the upstream stay errors. A 200 whose list cannot be read, or names ids that were not
//! asked for, is not a success: its outcome is unknown, and that is said loudly. An apply is never
//! undone. More than 100 ids are never split in silence: the upstream refuses them.

mod announced;
mod compensation;
mod failures;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
mod turns;

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use http::{HeaderValue, Method, StatusCode, header};
use jiff::civil::{Date, date};
use percent_encoding::percent_decode_str;

use failures::{Asked, Told};
use turns::Turns;

use super::announced::Announced;
use super::call::canonical;
use super::exchange::PARTIAL;
use super::inventory::{PARTIAL_RESULT, SHIELDED, Sdk};
use super::journal::{Action, OpenIntent, Outcome, Plan};
use super::terms::{self, Policy, Terms};
use super::{Announcement, Answer, Call, Change, Exchange, Next};
use crate::dialect::{Detail, Dialect, ErrorAnswer};
use crate::error::{Code, Failure, Retry};

/// The day from which the vendor may answer with a partial result.
pub const EFFECTIVE: Date = date(2026, 9, 21);

const PATH: &str = "/api/v2/recordings/deletionprotection";

static WEM_1493: Announcement = Announcement {
    id: "WEM-1493",
    date: Some(EFFECTIVE),
    dialect: Dialect::Genesys,
    title: "deletion protection: 200 with failedUpdates for callers under an ABAC policy",
    operations: &["PUT /api/v2/recordings/deletionprotection"],
    legacy: Some("PUT /api/v2/recordings/deletionprotection"),
};

/// The change, with the turns of releases that may have to be undone.
#[derive(Clone, Debug, Default)]
pub struct DeletionProtection {
    turns: Turns,
}

/// Which way a request moves protection. Releasing is the dangerous one: a deletion date that has
/// passed applies at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Apply,
    Revoke,
    /// Spelt in a way that two readers could take differently. The upstream decides, and the
    /// client is shielded if it is in either direction.
    Unclear,
}

// === impl DeletionProtection ===

impl Change for DeletionProtection {
    fn announcement(&self) -> &'static Announcement {
        &WEM_1493
    }

    fn watches(&self, method: &Method, path: &str) -> bool {
        method == Method::PUT && path == PATH
    }

    fn must_read(&self, method: &Method, path: &str) -> bool {
        self.watches(method, path)
    }

    fn concerns(&self, call: &Call, exchange: &Exchange) -> bool {
        self.watches(&call.method, &canonical(call.path()))
            && Direction::of(call).policy(&exchange.terms) != Policy::Passthrough
    }

    fn carry(
        self: Arc<Self>,
        exchange: Rc<Exchange>,
        call: Call,
        next: Rc<dyn Next>,
    ) -> LocalBoxFuture<'static, Result<Answer, Failure>> {
        Box::pin(counted(self.turns.clone(), exchange, call, next))
    }

    fn settings(&self, terms: &Terms) -> Vec<(&'static str, String)> {
        vec![("apply", terms::word(terms.apply)), ("revoke", terms::word(terms.revoke))]
    }

    fn passes(&self, _: &Call, exchange: &Exchange) {
        exchange.legacy(&WEM_1493);
    }

    fn announces(&self, call: &Call, terms: &Terms) -> Vec<Announced> {
        announced::of(call, terms)
    }

    fn recover(
        self: Arc<Self>,
        exchange: Rc<Exchange>,
        open: OpenIntent,
        next: Rc<dyn Next>,
    ) -> LocalBoxFuture<'static, Outcome> {
        Box::pin(compensation::recover(exchange, open.plan, next))
    }
}

/// Carries a request and counts it, where its client lives on the answers of before. A client of
/// `uniform` knows the new ones.
async fn counted(
    turns: Turns,
    exchange: Rc<Exchange>,
    call: Call,
    next: Rc<dyn Next>,
) -> Result<Answer, Failure> {
    let (direction, sdk) = (Direction::of(&call), Sdk::of(&call.headers));
    exchange.legacy(&WEM_1493);
    if direction.policy(&exchange.terms) == Policy::Uniform {
        return carry(turns, exchange, call, next).await;
    }
    let result = carry(turns, Rc::clone(&exchange), call, next).await;
    let partial = if exchange.has_noted(&PARTIAL) { SHIELDED } else { "none" };
    exchange.used(&WEM_1493, sdk, vec![("action", direction.mark()), (PARTIAL_RESULT, partial)]);
    result
}

async fn carry(
    turns: Turns,
    exchange: Rc<Exchange>,
    call: Call,
    next: Rc<dyn Next>,
) -> Result<Answer, Failure> {
    let direction = Direction::of(&call);
    if direction == Direction::Unclear && exchange.terms.revoke == Policy::Compensate {
        let why = "whether this applies or revokes protection depends on the reader";
        return Err(Failure::new(Code::RequestAmbiguous, why));
    }
    let asked = match Asked::of(&call.body) {
        Ok(asked) => asked,
        Err(failures::Unread::Ambiguous) => {
            return Err(Failure::new(Code::RequestAmbiguous, "duplicate keys in the request"));
        }
        // Whoever reads more loosely could carry it out, and nobody would know what to undo.
        Err(failures::Unread::Other) if direction.policy(&exchange.terms) == Policy::Compensate => {
            let why = "a revoke that must be undone where it fails, in a body that cannot be read";
            return Err(Failure::new(Code::RequestAmbiguous, why));
        }
        // The upstream refuses it in its own words.
        Err(failures::Unread::Other) => Asked::default(),
    };
    let policy = direction.policy(&exchange.terms);
    // A body that names nothing is the upstream's to refuse.
    if policy == Policy::Compensate && !asked.ids().is_empty() {
        return compensation::carry(&turns, exchange, call, asked, next).await;
    }
    let plan = Plan {
        action: direction.action(),
        subjects: asked.ids().to_vec(),
        medium: None,
        undo: Vec::new(),
    };
    let intent = exchange.intend(&WEM_1493, plan).await?;
    exchange.adapted_by(&WEM_1493);

    // The answer has to be read, so it must not come encoded; the rest goes as it came.
    let answer = match next.call(call.without(&header::ACCEPT_ENCODING)).await {
        Ok(answer) => answer,
        Err(failure) => {
            let outcome = match failure.code.retry() {
                Retry::Idempotent => Outcome::Unknown,
                Retry::Never | Retry::Safe => Outcome::NotSent,
            };
            exchange.settle(&intent, outcome);
            return Err(failure);
        }
    };
    let told = match Told::of(&answer, &asked) {
        // Who gets the list itself can read it as it is.
        Told::Failed(failed) if policy != Policy::Uniform && asked.leaves_open(&failed) => {
            Told::Unreadable("a conversation that was given twice and failed once")
        }
        told => told,
    };
    exchange.settle(&intent, told.outcome(&answer));
    match told {
        Told::Refused => Ok(answer),
        Told::AllDone => Ok(all_done(policy, answer)),
        Told::Unreadable(why) => {
            tracing::error!(exchange = %exchange.id, why, "deletion protection: outcome unknown");
            Err(Failure::new(Code::OutcomeUnknown, why))
        }
        Told::Failed(failed) if policy == Policy::Uniform => {
            note_partial(&exchange, failed.len(), asked.ids().len());
            Ok(answer)
        }
        Told::Failed(failed) => {
            note_partial(&exchange, failed.len(), asked.ids().len());
            Ok(shield(policy, direction, &asked, &failed, &answer, &exchange))
        }
    }
}

/// The answer to a request in which nothing failed.
fn all_done(policy: Policy, answer: Answer) -> Answer {
    match policy {
        Policy::Uniform if answer.status == StatusCode::NO_CONTENT => Answer::in_place_of(
            &answer.headers,
            StatusCode::OK,
            Some(Bytes::from_static(br#"{"failedUpdates": []}"#)),
        ),
        Policy::Strict | Policy::Compensate | Policy::Lenient
            if answer.status != StatusCode::NO_CONTENT =>
        {
            Answer::in_place_of(&answer.headers, StatusCode::NO_CONTENT, None)
        }
        _ => answer,
    }
}

/// The answer to a request of which something failed, for a client that knows no partial result.
fn shield(
    policy: Policy,
    direction: Direction,
    asked: &Asked,
    failed: &[failures::Failed],
    answer: &Answer,
    exchange: &Exchange,
) -> Answer {
    if policy == Policy::Lenient {
        return Answer::in_place_of(&answer.headers, StatusCode::NO_CONTENT, None);
    }
    refusal(direction, asked, failed, answer, exchange)
}

/// The error that tells which conversations were changed and which were not.
fn refusal(
    direction: Direction,
    asked: &Asked,
    failed: &[failures::Failed],
    answer: &Answer,
    exchange: &Exchange,
) -> Answer {
    let done = asked.without(failed);
    let (verb, not) = direction.words();
    let (kind, error) = if done.is_empty() {
        let message = format!("Deletion protection was {verb} for none of the conversations.");
        let kind = Code::AllFailed;
        (kind, ErrorAnswer::new(kind.status(), agreed_code(failed), message))
    } else {
        let message = format!(
            "Deletion protection was {verb} for some of the conversations only. {} {verb}: {}. {not}: {}.",
            done.len(),
            done.join(", "),
            failed.iter().map(|failure| &*failure.id).collect::<Vec<_>>().join(", "),
        );
        let kind = Code::PartialResult;
        (kind, ErrorAnswer::new(kind.status(), "partial.result", message))
    };
    let error = error.with_details(details(failed));
    exchange.error_in_place_of(&answer.headers, kind, &error)
}

fn details(failed: &[failures::Failed]) -> Vec<Detail> {
    let detail = |failure: &failures::Failed| Detail {
        code: failure.code.clone(),
        field: None,
        entity: Some(failure.id.clone()),
        message: None,
    };
    failed.iter().map(detail).collect()
}

/// The failures' own code where they agree.
fn agreed_code(failed: &[failures::Failed]) -> &str {
    match failed {
        [first, rest @ ..] if rest.iter().all(|failure| failure.code == first.code) => &first.code,
        _ => "not.authorized",
    }
}

fn note_partial(exchange: &Exchange, failed: usize, total: usize) {
    if failed == 0 {
        return;
    }
    if let Ok(value) = HeaderValue::from_str(&format!("failed={failed}, total={total}")) {
        exchange.note(PARTIAL, value);
    }
}

// === impl Direction ===

impl Direction {
    /// The direction that the query asks for; `protect` is true where it is left out.
    fn of(call: &Call) -> Self {
        let text = |encoded: &str| {
            percent_decode_str(&encoded.replace('+', " ")).decode_utf8_lossy().into_owned()
        };
        let mut values = call
            .query()
            .unwrap_or_default()
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .filter(|(name, _)| text(name).eq_ignore_ascii_case("protect"))
            .map(|(_, value)| text(value).to_ascii_lowercase());
        match (values.next().as_deref(), values.next()) {
            (None | Some("true"), None) => Self::Apply,
            (Some("false"), None) => Self::Revoke,
            _ => Self::Unclear,
        }
    }

    fn policy(self, terms: &Terms) -> Policy {
        match self {
            Self::Apply => terms.apply,
            Self::Revoke => terms.revoke,
            Self::Unclear if terms.apply == terms.revoke => terms.apply,
            Self::Unclear => Policy::Strict,
        }
    }

    const fn action(self) -> Action {
        match self {
            Self::Apply => Action::Protect,
            Self::Revoke => Action::Release,
            Self::Unclear => Action::ProtectOrRelease,
        }
    }

    /// Its word in the inventory.
    const fn mark(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Revoke => "revoke",
            Self::Unclear => "unclear",
        }
    }

    /// Participle and its negation, for people.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Apply => ("applied", "Not applied"),
            Self::Revoke => ("revoked", "Not revoked"),
            Self::Unclear => ("changed", "Not changed"),
        }
    }
}
