//! Trying again, inside a deadline.
//!
//! Only calls that can be repeated without harm come here. Pauses between tries grow and are
//! jittered; a `Retry-After` (RFC 9110 §10.2.3, seconds) is honoured or, where it reaches past the
//! deadline, ends the tries: the upstream's answer is then the answer. So does an upstream that is
//! asked again too often already ([`Next::allows_again`]).

use std::future::Future;
use std::time::Duration;

use http::{HeaderMap, Method, header};
use tokio::time::Instant;

use super::{Allowed, Answer, Call, Next};
use crate::error::{Code, Failure, Retry};

/// Between the first and the second try; doubled from then on.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause without a `Retry-After`.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What came of trying.
pub struct Tries {
    /// The last result.
    pub last: Result<Answer, Failure>,
    /// Why it is the last.
    pub end: End,
    /// Whether one of the tries may have been carried out without an answer that says so.
    pub in_doubt: bool,
}

/// Why no further try was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Another try does not change this result.
    Final,
    /// The time for trying is used up, or the number of tries.
    Spent,
    /// It was called off between two tries.
    Cancelled,
}

/// Which results are tried again.
#[derive(Clone, Copy)]
pub struct Patience {
    /// Answers that another try may change.
    pub again: fn(&Answer) -> bool,
    /// What is done about a call that broke off after it was sent.
    pub broken: Broken,
    /// What is done where the gateway's own account has no token.
    pub unsigned: Unsigned,
    /// Tries after the first.
    pub most: u32,
    /// How long one try may take; `None`: as long as its call says.
    pub each: Option<Duration>,
}

/// What is done where the gateway's own account has no token: nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsigned {
    /// It is tried again.
    Repeat,
    /// It is not: there is another way, and waiting for a sign-in would only be late.
    Leave,
}

/// What is done about a call that broke off after it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It is tried again: repeating it does no harm.
    Repeat,
    /// It is not: it may have been carried out, and a second answer would deny it.
    Leave,
}

/// For calls that can be repeated without harm: 429, 502, 503, 504, and whatever broke.
pub const IDEMPOTENT: Patience = Patience {
    again: |answer| matches!(answer.status.as_u16(), 429 | 502 | 503 | 504),
    broken: Broken::Repeat,
    unsigned: Unsigned::Repeat,
    most: u32::MAX,
    each: None,
};

/// The same where the caller's own credentials are left as a way.
pub const OTHER_WAY: Patience = Patience { unsigned: Unsigned::Leave, ..IDEMPOTENT };

/// For a request that goes on as it came, by its method (RFC 9110 §9.2.2): those that are idempotent
/// may be repeated. A second DELETE would deny the first, so it is repeated only where the first was
/// not carried out.
#[must_use]
pub fn plain(method: &Method, most: u32) -> Option<Patience> {
    fn limited(it: &Answer) -> bool {
        it.status.as_u16() == 429 && retry_after(&it.headers).is_some()
    }
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT => Some(Patience {
            again: |it| matches!(it.status.as_u16(), 502..=504) || limited(it),
            most,
            ..IDEMPOTENT
        }),
        Method::DELETE => Some(Patience {
            again: |it| it.status.as_u16() == 503 || limited(it),
            broken: Broken::Leave,
            most,
            ..IDEMPOTENT
        }),
        _ => None,
    }
}

/// Calls until something final comes back, `until` passes, or `cancelled` resolves between two
/// tries. A try that is under way is never cut off by `cancelled`.
pub async fn call(
    next: &dyn Next,
    call: &Call,
    patience: Patience,
    until: Instant,
    cancelled: impl Future<Output = ()>,
) -> Tries {
    let first = next.call(patience.one_of(call)).await;
    after(first, next, call, patience, until, cancelled).await
}

/// The same for a call whose first result is known.
pub async fn after(
    first: Result<Answer, Failure>,
    next: &dyn Next,
    call: &Call,
    patience: Patience,
    until: Instant,
    cancelled: impl Future<Output = ()>,
) -> Tries {
    let mut cancelled = std::pin::pin!(cancelled);
    let mut pause = FIRST_PAUSE;
    let (mut last, mut left) = (first, patience.most);
    let mut in_doubt = doubtful(&last);
    loop {
        let Some(asked) = patience.helps(&last) else {
            return Tries { last, end: End::Final, in_doubt };
        };
        // Whatever the upstream says, one request must not become a flood.
        let wait = asked.unwrap_or_default().max(jittered(pause));
        let in_time = wait < until.saturating_duration_since(Instant::now());
        if left == 0 || !in_time || next.allows_again(call) == Allowed::No {
            return Tries { last, end: End::Spent, in_doubt };
        }
        tokio::select! {
            biased;
            () = &mut cancelled => return Tries { last, end: End::Cancelled, in_doubt },
            () = tokio::time::sleep(wait) => {}
        }
        last = next.call(patience.one_of(call)).await;
        in_doubt |= doubtful(&last);
        (left, pause) = (left - 1, (pause * 2).min(LONGEST_PAUSE));
    }
}

impl Patience {
    /// A call for one try.
    fn one_of(&self, call: &Call) -> Call {
        Call { patience: self.each.or(call.patience), ..call.clone() }
    }

    /// Whether another try may change this result, and how long the upstream asks to wait.
    #[must_use]
    pub fn helps(&self, result: &Result<Answer, Failure>) -> Option<Option<Duration>> {
        match result {
            Ok(answer) => (self.again)(answer).then(|| retry_after(&answer.headers)),
            Err(failure) => {
                let helps = match (failure.code, failure.code.retry()) {
                    (Code::OwnSignIn, _) => self.unsigned == Unsigned::Repeat,
                    // The one says when to come back, the other answered.
                    (Code::BreakerOpen | Code::ResponseContract, _) | (_, Retry::Never) => false,
                    (_, Retry::Safe) => true,
                    (_, Retry::Idempotent) => self.broken == Broken::Repeat,
                };
                helps.then_some(None)
            }
        }
    }
}

/// One call that is not repeated, in the same form.
pub async fn once(next: &dyn Next, call: Call) -> Tries {
    let last = next.call(call).await;
    let in_doubt = doubtful(&last);
    Tries { last, end: End::Final, in_doubt }
}

/// Whether a result leaves open if the call was carried out: no answer after it was sent, or a
/// gateway's word in place of the vendor's.
#[must_use]
pub fn doubtful(result: &Result<Answer, Failure>) -> bool {
    match result {
        Ok(answer) => is_doubtful(answer),
        Err(failure) => failure.code.retry() == Retry::Idempotent,
    }
}

/// Whether an answer leaves it open: the word of a gateway on the way, or of a vendor in trouble.
#[must_use]
pub fn is_doubtful(answer: &Answer) -> bool {
    matches!(answer.status.as_u16(), 500 | 502 | 504)
}

/// `Retry-After` in seconds. A date is not read: no vendor here sends one.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// Between half of `pause` and all of it, so that clients that failed together do not return
/// together.
fn jittered(pause: Duration) -> Duration {
    let [random, ..] = uuid::Uuid::new_v4().into_bytes();
    pause / 2 + (pause / 2) * u32::from(random) / u32::from(u8::MAX)
}
