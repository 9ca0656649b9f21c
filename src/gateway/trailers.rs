//! What may stand behind a body, in both versions of HTTP and both directions (RFC 9110 §6.5.1).
//!
//! A trailer comes when its message has been judged and, most often, sent on. So a request's may not
//! frame, route or authenticate: with one it is refused. What belongs to a connection, what tells of
//! a request's way and what recgate alone says is taken off, as it is of a head. An answer is never
//! refused for its trailers, because what it tells of has been done: all of that is taken off it.

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use http_body::Frame;

use super::fields::spelt;
use super::{headers, passage};
use crate::change::call::retained;

/// Fields of a head alone, beside those of its framing: routing, authentication, and how a body is
/// to be read.
const OF_HEADS: &[&str] = &[
    "authorization",
    "connection",
    "content-encoding",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "host",
    "max-forwards",
    "proxy-authorization",
    "te",
    "trailer",
    "upgrade",
];

/// Whether a request with such a trailer is refused.
pub(super) fn is_refused(name: &[u8]) -> bool {
    spelt(name).is_some() || OF_HEADS.iter().any(|it| name.eq_ignore_ascii_case(it.as_bytes()))
}

/// Whether a trailer ends here, whoever sends it.
fn ends_here(name: &HeaderName) -> bool {
    headers::is_hop_by_hop(name) || headers::is_own(name) || passage::tells_origin(name)
}

/// A client's frame as it goes on: none where nothing of it does. An error where it is refused.
pub(super) fn of_request(frame: Frame<Bytes>) -> Result<Option<Frame<Bytes>>, Refused> {
    let trailers = match frame.into_trailers() {
        Ok(trailers) => trailers,
        Err(data) => return Ok(Some(data)),
    };
    if trailers.keys().any(|name| is_refused(name.as_str().as_bytes())) {
        return Err(Refused);
    }
    Ok(kept(trailers, |name| !ends_here(name)))
}

/// A frame of an answer as it goes on: none where nothing of it does.
pub(super) fn of_answer(frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
    match frame.into_trailers() {
        Ok(trailers) => {
            kept(trailers, |name| !ends_here(name) && !is_refused(name.as_str().as_bytes()))
        }
        Err(data) => Some(data),
    }
}

fn kept(trailers: HeaderMap, keeps: impl Fn(&HeaderName) -> bool) -> Option<Frame<Bytes>> {
    let trailers = retained(trailers, keeps);
    (!trailers.is_empty()).then(|| Frame::trailers(trailers))
}

/// A request's trailers hold what none may.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a trailer that would change how its message is read")]
pub(crate) struct Refused;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bytes::Bytes;
    use http::{HeaderMap, HeaderName, HeaderValue};
    use http_body::Frame;
    use rstest::rstest;

    use super::{of_answer, of_request};

    fn frame(names: &[&'static str]) -> Frame<Bytes> {
        let lines =
            names.iter().map(|it| (HeaderName::from_static(it), HeaderValue::from_static("v")));
        Frame::trailers(lines.collect::<HeaderMap>())
    }

    fn names(frame: Option<Frame<Bytes>>) -> Vec<String> {
        let trailers = frame.map(|it| it.into_trailers().unwrap()).unwrap_or_default();
        trailers.keys().map(|it| it.as_str().to_owned()).collect()
    }

    #[rstest]
    #[case::its_own("x-sum", true)]
    #[case::digest("digest", true)]
    #[case::keep_alive("keep-alive", false)]
    #[case::proxy_connection("proxy-connection", false)]
    #[case::origin("x-forwarded-for", false)]
    #[case::origin_by_the_rfc("forwarded", false)]
    #[case::host_of_origin("x-forwarded-host", false)]
    #[case::recgates_own("recgate-as-of", false)]
    fn what_goes_on_is_the_same_both_ways(#[case] name: &'static str, #[case] goes_on: bool) {
        let left = if goes_on { vec!["x-first", name] } else { vec!["x-first"] };
        assert_eq!(names(of_request(frame(&["x-first", name])).unwrap()), left);
        assert_eq!(names(of_answer(frame(&["x-first", name]))), left);
        assert_eq!(of_answer(frame(&[name])).is_some(), goes_on);
    }

    #[rstest]
    #[case::authorization("authorization")]
    #[case::proxy_authorization("proxy-authorization")]
    #[case::host("host")]
    #[case::length("content-length")]
    #[case::length_spelt_otherwise("content_length")]
    #[case::coding_spelt_otherwise("transfer_encoding")]
    fn what_is_refused_of_a_client_is_taken_off_an_answer(#[case] name: &'static str) {
        assert!(of_request(frame(&["x-first", name])).is_err());
        assert_eq!(names(of_answer(frame(&["x-first", name]))), ["x-first"]);
    }
}
