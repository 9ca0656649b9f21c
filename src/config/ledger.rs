//! `[ledger]`: as it is written, and as the program uses it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::checking::Checking;
use crate::ledger::settings::{KeySource, Pauses, Place, Settings};

/// `[ledger]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config.toml documents each")]
pub struct Ledger {
    pub url: String,
    pub keep_days: u32,
    pub pauses: Pauses,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_env: Option<String>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            url: "sqlite:recgate-ledger.db".to_owned(),
            keep_days: 365,
            pauses: Pauses::Followed,
            instance: None,
            key_file: None,
            key_env: None,
            password_env: None,
        }
    }
}

impl Checking<'_> {
    /// Checks `[ledger]`.
    pub(super) fn ledger(&mut self, raw: &Ledger) -> Settings {
        for (key, variable) in [("key_env", &raw.key_env), ("password_env", &raw.password_env)] {
            let Some(name) = variable else { continue };
            if name.is_empty() || name.starts_with("RECGATE_") {
                let message = "must name a variable that does not begin with RECGATE_: those are \
                               keys of the configuration";
                self.fault(&format!("ledger.{key}"), message);
            }
        }
        let key = match (&raw.key_file, &raw.key_env) {
            (Some(file), Some(_)) => {
                self.fault("ledger.key_env", "must be left out where there is a key_file");
                KeySource::File(file.clone())
            }
            (Some(file), None) => KeySource::File(file.clone()),
            (None, Some(name)) => KeySource::Variable(name.clone()),
            (None, None) => KeySource::Beside,
        };
        let place = self.place(raw);
        if matches!(place, Place::Postgres { .. }) && matches!(key, KeySource::Beside) {
            let message = "or ledger.key_env must be given for PostgreSQL: every gateway of the \
                           ledger needs the same key";
            self.fault("ledger.key_file", message);
        }
        let instance = raw.instance.clone();
        if instance.as_ref().is_some_and(|name| name.is_empty() || name.len() > 64) {
            self.fault("ledger.instance", "must have 1 to 64 characters");
        }
        Settings { place, key, keep_days: raw.keep_days, pauses: raw.pauses, instance }
    }

    fn place(&mut self, raw: &Ledger) -> Place {
        let wanted = "must be \"memory:\", \"sqlite:FILE\" or \"postgres://USER@HOST/DATABASE\"";
        if raw.url == "memory:" {
            return Place::Memory;
        }
        if let Some(path) = raw.url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path == ":memory:" || path.contains('?') {
                self.fault("ledger.url", wanted);
            }
            return Place::Sqlite(PathBuf::from(path));
        }
        if raw.url.starts_with("postgres://") || raw.url.starts_with("postgresql://") {
            let secret = raw.url.split(['?', '&']).skip(1).any(|it| it.starts_with("password="));
            let user = raw.url.split("://").nth(1).and_then(|it| it.split('/').next());
            let user = user.and_then(|it| it.rsplit_once('@')).map(|(user, _)| user);
            if secret || user.is_some_and(|user| user.contains(':')) {
                let message = "must not hold a password: name a variable that does, in \
                               ledger.password_env";
                self.fault("ledger.url", message);
            }
            return Place::Postgres { url: raw.url.clone(), password: raw.password_env.clone() };
        }
        self.fault("ledger.url", wanted);
        Place::Memory
    }
}
