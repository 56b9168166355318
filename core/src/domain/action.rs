//! One thing one person did to a finding or a whistle.
//!
//! An action has two halves. Its [`Facts`] are register writes: the merge
//! engine keeps concurrent ones side by side, and it needs to know nothing of
//! what they mean. Its [`Body`] is what happened; the lifecycles in
//! [`super::finding`] and [`super::whistle`] give it effect.

use std::collections::BTreeMap;

use super::ids::{PersonId, PrivateId, RecordId};
use super::place::Position;
use super::private::PrivateKind;

/// The two kinds of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// A problem somebody found (问题).
    Finding,
    /// An order that summons targets (哨令).
    Whistle,
}

impl RecordKind {
    /// The number that stands for the kind in envelopes and stores.
    pub fn code(self) -> u8 {
        match self {
            Self::Finding => 1,
            Self::Whistle => 2,
        }
    }

    /// The kind with this number.
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Finding),
            2 => Some(Self::Whistle),
            _ => None,
        }
    }
}

/// A value in a register or a body field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A list; in bodies only, a register holds a scalar.
    List(Vec<Value>),
}

/// Register writes by name. See [`fact`] for the names in use.
pub type Facts = BTreeMap<String, Value>;

/// The registers of findings and whistles.
pub mod fact {
    /// Finding: category code, text such as `E0102`.
    pub const CATEGORY: &str = "category";
    /// Finding and whistle: one line.
    pub const TITLE: &str = "title";
    /// Finding: the whole story. Whistle: what is to be done.
    pub const DESCRIPTION: &str = "description";
    /// Finding: 1 (minor) to 4 (danger to life), integer.
    pub const SEVERITY: &str = "severity";
    /// Finding: position, the text form of `place::Position`.
    pub const POSITION: &str = "position";
    /// Finding: grid code, text.
    pub const GRID: &str = "grid";
    /// Finding and whistle: address phrase, text.
    pub const ADDRESS: &str = "address";
    /// Finding: number issued by the server, text.
    pub const NUMBER: &str = "number";
}

/// Who is summoned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// A person by name.
    Person(PersonId),
    /// Whoever holds a post in a grid.
    Post {
        /// Grid code.
        grid: String,
        /// Post code, such as `urban`.
        post: String,
    },
    /// A department, unit or organisation; its liaisons act for it.
    Organisation(String),
}

impl Party {
    /// The text form, `person:P01`, `post:GRID/urban` or `org:D01`: how a
    /// target is named in actions, stores and on the command line.
    pub fn key(&self) -> String {
        match self {
            Self::Person(person) => format!("person:{person}"),
            Self::Post { grid, post } => format!("post:{grid}/{post}"),
            Self::Organisation(id) => format!("org:{id}"),
        }
    }

    /// Reads the text form.
    pub fn parse(key: &str) -> Option<Self> {
        let (kind, name) = key.split_once(':')?;
        if name.is_empty() {
            return None;
        }
        match kind {
            "person" => Some(Self::Person(name.into())),
            "org" => Some(Self::Organisation(name.to_owned())),
            "post" => name
                .split_once('/')
                .filter(|(grid, post)| !grid.is_empty() && !post.is_empty())
                .map(|(grid, post)| Self::Post {
                    grid: grid.to_owned(),
                    post: post.to_owned(),
                }),
            _ => None,
        }
    }
}

/// One summoned party of a whistle (应哨方).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Who.
    pub party: Party,
    /// Lead (主办) or assist (协办).
    pub lead: bool,
    /// Mandatory targets hold the whistle open; voluntary ones may decline.
    pub mandatory: bool,
}

/// Which level blows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// A community (社区).
    Community,
    /// The street (街道).
    Street,
}

impl Level {
    /// 1 for a community, 2 for the street.
    pub fn code(self) -> u8 {
        match self {
            Self::Community => 1,
            Self::Street => 2,
        }
    }

    /// The level with this number.
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Community),
            2 => Some(Self::Street),
            _ => None,
        }
    }

    /// Where an escalation goes; `None` from the street, whose next step is a
    /// mark for the district.
    pub fn next(self) -> Option<Self> {
        match self {
            Self::Community => Some(Self::Street),
            Self::Street => None,
        }
    }
}

/// The content of a whistle (哨令).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Which level blows.
    pub level: Level,
    /// Platform, 1 to 5: departments, alliance, party, social, grid.
    pub platform: u8,
    /// Code of the blowing community or street.
    pub area: String,
    /// Findings to be solved; may be empty (a call for volunteers).
    pub findings: Vec<RecordId>,
    /// Who is summoned; a street whistle opened by an escalation starts empty
    /// and waits for the dispatcher's [`Body::Summon`].
    pub targets: Vec<Target>,
    /// Sign-by time, if one is set.
    pub sign_by_ms: Option<i64>,
    /// Report-in time, if one is set.
    pub report_by_ms: Option<i64>,
    /// Due time of the whole whistle.
    pub due_ms: i64,
    /// The community whistle that was escalated into this one.
    pub parent: Option<RecordId>,
}

/// Why the next level takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EscalationCause {
    /// Due passed without feedback of all mandatory targets.
    DuePassed,
    /// Two verifications failed.
    TwoFailedVerifications,
    /// The secretary says: cannot be solved here.
    Asked,
}

impl EscalationCause {
    /// The stable word.
    pub fn code(self) -> &'static str {
        match self {
            Self::DuePassed => "due_passed",
            Self::TwoFailedVerifications => "two_failed_verifications",
            Self::Asked => "asked",
        }
    }

    /// The cause with this word.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::DuePassed, Self::TwoFailedVerifications, Self::Asked]
            .into_iter()
            .find(|cause| cause.code() == code)
    }
}

/// What happened. Texts are plain, 0 to 4,000 characters; a reason is never
/// empty. Parties are [`Party::key`]s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Finding: reported (上报); the facts carry its content.
    Report,
    /// Finding or whistle: facts corrected (更正).
    Correct,
    /// Finding or whistle: a note (备注).
    Note {
        /// The note.
        text: String,
    },
    /// Finding: fixed on the spot (自处置).
    SelfResolve {
        /// What was done.
        text: String,
    },
    /// Finding: a self-resolution looked at by somebody else (复核).
    Review {
        /// Whether it really is solved.
        passed: bool,
        /// What was seen.
        text: String,
    },
    /// Finding: accepted (受理).
    Accept,
    /// Finding: the server's number for it (编号); the fact carries it.
    Number,
    /// Finding: declined (退回).
    Decline {
        /// Why.
        reason: String,
    },
    /// Finding: withdrawn by its reporter (撤回).
    Withdraw {
        /// Why.
        reason: String,
    },
    /// Finding: the same problem as another one (合并).
    Merge {
        /// The finding that stays.
        into: RecordId,
    },
    /// Finding: opened again (重开).
    Reopen {
        /// Why.
        reason: String,
    },
    /// Finding: personal data left beside it (托付); see [`super::private`].
    Confide {
        /// Commits to the ciphertext.
        item: PrivateId,
        /// What kind.
        kind: PrivateKind,
    },
    /// Finding: personal data erased everywhere (擦除).
    Erase {
        /// Which.
        item: PrivateId,
        /// Why.
        reason: String,
    },

    /// Whistle: issued (吹哨).
    Issue(Order),
    /// Whistle: more targets are summoned (加派).
    Summon {
        /// Who.
        targets: Vec<Target>,
    },
    /// Whistle: a target has seen the order (签收).
    Sign {
        /// For which target.
        party: String,
    },
    /// Whistle: a target's person is on site (报到).
    Arrive {
        /// For which target.
        party: String,
        /// How many people came, 1 to 999.
        heads: u32,
        /// Where, if the phone knew.
        position: Option<Position>,
    },
    /// Whistle: what a target did (处理反馈).
    Feedback {
        /// For which target.
        party: String,
        /// What was done.
        text: String,
    },
    /// Whistle: somebody else looked on site (核实).
    Verify {
        /// Whose work.
        party: String,
        /// Whether it is done.
        passed: bool,
        /// What was seen.
        text: String,
    },
    /// Whistle: the blower lets a target go (放人).
    Release {
        /// Whom.
        party: String,
    },
    /// Whistle: the blower excuses a target (免责).
    Excuse {
        /// Whom.
        party: String,
        /// Why.
        reason: String,
    },
    /// Whistle: closed by the blower (结项); releases every verified target.
    Conclude {
        /// The result.
        text: String,
    },
    /// Whistle: called off by the blower (撤销).
    Cancel {
        /// Why.
        reason: String,
    },
    /// Whistle: a score (评价).
    Evaluate {
        /// The scored target, or `blower`.
        party: String,
        /// 1 to 5.
        score: u32,
        /// In words.
        text: String,
    },
    /// Whistle: cannot be solved here (申请升级); the server acts on it.
    AskEscalation {
        /// Why.
        reason: String,
    },
    /// Whistle, server: the next level takes over (升级).
    Escalate {
        /// Why.
        cause: EscalationCause,
        /// The whistle that it opened.
        into: RecordId,
        /// Counts the escalations of this whistle, from 1.
        round: u32,
    },
    /// Whistle, server or dispatcher: an escalation is withdrawn (解除升级), on
    /// the escalated whistle and on the one it opened.
    StandDown {
        /// Which proof arrived, in words.
        text: String,
        /// Which escalation, from 1.
        round: u32,
    },
    /// Whistle, server: the proof arrived, but the street has acted; the
    /// dispatcher is asked to stand down.
    ProposeStandDown {
        /// Which proof arrived, in words.
        text: String,
        /// Which escalation, from 1.
        round: u32,
    },

    /// A kind that this build has never heard of: kept, never interpreted.
    Unknown {
        /// Its word.
        kind: String,
        /// Its fields as they came.
        fields: BTreeMap<u8, Value>,
    },
}

/// The scored side of an evaluation that is not a target.
pub const BLOWER: &str = "blower";

/// One action, before or after it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Which kind of record.
    pub kind: RecordKind,
    /// Which record.
    pub record: RecordId,
    /// Who did it.
    pub person: PersonId,
    /// Register writes.
    pub facts: Facts,
    /// What happened.
    pub body: Body,
}

impl Body {
    /// The action's word, the same in envelopes, stores, logs and CLI.
    pub fn word(&self) -> &str {
        match self {
            Self::Report => "report",
            Self::Correct => "correct",
            Self::Note { .. } => "note",
            Self::SelfResolve { .. } => "self_resolve",
            Self::Review { .. } => "review",
            Self::Accept => "accept",
            Self::Number => "number",
            Self::Decline { .. } => "decline",
            Self::Withdraw { .. } => "withdraw",
            Self::Merge { .. } => "merge",
            Self::Reopen { .. } => "reopen",
            Self::Confide { .. } => "confide",
            Self::Erase { .. } => "erase",
            Self::Issue(_) => "issue",
            Self::Summon { .. } => "summon",
            Self::Sign { .. } => "sign",
            Self::Arrive { .. } => "arrive",
            Self::Feedback { .. } => "feedback",
            Self::Verify { .. } => "verify",
            Self::Release { .. } => "release",
            Self::Excuse { .. } => "excuse",
            Self::Conclude { .. } => "conclude",
            Self::Cancel { .. } => "cancel",
            Self::Evaluate { .. } => "evaluate",
            Self::AskEscalation { .. } => "ask_escalation",
            Self::Escalate { .. } => "escalate",
            Self::StandDown { .. } => "stand_down",
            Self::ProposeStandDown { .. } => "propose_stand_down",
            Self::Unknown { kind, .. } => kind,
        }
    }

    /// The action in Chinese; the word itself for a kind of a newer build.
    pub fn zh(&self) -> &str {
        word_zh(self.word())
    }

    /// The target that the action speaks for or about, if it names one.
    pub fn party(&self) -> Option<&str> {
        match self {
            Self::Sign { party }
            | Self::Arrive { party, .. }
            | Self::Feedback { party, .. }
            | Self::Verify { party, .. }
            | Self::Release { party }
            | Self::Excuse { party, .. }
            | Self::Evaluate { party, .. } => Some(party),
            _ => None,
        }
    }
}

/// An action's word in Chinese; the word itself if it is not known here.
pub fn word_zh(word: &str) -> &str {
    match word {
        "report" => "上报",
        "correct" => "更正",
        "note" => "备注",
        "self_resolve" => "自处置",
        "review" => "复核",
        "accept" => "受理",
        "number" => "编号",
        "decline" => "退回",
        "withdraw" => "撤回",
        "merge" => "合并",
        "reopen" => "重开",
        "confide" => "托付隐私信息",
        "erase" => "擦除隐私信息",
        "issue" => "吹哨",
        "summon" => "加派",
        "sign" => "签收",
        "arrive" => "报到",
        "feedback" => "处理反馈",
        "verify" => "核实",
        "release" => "放人",
        "excuse" => "免责",
        "conclude" => "结项",
        "cancel" => "撤销",
        "evaluate" => "评价",
        "ask_escalation" => "申请升级",
        "escalate" => "升级",
        "stand_down" => "解除升级",
        "propose_stand_down" => "建议解除升级",
        word => word,
    }
}
