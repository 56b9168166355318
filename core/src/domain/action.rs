//! One thing one person did to a finding or a whistle.
//!
//! An action has two halves. Its [`Facts`] are register writes: the merge
//! engine keeps concurrent ones side by side, and it needs to know nothing of
//! what they mean. Its [`Body`] is what happened; the lifecycles in
//! [`super::finding`] and [`super::whistle`] give it effect.

use std::collections::BTreeMap;

use super::evidence::Piece;
use super::ids::{EnvelopeHash, EvidenceId, PersonId, PrivateId, RecordId};
use super::place::Position;
use super::private::PrivateKind;

pub use super::order::{EscalationCause, Level, Order, Party, Target, Terms};

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
    /// Finding and whistle: position, the text form of `place::Position`.
    pub const POSITION: &str = "position";
    /// Finding: grid code, text.
    pub const GRID: &str = "grid";
    /// Finding and whistle: address phrase, text.
    pub const ADDRESS: &str = "address";
    /// Finding: number issued by the server, text.
    pub const NUMBER: &str = "number";
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
    /// Finding or whistle: photos, voice notes, files that show it (附证); see
    /// [`super::evidence`].
    Attach {
        /// What they are, 1 to 20.
        pieces: Vec<Piece>,
    },
    /// Finding or whistle: evidence erased everywhere (擦除佐证).
    EraseEvidence {
        /// Which.
        piece: EvidenceId,
        /// Why.
        reason: String,
    },
    /// Finding or whistle: a reminder (催办); it changes no clock.
    Urge {
        /// The reminder.
        text: String,
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
        /// Why not at the whistle's place, where that has to be said.
        away: Option<String>,
    },
    /// Whistle: a voluntary target will not come (谢绝).
    DeclineSummons {
        /// For which target.
        party: String,
        /// Why.
        reason: String,
    },
    /// Whistle: what a target did (处理反馈).
    Feedback {
        /// For which target.
        party: String,
        /// What was done.
        text: String,
    },
    /// Whistle: a target says that the order is not theirs (退单); once.
    Object {
        /// For which target.
        party: String,
        /// Why.
        reason: String,
    },
    /// Whistle: a target asks for a later due time (申请延期).
    AskExtension {
        /// For which target.
        party: String,
        /// Until when, Unix milliseconds.
        until_ms: i64,
        /// Why.
        reason: String,
    },
    /// Whistle: a target asks to stop the clock (申请挂账).
    AskSuspension {
        /// For which target.
        party: String,
        /// When the reason is looked at again, Unix milliseconds; the clock
        /// runs on from then, unless it is asked for again.
        review_ms: i64,
        /// Why.
        reason: String,
    },
    /// Whistle: the blower rules on a request (裁定).
    Rule {
        /// The action that asked.
        request: EnvelopeHash,
        /// Granted (an objection: upheld), or not.
        granted: bool,
        /// The approved date of an extension or a suspension, if it differs
        /// from the asked one; Unix milliseconds.
        until_ms: Option<i64>,
        /// In words; a refusal says why.
        text: String,
    },
    /// Whistle: the clock runs on before the review date (恢复计时).
    Resume {
        /// Why.
        reason: String,
    },
    /// Whistle: the due time follows from other terms (重算期限).
    Recompute {
        /// The new due time, before extensions and suspensions.
        due_ms: i64,
        /// What it follows from; `None` for a date set by hand.
        terms: Option<Terms>,
        /// Why.
        reason: String,
    },
    /// Whistle: a superior demands an answer (督办).
    Supervise {
        /// Who has to answer: a target, or `blower`.
        party: String,
        /// What is demanded.
        text: String,
        /// Until when, Unix milliseconds.
        reply_by_ms: i64,
    },
    /// Whistle: the answer to a superior (督办回复).
    Reply {
        /// The action that demanded it.
        supervision: EnvelopeHash,
        /// The answer.
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

    /// Whistle, dispatcher: an escalation whose proof cannot be told, or came
    /// after the street had acted, stands (维持升级).
    Uphold {
        /// Why.
        reason: String,
        /// Which escalation, from 1.
        round: u32,
    },
    /// Whistle, server: when the phones of overdue targets were last heard of
    /// (最后联系), before anybody is blamed.
    LastHeard {
        /// Targets by key, and the server's time of the newest contact of any
        /// of their people's phones, Unix milliseconds.
        heard: Vec<(String, i64)>,
    },
    /// Whistle, server: marked for the supervision of the district (提请区级督办);
    /// a mark, no further whistle.
    MarkDistrict {
        /// Why.
        cause: EscalationCause,
        /// Counts the marks of this whistle, from 1.
        round: u32,
    },
    /// Whistle, server or dispatcher: a mark is withdrawn (撤销区级督办).
    WithdrawMark {
        /// Which proof arrived, or why else, in words.
        text: String,
        /// Which mark, from 1.
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

/// The side of a whistle that is not a target: scored in an evaluation, asked
/// by a superior.
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
            Self::Attach { .. } => "attach",
            Self::EraseEvidence { .. } => "erase_evidence",
            Self::Urge { .. } => "urge",
            Self::Issue(_) => "issue",
            Self::Summon { .. } => "summon",
            Self::Sign { .. } => "sign",
            Self::Arrive { .. } => "arrive",
            Self::Feedback { .. } => "feedback",
            Self::DeclineSummons { .. } => "decline_summons",
            Self::Object { .. } => "object",
            Self::AskExtension { .. } => "ask_extension",
            Self::AskSuspension { .. } => "ask_suspension",
            Self::Rule { .. } => "rule",
            Self::Resume { .. } => "resume",
            Self::Recompute { .. } => "recompute",
            Self::Supervise { .. } => "supervise",
            Self::Reply { .. } => "reply",
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
            Self::Uphold { .. } => "uphold",
            Self::LastHeard { .. } => "last_heard",
            Self::MarkDistrict { .. } => "mark_district",
            Self::WithdrawMark { .. } => "withdraw_mark",
            Self::Unknown { kind, .. } => kind,
        }
    }

    /// The action in Chinese; the word itself for a kind of a newer build.
    pub fn zh(&self) -> &str {
        word_zh(self.word())
    }

    /// The personal data that the action erases, if it does.
    pub fn erases(&self) -> Option<PrivateId> {
        match self {
            Self::Erase { item, .. } => Some(*item),
            _ => None,
        }
    }

    /// The evidence that the action erases, if it does.
    pub fn erases_evidence(&self) -> Option<EvidenceId> {
        match self {
            Self::EraseEvidence { piece, .. } => Some(*piece),
            _ => None,
        }
    }

    /// The target that the action speaks for or about, if it names one.
    pub fn party(&self) -> Option<&str> {
        match self {
            Self::Sign { party }
            | Self::Arrive { party, .. }
            | Self::Feedback { party, .. }
            | Self::DeclineSummons { party, .. }
            | Self::Object { party, .. }
            | Self::AskExtension { party, .. }
            | Self::AskSuspension { party, .. }
            | Self::Supervise { party, .. }
            | Self::Verify { party, .. }
            | Self::Release { party }
            | Self::Excuse { party, .. }
            | Self::Evaluate { party, .. } => Some(party),
            _ => None,
        }
    }

    /// The earlier action that this one answers, if it answers one.
    pub fn answers(&self) -> Option<EnvelopeHash> {
        match self {
            Self::Rule { request, .. } => Some(*request),
            Self::Reply { supervision, .. } => Some(*supervision),
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
        "attach" => "附证",
        "erase_evidence" => "擦除佐证",
        "urge" => "催办",
        "issue" => "吹哨",
        "summon" => "加派",
        "sign" => "签收",
        "arrive" => "报到",
        "feedback" => "处理反馈",
        "decline_summons" => "谢绝",
        "object" => "退单",
        "ask_extension" => "申请延期",
        "ask_suspension" => "申请挂账",
        "rule" => "裁定",
        "resume" => "恢复计时",
        "recompute" => "重算期限",
        "supervise" => "督办",
        "reply" => "督办回复",
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
        "uphold" => "维持升级",
        "last_heard" => "最后联系",
        "mark_district" => "提请区级督办",
        "withdraw_mark" => "撤销区级督办",
        word => word,
    }
}
