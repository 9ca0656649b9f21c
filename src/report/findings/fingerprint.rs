//! What makes a kind of finding one, as a digest that is the same in every run.
//!
//! SHA-256 and not a fast hash: pointers hold property names out of messages, and nobody shall hide
//! a fault behind another by choosing them. Of a pointer only the first bytes count, so that a
//! message cannot make an entry large.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Serialize, Serializer};

use super::Place;
use crate::contract::Finding;
use crate::limits;

/// The first 16 bytes of a SHA-256 over upstream, operation, hop, blame, code, location, pointers
/// and keyword; shown as 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 16]);

// === impl Fingerprint ===

impl Fingerprint {
    pub(super) fn of(place: &Place<'_>, finding: &Finding) -> Self {
        let mut digest = Context::new(&SHA256);
        let mut part = |text: &str| {
            digest.update(text.as_bytes());
            // No part of a kind holds this byte: it is not UTF-8.
            digest.update(&[0xff]);
        };
        part(place.upstream);
        part(place.operation);
        part(place.hop.as_str());
        part(place.blame.as_str());
        part(finding.code);
        part(finding.location.as_str());
        part(&finding.spec_pointer);
        part(&finding.keyword);
        part(&finding.expected);
        for text in without_indices(finding) {
            digest.update(text.as_bytes());
        }
        let mut print = [0; 16];
        print.copy_from_slice(&digest.finish().as_ref()[..16]);
        Self(print)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The pieces of a finding's pointer with every index of an array as `*`, cut at its limit. A
/// member's name stays, whatever it is made of.
pub(super) fn without_indices(finding: &Finding) -> impl Iterator<Item = &str> {
    let (pointer, indices) = (&finding.pointer, finding.indices);
    let end = pointer.floor_char_boundary(limits::FINDING_POINTER_BYTES);
    let parts = pointer[..end].split('/').enumerate().flat_map(move |(number, part)| {
        let slash = if number == 0 { "" } else { "/" };
        // What stands before the first slash is no token.
        let is_index = number > 0 && indices.has(number - 1);
        [slash, if is_index { "*" } else { part }]
    });
    parts.chain((end < pointer.len()).then_some("…"))
}
