//! The core's own words, as they cross the border: ids as hexadecimal text,
//! stages and roles as enums.
//!
//! The enums are the core's; what stands here tells the generators of Kotlin and
//! Swift about them, and does not compile if the two differ.

use shaodao_core::domain::action::word_zh;
use shaodao_core::domain::ids;

use crate::error::PhoneError;

pub use shaodao_core::device::evidence::Keep;
pub use shaodao_core::domain::action::Level;
pub use shaodao_core::domain::directory::Role;
pub use shaodao_core::domain::evidence::{Arrival, Shows};
pub use shaodao_core::domain::finding::FindingStage;
pub use shaodao_core::domain::limit::{AreaClass, Light};
pub use shaodao_core::domain::place::PositionSource;
pub use shaodao_core::domain::private::PrivateKind;
pub use shaodao_core::domain::statistics::Grouping;
pub use shaodao_core::domain::todo::Question;
pub use shaodao_core::domain::whistle::{TargetStage, WhistleStage};
pub use shaodao_core::sync::evidence::{Link, Setting};
pub use shaodao_core::sync::wire::Standing;

/// A finding or a whistle.
pub type RecordId = ids::RecordId;
/// One action, by the hash of its envelope.
pub type ActionId = ids::EnvelopeHash;
/// Personal data beside a finding.
pub type PrivateId = ids::PrivateId;
/// A piece of evidence, by the hash of its content.
pub type EvidenceId = ids::EvidenceId;

uniffi::custom_type!(RecordId, String, {
    remote,
    try_lift: |text| text.parse().map_err(|_| PhoneError::input("record").into()),
    lower: |id| id.to_string(),
});
uniffi::custom_type!(ActionId, String, {
    remote,
    try_lift: |text| text.parse().map_err(|_| PhoneError::input("action").into()),
    lower: |id| id.to_string(),
});
uniffi::custom_type!(PrivateId, String, {
    remote,
    try_lift: |text| text.parse().map_err(|_| PhoneError::input("item").into()),
    lower: |id| id.to_string(),
});
uniffi::custom_type!(EvidenceId, String, {
    remote,
    try_lift: |text| text.parse().map_err(|_| PhoneError::input("piece").into()),
    lower: |id| id.to_string(),
});

/// Where a finding stands.
#[uniffi::remote(Enum)]
pub enum FindingStage {
    /// 待受理
    Reported,
    /// 自处置待复核
    SelfResolved,
    /// 已受理
    Accepted,
    /// 已吹哨: a whistle carries it.
    Whistled,
    /// 已处理: every mandatory target of a whistle has fed back.
    Handled,
    /// 已核实
    Verified,
    /// 已结案
    Closed,
    /// 已退回
    Declined,
    /// 已合并
    Merged,
    /// 已撤回
    Withdrawn,
}

/// Where a whistle stands.
#[uniffi::remote(Enum)]
pub enum WhistleStage {
    /// 已吹哨
    Issued,
    /// 处理中: somebody has arrived.
    InProgress,
    /// 已反馈: every mandatory target has fed back.
    FedBack,
    /// 已核实: every mandatory target's work has passed verification.
    Verified,
    /// 已升级: the next level has taken over.
    Escalated,
    /// 已结项
    Concluded,
    /// 已评价
    Evaluated,
    /// 已撤销
    Cancelled,
    /// 已解除: opened by an escalation that was withdrawn.
    StoodDown,
}

/// Where one target of a whistle stands.
#[uniffi::remote(Enum)]
pub enum TargetStage {
    /// 待签收
    Notified,
    /// 已签收
    Signed,
    /// 已报到
    Arrived,
    /// 返工中: a verification failed, the next feedback is awaited.
    Rework,
    /// 已反馈
    FedBack,
    /// 已核实
    Verified,
    /// 已放人
    Released,
    /// 已免责: excused, or an objection was upheld.
    Excused,
    /// 已谢绝: a volunteer will not come.
    Declined,
}

/// What a clock shows at a glance; no light while it stands still.
#[uniffi::remote(Enum)]
pub enum Light {
    /// There is time.
    Green,
    /// 黄灯: 80 % of the limit are used.
    Yellow,
    /// 红灯: all of it is used.
    Red,
}

/// Where an action stands, on the server and in the phone's account of it.
#[uniffi::remote(Enum)]
pub enum Standing {
    /// 待上传: on this phone only.
    Pending,
    /// 已入账
    Accepted,
    /// 留痕: was possible on what its author had seen, has no effect any more.
    Late,
    /// 隔离: authentic, not permitted; kept whole.
    Quarantined,
    /// 等待: builds on something that has not arrived.
    Waiting,
    /// 拒收: not authentic or not well-formed; kept on this phone only.
    Refused,
}

/// What is asked of somebody.
#[uniffi::remote(Enum)]
pub enum Question {
    /// 督办待回复: a superior demands an answer.
    Reply,
    /// 应哨: somebody is summoned and has not fed back.
    Answer,
    /// 退单待裁定
    Objection,
    /// 延期待裁定
    Extension,
    /// 挂账待裁定
    Suspension,
    /// 解除升级待裁定: late proof for an escalation that the street has acted on,
    /// or whose time cannot be told.
    StandDown,
    /// 区级督办标记: it stands until somebody withdraws it or the whistle ends.
    Mark,
    /// 待派单: a whistle of the street that summons nobody yet.
    Summon,
    /// 结项已被返工推翻: an own conclusion was overtaken by a failed verification.
    Overtaken,
    /// 待核实
    Verify,
    /// 待结项
    Conclude,
    /// 待受理
    Accept,
    /// 疑似重复: before it is accepted, it may be the same as another one.
    Double,
    /// 待复核
    Review,
    /// 各方说法不一: people disagree about a fact.
    Disputed,
}

/// What somebody is, within a scope.
#[uniffi::remote(Enum)]
pub enum Role {
    /// 网格员; scope: a grid.
    Member,
    /// 社区书记; scope: a community.
    Secretary,
    /// 网格监督员; scope: a community or the street.
    Supervisor,
    /// 街道调度员; scope: the street.
    Dispatcher,
    /// 联络员; scope: an organisation.
    Liaison,
    /// 管理员; scope: the street.
    Administrator,
}

/// Which level blows.
#[uniffi::remote(Enum)]
pub enum Level {
    /// A community (社区).
    Community,
    /// The street (街道).
    Street,
}

/// How quickly things have to go in an area.
#[uniffi::remote(Enum)]
pub enum AreaClass {
    /// The limit as it stands.
    A,
    /// Half as long again.
    B,
    /// Twice as long.
    C,
}

/// Where a position comes from.
#[uniffi::remote(Enum)]
pub enum PositionSource {
    /// Satellites.
    Gps,
    /// Cells or Wi-Fi.
    Network,
    /// A pin on a map.
    Map,
    /// Typed or spoken.
    Manual,
}

/// What kind of personal data.
#[uniffi::remote(Enum)]
pub enum PrivateKind {
    /// 姓名: a resident's name.
    Name,
    /// 电话: a telephone number.
    Phone,
    /// 住址: where somebody lives.
    Home,
    /// 私密备注: a note that is not for everybody.
    Note,
}

/// What whistles are put together by in statistics.
#[uniffi::remote(Enum)]
pub enum Grouping {
    /// All of them.
    Street,
    /// By the blowing community; street whistles under the street.
    Community,
    /// By platform, 1 to 5.
    Platform,
    /// By summoned organisation.
    Department,
    /// By summoned post, whatever the grid.
    Post,
}

/// What a piece of evidence shows.
#[uniffi::remote(Enum)]
pub enum Shows {
    /// 现场照片: the scene as it was found.
    Scene,
    /// 处理前照片: before somebody worked on it.
    Before,
    /// 处理后照片: after that.
    After,
    /// 录音: somebody speaks.
    Voice,
    /// 文件: a document.
    File,
}

/// How far a piece of evidence has come.
#[uniffi::remote(Enum)]
pub enum Arrival {
    /// On its author's phone only, as far as is known.
    OnPhone,
    /// The server has all of it, and its hash is right.
    AtServer,
    /// The server has delivered it to another phone.
    Seen,
}

/// What a phone keeps of a picture that has arrived.
#[uniffi::remote(Enum)]
pub enum Keep {
    /// Everything.
    Original,
    /// The display copy and the thumbnail.
    Display,
    /// The thumbnail.
    Thumbnail,
}

/// When evidence is sent, as its owner wants.
#[uniffi::remote(Enum)]
pub enum Setting {
    /// On any connection.
    Now,
    /// On Wi-Fi, at the station included.
    Wifi,
    /// At the station only.
    Station,
    /// Neither originals nor thumbnails.
    Never,
}

/// What the phone is connected by now; the app knows.
#[uniffi::remote(Enum)]
pub enum Link {
    /// Somebody pays for every byte.
    Mobile,
    /// Wi-Fi.
    Wifi,
    /// The Wi-Fi of the station.
    Station,
}

/// A word for people, in both languages.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Words {
    /// In Chinese.
    pub zh: String,
    /// In English.
    pub en: String,
}

impl Words {
    pub(crate) fn new(zh: &str, en: &str) -> Self {
        Self {
            zh: zh.to_owned(),
            en: en.replace('_', " "),
        }
    }
}

/// A finding's stage in words.
#[uniffi::export]
pub fn finding_stage_words(stage: FindingStage) -> Words {
    Words::new(stage.zh(), stage.word())
}

/// A whistle's stage in words.
#[uniffi::export]
pub fn whistle_stage_words(stage: WhistleStage) -> Words {
    Words::new(stage.zh(), stage.word())
}

/// A target's stage in words.
#[uniffi::export]
pub fn target_stage_words(stage: TargetStage) -> Words {
    Words::new(stage.zh(), stage.word())
}

/// A light in words.
#[uniffi::export]
pub fn light_words(light: Light) -> Words {
    Words::new(light.zh(), light.word())
}

/// An action's standing in words.
#[uniffi::export]
pub fn standing_words(standing: Standing) -> Words {
    Words::new(standing.zh(), standing.en())
}

/// A question in words.
#[uniffi::export]
pub fn question_words(question: Question) -> Words {
    Words::new(question.zh(), question.en())
}

/// A role in words.
#[uniffi::export]
pub fn role_words(role: Role) -> Words {
    Words::new(role.zh(), role.word())
}

/// A kind of personal data in words.
#[uniffi::export]
pub fn private_kind_words(kind: PrivateKind) -> Words {
    Words::new(kind.zh(), kind.word())
}

/// An action's word, such as `self_resolve`, for people.
#[uniffi::export]
pub fn action_words(word: String) -> Words {
    Words::new(word_zh(&word), &word)
}
