//! Bodies that are read before anybody knows what they are, or who sent them.
//!
//! They hold places of their own, so that they take none from what is known; and these places are
//! few, so that they cost little. Whoever begins bodies and does not end them could hold all of
//! them: so nobody waits for one. Where none is free the newest takes the place of another, which
//! gives way: the oldest of the address that has the most under way. What comes at once is read long
//! before its turn to give way, and a sender that floods takes its own places.
//!
//! An address stands for its sender: of IPv6 the first 64 bits do, because the rest is the sender's
//! to choose. Behind a load balancer all senders are one, and the oldest body gives way.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The places, shared by all threads.
#[derive(Debug)]
pub(crate) struct Readings {
    most: usize,
    under_way: Mutex<UnderWay>,
}

#[derive(Debug, Default)]
struct UnderWay {
    /// The oldest first.
    bodies: BTreeMap<u64, Held>,
    next: u64,
}

#[derive(Debug)]
struct Held {
    sender: IpAddr,
    gives_way: Arc<Notify>,
}

/// A place; free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Reading {
    of: Arc<Readings>,
    number: u64,
    gives_way: Arc<Notify>,
}

/// Its place was taken by a newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GaveWay;

// === impl Readings ===

impl Readings {
    /// With so many places, at least one.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, under_way: Mutex::default() })
    }

    /// Takes a place for a body from this address.
    pub(crate) fn begin(self: &Arc<Self>, from: IpAddr) -> Reading {
        let (sender, gives_way) = (sender(from), Arc::new(Notify::new()));
        let mut under_way = self.lock();
        let number = under_way.next;
        under_way.next += 1;
        let held = Held { sender, gives_way: Arc::clone(&gives_way) };
        under_way.bodies.insert(number, held);
        if under_way.bodies.len() > self.most
            && let Some(held) = under_way.longest_of_the_busiest()
        {
            held.gives_way.notify_one();
        }
        drop(under_way);
        Reading { of: Arc::clone(self), number, gives_way }
    }

    fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl UnderWay ===

impl UnderWay {
    /// Takes out the oldest body of the sender that has the most; of two such senders, of the one
    /// that began first.
    fn longest_of_the_busiest(&mut self) -> Option<Held> {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for held in self.bodies.values() {
            *counts.entry(held.sender).or_default() += 1;
        }
        let most = counts.values().copied().max()?;
        let oldest = self.bodies.iter().find(|(_, held)| counts.get(&held.sender) == Some(&most));
        let number = *oldest?.0;
        self.bodies.remove(&number)
    }
}

// === impl Reading ===

impl Reading {
    /// Reads in this place, as long as it has it.
    pub(crate) async fn read<T>(&self, reading: impl Future<Output = T>) -> Result<T, GaveWay> {
        tokio::select! {
            // What has come is not given up.
            biased;
            read = reading => Ok(read),
            () = self.gives_way.notified() => Err(GaveWay),
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.of.lock().bodies.remove(&self.number);
    }
}

/// Who is behind an address.
fn sender(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::future::{pending, ready};
    use std::net::IpAddr;
    use std::sync::Arc;

    use futures_util::FutureExt;

    use super::{GaveWay, Reading, Readings};

    fn begin(readings: &Arc<Readings>, from: &str) -> Reading {
        readings.begin(from.parse::<IpAddr>().unwrap())
    }

    fn gave_way(reading: &Reading) -> bool {
        reading.read(pending::<()>()).now_or_never() == Some(Err(GaveWay))
    }

    #[test]
    fn a_flood_takes_its_own_places() {
        let readings = Readings::new(3);
        let other = begin(&readings, "192.0.2.1");
        let flood: Vec<Reading> = (0..5).map(|_| begin(&readings, "192.0.2.9")).collect();
        let gone: Vec<bool> = flood.iter().map(gave_way).collect();
        assert_eq!(gone, [true, true, true, false, false], "the oldest of the busiest");
        assert!(!gave_way(&other));
        assert_eq!(readings.lock().bodies.len(), 3);
        drop(flood);
        assert_eq!(readings.lock().bodies.len(), 1);
        drop(other);
        assert!(readings.lock().bodies.is_empty());
    }

    #[test]
    fn a_sender_is_an_address_or_a_network() {
        let readings = Readings::new(3);
        let older = begin(&readings, "2001:db8::1");
        let flood = [begin(&readings, "2001:db8:9::1"), begin(&readings, "2001:db8:9::2")];
        let newer = begin(&readings, "2001:db8:9:0:ffff::3");
        assert_eq!(flood.each_ref().map(gave_way), [true, false]);
        assert!(!gave_way(&older) && !gave_way(&newer));
        // The same one, however its address is written.
        assert_eq!(super::sender("::ffff:192.0.2.1".parse().unwrap()).to_string(), "192.0.2.1");
    }

    #[test]
    fn what_has_come_is_not_given_up() {
        let readings = Readings::new(1);
        let (first, second) = (begin(&readings, "::1"), begin(&readings, "::1"));
        assert_eq!(first.read(ready(7)).now_or_never(), Some(Ok(7)));
        assert!(gave_way(&first) && !gave_way(&second));
    }
}
