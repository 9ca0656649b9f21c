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

/// How long an admin side may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The answer to one request, by its path and query.
pub(super) async fn ask<T: DeserializeOwned>(
    admin: &Uri,
    method: &Method,
    path: &str,
) -> Result<T, Exit> {
    let unusable = |why: String| Exit::Unusable(format!("--admin {admin}: {why}"));
    let authority = admin.authority().filter(|_| admin.scheme_str() == Some("http"));
    let Some(authority) = authority else {
        return Err(unusable("must be http:// and an address".to_owned()));
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
        if status != StatusCode::OK {
            anyhow::bail!("answered {}", status.as_u16());
        }
        let body = Limited::new(answer.into_body(), ADMIN_ANSWER_BYTES).collect().await;
        let body = body.map_err(anyhow::Error::from_boxed)?.to_bytes();
        serde_json::from_slice(&body).context("is not what this recgate understands")
    };
    let asked = tokio::time::timeout(PATIENCE, asking).await;
    let asked = asked.map_err(|_| unusable("no answer in time".to_owned()))?;
    asked.map_err(|error| unusable(format!("{error:#}")))
}
