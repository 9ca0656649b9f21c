//! The gateway: listens, identifies, adapts, calls, checks, answers.
//!
//! `pipeline` is the path of an exchange; the other files are the rooms it passes. One event
//! loop a thread, each with its own listener and its own upstream connections; what threads share
//! is a `site`, which does not change and is replaced as a whole by a `reload`. The gateway knows nothing of the mock: to it an upstream is an address.

mod account;
mod alarm;
mod authority;
mod body;
mod breaker;
mod budget;
mod certificate;
mod chosen;
mod connection;
mod cors;
pub mod deliver;
mod door;
mod errand;
mod fields;
mod forward;
mod headers;
pub(crate) mod hooks;
mod identify;
mod judge;
mod linger;
mod listen;
mod load;
pub mod metrics;
mod name;
mod onlookers;
mod passage;
mod pipeline;
mod pool;
mod reach;
mod readings;
pub mod recorded;
mod recover;
pub mod reload;
mod respond;
mod route;
mod sign_in;
mod site;
mod stream;
mod target;
pub mod tls;
mod trailers;
mod upgrade;
pub mod upstream;
mod visit;
mod vitals;
mod watch;
mod wire;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch as signal};
use tokio::task::LocalSet;

use self::alarm::Alarming;
use self::door::Door;
use self::hooks::{Hooks, Unrecorded};
use self::metrics::Metrics;
use self::onlookers::Onlookers;
use self::reload::{Control, Swap};
use self::site::{Lasting, Site};
use self::tls::TlsError;
use self::upstream::SetupError;
use self::worker::{Current, Worker};
use crate::admin::Readiness;
use crate::change::Journal;
use crate::config::Config;
use crate::hook::shelf::Shelf;
use crate::report::{Coverage, Findings};
use crate::telemetry;

/// A gateway that holds its port and is ready to serve.
pub struct Gateway {
    site: Arc<Site>,
    listeners: Vec<std::net::TcpListener>,
    address: SocketAddr,
}

/// A gateway that serves.
pub struct Running {
    stop: signal::Sender<bool>,
    threads: Vec<JoinHandle<Drained>>,
    control: Control,
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Everything that was admitted was answered.
    Clean,
    /// The time for draining ended first.
    Cut,
}

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An upstream.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The listener's certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The port.
    #[error("gateway.listen: cannot listen on {address}: {error}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
}

/// What a gateway writes to.
pub struct Sinks {
    /// Findings.
    pub findings: Findings,
    /// What of the contracts was seen.
    pub coverage: Coverage,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Intents and outcomes.
    pub journal: Arc<dyn Journal>,
    /// Events and leases.
    pub shelf: Arc<dyn Shelf>,
    /// Which upstreams are not asked.
    pub readiness: Readiness,
}

// === impl Gateway ===

impl Gateway {
    /// Sets the upstreams up and takes the port. `mock` is the address of the mock's listener,
    /// where one runs.
    pub fn bind(
        config: &Config,
        mock: Option<SocketAddr>,
        sinks: Sinks,
    ) -> Result<Self, StartError> {
        let trusted = config.gateway.trusted_peers.clone();
        let unrecorded = Unrecorded::default();
        let onlookers = Arc::new(Onlookers::default());
        let journal = Arc::new(Alarming {
            journal: sinks.journal,
            metrics: Arc::clone(&sinks.metrics),
            unrecorded: unrecorded.clone(),
            onlookers: Arc::clone(&onlookers),
        });
        let lasting = Lasting {
            findings: sinks.findings,
            coverage: sinks.coverage,
            metrics: sinks.metrics,
            journal,
            hooks: Arc::new(Hooks::new(sinks.shelf, unrecorded)),
            onlookers,
            door: Door::new(site::most(config), trusted),
            mock,
            readiness: sinks.readiness,
        };
        let site = Arc::new(Site::first(config.clone(), lasting)?);
        site.takes_over(None);
        let address = config.gateway.listen;
        let bind_error = |error| StartError::Bind { address, error };
        let listeners = listen::bind(address, config.gateway.threads).map_err(bind_error)?;
        let address = listeners
            .first()
            .map_or(Ok(address), std::net::TcpListener::local_addr)
            .map_err(bind_error)?;
        Ok(Self { site, listeners, address })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves, on threads of its own.
    pub fn start(self) -> io::Result<Running> {
        let (stop, stopping) = signal::channel(false);
        let (mut threads, mut swaps) = (Vec::new(), Vec::new());
        for (number, listener) in self.listeners.into_iter().enumerate() {
            let (site, stopping) = (Arc::clone(&self.site), stopping.clone());
            let (swap, swapped) = mpsc::unbounded_channel();
            let recovers = if number == 0 { Recovers::Yes } else { Recovers::No };
            let thread = std::thread::Builder::new()
                .name(format!("gateway-{number}"))
                .spawn(move || event_loop(site, listener, stopping, swapped, recovers))?;
            threads.push(thread);
            swaps.push(swap);
        }
        Ok(Running { stop, threads, control: Control::new(self.site, swaps) })
    }
}

// === impl Running ===

impl Running {
    /// What gives it another configuration.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Stops accepting, lets what was admitted end, and waits for it. Blocks.
    #[must_use]
    pub fn drain(self) -> Drained {
        let _ = self.stop.send(true);
        let ended = self.threads.into_iter().map(|thread| thread.join().unwrap_or(Drained::Cut));
        ended.fold(Drained::Clean, |so_far, drained| match drained {
            Drained::Clean => so_far,
            Drained::Cut => Drained::Cut,
        })
    }
}

/// Whether a thread finishes what was left open: one of them does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Recovers {
    Yes,
    No,
}

/// One thread: a single-threaded runtime and everything that runs on it.
fn event_loop(
    site: Arc<Site>,
    listener: std::net::TcpListener,
    mut stopping: signal::Receiver<bool>,
    swaps: mpsc::UnboundedReceiver<Swap>,
    recovers: Recovers,
) -> Drained {
    let _lines = telemetry::gather();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(telemetry::write_out)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "an event loop cannot start");
            return Drained::Cut;
        }
    };
    let local = LocalSet::new();
    local.block_on(&runtime, async move {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "a listener cannot be used");
                return Drained::Cut;
            }
        };
        let current = Rc::new(Current::new(Worker::new(site, stopping.clone())));
        if recovers == Recovers::Yes {
            tokio::task::spawn_local(recover::watch(Rc::clone(&current)));
            tokio::task::spawn_local(hooks::engine::watch(Rc::clone(&current)));
        }
        tokio::task::spawn_local(reload::follow(Rc::clone(&current), swaps));
        let serving = listen::serve(Rc::clone(&current), listener, stopping.clone());
        let too_long = async {
            let _ = stopping.wait_for(|stop| *stop).await;
            tokio::time::sleep(current.worker().site.config.gateway.drain).await;
        };
        tokio::select! {
            () = serving => Drained::Clean,
            // Connections may be left that never sent a whole request: nothing of theirs was
            // admitted.
            () = too_long => if current.worker().is_done() { Drained::Clean } else { Drained::Cut },
        }
    })
}
