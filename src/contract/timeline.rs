//! One API through time: the head document, and overlays that take changes away again.
//!
//! The head is what the vendor says today; an overlay that holds `before` a day says what was
//! different until then. A date uses every overlay whose day lies after it, the newest first, so
//! that each overlay is written against the document of the day it ends.

use std::{cmp::Reverse, collections::HashSet, fmt, str::FromStr, sync::Arc};

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use super::{
    Contract, DatedOverlay, DocumentError, Input, Note, Source, UriTable, convert,
    document::{Document, Version},
    overlay::{Content, Overlay},
};

/// The contracts of one API, by date.
#[derive(Clone, Debug)]
pub struct Timeline {
    head: Arc<Contract>,
    /// Newest first: the contract that holds before this day.
    past: Vec<(Date, Arc<Contract>)>,
    /// Of everything that was read.
    digest: [u8; 32],
}

/// The day whose API a message is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContractDate {
    /// The API as it was on this day.
    On(Date),
    /// The API of the head document, whatever the day is.
    Latest,
}

/// A text that is no contract date.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a contract date is a day such as `2026-09-20`, or `latest`")]
pub struct ContractDateError;

// === impl Timeline ===

impl Timeline {
    /// Reads and compiles one document, which refers to no other file, and what it said before.
    pub fn load(head: &Source, overlays: &[DatedOverlay]) -> Result<Self, DocumentError> {
        Self::read(&[Input::from(head.clone())], overlays, &UriTable::new())
    }

    /// Reads and compiles the documents of an API, with the files and URIs they refer to, and what
    /// they said before every date. An error is about a text as a whole; what is wrong with a part
    /// is among [`Self::notes`].
    pub fn read(
        inputs: &[Input],
        overlays: &[DatedOverlay],
        uris: &UriTable,
    ) -> Result<Self, DocumentError> {
        let mut documents = Vec::with_capacity(inputs.len());
        let mut digest = Sha256::new();
        for input in inputs {
            let document = Document::load(input, uris)?;
            feed(&mut digest, &input.source.name, &input.source.text);
            document.feed_files(&mut |key, text| feed(&mut digest, key, text));
            documents.push(document);
        }
        let (head, mut documents) = compile(documents)?;
        let mut order: Vec<&DatedOverlay> = overlays.iter().collect();
        order.sort_by_key(|overlay| Reverse(overlay.before));
        let mut past: Vec<(Date, Arc<Contract>)> = Vec::with_capacity(order.len());
        for dated in order {
            let overlay = Overlay::parse(&dated.source)?;
            feed(&mut digest, &dated.before.to_string(), &dated.source.text);
            let mut contents: Vec<Content> =
                documents.iter().map(|it| Content::of(it.as_ref())).collect();
            overlay.apply(&mut contents)?;
            let mut changed = Vec::with_capacity(documents.len());
            for ((content, document), input) in contents.into_iter().zip(&documents).zip(inputs) {
                let document = document.changed(content.root, content.moved, input, uris)?;
                document.feed_files(&mut |key, text| feed(&mut digest, key, text));
                changed.push(document);
            }
            let (contract, changed) = compile(changed)?;
            documents = changed;
            match past.last_mut() {
                // Two overlays that end on one day are one change.
                Some((before, last)) if *before == dated.before => *last = contract,
                _ => past.push((dated.before, contract)),
            }
        }
        Ok(Self { head, past, digest: digest.finalize().into() })
    }

    /// The SHA-256 of everything that was read for it: two of the same digest say the same.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// What the documents say that was not understood, at any date, each thing once: the head's
    /// first.
    pub fn notes(&self) -> impl Iterator<Item = &Note> {
        let mut seen = HashSet::new();
        let contracts = std::iter::once(&self.head).chain(self.past.iter().map(|(_, it)| it));
        contracts.flat_map(|it| it.notes()).filter(move |note| seen.insert(note.identity()))
    }

    /// The contract of a date.
    #[must_use]
    pub fn at(&self, date: ContractDate) -> &Arc<Contract> {
        let ContractDate::On(day) = date else { return &self.head };
        // `past` runs back in time, so the last one that still ends after the day holds on it.
        self.past
            .iter()
            .take_while(|(before, _)| day < *before)
            .last()
            .map_or(&self.head, |(_, contract)| contract)
    }

    /// The days on which the API changed, oldest first.
    pub fn dates(&self) -> impl Iterator<Item = Date> {
        self.past.iter().rev().map(|(before, _)| *before)
    }
}

/// One text into a digest, so that no two lists of texts are fed alike.
fn feed(digest: &mut Sha256, name: &str, text: &str) {
    for part in [name, text] {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
}

type Compiled = (Arc<Contract>, Vec<Arc<Document>>);

/// Compiles documents, those of Swagger 2.0 by way of their conversion.
fn compile(documents: Vec<Document>) -> Result<Compiled, DocumentError> {
    let ready: Vec<Arc<Document>> = documents
        .into_iter()
        .map(|document| match document.version() {
            Version::V20 => Arc::new(convert::convert(document)),
            _ => Arc::new(document),
        })
        .collect();
    let contract = Contract::compile(&ready)?;
    Ok((Arc::new(contract), ready))
}

// === impl ContractDate ===

impl fmt::Display for ContractDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On(day) => day.fmt(f),
            Self::Latest => f.write_str("latest"),
        }
    }
}

impl FromStr for ContractDate {
    type Err = ContractDateError;

    fn from_str(text: &str) -> Result<Self, ContractDateError> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        // jiff reads a date with a time behind it too; a contract date is a day and nothing else.
        if text.len() != "2026-09-20".len() {
            return Err(ContractDateError);
        }
        text.parse().map(Self::On).map_err(|_| ContractDateError)
    }
}

impl Serialize for ContractDate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContractDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
