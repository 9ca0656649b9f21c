//! What all threads share: one configuration, ready to be used, and what outlives the next.
//!
//! A site does not change. A reload makes another one beside it, whole or not at all, and each
//! thread takes it for the exchanges that begin there from then on; an exchange ends on the site
//! it began on. What the new site goes on with:
//!
//! | what | goes on |
//! |---|---|
//! | the queues of conversations, remembered refusals | always, for an upstream of the same name and vendor, at another address, too: a pause must meet the resume that is under way, whichever site admitted either. Their `pause_watch_ms` cannot change without a restart for this reason |
//! | contracts and their coverage | where everything that was read says the same; else both begin anew |
//! | failures of a server, its breaker, tries again | where the server's name and their bounds are the same |
//! | the tokens of the gateway's own accounts | where servers, id and secret are the same |
//! | whose tokens were issued to whom | where the servers are the same |
//! | connections to an upstream | where servers, certificates and bounds are the same; others close as they become idle |
//! | how many connections are open | always; new bounds hold for the next connection |
//! | requests under way | where the bounds are the same; else those of before are not counted in the new ones |
//! | findings, metrics, the ledger, what triggers have begun | always: a lease keeps the terms it was made on |
//!
//! An upstream of another name is another upstream, which remembers nothing.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::StartError;
use super::door::{Door, Most};
use super::hooks::Hooks;
use super::identify::Clients;
use super::load::Load;
use super::metrics::Metrics;
use super::onlookers::Onlookers;
use super::route::{Leg, Routes};
use super::tls::{self, Listening};
use super::upstream::Upstream;
use crate::admin::Readiness;
use crate::change::Journal;
use crate::config::Config;
use crate::hook::trigger::Trigger;
use crate::report::{Coverage, Findings};

/// One configuration, ready to be used.
pub(crate) struct Site {
    pub(crate) config: Arc<Config>,
    pub(crate) routes: Routes,
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    pub(crate) clients: Clients,
    /// By their names.
    pub(crate) triggers: Triggers,
    pub(crate) load: Arc<Load>,
    /// What the listener speaks; clear where it is not there.
    pub(crate) tls: Option<Listening>,
    pub(crate) lasting: Lasting,
}

/// Triggers, by their names.
pub(crate) type Triggers = Arc<HashMap<Arc<str>, Arc<Trigger>>>;

/// What is one for the life of the process.
#[derive(Clone)]
pub(crate) struct Lasting {
    pub(crate) findings: Findings,
    pub(crate) coverage: Coverage,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) hooks: Arc<Hooks>,
    pub(crate) onlookers: Arc<Onlookers>,
    pub(crate) door: Arc<Door>,
    /// Where the mock listens, where one runs.
    pub(crate) mock: Option<SocketAddr>,
    pub(crate) readiness: Readiness,
}

// === impl Site ===

impl Site {
    /// The first one of a process.
    pub(crate) fn first(config: Config, lasting: Lasting) -> Result<Self, StartError> {
        Self::new(config, lasting, None)
    }

    /// One that takes the place of this. Nothing of this one is touched before
    /// [`Site::takes_over`].
    pub(crate) fn after(&self, config: Config) -> Result<Self, StartError> {
        Self::new(config, self.lasting.clone(), Some(self))
    }

    fn new(config: Config, lasting: Lasting, before: Option<&Self>) -> Result<Self, StartError> {
        let watch = Duration::from_millis(config.limits.pause_watch_ms);
        let upstreams = config
            .upstreams
            .iter()
            .map(|it| {
                let previous = before.and_then(|before| before.upstream(&it.name));
                Upstream::after(it.clone(), lasting.mock, watch, previous).map(Arc::new)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let tls = listening(&config, before)?;
        let limits = &config.limits;
        let bounds = |it: &crate::config::raw::Limits| (it.requests, it.pause_requests, it.wait_ms);
        let load = before
            .filter(|before| bounds(&before.config.limits) == bounds(limits))
            .map(|before| Arc::clone(&before.load));
        let wait = Duration::from_millis(limits.wait_ms);
        let load = load
            .unwrap_or_else(|| Arc::new(Load::new(limits.requests, limits.pause_requests, wait)));
        let triggers = config.triggers.iter().map(|it| (Arc::clone(&it.name), Arc::clone(it)));
        Ok(Self {
            routes: Routes::new(&upstreams),
            upstreams,
            clients: Clients::after(&config, before.map(|it| &it.clients)),
            triggers: Arc::new(triggers.collect()),
            load,
            tls,
            lasting,
            config: Arc::new(config),
        })
    }

    /// The same with every certificate read again; `None` where all say what they said.
    pub(crate) fn renewed(&self) -> Result<Option<Self>, StartError> {
        let tls = listening(&self.config, Some(self))?;
        let mut new = match (&tls, &self.tls) {
            (Some(now), Some(then)) => !now.is(then),
            _ => false,
        };
        let mut upstreams = Vec::with_capacity(self.upstreams.len());
        for upstream in &self.upstreams {
            let renewed = upstream.renewed()?;
            new |= renewed.is_some();
            upstreams.push(renewed.map_or_else(|| Arc::clone(upstream), Arc::new));
        }
        Ok(new.then(|| Self {
            config: Arc::clone(&self.config),
            routes: Routes::new(&upstreams),
            upstreams,
            clients: self.clients.clone(),
            triggers: Arc::clone(&self.triggers),
            load: Arc::clone(&self.load),
            tls,
            lasting: self.lasting.clone(),
        }))
    }

    /// What the process keeps is made this site's, in place of `before`'s.
    pub(crate) fn takes_over(&self, before: Option<&Self>) {
        self.lasting.door.bound(most(&self.config), self.config.gateway.trusted_peers.clone());
        let tables = self.upstreams.iter().flat_map(|it| it.coverage.iter().map(Arc::clone));
        self.lasting.coverage.replace(tables.collect());
        self.lasting.metrics.forget_breakers();
        self.lasting.readiness.forget_breakers();
        self.lasting.onlookers.configured(&self.config, &self.lasting.hooks.unrecorded);
        for upstream in &self.upstreams {
            for leg in [Leg::Api, Leg::Login] {
                upstream.reach(leg).show(&self.lasting);
            }
        }
        let Some(learnt) = self.clients.learnt() else { return };
        for old in before.iter().flat_map(|before| &before.upstreams) {
            let name = &old.config.name;
            if self.upstream(name).is_none_or(|new| !new.config.is_there(&old.config)) {
                learnt.forget(name);
            }
        }
    }

    fn upstream(&self, name: &str) -> Option<&Upstream> {
        self.upstreams.iter().find(|it| *it.config.name == *name).map(|it| &**it)
    }
}

/// The bounds of a configuration on open connections.
pub(crate) const fn most(config: &Config) -> Most {
    Most { in_all: config.limits.connections, per_address: config.limits.connections_per_address }
}

/// What a listener speaks; that of before where the files say the same.
fn listening(config: &Config, before: Option<&Site>) -> Result<Option<Listening>, StartError> {
    let Some(files) = &config.gateway.tls else { return Ok(None) };
    let listening = tls::server(files)?;
    // The files say nothing of what is demanded of a client.
    let demands = |config: &Config| {
        let tls = config.gateway.tls.as_ref();
        tls.map(|tls| (tls.client_ca.is_some(), tls.client_certificates.unwrap_or_default()))
    };
    let held = before
        .filter(|before| demands(&before.config) == demands(config))
        .and_then(|before| before.tls.as_ref());
    Ok(Some(held.filter(|held| held.is_like(&listening)).cloned().unwrap_or(listening)))
}
