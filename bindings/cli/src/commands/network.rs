//! Syncing.

use std::io::IsTerminal;

use serde_json::json;

use shaodao_core::device::DeviceError;
use shaodao_core::explain::Sentence;
use shaodao_core::sync::transport::Transport;

use super::{Done, Hand, runtime, said};
use crate::args::SyncArgs;
use crate::view::Answer;

impl Hand {
    pub(super) fn sync(&mut self, sync: &SyncArgs) -> Done {
        let owner = self.device.owner().cloned();
        let owner = owner.ok_or_else(|| said(&DeviceError::NotEnrolled))?;
        let transport = Transport::new(&owner.server).map_err(|error| Sentence::from(&error))?;
        let clock = self.clock;
        let lang = self.lang;
        let tell = !self.json && std::io::stderr().is_terminal();
        let report = runtime()?.block_on(transport.sync(
            &mut self.device,
            || clock.now(),
            |so_far| {
                if tell && so_far.outcome.more {
                    let (sent, fetched) = (so_far.outcome.accepted, so_far.outcome.pulled);
                    eprint!("\r{} ↑{sent} ↓{fetched}", lang.pick("同步中", "syncing"));
                }
            },
        ));
        if tell {
            eprint!("\r\x1b[K");
        }
        let report = report.map_err(|error| Sentence::from(&error))?;
        let outcome = &report.outcome;
        let mut text = self.lang.pick(
            format!(
                "同步完成:上传并入账 {} 项,收到 {} 项。",
                outcome.accepted, outcome.pulled
            ),
            format!(
                "Synced: {} accepted, {} received.",
                outcome.accepted, outcome.pulled
            ),
        );
        let put_off = report.put_off.as_ref().map(|put_off| {
            let Sentence { code, zh, en } = put_off.into();
            text.push_str(&self.lang.pick(format!("\n⏳ {zh}"), format!("\n⏳ {en}")));
            json!({ "code": code, "zh": zh, "en": en, "until_ms": put_off.until_ms })
        });
        // A server that asks to wait is not sent photos either.
        let evidence = match report.put_off {
            None => {
                let (line, json) = self.send_evidence(&transport, sync)?;
                text.push_str(&line);
                json
            }
            Some(_) => json!(null),
        };
        let troubles: Vec<_> = outcome
            .troubles
            .iter()
            .map(|trouble| {
                let reason = trouble.reason.map(|reason| (reason.zh(), reason.en()));
                let (zh, en) = reason.unwrap_or(("", ""));
                let standing = trouble.standing;
                let line = self.lang.pick(
                    format!("\n⚠ {}:{zh}", standing.zh()),
                    format!("\n⚠ {}: {en}", standing.en()),
                );
                text.push_str(&line);
                json!({
                    "action": trouble.hash.to_string(),
                    "standing": standing.word(),
                    "reason": trouble.reason.map(|reason| reason.code()),
                    "zh": zh,
                    "en": en,
                })
            })
            .collect();
        Ok(Answer::new(
            text,
            json!({
                "accepted": outcome.accepted,
                "received": outcome.pulled,
                "troubles": troubles,
                "put_off": put_off,
                "evidence": evidence,
                "requests": report.requests,
                "bytes_up": report.bytes_up,
                "bytes_down": report.bytes_down,
            }),
        ))
    }
}
