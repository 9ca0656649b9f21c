//! Where a ledger is, and what it is to be like: checked by [`crate::config`].

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::key::{Key, KeyError};

/// What a ledger needs to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where it is.
    pub place: Place,
    /// Where its key is.
    pub key: KeySource,
    /// Records older than so many days are removed; 0 keeps all.
    pub keep_days: u32,
    /// Which pauses of clients that need no adapting are on record.
    pub pauses: Pauses,
    /// This gateway's name among those that share the ledger. Where one is given, a start takes
    /// over sooner what an earlier process of the same name left.
    pub instance: Option<String>,
}

/// Which pauses of clients that need no adapting are on record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pauses {
    /// Those that somebody beside the gateway acts on or wants to hear of.
    #[default]
    Followed,
    /// All.
    All,
}

/// Where a ledger is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this process; it ends with it.
    Memory,
    /// In a file that one gateway has for itself.
    Sqlite(PathBuf),
    /// In a database that gateways may share.
    Postgres {
        /// `postgres://…`, without a password.
        url: String,
        /// The variable that holds the password.
        password: Option<String>,
    },
}

/// Where the key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// Beside the SQLite file, made at the first start; in memory: none that is kept.
    Beside,
    /// In a file.
    File(PathBuf),
    /// In a variable of the environment.
    Variable(String),
}

// === impl Place ===

impl Place {
    /// Whether gateways may share it.
    pub(super) const fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres { .. })
    }
}

// === impl Settings ===

impl Settings {
    /// A ledger that ends with its process.
    #[must_use]
    pub const fn memory() -> Self {
        Self {
            place: Place::Memory,
            key: KeySource::Beside,
            keep_days: 0,
            pauses: Pauses::Followed,
            instance: None,
        }
    }

    /// The key; a SQLite ledger that does not exist yet gets one.
    pub(super) fn key_or_new(&self) -> Result<Key, KeyError> {
        match (&self.key, &self.place) {
            (KeySource::Beside, Place::Sqlite(path)) => {
                Key::from_file_or_new(&beside(path, "key"), path)
            }
            _ => self.existing_key(),
        }
    }

    /// Whether there is a key, or one may be made; makes none.
    pub(super) fn check_key(&self) -> Result<(), KeyError> {
        match (&self.key, &self.place) {
            (KeySource::Beside, Place::Memory | Place::Postgres { .. }) => Ok(()),
            (KeySource::Beside, Place::Sqlite(path)) if !beside(path, "key").exists() => {
                Key::is_no_loss(&beside(path, "key"), path)
            }
            _ => self.existing_key().map(drop),
        }
    }

    /// The key of a ledger that exists.
    pub fn existing_key(&self) -> Result<Key, KeyError> {
        match (&self.key, &self.place) {
            (KeySource::File(path), _) => Key::from_file(path),
            (KeySource::Variable(name), _) => Key::from_variable(name),
            (KeySource::Beside, Place::Sqlite(path)) => Key::from_file(&beside(path, "key")),
            // The configuration is refused for PostgreSQL without a key.
            (KeySource::Beside, Place::Memory | Place::Postgres { .. }) => Key::random(),
        }
    }
}

/// `ledger.db` → `ledger.db.key`
pub(super) fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

// === impl Place ===

impl fmt::Display for Place {
    /// For people: never with a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("in memory; it ends with this process"),
            Self::Sqlite(path) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                write!(f, "{}", path.display())
            }
            Self::Postgres { url, .. } => f.write_str(url),
        }
    }
}
