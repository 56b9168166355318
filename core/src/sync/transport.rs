//! The thin driver: one HTTP exchange, and the loop that repeats it until both
//! sides have said everything. An app with its own HTTP stack drives
//! [`Device::prepare_sync`] and [`Device::settle_sync`] itself.

use std::time::Duration;

use rand::Rng;

use super::enrol::Fingerprint;
use super::wire::{self, EnrolOffer, EnrolStanding, MAX_BODY_BYTES, SessionReply};
use crate::device::enrol::PendingEnrolment;
use crate::device::{Device, DeviceError, SyncOutcome};
use crate::domain::time::Moment;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a whole exchange.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(60);
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
    },
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

/// A server, by address.
#[derive(Debug, Clone)]
pub struct Transport {
    client: reqwest::Client,
    base: String,
    /// As it was given: what a phone keeps.
    address: String,
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
}

impl Transport {
    /// A server at `base`, such as `http://127.0.0.1:8470`.
    ///
    /// # Errors
    /// Not an HTTP address, or TLS cannot be set up.
    pub fn new(base: &str) -> Result<Self, TransportError> {
        if !(base.starts_with("http://") || base.starts_with("https://")) {
            return Err(TransportError::Address(base.to_owned()));
        }
        // Another component of the app may have chosen a provider before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(EXCHANGE_TIMEOUT)
            .build()
            .map_err(|error| TransportError::Address(chain(&error)))?;
        Ok(Self {
            client,
            base: base.trim_end_matches('/').to_owned(),
            address: base.to_owned(),
        })
    }

    /// Hands in a ticket: what the phone then shows. `fingerprint` is what an
    /// invitation says of the server's key.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub async fn hand_in(
        &self,
        device: &mut Device,
        rng: &mut impl Rng,
        ticket: &str,
        fingerprint: Option<Fingerprint>,
    ) -> Result<PendingEnrolment, TransportError> {
        let request = device.enrol_request(rng, ticket)?;
        let reply = self
            .post("/v1/enrol", None, wire::to_bytes(&request))
            .await?;
        let offer: EnrolOffer = wire::from_bytes(&reply)?;
        let pending = device.accept_offer(&self.address, fingerprint, &offer)?;
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
        device: &mut Device,
        now: impl Fn() -> Moment,
    ) -> Result<(), TransportError> {
        let ask = wire::to_bytes(&device.session_request(&[])?);
        let reply = self.post("/v1/session", None, ask).await?;
        let challenged: SessionReply = wire::from_bytes(&reply)?;
        let answer = wire::to_bytes(&device.session_request(&challenged.challenge)?);
        let sent_at = now();
        let reply = self.post("/v1/session", None, answer).await?;
        let opened: SessionReply = wire::from_bytes(&reply)?;
        let session = opened
            .session
            .ok_or(wire::WireError::Malformed("no session".to_owned()))?;
        Ok(device.accept_enrolment(&self.address, sent_at, &session)?)
    }

    /// One exchange of `POST /v1/sync`, bytes for bytes.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub async fn exchange(&self, token: &str, body: Vec<u8>) -> Result<Vec<u8>, TransportError> {
        self.post("/v1/sync", Some(token), body).await
    }

    /// Exchanges until nothing is left to say on either side; `progress` hears
    /// of every exchange.
    ///
    /// # Errors
    /// See [`TransportError`]; what was settled before stays settled.
    pub async fn sync(
        &self,
        device: &mut Device,
        now: impl Fn() -> Moment,
        mut progress: impl FnMut(&SyncReport),
    ) -> Result<SyncReport, TransportError> {
        let mut report = SyncReport::default();
        let mut renewed = false;
        while report.requests < MAX_EXCHANGES {
            let outgoing = device.prepare_sync()?;
            let sent_at = now();
            report.requests += 1;
            report.bytes_up += outgoing.body.len() as u64;
            let token = outgoing.token.clone();
            let reply = match self.exchange(&token, outgoing.body.clone()).await {
                Err(error) if error.is_no_session() && !renewed => {
                    renewed = true;
                    self.open_session(device, &now).await?;
                    continue;
                }
                reply => reply?,
            };
            report.bytes_down += reply.len() as u64;
            let outcome = device.settle_sync(&outgoing, sent_at, &reply)?;
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
        let unreachable = |error: reqwest::Error| TransportError::Unreachable(chain(&error));
        let mut request = self
            .client
            .post(format!("{}{path}", self.base))
            .header("content-type", "application/cbor")
            .body(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let mut reply = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if reply.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(TransportError::TooLarge);
            }
            reply.extend_from_slice(&chunk);
        }
        match status.is_success() {
            true => Ok(reply),
            false => Err(refusal(status.as_u16(), &reply)),
        }
    }
}

/// The server's own account of an error, or the bare status.
fn refusal(status: u16, body: &[u8]) -> TransportError {
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
