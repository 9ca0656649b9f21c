//! How many connections are open, in all and from one address.
//!
//! One that is too many is closed before a byte of it is read: what it would take (a TLS handshake,
//! buffers) is what there is too little of. A peer that the operator trusts to speak for others
//! (`gateway.trusted_peers`) is counted in all only.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::network::Network;

/// The count, shared by all threads.
pub(crate) struct Door {
    inside: Mutex<Inside>,
}

/// The bounds, each at least one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    pub(crate) in_all: usize,
    pub(crate) per_address: usize,
}

struct Inside {
    most: Most,
    trusted: Vec<Network>,
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A connection that was let in; it is counted while this lives.
pub(crate) struct Entered {
    door: Arc<Door>,
    /// Set where it counts for its address, too.
    address: Option<IpAddr>,
}

/// Why a connection was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooMany {
    /// Too many in all.
    InAll,
    /// Too many from its address.
    FromAddress,
}

// === impl Door ===

impl Door {
    pub(crate) fn new(most: Most, trusted: Vec<Network>) -> Arc<Self> {
        let by_address = HashMap::new();
        Arc::new(Self { inside: Mutex::new(Inside { most, trusted, all: 0, by_address }) })
    }

    /// Sets other bounds. Who is inside stays, and is counted.
    pub(crate) fn bound(&self, most: Most, trusted: Vec<Network>) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        (inside.most, inside.trusted) = (most, trusted);
    }

    /// Lets a connection in, if there is room.
    pub(crate) fn enter(self: &Arc<Self>, peer: IpAddr) -> Result<Entered, TooMany> {
        let peer = peer.to_canonical();
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let most = inside.most;
        let trusted = inside.trusted.iter().any(|network| network.contains(peer));
        if inside.all >= most.in_all {
            return Err(TooMany::InAll);
        }
        if !trusted {
            let from = inside.by_address.entry(peer).or_default();
            if *from >= most.per_address {
                return Err(TooMany::FromAddress);
            }
            *from += 1;
        }
        inside.all += 1;
        Ok(Entered { door: Arc::clone(self), address: (!trusted).then_some(peer) })
    }
}

// === impl TooMany ===

impl TooMany {
    /// The word in metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::InAll => "connections",
            Self::FromAddress => "connections-per-address",
        }
    }
}

// === impl Entered ===

impl Drop for Entered {
    fn drop(&mut self) {
        let mut inside = self.door.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.all -= 1;
        if let Some(address) = self.address
            && let Some(from) = inside.by_address.get_mut(&address)
        {
            *from -= 1;
            if *from == 0 {
                inside.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Door, Most, TooMany};

    #[test]
    fn room_is_kept_by_address_and_in_all() {
        let most = Most { in_all: 4, per_address: 2 };
        let door = Door::new(most, vec!["10.0.0.0/8".parse().unwrap()]);
        let enter = |peer: &str| door.enter(peer.parse().unwrap());
        let first = enter("192.0.2.1").ok();
        let _second = enter("::ffff:192.0.2.1").ok().unwrap();
        assert_eq!(enter("192.0.2.1").err(), Some(TooMany::FromAddress));
        let _trusted = (enter("10.0.0.1").ok().unwrap(), enter("10.0.0.1").ok().unwrap());
        assert_eq!(enter("10.0.0.1").err(), Some(TooMany::InAll));
        drop(first);
        let _again = enter("192.0.2.1").ok().unwrap();
        assert_eq!(door.inside.lock().unwrap().by_address.len(), 1, "who has gone is forgotten");
        door.bound(Most { in_all: 5, per_address: 2 }, Vec::new());
        let _more = enter("10.0.0.1").ok().unwrap();
        assert_eq!(enter("10.0.0.2").err(), Some(TooMany::InAll), "who was inside is counted");
    }
}
