//! Calls that no client sent: a recovery's, and those that an outside event asks for.
//!
//! An errand has an exchange and a way to its upstream like any other, in a name of its own, so that
//! queues, intents, checks and deadlines are the same.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::time::Instant;
use uuid::Uuid;

use super::breaker::Urgency;
use super::chosen::Promised;
use super::forward::Forward;
use super::passage::Passage;
use super::route::{Leg, Route};
use super::upstream::Upstream;
use super::visit::Visit;
use super::worker::Worker;
use crate::change::terms::Terms;
use crate::change::{Answer, Call, Exchange, Next};
use crate::error::Failure;

/// An exchange without a client.
pub(crate) struct Errand {
    pub(crate) exchange: Rc<Exchange>,
    pub(crate) next: Rc<dyn Next>,
    worker: Rc<Worker>,
    upstream: Arc<Upstream>,
}

// === impl Errand ===

impl Errand {
    /// An errand on these terms. No single call of it takes longer than `longest`.
    pub(crate) fn new(
        worker: &Rc<Worker>,
        upstream: &Arc<Upstream>,
        terms: Arc<Terms>,
        longest: Duration,
    ) -> Self {
        let id = Uuid::now_v7();
        let deadline = Instant::now() + terms.deadline;
        let exchange = Rc::new(Exchange::new(
            id,
            Arc::clone(&terms),
            Arc::clone(&upstream.config.name),
            upstream.config.dialect,
            deadline,
            Arc::clone(&worker.site.lasting.journal),
        ));
        let route = Route { upstream: Arc::clone(upstream), leg: Leg::Api, target: "/".to_owned() };
        let promised = Promised::plain(terms);
        let passage = Passage::own(id);
        let visit =
            Rc::new(Visit::new(Rc::clone(worker), id, promised, passage, &route, Method::GET));
        let deadline = Instant::now() + longest;
        let next = Rc::new(Forward { visit, deadline, by_change: true, urgency: Urgency::Usual });
        Self { exchange, next, worker: Rc::clone(worker), upstream: Arc::clone(upstream) }
    }

    /// Sends a call through every change that it concerns, and then upstream by way of `next`.
    pub(crate) async fn carry(&self, call: Call, next: Rc<dyn Next>) -> Result<Answer, Failure> {
        let changes = &self.upstream.changes;
        let result = changes.carry(Rc::clone(&self.exchange), call, next).await;
        self.follow_up();
        result
    }

    /// Runs what is left to do.
    pub(crate) fn follow_up(&self) {
        for work in self.exchange.take_afterwards() {
            self.worker.follow_up(work);
        }
    }
}
