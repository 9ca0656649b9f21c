//! `[[subscription]]` and `[hooks]`: who is told of outcomes, as it is written and as it is used.
//!
//! A secret never stands in the configuration: it comes from a variable of the environment or from
//! a file, when the configuration is checked.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::checking::Checking;
use super::value::{secret_of_file, secret_of_variable, span};
use crate::hook::delivery::event::{Pattern, TYPES};
use crate::hook::delivery::guard::Allowed;
use crate::hook::delivery::schedule::Schedule;
use crate::hook::delivery::subscription::Subscription;
use crate::hook::delivery::target::{Scheme, Target};
use crate::hook::signature::Secret;
use crate::limits::DELIVERY_STEPS;

/// `[hooks]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config.toml documents each")]
pub struct Hooks {
    pub retry_schedule: Vec<String>,
    pub jitter_percent: u32,
}

/// `[[subscription]]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawSubscription {
    /// Its name in logs, metrics and commands.
    pub name: String,
    /// Where its deliveries go.
    pub url: String,
    /// Types of events, or their beginnings: `recording.*`.
    pub events: Vec<String>,
    /// The name of the variable that holds the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_env: Option<String>,
    /// The file whose first line is the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// While secrets rotate: the variable that holds the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_secret_env: Option<String>,
    /// Or the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_secret_file: Option<PathBuf>,
    /// Hosts and networks that are not public and may be reached.
    #[serde(default)]
    pub allow: Vec<String>,
    /// Whether its url may be http.
    #[serde(default)]
    pub allow_http: bool,
    /// The longest that one try takes.
    #[serde(default = "timeout")]
    pub timeout: String,
    /// PEM authorities instead of the built-in web roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// The longest that `timeout` may be: a place of the subscription's is taken so long.
const LONGEST_TIMEOUT: Duration = Duration::from_mins(1);
/// The longest that one wait of the schedule may be.
const LONGEST_WAIT: Duration = Duration::from_hours(24 * 7);

impl Default for Hooks {
    fn default() -> Self {
        let steps = ["0s", "5s", "5m", "30m", "2h", "5h", "10h", "14h", "20h", "24h"];
        Self { retry_schedule: steps.map(str::to_owned).to_vec(), jitter_percent: 10 }
    }
}

fn timeout() -> String {
    "20s".to_owned()
}

impl Checking<'_> {
    /// Checks `[hooks]`.
    pub(super) fn schedule(&mut self, raw: &Hooks) -> Schedule {
        let key = "hooks.retry_schedule";
        let mut waits = Vec::new();
        for step in &raw.retry_schedule {
            match span(step).filter(|wait| *wait <= LONGEST_WAIT) {
                Some(wait) => waits.push(wait),
                None => self.fault(
                    key,
                    format!("`{step}` must be a time of at most a week, such as \"5s\" or \"2h\""),
                ),
            }
        }
        if raw.retry_schedule.len() > DELIVERY_STEPS {
            self.fault(key, format!("must have at most {DELIVERY_STEPS} steps"));
        }
        match waits.first() {
            Some(first) if first.is_zero() => drop(waits.remove(0)),
            _ => self.fault(key, "must begin with \"0s\": the first try is made at once"),
        }
        if raw.jitter_percent > 50 {
            self.fault("hooks.jitter_percent", "must be 0 to 50");
        }
        Schedule { waits, jitter_percent: raw.jitter_percent.min(50) }
    }

    /// Checks every `[[subscription]]`.
    pub(super) fn subscriptions(&mut self, raw: &[RawSubscription]) -> Vec<Subscription> {
        let mut names = HashSet::new();
        let mut checked = Vec::new();
        for raw in raw {
            let key = format!("subscription.{}", raw.name);
            if !names.insert(&raw.name) {
                self.fault(&format!("{key}.name"), "is taken by another subscription");
            }
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            if raw.name.is_empty() || raw.name.len() > 64 || !raw.name.bytes().all(plain) {
                let message = "must have 1 to 64 letters, digits, hyphens, underscores or dots";
                self.fault(&format!("{key}.name"), message);
            }
            checked.extend(self.subscription(&key, raw));
        }
        checked
    }

    fn subscription(&mut self, key: &str, raw: &RawSubscription) -> Option<Subscription> {
        let events = self.patterns(&format!("{key}.events"), &raw.events);
        let mut allow = Vec::new();
        for text in &raw.allow {
            match text.parse::<Allowed>() {
                Ok(allowed) => allow.push(allowed),
                Err(error) => self.fault(&format!("{key}.allow"), format!("`{text}` {error}")),
            }
        }
        let least = if raw.allow_http { Scheme::Http } else { Scheme::Https };
        let target = Target::parse(&raw.url, least, &allow)
            .map_err(|error| self.fault(&format!("{key}.url"), error.to_string()))
            .ok();
        let timeout =
            span(&raw.timeout).filter(|it| (Duration::from_secs(1)..=LONGEST_TIMEOUT).contains(it));
        if timeout.is_none() {
            self.fault(&format!("{key}.timeout"), "must be from \"1s\" to \"1m\"");
        }
        let newest = self.secret(key, "secret", raw.secret_env.as_ref(), raw.secret_file.as_ref());
        if raw.secret_env.is_none() && raw.secret_file.is_none() {
            self.fault(key, "needs one of: secret_env, secret_file");
        }
        let (variable, file) =
            (raw.previous_secret_env.as_ref(), raw.previous_secret_file.as_ref());
        let previous = self.secret(key, "previous_secret", variable, file);
        Some(Subscription {
            name: Arc::from(&*raw.name),
            target: target?,
            events,
            secrets: newest.into_iter().chain(previous).collect(),
            allow,
            timeout: timeout?,
            ca_file: raw.ca_file.clone(),
        })
    }

    fn patterns(&mut self, key: &str, raw: &[String]) -> Vec<Pattern> {
        let mut patterns = Vec::new();
        for text in raw {
            match text.parse() {
                Ok(pattern) => patterns.push(pattern),
                Err(error) => {
                    let known = TYPES.join(", ");
                    self.fault(key, format!("`{text}` {error}: there are {known}, and beginnings such as recording.*"));
                }
            }
        }
        if raw.is_empty() {
            self.fault(key, "must name at least one type of event, or \"*\"");
        }
        patterns
    }

    fn secret(
        &mut self,
        key: &str,
        name: &str,
        variable: Option<&String>,
        file: Option<&PathBuf>,
    ) -> Option<Secret> {
        let (place, text) = match (variable, file) {
            (Some(variable), None) => (format!("{key}.{name}_env"), secret_of_variable(variable)),
            (None, Some(file)) => (format!("{key}.{name}_file"), secret_of_file(file)),
            (Some(_), Some(_)) => {
                let message = format!("must be left out where there is a {name}_env");
                self.fault(&format!("{key}.{name}_file"), message);
                return None;
            }
            (None, None) => return None,
        };
        let secret = text.and_then(|text| {
            Secret::parse(text.trim()).map_err(|error| format!("holds no secret: {error}"))
        });
        secret.map_err(|message| self.fault(&place, message)).ok()
    }
}
