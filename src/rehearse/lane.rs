//! One lane: a mock vendor with a world of its own on a given day, and for the third lane a gateway
//! before it, each on a port of its own. Nothing is shared between lanes, and nothing leaves the
//! machine: every upstream of the lane's gateway is the lane's mock.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use jiff::civil::Date;
use prometheus_client::registry::Registry;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, Own, is_of_connection};
use super::error::RehearseError;
use super::world::World;
use crate::admin::Readiness;
use crate::change::Principal;
use crate::change::announced::{Kind, Made};
use crate::config::Config;
use crate::config::account::{Account, Secret};
use crate::config::checked::Address;
use crate::contract::ContractDate;
use crate::gateway::metrics::Metrics;
use crate::gateway::{Gateway, Running, Sinks};
use crate::ledger::Ledger;
use crate::ledger::settings::Settings;
use crate::limits::REHEARSE_ANSWER_BYTES;
use crate::mock::{Mock, MockConfig, MockDate};
use crate::report::{Coverage, Findings};

/// Longer than any client's deadline that makes sense in a rehearsal.
const PATIENCE: Duration = Duration::from_mins(1);
/// What a gateway that is no longer needed may still do.
const DRAIN: Duration = Duration::from_secs(2);
/// The mock's accounts for the gateway, where the configured ones are not of its world.
const SERVICE: &str = "gateway-service";
const RECOVERY: &str = "gateway-recovery";

/// A lane.
pub(super) struct Lane {
    mock: Connection,
    client: Connection,
    pub(super) own: Own,
    pub(super) world: World,
    accounts: Accounts,
    stop: CancellationToken,
    gateway: Option<(Running, Ledger)>,
}

/// The gateway's own principals in the mock's world.
#[derive(Clone, Debug, Default)]
struct Accounts {
    service: Vec<String>,
    recovery: Vec<String>,
}

/// A call as it is sent in a lane.
pub(super) struct Sent<'a> {
    pub(super) method: &'a Method,
    pub(super) target: &'a str,
    /// The host it names; the lane's own address where it is straight to the vendor.
    pub(super) host: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

/// A connection that is opened anew where it has ended.
struct Connection {
    address: SocketAddr,
    open: Option<SendRequest<Full<Bytes>>>,
}

/// The mock of a lane, before it listens.
pub(super) fn mock(
    config: &Config,
    day: Date,
    world: Option<&(String, String)>,
) -> Result<Mock, RehearseError> {
    let settings = MockConfig {
        listen: anywhere(),
        date: MockDate::On(day),
        protection_limit: config.mock.protection_limit,
        world: world.map(|(_, text)| text.clone()),
        unpublished: config.mock.unpublished.clone(),
    };
    Mock::new(&settings).map_err(|error| RehearseError::World {
        file: world.map_or_else(|| "the built-in world".to_owned(), |(file, _)| file.clone()),
        error,
    })
}

// === impl Lane ===

impl Lane {
    /// A lane straight to the vendor.
    pub(super) async fn straight(mock: Mock, day: Date) -> Result<Self, RehearseError> {
        Self::open(mock, day).await
    }

    /// A lane through a gateway of this configuration.
    pub(super) async fn through(
        mock: Mock,
        day: Date,
        config: &Config,
    ) -> Result<Self, RehearseError> {
        let (config, accounts) = isolated(config, &mock, day);
        let mut lane = Self::open(mock, day).await?;
        let ledger = Ledger::open(config.ledger.clone()).await?;
        let sinks = Sinks {
            findings: Findings::default(),
            coverage: Coverage::default(),
            metrics: Metrics::register(&mut Registry::default()),
            journal: Arc::new(ledger.clone()),
            shelf: Arc::new(ledger.clone()),
            readiness: Readiness::default(),
        };
        let gateway = Gateway::bind(&config, Some(lane.mock.address), sinks)?;
        let address = gateway.address();
        let running =
            gateway.start().map_err(|error| RehearseError::machine("a gateway's thread", error))?;
        lane.client = Connection::to(address);
        lane.own.addresses.push(address);
        lane.accounts = accounts;
        lane.gateway = Some((running, ledger));
        Ok(lane)
    }

    async fn open(mock: Mock, day: Date) -> Result<Self, RehearseError> {
        let bound = mock
            .bind(anywhere())
            .await
            .map_err(|error| RehearseError::machine("a port for the mock", error))?;
        let address = bound.local_addr();
        let stop = CancellationToken::new();
        tokio::spawn(bound.serve(stop.clone().cancelled_owned()));
        let mut lane = Self {
            mock: Connection::to(address),
            client: Connection::to(address),
            own: Own {
                addresses: vec![address],
                host: String::new(),
                clock: MockDate::On(day).now(),
            },
            world: World::default(),
            accounts: Accounts::default(),
            stop,
            gateway: None,
        };
        lane.world = lane.look().await?;
        Ok(lane)
    }

    /// Sends a call to where this lane's clients call. Nothing where no whole answer came.
    pub(super) async fn send(&mut self, sent: &Sent<'_>) -> Option<Answer> {
        self.client.send(sent).await
    }

    /// Sends a call straight to the mock. Gives its status; nothing where no whole answer came.
    pub(super) async fn set_up(
        &mut self,
        sent: &Sent<'_>,
    ) -> Result<Option<StatusCode>, RehearseError> {
        let answer = self.mock.send(sent).await;
        self.world = self.look().await?;
        Ok(answer.map(|it| it.status))
    }

    /// Sets the mock's faults. What is wrong with them is said in the mock's words.
    pub(super) async fn set_faults(&mut self, faults: &[Value]) -> Result<(), FaultsError> {
        let body = Value::from(faults.to_vec()).to_string();
        let answer = self.control(&Method::PUT, "/_mock/faults", body.as_bytes()).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        let problem = answer.json().unwrap_or_default();
        let detail = problem.get("detail").and_then(Value::as_str).unwrap_or("cannot be set");
        Err(FaultsError::Wrong(detail.to_owned()))
    }

    /// Reads the world.
    pub(super) async fn look(&mut self) -> Result<World, RehearseError> {
        let answer = self.control(&Method::GET, "/_mock/state", &[]).await?;
        Ok(World::of(&answer.json().unwrap_or_default()))
    }

    /// Forgets what reached the vendor so far.
    pub(super) async fn forget(&mut self) -> Result<(), RehearseError> {
        self.control(&Method::DELETE, "/_mock/journal", &[]).await.map(drop)
    }

    /// What reached the vendor since, in order. `caller` is the token of whoever called.
    pub(super) async fn calls(&mut self, caller: Option<&str>) -> Result<Vec<Made>, RehearseError> {
        let answer = self.control(&Method::GET, "/_mock/journal", &[]).await?;
        let journal = answer.json().unwrap_or_default();
        let entries = journal.as_array().into_iter().flatten();
        Ok(entries.filter_map(|entry| self.made(entry, caller)).collect())
    }

    fn made(&self, entry: &Value, caller: Option<&str>) -> Option<Made> {
        let text = |key: &str| entry.get(key).and_then(Value::as_str);
        let principal = text("principal");
        let own =
            |names: &[String]| principal.is_some_and(|it| names.iter().any(|name| name == it));
        let by = match principal {
            it if it.is_some() && it == caller => Principal::Caller,
            _ if own(&self.accounts.service) => Principal::Service,
            _ if own(&self.accounts.recovery) => Principal::Recovery,
            _ => Principal::Caller,
        };
        let status = entry.get("status").and_then(Value::as_u64);
        Some(Made {
            kind: Kind { method: text("method")?.parse().ok()?, path: text("path")?.to_owned() },
            by,
            status: status.and_then(|status| u16::try_from(status).ok()),
        })
    }

    async fn control(
        &mut self,
        method: &Method,
        target: &str,
        body: &[u8],
    ) -> Result<Answer, RehearseError> {
        let headers = HeaderMap::new();
        let sent = Sent { method, target, host: None, headers: &headers, body };
        let answer = self.mock.send(&sent).await;
        answer.ok_or_else(|| RehearseError::machine("the mock of a lane", "gave no answer"))
    }

    /// Ends the lane.
    pub(super) async fn close(self) {
        if let Some((running, ledger)) = self.gateway {
            // A drain waits a moment for the next request of a client that is there.
            drop(self.client);
            let _ = tokio::task::spawn_blocking(move || running.drain()).await;
            ledger.close().await;
        }
        self.stop.cancel();
    }
}

/// Why faults cannot be set.
pub(super) enum FaultsError {
    /// They are not what the mock takes.
    Wrong(String),
    /// Something else.
    Other(RehearseError),
}

impl From<RehearseError> for FaultsError {
    fn from(error: RehearseError) -> Self {
        Self::Other(error)
    }
}

// === impl Connection ===

impl Connection {
    const fn to(address: SocketAddr) -> Self {
        Self { address, open: None }
    }

    async fn send(&mut self, sent: &Sent<'_>) -> Option<Answer> {
        let answer = tokio::time::timeout(PATIENCE, self.exchange(sent)).await.ok().flatten();
        if answer.is_none() {
            self.open = None;
        }
        answer
    }

    async fn exchange(&mut self, sent: &Sent<'_>) -> Option<Answer> {
        let mut request = Request::new(Full::new(Bytes::copy_from_slice(sent.body)));
        *request.method_mut() = sent.method.clone();
        *request.uri_mut() = sent.target.parse().ok()?;
        for (name, value) in sent.headers.iter().filter(|(name, _)| !is_of_connection(name)) {
            request.headers_mut().append(name.clone(), value.clone());
        }
        let host = sent.host.map_or_else(|| self.address.to_string(), str::to_owned);
        request.headers_mut().insert(header::HOST, host.parse().ok()?);
        let (parts, body) = self.ready().await?.send_request(request).await.ok()?.into_parts();
        let body = Limited::new(body, REHEARSE_ANSWER_BYTES).collect().await.ok()?.to_bytes();
        Some(Answer { status: parts.status, headers: parts.headers, body })
    }

    async fn ready(&mut self) -> Option<&mut SendRequest<Full<Bytes>>> {
        let usable = match &mut self.open {
            Some(open) => open.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            let stream = TcpStream::connect(self.address).await.ok()?;
            stream.set_nodelay(true).ok()?;
            let (sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
            tokio::spawn(async move { drop(connection.await) });
            self.open = Some(sender);
        }
        self.open.as_mut()
    }
}

/// The operator's configuration in a lane: the same clients, policies and contracts, on a free
/// port, with every upstream played by the mock and a ledger that ends with the lane.
fn isolated(config: &Config, mock: &Mock, day: Date) -> (Config, Accounts) {
    let mut config = config.clone();
    let mut accounts = Accounts::default();
    config.gateway.listen = anywhere();
    config.gateway.threads = 1;
    config.gateway.tls = None;
    config.gateway.drain = DRAIN;
    config.ledger = Settings::memory();
    for upstream in &mut config.upstreams {
        upstream.address = Address::Mock;
        upstream.login = Address::Mock;
        upstream.ca_file = None;
        upstream.identity = None;
        if upstream.as_of == ContractDate::Latest {
            upstream.as_of = ContractDate::On(day);
        }
        for (account, usual, names) in [
            (&mut upstream.service, SERVICE, &mut accounts.service),
            (&mut upstream.recovery, RECOVERY, &mut accounts.recovery),
        ] {
            if let Some(account) = account {
                *account = of_the_mock(account, usual, mock);
                names.push(account.client_id.clone());
            }
        }
    }
    (config, accounts)
}

/// The account that plays a configured one: never with the configured secret.
fn of_the_mock(configured: &Account, usual: &str, mock: &Mock) -> Account {
    let client_id = match mock.secret_of(&configured.client_id) {
        Some(_) => &*configured.client_id,
        None => usual,
    };
    Account {
        client_id: client_id.to_owned(),
        secret: Secret::new(mock.secret_of(client_id).unwrap_or_default()),
        token_path: "/oauth/token".to_owned(),
    }
}

fn anywhere() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}
