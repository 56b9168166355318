//! What became of a whistle's clock, in words: due time, pauses, requests,
//! demands of superiors; and the steps that somebody can take.

use serde_json::{Value as Json, json};

use shaodao_core::domain::action::{BLOWER, Party};
use shaodao_core::domain::available::Available;
use shaodao_core::domain::calendar::local_text;
use shaodao_core::domain::deadline;
use shaodao_core::domain::whistle::{TargetState, WhistleState};

use crate::view::View;

impl View<'_> {
    /// The due time in force.
    pub(crate) fn due(&self, whistle: &WhistleState) -> String {
        let Some(due) = deadline::due(whistle, Some(self.directory)) else {
            return "—".to_owned();
        };
        let mark = match due.provisional {
            true => self.lang.pick("(暂定)", " (provisional)"),
            false => "",
        };
        let ordered = whistle.order.as_ref().map_or(0, |order| order.due_ms);
        let moved = match ordered == due.at_ms {
            true => String::new(),
            false => {
                let label = self.lang.pick("原定", "first");
                format!(" ({label} {})", local_text(ordered))
            }
        };
        let light = self.light(whistle);
        format!("{}{mark}{moved}", self.with_light(due.at_ms, light))
    }

    /// Requests and demands, one line each, with the name to answer them by.
    pub(crate) fn requests(&self, whistle: &WhistleState) -> String {
        let mut text = String::new();
        for request in &whistle.requests {
            let date = match (request.granted(), request.ask.date_ms()) {
                (Some((_, Some(date_ms))), _) | (_, Some(date_ms)) => {
                    format!(" {}", local_text(date_ms))
                }
                _ => String::new(),
            };
            text.push_str(&format!(
                "  ? {} {} {}{date} [{}] {}\n",
                name_of(request.asked.hash),
                self.side(&request.party),
                self.action(request.ask.word()),
                self.outcome(request.outcome()),
                request.asked.text,
            ));
        }
        for demanded in &whistle.supervisions {
            text.push_str(&self.supervision(whistle, demanded));
        }
        text
    }

    /// When a target's rework is due; empty if none is awaited.
    pub(crate) fn rework(&self, whistle: &WhistleState, target: &TargetState) -> String {
        match deadline::rework_due(whistle, target, self.directory) {
            Some(due) => {
                let label = self.lang.pick("返工期限", "rework due");
                format!(" {label} {}", local_text(due.at_ms))
            }
            None => String::new(),
        }
    }

    /// A ruling in words.
    pub(crate) fn ruling(&self, granted: bool, until_ms: Option<i64>) -> String {
        let word = match granted {
            true => self.lang.pick("同意", "granted"),
            false => self.lang.pick("不同意", "refused"),
        };
        match until_ms {
            Some(until_ms) => format!("{word} {}", local_text(until_ms)),
            None => word.to_owned(),
        }
    }

    /// A step that somebody can take.
    pub(crate) fn step(&self, step: &Available) -> String {
        let word = self.action(&step.word);
        match (&step.party, step.answers, step.piece) {
            (Some(party), ..) => format!("{word}({})", self.side(party)),
            (None, Some(answers), _) => format!("{word}({})", name_of(answers)),
            (None, None, Some(piece)) => format!("{word}({})", name_of(piece)),
            (None, None, None) => word,
        }
    }

    /// Due time, requests and demands for scripts.
    pub(crate) fn clock_json(&self, whistle: &WhistleState, record: &mut Json) {
        let due = deadline::due(whistle, Some(self.directory));
        record["due_at_ms"] = json!(due.map(|due| due.at_ms));
        record["provisional"] = json!(due.is_some_and(|due| due.provisional));
        record["pauses"] = deadline::pauses(whistle, &whistle.rules(self.directory).policy.time)
            .into_iter()
            .map(|(from_ms, to_ms)| json!({ "from_ms": from_ms, "to_ms": to_ms }))
            .collect();
        record["requests"] = whistle
            .requests
            .iter()
            .map(|request| {
                json!({
                    "request": request.asked.hash.to_string(),
                    "word": request.ask.word(),
                    "party": request.party,
                    "asked_ms": request.ask.date_ms(),
                    "granted_ms": request.granted().and_then(|(_, date_ms)| date_ms),
                    "outcome": request.outcome(),
                })
            })
            .collect();
        self.owed_json(whistle, record);
    }

    /// A target, or the blower, by name.
    pub(crate) fn side(&self, key: &str) -> String {
        match (key, Party::parse(key)) {
            (BLOWER, _) => self.lang.pick("吹哨方", "the blower").to_owned(),
            (_, Some(party)) => self.directory.party_name(&party),
            (key, None) => key.to_owned(),
        }
    }

    fn outcome(&self, word: &'static str) -> &'static str {
        let zh = match word {
            "asked" => "待裁定",
            "granted" => "同意",
            "refused" => "不同意",
            _ => "已恢复计时",
        };
        self.lang.pick(zh, word)
    }
}

/// A step for scripts.
pub(crate) fn step_json(step: &Available) -> Json {
    json!({
        "word": step.word,
        "party": step.party,
        "answers": step.answers.map(|hash| hash.to_string()),
        "piece": step.piece.map(|piece| piece.to_string()),
    })
}

/// The beginning of a hash: enough to name an action or a piece by.
pub(crate) fn name_of(hash: impl ToString) -> String {
    hash.to_string().chars().take(8).collect()
}
