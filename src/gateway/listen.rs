//! The ports: who is taken in, and how they close.
//!
//! Each thread has a listener of its own on the same port (`SO_REUSEPORT`). A stop loses nobody: the
//! ports close after everyone whose connection stands was taken in, and so the next process can take
//! them. What becomes of those is told in `connection`.

mod connection;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use self::connection::connection;
use super::worker::Current;

/// How often idle upstream connections are looked at.
const REAP_EVERY: Duration = Duration::from_secs(10);

/// After a connection could not be accepted: long enough for descriptors to come free, and for the
/// log not to fill.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Connections waiting to be accepted, a listener.
const BACKLOG: i32 = 1_024;

/// Opens `count` listeners on one address. A port that another process listens on is an error,
/// also where that process would share it.
pub(crate) fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<std::net::TcpListener>> {
    if address.port() != 0 {
        drop(listener(address, Sharing::Alone)?);
    }
    let first = listener(address, Sharing::Threads)?;
    let bound = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..count {
        listeners.push(listener(bound, Sharing::Threads)?);
    }
    Ok(listeners)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    Threads,
}

fn listener(address: SocketAddr, sharing: Sharing) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if sharing == Sharing::Threads {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Serves until `stop` says so, then lets connections end.
pub(crate) async fn serve(
    current: Rc<Current>,
    listener: TcpListener,
    stop: watch::Receiver<bool>,
) {
    let mut stopping = std::pin::pin!(stopped(stop.clone()));
    let mut reap = tokio::time::interval(REAP_EVERY);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((tcp, peer)) => enter(&current, tcp, peer, &stop),
                Err(error) => {
                    // Out of descriptors, or the peer has gone already: neither ends the service.
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            _ = reap.tick() => current.worker().reap(),
            () = &mut stopping => break,
        }
    }
    close(&current, listener, &stop);
    current.worker().idle().await;
}

/// Takes in whoever is connected already, and closes the port.
fn close(current: &Rc<Current>, listener: TcpListener, stop: &watch::Receiver<bool>) {
    let Ok(listener) = listener.into_std() else { return };
    while let Ok((tcp, peer)) = listener.accept() {
        let tcp = tcp.set_nonblocking(true).and_then(|()| TcpStream::from_std(tcp));
        match tcp {
            Ok(tcp) => enter(current, tcp, peer, stop),
            Err(error) => tracing::warn!(%error, "a connection was not accepted"),
        }
    }
}

/// Serves a connection, if there is room for it.
fn enter(current: &Rc<Current>, tcp: TcpStream, peer: SocketAddr, stop: &watch::Receiver<bool>) {
    let worker = current.worker();
    let entered = match worker.site.lasting.door.enter(peer.ip()) {
        Ok(entered) => entered,
        Err(too_many) => {
            worker.site.lasting.metrics.turned_away(too_many.as_str());
            return;
        }
    };
    let (of, stop) = (Rc::clone(current), stop.clone());
    worker.connection(async move {
        connection(of, tcp, peer, stop).await;
        drop(entered);
    });
}

/// Resolves when the gateway stops.
async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the gateway is gone: that is a stop, too.
    let _ = stop.wait_for(|stop| *stop).await;
}
