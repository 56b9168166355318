//! What a call can fail with: a variant to act on, a stable code, and one plain
//! sentence in Chinese and in English to show.

use shaodao_core::device::DeviceError;
use shaodao_core::evidence::watermark::WatermarkError;
use shaodao_core::explain;
use shaodao_core::store::StoreError;
use shaodao_core::sync::transport::TransportError;

/// What went wrong and what to do, for people.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Sentence {
    /// Stable, `snake_case`.
    pub code: String,
    /// In Chinese.
    pub zh: String,
    /// In English.
    pub en: String,
}

impl From<explain::Sentence> for Sentence {
    fn from(sentence: explain::Sentence) -> Self {
        let explain::Sentence { code, zh, en } = sentence;
        Self { code, zh, en }
    }
}

/// Why a call failed. Nothing is half-done; `said` is for people and carries the
/// stable code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, uniffi::Error)]
pub enum PhoneError {
    /// The action is not possible now.
    #[error("{}", .said.code)]
    Refused {
        /// Why.
        said: Sentence,
        /// The action's word.
        action: String,
        /// Where the record stands, as a stable word; `new` for one that is begun.
        stage: String,
    },
    /// Something in a form is missing or does not read.
    #[error("{}: {field}", .said.code)]
    Input {
        /// What is wrong.
        said: Sentence,
        /// Which field.
        field: String,
    },
    /// There is no such record on this phone, or it may not be shown at present.
    #[error("{}", .said.code)]
    NotShown {
        /// Why.
        said: Sentence,
    },
    /// The phone is nobody's yet, or somebody else's, or talks to the wrong server.
    #[error("{}", .said.code)]
    Enrolment {
        /// What is wrong.
        said: Sentence,
    },
    /// No room is left on this device; nothing was saved.
    #[error("{}", .said.code)]
    StorageFull {
        /// What to do.
        said: Sentence,
    },
    /// The database is damaged: `repair` the phone.
    #[error("{}", .said.code)]
    Damaged {
        /// What to do.
        said: Sentence,
    },
    /// The database could not do it: in use, encrypted with another key, newer.
    #[error("{}", .said.code)]
    Storage {
        /// What is wrong.
        said: Sentence,
    },
    /// The server cannot be reached; everything stays queued.
    #[error("{}", .said.code)]
    Offline {
        /// What is wrong.
        said: Sentence,
    },
    /// The server answered and did not do it; everything stays queued.
    #[error("{}", .said.code)]
    Server {
        /// Why.
        said: Sentence,
        /// When to try again, by the phone's wall clock, Unix milliseconds.
        again_at_ms: Option<i64>,
    },
    /// The phone is suspended or shut down.
    #[error("{}", .said.code)]
    Closed {
        /// What to do.
        said: Sentence,
    },
    /// `cancel`, `suspend` or `shutdown` stopped the call.
    #[error("{}", .said.code)]
    Cancelled {
        /// What it means.
        said: Sentence,
    },
    /// A defect of this library.
    #[error("{}", .said.code)]
    Internal {
        /// What is known of it.
        said: Sentence,
    },
}

/// The sentence of an error, in both languages.
#[uniffi::export]
pub fn explain_error(error: PhoneError) -> Sentence {
    error.said().clone()
}

impl PhoneError {
    /// The sentence for people.
    pub fn said(&self) -> &Sentence {
        match self {
            Self::Refused { said, .. }
            | Self::Input { said, .. }
            | Self::NotShown { said }
            | Self::Enrolment { said }
            | Self::StorageFull { said }
            | Self::Damaged { said }
            | Self::Storage { said }
            | Self::Offline { said }
            | Self::Server { said, .. }
            | Self::Closed { said }
            | Self::Cancelled { said }
            | Self::Internal { said } => said,
        }
    }

    pub(crate) fn input(field: &str) -> Self {
        let zh = format!("这一项没有填写,或格式不对:{field}");
        let en = format!("This is missing or does not read: {field}");
        Self::Input {
            said: explain::Sentence::new("bad_input", zh, en).into(),
            field: field.to_owned(),
        }
    }

    pub(crate) fn cancelled() -> Self {
        let zh = "已停止;此前保存的都在,没传完的下次接着传。";
        let en = "Stopped; everything saved is safe, and what was not sent goes next time.";
        Self::Cancelled {
            said: explain::Sentence::new("cancelled", zh, en).into(),
        }
    }

    pub(crate) fn internal(what: impl std::fmt::Display) -> Self {
        let zh = format!("应用内部出错,这一步没有完成;请重试,并告诉管理员:{what}");
        let en = format!("A defect in the app; this step was not done. Try again: {what}");
        Self::Internal {
            said: explain::Sentence::new("internal", zh, en).into(),
        }
    }
}

impl From<DeviceError> for PhoneError {
    fn from(error: DeviceError) -> Self {
        let said = explain::Sentence::from(&error).into();
        match error {
            DeviceError::Store(StoreError::Full) => Self::StorageFull { said },
            DeviceError::Store(StoreError::Damaged(_)) => Self::Damaged { said },
            DeviceError::Store(_) | DeviceError::Folder { .. } | DeviceError::Document(_) => {
                Self::Storage { said }
            }
            DeviceError::Refused(refused) => Self::Refused {
                said,
                action: refused.action,
                stage: refused.state.to_owned(),
            },
            DeviceError::NoSuchRecord
            | DeviceError::Hidden(_)
            | DeviceError::NothingToRedo
            | DeviceError::EvidenceNotHere => Self::NotShown { said },
            DeviceError::Watermark(WatermarkError::NotAFont | WatermarkError::NoSign(_)) => {
                Self::Input {
                    said,
                    field: "font".to_owned(),
                }
            }
            DeviceError::File { .. } | DeviceError::Picture(_) | DeviceError::Watermark(_) => {
                Self::Input {
                    said,
                    field: "path".to_owned(),
                }
            }
            DeviceError::NotEnrolled
            | DeviceError::NoDirectory
            | DeviceError::AlreadyEnrolled(_)
            | DeviceError::Ticket(_)
            | DeviceError::WrongServer => Self::Enrolment { said },
            DeviceError::Closed => Self::Closed { said },
            DeviceError::Envelope(_) => Self::Input {
                said,
                field: "text".to_owned(),
            },
            _ => Self::Server {
                said,
                again_at_ms: None,
            },
        }
    }
}

impl From<StoreError> for PhoneError {
    fn from(error: StoreError) -> Self {
        DeviceError::from(error).into()
    }
}

impl From<TransportError> for PhoneError {
    fn from(error: TransportError) -> Self {
        let said = explain::Sentence::from(&error).into();
        match error {
            TransportError::Device(error) => error.into(),
            TransportError::Unreachable(_) => Self::Offline { said },
            TransportError::ComeBack(put_off) => Self::Server {
                said,
                again_at_ms: Some(put_off.until_ms),
            },
            TransportError::Address(_) => Self::Input {
                said,
                field: "server".to_owned(),
            },
            TransportError::WrongPin => Self::Enrolment { said },
            _ => Self::Server {
                said,
                again_at_ms: None,
            },
        }
    }
}
