//! Where a whistle and each of its targets stand, as stable words and in
//! Chinese.

/// Where a whistle stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

impl WhistleStage {
    /// Every stage.
    pub const ALL: [WhistleStage; 9] = [
        Self::Issued,
        Self::InProgress,
        Self::FedBack,
        Self::Verified,
        Self::Escalated,
        Self::Concluded,
        Self::Evaluated,
        Self::Cancelled,
        Self::StoodDown,
    ];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::InProgress => "in_progress",
            Self::FedBack => "fed_back",
            Self::Verified => "verified",
            Self::Escalated => "escalated",
            Self::Concluded => "concluded",
            Self::Evaluated => "evaluated",
            Self::Cancelled => "cancelled",
            Self::StoodDown => "stood_down",
        }
    }

    /// In Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Issued => "已吹哨",
            Self::InProgress => "处理中",
            Self::FedBack => "已反馈",
            Self::Verified => "已核实",
            Self::Escalated => "已升级",
            Self::Concluded => "已结项",
            Self::Evaluated => "已评价",
            Self::Cancelled => "已撤销",
            Self::StoodDown => "已解除",
        }
    }

    /// The stage with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.word() == word)
    }

    /// Nothing is expected of its targets any more.
    pub fn is_over(self) -> bool {
        matches!(
            self,
            Self::Concluded | Self::Evaluated | Self::Cancelled | Self::StoodDown
        )
    }
}

/// Where one target stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

impl TargetStage {
    /// Every stage.
    pub const ALL: [TargetStage; 9] = [
        Self::Notified,
        Self::Signed,
        Self::Arrived,
        Self::Rework,
        Self::FedBack,
        Self::Verified,
        Self::Released,
        Self::Excused,
        Self::Declined,
    ];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Notified => "notified",
            Self::Signed => "signed",
            Self::Arrived => "arrived",
            Self::Rework => "rework",
            Self::FedBack => "fed_back",
            Self::Verified => "verified",
            Self::Released => "released",
            Self::Excused => "excused",
            Self::Declined => "declined",
        }
    }

    /// In Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Notified => "待签收",
            Self::Signed => "已签收",
            Self::Arrived => "已报到",
            Self::Rework => "返工中",
            Self::FedBack => "已反馈",
            Self::Verified => "已核实",
            Self::Released => "已放人",
            Self::Excused => "已免责",
            Self::Declined => "已谢绝",
        }
    }

    /// The stage with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.word() == word)
    }
}
