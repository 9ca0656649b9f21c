//! A receiver of webhooks: keeps every try, and answers as a test says.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Try {
    /// Path and query.
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// What was answered.
    pub(super) status: u16,
}

/// A receiver.
#[derive(Clone)]
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    tries: Arc<Mutex<Vec<Try>>>,
}

impl Receiver {
    /// Answers each request by its headers and its number. The order of tries is that in which
    /// they were answered.
    pub(super) async fn new(
        answer: impl Fn(&HeaderMap, usize) -> u16 + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tries: Arc<Mutex<Vec<Try>>> = Arc::default();
        let kept = Arc::clone(&tries);
        let handle = move |uri: Uri, headers: HeaderMap, body: Bytes| {
            let (kept, answer) = (Arc::clone(&kept), answer.clone());
            async move {
                let mut kept = kept.lock().unwrap();
                let status = answer(&headers, kept.len());
                kept.push(Try { target: uri.to_string(), headers, body, status });
                let elsewhere = [("location", format!("http://{address}/elsewhere"))];
                (StatusCode::from_u16(status).unwrap(), elsewhere).into_response()
            }
        };
        let routes = Router::new().fallback(handle);
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, tries }
    }

    pub(super) fn tries(&self) -> Vec<Try> {
        self.tries.lock().unwrap().clone()
    }

    pub(super) fn count(&self) -> usize {
        self.tries.lock().unwrap().len()
    }
}
