//! What is taken out of a payload: ids, a medium, a source.
//!
//! What is taken out goes into paths, records and keys, so it has to be what it is called: an id
//! has the characters of one, a medium is one of nine words. What a payload says beyond that stays
//! in it.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Refusal;
use crate::card;
use crate::change::secure_pause::MEDIA;
use crate::json::Node;
use crate::limits::{LEDGER_SUBJECT_BYTES, TRIGGER_SOURCE_BYTES};

/// An RFC 6901 JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(String);

/// A text that is given, or that the payload holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// The trigger's name.
    Name,
    /// This one.
    Given(Arc<str>),
    /// What stands there.
    At(Pointer),
}

/// Where a conversation's medium is known from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Medium {
    /// This one, out of the nine.
    Given(&'static str),
    /// What stands there; the vendor is asked where nothing does.
    At(Pointer),
    /// The vendor is asked.
    Ask,
}

/// Conversations whose recordings are to be protected or released.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Asked {
    /// The trigger's name.
    pub trigger: String,
    /// Their ids.
    pub conversations: Vec<String>,
}

// === impl Pointer ===

impl Pointer {
    /// A pointer, or nothing where the text is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let escapes = text
            .match_indices('~')
            .all(|(at, _)| matches!(text.as_bytes().get(at + 1), Some(b'0' | b'1')));
        ((text.is_empty() || text.starts_with('/')) && escapes).then(|| Self(text.to_owned()))
    }

    /// What it leads to.
    #[must_use]
    pub fn find<'a, 'b>(&self, payload: &'a Node<'b>) -> Option<&'a Node<'b>> {
        payload.pointer(&self.0)
    }

    /// The id there.
    #[must_use]
    pub fn id(&self, payload: &Node<'_>) -> Option<String> {
        id(self.find(payload)?)
    }

    /// The ids there: one, or a list of them.
    pub fn ids(&self, payload: &Node<'_>) -> Result<Vec<String>, Refusal> {
        let one = |node: &Node<'_>| id(node).ok_or(Refusal::Payload("an id that is none"));
        match self.find(payload) {
            Some(Node::Array(elements)) => elements.iter().map(one).collect(),
            Some(node) => Ok(vec![one(node)?]),
            None => Ok(Vec::new()),
        }
    }
}

// === impl Text ===

impl Text {
    /// The text, as it may stand in records: where it is long, holds what no id does, or could be a
    /// card's number, its hash stands for it.
    pub fn of(&self, payload: &Node<'_>, name: &str) -> Result<String, Refusal> {
        let place = match self {
            Self::Name => return Ok(name.to_owned()),
            Self::Given(text) => return Ok(text.to_string()),
            Self::At(place) => place,
        };
        let text: &str = match place.find(payload) {
            Some(Node::String(text)) => text,
            Some(Node::Number(digits)) => digits,
            _ => return Err(Refusal::Payload("no source in it")),
        };
        if text.is_empty() {
            return Err(Refusal::Payload("an empty source"));
        }
        // With the name before it, so that no payload can speak for another trigger.
        let plain = text.len() <= TRIGGER_SOURCE_BYTES && text.bytes().all(is_plain);
        if plain && !card::is_likely(text) {
            Ok(format!("{name}:{text}"))
        } else {
            let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()));
            Ok(format!("{name}:sha256-{hash}"))
        }
    }
}

// === impl Medium ===

impl Medium {
    /// The word, where it is known.
    pub fn of(&self, payload: &Node<'_>) -> Result<Option<String>, Refusal> {
        match self {
            Self::Given(word) => Ok(Some((*word).to_owned())),
            Self::Ask => Ok(None),
            Self::At(place) => match place.find(payload) {
                None | Some(Node::Null) => Ok(None),
                Some(node) => {
                    let word = node.as_str().and_then(medium);
                    word.map(|it| Some(it.to_owned()))
                        .ok_or(Refusal::Payload("a medium that is none of the nine"))
                }
            },
        }
    }
}

/// One of the nine media, in any letter case and in the singular, too.
#[must_use]
pub fn medium(text: &str) -> Option<&'static str> {
    MEDIA.into_iter().find(|medium| {
        medium.eq_ignore_ascii_case(text)
            || medium.strip_suffix('s').is_some_and(|it| it.eq_ignore_ascii_case(text))
    })
}

/// An id as vendors spell them: what can stand in a path as it is.
fn id(node: &Node<'_>) -> Option<String> {
    let text = node.as_str()?;
    let fits = !text.is_empty() && text.len() <= LEDGER_SUBJECT_BYTES && text.bytes().all(is_plain);
    (fits && text.bytes().any(|byte| byte.is_ascii_alphanumeric())).then(|| text.to_owned())
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}
