//! Another configuration for a gateway that serves: whole, or not at all.
//!
//! What is made of new files is made beside what serves; only when nothing is wrong with any of it
//! do the threads take it, each between two steps of its loop, and the reload is done when the last
//! one has. What a process has only once (ports, threads, the ledger, the log, the mock, the watch
//! over pauses) stays: a configuration that wants another is refused whole, and says which key.

use std::sync::mpsc as answers;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::StartError;
use super::site::Site;
use super::worker::Current;
use crate::config::Config;

/// Gives a gateway that serves another configuration. Clones are the same.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

struct Inner {
    /// What new exchanges begin on. Held while another one is made: one reload at a time.
    current: Mutex<Arc<Site>>,
    threads: Vec<mpsc::UnboundedSender<Swap>>,
}

/// A thread is to take this site.
pub(super) struct Swap {
    site: Arc<Site>,
    /// Dropped when it has.
    _taken: answers::Sender<()>,
}

/// Why everything stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// What cannot change while the process lives.
    #[error("{} cannot change without a restart", .0.join(", "))]
    Pinned(Vec<&'static str>),
    /// What could not have started either.
    #[error(transparent)]
    Unusable(#[from] StartError),
}

/// Whether certificates say something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// They are in use now.
    New,
    /// They say what they said.
    Same,
}

// === impl Control ===

impl Control {
    pub(super) fn new(site: Arc<Site>, threads: Vec<mpsc::UnboundedSender<Swap>>) -> Self {
        Self(Arc::new(Inner { current: Mutex::new(site), threads }))
    }

    /// The configuration in use.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.0.current.lock().unwrap_or_else(PoisonError::into_inner).config)
    }

    /// Serves with another configuration from now on. Reads files and blocks.
    pub fn reload(&self, config: Config) -> Result<(), ReloadError> {
        let mut current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
        pinned(&current.config, &config)?;
        let next = Arc::new(current.after(config)?);
        self.put(&mut current, next);
        Ok(())
    }

    /// Reads every certificate, key and authority again. Blocks.
    pub fn renew(&self) -> Result<Renewed, ReloadError> {
        let mut current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(next) = current.renewed()? else { return Ok(Renewed::Same) };
        self.put(&mut current, Arc::new(next));
        Ok(Renewed::New)
    }

    /// Puts on record what the process after this one may have to know of clients' pauses. For when
    /// the gateway has been drained.
    pub async fn leave(&self) {
        let lasting = {
            let current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
            current.lasting.clone()
        };
        lasting.onlookers.leave(&*lasting.journal).await;
    }

    fn put(&self, current: &mut Arc<Site>, next: Arc<Site>) {
        next.takes_over(Some(current));
        let (taken, wait) = answers::channel();
        for thread in &self.0.threads {
            // A thread that has ended begins no exchange.
            let _ = thread.send(Swap { site: Arc::clone(&next), _taken: taken.clone() });
        }
        drop(taken);
        // Ends when the last one has let go of its end.
        let _ = wait.recv();
        *current = next;
    }
}

/// Takes every site that comes, for one thread.
pub(super) async fn follow(
    current: std::rc::Rc<Current>,
    mut swaps: mpsc::UnboundedReceiver<Swap>,
) {
    while let Some(swap) = swaps.recv().await {
        current.swap(swap.site);
    }
}

fn pinned(now: &Config, wanted: &Config) -> Result<(), ReloadError> {
    let kept = [
        ("gateway.listen", now.gateway.listen == wanted.gateway.listen),
        ("gateway.threads", now.gateway.threads == wanted.gateway.threads),
        ("admin.listen", now.admin == wanted.admin),
        ("ledger", now.ledger == wanted.ledger),
        ("log", now.log == wanted.log),
        ("mock", now.mock == wanted.mock),
        ("limits.pause_watch_ms", now.limits.pause_watch_ms == wanted.limits.pause_watch_ms),
    ];
    let other: Vec<&'static str> =
        kept.iter().filter(|(_, kept)| !kept).map(|(key, _)| *key).collect();
    if other.is_empty() { Ok(()) } else { Err(ReloadError::Pinned(other)) }
}
