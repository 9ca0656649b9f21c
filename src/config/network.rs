//! Addresses that clients call from: one, or a network (RFC 4632, RFC 4291 §2.3).
//!
//! An IPv4 address is one address however it is spelt: a client that reaches a listener of both
//! families as `::ffff:10.0.0.1` is `10.0.0.1` (RFC 4291 §2.5.5.2). A network whose address has
//! bits behind its prefix is refused, because it is a typing error as often as not.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// Bits that count: 0 to 32, or to 128.
    prefix: u8,
}

/// A text that is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Neither an address nor an address and a prefix.
    #[error("must be an address or a network, such as \"192.0.2.7\" or \"10.0.0.0/8\"")]
    Unreadable,
    /// Bits of the address would not count.
    #[error("has bits behind its prefix: write the network's own address, such as \"10.0.0.0/8\"")]
    Loose,
    /// IPv4 in IPv6's clothes.
    #[error("is an IPv4 network in IPv6's spelling: write it as IPv4, such as \"10.0.0.0/8\"")]
    Mapped,
}

// === impl Network ===

impl Network {
    /// Whether an address lies in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = if self.address.is_ipv4() { 32 } else { 128 };
        match self.prefix {
            prefix if prefix == bits => self.address.fmt(f),
            prefix => write!(f, "{}/{prefix}", self.address),
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Unreadable)?;
        if address.to_canonical() != address {
            return Err(NetworkError::Mapped);
        }
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            // `+8` is a number to Rust and none here.
            Some(text) if text.bytes().all(|it| it.is_ascii_digit()) => text.parse().ok(),
            Some(_) => None,
            None => Some(bits),
        };
        let prefix = prefix.filter(|it| *it <= bits).ok_or(NetworkError::Unreadable)?;
        let behind = match address {
            IpAddr::V4(it) => it.to_bits().checked_shl(prefix.into()).unwrap_or(0) != 0,
            IpAddr::V6(it) => it.to_bits().checked_shl(prefix.into()).unwrap_or(0) != 0,
        };
        if behind {
            return Err(NetworkError::Loose);
        }
        Ok(Self { address, prefix })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Network, NetworkError};

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("0.0.0.0/0", "255.1.1.1", "::1"),
            ("2001:db8::/32", "2001:db8:1::1", "2001:db9::"),
            ("::/0", "2001:db8::", "10.0.0.1"),
            ("::1", "::1", "::2"),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{network:?} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{network:?} {outside}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "::/129", "x/8"] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError::Unreadable), "{text}");
        }
        assert_eq!("10.0.0.1/8".parse::<Network>(), Err(NetworkError::Loose));
        assert_eq!("::ffff:10.0.0.0/104".parse::<Network>(), Err(NetworkError::Mapped));
    }
}
