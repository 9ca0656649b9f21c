//! What a client's terms announce of WEM-1493.
//!
//! A policy announces what its client can see: a refusal in the place of a partial result, or a list
//! of failures to one that knows such lists. `lenient`, and `passthrough` for a client that was
//! written before the day, announce nothing of the kind: there a partial result looks like a whole
//! one, and that is what a rehearsal is to find.

use super::{Direction, EFFECTIVE, WEM_1493};
use crate::change::Call;
use crate::change::announced::{Announced, Aspect, Sign};
use crate::change::terms::{Policy, Terms, word};
use crate::contract::ContractDate;
use crate::error::Code;

const ANSWER: [Aspect; 3] = [Aspect::Status, Aspect::Verdict, Aspect::Body];
const CHANGES: Aspect = Aspect::Header("recgate-changes");
const ERROR: Aspect = Aspect::Header("recgate-error");
const PARTIAL: Aspect = Aspect::Header("recgate-partial");
/// The member of the new answer that tells what failed.
const LIST: Sign = Sign::Member("failedUpdates");

/// Everything that a request's policy announces.
pub(super) fn of(call: &Call, terms: &Terms) -> Vec<Announced> {
    let direction = Direction::of(call);
    let policy = direction.policy(terms);
    let key = match direction {
        Direction::Apply => "apply",
        Direction::Revoke => "revoke",
        Direction::Unclear => "apply and revoke",
    };
    let setting = format!("deletion_protection.{key} = \"{}\"", word(policy));
    let says = |why| Announced::new(WEM_1493.id, setting.clone(), why);
    let told = |code, why| {
        says(why).where_seen(Sign::Error(code)).differing(&ANSWER).differing(&[ERROR, CHANGES])
    };
    let headers = says("an adapted answer names the change, and a partial result its size")
        .where_seen(Sign::Adapted)
        .differing(&[CHANGES, PARTIAL]);
    let all_failed = || {
        told(Code::AllFailed, "nothing was changed: the whole request's error, failures in details")
            .differing(&[PARTIAL])
    };
    let unknown = || {
        told(Code::OutcomeUnknown, "an answer that does not tell what was done is no success")
            .differing(&[Aspect::World])
    };
    let ambiguous = || {
        told(Code::RequestAmbiguous, "a request that can be read in two ways is not sent")
            .differing(&[Aspect::World])
    };
    match policy {
        Policy::Passthrough if knows_lists(terms.as_of) => vec![
            Announced::new(
                WEM_1493.id,
                format!("as_of = \"{}\"", terms.as_of),
                "the client was written for answers that list what failed",
            )
            .where_seen(Sign::Status(200))
            .where_seen(LIST)
            .differing(&ANSWER)
            .differing(&[Aspect::World]),
        ],
        Policy::Passthrough => Vec::new(),
        Policy::Lenient => vec![headers, unknown(), ambiguous()],
        Policy::Uniform => vec![
            headers,
            says("always 200 with the list of what failed, empty where nothing did")
                .where_seen(Sign::Adapted)
                .where_seen(Sign::Status(200))
                .where_seen(LIST)
                .differing(&ANSWER)
                .differing(&[Aspect::World]),
            unknown(),
            ambiguous(),
        ],
        Policy::Strict => vec![
            headers,
            told(
                Code::PartialResult,
                "some failed: 409, every failure in details; the others are done",
            )
            .differing(&[PARTIAL, Aspect::World]),
            all_failed(),
            unknown(),
            ambiguous(),
        ],
        Policy::Compensate => vec![
            headers,
            told(Code::RolledBack, "some could not be released, so the others are protected again"),
            told(Code::CompensationUnready, "what cannot be undone is not sent")
                .differing(&[Aspect::World]),
            all_failed(),
            unknown(),
            ambiguous(),
        ],
    }
}

/// Whether a client of this day knows answers that list failures.
fn knows_lists(as_of: ContractDate) -> bool {
    match as_of {
        ContractDate::On(day) => day >= EFFECTIVE,
        ContractDate::Latest => true,
    }
}
