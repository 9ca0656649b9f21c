//! `recgate serve`: everything, from one configuration.
//!
//! Every port is taken and every file read before anything is served: what cannot start says so in
//! one line and leaves nothing half open. The addresses go to standard output, and with them the
//! lines that point each vendor's SDK here.

mod dev_tls;
mod greeting;
mod reload;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::Args;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use self::dev_tls::DevTls;
use self::greeting::Listening;
use self::reload::Reloading;
use super::{Exit, Settings, complain, config, mock};
use crate::admin::{self, Admin, Readiness};
use crate::config::Config;
use crate::gateway::deliver::Deliveries;
use crate::gateway::metrics::Metrics;
use crate::gateway::upstream::read_ahead;
use crate::gateway::{Drained, Gateway, Sinks};
use crate::ledger::Ledger;
use crate::report::{Coverage, Findings};
use crate::telemetry;

/// Files that are no connections of clients and upstreams: listeners, the ledger, logs.
const OTHER_FILES: u64 = 256;

/// What `serve` is started with.
#[derive(Args, Debug)]
pub(super) struct ServeArguments {
    #[command(flatten)]
    settings: Settings,
    /// Speak TLS with a certificate for this machine alone, made and kept in DIRECTORY. Loopback
    /// addresses only.
    #[arg(long, value_name = "DIRECTORY", num_args = 0..=1, default_missing_value = "recgate-dev-tls")]
    dev_tls: Option<PathBuf>,
}

pub(super) fn run(arguments: &ServeArguments) -> Result<(), Exit> {
    let settings = &arguments.settings;
    let mut config = load(settings)?;
    let dev_tls = match &arguments.dev_tls {
        None => None,
        Some(directory) => {
            let wanted = DevTls::at(directory);
            wanted.apply(&mut config)?;
            wanted.make_if_needed()?;
            Some(wanted)
        }
    };
    telemetry::log_to_stderr(&config.log);
    let runtime = runtime()?;
    runtime.block_on(serve(config, settings.clone(), dev_tls))
}

/// Raises the process's own limit of open files to what `connections` clients may need: one for each,
/// and one for each upstream connection in their name.
fn open_files(connections: usize) {
    let wanted = (connections as u64).saturating_mul(2).saturating_add(OTHER_FILES);
    match rlimit::increase_nofile_limit(wanted) {
        Ok(got) if got < wanted => tracing::warn!(
            wanted,
            got,
            "fewer files may be open than limits.connections needs; raise the hard limit (ulimit -Hn)"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, wanted, "the limit of open files was not raised"),
    }
}

async fn serve(config: Config, settings: Settings, dev_tls: Option<DevTls>) -> Result<(), Exit> {
    // Signals first: one that comes during start-up must not kill what has been started.
    let terminated = terminated()?;
    let hangups = signal(SignalKind::hangup()).context("SIGHUP")?;

    let mut registry = Registry::default();
    let findings = Findings::default();
    let coverage = Coverage::default();

    // Take every port.
    let mock = if config.uses_mock() {
        Some(mock::bind(&config).await.map_err(|error| unusable(&settings, error))?)
    } else {
        None
    };
    let mock_address = mock.as_ref().map(crate::mock::BoundMock::local_addr);
    let admin_listener = TcpListener::bind(config.admin)
        .await
        .with_context(|| format!("admin.listen: cannot listen on {}", config.admin))?;
    let admin_address = admin_listener.local_addr().context("admin.listen")?;
    // The two longest parts of a start, side by side.
    let upstreams = config.upstreams.clone();
    let reading = tokio::task::spawn_blocking(move || read_ahead(&upstreams));
    // After the ports: a start that fails for one of them makes no ledger.
    let ledger = Ledger::open(config.ledger.clone()).await;
    let ledger = ledger.with_context(|| format!("ledger.url ({})", config.ledger.place));
    let ledger = ledger.map_err(|error| unusable(&settings, error))?;
    reading.await.context("contracts")?;
    ledger.register(&mut registry);
    let metrics = Metrics::register(&mut registry);
    let deliveries = Deliveries::new(
        &config.subscriptions,
        config.schedule.clone(),
        ledger.clone(),
        findings.clone(),
        Arc::clone(&metrics),
    )
    .map_err(|error| unusable(&settings, error.into()))?;
    let readiness = Readiness::default();
    let sinks = Sinks {
        findings: findings.clone(),
        coverage: coverage.clone(),
        metrics: Arc::clone(&metrics),
        journal: Arc::new(ledger.clone()),
        shelf: Arc::new(ledger.clone()),
        readiness: readiness.clone(),
    };
    let gateway = Gateway::bind(&config, mock_address, sinks)
        .map_err(|error| unusable(&settings, error.into()))?;
    let gateway_address = gateway.address();

    // Serve. What is told from the first exchange on is told to whom.
    let stop = CancellationToken::new();
    let (deliveries, others) = deliveries.subscribe().await.context("subscriptions")?;
    let deliveries = tokio::spawn(deliveries.run(stop.clone()));
    let mock = mock.map(|mock| tokio::spawn(mock.serve(stop.clone().cancelled_owned())));
    let admin = Admin {
        registry: Arc::new(registry),
        findings,
        coverage,
        ledger: ledger.clone(),
        readiness: readiness.clone(),
    };
    let admin = tokio::spawn(admin::serve(admin_listener, admin, stop.clone().cancelled_owned()));
    // Not before: a start that fails says why, and nothing else.
    open_files(config.limits.connections);
    let running = gateway.start().context("gateway threads")?;
    readiness.ready();
    let listening =
        Listening { gateway: gateway_address, mock: mock_address, admin: admin_address };
    greeted(greeting::print(&config, &listening, dev_tls.as_ref()));

    let (control, leaving) = (running.control(), running.control());
    tokio::select! {
        () = terminated => {}
        () = Reloading { settings, dev_tls, control, others, metrics }.watch(hangups) => {}
    }
    tracing::info!("draining; a second signal ends it at once");
    readiness.draining();
    let again = self::terminated()?;
    let drained = tokio::select! {
        drained = tokio::task::spawn_blocking(move || running.drain()) => drained,
        () = again => {
            complain("ended by a second signal while draining");
            std::process::exit(1);
        }
    };
    // The mock is an upstream: it goes after the gateway.
    stop.cancel();
    admin.await.context("admin side")?.context("admin side")?;
    if let Some(mock) = mock {
        mock.await.context("mock vendor")?.context("mock vendor")?;
    }
    deliveries.await.context("deliveries")?;
    // Last: until here there may be outcomes to be written.
    leaving.leave().await;
    ledger.close().await;
    match drained {
        Ok(Drained::Clean) => Ok(()),
        Ok(Drained::Cut) => {
            Err(anyhow!("gateway.drain_ms ended before everything admitted was answered").into())
        }
        Err(error) => Err(error).context("draining").map_err(Exit::from),
    }
}

/// The configuration, where it is one to serve with.
fn load(settings: &Settings) -> Result<Config, Exit> {
    let layers = settings.layers()?;
    let config = layers.load().map_err(Exit::Config)?;
    let faults = config::crossed(&layers, &config);
    if faults.is_empty() { Ok(config) } else { Err(Exit::Config(faults)) }
}

/// Why a start failed: what is wrong with the configuration's files, each with the place of its
/// key, where that is why; else the error itself.
fn unusable(settings: &Settings, error: anyhow::Error) -> Exit {
    let faults = settings.layers().and_then(|layers| {
        let config = layers.load().map_err(Exit::Config)?;
        Ok(config::unusable(&layers, &config))
    });
    match faults {
        Ok(faults) if faults.is_empty() => error.into(),
        Ok(faults) => Exit::Config(faults),
        Err(exit) => exit,
    }
}

/// The runtime of everything but the gateway's own threads.
pub(super) fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().context("runtime")
}

/// Resolves at SIGTERM or Ctrl-C. The signals are caught from this call on.
pub(super) fn terminated() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Whether anybody reads what is printed changes nothing for those who are to be served.
pub(super) fn greeted(printed: std::io::Result<()>) {
    if let Err(error) = printed {
        tracing::warn!(%error, "the addresses could not be printed");
    }
}
