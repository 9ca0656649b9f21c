//! The multipart reader, and the check of multipart bodies around it.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderValue, Method, header};

use super::first_line;
use crate::contract::{
    BodyView, Contract, ContractDate, Found, RequestView, Source, Timeline,
    multipart::reader::{self, Part},
};

/// The first line is the boundary, the rest the body: its parts stand in it in their order,
/// with delimiters between them and none inside, and what is written from them reads the same.
pub fn multipart(data: &[u8]) {
    let Some((boundary, body)) = first_line(data) else { return };
    if let Ok(parts) = reader::parts(body, boundary) {
        in_order(&parts, body, boundary);
        written_again(&parts, boundary);
    }
    checked(boundary, body);
}

/// Everything that is in no part is the delimiters, the headers, and what stands outside.
fn in_order(parts: &[Part<'_>], body: &[u8], boundary: &str) {
    let delimiter = format!("--{boundary}");
    let mut at = 0;
    let mut rebuilt = Vec::with_capacity(body.len());
    for part in parts {
        let start = part.body.as_ptr().addr() - body.as_ptr().addr();
        assert!(start >= at, "parts do not overlap");
        let between = &body[at..start];
        assert!(contains(between, delimiter.as_bytes()), "a delimiter stands before each part");
        rebuilt.extend_from_slice(between);
        rebuilt.extend_from_slice(part.body);
        at = start + part.body.len();
        let line = format!("\r\n{delimiter}\r\n");
        assert!(!contains(part.body, line.as_bytes()), "no delimiter stands inside a part");
    }
    rebuilt.extend_from_slice(&body[at..]);
    assert!(rebuilt == body, "parts and what stands between them are the body");
    assert!(contains(&body[at..], format!("{delimiter}--").as_bytes()), "the last one closes");
}

fn written_again(parts: &[Part<'_>], boundary: &str) {
    let mut text = Vec::new();
    for part in parts {
        text.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        for (name, value) in &part.headers {
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"\r\n");
        text.extend_from_slice(part.body);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(format!("--{boundary}--").as_bytes());
    let again = reader::parts(&text, boundary).expect("what was written from parts has parts");
    assert_eq!(again.len(), parts.len());
    for (one, other) in parts.iter().zip(&again) {
        assert!(one.body == other.body, "a part's body comes back");
        assert_eq!(one.headers, other.headers);
        assert_eq!(one.name(), other.name());
    }
}

static CONTRACT: LazyLock<Timeline> = LazyLock::new(|| {
    let text = r#"
openapi: 3.0.3
paths:
  /form:
    post:
      requestBody:
        content:
          multipart/form-data:
            schema:
              type: object
              required: [id]
              properties:
                id: {type: integer}
                tags: {type: array, maxItems: 3, items: {type: string, maxLength: 4}}
                note: {type: object, properties: {text: {type: string}}}
                file: {type: string, format: binary}
            encoding:
              tags: {style: pipeDelimited}
              file: {contentType: "image/png, audio/*", headers: {X-Count: {schema: {type: integer}}}}
          multipart/mixed:
            schema: {type: array, items: {type: object, additionalProperties: false}}
      responses: {default: {description: any}}
"#;
    Timeline::load(&Source { name: "fuzz.yaml".to_owned(), text: text.into() }, &[]).unwrap()
});

/// The check of the whole body ends in one and the same verdict, whatever the body is.
fn checked(boundary: &str, body: &[u8]) {
    let contract: &Contract = CONTRACT.at(ContractDate::Latest);
    let Found::Operation(found) = contract.find(&Method::POST, "/form") else { unreachable!() };
    for kind in ["form-data", "mixed"] {
        let sent = format!("multipart/{kind}; boundary=\"{boundary}\"");
        let Ok(sent) = HeaderValue::from_str(&sent) else { return };
        let request = RequestView {
            path_parameters: &[],
            query: None,
            headers: &HeaderMap::from_iter([(header::CONTENT_TYPE, sent)]),
            body: BodyView::Whole(body),
        };
        let (one, two) =
            (found.operation.check_request(&request), found.operation.check_request(&request));
        assert_eq!((one.verdict, one.findings), (two.verdict, two.findings));
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|it| it == needle)
}
