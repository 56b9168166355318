//! What will happen to a whistle if nobody does anything, what a dispatcher is
//! asked, and when silent phones were last heard of.

use serde_json::{Value as Json, json};

use shaodao_core::device::{Draft, RecordView};
use shaodao_core::domain::action::{Body, Party, RecordKind};
use shaodao_core::domain::calendar::local_text;
use shaodao_core::domain::escalation::Case;
use shaodao_core::domain::record::RecordState;
use shaodao_core::domain::whistle::WhistleState;
use shaodao_core::explain::Sentence;

use super::{Done, Hand, said};
use crate::resolve;

impl Hand {
    /// The outlook of a record, as lines and for scripts; nothing of a finding.
    pub(super) fn outlook(&self, view: &RecordView) -> Result<(String, Json), Sentence> {
        let RecordState::Whistle(state) = &view.state else {
            return Ok((String::new(), Json::Null));
        };
        let directory = self.device.directory().map_err(|error| said(&error))?;
        let carried = self.device.carried(state).map_err(|error| said(&error))?;
        let case = Case {
            whistle: view.record,
            state,
            carried: &carried,
            directory: &directory,
        };
        let next = case.next();
        let next_json = next.map(|next| json!({ "at_ms": next.at_ms, "cause": next.cause.code() }));
        let mut lines: Vec<String> = next.iter().map(|next| self.sentence(next.into())).collect();
        let question = question(state);
        if let Some(text) = question {
            lines.push(self.lang.pick(
                format!("待街道调度员裁定:{text}"),
                format!("The dispatcher is asked (stand-down or uphold): {text}"),
            ));
        }
        for mark in &state.marks {
            let cause = self.lang.pick(mark.cause.zh(), mark.cause.code());
            let label = self.lang.pick("已提请区级督办", "marked for the district");
            lines.push(match &mark.withdrawn {
                None => format!("{label}({cause})"),
                Some(why) => {
                    let undone = self.lang.pick("已撤销", "withdrawn");
                    format!("{label}({cause}),{undone}:{why}")
                }
            });
        }
        // Shown as long as somebody is blamed for it.
        let blamed = state.escalated().is_some() || state.marked().is_some();
        for (party, at_ms) in state.heard.iter().filter(|_| blamed) {
            let name = Party::parse(party).map(|party| directory.party_name(&party));
            let label = self.lang.pick("最后联系", "last heard");
            let name = name.unwrap_or_else(|| party.clone());
            lines.push(format!("{name} {label} {}", local_text(*at_ms)));
        }
        let text = lines.iter().map(|line| format!("  ⏱ {line}\n")).collect();
        let marks = state.marks.iter().map(|mark| {
            json!({
                "cause": mark.cause.code(),
                "at_ms": mark.at_ms,
                "withdrawn": mark.withdrawn,
            })
        });
        let json = json!({
            "next": next_json,
            "question": question,
            "marks": marks.collect::<Vec<_>>(),
            "heard": state.heard,
        });
        Ok((text, json))
    }

    pub(super) fn uphold(&mut self, whistle: &str, reason: String) -> Done {
        let (record, state) = resolve::whistle(&self.device, whistle)?;
        let round = state.escalations.last().map_or(1, |newest| newest.round);
        let body = Body::Uphold { reason, round };
        self.act(Draft::on(RecordKind::Whistle, record, body))
    }

    pub(super) fn withdraw_mark(&mut self, whistle: &str, text: String) -> Done {
        let (record, state) = resolve::whistle(&self.device, whistle)?;
        let round = state.marks.last().map_or(1, |newest| newest.round);
        let body = Body::WithdrawMark { text, round };
        self.act(Draft::on(RecordKind::Whistle, record, body))
    }

    fn sentence(&self, sentence: Sentence) -> String {
        self.lang.pick(sentence.zh, sentence.en)
    }
}

/// What the dispatcher has been asked and has not answered.
fn question(state: &WhistleState) -> Option<&str> {
    let in_force = state.escalated().filter(|it| it.upheld.is_none())?;
    in_force.proposed.as_deref()
}
