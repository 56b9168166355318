//! Errors as callers see them: HTTP status, machine code, one sentence in
//! Chinese and one in English. What went wrong inside is logged, not told.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use shaodao_core::sync::wire::WireError;

use crate::db::DbError;
use crate::engine::EngineError;
use crate::writer::WriteFailed;

/// An error as a caller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    zh: &'static str,
    en: &'static str,
}

#[derive(serde::Serialize)]
struct Told {
    code: &'static str,
    zh: &'static str,
    en: &'static str,
}

impl ApiError {
    const fn new(
        status: StatusCode,
        code: &'static str,
        zh: &'static str,
        en: &'static str,
    ) -> Self {
        Self {
            status,
            code,
            zh,
            en,
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

    pub(super) fn body_too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            "请求超过4MiB,没有处理。",
            "The body is larger than 4 MiB or was cut; nothing was processed.",
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

    fn failed() -> Self {
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
        } = self;
        (status, Json(Told { code, zh, en })).into_response()
    }
}

impl From<WireError> for ApiError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::TooLarge(_) => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "unpacks_too_large",
                "请求解压后超过16MiB,没有处理。",
                "The body unpacks to more than 16 MiB; nothing was processed.",
            ),
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
