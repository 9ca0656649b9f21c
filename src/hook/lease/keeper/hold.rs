//! While somebody holds a conversation: what is there is looked at, and it is paused.

use std::time::Duration;

use super::super::book::{Found, Standing, Waits, after};
use super::super::{Alarm, Done, Seen, Wanted};
use super::{Keeper, Lost};
use crate::hook::shelf::{Held, Outcome, Settled};

/// How long a conversation that the vendor does not know may be younger than the event about it. A
/// sender that waits for the outcome learns of it in time.
const YOUNGER: Duration = Duration::from_secs(10);

impl Keeper<'_> {
    pub(super) async fn hold(&mut self) -> Result<(), Lost> {
        self.book.release_at = None;
        let opened = !self.opened.is_empty();
        match self.book.standing {
            Standing::Ours { .. } | Standing::Others | Standing::Unsure if !opened => {}
            Standing::Ours { .. } | Standing::Others | Standing::Unsure => self.look_again().await,
            Standing::Free => self.look_first().await,
            Standing::Resuming { .. } => self.look_behind_resume().await,
            Standing::Pausing { .. } => {}
        }
        if self.book.leases.is_empty() {
            return Ok(());
        }
        if let Standing::Pausing { found } = self.book.standing {
            let waits = self.book.retry_at.filter(|at| *at > self.now && !opened);
            match waits {
                Some(at) => self.due(at),
                None => self.pause(found).await?,
            }
        } else {
            self.settle_waiting(Waits::Pause, Outcome::AlreadyPaused);
        }
        // What waited for a resume has been overtaken by another hold.
        self.settle_waiting(Waits::Resume, Outcome::StillHeld);
        Ok(())
    }

    /// The first lease: what is there?
    async fn look_first(&mut self) {
        let stale = self.book.resumed_at.is_some_and(|at| self.is_recent(at));
        self.book.standing = match self.world.look(self.book).await {
            // A read may show the state of before a resume; sending the pause again does no harm.
            Seen::Paused if stale => Standing::Pausing { found: Found::Active },
            Seen::Paused => Standing::Others,
            // It may end before the lease does.
            Seen::HeldBack => Standing::Pausing { found: Found::Paused },
            Seen::Active => {
                if !self.client_paused_lately() {
                    self.book.client_paused = None;
                }
                Standing::Pausing { found: Found::Active }
            }
            Seen::Ended => return self.conversation_ended(),
            // It may be younger than the event: the pause is tried.
            Seen::NotThere => Standing::Pausing { found: Found::Unknown },
            Seen::Unreadable => {
                self.world.alarm(Alarm::Unreadable);
                Standing::Pausing { found: Found::Unknown }
            }
        };
    }

    /// A resume may have been sent: where it took effect, a pause that stands there is another's.
    async fn look_behind_resume(&mut self) {
        let found = match self.world.look(self.book).await {
            Seen::Active => Found::Active,
            Seen::Ended => return self.conversation_ended(),
            Seen::Paused | Seen::HeldBack | Seen::NotThere | Seen::Unreadable => Found::Unknown,
        };
        self.book.standing = Standing::Pausing { found };
    }

    /// Another lease: is it still paused?
    async fn look_again(&mut self) {
        let found = match self.book.standing {
            Standing::Others => Found::Paused,
            Standing::Unsure => Found::Unknown,
            _ => Found::Active,
        };
        let lagging = matches!(self.book.standing, Standing::Ours { since } if self.is_recent(since))
            || self.client_paused_lately();
        match self.world.look(self.book).await {
            Seen::Paused => {}
            Seen::Active if !lagging => {
                let opened = std::mem::take(&mut self.opened);
                self.person_resumed(&opened);
                self.opened = opened;
                self.book.client_paused = None;
                self.book.standing = Standing::Pausing { found: Found::Active };
            }
            // Sending it again does no harm.
            Seen::Active | Seen::HeldBack | Seen::NotThere | Seen::Unreadable => {
                self.book.standing = Standing::Pausing { found };
            }
            Seen::Ended => self.conversation_ended(),
        }
    }

    async fn pause(&mut self, found: Found) -> Result<(), Lost> {
        if self.save().await == Some(Held::Lost) {
            return Err(Lost);
        }
        let done = self.world.set(Wanted::Pause, &self.cause(), self.book).await;
        self.now = self.world.now();
        if done == Done::Accepted {
            self.book.standing = match found {
                Found::Active => Standing::Ours { since: self.now },
                Found::Paused => Standing::Others,
                Found::Unknown => Standing::Unsure,
            };
            (self.book.failures, self.book.retry_at) = (0, None);
            self.settle_waiting(Waits::Pause, Outcome::Paused);
            let holder = self.cause().holder;
            self.notice("recording.paused", &holder);
            return Ok(());
        }
        if done == Done::NotThere && self.is_unknown().await {
            self.await_conversation();
            return Ok(());
        }
        if self.book.failures == 0 {
            let holder = self.cause().holder;
            self.notice("recording.pause_failed", &holder);
        }
        self.world.alarm(Alarm::PauseFailed);
        self.failed();
        for at in 0..self.book.open.len() {
            let pending = &mut self.book.open[at];
            if pending.waits == Waits::Pause && pending.told.is_none() {
                pending.told = Some(Outcome::PauseFailed);
                let id = pending.id;
                self.turn.settled.push(Settled { id, outcome: Outcome::PauseFailed });
            }
        }
        Ok(())
    }

    /// The vendor knows no such conversation. An event may be quicker than the vendor, so it is tried
    /// for a while; then that is the outcome.
    fn await_conversation(&mut self) {
        let since = self.book.leases.iter().map(|it| it.since).min().unwrap_or(self.now);
        let until = after(since, YOUNGER);
        if until <= self.now {
            return self.conversation_unknown();
        }
        self.failed();
        // The last try comes when the time is up.
        let at = self.book.retry_at.map_or(until, |at| at.min(until));
        self.book.retry_at = Some(at);
        self.due(at);
    }
}
