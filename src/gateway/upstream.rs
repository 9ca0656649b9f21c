//! An upstream, ready to be called: its contract by date, its changes, its servers.

mod check;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::HeaderValue;

pub use self::check::check;
use super::account::Account;
use super::pool::Server;
use super::reach::Reach;
use super::route::Leg;
use super::tls::{self, TlsError};
use crate::change::{Principal, Registry};
use crate::config::checked::{self, Address, Scheme};
use crate::config::raw::{BuiltIn, ContractChoice};
use crate::contract::{DatedOverlay, DocumentError, Input, Severity, Source, Timeline, UriTable};
use crate::report::Coverage;
use crate::report::coverage::Table;

/// An upstream.
pub(crate) struct Upstream {
    /// Its settings.
    pub(crate) config: checked::Upstream,
    /// What it says, by date; `None` where it has no contract.
    pub(crate) timeline: Option<Arc<Timeline>>,
    /// What of its contracts was seen, by date.
    pub(crate) coverage: Vec<Arc<Table>>,
    /// The changes of its API.
    pub(crate) changes: Registry,
    api: Server,
    login: Server,
    reach_api: Arc<Reach>,
    reach_login: Arc<Reach>,
    service: Option<Arc<Account>>,
    recovery: Option<Arc<Account>>,
}

/// Why an upstream cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Its contract.
    #[error("upstream {upstream}: {error}")]
    Contract {
        /// Its name.
        upstream: Arc<str>,
        /// The fault.
        error: Box<DocumentError>,
    },
    /// A contract of which nothing can be read.
    #[error("upstream {upstream}: no operation of its contract can be read: {first}")]
    Unreadable {
        /// Its name.
        upstream: Arc<str>,
        /// The first fault.
        first: String,
    },
    /// A file of its contract.
    #[error("upstream {upstream}: {file} cannot be read: {error}")]
    File {
        /// Its name.
        upstream: Arc<str>,
        /// Which file.
        file: String,
        /// Why.
        error: std::io::Error,
    },
    /// An override for an operation that its contract does not have.
    #[error(
        "upstream {upstream}: check_overrides names the operation `{operation}`, which its contract does not have"
    )]
    Operation {
        /// Its name.
        upstream: Arc<str>,
        /// The name in the configuration.
        operation: String,
    },
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An account whose id and secret cannot be sent.
    #[error("upstream {0}: the client id and secret of an account cannot be sent as a header")]
    Account(Arc<str>),
    /// The mock is wanted and not there.
    #[error("upstream {0}: its url is \"mock\", and no mock runs here")]
    NoMock(Arc<str>),
}

// === impl SetupError ===

impl SetupError {
    /// The key of `[[upstream]]` whose value is at fault; empty where it is not one of them.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Contract { .. } | Self::Unreadable { .. } | Self::File { .. } => "contract",
            Self::Operation { .. } => "check_overrides",
            Self::NoMock(_) => "url",
            Self::Tls(_) | Self::Account(_) => "",
        }
    }
}

// === impl Upstream ===

impl Upstream {
    /// Sets an upstream up. `mock` is the address of the mock's listener, where one runs.
    pub(crate) fn new(
        config: checked::Upstream,
        mock: Option<std::net::SocketAddr>,
        pause_watch: Duration,
        coverage: &Coverage,
    ) -> Result<Self, SetupError> {
        let upstream = Self::after(config, mock, pause_watch, None)?;
        coverage.add(&upstream.coverage);
        Ok(upstream)
    }

    /// Sets an upstream up that takes the place of `previous`, of the same name: it goes on with
    /// what is remembered there ([`super::site`]). Its coverage is in no list yet.
    pub(crate) fn after(
        config: checked::Upstream,
        mock: Option<std::net::SocketAddr>,
        pause_watch: Duration,
        previous: Option<&Self>,
    ) -> Result<Self, SetupError> {
        let timeline = timeline_after(&config, previous)?;
        if let Some(timeline) = &timeline {
            let known = timeline.at(config.as_of).operations();
            if !known.is_empty() && !known.iter().any(|operation| operation.is_readable()) {
                let first = timeline.notes().find(|note| note.severity == Severity::Error);
                return Err(SetupError::Unreadable {
                    upstream: Arc::clone(&config.name),
                    first: first.map(ToString::to_string).unwrap_or_default(),
                });
            }
            tell(&config.name, timeline);
            let unknown = config
                .overrides
                .iter()
                .find(|entry| !known.iter().any(|it| it.id() == entry.operation));
            if let Some(entry) = unknown {
                return Err(SetupError::Operation {
                    upstream: Arc::clone(&config.name),
                    operation: entry.operation.clone(),
                });
            }
        }
        let tls = calling(&config, previous)?;
        let server = |address: &Address| server(&config, address, mock, tls.as_ref());
        let (api, login) = (server(&config.address)?, server(&config.login)?);
        let address = |leg| match leg {
            Leg::Api => &api,
            Leg::Login => &login,
        };
        let reach = |leg: Leg, name: String| {
            let held = previous.filter(|it| it.server(leg).authority == address(leg).authority);
            let held =
                held.map(|it| it.reach(leg)).filter(|it| it.is_by(config.retry, config.breaker));
            held.map_or_else(
                || Arc::new(Reach::new(name, config.retry, config.breaker)),
                Arc::clone,
            )
        };
        let reach_api = reach(Leg::Api, config.name.to_string());
        let reach_login = if config.login == config.address {
            Arc::clone(&reach_api)
        } else {
            reach(Leg::Login, format!("{}/login", config.name))
        };
        let changes = previous
            .filter(|it| it.config.dialect == config.dialect)
            .map_or_else(|| Registry::of(config.dialect, pause_watch), |it| it.changes.clone());
        let coverage = match (&timeline, previous) {
            (None, _) => Vec::new(),
            (Some(now), Some(Self { timeline: Some(then), coverage, .. }))
                if Arc::ptr_eq(now, then) =>
            {
                coverage.clone()
            }
            (Some(timeline), _) => Coverage::tables(&config.name, timeline),
        };
        // A token is for the servers that it was got at.
        let there = previous.filter(|it| it.config.is_there(&config));
        let account = |it: &crate::config::account::Account, held: Option<&Arc<Account>>| {
            let account = Account::new(&it.client_id, it.secret.expose(), &it.token_path)
                .map_err(|_| SetupError::Account(Arc::clone(&config.name)))?;
            let held = held.filter(|held| held.is_like(&account)).map(Arc::clone);
            Ok::<_, SetupError>(held.unwrap_or_else(|| Arc::new(account)))
        };
        let held = |principal| there.and_then(|it| it.account(principal));
        let service = config.service.as_ref().map(|it| account(it, held(Principal::Service)));
        let recovery = config.recovery.as_ref().map(|it| account(it, held(Principal::Recovery)));
        let (service, recovery) = (service.transpose()?, recovery.transpose()?);
        Ok(Self {
            config,
            timeline,
            coverage,
            changes,
            api,
            login,
            reach_api,
            reach_login,
            service,
            recovery,
        })
    }

    /// The same with its certificates read again; `None` where they say what they said.
    pub(crate) fn renewed(&self) -> Result<Option<Self>, SetupError> {
        let tls = calling(&self.config, Some(self))?;
        let met = |server: &Server| Server {
            tls: server.tls.as_ref().and(tls.clone()),
            ..server.clone()
        };
        let (api, login) = (met(&self.api), met(&self.login));
        if api.is(&self.api) && login.is(&self.login) {
            return Ok(None);
        }
        Ok(Some(Self {
            config: self.config.clone(),
            timeline: self.timeline.clone(),
            coverage: self.coverage.clone(),
            changes: self.changes.clone(),
            api,
            login,
            reach_api: Arc::clone(&self.reach_api),
            reach_login: Arc::clone(&self.reach_login),
            service: self.service.clone(),
            recovery: self.recovery.clone(),
        }))
    }

    /// The account of a principal, where one is configured. A caller has their own.
    pub(crate) const fn account(&self, principal: Principal) -> Option<&Arc<Account>> {
        match principal {
            Principal::Caller => None,
            Principal::Service => self.service.as_ref(),
            Principal::Recovery => self.recovery.as_ref(),
        }
    }

    /// The server of a leg.
    pub(crate) const fn server(&self, leg: Leg) -> &Server {
        match leg {
            Leg::Api => &self.api,
            Leg::Login => &self.login,
        }
    }

    /// How the server of a leg does.
    pub(crate) const fn reach(&self, leg: Leg) -> &Arc<Reach> {
        match leg {
            Leg::Api => &self.reach_api,
            Leg::Login => &self.reach_login,
        }
    }
}

/// Says in the log what is not checked because the contract cannot be read there.
fn tell(upstream: &str, timeline: &Timeline) {
    let mut warnings = 0;
    for note in timeline.notes() {
        match note.severity {
            Severity::Error => tracing::error!(upstream, code = note.code, "contract: {note}"),
            Severity::Warning => warnings += 1,
            Severity::Note => {}
        }
    }
    if warnings > 0 {
        tracing::debug!(upstream, warnings, "the contract has warnings: see recgate spec lint");
    }
}

/// What an upstream is met with over TLS, if it is; that of `previous` where the files say the same.
fn calling(
    config: &checked::Upstream,
    previous: Option<&Upstream>,
) -> Result<Option<tls::Calling>, SetupError> {
    if !is_secured(config) {
        return Ok(None);
    }
    let identity = config.identity.as_ref().map(|(certificate, key)| (&**certificate, &**key));
    let calling = tls::client(config.ca_file.as_deref(), identity, config.http2)?;
    let held = previous.and_then(|it| it.api.tls.as_ref().or(it.login.tls.as_ref()));
    Ok(Some(held.filter(|held| held.is_like(&calling)).cloned().unwrap_or(calling)))
}

/// Whether it is met over TLS at either address.
fn is_secured(config: &checked::Upstream) -> bool {
    let secured =
        |address: &Address| matches!(address, Address::Server { scheme: Scheme::Https, .. });
    secured(&config.address) || secured(&config.login)
}

fn server(
    config: &checked::Upstream,
    address: &Address,
    mock: Option<std::net::SocketAddr>,
    calling: Option<&tls::Calling>,
) -> Result<Server, SetupError> {
    let no_mock = || SetupError::NoMock(Arc::clone(&config.name));
    let (authority, scheme) = match address {
        Address::Mock => (mock.ok_or_else(no_mock)?.to_string(), Scheme::Http),
        Address::Server { scheme, authority } => (authority.clone(), *scheme),
    };
    let host = HeaderValue::try_from(&authority).map_err(|_| no_mock())?;
    let authority = authority.parse().map_err(|_| no_mock())?;
    let tls = match scheme {
        Scheme::Http => None,
        Scheme::Https => calling.cloned(),
    };
    Ok(Server { authority, host, tls, http2: config.http2 })
}

/// The contract of an upstream: that of `previous` where it says the same, so that nothing that
/// was compiled or counted is lost.
fn timeline_after(
    config: &checked::Upstream,
    previous: Option<&Upstream>,
) -> Result<Option<Arc<Timeline>>, SetupError> {
    match (&config.contract, previous) {
        (ContractChoice::BuiltIn(now), Some(previous)) if matches!(&previous.config.contract, ContractChoice::BuiltIn(then) if then == now) => {
            Ok(previous.timeline.clone())
        }
        _ => {
            let Some(read) = timeline(config)? else { return Ok(None) };
            let held = previous.and_then(|it| it.timeline.as_ref());
            let held = held.filter(|held| held.digest() == read.digest()).map(Arc::clone);
            Ok(Some(held.unwrap_or_else(|| Arc::new(read))))
        }
    }
}

/// The contract of an upstream, by date; `None` where it has none.
pub fn timeline(config: &checked::Upstream) -> Result<Option<Timeline>, SetupError> {
    static GENESYS: OnceLock<Timeline> = OnceLock::new();
    static WEBEX: OnceLock<Timeline> = OnceLock::new();
    let unreadable =
        |error| SetupError::Contract { upstream: Arc::clone(&config.name), error: Box::new(error) };
    let (inputs, overlays, uris) = match &config.contract {
        ContractChoice::BuiltIn(BuiltIn::None) => return Ok(None),
        ContractChoice::BuiltIn(BuiltIn::Genesys) => {
            return once(&GENESYS, genesys).map(Some).map_err(unreadable);
        }
        ContractChoice::BuiltIn(BuiltIn::Webex) => {
            return once(&WEBEX, webex).map(Some).map_err(unreadable);
        }
        ContractChoice::Files(files) => {
            let open = |path: &PathBuf| open(config, path);
            let inputs = files.document.iter().chain(&files.documents).map(open);
            let overlays = files
                .overlays
                .iter()
                .map(|it| Ok(DatedOverlay { before: it.before, source: open(&it.file)?.source }));
            let uris = files.uris.iter().map(|(uri, file)| Ok((uri.clone(), open(file)?.source)));
            (
                inputs.collect::<Result<Vec<_>, _>>()?,
                overlays.collect::<Result<Vec<_>, SetupError>>()?,
                uris.collect::<Result<UriTable, SetupError>>()?,
            )
        }
    };
    Timeline::read(&inputs, &overlays, &uris).map(Some).map_err(unreadable)
}

fn open(config: &checked::Upstream, path: &Path) -> Result<Input, SetupError> {
    Input::open(path).map_err(|error| SetupError::File {
        upstream: Arc::clone(&config.name),
        file: path.display().to_string(),
        error,
    })
}

/// Reads the built-in contracts of upstreams, each on a thread of its own, so that they are there when
/// the upstreams are set up. What is wrong with one is told then.
pub fn read_ahead(upstreams: &[checked::Upstream]) {
    std::thread::scope(|scope| {
        for upstream in upstreams {
            if matches!(upstream.contract, ContractChoice::BuiltIn(_)) {
                scope.spawn(|| drop(timeline(upstream)));
            }
        }
    });
}

/// A built-in contract, read once a process: it is the same for every gateway of it.
fn once(
    known: &'static OnceLock<Timeline>,
    sources: fn() -> Sources,
) -> Result<Timeline, DocumentError> {
    if let Some(timeline) = known.get() {
        return Ok(timeline.clone());
    }
    let (inputs, overlays, uris) = sources();
    let timeline = Timeline::read(&inputs, &overlays, &uris)?;
    Ok(known.get_or_init(|| timeline).clone())
}

type Sources = (Vec<Input>, Vec<DatedOverlay>, UriTable);

/// The built-in contract of Genesys Cloud, with its one date.
fn genesys() -> Sources {
    let head = Source {
        name: "specs/genesys.openapi.yaml (built in)".to_owned(),
        text: include_str!("../../specs/genesys.openapi.yaml").into(),
    };
    let overlay = DatedOverlay {
        before: crate::change::deletion_protection::EFFECTIVE,
        source: Source {
            name: "specs/genesys/before-2026-09-21.overlay.yaml (built in)".to_owned(),
            text: include_str!("../../specs/genesys/before-2026-09-21.overlay.yaml").into(),
        },
    };
    (vec![Input::from(head)], vec![overlay], UriTable::new())
}

/// The built-in contract of Webex recordings.
fn webex() -> Sources {
    let head = Source {
        name: "specs/webex.openapi.yaml (built in)".to_owned(),
        text: include_str!("../../specs/webex.openapi.yaml").into(),
    };
    (vec![Input::from(head)], Vec::new(), UriTable::new())
}
