//! What a client has to expect because of its terms: the differences that a change announces.
//!
//! A client that goes through recgate gets what it got before, or something else that its terms
//! say it will get. Which is which is data: every change states, for a call on given terms, what
//! may differ ([`Aspect`]), by what a difference is known to be that one ([`Sign`]), and why. A
//! sign is evidence beside the difference itself, most of all what reached the vendor and in whose
//! name: so no gain of a right, and no partial result that a client takes for a whole one, is ever
//! covered by a rule that was meant for something else.

use http::{HeaderMap, Method};
use serde_json::Value;

use super::Principal;
use super::exchange::{CHANGES, ERROR};
use crate::error::Code;

/// Differences that a setting of a client announces.
#[derive(Clone, Debug)]
pub struct Announced {
    /// The change, by its id, or `gateway`.
    pub by: &'static str,
    /// The setting, as the configuration spells it: `apply = "strict"`.
    pub setting: String,
    /// By what they are known: all of these hold.
    pub signs: Vec<Sign>,
    /// What may differ.
    pub differs: Vec<Aspect>,
    /// Why.
    pub why: &'static str,
}

/// In what two lanes of one call may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aspect {
    /// The status of the answer.
    Status,
    /// What the contract of the client's day says of the answer.
    Verdict,
    /// The answer's body.
    Body,
    /// A header of the answer, in lower case.
    Header(&'static str),
    /// What became of the world.
    World,
}

/// What shows that a difference is an announced one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    /// `Recgate-Changes` names the change.
    Adapted,
    /// `Recgate-Error` is this code.
    Error(Code),
    /// The answer has this status.
    Status(u16),
    /// The answer is a JSON object with this member.
    Member(&'static str),
    /// The answer is a JSON object with exactly these members.
    Members(&'static [&'static str]),
    /// The same call, straight to the vendor, was refused.
    RefusedStraight,
    /// A call of this kind reached the vendor.
    Called(Kind, By, Got),
}

/// A kind of call to a vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its method.
    pub method: Method,
    /// Its raw path.
    pub path: String,
}

/// In whose name a call was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// One that is named.
    One(Principal),
    /// Whoever.
    Anybody,
}

/// What the vendor made of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Got {
    /// A success.
    Accepted,
    /// Anything else.
    Refused,
}

/// What was seen of a call that went through recgate.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The status that the same call got straight from the vendor, where it was answered.
    pub straight: Option<u16>,
    /// The answer's status, where there was an answer.
    pub status: Option<u16>,
    /// The answer's headers.
    pub headers: &'a HeaderMap,
    /// The answer's body, where it is JSON.
    pub body: Option<&'a Value>,
    /// What reached the vendor.
    pub calls: &'a [Made],
}

/// One call that reached the vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// What was called.
    pub kind: Kind,
    /// In whose name.
    pub by: Principal,
    /// What it was answered; nothing where it was not.
    pub status: Option<u16>,
}

// === impl Announced ===

impl Announced {
    /// One that is announced by a change.
    #[must_use]
    pub fn new(by: &'static str, setting: impl Into<String>, why: &'static str) -> Self {
        Self { by, setting: setting.into(), signs: Vec::new(), differs: Vec::new(), why }
    }

    /// The same, known by one more sign.
    #[must_use]
    pub fn where_seen(mut self, sign: Sign) -> Self {
        self.signs.push(sign);
        self
    }

    /// The same, with what may differ.
    #[must_use]
    pub fn differing(mut self, aspects: &[Aspect]) -> Self {
        self.differs.extend_from_slice(aspects);
        self
    }

    /// Whether a difference in this aspect is announced, given what was seen.
    #[must_use]
    pub fn covers(&self, aspect: Aspect, seen: &Seen<'_>) -> bool {
        self.differs.contains(&aspect) && self.signs.iter().all(|sign| sign.holds(self.by, seen))
    }
}

// === impl Sign ===

impl Sign {
    fn holds(&self, change: &str, seen: &Seen<'_>) -> bool {
        let object = || seen.body.and_then(Value::as_object);
        match self {
            Self::Adapted => seen
                .headers
                .get_all(&CHANGES)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(','))
                .any(|id| id.trim() == change),
            Self::Error(code) => {
                seen.headers.get(&ERROR).is_some_and(|value| *value == code.as_str())
            }
            Self::Status(status) => seen.status == Some(*status),
            Self::Member(name) => object().is_some_and(|it| it.contains_key(*name)),
            Self::Members(names) => object().is_some_and(|it| {
                it.len() == names.len() && names.iter().all(|name| it.contains_key(*name))
            }),
            Self::RefusedStraight => seen.straight.is_some_and(|status| status >= 400),
            Self::Called(kind, by, got) => seen.calls.iter().any(|made| {
                made.kind == *kind
                    && match by {
                        By::One(principal) => made.by == *principal,
                        By::Anybody => true,
                    }
                    && made.got() == *got
            }),
        }
    }
}

// === impl Made ===

impl Made {
    /// What the vendor made of it.
    #[must_use]
    pub fn got(&self) -> Got {
        match self.status {
            Some(200..=299) => Got::Accepted,
            _ => Got::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::{HeaderMap, HeaderValue, Method};
    use serde_json::json;

    use super::*;

    fn made(by: Principal, status: u16) -> Made {
        Made { kind: Kind { method: Method::PUT, path: "/p".to_owned() }, by, status: Some(status) }
    }

    #[test]
    fn a_difference_is_covered_only_where_every_sign_is_seen() {
        let kind = Kind { method: Method::PUT, path: "/p".to_owned() };
        let gain = Announced::new("X-1", "a = \"b\"", "why")
            .where_seen(Sign::Adapted)
            .where_seen(Sign::RefusedStraight)
            .where_seen(Sign::Called(kind, By::One(Principal::Caller), Got::Accepted))
            .differing(&[Aspect::Status, Aspect::World]);
        let mut headers = HeaderMap::new();
        headers.insert(CHANGES, HeaderValue::from_static("W-2, X-1"));
        let own = [made(Principal::Caller, 200)];
        let seen = Seen {
            straight: Some(403),
            status: Some(202),
            headers: &headers,
            body: None,
            calls: &own,
        };
        assert!(gain.covers(Aspect::Status, &seen));
        assert!(!gain.covers(Aspect::Body, &seen), "an aspect that was not named");
        assert!(!gain.covers(Aspect::Status, &Seen { straight: Some(202), ..seen }));
        let another = [made(Principal::Service, 200)];
        assert!(
            !gain.covers(Aspect::Status, &Seen { calls: &another, ..seen }),
            "the gateway's own account is not the caller"
        );
        let refused = [made(Principal::Caller, 403)];
        assert!(!gain.covers(Aspect::Status, &Seen { calls: &refused, ..seen }));
        assert!(!gain.covers(Aspect::Status, &Seen { headers: &HeaderMap::new(), ..seen }));
    }

    #[test]
    fn a_body_is_known_by_its_members() {
        let body = json!({ "id": 1, "selfUri": 2 });
        let headers = HeaderMap::new();
        let seen = Seen {
            straight: None,
            status: Some(202),
            headers: &headers,
            body: Some(&body),
            calls: &[],
        };
        let with = |sign| Announced::new("X-1", "", "").where_seen(sign).differing(&[Aspect::Body]);
        assert!(with(Sign::Members(&["id", "selfUri"])).covers(Aspect::Body, &seen));
        assert!(!with(Sign::Members(&["id"])).covers(Aspect::Body, &seen));
        assert!(with(Sign::Member("id")).covers(Aspect::Body, &seen));
        assert!(!with(Sign::RefusedStraight).covers(Aspect::Body, &seen));
    }
}
