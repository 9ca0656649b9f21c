//! The operator's side: health, metrics, findings, coverage, ledger. On its own port, never reachable
//! through the gateway.

pub mod clients;
mod hooks;

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio::net::TcpListener;

use self::clients::Inventory;
use crate::dialect::{Dialect, ErrorAnswer};
use crate::ledger::Ledger;
use crate::ledger::record::Shown;
use crate::report::findings::Filter;
use crate::report::{Coverage, Findings};

/// What the admin side shows.
#[derive(Clone)]
pub struct Admin {
    /// All counters.
    pub registry: Arc<Registry>,
    /// Broken contracts.
    pub findings: Findings,
    /// What of the contracts was seen.
    pub coverage: Coverage,
    /// Intents and outcomes.
    pub ledger: Ledger,
    /// Whether traffic is wanted.
    pub readiness: Readiness,
}

/// Whether the gateway wants traffic: starting, ready, draining. An upstream that is not asked for a
/// while changes nothing of that: pauses are sent all the same, and another gateway would do no better
/// with it. It is only said.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    phase: AtomicU8,
    /// The upstreams whose breaker is open.
    breakers_open: Mutex<BTreeSet<String>>,
}

const STARTING: u8 = 0;
const READY: u8 = 1;
const DRAINING: u8 = 2;

/// Serves the admin side until `stop` resolves.
pub async fn serve(
    listener: TcpListener,
    admin: Admin,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let routes = Router::new()
        .route("/", get(index))
        .route("/healthz", get(|| async { Json(json!({ "status": "ok" })) }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/findings", get(findings))
        .route("/coverage", get(coverage))
        .route("/ledger", get(ledger))
        .route("/clients", get(inventory))
        .merge(hooks::routes())
        .fallback(unknown)
        .with_state(admin);
    axum::serve(listener, routes).with_graceful_shutdown(stop).await
}

async fn index() -> impl IntoResponse {
    Json(
        json!({ "paths": ["/healthz", "/readyz", "/metrics", "/findings", "/coverage", "/ledger", "/clients", "/hooks/deliveries"] }),
    )
}

/// 200 while traffic is wanted, 503 otherwise.
async fn ready(State(admin): State<Admin>) -> Response {
    let (status, word) = admin.readiness.now();
    let breakers_open = admin.readiness.breakers_open();
    (status, Json(json!({ "status": word, "breakers_open": breakers_open }))).into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let mut text = String::new();
    if encode(&mut text, &admin.registry).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// The kinds of findings, the most frequent first; by the query `hop`, `operation`, `blame`,
/// `upstream`, `code`.
async fn findings(
    State(admin): State<Admin>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Response {
    match filter {
        Ok(Query(filter)) => Json(admin.findings.matching(&filter)).into_response(),
        Err(_) => problem(
            StatusCode::BAD_REQUEST,
            "bad.request",
            "The query takes hop (client-request, upstream-request, upstream-response, \
             client-response), blame (client, upstream, change, gateway), operation, upstream \
             and code, each once.",
        ),
    }
}

async fn coverage(State(admin): State<Admin>) -> impl IntoResponse {
    Json(admin.coverage.shown())
}

/// The newest records of the ledger, oldest first.
async fn ledger(State(admin): State<Admin>) -> Response {
    match admin.ledger.newest().await {
        Ok(records) => Json(records.iter().map(Shown::of).collect::<Vec<_>>()).into_response(),
        Err(_) => unreadable(),
    }
}

/// Who still uses which legacy operations.
async fn inventory(State(admin): State<Admin>) -> Response {
    match admin.ledger.inventory().await {
        Ok(counted) => Json(Inventory::of(counted)).into_response(),
        Err(_) => unreadable(),
    }
}

fn unreadable() -> Response {
    problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "ledger.unreadable",
        "The ledger's database does not answer; the log says why.",
    )
}

async fn unknown() -> Response {
    problem(
        StatusCode::NOT_FOUND,
        "not.found",
        "The admin side has /healthz, /readyz, /metrics, /findings, /coverage, /ledger, /clients and /hooks/deliveries.",
    )
}

fn problem(status: StatusCode, code: &str, message: &str) -> Response {
    let error = ErrorAnswer::new(status, code, message);
    let rendered = Dialect::Problem.render(&error, &uuid::Uuid::now_v7().to_string());
    (rendered.status, rendered.headers, rendered.body).into_response()
}

// === impl Readiness ===

impl Readiness {
    /// Traffic is wanted from now on.
    pub fn ready(&self) {
        self.0.phase.store(READY, Ordering::Release);
    }

    /// Traffic is wanted no more.
    pub fn draining(&self) {
        self.0.phase.store(DRAINING, Ordering::Release);
    }

    /// An upstream's breaker has opened, or closed.
    pub fn breaker(&self, upstream: &str, open: bool) {
        let mut breakers = self.breakers();
        if open {
            breakers.insert(upstream.to_owned());
        } else {
            breakers.remove(upstream);
        }
    }

    /// The breakers of before are no more.
    pub fn forget_breakers(&self) {
        self.breakers().clear();
    }

    fn breakers_open(&self) -> Vec<String> {
        self.breakers().iter().cloned().collect()
    }

    fn breakers(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.breakers_open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> (StatusCode, &'static str) {
        match self.0.phase.load(Ordering::Acquire) {
            STARTING => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
            READY => (StatusCode::OK, "ready"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        }
    }
}
