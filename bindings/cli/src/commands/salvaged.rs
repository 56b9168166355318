//! What opening had to mend, and the work of a former device.

use serde_json::{Value as Json, json};

use shaodao_core::device::{Device, DeviceError};
use shaodao_core::domain::action::word_zh;
use shaodao_core::domain::calendar::local_text;
use shaodao_core::domain::ids::EnvelopeHash;
use shaodao_core::envelope;
use shaodao_core::explain::Sentence;
use shaodao_core::store::salvage::Incident;

use super::{Done, Hand, said};
use crate::lang::Lang;
use crate::view::{Answer, short};

/// Says on the error output what opening had to mend, if anything.
pub(super) fn tell_report(device: &Device, lang: Lang, json: bool) {
    let report = device.report();
    let restored = (report.restored > 0).then(|| {
        let restored = report.restored;
        Sentence::new(
            "restored_from_journal",
            format!("有 {restored} 项未上传的操作只在备份文件里,已补回数据库。"),
            format!(
                "{restored} actions that were not sent were in the journal only; they are in the \
                 database again."
            ),
        )
    });
    let incident = report.incident.as_ref().map(Sentence::from);
    for Sentence { code, zh, en } in restored.into_iter().chain(incident) {
        match json {
            true => eprintln!(
                "{}",
                json!({ "notice": { "code": code, "zh": zh, "en": en } })
            ),
            false => eprintln!("⚠ {}", lang.pick(zh, en)),
        }
    }
}

/// An incident for scripts.
pub(super) fn incident_json(incident: &Incident) -> Json {
    let said = Sentence::from(incident);
    json!({
        "at_ms": incident.at_ms,
        "why": incident.why.word(),
        "aside": incident.aside,
        "same_device": incident.same_device,
        "queued": incident.queued,
        "salvaged": incident.salvaged,
        "lost": incident.lost,
        "zh": said.zh,
        "en": said.en,
    })
}

impl Hand {
    /// The incidents as lines.
    pub(super) fn incident_lines(&self, incidents: &[Incident]) -> String {
        let line = |incident: &Incident| {
            let Sentence { zh, en, .. } = incident.into();
            let time = local_text(incident.at_ms);
            format!("⚠ {time} {}\n", self.lang.pick(zh, en))
        };
        incidents.iter().map(line).collect()
    }

    /// The work of a former device that waits for its owner.
    pub(super) fn salvaged(&self) -> Done {
        let salvaged = self.device.store().salvaged();
        let salvaged = salvaged.map_err(|error| Sentence::from(&error))?;
        let (mut text, mut rows) = (String::new(), Vec::new());
        for item in &salvaged {
            let action = item.envelope.as_deref().map(envelope::open);
            let action = action.and_then(Result::ok).map(|it| it.envelope.action);
            let hash = item.hash.to_string();
            let (zh, en) = match &action {
                Some(action) => (word_zh(action.body.word()), action.body.word()),
                None => ("内容丢失", "content lost"),
            };
            let said = self.lang.pick(zh.to_owned(), en.replace('_', " "));
            text.push_str(&format!("{}  {}  {said}\n", &hash[..8], short(item.record)));
            rows.push(json!({
                "action": hash,
                "record": item.record.to_string(),
                "word": action.as_ref().map(|action| action.body.word()),
                "person": action.as_ref().map(|action| &action.person.0),
            }));
        }
        if salvaged.is_empty() {
            text = self
                .lang
                .pick("没有待重做的操作。", "Nothing waits to be done again.")
                .to_owned();
        }
        Ok(Answer::new(text, rows.into()))
    }

    /// Does actions again, or takes salvaged ones off the list: the one that is
    /// meant, or all of a former device.
    pub(super) fn redo(&mut self, name: Option<&str>, forget: bool) -> Done {
        if !forget && self.device.owner().is_none() {
            return Err(said(&DeviceError::NotEnrolled));
        }
        let salvaged = self.device.store().salvaged();
        let salvaged = salvaged.map_err(|error| Sentence::from(&error))?;
        let mut all: Vec<EnvelopeHash> = salvaged.iter().map(|item| item.hash).collect();
        if name.is_some() && !forget {
            let troubles = self.device.troubles().map_err(|error| said(&error))?;
            all.extend(troubles.iter().map(|open| open.trouble.hash));
        }
        let meant = |hash: &EnvelopeHash| {
            let hash = hash.to_string();
            name.is_none_or(|name| name.len() >= 4 && hash.starts_with(&name.to_lowercase()))
        };
        all.retain(meant);
        if let (true, Some(_)) = (all.len() != 1, name) {
            return Err(said(&DeviceError::NothingToRedo));
        }
        let (mut done, mut refused, mut text) = (Vec::new(), Vec::new(), String::new());
        for hash in all {
            let now = self.clock.now();
            let redone = match forget {
                true => self.device.forget_salvaged(&hash).map(|()| None),
                false => self.device.redo(now, &mut self.rng, hash).map(Some),
            };
            let name = &hash.to_string()[..8];
            match redone {
                Ok(captured) => {
                    text.push_str(&format!("✓ {name}\n"));
                    let action = captured.map(|captured| captured.hash.to_string());
                    done.push(json!({ "was": hash.to_string(), "action": action }));
                }
                // The others do not depend on this one.
                Err(error) => {
                    let Sentence { code, zh, en } = said(&error);
                    text.push_str(&format!("✗ {name} {}\n", self.lang.pick(&zh, &en)));
                    refused
                        .push(json!({ "was": hash.to_string(), "code": code, "zh": zh, "en": en }));
                }
            }
        }
        let exit = u8::from(!refused.is_empty());
        let json = json!({ "done": done, "refused": refused });
        Ok(Answer { text, json, exit })
    }
}
