//! The one place where a failure becomes an answer, and where answers get recgate's headers.

use http::{HeaderName, HeaderValue, Response, header};
use uuid::Uuid;

use super::body::Body;
pub(crate) use crate::change::exchange::ERROR;
use crate::change::{Answer, Payload};
use crate::dialect::Dialect;
use crate::error::{Blame, Code, Failure};

/// RFC 9209.
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// A failure as the client's API would say it.
pub(crate) fn failure(failure: &Failure, dialect: Dialect, exchange: Uuid) -> Response<Body> {
    let code = failure.code.as_str();
    if matches!(failure.code, Code::Overloaded | Code::BreakerOpen) {
        // Whoever refuses them says so, once for many.
        tracing::debug!(%exchange, code, inside = %failure.inside, "turned away");
    } else if failure.code.blame() == Blame::Client {
        tracing::info!(%exchange, code, inside = %failure.inside, "refused");
    } else {
        tracing::warn!(%exchange, code, inside = %failure.inside, "failed");
    }
    let rendered = dialect.render(&failure.answer(), &exchange.to_string());
    let mut response = Response::new(Body::whole(rendered.body));
    *response.status_mut() = rendered.status;
    *response.headers_mut() = rendered.headers;
    response.headers_mut().insert(ERROR, HeaderValue::from_static(code));
    if let Ok(status) = HeaderValue::try_from(proxy_status(failure.code)) {
        response.headers_mut().insert(PROXY_STATUS, status);
    }
    if let Some(wait) = failure.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, wait.as_secs().into());
    }
    response
}

/// What `Proxy-Status` says of a failure: the registry's closest error type, and the code (RFC 9209
/// §2, §2.3).
fn proxy_status(code: Code) -> String {
    let kind = match code {
        Code::NoRoute => "destination_not_found",
        Code::UpstreamUnreachable | Code::BreakerOpen => "destination_unavailable",
        Code::UpstreamBroke => "connection_terminated",
        Code::UpstreamTimeout => "http_response_timeout",
        Code::ResponseContract | Code::AnswerContract | Code::OutcomeUnknown => {
            "http_protocol_error"
        }
        Code::Overloaded | Code::NotEntitled | Code::CompensationUnready | Code::Superseded => {
            "http_request_denied"
        }
        code if code.blame() == Blame::Client => "http_request_error",
        _ => "proxy_internal_error",
    };
    format!("recgate; error={kind}; details=\"{}\"", code.as_str())
}

/// An answer as a response.
pub(crate) fn answer(answer: Answer) -> Response<Body> {
    let body = match answer.payload {
        Payload::Whole(bytes) => Body::whole(bytes),
        // Only `forward` makes streaming payloads, and it makes them of bodies.
        Payload::Streaming(opaque) => opaque.downcast::<Body>().map_or(Body::Empty, |body| *body),
    };
    let mut response = Response::new(body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    *response.extensions_mut() = answer.extensions;
    response
}
