//! The thin driver: one HTTP exchange, and the loop that repeats it until both
//! sides have said everything. An app with its own HTTP stack is a [`Carrier`] of
//! the same requests.
//!
//! What can go wrong: no server, or one with the wrong key
//! ([`TransportError::WrongPin`]: nothing was said to it); a server without room
//! ([`TransportError::ComeBack`]: the phone remembers until when and does not
//! ask before). Everything stays queued.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rand::Rng;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore,
    SignatureScheme, WantsVerifier,
};

use super::enrol::Fingerprint;
use super::pin::{Pin, split_address};
use super::put_off::{LONGEST_MS, PutOff};
use super::wire::{self, EnrolOffer, EnrolStanding, MAX_BODY_BYTES, SessionReply};
use crate::device::enrol::PendingEnrolment;
use crate::device::{Device, DeviceError, SyncOutcome};
use crate::domain::time::Moment;

mod evidence;

pub use evidence::{Carried, EvidenceReport};

/// Longest wait for a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a whole exchange.
pub const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(60);
/// Most exchanges of one synchronisation, against a server that always has
/// more.
const MAX_EXCHANGES: u32 = 10_000;

/// The server could not be asked, or would not answer.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No connection, or it broke. Everything stays queued.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// The server answered with an error.
    #[error("the server refused ({status}, {code}): {en}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Machine code.
        code: String,
        /// In Chinese.
        zh: String,
        /// In English.
        en: String,
        /// Seconds after which it wants to be asked again, if it said so.
        retry_after_s: Option<u64>,
    },
    /// Who answered does not have the key that this phone pinned. Nothing was
    /// said to it.
    #[error("the server does not have the pinned key")]
    WrongPin,
    /// The server asked this phone to wait. Everything stays queued.
    #[error("the server asks to come back later ({}): {}", .0.code, .0.en)]
    ComeBack(PutOff),
    /// The answer is larger than any honest one.
    #[error("the answer is larger than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// The address is not one.
    #[error("not a server address: {0}")]
    Address(String),
    /// The phone could not use the answer.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The answer is not what belongs here.
    #[error(transparent)]
    Wire(#[from] wire::WireError),
}

impl TransportError {
    /// Whether the server did not know the session token.
    fn is_no_session(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "no_session")
    }
}

/// An answer that is on its way, or why there is none.
pub type Carrying = BoxFuture<'static, Result<reqwest::Response, String>>;

/// Who carries requests, where it is not this module's own HTTP client: an app
/// with one of its own, or a simulated network.
pub trait Carrier: std::fmt::Debug + Send + Sync {
    /// Sends a request and brings the answer, within [`CONNECT_TIMEOUT`] and
    /// [`EXCHANGE_TIMEOUT`]; or says why there is none.
    fn carry(&self, request: reqwest::Request) -> Carrying;
}

/// A server, by address.
#[derive(Debug, Clone)]
pub struct Transport {
    client: reqwest::Client,
    /// Carries what the client has put together; if there is none, the client
    /// does.
    carrier: Option<Arc<dyn Carrier>>,
    base: String,
    /// As it was given: what a phone keeps.
    address: String,
    wrong_pin: Arc<AtomicBool>,
}

/// What a synchronisation did, over all its exchanges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncReport {
    /// Sums over the exchanges.
    pub outcome: SyncOutcome,
    /// Requests sent.
    pub requests: u32,
    /// Bytes of request bodies.
    pub bytes_up: u64,
    /// Bytes of reply bodies.
    pub bytes_down: u64,
    /// What this phone did is not sent before then; what others did was fetched.
    pub put_off: Option<PutOff>,
    /// Own actions that are with the server and not answered yet.
    pub in_flight: usize,
}

/// A phone as the driver gets at it: for one step at a time, and never while the
/// network is awaited, so that whoever shares a phone goes on working with it.
pub trait Hold {
    /// Does one step on the phone.
    ///
    /// # Errors
    /// Those of the step, or the phone is out of reach.
    fn hold<T: Send>(
        &mut self,
        step: impl FnOnce(&mut Device) -> Result<T, DeviceError> + Send,
    ) -> impl Future<Output = Result<T, DeviceError>> + Send;
}

impl Hold for Device {
    async fn hold<T: Send>(
        &mut self,
        step: impl FnOnce(&mut Device) -> Result<T, DeviceError> + Send,
    ) -> Result<T, DeviceError> {
        step(self)
    }
}

impl Transport {
    /// A server by its address as a phone keeps it: `http://127.0.0.1:8470`,
    /// `https://name`, or `https://10.0.0.5:8470#pin=…` with the [`Pin`] that it
    /// is recognised by.
    ///
    /// # Errors
    /// Not such an address, or TLS cannot be set up.
    pub fn new(address: &str) -> Result<Self, TransportError> {
        let (base, pin) =
            split_address(address).map_err(|_| TransportError::Address(address.to_owned()))?;
        Self::pinned(base, pin)
    }

    /// A server at `base`; with a pin exactly the one that has this key, whoever
    /// vouches for it, and whatever its certificate says of names and dates.
    ///
    /// # Errors
    /// Not an HTTP address, a pin without TLS, or TLS cannot be set up.
    pub fn pinned(base: &str, pin: Option<Pin>) -> Result<Self, TransportError> {
        let is_tls = base.starts_with("https://");
        if !is_tls && (pin.is_some() || !base.starts_with("http://")) {
            return Err(TransportError::Address(base.to_owned()));
        }
        // Another component of the app may have chosen a provider before.
        let _ = ring::default_provider().install_default();
        let wrong_pin = Arc::new(AtomicBool::new(false));
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(EXCHANGE_TIMEOUT)
            // A session token is for one server.
            .redirect(reqwest::redirect::Policy::none());
        builder = match pin {
            Some(pin) => builder.tls_backend_preconfigured(recognising(pin, wrong_pin.clone())?),
            // Otherwise the system's certificates are read, which takes a while.
            None if !is_tls => builder.tls_backend_preconfigured(recognising_nobody()?),
            None => builder,
        };
        let client = builder
            .build()
            .map_err(|error| TransportError::Address(chain(&error)))?;
        Ok(Self {
            client,
            carrier: None,
            base: base.trim_end_matches('/').to_owned(),
            address: match pin {
                Some(pin) => format!("{base}#pin={pin}"),
                None => base.to_owned(),
            },
            wrong_pin,
        })
    }

    /// The same server, asked through somebody else's connections.
    #[must_use]
    pub fn carried_by(self, carrier: Arc<dyn Carrier>) -> Self {
        Self {
            carrier: Some(carrier),
            ..self
        }
    }

    /// Hands in a ticket: what the phone then shows. `fingerprint` is what an
    /// invitation says of the server's key.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub async fn hand_in(
        &self,
        phone: &mut impl Hold,
        rng: &mut (impl Rng + Send),
        ticket: &str,
        fingerprint: Option<Fingerprint>,
    ) -> Result<PendingEnrolment, TransportError> {
        let request = phone.hold(|device| device.enrol_request(rng, ticket));
        let request = request.await?;
        let reply = self
            .post("/v1/enrol", None, wire::to_bytes(&request))
            .await?;
        let offer: EnrolOffer = wire::from_bytes(&reply)?;
        let pending = phone.hold(|device| device.accept_offer(&self.address, fingerprint, &offer));
        let pending = pending.await?;
        self.is_confirmed(&pending).await?;
        Ok(pending)
    }

    /// Asks whether an administrator has confirmed the phone.
    ///
    /// # Errors
    /// See [`TransportError`]; one that was declined is refused.
    pub async fn is_confirmed(&self, pending: &PendingEnrolment) -> Result<bool, TransportError> {
        let body = wire::to_bytes(&pending.reveal);
        let reply = self.post("/v1/enrol/reveal", None, body).await?;
        Ok(wire::from_bytes::<EnrolStanding>(&reply)?.confirmed)
    }

    /// Opens a session: the last step of an enrolment, and whenever the token
    /// is lost or too old.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub async fn open_session(
        &self,
        phone: &mut impl Hold,
        now: impl Fn() -> Moment,
    ) -> Result<(), TransportError> {
        let ask = phone.hold(|device| device.session_request(&[])).await?;
        let ask = wire::to_bytes(&ask);
        let reply = self.post("/v1/session", None, ask).await?;
        let challenged: SessionReply = wire::from_bytes(&reply)?;
        let answer = phone.hold(|device| device.session_request(&challenged.challenge));
        let answer = wire::to_bytes(&answer.await?);
        let reply = self.post("/v1/session", None, answer).await?;
        let arrived_at = now();
        let opened: SessionReply = wire::from_bytes(&reply)?;
        let session = opened
            .session
            .ok_or(wire::WireError::Malformed("no session".to_owned()))?;
        let enrolled =
            phone.hold(|device| device.accept_enrolment(&self.address, arrived_at, &session));
        Ok(enrolled.await?)
    }

    /// One exchange of `POST /v1/sync`, bytes for bytes.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub async fn exchange(&self, token: &str, body: Vec<u8>) -> Result<Vec<u8>, TransportError> {
        self.post("/v1/sync", Some(token), body).await
    }

    /// Exchanges until nothing is left to say on either side; `progress` hears
    /// before and after every exchange. While the server has asked this phone to wait, it is
    /// not asked; if only sending has to wait, what others did is fetched.
    ///
    /// # Errors
    /// See [`TransportError`]; what was settled before stays settled.
    pub async fn sync(
        &self,
        phone: &mut impl Hold,
        now: impl Fn() -> Moment,
        mut progress: impl FnMut(&SyncReport),
    ) -> Result<SyncReport, TransportError> {
        let asked_at = now();
        let mut report = SyncReport {
            put_off: phone.hold(|device| device.put_off(asked_at)).await?,
            ..SyncReport::default()
        };
        let mut renewed = false;
        while report.requests < MAX_EXCHANGES {
            let outgoing = match &report.put_off {
                None => phone.hold(|device| device.prepare_sync()).await?,
                Some(put_off) if put_off.only_sending() => {
                    phone.hold(|device| device.prepare_pull()).await?
                }
                Some(put_off) => return Err(TransportError::ComeBack(put_off.clone())),
            };
            report.requests += 1;
            report.bytes_up += outgoing.body.len() as u64;
            report.in_flight = outgoing.actions();
            progress(&report);
            report.in_flight = 0;
            let token = outgoing.token.clone();
            let reply = match self.exchange(&token, outgoing.body.clone()).await {
                Err(error) if error.is_no_session() && !renewed => {
                    renewed = true;
                    self.open_session(phone, &now).await?;
                    continue;
                }
                Ok(reply) => reply,
                Err(error) => {
                    let put_off = asked_to_wait(error, now())?;
                    phone
                        .hold(|device| device.remember_put_off(&put_off))
                        .await?;
                    // Asked to stop sending although nothing was sent.
                    if report.put_off.is_some() {
                        return Err(TransportError::ComeBack(put_off));
                    }
                    report.put_off = Some(put_off);
                    continue;
                }
            };
            let arrived_at = now();
            report.bytes_down += reply.len() as u64;
            let outcome = phone.hold(|device| device.settle_sync(&outgoing, arrived_at, &reply));
            let outcome = outcome.await?;
            let more = outcome.more;
            report.outcome.add(outcome);
            progress(&report);
            if !more {
                break;
            }
        }
        Ok(report)
    }

    async fn post(
        &self,
        path: &str,
        token: Option<&str>,
        body: Vec<u8>,
    ) -> Result<Vec<u8>, TransportError> {
        let mut request = self
            .client
            .post(format!("{}{path}", self.base))
            .header("content-type", "application/cbor")
            .body(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        Ok(self.ask(request, MAX_BODY_BYTES).await?.body)
    }

    /// Sends a request and reads the answer, at most `most` bytes.
    async fn ask(
        &self,
        request: reqwest::RequestBuilder,
        most: usize,
    ) -> Result<Answered, TransportError> {
        let unreachable = |error: reqwest::Error| match self.wrong_pin.swap(false, Ordering::SeqCst)
        {
            true => TransportError::WrongPin,
            false => TransportError::Unreachable(chain(&error)),
        };
        let mut response = match &self.carrier {
            None => request.send().await.map_err(unreachable)?,
            Some(carrier) => {
                let request = request.build().map_err(unreachable)?;
                let carried = carrier.carry(request).await;
                carried.map_err(TransportError::Unreachable)?
            }
        };
        let status = response.status();
        let offset = response.headers().get("upload-offset");
        let offset = offset.and_then(|offset| offset.to_str().ok()?.parse().ok());
        let retry_after = response.headers().get("retry-after");
        let retry_after_s = retry_after.and_then(|seconds| seconds.to_str().ok()?.parse().ok());
        let mut reply = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if reply.len() + chunk.len() > most {
                return Err(TransportError::TooLarge);
            }
            reply.extend_from_slice(&chunk);
        }
        match status.is_success() {
            true => Ok(Answered {
                body: reply,
                offset,
            }),
            false => Err(refusal(status.as_u16(), retry_after_s, &reply)),
        }
    }
}

/// An answer that was none of an error.
struct Answered {
    body: Vec<u8>,
    /// `Upload-Offset`, if it has one.
    offset: Option<u64>,
}

/// The server's own account of an error, or the bare status.
fn refusal(status: u16, retry_after_s: Option<u64>, body: &[u8]) -> TransportError {
    let said: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let word = |name: &str, or: &str| {
        let text = said.get(name).and_then(serde_json::Value::as_str);
        text.unwrap_or(or).to_owned()
    };
    TransportError::Refused {
        status,
        code: word("code", "http_error"),
        zh: word("zh", "服务器没有说明原因。"),
        en: word("en", "The server gave no reason."),
        retry_after_s,
    }
}

/// How long a refusal asks this phone to wait.
///
/// # Errors
/// The refusal itself, if it says nothing of waiting.
fn asked_to_wait(error: TransportError, now: Moment) -> Result<PutOff, TransportError> {
    match error {
        TransportError::Refused {
            code,
            zh,
            en,
            retry_after_s: Some(seconds),
            ..
        } => {
            let wait_ms = i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(LONGEST_MS);
            Ok(PutOff {
                until_ms: now.wall_ms.saturating_add(wait_ms.clamp(1, LONGEST_MS)),
                code,
                zh,
                en,
            })
        }
        error => Err(error),
    }
}

/// TLS that recognises a server by its key.
fn recognising(pin: Pin, wrong_pin: Arc<AtomicBool>) -> Result<ClientConfig, TransportError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(KeyIsPinned {
        pin,
        provider: provider.clone(),
        wrong_pin,
    });
    Ok(tls(provider)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

/// TLS for a server that is spoken to without.
fn recognising_nobody() -> Result<ClientConfig, TransportError> {
    Ok(tls(Arc::new(ring::default_provider()))?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

fn tls(
    provider: Arc<CryptoProvider>,
) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, TransportError> {
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TransportError::Address(error.to_string()))
}

/// Accepts the certificate of one key. That the server *has* the key is shown by
/// its signature over the handshake, which is verified as always.
#[derive(Debug)]
struct KeyIsPinned {
    pin: Pin,
    provider: Arc<CryptoProvider>,
    /// Tells the transport why a connection failed.
    wrong_pin: Arc<AtomicBool>,
}

impl ServerCertVerifier for KeyIsPinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        if Pin::of_key_info(&parsed.subject_public_key_info()) == self.pin {
            return Ok(ServerCertVerified::assertion());
        }
        self.wrong_pin.store(true, Ordering::SeqCst);
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// An error with its causes, without the address that was asked.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}
