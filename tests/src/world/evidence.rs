//! Evidence between phones and the server: the phones' own transport, carried to
//! the server's handlers without a socket.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response};
use tower::ServiceExt;

use shaodao_core::domain::evidence::Piece;
use shaodao_core::sync::evidence::{Link, Setting};
use shaodao_core::sync::transport::{Carrier, Carrying, EvidenceReport, Transport, TransportError};
use shaodao_server::evidence::settings::Settings;
use shaodao_server::evidence::sweep::Swept;

use super::World;

/// The server's settings. How full this machine's disk is must not decide how a story
/// ends, so nothing of it is left free.
pub(super) fn settings() -> Settings {
    Settings {
        reserve_bytes: 0,
        ..Settings::default()
    }
}

/// Carries requests to the server's handlers.
#[derive(Debug)]
struct Handlers(Router);

impl Carrier for Handlers {
    fn carry(&self, request: reqwest::Request) -> Carrying {
        let router = self.0.clone();
        Box::pin(async move {
            let body = request.body().and_then(reqwest::Body::as_bytes);
            let body = Body::from(body.unwrap_or_default().to_vec());
            let request = Request::<reqwest::Body>::try_from(request);
            let (head, _) = request.map_err(|error| error.to_string())?.into_parts();
            let answered = router.oneshot(Request::from_parts(head, body)).await;
            let (head, body) = answered.expect("infallible").into_parts();
            let body = to_bytes(body, usize::MAX).await;
            let body = body.map_err(|error| error.to_string())?;
            Ok(Response::from_parts(head, body).into())
        })
    }
}

impl World {
    /// Somebody's phone sends its evidence.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub fn send_evidence(&mut self, person: &str) -> Result<EvidenceReport, TransportError> {
        let transport = self.transport();
        let now = self.phones[person].now(self.now_ms);
        let phone = self.phones.get_mut(person).expect("a phone");
        let (setting, link) = (Setting::Now, Link::Station);
        let sending = transport.send_evidence(&mut phone.device, setting, link, || now, |_| {});
        let sent = self.runtime.block_on(sending);
        self.quiet();
        sent
    }

    /// Somebody's phone fetches a piece.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub fn fetch_evidence(&mut self, person: &str, piece: &Piece) -> Result<(), TransportError> {
        let transport = self.transport();
        let phone = self.phones.get_mut(person).expect("a phone");
        let fetching = transport.fetch_original(&mut phone.device, piece);
        self.runtime.block_on(fetching)
    }

    /// The server tidies evidence up.
    pub fn sweep_evidence(&self) -> Swept {
        let app = self.app().clone();
        let swept = self.runtime.block_on(app.evidence.sweep(&app));
        swept.expect("swept")
    }

    /// Somebody's phone begins to bring a piece, and goes no further.
    pub fn begin_upload(&mut self, person: &str, piece: &Piece) {
        let token = self
            .of(person)
            .device
            .prepare_sync()
            .expect("enrolled")
            .token;
        let app = self.app().clone();
        let caller = app.caller(&token).expect("reads").expect("a session");
        let (sealed, length) = (piece.sealed, piece.sealed_size());
        let begun = app.evidence.begin(&app, &caller, sealed, length);
        self.runtime.block_on(begun).expect("begins");
    }

    fn transport(&self) -> Transport {
        let server = self.server.as_ref().expect("the server is up");
        let handlers = Handlers(server.router.clone());
        let transport = Transport::new("http://world").expect("an address");
        transport.carried_by(Arc::new(handlers))
    }
}
