//! Undoing a release that failed in part (policy `compensate`, revoke only).
//!
//! The order matters. What is protected now is read by the caller first, so that nobody whom the
//! vendor does not know makes the gateway do anything, and then by the recovery account, because
//! either may be shown less under an ABAC policy. Then the right to protect it again is proved, by
//! protecting what is protected already: that changes nothing and shows that the recovery account
//! may do it to exactly these. Then the intent, with what may have to be undone, then the release.
//! Where it failed in part, or nobody can tell, what was protected before is protected again, until
//! it is seen to hold: all of it, because a list of failures that names an id which was asked for
//! twice does not tell that nothing was released.
//!
//! Only ever towards protected: an apply is never undone. Retention may delete in the moment
//! between release and protection; that cannot be prevented, and the docs say so.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use serde_json::json;
use tokio::time::Instant;

use super::failures::{Asked, Failed, Told};
use super::turns::{Turn, Turns};
use super::{Direction, PATH, WEM_1493, all_done, note_partial, refusal};
use crate::change::exchange::Written;
use crate::change::journal::{Action, Event, Outcome, Plan, Settled};
use crate::change::mark::{self, Mark};
use crate::change::terms::Policy;
use crate::change::{Answer, Call, Exchange, Next, Principal, retry};
use crate::error::{Code, Failure, Retry};
use crate::json::{self, Node};

/// Between the first try to protect again and the second; doubled from then on.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest that one call of the recovery account may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A release, with what is needed to undo it.
struct Release {
    exchange: Rc<Exchange>,
    next: Rc<dyn Next>,
    /// The client's request, whose credentials a read in its name carries.
    like: Call,
    /// Its conversations, until it has ended; a recovery takes none.
    turn: Option<Rc<Turn>>,
}

/// What is known before a release is sent.
enum Ready {
    /// These are protected, and can be again.
    Before(Vec<String>),
    /// The vendor refuses the caller.
    Refused(Answer),
}

/// Carries a release that is undone where it fails in part.
pub(super) async fn carry(
    turns: &Turns,
    exchange: Rc<Exchange>,
    call: Call,
    asked: Asked,
    next: Rc<dyn Next>,
) -> Result<Answer, Failure> {
    // Half of the time is for the release itself.
    let until = Instant::now() + exchange.left() / 2;
    let Some(turn) = turns.take(&exchange.upstream, asked.ids(), until).await else {
        let why = "another release of these conversations is not finished";
        return Err(Failure::new(Code::CompensationUnready, why));
    };
    let (release, turn) = (Rc::clone(&exchange), Some(Rc::new(turn)));
    let release = Release { exchange: release, next, like: call.clone(), turn };
    mark::reached(Mark::ReleaseAsked);
    let before = match release.ready(&asked).await? {
        Ready::Before(before) => before,
        Ready::Refused(answer) => return Ok(answer),
    };
    mark::reached(Mark::ReleaseReady);
    let plan = Plan {
        action: Direction::Revoke.action(),
        subjects: asked.ids().to_vec(),
        medium: None,
        undo: before.clone(),
    };
    let intent = exchange.intend(&WEM_1493, plan).await?;
    mark::reached(Mark::ReleaseIntended);
    exchange.adapted_by(&WEM_1493);

    // Half of the time is for undoing.
    let patience = exchange.left() / 2;
    let sent = release.next.call(call.without(&header::ACCEPT_ENCODING).with_patience(patience));
    let result = sent.await;
    mark::reached(Mark::ReleaseAnswered);
    let in_doubt = retry::doubtful(&result);
    let told = result.as_ref().ok().map(|answer| Told::of(answer, &asked));
    match (result, told) {
        (Err(failure), _) if failure.code.retry() != Retry::Idempotent => {
            exchange.settle(&intent, Outcome::NotSent);
            Err(failure)
        }
        // A release is not acknowledged before a recovery can no longer undo it.
        (Ok(answer), Some(Told::AllDone)) => {
            match exchange.settle_first(&intent, Outcome::Done).await {
                Some(Settled::NotOurs) => {
                    let why = "another gateway has taken the release over, and undone it";
                    Err(Failure::new(Code::OutcomeUnknown, why))
                }
                Some(Settled::Closed) | None => {
                    mark::reached(Mark::ReleaseSettled);
                    Ok(all_done(Policy::Strict, answer))
                }
            }
        }
        (Ok(answer), Some(told @ Told::Refused)) if !in_doubt => {
            exchange.settle(&intent, told.outcome(&answer));
            Ok(answer)
        }
        (Ok(answer), Some(Told::Failed(failed))) => {
            if asked.without(&failed).is_empty() && !asked.has_repetitions() {
                note_partial(&exchange, failed.len(), asked.ids().len());
                let outcome = Told::Failed(failed.clone()).outcome(&answer);
                exchange.settle(&intent, outcome);
                return Ok(refusal(Direction::Revoke, &asked, &failed, &answer, &exchange));
            }
            let undone = release.undo(before, intent).await;
            if undone.is_err() {
                note_partial(&exchange, failed.len(), asked.ids().len());
            }
            undone.map(|()| rolled_back(&failed, &answer, &exchange))
        }
        // Nobody can tell what was released, so everything that was protected is again.
        (result, _) => {
            tracing::error!(exchange = %exchange.id, "deletion protection: a release in doubt is undone");
            release.undo(before, intent).await?;
            Err(result.err().unwrap_or_else(|| {
                Failure::new(Code::OutcomeUnknown, "a release in doubt; it was undone")
            }))
        }
    }
}

/// Ends an intent that a gateway left open, towards protected: what was released is protected
/// again until it holds, what was to be protected is. Whether a release without an undo was
/// carried out, nobody can tell.
pub(super) async fn recover(exchange: Rc<Exchange>, plan: Plan, next: Rc<dyn Next>) -> Outcome {
    let release = Release { exchange, next, like: Call::bare(), turn: None };
    mark::reached(Mark::RecoveryBegun);
    match plan.action {
        // An id that the ledger keeps as its hash cannot be sent.
        _ if plan.subjects.iter().chain(&plan.undo).any(|id| id.contains(':')) => Outcome::Unknown,
        Action::Release if !plan.undo.is_empty() => {
            release.until_held(&plan.undo).await;
            Outcome::RolledBack
        }
        Action::Protect if release.protect(&plan.subjects).await => Outcome::Done,
        _ => Outcome::Unknown,
    }
}

// === impl Release ===

impl Release {
    /// What is protected now, after the recovery account showed that it can protect it again.
    async fn ready(&self, asked: &Asked) -> Result<Ready, Failure> {
        let unready = |why| Failure::new(Code::CompensationUnready, why);
        let unread = || unready("what is protected now cannot be read");
        let callers = match self.read(asked.ids(), Principal::Caller).await {
            // The vendor's own word on this caller.
            Ok(answer) if matches!(answer.status.as_u16(), 400 | 401 | 403 | 404) => {
                return Ok(Ready::Refused(answer));
            }
            Ok(answer) => shown(&answer, asked.ids()).ok_or_else(unread)?,
            Err(_) => return Err(unread()),
        };
        let seen = self.protected(asked.ids()).await.ok_or_else(unread)?;
        let before: Vec<String> = asked
            .ids()
            .iter()
            .filter(|id| seen.contains(id) || callers.contains(id))
            .cloned()
            .collect();
        if !before.is_empty() && !self.protect(&before).await {
            return Err(unready("the recovery account may not protect these conversations"));
        }
        Ok(Ready::Before(before))
    }

    /// Protects `ids` again and settles the intent. Where it does not hold in time the tries go
    /// on after the answer, which says so.
    async fn undo(&self, ids: Vec<String>, intent: Written) -> Result<(), Failure> {
        mark::reached(Mark::Undoing);
        let held = tokio::time::timeout(self.exchange.left(), self.until_held(&ids)).await;
        mark::reached(Mark::ReleaseUndone);
        if held.is_ok() {
            self.exchange.settle(&intent, Outcome::RolledBack);
            return Ok(());
        }
        let rest = Self {
            exchange: Rc::clone(&self.exchange),
            next: Rc::clone(&self.next),
            like: self.like.clone(),
            turn: self.turn.clone(),
        };
        self.exchange.afterwards(async move {
            rest.until_held(&ids).await;
            let _ = rest.exchange.settle_first(&intent, Outcome::RolledBack).await;
        });
        Err(Failure::new(
            Code::OutcomeUnknown,
            "conversations that were released are not yet protected again; the tries go on",
        ))
    }

    /// Tries until all of `ids` are protected and seen to be. A failure is told every time, and
    /// written down once: nobody knows for how many tries there is room.
    async fn until_held(&self, ids: &[String]) {
        let mut pause = FIRST_PAUSE;
        let mut unwritten = ids;
        while !(ids.is_empty() || self.protect(ids).await && self.holds(ids).await) {
            tracing::error!(exchange = %self.exchange.id, "protecting again what was released failed");
            for id in std::mem::take(&mut unwritten) {
                self.exchange.record(&WEM_1493, Event::ReprotectFailed, id);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn protect(&self, ids: &[String]) -> bool {
        let call = self.call(Method::PUT, format!("{PATH}?protect=true"), ids);
        self.used(ids);
        let asked = Asked::new(ids.to_vec());
        let result = self.next.call(call.acting_as(Principal::Recovery)).await;
        mark::reached(Mark::ProtectAnswered);
        match result {
            Ok(answer) => Told::of(&answer, &asked) == Told::AllDone,
            Err(_) => false,
        }
    }

    async fn holds(&self, ids: &[String]) -> bool {
        let shown = self.protected(ids).await;
        shown.is_some_and(|shown| ids.iter().all(|id| shown.contains(id)))
    }

    /// Which of `ids` the recovery account is shown as protected; nothing where that cannot be read.
    async fn protected(&self, ids: &[String]) -> Option<Vec<String>> {
        self.used(ids);
        shown(&self.read(ids, Principal::Recovery).await.ok()?, ids)
    }

    async fn read(&self, ids: &[String], principal: Principal) -> Result<Answer, Failure> {
        self.next.call(self.call(Method::POST, PATH.to_owned(), ids).acting_as(principal)).await
    }

    fn call(&self, method: Method, target: String, ids: &[String]) -> Call {
        let body = Bytes::from(json!({ "conversationIds": ids }).to_string());
        let patience = match self.exchange.left() {
            left if left.is_zero() => PATIENCE,
            left => (left / 4).min(PATIENCE),
        };
        self.like.derive(method, target, Some(body)).with_patience(patience)
    }

    /// Every use of the recovery account is written down.
    fn used(&self, ids: &[String]) {
        let first = ids.first().map_or("", String::as_str);
        self.exchange.record(&WEM_1493, Event::Recovered, first);
    }
}

/// Which of `ids` an answer to the read shows as protected; nothing where it cannot be read.
fn shown(answer: &Answer, ids: &[String]) -> Option<Vec<String>> {
    if answer.status != StatusCode::OK {
        return None;
    }
    let body = json::parse(answer.whole()?).ok()?;
    let Node::Array(entities) = body else { return None };
    let mut shown = Vec::with_capacity(entities.len());
    for entity in &entities {
        let id = entity.get("id").and_then(Node::as_str)?;
        // Spelt as it was asked for.
        shown.extend(ids.iter().find(|asked| asked.eq_ignore_ascii_case(id)).cloned());
    }
    Some(shown)
}

fn rolled_back(failed: &[Failed], answer: &Answer, exchange: &Exchange) -> Answer {
    let failures = super::details(failed);
    let message = "Deletion protection was revoked for none of the conversations: some could not be released, so the others were rolled back.";
    let error = crate::dialect::ErrorAnswer::new(
        Code::RolledBack.status(),
        super::agreed_code(failed),
        message,
    );
    exchange.error_in_place_of(&answer.headers, Code::RolledBack, &error.with_details(failures))
}
