//! One API through time: the head document, and overlays that take changes away again.
//!
//! The head is what the vendor says today; an overlay that holds `before` a day says what was
//! different until then. A date uses every overlay whose day lies after it, the newest first, so
//! that each overlay is written against the document of the day it ends.

use std::{cmp::Reverse, fmt, str::FromStr, sync::Arc};

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    Contract, DatedOverlay, DocumentError, Source, UriTable,
    document::{Document, Uris},
    overlay::Overlay,
};

/// The contracts of one API, by date.
#[derive(Debug)]
pub struct Timeline {
    head: Arc<Contract>,
    /// Newest first: the contract that holds before this day.
    past: Vec<(Date, Arc<Contract>)>,
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
    /// Reads and compiles the head document and the document of every date before it.
    pub fn load(head: &Source, overlays: &[DatedOverlay]) -> Result<Self, DocumentError> {
        Self::load_with_uris(head, overlays, &UriTable::new())
    }

    /// The same, with a table of URIs that references may name: each absolute URI with the text
    /// that it stands for. Nothing is ever fetched.
    pub fn load_with_uris(
        head: &Source,
        overlays: &[DatedOverlay],
        uris: &UriTable,
    ) -> Result<Self, DocumentError> {
        let parse = |(uri, source): (&String, &Source)| {
            Ok((uri.trim_end_matches('#').to_owned(), Document::parse(source)?.root().clone()))
        };
        let uris = Uris::new(uris.iter().map(parse).collect::<Result<_, DocumentError>>()?);
        let mut document = Arc::new(Document::parse(head)?.with_uris(&uris));
        let newest = Contract::compile(&document).map_err(|error| error.located(head))?;
        let mut order: Vec<&DatedOverlay> = overlays.iter().collect();
        order.sort_by_key(|overlay| Reverse(overlay.before));
        let mut past: Vec<(Date, Arc<Contract>)> = Vec::with_capacity(order.len());
        for dated in order {
            let overlay = Overlay::parse(&dated.source);
            let root = overlay
                .and_then(|overlay| overlay.apply(document.root().clone()))
                .map_err(|error| error.located(&dated.source))?;
            let name = format!("{} before {}", document.name(), dated.before);
            document = Arc::new(Document::from_value(name, root).with_uris(&uris));
            let contract = Arc::new(Contract::compile(&document)?);
            match past.last_mut() {
                // Two overlays that end on one day are one change.
                Some((before, last)) if *before == dated.before => *last = contract,
                _ => past.push((dated.before, contract)),
            }
        }
        Ok(Self { head: Arc::new(newest), past })
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
