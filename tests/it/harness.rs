//! What every promise needs: a gateway, upstreams and clients that are exact to the byte, and the
//! mock's control plane.
//!
//! Nothing here knows what a promise is. Waiting is always waiting for something, and always with
//! [`PATIENCE`] as its end: a test that waits longer fails and says what it waited for.

pub(crate) mod authority;
pub(crate) mod message;
pub(crate) mod mock;
pub(crate) mod postgres;
pub(crate) mod raw;
pub(crate) mod recgate;
pub(crate) mod upstream;

use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub(crate) use authority::Authority;
pub(crate) use message::Message;
pub(crate) use mock::Mock;
pub(crate) use raw::RawClient;
pub(crate) use recgate::{Ended, Recgate, run_to_end, run_to_end_within};
pub(crate) use upstream::{Step, Upstream};

/// The longest that anything may take on a machine with other work to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The result of `work`, or a failure that names `what` did not come.
#[track_caller]
pub(crate) fn soon<T>(what: &str, work: impl Future<Output = T>) -> impl Future<Output = T> {
    let what = what.to_owned();
    let caller = std::panic::Location::caller();
    async move {
        let done = tokio::time::timeout(PATIENCE, work).await;
        done.unwrap_or_else(|_| panic!("{what} did not come within {PATIENCE:?} ({caller})"))
    }
}

/// Asks again until `ask` gives something, or fails and names `what` never held.
#[track_caller]
pub(crate) fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> impl Future<Output = T> {
    soon(what, async move {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        loop {
            tick.tick().await;
            if let Some(found) = ask().await {
                return found;
            }
        }
    })
}

/// A file with this text, in the directory that cargo keeps for integration tests.
pub(crate) fn file(name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("{}-{number}-{name}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

/// A client that knows no proxy and follows no redirect.
pub(crate) fn http() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
}
