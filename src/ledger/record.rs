//! A record, and the chain it stands in.
//!
//! Each writer (one run of one gateway) has a chain of its own: the hash of a record is
//! HMAC-SHA256 over its fields and the hash before it. Who does not hold the key can neither
//! change a record nor make one up; what was cut off at the end is told by an anchor
//! ([`super::verify`]). The fields are hashed with their lengths before them, so that no two
//! different records are hashed alike.

use aws_lc_rs::hmac;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::key::Key;

/// What the first field of every hash is: a hash made for anything else is none of a record.
const DOMAIN: &[u8] = b"recgate ledger record 1";

/// The hash before a writer's first record.
pub const GENESIS: [u8; 32] = [0; 32];

/// One record, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The process that wrote it.
    pub writer: Uuid,
    /// Its number in the writer's chain, from 1.
    pub seq: u64,
    /// When, in microseconds of the Unix epoch; never before the record in front of it.
    pub at: i64,
    /// What it is.
    pub kind: String,
    /// What it says: JSON, the text exactly as it was hashed.
    pub body: String,
    /// The hash of the record in front of it.
    pub previous: [u8; 32],
    /// Its own.
    pub hash: [u8; 32],
}

/// The kinds of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A writer began: its instance, and the heads of the other chains.
    Started,
    /// Before the first upstream call of a mutation.
    Intent,
    /// After the last.
    Outcome,
    /// Something worth knowing in between.
    Record,
    /// The open intents of a dead writer were taken over.
    Adopted,
    /// Old records were removed.
    Checkpoint,
    /// A writer ended as it should.
    Ended,
}

/// The end of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last record's number; 0 before the first.
    pub seq: u64,
    /// When it was written, in microseconds.
    pub at: i64,
    /// Its hash.
    pub hash: [u8; 32],
}

/// A record as it is shown and exported: its chain in hexadecimal, and what it says.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// When.
    pub at: Timestamp,
    /// Whose chain.
    pub writer: Uuid,
    /// The number in it.
    pub seq: u64,
    /// What kind.
    pub entry: String,
    /// What it says, as JSON.
    pub says: serde_json::Value,
    /// The hash of the record in front of it.
    pub previous: String,
    /// Its own.
    pub hash: String,
}

// === impl Shown ===

impl Shown {
    /// What is shown of a record.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        Self {
            at: record.time(),
            writer: record.writer,
            seq: record.seq,
            entry: record.kind.clone(),
            says: serde_json::from_str(&record.body)
                .unwrap_or_else(|_| serde_json::Value::String(record.body.clone())),
            previous: hex(&record.previous),
            hash: hex(&record.hash),
        }
    }
}

// === impl Record ===

impl Record {
    /// The record that follows `head`.
    pub(super) fn after(
        head: &Head,
        writer: Uuid,
        at: i64,
        kind: Kind,
        body: String,
        key: &Key,
    ) -> Self {
        let mut record = Self {
            writer,
            seq: head.seq + 1,
            at: at.max(head.at),
            kind: kind.as_str().to_owned(),
            body,
            previous: head.hash,
            hash: GENESIS,
        };
        record.hash = record.digest(key);
        record
    }

    /// Whether the hash is the one that the key gives.
    #[must_use]
    pub fn is_genuine(&self, key: &Key) -> bool {
        // The comparison takes constant time by habit; nobody can ask it often.
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.digest(key), &self.hash).is_ok()
    }

    /// The end of the chain with this record.
    #[must_use]
    pub const fn head(&self) -> Head {
        Head { seq: self.seq, at: self.at, hash: self.hash }
    }

    /// When it was written.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        Timestamp::from_microsecond(self.at).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn digest(&self, key: &Key) -> [u8; 32] {
        let mut context = hmac::Context::with_key(key.hmac());
        let (seq, at) = (self.seq.to_be_bytes(), self.at.to_be_bytes());
        let fields: [&[u8]; 7] = [
            DOMAIN,
            self.writer.as_bytes(),
            &seq,
            &at,
            self.kind.as_bytes(),
            self.body.as_bytes(),
            &self.previous,
        ];
        for field in fields {
            context.update(&(field.len() as u64).to_be_bytes());
            context.update(field);
        }
        let tag = context.sign();
        let mut hash = GENESIS;
        for (to, from) in hash.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        hash
    }
}

// === impl Kind ===

impl Kind {
    /// The spelling in the ledger.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Intent => "intent",
            Self::Outcome => "outcome",
            Self::Record => "record",
            Self::Adopted => "adopted",
            Self::Checkpoint => "checkpoint",
            Self::Ended => "ended",
        }
    }
}

// === impl Head ===

impl Head {
    /// Before the first record.
    pub(super) const NONE: Self = Self { seq: 0, at: 0, hash: GENESIS };
}

/// A hash as text.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The 32 bytes that 64 hexadecimal digits mean.
#[must_use]
pub fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).ok()?;
    }
    Some(bytes)
}
