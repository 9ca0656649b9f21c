//! WEM-449, 18 May 2022: secure pause without being a participant.
//!
//! The announcement added nine `PUT …/recordingstate` endpoints that need
//! `conversation:recording:pauseOthers` and no participation. It replaced nothing, so it applies
//! at every contract date. A legacy `PATCH` that only pauses or resumes becomes the PUT, and its
//! answer becomes the legacy one; where the PUT is refused the PATCH goes upstream after all.
//!
//! Every command, adapted or not, goes through the queue of its conversation, and is on record before
//! it is sent; but for a pause that goes as it came, where nobody looks for it there. A PUT that
//! succeeded is never answered with an error, `securePause` is never invented, and a pause is
//! never reported done before the upstream accepted it.

mod announced;
mod answer;
#[cfg(test)]
mod authority_tests;
mod command;
mod confirm;
mod fleet;
mod flow;
mod guard;
mod hold;
#[cfg(test)]
mod order_tests;
mod queue;
mod recover;
mod refusals;
#[cfg(test)]
mod tests;
mod usage;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use http::Method;
use jiff::civil::date;

pub use command::MEDIA;
use command::{Reading, Wanted};
use flow::Flow;
use queue::Queues;
use refusals::Refusals;

use super::announced::Announced;
use super::journal::{OpenIntent, Outcome};
use super::terms;
use super::{Announcement, Answer, Call, Change, Exchange, Next, Principal};
use crate::dialect::Dialect;
use crate::error::{Code, Failure};

/// The operation that everybody used before, and that lives on.
const LEGACY: &str = "PATCH /api/v2/conversations/{media}/{conversationId}";

static WEM_449: Announcement = Announcement {
    id: "WEM-449",
    date: Some(date(2022, 5, 18)),
    dialect: Dialect::Genesys,
    title: "secure pause of other users' conversations: PUT recordingstate",
    operations: &[
        LEGACY,
        "PUT /api/v2/conversations/{media}/{conversationId}/recordingstate",
        "PATCH /api/v2/conversations/{conversationId}/recordingstate",
    ],
    legacy: Some(LEGACY),
};

/// The change, with the queues of its conversations and the refusals of the last minute.
#[derive(Clone, Debug)]
pub struct SecurePause {
    queues: Queues,
    refusals: Refusals,
    watch: Duration,
}

// === impl SecurePause ===

impl SecurePause {
    /// The usual watch over a pause that an older resume may undo.
    pub const WATCH: Duration = Duration::from_mins(1);

    /// `watch` is how long a resume of unknown outcome is feared, and a pause that came after it
    /// is looked at.
    #[must_use]
    pub fn new(watch: Duration) -> Self {
        Self { queues: Queues::new(watch), refusals: Refusals::default(), watch }
    }
}

impl Default for SecurePause {
    fn default() -> Self {
        Self::new(Self::WATCH)
    }
}

impl Change for SecurePause {
    fn announcement(&self) -> &'static Announcement {
        &WEM_449
    }

    fn watches(&self, method: &Method, path: &str) -> bool {
        command::is_target(method, path)
    }

    fn may_be_urgent(&self, method: &Method, path: &str) -> bool {
        command::is_target(method, path)
    }

    fn concerns(&self, call: &Call, _: &Exchange) -> bool {
        Reading::of(call) != Reading::Other
    }

    fn is_urgent(&self, call: &Call) -> bool {
        matches!(Reading::of(call), Reading::Command(command) if command.wanted == Wanted::Pause)
    }

    fn carry(
        self: Arc<Self>,
        exchange: Rc<Exchange>,
        call: Call,
        next: Rc<dyn Next>,
    ) -> LocalBoxFuture<'static, Result<Answer, Failure>> {
        let command = match Reading::of(&call) {
            Reading::Command(command) => command,
            Reading::Ambiguous if exchange.terms.secure_pause == terms::SecurePause::Carry => {
                let failure = Failure::new(
                    Code::RequestAmbiguous,
                    "duplicate keys in a body that sets recordingState",
                );
                return Box::pin(std::future::ready(Err(failure)));
            }
            Reading::Ambiguous | Reading::Other => return next.call(call),
        };
        // The number is taken here and not in the future, so that the order of admission counts.
        let turn = self.queues.enter(&exchange.upstream, &command.key(), command.wanted);
        let flow = Flow {
            refusals: self.refusals.clone(),
            watch: self.watch,
            exchange,
            original: call,
            next,
            command,
            principal: Principal::Caller,
            told: Cell::default(),
        };
        Box::pin(flow.run(turn))
    }

    fn settings(&self, terms: &terms::Terms) -> Vec<(&'static str, String)> {
        let confirm = terms.confirm.map_or_else(|| "off".to_owned(), |it| format!("{it:?}"));
        vec![
            ("secure_pause", terms::word(terms.secure_pause)),
            ("authority", terms::word(terms.authority)),
            ("fallback", terms::word(terms.fallback)),
            ("answer", terms::word(terms.answer)),
            ("confirm", confirm),
        ]
    }

    fn announces(&self, call: &Call, terms: &terms::Terms) -> Vec<Announced> {
        announced::of(call, terms)
    }

    fn recover(
        self: Arc<Self>,
        exchange: Rc<Exchange>,
        open: OpenIntent,
        next: Rc<dyn Next>,
    ) -> LocalBoxFuture<'static, Outcome> {
        Box::pin(recover::recover(exchange, open, next, self.watch))
    }
}
