//! What waits for somebody's answer.
//!
//! Nothing is decided here: a question is put to whoever may give its answer,
//! and who may is what `available` says of the action that would be the answer.
//! Whoever sees a question has a button for it, and a question whose answer
//! nobody may give is put to nobody.
//!
//! A set-aside envelope is no question of a record's: nobody but an
//! administrator may look into it, on the server.

use super::action::Body;
use super::available::Available;
use super::deadline;
use super::escalation::Case;
use super::finding::{FindingStage, FindingState};
use super::history::{History, Registers};
use super::ids::{EnvelopeHash, PersonId};
use super::time::Judged;
use super::whistle::{Ask, TargetStage, TargetState};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// 解除升级待裁定: proof of timely work arrived after the street had acted,
    /// or its time cannot be told.
    StandDown,
    /// 区级督办标记: it stands until somebody withdraws it or the whistle ends.
    Mark,
    /// 待派单: a whistle of the street that summons nobody yet.
    Summon,
    /// 结项已被返工推翻: one's own conclusion, and a verification that failed
    /// at the same time. Whoever concluded hears of it here; the work goes on by
    /// itself.
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

impl Question {
    /// Every question, in the order in which they are asked.
    pub const ALL: [Question; 15] = [
        Self::Reply,
        Self::Answer,
        Self::Objection,
        Self::Extension,
        Self::Suspension,
        Self::StandDown,
        Self::Mark,
        Self::Summon,
        Self::Overtaken,
        Self::Verify,
        Self::Conclude,
        Self::Accept,
        Self::Double,
        Self::Review,
        Self::Disputed,
    ];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::Answer => "answer",
            Self::Objection => "objection",
            Self::Extension => "extension",
            Self::Suspension => "suspension",
            Self::StandDown => "stand_down",
            Self::Mark => "mark",
            Self::Summon => "summon",
            Self::Overtaken => "overtaken",
            Self::Verify => "verify",
            Self::Conclude => "conclude",
            Self::Accept => "accept",
            Self::Double => "double",
            Self::Review => "review",
            Self::Disputed => "disputed",
        }
    }

    /// In Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Reply => "督办待回复",
            Self::Answer => "应哨",
            Self::Objection => "退单待裁定",
            Self::Extension => "延期待裁定",
            Self::Suspension => "挂账待裁定",
            Self::StandDown => "解除升级待裁定",
            Self::Mark => "区级督办标记待处理",
            Self::Summon => "待派单",
            Self::Overtaken => "结项已被返工推翻",
            Self::Verify => "待核实",
            Self::Conclude => "待结项",
            Self::Accept => "待受理",
            Self::Double => "待受理,疑似重复",
            Self::Review => "待复核",
            Self::Disputed => "各方说法不一,待更正",
        }
    }

    /// In English.
    pub fn en(self) -> &'static str {
        match self {
            Self::Reply => "to reply",
            Self::Answer => "to answer",
            Self::Objection | Self::Extension | Self::Suspension => "to rule on",
            Self::StandDown => "to stand down or uphold",
            Self::Mark => "marked for the district",
            Self::Summon => "to summon somebody",
            Self::Overtaken => "conclusion overtaken",
            Self::Verify => "to verify",
            Self::Conclude => "to conclude",
            Self::Accept => "to accept",
            Self::Double => "to accept, may be a double",
            Self::Review => "to review",
            Self::Disputed => "disputed, to correct",
        }
    }
}

/// A question about one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// What is asked.
    pub question: Question,
    /// The target that it is about, or `blower`.
    pub party: Option<String>,
    /// The earlier action that an answer names: a request, a supervision.
    pub answers: Option<EnvelopeHash>,
    /// In the words of who asks; empty if they are nobody's.
    pub text: String,
    /// The date that goes with it, Unix milliseconds: by when, or until when.
    pub at_ms: Option<i64>,
    /// Whether something was done in time cannot be told by any clock: whoever
    /// answers decides that too.
    pub unsure: bool,
}

impl Waiting {
    fn of(question: Question) -> Self {
        Self {
            question,
            party: None,
            answers: None,
            text: String::new(),
            at_ms: None,
            unsure: false,
        }
    }
}

/// The questions of a whistle that `person` may answer. `steps` is what they
/// can do with it.
pub fn of_whistle(
    case: &Case<'_>,
    history: &History,
    person: &PersonId,
    steps: &[Available],
) -> Vec<Waiting> {
    let state = case.state;
    let can = |word: &str| steps.iter().any(|step| step.word == word);
    let can_answer = |word: &str, hash: EnvelopeHash| {
        let mut steps = steps.iter();
        steps.any(|step| step.word == word && step.answers == Some(hash))
    };
    let mut waiting = Vec::new();
    for demanded in state.open_supervisions() {
        if can_answer("reply", demanded.deed.hash) {
            waiting.push(Waiting {
                party: Some(demanded.party.clone()),
                answers: Some(demanded.deed.hash),
                text: demanded.deed.text.clone(),
                at_ms: Some(demanded.reply_by_ms),
                ..Waiting::of(Question::Reply)
            });
        }
    }
    waiting.extend(summoned(case, person, steps));
    for request in state.open_requests() {
        if can_answer("rule", request.asked.hash) {
            let question = match request.ask {
                Ask::Objection => Question::Objection,
                Ask::Extension { .. } => Question::Extension,
                Ask::Suspension { .. } => Question::Suspension,
            };
            let bracket = request.asked.entry.bracket(&case.rules().policy.time);
            let due = deadline::due(state, Some(case.directory));
            let judged = due.map(|due| bracket.judge(due.at_ms));
            waiting.push(Waiting {
                party: Some(request.party.clone()),
                answers: Some(request.asked.hash),
                text: request.asked.text.clone(),
                at_ms: request.ask.date_ms(),
                unsure: judged == Some(Judged::CannotSay),
                ..Waiting::of(question)
            });
        }
    }
    let in_force = state.escalated().filter(|it| it.upheld.is_none());
    let proposed = in_force.and_then(|it| it.proposed.as_ref());
    if let (Some(text), true) = (proposed, can("stand_down") && can("uphold")) {
        waiting.push(Waiting {
            text: text.clone(),
            unsure: case.is_unsure(),
            ..Waiting::of(Question::StandDown)
        });
    }
    if state.marked().is_some() && can("withdraw_mark") {
        waiting.push(Waiting::of(Question::Mark));
    }
    let order = state.order.as_ref();
    let from_below = order.is_some_and(|order| order.parent.is_some());
    if from_below && state.targets.is_empty() && can("summon") {
        waiting.push(Waiting {
            at_ms: order.and_then(|order| order.report_by_ms),
            ..Waiting::of(Question::Summon)
        });
    }
    let overtaken = history.entries().iter().any(|entry| {
        let concludes = matches!(entry.body, Body::Conclude { .. });
        concludes && entry.person == *person && !state.applied(&entry.hash)
    });
    if overtaken && !state.stage().is_over() {
        waiting.push(Waiting::of(Question::Overtaken));
    }
    let unverified = state.targets.iter().filter(|(key, target)| {
        let of = |step: &Available| step.word == "verify" && step.party.as_ref() == Some(key);
        target.stage() == TargetStage::FedBack && steps.iter().any(of)
    });
    let before = waiting.len();
    waiting.extend(unverified.map(|(key, _)| Waiting {
        party: Some(key.clone()),
        ..Waiting::of(Question::Verify)
    }));
    // Where everybody comes of their own accord, it ends when they are done.
    let is_done = |target: &TargetState| target.stage() >= TargetStage::FedBack;
    let done = match state.mandatory().next() {
        Some(_) => true,
        None => !state.targets.is_empty() && state.targets.values().all(is_done),
    };
    if waiting.len() == before && done && can("conclude") {
        waiting.push(Waiting::of(Question::Conclude));
    }
    waiting.extend(disputed(&state.facts, steps));
    waiting
}

/// Summonses of those whom `person` acts for, until they have fed back.
fn summoned(case: &Case<'_>, person: &PersonId, steps: &[Available]) -> Vec<Waiting> {
    let due = deadline::due(case.state, Some(case.directory));
    let mine = case.state.targets.iter().filter(|(key, target)| {
        let answers = |step: &Available| {
            let word = step.word.as_str();
            step.party.as_ref() == Some(key) && matches!(word, "sign" | "arrive" | "feedback")
        };
        case.directory.acts_for(person, &target.target.party)
            && target.stage() < TargetStage::FedBack
            && steps.iter().any(answers)
    });
    let waiting = mine.map(|(key, _)| Waiting {
        party: Some(key.clone()),
        at_ms: due.map(|due| due.at_ms),
        ..Waiting::of(Question::Answer)
    });
    waiting.collect()
}

/// The questions of a finding that somebody may answer who can take these
/// steps. `has_doubles` says whether other open findings may be the same.
pub fn of_finding(state: &FindingState, has_doubles: bool, steps: &[Available]) -> Vec<Waiting> {
    let can = |word: &str| steps.iter().any(|step| step.word == word);
    let mut waiting = Vec::new();
    match state.stage {
        FindingStage::Reported if can("accept") => {
            let question = match has_doubles && can("merge") {
                true => Question::Double,
                false => Question::Accept,
            };
            waiting.push(Waiting::of(question));
        }
        FindingStage::SelfResolved if can("review") => waiting.push(Waiting::of(Question::Review)),
        _ => {}
    }
    waiting.extend(disputed(&state.facts, steps));
    waiting
}

fn disputed(facts: &Registers, steps: &[Available]) -> Option<Waiting> {
    let open = facts
        .iter()
        .find(|(_, register)| !register.others.is_empty());
    let can = steps.iter().any(|step| step.word == "correct");
    open.filter(|_| can).map(|(name, _)| Waiting {
        text: name.clone(),
        ..Waiting::of(Question::Disputed)
    })
}
