//! The thin edge: routes, bodies, errors, limits. Nothing is decided here.
//!
//! 1. [`serve`] takes a connection in, with or without TLS.
//! 2. `guard` asks whether its address comes too often.
//! 3. A handler asks who it is and whether that session comes too often, reads
//!    the body, bounded in size and time, and takes it apart.
//! 4. The answer, or an `error` with status, code and a sentence in two
//!    languages.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{Extension, MatchedPath, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, options, post};
use axum::{Json, Router};
use tokio::time::Instant;

use shaodao_core::domain::directory::DeviceState;
use shaodao_core::domain::ids::DeviceId;
use shaodao_core::sync::wire::{
    self, EnrolRequest, EnrolReveal, MAX_ENROL_BYTES, SessionRequest, SyncRequest,
};

use crate::app::App;
use crate::clock::Clock;
use crate::db;
use crate::engine::Caller;
use crate::enrol::NotValid;
use crate::limits::Limits;

mod serve;
// In the order of the sentences above.
mod linger;
//
mod places;
//
mod rates;
//
mod evidence;
//
mod error;

pub use serve::{Listener, serve};

use error::ApiError;
use places::{Place, Places};
use rates::Rates;
use serve::Peer;

/// Requests of one session at once: a phone has one, and one that it gave up on.
const AT_ONCE: usize = 4;
/// What an enrolment weighs beside a sync, for the rate of an address.
const ENROL_WEIGHT: u32 = 10;

/// What stands between the sockets and the app.
struct Edge {
    limits: Limits,
    rates: Option<Rates>,
    open: Places<DeviceId>,
    /// Requests about evidence.
    evidence: Places<DeviceId>,
}

/// All routes of the server, for one process: sizes are limited, how often
/// somebody asks is not, because time may stand still.
pub fn router(app: Arc<App>) -> Router {
    routes(app, Limits::default(), None)
}

/// All routes of the server, with all limits.
pub fn limited_router(app: Arc<App>, limits: Limits) -> Router {
    let rates = Rates::new(&limits, app.evidence.settings());
    routes(app, limits, Some(rates))
}

fn routes(app: Arc<App>, limits: Limits, rates: Option<Rates>) -> Router {
    let edge = Arc::new(Edge {
        limits,
        rates,
        open: Places::new(AT_ONCE),
        evidence: Places::new(app.evidence.settings().at_once),
    });
    let mut routes = Router::new()
        .route("/v1/sync", post(sync))
        .route("/v1/enrol", post(enrol))
        .route("/v1/enrol/reveal", post(reveal))
        .route("/v1/session", post(session))
        .route(
            "/v1/evidence",
            options(evidence::options)
                .post(evidence::create)
                .layer(middleware::map_response(evidence::says_tus)),
        )
        .route(
            "/v1/evidence/{sealed}",
            get(evidence::get)
                .head(evidence::head)
                .patch(evidence::patch)
                .delete(evidence::delete)
                .post(evidence::overridden)
                .options(evidence::options)
                .layer(middleware::map_response(evidence::says_tus)),
        )
        .route(
            "/v1/evidence/{sealed}/thumbnail",
            get(evidence::thumbnail).put(evidence::keep_thumbnail),
        )
        .route("/v1/live", get(live))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics));
    if matches!(app.clock, Clock::Rehearsal(_)) {
        routes = routes.route("/rehearsal/clock", post(set_clock));
    }
    routes
        .fallback(|| async { ApiError::unknown_path() })
        .method_not_allowed_fallback(|| async { ApiError::wrong_method() })
        .layer(middleware::from_fn_with_state(edge.clone(), guard))
        .layer(Extension(edge))
        .layer(middleware::from_fn_with_state(app.clone(), count))
        .with_state(app)
}

async fn sync(
    State(app): State<Arc<App>>,
    Extension(edge): Extension<Arc<Edge>>,
    request: Request,
) -> Result<Response, ApiError> {
    let started = Instant::now();
    let caller = caller(&app, request.headers())?;
    let _place = edge.session(caller.device)?;
    let limits = &edge.limits;
    let body = edge.body(request, limits.request_bytes).await?;
    let request: SyncRequest = wire::from_bytes_within(&body, limits.request_bytes)?;
    drop(body);
    if request.push.len() > limits.envelopes_per_request {
        return Err(ApiError::too_many_envelopes(limits.envelopes_per_request));
    }
    let reply = app.sync(caller, request, limits).await?;
    app.metrics
        .sync_seconds
        .observe(started.elapsed().as_secs_f64());
    Ok(cbor(wire::to_bytes(&reply)))
}

async fn enrol(
    State(app): State<Arc<App>>,
    Extension(edge): Extension<Arc<Edge>>,
    request: Request,
) -> Result<Response, ApiError> {
    let body = edge.body(request, MAX_ENROL_BYTES).await?;
    let request: EnrolRequest = wire::from_bytes_within(&body, MAX_ENROL_BYTES)?;
    let offer = app
        .writer
        .submit(move |engine| engine.hand_in(&request))
        .await?;
    let offer = offer.map_err(|NotValid| ApiError::ticket_not_valid())?;
    Ok(cbor(wire::to_bytes(&offer)))
}

async fn reveal(
    State(app): State<Arc<App>>,
    Extension(edge): Extension<Arc<Edge>>,
    request: Request,
) -> Result<Response, ApiError> {
    let body = edge.body(request, MAX_ENROL_BYTES).await?;
    let request: EnrolReveal = wire::from_bytes_within(&body, MAX_ENROL_BYTES)?;
    let standing = app
        .writer
        .submit(move |engine| engine.reveal(&request))
        .await?;
    let standing = standing.map_err(|NotValid| ApiError::enrolment_over())?;
    Ok(cbor(wire::to_bytes(&standing)))
}

async fn session(
    State(app): State<Arc<App>>,
    Extension(edge): Extension<Arc<Edge>>,
    request: Request,
) -> Result<Response, ApiError> {
    let body = edge.body(request, MAX_ENROL_BYTES).await?;
    let request: SessionRequest = wire::from_bytes_within(&body, MAX_ENROL_BYTES)?;
    let reply = app.session(request).await?;
    let reply = reply.ok_or_else(ApiError::not_proven)?;
    Ok(cbor(wire::to_bytes(&reply)))
}

async fn live(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, ApiError> {
    if caller(&app, &headers)?.state != DeviceState::Active {
        return Err(ApiError::no_session());
    }
    Ok(app.live.stream())
}

/// Ready to serve: the database answers. Phones are served whatever the clock
/// does; a second line says that deadlines are held.
async fn ready(State(app): State<Arc<App>>) -> Result<String, ApiError> {
    app.read(|db| db::meta::<Vec<u8>>(db, "epoch"))?;
    Ok(match app.metrics.clock_jump_ms.get() {
        0 => "ready\n".to_owned(),
        ahead_ms => format!(
            "ready\nclock: {} s {} what is plausible{}; if it is right: shaodao-server admin clock confirm\n",
            ahead_ms.unsigned_abs() / 1_000,
            if ahead_ms > 0 { "ahead of" } else { "behind" },
            if ahead_ms > 0 {
                ", no deadline fires"
            } else {
                ", deadlines fire late"
            },
        ),
    })
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    if let Ok(free) = app.evidence.free_bytes() {
        let free_bytes = &app.metrics.evidence.free_bytes;
        free_bytes.set(i64::try_from(free).unwrap_or(i64::MAX));
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.text()).into_response()
}

#[derive(serde::Deserialize)]
struct SetClock {
    now_ms: i64,
}

#[derive(serde::Serialize)]
struct Fired {
    now_ms: i64,
    escalated: usize,
}

/// A rehearsal's time moves on, and what is due happens before the answer.
async fn set_clock(
    State(app): State<Arc<App>>,
    Json(wanted): Json<SetClock>,
) -> Result<Json<Fired>, ApiError> {
    app.clock.set(wanted.now_ms);
    let now_ms = app.clock.now_ms();
    app.writer
        .submit(move |engine| {
            engine.note_rehearsal(now_ms)?;
            Ok(())
        })
        .await?;
    let escalated = app.watch_deadlines().await?;
    app.evidence.sweep(&app).await?;
    Ok(Json(Fired { now_ms, escalated }))
}

/// Who asks, by session token.
fn caller(app: &App, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or_else(ApiError::no_session)?;
    app.caller(token)?.ok_or_else(ApiError::no_session)
}

impl Edge {
    /// Lets a session in, if it does not come too often or with too much at
    /// once.
    fn session(&self, device: DeviceId) -> Result<Place<DeviceId>, ApiError> {
        if let Some(rates) = &self.rates {
            rates
                .device(device)
                .map_err(|often| ApiError::device_rate(often.wait_s))?;
        }
        self.open.take(device).ok_or_else(ApiError::device_busy)
    }

    /// The body of a request, at most `limit` bytes of it.
    async fn body(&self, request: Request, limit: usize) -> Result<Bytes, ApiError> {
        let length = request.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > limit as u64) {
            return Err(ApiError::body_too_large(limit));
        }
        let time = Duration::from_secs(self.limits.body_timeout_s);
        match tokio::time::timeout(time, to_bytes(request.into_body(), limit)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(_)) => Err(ApiError::body_too_large(limit)),
            Err(_) => Err(ApiError::body_too_slow(self.limits.body_timeout_s)),
        }
    }
}

/// What is asked of every request before anything of it is read.
async fn guard(State(edge): State<Arc<Edge>>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    if let (Some(rates), Some(Peer(address))) = (&edge.rates, peer) {
        let weight = match request.uri().path() {
            "/v1/enrol" => ENROL_WEIGHT,
            _ => 1,
        };
        if let Err(often) = rates.address(address, weight) {
            return ApiError::address_rate(often.wait_s).into_response();
        }
    }
    // Bodies are compressed by their own form; a second layer would be a second
    // bomb.
    if request.headers().contains_key(header::CONTENT_ENCODING) {
        return ApiError::encoded_body().into_response();
    }
    next.run(request).await
}

fn cbor(bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/cbor")], bytes).into_response()
}

async fn count(
    State(app): State<Arc<App>>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    let path = path.as_ref().map_or("other", MatchedPath::as_str);
    app.metrics.request(path, response.status().as_u16());
    if response.status() == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(path, "a request failed");
    }
    response
}
