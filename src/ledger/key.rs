//! The key of the chains: 32 bytes, as 64 hexadecimal digits in a file or a variable.
//!
//! Beside a SQLite file it is made at the first start, readable by its owner alone. For a ledger
//! that gateways share it has to be given: a key that each of them made up would be two.
//! It prints nothing of itself.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::hmac;

use super::record::{hex, unhex};

/// The key of the chains.
#[derive(Clone)]
pub struct Key(hmac::Key);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file.
    #[error("the ledger's key {}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Its contents.
    #[error(
        "the ledger's key in {origin} must be 64 hexadecimal digits (openssl rand -hex 32 makes one)"
    )]
    Form {
        /// The file or the variable.
        origin: String,
    },
    /// The variable.
    #[error("the ledger's key: the environment has no variable {0}")]
    Variable(String),
    /// No randomness.
    #[error("the system gives no random bytes for the ledger's key")]
    Random,
    /// The ledger is there, its key is not.
    #[error(
        "the ledger {} is there, but its key {} is not: put the key back, or move the ledger away to begin a new one",
        ledger.display(),
        key.display()
    )]
    Lost {
        /// The database.
        ledger: PathBuf,
        /// Where its key was expected.
        key: PathBuf,
    },
}

// === impl Key ===

impl Key {
    pub(super) fn hmac(&self) -> &hmac::Key {
        &self.0
    }

    /// A key for a ledger that ends with its process.
    pub(super) fn random() -> Result<Self, KeyError> {
        Ok(Self::new(random()?))
    }

    /// Reads it from a variable.
    pub(super) fn from_variable(name: &str) -> Result<Self, KeyError> {
        let text = std::env::var(name).map_err(|_| KeyError::Variable(name.to_owned()))?;
        Self::parse(&text, || format!("the variable {name}"))
    }

    /// Reads it from a file.
    pub(super) fn from_file(path: &Path) -> Result<Self, KeyError> {
        let fault = |error| KeyError::File { path: path.to_owned(), error };
        let text = std::fs::read_to_string(path).map_err(fault)?;
        Self::parse(&text, || path.display().to_string())
    }

    /// Reads it from a file, or makes one there if `ledger` does not exist yet.
    pub(super) fn from_file_or_new(path: &Path, ledger: &Path) -> Result<Self, KeyError> {
        match Self::from_file(path) {
            Err(KeyError::File { error, .. }) if error.kind() == io::ErrorKind::NotFound => {}
            read => return read,
        }
        Self::is_no_loss(path, ledger)?;
        let bytes = random()?;
        let written = || -> io::Result<()> {
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            writeln!(file, "{}", hex(&bytes))?;
            file.sync_all()?;
            // Without the directory's entry the file may be gone after a power cut.
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
        };
        written().map_err(|error| KeyError::File { path: path.to_owned(), error })?;
        Ok(Self::new(bytes))
    }

    /// Whether a key that is not there may be made: its ledger does not exist yet either.
    pub(super) fn is_no_loss(path: &Path, ledger: &Path) -> Result<(), KeyError> {
        if ledger.exists() {
            return Err(KeyError::Lost { ledger: ledger.to_owned(), key: path.to_owned() });
        }
        Ok(())
    }

    fn parse(text: &str, origin: impl FnOnce() -> String) -> Result<Self, KeyError> {
        let bytes = unhex(text.trim()).ok_or_else(|| KeyError::Form { origin: origin() })?;
        Ok(Self::new(bytes))
    }

    fn new(bytes: [u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

fn random() -> Result<[u8; 32], KeyError> {
    let mut bytes = [0; 32];
    // From the system: the library's own generator measures the processor for a tenth of a second
    // before its first byte.
    getrandom::fill(&mut bytes).map_err(|_| KeyError::Random)?;
    Ok(bytes)
}
