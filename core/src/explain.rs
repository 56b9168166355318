//! What went wrong, and what will happen, for people: every error that a phone can meet as a stable
//! code and one plain sentence in Chinese and one in English. Apps show these;
//! the `Display` of the errors is for logs.

use crate::device::DeviceError;
use crate::domain::action::{EscalationCause, word_zh};
use crate::domain::calendar::local_text;
use crate::domain::escalation::{AT_ONCE, Next, To};
use crate::domain::finding::FindingStage;
use crate::domain::reason::Reason;
use crate::domain::record::Refused;
use crate::domain::whistle::WhistleStage;
use crate::store::StoreError;
use crate::sync::transport::TransportError;

/// What went wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// Stable, `snake_case`.
    pub code: String,
    /// In Chinese.
    pub zh: String,
    /// In English.
    pub en: String,
}

impl Sentence {
    /// A sentence of its own.
    pub fn new(code: &str, zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            zh: zh.into(),
            en: en.into(),
        }
    }
}

impl From<Reason> for Sentence {
    fn from(reason: Reason) -> Self {
        Self::new(reason.code(), reason.zh(), reason.en())
    }
}

impl From<&Refused> for Sentence {
    fn from(refused: &Refused) -> Self {
        let Refused {
            state,
            action,
            reason,
        } = refused;
        let stage = FindingStage::from_word(state)
            .map(FindingStage::zh)
            .or_else(|| WhistleStage::from_word(state).map(WhistleStage::zh))
            .unwrap_or("新记录");
        Self::new(
            reason.code(),
            format!("不能{}(现在:{stage}):{}", word_zh(action), reason.zh()),
            format!(
                "Cannot {} now ({}): {}",
                action.replace('_', " "),
                state.replace('_', " "),
                reason.en()
            ),
        )
    }
}

impl From<&Next> for Sentence {
    /// What happens if nobody does anything.
    fn from(next: &Next) -> Self {
        let by = local_text(next.at_ms);
        let (then_zh, then_en) = match next.to {
            To::Street(_) => ("升级到街道", "the street takes over"),
            To::District => ("提请区级督办", "the whistle is marked for the district"),
        };
        let (zh, en) = match next.cause {
            _ if next.at_ms == AT_ONCE => (
                format!("服务器收到后即{then_zh}({})。", next.cause.zh()),
                format!("As soon as the server hears of it, {then_en}."),
            ),
            EscalationCause::NoArrival => (
                format!("若{by}前没有报到,{then_zh}。"),
                format!("Unless every mandatory target arrives by {by}, {then_en}."),
            ),
            EscalationCause::DuePassed => (
                format!("若{by}前没有反馈,{then_zh}。"),
                format!("Unless every mandatory target feeds back by {by}, {then_en}."),
            ),
            cause => (
                format!("{by}以后{then_zh}({})。", cause.zh()),
                format!("After {by}, {then_en}."),
            ),
        };
        Self::new(next.cause.code(), zh, en)
    }
}

impl From<&StoreError> for Sentence {
    fn from(error: &StoreError) -> Self {
        let (code, zh, en) = match error {
            StoreError::Full => (
                "full",
                "手机存储空间已满,这一步没有保存;请清理空间后重试,此前保存的都在。".to_owned(),
                "No room left on this device; this step was not saved. Make room and try again, \
                 everything saved before is safe.",
            ),
            StoreError::Busy => (
                "busy",
                "数据库正被另一个程序使用,请稍后重试。".to_owned(),
                "Another program is using the database; try again shortly.",
            ),
            StoreError::Damaged(_) => (
                "damaged",
                "数据库文件已损坏,没有改动它;请联系管理员。".to_owned(),
                "The database is damaged; it was left as it is, ask the administrator.",
            ),
            StoreError::Newer(_) => (
                "newer_database",
                "数据库由新版应用写成,请更新应用。".to_owned(),
                "A newer app wrote this database; update the app.",
            ),
            other => (
                "database",
                format!("数据库出错,这一步没有保存:{other}"),
                "The database failed; this step was not saved.",
            ),
        };
        Self::new(code, zh, format!("{en} ({error})"))
    }
}

impl From<&DeviceError> for Sentence {
    fn from(error: &DeviceError) -> Self {
        match error {
            DeviceError::Store(error) => error.into(),
            DeviceError::Refused(refused) => refused.into(),
            DeviceError::NoSuchRecord => Reason::NoSuchRecord.into(),
            DeviceError::NotEnrolled => Self::new(
                "not_enrolled",
                "这部手机还没有登记,请先用管理员给的登记码登记。",
                "This phone is not enrolled yet; enrol it with a ticket from the administrator.",
            ),
            DeviceError::AlreadyEnrolled(person) => Self::new(
                "already_enrolled",
                format!("这部手机已经登记在 {person} 名下。"),
                format!("This phone is enrolled already, for {person}."),
            ),
            DeviceError::Document(error) => Self::new(
                "document",
                format!("记录写不进去,没有保存:{error}"),
                format!("The record cannot be written; nothing was saved: {error}"),
            ),
            DeviceError::Envelope(error) => error.reason().into(),
            DeviceError::Wire(_) | DeviceError::Settle(_) | DeviceError::Pack(_) => Self::new(
                "bad_reply",
                "服务器的答复读不懂,什么都没有改动,待上传的都还在。",
                format!(
                    "The server's answer makes no sense; nothing changed, everything stays \
                     queued. ({error})"
                ),
            ),
            DeviceError::Folder { path, error } => Self::new(
                "folder",
                format!("文件夹 {} 不能使用:{error}", path.display()),
                format!("The folder {} cannot be used: {error}", path.display()),
            ),
        }
    }
}

impl From<&TransportError> for Sentence {
    fn from(error: &TransportError) -> Self {
        match error {
            TransportError::Device(error) => error.into(),
            TransportError::Unreachable(why) => Self::new(
                "unreachable",
                format!("连不上服务器,待上传的都还在,有信号时再试({why})。"),
                format!(
                    "The server cannot be reached; everything stays queued, try again with a \
                     signal. ({why})"
                ),
            ),
            TransportError::Refused { code, zh, en, .. } => Self::new(code, zh, en),
            TransportError::Address(address) => Self::new(
                "address",
                format!("不是服务器地址:{address};应为 http://主机:端口 或 https://主机"),
                format!(
                    "Not a server address: {address}; expected http://host:port or https://host"
                ),
            ),
            TransportError::TooLarge | TransportError::Wire(_) => Self::new(
                "bad_reply",
                "服务器的答复读不懂,什么都没有改动,待上传的都还在。",
                format!(
                    "The server's answer makes no sense; nothing changed, everything stays \
                     queued. ({error})"
                ),
            ),
        }
    }
}
