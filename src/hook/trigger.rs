//! From a message to an order: who sent it, when, which rule it meets, and what that asks for.
//!
//! The order of things is fixed: [`verify`] looks at raw bytes and headers, and only what it lets
//! through is parsed; then the event's id and time are known, or known to be missing ([`Identity`]);
//! then the first [`rule`] that holds acts. A message without id and time may pause, and do nothing
//! else: whoever has seen it once could send it again.

pub mod payload;
pub mod rule;
pub mod verify;
pub mod window;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::payload::{Asked, Medium, Pointer, Text};
use self::rule::{Act, Rule};
use self::verify::{Certified, Identity, Proof};
use crate::json::{self, Node};
use crate::limits::TRIGGER_CONVERSATIONS;

/// One trigger, ready to be used.
#[derive(Debug)]
pub struct Trigger {
    /// Its name: in the path, in records, and the source of its leases where no other is given.
    pub name: Arc<str>,
    /// The upstream it acts at.
    pub upstream: Arc<str>,
    /// How its messages are known to be its own.
    pub proof: Proof,
    /// What it does about what, in order.
    pub rules: Vec<Rule>,
    /// Where the conversation's id stands.
    pub conversation: Option<Pointer>,
    /// The conversation's medium.
    pub medium: Medium,
    /// Who holds a pause: a source closes what itself has opened.
    pub source: Text,
    /// Why, for people.
    pub reason: Arc<str>,
    /// When an answer is given.
    pub mode: Mode,
    /// How leases of it end.
    pub lease: LeaseTerms,
    /// How long a sender of `sync` waits at most.
    pub deadline: Duration,
    /// Whether it may release recordings.
    pub unprotect: Unprotect,
}

/// When a sender gets its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Once the event is durable: 202.
    #[default]
    Async,
    /// After the outcome.
    Sync,
}

/// Whether a trigger may revoke deletion protection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unprotect {
    /// It may not.
    #[default]
    Refused,
    /// The operator said that it may.
    Allowed,
}

/// How leases end that nobody closes, and how fast those that somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct LeaseTerms {
    /// The longest that it is held.
    pub max_pause: Duration,
    /// What happens then.
    pub on_expiry: OnExpiry,
    /// From the end of the last lease to the resume: a pause that comes meanwhile goes on.
    pub settle: Duration,
}

/// What happens to a lease that is held for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnExpiry {
    /// It ends, as if its source had closed it.
    Resume,
    /// It goes on, and a person is called.
    Alarm,
}

/// A message as it came.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its raw query.
    pub query: Option<&'a str>,
    /// Its raw body.
    pub body: &'a [u8],
    /// What its connection has proven.
    pub certificate: Option<&'a dyn Certified>,
}

/// What a message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its id and time.
    pub identity: Identity,
    /// The rule that matched, from 1; `None` where none did.
    pub rule: Option<usize>,
    /// What is to be done.
    pub order: Order,
}

/// What is to be done. It is kept until it is done, and holds ids and settings, no payload.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Order {
    /// A source wants a conversation paused.
    Pause(Hold),
    /// It wants it no more.
    Resume(Hold),
    /// Recordings are to be protected.
    Protect(Asked),
    /// They are to be released.
    Revoke(Asked),
    /// No rule matched, or one that says so.
    Nothing,
}

/// Whose pause of which conversation, and on which terms.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Hold {
    /// The trigger's name.
    pub trigger: String,
    /// Who holds it.
    pub source: String,
    /// Why.
    pub reason: String,
    /// The conversation's id, as it came.
    pub conversation: String,
    /// Its medium, where it is known.
    pub medium: Option<String>,
    /// How it ends.
    pub terms: LeaseTerms,
}

/// Why a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody who knows the secret sent it.
    #[error("not signed by anyone who knows the secret: {0}")]
    Unproven(&'static str),
    /// It is proven, and its time is not about now.
    #[error("its time {0}")]
    Time(&'static str),
    /// Its id cannot be one.
    #[error("its id is missing, too long, or holds what no id does")]
    Id,
    /// It is proven, and cannot be read.
    #[error("its payload cannot be used: {0}")]
    Payload(&'static str),
    /// It has neither id nor time, and asks for more than a pause.
    #[error("without an id and a time it may pause, and nothing else")]
    Unidentified,
}

// === impl Trigger ===

impl Trigger {
    /// Reads a message. Nothing of it is parsed before it is proven to be the sender's.
    pub fn read(&self, message: &Message<'_>, now: Timestamp) -> Result<Event, Refusal> {
        let claimed = self.proof.verify(message)?;
        // A time outside the window is refused before the body is looked at.
        claimed.check(now)?;
        let (payload, identity) = self.parse(message, claimed)?;
        identity.check(now)?;
        let (rule, order) = self.order(message, &payload)?;
        if identity == Identity::Untold && !matches!(order, Order::Pause(_) | Order::Nothing) {
            return Err(Refusal::Unidentified);
        }
        Ok(Event { identity, rule, order })
    }

    /// What a message would ask for, whoever sent it and whenever: for looking at rules.
    pub fn rehearse(&self, message: &Message<'_>) -> Result<(Option<usize>, Order), Refusal> {
        let payload = read(message)?;
        self.order(message, &payload)
    }

    fn parse<'a>(
        &self,
        message: &Message<'a>,
        claimed: Identity,
    ) -> Result<(Node<'a>, Identity), Refusal> {
        let payload = read(message)?;
        let identity = match (claimed, self.proof.place()) {
            (Identity::Untold, Some(place)) => place.find(&payload)?,
            (claimed, _) => claimed,
        };
        Ok((payload, identity))
    }

    fn order(
        &self,
        message: &Message<'_>,
        payload: &Node<'_>,
    ) -> Result<(Option<usize>, Order), Refusal> {
        for (number, rule) in (1..).zip(&self.rules) {
            if rule.when.holds(message, payload)? {
                return Ok((Some(number), self.asked(&rule.act, payload)?));
            }
        }
        Ok((None, Order::Nothing))
    }

    fn asked(&self, act: &Act, payload: &Node<'_>) -> Result<Order, Refusal> {
        let asked = |at: &Option<Pointer>| {
            let place = at.as_ref().or(self.conversation.as_ref());
            let ids = place.map_or(Ok(Vec::new()), |place| place.ids(payload))?;
            if ids.is_empty() || ids.len() > TRIGGER_CONVERSATIONS {
                return Err(Refusal::Payload("it names no conversation, or more than 100"));
            }
            Ok(Asked { trigger: self.name.to_string(), conversations: ids })
        };
        match act {
            Act::Pause => Ok(Order::Pause(self.hold(payload)?)),
            Act::Resume => Ok(Order::Resume(self.hold(payload)?)),
            Act::Protect(at) => Ok(Order::Protect(asked(at)?)),
            Act::Revoke(_) if self.unprotect == Unprotect::Refused => {
                Err(Refusal::Payload("this trigger may not revoke protection"))
            }
            Act::Revoke(at) => Ok(Order::Revoke(asked(at)?)),
            Act::Nothing => Ok(Order::Nothing),
        }
    }

    fn hold(&self, payload: &Node<'_>) -> Result<Hold, Refusal> {
        let at = self.conversation.as_ref();
        let conversation = at.and_then(|at| at.id(payload));
        let conversation = conversation.ok_or(Refusal::Payload("no conversation's id in it"))?;
        Ok(Hold {
            trigger: self.name.to_string(),
            source: self.source.of(payload, &self.name)?,
            reason: self.reason.to_string(),
            conversation,
            medium: self.medium.of(payload)?,
            terms: self.lease,
        })
    }
}

// === impl Order ===

impl Order {
    /// Whether two orders about protection name one of the same conversations.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        let names = |id: &String| other.protects().iter().any(|it| it.eq_ignore_ascii_case(id));
        self.protects().iter().any(names)
    }

    /// The conversations whose protection it is about.
    fn protects(&self) -> &[String] {
        match self {
            Self::Protect(asked) | Self::Revoke(asked) => &asked.conversations,
            Self::Pause(_) | Self::Resume(_) | Self::Nothing => &[],
        }
    }
}

/// The payload of a message that is proven, or of which no proof is asked.
fn read<'a>(message: &Message<'a>) -> Result<Node<'a>, Refusal> {
    let encoding = message.headers.get(http::header::CONTENT_ENCODING);
    if encoding.is_some_and(|it| it != "identity") {
        return Err(Refusal::Payload("it is encoded"));
    }
    json::parse(message.body).map_err(|_| Refusal::Payload("it is not strict JSON"))
}

#[cfg(test)]
mod tests;
