//! What waits for an answer of the phone's owner, a line with the record for
//! each question, and a line with what is asked.

use serde_json::json;

use shaodao_core::device::todo::ToDo;
use shaodao_core::domain::calendar::local_text;
use shaodao_core::domain::todo::Waiting;

use super::{Done, Hand, said};
use crate::clock_view::name_of;
use crate::view::{Answer, View};

impl Hand {
    pub(super) fn todo(&self) -> Done {
        let directory = self.device.directory().map_err(|error| said(&error))?;
        let view = View {
            lang: self.lang,
            directory: &directory,
            now_ms: self.reading_ms()?,
        };
        let waiting = self.device.todo(self.clock.now());
        let waiting = waiting.map_err(|error| said(&error))?;
        let mut text = String::new();
        let mut json = Vec::new();
        for ToDo {
            record, waiting, ..
        } in &waiting
        {
            let mut answer = self.records(&[*record])?;
            let question = self.lang.pick(waiting.question.zh(), waiting.question.en());
            text.push_str(&format!(
                "【{question}】{}{}",
                answer.text,
                self.asked(&view, waiting)
            ));
            let mut row = answer.json[0].take();
            row["waiting"] = waiting.question.en().into();
            row["question"] = waiting.question.word().into();
            row["party"] = json!(waiting.party);
            row["answers"] = json!(waiting.answers.map(|hash| hash.to_string()));
            row["text"] = json!(waiting.text);
            row["at_ms"] = json!(waiting.at_ms);
            row["unsure"] = waiting.unsure.into();
            json.push(row);
        }
        if json.is_empty() {
            text = self
                .lang
                .pick("没有待办。", "Nothing is waiting for you.")
                .to_owned();
        }
        self.under_lease(Answer::new(text, json.into()))
    }

    /// What is asked in particular; nothing where the question says it all.
    fn asked(&self, view: &View<'_>, waiting: &Waiting) -> String {
        let unsure = self.lang.pick(
            "⚠ 是否按时无法确定,由您裁定",
            "⚠ nobody can tell if it was in time: that is yours to decide",
        );
        let parts: Vec<String> = [
            waiting.answers.map(name_of),
            waiting.party.as_deref().map(|party| view.side(party)),
            Some(waiting.text.clone()).filter(|text| !text.is_empty()),
            waiting.at_ms.map(local_text),
            waiting.unsure.then(|| unsure.to_owned()),
        ]
        .into_iter()
        .flatten()
        .collect();
        match parts.is_empty() {
            true => String::new(),
            false => format!("    ← {}\n", parts.join("  ")),
        }
    }
}
