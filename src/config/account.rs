//! The gateway's own OAuth clients: who, and where the secret is found.
//!
//! The secret never stands in the configuration: it comes from a variable of the environment or
//! from a file, when the configuration is checked. What holds it prints nothing of it.

use std::path::PathBuf;

use http::uri::PathAndQuery;
use serde::{Deserialize, Serialize};

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

// === impl RawAccount ===

impl RawAccount {
    /// Finds the secret. An error names the key at fault below the account's own, and what to do.
    pub fn check(&self) -> Result<Account, (&'static str, String)> {
        let secret = match (&self.client_secret_env, &self.client_secret_file) {
            (Some(name), None) => {
                secret_of_variable(name).map_err(|message| ("client_secret_env", message))?
            }
            (None, Some(file)) => {
                secret_of_file(file).map_err(|message| ("client_secret_file", message))?
            }
            _ => {
                let wanted = "needs exactly one of: client_secret_env, client_secret_file";
                return Err(("client_id", wanted.to_owned()));
            }
        };
        if self.client_id.is_empty() {
            return Err(("client_id", "must not be empty".to_owned()));
        }
        if secret.is_empty() {
            let place = match self.client_secret_env {
                Some(_) => "client_secret_env",
                None => "client_secret_file",
            };
            return Err((place, "holds an empty secret".to_owned()));
        }
        // One that is no path would be found out at the first sign-in.
        let path: Option<PathAndQuery> = self.token_path.parse().ok();
        if !self.token_path.starts_with('/') || path.is_none() {
            return Err(("token_path", "must be a path that begins with /".to_owned()));
        }
        Ok(Account {
            client_id: self.client_id.clone(),
            secret: Secret(secret),
            token_path: self.token_path.clone(),
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
