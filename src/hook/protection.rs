//! Deletion protection by triggers: one event after the other, and each outcome kept as it comes.
//!
//! Events about the same conversations are done in the order of their own times, whichever trigger
//! they come from; events about others are not waited for. A release that comes late, after a newer
//! protection, is not done. An event is written down as under way
//! before anything is sent for it. If the process ends then, a protection is sent again, because
//! sending it twice does no harm; a release is not: somebody may have protected since, and a second
//! release would undo that. Nobody can tell what became of it, and so it is told.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::LocalBoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::shelf::{Held, Outcome, Settled, Standing, Unkept, Waiting};
use super::trigger::Order;

/// What keys of lanes begin with that are no conversation's pauses: no id has this character.
pub const LANE: &str = "!protection:";

/// Tries of a protection before it is said to have failed.
const TRIES: u32 = 5;
/// Before the second try; doubled from then on.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Between two looks whether an older event has ended, and between two tries of what the ledger
/// could not do.
const AGAIN: Duration = Duration::from_secs(1);

/// What the events of a lane need.
pub trait World {
    /// Now.
    fn now(&self) -> Timestamp;

    /// Where an event stands among those of other lanes that are about one of the same conversations.
    fn standing(&self, event: &Waiting) -> LocalBoxFuture<'static, Result<Standing, Unkept>>;

    /// Sends what an event asks for, once.
    fn send(&self, event: &Waiting) -> LocalBoxFuture<'static, Sent>;

    /// Saves what has come of a lane, and goes on with it.
    fn save(&self, step: Step) -> LocalBoxFuture<'static, Result<Held, Unkept>>;

    /// Something that a person has to look at.
    fn alarm(&self, event: &Waiting, outcome: Outcome);
}

/// What came of one try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// All of it was done.
    Done,
    /// Some of it was.
    Partial,
    /// Nothing was, and another try would not change that.
    Refused,
    /// Nothing was done this time.
    NotNow,
    /// Nobody knows.
    Doubtful,
}

/// What is to be kept at one point.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// What is known of the lane.
    pub book: Book,
    /// The event that is under way from now on.
    pub begun: Option<uuid::Uuid>,
    /// The event that has ended.
    pub settled: Option<Settled>,
}

/// What is kept of a lane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Book {
    /// The event for which something is about to be sent, or has been.
    pub under_way: Option<Waiting>,
}

/// Another gateway has the lane now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

/// The key of the lane of events about these conversations: whoever names the same ones.
#[must_use]
pub fn key(conversations: &[String]) -> String {
    let ids: BTreeSet<String> = conversations.iter().map(|it| it.to_ascii_lowercase()).collect();
    match ids.first() {
        Some(one) if ids.len() == 1 => format!("{LANE}{one}"),
        _ => {
            let mut hash = Sha256::new();
            for id in ids {
                hash.update(id.as_bytes());
                hash.update([0]);
            }
            format!("{LANE}sha256-{}", URL_SAFE_NO_PAD.encode(hash.finalize()))
        }
    }
}

/// Does what the events of a lane ask for. Gives when there is something to do again; everything
/// else has been saved.
pub async fn settle(
    book: Book,
    waiting: Vec<Waiting>,
    world: &dyn World,
) -> Result<Option<Timestamp>, Lost> {
    let mut queue = VecDeque::from(waiting);
    if let Some(begun) = book.under_way {
        queue.retain(|it| it.id != begun.id);
        let outcome = match begun.order {
            Order::Protect(_) => carry(&begun, world).await,
            _ => Outcome::Unknown,
        };
        conclude(&begun, outcome, world).await?;
    }
    while let Some(event) = queue.pop_front() {
        if !matches!(event.order, Order::Protect(_) | Order::Revoke(_)) {
            conclude(&event, Outcome::Nothing, world).await?;
            continue;
        }
        let later = world.now().checked_add(SignedDuration::try_from(AGAIN).unwrap_or_default());
        // What stands behind it in this lane is about the same conversations.
        match world.standing(&event).await {
            Ok(Standing::Next) => {}
            Ok(Standing::Overtaken) => {
                conclude(&event, Outcome::Superseded, world).await?;
                continue;
            }
            Ok(Standing::Behind) | Err(Unkept) => return Ok(later.ok()),
        }
        let begun = Step {
            book: Book { under_way: Some(event.clone()) },
            begun: Some(event.id),
            settled: None,
        };
        match world.save(begun).await {
            Ok(Held::Ours) => {}
            Ok(Held::Lost) => return Err(Lost),
            Err(Unkept) => return Ok(later.ok()),
        }
        let outcome = carry(&event, world).await;
        conclude(&event, outcome, world).await?;
    }
    Ok(None)
}

/// Sends it: a protection until it holds or is refused, a release once.
async fn carry(event: &Waiting, world: &dyn World) -> Outcome {
    let protect = matches!(event.order, Order::Protect(_));
    let tries = if protect { TRIES } else { 1 };
    let (mut pause, mut in_doubt) = (FIRST_PAUSE, false);
    for attempt in 1..=tries {
        match world.send(event).await {
            Sent::Done if protect => return Outcome::Protected,
            Sent::Done => return Outcome::Released,
            Sent::Partial => return Outcome::Partial,
            Sent::Refused => break,
            Sent::NotNow => {}
            Sent::Doubtful => in_doubt = true,
        }
        if attempt < tries {
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
    if in_doubt { Outcome::Unknown } else { Outcome::Refused }
}

/// Keeps an outcome, trying until it is kept.
async fn conclude(event: &Waiting, outcome: Outcome, world: &dyn World) -> Result<(), Lost> {
    if outcome.status() == "failed" {
        world.alarm(event, outcome);
    }
    let settled = Some(Settled { id: event.id, outcome });
    loop {
        let step = Step { settled: settled.clone(), ..Step::default() };
        match world.save(step).await {
            Ok(Held::Ours) => return Ok(()),
            Ok(Held::Lost) => return Err(Lost),
            Err(Unkept) => tokio::time::sleep(AGAIN).await,
        }
    }
}

// === impl Book ===

impl Book {
    /// A book out of what was kept; `None` where nobody can read it.
    #[must_use]
    pub fn read(text: Option<&str>) -> Option<Self> {
        text.map_or_else(|| Some(Self::default()), |text| serde_json::from_str(text).ok())
    }

    /// What is to be kept; nothing where there is nothing to know.
    #[must_use]
    pub fn written(&self) -> Option<String> {
        self.under_way.as_ref()?;
        serde_json::to_string(self).ok()
    }

    /// Whether what is under way is about one of these conversations.
    #[must_use]
    pub fn concerns(&self, order: &Order) -> bool {
        self.under_way.as_ref().is_some_and(|it| it.order.meets(order))
    }
}

#[cfg(test)]
mod tests;
