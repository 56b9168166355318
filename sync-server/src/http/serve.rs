//! Sockets: who may come in, what may take how long, and stopping.
//!
//! 1. A connection takes a place, of all and of its address.
//! 2. With TLS, a handshake.
//! 3. HTTP/1.1: the head of a request has its time, its body too (where it is
//!    read), and every piece of an answer must be taken in time.
//! 4. Stopping: nobody new comes in, requests in hand are answered, listeners
//!    are sent home.
//!
//! What can go wrong: (1) no place for the address: closed at once; none at
//! all: the next waits in the system's queue; (2, 3) too slow or not TLS: the
//! connection is closed and its place is free again; (4) somebody does not
//! finish within [`STOP_WITHIN`]: cut off.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::linger::Lingering;
use super::places::Places;
use super::rates::Network;
use crate::limits::Limits;

/// How long requests in hand may take once the server stops.
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// Between two attempts when the system has no more sockets.
const BREATH: Duration = Duration::from_millis(100);
/// Most bytes of a connection that are read at once, and so the largest head of a
/// request: photos come in fewer pieces, and what all connections may hold at a
/// time stays at 64 MiB.
const READ_BYTES: usize = 32 * 1024;
/// Most header lines of a request.
const HEADERS: usize = 64;

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer(pub IpAddr);

/// Where connections come from: the system's sockets, or those of a simulated
/// network.
pub trait Listener {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Send + 'static;

    /// The next connection, and whose it is.
    ///
    /// # Errors
    /// There is none to give at the moment; it may be asked again.
    fn accept(&self) -> impl Future<Output = std::io::Result<(Self::Stream, SocketAddr)>>;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> std::io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = TcpListener::accept(self).await?;
        // Answers are written whole; waiting to fill packets only delays them.
        let _ = stream.set_nodelay(true);
        Ok((stream, address))
    }
}

/// Serves until `stop` is done and everything in hand is answered.
pub async fn serve<L: Listener>(
    listener: L,
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: &Limits,
    stop: impl Future<Output = ()>,
) {
    let door = Arc::new(Door {
        tls,
        router,
        header_timeout: Duration::from_secs(limits.header_timeout_s),
        write_timeout: Duration::from_secs(limits.body_timeout_s),
    });
    let places = Arc::new(Semaphore::new(limits.connections));
    let by_address = Places::new(limits.connections_per_address);
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            (accept(&listener).await, place)
        };
        let ((stream, address), place) = tokio::select! {
            () = &mut stop => break,
            accepted = accepted => accepted,
        };
        let Some(at_address) = by_address.take(Network::of(address.ip())) else {
            tracing::debug!("too many connections from one address");
            continue;
        };
        let door = door.clone();
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            door.connection(stream, address.ip(), watcher).await;
            drop((place, at_address));
        });
    }
    drop(listener);
    if tokio::time::timeout(STOP_WITHIN, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("somebody did not finish in time and was cut off");
    }
}

/// The next connection, however often the system has none to give.
async fn accept<L: Listener>(listener: &L) -> (L::Stream, SocketAddr) {
    let mut breath = tokio::time::interval(BREATH);
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::debug!(%error, "no connection could be accepted");
                breath.tick().await;
            }
        }
    }
}

struct Door {
    tls: Option<TlsAcceptor>,
    router: Router,
    header_timeout: Duration,
    write_timeout: Duration,
}

impl Door {
    async fn connection<S>(&self, stream: S, from: IpAddr, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.write_timeout));
        let stream: Pin<Box<_>> = Box::pin(stream);
        let Some(tls) = &self.tls else {
            return self.http(stream, from, watcher).await;
        };
        match tokio::time::timeout(self.header_timeout, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.http(stream, from, watcher).await,
            Ok(Err(error)) => tracing::debug!(%error, "no TLS"),
            Err(_) => tracing::debug!("the TLS handshake took too long"),
        }
    }

    async fn http<S>(&self, stream: S, from: IpAddr, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = hyper::service::service_fn(|request| self.answer(request, from));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .max_buf_size(READ_BYTES)
            .max_headers(HEADERS)
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%error, "a connection broke");
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        from: IpAddr,
    ) -> Result<Response<Body>, Infallible> {
        let (head, body) = request.into_parts();
        let body = Lingering::new(body);
        let mut request = Request::from_parts(head, Body::new(body.clone()));
        request.extensions_mut().insert(Peer(from));
        let response = self.router.clone().oneshot(request).await?;
        let status = response.status();
        // Who was too slow would be too slow again.
        if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT {
            body.throw_away().await;
        }
        Ok(response)
    }
}
