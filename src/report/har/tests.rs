//! What browsers write, and what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Read;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Entry, HarError, RecordedBody, read};
use crate::limits;

fn entries(text: impl AsRef<[u8]>) -> Result<Vec<Entry>, HarError> {
    let mut entries = Vec::new();
    read(&Arc::from("t.har"), text.as_ref(), |entry| entries.push(entry))?;
    Ok(entries)
}

fn one(request: &Value, response: &Value) -> Result<Entry, HarError> {
    let har = json!({ "log": { "version": "1.2", "entries": [{
        "startedDateTime": "2026-09-20T10:00:00.250Z", "_resourceType": "xhr", "time": 1.5,
        "request": request, "response": response }] } });
    Ok(entries(har.to_string())?.remove(0))
}

fn header(entry: &Entry, name: &str) -> Vec<String> {
    let answer = entry.answer.as_ref().unwrap();
    answer.headers.get_all(name).iter().map(|it| it.to_str().unwrap().to_owned()).collect()
}

#[test]
fn what_a_browser_writes_is_read() {
    let entry = one(
        &json!({
            "method": "POST", "url": "HTTPS://me@api.example:8443/a%2Fb?x=%20y#top",
            "httpVersion": "http/2.0", "bodySize": -1, "cookies": [],
            "headers": [
                { "name": ":authority", "value": "front.example" },
                { "name": ":method", "value": "POST" },
                { "name": "content-type", "value": "application/json" },
            ],
            "postData": { "mimeType": "application/json", "text": "{\"a\":1}" },
        }),
        &json!({
            "status": 200, "statusText": "", "_transferSize": 12, "redirectURL": "",
            "headers": [
                { "name": "content-encoding", "value": "br" },
                { "name": "content-length", "value": "31" },
                { "name": "content-type", "value": "application/json; charset=iso-8859-1" },
                { "name": "set-cookie", "value": "a=1\nb=2" },
            ],
            "content": { "size": 14, "mimeType": "application/json", "text": "{\"ü\":true}" },
        }),
    )
    .unwrap();
    assert_eq!(entry.trace.to_string(), "t.har#1");
    assert_eq!(entry.at.unwrap().to_string(), "2026-09-20T10:00:00.25Z");
    assert_eq!((entry.scheme.as_str(), entry.authority.as_str()), ("https", "api.example:8443"));
    assert_eq!(entry.target, "/a%2Fb?x=%20y");
    assert_eq!(entry.headers["host"], "front.example");
    assert_eq!(entry.headers.len(), 2);
    assert_eq!(entry.body, RecordedBody::Whole(b"{\"a\":1}".to_vec()));
    assert_eq!(header(&entry, "content-encoding"), [""; 0]);
    assert_eq!(header(&entry, "content-length"), [""; 0]);
    assert_eq!(header(&entry, "content-type"), ["application/json; charset=utf-8"]);
    assert_eq!(header(&entry, "set-cookie"), ["a=1", "b=2"]);
    assert_eq!(entry.answer.unwrap().body, RecordedBody::Whole("{\"ü\":true}".into()));
}

#[test]
fn base64_is_bytes_and_stays_coded_where_it_is() {
    let answer = |text: &str| {
        let headers = json!([{ "name": "content-encoding", "value": "gzip" }]);
        let content = json!({ "text": text, "encoding": "base64" });
        let request = json!({ "method": "GET", "url": "http://h" });
        one(&request, &json!({ "status": 200, "headers": headers, "content": content })).unwrap()
    };
    let plain = answer("AAEC\nAw==");
    assert_eq!(plain.target, "/");
    assert_eq!(plain.answer.as_ref().unwrap().body, RecordedBody::Whole(vec![0, 1, 2, 3]));
    assert_eq!(header(&plain, "content-encoding"), [""; 0]);
    assert_eq!(header(&answer("H4sIAAA="), "content-encoding"), ["gzip"]);
}

#[test]
fn a_body_that_is_not_there_is_told_from_none() {
    let body = |method: &str, response: Value| {
        let request = json!({ "method": method, "url": "http://h/" });
        one(&request, &response).unwrap().answer.map(|answer| answer.body)
    };
    let kind = json!([{ "name": "Content-Type", "value": "application/json" }]);
    let (empty, missing) = (Some(RecordedBody::Empty), Some(RecordedBody::Missing));
    for (method, response, wanted) in [
        ("GET", json!({ "status": 204, "headers": kind }), &empty),
        ("HEAD", json!({ "status": 200, "headers": kind, "content": { "size": 9 } }), &empty),
        ("GET", json!({ "status": 200, "content": { "size": 0 } }), &empty),
        (
            "GET",
            json!({ "status": 200, "content": { "size": 0, "text": "" }, "headers": kind }),
            &empty,
        ),
        ("GET", json!({ "status": 200 }), &empty),
        ("GET", json!({ "status": 200, "headers": kind }), &missing),
        ("GET", json!({ "status": 200, "content": { "size": 9 } }), &missing),
        ("GET", json!({ "status": 200, "bodySize": 9 }), &missing),
        ("GET", json!({ "status": 0 }), &None),
    ] {
        assert_eq!(body(method, response.clone()), *wanted, "{method} {response}");
    }
    let request = |value: Value| one(&value, &json!({ "status": 204 })).unwrap().body;
    let form = json!([{ "name": "Content-Type", "value": "application/x-www-form-urlencoded" }]);
    let parts = json!([{ "name": "Content-Type", "value": "multipart/form-data; boundary=x" }]);
    let params = json!({ "params": [{ "name": "a b", "value": "1&2" }, { "name": "c" }] });
    assert_eq!(
        request(
            json!({ "method": "POST", "url": "http://h/", "headers": form, "postData": params })
        ),
        RecordedBody::Whole(b"a%20b=1%262&c=".to_vec())
    );
    assert_eq!(
        request(
            json!({ "method": "POST", "url": "http://h/", "headers": parts, "postData": params })
        ),
        RecordedBody::Missing
    );
}

#[test]
fn what_is_wrong_is_told_with_entry_and_pointer_and_never_a_value() {
    let get = json!({ "method": "GET", "url": "http://h/" });
    let ok = json!({ "status": 200 });
    let named = |name: &str, value: &str| json!([{ "name": "a", "value": "b" }, { "name": name, "value": value }]);
    for (request, response, wanted) in [
        (json!({ "url": "http://h/" }), ok.clone(), "request/method: is missing"),
        (
            json!({ "method": "a secret", "url": "http://h/" }),
            ok.clone(),
            "request/method: must be a method",
        ),
        (
            json!({ "method": "GET", "url": "/secret" }),
            ok.clone(),
            "request/url: must be an absolute URL, such as https://host/path",
        ),
        (json!({ "method": "GET", "url": 7 }), ok.clone(), "request/url: must be a text"),
        (json!("secret"), ok.clone(), "request: must be an object"),
        (
            json!({ "method": "GET", "url": "http://h/", "headers": named("a secret", "") }),
            ok.clone(),
            "request/headers/1/name: must be a header's name",
        ),
        (
            json!({ "method": "GET", "url": "http://h/", "headers": named("a", "\u{0}secret") }),
            ok.clone(),
            "request/headers/1/value: must be a header's value",
        ),
        (
            json!({ "method": "GET", "url": "http://h/", "headers": "secret" }),
            ok.clone(),
            "request/headers: must be a list",
        ),
        (
            json!({ "method": "GET", "url": "http://h/", "postData": { "text": "se cret!", "encoding": "base64" } }),
            ok,
            "request/postData/text: must be base64",
        ),
        (
            get.clone(),
            json!({ "status": "secret" }),
            "response/status: must be a status from 100 to 999, or 0",
        ),
        (get.clone(), json!({}), "response/status: is missing"),
        (
            get,
            json!({ "status": 200, "content": { "text": "x", "encoding": "secret" } }),
            "response/content/encoding: must be \"base64\" or left out",
        ),
    ] {
        let error = one(&request, &response).unwrap_err();
        assert_eq!(error.to_string(), format!("t.har: entry 1 at /log/entries/0/{wanted}"));
    }
}

#[test]
fn half_a_surrogate_pair_costs_the_body_it_stands_in() {
    let entry = |text: &str| {
        format!(
            r#"{{"request": {{"method": "GET", "url": "http://h/"}}, "comment": "\udfff",
            "response": {{"status": 200, "content": {{"text": "{text}"}}}}}}"#
        )
    };
    let [half, whole] = [r"a\ud800b", r"a\ud83d\ude00\ufffdb"].map(entry);
    let read = entries(format!(r#"{{"log": {{"entries": [{half}, {whole}]}}}}"#)).unwrap();
    let bodies: Vec<_> = read.into_iter().map(|it| it.answer.unwrap().body).collect();
    assert_eq!(bodies[0], RecordedBody::Missing);
    // This one has half a pair only where nobody looks, and a body that says U+FFFD itself.
    assert_eq!(bodies[1], RecordedBody::Missing);
    let sound = whole.replace(r"\udfff", "");
    let read = entries(format!(r#"{{"log": {{"entries": [{half}, {sound}]}}}}"#)).unwrap();
    let body = read.into_iter().next_back().unwrap().answer.unwrap().body;
    assert_eq!(body, RecordedBody::Whole("a\u{1f600}\u{fffd}b".as_bytes().to_vec()));
}

#[test]
fn what_is_no_har_is_refused() {
    let good = r#"{"request": {"method": "GET", "url": "http://h/"}, "response": {"status": 200}}"#;
    for (text, wanted) in [
        (String::new(), "t.har: is no JSON: EOF while parsing a value at line 1 column 0"),
        ("{}".to_owned(), "t.har at /log/entries: is no HAR: it has no list of entries there"),
        (
            r#"{"log": {}}"#.to_owned(),
            "t.har at /log/entries: is no HAR: it has no list of entries there",
        ),
        (
            r#"{"log": "secret"}"#.to_owned(),
            "t.har: is no HAR: something else was expected at line 1",
        ),
        ("[1]".to_owned(), "t.har: is no HAR: something else was expected at line 1"),
        (
            format!("{{\"log\": {{\"entries\": [{good},\n{good}, {{\"request\": "),
            "t.har: entry 3 at /log/entries/2: is no JSON: EOF while parsing a value at line 2 column 93",
        ),
        (
            format!("{{\"log\": {{\"entries\": [{good}, \"secret\"]}}}}"),
            "t.har: entry 2 at /log/entries/1: must be an object",
        ),
    ] {
        let error = entries(&text).unwrap_err();
        assert_eq!(error.to_string(), wanted, "{text}");
    }
    assert_eq!(
        entries(format!("\u{feff}{{\"log\": {{\"entries\": [{good}]}}}}")).unwrap().len(),
        1
    );
    assert_eq!(entries(r#"{"log": {"entries": []}}"#).unwrap().len(), 0);
}

#[test]
fn entries_stream_and_one_alone_is_bounded() {
    let head: &[u8] = br#"{"log": {"entries": ["#;
    let entry: &[u8] = br#"{"request": {"method": "GET", "url": "http://h/"}, "_junk": ""#;
    let junk = std::io::repeat(b'x');
    let tail: &[u8] = br#""}"#;
    // Two entries that fit, and one that does not.
    let fits = limits::HAR_ENTRY_BYTES / 64;
    let source = head
        .chain(entry)
        .chain(junk.take(fits))
        .chain(tail)
        .chain(&b","[..])
        .chain(entry)
        .chain(std::io::repeat(b'x').take(fits))
        .chain(tail)
        .chain(&b","[..])
        .chain(entry)
        .chain(std::io::repeat(b'x'));
    let mut seen = 0;
    let error = read(&Arc::from("t.har"), source, |_| seen += 1).unwrap_err();
    assert_eq!(seen, 2);
    assert_eq!(error.to_string(), "t.har: entry 3 at /log/entries/2: has more than 67108864 bytes");
}
