//! Blowing and answering whistles.

use shaodao_core::device::Draft;
use shaodao_core::domain::action::{
    BLOWER, Body, Facts, Level, Order, RecordKind, Target, Value, fact,
};
use shaodao_core::domain::calendar::{BadLimit, Limit, local_text};
use shaodao_core::domain::deadline;
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::whistle::{Ask, WhistleState};
use shaodao_core::explain::Sentence;

use super::{Done, Hand, said};
use crate::args::{AsTarget, Rule, Targets, Whistle};
use crate::resolve;

impl Hand {
    pub(super) fn whistle(&mut self, order: Whistle) -> Done {
        let levels = self.device.blows_for();
        let mut levels = levels.map_err(|error| said(&error))?;
        levels.retain(|(_, area)| order.area.as_ref().is_none_or(|wanted| wanted == area));
        let (level, area) = match levels.as_slice() {
            [one] => one.clone(),
            [] => {
                return Err(Sentence::new(
                    "not_the_blower",
                    "只有社区书记和街道调度员可以吹哨。",
                    "Only a community secretary or a street dispatcher blows a whistle.",
                ));
            }
            _ => {
                return Err(Sentence::new(
                    "which_area",
                    "您管不止一个区域,请用 --area 写明。",
                    "You blow for more than one area; say which with --area.",
                ));
            }
        };
        let findings = order
            .findings
            .iter()
            .map(|name| resolve::finding(&self.device, name))
            .collect::<Result<Vec<_>, _>>()?;
        let now_ms = self.reading_ms()?;
        let due = order.due.as_deref();
        let (due, terms) = resolve::due(&self.device, due, &area, &findings, now_ms)?;
        let by = |text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| resolve::date_ms(text, now_ms)).transpose()
        };
        let text = |text: String| Value::Text(text);
        let mut facts: Facts = [(fact::TITLE.to_owned(), text(order.title))].into();
        if let Some(description) = order.description {
            facts.insert(fact::DESCRIPTION.to_owned(), text(description));
        }
        let place = match order.at.as_deref() {
            Some(at) => resolve::position(at)?.to_string(),
            None => self.place_of(findings.first())?,
        };
        if !place.is_empty() {
            facts.insert(fact::POSITION.to_owned(), text(place));
        }
        let body = Body::Issue(Order {
            level,
            platform: order.platform.unwrap_or(match level {
                Level::Community => 5,
                Level::Street => 1,
            }),
            area,
            findings,
            targets: self.targets(&order.targets)?,
            sign_by_ms: by(&order.sign_by)?,
            report_by_ms: by(&order.report_by)?,
            due_ms: due.at_ms,
            terms,
            parent: None,
        });
        let mut answer = self.act(Draft::new(RecordKind::Whistle, facts, body))?;
        let time = local_text(due.at_ms);
        let (zh, en) = match due.provisional {
            true => (
                "(暂定,届时的节假日尚未公布)",
                " (provisional: the holidays are not announced yet)",
            ),
            false => ("", ""),
        };
        answer.text.push_str(
            &self
                .lang
                .pick(format!(" 限期 {time}{zh}。"), format!(" Due {time}{en}.")),
        );
        answer.json["due_at_ms"] = due.at_ms.into();
        answer.json["provisional"] = due.provisional.into();
        Ok(answer)
    }

    /// Where a finding is; empty if nobody knows.
    fn place_of(&self, finding: Option<&RecordId>) -> Result<String, Sentence> {
        let Some(finding) = finding else {
            return Ok(String::new());
        };
        let row = self.device.store().finding(*finding);
        let row = row.map_err(|error| Sentence::from(&error))?;
        Ok(row.map_or_else(String::new, |row| row.position))
    }

    /// Asks for a later due time; a span counts from the one in force.
    pub(super) fn ask_extension(&mut self, target: &AsTarget, until: &str, reason: String) -> Done {
        let (_, state) = resolve::whistle(&self.device, &target.whistle)?;
        let due_ms = self.due_ms(&state)?;
        let until_ms = resolve::date_ms(until, due_ms)?;
        self.as_target(target, |party| Body::AskExtension {
            party,
            until_ms,
            reason,
        })
    }

    pub(super) fn rule(&mut self, ruling: Rule) -> Done {
        let (record, state) = resolve::whistle(&self.device, &ruling.whistle)?;
        let open = state.open_requests().map(|request| request.asked.hash);
        let request = resolve::answered(open, ruling.request.as_deref(), "--request")?;
        let asked = state.requests.iter().find(|it| it.asked.hash == request);
        // A span counts from what it moves: the due time, or the asking.
        let from_ms = match asked.map(|asked| asked.ask) {
            Some(Ask::Extension { .. }) => self.due_ms(&state)?,
            _ => self.reading_ms()?,
        };
        let until_ms = ruling
            .until
            .map(|until| resolve::date_ms(&until, from_ms))
            .transpose()?;
        let body = Body::Rule {
            request,
            granted: ruling.grant,
            until_ms,
            text: ruling.text,
        };
        self.act(Draft::on(RecordKind::Whistle, record, body))
    }

    pub(super) fn recompute(
        &mut self,
        whistle: &str,
        limit: Option<&str>,
        due: Option<&str>,
        reason: String,
    ) -> Done {
        let (record, state) = resolve::whistle(&self.device, whistle)?;
        let (due_ms, terms) = match (limit, due) {
            (Some(limit), _) => {
                let limit: Limit = limit.parse().map_err(|error: BadLimit| {
                    Sentence::new(
                        "bad_limit",
                        format!("不是时限:{};应为 4h、2d 或 3u", error.0),
                        error.to_string(),
                    )
                })?;
                let due = self.device.due_by_limit(limit, state.started_at_ms());
                let due = due.map_err(|error| said(&error))?;
                let (due, terms) = due.ok_or_else(resolve::no_due)?;
                (due.at_ms, Some(terms))
            }
            (None, due) => {
                let due = due.unwrap_or_default();
                (resolve::date_ms(due, self.reading_ms()?)?, None)
            }
        };
        let body = Body::Recompute {
            due_ms,
            terms,
            reason,
        };
        self.act(Draft::on(RecordKind::Whistle, record, body))
    }

    pub(super) fn reply(&mut self, whistle: &str, to: Option<&str>, text: String) -> Done {
        let (record, state) = resolve::whistle(&self.device, whistle)?;
        let open = state.open_supervisions().map(|it| it.deed.hash);
        let supervision = resolve::answered(open, to, "--to")?;
        let body = Body::Reply { supervision, text };
        self.act(Draft::on(RecordKind::Whistle, record, body))
    }

    /// The side of a whistle that a text means: `blower`, or a target's key.
    pub(super) fn side(&self, name: String) -> Result<String, Sentence> {
        match name.as_str() {
            BLOWER => Ok(name),
            name => self.party(name),
        }
    }

    fn due_ms(&self, state: &WhistleState) -> Result<i64, Sentence> {
        let directory = self.device.directory().map_err(|error| said(&error))?;
        Ok(deadline::due(state, Some(&directory)).map_or(0, |due| due.at_ms))
    }

    pub(super) fn targets(&self, targets: &Targets) -> Result<Vec<Target>, Sentence> {
        let mandatory = targets.mandatory.iter().map(|name| (name, true));
        let voluntary = targets.voluntary.iter().map(|name| (name, false));
        mandatory
            .chain(voluntary)
            .enumerate()
            .map(|(at, (name, mandatory))| {
                let directory = self.device.directory().map_err(|error| said(&error))?;
                Ok(Target {
                    party: resolve::party(&directory, name)?,
                    lead: at == 0,
                    mandatory,
                })
            })
            .collect()
    }

    pub(super) fn party(&self, name: &str) -> Result<String, Sentence> {
        let directory = self.device.directory().map_err(|error| said(&error))?;
        resolve::party(&directory, name).map(|party| party.key())
    }

    pub(super) fn as_target(
        &mut self,
        target: &AsTarget,
        body: impl FnOnce(String) -> Body,
    ) -> Done {
        let (record, state) = resolve::whistle(&self.device, &target.whistle)?;
        let party = resolve::own_party(&self.device, &state, target.party.as_deref())?;
        self.act(Draft::on(RecordKind::Whistle, record, body(party)))
    }

    pub(super) fn stand_down(&mut self, whistle: &str, text: String) -> Done {
        let (record, state) = resolve::whistle(&self.device, whistle)?;
        let round = state.escalations.last().map_or(1, |newest| newest.round);
        let body = Body::StandDown { text, round };
        self.act(Draft::on(RecordKind::Whistle, record, body))
    }
}
