//! An upstream that does what it is told, to the byte: it keeps every request as it came, and
//! answers with given bytes, when the test lets it, in part, never, or by breaking the connection.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::message::{Buffer, Role};
use super::{Message, until};

/// One thing to do after a request has come.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Waits until the test lets it go on: one permit of the semaphore a request.
    Await(Arc<Semaphore>),
    /// Reads so many bytes behind the request, and keeps them (a tunnel's).
    Read(usize),
    /// Never does anything again, with the connection open.
    Hang,
    /// Closes the connection.
    Close,
    /// Closes it with a reset.
    Reset,
}

/// A listener and what came to it.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Message>>>,
    read: Arc<Mutex<Vec<u8>>>,
    task: JoinHandle<()>,
}

/// A response out of its lines; a `Content-Length` is added.
pub(crate) fn response(lines: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut bytes = lines.join("\r\n").into_bytes();
    let body = body.as_ref();
    bytes.extend_from_slice(format!("\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// The shortest answer there is.
pub(crate) fn ok() -> Step {
    Step::Send(response(&["HTTP/1.1 200 OK"], ""))
}

// === impl Upstream ===

impl Upstream {
    /// Answers each request with the steps that `script` gives for it.
    pub(crate) async fn scripted(
        script: impl Fn(&Message) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), script).await
    }

    /// The same at this address.
    pub(crate) async fn at(
        address: SocketAddr,
        script: impl Fn(&Message) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        let received = Arc::new(Mutex::new(Vec::new()));
        let read = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(script);
        let kept = (Arc::clone(&received), Arc::clone(&read));
        let mut upstream = Self::serving_at(address, move |stream| {
            let (received, read, script) =
                (Arc::clone(&kept.0), Arc::clone(&kept.1), Arc::clone(&script));
            async move { conversation(stream, &received, &read, &*script).await }
        })
        .await;
        (upstream.received, upstream.read) = (received, read);
        upstream
    }

    /// Answers every request with these bytes.
    pub(crate) async fn answering(bytes: Vec<u8>) -> Self {
        Self::scripted(move |_| vec![Step::Send(bytes.clone())]).await
    }

    /// Leaves each connection to `serve`.
    pub(crate) async fn serving<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        Self::serving_at(SocketAddr::from(([127, 0, 0, 1], 0)), serve).await
    }

    async fn serving_at<F: Future<Output = ()> + Send + 'static>(
        address: SocketAddr,
        serve: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                tokio::spawn(serve(stream));
            }
        });
        Self { address, received: Arc::default(), read: Arc::default(), task }
    }

    /// An address on which nobody listens.
    pub(crate) async fn nobody() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }

    /// The configuration of a gateway before this upstream, for all paths, without a contract.
    pub(crate) fn config(&self) -> String {
        config("other", "none", &self.address)
    }

    /// Everything that came, in the order in which it was complete.
    pub(crate) fn received(&self) -> Vec<Message> {
        self.received.lock().unwrap().clone()
    }

    /// The one request that came.
    #[track_caller]
    pub(crate) fn only(&self) -> Message {
        let received = self.received();
        assert_eq!(received.len(), 1, "{received:#?}");
        received[0].clone()
    }

    /// What `Step::Read` has read.
    pub(crate) fn read(&self) -> Vec<u8> {
        self.read.lock().unwrap().clone()
    }

    /// Resolves when so many requests have come.
    pub(crate) async fn has_received(&self, count: usize) {
        until(&format!("request {count} at the upstream"), || async {
            (self.received.lock().unwrap().len() >= count).then_some(())
        })
        .await;
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A configuration with one upstream for all paths.
pub(crate) fn config(vendor: &str, contract: &str, address: &SocketAddr) -> String {
    format!(
        "[[upstream]]\nname = \"it\"\nvendor = \"{vendor}\"\nurl = \"http://{address}\"\n\
         paths = [\"/\"]\ncontract = \"{contract}\"\n"
    )
}

async fn conversation(
    mut stream: TcpStream,
    received: &Mutex<Vec<Message>>,
    read: &Mutex<Vec<u8>>,
    script: &(impl Fn(&Message) -> Vec<Step> + Sync),
) {
    let mut buffer = Buffer::default();
    while let Ok(Some(request)) = Message::read(&mut stream, &mut buffer, Role::Request).await {
        let steps = script(&request);
        received.lock().unwrap().push(request);
        for step in steps {
            match step {
                Step::Send(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Step::Await(gate) => gate.acquire().await.unwrap().forget(),
                Step::Read(count) => match buffer.exactly(&mut stream, count).await {
                    Ok(bytes) => read.lock().unwrap().extend(bytes),
                    Err(_) => return,
                },
                Step::Hang => std::future::pending().await,
                Step::Close => return,
                Step::Reset => {
                    // Unread or unsent bytes and a linger of zero make the kernel send a reset.
                    let _ = stream.set_zero_linger();
                    return;
                }
            }
        }
    }
}
