//! `[[trigger]]`: from what is written to what the program uses.
//!
//! How a lease ends that nobody closes has no default: it is the operator's choice
//! between a recording that may hold what should not be on it, and one that is missing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use regex::RegexBuilder;

use super::Checking;
use super::proof::Listener;
use crate::config::raw::{self, Vendor};
use crate::config::trigger::{RawAct, RawCondition, RawText, RawTrigger};
use crate::config::value::span;
use crate::hook::trigger::payload::{Medium, Pointer, Text, medium};
use crate::hook::trigger::rule::{Act, Condition, Place, Rule, Scalar, Test};
use crate::hook::trigger::verify::Proof;
use crate::hook::trigger::{LeaseTerms, OnExpiry, Trigger, Unprotect};
use crate::limits::{
    TRIGGER_CONDITIONS, TRIGGER_PATTERN_BYTES, TRIGGER_REASON_BYTES, TRIGGER_SOURCE_BYTES,
};

/// What texts have to be, behind how many.
const TEXT: &str = "bytes, and no control characters";

const SETTLE: Duration = Duration::from_secs(1);
const LONGEST_SETTLE: Duration = Duration::from_mins(1);
const LONGEST_PAUSE: Duration = Duration::from_hours(24);
const DEADLINE_MS: u64 = 15_000;

impl Checking<'_> {
    /// Checks `[[trigger]]`, by the upstreams as they are written: what is wrong with one of those is
    /// told there, and not once more for each trigger.
    pub(super) fn triggers(
        &mut self,
        raw: &[RawTrigger],
        upstreams: &[raw::Upstream],
        listener: Listener,
    ) -> Vec<Arc<Trigger>> {
        let mut names = HashSet::new();
        let mut triggers = Vec::new();
        for raw in raw {
            let key = format!("trigger.{}", raw.name);
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            if raw.name.is_empty() || raw.name.len() > 64 || !raw.name.bytes().all(plain) {
                let message = "must have 1 to 64 letters, digits, - or _: it stands in the path";
                self.fault(&format!("{key}.name"), message);
            }
            if !names.insert(&raw.name) || raw.name == "events" {
                self.fault(&format!("{key}.name"), "is taken");
            }
            if let Some(trigger) = self.trigger(&key, raw, upstreams, listener) {
                triggers.push(Arc::new(trigger));
            }
        }
        triggers
    }

    fn trigger(
        &mut self,
        key: &str,
        raw: &RawTrigger,
        upstreams: &[raw::Upstream],
        listener: Listener,
    ) -> Option<Trigger> {
        let upstream = self.trigger_upstream(key, raw, upstreams);
        let proof = self.proof(&format!("{key}.verify"), &raw.verify, listener);
        let rules = self.rules(key, raw);
        let conversation = self.pointer(&format!("{key}.conversation"), raw.conversation.as_ref());
        let pauses = raw.rules.iter().any(|it| matches!(it.act, RawAct::Pause | RawAct::Resume));
        if pauses && raw.conversation.is_none() {
            let message = "is missing: where in the payload the conversation's id stands";
            self.fault(&format!("{key}.conversation"), message);
        }
        let identified = proof.as_ref().is_none_or(Proof::identifies);
        if !identified
            && raw.rules.iter().any(|it| !matches!(it.act, RawAct::Pause | RawAct::Nothing))
        {
            let message = "without `id` and `time` an event may pause and do nothing else: say where \
                           in the body they stand";
            self.fault(&format!("{key}.verify"), message);
        }
        let lease = self.lease_terms(key, raw, pauses);
        let medium = self.medium(key, raw.medium.as_ref());
        let source = self.source(key, raw.source.as_ref());
        if raw.reason.as_ref().is_some_and(|it| !is_text(it, TRIGGER_REASON_BYTES)) {
            let message = format!("must have at most {TRIGGER_REASON_BYTES} {TEXT}");
            self.fault(&format!("{key}.reason"), message);
        }
        let deadline = raw.deadline_ms.unwrap_or(DEADLINE_MS);
        if !(1..=60_000).contains(&deadline) {
            self.fault(&format!("{key}.deadline_ms"), "must be 1 to 60000 milliseconds");
        }
        Some(Trigger {
            name: Arc::from(&*raw.name),
            upstream: upstream?,
            proof: proof?,
            rules,
            conversation,
            medium,
            source,
            reason: Arc::from(raw.reason.as_deref().unwrap_or(&raw.name)),
            mode: raw.mode,
            lease,
            deadline: Duration::from_millis(deadline),
            unprotect: if raw.allow_unprotect { Unprotect::Allowed } else { Unprotect::Refused },
        })
    }

    fn trigger_upstream(
        &mut self,
        key: &str,
        raw: &RawTrigger,
        upstreams: &[raw::Upstream],
    ) -> Option<Arc<str>> {
        let key = format!("{key}.upstream");
        let mut able = upstreams.iter().filter(|it| it.vendor == Vendor::Genesys);
        let found = match &raw.upstream {
            Some(name) => able.find(|it| it.name == *name),
            None => able.next().filter(|_| able.next().is_none()),
        };
        let Some(found) = found else {
            self.fault(&key, "must name an upstream whose vendor is \"genesys\"");
            return None;
        };
        if found.service.is_none() {
            let message =
                format!("{} needs an [upstream.service], which acts for triggers", found.name);
            self.fault(&key, message);
        }
        Some(Arc::from(&*found.name))
    }

    fn lease_terms(&mut self, key: &str, raw: &RawTrigger, pauses: bool) -> LeaseTerms {
        if pauses && raw.on_expiry.is_none() {
            let message = "is missing: what happens when a pause is held for longer than max_pause, \
                           \"resume\" or \"alarm\" (it stays paused, and a person is called)";
            self.fault(&format!("{key}.on_expiry"), message);
        }
        let mut time =
            |name: &str, text: Option<&String>, usual, most: Duration, least: Duration| {
                let Some(text) = text else { return usual };
                span(text).filter(|it| *it <= most && *it >= least).unwrap_or_else(|| {
                    let message =
                        format!("must be a time from {least:?} to {most:?}, such as \"10s\"");
                    self.fault(&format!("{key}.{name}"), message);
                    usual
                })
            };
        let settle = time("settle", raw.settle.as_ref(), SETTLE, LONGEST_SETTLE, Duration::ZERO);
        let second = Duration::from_secs(1);
        let max = raw.max_pause.as_ref();
        let max_pause = time("max_pause", max, LONGEST_PAUSE, LONGEST_PAUSE, second);
        if pauses && max.is_none() {
            let message = "is missing: the longest that a pause is held, such as \"10m\"";
            self.fault(&format!("{key}.max_pause"), message);
        }
        let on_expiry = raw.on_expiry.unwrap_or(OnExpiry::Alarm);
        LeaseTerms { max_pause, on_expiry, settle }
    }

    fn medium(&mut self, key: &str, raw: Option<&RawText>) -> Medium {
        let key = format!("{key}.medium");
        match raw {
            None => Medium::Ask,
            Some(RawText::At(place)) => {
                self.pointer(&key, Some(&place.pointer)).map_or(Medium::Ask, Medium::At)
            }
            Some(RawText::Given(word)) => medium(word).map_or_else(
                || {
                    self.fault(&key, "must be one of the nine media, or { pointer = \"/…\" }");
                    Medium::Ask
                },
                Medium::Given,
            ),
        }
    }

    fn source(&mut self, key: &str, raw: Option<&RawText>) -> Text {
        let key = format!("{key}.source");
        match raw {
            None => Text::Name,
            Some(RawText::At(place)) => {
                self.pointer(&key, Some(&place.pointer)).map_or(Text::Name, Text::At)
            }
            Some(RawText::Given(text)) => {
                if text.is_empty() || !is_text(text, TRIGGER_SOURCE_BYTES) {
                    let message = format!("must have 1 to {TRIGGER_SOURCE_BYTES} {TEXT}");
                    self.fault(&key, message);
                }
                Text::Given(Arc::from(&**text))
            }
        }
    }

    pub(super) fn pointer(&mut self, key: &str, text: Option<&String>) -> Option<Pointer> {
        let pointer = Pointer::parse(text?);
        if pointer.is_none() {
            self.fault(key, "must be a JSON pointer (RFC 6901), such as \"/conversation/id\"");
        }
        pointer
    }

    // === rules ===

    fn rules(&mut self, key: &str, raw: &RawTrigger) -> Vec<Rule> {
        if raw.rules.is_empty() {
            self.fault(&format!("{key}.rules"), "must not be empty");
        }
        let mut rules = Vec::new();
        for (at, rule) in raw.rules.iter().enumerate() {
            let key = format!("{key}.rules.{at}");
            let list = self.pointer(&format!("{key}.conversations"), rule.conversations.as_ref());
            let moves = matches!(rule.act, RawAct::Protect | RawAct::Revoke);
            if rule.conversations.is_some() && !moves {
                self.fault(&format!("{key}.conversations"), "is for protect and revoke");
            }
            if moves && rule.conversations.is_none() && raw.conversation.is_none() {
                let message = "is missing: where the ids of the conversations stand";
                self.fault(&format!("{key}.conversations"), message);
            }
            if rule.act == RawAct::Revoke && !raw.allow_unprotect {
                let message =
                    "\"revoke\" lets recordings be deleted: it needs allow_unprotect = true";
                self.fault(&format!("{key}.do"), message);
            }
            let act = match rule.act {
                RawAct::Pause => Act::Pause,
                RawAct::Resume => Act::Resume,
                RawAct::Protect => Act::Protect(list),
                RawAct::Revoke => Act::Revoke(list),
                RawAct::Nothing => Act::Nothing,
            };
            let mut left = TRIGGER_CONDITIONS;
            let when = match &rule.when {
                None => Ok(Condition::Always),
                Some(raw) => condition(raw, &mut left),
            };
            match when {
                Ok(when) => rules.push(Rule { when, act }),
                Err(message) => self.fault(&format!("{key}.when"), message),
            }
        }
        rules
    }
}

/// Whether a text can stand in records and in front of people: PostgreSQL takes no NUL, and a terminal
/// obeys control characters.
fn is_text(text: &str, most_bytes: usize) -> bool {
    text.len() <= most_bytes && !text.chars().any(char::is_control)
}

fn condition(raw: &RawCondition, left: &mut usize) -> Result<Condition, String> {
    *left = left.checked_sub(1).ok_or("holds too many conditions")?;
    let place = match (&raw.pointer, &raw.header, &raw.query) {
        (None, None, None) => None,
        (Some(pointer), None, None) => {
            let pointer = Pointer::parse(pointer);
            let wrong = "`pointer` must be a JSON pointer (RFC 6901)";
            Some(Place::Payload(pointer.ok_or(wrong)?))
        }
        (None, Some(name), None) => {
            let name = name.parse().map_err(|_| "`header` is no header's name")?;
            Some(Place::Header(name))
        }
        (None, None, Some(name)) => Some(Place::Query(name.clone())),
        _ => return Err("looks at more than one of pointer, header and query".to_owned()),
    };
    let test = match (&raw.equals, &raw.one_of, &raw.matches) {
        (None, None, None) => None,
        (Some(value), None, None) => Some(Test::Equals(scalar(value)?)),
        (None, Some(values), None) => {
            Some(Test::In(values.iter().map(scalar).collect::<Result<_, _>>()?))
        }
        (None, None, Some(pattern)) => {
            let built = RegexBuilder::new(pattern).size_limit(TRIGGER_PATTERN_BYTES).build();
            Some(Test::Matches(built.map_err(|error| format!("`matches`: {error}"))?))
        }
        _ => return Err("has more than one of equals, in and matches".to_owned()),
    };
    let mut several = |list: &[RawCondition]| {
        list.iter().map(|it| condition(it, left)).collect::<Result<Vec<_>, _>>()
    };
    match (place, test, &raw.all, &raw.any, &raw.not) {
        (Some(place), Some(test), None, None, None) => Ok(Condition::Test(place, test)),
        (None, None, Some(list), None, None) => Ok(Condition::All(several(list)?)),
        (None, None, None, Some(list), None) => Ok(Condition::Any(several(list)?)),
        (None, None, None, None, Some(it)) => Ok(Condition::Not(Box::new(condition(it, left)?))),
        _ => {
            Err("must be a place (pointer, header or query) with a test (equals, in or matches), \
                  or one of all, any, not"
                .to_owned())
        }
    }
}

fn scalar(value: &toml::Value) -> Result<Scalar, String> {
    match value {
        toml::Value::String(text) => Ok(Scalar::Text(text.clone())),
        toml::Value::Integer(number) => Ok(Scalar::Whole(*number)),
        toml::Value::Float(number) => Ok(Scalar::Number(*number)),
        toml::Value::Boolean(value) => Ok(Scalar::Bool(*value)),
        _ => Err("compares with texts, numbers, true and false only".to_owned()),
    }
}
