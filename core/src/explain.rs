//! What went wrong, and what will happen, for people: every error that a phone can meet as a stable
//! code and one plain sentence in Chinese and one in English. Apps show these;
//! the `Display` of the errors is for logs.

use crate::device::DeviceError;
use crate::domain::action::{EscalationCause, word_zh};
use crate::domain::calendar::local_text;
use crate::domain::escalation::{AT_ONCE, Next, To};
use crate::domain::finding::FindingStage;
use crate::domain::lease::Blind;
use crate::domain::reason::Reason;
use crate::domain::record::Refused;
use crate::domain::whistle::WhistleStage;
use crate::evidence::picture::{MAX_PIXELS, PictureError};
use crate::evidence::watermark::WatermarkError;
use crate::store::StoreError;
use crate::store::salvage::{Incident, Why};
use crate::sync::head::Contradiction;
use crate::sync::put_off::PutOff;
use crate::sync::settle::SettleError;
use crate::sync::transport::TransportError;
use crate::sync::wire::Standing;

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

impl From<Contradiction> for Sentence {
    fn from(contradiction: Contradiction) -> Self {
        let (zh, en) = match contradiction {
            Contradiction::WentBack => (
                "服务器的记录比本机见过的少,却没有说明恢复过备份;本机保存的都在,请联系管理员核查。",
                "The server has less than this phone has seen there, and does not say that it was \
                 restored; everything on this phone is kept. Ask for an inspection.",
            ),
            Contradiction::Differs => (
                "服务器的历史记录与本机见过的不一致,可能被改动;双方签名已留作证据,请联系管理员核查。",
                "The server's history differs from what this phone has seen and may have been \
                 altered; both signatures are kept as proof. Ask for an inspection.",
            ),
        };
        Self::new("server_contradiction", zh, en)
    }
}

impl From<Reason> for Sentence {
    fn from(reason: Reason) -> Self {
        Self::new(reason.code(), reason.zh(), reason.en())
    }
}

impl From<&Blind> for Sentence {
    fn from(blind: &Blind) -> Self {
        let (zh, en) = match blind {
            Blind::LeaseOver => (
                "这部手机太久没有联系服务器,暂时只显示您自己上报的记录;照常可以记录和上传,同步一次即恢复。",
                "This phone has not heard from the server for too long: it shows your own records \
                 only. Recording and sending go on; one sync brings the rest back.",
            ),
            Blind::Suspended => (
                "这部手机已被停用,只显示您自己上报的记录;您的操作照常保存和上传,由管理员核对,请联系管理员。",
                "This phone is suspended: it shows your own records only. What you do is kept and \
                 sent, and the administrator looks at it; ask the administrator.",
            ),
            Blind::Revoked => (
                "这部手机已被注销,只显示您自己上报的记录;没上传的操作仍可上传,由管理员核对,请联系管理员。",
                "This phone was revoked: it shows your own records only. What is not sent yet can \
                 still be sent, and the administrator looks at it; ask the administrator.",
            ),
        };
        Self::new(blind.word(), zh, en)
    }
}

/// Who can help with an action that was not plainly accepted, in Chinese and in
/// English.
pub fn who_can_help(standing: Standing, reason: Option<Reason>) -> (&'static str, &'static str) {
    match (standing, reason) {
        (Standing::Pending | Standing::Accepted, _) => ("无需处理", "nobody has to"),
        (Standing::Waiting, _) => (
            "不用处理,前序操作到达后自动处理",
            "nobody has to: it is judged when what it builds on arrives",
        ),
        (Standing::Late, _) => (
            "社区书记(街道哨令为街道调度员)可据此决定",
            "the secretary (for street whistles the dispatcher) may act on it",
        ),
        (Standing::Quarantined, Some(Reason::Returned)) => {
            ("您自己可以重做", "you can do it again yourself")
        }
        (Standing::Quarantined, _) => ("管理员可以放行或退回", "the administrator can release it"),
        (Standing::Refused, _) => ("管理员", "the administrator"),
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
                "数据库文件已损坏;请重新打开应用,未上传的操作另有备份,会自动找回。".to_owned(),
                "The database is damaged; open the app again. What was not sent has a second \
                 copy and is brought back.",
            ),
            StoreError::WrongKey => (
                "wrong_key",
                "数据库是用另一把钥匙加密的,没有改动它;请换回原来的钥匙,或联系管理员。".to_owned(),
                "The database is encrypted with another key and was left as it is; bring the \
                 right key back or ask the administrator.",
            ),
            StoreError::NoCipher => (
                "no_cipher",
                "这个版本的应用不能加密数据库,什么都没有保存;请换用正式版本。".to_owned(),
                "This build of the app cannot encrypt the database, and nothing was saved; use a \
                 released one.",
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

impl From<&Incident> for Sentence {
    fn from(incident: &Incident) -> Self {
        let Incident {
            aside,
            queued,
            salvaged,
            lost,
            ..
        } = incident;
        let (zh, en) = match incident.why {
            Why::Damaged => ("数据库文件损坏", "The database was damaged"),
            Why::Restored => (
                "这些数据是从备份恢复或从别处复制来的",
                "These files are a restored backup or a copy",
            ),
        };
        let (device_zh, device_en) = match incident.same_device {
            true => (
                "手机已重建,同步后恢复全部记录",
                "the phone was rebuilt, and syncing brings every record back",
            ),
            false => (
                "这是一台新设备,需要重新登记",
                "this is a new device and must enrol again",
            ),
        };
        Self::new(
            incident.why.word(),
            format!(
                "{zh},已移到 {aside},没有删除;{device_zh}。未上传的操作:待上传 {queued} 项,待本人重做 {salvaged} 项,内容丢失 {lost} 项。"
            ),
            format!(
                "{en}; they were moved to {aside}, nothing was deleted; {device_en}. Actions not \
                 sent: {queued} queued, {salvaged} to be done again, {lost} of which only the \
                 name is left."
            ),
        )
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
            DeviceError::NoDirectory => Self::new(
                "no_directory",
                "名录随损坏的数据库丢失了,请先同步一次。",
                "The directory was lost with the damaged database; sync once.",
            ),
            DeviceError::AlreadyEnrolled(person) => Self::new(
                "already_enrolled",
                format!(
                    "这部手机已经登记在 {person} 名下;服务器不认识它时,请用 shaodao enrol --again 重新登记。"
                ),
                format!(
                    "This phone is enrolled already, for {person}; if the server does not know \
                     it, use `shaodao enrol --again`."
                ),
            ),
            DeviceError::Document(error) => Self::new(
                "document",
                format!("记录写不进去,没有保存:{error}"),
                format!("The record cannot be written; nothing was saved: {error}"),
            ),
            DeviceError::Envelope(error) => error.reason().into(),
            DeviceError::Ticket(error) => Self::new(
                "not_a_ticket",
                "登记码不对:应为十个字母或数字,或扫描到的 shaodao://enrol?… 整行。",
                format!(
                    "Not a ticket ({error}): ten letters or digits, or the whole \
                     shaodao://enrol?… line of a QR code."
                ),
            ),
            DeviceError::Hidden(blind) => blind.into(),
            DeviceError::Picture(error)
            | DeviceError::Watermark(WatermarkError::Picture(error)) => error.into(),
            DeviceError::Watermark(WatermarkError::NotAFont) => Self::new(
                "not_a_font",
                "这不是 TrueType 或 OpenType 字体文件,没有生成水印图。",
                "This is not a TrueType or OpenType font; no copy was made.",
            ),
            DeviceError::Watermark(WatermarkError::NoSign(sign)) => Self::new(
                "no_such_sign",
                format!("字体里没有“{sign}”字,没有生成水印图;请换一个中文字体。"),
                format!(
                    "The font has no sign for {sign}, so no copy was made; use a font with \
                     Chinese signs."
                ),
            ),
            DeviceError::File { path, error } => Self::new(
                "file",
                format!("读不了文件 {}:{error};没有保存。", path.display()),
                format!(
                    "The file {} cannot be read: {error}; nothing was saved.",
                    path.display()
                ),
            ),
            DeviceError::EvidenceNotHere => Self::new(
                "evidence_not_here",
                "这份佐证还没有到这部手机上;请先同步,或等它传到服务器。",
                "This evidence is not on this phone yet; sync first, or wait until it has \
                 arrived at the server.",
            ),
            DeviceError::OtherEvidence => Self::new(
                "other_evidence",
                "服务器给的不是这份佐证(校验不符),没有采用;请稍后再试。",
                "What the server sent is not this evidence (its hash differs); it was not \
                 taken. Try again later.",
            ),
            DeviceError::NothingToRedo => Self::new(
                "nothing_to_redo",
                "没有这样一条可以重做的操作;请看 shaodao troubles。",
                "There is no such action to do again; see `shaodao troubles`.",
            ),
            DeviceError::Closed => Self::new(
                "closed",
                "手机数据已关闭(应用在后台或正在退出),这一步没有做;回到应用后再试。",
                "The phone's data is closed (the app is in the background or ending); this step \
                 was not done. Try again in the app.",
            ),
            DeviceError::WrongServer => Self::new(
                "wrong_server",
                "应答的不是您街道的服务器,已停止,什么都没有交出去;请联系管理员。",
                "Another server than your street's answered; stopped, nothing was handed over, \
                 ask the administrator.",
            ),
            DeviceError::Edition(_) => Self::new(
                "directory_not_trusted",
                "服务器发来的名录没有通过验证,没有采用,原有名录和待上传的都还在;请联系管理员。",
                format!(
                    "The directory that came is not to be trusted; it was not taken, what was \
                     here stays, ask the administrator. ({error})"
                ),
            ),
            DeviceError::Settle(SettleError::NotThisServer) => Self::new(
                "not_this_server",
                "答复不是由本机登记的服务器签发的,什么都没有改动,待上传的都还在;请联系管理员。",
                "The answer is not signed by the server that this phone was enrolled with; nothing \
                 changed, everything stays queued. Ask the administrator.",
            ),
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

impl From<&PictureError> for Sentence {
    fn from(error: &PictureError) -> Self {
        match error {
            PictureError::NotAPicture => Self::new(
                "not_a_picture",
                "这不是 JPEG、PNG 或 WebP 照片,没有保存。",
                "This is not a JPEG, PNG or WebP photo; nothing was saved.",
            ),
            PictureError::TooManyPixels { width, height } => Self::new(
                "too_many_pixels",
                format!("照片太大:{width}×{height} 像素,最多 {MAX_PIXELS} 像素;没有保存。"),
                format!(
                    "The photo is too large: {width} × {height} pixels, at most {MAX_PIXELS} in \
                     all; nothing was saved."
                ),
            ),
            PictureError::Damaged(why) => Self::new(
                "damaged_picture",
                format!("照片已损坏或不完整,没有保存;请重拍({why})。"),
                format!(
                    "The photo is damaged or incomplete; nothing was saved, take it again. ({why})"
                ),
            ),
        }
    }
}

impl From<&PutOff> for Sentence {
    fn from(put_off: &PutOff) -> Self {
        let again = local_text(put_off.until_ms);
        Self::new(
            &put_off.code,
            format!("{}{again}以后再传。", put_off.zh),
            format!("{} Not before {again}.", put_off.en),
        )
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
            TransportError::ComeBack(put_off) => put_off.into(),
            TransportError::WrongPin => Self::new(
                "wrong_pin",
                "对方不是登记时的那台服务器,什么都没有发给它,待上传的都还在;请联系管理员。",
                "This is not the server that the phone was enrolled at; nothing was said to it, \
                 everything stays queued. Ask the administrator.",
            ),
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
