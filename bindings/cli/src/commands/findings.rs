//! Reporting and correcting.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use shaodao_core::device::{Captured, Draft};
use shaodao_core::domain::action::{Body, Facts, RecordKind, Value, fact};
use shaodao_core::explain::Sentence;

use super::{Done, Hand, done_json, kind_of, said};
use crate::args::{FactArgs, Report};
use crate::resolve;
use crate::view::{Answer, View};

/// One line of a batch of reports.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchLine {
    title: String,
    category: Option<String>,
    at: Option<String>,
    grid: Option<String>,
    address: Option<String>,
    description: Option<String>,
    severity: Option<i64>,
}

impl Hand {
    pub(super) fn report(&mut self, report: &Report) -> Done {
        if let Some(file) = &report.batch {
            return self.report_batch(file);
        }
        let facts = resolve::facts(&report.facts, report.title.as_deref())?;
        let facts = self.placed(facts)?;
        let now = self.clock.now();
        let similar = self
            .device
            .similar(now, &facts)
            .map_err(|error| said(&error))?;
        if !similar.is_empty() && !report.again {
            let directory = self.device.directory().map_err(|error| said(&error))?;
            let view = View {
                lang: self.lang,
                directory: &directory,
                now_ms: self.reading_ms()?,
            };
            let listed = view.findings(&similar).text;
            return Err(Sentence::new(
                "similar",
                format!("附近已有相似的问题,没有保存;若确实不同,请加 --again:\n{listed}"),
                format!(
                    "Something similar is nearby, nothing was saved; if it is not the same, add --again:\n{listed}"
                ),
            ));
        }
        let position = facts.get(fact::POSITION).and_then(|value| match value {
            Value::Text(text) => text.parse().ok(),
            _ => None,
        });
        let captured = self.capture(Draft::new(RecordKind::Finding, facts, Body::Report))?;
        let answer = self.saved(&captured, "report");
        self.with_photos(&captured, position, &report.photos, answer)
    }

    /// Reports one finding a line and answers each line once it is on the disk.
    fn report_batch(&mut self, file: &Path) -> Done {
        let unreadable = |error: std::io::Error| {
            let path = file.display();
            Sentence::new(
                "batch",
                format!("读不了 {path}:{error}"),
                format!("Cannot read {path}: {error}"),
            )
        };
        let reader: Box<dyn BufRead> = match file == Path::new("-") {
            true => Box::new(std::io::stdin().lock()),
            false => Box::new(BufReader::new(
                std::fs::File::open(file).map_err(unreadable)?,
            )),
        };
        let mut saved = 0;
        for (at, line) in reader.lines().enumerate() {
            let line = line.map_err(unreadable)?;
            if line.trim().is_empty() {
                continue;
            }
            let captured = self.report_line(&line).map_err(|error| {
                let nth = at + 1;
                Sentence::new(
                    &error.code,
                    format!("第 {nth} 行:{}(之前的 {saved} 个已保存)", error.zh),
                    format!("Line {nth}: {} ({saved} before it are saved)", error.en),
                )
            })?;
            saved += 1;
            let mut out = std::io::stdout().lock();
            let told = match self.json {
                true => writeln!(out, "{}", done_json(&captured, "report")),
                false => writeln!(out, "{}", captured.record),
            };
            told.and_then(|()| out.flush()).map_err(unreadable)?;
        }
        let text = self.lang.pick(
            format!("已保存 {saved} 个问题。"),
            format!("{saved} findings saved."),
        );
        Ok(Answer::new(text, json!({ "saved": saved })))
    }

    fn report_line(&mut self, line: &str) -> Result<Captured, Sentence> {
        let line: BatchLine = serde_json::from_str(line).map_err(|error| {
            Sentence::new(
                "batch_line",
                format!("不是一个问题的 JSON:{error}"),
                format!("Not a finding in JSON: {error}"),
            )
        })?;
        let args = FactArgs {
            category: line.category,
            at: line.at,
            grid: line.grid,
            address: line.address,
            description: line.description,
            severity: line.severity,
        };
        let facts = resolve::facts(&args, Some(&line.title))?;
        let facts = self.placed(facts)?;
        self.capture(Draft::new(RecordKind::Finding, facts, Body::Report))
    }

    pub(super) fn placed(&self, mut facts: Facts) -> Result<Facts, Sentence> {
        resolve::place(&self.device, &mut facts)?;
        Ok(facts)
    }

    pub(super) fn correct(&mut self, record: &str, facts: &FactArgs, title: Option<&str>) -> Done {
        let record = resolve::record(&self.device, record, None)?;
        let facts = resolve::facts(facts, title)?;
        let draft = Draft::on(kind_of(&record), record.record, Body::Correct);
        self.act(draft.with_facts(facts))
    }
}
