//! Another configuration while it serves, another process in its place, and a fault of its own: no
//! request is lost by any of them but the one that meets the fault.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

use crate::harness::message::{Buffer, Role};
use crate::harness::raw::ask;
use crate::harness::upstream::{config, ok, response};
use crate::harness::{Message, RawClient, Recgate, Step, Upstream, file, http, until};
use crate::sagas::times;

const GET: &str = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n";

/// An upstream that says its name, and waits at `/slow`.
async fn named(name: &'static str, gate: &Arc<Semaphore>) -> Upstream {
    let gate = Arc::clone(gate);
    Upstream::scripted(move |request| {
        let answer = Step::Send(response(&["HTTP/1.1 200 OK"], name));
        match request.target() {
            "/slow" => vec![Step::Await(Arc::clone(&gate)), answer],
            _ => vec![answer],
        }
    })
    .await
}

#[tokio::test]
async fn new_exchanges_begin_on_the_new_configuration_and_old_ones_end_on_theirs() {
    let gate = Arc::new(Semaphore::new(0));
    let (old, new) = (named("old", &gate).await, named("new", &gate).await);
    let recgate = Recgate::with_config(&old.config()).await;
    let mut kept = RawClient::connect(recgate.address).await;
    kept.send(GET).await;
    assert_eq!(kept.response().await.text(), "old");
    let mut slow = RawClient::connect(recgate.address).await;
    slow.send(GET.replace("/x", "/slow")).await;
    old.has_received(2).await;

    recgate.reload(&new.config());
    recgate.has_reloaded("configuration", "done", 1.0).await;
    kept.send(GET).await;
    assert_eq!(kept.response().await.text(), "new", "over the same connection");
    gate.add_permits(1);
    assert_eq!(slow.response().await.text(), "old");
    slow.send(GET).await;
    assert_eq!(slow.response().await.text(), "new");
    assert_eq!((old.received().len(), new.received().len()), (2, 2));
    recgate.stop().await;
}

#[tokio::test]
async fn a_bad_configuration_keeps_the_old_and_says_why() {
    let gate = Arc::new(Semaphore::new(0));
    let (old, new) = (named("old", &gate).await, named("new", &gate).await);
    let recgate = Recgate::with_config(&old.config()).await;
    let bad: [(String, &[&str]); 5] = [
        (new.config() + "[gateway]\nthreats = 2\n", &["config.toml:", "threats"]),
        (new.config() + "[limits]\nrequests = 0\n", &["config.toml:", "limits.requests"]),
        (
            new.config().replace("\"none\"", "{ document = \"gone.yaml\" }"),
            &["gone.yaml", "config.toml:6:12: upstream.it.contract: "],
        ),
        (
            new.config() + "[gateway]\ntls = { certificate = \"gone.pem\", key = \"gone.pem\" }\n",
            &["gone.pem"],
        ),
        (
            new.config() + "[limits]\npause_watch_ms = 7\n[ledger]\nkeep_days = 1\n",
            &[
                "config.toml:9:1: ledger: cannot change without a restart",
                "config.toml:8:18: limits.pause_watch_ms: cannot change without a restart",
            ],
        ),
    ];
    for (count, (text, told)) in (1_u32..).zip(bad) {
        recgate.reload(&text);
        recgate.has_reloaded("configuration", "refused", f64::from(count)).await;
        for word in told {
            until("the reason in the log", || async {
                recgate.errors().contains(word).then_some(())
            })
            .await;
        }
        assert_eq!(ask(recgate.address, GET).await.text(), "old", "{text}");
    }
    recgate.reload(&new.config());
    recgate.has_reloaded("configuration", "done", 1.0).await;
    assert_eq!(ask(recgate.address, GET).await.text(), "new");
}

#[tokio::test]
async fn a_file_that_changes_is_read_again_where_that_is_wanted() {
    let gate = Arc::new(Semaphore::new(0));
    let (old, new) = (named("old", &gate).await, named("new", &gate).await);
    let wanted = "[gateway]\nreload = \"change\"\n";
    let recgate = Recgate::with_config(&(old.config() + wanted)).await;
    std::fs::write(recgate.config.as_ref().unwrap(), new.config() + wanted).unwrap();
    recgate.has_reloaded("configuration", "done", 1.0).await;
    assert_eq!(ask(recgate.address, GET).await.text(), "new");
}

/// The queue of a conversation holds across a reload: a resume that the new configuration admits
/// waits for the pause that the old one has under way.
#[tokio::test]
async fn a_resume_waits_for_a_pause_of_before_the_reload() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let upstream = Upstream::scripted(move |request| {
        if request.text().contains("paused") {
            vec![Step::Await(Arc::clone(&held)), ok()]
        } else {
            vec![ok()]
        }
    })
    .await;
    let text = config("genesys", "none", &upstream.address);
    let recgate = Recgate::with_config(&text).await;
    let call = |state: &str| {
        let body = format!("{{\"recordingState\":\"{state}\"}}");
        format!(
            "PUT /api/v2/conversations/calls/c1/recordingstate HTTP/1.1\r\nHost: x\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let mut pause = RawClient::connect(recgate.address).await;
    pause.send(call("paused")).await;
    upstream.has_received(1).await;
    // From now on clients have little time.
    recgate.reload(&(text + "[default_client]\ndeadline_ms = 300\n"));
    recgate.has_reloaded("configuration", "done", 1.0).await;
    let late = ask(recgate.address, call("active")).await;
    assert_eq!(late.one("recgate-error"), Some("queue.timeout"), "{late:?}");
    assert_eq!(upstream.received().len(), 1, "it was never sent");
    gate.add_permits(1);
    assert_eq!(pause.response().await.status(), 200);
    assert_eq!(ask(recgate.address, call("active")).await.status(), 200);
}

/// A fault costs the request that meets it: 500 in the words of whose API was meant, over a
/// connection that goes on.
#[tokio::test]
async fn a_panic_costs_one_request() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let text = config("genesys", "none", &upstream.address);
    let recgate = Recgate::start_marked(Some(&text), &[], Some("Stumble")).await.unwrap();
    let mut client = RawClient::connect(recgate.address).await;
    for turn in 1..=21 {
        client.send(GET).await;
        let answer = client.response().await;
        if turn % 7 == 0 {
            assert_eq!(answer.status(), 500, "{turn}");
            assert_eq!(answer.one("recgate-error"), Some("gateway.internal"), "{turn}");
            let body: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
            assert_eq!(body["status"], 500, "{body}");
            assert!(body["code"].is_string(), "{body}");
        } else {
            assert_eq!(answer.status(), 200, "{turn}");
        }
    }
    assert_eq!(upstream.received().len(), 18);
    // Of a fault its place is told, and not its text: that may hold what a body held.
    until("the places of three faults in the log", || async {
        (recgate.errors().matches("src/change/mark.rs:").count() == 3).then_some(())
    })
    .await;
    let told = recgate.errors();
    assert!(!told.contains("a stumble"), "{told}");
    recgate.stop().await;
}

/// While it drains it wants no traffic, and is alive.
#[tokio::test]
async fn readiness_is_not_liveness() {
    let gate = Arc::new(Semaphore::new(0));
    let upstream = named("one", &gate).await;
    let mut recgate = Recgate::with_config(&upstream.config()).await;
    let mut slow = RawClient::connect(recgate.address).await;
    slow.send(GET.replace("/x", "/slow")).await;
    upstream.has_received(1).await;
    recgate.signal("-TERM");
    let client = http().build().unwrap();
    until("a drain", || async {
        let answer = client.get(format!("http://{}/readyz", recgate.admin)).send().await.unwrap();
        (answer.status() == 503).then_some(())
    })
    .await;
    let alive = client.get(format!("http://{}/healthz", recgate.admin)).send().await.unwrap();
    assert_eq!(alive.status(), 200);
    gate.add_permits(1);
    assert_eq!(slow.response().await.status(), 200);
    assert_eq!(recgate.ended().await, Some(0), "{}", recgate.errors());
}

/// What clients met under load.
#[derive(Default)]
struct Met {
    answered: AtomicUsize,
    refused: AtomicUsize,
    unread: AtomicUsize,
    failed: Mutex<Vec<String>>,
    enough: AtomicBool,
}

/// How a client speaks.
#[derive(Clone)]
enum Speaks {
    Http1,
    Http1OverTls(TlsConnector),
    Http2,
    Http2OverTls(TlsConnector),
}

/// Clear or TLS.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Wire for S {}

impl Speaks {
    /// A connection; nothing where it was refused.
    async fn connect(&self, address: SocketAddr) -> Option<Box<dyn Wire>> {
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).unwrap();
        match self {
            Self::Http1 | Self::Http2 => Some(Box::new(stream)),
            Self::Http1OverTls(tls) | Self::Http2OverTls(tls) => {
                let name = ServerName::try_from("localhost").unwrap();
                Some(Box::new(tls.connect(name, stream).await.ok()?))
            }
        }
    }
}

/// The same over HTTP/2: several streams at once. What the gateway says it has not looked at is
/// asked again, over another connection.
async fn client_of_streams(number: usize, speaks: Speaks, address: SocketAddr, met: Arc<Met>) {
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    while !met.enough.load(Ordering::Relaxed) {
        tick.tick().await;
        let Some(stream) = speaks.connect(address).await else {
            met.refused.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let Ok((sender, connection)) = h2::client::handshake(stream).await else {
            met.refused.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let driver = tokio::spawn(connection);
        let (mut idle, mut asked) = (Some(sender), Vec::new());
        let places = Arc::new(Semaphore::new(16));
        for turn in number.. {
            if met.enough.load(Ordering::Relaxed) {
                break;
            }
            tick.tick().await;
            let Some(sender) = idle.take() else { break };
            let Ok(mut sender) = sender.ready().await else { break };
            let method = if turn % 4 == 0 { "PUT" } else { "GET" };
            let request = Request::builder().method(method).uri("http://x/x").body(()).unwrap();
            let bodiless = method == "GET";
            let Ok((answer, mut body)) = sender.send_request(request, bodiless) else { break };
            idle = Some(sender);
            let (met, place) = (Arc::clone(&met), places.clone().acquire_owned().await.unwrap());
            asked.push(tokio::spawn(async move {
                let sent = if bodiless { Ok(()) } else { body.send_data("hello".into(), true) };
                let result = tokio::time::timeout(crate::harness::PATIENCE, answer).await;
                match (sent, result) {
                    (_, Ok(Ok(answer))) if answer.status() == 200 => {
                        met.answered.fetch_add(1, Ordering::Relaxed);
                    }
                    // RFC 9113 section 6.8: streams after the last that it names were not looked at.
                    // And section 8.7: nor was one that is refused.
                    (_, Ok(Err(error)))
                        if error.is_remote()
                            && (error.is_go_away()
                                || error.reason() == Some(h2::Reason::REFUSED_STREAM)) =>
                    {
                        met.unread.fetch_add(1, Ordering::Relaxed);
                    }
                    (sent, result) => {
                        let why = format!("stream {number}, turn {turn}: {sent:?}, {result:?}");
                        met.failed.lock().unwrap().push(why);
                    }
                }
                drop(place);
            }));
        }
        drop(idle);
        for asked in asked {
            asked.await.unwrap();
        }
        let _ = driver.await;
    }
}

/// Asks until it is enough. A connection that was refused is tried again, and nothing else.
async fn client(number: usize, speaks: Speaks, address: SocketAddr, met: Arc<Met>) {
    let put = "PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    'connection: while !met.enough.load(Ordering::Relaxed) {
        tick.tick().await;
        let Some(mut stream) = speaks.connect(address).await else {
            met.refused.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let mut buffer = Buffer::default();
        for turn in number.. {
            if met.enough.load(Ordering::Relaxed) {
                return;
            }
            tick.tick().await;
            let request = if turn % 4 == 0 { put } else { GET };
            let sent = stream.write_all(request.as_bytes()).await;
            let read = Message::read(&mut stream, &mut buffer, Role::Response);
            let why = match (sent, tokio::time::timeout(crate::harness::PATIENCE, read).await) {
                (Ok(()), Ok(Ok(Some(answer)))) if answer.status() == 200 => {
                    met.answered.fetch_add(1, Ordering::Relaxed);
                    if answer.one("connection") == Some("close") {
                        continue 'connection;
                    }
                    continue;
                }
                (sent, read) => format!("client {number}, turn {turn}: {sent:?}, {read:?}"),
            };
            met.failed.lock().unwrap().push(why);
            continue 'connection;
        }
    }
}

/// A process after another takes the port over, and each reads its configuration again, under
/// load: nobody notices but by a connection that is refused while nobody listens.
async fn nothing_fails(name: &str, speaks: [Speaks; 2], tls: &str) {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let text = upstream.config() + tls;
    let mut recgate = Recgate::with_config(&text).await;
    let address = recgate.address;
    let met = Arc::new(Met::default());
    let [one, other] = speaks;
    let clients: Vec<_> = (0..8)
        .map(|number| match number % 2 {
            0 => tokio::spawn(client(number, one.clone(), address, Arc::clone(&met))),
            _ => tokio::spawn(client_of_streams(number, other.clone(), address, Arc::clone(&met))),
        })
        .collect();
    let answered = || met.answered.load(Ordering::Relaxed);
    let (rounds, requests) = (times(2, 20), times(500, 10_000));
    for round in 0..rounds {
        let share = (round * 2 + 1) * requests / (rounds * 2);
        until("answers", || async { (answered() > share).then_some(()) }).await;
        recgate.reload(&format!("{text}[default_client]\ndeadline_ms = {}\n", 9_000 + round));
        recgate.has_reloaded("configuration", "done", 1.0).await;
        let share = (round * 2 + 2) * requests / (rounds * 2);
        until("answers", || async { (answered() > share).then_some(()) }).await;
        recgate.signal("-TERM");
        until("a port that is free", || async {
            std::net::TcpListener::bind(address).is_ok().then_some(())
        })
        .await;
        let listen = format!("gateway.listen={address}");
        let next = Recgate::start(Some(&text), &[&listen]).await;
        let mut last = std::mem::replace(&mut recgate, next);
        assert_eq!(last.ended().await, Some(0), "{}", last.errors());
    }
    let before = answered();
    until("answers", || async { (answered() > before + 100).then_some(()) }).await;
    met.enough.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let failed = met.failed.lock().unwrap();
    println!(
        "restarts ({name}): {rounds} SIGTERMs, {rounds} reloads, {} requests answered, {} failed, {} streams unread and asked again, {} connections refused and tried again",
        answered(),
        failed.len(),
        met.unread.load(Ordering::Relaxed),
        met.refused.load(Ordering::Relaxed)
    );
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(answered() >= requests);
}

#[tokio::test]
async fn nothing_fails_in_clear_while_processes_and_configurations_change() {
    nothing_fails("in clear", [Speaks::Http1, Speaks::Http2], "").await;
}

#[tokio::test]
async fn nothing_fails_over_tls_while_processes_and_configurations_change() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let connector = |protocol: &[u8]| {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        TlsConnector::from(Arc::new(config))
    };
    let tls = format!(
        "[gateway]\ntls = {{ certificate = \"{}\", key = \"{}\" }}\n",
        file("cert.pem", made.cert.pem()).display(),
        file("key.pem", made.signing_key.serialize_pem()).display()
    );
    let speaks =
        [Speaks::Http1OverTls(connector(b"http/1.1")), Speaks::Http2OverTls(connector(b"h2"))];
    nothing_fails("over TLS", speaks, &tls).await;
}
