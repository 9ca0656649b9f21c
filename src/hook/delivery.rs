//! Deliveries: outcomes, signed and sent to whoever subscribed, until they are taken.
//!
//! An event and a subscription that wants it make one delivery. It is tried by a [`schedule`] until
//! the target takes it or the schedule ends; every try has the same id, so that a receiver can tell
//! a second one. Deliveries about one conversation go out one after the other.
//!
//! This room knows neither the gateway nor a database. The [`sender`] takes deliveries from a
//! [`Queue`] and hands each to a [`Post`]; what became of a try is an [`Answer`], and only what was
//! claimed can be reported on. [`post`] is the one that speaks HTTP, behind the [`guard`] that
//! keeps it away from addresses that no outsider should make a gateway call.

pub mod event;
pub mod guard;
pub mod post;
pub mod schedule;
pub mod sender;
pub mod subscription;
pub mod target;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

/// Where deliveries wait.
pub trait Queue: Send + Sync + 'static {
    /// Writes down what became of tries, and claims deliveries that are due: at most as many as is
    /// wanted, never two of one conversation and subscription at a time, never one whose
    /// predecessor is neither delivered nor dead. A claim ends by itself after [`Want::lease`].
    fn turn(
        &self,
        reports: Vec<Report>,
        wants: Vec<Want>,
    ) -> BoxFuture<'static, Result<Turn, Unavailable>>;

    /// Resolves when something may have become due that [`Turn::next`] did not tell.
    fn woken(&self) -> BoxFuture<'_, ()>;
}

/// What sends.
pub trait Post: Send + Sync + 'static {
    /// Sends one delivery once, and gives up in time for its claim.
    fn post(&self, claimed: &Claimed) -> BoxFuture<'static, Answer>;
}

/// Deliveries that are wanted for a subscription.
#[derive(Clone, Debug)]
pub struct Want {
    /// The subscription's name.
    pub subscription: Arc<str>,
    /// Its target, as [`subscription::Subscription::mark`] spells it: a target that said it is gone
    /// is not tried again until another stands in its place.
    pub mark: Arc<str>,
    /// At most so many.
    pub most: usize,
    /// When a claim ends, however its holder has.
    pub lease: Duration,
}

/// What a look at the queue gave.
#[derive(Debug, Default)]
pub struct Turn {
    /// Deliveries that are this sender's until their claims end.
    pub claimed: Vec<Claimed>,
    /// When the next one is due, as far as is known.
    pub next: Option<Duration>,
}

/// The queue cannot be asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue of deliveries does not answer")]
pub struct Unavailable;

/// A delivery that is this sender's for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Its number in the queue.
    pub number: i64,
    /// Which claim of it this is: a report for an older one counts for nothing.
    pub claim: i64,
    /// The event's id, the same on every try: `webhook-id`.
    pub event: String,
    /// The subscription's name.
    pub subscription: Arc<str>,
    /// The JSON, to the byte as it is signed.
    pub payload: String,
    /// Tries that have failed so far.
    pub failed: u64,
}

/// What became of one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 2xx.
    Taken {
        /// Which.
        status: u16,
    },
    /// 410: the target wants no more of anything.
    Gone,
    /// Anything else.
    Failed {
        /// What.
        why: Why,
        /// `Retry-After`, where there was one.
        wait: Option<Duration>,
    },
}

/// Why a try failed, in words that hold nothing of an answer's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The target answered with this status. A redirect is one: it is not followed.
    Status(u16),
    /// The name has no address.
    Unresolved,
    /// No address of the name may be called.
    Forbidden(guard::Forbidden),
    /// No connection.
    Unreachable,
    /// TLS did not come about.
    Tls(Distrust),
    /// The answer broke off or was none.
    Broken,
    /// No answer in time.
    TimedOut,
}

/// What was wrong with TLS, as far as an operator has to tell one from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// No authority that is trusted vouches for the certificate.
    Issuer,
    /// The certificate is for other names.
    Name,
    /// The certificate is not valid yet, or no more.
    Time,
    /// The certificate is bad in another way.
    Certificate,
    /// The handshake broke off.
    Handshake,
}

/// A claim and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The delivery's number.
    pub number: i64,
    /// The claim.
    pub claim: i64,
    /// The subscription's name.
    pub subscription: Arc<str>,
    /// What is to become of the delivery.
    pub fate: Fate,
}

/// What is to become of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was taken.
    Delivered {
        /// The status.
        status: u16,
    },
    /// It is tried again.
    Again {
        /// From now.
        after: Duration,
        /// Why it was not taken.
        why: Why,
    },
    /// It is not tried again.
    Dead {
        /// Why it was not taken.
        why: Why,
    },
    /// It is not tried again, and its subscription sends nothing more.
    Gone {
        /// The target that said so, as [`subscription::Subscription::mark`] spells it.
        mark: Arc<str>,
    },
    /// The try was cut off before its end: it counts for nothing.
    Released,
}

// === impl Why ===

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Unresolved => f.write_str("name without address"),
            Self::Forbidden(why) => write!(f, "address refused: {why}"),
            Self::Unreachable => f.write_str("no connection"),
            Self::Tls(distrust) => write!(f, "TLS failed: {distrust}"),
            Self::Broken => f.write_str("answer broke off"),
            Self::TimedOut => f.write_str("no answer in time"),
        }
    }
}

impl Why {
    /// The word of it in metrics: bounded.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Status(300..=399) => "redirect",
            Self::Status(400..=499) => "refused",
            Self::Status(_) => "failing",
            Self::Unresolved => "unresolved",
            Self::Forbidden(_) => "forbidden-address",
            Self::Unreachable => "unreachable",
            Self::Tls(_) => "tls",
            Self::Broken => "broken",
            Self::TimedOut => "timed-out",
        }
    }
}

// === impl Distrust ===

impl Distrust {
    /// Why a handshake failed.
    pub(crate) fn of(error: &std::io::Error) -> Self {
        use rustls::CertificateError as Bad;
        let inner = error.get_ref().and_then(|it| it.downcast_ref::<rustls::Error>());
        let Some(rustls::Error::InvalidCertificate(bad)) = inner else { return Self::Handshake };
        match bad {
            Bad::UnknownIssuer | Bad::BadSignature => Self::Issuer,
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Self::Name,
            Bad::Expired
            | Bad::ExpiredContext { .. }
            | Bad::NotValidYet
            | Bad::NotValidYetContext { .. } => Self::Time,
            _ => Self::Certificate,
        }
    }
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Issuer => "no trusted authority vouches for the certificate, see ca_file",
            Self::Name => "the certificate is for other names",
            Self::Time => "the certificate is not valid at this time",
            Self::Certificate => "the certificate is bad",
            Self::Handshake => "the handshake broke off",
        })
    }
}
