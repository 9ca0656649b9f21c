//! Asking a running gateway's admin side, which speaks in clear and JSON.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use super::Exit;
use crate::limits::ADMIN_ANSWER_BYTES;

/// What an admin side's own refusals are.
const PROBLEM: &str = "application/problem+json";

/// How long an admin side may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The answer to one request, by its path and query.
pub(super) async fn ask<T: DeserializeOwned>(
    admin: &Uri,
    method: &Method,
    path: &str,
) -> Result<T, Exit> {
    match find(admin, method, path).await? {
        Some(found) => Ok(found),
        None => Err(unusable(admin, "answered 404")),
    }
}

/// The same for what may not be there: nothing where the admin side says so in its own words.
pub(super) async fn find<T: DeserializeOwned>(
    admin: &Uri,
    method: &Method,
    path: &str,
) -> Result<Option<T>, Exit> {
    let authority = admin.authority().filter(|_| admin.scheme_str() == Some("http"));
    let Some(authority) = authority else {
        return Err(unusable(admin, "must be http:// and an address"));
    };
    let asking = async {
        let port = authority.port_u16().unwrap_or(80);
        let host = authority.host().trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, port)).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move { drop(connection.await) });
        let request = Request::builder().method(method).uri(path);
        let request = request.header(header::HOST, authority.as_str());
        let answer = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
        let status = answer.status();
        // RFC 9457: whose 404 it is shows in its type of content.
        let is_problem = answer.headers().get(header::CONTENT_TYPE).is_some_and(|it| it == PROBLEM);
        if status == StatusCode::NOT_FOUND && is_problem {
            return Ok(None);
        }
        if status != StatusCode::OK {
            anyhow::bail!("answered {}", status.as_u16());
        }
        let body = Limited::new(answer.into_body(), ADMIN_ANSWER_BYTES).collect().await;
        let body = body.map_err(anyhow::Error::from_boxed)?.to_bytes();
        serde_json::from_slice(&body).map(Some).context("is not what this recgate understands")
    };
    let asked = tokio::time::timeout(PATIENCE, asking).await;
    let asked = asked.map_err(|_| unusable(admin, "no answer in time"))?;
    asked.map_err(|error| unusable(admin, &format!("{error:#}")))
}

fn unusable(admin: &Uri, why: &str) -> Exit {
    Exit::Unusable(format!("--admin {admin}: {why}"))
}
