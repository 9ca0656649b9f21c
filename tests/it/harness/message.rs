//! One HTTP/1.1 message as the bytes it was, cut at the places where RFC 9112 cuts it.
//!
//! This reader is small and unforgiving on purpose: it is the judge of what the gateway wrote, so
//! it must not share the gateway's library.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// A request or a response.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// The request line or status line.
    pub(crate) start: String,
    /// The header lines as they came, without line ends.
    pub(crate) headers: Vec<String>,
    /// The body without its framing.
    pub(crate) body: Vec<u8>,
    /// The trailer lines.
    pub(crate) trailers: Vec<String>,
}

/// Whether a message has a body that its headers do not tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Request,
    /// To a request with this method.
    Response,
    /// To a HEAD: whatever its headers say, no body follows.
    ResponseToHead,
}

/// Bytes that came and were not read yet.
#[derive(Debug, Default)]
pub(crate) struct Buffer(Vec<u8>);

// === impl Message ===

impl Message {
    /// Reads one message. `None` where the peer closed before the first byte.
    pub(crate) async fn read(
        stream: &mut (impl AsyncRead + Unpin),
        buffer: &mut Buffer,
        role: Role,
    ) -> io::Result<Option<Self>> {
        let Some(mut message) = Self::read_head(stream, buffer).await? else { return Ok(None) };
        let status = message.status();
        let bodiless = match role {
            Role::Request => false,
            Role::ResponseToHead => true,
            Role::Response => status < 200 || status == 204 || status == 304,
        };
        if bodiless {
            return Ok(Some(message));
        }
        let chunked =
            message.all("transfer-encoding").iter().any(|it| it.eq_ignore_ascii_case("chunked"));
        if chunked {
            loop {
                let line = buffer.line(stream).await?;
                let size = usize::from_str_radix(line.split(';').next().unwrap_or_default(), 16)
                    .map_err(|_| io::Error::other(format!("no chunk size: {line:?}")))?;
                if size == 0 {
                    break;
                }
                message.body.extend(buffer.exactly(stream, size).await?);
                buffer.exactly(stream, 2).await?;
            }
            loop {
                let line = buffer.line(stream).await?;
                if line.is_empty() {
                    break;
                }
                message.trailers.push(line);
            }
        } else if let Some(length) = message.all("content-length").first() {
            let length = length.parse().map_err(io::Error::other)?;
            message.body = buffer.exactly(stream, length).await?;
        } else if role == Role::Response {
            message.body = std::mem::take(&mut buffer.0);
            stream.read_to_end(&mut message.body).await?;
        }
        Ok(Some(message))
    }

    /// Reads start line and headers only.
    pub(crate) async fn read_head(
        stream: &mut (impl AsyncRead + Unpin),
        buffer: &mut Buffer,
    ) -> io::Result<Option<Self>> {
        if buffer.0.is_empty() && buffer.more(stream).await? == 0 {
            return Ok(None);
        }
        let start = buffer.line(stream).await?;
        let mut headers = Vec::new();
        loop {
            let line = buffer.line(stream).await?;
            if line.is_empty() {
                break;
            }
            headers.push(line);
        }
        Ok(Some(Self { start, headers, body: Vec::new(), trailers: Vec::new() }))
    }

    /// A response's status, 0 for a request.
    pub(crate) fn status(&self) -> u16 {
        let rest = self.start.strip_prefix("HTTP/1.1 ");
        let rest = rest.or_else(|| self.start.strip_prefix("HTTP/1.0 "));
        let code = rest.and_then(|rest| rest.get(..3));
        code.and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// A request's target.
    pub(crate) fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// The values of a header, name in lower case, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter_map(|line| line.split_once(':'))
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    /// The one value of a header, or nothing.
    #[track_caller]
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} stands {} times in {:?}", all.len(), self.headers);
        all.first().copied()
    }

    /// The header lines, as they came, of which the names begin with this (compared without case).
    pub(crate) fn lines(&self, prefix: &str) -> Vec<&str> {
        let begins = |line: &&String| {
            line.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        self.headers.iter().filter(begins).map(String::as_str).collect()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&self.body)))
    }
}

// === impl Buffer ===

impl Buffer {
    async fn more(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
        self.0.reserve(64 * 1024);
        stream.read_buf(&mut self.0).await
    }

    /// Up to the next CRLF.
    async fn line(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
        loop {
            if let Some(end) = self.0.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.0.drain(..end + 2).collect::<Vec<_>>();
                // Header values may hold bytes over 127: shown one to one.
                return Ok(line[..end].iter().map(|&byte| char::from(byte)).collect());
            }
            if self.more(stream).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Exactly so many bytes.
    pub(crate) async fn exactly(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        count: usize,
    ) -> io::Result<Vec<u8>> {
        while self.0.len() < count {
            if self.more(stream).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.0.drain(..count).collect())
    }

    /// What has come already.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}
