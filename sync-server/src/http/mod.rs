//! The thin edge: routes, bodies, errors. Nothing is decided here.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::time::Instant;

use shaodao_core::domain::directory::DeviceState;
use shaodao_core::sync::wire::{
    self, EnrolRequest, EnrolReveal, MAX_BODY_BYTES, SessionRequest, SyncRequest,
};

use crate::app::App;
use crate::clock::Clock;
use crate::db;
use crate::engine::Caller;
use crate::enrol::NotValid;

mod error;

use error::ApiError;

/// All routes of the server.
pub fn router(app: Arc<App>) -> Router {
    let mut routes = Router::new()
        .route("/v1/sync", post(sync))
        .route("/v1/enrol", post(enrol))
        .route("/v1/enrol/reveal", post(reveal))
        .route("/v1/session", post(session))
        .route("/v1/live", get(live))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics));
    if let Clock::Rehearsal(_) = app.clock {
        routes = routes.route("/rehearsal/clock", post(set_clock));
    }
    routes
        .fallback(|| async { ApiError::unknown_path() })
        .method_not_allowed_fallback(|| async { ApiError::wrong_method() })
        .layer(middleware::from_fn_with_state(app.clone(), count))
        .with_state(app)
}

async fn sync(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let started = Instant::now();
    let caller = caller(&app, request.headers())?;
    let body = body(request.into_body()).await?;
    let request: SyncRequest = wire::from_bytes(&body)?;
    let reply = app.sync(caller, request).await?;
    app.metrics
        .sync_seconds
        .observe(started.elapsed().as_secs_f64());
    Ok(cbor(wire::to_bytes(&reply)))
}

async fn enrol(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let body = body(request.into_body()).await?;
    let request: EnrolRequest = wire::from_bytes(&body)?;
    let offer = app
        .writer
        .submit(move |engine| engine.hand_in(&request))
        .await?;
    let offer = offer.map_err(|NotValid| ApiError::ticket_not_valid())?;
    Ok(cbor(wire::to_bytes(&offer)))
}

async fn reveal(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let body = body(request.into_body()).await?;
    let request: EnrolReveal = wire::from_bytes(&body)?;
    let standing = app
        .writer
        .submit(move |engine| engine.reveal(&request))
        .await?;
    let standing = standing.map_err(|NotValid| ApiError::enrolment_over())?;
    Ok(cbor(wire::to_bytes(&standing)))
}

async fn session(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let body = body(request.into_body()).await?;
    let request: SessionRequest = wire::from_bytes(&body)?;
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

/// Ready to serve: the database answers.
async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, ApiError> {
    app.read(|db| db::meta::<Vec<u8>>(db, "epoch"))?;
    Ok("ready\n")
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
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
    let escalated = app
        .writer
        .submit(move |engine| {
            engine.note_rehearsal(now_ms)?;
            engine.fire_timers()
        })
        .await?;
    app.metrics.escalations.inc_by(escalated as u64);
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

async fn body(body: Body) -> Result<Vec<u8>, ApiError> {
    match to_bytes(body, MAX_BODY_BYTES).await {
        Ok(bytes) => Ok(bytes.into()),
        Err(_) => Err(ApiError::body_too_large()),
    }
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
