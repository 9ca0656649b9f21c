//! Preflights answered at the gateway, for upstreams whose operator asked for it.
//!
//! Without configuration a preflight reaches the upstream like any other request, and nothing is
//! added to answers. With it, an answer to an allowed origin may be read by the page, recgate's own
//! headers included, unless the upstream has already said so.

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use super::body::Body;
use super::upstream::Upstream;

/// Headers a page may read: what the vendors' answers and recgate's carry.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "ININ-Correlation-Id, inin-ratelimit-count, inin-ratelimit-allowed, inin-ratelimit-reset, \
     Retry-After, Link, trackingId, Recgate-Changes, Recgate-Partial, Recgate-Conformance, \
     Recgate-Pause, Recgate-Error, Recgate-Ledger, Recgate-As-Of",
);

/// Seconds a browser may remember a preflight.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// The `Origin` of a request.
pub(crate) fn origin(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(header::ORIGIN).cloned()
}

/// The answer to a preflight that this gateway answers.
pub(crate) fn preflight(
    upstream: &Upstream,
    request_method: &Method,
    headers: &HeaderMap,
) -> Option<Response<Body>> {
    let origins = upstream.config.cors_origins.as_ref()?;
    let method = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    let origin = headers.get(header::ORIGIN)?;
    if *request_method != Method::OPTIONS {
        return None;
    }
    let mut response = Response::new(Body::Empty);
    if !allows(origins, origin) {
        *response.status_mut() = StatusCode::FORBIDDEN;
        return Some(response);
    }
    *response.status_mut() = StatusCode::NO_CONTENT;
    let answer = response.headers_mut();
    answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method.clone());
    if let Some(wanted) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    answer.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    Some(response)
}

/// The answer, readable by an allowed origin.
pub(crate) fn allow(
    upstream: &Upstream,
    origin: Option<HeaderValue>,
    mut response: Response<Body>,
) -> Response<Body> {
    let Some(origins) = &upstream.config.cors_origins else { return response };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin.filter(|origin| allows(origins, origin))
        && !headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
    {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
    response
}

fn allows(origins: &[String], origin: &HeaderValue) -> bool {
    origins.iter().any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes())
}
