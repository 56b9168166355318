//! What came of the whistles of a period.

use chrono::{Datelike, NaiveDate};
use serde_json::{Value as Json, json};

use shaodao_core::domain::calendar::{local_date, start_of_day_ms};
use shaodao_core::domain::directory::Directory;
use shaodao_core::domain::statistics::{Grouping, Period, Punctuality, Scores, Share, Statistics};
use shaodao_core::explain::Sentence;

use super::{Done, Hand, said};
use crate::args::{GroupBy, Stats};
use crate::view::Answer;

impl Hand {
    pub(super) fn stats(&self, stats: &Stats) -> Done {
        let now_ms = self.reading_ms()?;
        let today = local_date(now_ms).ok_or_else(no_date)?;
        let from = stats
            .from
            .or_else(|| NaiveDate::from_ymd_opt(today.year(), 1, 1))
            .ok_or_else(no_date)?;
        let to = stats.to.unwrap_or(today);
        let after = to.succ_opt().ok_or_else(no_date)?;
        let period = Period {
            from_ms: start_of_day_ms(from),
            to_ms: start_of_day_ms(after),
            area: stats.area.clone(),
        };
        if period.from_ms >= period.to_ms {
            return Err(Sentence::new(
                "empty_period",
                format!("起始日 {from} 晚于截止日 {to}。"),
                format!("The first day, {from}, is after the last, {to}."),
            ));
        }
        let grouping = match stats.by {
            GroupBy::Street => Grouping::Street,
            GroupBy::Community => Grouping::Community,
            GroupBy::Platform => Grouping::Platform,
            GroupBy::Department => Grouping::Department,
            GroupBy::Post => Grouping::Post,
        };
        let view = self
            .device
            .statistics(now_ms, &period, grouping)
            .map_err(|error| said(&error))?;
        let directory = self.device.directory().map_err(|error| said(&error))?;
        let mut text = format!("{from} — {to}\n");
        for (key, group) in &view.groups {
            let name = name_of(&directory, grouping, key);
            text.push_str(&format!("{name}\n{}", self.group(group)));
        }
        if view.groups.is_empty() {
            text.push_str(self.lang.pick("没有哨令。\n", "No whistles.\n"));
        }
        text.push_str(&format!("{}{}", view.platform_1_zh, view.platform_5_zh));
        let groups = view.groups.iter().map(|(key, group)| {
            let mut json = group_json(group);
            json["key"] = json!(key);
            json["name"] = json!(name_of(&directory, grouping, key));
            json
        });
        let json = json!({
            "from": from.to_string(),
            "to": to.to_string(),
            "groups": groups.collect::<Json>(),
            "solved_findings": view.solved,
            "platform_1_zh": view.platform_1_zh,
            "platform_5_zh": view.platform_5_zh,
        });
        Ok(Answer::new(text, json))
    }

    fn group(&self, group: &Statistics) -> String {
        let unsure = |punctuality: &Punctuality| match punctuality.cannot_say {
            0 => String::new(),
            count => self.lang.pick(
                format!(",另有{count}次待人判断"),
                format!(", {count} more for a person to decide"),
            ),
        };
        let rate =
            |punctuality: &Punctuality| format!("{}{}", punctuality.share, unsure(punctuality));
        let scores = |scores: &Scores| {
            self.lang.pick(
                format!(
                    "{scores}({}次评分,{}次未评)",
                    scores.given, scores.not_scored
                ),
                format!(
                    "{scores} ({} scores, {} not scored)",
                    scores.given, scores.not_scored
                ),
            )
        };
        let lines = [
            self.lang.pick(
                format!(
                    "吹哨 {} 次,结项 {} 次,撤销 {} 次,解决问题 {} 个",
                    group.whistles,
                    group.concluded,
                    group.cancelled,
                    group.solved.len()
                ),
                format!(
                    "whistles {}, concluded {}, called off {}, findings solved {}",
                    group.whistles,
                    group.concluded,
                    group.cancelled,
                    group.solved.len()
                ),
            ),
            self.lang.pick(
                format!(
                    "报到 {} 次,{} 个单位,{} 人,{} 人次",
                    group.arrivals,
                    group.organisations.len(),
                    group.people.len(),
                    group.person_times
                ),
                format!(
                    "arrivals {}, organisations {}, people {}, person-times {}",
                    group.arrivals,
                    group.organisations.len(),
                    group.people.len(),
                    group.person_times
                ),
            ),
            self.lang.pick(
                format!(
                    "按时:签收 {},报到 {},反馈 {}",
                    rate(&group.signed),
                    rate(&group.arrived),
                    rate(&group.fed_back)
                ),
                format!(
                    "in time: signed {}, arrived {}, fed back {}",
                    rate(&group.signed),
                    rate(&group.arrived),
                    rate(&group.fed_back)
                ),
            ),
            self.lang.pick(
                format!("核实通过 {},返工 {} 轮", group.passed, group.reworks),
                format!(
                    "verifications passed {}, rework {}",
                    group.passed, group.reworks
                ),
            ),
            self.lang.pick(
                format!(
                    "升级 {} 次(占社区哨 {}),解除 {} 次",
                    group.escalations, group.escalated, group.stood_down
                ),
                format!(
                    "escalations {} (of community whistles {}), stood down {}",
                    group.escalations, group.escalated, group.stood_down
                ),
            ),
            self.lang.pick(
                format!(
                    "区级督办标记 {} 次(占街道哨 {}),撤销 {} 次",
                    group.marks, group.marked, group.marks_withdrawn
                ),
                format!(
                    "marks for the district {} (of street whistles {}), withdrawn {}",
                    group.marks, group.marked, group.marks_withdrawn
                ),
            ),
            self.lang.pick(
                format!("督办按时回复 {}", rate(&group.replied)),
                format!("superiors answered in time {}", rate(&group.replied)),
            ),
            self.lang.pick(
                format!(
                    "评价:应哨方 {},吹哨方 {}",
                    scores(&group.targets),
                    scores(&group.blowers)
                ),
                format!(
                    "scores: targets {}, blowers {}",
                    scores(&group.targets),
                    scores(&group.blowers)
                ),
            ),
        ];
        lines.map(|line| format!("  {line}\n")).concat()
    }
}

fn name_of(directory: &Directory, grouping: Grouping, key: &str) -> String {
    let organisation = directory.organisations.get(key).map(|it| &it.name);
    let post = directory.posts.get(key).map(|it| &it.name);
    match grouping {
        Grouping::Street | Grouping::Community => directory.area_name(key),
        Grouping::Platform => format!("平台 platform {key}"),
        Grouping::Department => organisation.map_or_else(|| key.to_owned(), Clone::clone),
        Grouping::Post => post.map_or_else(|| key.to_owned(), Clone::clone),
    }
}

fn group_json(group: &Statistics) -> Json {
    let share = |share: Share| json!({"of": share.of, "out_of": share.out_of});
    let rate = |rate: Punctuality| {
        let mut json = share(rate.share);
        json["cannot_say"] = json!(rate.cannot_say);
        json
    };
    let scores = |scores: Scores| {
        json!({
            "mean_tenths": scores.mean_tenths(),
            "given": scores.given,
            "not_scored": scores.not_scored,
        })
    };
    json!({
        "whistles": group.whistles,
        "concluded": group.concluded,
        "cancelled": group.cancelled,
        "findings_solved": group.solved.len(),
        "arrivals": group.arrivals,
        "organisations": group.organisations.len(),
        "people": group.people.len(),
        "person_times": group.person_times,
        "signed_in_time": rate(group.signed),
        "arrived_in_time": rate(group.arrived),
        "fed_back_in_time": rate(group.fed_back),
        "replied_in_time": rate(group.replied),
        "reworks": group.reworks,
        "verifications_passed": share(group.passed),
        "escalations": group.escalations,
        "stood_down": group.stood_down,
        "escalated_of_community": share(group.escalated),
        "marks": group.marks,
        "marks_withdrawn": group.marks_withdrawn,
        "marked_of_street": share(group.marked),
        "scores_of_targets": scores(group.targets),
        "scores_of_blowers": scores(group.blowers),
    })
}

fn no_date() -> Sentence {
    Sentence::new("no_date", "日期超出范围。", "The date is out of range.")
}
