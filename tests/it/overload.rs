//! Five times what the gateway can carry: every pause is served, what it carries stays what it was,
//! and whoever is refused is told so and when to come back.
//!
//! Two shortages: of the upstream's time (places run out while processors idle) and of the gateway's
//! own (places are free, and there is no time to use them). For the second the answers are long, so that
//! checking them costs the gateway many times what asking for them costs these clients: else they, who
//! share the processors with it, would be short first. Load is open: requests come when their time has
//! come, whatever became of those before, over as many connections as that takes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::harness::upstream::config;
use crate::harness::{Recgate, Upstream};
use crate::sagas::times;

/// One of so many requests is a pause, each of another conversation.
const PAUSE_EVERY: u64 = 20;
/// The client's own patience. The gateway's are shorter.
const PATIENCE: Duration = Duration::from_secs(30);

/// What became of requests.
#[derive(Default)]
struct Seen {
    asked: AtomicU64,
    served: AtomicU64,
    /// 503 with `Retry-After`.
    refused: AtomicU64,
    /// Anything else.
    lost: AtomicU64,
    pauses: AtomicU64,
    pauses_served: AtomicU64,
    slowest_pause_us: AtomicU64,
    number: AtomicU64,
    over: AtomicBool,
}

/// Answers every request: pauses with what the vendor says, reads with a body of so many values, after
/// `takes`.
async fn upstream(takes: Duration, values: usize) -> Upstream {
    let body = format!(r#"{{"id": "someone", "notes": [{}"last"]}}"#, "\"a\", ".repeat(values));
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length:";
    let read = Arc::new(format!("{head} {}\r\n\r\n{body}", body.len()).into_bytes());
    Upstream::serving(move |stream| answer(stream, takes, Arc::clone(&read))).await
}

async fn answer(mut stream: TcpStream, takes: Duration, read: Arc<Vec<u8>>) {
    let mut buffer = vec![0; 16 << 10];
    let mut filled = 0;
    loop {
        let Some(end) = buffer[..filled].windows(4).position(|it| it == b"\r\n\r\n") else {
            match stream.read(&mut buffer[filled..]).await {
                Ok(read @ 1..) => filled += read,
                _ => return,
            }
            continue;
        };
        let whole = end + 4 + length(&buffer[..end]);
        while filled < whole {
            match stream.read(&mut buffer[filled..]).await {
                Ok(read @ 1..) => filled += read,
                _ => return,
            }
        }
        let pause = buffer.starts_with(b"PUT");
        let answer = if pause { b"HTTP/1.1 204 No Content\r\n\r\n" } else { &**read };
        buffer.copy_within(whole..filled, 0);
        filled -= whole;
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// The value of `Content-Length` in a head.
fn length(head: &[u8]) -> usize {
    value(head, b"content-length:").and_then(|it| it.trim().parse().ok()).unwrap_or(0)
}

fn value<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a str> {
    let mut lines = head.split(|byte| *byte == b'\n');
    let line = lines
        .find(|line| line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name))?;
    std::str::from_utf8(&line[name.len()..]).ok()
}

/// The request of this number.
fn request(number: u64) -> (Vec<u8>, bool) {
    if !number.is_multiple_of(PAUSE_EVERY) {
        let get = b"GET /api/v2/users/me HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer t\r\n\r\n";
        return (get.to_vec(), false);
    }
    let body = "{\"recordingState\": \"paused\"}";
    let patch = format!(
        "PATCH /api/v2/conversations/calls/c0000000-0000-4000-8000-{number:012} HTTP/1.1\r\nHost: a\r\n\
         Authorization: Bearer t\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    (patch.into_bytes(), true)
}

/// One connection: takes the next request whose time has come, and asks.
async fn connection(address: SocketAddr, due: Arc<Semaphore>, seen: Arc<Seen>) {
    let mut buffer = vec![0; 64 << 10];
    'connection: loop {
        let Ok(mut stream) = TcpStream::connect(address).await else { return };
        let _ = stream.set_nodelay(true);
        loop {
            let Ok(permit) = due.acquire().await else { return };
            permit.forget();
            if seen.over.load(Relaxed) {
                return;
            }
            let (bytes, pause) = request(seen.number.fetch_add(1, Relaxed));
            seen.asked.fetch_add(1, Relaxed);
            let begun = Instant::now();
            let asked = async {
                stream.write_all(&bytes).await.ok()?;
                let mut filled = 0;
                loop {
                    let read =
                        stream.read(&mut buffer[filled..]).await.ok().filter(|it| *it > 0)?;
                    filled += read;
                    let Some(end) = buffer[..filled].windows(4).position(|it| it == b"\r\n\r\n")
                    else {
                        continue;
                    };
                    if filled >= end + 4 + length(&buffer[..end]) {
                        let status: u16 = std::str::from_utf8(&buffer[9..12]).ok()?.parse().ok()?;
                        let head = &buffer[..end];
                        let told = value(head, b"retry-after:").is_some();
                        let closes = value(head, b"connection:").is_some();
                        return Some((status, told, closes));
                    }
                }
            };
            let answer = tokio::time::timeout(PATIENCE, asked).await.ok().flatten();
            if seen.over.load(Relaxed) {
                return;
            }
            let served = matches!(answer, Some((200..=299, ..)));
            if pause {
                seen.pauses.fetch_add(1, Relaxed);
                seen.pauses_served.fetch_add(u64::from(served), Relaxed);
                let took = u64::try_from(begun.elapsed().as_micros()).unwrap();
                seen.slowest_pause_us.fetch_max(took, Relaxed);
            }
            match answer {
                _ if served => seen.served.fetch_add(1, Relaxed),
                Some((503, true, _)) => seen.refused.fetch_add(1, Relaxed),
                other => {
                    if seen.lost.fetch_add(1, Relaxed) < 3 {
                        println!("overload: neither served nor refused: {other:?}");
                    }
                    0
                }
            };
            if !matches!(answer, Some((.., false))) {
                continue 'connection;
            }
        }
    }
}

/// What a load came to, a second, once it was under way.
struct Rates {
    asked: f64,
    served: f64,
    refused: f64,
    /// Of the gateway's processor.
    cpu: f64,
}

/// Asks `rate` times a second for so long (as often as answers come, where it is `None`), over at
/// most so many connections.
async fn load(
    recgate: &Recgate,
    rate: Option<f64>,
    connections: usize,
    lasts: Duration,
) -> (Arc<Seen>, Rates) {
    let (seen, due) = (Arc::new(Seen::default()), Arc::new(Semaphore::new(0)));
    let clients: Vec<_> = (0..connections)
        .map(|_| tokio::spawn(connection(recgate.address, Arc::clone(&due), Arc::clone(&seen))))
        .collect();
    let counts = || [&seen.asked, &seen.served, &seen.refused].map(|it| it.load(Relaxed));
    let begun = Instant::now();
    let (mut given, mut warm) = (0_u64, None);
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    while begun.elapsed() < lasts {
        tick.tick().await;
        let most = match rate {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
            Some(rate) => (begun.elapsed().as_secs_f64() * rate) as u64 - given,
            None => connections.saturating_sub(due.available_permits()) as u64,
        };
        due.add_permits(usize::try_from(most).unwrap());
        given += most;
        if begun.elapsed() > lasts / 4 && warm.is_none() {
            warm = Some((Instant::now(), counts(), recgate.cpu()));
        }
    }
    let (since, before, used) = warm.unwrap_or((begun, [0; 3], 0.0));
    let (seconds, after) = (since.elapsed().as_secs_f64(), counts());
    let cpu = (recgate.cpu() - used) / seconds;
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let [asked, served, refused] =
        std::array::from_fn(|at| (after[at] - before[at]) as f64 / seconds);
    let waiting = due.available_permits();
    if waiting > connections && rate.is_some() {
        println!("overload: {waiting} requests found no free connection among {connections}");
    }
    // What is under way comes to its end, and is counted.
    due.forget_permits(waiting);
    let asked_in_all = seen.asked.load(Relaxed);
    let ended = || seen.served.load(Relaxed) + seen.refused.load(Relaxed) + seen.lost.load(Relaxed);
    let end = Instant::now() + PATIENCE;
    while ended() < asked_in_all && Instant::now() < end {
        tick.tick().await;
    }
    seen.over.store(true, Relaxed);
    due.close();
    for client in clients {
        client.abort();
    }
    (seen, Rates { asked, served, refused, cpu })
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
async fn overload(name: &str, limits: &str, takes: Duration, values: usize, set: &[&str]) {
    // A normal run is short and light: its neighbours' deadlines are their own.
    let most = times(100, 4_000);
    let lasts = Duration::from_millis(times(200, 8_000) as u64) + takes * 5;
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let upstream = upstream(takes, values).await;
    let text = format!("{}{limits}", config("genesys", "genesys", &upstream.address));
    let recgate = Recgate::start(Some(&text), set).await;
    // Contracts compile with the first that need them.
    load(&recgate, None, 16, lasts / 4).await;
    for round in 1..=times(1, 3) {
        // The peak: with as many at once as serves best.
        let (mut peak, mut at, mut share) = (0.0_f64, 0, 0.0);
        for connections in [16, 64, 256, 1_024].into_iter().filter(|it| *it <= most) {
            let (_, rates) = load(&recgate, None, connections, lasts / 2).await;
            if rates.served > peak {
                (peak, at, share) = (rates.served, connections, rates.cpu);
            }
        }
        let (seen, rates) = load(&recgate, Some(peak * 5.0), most, lasts).await;
        let (pauses, served) = (seen.pauses.load(Relaxed), seen.pauses_served.load(Relaxed));
        println!(
            "overload ({name}), round {round}: peak {peak:.0} a second at {at} connections; asked {:.0} ({:.1} times): served {:.0} ({:.0} % of the peak), refused with Retry-After {:.0}, lost {}; pauses {served} of {pauses} ({:.1} %), the slowest {} ms; served for a second of the gateway's processor: {:.0} at the peak ({:.0} % used), {:.0} now ({:.0} % used)",
            rates.asked,
            rates.asked / peak,
            rates.served,
            rates.served / peak * 100.0,
            rates.refused,
            seen.lost.load(Relaxed),
            served as f64 / pauses as f64 * 100.0,
            seen.slowest_pause_us.load(Relaxed) / 1_000,
            peak / share,
            share * 100.0,
            rates.served / rates.cpu,
            rates.cpu * 100.0,
        );
        assert!(pauses > 0, "nothing was asked");
        assert_eq!(served, pauses, "a pause was shed");
        assert_eq!(seen.lost.load(Relaxed), 0, "answers that are neither");
    }
    recgate.stop().await;
}

/// The upstream takes its time: places run out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_times_what_the_upstream_can_carry() {
    let limits = "[limits]\nrequests = 32\npause_requests = 64\n";
    overload("the upstream is slow", limits, Duration::from_millis(100), 0, &[]).await;
}

/// The gateway has one thread, and answers of 50 kB to check: not enough of it. Who has to wait waits a
/// short time: else all of these connections would stand and wait, and nobody ask.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_times_what_the_gateway_can_carry() {
    let limits = "[limits]\nwait_ms = 200\nrequests = 256\n";
    overload("the gateway is slow", limits, Duration::ZERO, 10_000, &["gateway.threads=1"]).await;
}
