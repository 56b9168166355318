//! Blowing a whistle, answering one, ruling on what is asked.

use shaodao_core::device::{Device, DeviceError, Draft};
use shaodao_core::domain::action::{
    Body, Facts, Level, Order, Party, RecordKind, Target, Value, fact,
};
use shaodao_core::domain::record::RecordState;
use shaodao_core::domain::time::Moment;

use crate::directory::Place;
use crate::error::PhoneError;
use crate::findings::Form;
use crate::phone::{Phone, Saved};
use crate::types::{ActionId, RecordId};

/// Whom to summon.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Summons {
    /// Key of the target.
    pub party: String,
    /// Lead (主办) or assist (协办).
    pub lead: bool,
    /// Mandatory targets hold the whistle open; voluntary ones may decline.
    pub mandatory: bool,
}

/// A whistle to blow.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct Call {
    /// Title, description and place; without a place that of the first finding.
    pub form: Form,
    /// Findings to be solved; may be empty.
    pub findings: Vec<RecordId>,
    /// Whom to summon.
    pub targets: Vec<Summons>,
    /// For which area; may be left out by who blows for one only.
    #[uniffi(default = None)]
    pub area: Option<String>,
    /// Platform, 1 to 5; 5 (grid) for a community and 1 (departments) for the
    /// street if left out.
    #[uniffi(default = None)]
    pub platform: Option<u8>,
    /// Sign-by time, Unix milliseconds.
    #[uniffi(default = None)]
    pub sign_by_ms: Option<i64>,
    /// Report-in time, Unix milliseconds.
    #[uniffi(default = None)]
    pub report_by_ms: Option<i64>,
    /// Due time, Unix milliseconds; by the category of the first finding if left
    /// out.
    #[uniffi(default = None)]
    pub due_at_ms: Option<i64>,
}

/// When a whistle is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct DueRow {
    /// Unix milliseconds.
    pub due_at_ms: i64,
    /// Depends on holidays that nobody has announced yet.
    pub provisional: bool,
}

/// Something to do about a whistle. Parties are keys of targets; `blower` is the
/// other side. A reason is never empty.
#[derive(Debug, Clone, PartialEq, uniffi::Enum)]
pub enum WhistleAct {
    /// 加派: summons more targets.
    Summon {
        /// Whom.
        targets: Vec<Summons>,
    },
    /// 签收
    Sign {
        /// For which target.
        party: String,
    },
    /// 报到
    Arrive {
        /// For which target.
        party: String,
        /// How many people came, 1 to 999.
        heads: u32,
        /// Where, if the phone knows.
        place: Option<Place>,
        /// Why not at the whistle's place, where that has to be said.
        away: Option<String>,
    },
    /// 处理反馈
    Feedback {
        /// For which target.
        party: String,
        /// What was done.
        text: String,
    },
    /// 谢绝, by a volunteer.
    DeclineSummons {
        /// For which target.
        party: String,
        /// Why.
        reason: String,
    },
    /// 退单
    Object {
        /// For which target.
        party: String,
        /// Why.
        reason: String,
    },
    /// 申请延期
    AskExtension {
        /// For which target.
        party: String,
        /// Until when, Unix milliseconds.
        until_ms: i64,
        /// Why.
        reason: String,
    },
    /// 申请挂账
    AskSuspension {
        /// For which target.
        party: String,
        /// When the reason is looked at again, Unix milliseconds.
        review_ms: i64,
        /// Why.
        reason: String,
    },
    /// 裁定
    Rule {
        /// The action that asked.
        request: ActionId,
        /// Granted or not.
        granted: bool,
        /// The approved date, if it differs from the asked one, Unix
        /// milliseconds.
        until_ms: Option<i64>,
        /// In words; a refusal says why.
        text: String,
    },
    /// 恢复计时
    Resume {
        /// Why.
        reason: String,
    },
    /// 重算期限, by another limit.
    RecomputeLimit {
        /// Such as `4h`, `2d` (working) or `3u` (by the clock).
        limit: String,
        /// Why.
        reason: String,
    },
    /// 重算期限, by hand.
    RecomputeDue {
        /// The new due time, Unix milliseconds.
        due_at_ms: i64,
        /// Why.
        reason: String,
    },
    /// 督办
    Supervise {
        /// Who has to answer: a target, or `blower`.
        party: String,
        /// What is demanded.
        text: String,
        /// Until when, Unix milliseconds.
        reply_by_ms: i64,
    },
    /// 督办回复
    Reply {
        /// The action that demanded it.
        supervision: ActionId,
        /// The answer.
        text: String,
    },
    /// 核实, on site, by somebody else.
    Verify {
        /// Whose work.
        party: String,
        /// Whether it is done.
        passed: bool,
        /// What was seen.
        text: String,
    },
    /// 放人
    Release {
        /// Whom.
        party: String,
    },
    /// 免责
    Excuse {
        /// Whom.
        party: String,
        /// Why.
        reason: String,
    },
    /// 结项
    Conclude {
        /// The result.
        text: String,
    },
    /// 撤销
    CallOff {
        /// Why.
        reason: String,
    },
    /// 评价
    Evaluate {
        /// The scored target, or `blower`.
        party: String,
        /// 1 to 5.
        score: u32,
        /// In words.
        text: String,
    },
    /// 申请升级
    AskEscalation {
        /// Why.
        reason: String,
    },
    /// 解除升级, by the dispatcher.
    StandDown {
        /// Which proof arrived.
        text: String,
    },
    /// 维持升级, by the dispatcher.
    Uphold {
        /// Why.
        reason: String,
    },
    /// 撤销区级督办, by the dispatcher.
    WithdrawMark {
        /// Why.
        text: String,
    },
    /// 催办
    Urge {
        /// The reminder.
        text: String,
    },
    /// 备注
    Note {
        /// The note.
        text: String,
    },
}

#[uniffi::export]
impl Phone {
    /// Blows a whistle (吹哨). When this returns it is on the disk and queued.
    pub async fn blow(&self, call: Call) -> Result<Saved, PhoneError> {
        self.write(move |device, now, rng| {
            let draft = order(device, now, call)?;
            Ok(device.capture(now, rng, draft)?.into())
        })
        .await
    }

    /// When a whistle blown now for these findings would be due by its category.
    pub async fn due_by_category(
        &self,
        area: Option<String>,
        findings: Vec<RecordId>,
    ) -> Result<DueRow, PhoneError> {
        self.read(move |device, now| {
            let (_, area) = blower(device, area.as_deref())?;
            let now_ms = device.reading_ms(now)?;
            let due = device.due_by_category(&area, &findings, now_ms)?;
            let (due, _) = due.ok_or_else(|| PhoneError::input("due_at_ms"))?;
            Ok(DueRow {
                due_at_ms: due.at_ms,
                provisional: due.provisional,
            })
        })
        .await
    }

    /// Does something about a whistle.
    pub async fn act_on_whistle(
        &self,
        whistle: RecordId,
        act: WhistleAct,
    ) -> Result<Saved, PhoneError> {
        self.write(move |device, now, rng| {
            let body = act.body(device, whistle)?;
            let draft = Draft::on(RecordKind::Whistle, whistle, body);
            Ok(device.capture(now, rng, draft)?.into())
        })
        .await
    }
}

/// For whom the phone's owner blows: the named area, or the only one.
fn blower(device: &Device, area: Option<&str>) -> Result<(Level, String), PhoneError> {
    let mut levels = device.blows_for()?;
    levels.retain(|(_, code)| area.is_none_or(|area| area == code));
    match levels.as_slice() {
        [one] => Ok(one.clone()),
        _ => Err(PhoneError::input("area")),
    }
}

fn order(device: &Device, now: Moment, call: Call) -> Result<Draft, PhoneError> {
    let (level, area) = blower(device, call.area.as_deref())?;
    let now_ms = device.reading_ms(now)?;
    let (due_ms, terms) = match call.due_at_ms {
        Some(due_ms) => (due_ms, None),
        None => {
            let due = device.due_by_category(&area, &call.findings, now_ms)?;
            let (due, terms) = due.ok_or_else(|| PhoneError::input("due_at_ms"))?;
            (due.at_ms, Some(terms))
        }
    };
    let mut facts: Facts = call.form.facts()?;
    if let (None, Some(first)) = (facts.get(fact::POSITION), call.findings.first()) {
        let row = device.store().finding(*first)?;
        let position = row.map_or_else(String::new, |row| row.position);
        if !position.is_empty() {
            facts.insert(fact::POSITION.to_owned(), Value::Text(position));
        }
    }
    let body = Body::Issue(Order {
        level,
        platform: call.platform.unwrap_or(match level {
            Level::Community => 5,
            Level::Street => 1,
        }),
        area,
        findings: call.findings,
        targets: targets(call.targets)?,
        sign_by_ms: call.sign_by_ms,
        report_by_ms: call.report_by_ms,
        due_ms,
        terms,
        parent: None,
    });
    Ok(Draft::new(RecordKind::Whistle, facts, body))
}

fn targets(summons: Vec<Summons>) -> Result<Vec<Target>, PhoneError> {
    let target = |it: Summons| {
        Some(Target {
            party: Party::parse(&it.party)?,
            lead: it.lead,
            mandatory: it.mandatory,
        })
    };
    let targets: Option<Vec<_>> = summons.into_iter().map(target).collect();
    targets.ok_or_else(|| PhoneError::input("party"))
}

impl WhistleAct {
    fn body(self, device: &Device, whistle: RecordId) -> Result<Body, PhoneError> {
        let state = match device.show(whistle)?.state {
            RecordState::Whistle(state) => state,
            RecordState::Finding(_) => return Err(DeviceError::NoSuchRecord.into()),
        };
        Ok(match self {
            Self::Summon { targets } => Body::Summon {
                targets: self::targets(targets)?,
            },
            Self::Sign { party } => Body::Sign { party },
            Self::Arrive {
                party,
                heads,
                place,
                away,
            } => Body::Arrive {
                party,
                heads,
                position: place.map(Place::position).transpose()?,
                away,
            },
            Self::Feedback { party, text } => Body::Feedback { party, text },
            Self::DeclineSummons { party, reason } => Body::DeclineSummons { party, reason },
            Self::Object { party, reason } => Body::Object { party, reason },
            Self::AskExtension {
                party,
                until_ms,
                reason,
            } => Body::AskExtension {
                party,
                until_ms,
                reason,
            },
            Self::AskSuspension {
                party,
                review_ms,
                reason,
            } => Body::AskSuspension {
                party,
                review_ms,
                reason,
            },
            Self::Rule {
                request,
                granted,
                until_ms,
                text,
            } => Body::Rule {
                request,
                granted,
                until_ms,
                text,
            },
            Self::Resume { reason } => Body::Resume { reason },
            Self::RecomputeLimit { limit, reason } => {
                let limit = limit.parse().map_err(|_| PhoneError::input("limit"))?;
                let due = device.due_by_limit(limit, state.started_at_ms())?;
                let (due, terms) = due.ok_or_else(|| PhoneError::input("limit"))?;
                Body::Recompute {
                    due_ms: due.at_ms,
                    terms: Some(terms),
                    reason,
                }
            }
            Self::RecomputeDue { due_at_ms, reason } => Body::Recompute {
                due_ms: due_at_ms,
                terms: None,
                reason,
            },
            Self::Supervise {
                party,
                text,
                reply_by_ms,
            } => Body::Supervise {
                party,
                text,
                reply_by_ms,
            },
            Self::Reply { supervision, text } => Body::Reply { supervision, text },
            Self::Verify {
                party,
                passed,
                text,
            } => Body::Verify {
                party,
                passed,
                text,
            },
            Self::Release { party } => Body::Release { party },
            Self::Excuse { party, reason } => Body::Excuse { party, reason },
            Self::Conclude { text } => Body::Conclude { text },
            Self::CallOff { reason } => Body::Cancel { reason },
            Self::Evaluate { party, score, text } => Body::Evaluate { party, score, text },
            Self::AskEscalation { reason } => Body::AskEscalation { reason },
            // What is meant is the newest: a dispatcher answers what they see.
            Self::StandDown { text } => Body::StandDown {
                text,
                round: state.escalations.last().map_or(1, |newest| newest.round),
            },
            Self::Uphold { reason } => Body::Uphold {
                reason,
                round: state.escalations.last().map_or(1, |newest| newest.round),
            },
            Self::WithdrawMark { text } => Body::WithdrawMark {
                text,
                round: state.marks.last().map_or(1, |newest| newest.round),
            },
            Self::Urge { text } => Body::Urge { text },
            Self::Note { text } => Body::Note { text },
        })
    }
}
