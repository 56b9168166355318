//! Errors as callers see them: HTTP status, machine code, one sentence in
//! Chinese and one in English, and when to come back. What went wrong inside is
//! logged, not told.

use std::borrow::Cow;

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use shaodao_core::sync::put_off::DAILY_LIMIT;
use shaodao_core::sync::wire::{MAX_PUSHED, WireError};

use crate::app::SyncFailed;
use crate::db::DbError;
use crate::engine::EngineError;
use crate::evidence::Refused;
use crate::writer::WriteFailed;

/// When room is looked for again, seconds.
const FULL_WAIT_S: u64 = 600;

/// An error as a caller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    zh: Cow<'static, str>,
    en: Cow<'static, str>,
    /// Seconds after which it is worth trying again.
    retry_after_s: Option<u64>,
}

#[derive(serde::Serialize)]
struct Told {
    code: &'static str,
    zh: Cow<'static, str>,
    en: Cow<'static, str>,
}

impl ApiError {
    fn new(
        status: StatusCode,
        code: &'static str,
        zh: impl Into<Cow<'static, str>>,
        en: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            zh: zh.into(),
            en: en.into(),
            retry_after_s: None,
        }
    }

    fn come_back(
        code: &'static str,
        wait_s: u64,
        zh: impl Into<Cow<'static, str>>,
        en: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            retry_after_s: Some(wait_s),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, code, zh, en)
        }
    }

    pub(super) fn no_session() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "no_session",
            "登录已失效,请联系管理员重新登记这台手机。",
            "There is no valid session; ask the administrator to enrol this phone again.",
        )
    }

    pub(super) fn ticket_not_valid() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "ticket_not_valid",
            "登记码无效、已用过或已过期(15分钟),请管理员重新发一个。",
            "The ticket is unknown, used or older than 15 minutes; ask for a new one.",
        )
    }

    pub(super) fn enrolment_over() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "enrolment_over",
            "管理员没有确认这次登记,或已超过15分钟,请重新要一个登记码。",
            "The administrator did not confirm this enrolment, or 15 minutes have passed; ask \
             for a new ticket.",
        )
    }

    pub(super) fn not_proven() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "not_proven",
            "服务器不认识这台手机,请联系管理员重新登记;待上传的都还在手机上。",
            "The server does not know this phone; ask the administrator to enrol it again. \
             Everything to be sent is still on it.",
        )
    }

    pub(super) fn body_too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("请求超过{limit}字节或没有传完,没有处理。"),
            format!("The body is larger than {limit} bytes or was cut; nothing was processed."),
        )
    }

    pub(super) fn too_many_envelopes(most: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_many_envelopes",
            format!("一次最多上传{most}项,没有处理。"),
            format!("One request carries at most {most} envelopes; nothing was processed."),
        )
    }

    pub(super) fn body_too_slow(seconds: u64) -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_too_slow",
            format!("请求在{seconds}秒内没有传完,没有处理,稍后会自动重试。"),
            format!(
                "The body did not arrive within {seconds} seconds; nothing was processed, it will \
                 be sent again."
            ),
        )
    }

    pub(super) fn encoded_body() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "encoded_body",
            "请求不能再用gzip等方式压缩,没有处理。",
            "A content encoding such as gzip is not accepted; nothing was processed.",
        )
    }

    pub(super) fn address_rate(wait_s: u64) -> Self {
        Self::come_back(
            "address_rate",
            wait_s,
            "这个网络的请求太频繁,待上传的都还在,稍后再传。",
            "Too many requests come from this network; everything stays queued, come back later.",
        )
    }

    pub(super) fn device_rate(wait_s: u64) -> Self {
        Self::come_back(
            "device_rate",
            wait_s,
            "这台手机的请求太频繁,待上传的都还在,稍后再传。",
            "This phone asks too often; everything stays queued, come back later.",
        )
    }

    pub(super) fn device_busy() -> Self {
        Self::come_back(
            "device_busy",
            1,
            "这台手机还有请求没有处理完,待上传的都还在,稍后再传。",
            "Other requests of this phone are still being answered; everything stays queued, come \
             back later.",
        )
    }

    fn daily_limit(wait_s: u64) -> Self {
        Self::come_back(
            DAILY_LIMIT,
            wait_s,
            "这台手机今天的上传已达上限,其余的都还在手机上,明天自动再传。",
            "This phone has reached its limit for today; the rest stays on the phone and is sent \
             tomorrow.",
        )
    }

    pub(super) fn tus_version() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "tus_version",
            "照片上传须用tus 1.0.0协议(Tus-Resumable: 1.0.0)。",
            "Uploads speak tus 1.0.0; the request must say Tus-Resumable: 1.0.0.",
        )
    }

    pub(super) fn tus_malformed() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "tus_malformed",
            "上传请求缺少必需的内容,或格式不正确,没有处理。",
            "A header that this upload needs is missing or does not read; nothing was processed.",
        )
    }

    pub(super) fn not_an_offset_stream() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_an_offset_stream",
            "上传内容的类型须为application/offset+octet-stream。",
            "The body must be of type application/offset+octet-stream.",
        )
    }

    pub(super) fn range_not_there(length: u64) -> Self {
        Self::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "range_not_there",
            format!("这份佐证只有{length}字节。"),
            format!("This evidence has {length} bytes."),
        )
    }

    pub(super) fn unknown_path() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "unknown_path",
            "没有这个地址;本服务器的同步协议是/v1/sync。",
            "There is no such path; this server speaks /v1/sync.",
        )
    }

    pub(super) fn wrong_method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "wrong_method",
            "这个地址不支持这种请求。",
            "This path does not take that method.",
        )
    }

    pub(super) fn failed() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            "服务器出错,您的数据仍在手机上,稍后会自动重试。",
            "The server failed; what you sent is still on your phone and will be sent again.",
        )
    }

    fn malformed() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "malformed",
            "请求格式不正确,没有处理。",
            "The request is malformed; nothing was processed.",
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self {
            status,
            code,
            zh,
            en,
            retry_after_s,
        } = self;
        let mut response = (status, Json(Told { code, zh, en })).into_response();
        if let Some(seconds) = retry_after_s {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<WireError> for ApiError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::TooLarge(limit) => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "unpacks_too_large",
                format!("请求解压后超过{limit}字节,没有处理。"),
                format!("The body unpacks to more than {limit} bytes; nothing was processed."),
            ),
            WireError::TooMany => Self::too_many_envelopes(MAX_PUSHED),
            WireError::Compression => Self::new(
                StatusCode::BAD_REQUEST,
                "bad_compression",
                "请求无法解压,没有处理。",
                "The body does not decompress; nothing was processed.",
            ),
            WireError::Malformed(_) => Self::malformed(),
        }
    }
}

impl From<SyncFailed> for ApiError {
    fn from(error: SyncFailed) -> Self {
        match error {
            SyncFailed::Write(error) => error.into(),
            SyncFailed::OverQuota(over) => Self::daily_limit(over.wait_s),
        }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        let mismatch = StatusCode::from_u16(460).unwrap_or(StatusCode::CONFLICT);
        match refused {
            Refused::NoSuch => Self::new(
                StatusCode::NOT_FOUND,
                "no_such_evidence",
                "没有这份佐证,或者不是给您看的。",
                "There is no such evidence, or it is not for you.",
            ),
            Refused::Erased => Self::new(
                StatusCode::GONE,
                "evidence_erased",
                "这份佐证已经擦除。",
                "This evidence was erased.",
            ),
            Refused::Offset { offset } => Self::new(
                StatusCode::CONFLICT,
                "evidence_offset",
                format!("服务器已有{offset}字节,请从那里接着传。"),
                format!("{offset} bytes are here; go on from there."),
            ),
            Refused::Busy => Self::new(
                StatusCode::LOCKED,
                "evidence_busy",
                "这份佐证正由另一个请求上传,稍后再传。",
                "Another request is bringing this evidence; try again in a moment.",
            ),
            Refused::Size { wanted } => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "evidence_size",
                format!("长度与签名的操作不符,应为{wanted}字节。"),
                format!("The signed action says that there are {wanted} bytes."),
            ),
            Refused::TooMuch => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "evidence_size",
                "传来的比签名的操作所说的多,这次的不算。",
                "More came than the signed action says; this request does not count.",
            ),
            Refused::Hash => Self::new(
                mismatch,
                "evidence_hash",
                "传来的与签名的操作不符,已丢弃,请从头再传。",
                "What came is not what was signed; it was dropped, begin again.",
            ),
            Refused::Checksum => Self::new(
                mismatch,
                "evidence_checksum",
                "这一段的校验和不对,这一段不算。",
                "The checksum of this request is wrong; it does not count.",
            ),
            Refused::Key => Self::new(
                StatusCode::TOO_EARLY,
                "evidence_key",
                "已全部传到,但还没有收到密钥,请先同步。",
                "All of it is here, but its key is not; sync first.",
            ),
            Refused::Full => Self {
                retry_after_s: Some(FULL_WAIT_S),
                ..Self::new(
                    StatusCode::INSUFFICIENT_STORAGE,
                    "evidence_full",
                    "服务器存放佐证的空间已满,照片和录音留在手机上,以后再传;操作照常上传。",
                    "The server has no room for evidence; photos and voice notes stay on the phone \
                     and are sent later. Actions go on as usual.",
                )
            },
            Refused::Quota { wait_s } => Self {
                retry_after_s: Some(wait_s),
                ..Self::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "evidence_quota",
                    "这台手机今天上传的佐证已达上限,其余的都还在手机上,明天自动再传。",
                    "This phone has reached its limit of evidence for today; the rest stays on the \
                     phone and is sent tomorrow.",
                )
            },
            Refused::TooSlow | Refused::Cut => Self::new(
                StatusCode::REQUEST_TIMEOUT,
                "evidence_cut",
                "连接断了或太慢,已到的都算,请接着传。",
                "The connection broke or was too slow; what came counts, go on from there.",
            ),
            Refused::Write(error) => error.into(),
            error @ (Refused::Objects(_) | Refused::File(_)) => {
                tracing::error!(%error, "evidence failed");
                Self::failed()
            }
        }
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        tracing::error!(%error, "the database failed");
        Self::failed()
    }
}

impl From<WriteFailed> for ApiError {
    fn from(error: WriteFailed) -> Self {
        match error {
            WriteFailed::Engine(EngineError::Malformed(_)) => Self::malformed(),
            WriteFailed::Stopping => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "stopping",
                "服务器正在停止,稍后会自动重试。",
                "The server is going down; try again in a moment.",
            ),
            error => {
                tracing::error!(%error, "a job failed");
                Self::failed()
            }
        }
    }
}
