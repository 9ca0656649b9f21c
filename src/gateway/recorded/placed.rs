//! Where a recorded request would go today, on whose terms, and what those announce: what a
//! rehearsal has to know before it sends it again.

use std::sync::Arc;

use super::super::chosen::Promised;
use super::super::cors;
use super::super::route::Routes;
use super::super::upstream::Upstream;
use super::Examiner;
use crate::change::announced::{Announced, Aspect, Sign};
use crate::change::terms::Terms;
use crate::change::{Call, Principal};
use crate::config::checked;
use crate::config::deprecation::Deprecation;
use crate::config::raw::Mode;
use crate::dialect::Dialect;
use crate::error::{Blame, Code};
use crate::report::Hop;
use crate::report::har::{Entry, RecordedBody};

/// A host that no configuration restricts an upstream to.
const ANY_HOST: &str = "recgate.invalid";

/// A request that an upstream of the configuration serves.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// Whose API it is.
    pub dialect: Dialect,
    /// Raw path and query, as the upstream gets them.
    pub straight: String,
    /// Raw path and query, as the gateway's clients spell them.
    pub through: String,
    /// The host that they name.
    pub host: String,
    /// What its client was promised.
    pub terms: Arc<Terms>,
    /// What may differ from what the vendor answered before.
    pub announced: Vec<Announced>,
}

// === impl Examiner ===

impl Examiner {
    /// Places a request. One that names no host is for the first upstream of `vendor`.
    #[must_use]
    pub fn placed(&self, entry: &Entry, vendor: Option<Dialect>) -> Option<Placed> {
        let found = self.place(entry).and_then(|(upstream, target)| {
            let through = self.through(&upstream, entry, &target)?;
            Some((upstream, target, through))
        });
        let (upstream, straight, (host, through)) = found.or_else(|| {
            self.upstreams.iter().filter(|it| Some(it.config.dialect) == vendor).find_map(|it| {
                let through = self.through(it, entry, &entry.target)?;
                Some((Arc::clone(it), entry.target.clone(), through))
            })
        })?;
        let (sent, Promised { terms, .. }) = self.identified(entry, &upstream);
        let call = Call {
            method: entry.method.clone(),
            target: straight.clone(),
            headers: sent,
            body: match &entry.body {
                RecordedBody::Whole(bytes) => bytes.clone().into(),
                RecordedBody::Empty | RecordedBody::Missing => bytes::Bytes::new(),
            },
            patience: None,
            principal: Principal::Caller,
            author: Blame::Client,
            extensions: http::Extensions::new(),
        };
        let mut announced = upstream.changes.announces(&call, &terms);
        announced.extend(own(&upstream.config, &terms));
        announced.extend(deprecated(&upstream, &call, &self.deprecations));
        announced.extend(readable(&upstream, &call));
        Some(Placed {
            upstream: Arc::clone(&upstream.config.name),
            dialect: upstream.config.dialect,
            straight,
            through,
            host,
            terms,
            announced,
        })
    }

    /// Host and target by which a client of the gateway reaches `target` of an upstream.
    fn through(
        &self,
        upstream: &Arc<Upstream>,
        entry: &Entry,
        target: &str,
    ) -> Option<(String, String)> {
        let config = &upstream.config;
        let own = config.hosts.first().map_or(ANY_HOST, String::as_str);
        let prefixes = config.prefixes.iter().chain(&config.login_prefixes);
        let prefixed = prefixes.map(|it| (own, format!("{}{target}", it.trim_end_matches('/'))));
        [(&*entry.authority, entry.target.clone()), (own, target.to_owned())]
            .into_iter()
            .chain(prefixed)
            .find(|(host, candidate)| leads(&self.routes, host, candidate, upstream, target))
            .map(|(host, candidate)| (host.to_owned(), candidate))
    }
}

fn leads(
    routes: &Routes,
    authority: &str,
    candidate: &str,
    upstream: &Arc<Upstream>,
    target: &str,
) -> bool {
    let Ok(authority) = authority.parse::<http::uri::Authority>() else { return false };
    routes
        .find(authority.host(), candidate)
        .is_some_and(|route| Arc::ptr_eq(&route.upstream, upstream) && route.target == target)
}

/// What the gateway's own settings announce.
fn own(upstream: &checked::Upstream, terms: &Terms) -> Vec<Announced> {
    let all = [Aspect::Status, Aspect::Verdict, Aspect::Body, Aspect::World];
    let told = |setting: &str, code, why| {
        Announced::new("gateway", setting, why)
            .where_seen(Sign::Error(code))
            .differing(&all)
            .differing(&[Aspect::Header("recgate-error")])
    };
    let enforced = |hop: Hop| {
        let other = upstream.overrides.iter().any(|it| it.hop == hop && it.mode == Mode::Enforce);
        other || upstream.modes[hop as usize] == Mode::Enforce
    };
    let mut announced = Vec::new();
    if enforced(Hop::ClientRequest) {
        let setting = "checks.client_request = \"enforce\"";
        announced.push(told(
            setting,
            Code::RequestContract,
            "what breaks the contract of the client's day is refused and not sent",
        ));
        announced.push(told(
            setting,
            Code::RequestTooLarge,
            "what is too long to be checked is refused and not sent",
        ));
    }
    if enforced(Hop::UpstreamResponse) {
        announced.push(told(
            "checks.upstream_response = \"enforce\"",
            Code::ResponseContract,
            "an answer that breaks the upstream's contract is withheld from a read",
        ));
    }
    if enforced(Hop::ClientResponse) {
        announced.push(told(
            "checks.client_response = \"enforce\"",
            Code::AnswerContract,
            "an answer that breaks the contract of the client's day is withheld from a read",
        ));
    }
    if terms.choice.is_some() {
        let told = told("as_of_header", Code::RequestDate, "a header that names no day is refused");
        announced.push(told);
        announced.push(
            Announced::new("gateway", "as_of_header", "the day that was applied is echoed")
                .differing(&[Aspect::Header("recgate-as-of")]),
        );
    }
    announced
}

/// What answers to legacy operations say of their end.
fn deprecated(upstream: &Upstream, call: &Call, configured: &[Deprecation]) -> Vec<Announced> {
    let concerned = configured.iter().filter(|it| {
        let change = upstream.changes.by_id(it.change);
        change.is_some_and(|change| change.watches(&call.method, call.path()))
    });
    let headers = ["deprecation", "sunset", "link"].map(Aspect::Header);
    concerned
        .map(|it| {
            let why = "answers to the operation that was left behind say so";
            Announced::new(it.change, "[[deprecation]]", why).differing(&headers)
        })
        .collect()
}

/// What a browser's page may read of answers.
fn readable(upstream: &Upstream, call: &Call) -> Option<Announced> {
    upstream.config.cors_origins.as_ref()?;
    cors::origin(&call.headers)?;
    let headers = ["access-control-allow-origin", "access-control-expose-headers", "vary"]
        .map(Aspect::Header);
    let why = "answers to an allowed origin may be read by its pages";
    Some(Announced::new("gateway", "cors", why).differing(&headers))
}
