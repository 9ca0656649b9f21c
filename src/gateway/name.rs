//! A name for each exchange: a UUID version 7 (RFC 9562 §5.7).
//!
//! Its random half nobody can guess, because outcomes are looked up by it. Asking the kernel for
//! ten bytes costs as much as reading a head, so each thread asks for many at once.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::{Builder, Uuid};

/// Random bytes of one name.
const RANDOM_BYTES: usize = 10;

/// Names that are made of what is drawn at once.
const NAMES: usize = 64;

/// Random bytes that no name has yet.
struct Store {
    bytes: [u8; NAMES * RANDOM_BYTES],
    left: usize,
}

/// A name for an exchange that begins now.
pub(crate) fn exchange() -> Uuid {
    thread_local! {
        static STORE: RefCell<Store> =
            const { RefCell::new(Store { bytes: [0; NAMES * RANDOM_BYTES], left: 0 }) };
    }
    let Some(random) = STORE.with_borrow_mut(Store::take) else { return Uuid::now_v7() };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    Builder::from_unix_timestamp_millis(now_ms, &random).into_uuid()
}

// === impl Store ===

impl Store {
    /// Nothing where there is no randomness to be had.
    fn take(&mut self) -> Option<[u8; RANDOM_BYTES]> {
        if self.left == 0 {
            getrandom::fill(&mut self.bytes).ok()?;
            self.left = NAMES;
        }
        self.left -= 1;
        let random = self.bytes[self.left * RANDOM_BYTES..].first_chunk_mut()?;
        // Each is given once, and not kept.
        Some(std::mem::take(random))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{NAMES, exchange};

    #[test]
    fn no_two_exchanges_have_one_name() {
        let before = uuid::Uuid::now_v7().get_timestamp().map(|it| it.to_unix().0);
        let names: Vec<_> = (0..10 * NAMES).map(|_| exchange()).collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        for name in names {
            assert_eq!((name.get_version_num(), name.get_variant()), (7, uuid::Variant::RFC4122));
            assert!(name.get_timestamp().map(|it| it.to_unix().0) >= before);
        }
    }
}
