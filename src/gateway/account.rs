//! The gateway's own OAuth clients: one token each, asked for once however many wait.
//!
//! A token is asked for when it is first needed and again at 80 % of its life, in the background:
//! while the sign-in is down the old one is used to its end. The secret goes to the login address
//! of the upstream it is for and the token to its API, nowhere else; redirects are never followed.
//! Neither is printed, and an answer that cannot be read is told by its status alone.

use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::body::{Body, Collected};
use super::pool::{Over, Pool};
use super::worker::Worker;
use crate::error::{Code, Failure};
use crate::limits::TOKEN_ANSWER_BYTES;

/// The longest that one sign-in may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// From a sign-in that failed to the next.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// The life of a token whose answer names none: short, because nobody knows.
const UNKNOWN_LIFE: Duration = Duration::from_mins(5);
/// The longest life that is believed: a clock must be able to hold its end.
const LONGEST_LIFE: Duration = Duration::from_hours(24 * 366);

/// What application/x-www-form-urlencoded escapes. It leaves these four: the vendor's client ids
/// are UUIDs, and a server that does not decode has to find them as they are.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_');

/// One OAuth client (client credentials, RFC 6749 §4.4).
pub(crate) struct Account {
    path: String,
    basic: HeaderValue,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    asking: Asking,
    /// Sign-ins that have ended, well or not.
    ended: u64,
    failure: Option<(Instant, Failure)>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Asking {
    #[default]
    Nobody,
    Somebody,
}

struct Held {
    authorization: HeaderValue,
    refresh_at: Instant,
    expires_at: Instant,
}

/// Ends a sign-in when it is dropped, whatever became of it.
struct SignIn(Arc<Account>);

/// An answer to a sign-in (RFC 6749 §5.1).
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<u64>,
}

// === impl Account ===

impl Account {
    /// `path` is the token endpoint's on the login address.
    pub(crate) fn new(client_id: &str, secret: &str, path: &str) -> Result<Self, Failure> {
        // RFC 6749 §2.3.1: both are form-encoded before they are joined.
        let encode = |text| utf8_percent_encode(text, FORM).to_string().replace("%20", "+");
        let pair = STANDARD.encode(format!("{}:{}", encode(client_id), encode(secret)));
        let mut basic = HeaderValue::try_from(format!("Basic {pair}"))
            .map_err(|_| Failure::new(Code::Internal, "client credentials that are no header"))?;
        basic.set_sensitive(true);
        Ok(Self { path: path.to_owned(), basic, state: Mutex::default(), changed: Notify::new() })
    }

    /// Whether both are the same client with the same secret.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.path == other.path && self.basic == other.basic
    }

    /// A valid `Authorization`. Waits for the sign-in that is under way, or begins one.
    pub(crate) async fn authorization(
        self: &Arc<Self>,
        worker: &Rc<Worker>,
        login: &Rc<Pool>,
    ) -> Result<HeaderValue, Failure> {
        let seen = self.lock().ended;
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.lock();
                let now = Instant::now();
                let usable = state.held.as_ref().filter(|held| held.expires_at > now);
                let due = usable.is_none_or(|held| held.refresh_at <= now);
                let value = usable.map(|held| held.authorization.clone());
                let failed = state.failure.as_ref().map(|(at, failure)| (*at, failure.clone()));
                let rested = failed.as_ref().is_none_or(|(at, _)| *at + AFTER_FAILURE <= now);
                match (value, failed) {
                    (None, Some((_, failure))) if state.ended > seen || !rested => {
                        return Err(failure);
                    }
                    (value, _) => {
                        if due && rested && state.asking == Asking::Nobody {
                            state.asking = Asking::Somebody;
                            let ask = SignIn(Arc::clone(self)).run(Rc::clone(login));
                            worker.follow_up(Box::pin(ask));
                        }
                        if let Some(value) = value {
                            return Ok(value);
                        }
                    }
                }
            }
            changed.await;
        }
    }

    /// The upstream refused this `Authorization`: it is not used again.
    pub(crate) fn refused(&self, authorization: &HeaderValue) {
        let mut state = self.lock();
        if state.held.as_ref().is_some_and(|held| held.authorization == authorization) {
            state.held = None;
        }
    }

    async fn ask(&self, login: &Rc<Pool>) -> Result<Held, Failure> {
        let mut request =
            Request::new(Body::whole(Bytes::from_static(b"grant_type=client_credentials")));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.parse().map_err(|_| unsigned("a path that is none"))?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, login.server().host.clone());
        headers.insert(header::AUTHORIZATION, self.basic.clone());
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        let asked_at = Instant::now();
        let response = login
            .send(request, Over::Any)
            .await
            .map_err(|it| unsigned(Failure::from(it).inside))?;
        let status = response.status();
        let body = response.into_body().collect_up_to(TOKEN_ANSWER_BYTES).await;
        let Ok(Collected::Whole(body)) = body else {
            return Err(unsigned("an answer that ended early, or is too long"));
        };
        if status != StatusCode::OK {
            return Err(unsigned(format!("the login address answered {}", status.as_u16())));
        }
        let granted: Granted =
            serde_json::from_slice(&body).map_err(|_| unsigned("an answer that is no token"))?;
        let life = granted.expires_in.map_or(UNKNOWN_LIFE, Duration::from_secs).min(LONGEST_LIFE);
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", granted.access_token))
            .map_err(|_| unsigned("a token that is no header"))?;
        authorization.set_sensitive(true);
        let expires_at = asked_at + life;
        // Asking again at once would get another of the kind: a flood at the login address.
        if expires_at <= Instant::now() {
            return Err(unsigned("a token that had expired when it came"));
        }
        Ok(Held { authorization, refresh_at: asked_at + life * 4 / 5, expires_at })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl SignIn ===

impl SignIn {
    async fn run(self, login: Rc<Pool>) {
        let asked = tokio::time::timeout(PATIENCE, self.0.ask(&login)).await;
        let result = asked.unwrap_or_else(|_| Err(unsigned("no answer of the login address")));
        let mut state = self.0.lock();
        match result {
            Ok(held) => {
                state.held = Some(held);
                state.failure = None;
            }
            Err(failure) => {
                tracing::error!(%failure, "the gateway's own sign-in failed");
                state.failure = Some((Instant::now(), failure));
            }
        }
    }
}

impl Drop for SignIn {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.asking = Asking::Nobody;
        state.ended += 1;
        // One that was cut off leaves neither a token nor a failure.
        if state.held.is_none() && state.failure.is_none() {
            state.failure = Some((Instant::now(), unsigned("the sign-in was cut off")));
        }
        drop(state);
        self.0.changed.notify_waiters();
    }
}

fn unsigned(why: impl Into<std::borrow::Cow<'static, str>>) -> Failure {
    let why = why.into();
    Failure::new(Code::OwnSignIn, format!("the gateway's own sign-in: {why}"))
}
