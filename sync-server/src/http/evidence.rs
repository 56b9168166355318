//! Evidence over HTTP: tus 1.0 (core, creation, creation with upload, checksum,
//! expiration, termination) for what comes; ranges of something that never
//! changes for what goes. Takes requests apart, nothing more; what becomes of
//! them says [`crate::evidence`].

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http_range_header::{RangeUnsatisfiableError, parse_range_header};

use shaodao_core::domain::evidence::{MAX_PHOTO_BYTES, sealed_size};
use shaodao_core::domain::ids::{DeviceId, SealedId};
use shaodao_core::evidence::stream::MAX_SEALED_THUMBNAIL;
use shaodao_core::sync::evidence::{METADATA, OFFSET_STREAM, PATH, TUS};

use super::error::ApiError;
use super::places::Place;
use super::{Edge, caller};
use crate::app::App;
use crate::engine::Caller;
use crate::evidence::Refused;
use crate::evidence::receiving::{Checksum, ChecksumBy};
use crate::evidence::uploads::Progress;

/// Parts of tus beside its core that are spoken here.
const EXTENSIONS: &str = "creation,creation-with-upload,checksum,expiration,termination";
const CHECKSUMS: &str = "sha1,sha256";

const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const VERSION: HeaderName = HeaderName::from_static("tus-version");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
/// A proxy lets only GET and POST through: which method is meant.
const OVERRIDE: &str = "x-http-method-override";

type Answer = Result<Response, ApiError>;

/// What this server speaks.
pub(super) async fn options() -> Response {
    let max_size = sealed_size(MAX_PHOTO_BYTES).to_string();
    (
        StatusCode::NO_CONTENT,
        [
            (RESUMABLE, TUS.to_owned()),
            (VERSION, TUS.to_owned()),
            (
                HeaderName::from_static("tus-extension"),
                EXTENSIONS.to_owned(),
            ),
            (HeaderName::from_static("tus-max-size"), max_size),
            (
                HeaderName::from_static("tus-checksum-algorithm"),
                CHECKSUMS.to_owned(),
            ),
        ],
    )
        .into_response()
}

/// Somebody with a session who asks about evidence. That has places and a rate
/// of its own, so that pictures never hold up actions; the place is theirs while
/// this lives.
pub(super) struct Visit {
    app: Arc<App>,
    edge: Arc<Edge>,
    caller: Caller,
    headers: HeaderMap,
    _place: Place<DeviceId>,
}

impl FromRequestParts<Arc<App>> for Visit {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let caller = caller(app, &parts.headers)?;
        let edge: Option<&Arc<Edge>> = parts.extensions.get();
        let edge = edge.ok_or_else(ApiError::failed)?.clone();
        if let Some(rates) = &edge.rates {
            let often = rates.evidence(caller.device);
            often.map_err(|often| ApiError::device_rate(often.wait_s))?;
        }
        let place = edge.evidence.take(caller.device);
        Ok(Self {
            _place: place.ok_or_else(ApiError::device_busy)?,
            app: app.clone(),
            edge,
            caller,
            headers: parts.headers.clone(),
        })
    }
}

/// A visit of somebody who speaks tus as it is spoken here.
pub(super) struct TusVisit(Visit);

impl FromRequestParts<Arc<App>> for TusVisit {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let visit = Visit::from_request_parts(parts, app).await?;
        match text(&visit.headers, RESUMABLE.as_str()) {
            Some(TUS) => Ok(Self(visit)),
            _ => Err(ApiError::tus_version()),
        }
    }
}

/// Begins an upload, perhaps with its first bytes.
pub(super) async fn create(TusVisit(visit): TusVisit, body: Body) -> Answer {
    let headers = &visit.headers;
    let length = number(headers, UPLOAD_LENGTH.as_str())?.ok_or_else(ApiError::tus_malformed)?;
    if length > sealed_size(MAX_PHOTO_BYTES) {
        return Err(ApiError::body_too_large(
            usize::try_from(sealed_size(MAX_PHOTO_BYTES)).unwrap_or(usize::MAX),
        ));
    }
    let sealed = named_in_metadata(headers).ok_or_else(ApiError::tus_malformed)?;
    let Visit { app, caller, .. } = &visit;
    let mut progress = app.evidence.begin(app, caller, sealed, length).await?;
    if headers.contains_key(header::CONTENT_TYPE) {
        is_offset_stream(headers)?;
        // Only the beginning can come along.
        if progress.offset == 0 {
            let checksum = checksum(headers)?;
            let received = app.evidence.receive(app, caller, sealed, 0, body, checksum);
            progress = received.await?;
        }
    }
    let mut response = told(StatusCode::CREATED, progress);
    put(&mut response, header::LOCATION, format!("{PATH}/{sealed}"));
    Ok(response)
}

/// How far an upload has come.
pub(super) async fn head(TusVisit(visit): TusVisit, Path(name): Path<String>) -> Answer {
    let Visit { app, caller, .. } = &visit;
    let progress = app.evidence.progress(app, caller, sealed(&name)?).await?;
    let mut response = told(StatusCode::OK, progress);
    put(&mut response, header::CACHE_CONTROL, "no-store");
    Ok(response)
}

/// Takes more of an upload.
pub(super) async fn patch(
    TusVisit(visit): TusVisit,
    Path(name): Path<String>,
    body: Body,
) -> Answer {
    let headers = &visit.headers;
    is_offset_stream(headers)?;
    let offset = number(headers, UPLOAD_OFFSET.as_str())?.ok_or_else(ApiError::tus_malformed)?;
    let checksum = checksum(headers)?;
    let Visit { app, caller, .. } = &visit;
    let sealed = sealed(&name)?;
    let received = app
        .evidence
        .receive(app, caller, sealed, offset, body, checksum);
    Ok(told(StatusCode::NO_CONTENT, received.await?))
}

/// Gives an upload up.
pub(super) async fn delete(TusVisit(visit): TusVisit, Path(name): Path<String>) -> Answer {
    let Visit { app, caller, .. } = &visit;
    app.evidence.give_up(app, caller, sealed(&name)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A method that a proxy does not let through.
pub(super) async fn overridden(visit: TusVisit, name: Path<String>, body: Body) -> Answer {
    match visit.0.headers.get(OVERRIDE).map(HeaderValue::as_bytes) {
        Some(b"PATCH") => patch(visit, name, body).await,
        Some(b"DELETE") => delete(visit, name).await,
        Some(b"HEAD") => head(visit, name).await,
        _ => Err(ApiError::wrong_method()),
    }
}

/// Every answer says which version of tus it is.
pub(super) async fn says_tus(mut response: Response) -> Response {
    put(&mut response, RESUMABLE, TUS);
    if response.status() == StatusCode::PRECONDITION_FAILED {
        put(&mut response, VERSION, TUS);
    }
    response
}

/// The ciphertext, whole or a range of it.
pub(super) async fn get(visit: Visit, Path(name): Path<String>) -> Answer {
    let Visit {
        app,
        caller,
        headers,
        ..
    } = &visit;
    let sealed = sealed(&name)?;
    let delivery = app.evidence.delivery(app, caller, sealed)?;
    let tag = format!("\"{sealed}\"");
    if text(headers, header::IF_NONE_MATCH.as_str()).is_some_and(|tags| tags.contains(&tag)) {
        return Ok(immutable(StatusCode::NOT_MODIFIED, &tag, Body::empty()));
    }
    let length = delivery.length();
    let (status, range) = match wanted_range(headers, &tag, length) {
        Wanted::Whole => (StatusCode::OK, 0..length),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Nothing => {
            let mut response = ApiError::range_not_there(length).into_response();
            put(
                &mut response,
                header::CONTENT_RANGE,
                format!("bytes */{length}"),
            );
            return Ok(response);
        }
    };
    let bytes = app.evidence.send(app, &delivery, range.clone()).await?;
    app.metrics.evidence.sent.inc_by(range.end - range.start);
    let mut response = immutable(status, &tag, Body::from_stream(bytes));
    put(
        &mut response,
        header::CONTENT_LENGTH,
        range.end - range.start,
    );
    if status == StatusCode::PARTIAL_CONTENT {
        let last = range.end.saturating_sub(1);
        let told = format!("bytes {}-{last}/{length}", range.start);
        put(&mut response, header::CONTENT_RANGE, told);
    }
    Ok(response)
}

/// The sealed thumbnail.
pub(super) async fn thumbnail(visit: Visit, Path(name): Path<String>) -> Answer {
    let Visit { app, caller, .. } = &visit;
    let sealed = sealed(&name)?;
    let thumbnail = app.evidence.thumbnail(app, caller, sealed).await?;
    app.metrics.evidence.sent.inc_by(thumbnail.len() as u64);
    // Its nonce is random: two made of one piece differ.
    let tag = format!("\"{sealed}-thumbnail\"");
    Ok(immutable(StatusCode::OK, &tag, Body::from(thumbnail)))
}

/// Keeps a sealed thumbnail.
pub(super) async fn keep_thumbnail(
    visit: Visit,
    Path(name): Path<String>,
    request: Request,
) -> Answer {
    let body = visit.edge.body(request, MAX_SEALED_THUMBNAIL).await?;
    let Visit { app, caller, .. } = &visit;
    let sealed = sealed(&name)?;
    let kept = app
        .evidence
        .keep_thumbnail(app, caller, sealed, body.to_vec());
    kept.await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn told(status: StatusCode, progress: Progress) -> Response {
    let mut response = status.into_response();
    put(&mut response, UPLOAD_OFFSET, progress.offset);
    put(&mut response, UPLOAD_LENGTH, progress.length);
    if let Some(expires_ms) = progress.expires_ms {
        let expires = UNIX_EPOCH + Duration::from_millis(expires_ms.max(0).unsigned_abs());
        put(
            &mut response,
            UPLOAD_EXPIRES,
            httpdate::fmt_http_date(expires),
        );
    }
    response
}

/// What never changes under its name, and is for one person.
fn immutable(status: StatusCode, tag: &str, body: Body) -> Response {
    let mut response = (status, body).into_response();
    put(&mut response, header::ETAG, tag);
    put(&mut response, header::ACCEPT_RANGES, "bytes");
    put(
        &mut response,
        header::CONTENT_TYPE,
        "application/octet-stream",
    );
    let kept = "private, immutable, max-age=31536000";
    put(&mut response, header::CACHE_CONTROL, kept);
    response
}

fn put(response: &mut Response, name: HeaderName, value: impl ToString) {
    if let Ok(value) = HeaderValue::from_str(&value.to_string()) {
        response.headers_mut().insert(name, value);
    }
}

fn sealed(name: &str) -> Result<SealedId, ApiError> {
    // What is no name is nobody's name.
    hex(name).ok_or_else(|| ApiError::from(Refused::NoSuch))
}

fn hex(text: &str) -> Option<SealedId> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let bytes = (0..32).map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16));
    SealedId::from_slice(&bytes.collect::<Result<Vec<_>, _>>().ok()?)
}

fn is_offset_stream(headers: &HeaderMap) -> Result<(), ApiError> {
    match text(headers, header::CONTENT_TYPE.as_str()) {
        Some(OFFSET_STREAM) => Ok(()),
        _ => Err(ApiError::not_an_offset_stream()),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn number(headers: &HeaderMap, name: &str) -> Result<Option<u64>, ApiError> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let digits = value.to_str().ok().filter(|value| {
        let digit = |byte: u8| byte.is_ascii_digit();
        !value.is_empty() && value.bytes().all(digit)
    });
    let number = digits.and_then(|digits| digits.parse().ok());
    number.map(Some).ok_or_else(ApiError::tus_malformed)
}

/// The name that `Upload-Metadata` gives: 32 bytes, or 64 hexadecimal
/// characters.
fn named_in_metadata(headers: &HeaderMap) -> Option<SealedId> {
    let metadata = text(headers, "upload-metadata")?;
    let value = metadata.split(',').find_map(|pair| {
        let (name, value) = pair.trim().split_once(' ')?;
        (name == METADATA).then_some(value)
    })?;
    let bytes = BASE64.decode(value.trim()).ok()?;
    SealedId::from_slice(&bytes).or_else(|| hex(std::str::from_utf8(&bytes).ok()?))
}

fn checksum(headers: &HeaderMap) -> Result<Option<Checksum>, ApiError> {
    let Some(value) = headers.get("upload-checksum") else {
        return Ok(None);
    };
    let parsed = value.to_str().ok().and_then(|value| {
        let (name, value) = value.split_once(' ')?;
        let by = match name {
            "sha1" => ChecksumBy::Sha1,
            "sha256" => ChecksumBy::Sha256,
            _ => return None,
        };
        let value = BASE64.decode(value.trim()).ok()?;
        Some(Checksum { by, value })
    });
    parsed.map(Some).ok_or_else(ApiError::tus_malformed)
}

enum Wanted {
    Whole,
    Part(std::ops::Range<u64>),
    Nothing,
}

/// One range is given; several, or what makes no sense, are answered with the
/// whole; a range behind the end with nothing.
fn wanted_range(headers: &HeaderMap, tag: &str, length: u64) -> Wanted {
    let Some(range) = text(headers, header::RANGE.as_str()) else {
        return Wanted::Whole;
    };
    if text(headers, header::IF_RANGE.as_str()).is_some_and(|had| had != tag) {
        return Wanted::Whole;
    }
    let Ok(parsed) = parse_range_header(range) else {
        return Wanted::Whole;
    };
    match parsed.validate(length) {
        Ok(ranges) => match ranges.as_slice() {
            [one] => Wanted::Part(*one.start()..one.end() + 1),
            _ => Wanted::Whole,
        },
        Err(RangeUnsatisfiableError::Unsatisfiable) => Wanted::Nothing,
        Err(_) => Wanted::Whole,
    }
}
