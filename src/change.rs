//! What happened to an API, one module an announcement.
//!
//! A [`Change`] knows one vendor announcement: its id and date, the operations it is about, how an
//! old request is carried forward and how the new answer is carried back. It wraps the rest of the
//! way ([`Next`]) and may call it several times. The [`Registry`] holds the changes in
//! chronological order; a request meets them in that order, its answer in the reverse.
//!
//! This room knows contracts, dialects, [`Next`] and a [`Journal`]. It knows no socket and no
//! database, so every change is tested with a scripted `Next` on a paused clock.

pub mod announced;
pub mod call;
pub mod deletion_protection;
pub mod exchange;
pub mod inventory;
pub mod journal;
pub mod mark;
pub mod registry;
pub mod retry;
pub mod secure_pause;
pub mod terms;
#[cfg(test)]
mod testing;
pub mod webex_delete;

use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use http::Method;
use jiff::civil::Date;

use announced::Announced;
pub use call::{Answer, Call, Payload, Principal};
pub use exchange::Exchange;
pub use journal::Journal;
use journal::{OpenIntent, Outcome};
pub use registry::Registry;
use terms::Terms;

use crate::dialect::Dialect;
use crate::error::Failure;

/// One vendor announcement.
pub trait Change: Send + Sync {
    /// What was announced.
    fn announcement(&self) -> &'static Announcement;

    /// Whether a request of this method and path, in its canonical spelling
    /// ([`call::canonical`]), can concern this change at all: then its body is read. Cheap: it
    /// runs for every request.
    fn watches(&self, method: &Method, path: &str) -> bool;

    /// Whether this change has to read the body of such a request, because passing it unread would
    /// pass it unshielded. What is too long to be read is then refused.
    fn must_read(&self, _: &Method, _: &str) -> bool {
        false
    }

    /// Whether such a request may be one that [`Change::is_urgent`] speaks of, before its body is
    /// known.
    fn may_be_urgent(&self, _: &Method, _: &str) -> bool {
        false
    }

    /// Whether this change has something to do for this call of this client.
    fn concerns(&self, call: &Call, exchange: &Exchange) -> bool;

    /// Whether this call must not be refused because it breaks a contract: a pause whose meaning is
    /// clear goes on, whatever else is wrong with it.
    fn is_urgent(&self, _: &Call) -> bool {
        false
    }

    /// Carries the call forward and its answer back. Runs detached from the client's connection:
    /// it always runs to its end.
    fn carry(
        self: Arc<Self>,
        exchange: Rc<Exchange>,
        call: Call,
        next: Rc<dyn Next>,
    ) -> LocalBoxFuture<'static, Result<Answer, Failure>>;

    /// What the terms of a client make of this change: keys and values as the configuration spells
    /// them.
    fn settings(&self, terms: &Terms) -> Vec<(&'static str, String)>;

    /// Takes note of a call that this change watches and has nothing to do for.
    fn passes(&self, _: &Call, _: &Exchange) {}

    /// What may differ for a client on these terms from what the vendor answered on the day that
    /// the client was written for. Asked of calls that this change watches.
    fn announces(&self, call: &Call, terms: &Terms) -> Vec<Announced>;

    /// Ends what an intent of this change left open when a gateway ended in between: by the
    /// recovery account, only towards protected or paused. What cannot be finished that way is
    /// [`Outcome::Unknown`].
    fn recover(
        self: Arc<Self>,
        _exchange: Rc<Exchange>,
        _open: OpenIntent,
        _next: Rc<dyn Next>,
    ) -> LocalBoxFuture<'static, Outcome> {
        Box::pin(std::future::ready(Outcome::Unknown))
    }
}

/// The rest of the way: later changes, then the upstream.
pub trait Next {
    /// Sends one call on. `Err` means that there is no answer of the upstream; its code tells
    /// whether something may have been sent.
    fn call(&self, call: Call) -> LocalBoxFuture<'static, Result<Answer, Failure>>;

    /// Whether this call, which was sent and failed, may be sent again: what an upstream is asked
    /// again is a share of what it is asked. Each that is allowed is counted.
    fn allows_again(&self, _: &Call) -> Allowed {
        Allowed::Yes
    }
}

/// Whether a call may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// It may.
    Yes,
    /// The upstream is asked again too often already.
    No,
}

/// The facts of an announcement.
#[derive(Clone, Copy, Debug)]
pub struct Announcement {
    /// The vendor's issue id, or recgate's name for rules without one.
    pub id: &'static str,
    /// The day it took effect; `None` where nothing changed on a day.
    pub date: Option<Date>,
    /// Whose API.
    pub dialect: Dialect,
    /// One line for people.
    pub title: &'static str,
    /// The operations it is about, as `METHOD /path/{template}`.
    pub operations: &'static [&'static str],
    /// The one of them that it has left behind: whoever calls it has something to migrate.
    pub legacy: Option<&'static str>,
}
