//! One entry of a HAR, out of its JSON.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{Entry, HarError, RecordedAnswer, RecordedBody};
use crate::report::Trace;

/// A value of the file that knows where it stands.
struct At<'v> {
    value: &'v Value,
    pointer: String,
}

/// What is wrong, and where.
struct Fault {
    pointer: String,
    message: &'static str,
}

/// Whether the bytes of a body are the message's own, or were made anew by whoever recorded it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    /// Base64: byte for byte.
    Bytes,
    /// Text, now in UTF-8.
    Text,
}

/// Reads the entry with this number (from 1).
#[expect(clippy::needless_pass_by_value, reason = "an entry is large: it ends here")]
pub(super) fn read(file: &Arc<str>, number: usize, value: Value) -> Result<Entry, HarError> {
    let at = At { value: &value, pointer: format!("/log/entries/{}", number - 1) };
    entry(&at, Trace::Entry { file: Arc::clone(file), number }).map_err(|fault| HarError {
        file: Arc::clone(file),
        entry: number,
        pointer: fault.pointer,
        message: fault.message.to_owned(),
    })
}

fn entry(at: &At<'_>, trace: Trace) -> Result<Entry, Fault> {
    let request = at.object("request")?;
    let method = request.text("method")?;
    let method = Method::from_bytes(method.value.as_bytes())
        .map_err(|_| method.fault("must be a method"))?;
    let url = request.text("url")?;
    let (scheme, authority, target) = split(url.value)
        .ok_or_else(|| url.fault("must be an absolute URL, such as https://host/path"))?;
    let (mut headers, host) = headers(&request)?;
    let body = request_body(&request, &mut headers)?;
    if !headers.contains_key(header::HOST)
        && let Ok(value) = HeaderValue::from_str(host.as_deref().unwrap_or(authority))
    {
        headers.insert(header::HOST, value);
    }
    let answer = match at.get("response") {
        None => None,
        Some(response) => answer(&response, &method)?,
    };
    let started = at.value.get("startedDateTime").and_then(Value::as_str);
    Ok(Entry {
        trace,
        at: started.and_then(|text| text.parse().ok()),
        method,
        scheme: scheme.to_ascii_lowercase(),
        authority: authority.to_owned(),
        target,
        headers,
        body,
        answer,
    })
}

/// Scheme, authority without user information, and raw path and query. No part is decoded.
fn split(url: &str) -> Option<(&str, &str, String)> {
    let (scheme, rest) = url.split_once(':')?;
    let is_scheme = !scheme.is_empty()
        && scheme
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || it == b'-' || it == b'+' || it == b'.');
    if !is_scheme {
        return None;
    }
    // `data:`, `blob:` and their like have none.
    let Some(rest) = rest.strip_prefix("//") else { return Some((scheme, "", "/".to_owned())) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let target = target.split('#').next().unwrap_or_default();
    let slash = if target.starts_with('/') { "" } else { "/" };
    Some((scheme, authority, format!("{slash}{target}")))
}

/// The headers, and the host that HTTP/2 carries as `:authority`.
fn headers(message: &At<'_>) -> Result<(HeaderMap, Option<String>), Fault> {
    let mut headers = HeaderMap::new();
    let mut authority = None;
    let Some(list) = message.get("headers") else { return Ok((headers, authority)) };
    let Some(elements) = list.value.as_array() else { return Err(list.fault("must be a list")) };
    for (index, value) in elements.iter().enumerate() {
        let header = list.child(&index.to_string(), value);
        let (name, value) = (header.text("name")?, header.text("value")?);
        if name.value.starts_with(':') {
            if name.value == ":authority" {
                authority = Some(value.value.to_owned());
            }
            continue;
        }
        let parsed = HeaderName::from_bytes(name.value.as_bytes())
            .map_err(|_| name.fault("must be a header's name"))?;
        // Browsers join several headers of one name with line ends.
        for line in value.value.split('\n') {
            let line = HeaderValue::from_bytes(line.trim_end_matches('\r').as_bytes())
                .map_err(|_| value.fault("must be a header's value"))?;
            headers.append(parsed.clone(), line);
        }
    }
    Ok((headers, authority))
}

fn request_body(request: &At<'_>, headers: &mut HeaderMap) -> Result<RecordedBody, Fault> {
    let Some(post) = request.get("postData") else {
        return Ok(absent(request.size("bodySize"), headers));
    };
    let form = || params(&post).filter(|_| is_form(headers));
    let (body, made) = match post.optional_text("text")? {
        Some(text) if !text.value.is_empty() => decoded(&post, &text)?,
        _ => match form() {
            Some(form) => (form.into_bytes(), Made::Text),
            None if params(&post).is_some() => return Ok(RecordedBody::Missing),
            None => return Ok(absent(request.size("bodySize"), headers)),
        },
    };
    put_right(headers, &body, made);
    Ok(RecordedBody::Whole(body))
}

fn answer(response: &At<'_>, method: &Method) -> Result<Option<RecordedAnswer>, Fault> {
    let status = response.member("status")?;
    // Browsers write 0 for a request that was blocked, cancelled or never answered.
    if status.value.as_i64().is_some_and(|status| status <= 0) {
        return Ok(None);
    }
    let code = status.value.as_u64().and_then(|code| u16::try_from(code).ok());
    let code = code
        .filter(|code| (100..1000).contains(code))
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or_else(|| status.fault("must be a status from 100 to 999, or 0"))?;
    let (mut headers, _) = headers(response)?;
    let bodiless = *method == Method::HEAD
        || code.is_informational()
        || matches!(code, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let content = response.get("content");
    let text = match &content {
        Some(content) => content.optional_text("text")?,
        None => None,
    };
    let body = match (&content, text) {
        (Some(content), Some(text)) if !text.value.is_empty() => {
            let (body, made) = decoded(content, &text)?;
            put_right(&mut headers, &body, made);
            RecordedBody::Whole(body)
        }
        _ if bodiless => RecordedBody::Empty,
        (content, text) => {
            let size = content.as_ref().and_then(|it| it.size("size"));
            // A text that is there and empty says it all, unless a size contradicts it.
            let size = size.or(text.map(|_| 0)).or(response.size("bodySize"));
            absent(size, &headers)
        }
    };
    Ok(Some(RecordedAnswer { status: code, headers, body }))
}

/// A body of which the file holds nothing: whether there was one.
fn absent(size: Option<u64>, headers: &HeaderMap) -> RecordedBody {
    let told = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    match told.or(size) {
        Some(0) => RecordedBody::Empty,
        Some(_) => RecordedBody::Missing,
        None if chunked || headers.contains_key(header::CONTENT_TYPE) => RecordedBody::Missing,
        None => RecordedBody::Empty,
    }
}

fn decoded(holder: &At<'_>, text: &Text<'_>) -> Result<(Vec<u8>, Made), Fault> {
    match holder.optional_text("encoding")? {
        Some(encoding) if encoding.value.eq_ignore_ascii_case("base64") => {
            // Some tools break the lines.
            let packed: Vec<u8> =
                text.value.bytes().filter(|it| !it.is_ascii_whitespace()).collect();
            let bytes = STANDARD.decode(packed).map_err(|_| text.fault("must be base64"))?;
            Ok((bytes, Made::Bytes))
        }
        Some(encoding) if !encoding.value.is_empty() => {
            Err(encoding.fault("must be \"base64\" or left out"))
        }
        _ => Ok((text.value.as_bytes().to_vec(), Made::Text)),
    }
}

/// Makes the headers agree with a body that was decoded.
fn put_right(headers: &mut HeaderMap, body: &[u8], made: Made) {
    // Some tools keep the bytes of the wire: then they still show their coding.
    let coded = made == Made::Bytes
        && (body.starts_with(&[0x1f, 0x8b]) || body.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
    if !coded && headers.contains_key(header::CONTENT_ENCODING) {
        headers.remove(header::CONTENT_ENCODING);
        headers.remove(header::CONTENT_LENGTH);
    }
    if made == Made::Text && !body.is_ascii() {
        let types = headers.get_all(header::CONTENT_TYPE);
        let utf8: Vec<HeaderValue> = types.iter().map(in_utf8).collect();
        headers.remove(header::CONTENT_TYPE);
        for value in utf8 {
            headers.append(header::CONTENT_TYPE, value);
        }
    }
}

/// A content type whose charset is the one a HAR's text has.
fn in_utf8(value: &HeaderValue) -> HeaderValue {
    let Ok(text) = value.to_str() else { return value.clone() };
    let parts = text.split(';').map(|part| {
        let is_charset =
            part.split('=').next().is_some_and(|it| it.trim().eq_ignore_ascii_case("charset"));
        if is_charset { " charset=utf-8" } else { part }
    });
    let parts: Vec<&str> = parts.collect();
    HeaderValue::from_str(&parts.join(";")).unwrap_or_else(|_| value.clone())
}

/// Fields of a form, spelt as they are sent.
fn params(post: &At<'_>) -> Option<String> {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let params = post.value.get("params")?.as_array().filter(|params| !params.is_empty())?;
    let pairs: Vec<String> = params
        .iter()
        .map(|param| {
            let part =
                |key: &str| encode(param.get(key).and_then(Value::as_str).unwrap_or_default());
            format!("{}={}", part("name"), part("value"))
        })
        .collect();
    Some(pairs.join("&"))
}

fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok()?.split(';').next())
        .is_some_and(|it| it.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// A text of the file that knows where it stands.
struct Text<'v> {
    value: &'v str,
    pointer: String,
}

// === impl At ===

impl<'v> At<'v> {
    fn child(&self, key: &str, value: &'v Value) -> Self {
        At { value, pointer: format!("{}/{key}", self.pointer) }
    }

    /// A member that is there and not null.
    fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key).filter(|value| !value.is_null())?;
        Some(self.child(key, value))
    }

    fn member(&self, key: &str) -> Result<Self, Fault> {
        if !self.value.is_object() {
            return Err(self.fault("must be an object"));
        }
        let missing =
            || Fault { pointer: format!("{}/{key}", self.pointer), message: "is missing" };
        self.get(key).ok_or_else(missing)
    }

    fn object(&self, key: &str) -> Result<Self, Fault> {
        let member = self.member(key)?;
        if member.value.is_object() { Ok(member) } else { Err(member.fault("must be an object")) }
    }

    fn text(&self, key: &str) -> Result<Text<'v>, Fault> {
        self.member(key)?.into_text()
    }

    fn optional_text(&self, key: &str) -> Result<Option<Text<'v>>, Fault> {
        self.get(key).map(Self::into_text).transpose()
    }

    fn into_text(self) -> Result<Text<'v>, Fault> {
        match self.value.as_str() {
            Some(value) => Ok(Text { value, pointer: self.pointer }),
            None => Err(self.fault("must be a text")),
        }
    }

    /// A size; `None` where it is left out, negative (unknown) or no number.
    fn size(&self, key: &str) -> Option<u64> {
        self.value.get(key)?.as_u64()
    }

    fn fault(&self, message: &'static str) -> Fault {
        Fault { pointer: self.pointer.clone(), message }
    }
}

// === impl Text ===

impl Text<'_> {
    fn fault(&self, message: &'static str) -> Fault {
        Fault { pointer: self.pointer.clone(), message }
    }
}
