//! Holding a pause against an older resume that may still arrive.
//!
//! A pause never waits for an older resume that hangs, so that resume can reach the recorder after
//! it. Once the resume has ended, the pause is sent again: sending it twice does no harm, and a
//! read alone could show the state of a moment before. Then it is read back, again and again, because a
//! call of unknown outcome may arrive late, and repeated where it does not hold or cannot be read.
//! The looks go on for as long as such a resume is feared. A newer command ends the watch: it
//! decides now.
//!
//! The pause's own intent is settled after the first repetition: until then it is what the process
//! after this one would finish. A resume that ends in doubt stays open itself (`recover`).

use std::rc::Rc;
use std::time::Duration;

use super::WEM_449;
use super::answer::conversation;
use super::command::Command;
use super::fleet::Again;
use super::flow::Place;
use crate::change::exchange::Written;
use crate::change::journal::{Event, Outcome};
use crate::change::mark::{self, Mark};
use crate::change::{Call, Exchange, Next};
use crate::json;

/// From the repetition to the first look; each pause between two looks is twice the one before.
const FIRST_LOOK: Duration = Duration::from_millis(250);
/// The longest that one of the calls here may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Holds the pause that the upstream accepted as `accepted`. Keeps its turn, so that a newer
/// resume waits for a call that is under way, until it has watched it for `watch`.
pub(super) async fn hold(
    exchange: Rc<Exchange>,
    next: Rc<dyn Next>,
    command: Command,
    accepted: Call,
    (turn, intent): (Place, Written),
    watch: Duration,
) {
    let accepted = accepted.with_patience(PATIENCE);
    // One that no ledger shows ended is not waited for longer than it is feared.
    let _ = tokio::time::timeout(watch, turn.older_resumes_ended()).await;
    mark::reached(Mark::HoldBegun);
    let again = || repeat(&exchange, &*next, &command, &accepted, &turn);
    let first = again().await;
    let _ = exchange.settle_first(&intent, Outcome::Done).await;
    let mut confirmed = match first {
        Repeated::Decided => return,
        repeated => repeated == Repeated::Accepted,
    };
    let (mut look, mut watched) = (FIRST_LOOK, Duration::ZERO);
    while watched < watch {
        tokio::select! {
            biased;
            () = turn.newer_admitted() => return,
            () = tokio::time::sleep(look) => {}
        }
        watched += look;
        look *= 2;
        confirmed = is_paused(&*next, &command, &accepted).await
            || match again().await {
                Repeated::Decided => return,
                repeated => repeated == Repeated::Accepted,
            };
    }
    if !confirmed {
        tracing::error!(
            exchange = %exchange.id,
            conversation = command.conversation,
            "a pause that an older resume may have undone could not be repeated"
        );
        exchange.record(&WEM_449, Event::PauseUnconfirmed, &command.conversation);
    }
}

/// What became of a repetition.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeated {
    Accepted,
    Failed,
    /// A newer command was admitted, on whichever gateway: it decides now.
    Decided,
}

/// Sends the pause again.
async fn repeat(
    exchange: &Exchange,
    next: &dyn Next,
    command: &Command,
    accepted: &Call,
    turn: &Place,
) -> Repeated {
    let place = turn.again(command).await;
    if matches!(place, Again::Newer) {
        return Repeated::Decided;
    }
    exchange.record(&WEM_449, Event::PauseRepeated, &command.conversation);
    let result = next.call(accepted.clone()).await;
    mark::reached(Mark::PauseRepeated);
    let repeated = match result {
        Ok(answer) if answer.status.is_success() => Repeated::Accepted,
        _ => Repeated::Failed,
    };
    if let Again::Placed(written) = place {
        let done = repeated == Repeated::Accepted;
        let outcome = if done { Outcome::Done } else { Outcome::Unknown };
        let _ = exchange.settle_first(&written, outcome).await;
    }
    repeated
}

async fn is_paused(next: &dyn Next, command: &Command, like: &Call) -> bool {
    let Some(body) = conversation(next, like, command.conversation_path(), PATIENCE).await else {
        return false;
    };
    json::parse(&body).is_ok_and(|conversation| {
        conversation
            .get("recordingState")
            .and_then(|state| state.as_str())
            .is_some_and(|state| state.eq_ignore_ascii_case("paused"))
    })
}
