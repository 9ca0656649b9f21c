//! One turn on one conversation: what has come, what is known, what is to be done.
//!
//! The order is: commands of others since the last turn, then the events by their own time, then
//! what has lasted too long, and then either the pause is held or it is given back. Nothing is sent
//! before the book says so, durably; but a pause goes on where the book cannot be saved, because a
//! pause that is lost is worse than one that nobody remembers. A resume does not.

mod hold;
mod release;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::book::{Book, Holder, Lease, Pending, Standing, Waits, after};
use super::{Alarm, Cause, Command, Happened, Seen, Turn, Wanted, Whose, World};
use crate::card;
use crate::change::journal::Standing as Progress;
use crate::hook::shelf::{Held, Lane, Notice, Outcome, Settled, Waiting};
use crate::hook::trigger::{Hold, OnExpiry, Order};
use crate::limits::{LEASE_SOURCES, LEASES_PER_CONVERSATION};

/// How long a read may show the state of before a pause or resume that was accepted.
pub const LAG: Duration = Duration::from_secs(5);
/// Before a look is repeated that may have come too early, or a command that is not finished.
const AGAIN: Duration = Duration::from_millis(500);
/// Before the first repetition of something that failed; doubled from then on.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest time between two tries.
const LONGEST_RETRY: Duration = Duration::from_mins(1);
/// Failed resumes, or looks before one, after which it is left to a person.
pub(super) const TRIES: u32 = 10;
/// Between two looks at a conversation whose lease is overdue.
const LOOK_AGAIN: Duration = Duration::from_mins(10);
/// How long a lease that is overdue goes on before it is given up, paused.
const GIVEN_UP: Duration = Duration::from_hours(24);

/// Another gateway has the conversation now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

/// A turn under way.
struct Keeper<'a> {
    lane: &'a Lane,
    book: &'a mut Book,
    world: &'a dyn World,
    turn: Turn,
    now: Timestamp,
    /// A client's command that has not ended.
    undecided: bool,
    /// The ledger cannot be asked what others do.
    blind: bool,
    /// A resume of recgate's own is on record that the book has not taken into account.
    resumed: bool,
    /// Sources that opened a lease in this turn.
    opened: Vec<Holder>,
}

/// Takes a book through one turn. What it comes to has to be saved.
pub async fn keep(
    lane: &Lane,
    book: &mut Book,
    waiting: Vec<Waiting>,
    world: &dyn World,
) -> Result<Turn, Lost> {
    let now = world.now();
    let mut keeper = Keeper {
        lane,
        book,
        world,
        turn: Turn::default(),
        now,
        undecided: false,
        blind: false,
        resumed: false,
        opened: Vec::new(),
    };
    keeper.hear().await;
    keeper.apply(waiting);
    keeper.expire().await;
    if keeper.book.leases.is_empty() {
        keeper.release().await?;
    } else {
        keeper.hold().await?;
    }
    if keeper.undecided && keeper.book.standing != Standing::Free {
        keeper.due(after(keeper.now, AGAIN));
    }
    if let Some(forgotten) = keeper.book.forget(keeper.now) {
        keeper.due(forgotten);
    }
    for lease in &keeper.book.leases {
        let due = if lease.overdue { after(keeper.now, LOOK_AGAIN) } else { lease.until };
        keeper.turn.due = Some(keeper.turn.due.map_or(due, |at| at.min(due)));
    }
    Ok(keeper.turn)
}

// === impl Keeper ===

impl Keeper<'_> {
    /// Takes into account what others have done.
    async fn hear(&mut self) {
        let unrecorded = self.world.unrecorded();
        let commands = self.world.commands(self.book.seen).await;
        self.blind = commands.is_none();
        let resumed = self.heed(commands.unwrap_or_default());
        self.own_resume();
        // A resume is never without a record: what came after the pause is among the commands.
        if let Some(at) = unrecorded.filter(|at| resumed.is_none_or(|resumed| resumed <= *at)) {
            self.book.client_paused = self.book.client_paused.max(Some(at));
        }
    }

    /// Goes through the commands up to the first that has not ended. Gives when a client's last
    /// resume among them was admitted.
    fn heed(&mut self, commands: Vec<Command>) -> Option<Timestamp> {
        self.undecided = false;
        let mut resumed = None;
        let own_pause = commands
            .iter()
            .filter(|it| it.whose == Whose::Ours && it.wanted == Wanted::Pause)
            .map(|it| it.fence)
            .max();
        for command in commands {
            match (command.whose, command.wanted) {
                (Whose::Ours, Wanted::Pause) => {}
                (Whose::Ours, Wanted::Resume) => {
                    self.resumed = own_pause.is_none_or(|own| own < command.fence);
                }
                (Whose::Clients, _) if command.standing == Progress::Open => {
                    // A pause holds from now on, whatever becomes of it; what is counted is counted
                    // when it has ended.
                    self.undecided = true;
                    return resumed;
                }
                (Whose::Clients, Wanted::Pause) => self.book.client_paused = Some(command.at),
                (Whose::Clients, Wanted::Resume) => {
                    resumed = Some(command.at);
                    self.book.client_paused = None;
                    self.book.resumed_at = Some(command.at);
                    // One that was overtaken by recgate's own pause ends nothing.
                    if own_pause.is_none_or(|own| own < command.fence) {
                        self.person_resumed(&[]);
                        self.book.standing = Standing::Free;
                    }
                }
            }
            self.book.seen = self.book.seen.max(command.fence);
        }
        resumed
    }

    /// A resume whose end the book does not know: it was sent where it is on record, and came to
    /// nothing where it is not. Then the pause is recgate's as before.
    fn own_resume(&mut self) {
        let Standing::Resuming { since, sent: None } = self.book.standing else { return };
        if self.resumed {
            self.book.standing = Standing::Resuming { since, sent: Some(self.now) };
        } else if !self.undecided && !self.blind {
            self.book.standing = Standing::Ours { since };
        }
    }

    // === what has come ===

    fn apply(&mut self, mut waiting: Vec<Waiting>) {
        waiting.sort_by_key(|it| (it.at, it.received));
        for event in waiting {
            match &event.order {
                Order::Pause(hold) | Order::Resume(hold) => {
                    let late = self.book.is_late(&Holder::of(hold), event.at, event.received);
                    if late {
                        self.settle(event.id, Outcome::Superseded);
                        continue;
                    }
                    self.book.last = Some((hold.trigger.clone(), hold.source.clone(), event.id));
                    self.turn.applied.push(event.id);
                    if matches!(event.order, Order::Pause(_)) {
                        self.open(event.id, hold);
                    } else {
                        self.close(event.id, hold);
                    }
                }
                Order::Protect(_) | Order::Revoke(_) | Order::Nothing => {
                    self.settle(event.id, Outcome::Nothing);
                }
            }
        }
    }

    fn open(&mut self, event: Uuid, hold: &Hold) {
        // The newest event's: what one spelt wrongly, or took for another medium, the next mends.
        self.book.conversation.clone_from(&hold.conversation);
        if hold.medium.is_some() {
            self.book.medium.clone_from(&hold.medium);
        }
        let holder = Holder::of(hold);
        let lease = Lease {
            holder: holder.clone(),
            reason: hold.reason.clone(),
            since: self.now,
            until: after(self.now, hold.terms.max_pause),
            terms: hold.terms,
            event,
            overdue: false,
        };
        self.opened.push(holder.clone());
        let full = self.book.leases.len() >= LEASES_PER_CONVERSATION;
        match self.book.leases.iter_mut().find(|it| it.holder == holder) {
            Some(held) => *held = lease,
            None if full => {
                self.world.alarm(Alarm::TooMany);
                return self.settle(event, Outcome::TooManyHolders);
            }
            None => self.book.leases.push(lease),
        }
        self.world.record(&holder, Happened::Opened);
        // While the upstream accepts nothing, sources may come and go for hours.
        if self.book.open.len() >= LEASE_SOURCES
            && let Some(place) = self.book.open.iter().position(|it| it.told.is_some())
        {
            self.book.open.remove(place);
        }
        self.book.open.push(Pending { id: event, waits: Waits::Pause, told: None });
    }

    fn close(&mut self, event: Uuid, hold: &Hold) {
        let holder = Holder::of(hold);
        let place = self.book.leases.iter().position(|it| it.holder == holder);
        let Some(place) = place else { return self.settle(event, Outcome::NotHeld) };
        let lease = self.book.leases.remove(place);
        self.opened.retain(|it| *it != holder);
        self.world.record(&holder, Happened::Closed);
        if !self.book.leases.is_empty() {
            return self.settle(event, Outcome::StillHeld);
        }
        self.book.release_at = Some(after(self.now, lease.terms.settle));
        self.book.open.push(Pending { id: event, waits: Waits::Resume, told: None });
    }

    /// Ends the leases that are held for too long, or calls a person.
    async fn expire(&mut self) {
        let now = self.now;
        let (mut overdue, mut ended) = (false, Vec::new());
        for lease in &mut self.book.leases {
            match lease.terms.on_expiry {
                _ if lease.until > now => {}
                OnExpiry::Resume => ended.push(lease.holder.clone()),
                OnExpiry::Alarm if !lease.overdue => {
                    lease.overdue = true;
                    ended.push(lease.holder.clone());
                }
                OnExpiry::Alarm => overdue = true,
            }
        }
        for holder in ended {
            let place = self.book.leases.iter().position(|it| it.holder == holder);
            let Some(place) = place else { continue };
            let terms = self.book.leases[place].terms.on_expiry;
            let what = match terms {
                OnExpiry::Resume => Happened::Expired,
                OnExpiry::Alarm => Happened::Overdue,
            };
            self.world.record(&holder, what);
            self.notice("recording.lease_expired", &holder);
            if terms == OnExpiry::Alarm {
                self.world.alarm(Alarm::Expired);
                continue;
            }
            self.book.leases.remove(place);
            if self.book.leases.is_empty() {
                self.book.release_at = Some(now);
            }
        }
        if overdue {
            self.look_at_overdue().await;
        }
    }

    /// A conversation whose lease goes on too long may be over; if not, it is given up in the end.
    async fn look_at_overdue(&mut self) {
        match self.world.look(self.book).await {
            Seen::Ended => return self.conversation_ended(),
            Seen::NotThere if self.is_unknown().await => return self.conversation_unknown(),
            _ => {}
        }
        let now = self.now;
        let given_up = |it: &Lease| it.overdue && after(it.until, GIVEN_UP) <= now;
        if self.book.leases.iter().any(given_up) {
            self.book.leases.retain(|it| !given_up(it));
            self.world.alarm(Alarm::Expired);
            if self.book.leases.is_empty() {
                self.book.standing = Standing::Unsure;
            }
        }
    }

    // === small things ===

    /// Nothing of recgate's is left here.
    fn end(&mut self, outcome: Outcome) {
        self.book.standing = Standing::Free;
        self.book.release_at = None;
        (self.book.failures, self.book.retry_at) = (0, None);
        self.settle_all(outcome, outcome);
    }

    /// A person wants it recorded: every lease ends, but those that began after that.
    fn person_resumed(&mut self, but: &[Holder]) {
        let ended: Vec<Lease> =
            self.book.leases.extract_if(.., |it| !but.contains(&it.holder)).collect();
        for lease in ended {
            self.world.record(&lease.holder, Happened::PersonResumed);
        }
        if self.book.leases.is_empty() {
            self.settle_all(Outcome::AlreadyActive, Outcome::AlreadyActive);
        }
    }

    fn conversation_ended(&mut self) {
        for lease in std::mem::take(&mut self.book.leases) {
            self.world.record(&lease.holder, Happened::ConversationEnded);
        }
        self.end(Outcome::Ended);
    }

    /// Whether the vendor says a second time that it knows no such conversation.
    async fn is_unknown(&self) -> bool {
        self.world.look(self.book).await == Seen::NotThere
    }

    /// There is nothing to pause, and nothing to give back: the tries end, and a person is called.
    fn conversation_unknown(&mut self) {
        for lease in std::mem::take(&mut self.book.leases) {
            self.world.record(&lease.holder, Happened::ConversationUnknown);
        }
        self.world.alarm(Alarm::UnknownConversation);
        self.end(Outcome::UnknownConversation);
    }

    fn settle(&mut self, id: Uuid, outcome: Outcome) {
        self.book.open.retain(|it| it.id != id);
        self.turn.settled.push(Settled { id, outcome });
    }

    fn settle_waiting(&mut self, waits: Waits, outcome: Outcome) {
        let settled = self.book.open.extract_if(.., |it| it.waits == waits);
        let settled = settled.map(|it| Settled { id: it.id, outcome });
        self.turn.settled.extend(settled);
    }

    fn settle_all(&mut self, pauses: Outcome, resumes: Outcome) {
        self.settle_waiting(Waits::Pause, pauses);
        self.settle_waiting(Waits::Resume, resumes);
    }

    /// Saves the book before something is sent. `None` where it cannot be.
    async fn save(&mut self) -> Option<Held> {
        let saved = self.world.save(self.book, &self.turn).await;
        if let Ok(Held::Ours) = saved {
            // On record; the rest of the turn tells the rest.
            self.turn = Turn { due: self.turn.due, ..Turn::default() };
        }
        saved.ok()
    }

    fn failed(&mut self) {
        let wait = FIRST_RETRY * 2_u32.saturating_pow(self.book.failures.min(8));
        self.book.failures = self.book.failures.saturating_add(1);
        let at = after(self.now, wait.min(LONGEST_RETRY));
        self.book.retry_at = Some(at);
        self.due(at);
    }

    fn due(&mut self, at: Timestamp) {
        self.turn.due = Some(self.turn.due.map_or(at, |due| due.min(at)));
    }

    fn is_recent(&self, at: Timestamp) -> bool {
        after(at, LAG) > self.now
    }

    fn client_paused_lately(&self) -> bool {
        self.book.client_paused.is_some_and(|at| self.is_recent(at))
    }

    fn cause(&self) -> Cause {
        let (trigger, source, event) = self.book.last.clone().unwrap_or_default();
        Cause { holder: Holder { trigger, source }, event }
    }

    fn notice(&mut self, kind: &'static str, holder: &Holder) {
        let lease = self.book.leases.iter().find(|it| it.holder == *holder);
        let payload = json!({
            "upstream": self.lane.upstream,
            "conversation": card::covered(&self.book.conversation),
            "source": holder.source,
            "reason": lease.map(|it| &it.reason),
            "at": self.now.to_string(),
        });
        let about = card::covered(&self.lane.key).into_owned();
        self.turn.notices.push(Notice { kind, about, payload });
    }
}
