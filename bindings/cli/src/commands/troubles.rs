//! What was not plainly accepted: to read, to copy, to do again.

use serde_json::{Value as Json, json};

use shaodao_core::device::troubles::OpenTrouble;
use shaodao_core::domain::action::{Facts, Value};
use shaodao_core::domain::calendar::local_text;
use shaodao_core::explain::who_can_help;

use super::{Done, Hand, said};
use crate::view::{Answer, short};

impl Hand {
    pub(super) fn troubles(&self) -> Done {
        let troubles = self.device.troubles().map_err(|error| said(&error))?;
        let mut text = String::new();
        let mut json = Vec::new();
        for open in &troubles {
            text.push_str(&self.trouble(open));
            json.push(trouble_json(open));
        }
        if troubles.is_empty() {
            text = self
                .lang
                .pick("您的操作全部已入账。", "Everything of yours was accepted.")
                .to_owned();
        }
        Ok(Answer::new(text, json.into()))
    }

    fn trouble(&self, open: &OpenTrouble) -> String {
        let OpenTrouble { trouble, envelope } = open;
        let (zh, en) = trouble.reason.map_or(("", ""), |it| (it.zh(), it.en()));
        let (helper_zh, helper_en) = who_can_help(trouble.standing, trouble.reason);
        let hash: String = trouble.hash.to_string().chars().take(8).collect();
        let at = local_text(envelope.claim.reading_ms());
        let action = &envelope.action;
        let record = short(trouble.record);
        let mut text = self.lang.pick(
            format!(
                "{hash} {at} {} {record}\n  {}:{zh}\n  谁能帮忙:{helper_zh}\n",
                action.body.zh(),
                trouble.standing.zh()
            ),
            format!(
                "{hash} {at} {} {record}\n  {}: {en}\n  who can help: {helper_en}\n",
                action.body.word().replace('_', " "),
                trouble.standing.en()
            ),
        );
        for (name, value) in &action.facts {
            text.push_str(&format!("  {name}: {}\n", plain(value)));
        }
        if let Some(new) = trouble.redone {
            let new: String = new.to_string().chars().take(8).collect();
            let line = self.lang.pick(
                format!("  已重做:{new}\n"),
                format!("  done again as {new}\n"),
            );
            text.push_str(&line);
        }
        text
    }
}

fn trouble_json(open: &OpenTrouble) -> Json {
    let OpenTrouble { trouble, envelope } = open;
    let (helper_zh, helper_en) = who_can_help(trouble.standing, trouble.reason);
    let action = &envelope.action;
    json!({
        "action": trouble.hash.to_string(),
        "record": trouble.record.to_string(),
        "word": action.body.word(),
        "body": format!("{:?}", action.body),
        "facts": facts_json(&action.facts),
        "device": envelope.device.to_string(),
        "claimed_ms": envelope.claim.reading_ms(),
        "standing": trouble.standing.word(),
        "kept": { "zh": trouble.standing.zh(), "en": trouble.standing.en() },
        "reason": trouble.reason.map(|reason| reason.code()),
        "zh": trouble.reason.map(|reason| reason.zh()),
        "en": trouble.reason.map(|reason| reason.en()),
        "who_can_help": { "zh": helper_zh, "en": helper_en },
        "redone": trouble.redone.map(|hash| hash.to_string()),
    })
}

fn facts_json(facts: &Facts) -> Json {
    let fields = facts
        .iter()
        .map(|(name, value)| (name.clone(), plain(value).into()));
    fields.collect::<serde_json::Map<_, _>>().into()
}

fn plain(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        other => format!("{other:?}"),
    }
}
