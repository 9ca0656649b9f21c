//! What recgate does not understand passes byte for byte, both ways.

use serde_json::Value;

use crate::harness::raw::ask;
use crate::harness::upstream::{config, ok, response};
use crate::harness::{Message, RawClient, Recgate, Upstream};

/// Behind an upstream's configuration: paths that servers read differently are sent, too.
const PASS: &str = "ambiguous_paths = \"pass\"\n";

/// Lines joined to a request; `Host` comes first.
pub(crate) fn request(line: &str, headers: &[&str], body: &str) -> String {
    let headers: String = headers.iter().flat_map(|it| [*it, "\r\n"]).collect();
    format!("{line}\r\nHost: gateway.example\r\n{headers}\r\n{body}")
}

#[tokio::test]
async fn request_headers_keep_order_case_and_duplicates() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let sent = [
        "X-First: 1",
        "x-SECOND: two words  and   spaces",
        "X-Twice: b",
        "X-Twice: a",
        "Accept: */*",
        "AUTHORIZATION: Bearer abc",
        "X-Empty:",
        "Cookie: a=1; b=\"2\"",
        "X-Latin: caf\u{e9}",
        "zz-last: ~!@#$%^&*()",
    ];
    let bytes: Vec<u8> = request("GET /things HTTP/1.1", &sent, "")
        .chars()
        .map(|char| u8::try_from(u32::from(char)).unwrap())
        .collect();
    let answer = ask(recgate.address, bytes).await;
    assert_eq!(answer.status(), 200);

    let got = upstream.only();
    let got: Vec<&str> = got
        .headers
        .iter()
        .map(|line| line.trim_end())
        .filter(|line| !line.to_ascii_lowercase().starts_with("host:"))
        .collect();
    // What recgate tells of the way stands behind what the client said.
    let (said, told) = got.split_at(sent.len());
    assert_eq!(said, sent);
    let told: Vec<&str> = told.iter().map(|line| line.split_once(':').unwrap().0).collect();
    let origin = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
    assert_eq!(told, [&["via", "traceparent"], &origin[..]].concat());
    recgate.stop().await;
}

#[tokio::test]
async fn response_headers_reason_and_cookies_come_back_as_they_were() {
    let lines = [
        "HTTP/1.1 299 Rather Fine Indeed",
        "Set-Cookie: a=1; Path=/",
        "Set-Cookie: b=2; HttpOnly",
        "set-cookie: a=3",
        "X-Dup: 2",
        "X-Dup: 1",
        "X-Dup: 2",
        "ETag: W/\"x\"",
        "x-LOWER-and-UPPER: v",
        "Date: Mon, 21 Sep 2026 12:00:00 GMT",
        "Server: of its own",
        "Content-Type: text/plain;charset=\"x\"",
    ];
    let upstream = Upstream::answering(response(&lines, "seven77")).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let answer = ask(recgate.address, request("GET / HTTP/1.1", &[], "")).await;
    assert_eq!(answer.start, lines[0]);
    let mut got: Vec<&str> = answer.headers.iter().map(String::as_str).collect();
    // What recgate adds stands at the end.
    assert!(got.pop().is_some_and(|line| line.starts_with("recgate-conformance:")), "{got:?}");
    got.retain(|line| !line.starts_with("Content-Length"));
    assert_eq!(got, &lines[1..]);
    assert_eq!(answer.one("content-length"), Some("7"));
    assert_eq!(answer.text(), "seven77");
}

#[tokio::test]
async fn targets_arrive_byte_for_byte() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = Recgate::with_config(&(upstream.config() + PASS)).await;
    let targets = [
        "/",
        "/?",
        "/x?",
        "/a%2fb%2Fc",
        "/%7Euser/~user",
        "/mail/ana%40example.com/ana@example.com",
        "/a+b?c+d=%2B+%20",
        "/a//b///c/",
        "/a/../b/./c",
        "/semi;v=1;w/x",
        "/q?a=1&a=2&&b&=c&d==e",
        "/q?x=%zz&y=%&z=[]{}|^`\\",
        "/q?next=/a/b?c=d",
        "/q?'()*!$,:@/?-._~",
        "/%E2%82%AC?%E2%82%AC=%ff",
        "/api/v2/%63onversations?x",
    ];
    let mut client = RawClient::connect(recgate.address).await;
    for target in targets {
        client.send(request(&format!("GET {target} HTTP/1.1"), &[], "")).await;
        assert_eq!(client.response().await.status(), 200, "{target}");
    }
    let got = upstream.received();
    assert_eq!(got.iter().map(Message::target).collect::<Vec<_>>(), targets);
    // What no URI can hold (RFC 3986) is refused: it is never repaired.
    for target in ["/q?a=\"b\"", "/q?<x>", "/a b", "/\u{1}"] {
        let answer =
            ask(recgate.address, request(&format!("GET {target} HTTP/1.1"), &[], "")).await;
        assert_eq!(answer.status(), 400, "{target}");
    }
    assert_eq!(upstream.received().len(), targets.len());
}

#[tokio::test]
async fn a_prefix_is_taken_off_and_the_rest_is_left_alone() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let config = upstream.config().replace(r#"paths = ["/"]"#, r#"prefixes = ["/pre"]"#) + PASS;
    let recgate = Recgate::with_config(&config).await;
    let mut client = RawClient::connect(recgate.address).await;
    for (sent, wanted) in [
        ("/pre/a%2Fb?x=%20", "/a%2Fb?x=%20"),
        ("/pre", "/"),
        ("/pre?", "/?"),
        ("/pre?x", "/?x"),
        ("/pre/", "/"),
        ("/pre//a", "//a"),
        ("/pre/pre/a?", "/pre/a?"),
    ] {
        client.send(request(&format!("GET {sent} HTTP/1.1"), &[], "")).await;
        assert_eq!(client.response().await.status(), 200, "{sent}");
        assert_eq!(upstream.received().last().unwrap().target(), wanted, "{sent}");
    }
    let before = upstream.received().len();
    for unserved in ["/prefix", "/", "/PRE/a", "/%70re/a"] {
        client.send(request(&format!("GET {unserved} HTTP/1.1"), &[], "")).await;
        assert_eq!(client.response().await.status(), 404, "{unserved}");
    }
    assert_eq!(upstream.received().len(), before);
}

#[tokio::test]
async fn methods_and_bodies_of_any_kind_pass() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = RawClient::connect(recgate.address).await;
    for method in [
        "GET",
        "DELETE",
        "OPTIONS",
        "PATCH",
        "PROPFIND",
        "REPORT",
        "PURGE",
        "x-own",
        "M!#$%&'*+-.^_`|~",
    ] {
        let length = format!("Content-Length: {}", method.len());
        client.send(request(&format!("{method} /m HTTP/1.1"), &[&length], method)).await;
        assert_eq!(client.response().await.status(), 200, "{method}");
        let got = upstream.received().pop().unwrap();
        assert_eq!(got.start, format!("{method} /m HTTP/1.1"));
        assert_eq!(got.text(), method, "{method}");
        assert_eq!(got.one("content-length"), Some(&*method.len().to_string()), "{method}");
    }
    // A body of no bytes is said to be one, or is not said at all: as the client had it.
    client.send(request("POST /m HTTP/1.1", &["Content-Length: 0"], "")).await;
    assert_eq!(client.response().await.status(), 200);
    assert_eq!(upstream.received().pop().unwrap().one("content-length"), Some("0"));
}

#[tokio::test]
async fn binary_and_compressed_bodies_are_not_touched() {
    let every: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let lines = ["HTTP/1.1 200 OK", "Content-Type: audio/wav", "Content-Encoding: gzip"];
    let upstream = Upstream::answering(response(&lines, &every)).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let head = [
        "Content-Type: application/octet-stream",
        "Content-Encoding: gzip, br",
        "Content-Length: 70000",
        "Accept-Encoding: zstd",
    ];
    let mut bytes = request("PUT /media HTTP/1.1", &head, "").into_bytes();
    bytes.extend_from_slice(&every);
    let answer = ask(recgate.address, bytes).await;
    assert_eq!(answer.one("content-encoding"), Some("gzip"));
    assert!(answer.body == every, "the answer's bytes");
    let got = upstream.only();
    assert_eq!(got.one("content-encoding"), Some("gzip, br"));
    assert_eq!(got.one("accept-encoding"), Some("zstd"));
    assert!(got.body == every, "the request's bytes");
}

#[tokio::test]
async fn numbers_and_duplicate_keys_of_json_stay_as_they_are() {
    const JSON: &str = "{ \"a\":9007199254740993,\"b\":1.0, \"c\":1e400,\"d\":-0.0,\"a\":[1E+2 ],\"\\u0065\":null}\n";
    let lines = ["HTTP/1.1 200 OK", "Content-Type: application/json"];
    let upstream = Upstream::answering(response(&lines, JSON)).await;
    // Without a contract, and through an operation of one: there both bodies are read and checked.
    for contract in ["none", "genesys"] {
        let vendor = if contract == "none" { "other" } else { "genesys" };
        let recgate = Recgate::with_config(&config(vendor, contract, &upstream.address)).await;
        let line = "PATCH /api/v2/conversations/calls/c1 HTTP/1.1";
        let length = format!("Content-Length: {}", JSON.len());
        let head = ["Content-Type: application/json", &length];
        let answer = ask(recgate.address, request(line, &head, JSON)).await;
        assert_eq!(answer.status(), 200, "{contract}");
        assert_eq!(answer.text(), JSON, "{contract}");
        let got = upstream.received().pop().unwrap();
        assert_eq!(got.target(), "/api/v2/conversations/calls/c1");
        assert_eq!(got.text(), JSON, "{contract}");
    }
}

#[tokio::test]
async fn a_checked_answer_keeps_its_headers_and_numbers() {
    const JSON: &str =
        "{\"id\":\"c1\", \"maxParticipants\":9007199254740993,\"x\":1.0,\"y\":1e400}";
    let lines = [
        "HTTP/1.1 200 Very OK",
        "Content-Type: application/json",
        "X-Dup: 2",
        "X-Dup: 1",
        "Set-Cookie: a=1",
        "Set-Cookie: b=2",
        "inin-ratelimit-COUNT: 7",
    ];
    let upstream = Upstream::answering(response(&lines, JSON)).await;
    let recgate = Recgate::with_config(&config("genesys", "genesys", &upstream.address)).await;
    let line = "GET /api/v2/conversations/c1 HTTP/1.1";
    let answer = ask(recgate.address, request(line, &["Authorization: Bearer x"], "")).await;
    assert_eq!(answer.start, lines[0]);
    assert_eq!(answer.text(), JSON);
    assert_eq!(answer.lines("x-dup"), ["X-Dup: 2", "X-Dup: 1"]);
    assert_eq!(answer.lines("set-cookie"), ["Set-Cookie: a=1", "Set-Cookie: b=2"]);
    assert_eq!(answer.lines("inin"), ["inin-ratelimit-COUNT: 7"]);
    let verdicts = answer.one("recgate-conformance").unwrap();
    assert!(verdicts.contains("upstream-response=conforms"), "{verdicts}");
}

#[tokio::test]
async fn hop_by_hop_headers_end_here_in_both_directions() {
    let lines = [
        "HTTP/1.1 200 OK",
        "Connection: keep-alive, X-Their-Hop",
        "Keep-Alive: timeout=5",
        "X-Their-Hop: secret",
        "Proxy-Authenticate: Basic",
        "Proxy-Connection: keep-alive",
        "Upgrade: h2c",
        "X-Stays: yes",
    ];
    let upstream = Upstream::answering(response(&lines, "ok")).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let sent = [
        "Connection: close, X-Our-Hop , x-other-hop",
        "Connection: authorization, host, content-length",
        "Keep-Alive: 300",
        "X-Our-Hop: 1",
        "X-Other-Hop: 2",
        "TE: trailers, deflate",
        "Proxy-Connection: close",
        "Proxy-Authorization: Basic eDp5",
        "Authorization: Bearer stays",
        "X-Stays: yes",
        "Content-Length: 2",
    ];
    let answer = ask(recgate.address, request("POST / HTTP/1.1", &sent, "hi")).await;
    assert_eq!((answer.status(), answer.text()), (200, "ok"));
    for gone in ["keep-alive", "x-their-hop", "proxy-authenticate", "proxy-connection", "upgrade"] {
        assert_eq!(answer.all(gone), [""; 0], "{gone} came back");
    }
    assert_eq!(answer.one("x-stays"), Some("yes"));

    let got = upstream.only();
    for gone in
        ["keep-alive", "x-our-hop", "x-other-hop", "proxy-connection", "proxy-authorization"]
    {
        assert_eq!(got.all(gone), [""; 0], "{gone} went on");
    }
    assert!(!got.all("te").iter().any(|it| it.contains("deflate")), "{:?}", got.headers);
    assert!(!got.all("connection").iter().any(|it| it.contains("Hop")), "{:?}", got.headers);
    // What no client may have stripped by naming it.
    assert_eq!(got.one("authorization"), Some("Bearer stays"));
    assert_eq!(got.one("content-length"), Some("2"));
    assert_eq!(got.one("x-stays"), Some("yes"));
    assert_eq!(got.one("host"), Some(&*upstream.address.to_string()));
}

#[tokio::test]
async fn preflights_reach_the_upstream_unless_configured() {
    let lines = ["HTTP/1.1 204 No Content", "Access-Control-Allow-Origin: https://theirs.example"];
    let bytes = format!("{}\r\n\r\n", lines.join("\r\n"));
    let upstream = Upstream::answering(bytes.into_bytes()).await;
    let preflight = |origin: &str| {
        let origin = format!("Origin: {origin}");
        let wanted = [
            "Access-Control-Request-Method: PATCH",
            "Access-Control-Request-Headers: authorization",
        ];
        request("OPTIONS /api/v2/users/me HTTP/1.1", &[&origin, wanted[0], wanted[1]], "")
    };

    let plain = Recgate::with_config(&upstream.config()).await;
    let answer = ask(plain.address, preflight("https://crm.example")).await;
    assert_eq!(answer.one("access-control-allow-origin"), Some("https://theirs.example"));
    assert_eq!(answer.one("vary"), None);
    assert_eq!(upstream.only().start, "OPTIONS /api/v2/users/me HTTP/1.1");

    let cors = "cors = { allow_origins = [\"https://crm.example\"] }\n";
    let answering = Recgate::with_config(&format!("{}{cors}", upstream.config())).await;
    let answer = ask(answering.address, preflight("https://crm.example")).await;
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.one("access-control-allow-origin"), Some("https://crm.example"));
    assert_eq!(answer.one("access-control-allow-methods"), Some("PATCH"));
    assert_eq!(answer.one("access-control-allow-headers"), Some("authorization"));
    let other = ask(answering.address, preflight("https://evil.example")).await;
    assert_eq!(other.one("access-control-allow-origin"), None);
    assert_eq!(upstream.received().len(), 1, "answered preflights went upstream");
    // What is no preflight still goes upstream, and may be read by the page.
    let plain_options = request("OPTIONS / HTTP/1.1", &["Origin: https://crm.example"], "");
    assert_eq!(ask(answering.address, plain_options).await.status(), 204);
    assert_eq!(upstream.received().len(), 2);
}

#[tokio::test]
async fn unknown_operations_pass_and_are_counted() {
    let upstream = Upstream::answering(response(
        &["HTTP/1.1 200 OK", "Content-Type: application/json"],
        "[1.0]",
    ))
    .await;
    let recgate = Recgate::with_config(&config("genesys", "genesys", &upstream.address)).await;
    let line = "GET /api/v2/analytics/queues?x=%2C HTTP/1.1";
    let answer = ask(recgate.address, request(line, &[], "")).await;
    assert_eq!((answer.status(), answer.text()), (200, "[1.0]"));
    assert_eq!(upstream.only().start, line);
    let verdicts = answer.one("recgate-conformance").unwrap();
    assert!(
        verdicts.contains("client-request=unverifiable;reason=unknown-operation"),
        "{verdicts}"
    );
    let counted = recgate.metric("recgate_unknown_operations_total", &["upstream=\"it\""]).await;
    assert!((counted - 1.0).abs() < f64::EPSILON, "{counted}");
    assert_eq!(recgate.admin("/findings").await, Value::Array(Vec::new()));
}

#[tokio::test]
async fn http_2_in_and_http_1_out_are_one_exchange() {
    let lines = ["HTTP/1.1 200 OK", "Set-Cookie: a=1", "Set-Cookie: b=2", "Keep-Alive: timeout=5"];
    let upstream = Upstream::answering(response(&lines, "ok")).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let client = crate::harness::http().http2_prior_knowledge().build().unwrap();
    let request = client
        .delete(recgate.url("/a%20b?x=%20&&y"))
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("x-twice", "2")
        .header("x-twice", "1")
        .body("a body of a DELETE");
    let answer = request.send().await.unwrap();
    assert_eq!((answer.version(), answer.status().as_u16()), (reqwest::Version::HTTP_2, 200));
    let cookies: Vec<_> = answer.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert!(!answer.headers().contains_key("keep-alive"));
    assert_eq!(answer.text().await.unwrap(), "ok");

    let got = upstream.only();
    assert_eq!(got.start, "DELETE /a%20b?x=%20&&y HTTP/1.1");
    assert_eq!(got.one("host"), Some(&*upstream.address.to_string()));
    // HTTP/1.1 knows one Cookie line only (RFC 9113 §8.2.3).
    assert_eq!(got.one("cookie"), Some("a=1; b=2"));
    assert_eq!(got.all("x-twice"), ["2", "1"]);
    assert_eq!(got.text(), "a body of a DELETE");
    assert!(got.headers.iter().all(|line| !line.starts_with(':')), "{:?}", got.headers);
}

/// A vendor may be talkative, where the operator says so.
#[tokio::test]
async fn an_answer_may_have_many_headers() {
    let many: Vec<String> = (0..300).map(|number| format!("X-Header-{number}: {number}")).collect();
    let long = format!("X-Long: {}", "y".repeat(100_000));
    let lines: Vec<&str> =
        ["HTTP/1.1 200 OK", &*long].into_iter().chain(many.iter().map(|it| &**it)).collect();
    let upstream = Upstream::answering(response(&lines, "ok")).await;
    let text = format!("{}\n[limits]\nanswer_header_count = 512\n", upstream.config());
    let recgate = Recgate::with_config(&text).await;
    let answer = ask(recgate.address, request("GET / HTTP/1.1", &[], "")).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(answer.lines("x-header-"), many);
    assert_eq!(answer.lines("x-long"), [long]);
}
