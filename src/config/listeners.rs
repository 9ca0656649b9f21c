//! Addresses that a process which serves everything cannot have: one port for two listeners, and an
//! upstream that is the gateway itself.
//!
//! This is no part of [`super::checking`]: whoever runs the mock alone, or reads a ledger, takes none of
//! these ports.

use std::net::{IpAddr, SocketAddr};

use super::checked::{Address, Config, Scheme};

/// What is wrong, each with its key.
#[must_use]
pub fn crossed(config: &Config) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    let mut taken = vec![("gateway.listen", config.gateway.listen)];
    let mock = config.uses_mock().then_some(("mock.listen", config.mock.listen));
    for (key, address) in [Some(("admin.listen", config.admin)), mock].into_iter().flatten() {
        if let Some((by, _)) = taken.iter().find(|(_, other)| is_shared(*other, address)) {
            faults.push((key.to_owned(), format!("{address} is taken by {by}")));
        }
        taken.push((key, address));
    }
    let listen = config.gateway.listen;
    for upstream in &config.upstreams {
        let own = |address: &Address| is_own(address, listen);
        for (key, address) in [("url", &upstream.address), ("login_url", &upstream.login)] {
            // Left out, the login goes to url, and is told there.
            if own(address) && (key == "url" || !own(&upstream.address)) {
                let message = format!("is gateway.listen ({listen}): requests would go round");
                faults.push((format!("upstream.{}.{key}", upstream.name), message));
            }
        }
    }
    faults
}

/// Whether two listeners cannot be at once. An address of all covers each of its family.
fn is_shared(one: SocketAddr, other: SocketAddr) -> bool {
    let covers = one.is_ipv4() == other.is_ipv4()
        && (one.ip().is_unspecified() || other.ip().is_unspecified());
    one.port() == other.port() && one.port() != 0 && (one.ip() == other.ip() || covers)
}

/// Whether an upstream's address is the listener's. Names are not looked up, but for the machine's own.
fn is_own(address: &Address, listen: SocketAddr) -> bool {
    let Address::Server { scheme, authority } = address else { return false };
    let Ok(authority) = authority.parse::<http::uri::Authority>() else { return false };
    let port = authority.port_u16().unwrap_or(match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    });
    if port != listen.port() {
        return false;
    }
    let (host, own) = (authority.host().trim_matches(['[', ']']), listen.ip());
    if host.eq_ignore_ascii_case("localhost") {
        return own.is_loopback() || own.is_unspecified();
    }
    let Ok(host) = host.parse::<IpAddr>() else { return false };
    // To connect to the address of all is to connect to this machine.
    let here = host.is_loopback() || host.is_unspecified();
    host == own || (here && own.is_unspecified()) || (host.is_unspecified() && own.is_loopback())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rstest::rstest;

    use super::crossed;
    use crate::config::Layers;

    const HERE: &str = "is gateway.listen";

    #[rstest]
    #[case::nothing(&[], &[])]
    #[case::free_ports(&["gateway.listen=127.0.0.1:0", "admin.listen=127.0.0.1:0", "mock.listen=127.0.0.1:0"], &[])]
    #[case::admin(&["admin.listen=127.0.0.1:8080"], &[("admin.listen", "127.0.0.1:8080 is taken by gateway.listen")])]
    #[case::mock(&["mock.listen=127.0.0.1:9090"], &[("mock.listen", "127.0.0.1:9090 is taken by admin.listen")])]
    #[case::all(&["gateway.listen=0.0.0.0:9090"], &[("admin.listen", "127.0.0.1:9090 is taken by gateway.listen")])]
    #[case::another_address(&["admin.listen=127.0.0.2:8080"], &[])]
    #[case::no_mock_runs(
        &["mock.listen=127.0.0.1:9090", "upstream.genesys.url=https://a", "upstream.webex.url=https://b"],
        &[]
    )]
    #[case::itself(&["upstream.genesys.url=http://127.0.0.1:8080"], &[("upstream.genesys.url", HERE)])]
    #[case::by_name(&["upstream.genesys.url=http://localhost:8080"], &[("upstream.genesys.url", HERE)])]
    #[case::the_usual_port(
        &["gateway.listen=0.0.0.0:443", "upstream.genesys.url=https://localhost"],
        &[("upstream.genesys.url", HERE)]
    )]
    #[case::over_ipv6(
        &["gateway.listen=[::1]:8080", "upstream.genesys.url=http://[::1]:8080"],
        &[("upstream.genesys.url", HERE)]
    )]
    #[case::login(&["upstream.genesys.login_url=http://0.0.0.0:8080"], &[("upstream.genesys.login_url", HERE)])]
    #[case::the_mock_by_its_address(&["upstream.genesys.url=http://127.0.0.1:8081"], &[])]
    fn what_cannot_be_at_once_is_told(#[case] sets: &[&str], #[case] told: &[(&str, &str)]) {
        let layers = sets.iter().fold(Layers::open(None).unwrap(), |layers, set| {
            layers.with_flag("--set", set).unwrap()
        });
        let faults = crossed(&layers.load().unwrap());
        assert_eq!(faults.len(), told.len(), "{faults:?}");
        for ((key, message), (wanted, part)) in faults.iter().zip(told) {
            assert!(key == wanted && message.contains(part), "{faults:?}");
        }
    }
}
