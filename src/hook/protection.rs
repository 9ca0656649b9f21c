//! Deletion protection by triggers: one event after the other, and each outcome kept as it comes.
//!
//! Events about the same conversations are done in the order of their own times, whichever trigger
//! they come from; events about others are not waited for. A release that comes late, after a newer
//! protection, is not done. An event is written down as under way
//! before anything is sent for it. If the process ends then, a protection is sent again, because
//! sending it twice does no harm; a release is not: somebody may have protected since, and a second
//! release would undo that. Nobody can tell what became of it, and so it is told.
//!
//! What could not be sent at all is put off: that nothing was sent is written down, the lane is let
//! go, and it has its turn again for ten minutes. Then it ends as not sent. Meanwhile it holds up
//! nobody else's protection, and gives way where a newer event makes it pointless or wrong.

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
/// How long an event is put off in all before it ends as not sent: twenty times as long as a breaker
/// is open by default (`breaker.longest_open_ms`), and longer than the tries of a resume.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);
/// The longest time between two turns of an event that is put off: a pause may have closed the
/// breaker meanwhile.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

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
    /// The vendor did nothing this time.
    NotNow,
    /// Nothing was sent, and so long it makes no sense to try, as far as is known.
    Unsent(Option<Duration>),
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
    /// Events that could not be sent so far, in the order of their times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub put_off: Vec<PutOff>,
}

/// An event that could not be sent so far.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct PutOff {
    /// Which.
    pub event: Waiting,
    /// So far.
    pub tried: Tried,
}

/// The tries of an event that could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Tried {
    /// How many.
    pub times: u32,
    /// When the next one is due.
    pub due: Timestamp,
    /// When it is given up.
    pub until: Timestamp,
    /// Whether an earlier try may have done something. Never so for a release: it has no second.
    pub in_doubt: bool,
}

/// What a lane is left with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// What is known of it.
    pub book: Book,
    /// When there is something to do again.
    pub due: Option<Timestamp>,
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

/// Does what the events of a lane ask for. What has come of them has been saved; what the lane is
/// left with has to be.
pub async fn settle(book: Book, waiting: Vec<Waiting>, world: &dyn World) -> Result<Left, Lost> {
    let mut lane = Settling::new(book.put_off, waiting, world);
    if let Some(begun) = book.under_way {
        lane.queue.retain(|it| it.event.id != begun.id);
        match begun.order {
            // What the process before this one sent of it nobody knows.
            Order::Protect(_) => lane.carry(Turn { event: begun, tried: None }, true).await?,
            _ => lane.conclude(&begun, Outcome::Unknown).await?,
        }
    }
    while let Some(turn) = lane.queue.pop_front() {
        if !matches!(turn.event.order, Order::Protect(_) | Order::Revoke(_)) {
            lane.conclude(&turn.event, Outcome::Nothing).await?;
            continue;
        }
        if let Some(tried) = turn.tried {
            if lane.overtakes(&turn.event.order) {
                lane.conclude(&turn.event, Outcome::Superseded).await?;
                continue;
            }
            if tried.due > world.now() {
                return Ok(lane.left(&turn, Some(tried.due)));
            }
        }
        // What stands behind it in this lane is about the same conversations.
        match world.standing(&turn.event).await {
            Ok(Standing::Next) => {}
            Ok(Standing::Overtaken) => {
                lane.conclude(&turn.event, Outcome::Superseded).await?;
                continue;
            }
            Ok(Standing::Behind) | Err(Unkept) => return Ok(lane.left(&turn, lane.again())),
        }
        let begun = Step {
            book: Book { under_way: Some(turn.event.clone()), put_off: lane.put_off() },
            begun: Some(turn.event.id),
            settled: None,
        };
        match world.save(begun).await {
            Ok(Held::Ours) => {}
            Ok(Held::Lost) => return Err(Lost),
            Err(Unkept) => return Ok(lane.left(&turn, lane.again())),
        }
        let in_doubt = turn.tried.is_some_and(|it| it.in_doubt);
        lane.carry(turn, in_doubt).await?;
    }
    Ok(Left::default())
}

/// A lane whose events are being done.
struct Settling<'a> {
    world: &'a dyn World,
    /// In the order of their times.
    queue: VecDeque<Turn>,
}

/// An event that is to be done.
struct Turn {
    event: Waiting,
    /// Where it has been put off before.
    tried: Option<Tried>,
}

/// What came of the tries of one turn.
enum Came {
    /// It has ended.
    To(Outcome),
    /// Nothing was sent.
    Unsent { wait: Option<Duration>, in_doubt: bool },
}

// === impl Settling ===

impl<'a> Settling<'a> {
    fn new(put_off: Vec<PutOff>, waiting: Vec<Waiting>, world: &'a dyn World) -> Self {
        let before = put_off.into_iter().map(|it| Turn { event: it.event, tried: Some(it.tried) });
        let mut turns: Vec<Turn> = before.collect();
        let known: BTreeSet<uuid::Uuid> = turns.iter().map(|it| it.event.id).collect();
        let new = waiting.into_iter().filter(|it| !known.contains(&it.id));
        turns.extend(new.map(|event| Turn { event, tried: None }));
        turns.sort_by_key(Turn::place);
        Self { world, queue: turns.into() }
    }

    /// Sends an event that is on record as under way, and keeps what came of it.
    async fn carry(&mut self, turn: Turn, in_doubt: bool) -> Result<(), Lost> {
        let (wait, in_doubt) = match tries(&turn.event, in_doubt, self.world).await {
            Came::To(outcome) => return self.conclude(&turn.event, outcome).await,
            Came::Unsent { wait, in_doubt } => (wait, in_doubt),
        };
        let now = self.world.now();
        let tried = Tried::once_more(turn.tried, wait, in_doubt, now);
        if self.overtakes(&turn.event.order) {
            return self.conclude(&turn.event, Outcome::Superseded).await;
        }
        if tried.until <= now {
            let outcome = if in_doubt { Outcome::Unknown } else { Outcome::NotSent };
            return self.conclude(&turn.event, outcome).await;
        }
        let place = turn.place();
        let before = self.queue.partition_point(|it| it.place() < place);
        self.queue.insert(before, Turn { event: turn.event, tried: Some(tried) });
        self.keep(None).await
    }

    /// Whether what could not be sent gives way to something newer in its lane: a protection to
    /// another, and a release to anything.
    fn overtakes(&self, order: &Order) -> bool {
        let protects = |it: &Turn| matches!(it.event.order, Order::Protect(_));
        let releases = |it: &Turn| matches!(it.event.order, Order::Revoke(_));
        let is_release = matches!(order, Order::Revoke(_));
        self.queue.iter().any(|it| protects(it) || (is_release && releases(it)))
    }

    /// Keeps an outcome, trying until it is kept.
    async fn conclude(&self, event: &Waiting, outcome: Outcome) -> Result<(), Lost> {
        if outcome.status() == "failed" {
            self.world.alarm(event, outcome);
        }
        self.keep(Some(Settled { id: event.id, outcome })).await
    }

    /// Keeps that nothing is under way, trying until it is kept.
    async fn keep(&self, settled: Option<Settled>) -> Result<(), Lost> {
        loop {
            let book = Book { under_way: None, put_off: self.put_off() };
            let step = Step { book, begun: None, settled: settled.clone() };
            match self.world.save(step).await {
                Ok(Held::Ours) => return Ok(()),
                Ok(Held::Lost) => return Err(Lost),
                Err(Unkept) => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    /// What is put off among what is left to do.
    fn put_off(&self) -> Vec<PutOff> {
        self.queue.iter().filter_map(Turn::put_off).collect()
    }

    /// The lane as it is left where it is not this event's turn yet.
    fn left(&self, turn: &Turn, due: Option<Timestamp>) -> Left {
        let mut put_off: Vec<PutOff> = turn.put_off().into_iter().collect();
        put_off.extend(self.put_off());
        Left { book: Book { under_way: None, put_off }, due }
    }

    /// When another look makes sense at what is not known, or not its turn.
    fn again(&self) -> Option<Timestamp> {
        self.world.now().checked_add(SignedDuration::try_from(AGAIN).ok()?).ok()
    }
}

// === impl Turn ===

impl Turn {
    /// Its place among others.
    const fn place(&self) -> (Timestamp, Timestamp) {
        (self.event.at, self.event.received)
    }

    fn put_off(&self) -> Option<PutOff> {
        self.tried.map(|tried| PutOff { event: self.event.clone(), tried })
    }
}

// === impl Tried ===

impl Tried {
    /// After another try that sent nothing.
    fn once_more(
        before: Option<Self>,
        wait: Option<Duration>,
        in_doubt: bool,
        now: Timestamp,
    ) -> Self {
        let times = before.map_or(0, |it| it.times);
        let until = before.map_or_else(|| now.saturating_add(PATIENCE), |it| Ok(it.until));
        let until = until.unwrap_or(Timestamp::MAX);
        let doubled = FIRST_PAUSE * 2_u32.saturating_pow(times.min(8));
        let wait = wait.unwrap_or(doubled).min(LONGEST_PAUSE);
        let due = SignedDuration::try_from(wait).unwrap_or(SignedDuration::ZERO);
        let due = now.saturating_add(due).unwrap_or(Timestamp::MAX).min(until);
        Self { times: times.saturating_add(1), due, until, in_doubt }
    }
}

/// Sends it: a protection until it holds or is refused, a release once.
async fn tries(event: &Waiting, mut in_doubt: bool, world: &dyn World) -> Came {
    let protect = matches!(event.order, Order::Protect(_));
    let tries = if protect { TRIES } else { 1 };
    let mut pause = FIRST_PAUSE;
    for attempt in 1..=tries {
        match world.send(event).await {
            Sent::Done if protect => return Came::To(Outcome::Protected),
            Sent::Done => return Came::To(Outcome::Released),
            Sent::Partial => return Came::To(Outcome::Partial),
            Sent::Refused => break,
            Sent::Unsent(wait) => return Came::Unsent { wait, in_doubt },
            Sent::NotNow => {}
            Sent::Doubtful => in_doubt = true,
        }
        if attempt < tries {
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
    Came::To(if in_doubt { Outcome::Unknown } else { Outcome::Refused })
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
        if self.under_way.is_none() && self.put_off.is_empty() {
            return None;
        }
        serde_json::to_string(self).ok()
    }

    /// Whether an event of another lane waits for this one: what is under way here is about one of
    /// its conversations, or a protection is put off that it would release. Nothing waits for a
    /// release that is put off, and no protection for another, so that no two wait for each other.
    #[must_use]
    pub fn concerns(&self, order: &Order) -> bool {
        let releases = matches!(order, Order::Revoke(_));
        let protects = |it: &&PutOff| matches!(it.event.order, Order::Protect(_));
        let put_off = self.put_off.iter().filter(|it| releases && protects(it));
        let mut here = self.under_way.iter().chain(put_off.map(|it| &it.event));
        here.any(|it| it.order.meets(order))
    }
}

#[cfg(test)]
mod tests;
