//! How often the schemas that lead back to themselves were visited for one value.
//!
//! [`super::lower`] puts [`keyword::VISIT`] in front of them. Counts are of this thread, which
//! judges one value at a time.

use std::cell::Cell;

use jsonschema::{Keyword, ValidationError};

use crate::json::{Borrowed, Node};

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(0) };
}

/// The keyword: true as long as visits are left.
pub(super) struct Visit;

/// Gives so many visits to what is judged next.
pub(super) fn allow(visits: u64) {
    LEFT.set(visits);
}

/// Whether there were more visits than allowed: what the validator said counts for nothing.
pub(super) fn are_spent() -> bool {
    LEFT.get() == 0
}

/// Visits that are left.
#[cfg(test)]
pub(super) fn left() -> u64 {
    LEFT.get()
}

// === impl Visit ===

impl<'i> Keyword<'i, Borrowed> for Visit {
    fn validate(&self, node: &'i Node<'i>) -> Result<(), ValidationError<'i>> {
        if self.is_valid(node) { Ok(()) } else { Err(ValidationError::custom("fewer schemas")) }
    }

    fn is_valid(&self, _: &'i Node<'i>) -> bool {
        let left = LEFT.get().saturating_sub(1);
        LEFT.set(left);
        left > 0
    }
}
