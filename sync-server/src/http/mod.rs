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

use shaodao_core::sync::wire::{self, EnrolRequest, MAX_BODY_BYTES, SyncRequest};

use crate::app::App;
use crate::clock::Clock;
use crate::db;
use crate::engine::Caller;

mod error;

use error::ApiError;

/// All routes of the server.
pub fn router(app: Arc<App>) -> Router {
    let mut routes = Router::new()
        .route("/v1/sync", post(sync))
        .route("/v1/enrol", post(enrol))
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
    let reply = app
        .writer
        .submit(move |engine| engine.enrol(&request))
        .await?;
    tracing::info!(person = %reply.person, "enrolled");
    Ok(cbor(wire::to_bytes(&reply)))
}

async fn live(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, ApiError> {
    caller(&app, &headers)?;
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
            db::set_meta(&engine.db, "rehearsal_now_ms", &now_ms)?;
            Ok(())
        })
        .await?;
    let escalated = app.watch_deadlines().await?;
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
