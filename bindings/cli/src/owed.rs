//! What somebody still owes on a whistle: to come, to answer a superior. Said
//! where the whistle is listed and where it is shown, by the same rules.

use serde_json::{Value as Json, json};

use shaodao_core::domain::calendar::local_text;
use shaodao_core::domain::deadline;
use shaodao_core::domain::time::Judged;
use shaodao_core::domain::whistle::{Supervision, TargetState, WhistleState};

use crate::clock_view::name_of;
use crate::view::View;

/// How a demand of a superior stands, as a stable word.
fn standing(supervision: &Supervision, judged: Option<Judged>) -> &'static str {
    match (&supervision.reply, judged) {
        (None, None) => "open",
        (None, Some(_)) => "overdue",
        (Some(_), Some(Judged::Missed)) => "late",
        (Some(_), Some(Judged::CannotSay)) => "cannot_say",
        (Some(_), _) => "in_time",
    }
}

impl View<'_> {
    fn standing(&self, whistle: &WhistleState, supervision: &Supervision) -> &'static str {
        let policy = &whistle.rules(self.directory).policy.time;
        standing(
            supervision,
            deadline::reply(supervision, policy, self.now_ms),
        )
    }

    fn is_no_show(&self, whistle: &WhistleState, target: &TargetState) -> bool {
        let policy = &whistle.rules(self.directory).policy.time;
        deadline::no_show(whistle, target, policy, self.now_ms)
    }

    /// Behind a whistle in a list; empty if nobody owes anything.
    pub(crate) fn owed(&self, whistle: &WhistleState) -> String {
        let targets = whistle.targets.values();
        let absent = targets.filter(|target| self.is_no_show(whistle, target));
        let demands = whistle.supervisions.iter();
        let open = demands.clone().filter(|it| it.reply.is_none());
        let overdue = demands.filter(|it| self.standing(whistle, it) == "overdue");
        let counts = [
            (absent.count(), "未到场", "no-shows"),
            (open.count(), "督办待回复", "replies owed"),
            (overdue.count(), "督办逾期", "replies overdue"),
        ];
        let said = counts.into_iter().filter(|(count, ..)| *count > 0);
        said.map(|(count, zh, en)| format!(" ⚠{} {count}", self.lang.pick(zh, en)))
            .collect()
    }

    /// The same for scripts.
    pub(crate) fn owed_json(&self, whistle: &WhistleState, row: &mut Json) {
        let targets = whistle.targets.iter();
        let absent = targets.filter(|(_, target)| self.is_no_show(whistle, target));
        row["no_shows"] = absent.map(|(key, _)| json!(key)).collect();
        let demands = whistle.supervisions.iter().map(|it| {
            json!({
                "supervision": it.deed.hash.to_string(),
                "party": it.party,
                "by": it.deed.person.0,
                "text": it.deed.text,
                "reply_by_ms": it.reply_by_ms,
                "standing": self.standing(whistle, it),
                "reply": it.reply.as_ref().map(|reply| &reply.text),
                "replied_by": it.reply.as_ref().map(|reply| &reply.person.0),
            })
        });
        row["supervisions"] = demands.collect();
    }

    /// Behind a target that has not come although the time has passed.
    pub(crate) fn no_show(&self, whistle: &WhistleState, target: &TargetState) -> String {
        let by_ms = whistle.order.as_ref().and_then(|order| order.report_by_ms);
        match by_ms.filter(|_| self.is_no_show(whistle, target)) {
            Some(by_ms) => {
                let label = self.lang.pick("未到场,报到期限", "no-show, report by");
                format!(" ⚠{label} {}", local_text(by_ms))
            }
            None => String::new(),
        }
    }

    /// A demand of a superior: a line with what is demanded, and one with the
    /// reply, or with how it is missing.
    pub(crate) fn supervision(&self, whistle: &WhistleState, demanded: &Supervision) -> String {
        let label = self.lang.pick("督办", "demands an answer of");
        let reply_by = self.lang.pick("回复期限", "reply by");
        let standing = match self.standing(whistle, demanded) {
            "open" => self.lang.pick("待回复", "awaited"),
            "overdue" => self.lang.pick("逾期未回复", "overdue"),
            "late" => self.lang.pick("逾期回复", "late"),
            "cannot_say" => self
                .lang
                .pick("是否按时无法确定", "nobody can tell if it was in time"),
            _ => self.lang.pick("按时回复", "in time"),
        };
        let mut text = format!(
            "  ! {} {} {label} {}: {}({reply_by} {})[{standing}]\n",
            name_of(demanded.deed.hash),
            self.person(&demanded.deed.person),
            self.side(&demanded.party),
            demanded.deed.text,
            local_text(demanded.reply_by_ms),
        );
        if let Some(reply) = &demanded.reply {
            let label = self.lang.pick("回复", "replied");
            text.push_str(&format!(
                "    ↳ {} {label} {}: {}\n",
                self.person(&reply.person),
                local_text(reply.entry.claim.reading_ms()),
                reply.text,
            ));
        }
        text
    }
}
