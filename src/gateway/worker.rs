//! One thread of the gateway: its event loop, its upstream connections, the work it has left.
//!
//! Nothing a request touches on its plain way is shared between threads but the [`Site`], which
//! does not change. Where a new one takes its place, each thread swaps its [`Current`] worker
//! between two steps of its own loop: no exchange sees a half of either, and none waits.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use http::Response;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::body::Body;
use super::load::Place;
use super::pool::{Bounds, Pool};
use super::route::Leg;
use super::site::Site;
use super::upstream::Upstream;
use crate::config::raw::Limits;

/// How long a drain waits for work that goes on after an answer (a pause that is watched).
const FOLLOW_UP_GRACE: Duration = Duration::from_secs(2);

/// One thread, on one site.
pub(crate) struct Worker {
    pub(crate) site: Arc<Site>,
    pools: RefCell<Pools>,
    /// Those of the thread, whatever site they began on.
    tasks: TaskTracker,
    stop: watch::Receiver<bool>,
}

/// The worker that new exchanges of a thread begin on.
pub(crate) struct Current(RefCell<Rc<Worker>>);

/// Connections by upstream and leg.
type Pools = BTreeMap<(Arc<str>, Leg), Rc<Pool>>;

/// An exchange from its admission on: counted, and in its place, while it lives.
pub(crate) struct Admitted {
    _counted: Counted,
    _place: Place,
}

/// Work that goes on when nobody waits for it any more. It runs where it is waited for, and becomes a
/// task of its own only when it is dropped before its end.
pub(crate) struct Detached {
    /// None where it has ended, or panicked.
    work: Option<LocalBoxFuture<'static, Response<Body>>>,
    tasks: TaskTracker,
}

/// Counts in a gauge while it lives.
pub(crate) struct Counted(Gauge);

/// Spawns what HTTP/2 needs on the thread it belongs to.
#[derive(Clone, Copy)]
pub(crate) struct OnThisThread;

// === impl Current ===

impl Current {
    pub(crate) fn new(worker: Worker) -> Self {
        Self(RefCell::new(Rc::new(worker)))
    }

    /// The one for an exchange that begins now.
    pub(crate) fn worker(&self) -> Rc<Worker> {
        Rc::clone(&self.0.borrow())
    }

    /// Exchanges that begin from now on are on `site`.
    pub(crate) fn swap(&self, site: Arc<Site>) {
        let next = Rc::new(self.worker().moved_to(site));
        *self.0.borrow_mut() = next;
    }
}

// === impl Worker ===

impl Worker {
    pub(crate) fn new(site: Arc<Site>, stop: watch::Receiver<bool>) -> Self {
        Self { site, pools: RefCell::default(), tasks: TaskTracker::new(), stop }
    }

    /// This thread's connections to a server.
    pub(crate) fn pool(&self, upstream: &Upstream, leg: Leg) -> Rc<Pool> {
        let mut pools = self.pools.borrow_mut();
        let key = (Arc::clone(&upstream.config.name), leg);
        let pool = pools.entry(key).or_insert_with(|| {
            Rc::new(Pool::new(upstream.server(leg).clone(), bounds(&self.site.config.limits)))
        });
        Rc::clone(pool)
    }

    /// The same thread on another site. Connections that are as good there are shared; the others
    /// close, those in use when their exchange has ended.
    fn moved_to(&self, site: Arc<Site>) -> Self {
        let bounds = bounds(&site.config.limits);
        self.pools.borrow_mut().retain(|(name, leg), pool| {
            let upstream = site.upstreams.iter().find(|it| it.config.name == *name);
            upstream.is_some_and(|it| pool.is(it.server(*leg), bounds))
        });
        Self {
            site,
            pools: RefCell::new(self.pools.borrow().clone()),
            tasks: self.tasks.clone(),
            stop: self.stop.clone(),
        }
    }

    /// Counts an exchange from its admission on; a drain waits for it.
    pub(crate) fn admitted(&self, place: Place) -> Admitted {
        Admitted { _counted: Counted::new(&self.site.lasting.metrics.in_flight), _place: place }
    }

    /// Whether everything that was admitted has its whole answer.
    pub(crate) fn is_done(&self) -> bool {
        let metrics = &self.site.lasting.metrics;
        metrics.in_flight.get() == 0 && metrics.delivering.get() == 0
    }

    /// Runs an admitted mutation to its end, whether or not anyone waits for its answer.
    pub(crate) fn detach(
        &self,
        work: impl Future<Output = Response<Body>> + 'static,
        admitted: Admitted,
    ) -> Detached {
        let work = async move {
            let response = work.await;
            drop(admitted);
            response
        };
        Detached { work: Some(Box::pin(work)), tasks: self.tasks.clone() }
    }

    /// Runs work that nobody's connection waits for and that was promised all the same; a drain waits
    /// for it as for an exchange.
    pub(crate) fn carry_out(&self, work: LocalBoxFuture<'static, ()>) {
        let counted = Counted::new(&self.site.lasting.metrics.in_flight);
        self.tasks.spawn_local(async move {
            work.await;
            drop(counted);
        });
    }

    /// Runs what is left to do after an answer.
    pub(crate) fn follow_up(&self, work: LocalBoxFuture<'static, ()>) {
        let counted = Counted::new(&self.site.lasting.metrics.follow_ups);
        let stopped = self.stopped();
        self.tasks.spawn_local(async move {
            let cut = async {
                stopped.await;
                tokio::time::sleep(FOLLOW_UP_GRACE).await;
            };
            tokio::select! {
                () = work => {}
                () = cut => tracing::warn!("work after an answer was left by the drain"),
            }
            drop(counted);
        });
    }

    /// Runs a connection.
    pub(crate) fn connection(&self, work: impl Future<Output = ()> + 'static) {
        self.tasks.spawn_local(work);
    }

    /// Resolves when the gateway stops.
    pub(crate) fn stopped(&self) -> impl Future<Output = ()> + 'static {
        let mut stop = self.stop.clone();
        // An error means that the gateway is gone: that is a stop, too.
        async move { drop(stop.wait_for(|stop| *stop).await) }
    }

    /// Resolves when every connection, exchange and follow-up has ended.
    pub(crate) async fn idle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Closes upstream connections that nobody has used for too long.
    pub(crate) fn reap(&self) {
        for pool in self.pools.borrow().values() {
            pool.reap();
        }
    }
}

const fn bounds(limits: &Limits) -> Bounds {
    Bounds {
        connections: limits.pool_connections,
        idle: Duration::from_millis(limits.idle_ms),
        connect: Duration::from_millis(limits.connect_ms),
        lines: limits.answer_header_count,
    }
}

// === impl Detached ===

impl Future for Detached {
    type Output = Response<Body>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Taken while it runs: what panics is not begun again.
        let Some(mut work) = self.work.take() else { return Poll::Pending };
        let polled = work.as_mut().poll(cx);
        if polled.is_pending() {
            self.work = Some(work);
        }
        polled
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.tasks.spawn_local(work);
        }
    }
}

// === impl Counted ===

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

// === impl OnThisThread ===

impl<F: Future + 'static> hyper::rt::Executor<F> for OnThisThread {
    fn execute(&self, work: F) {
        tokio::task::spawn_local(async move {
            work.await;
        });
    }
}
