//! Personal data beside a finding.

use serde_json::{Value as Json, json};

use shaodao_core::device::{Confidence, Draft, RecordView};
use shaodao_core::domain::action::{Body, RecordKind};
use shaodao_core::domain::ids::PrivateId;
use shaodao_core::domain::private::PrivateKind;
use shaodao_core::domain::record::RecordState;
use shaodao_core::explain::Sentence;

use super::{Done, Hand, said};
use crate::args::Private;
use crate::resolve;

/// Characters of an item's id that are shown.
const SHORT: usize = 8;

impl Hand {
    pub(super) fn confide(&mut self, finding: &str, kind: Private, text: &str) -> Done {
        let finding = resolve::finding(&self.device, finding)?;
        let kind = match kind {
            Private::Name => PrivateKind::Name,
            Private::Phone => PrivateKind::Phone,
            Private::Home => PrivateKind::Home,
            Private::Note => PrivateKind::Note,
        };
        let now = self.clock.now();
        let captured = self
            .device
            .confide(now, &mut self.rng, finding, kind, text)
            .map_err(|error| said(&error))?;
        Ok(self.saved(&captured, "confide"))
    }

    pub(super) fn erase(&mut self, finding: &str, item: &str, reason: String) -> Done {
        let view = resolve::record(&self.device, finding, Some(RecordKind::Finding))?;
        let item = item_of(&view, item)?;
        let body = Body::Erase { item, reason };
        self.act(Draft::on(RecordKind::Finding, view.record, body))
    }

    /// What was confided to a finding, as lines and for scripts.
    pub(super) fn confidences(&self, view: &RecordView) -> Result<(String, Json), Sentence> {
        let RecordState::Finding(finding) = &view.state else {
            return Ok((String::new(), json!([])));
        };
        let confidences = self
            .device
            .confidences(view.record, finding)
            .map_err(|error| said(&error))?;
        let lines = confidences.iter().map(|one| self.confidence_line(one));
        let text = lines.collect::<String>();
        let label = match confidences.is_empty() {
            true => "",
            false => self.lang.pick("隐私信息:\n", "Personal data:\n"),
        };
        let json = confidences.iter().map(|one| {
            json!({
                "item": one.item.to_string(),
                "kind": one.confided.kind.word(),
                "by": one.confided.by.0,
                "erased": one.confided.erased.as_ref().map(|(by, reason)| json!({
                    "by": by.0, "reason": reason,
                })),
                "text": one.text,
            })
        });
        Ok((format!("{label}{text}"), json.collect()))
    }

    fn confidence_line(&self, one: &Confidence) -> String {
        let item: String = one.item.to_string().chars().take(SHORT).collect();
        let kind = self
            .lang
            .pick(one.confided.kind.zh(), one.confided.kind.word());
        let text = match (&one.confided.erased, &one.text) {
            (Some((_, reason)), _) => self
                .lang
                .pick(format!("已擦除({reason})"), format!("erased ({reason})")),
            (None, Some(text)) => text.clone(),
            (None, None) => self.lang.pick(
                "未下发到这部手机:只给需要的人看".to_owned(),
                "not on this phone: only those who need it read it".to_owned(),
            ),
        };
        format!("  {item}  {kind}: {text}\n")
    }
}

/// The item that a text means: its id, or a beginning that only it has.
fn item_of(view: &RecordView, text: &str) -> Result<PrivateId, Sentence> {
    let RecordState::Finding(finding) = &view.state else {
        return Err(shaodao_core::domain::reason::Reason::NothingConfided.into());
    };
    let mut found = finding
        .confided
        .keys()
        .filter(|item| !text.is_empty() && item.to_string().starts_with(text));
    match (found.next(), found.next()) {
        (Some(item), None) => Ok(*item),
        _ => Err(Sentence::new(
            "nothing_confided",
            format!("没有(或不止一条)隐私信息 {text};用 shaodao show 查看。"),
            format!("There is no personal data {text}, or more than one; see `shaodao show`."),
        )),
    }
}
