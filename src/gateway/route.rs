//! Which upstream serves a path, and the path it gets.
//!
//! Longest match first. A path under `paths` is sent as it came; a prefix is taken off. The path
//! that is matched is the path that is sent: nothing is decoded or normalised here, and what would
//! have to be (`/_mock` in any spelling, behind a prefix too) is refused.

use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::upstream::Upstream;
use crate::change::call::path_of;
use crate::config::reserved;

/// Paths and prefixes of all upstreams, the longest first.
#[derive(Clone)]
pub(crate) struct Routes {
    entries: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    path: String,
    hosts: Vec<String>,
    taken_off: TakenOff,
    leg: Leg,
    upstream: Arc<Upstream>,
}

/// Whether the matched part is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TakenOff {
    Nothing,
    Prefix,
}

/// Which of an upstream's two addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Leg {
    /// The API.
    Api,
    /// The sign-in.
    Login,
}

/// Where a request goes.
pub(crate) struct Route {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) leg: Leg,
    /// Raw path and query as they are sent.
    pub(crate) target: String,
}

// === impl Route ===

impl Route {
    /// The raw path that is sent.
    pub(crate) fn path(&self) -> &str {
        path_of(&self.target)
    }
}

// === impl Routes ===

impl Routes {
    pub(crate) fn new(upstreams: &[Arc<Upstream>]) -> Self {
        let mut entries = Vec::new();
        for upstream in upstreams {
            let config = &upstream.config;
            let lists = [
                (&config.paths, TakenOff::Nothing, Leg::Api),
                (&config.prefixes, TakenOff::Prefix, Leg::Api),
                (&config.login_paths, TakenOff::Nothing, Leg::Login),
                (&config.login_prefixes, TakenOff::Prefix, Leg::Login),
            ];
            for (paths, taken_off, leg) in lists {
                entries.extend(paths.iter().map(|path| Entry {
                    path: path.trim_end_matches('/').to_owned(),
                    hosts: config.hosts.clone(),
                    taken_off,
                    leg,
                    upstream: Arc::clone(upstream),
                }));
            }
        }
        // An entry for certain hosts is closer than one for any.
        entries.sort_by_key(|it| std::cmp::Reverse((it.path.len(), !it.hosts.is_empty())));
        Self { entries }
    }

    /// The route of a raw path and query under a host name without its port.
    pub(crate) fn find(&self, host: &str, target: &str) -> Option<Route> {
        let path = path_of(target);
        let entry = self.entries.iter().find(|entry| entry.serves(host, path))?;
        let target = match entry.taken_off {
            TakenOff::Nothing => target.to_owned(),
            TakenOff::Prefix => match &target[entry.path.len()..] {
                rest if rest.starts_with('/') => rest.to_owned(),
                rest => format!("/{rest}"),
            },
        };
        let route = Route { upstream: Arc::clone(&entry.upstream), leg: entry.leg, target };
        (!is_closed(route.path())).then_some(route)
    }
}

// === impl Entry ===

impl Entry {
    fn serves(&self, host: &str, path: &str) -> bool {
        let under = path
            .strip_prefix(&*self.path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        under
            && (self.hosts.is_empty() || self.hosts.iter().any(|it| it.eq_ignore_ascii_case(host)))
    }
}

/// Whether a path, whatever a prefix uncovers and however it is spelt, is never sent.
fn is_closed(path: &str) -> bool {
    if memchr::memchr(b'%', path.as_bytes()).is_none() {
        // Most paths have no underscore, and so no such segment.
        return memchr::memchr(b'_', path.as_bytes()).is_some() && reserved::is_closed(path);
    }
    // Decoded twice, for servers that do.
    let once = percent_decode_str(path).decode_utf8_lossy().into_owned();
    let twice = percent_decode_str(&once).decode_utf8_lossy();
    reserved::is_closed(&twice)
}
