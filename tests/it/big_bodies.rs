//! A body of any size streams both ways in constant memory, and not one byte of it changes.
//!
//! 200 MB of random bytes, their SHA-256, and the resident set of the gateway's process: sampled
//! while the body is under way, and its peak as the kernel kept it.

use std::sync::{Arc, Mutex};

use futures_util::stream;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::upstream::config;
use crate::harness::{PATIENCE, Recgate, Upstream, until};

const MB: u64 = 1_000_000;
const SIZE: u64 = 200 * MB;
const CHUNK: usize = 250_000;
/// What the resident set may grow by.
const GROWTH: u64 = 16 * MB;

/// Random bytes that are made as they are needed: xorshift64* from a seed.
struct Random {
    state: u64,
    left: u64,
    hash: Sha256,
}

// === impl Random ===

impl Random {
    fn new(seed: u64, size: u64) -> Self {
        Self { state: seed, left: size, hash: Sha256::new() }
    }

    fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = CHUNK.min(usize::try_from(self.left).unwrap());
        if size == 0 {
            return None;
        }
        let mut bytes = Vec::with_capacity(size + 8);
        while bytes.len() < size {
            self.state ^= self.state >> 12;
            self.state ^= self.state << 25;
            self.state ^= self.state >> 27;
            let number = self.state.wrapping_mul(0x2545_F491_4F6C_DD1D);
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.truncate(size);
        self.left -= size as u64;
        self.hash.update(&bytes);
        Some(bytes)
    }

    fn sha256(self) -> String {
        hex(self.hash)
    }
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// Reads a head from a raw stream; gives its text and the bytes behind it.
async fn head(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut read = Vec::new();
    loop {
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = read.split_off(end + 4);
            return Some((String::from_utf8_lossy(&read).into_owned(), rest));
        }
    }
}

/// `GET` sends `SIZE` random bytes; anything else reads them and answers their SHA-256.
async fn large(mut stream: TcpStream, sent: Arc<Mutex<String>>) {
    while let Some((request, rest)) = head(&mut stream).await {
        if request.starts_with("GET /warm") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        } else if request.starts_with("GET") {
            let mut random = Random::new(0x00C0_FFEE, SIZE);
            let start = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {SIZE}\r\n\r\n"
            );
            stream.write_all(start.as_bytes()).await.unwrap();
            while let Some(chunk) = random.chunk() {
                stream.write_all(&chunk).await.unwrap();
            }
            *sent.lock().unwrap() = random.sha256();
        } else {
            let mut hash = Sha256::new();
            hash.update(&rest);
            let mut left = SIZE - rest.len() as u64;
            let mut chunk = vec![0; CHUNK];
            while left > 0 {
                let read = stream.read(&mut chunk).await.unwrap();
                assert!(read > 0, "{left} bytes never came");
                hash.update(&chunk[..read]);
                left -= read as u64;
            }
            let hash = hex(hash);
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{hash}", hash.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoken {
    Http1,
    Http2,
}

async fn up_and_down(spoken: Spoken, vendor: &str, path: &str) {
    let sent = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&sent);
    let upstream = Upstream::serving(move |stream| large(stream, Arc::clone(&kept))).await;
    let recgate = Recgate::with_config(&config(
        vendor,
        if vendor == "other" { "none" } else { vendor },
        &upstream.address,
    ))
    .await;
    let builder = reqwest::Client::builder().no_proxy().timeout(PATIENCE * 4);
    let client = match spoken {
        Spoken::Http1 => builder.http1_only(),
        Spoken::Http2 => builder.http2_prior_knowledge(),
    };
    let client = client.build().unwrap();
    // One small exchange first, so that what is needed once is not counted as growth.
    assert_eq!(client.get(recgate.url("/warm")).send().await.unwrap().status(), 200);
    let before = recgate.memory("VmRSS");
    let mut seen = before;

    // Up.
    let random = Arc::new(Mutex::new(Some(Random::new(0x5EED, SIZE))));
    let source = Arc::clone(&random);
    let body = stream::iter(std::iter::from_fn(move || {
        source.lock().unwrap().as_mut().unwrap().chunk().map(Ok::<_, std::io::Error>)
    }));
    let request = client
        .patch(recgate.url(path))
        .header("content-length", SIZE)
        .header("content-type", "application/json")
        .body(reqwest::Body::wrap_stream(body));
    let mut sending = tokio::spawn(request.send());
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(20));
    let answer = loop {
        tokio::select! {
            answer = &mut sending => break answer.unwrap().unwrap(),
            _ = tick.tick() => seen = seen.max(recgate.memory("VmRSS")),
        }
    };
    assert_eq!(answer.status(), 200);
    let received = answer.text().await.unwrap();
    assert_eq!(received, random.lock().unwrap().take().unwrap().sha256(), "the upload changed");

    // Down.
    let mut answer = client.get(recgate.url(path)).send().await.unwrap();
    assert_eq!(answer.content_length(), Some(SIZE));
    let (mut hash, mut size) = (Sha256::new(), 0);
    while let Some(chunk) = answer.chunk().await.unwrap() {
        hash.update(&chunk);
        if size / (4 * MB) != (size + chunk.len() as u64) / (4 * MB) {
            seen = seen.max(recgate.memory("VmRSS"));
        }
        size += chunk.len() as u64;
    }
    assert_eq!(size, SIZE);
    // The upstream may still be adding its own bytes up.
    let sent = until("the upstream's hash", || async {
        Some(sent.lock().unwrap().clone()).filter(|hash| !hash.is_empty())
    })
    .await;
    assert_eq!(hex(hash), sent, "the download changed");

    let grown = seen.max(recgate.memory("VmHWM")).saturating_sub(before);
    println!(
        "{spoken:?} {path}: 200 MB up and down, resident set {} kB before, grown by {} kB at most",
        before / 1_000,
        grown / 1_000
    );
    assert!(grown < GROWTH, "{grown} bytes");
    recgate.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_1_streams_in_constant_memory() {
    up_and_down(Spoken::Http1, "other", "/media/recording.wav").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_streams_in_constant_memory() {
    up_and_down(Spoken::Http2, "other", "/media/recording.wav").await;
}

/// The same through an operation whose bodies are read and checked: past the limit they stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checked_operation_streams_what_is_too_long_to_check() {
    up_and_down(Spoken::Http1, "genesys", "/api/v2/conversations/calls/c1").await;
}
