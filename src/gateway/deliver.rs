//! Sending deliveries, beside the gateway: the ledger is the queue, the metrics look on.
//!
//! It runs apart from the event loops that exchanges run on, and asks the ledger in small turns; an
//! exchange never waits for a target.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use super::tls::{self, TlsError};
use crate::change::journal::Unwritten;
use crate::hook::delivery::post::{Direct, Http, Line};
use crate::hook::delivery::schedule::Schedule;
use crate::hook::delivery::sender::{Course, Observer, Sender};
use crate::hook::delivery::subscription::Subscription;
use crate::hook::delivery::{Fate, Queue, Report, Turn, Unavailable, Want};
use crate::ledger::{Event, Ledger, Subscriber};
use crate::limits::VIOLATIONS_A_MINUTE;
use crate::report::Findings;
use crate::report::findings::Milestone;

/// How often what waits is counted.
const COUNTED: Duration = Duration::from_secs(5);

/// What sends, ready to begin.
pub struct Deliveries {
    lines: Vec<Line>,
    schedule: Schedule,
    ledger: Ledger,
    findings: Findings,
    metrics: Arc<Metrics>,
}

/// Why deliveries cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// A file of authorities.
    #[error("subscription {0}: {1}")]
    Tls(Arc<str>, TlsError),
    /// The ledger.
    #[error("ledger: {0}")]
    Ledger(#[from] Unwritten),
}

/// Whether a subscription's authorities can be used. Opens no port.
pub fn check(subscription: &Subscription) -> Result<(), DeliverError> {
    line(subscription).map(drop)
}

fn line(subscription: &Subscription) -> Result<Line, DeliverError> {
    let tls = tls::client(subscription.ca_file.as_deref(), None)
        .map_err(|error| DeliverError::Tls(Arc::clone(&subscription.name), error))?
        .config;
    Ok(Line { subscription: subscription.clone(), tls })
}

// === impl Deliveries ===

impl Deliveries {
    /// Reads the authorities of the subscriptions.
    pub fn new(
        subscriptions: &[Subscription],
        schedule: Schedule,
        ledger: Ledger,
        findings: Findings,
        metrics: Arc<Metrics>,
    ) -> Result<Self, DeliverError> {
        let lines = subscriptions.iter().map(line).collect::<Result<_, _>>()?;
        Ok(Self { lines, schedule, ledger, findings, metrics })
    }

    /// Tells the ledger who wants what: from here on deliveries are written.
    pub async fn subscribe(self) -> Result<Subscribed, DeliverError> {
        let subscribers = self.lines.iter().map(|it| Subscriber {
            name: Arc::clone(&it.subscription.name),
            events: it.subscription.events.clone(),
        });
        let written = self.ledger.subscribe(subscribers.collect()).await?;
        Ok(Subscribed { deliveries: self, written })
    }
}

/// What sends, and is known to the ledger.
pub struct Subscribed {
    deliveries: Deliveries,
    written: Arc<Notify>,
}

// === impl Subscribed ===

impl Subscribed {
    /// Sends until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let Self { deliveries: Deliveries { lines, schedule, ledger, findings, metrics }, written } =
            self;
        if lines.is_empty() {
            return;
        }
        let courses: Vec<Course> = lines
            .iter()
            .map(|line| Course {
                name: Arc::clone(&line.subscription.name),
                mark: line.subscription.mark(),
                timeout: line.subscription.timeout,
            })
            .collect();
        let names = courses.iter().map(|it| Arc::clone(&it.name)).collect();
        let queue = FromLedger { ledger: ledger.clone(), written };
        let looking_on = Counting { metrics: Arc::clone(&metrics) };
        let sender = Sender::new(queue, Http::new(lines, Direct), looking_on, courses, schedule);
        let beside = async {
            let count = count(ledger.clone(), metrics, names);
            match findings.milestones() {
                Some(milestones) => {
                    tokio::join!(count, tell(milestones, &ledger));
                }
                None => count.await,
            }
        };
        tokio::select! {
            () = sender.run(stop.cancelled_owned()) => {}
            () = beside => {}
        }
    }
}

/// The ledger as a queue.
struct FromLedger {
    ledger: Ledger,
    written: Arc<Notify>,
}

impl Queue for FromLedger {
    fn turn(
        &self,
        reports: Vec<Report>,
        wants: Vec<Want>,
    ) -> BoxFuture<'static, Result<Turn, Unavailable>> {
        let turn = self.ledger.deliver(reports, wants);
        Box::pin(async move { turn.await.map_err(|_| Unavailable) })
    }

    fn woken(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.written.notified())
    }
}

/// Counts what becomes of deliveries, and rings.
struct Counting {
    metrics: Arc<Metrics>,
}

impl Observer for Counting {
    fn tried(&self, report: &Report) {
        let subscription = &*report.subscription;
        let result = match &report.fate {
            Fate::Delivered { .. } => "delivered",
            Fate::Again { why, .. } | Fate::Dead { why } => why.word(),
            Fate::Gone { .. } => "gone",
            Fate::Released => "released",
        };
        self.metrics.delivery(subscription, result);
        match &report.fate {
            Fate::Dead { why } => {
                self.metrics.alarm("delivery-dead");
                tracing::error!(
                    subscription, delivery = report.number, %why,
                    "a delivery is dead: recgate hook redrive sends it again"
                );
            }
            Fate::Gone { .. } => {
                self.metrics.alarm("subscription-gone");
                tracing::error!(
                    subscription,
                    delivery = report.number,
                    "the target answered 410 and gets nothing more: recgate hook redrive, or another url, enables it"
                );
            }
            Fate::Delivered { .. } | Fate::Again { .. } | Fate::Released => {}
        }
    }
}

/// Counts what waits, now and then.
async fn count(ledger: Ledger, metrics: Arc<Metrics>, names: HashSet<Arc<str>>) {
    let mut tick = interval(COUNTED);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let Ok((backlog, dropped)) = ledger.backlog().await else { continue };
        let now = Timestamp::now();
        for name in &names {
            let waits = backlog.iter().find(|it| *it.subscription == **name);
            let waiting = waits.map_or(0, |it| i64::try_from(it.waiting).unwrap_or(i64::MAX));
            let age = waits.map_or(0, |it| now.duration_since(it.oldest).as_secs().max(0));
            metrics.waiting(name, waiting, age);
        }
        if dropped > 0 {
            metrics.alarm("delivery-overflow");
        }
    }
}

/// Tells of broken contracts: the first of a kind, and its powers of ten.
async fn tell(mut milestones: mpsc::Receiver<Milestone>, ledger: &Ledger) {
    let (mut minute, mut told) = (Instant::now(), 0);
    while let Some(milestone) = milestones.recv().await {
        if minute.elapsed() >= Duration::from_mins(1) {
            (minute, told) = (Instant::now(), 0);
        }
        told += 1;
        if told > VIOLATIONS_A_MINUTE {
            tracing::warn!(fingerprint = %milestone.fingerprint, "too many violations to tell of");
            continue;
        }
        let Milestone { fingerprint, kind, count, exchange } = milestone;
        let once = format!("contract.violation\n{fingerprint}\n{count}");
        let payload = json!({
            "fingerprint": fingerprint, "count": count, "exchange": exchange,
            "upstream": &*kind.upstream, "operation": kind.operation, "hop": kind.hop,
            "blame": kind.blame, "code": kind.code, "rule": kind.spec_pointer,
        });
        let event = Event {
            kind: "contract.violation".to_owned(),
            about: fingerprint.to_string(),
            payload,
        };
        ledger.tell(event, Some(once));
    }
}
