//! Interim answers (1xx, RFC 9110 §15.2) go on to clients over HTTP/1.1, in their place.

use std::sync::Arc;

use rstest::rstest;
use tokio::sync::Semaphore;

use crate::harness::raw::ask;
use crate::harness::upstream::{ok, response};
use crate::harness::{RawClient, Recgate, Step, Upstream, http};

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\
                     Link: </b.css>; rel=preload\r\n\r\n";

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

#[rstest]
#[case::read("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")]
#[case::streamed("PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab")]
#[tokio::test]
async fn one_goes_on_before_the_answer_is_there(#[case] request: &str) {
    let go_on = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&go_on);
    let upstream = Upstream::scripted(move |_| {
        vec![
            Step::Send(HINTS.into()),
            Step::Await(Arc::clone(&gate)),
            Step::Send(response(&["HTTP/1.1 200 OK"], "end")),
        ]
    })
    .await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = RawClient::connect(recgate.address).await;
    for _ in 0..2 {
        client.send(request).await;
        let hints = client.response().await;
        assert_eq!(hints.start, "HTTP/1.1 103 Early Hints");
        let links = ["link: </a.css>; rel=preload", "link: </b.css>; rel=preload"];
        assert_eq!(hints.headers, links);
        go_on.add_permits(1);
        let answer = client.response().await;
        assert_eq!((answer.status(), answer.text()), (200, "end"));
    }
}

/// In one piece with the answer, several of them, and with what is not the upstream's to say.
#[tokio::test]
async fn all_go_on_before_the_answer_and_without_what_belongs_to_a_connection() {
    let upstream = Upstream::scripted(|_| {
        let first = "HTTP/1.1 102 Processing\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\n\
                     Recgate-Changes: WEM-449\r\nX-Stays: 1\r\nContent-Length: 5\r\n\r\n";
        let unknown = "HTTP/1.1 199 Whatever\r\n\r\n";
        let on = "HTTP/1.1 100 Continue\r\n\r\n";
        let parts = [first.as_bytes(), on.as_bytes(), HINTS.as_bytes(), unknown.as_bytes()];
        let answer = response(&["HTTP/1.1 404 Not Found"], "no");
        vec![Step::Send([&parts.concat()[..], &answer].concat())]
    })
    .await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = RawClient::connect(recgate.address).await;
    client.send(get("/a")).await;
    let first = client.response().await;
    assert_eq!(first.start, "HTTP/1.1 102 Processing");
    assert_eq!(first.headers, ["x-stays: 1"]);
    assert_eq!(client.response().await.status(), 103);
    let unknown = client.response().await;
    assert_eq!((&*unknown.start, unknown.headers.len()), ("HTTP/1.1 199 ", 0));
    let answer = client.response().await;
    assert_eq!((answer.status(), answer.text()), (404, "no"));
    // The connection goes on.
    client.send(get("/b")).await;
    assert_eq!(client.response().await.status(), 102);
}

#[tokio::test]
async fn each_comes_before_its_own_answer() {
    let upstream = Upstream::scripted(|asked| {
        let path = asked.target().to_owned();
        let hints = format!("HTTP/1.1 103 Early Hints\r\nX-Of: {path}\r\n\r\n");
        let answer = response(&["HTTP/1.1 200 OK"], vec![b'x'; 300_000]);
        let hints = if path == "/none" { Vec::new() } else { hints.into_bytes() };
        vec![Step::Send([hints, answer].concat())]
    })
    .await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = RawClient::connect(recgate.address).await;
    let paths = ["/1", "/none", "/2", "/3"];
    client.send(paths.map(get).concat()).await;
    for path in paths {
        if path != "/none" {
            let hints = client.response().await;
            assert_eq!((hints.status(), hints.one("x-of")), (103, Some(path)));
        }
        let answer = client.response().await;
        assert_eq!((answer.status(), answer.body.len()), (200, 300_000), "{path}");
    }
}

/// RFC 9110 §15.2: none to a client that speaks HTTP/1.0.
#[tokio::test]
async fn http_1_0_has_none() {
    let upstream = Upstream::scripted(|_| vec![Step::Send(HINTS.into()), ok()]).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let answer = ask(recgate.address, "GET /a HTTP/1.0\r\nHost: x\r\n\r\n").await;
    assert_eq!(answer.status(), 200, "{answer:?}");
}

#[tokio::test]
async fn over_http_2_the_answer_comes_without_them() {
    let upstream = Upstream::scripted(|_| vec![Step::Send(HINTS.into()), ok()]).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let client = http().http2_prior_knowledge().build().unwrap();
    assert_eq!(client.get(recgate.url("/a")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_client_that_waits_for_100_gets_that_from_recgate_alone() {
    let upstream = Upstream::scripted(|_| {
        vec![Step::Send(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()), Step::Send(HINTS.into()), ok()]
    })
    .await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = RawClient::connect(recgate.address).await;
    let head = "PUT /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    client.send(head).await;
    assert_eq!(client.response().await.start, "HTTP/1.1 100 Continue");
    client.send("ab").await;
    assert_eq!(client.response().await.status(), 103);
    assert_eq!(client.response().await.status(), 200);
    assert_eq!(upstream.only().text(), "ab");
}

/// What finds no room may be left out; the answer may not.
#[tokio::test]
async fn an_answer_follows_thousands() {
    let upstream = Upstream::scripted(|_| vec![Step::Send(HINTS.repeat(5_000).into()), ok()]).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = RawClient::connect(recgate.address).await;
    client.send(get("/a")).await;
    let mut hints = 0;
    loop {
        match client.response().await.status() {
            103 => hints += 1,
            status => break assert_eq!(status, 200),
        }
    }
    assert!((1..=5_000).contains(&hints), "{hints}");
}
