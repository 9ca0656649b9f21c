//! HTTP as strictly as the RFCs have it: every case of `fixtures/http`, byte for byte, against an
//! upstream that counts. What one server could read otherwise than another is answered and never
//! forwarded; as many requests arrive as were answered with 200.
//!
//! In `send` a character up to U+00FF is one byte, and `⟦N×text⟧` stands for N times the text.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use rstest::rstest;
use serde::Deserialize;
use tokio::net::TcpStream;

use crate::harness::upstream::{ok, response};
use crate::harness::{RawClient, Recgate, Step, Upstream, soon};
use crate::sagas::{Seeded, times};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Case>,
}

/// What is sent over a connection of its own, and the statuses that come back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    send: String,
    answers: Vec<u16>,
}

fn cases(file: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/http").join(file);
    toml::from_str::<Cases>(&std::fs::read_to_string(path).unwrap()).unwrap().case
}

fn bytes(text: &str) -> Vec<u8> {
    let mut text = text.to_owned();
    // The innermost first.
    while let Some(end) = text.find('⟧') {
        let start = text[..end].rfind('⟦').unwrap();
        let (count, unit) = text[start + '⟦'.len_utf8()..end].split_once('×').unwrap();
        let many = unit.repeat(count.parse().unwrap());
        text.replace_range(start..end + '⟧'.len_utf8(), &many);
    }
    text.chars().map(|it| u8::try_from(u32::from(it)).unwrap()).collect()
}

#[rstest]
#[case::smuggling("smuggling.toml")]
#[case::framing("framing.toml")]
#[case::host("host.toml")]
#[case::request_line("request-line.toml")]
#[case::paths("paths.toml")]
#[case::headers("headers.toml")]
#[tokio::test]
async fn http_is_read_in_one_way(#[case] file: &str) {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut wrong = BTreeMap::new();
    let mut forwarded = 0;
    for case in cases(file) {
        forwarded += case.answers.iter().filter(|status| **status == 200).count();
        if let Err(why) = play(&recgate, &case).await {
            wrong.insert(case.name.clone(), why);
        }
        if upstream.received().len() != forwarded {
            let got = upstream.received().len();
            wrong.insert(case.name, format!("{got} requests upstream, not {forwarded}"));
            forwarded = got;
        }
    }
    assert!(wrong.is_empty(), "{}: {wrong:#?}", wrong.len());
}

async fn play(recgate: &Recgate, case: &Case) -> Result<(), String> {
    let mut client = RawClient::connect(recgate.address).await;
    client.send(bytes(&case.send)).await;
    let mut last = None;
    for (index, wanted) in case.answers.iter().enumerate() {
        let Some(answer) = client.response_or_end().await else {
            return Err(format!("answer {index}: none, not {wanted}"));
        };
        let status = answer.status();
        if status != *wanted {
            return Err(format!("answer {index}: {}, not {wanted}", answer.start));
        }
        if status >= 400 {
            let proxy = answer.one("proxy-status").unwrap_or_default();
            let code = answer.one("recgate-error").unwrap_or_default();
            if !proxy.starts_with("recgate; error=") || code.is_empty() {
                return Err(format!("answer {index} does not say who refused: {answer:?}"));
            }
        }
        last = Some(answer);
    }
    // Behind what is no HTTP nothing can be read as HTTP.
    let wire = [
        "request.malformed",
        "request.version",
        "request.coding",
        "request.target-too-long",
        "request.head-too-large",
    ];
    if last.is_some_and(|it| it.one("recgate-error").is_some_and(|it| wire.contains(&it)))
        && !client.rest().await.is_empty()
    {
        return Err("something was said after the refusal".to_owned());
    }
    Ok(())
}

/// What hyper takes no more of, whatever the limits say, is refused before it sees it.
#[tokio::test]
async fn what_is_longer_than_hyper_takes_is_refused_in_words() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let limits = "[limits]\nheader_bytes = 300000\n";
    let recgate = Recgate::with_config(&format!("{}{limits}", upstream.config())).await;
    let target = |length: usize| {
        format!("GET /{} HTTP/1.1\r\nHost: a.example\r\n\r\n", "x".repeat(length - 1))
    };
    let name = |length: usize| {
        format!("GET /x HTTP/1.1\r\nHost: a.example\r\n{}: y\r\n\r\n", "x".repeat(length))
    };
    for (name, send, answers) in [
        ("a target of the most bytes", target(65_534), vec![200]),
        ("one more", target(65_535), vec![414]),
        ("many more", target(100_000), vec![414]),
        ("a name of the most bytes", name(65_535), vec![200]),
        ("one more", name(65_536), vec![431]),
        ("many more", name(100_000), vec![431]),
    ] {
        let case = Case { name: name.to_owned(), send, answers };
        assert_eq!(play(&recgate, &case).await, Ok(()), "{name}");
    }
    assert_eq!(upstream.received().len(), 2);
}

/// HTTP/2 has no line ends to play with; what it does have is held to the same rules, and what it
/// carries can never become a second request in HTTP/1.1.
#[tokio::test]
async fn http_2_is_held_to_the_same_rules() {
    use http::{Method, Request, Version};

    type Line = (&'static str, &'static str);
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let stream = TcpStream::connect(recgate.address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let (enough, many) = (vec![("x", "y"); 100], vec![("x", "y"); 101]);
    let crumbs = vec![("cookie", "a=1"); 101];
    let cases: [(&str, Method, &str, &[Line], u16); 28] = [
        ("a plain one", Method::GET, "http://a.example/x", &[], 200),
        ("a Host that agrees", Method::GET, "http://a.example/x", &[("host", "a.example")], 200),
        ("a Host at odds", Method::GET, "http://a.example/x", &[("host", "b.example")], 400),
        ("userinfo", Method::GET, "http://me@a.example/x", &[], 400),
        ("a port that is none", Method::GET, "http://a.example:99999/x", &[], 400),
        ("an encoded slash", Method::GET, "http://a.example/a%2fb", &[], 400),
        ("a dot segment", Method::GET, "http://a.example/a/../b", &[], 400),
        ("a NUL", Method::GET, "http://a.example/a%00", &[], 400),
        ("an expectation", Method::PUT, "http://a.example/x", &[("expect", "magic")], 417),
        ("TRACE", Method::TRACE, "http://a.example/x", &[], 501),
        ("a query with line ends", Method::GET, "http://a.example/x?a=%0d%0ab", &[], 200),
        ("te: trailers", Method::GET, "http://a.example/x", &[("te", "trailers")], 200),
        ("a length", Method::POST, "http://a.example/x", &[("content-length", "0")], 200),
        ("two lengths", Method::POST, "http://a.example/x", &[("content-length", "0"); 2], 400),
        ("a length spelt _", Method::POST, "http://a.example/x", &[("content_length", "9")], 400),
        ("a coding spelt _", Method::PUT, "http://a.example/x", &[("transfer_encoding", "a")], 400),
        ("another _", Method::GET, "http://a.example/x", &[("content_type", "a")], 200),
        ("a path beyond ASCII", Method::GET, "http://a.example/\u{e9}", &[], 400),
        ("a query beyond ASCII", Method::GET, "http://a.example/x?\u{e9}", &[], 400),
        ("a space before", Method::GET, "http://a.example/x", &[("x", " a")], 400),
        ("a tab behind", Method::GET, "http://a.example/x", &[("x", "a\t")], 400),
        ("spaces alone", Method::GET, "http://a.example/x", &[("x", "  ")], 400),
        ("a space inside", Method::GET, "http://a.example/x", &[("x", "a b")], 200),
        ("an empty value", Method::GET, "http://a.example/x", &[("x", "")], 200),
        ("100 lines", Method::GET, "http://a.example/x", &enough, 200),
        ("101 lines", Method::GET, "http://a.example/x", &many, 431),
        ("101 crumbs of a cookie", Method::GET, "http://a.example/x", &crumbs, 200),
        ("a query alone", Method::GET, "http://a.example?q", &[], 400),
    ];
    let mut forwarded = 0;
    for (name, method, uri, headers, wanted) in cases {
        let mut request = Request::builder().method(method).uri(uri).version(Version::HTTP_2);
        for (header, value) in headers {
            request = request.header(*header, *value);
        }
        client = soon("room for a stream", client.ready()).await.unwrap();
        let (answer, _) = client.send_request(request.body(()).unwrap(), true).unwrap();
        let answer = soon("an answer", answer).await.unwrap();
        assert_eq!(answer.status().as_u16(), wanted, "{name}");
        assert_eq!(answer.headers().contains_key("proxy-status"), wanted >= 400, "{name}");
        assert_eq!(answer.headers().contains_key("recgate-error"), wanted >= 400, "{name}");
        forwarded += usize::from(wanted == 200);
        assert_eq!(upstream.received().len(), forwarded, "{name}");
    }
}

/// Streams of cases, cut, joined and spoilt at random: whatever they are, a request that arrives is
/// one that is answered.
#[tokio::test]
async fn no_stream_hides_a_request() {
    const AT_ONCE: usize = 32;
    let upstream = Upstream::scripted(|request| {
        vec![Step::Send(response(&["HTTP/1.1 200 OK"], request.target()))]
    })
    .await;
    let limits = "[limits]\nbody_ms = 150\nhead_ms = 150\n[default_client]\ndeadline_ms = 150\n";
    let recgate = Recgate::with_config(&format!("{}{limits}", upstream.config())).await;
    let files = ["smuggling", "framing", "host", "request-line", "paths", "headers"]
        .map(|it| format!("{it}.toml"));
    let cases: Vec<Vec<u8>> = files
        .iter()
        .flat_map(|file| cases(file))
        .map(|case| bytes(&case.send))
        .filter(|bytes| bytes.len() < 1_000)
        .collect();

    let mut random = Seeded::new(6);
    let (mut sent, mut arrived) = (0, 0);
    let all = times(640, 100_000);
    while sent < all {
        let streams: Vec<Vec<u8>> = (0..AT_ONCE).map(|_| spoilt(&cases, &mut random)).collect();
        let answers = streams.iter().map(|stream| answered(recgate.address, stream));
        let answers = futures_util::future::join_all(answers).await;
        let mut answered: Vec<String> = answers.into_iter().flatten().collect();
        let received = upstream.received();
        let mut targets: Vec<String> =
            received[arrived..].iter().map(|it| it.target().to_owned()).collect();
        (sent, arrived) = (sent + AT_ONCE, received.len());
        answered.sort_unstable();
        targets.sort_unstable();
        let shown = || streams.iter().map(|it| it.escape_ascii().to_string()).collect::<Vec<_>>();
        assert_eq!(answered, targets, "{:#?}\n{answered:?}\n{targets:?}", shown());
    }
    println!("streams: {sent}, requests answered and arrived: {arrived}, disagreements: 0");
}

/// One to three cases behind one another, with up to three faults.
fn spoilt(cases: &[Vec<u8>], random: &mut Seeded) -> Vec<u8> {
    const NASTY: &[&[u8]] = &[
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b"\t",
        b":",
        b"0",
        b"5\r\n",
        b"\r\n\r\n",
        b"chunked",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\n",
        b"GET /in HTTP/1.1\r\n",
        b"\xff",
    ];
    let mut stream = Vec::new();
    for _ in 0..=random.below(3) {
        stream.extend_from_slice(&cases[random.below(cases.len())]);
    }
    for _ in 0..random.below(4) {
        let at = random.below(stream.len() + 1);
        let end = (at + random.below(12)).min(stream.len());
        match random.below(4) {
            0 => drop(stream.drain(at..end)),
            1 => drop(stream.splice(at..at, NASTY[random.below(NASTY.len())].iter().copied())),
            2 => {
                let again = stream[at..end].to_vec();
                stream.splice(at..at, again);
            }
            _ => {
                if let Some(byte) = stream.get_mut(at) {
                    *byte = u8::try_from(random.below(256)).unwrap();
                }
            }
        }
    }
    stream
}

/// The targets that the upstream says it was asked for, in one stream's answers.
async fn answered(address: SocketAddr, stream: &[u8]) -> Vec<String> {
    let mut client = RawClient::connect(address).await;
    client.send(stream).await;
    let mut targets = Vec::new();
    // The gateway closes: on a fault, or when nothing more comes in time.
    while let Some(answer) = client.response_or_end().await {
        if answer.status() == 200 {
            targets.push(answer.text().to_owned());
        }
    }
    targets
}
