//! What a client's terms announce of WEM-449.
//!
//! The gain of the announcement is that a caller with `pauseOthers` need not take part. It is
//! announced only where the *caller's own* PUT was accepted: under `service` the gateway's account
//! sends the PUT for callers who could have sent the PATCH, so nobody gains anything there, and a
//! success where the vendor refused the caller would be announced by nothing.

use http::Method;

use super::WEM_449;
use super::command::{Command, Form, Reading};
use crate::change::announced::{Announced, Aspect, By, Got, Kind, Sign};
use crate::change::terms::{Authority, Fallback, LegacyAnswer, SecurePause, Terms};
use crate::change::{Call, Principal};
use crate::error::Code;

const EVERYTHING: [Aspect; 4] = [Aspect::Status, Aspect::Verdict, Aspect::Body, Aspect::World];
/// The members of a minimal answer (`answer.rs`).
const MINIMAL: [&str; 3] = ["id", "recordingState", "selfUri"];
const CHANGES: Aspect = Aspect::Header("recgate-changes");
const ERROR: Aspect = Aspect::Header("recgate-error");

pub(super) fn of(call: &Call, terms: &Terms) -> Vec<Announced> {
    if terms.secure_pause == SecurePause::Off {
        return Vec::new();
    }
    match Reading::of(call) {
        Reading::Command(command) if command.form == Form::Legacy => of_legacy(&command, terms),
        Reading::Ambiguous => vec![
            carry("duplicate keys cannot be forwarded safely: 400, and nothing is sent")
                .where_seen(Sign::Error(Code::RequestAmbiguous))
                .differing(&EVERYTHING)
                .differing(&[ERROR]),
        ],
        Reading::Command(_) | Reading::Other => Vec::new(),
    }
}

fn of_legacy(command: &Command, terms: &Terms) -> Vec<Announced> {
    let mut all = vec![adapted("an adapted answer names the change").differing(&[CHANGES])];
    all.extend(gains(command, terms));
    all.extend(answers(command, terms));
    all.extend(refusals(command, terms));
    if terms.confirm.is_some() {
        let told = "Recgate-Pause tells whether the pause was seen to hold";
        all.push(wem_449("confirm", told).differing(&[Aspect::Header("recgate-pause")]));
    }
    all
}

/// Who may do what the vendor refused them before.
fn gains(command: &Command, terms: &Terms) -> Vec<Announced> {
    let gain = |it: Announced, kind, by| {
        it.where_seen(Sign::Adapted)
            .where_seen(Sign::RefusedStraight)
            .where_seen(Sign::Status(202))
            .where_seen(Sign::Called(kind, By::One(by), Got::Accepted))
            .differing(&EVERYTHING)
    };
    let own = "whoever has conversation:recording:pauseOthers need not be a participant";
    let mut all = vec![gain(carry(own), put(command), Principal::Caller)];
    if terms.fallback == Fallback::Agnostic {
        let it = wem_449("fallback = \"agnostic\"", own);
        all.push(gain(it, agnostic(command), Principal::Caller));
    }
    if terms.authority == Authority::UnguardedService {
        let trusted = "the gateway's own account acts for this trusted client, who gains a right";
        let it = wem_449("authority = \"unguarded-service\"", trusted);
        all.push(gain(it, put(command), Principal::Service));
    }
    all
}

/// What the answer to an accepted command is made of.
fn answers(command: &Command, terms: &Terms) -> Vec<Announced> {
    let reads = Kind { method: Method::GET, path: command.conversation_path() };
    let read = |got| Sign::Called(reads.clone(), By::Anybody, got);
    let accepted = |setting: &str, why| {
        wem_449(setting, why)
            .where_seen(Sign::Adapted)
            .where_seen(Sign::Status(202))
            .differing(&[Aspect::Body])
    };
    match terms.answer {
        LegacyAnswer::Minimal => vec![
            accepted(
                "answer = \"minimal\"",
                "the answer is id, selfUri and recordingState; it saves the read",
            )
            .where_seen(Sign::Members(&MINIMAL)),
        ],
        LegacyAnswer::Full => vec![
            accepted(
                "answer = \"full\"",
                "the caller may not read the conversation: the answer holds what is known to be true",
            )
            .where_seen(Sign::Members(&MINIMAL))
            .where_seen(read(Got::Refused)),
            accepted("answer = \"full\"", "the answer is the conversation as it is read afterwards")
                .where_seen(read(Got::Accepted)),
        ],
    }
}

/// Where a refusal stays a refusal, or takes other words.
fn refusals(command: &Command, terms: &Terms) -> Vec<Announced> {
    let mut all = Vec::new();
    let ends = |kind, setting: &str, why| {
        wem_449(setting, why)
            .where_seen(Sign::Adapted)
            .where_seen(Sign::Called(kind, By::Anybody, Got::Refused))
            .differing(&EVERYTHING)
    };
    match terms.fallback {
        Fallback::Legacy => {}
        Fallback::Agnostic => all.push(ends(
            agnostic(command),
            "fallback = \"agnostic\"",
            "where both new operations are refused, that refusal is the answer",
        )),
        Fallback::None => all.push(ends(
            put(command),
            "fallback = \"none\"",
            "where the PUT is refused, that refusal is the answer",
        )),
    }
    if terms.authority == Authority::Service {
        let words = "who could not prove a right is refused in the gateway's words";
        all.push(
            wem_449("authority = \"service\"", words)
                .where_seen(Sign::Error(Code::NotEntitled))
                .differing(&[Aspect::Body, ERROR]),
        );
    }
    all
}

fn wem_449(setting: &str, why: &'static str) -> Announced {
    Announced::new(WEM_449.id, setting, why)
}

fn carry(why: &'static str) -> Announced {
    wem_449("secure_pause = \"carry\"", why)
}

fn adapted(why: &'static str) -> Announced {
    carry(why).where_seen(Sign::Adapted)
}

fn put(command: &Command) -> Kind {
    Kind { method: Method::PUT, path: command.put_path() }
}

fn agnostic(command: &Command) -> Kind {
    Kind { method: Method::PATCH, path: command.agnostic_path() }
}
