//! The gateway's own OAuth clients: who, and where the secret is found.
//!
//! The secret never stands in the configuration: it comes from a variable of the environment or
//! from a file, when the configuration is checked. What holds it prints nothing of it.

use std::path::PathBuf;

use http::uri::PathAndQuery;
use serde::{Deserialize, Serialize};

use super::checking::Checking;
use super::value::{secret_of_file, secret_of_variable};

/// `[upstream.service]` and `[upstream.recovery]`, as they are spelt.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawAccount {
    /// The OAuth client's id.
    pub client_id: String,
    /// The name of the variable that holds the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_env: Option<String>,
    /// The file whose first line is the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<PathBuf>,
    /// The token endpoint below the login address.
    #[serde(default = "token_path")]
    pub token_path: String,
}

/// An OAuth client of the gateway's own.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its id.
    pub client_id: String,
    /// Its secret.
    pub secret: Secret,
    /// The token endpoint below the login address.
    pub token_path: String,
}

/// A secret that is not printed.
#[derive(Clone)]
pub struct Secret(String);

impl Checking<'_> {
    /// Checks an account, and finds its secret. `key` is its table.
    pub(super) fn account(&mut self, key: &str, raw: &RawAccount) -> Option<Account> {
        let (place, found) = match (&raw.client_secret_env, &raw.client_secret_file) {
            (Some(name), None) => ("client_secret_env", secret_of_variable(name)),
            (None, Some(file)) => ("client_secret_file", secret_of_file(file)),
            _ => {
                let wanted = "needs exactly one of: client_secret_env, client_secret_file";
                ("client_id", Err(wanted.to_owned()))
            }
        };
        let found = found.and_then(|secret| match &*secret {
            "" => Err("holds an empty secret".to_owned()),
            _ => Ok(Secret(secret)),
        });
        let secret = found.map_err(|message| self.fault(&format!("{key}.{place}"), message)).ok();
        if raw.client_id.is_empty() {
            self.fault(&format!("{key}.client_id"), "must not be empty");
        }
        // One that is no path would be found out at the first sign-in.
        let path: Option<PathAndQuery> = raw.token_path.parse().ok();
        if !raw.token_path.starts_with('/') || path.is_none() {
            self.fault(&format!("{key}.token_path"), "must be a path that begins with /");
        }
        Some(Account {
            client_id: raw.client_id.clone(),
            secret: secret?,
            token_path: raw.token_path.clone(),
        })
    }
}

// === impl Secret ===

impl Secret {
    /// A secret.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

fn token_path() -> String {
    "/oauth/token".to_owned()
}
