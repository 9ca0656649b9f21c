//! All changes of one vendor's API, in the order in which they happened.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use http::Method;

use super::announced::Announced;
use super::call::canonical;
use super::deletion_protection::DeletionProtection;
use super::secure_pause::SecurePause;
use super::terms::Terms;
use super::webex_delete::WebexDelete;
use super::{Allowed, Answer, Call, Change, Exchange, Next};
use crate::dialect::Dialect;
use crate::error::Failure;

/// The changes of one upstream.
#[derive(Clone, Default)]
pub struct Registry {
    changes: Arc<[Arc<dyn Change>]>,
}

/// The first change that has something to do for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concerned(usize);

/// The rest of the way from one change on.
struct Chain {
    exchange: Rc<Exchange>,
    rest: Registry,
    from: usize,
    upstream: Rc<dyn Next>,
}

// === impl Registry ===

impl Registry {
    /// The changes of the API that speaks `dialect`. Changes that keep state (the queues of
    /// conversations, remembered refusals) keep it for the lifetime of this registry.
    /// `pause_watch` is how long a pause is watched that an older resume may undo.
    #[must_use]
    pub fn of(dialect: Dialect, pause_watch: Duration) -> Self {
        let changes: Vec<Arc<dyn Change>> = match dialect {
            Dialect::Genesys => {
                vec![Arc::new(SecurePause::new(pause_watch)), Arc::<DeletionProtection>::default()]
            }
            Dialect::Webex => vec![Arc::new(WebexDelete)],
            Dialect::Problem => Vec::new(),
        };
        Self { changes: changes.into() }
    }

    /// The changes of every vendor, oldest first; those without a date come last.
    #[must_use]
    pub fn whole() -> Self {
        let mut changes: Vec<Arc<dyn Change>> = [Dialect::Genesys, Dialect::Webex]
            .into_iter()
            .flat_map(|dialect| Self::of(dialect, SecurePause::WATCH).changes.to_vec())
            .collect();
        changes.sort_by_key(|it| (it.announcement().date.is_none(), it.announcement().date));
        Self { changes: changes.into() }
    }

    /// The changes, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Change>> {
        self.changes.iter()
    }

    /// The change with this id.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&Arc<dyn Change>> {
        self.changes.iter().find(|change| change.announcement().id == id)
    }

    /// Whether a request can concern a change, by its method and raw path.
    #[must_use]
    pub fn watches(&self, method: &Method, path: &str) -> bool {
        let path = canonical(path);
        self.changes.iter().any(|change| change.watches(method, &path))
    }

    /// Whether a change has to read the body of such a request, however long it is.
    #[must_use]
    pub fn must_read(&self, method: &Method, path: &str) -> bool {
        let path = canonical(path);
        self.changes.iter().any(|change| change.must_read(method, &path))
    }

    /// Whether a call may be urgent, as far as its method and raw path tell.
    #[must_use]
    pub fn may_be_urgent(&self, method: &Method, path: &str) -> bool {
        let path = canonical(path);
        self.changes.iter().any(|change| change.may_be_urgent(method, &path))
    }

    /// The first change that has something to do for this call.
    #[must_use]
    pub fn concerned(&self, call: &Call, exchange: &Exchange) -> Option<Concerned> {
        self.concerned_from(0, call, exchange)
    }

    fn concerned_from(&self, at: usize, call: &Call, exchange: &Exchange) -> Option<Concerned> {
        let mut rest = at..self.changes.len();
        rest.find(|&at| self.changes[at].concerns(call, exchange)).map(Concerned)
    }

    /// Whether a call must not be refused because it breaks a contract.
    #[must_use]
    pub fn is_urgent(&self, call: &Call) -> bool {
        self.changes.iter().any(|change| change.is_urgent(call))
    }

    /// Lets every change that watches this call take note that it passes untouched.
    pub fn passes(&self, call: &Call, exchange: &Exchange) {
        let path = canonical(call.path());
        let watching = self.changes.iter().filter(|change| change.watches(&call.method, &path));
        watching.for_each(|change| change.passes(call, exchange));
    }

    /// What the terms of a client announce of this call, by every change that watches it.
    #[must_use]
    pub fn announces(&self, call: &Call, terms: &Terms) -> Vec<Announced> {
        let path = canonical(call.path());
        let watching = self.changes.iter().filter(|change| change.watches(&call.method, &path));
        watching.flat_map(|change| change.announces(call, terms)).collect()
    }

    /// Sends a call through every change that it concerns, oldest first, and then upstream.
    pub async fn carry(
        &self,
        exchange: Rc<Exchange>,
        call: Call,
        upstream: Rc<dyn Next>,
    ) -> Result<Answer, Failure> {
        let chain = Chain { exchange, rest: self.clone(), from: 0, upstream };
        chain.call(call).await
    }

    /// The same where the first of them is known.
    pub async fn carry_by(
        &self,
        first: Concerned,
        exchange: Rc<Exchange>,
        call: Call,
        upstream: Rc<dyn Next>,
    ) -> Result<Answer, Failure> {
        let chain = Chain { exchange, rest: self.clone(), from: 0, upstream };
        chain.by(first, call).await
    }
}

// === impl Chain ===

impl Chain {
    fn by(
        &self,
        Concerned(at): Concerned,
        call: Call,
    ) -> LocalBoxFuture<'static, Result<Answer, Failure>> {
        let next = Self {
            exchange: Rc::clone(&self.exchange),
            rest: self.rest.clone(),
            from: at + 1,
            upstream: Rc::clone(&self.upstream),
        };
        Arc::clone(&self.rest.changes[at]).carry(Rc::clone(&self.exchange), call, Rc::new(next))
    }
}

impl Next for Chain {
    fn call(&self, call: Call) -> LocalBoxFuture<'static, Result<Answer, Failure>> {
        match self.rest.concerned_from(self.from, &call, &self.exchange) {
            Some(first) => self.by(first, call),
            None => self.upstream.call(call),
        }
    }

    fn allows_again(&self, call: &Call) -> Allowed {
        self.upstream.allows_again(call)
    }
}
