//! Another protocol over the same connection (WebSocket): a tunnel, once the upstream agrees.
//!
//! The upgrade is forwarded over a connection of its own. Whatever the upstream answers goes back;
//! only a 101 joins the two connections, byte for byte, until one side closes.

use std::rc::Rc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use super::body::{Body, Collected};
use super::breaker::Urgency;
use super::connection::builder;
use super::headers;
use super::passage::InName;
use super::reach::Sending;
use super::route::Route;
use super::visit::Visit;
use crate::error::{Code, Failure};

/// Forwards a request for an upgrade. The upstream may take the client's deadline to answer it.
pub(crate) async fn tunnel(
    visit: &Rc<Visit>,
    route: &Route,
    request: Request<Incoming>,
) -> Result<Response<Body>, Failure> {
    let sending = Sending::begin(visit, || Urgency::Usual)?;
    let result = join(visit, route, request).await;
    sending.answered(result.as_ref().map(|_| ()).map_err(|failure| failure.code));
    result
}

async fn join(
    visit: &Visit,
    route: &Route,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Failure> {
    let worker = &visit.worker;
    let limits = &worker.site.config.limits;
    let server = route.upstream.server(route.leg);
    let stream = server.connect(Duration::from_millis(limits.connect_ms)).await?;
    let broke = |error: hyper::Error| {
        Failure::new(Code::UpstreamBroke, format!("{}: {error}", server.authority))
    };
    let (mut sender, connection) = builder(limits.answer_header_count)
        .handshake::<_, Body>(TokioIo::new(stream))
        .await
        .map_err(broke)?;
    worker.follow_up(Box::pin(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "an upgrade's connection ended");
        }
    }));

    let client = hyper::upgrade::on(&mut request);
    let (mut parts, body) = request.into_parts();
    let wanted = protocol(&parts.headers);
    headers::strip_hop_by_hop(&mut parts.headers);
    ask_for(&mut parts.headers, wanted);
    parts.headers.insert(header::HOST, server.host.clone());
    visit.passage.tell(&mut parts.headers, InName::Client);
    let body = match Body::client(body).collect_up_to(limits.body_bytes).await {
        Ok(Collected::Whole(bytes)) => Body::whole(bytes),
        Ok(Collected::Longer(body)) => body,
        Err(error) => return Err(Failure::new(Code::RequestBody, error.to_string())),
    };
    let mut upstream_request = Request::new(body);
    *upstream_request.method_mut() = parts.method;
    *upstream_request.uri_mut() = route.target.parse::<Uri>().map_err(|error| {
        Failure::new(Code::Internal, format!("a path that cannot be sent: {error}"))
    })?;
    *upstream_request.headers_mut() = parts.headers;
    let answered =
        tokio::time::timeout(visit.terms.deadline, sender.send_request(upstream_request)).await;
    let late = |_| {
        Failure::new(Code::UpstreamTimeout, format!("no answer of {} in time", server.authority))
    };
    let mut response = answered.map_err(late)?.map_err(broke)?;

    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let (mut parts, body) = response.into_parts();
        headers::strip_hop_by_hop(&mut parts.headers);
        return Ok(Response::from_parts(parts, Body::client(body)));
    }
    let upstream = hyper::upgrade::on(&mut response);
    let stopped = worker.stopped();
    worker.follow_up(Box::pin(async move {
        let joined = async {
            let (Ok(client), Ok(upstream)) = tokio::join!(client, upstream) else { return };
            let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
            if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut upstream).await {
                tracing::debug!(%error, "a tunnel ended");
            }
        };
        // A socket can stay open for days: a drain does not wait for it.
        tokio::select! {
            () = joined => {}
            () = stopped => {}
        }
    }));
    let (mut parts, _) = response.into_parts();
    let agreed = protocol(&parts.headers);
    headers::strip_hop_by_hop(&mut parts.headers);
    ask_for(&mut parts.headers, agreed);
    Ok(Response::from_parts(parts, Body::Empty))
}

/// The values of `Upgrade`.
fn protocol(headers: &HeaderMap) -> Vec<HeaderValue> {
    headers.get_all(header::UPGRADE).iter().cloned().collect()
}

/// The two headers that belong to this connection and are made anew for the next.
fn ask_for(headers: &mut HeaderMap, protocol: Vec<HeaderValue>) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    for value in protocol {
        headers.append(header::UPGRADE, value);
    }
}
