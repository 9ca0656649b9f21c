//! Sending deliveries, beside the gateway: the ledger is the queue, the metrics look on.
//!
//! It runs apart from the event loops that exchanges run on, and asks the ledger in small turns; an
//! exchange never waits for a target. A reload puts other subscriptions in place of these: tries
//! under way may end first, for a few seconds, and what did not is sent again.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use super::tls::{self, Calling, TlsError};
use crate::change::journal::Unwritten;
use crate::config::raw::Http2;
use crate::hook::delivery::post::{Direct, Http, Line};
use crate::hook::delivery::schedule::Schedule;
use crate::hook::delivery::sender::{Course, Observer, Sender};
use crate::hook::delivery::subscription::Subscription;
use crate::hook::delivery::{Fate, Queue, Report, Turn, Unavailable, Want};
use crate::ledger::{Event, Ledger, Subscriber};
use crate::limits::VIOLATIONS_A_MINUTE;
use crate::report::Findings;
use crate::report::findings::Milestone;

/// From one try to tell the ledger to the next.
const AGAIN: Duration = Duration::from_secs(1);
/// How often what waits is counted.
const COUNTED: Duration = Duration::from_secs(5);

/// What sends to certain subscriptions, ready to begin.
pub struct Deliveries {
    lines: Vec<Line>,
    /// The authorities of each.
    trusts: Vec<Calling>,
    schedule: Schedule,
    place: Place,
}

/// Where deliveries come from, and who looks on.
#[derive(Clone)]
struct Place {
    ledger: Ledger,
    findings: Findings,
    metrics: Arc<Metrics>,
}

/// Puts other subscriptions in the place of those that are sent to.
pub struct Others {
    place: Place,
    in_use: Mutex<Same>,
    coming: mpsc::UnboundedSender<Swap>,
}

/// These are to be sent; the sign is given, by dropping it, when the ledger knows of them.
type Swap = (Deliveries, oneshot::Sender<()>);

/// What tells subscriptions from others, secrets and authorities included, without showing them.
struct Same {
    said: String,
    trusts: Vec<Calling>,
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

fn line(subscription: &Subscription) -> Result<(Line, Calling), DeliverError> {
    let trust = tls::client(subscription.ca_file.as_deref(), None, Http2::Never)
        .map_err(|error| DeliverError::Tls(Arc::clone(&subscription.name), error))?;
    let tls = Arc::clone(&trust.config);
    Ok((Line { subscription: subscription.clone(), tls }, trust))
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
        Place { ledger, findings, metrics }.deliveries(subscriptions, schedule)
    }

    /// Tells the ledger who wants what: from here on deliveries are written. With what will put
    /// others in their place.
    pub async fn subscribe(self) -> Result<(Subscribed, Others), DeliverError> {
        let (coming, others) = mpsc::unbounded_channel();
        let in_use = Mutex::new(self.same());
        let hand = Others { place: self.place.clone(), in_use, coming };
        let written = self.wanted().await?;
        Ok((Subscribed { deliveries: self, written, others }, hand))
    }

    async fn wanted(&self) -> Result<Arc<Notify>, Unwritten> {
        let subscribers = self.lines.iter().map(|it| Subscriber {
            name: Arc::clone(&it.subscription.name),
            events: it.subscription.events.clone(),
        });
        self.place.ledger.subscribe(subscribers.collect()).await
    }

    fn same(&self) -> Same {
        let said = self.lines.iter().map(|Line { subscription, .. }| {
            // What is not shown is compared too: the whole target by its mark, and secrets by what
            // they make of one text.
            format!("{subscription:?} {} {}", subscription.mark(), subscription.sign("", 0, b""))
        });
        let said = format!("{:?} {:?}", said.collect::<Vec<_>>(), self.schedule);
        Same { said, trusts: self.trusts.clone() }
    }

    /// Sends until `stop` is cancelled. `milestones` are taken by the first who wants them, and
    /// handed on.
    async fn send(
        &self,
        written: Arc<Notify>,
        stop: CancellationToken,
        milestones: &mut Option<mpsc::Receiver<Milestone>>,
    ) {
        if self.lines.is_empty() {
            return stop.cancelled().await;
        }
        let Place { ledger, findings, metrics } = &self.place;
        let courses: Vec<Course> = self
            .lines
            .iter()
            .map(|line| Course {
                name: Arc::clone(&line.subscription.name),
                mark: line.subscription.mark(),
                timeout: line.subscription.timeout,
            })
            .collect();
        let queue = FromLedger { ledger: ledger.clone(), written };
        let looking_on = Counting { metrics: Arc::clone(metrics) };
        let post = Http::new(self.lines.clone(), Direct);
        let sender = Sender::new(queue, post, looking_on, courses, self.schedule.clone());
        if milestones.is_none() {
            *milestones = findings.milestones();
        }
        let beside = async {
            let count = count(ledger, metrics, self.names());
            match milestones {
                Some(milestones) => {
                    tokio::join!(count, tell(milestones, ledger));
                }
                None => count.await,
            }
        };
        tokio::select! {
            () = sender.run(stop.cancelled_owned()) => {}
            () = beside => {}
        }
    }

    /// Tells the ledger as soon as it takes it: without it nothing could be sent either.
    async fn wanted_at_last(&self) -> Arc<Notify> {
        loop {
            match self.wanted().await {
                Ok(written) => return written,
                Err(error) => tracing::error!(%error, "the ledger does not know who subscribes"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    fn names(&self) -> HashSet<Arc<str>> {
        self.lines.iter().map(|it| Arc::clone(&it.subscription.name)).collect()
    }
}

// === impl Place ===

impl Place {
    fn deliveries(
        &self,
        subscriptions: &[Subscription],
        schedule: Schedule,
    ) -> Result<Deliveries, DeliverError> {
        let made: Vec<_> = subscriptions.iter().map(line).collect::<Result<_, _>>()?;
        let (lines, trusts) = made.into_iter().unzip();
        Ok(Deliveries { lines, trusts, schedule, place: self.clone() })
    }
}

// === impl Others ===

impl Others {
    /// Reads the authorities of other subscriptions; nothing else happens yet.
    pub fn read(
        &self,
        subscriptions: &[Subscription],
        schedule: Schedule,
    ) -> Result<Deliveries, DeliverError> {
        self.place.deliveries(subscriptions, schedule)
    }

    /// Lets these take the place of those in use, unless they are the same. Says whether they do.
    /// Blocks until the ledger knows of them; tries under way have some seconds to end before.
    pub fn put(&self, next: Deliveries) -> bool {
        let same = next.same();
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if in_use.is(&same) {
            return false;
        }
        *in_use = same;
        let (known, wait) = oneshot::channel();
        if self.coming.send((next, known)).is_ok() {
            // An error is the sign, or the end of the process.
            let _ = wait.blocking_recv();
        }
        true
    }
}

// === impl Same ===

impl Same {
    fn is(&self, other: &Self) -> bool {
        self.said == other.said
            && self.trusts.len() == other.trusts.len()
            && self.trusts.iter().zip(&other.trusts).all(|(one, other)| one.is_like(other))
    }
}

/// What sends, and is known to the ledger.
pub struct Subscribed {
    deliveries: Deliveries,
    written: Arc<Notify>,
    others: mpsc::UnboundedReceiver<Swap>,
}

// === impl Subscribed ===

impl Subscribed {
    /// Sends until `stop` is cancelled, to whoever is subscribed then.
    pub async fn run(self, stop: CancellationToken) {
        let Self { mut deliveries, mut written, mut others } = self;
        let mut milestones = None;
        loop {
            let ending = stop.child_token();
            let (next, known) = {
                let mut sending =
                    pin!(deliveries.send(Arc::clone(&written), ending.clone(), &mut milestones));
                let swap = tokio::select! {
                    () = &mut sending => return,
                    Some(swap) = others.recv() => swap,
                };
                ending.cancel();
                sending.await;
                swap
            };
            for gone in deliveries.names().difference(&next.names()) {
                deliveries.place.metrics.waiting(gone, 0, 0);
            }
            deliveries = next;
            written = tokio::select! {
                written = deliveries.wanted_at_last() => written,
                () = stop.cancelled() => return,
            };
            drop(known);
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
async fn count(ledger: &Ledger, metrics: &Metrics, names: HashSet<Arc<str>>) {
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
async fn tell(milestones: &mut mpsc::Receiver<Milestone>, ledger: &Ledger) {
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
