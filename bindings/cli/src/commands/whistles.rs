//! Blowing and answering whistles.

use shaodao_core::device::Draft;
use shaodao_core::domain::action::{Body, Facts, Level, Order, RecordKind, Target, Value, fact};
use shaodao_core::domain::calendar::local_text;
use shaodao_core::domain::directory::{Grant, Role};
use shaodao_core::explain::Sentence;

use super::{Done, Hand, said};
use crate::args::{AsTarget, Targets, Whistle};
use crate::resolve;

impl Hand {
    pub(super) fn whistle(&mut self, order: Whistle) -> Done {
        let blows = |grant: &Grant| match grant.role {
            Role::Secretary => Some((Level::Community, grant.scope.clone())),
            Role::Dispatcher => Some((Level::Street, grant.scope.clone())),
            _ => None,
        };
        let mut levels: Vec<_> = self.grants().iter().filter_map(blows).collect();
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
        let text = |text: String| Value::Text(text);
        let mut facts: Facts = [(fact::TITLE.to_owned(), text(order.title))].into();
        if let Some(description) = order.description {
            facts.insert(fact::DESCRIPTION.to_owned(), text(description));
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
            sign_by_ms: None,
            report_by_ms: None,
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
