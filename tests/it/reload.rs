//! Another configuration while it serves, another process in its place, and a fault of its own: no
//! request is lost by any of them but the one that meets the fault.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::harness::message::{Buffer, Role};
use crate::harness::raw::ask;
use crate::harness::upstream::{config, ok, response};
use crate::harness::{Message, RawClient, Recgate, Step, Upstream, http, until};
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
        (new.config().replace("\"none\"", "{ document = \"gone.yaml\" }"), &["gone.yaml"]),
        (
            new.config() + "[gateway]\ntls = { certificate = \"gone.pem\", key = \"gone.pem\" }\n",
            &["gone.pem"],
        ),
        (
            new.config() + "[limits]\npause_watch_ms = 7\n[ledger]\nkeep_days = 1\n",
            &["ledger, limits.pause_watch_ms cannot change without a restart"],
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
    failed: Mutex<Vec<String>>,
    enough: AtomicBool,
}

/// Asks until it is enough. A connection that was refused is tried again, and nothing else.
async fn client(number: usize, address: SocketAddr, met: Arc<Met>) {
    let put = "PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    'connection: while !met.enough.load(Ordering::Relaxed) {
        tick.tick().await;
        let Ok(mut stream) = TcpStream::connect(address).await else {
            met.refused.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        stream.set_nodelay(true).unwrap();
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
#[tokio::test]
async fn nothing_fails_while_processes_and_configurations_change() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let mut recgate = Recgate::with_config(&upstream.config()).await;
    let address = recgate.address;
    let met = Arc::new(Met::default());
    let clients: Vec<_> =
        (0..8).map(|number| tokio::spawn(client(number, address, Arc::clone(&met)))).collect();
    let answered = || met.answered.load(Ordering::Relaxed);
    let (rounds, requests) = (times(2, 20), times(500, 10_000));
    for round in 0..rounds {
        let share = (round * 2 + 1) * requests / (rounds * 2);
        until("answers", || async { (answered() > share).then_some(()) }).await;
        recgate.reload(&format!(
            "{}[default_client]\ndeadline_ms = {}\n",
            upstream.config(),
            9_000 + round
        ));
        recgate.has_reloaded("configuration", "done", 1.0).await;
        let share = (round * 2 + 2) * requests / (rounds * 2);
        until("answers", || async { (answered() > share).then_some(()) }).await;
        recgate.signal("-TERM");
        until("a port that is free", || async {
            std::net::TcpListener::bind(address).is_ok().then_some(())
        })
        .await;
        let listen = format!("gateway.listen={address}");
        let next = Recgate::start(Some(&upstream.config()), &[&listen]).await;
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
        "restarts: {rounds} SIGTERMs, {rounds} reloads, {} requests answered, {} failed, {} connections refused and tried again",
        answered(),
        failed.len(),
        met.refused.load(Ordering::Relaxed)
    );
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(answered() >= requests);
}
