//! What people read and what scripts read: every answer is made in both forms.

use serde_json::{Value as Json, json};

use shaodao_core::device::RecordView;
use shaodao_core::domain::action::{Body, Party, Value, word_zh};
use shaodao_core::domain::available::Available;
use shaodao_core::domain::calendar::{Light, local_text};
use shaodao_core::domain::deadline;
use shaodao_core::domain::directory::Directory;
use shaodao_core::domain::finding::{FindingStage, FindingState};
use shaodao_core::domain::history::Registers;
use shaodao_core::domain::ids::{PersonId, RecordId};
use shaodao_core::domain::record::RecordState;
use shaodao_core::domain::whistle::{WhistleStage, WhistleState};
use shaodao_core::domain::words::words;
use shaodao_core::store::read::{FindingSummary, WhistleSummary};

use crate::clock_view::step_json;
use crate::lang::Lang;

/// What came of a command.
pub struct Answer {
    /// For people.
    pub text: String,
    /// For scripts.
    pub json: Json,
    /// Exit code: 0, or 1 if something needs attention.
    pub exit: u8,
}

impl Answer {
    /// Something that went well.
    pub fn new(text: impl Into<String>, json: Json) -> Self {
        Self {
            text: text.into(),
            json,
            exit: 0,
        }
    }

    /// One more row of a list.
    pub fn push(&mut self, line: &str, row: Json) {
        self.text.push_str(line);
        if let Some(rows) = self.json.as_array_mut() {
            rows.push(row);
        }
    }

    /// Prints it.
    pub fn print(&self, as_json: bool) {
        match as_json {
            true => println!("{}", self.json),
            false => println!("{}", self.text.trim_end()),
        }
    }
}

/// The language and the names that answers need.
pub struct View<'a> {
    /// In which language.
    pub lang: Lang,
    /// Who is who.
    pub directory: &'a Directory,
    /// The time to judge lights by, milliseconds.
    pub now_ms: i64,
}

impl View<'_> {
    /// A finding's stage in words.
    pub fn finding_stage(&self, stage: FindingStage) -> String {
        self.lang
            .pick(stage.zh().to_owned(), stage.word().replace('_', " "))
    }

    /// A whistle's stage in words.
    pub fn whistle_stage(&self, stage: WhistleStage) -> String {
        self.lang
            .pick(stage.zh().to_owned(), stage.word().replace('_', " "))
    }

    /// An action in words.
    pub fn action(&self, word: &str) -> String {
        self.lang
            .pick(word_zh(word).to_owned(), word.replace('_', " "))
    }

    /// Findings as lines.
    pub fn findings(&self, rows: &[FindingSummary]) -> Answer {
        let line = |row: &FindingSummary| {
            let number = match row.number.is_empty() {
                true => self.lang.pick("待编号", "no number yet"),
                false => &row.number,
            };
            let merged = match row.merged_into {
                Some(into) => format!(" → {}", short(into)),
                None => String::new(),
            };
            let conflict = match row.conflicts {
                0 => String::new(),
                _ => self.lang.pick(" ⚠有分歧", " ⚠disputed").to_owned(),
            };
            format!(
                "{}  {}  {}  [{}{merged}] {}({} {}){conflict}\n",
                short(row.record),
                local_text(row.reported_at_ms),
                number,
                self.finding_stage(row.stage),
                row.title,
                self.category(&row.category),
                self.directory.area_name(&row.grid),
            )
        };
        let none = self.lang.pick("没有问题。", "No findings.");
        Answer::new(
            lines(rows.iter().map(line), none),
            rows.iter().map(|row| self.finding_json(row)).collect(),
        )
    }

    /// A whistle as a line, with what is still owed on it.
    pub fn whistle_line(&self, row: &WhistleSummary, whistle: &WhistleState) -> String {
        let due = self.lang.pick("限期", "due");
        format!(
            "{}  {}  [{}] {}({},{due} {}){}\n",
            short(row.record),
            local_text(row.issued_at_ms),
            self.whistle_stage(row.stage),
            row.title,
            self.directory.area_name(&row.area),
            self.with_light(row.due_at_ms, self.light(whistle)),
            self.owed(whistle),
        )
    }

    /// A due time with its light, if that is yellow or red.
    pub(crate) fn with_light(&self, due_at_ms: i64, light: Option<Light>) -> String {
        let time = local_text(due_at_ms);
        match light {
            None | Some(Light::Green) => time,
            Some(light) => format!("{time} ●{}", self.lang.pick(light.zh(), light.word())),
        }
    }

    /// The light of a whistle whose clock runs.
    pub(crate) fn light(&self, whistle: &WhistleState) -> Option<Light> {
        deadline::light(whistle, self.directory, self.now_ms)
    }

    /// A finding's row for scripts.
    pub fn finding_json(&self, row: &FindingSummary) -> Json {
        json!({
            "kind": "finding",
            "record": row.record.to_string(),
            "stage": row.stage.word(),
            "number": row.number,
            "category": row.category,
            "title": row.title,
            "grid": row.grid,
            "position": row.position,
            "severity": row.severity,
            "reporter": row.reporter,
            "reported_at_ms": row.reported_at_ms,
            "conflicts": row.conflicts,
            "merged_into": row.merged_into.map(|into| into.to_string()),
        })
    }

    /// A whistle's row for scripts.
    pub fn whistle_json(&self, row: &WhistleSummary, whistle: &WhistleState) -> Json {
        let mut json = json!({
            "kind": "whistle",
            "record": row.record.to_string(),
            "stage": row.stage.word(),
            "level": row.level,
            "platform": row.platform,
            "area": row.area,
            "title": row.title,
            "issued_at_ms": row.issued_at_ms,
            "due_at_ms": row.due_at_ms,
            "light": self.light(whistle).map(Light::word),
            "paused_until_ms": row.paused_until_ms,
            "open_requests": row.open_requests,
            "parent": row.parent.map(|parent| parent.to_string()),
        });
        self.owed_json(whistle, &mut json);
        json
    }

    /// A record with everything in it. `stage` is the one that people see.
    pub fn record(&self, view: &RecordView, stage: &str, next: &[Available]) -> Answer {
        let mut text = format!("{}\n", view.record);
        match &view.state {
            RecordState::Finding(finding) => text.push_str(&self.finding(finding, stage)),
            RecordState::Whistle(whistle) => text.push_str(&self.whistle(whistle)),
        }
        text.push_str(self.lang.pick("经过:\n", "History:\n"));
        for entry in view.history.entries() {
            let standing = view.account.iter().find(|(hash, ..)| *hash == entry.hash);
            let sent = match standing.map(|(_, standing, _)| *standing) {
                Some(standing) => self.lang.pick(standing.zh(), standing.en()),
                None => "",
            };
            let effect = match view.state.trace_of(&entry.hash) {
                Some(reason) => format!(" ⚠{}", self.lang.pick(reason.zh(), reason.en())),
                None => String::new(),
            };
            text.push_str(&format!(
                "  {}  {}  {}{}({sent}){effect}\n",
                local_text(entry.claim.reading_ms()),
                self.person(&entry.person),
                self.action(entry.body.word()),
                self.detail(&entry.body),
            ));
        }
        for (hash, standing, reason) in &view.account {
            let is_entry = view.history.entries().iter().any(|it| it.hash == *hash);
            if let (false, Some(reason)) = (is_entry, reason) {
                text.push_str(&format!(
                    "  ✗ {}:{}\n",
                    self.lang.pick(standing.zh(), standing.en()),
                    self.lang.pick(reason.zh(), reason.en()),
                ));
            }
        }
        if !next.is_empty() {
            let words: Vec<_> = next.iter().map(|step| self.step(step)).collect();
            let label = self.lang.pick("您可以:", "You can: ");
            text.push_str(&format!(
                "{label}{}\n",
                words.join(self.lang.pick("、", ", "))
            ));
        }
        Answer::new(text, self.record_json(view, stage, next))
    }

    fn finding(&self, finding: &FindingState, stage: &str) -> String {
        let label = self.lang.pick("问题", "Finding");
        let stage = FindingStage::from_word(stage).unwrap_or(finding.stage);
        let mut text = format!("{label} [{}]\n", self.finding_stage(stage));
        if let Some(reporter) = &finding.reporter {
            let by = self.lang.pick("上报人", "reported by");
            text.push_str(&format!("  {by}: {}\n", self.person(reporter)));
        }
        text + &self.facts(&finding.facts)
    }

    fn whistle(&self, whistle: &WhistleState) -> String {
        let label = self.lang.pick("哨令", "Whistle");
        let mut text = format!("{label} [{}]\n", self.whistle_stage(whistle.stage()));
        if let Some(order) = &whistle.order {
            let area = self.lang.pick("吹哨方", "blown by");
            let due = self.lang.pick("限期", "due");
            let who = whistle.blower.as_ref().map(|who| self.person(who));
            text.push_str(&format!(
                "  {area}: {} {}\n  {due}: {}\n",
                self.directory.area_name(&order.area),
                who.unwrap_or_default(),
                self.due(whistle),
            ));
            for (by_ms, zh, en) in [
                (order.sign_by_ms, "签收期限", "sign by"),
                (order.report_by_ms, "报到期限", "report by"),
            ] {
                if let Some(by_ms) = by_ms {
                    let label = self.lang.pick(zh, en);
                    text.push_str(&format!("  {label}: {}\n", local_text(by_ms)));
                }
            }
            for finding in &order.findings {
                let label = self.lang.pick("问题", "finding");
                text.push_str(&format!("  {label}: {}\n", short(*finding)));
            }
        }
        text.push_str(&self.facts(&whistle.facts));
        for target in whistle.targets.values() {
            let role = match (target.target.lead, target.target.mandatory) {
                (true, _) => self.lang.pick("主办", "lead"),
                (_, true) => self.lang.pick("协办", "assist"),
                (_, false) => self.lang.pick("自愿", "voluntary"),
            };
            let stage = target.stage();
            let stage = self
                .lang
                .pick(stage.zh().to_owned(), stage.word().replace('_', " "));
            text.push_str(&format!(
                "  → {} {role} [{stage}]{}{}\n",
                self.directory.party_name(&target.target.party),
                self.rework(whistle, target),
                self.no_show(whistle, target),
            ));
        }
        text.push_str(&self.requests(whistle));
        for escalation in &whistle.escalations {
            let label = self.lang.pick("已升级为街道哨", "escalated into");
            let undone = match &escalation.stood_down {
                Some(proof) => format!(" {}:{proof}", self.lang.pick("已解除", "stood down")),
                None => String::new(),
            };
            text.push_str(&format!("  {label} {}{undone}\n", short(escalation.into)));
        }
        text
    }

    fn facts(&self, facts: &Registers) -> String {
        let mut text = String::new();
        for (name, register) in facts {
            text.push_str(&format!(
                "  {}: {}\n",
                self.fact(name),
                self.fact_value(name, &register.value)
            ));
            for (other, _) in &register.others {
                let label = self.lang.pick("⚠ 另有说法", "⚠ somebody else says");
                text.push_str(&format!("    {label}: {}\n", self.fact_value(name, other)));
            }
        }
        text
    }

    fn fact<'a>(&self, name: &'a str) -> &'a str {
        match (self.lang, name) {
            (Lang::En, name) => name,
            (Lang::Zh, "category") => "分类",
            (Lang::Zh, "title") => "标题",
            (Lang::Zh, "description") => "详情",
            (Lang::Zh, "severity") => "严重程度",
            (Lang::Zh, "position") => "位置",
            (Lang::Zh, "grid") => "网格",
            (Lang::Zh, "address") => "地址",
            (Lang::Zh, "number") => "编号",
            (Lang::Zh, name) => name,
        }
    }

    fn fact_value(&self, name: &str, value: &Value) -> String {
        match (name, value) {
            ("category", Value::Text(code)) => format!("{code} {}", self.category(code)),
            ("grid", Value::Text(code)) => format!("{code} {}", self.directory.area_name(code)),
            (_, Value::Text(text)) => text.clone(),
            (_, Value::Int(number)) => number.to_string(),
            (_, Value::Bool(yes)) => yes.to_string(),
            (_, Value::Bytes(bytes)) => format!("{} bytes", bytes.len()),
            (_, Value::List(list)) => format!("{} values", list.len()),
        }
    }

    /// Name and staff number.
    pub fn person(&self, id: &PersonId) -> String {
        match id.is_server() {
            true => self.lang.pick("服务器", "server").to_owned(),
            false => format!("{} {id}", self.directory.name_of(id)),
        }
    }

    fn category(&self, code: &str) -> String {
        let found = code.parse().ok();
        let found = found.and_then(|code| self.directory.codes.get(&code));
        found.map_or_else(String::new, |category| category.name.clone())
    }

    fn detail(&self, body: &Body) -> String {
        let party = body.party().map(|key| match Party::parse(key) {
            Some(party) => self.directory.party_name(&party),
            None => key.to_owned(),
        });
        let outcome = match body {
            Body::Review { passed, .. } | Body::Verify { passed, .. } => Some(match passed {
                true => self.lang.pick("通过", "passed").to_owned(),
                false => self.lang.pick("不通过", "failed").to_owned(),
            }),
            Body::Evaluate { score, .. } => Some(format!("★{score}")),
            Body::Rule {
                granted, until_ms, ..
            } => Some(self.ruling(*granted, *until_ms)),
            Body::AskExtension {
                until_ms: at_ms, ..
            }
            | Body::AskSuspension {
                review_ms: at_ms, ..
            }
            | Body::Supervise {
                reply_by_ms: at_ms, ..
            }
            | Body::Recompute { due_ms: at_ms, .. } => Some(local_text(*at_ms)),
            _ => None,
        };
        let words = words(body).filter(|text| !text.is_empty());
        let parts: Vec<String> = [party, outcome, words.map(str::to_owned)]
            .into_iter()
            .flatten()
            .collect();
        match parts.is_empty() {
            true => String::new(),
            false => format!(" {}", parts.join(" ")),
        }
    }

    fn record_json(&self, view: &RecordView, stage: &str, next: &[Available]) -> Json {
        let facts: serde_json::Map<String, Json> = view
            .state
            .facts()
            .iter()
            .map(|(name, register)| {
                let others: Vec<Json> = register.others.iter().map(|it| value(&it.0)).collect();
                let fact = json!({ "value": value(&register.value), "others": others });
                (name.clone(), fact)
            })
            .collect();
        let history: Vec<Json> = view
            .history
            .entries()
            .iter()
            .map(|entry| {
                let account = view.account.iter().find(|(hash, ..)| *hash == entry.hash);
                json!({
                    "action": entry.hash.to_string(),
                    "word": entry.body.word(),
                    "person": entry.person.0,
                    "reading_ms": entry.claim.reading_ms(),
                    "received_at_ms": entry.received_at_ms,
                    "party": entry.body.party(),
                    "text": words(&entry.body),
                    "standing": account.map(|it| it.1.word()),
                    "trace": view.state.trace_of(&entry.hash).map(|reason| reason.code()),
                })
            })
            .collect();
        let mut record = json!({
            "record": view.record.to_string(),
            "stage": stage,
            "facts": facts,
            "history": history,
            "next": next.iter().map(step_json).collect::<Vec<_>>(),
        });
        match &view.state {
            RecordState::Finding(finding) => {
                record["kind"] = "finding".into();
                let merged_into = finding.merged_into.map(|into| into.to_string());
                record["merged_into"] = json!(merged_into);
                record["reporter"] = json!(finding.reporter.as_ref().map(|who| &who.0));
            }
            RecordState::Whistle(whistle) => {
                record["kind"] = "whistle".into();
                record["targets"] = whistle
                    .targets
                    .iter()
                    .map(|(key, target)| json!({ "party": key, "stage": target.stage().word() }))
                    .collect();
                self.clock_json(whistle, &mut record);
                record["escalations"] = whistle
                    .escalations
                    .iter()
                    .map(|escalation| {
                        json!({
                            "into": escalation.into.to_string(),
                            "cause": escalation.cause.code(),
                            "stood_down": escalation.stood_down,
                        })
                    })
                    .collect();
            }
        }
        record
    }
}

fn value(value: &Value) -> Json {
    match value {
        Value::Bool(yes) => json!(yes),
        Value::Int(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::Bytes(bytes) => json!(bytes),
        Value::List(list) => list.iter().map(self::value).collect(),
    }
}

/// The beginning of an id, enough to name a record among a phone's thousands.
pub fn short(record: RecordId) -> String {
    record.to_string().chars().take(8).collect()
}

fn lines(rows: impl Iterator<Item = String>, none: &str) -> String {
    let text: String = rows.collect();
    match text.is_empty() {
        true => none.to_owned(),
        false => text,
    }
}
