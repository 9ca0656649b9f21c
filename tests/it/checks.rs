//! What is checked is a copy: the bytes go on as they came, compressed ones too, and what the
//! gateway only tells stops nobody.

use std::io::Write;

use serde_json::Value;

use crate::harness::raw::ask;
use crate::harness::upstream::{Step, response};
use crate::harness::{Recgate, Upstream, file};

const DOCUMENT: &str = r#"{"openapi": "3.0.3", "info": {"title": "t", "version": "1"}, "paths": {
    "/things": {"post": {"operationId": "post", "requestBody": {"required": true, "content": {
        "application/json": {"schema": {"type": "object", "required": ["id"]}}}},
        "responses": {"200": {"description": "d", "content": {
            "application/json": {"schema": {"type": "array"}}}}}}}}}"#;

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn post(query: &str, coding: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /things{query} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

async fn gateway(upstream: &Upstream, keys: &str) -> Recgate {
    let document = file("things.json", DOCUMENT);
    let text = format!(
        "[[upstream]]\nname = \"it\"\nurl = \"http://{}\"\npaths = [\"/\"]\n{keys}\n\
         contract = {{ document = \"{}\" }}\nchecks = {{ client_request = \"enforce\" }}\n",
        upstream.address,
        document.display()
    );
    Recgate::with_config(&text).await
}

fn codes(findings: &Value) -> Vec<String> {
    let findings = findings.as_array().unwrap().iter();
    findings.map(|it| it["code"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_compressed_body_is_judged_and_goes_on_as_it_came() {
    let answer = gzip("{}");
    let lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", "Content-Encoding: gzip"];
    let upstream = Upstream::answering(response(&lines, &answer)).await;
    let recgate = gateway(&upstream, "").await;

    let body = gzip("{\"id\": 1}");
    let answered = ask(recgate.address, post("", "gzip", &body)).await;
    assert_eq!(answered.status(), 200);
    assert_eq!(answered.body, answer);
    assert_eq!(upstream.only().body, body);
    let verdicts = answered.one("recgate-conformance").unwrap();
    assert!(verdicts.starts_with("client-request=conforms"), "{verdicts}");
    assert!(verdicts.contains("upstream-response=violates"), "{verdicts}");

    let refused = ask(recgate.address, post("", "gzip", &gzip("{}"))).await;
    assert_eq!(refused.status(), 400, "{}", refused.text());
    let bomb = gzip(&" ".repeat(9_000_000));
    let refused = ask(recgate.address, post("", "gzip", &bomb)).await;
    assert_eq!(refused.status(), 413, "{}", refused.text());
    assert_eq!(upstream.received().len(), 1);

    let unknown = ask(recgate.address, post("", "compress", b"{}")).await;
    assert_eq!(unknown.status(), 200);
    let verdicts = unknown.one("recgate-conformance").unwrap();
    assert!(verdicts.contains("client-request=unverifiable;reason=content-encoding"), "{verdicts}");
}

#[tokio::test]
async fn an_undeclared_query_parameter_is_what_the_operator_says() {
    let upstream = Upstream::scripted(|_| {
        let lines = ["HTTP/1.1 200 OK", "Content-Type: application/json"];
        vec![Step::Send(response(&lines, "[]"))]
    })
    .await;
    for (keys, status, verdict, found) in [
        ("", 200, "conforms", &[][..]),
        ("unknown_query = \"report\"", 200, "violates", &["query.unknown"]),
        ("unknown_query = \"reject\"", 400, "violates", &["query.unknown"]),
    ] {
        let recgate = gateway(&upstream, keys).await;
        let answer = ask(recgate.address, post("?x=1", "identity", b"{\"id\": 1}")).await;
        assert_eq!(answer.status(), status, "{keys}: {}", answer.text());
        let verdicts = answer.one("recgate-conformance").unwrap();
        assert!(verdicts.starts_with(&format!("client-request={verdict}")), "{keys}: {verdicts}");
        assert_eq!(codes(&recgate.admin("/findings").await), found, "{keys}");
    }
}

#[tokio::test]
async fn strict_mode_tells_or_refuses_what_nobody_declared() {
    let upstream = Upstream::scripted(|_| {
        let lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", "X-Odd: 1", "Server: s"];
        vec![Step::Send(response(&lines, "[]"))]
    })
    .await;
    let request = || {
        let body = b"{\"id\": 1}";
        let head = format!(
            "POST /things?x=1 HTTP/1.1\r\nHost: x\r\nUser-Agent: u\r\nX-Odd: 1\r\nCookie: a=b\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let (told, refused) = (
        ["cookie.undeclared", "header.undeclared", "header.undeclared", "query.unknown"],
        ["cookie.undeclared", "header.undeclared", "query.unknown"],
    );
    for (keys, status, found) in [
        ("", 200, &[][..]),
        ("undeclared = \"report\"", 200, &told[..]),
        ("undeclared = \"reject\"", 400, &refused[..]),
    ] {
        let recgate = gateway(&upstream, keys).await;
        let answer = ask(recgate.address, request()).await;
        assert_eq!(answer.status(), status, "{keys}: {}", answer.text());
        let mut kinds = codes(&recgate.admin("/findings").await);
        kinds.dedup();
        kinds.sort_unstable();
        // Hops 1 and 2 carry the same request, hops 3 and 4 the same answer.
        assert_eq!(kinds, found, "{keys}");
        if status == 200 {
            let verdicts = answer.one("recgate-conformance").unwrap();
            let verdict = if found.is_empty() { "conforms" } else { "violates" };
            assert!(verdicts.contains(&format!("upstream-response={verdict}")), "{verdicts}");
        }
    }
}

/// Hop 1 is enforced towards the mock, and the 401 is the vendor's all the same.
#[tokio::test]
async fn a_missing_token_is_told_here_and_refused_there() {
    let recgate = Recgate::built_in(&[]).await;
    for (path, vendor) in [("/api/v2/users/me", "genesys"), ("/v1/recordings", "webex")] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        let answer = ask(recgate.address, request).await;
        assert_eq!(answer.status(), 401, "{vendor}: {}", answer.text());
        assert_eq!(answer.one("recgate-error"), None, "{vendor}");
        assert_eq!(recgate.mock().calls().await.len(), 1, "{vendor}");
        recgate.mock().forget().await;
    }
    let findings = codes(&recgate.admin("/findings").await);
    assert!(findings.iter().all(|code| code == "security.missing"), "{findings:?}");
    assert!(findings.len() >= 2, "{findings:?}");
}
