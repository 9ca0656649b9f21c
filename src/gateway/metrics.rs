//! What is counted, in Prometheus' form. Labels come out of the configuration and the contract
//! only, never out of a message.

use std::sync::{Arc, OnceLock};

use http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::watch::Seen;
use crate::contract::Verdict;
use crate::error::Code;
use crate::report::{Hop, method_name};

/// The counters of a gateway.
#[derive(Debug, Default)]
pub struct Metrics {
    exchanges: Family<ExchangeLabels, Counter>,
    verdicts: Family<VerdictLabels, Counter>,
    /// Those of `verdicts` that nearly every message counts in, by hop and [`usual`].
    usual: [[OnceLock<Counter>; USUAL]; 4],
    failures: Family<FailureLabels, Counter>,
    changes: Family<ChangeLabels, Counter>,
    unknown: Family<UpstreamLabels, Counter>,
    alarms: Family<AlarmLabels, Counter>,
    deliveries: Family<DeliveryLabels, Counter>,
    delivery_backlog: Family<SubscriptionLabels, Gauge>,
    delivery_oldest: Family<SubscriptionLabels, Gauge>,
    events: Family<EventLabels, Counter>,
    turned_away: Family<LimitLabels, Counter>,
    reloads: Family<ReloadLabels, Counter>,
    retries: Family<RetryLabels, Counter>,
    breakers: Family<UpstreamLabels, Gauge>,
    /// Client connections that are open.
    pub(crate) connections: Gauge,
    /// Exchanges that were admitted and not answered.
    pub(crate) in_flight: Gauge,
    /// Work that goes on after an answer: pauses that are watched.
    pub(crate) follow_ups: Gauge,
    /// Answers of which a part may have to be handed over still.
    pub(crate) delivering: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ExchangeLabels {
    upstream: Arc<str>,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VerdictLabels {
    hop: &'static str,
    verdict: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FailureLabels {
    code: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ChangeLabels {
    change: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct UpstreamLabels {
    upstream: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LimitLabels {
    limit: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReloadLabels {
    of: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RetryLabels {
    upstream: String,
    result: &'static str,
}

/// What is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reread {
    /// Configuration, contracts and certificates.
    Configuration,
    /// Certificates alone.
    Certificates,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// It is in use.
    Done,
    /// What was in use is kept.
    Refused,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AlarmLabels {
    alarm: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DeliveryLabels {
    subscription: String,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SubscriptionLabels {
    subscription: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EventLabels {
    trigger: String,
    result: &'static str,
}

/// How many kinds of verdicts [`usual`] knows.
const USUAL: usize = 3;

/// The place of a verdict without a reason.
const fn usual(seen: Seen) -> Option<usize> {
    match seen {
        Seen::Judged(Verdict::Conforms) => Some(0),
        Seen::Judged(Verdict::NotApplicable) => Some(1),
        Seen::Judged(Verdict::Violates) => Some(2),
        _ => None,
    }
}

// === impl Metrics ===

impl Metrics {
    /// New counters, registered under `recgate_`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Arc<Self> {
        let metrics = Arc::new(Self::default());
        let registry = registry.sub_registry_with_prefix("recgate");
        registry.register("exchanges", "Answers to clients", metrics.exchanges.clone());
        registry.register("verdicts", "Messages by hop and verdict", metrics.verdicts.clone());
        registry.register("failures", "Answers that recgate made", metrics.failures.clone());
        registry.register("changes", "Exchanges a change adapted", metrics.changes.clone());
        registry.register(
            "unknown_operations",
            "Requests that no contract knows",
            metrics.unknown.clone(),
        );
        registry.register("alarms", "What a person has to look at", metrics.alarms.clone());
        registry.register("trigger_events", "Events for triggers", metrics.events.clone());
        registry.register(
            "deliveries",
            "Tries of deliveries by what they came to",
            metrics.deliveries.clone(),
        );
        registry.register(
            "delivery_backlog",
            "Deliveries that wait",
            metrics.delivery_backlog.clone(),
        );
        registry.register(
            "delivery_oldest_seconds",
            "Age of the oldest delivery that waits",
            metrics.delivery_oldest.clone(),
        );
        registry.register(
            "turned_away",
            "Connections closed unread, by the limit that was met",
            metrics.turned_away.clone(),
        );
        registry.register("reloads", "Files read again", metrics.reloads.clone());
        registry.register("retries", "Tries again of calls", metrics.retries.clone());
        registry.register(
            "breaker_open",
            "1 while an upstream gets pauses alone",
            metrics.breakers.clone(),
        );
        registry.register("connections", "Open client connections", metrics.connections.clone());
        registry.register("in_flight", "Unfinished exchanges", metrics.in_flight.clone());
        let delivering = metrics.delivering.clone();
        registry.register(
            "answers_under_way",
            "Answers that are being handed over, and connections that take nothing of them",
            delivering,
        );
        registry.register("follow_ups", "Work after an answer", metrics.follow_ups.clone());
        metrics
    }

    pub(crate) fn answered(&self, upstream: &Arc<str>, method: &Method, status: StatusCode) {
        let labels = ExchangeLabels {
            upstream: Arc::clone(upstream),
            method: method_name(method),
            status: status.as_u16(),
        };
        self.exchanges.get_or_create(&labels).inc();
    }

    pub(crate) fn judged(&self, hop: Hop, seen: Seen) {
        match usual(seen) {
            Some(at) => self.usual[hop as usize][at].get_or_init(|| self.verdict(hop, seen)).inc(),
            None => self.verdict(hop, seen).inc(),
        };
    }

    fn verdict(&self, hop: Hop, seen: Seen) -> Counter {
        let (verdict, reason) = seen.words();
        let labels =
            VerdictLabels { hop: hop.as_str(), verdict, reason: reason.unwrap_or_default() };
        self.verdicts.get_or_create(&labels).clone()
    }

    pub(crate) fn failed(&self, code: Code) {
        self.failures.get_or_create(&FailureLabels { code: code.as_str() }).inc();
    }

    pub(crate) fn adapted(&self, change: &str) {
        self.changes.get_or_create(&ChangeLabels { change: change.to_owned() }).inc();
    }

    /// An event came for a trigger: what became of it.
    pub(crate) fn event(&self, trigger: &str, result: &'static str) {
        self.events.get_or_create(&EventLabels { trigger: trigger.to_owned(), result }).inc();
    }

    /// Something happened that a person has to look at.
    pub(crate) fn alarm(&self, alarm: &'static str) {
        self.alarms.get_or_create(&AlarmLabels { alarm }).inc();
    }

    /// A try of a delivery has ended.
    pub(crate) fn delivery(&self, subscription: &str, result: &'static str) {
        let labels = DeliveryLabels { subscription: subscription.to_owned(), result };
        self.deliveries.get_or_create(&labels).inc();
    }

    /// What waits for a subscription, and the age of the oldest in seconds.
    pub(crate) fn waiting(&self, subscription: &str, count: i64, oldest: i64) {
        let labels = SubscriptionLabels { subscription: subscription.to_owned() };
        self.delivery_backlog.get_or_create(&labels).set(count);
        self.delivery_oldest.get_or_create(&labels).set(oldest);
    }

    /// A connection was one too many for `limit`.
    pub(crate) fn turned_away(&self, limit: &'static str) {
        self.turned_away.get_or_create(&LimitLabels { limit }).inc();
    }

    /// Files were read again.
    pub fn reloaded(&self, of: Reread, result: Reloaded) {
        let of = match of {
            Reread::Configuration => "configuration",
            Reread::Certificates => "certificates",
        };
        let result = match result {
            Reloaded::Done => "done",
            Reloaded::Refused => "refused",
        };
        self.reloads.get_or_create(&ReloadLabels { of, result }).inc();
    }

    /// A call is tried again (`made`, `made-urgent`), or would have been too many (`refused`).
    pub(crate) fn retried(&self, upstream: &str, result: &'static str) {
        let labels = RetryLabels { upstream: upstream.to_owned(), result };
        self.retries.get_or_create(&labels).inc();
    }

    /// Whether a server's breaker is open.
    pub(crate) fn breaker(&self, upstream: &str, open: bool) {
        let labels = UpstreamLabels { upstream: upstream.to_owned() };
        self.breakers.get_or_create(&labels).set(i64::from(open));
    }

    /// The breakers of before are no more.
    pub(crate) fn forget_breakers(&self) {
        self.breakers.clear();
    }

    pub(crate) fn unknown_operation(&self, upstream: &str) {
        self.unknown.get_or_create(&UpstreamLabels { upstream: upstream.to_owned() }).inc();
    }
}
