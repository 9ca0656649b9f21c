//! Which OAuth client a token was issued to, learnt as it is issued.
//!
//! A sign-in passes the gateway on the login leg: the request names a client (RFC 6749 §4.4, by
//! Basic or in the form, §2.3.1), and a 200 with an `access_token` says that the vendor believed
//! it. From then on whoever holds that token is that client, at that upstream. What is kept is the
//! token's SHA-256, never the token, for the life that the answer gives it. The secret is read by
//! nobody. A sign-in that
//! servers could read in more than one way teaches nothing; nothing is ever changed or
//! refused here.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method, StatusCode, header};
use moka::Expiry;
use moka::sync::Cache;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::identify::sha256;
use super::route::Leg;
use crate::change::{Answer, Call};
use crate::config::checked::Upstream;
use crate::contract::decode;
use crate::limits::{CLIENT_ID_BYTES, LEARNT_TOKENS, SIGN_IN_BYTES, TOKEN_ANSWER_BYTES};

/// The usual token endpoint below a login address.
const TOKEN_PATH: &str = "/oauth/token";
/// The life of a token whose answer names none.
const UNKNOWN_LIFE: Duration = Duration::from_hours(24);
/// The longest life that is believed.
const LONGEST_LIFE: Duration = Duration::from_hours(24 * 366);

/// Upstream and SHA-256 of a token.
type Key = (Box<str>, [u8; 32]);

/// Tokens and the clients they were issued to. Clones are the same.
#[derive(Clone)]
pub(crate) struct Learnt(Cache<Key, Issued>);

#[derive(Clone)]
struct Issued {
    client: Arc<str>,
    life: Duration,
}

/// A token is forgotten when its life ends.
struct Life;

/// An answer to a sign-in (RFC 6749 §5.1).
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<u64>,
}

// === impl Learnt ===

impl Learnt {
    /// Whether a request may be a sign-in, so that it is read: a POST to the token endpoint on the
    /// login leg.
    pub(crate) fn reads(leg: Leg, method: &Method, path: &str, upstream: &Upstream) -> bool {
        let accounts = [&upstream.service, &upstream.recovery].into_iter().flatten();
        leg == Leg::Login
            && *method == Method::POST
            && (path == TOKEN_PATH || accounts.into_iter().any(|it| it.token_path == path))
    }

    /// The client that a token was issued to.
    pub(crate) fn client_of(&self, upstream: &str, token: &[u8; 32]) -> Option<Arc<str>> {
        self.0.get(&(upstream.into(), *token)).map(|issued| issued.client)
    }

    /// Forgets what was learnt at an upstream that is another one now.
    pub(crate) fn forget(&self, upstream: &Arc<str>) {
        let gone = Arc::clone(upstream);
        // It fails only where such forgetting was not asked for when the memory was made.
        let _ = self.0.invalidate_entries_if(move |(upstream, _), _| **upstream == *gone);
    }

    /// Learns from the answer to the sign-in of `client`.
    pub(crate) fn learn(&self, upstream: &str, client: &str, answer: &Answer) {
        let Some(granted) = granted(answer) else { return };
        let life = granted.expires_in.map_or(UNKNOWN_LIFE, Duration::from_secs).min(LONGEST_LIFE);
        if life.is_zero() {
            return;
        }
        let key = (upstream.into(), sha256(granted.access_token.as_bytes()));
        self.0.insert(key, Issued { client: client.into(), life });
    }
}

impl Default for Learnt {
    fn default() -> Self {
        let cache = Cache::builder().max_capacity(LEARNT_TOKENS).expire_after(Life);
        Self(cache.support_invalidation_closures().build())
    }
}

impl fmt::Debug for Learnt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Learnt({} tokens)", self.0.entry_count())
    }
}

// === impl Life ===

impl Expiry<Key, Issued> for Life {
    fn expire_after_create(&self, _: &Key, issued: &Issued, _: Instant) -> Option<Duration> {
        Some(issued.life)
    }

    fn expire_after_update(
        &self,
        _: &Key,
        issued: &Issued,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(issued.life)
    }
}

/// The client that a sign-in by client credentials names, where every server would take it for the
/// same one: whoever signs in as one client and is taken for another has gained that one's terms.
pub(crate) fn client_of(call: &Call) -> Option<String> {
    // Some servers read parameters of the query, too, or take `;` for `&`.
    let plain = call.query().is_none() && !call.body.contains(&b';') && is_form(&call.headers);
    if call.body.len() > SIGN_IN_BYTES || !plain {
        return None;
    }
    let body = std::str::from_utf8(&call.body).ok()?;
    let (mut grant, mut in_form, mut secret) = (None, None, None);
    for pair in body.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let place = match &*form_text(name)? {
            "grant_type" => &mut grant,
            "client_id" => &mut in_form,
            "client_secret" => &mut secret,
            // A proof of its own (RFC 7521 §4.2), whose client stands in it.
            "client_assertion" => return None,
            _ => continue,
        };
        // Which of two counts, the vendor decides.
        if place.replace(form_text(value)?).is_some() {
            return None;
        }
    }
    if grant? != "client_credentials" {
        return None;
    }
    let client = match (in_basic(&call.headers), in_form, secret) {
        (Basic::Absent, Some(client), Some(_)) => client.into_owned(),
        (Basic::Client(client), None, None) => client,
        (Basic::Client(client), Some(same), None) if client == same => client,
        _ => return None,
    };
    (!client.is_empty() && client.len() <= CLIENT_ID_BYTES).then_some(client)
}

/// Whether a body is a form, as it is.
fn is_form(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else { return false };
    let essence = only.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
        && !headers.contains_key(header::CONTENT_ENCODING)
}

/// What `Authorization` says of a client.
enum Basic {
    Absent,
    Client(String),
    /// Another scheme, two of them, or nothing that can be read.
    Unclear,
}

fn in_basic(headers: &HeaderMap) -> Basic {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next(), values.next()) else { return Basic::Unclear };
    let Some(value) = value else { return Basic::Absent };
    let read = || {
        let (scheme, pair) = value.to_str().ok()?.split_at_checked("basic ".len())?;
        let pair = STANDARD.decode(scheme.eq_ignore_ascii_case("basic ").then(|| pair.trim())?);
        let pair = String::from_utf8(pair.ok()?).ok()?;
        Some(form_text(pair.split_once(':')?.0)?.into_owned())
    };
    read().map_or(Basic::Unclear, Basic::Client)
}

/// Form-encoded text (RFC 6749 appendix B).
fn form_text(encoded: &str) -> Option<Cow<'_, str>> {
    if !encoded.contains(['+', '%']) {
        return Some(Cow::Borrowed(encoded));
    }
    let spaced = encoded.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(|text| Cow::Owned(text.into_owned()))
}

/// The token of an answer, which may be compressed.
fn granted(answer: &Answer) -> Option<Granted> {
    let body = answer.whole().filter(|body| body.len() <= TOKEN_ANSWER_BYTES)?;
    if answer.status != StatusCode::OK {
        return None;
    }
    let body = decode(&answer.headers, body).ok()?;
    let granted: Granted = serde_json::from_slice(&body).ok()?;
    (!granted.access_token.is_empty()).then_some(granted)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, StatusCode, header};
    use rstest::rstest;

    use super::{Learnt, client_of};
    use crate::change::{Answer, Call};
    use crate::gateway::identify::sha256;

    /// `crm-service:crm-secret`
    const BASIC: &str = "Basic Y3JtLXNlcnZpY2U6Y3JtLXNlY3JldA==";
    const GRANT: &str = "grant_type=client_credentials";

    #[rstest]
    #[case::basic(&[BASIC], GRANT, Some("crm-service"))]
    #[case::any_case(&["bASIC Y3JtLXNlcnZpY2U6Y3JtLXNlY3JldA=="], GRANT, Some("crm-service"))]
    #[case::encoded(&["Basic YSUyQmI6cw=="], GRANT, Some("a+b"))]
    #[case::form(&[], "client_id=a%20b+c&client_secret=x&grant_type=client%5Fcredentials", Some("a b c"))]
    #[case::no_secret(&[], "grant_type=client_credentials&client_id=a", None)]
    #[case::two_ways(&[BASIC], "grant_type=client_credentials&client_secret=x", None)]
    #[case::assertion(&[BASIC], "grant_type=client_credentials&client_assertion=x", None)]
    #[case::semicolons(&[], "x=1;client_id=b&grant_type=client_credentials&client_id=a&client_secret=x", None)]
    #[case::both_alike(&[BASIC], "grant_type=client_credentials&client_id=crm-service", Some("crm-service"))]
    #[case::both_unlike(&[BASIC], "grant_type=client_credentials&client_id=other", None)]
    #[case::twice(&[], "grant_type=client_credentials&client_id=a&client_id=b&client_secret=x", None)]
    #[case::two_headers(&[BASIC, BASIC], GRANT, None)]
    #[case::bearer(&["Bearer x"], "grant_type=client_credentials&client_id=a", None)]
    #[case::no_client(&[], GRANT, None)]
    #[case::empty(&[], "grant_type=client_credentials&client_id=", None)]
    #[case::another_grant(&[BASIC], "grant_type=authorization_code&code=x", None)]
    #[case::nothing(&[BASIC], "", None)]
    fn a_sign_in_names_one_client(
        #[case] authorization: &[&'static str],
        #[case] body: &'static str,
        #[case] client: Option<&str>,
    ) {
        let mut call = Call::bare();
        for value in authorization {
            call.headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
        }
        call.body = Bytes::from_static(body.as_bytes());
        assert_eq!(client_of(&call), None);
        let form = HeaderValue::from_static("application/x-www-form-urlencoded; charset=UTF-8");
        call.headers.insert(header::CONTENT_TYPE, form);
        assert_eq!(client_of(&call).as_deref(), client);
        call.target.push_str("?client_id=b");
        assert_eq!(client_of(&call), None);
    }

    #[test]
    fn a_token_is_its_clients_at_its_upstream_while_it_lives() {
        let learnt = Learnt::default();
        let told = |token: &str| learnt.client_of("genesys", &sha256(token.as_bytes()));
        let answer = |status, body: &'static str| {
            let body = Some(Bytes::from_static(body.as_bytes()));
            Answer::in_place_of(&HeaderMap::new(), status, body)
        };
        let long = answer(StatusCode::OK, r#"{"access_token":"long","expires_in":3600}"#);
        learnt.learn("genesys", "crm", &long);
        let over = answer(StatusCode::OK, r#"{"access_token":"over","expires_in":0}"#);
        learnt.learn("genesys", "crm", &over);
        let refused = answer(StatusCode::BAD_REQUEST, r#"{"access_token":"refused"}"#);
        learnt.learn("genesys", "crm", &refused);
        assert_eq!(told("long").as_deref(), Some("crm"));
        assert_eq!(told("over"), None);
        assert_eq!(told("refused"), None);
        assert_eq!(learnt.client_of("other", &sha256(b"long")), None);
        assert!(!format!("{learnt:?}").contains("long"));
    }
}
