//! How an API says "no": the error shapes, codes and correlation headers of each vendor.
//!
//! An integration was written against its vendor's error shape, so an error that recgate makes
//! wears it too: a Genesys client gets an `ErrorBody`, a Webex client Webex's shape, and callers
//! of recgate's own admin side RFC 9457 Problem Details. This room knows shapes only: no network,
//! no contract, no reason why something was refused.

pub mod genesys;
pub mod problem;
pub mod webex;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

/// Headers of an error that recgate makes: the two of [`Rendered`], and what is said beside them.
const HEADERS: usize = 8;

/// Bytes that most bodies of errors have room in.
const BODY_BYTES: usize = 512;

/// Whose error shape an answer wears.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Deserialize, serde::Serialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Genesys Cloud: `ErrorBody`, `ININ-Correlation-Id`.
    Genesys,
    /// Webex: `message`, `errors[].description`, `trackingId`.
    Webex,
    /// RFC 9457 Problem Details, for APIs without a dialect of their own.
    #[default]
    Problem,
}

/// An error before it takes a vendor's shape.
#[derive(Clone, Debug)]
pub struct ErrorAnswer {
    /// The HTTP status, 4xx or 5xx.
    pub status: StatusCode,
    /// A stable code, in the vendor's vocabulary where it has one (`missing.permissions`).
    pub code: String,
    /// One sentence for the caller. Never holds a value out of a message.
    pub message: String,
    /// Single faults: a failed id, a broken rule.
    pub details: Vec<Detail>,
}

/// One fault inside an [`ErrorAnswer`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// What went wrong, a code.
    pub code: String,
    /// Where in the message: an RFC 6901 pointer or a parameter's name.
    pub field: Option<String>,
    /// The entity it went wrong for.
    pub entity: Option<String>,
    /// One sentence.
    pub message: Option<String>,
}

/// An error in its vendor's shape: status, headers (content type and correlation id) and body.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The HTTP status.
    pub status: StatusCode,
    /// `Content-Type` and the vendor's correlation header.
    pub headers: HeaderMap,
    /// The JSON body.
    pub body: Bytes,
}

// === impl Dialect ===

impl Dialect {
    /// Puts an error into this dialect. `correlation` is the id the vendor's support would ask
    /// for: a UUID, in the header and in the body.
    #[must_use]
    pub fn render(self, error: &ErrorAnswer, correlation: &str) -> Rendered {
        let (body, content_type) = match self {
            Self::Genesys => (genesys::body(error, correlation), "application/json"),
            Self::Webex => (webex::body(error, correlation), "application/json"),
            Self::Problem => (problem::body(error, correlation), "application/problem+json"),
        };
        let mut headers = HeaderMap::with_capacity(HEADERS);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Ok(value) = HeaderValue::from_str(correlation) {
            headers.insert(self.correlation_header(), value);
        }
        Rendered { status: error.status, headers, body }
    }

    /// The response header that carries the correlation id.
    #[must_use]
    pub const fn correlation_header(self) -> HeaderName {
        match self {
            Self::Genesys => genesys::CORRELATION,
            Self::Webex => webex::TRACKING,
            Self::Problem => problem::REQUEST_ID,
        }
    }
}

/// The bytes of an error's shape. What serde refuses (a key that is no text) no shape has.
fn written(shape: &impl serde::Serialize) -> Bytes {
    let mut body = Vec::with_capacity(BODY_BYTES);
    let _ = serde_json::to_writer(&mut body, shape);
    body.into()
}

// === impl ErrorAnswer ===

impl ErrorAnswer {
    /// An error without details.
    #[must_use]
    pub fn new(status: StatusCode, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), details: Vec::new() }
    }

    /// The same with `details`.
    #[must_use]
    pub fn with_details(mut self, details: Vec<Detail>) -> Self {
        self.details = details;
        self
    }
}
