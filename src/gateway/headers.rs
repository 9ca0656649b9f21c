//! Hop-by-hop headers (RFC 9110 §7.6.1): taken off both ways; everything else keeps its bytes, its
//! order and its duplicates.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::change::call::retained;

/// `Keep-Alive` and `Proxy-Connection`: hop-by-hop by custom, and unknown to the `http` crate.
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Headers of one connection, whatever `Connection` says.
pub(super) fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::CONNECTION
            | header::TE
            | header::TRANSFER_ENCODING
            | header::UPGRADE
            | header::PROXY_AUTHENTICATE
            | header::PROXY_AUTHORIZATION
    ) || *name == KEEP_ALIVE
        || *name == PROXY_CONNECTION
}

/// Takes the headers of one connection off. Those that `Connection` names go too, except
/// `Host`, `Authorization`, `Content-Length` and recgate's own, which no client may strip.
///
/// The map is built anew where something has to go: removing in place would move the last header
/// to the gap, and the order would not survive.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if !headers.keys().any(is_hop_by_hop) {
        return;
    }
    if let Some(alone) = last_alone(headers) {
        headers.remove(alone);
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| !is_protected(name))
        .collect();
    // A length beside a transfer coding is no length of anything (RFC 9112 §6.3).
    let coded = headers.contains_key(header::TRANSFER_ENCODING);
    let goes = |name: &HeaderName| {
        is_hop_by_hop(name) || named.contains(name) || (coded && *name == header::CONTENT_LENGTH)
    };
    *headers = retained(std::mem::take(headers), |name| !goes(name));
}

/// The one hop-by-hop header where there is one only, the last of all, and it says that the
/// connection lasts: nothing would move to its gap. Many servers' answers end in it.
fn last_alone(headers: &HeaderMap) -> Option<HeaderName> {
    let mut belong = headers.iter().filter(|(name, _)| is_hop_by_hop(name));
    let (name, value) = belong.next()?;
    let last = belong.next().is_none() && headers.keys().last() == Some(name);
    let lasts = value.as_bytes().eq_ignore_ascii_case(b"keep-alive");
    (last && *name == header::CONNECTION && lasts).then_some(header::CONNECTION)
}

/// Takes off what only recgate says: an upstream cannot speak for it.
pub(crate) fn strip_own(headers: &mut HeaderMap) {
    if headers.keys().any(is_own) {
        *headers = retained(std::mem::take(headers), |name| !is_own(name));
    }
}

pub(super) fn is_own(name: &HeaderName) -> bool {
    name.as_str().starts_with("recgate-")
}

fn is_protected(name: &HeaderName) -> bool {
    matches!(*name, header::HOST | header::AUTHORIZATION | header::CONTENT_LENGTH) || is_own(name)
}

/// One `Cookie` header of what HTTP/2 may have split (RFC 9113 §8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> =
        headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

/// Whether a request asks for a WebSocket on this connection. No other protocol is tunnelled: over
/// `h2c` requests would go on that nobody routes or checks, and Java's client asks for it with
/// every request. Such a request is answered as if it had not asked (RFC 9110 §7.8).
pub(crate) fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    names_websocket(headers)
        && headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
}

/// Whether `Upgrade` names a WebSocket and nothing else.
pub(crate) fn names_websocket(headers: &HeaderMap) -> bool {
    let websocket =
        |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"websocket");
    headers.contains_key(header::UPGRADE) && headers.get_all(header::UPGRADE).iter().all(websocket)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use rstest::rstest;

    use super::strip_hop_by_hop;

    #[rstest]
    #[case::last(&[("a", "1"), ("b", "2"), ("a", "3"), ("connection", "keep-alive")])]
    #[case::first(&[("connection", "Keep-Alive"), ("a", "1"), ("b", "2"), ("a", "3")])]
    #[case::twice(&[("a", "1"), ("connection", "keep-alive"), ("b", "2"), ("a", "3"), ("connection", "c"), ("c", "4")])]
    #[case::naming(&[("a", "1"), ("c", "4"), ("b", "2"), ("a", "3"), ("connection", "c")])]
    #[case::another(&[("a", "1"), ("b", "2"), ("a", "3"), ("keep-alive", "timeout=5")])]
    fn what_stays_keeps_its_order(#[case] lines: &[(&'static str, &'static str)]) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        strip_hop_by_hop(&mut headers);
        let left: Vec<(&str, &[u8])> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(left, [("a", &b"1"[..]), ("a", b"3"), ("b", b"2")]);
    }
}
