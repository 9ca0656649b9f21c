//! When nobody holds a conversation any more: it is given back, or left as it is where the pause is,
//! or may be, somebody else's.

use jiff::Timestamp;

use super::super::book::{Found, Standing, Waits, after};
use super::super::{Alarm, Done, Happened, Seen, Wanted};
use super::{AGAIN, FIRST_RETRY, Keeper, Lost, TRIES};
use crate::hook::shelf::{Held, Outcome};

impl Keeper<'_> {
    pub(super) async fn release(&mut self) -> Result<(), Lost> {
        // A pause that nobody wants any more, and that may have been sent.
        if let Standing::Pausing { found } = self.book.standing {
            let failed = self.book.failures > 0;
            (self.book.failures, self.book.retry_at) = (0, None);
            self.book.standing = match found {
                Found::Paused => Standing::Others,
                // Whether it took effect nobody knows, and so nobody knows whose a pause is that
                // stands there now.
                Found::Active if failed => Standing::Unsure,
                Found::Active => Standing::Ours { since: self.now },
                Found::Unknown => Standing::Unsure,
            };
        }
        match self.book.standing {
            Standing::Free | Standing::Pausing { .. } => {
                self.end(Outcome::AlreadyActive);
                Ok(())
            }
            Standing::Others => {
                self.end(Outcome::HeldByAnother);
                Ok(())
            }
            Standing::Unsure => {
                self.leave().await;
                Ok(())
            }
            Standing::Resuming { sent: Some(at), .. } => {
                self.was_resumed(at).await;
                Ok(())
            }
            // The ledger has not said yet whether it was sent.
            Standing::Resuming { sent: None, .. } => {
                self.due(after(self.now, AGAIN));
                Ok(())
            }
            Standing::Ours { since } => self.give_back(since).await,
        }
    }

    /// Nobody knows whose pause it is, if it is paused: then it stays so, and a person has to look.
    async fn leave(&mut self) {
        match self.world.look(self.book).await {
            Seen::Active => self.end(Outcome::AlreadyActive),
            Seen::Ended => self.end(Outcome::Ended),
            Seen::NotThere if self.is_unknown().await => self.conversation_unknown(),
            Seen::Paused | Seen::HeldBack | Seen::NotThere | Seen::Unreadable => {
                self.world.alarm(Alarm::Unreadable);
                self.end(Outcome::LeftPaused);
            }
        }
    }

    /// A resume was sent, as the ledger says, and what came of it is not known. It is not sent again:
    /// it would end the pause of whoever has paused since.
    async fn was_resumed(&mut self, at: Timestamp) {
        match self.world.look(self.book).await {
            Seen::Active | Seen::Ended => self.end(Outcome::Resumed),
            _ if self.book.client_paused.is_some() => self.end(Outcome::HeldByAnother),
            // What is shown may be from before it.
            _ if self.is_recent(at) => self.due(after(self.now, AGAIN)),
            // Somebody's pause since, or it never took effect: a person has to look.
            Seen::Paused | Seen::HeldBack | Seen::NotThere | Seen::Unreadable => {
                self.world.alarm(Alarm::Unreadable);
                self.end(Outcome::LeftPaused);
            }
        }
    }

    async fn give_back(&mut self, since: Timestamp) -> Result<(), Lost> {
        let wait = [self.book.release_at, self.book.retry_at].into_iter().flatten().max();
        if let Some(at) = wait.filter(|at| *at > self.now) {
            self.due(at);
            return Ok(());
        }
        // Nothing is resumed while a client's command is under way, or nobody knows of any.
        if self.undecided || self.blind {
            self.due(after(self.now, AGAIN));
            return Ok(());
        }
        match self.world.look(self.book).await {
            Seen::Ended => {
                self.end(Outcome::Ended);
                Ok(())
            }
            Seen::Active if self.is_recent(since) || self.client_paused_lately() => {
                self.due(after(self.now, AGAIN));
                Ok(())
            }
            Seen::Active => {
                // Where the pause never got through there was nothing to resume.
                if self.book.open.iter().all(|it| it.waits == Waits::Resume) {
                    let cause = self.cause();
                    self.world.record(&cause.holder, Happened::PersonResumed);
                }
                self.book.client_paused = None;
                self.end(Outcome::AlreadyActive);
                Ok(())
            }
            Seen::NotThere if self.is_unknown().await => {
                self.conversation_unknown();
                Ok(())
            }
            Seen::NotThere | Seen::Unreadable => {
                if self.book.failures == 0 {
                    self.world.alarm(Alarm::Unreadable);
                }
                self.failed();
                if self.book.failures >= TRIES {
                    self.end(Outcome::LeftPaused);
                }
                Ok(())
            }
            Seen::Paused | Seen::HeldBack if self.book.client_paused.is_some() => {
                self.end(Outcome::HeldByAnother);
                Ok(())
            }
            Seen::Paused | Seen::HeldBack => self.resume(since).await,
        }
    }

    async fn resume(&mut self, since: Timestamp) -> Result<(), Lost> {
        self.book.standing = Standing::Resuming { since, sent: None };
        match self.save().await {
            Some(Held::Ours) => {}
            Some(Held::Lost) => return Err(Lost),
            None => {
                self.book.standing = Standing::Ours { since };
                self.due(after(self.now, FIRST_RETRY));
                return Ok(());
            }
        }
        let cause = self.cause();
        let done = tokio::select! {
            biased;
            done = self.world.set(Wanted::Resume, &cause, self.book) => done,
            // A pause does not wait for a resume that is under way; the queue of the conversation
            // puts them in order.
            () = self.world.pause_came() => {
                self.book.standing = Standing::Pausing { found: Found::Active };
                self.due(self.now);
                return Ok(());
            }
        };
        self.now = self.world.now();
        match done {
            Done::Accepted => {
                self.notice("recording.resumed", &cause.holder);
                self.book.resumed_at = Some(self.now);
                self.end(Outcome::Resumed);
            }
            Done::Superseded => {
                self.book.standing = Standing::Ours { since };
                self.due(after(self.now, AGAIN));
            }
            Done::NotThere | Done::Failed => {
                if self.book.failures == 0 {
                    self.world.alarm(Alarm::ResumeFailed);
                }
                // Whether it came to nothing the ledger tells the next turn.
                self.failed();
                if self.book.failures >= TRIES {
                    self.world.alarm(Alarm::ResumeFailed);
                    self.end(Outcome::ResumeFailed);
                }
            }
        }
        Ok(())
    }
}
