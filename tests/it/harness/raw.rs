//! A client that sends exactly the bytes it is given.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::message::{Buffer, Role};
use super::{Message, soon};

/// One connection.
pub(crate) struct RawClient {
    stream: TcpStream,
    buffer: Buffer,
}

/// Sends one request over a connection of its own and reads the answer.
pub(crate) async fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> Message {
    let mut client = RawClient::connect(address).await;
    client.send(request).await;
    client.response().await
}

/// The first bytes of a connection over HTTP/2: the preface, and settings that are none.
pub(crate) fn preface() -> Vec<u8> {
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &[])].concat()
}

/// A frame of HTTP/2 (RFC 9113 §4.1).
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

// === impl RawClient ===

impl RawClient {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = soon("a connection", TcpStream::connect(address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Buffer::default() }
    }

    /// Sends these bytes and nothing else.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        soon("room to send", self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Reads one response.
    pub(crate) async fn response(&mut self) -> Message {
        self.response_as(Role::Response).await
    }

    /// Reads one response to a HEAD.
    pub(crate) async fn response_to_head(&mut self) -> Message {
        self.response_as(Role::ResponseToHead).await
    }

    async fn response_as(&mut self, role: Role) -> Message {
        let read = Message::read(&mut self.stream, &mut self.buffer, role);
        soon("a response", read).await.unwrap().expect("the gateway closed without an answer")
    }

    /// Reads one response, or finds that the connection ended before its end.
    pub(crate) async fn response_or_end(&mut self) -> Option<Message> {
        let read = Message::read(&mut self.stream, &mut self.buffer, Role::Response);
        soon("a response or the end", read).await.ok().flatten()
    }

    /// Reads exactly so many bytes, whatever they are.
    pub(crate) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        soon("bytes", self.buffer.exactly(&mut self.stream, count)).await.unwrap()
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Everything until the gateway closes.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = self.buffer.take();
        soon("the end", self.stream.read_to_end(&mut rest)).await.unwrap();
        rest
    }
}
