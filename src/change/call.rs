//! A request and an answer, whole, as a change sees them.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::error::Blame;

/// One request on its way upstream.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its method.
    pub method: Method,
    /// Raw path and query as they will be sent, a bare trailing `?` included.
    pub target: String,
    /// End-to-end headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// How long to wait for its answer; `None`: as long as the exchange's deadline allows.
    pub patience: Option<Duration>,
    /// Whose credentials it carries when it is sent.
    pub principal: Principal,
    /// Who wrote it: the client, where it is as it came; else a change. Whoever changes anything of it
    /// but its patience says so here: what is as it came was judged when it came.
    pub author: Blame,
    /// What hyper keeps beside a request (the case of its header names), so that a call that
    /// nobody changes goes out as it came.
    pub extensions: http::Extensions,
}

/// Who acts upstream. A change names the principal and never sees a token: the gateway puts it on
/// when the call is sent, and takes it nowhere else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Principal {
    /// Whoever called, with the credentials of their own request.
    #[default]
    Caller,
    /// The gateway's OAuth client of `[upstream.service]`.
    Service,
    /// The gateway's OAuth client of `[upstream.recovery]`, which reads and finishes intents
    /// towards protected or paused.
    Recovery,
}

/// One answer on its way back.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// End-to-end headers.
    pub headers: HeaderMap,
    /// Its body.
    pub payload: Payload,
    /// What hyper keeps beside a response (header case, reason phrase), so that an answer that
    /// nobody changes goes out as it came.
    pub extensions: http::Extensions,
    /// Who made it: the upstream, or a change in its place.
    pub author: Blame,
}

/// A body that was read, or one that is too long to be.
pub enum Payload {
    /// All of it.
    Whole(Bytes),
    /// Longer than the limit, or not of a kind that is read: it can only be handed on.
    Streaming(Box<dyn std::any::Any>),
}

// === impl Call ===

impl Call {
    /// A call of nobody's: what a recovery derives its own from.
    #[must_use]
    pub fn bare() -> Self {
        Self {
            method: Method::GET,
            target: "/".to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            patience: None,
            principal: Principal::Caller,
            author: Blame::Change,
            extensions: http::Extensions::new(),
        }
    }

    /// The raw path without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        path_of(&self.target)
    }

    /// The raw query; `None` without a `?`, empty for a bare one.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        query_of(&self.target)
    }

    /// The same target with another path.
    #[must_use]
    pub fn target_with_path(&self, path: &str) -> String {
        self.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
    }

    /// The same call without a header. The others keep their order.
    #[must_use]
    pub fn without(mut self, name: &HeaderName) -> Self {
        if self.headers.contains_key(name) {
            self.headers = retained(std::mem::take(&mut self.headers), |it| it != name);
            self.author = Blame::Change;
        }
        self
    }

    /// The same call, with a limit on the wait for its answer.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// The same call by somebody else. Only what describes the message goes along: whatever the
    /// caller identified themselves with stays behind, and so does every header that a server could
    /// take for an order (a method override, say), which the account's right would then carry out.
    #[must_use]
    pub fn acting_as(mut self, principal: Principal) -> Self {
        if principal != Principal::Caller {
            self.headers = retained(std::mem::take(&mut self.headers), |name| {
                matches!(*name, header::ACCEPT | header::CONTENT_TYPE | header::USER_AGENT)
                    || matches!(name.as_str(), "traceparent" | "tracestate")
            });
            self.author = Blame::Change;
        }
        self.principal = principal;
        self
    }

    /// The same call with this `Authorization`.
    #[must_use]
    pub fn authorized(mut self, authorization: HeaderValue) -> Self {
        self.headers.insert(header::AUTHORIZATION, authorization);
        self.author = Blame::Change;
        self
    }

    /// A call of recgate's own with this call's credentials: its headers without those that speak
    /// of its body, of its preconditions, or of the encodings its client can read.
    #[must_use]
    pub fn derive(&self, method: Method, target: String, json: Option<Bytes>) -> Self {
        const NOT_CARRIED: [http::HeaderName; 11] = [
            header::CONTENT_TYPE,
            header::CONTENT_LENGTH,
            header::CONTENT_ENCODING,
            header::ACCEPT_ENCODING,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            header::IF_MODIFIED_SINCE,
            header::IF_UNMODIFIED_SINCE,
            header::IF_RANGE,
            header::RANGE,
            header::EXPECT,
        ];
        let mut headers: HeaderMap = self
            .headers
            .iter()
            .filter(|(name, _)| !NOT_CARRIED.contains(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if json.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Self {
            method,
            target,
            headers,
            body: json.unwrap_or_default(),
            patience: None,
            principal: self.principal,
            author: Blame::Change,
            extensions: http::Extensions::new(),
        }
    }
}

// === impl Answer ===

impl Answer {
    /// An answer of recgate's own with a JSON body, in the place of one of the upstream's: the
    /// upstream's headers stay (correlation id, rate limit), those that speak of its body go.
    #[must_use]
    pub fn in_place_of(upstream: &HeaderMap, status: StatusCode, json: Option<Bytes>) -> Self {
        let mut headers: HeaderMap = upstream
            .iter()
            .filter(|(name, _)| {
                !name.as_str().starts_with("content-")
                    && !matches!(
                        **name,
                        header::ETAG
                            | header::LAST_MODIFIED
                            | header::TRANSFER_ENCODING
                            | header::TRAILER
                            | header::ACCEPT_RANGES
                    )
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if json.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Self {
            status,
            headers,
            payload: Payload::Whole(json.unwrap_or_default()),
            extensions: http::Extensions::new(),
            author: Blame::Change,
        }
    }

    /// The body where it was read whole.
    #[must_use]
    pub fn whole(&self) -> Option<&Bytes> {
        match &self.payload {
            Payload::Whole(bytes) => Some(bytes),
            Payload::Streaming(_) => None,
        }
    }
}

// === impl Payload ===

impl std::fmt::Debug for Payload {
    /// Sizes only: a body never reaches a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
            Self::Streaming(_) => f.write_str("Streaming"),
        }
    }
}

/// The headers whose names pass, in their order. Removing in place would move the last header to
/// the gap.
#[must_use]
pub fn retained(headers: HeaderMap, keep: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let mut kept = HeaderMap::with_capacity(headers.len());
    let mut current = None;
    for (name, value) in headers {
        // `HeaderMap` gives a name once, before the first of its values.
        if let Some(name) = name {
            current = keep(&name).then_some(name);
        }
        if let Some(name) = &current {
            kept.append(name.clone(), value);
        }
    }
    kept
}

/// The raw path of a raw target.
#[must_use]
pub fn path_of(target: &str) -> &str {
    memchr::memchr(b'?', target.as_bytes()).map_or(target, |at| &target[..at])
}

/// A target's raw query; `None` without a `?`, empty for a bare one.
#[must_use]
pub fn query_of(target: &str) -> Option<&str> {
    memchr::memchr(b'?', target.as_bytes()).map(|at| &target[at + 1..])
}

/// A path as every server reads it alike: percent-encodings of unreserved characters are decoded
/// (RFC 3986 §6.2.2.2), the others stay as they are. For comparing only; what is sent is the path
/// as it came.
#[must_use]
pub fn canonical(path: &str) -> Cow<'_, str> {
    if memchr::memchr(b'%', path.as_bytes()).is_none() {
        return Cow::Borrowed(path);
    }
    let bytes = path.as_bytes();
    let mut text = String::with_capacity(path.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        let decoded = hex
            .filter(|_| bytes[at] == b'%')
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            .filter(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(byte));
        if let Some(byte) = decoded {
            text.push(char::from(byte));
            at += 3;
        } else {
            // A path that reached us is ASCII (RFC 3986); anything else is kept as it is.
            let rest = &path[at..];
            let next = rest.chars().next().unwrap_or('%');
            text.push(next);
            at += next.len_utf8();
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderName, HeaderValue, Method};

    use super::{Blame, Call, Principal, canonical};

    #[test]
    fn what_a_caller_sent_stays_behind_when_an_account_acts() {
        let mut call = Call::bare();
        let names = [
            "authorization",
            "cookie",
            "x-api-key",
            "x-http-method-override",
            "accept",
            "user-agent",
            "traceparent",
        ];
        for name in names {
            call.headers.insert(name, http::HeaderValue::from_static("x"));
        }
        let own = call.clone().acting_as(Principal::Service);
        let kept: Vec<&str> = own.headers.keys().map(http::HeaderName::as_str).collect();
        assert_eq!(kept, ["accept", "user-agent", "traceparent"]);
        // What is derived from it is the account's, too, and the caller's own call is as it was.
        assert_eq!(own.derive(Method::GET, "/".to_owned(), None).principal, Principal::Service);
        assert_eq!(call.acting_as(Principal::Caller).headers.len(), names.len());
    }

    #[test]
    fn a_call_that_is_changed_is_not_the_clients_any_more() {
        let mut came = Call { author: Blame::Client, ..Call::bare() };
        came.headers.insert("x-one", HeaderValue::from_static("1"));
        let name = HeaderName::from_static("x-one");
        let other = HeaderName::from_static("x-other");
        for (call, author) in [
            (came.clone().with_patience(Duration::from_secs(1)), Blame::Client),
            (came.clone().acting_as(Principal::Caller), Blame::Client),
            (came.clone().without(&other), Blame::Client),
            (came.clone().without(&name), Blame::Change),
            (came.clone().acting_as(Principal::Service), Blame::Change),
            (came.clone().authorized(HeaderValue::from_static("Bearer x")), Blame::Change),
            (came.derive(Method::GET, "/".to_owned(), None), Blame::Change),
        ] {
            assert_eq!(call.author, author, "{call:?}");
        }
    }

    #[test]
    fn unreserved_characters_are_decoded_and_no_others() {
        for (path, read) in [
            ("/plain", "/plain"),
            ("/c%61lls/%70", "/calls/p"),
            ("/a%2Fb%2fc%20", "/a%2Fb%2fc%20"),
            ("/%2d%7E%5f%2E", "/-~_."),
            ("/%", "/%"),
            ("/%4", "/%4"),
            ("/%zz%41", "/%zzA"),
            ("/%2570", "/%2570"),
            ("/%+1", "/%+1"),
        ] {
            assert_eq!(canonical(path), read);
        }
    }
}
