//! What a client can make grow has a limit, and a pause is the last thing that is shed.
//!
//! What floods cost is in `floods`.

mod floods;

use std::sync::Arc;

use recgate::limits::PAUSES_UNREAD;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::harness::raw::ask;
use crate::harness::upstream::{config, ok, response};
use crate::harness::{RawClient, Recgate, Step, Upstream, soon, until};
use crate::pass_through::request;

const PAUSE: &str =
    "PUT /api/v2/conversations/calls/11111111-1111-4111-8111-111111111111/recordingstate HTTP/1.1";

/// An upstream's answer of so many header lines besides its length.
async fn talkative(lines: usize) -> Upstream {
    let lines: Vec<String> = (0..lines).map(|number| format!("X-Line-{number}: x")).collect();
    let mut head = vec!["HTTP/1.1 200 OK"];
    head.extend(lines.iter().map(String::as_str));
    Upstream::answering(response(&head, "{}")).await
}

#[tokio::test]
async fn an_answer_of_many_lines_passes_as_far_as_the_operator_says() {
    for (lines, limits, status) in [
        (99, "", 200),
        (100, "", 502),
        (511, "[limits]\nanswer_header_count = 512\n", 200),
        (512, "[limits]\nanswer_header_count = 512\n", 502),
        (20, "[limits]\nanswer_header_count = 20\n", 502),
    ] {
        let upstream = talkative(lines).await;
        let text = format!("{}{limits}", config("genesys", "none", &upstream.address));
        let recgate = Recgate::with_config(&text).await;
        let answer = ask(recgate.address, request("GET /api/v2/x HTTP/1.1", &[], "")).await;
        assert_eq!(answer.status(), status, "{lines} {limits}");
        if status == 200 {
            assert_eq!(answer.lines("x-line-").len(), lines);
        } else {
            assert_eq!(answer.one("recgate-error"), Some("upstream.broke"));
            until("the limit in the log", || async {
                recgate.errors().contains("limits.answer_header_count").then_some(())
            })
            .await;
        }
    }
}

/// A pause, with a length that is right.
fn pause() -> String {
    let body = r#"{"recordingState": "PAUSED"}"#;
    let length = format!("Content-Length: {}", body.len());
    request(PAUSE, &["Content-Type: application/json", &length], body)
}

#[tokio::test]
async fn a_pause_is_carried_when_everything_else_waits() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let upstream = Upstream::scripted(move |request| match request.target() {
        "/api/v2/held" => vec![Step::Await(Arc::clone(&held)), ok()],
        _ => vec![Step::Send(response(&["HTTP/1.1 204 No Content"], ""))],
    })
    .await;
    let limits = "[limits]\nrequests = 2\npause_requests = 1\nwait_ms = 50\n";
    let text = format!("{}{limits}", config("genesys", "none", &upstream.address));
    let recgate = Recgate::with_config(&text).await;
    let mut holders = Vec::new();
    for _ in 0..2 {
        let mut client = RawClient::connect(recgate.address).await;
        client.send(request("GET /api/v2/held HTTP/1.1", &[], "")).await;
        holders.push(client);
    }
    upstream.has_received(2).await;

    let shed = ask(recgate.address, request("GET /api/v2/other HTTP/1.1", &[], "")).await;
    assert_eq!(shed.status(), 503);
    assert_eq!(shed.one("retry-after"), Some("1"));
    assert_eq!(shed.one("recgate-error"), Some("gateway.overloaded"));
    let paused = ask(recgate.address, pause()).await;
    assert_eq!(paused.status(), 204, "{}", paused.text());

    gate.add_permits(2);
    for mut holder in holders {
        assert_eq!(holder.response().await.status(), 200);
    }
    let after = ask(recgate.address, request("GET /api/v2/other HTTP/1.1", &[], "")).await;
    assert_eq!(after.status(), 204);
}

/// Bodies that do not come, of whoever they are, keep no pause from its place: neither those of
/// requests that look like one, nor so many that some have to give way.
#[tokio::test]
async fn a_pause_is_carried_beside_bodies_that_do_not_come() {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let upstream = Upstream::scripted(|request| match request.target() {
        "/api/v2/held" => vec![Step::Hang],
        _ => vec![Step::Send(response(&["HTTP/1.1 204 No Content"], ""))],
    })
    .await;
    let limits = "[limits]\nrequests = 1\npause_requests = 1\nwait_ms = 50\nbody_ms = 600_000\n";
    let text = format!("{}{limits}", config("genesys", "none", &upstream.address));
    let recgate = Recgate::with_config(&text).await;
    let mut holder = RawClient::connect(recgate.address).await;
    holder.send(request("GET /api/v2/held HTTP/1.1", &[], "")).await;
    upstream.has_received(1).await;

    let begun = |length: usize| {
        let length = format!("Content-Length: {length}");
        let head = [&*length, "Content-Type: application/json", "Expect: 100-continue"];
        request(PAUSE, &head, "")
    };
    let mut slow = Vec::new();
    for turn in 0..PAUSES_UNREAD + 50 {
        let mut client = RawClient::connect(recgate.address).await;
        client.send(begun(1_000)).await;
        // Its body is being waited for.
        assert_eq!(client.response().await.status(), 100);
        slow.push(client);
        if [0, 50, PAUSES_UNREAD].contains(&turn) {
            let paused = ask(recgate.address, pause()).await;
            assert_eq!(paused.status(), 204, "beside {turn}: {}", paused.text());
        }
    }
    let paused = ask(recgate.address, pause()).await;
    assert_eq!(paused.status(), 204, "{}", paused.text());
    // The oldest have given way, and may come back; the newest are waited for still.
    let gone = slow[0].response().await;
    assert_eq!((gone.status(), gone.one("retry-after")), (503, Some("1")));
    let last = slow.last_mut().unwrap();
    last.send(format!("{:1000}", r#"{"recordingState": "PAUSED"}"#)).await;
    assert_eq!(last.response().await.status(), 204);
    // One too long for a pause has no claim, and is told so before it is read.
    let mut long = RawClient::connect(recgate.address).await;
    long.send(begun(1_000_000)).await;
    assert_eq!(long.response().await.status(), 503);
    // Nor has what turns out to be none.
    let body = r#"{"recordingState": "ACTIVE"}"#;
    let length = format!("Content-Length: {}", body.len());
    let resume = request(PAUSE, &["Content-Type: application/json", &length], body);
    assert_eq!(ask(recgate.address, resume).await.status(), 503);
    drop((slow, holder));
}

/// One connection more is closed unread, and counted.
pub(crate) async fn turns_away(recgate: &Recgate, limit: &str) {
    let mut client = TcpStream::connect(recgate.address).await.unwrap();
    let mut said = Vec::new();
    let _ = soon("an end", client.read_to_end(&mut said)).await;
    assert!(said.is_empty(), "{limit}: {said:?}");
    let label = format!("limit=\"{limit}\"");
    let turned = recgate.metric("recgate_turned_away_total", &[&label]).await;
    assert!(turned > 0.5, "{limit}: {turned}");
}

#[tokio::test]
async fn connections_are_counted_in_all_and_by_address() {
    for (limits, limit) in [
        ("connections = 2", "connections"),
        ("connections_per_address = 2", "connections-per-address"),
    ] {
        let upstream = Upstream::scripted(|_| vec![ok()]).await;
        let text = format!("{}[limits]\n{limits}\n", upstream.config());
        let recgate = Recgate::with_config(&text).await;
        let mut inside = Vec::new();
        for _ in 0..2 {
            let mut client = RawClient::connect(recgate.address).await;
            client.send(request("GET /x HTTP/1.1", &[], "")).await;
            assert_eq!(client.response().await.status(), 200);
            inside.push(client);
        }
        turns_away(&recgate, limit).await;
        inside.pop();
        until("room for another", || async {
            let mut again = RawClient::connect(recgate.address).await;
            again.send(request("GET /x HTTP/1.1", &[], "")).await;
            again.response_or_end().await.map(|answer| assert_eq!(answer.status(), 200))
        })
        .await;
    }
}
