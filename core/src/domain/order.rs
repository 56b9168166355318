//! What a whistle orders (哨令): whom it summons, on which level, for which
//! findings, and until when.

use super::calendar::Limit;
use super::ids::{PersonId, RecordId};

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

/// The limit that a due time follows from, and the editions that it runs under:
/// a later edition changes nothing for what runs already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// When the clock started, Unix milliseconds.
    pub start_ms: i64,
    /// How long it runs.
    pub limit: Limit,
    /// Edition of the calendar.
    pub calendar: String,
    /// Edition of the policy.
    pub policy: String,
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
    /// and waits for the dispatcher's [`super::action::Body::Summon`].
    pub targets: Vec<Target>,
    /// Sign-by time, if one is set.
    pub sign_by_ms: Option<i64>,
    /// Report-in time, if one is set.
    pub report_by_ms: Option<i64>,
    /// Due time of the whole whistle, before extensions and suspensions.
    pub due_ms: i64,
    /// The limit that `due_ms` follows from; `None` for a date set by hand.
    pub terms: Option<Terms>,
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
    /// Report-by passed, and a mandatory target of the street has not come.
    NoArrival,
    /// A target of the street says that the order is not theirs, and is right.
    ObjectionUpheld,
}

impl EscalationCause {
    /// Every cause.
    pub const ALL: [EscalationCause; 5] = [
        Self::Asked,
        Self::TwoFailedVerifications,
        Self::DuePassed,
        Self::ObjectionUpheld,
        Self::NoArrival,
    ];

    /// The stable word.
    pub fn code(self) -> &'static str {
        match self {
            Self::DuePassed => "due_passed",
            Self::TwoFailedVerifications => "two_failed_verifications",
            Self::Asked => "asked",
            Self::NoArrival => "no_arrival",
            Self::ObjectionUpheld => "objection_upheld",
        }
    }

    /// In Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::DuePassed => "逾期未反馈",
            Self::TwoFailedVerifications => "多次核实不通过",
            Self::Asked => "社区申请升级",
            Self::NoArrival => "逾期未报到",
            Self::ObjectionUpheld => "退单成立",
        }
    }

    /// The cause with this word.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.code() == code)
    }
}
