//! Headers that every HTTP message may carry, whatever an API declares.
//!
//! They are said by HTTP itself, by browsers, by whatever stands between client and server, or by
//! recgate: a contract that does not repeat them has forgotten nothing. What speaks of the API's
//! own matter is not among them, however common: `Link`, `Deprecation`, `Sunset`, `RateLimit-*`,
//! `Idempotency-Key` and a vendor's correlation ids are what a team wants to see declared.

/// Names in lower case.
const NAMES: [&[&str]; 8] = [
    // The fields of RFC 9110, those that select, describe and date a representation, authenticate,
    // or negotiate. `Authorization` is judged by the security requirements.
    &[
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "accept-ranges",
        "allow",
        "authentication-info",
        "authorization",
        "content-encoding",
        "content-language",
        "content-length",
        "content-location",
        "content-range",
        "content-type",
        "date",
        "etag",
        "expect",
        "from",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "last-modified",
        "location",
        "max-forwards",
        "range",
        "referer",
        "retry-after",
        "server",
        "user-agent",
        "vary",
        "www-authenticate",
    ],
    // RFC 9111: caches between.
    &["age", "cache-control", "cdn-cache-control", "expires", "pragma", "warning"],
    // One connection: RFC 9110 §7.6.1 and §7.8, RFC 9112, and what custom adds.
    &[
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ],
    // RFC 6265: a request's cookies are looked at one by one; a response's are the server's state.
    &["cookie", "set-cookie"],
    // Proxies: RFC 9110 §7.6.3, RFC 7239, RFC 8586, and what was there before it.
    &["cdn-loop", "forwarded", "via", "x-real-ip"],
    // Tracing: W3C Trace Context and Baggage, B3, and the ids that proxies hand on.
    &["b3", "baggage", "traceparent", "tracestate", "x-amzn-trace-id", "x-request-id"],
    // Browsers: Fetch (origin and preflights, which `access-control-` answers), what they are asked
    // to do with a page, and client preferences.
    &[
        "content-disposition",
        "content-security-policy",
        "cross-origin-embedder-policy",
        "cross-origin-opener-policy",
        "cross-origin-resource-policy",
        "dnt",
        "nel",
        "origin",
        "permissions-policy",
        "priority",
        "referrer-policy",
        "report-to",
        "reporting-endpoints",
        "save-data",
        "server-timing",
        "strict-transport-security",
        "timing-allow-origin",
        "upgrade-insecure-requests",
        "x-content-type-options",
        "x-frame-options",
        "x-xss-protection",
    ],
    // Other ways to the same server: RFC 7838.
    &["alt-svc", "alt-used"],
];

/// Families of names: Fetch's own, proxies', B3's, recgate's.
const PREFIXES: [&str; 5] = ["access-control-", "sec-", "x-forwarded-", "x-b3-", "recgate-"];

/// Whether any message may carry this header. The name is in lower case.
pub(super) fn is_general(name: &str) -> bool {
    NAMES.iter().any(|names| names.contains(&name))
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
