//! What one server tells the next about a request's way: `Via` (RFC 9110 §7.6.3), `Forwarded` (RFC
//! 7239) with its older spellings `X-Forwarded-*`, and `traceparent` (W3C Trace Context).
//!
//! Who a request came from is what its connection shows. What a stranger says about it is taken off
//! and told anew; a peer that the operator trusts (`gateway.trusted_peers`) is believed, and its
//! list goes on. Calls that a change makes are the client's in this, too, unless the gateway's own
//! account makes them: then only `Via` and `traceparent` are told.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Version, header};
use uuid::Uuid;

use super::authority;
use super::certificate::Certificate;
use crate::change::call::retained;
use crate::config::network::Network;

const FORWARDED: HeaderName = header::FORWARDED;
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// Headers that are told of one request, at most.
const TOLD: usize = 6;

/// Every header by which a request's origin is told.
const ORIGIN: &[&str] = &[
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-real-ip",
];

/// How a connection reached the gateway.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) peer: IpAddr,
    scheme: Scheme,
    /// What the client proved of itself.
    pub(crate) certificate: Option<Rc<Certificate>>,
    /// The peer's address, put into words once.
    told: HeaderValue,
    /// The host that was named last, and the element of `Forwarded` for it: few clients name two.
    last: RefCell<(HeaderValue, HeaderValue)>,
}

/// Clear or TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

/// What is told of one request.
pub(crate) struct Passage {
    via: HeaderValue,
    /// The exchange that begins a trace, where none came.
    trace: Option<Uuid>,
    origin: Option<Origin>,
}

/// Where a request came from.
struct Origin {
    element: HeaderValue,
    peers: HeaderValue,
    /// None where no host was named: HTTP/1.0 needs none.
    host: Option<HeaderValue>,
    proto: HeaderValue,
}

/// In whose name a call goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InName {
    /// The client's.
    Client,
    /// The gateway's own account's.
    Gateway,
}

// === impl Arrival ===

impl Arrival {
    pub(crate) fn new(peer: IpAddr, scheme: Scheme, certificate: Option<Rc<Certificate>>) -> Self {
        let told = value(peer.to_canonical().to_string(), "unknown");
        let nothing = HeaderValue::from_static("");
        let last = RefCell::new((nothing.clone(), nothing));
        Self { peer, scheme, certificate, told, last }
    }

    /// The host as it is told, and the element of `Forwarded` for a request to it; both may lack it.
    fn element(&self, host: &str) -> (HeaderValue, HeaderValue) {
        let mut last = self.last.borrow_mut();
        let (named, element) = &*last;
        if named == host && !element.is_empty() {
            return last.clone();
        }
        let peer = self.told.to_str().unwrap_or_default();
        let (open, close) = if peer.contains(':') { ("for=\"[", "]\"") } else { ("for=", "") };
        let mut element = String::with_capacity(peer.len() + host.len() + 40);
        element.extend([open, peer, close]);
        // It was judged to be an authority, which holds no quote.
        if !host.is_empty() {
            element.extend([";host=\"", host, "\""]);
        }
        element.extend([";proto=", self.scheme.as_str()]);
        *last = (value(host.to_owned(), ""), value(element, "for=unknown"));
        last.clone()
    }
}

// === impl Scheme ===

impl Scheme {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

// === impl Passage ===

impl Passage {
    /// What to tell of a request that has just come. Takes off its head what is told anew.
    pub(crate) fn of<B>(
        request: &mut Request<B>,
        arrival: &Arrival,
        trusted: &[Network],
        exchange: Uuid,
    ) -> Self {
        let trusts = trusted.iter().any(|network| network.contains(arrival.peer));
        let origin = origin(request, arrival, trusts);
        let version = request.version();
        let headers = request.headers_mut();
        if headers.keys().any(tells_origin) {
            *headers = retained(std::mem::take(headers), |name| !tells_origin(name));
        }
        let valid = headers.get(TRACE_PARENT).is_some_and(is_trace_parent);
        let trace = if valid { None } else { Some(exchange) };
        let via = match version {
            Version::HTTP_2 => HeaderValue::from_static("2 recgate"),
            Version::HTTP_10 => HeaderValue::from_static("1.0 recgate"),
            _ => HeaderValue::from_static("1.1 recgate"),
        };
        Self { via, trace, origin: Some(origin) }
    }

    /// Of a call that no client asked for.
    pub(crate) fn own(exchange: Uuid) -> Self {
        Self { via: HeaderValue::from_static("1.1 recgate"), trace: Some(exchange), origin: None }
    }

    /// Tells it, behind everything else.
    pub(crate) fn tell(&self, headers: &mut HeaderMap, name: InName) {
        headers.reserve(TOLD);
        headers.append(header::VIA, self.via.clone());
        if let Some(exchange) = self.trace {
            headers.insert(TRACE_PARENT, trace_parent(exchange));
        }
        if let Some(origin) = self.origin.as_ref().filter(|_| name == InName::Client) {
            headers.insert(FORWARDED, origin.element.clone());
            headers.insert(FORWARDED_FOR, origin.peers.clone());
            if let Some(host) = &origin.host {
                headers.insert(FORWARDED_HOST, host.clone());
            }
            headers.insert(FORWARDED_PROTO, origin.proto.clone());
        }
    }
}

pub(super) fn tells_origin(name: &HeaderName) -> bool {
    let name = name.as_str();
    // Nearly every header is told apart by its first letter.
    matches!(name.as_bytes().first(), Some(b'f' | b'x')) && ORIGIN.contains(&name)
}

fn origin<B>(request: &Request<B>, arrival: &Arrival, trusts: bool) -> Origin {
    let headers = request.headers();
    let (host, element) = arrival.element(authority::with_port(request));
    let own = Origin {
        element,
        peers: arrival.told.clone(),
        host: Some(host).filter(|host| !host.is_empty()),
        proto: HeaderValue::from_static(arrival.scheme.as_str()),
    };
    if !trusts {
        return own;
    }
    let said = |name: &HeaderName| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let values: Vec<&str> = values.filter(|value| !value.trim().is_empty()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    };
    let extended = |name: HeaderName, own: HeaderValue| match (said(&name), own.to_str()) {
        (Some(said), Ok(last)) => HeaderValue::try_from(format!("{said}, {last}")).unwrap_or(own),
        _ => own,
    };
    // The outermost host and scheme are what a client sees.
    let kept = |name: HeaderName| said(&name).and_then(|said| HeaderValue::try_from(said).ok());
    Origin {
        element: extended(FORWARDED, own.element),
        peers: extended(FORWARDED_FOR, own.peers),
        host: kept(FORWARDED_HOST).or(own.host),
        proto: kept(FORWARDED_PROTO).unwrap_or(own.proto),
    }
}

/// A text as a header's value; `otherwise` stands for one that cannot be.
fn value(text: String, otherwise: &'static str) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(otherwise))
}

/// Whether a value is a `traceparent` of version 00 or of one that begins alike.
fn is_trace_parent(value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else { return false };
    let lower_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
    };
    let any = |text: &str| text.bytes().any(|byte| byte != b'0');
    let mut parts = text.split('-');
    let (Some(version), Some(trace), Some(parent), Some(flags)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    lower_hex(version, 2)
        && version != "ff"
        && (version != "00" || parts.next().is_none())
        && lower_hex(trace, 32)
        && any(trace)
        && lower_hex(parent, 16)
        && any(parent)
        && lower_hex(flags, 2)
}

/// A new trace whose id is the exchange's, so that logs on both sides can be joined. Not sampled:
/// the gateway records no spans.
fn trace_parent(exchange: Uuid) -> HeaderValue {
    let mut buffer = Uuid::encode_buffer();
    let trace: &str = exchange.simple().encode_lower(&mut buffer);
    // The last half of a UUID version 7 is random.
    let parent = &trace[16..];
    let mut text = String::with_capacity("00--".len() + 32 + 16 + "-00".len());
    text.extend(["00-", trace, "-", parent, "-00"]);
    value(text, "")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::{HeaderMap, HeaderValue, Request};
    use rstest::rstest;
    use uuid::Uuid;

    use super::{Arrival, InName, Passage, Scheme, is_trace_parent};

    fn told(lines: &[(&'static str, &'static str)], peer: &str, trusted: &[&str]) -> HeaderMap {
        let mut request = Request::new(());
        let headers = request.headers_mut();
        headers.append("host", HeaderValue::from_static("recgate.example:8443"));
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let arrival = Arrival::new(peer.parse().unwrap(), Scheme::Https, None);
        let trusted: Vec<_> = trusted.iter().map(|it| it.parse().unwrap()).collect();
        let passage = Passage::of(&mut request, &arrival, &trusted, Uuid::from_u128(7));
        passage.tell(request.headers_mut(), InName::Client);
        request.into_parts().0.headers
    }

    #[test]
    fn what_a_stranger_says_is_told_anew() {
        let said = [
            ("x-forwarded-for", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1;proto=ftp"),
            ("x-real-ip", "10.0.0.1"),
            ("x-forwarded-proto", "ftp"),
        ];
        let headers = told(&said, "203.0.113.9", &["10.0.0.0/8"]);
        assert_eq!(headers["x-forwarded-for"], "203.0.113.9");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "recgate.example:8443");
        assert_eq!(
            headers["forwarded"],
            "for=203.0.113.9;host=\"recgate.example:8443\";proto=https"
        );
        assert_eq!(headers.get("x-real-ip"), None);
        assert_eq!(headers.get_all("forwarded").iter().count(), 1);
    }

    #[test]
    fn a_trusted_peers_list_goes_on() {
        let said = [
            ("x-forwarded-for", "198.51.100.1"),
            ("x-forwarded-for", "198.51.100.2"),
            ("x-forwarded-host", "api.example"),
            ("forwarded", "for=198.51.100.1"),
        ];
        let headers = told(&said, "::ffff:10.1.2.3", &["10.0.0.0/8"]);
        assert_eq!(headers["x-forwarded-for"], "198.51.100.1, 198.51.100.2, 10.1.2.3");
        assert_eq!(headers["x-forwarded-host"], "api.example");
        assert_eq!(headers["x-forwarded-proto"], "https");
        let forwarded = headers["forwarded"].to_str().unwrap();
        assert!(forwarded.starts_with("for=198.51.100.1, for=10.1.2.3;host="), "{forwarded}");
    }

    #[test]
    fn an_ipv6_peer_is_quoted() {
        let headers = told(&[], "2001:db8::1", &[]);
        assert!(headers["forwarded"].to_str().unwrap().starts_with("for=\"[2001:db8::1]\";"));
        assert_eq!(headers["x-forwarded-for"], "2001:db8::1");
    }

    #[test]
    fn each_host_of_a_connection_is_told() {
        let arrival = Arrival::new("203.0.113.9".parse().unwrap(), Scheme::Http, None);
        let (one, two) = (Some("one.example"), Some("two.example"));
        // By a header, or by the target: `:authority` of HTTP/2, or a form that is absolute.
        let spelt = |host: Option<&'static str>, by_target: bool| match host {
            Some(host) if by_target => Request::get(format!("http://{host}/x")).body(()),
            Some(host) => Request::get("/x").header("host", host).body(()),
            None => Request::get("/x").body(()),
        };
        for (host, by_target) in [
            (one, false),
            (one, true),
            (one, true),
            (two, true),
            (None, false),
            (Some(""), false),
            (one, true),
            (two, false),
        ] {
            let mut request = spelt(host, by_target).unwrap();
            let passage = Passage::of(&mut request, &arrival, &[], Uuid::from_u128(7));
            let headers = request.headers_mut();
            passage.tell(headers, InName::Client);
            let named = host.filter(|host| !host.is_empty());
            let element = named.map(|host| format!(";host=\"{host}\"")).unwrap_or_default();
            assert_eq!(headers["forwarded"], format!("for=203.0.113.9{element};proto=http"));
            let told = headers.get("x-forwarded-host").map(|it| it.to_str().unwrap());
            assert_eq!(told, named);
        }
    }

    #[test]
    fn a_via_stands_behind_those_before_it() {
        let headers = told(&[("via", "1.0 fred")], "203.0.113.9", &[]);
        let via: Vec<_> = headers.get_all("via").iter().collect();
        assert_eq!(via, ["1.0 fred", "1.1 recgate"]);
    }

    #[test]
    fn a_trace_is_kept_or_begun() {
        let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let kept = told(&[("traceparent", given)], "203.0.113.9", &[]);
        assert_eq!(kept["traceparent"], given);
        let begun = told(&[("traceparent", "00-nonsense")], "203.0.113.9", &[]);
        assert!(is_trace_parent(&begun["traceparent"]), "{:?}", begun["traceparent"]);
        assert_eq!(begun.get_all("traceparent").iter().count(), 1);
    }

    #[rstest]
    #[case::next_version("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what", true)]
    #[case::longer("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what", false)]
    #[case::upper_case("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false)]
    #[case::no_trace("00-00000000000000000000000000000000-b7ad6b7169203331-01", false)]
    #[case::no_parent("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false)]
    #[case::no_version("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false)]
    #[case::empty("", false)]
    fn a_trace_parent_is_known(#[case] value: &'static str, #[case] valid: bool) {
        assert_eq!(is_trace_parent(&HeaderValue::from_static(value)), valid);
    }
}
