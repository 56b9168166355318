//! The network on both sides: where the server's connections come from, and who
//! carries a phone's requests. The requests are the product's own.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Request, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio::time::timeout;
use turmoil::net::{TcpListener, TcpStream};

use shaodao_core::sync::transport::{
    CONNECT_TIMEOUT, Carrier, Carrying, EXCHANGE_TIMEOUT, Transport,
};
use shaodao_core::sync::wire::MAX_BODY_BYTES;
use shaodao_server::http::Listener;

/// The server's name in the network.
pub const SERVER: &str = "server";
/// Its port.
pub const PORT: u16 = 8470;

/// Connections of the simulated network.
pub struct Door(pub TcpListener);

impl Listener for Door {
    type Stream = TcpStream;

    async fn accept(&self) -> std::io::Result<(TcpStream, SocketAddr)> {
        self.0.accept().await
    }
}

/// The way from a phone to the server.
pub fn transport() -> Transport {
    let address = format!("http://{SERVER}:{PORT}");
    let transport = Transport::new(&address).expect("an address");
    transport.carried_by(Arc::new(Wire))
}

#[derive(Debug)]
struct Wire;

impl Carrier for Wire {
    fn carry(&self, request: reqwest::Request) -> Carrying {
        Box::pin(async move {
            let said = |error: &dyn std::error::Error| error.to_string();
            let connecting = timeout(CONNECT_TIMEOUT, TcpStream::connect((SERVER, PORT))).await;
            let stream = connecting.map_err(|error| said(&error))?;
            let stream = TokioIo::new(stream.map_err(|error| said(&error))?);
            let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
                .await
                .map_err(|error| said(&error))?;
            // Whoever gives up closes the connection.
            let mut driving = JoinSet::new();
            driving.spawn(connection);
            let exchange = async {
                let response = sender.send_request(as_it_travels(request)).await;
                let (head, body) = response.map_err(|error| said(&error))?.into_parts();
                let body = to_bytes(Body::new(body), MAX_BODY_BYTES).await;
                Ok::<_, String>((head, body.map_err(|error| said(&error))?))
            };
            let exchanged = timeout(EXCHANGE_TIMEOUT, exchange).await;
            let (head, body) = exchanged.map_err(|error| said(&error))??;
            Ok(axum::http::Response::from_parts(head, body).into())
        })
    }
}

/// A request as HTTP/1.1 puts it to the server itself.
fn as_it_travels(request: reqwest::Request) -> Request<Body> {
    let body = request.body().and_then(reqwest::Body::as_bytes);
    let body = Body::from(body.unwrap_or_default().to_vec());
    let request = Request::<reqwest::Body>::try_from(request).expect("a request");
    let (mut head, _) = request.into_parts();
    let host = head.uri.authority().expect("an address").to_string();
    let host = HeaderValue::from_str(&host).expect("a name");
    head.headers.insert(header::HOST, host);
    let path = head.uri.path_and_query().expect("a path").clone();
    head.uri = Uri::from(path);
    Request::from_parts(head, body)
}
