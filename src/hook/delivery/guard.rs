//! Which addresses a delivery may be sent to.
//!
//! Whoever can name a target could otherwise make the gateway call what only the gateway can reach:
//! a metadata service, a database, its own admin side. So only addresses that the whole internet
//! can reach are called, unless the subscription names the host or the network in `allow`. What is
//! judged is the address that is dialled, never a name: a name may have another address a moment
//! later.
//!
//! Sources: IANA's special-purpose registries (RFC 6890 and its successors). Of IPv6 only global
//! unicast (`2000::/3`) passes, without what stands for IPv4 addresses (6to4, Teredo; mapped and
//! NAT64 addresses are outside of it): such an address leads wherever the embedded one does.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::config::network::Network;

/// Why an address is not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Forbidden {
    Unspecified,
    Loopback,
    Private,
    SharedNat,
    LinkLocal,
    Multicast,
    Broadcast,
    Documentation,
    EmbeddedIpv4,
    Reserved,
}

/// A host or a network that a subscription may reach all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// This name, whatever its address is; lower case.
    Host(String),
    /// These addresses.
    Network(Network),
}

/// A text that names neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a host name, an address or a network, such as \"hooks.internal\" or \"10.1.0.0/16\""
)]
pub struct NeitherHostNorNetwork;

/// Whether an address may be dialled for this host.
pub fn check(host: &str, address: IpAddr, allowed: &[Allowed]) -> Result<(), Forbidden> {
    let excepted = allowed.iter().any(|it| match it {
        Allowed::Host(name) => name.eq_ignore_ascii_case(host.trim_end_matches('.')),
        Allowed::Network(network) => network.contains(address),
    });
    match forbidden(address) {
        Some(why) if !excepted => Err(why),
        _ => Ok(()),
    }
}

/// Why an address is not one of the public internet.
#[must_use]
pub fn forbidden(address: IpAddr) -> Option<Forbidden> {
    match address {
        IpAddr::V4(address) => forbidden_v4(address),
        IpAddr::V6(address) => forbidden_v6(address),
    }
}

fn forbidden_v4(address: Ipv4Addr) -> Option<Forbidden> {
    let why = match address.octets() {
        [0, ..] => Forbidden::Unspecified,
        [10, ..] | [192, 168, ..] => Forbidden::Private,
        [172, second, ..] if second & 0xF0 == 16 => Forbidden::Private,
        [100, second, ..] if second & 0xC0 == 64 => Forbidden::SharedNat,
        [127, ..] => Forbidden::Loopback,
        [169, 254, ..] => Forbidden::LinkLocal,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Forbidden::Documentation,
        // Protocol assignments, 6to4 relays, benchmarks.
        [192, 0, 0, _] | [192, 88, 99, _] | [198, 18 | 19, ..] => Forbidden::Reserved,
        [255, 255, 255, 255] => Forbidden::Broadcast,
        [first, ..] if first >= 240 => Forbidden::Reserved,
        [first, ..] if first >= 224 => Forbidden::Multicast,
        _ => return None,
    };
    Some(why)
}

fn forbidden_v6(address: Ipv6Addr) -> Option<Forbidden> {
    let why = match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Forbidden::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => Forbidden::Loopback,
        // Mapped, compatible, translated, NAT64 (RFC 6052, RFC 8215), 6to4, Teredo.
        [0, 0, 0, 0, 0, _, _, _]
        | [0, 0, 0, 0, 0xFFFF, 0, _, _]
        | [0x64, 0xFF9B, ..]
        | [0x2002, ..]
        | [0x2001, 0, ..] => Forbidden::EmbeddedIpv4,
        [0x2001, 0xDB8, ..] | [0x3FFF, 0..=0xFFF, ..] => Forbidden::Documentation,
        // Protocol assignments, 2001::/23.
        [0x2001, second, ..] if second < 0x200 => Forbidden::Reserved,
        // ISATAP (RFC 5214) carries an IPv4 address in any network.
        [_, _, _, _, 0 | 0x200, 0x5EFE, _, _] => Forbidden::EmbeddedIpv4,
        [first, ..] if first & 0xFE00 == 0xFC00 => Forbidden::Private,
        [first, ..] if first & 0xFF80 == 0xFE80 => Forbidden::LinkLocal,
        [first, ..] if first & 0xFF00 == 0xFF00 => Forbidden::Multicast,
        [first, ..] if first & 0xE000 != 0x2000 => Forbidden::Reserved,
        _ => return None,
    };
    Some(why)
}

// === impl Forbidden ===

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "unspecified",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::SharedNat => "carrier-grade NAT",
            Self::LinkLocal => "link-local",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Documentation => "documentation",
            Self::EmbeddedIpv4 => "IPv6 that stands for an IPv4 address",
            Self::Reserved => "reserved",
        })
    }
}

// === impl Allowed ===

impl FromStr for Allowed {
    type Err = NeitherHostNorNetwork;

    fn from_str(text: &str) -> Result<Self, NeitherHostNorNetwork> {
        if let Ok(network) = text.parse() {
            return Ok(Self::Network(network));
        }
        // What looks like an address and is none is a typing error, not a name.
        let name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let last = text.rsplit('.').next().unwrap_or_default();
        let numeric = last.bytes().next().is_none_or(|byte| byte.is_ascii_digit());
        if text.bytes().all(name) && !numeric {
            return Ok(Self::Host(text.to_ascii_lowercase()));
        }
        Err(NeitherHostNorNetwork)
    }
}
