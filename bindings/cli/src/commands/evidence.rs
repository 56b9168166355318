//! Evidence: attaching it, how far it has come, looking at it.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use shaodao_core::device::evidence::{Evidence, Keep, Shot, arrivals};
use shaodao_core::device::{Captured, DeviceError, Draft, RecordView};
use shaodao_core::domain::action::{Body, RecordKind, Value, fact};
use shaodao_core::domain::calendar::local_text;
use shaodao_core::domain::evidence::{Arrival, Shows};
use shaodao_core::domain::ids::{PersonId, RecordId};
use shaodao_core::domain::place::Position;
use shaodao_core::explain::Sentence;
use shaodao_core::store::pieces::Form;
use shaodao_core::sync::transport::{EvidenceReport, Transport};

use super::{Done, Hand, kind_of, runtime, said};
use crate::args::{Attach, EvidenceForm, Fetch, KeepForm, SelfResolve, ShowsWhat, SyncArgs};
use crate::resolve;
use crate::view::Answer;

/// Characters of a piece's id that are shown.
const SHORT: usize = 8;

impl Hand {
    pub(super) fn attach(&mut self, attach: &Attach) -> Done {
        let record = resolve::record(&self.device, &attach.record, None)?;
        let shows = match attach.shows {
            ShowsWhat::Scene => Shows::Scene,
            ShowsWhat::Before => Shows::Before,
            ShowsWhat::After => Shows::After,
            ShowsWhat::Voice => Shows::Voice,
            ShowsWhat::File => Shows::File,
        };
        let position = attach.at.as_deref().map(resolve::position).transpose()?;
        let shots: Vec<_> = attach
            .files
            .iter()
            .map(|file| shot(file, shows, position))
            .collect();
        let captured = self.attach_shots(record.record, &shots)?;
        Ok(self.saved(&captured, "attach"))
    }

    fn attach_shots(&mut self, record: RecordId, shots: &[Shot]) -> Result<Captured, Sentence> {
        let now = self.clock.now();
        let attached = self.device.attach(now, &mut self.rng, record, shots);
        attached.map_err(|error| said(&error))
    }

    /// Photos of a finding that has just been reported: the report stands
    /// whatever becomes of them.
    pub(super) fn with_photos(
        &mut self,
        captured: &Captured,
        position: Option<Position>,
        photos: &[PathBuf],
        mut answer: Answer,
    ) -> Done {
        if !photos.is_empty() {
            let shots: Vec<_> = photos
                .iter()
                .map(|file| shot(file, Shows::Scene, position))
                .collect();
            let attached = self.attach_shots(captured.record, &shots);
            let attached = attached.map_err(|error| {
                let record = super::short(captured.record);
                Sentence::new(
                    &error.code,
                    format!("问题已保存({record}),照片没有附上:{}", error.zh),
                    format!(
                        "The finding is saved ({record}), its photos are not: {}",
                        error.en
                    ),
                )
            })?;
            let added = self.saved(&attached, "attach");
            answer.text.push_str(&format!("\n{}", added.text));
            if let Some(fields) = answer.json.as_object_mut() {
                fields.insert("attached".to_owned(), added.json);
            }
        }
        let asked = self.photos_asked_for(captured.record)?;
        if !photos.is_empty() && photos.len() < asked {
            answer.text.push_str(&self.lang.pick(
                format!("\n这类问题最好有 {asked} 张照片,近景、远景都要有。"),
                format!("\n{asked} photos are better here, from near and from afar."),
            ));
        }
        if let Some(fields) = answer.json.as_object_mut() {
            fields.insert("photos_asked_for".to_owned(), asked.into());
        }
        Ok(answer)
    }

    /// How many photos of the scene the category of a finding asks for.
    fn photos_asked_for(&self, finding: RecordId) -> Result<usize, Sentence> {
        let view = self.device.show(finding);
        let view = view.map_err(|error| said(&error))?;
        let category = view.state.facts().get(fact::CATEGORY);
        let Some(Value::Text(code)) = category.map(|it| &it.value) else {
            return Ok(0);
        };
        let directory = self.device.directory();
        let directory = directory.map_err(|error| said(&error))?;
        let category = code.parse().ok();
        let category = category.and_then(|code| directory.codes.get(&code));
        Ok(category.map_or(0, |category| category.photos))
    }

    pub(super) fn self_resolve(&mut self, resolved: SelfResolve) -> Done {
        let finding = resolve::finding(&self.device, &resolved.finding)?;
        let before = resolved.before.iter();
        let shots: Vec<_> = before
            .map(|file| shot(file, Shows::Before, None))
            .chain(resolved.after.iter().map(|it| shot(it, Shows::After, None)))
            .collect();
        // Photos first: what is said to be fixed can be seen to be.
        if !shots.is_empty() {
            self.attach_shots(finding, &shots)?;
        }
        let body = Body::SelfResolve {
            text: resolved.text,
        };
        self.act(Draft::on(RecordKind::Finding, finding, body))
    }

    pub(super) fn erase_evidence(&mut self, name: &str, piece: &str, reason: String) -> Done {
        let view = resolve::record(&self.device, name, None)?;
        let piece = self.piece(&view, piece)?.attached.piece.id;
        let body = Body::EraseEvidence { piece, reason };
        self.act(Draft::on(kind_of(&view), view.record, body))
    }

    pub(super) fn evidence(&self, name: &str) -> Done {
        let view = resolve::record(&self.device, name, None)?;
        let view = self.device.view(self.clock.now(), view.record);
        let (text, json) = self.evidence_of(&view.map_err(|error| said(&error))?)?;
        let text = match text.is_empty() {
            true => self.lang.pick("没有佐证。", "No evidence.").to_owned(),
            false => text,
        };
        Ok(Answer::new(text, json))
    }

    /// The evidence of a record, as lines and for scripts.
    pub(super) fn evidence_of(&self, view: &RecordView) -> Result<(String, Json), Sentence> {
        let evidence = self.device.evidence(&view.state);
        let evidence = evidence.map_err(|error| said(&error))?;
        let (arrivals, photos_only) = arrivals(&evidence);
        let mut text = String::new();
        if !evidence.is_empty() {
            let counted = self
                .lang
                .pick(arrivals.zh(photos_only), arrivals.en(photos_only));
            text = format!("{counted}\n");
        }
        for one in &evidence {
            text.push_str(&self.evidence_line(one));
        }
        let pieces: Vec<_> = evidence.iter().map(evidence_json).collect();
        let json = json!({
            "pieces": arrivals.pieces,
            "arrived": arrivals.arrived,
            "list": pieces,
        });
        Ok((text, json))
    }

    fn evidence_line(&self, one: &Evidence) -> String {
        let piece = &one.attached.piece;
        let id: String = piece.id.to_string().chars().take(SHORT).collect();
        let shows = self.lang.pick(piece.shows.zh(), piece.shows.word());
        let by = self.name_of(&one.attached.by);
        let taken = local_text(piece.taken_at_ms);
        let state = match (&one.attached.erased, one.arrival) {
            (Some((_, reason)), _) => self
                .lang
                .pick(format!("已擦除({reason})"), format!("erased ({reason})")),
            (None, Arrival::OnPhone) => self.lang.pick(
                format!("还在{by}的手机上"),
                format!("still on the phone of {by}"),
            ),
            (None, arrival) => self
                .lang
                .pick(arrival.zh().to_owned(), arrival.word().replace('_', " ")),
        };
        let kib = piece.size.div_ceil(1024);
        format!("  {id}  {shows} {kib} KiB {taken} {by}: {state}\n")
    }

    fn name_of(&self, person: &PersonId) -> String {
        let directory = self.device.directory();
        directory.map_or_else(|_| person.0.clone(), |directory| directory.name_of(person))
    }

    /// A piece in a form, into a file: from this phone, or fetched.
    pub(super) fn fetch(&mut self, fetch: &Fetch) -> Done {
        let view = resolve::record(&self.device, &fetch.record, None)?;
        let attached = self.piece(&view, &fetch.piece)?.attached;
        let piece = attached.piece;
        let look = |hand: &Self| {
            let seen = match (fetch.form, &fetch.font) {
                (EvidenceForm::Thumbnail, _) => hand.device.look_at(&piece, Form::Thumbnail),
                (EvidenceForm::Display, _) => hand.device.look_at(&piece, Form::Display),
                (EvidenceForm::Watermark, Some(font)) => {
                    hand.device.watermarked(&view, &attached, font)
                }
                _ => hand.device.look_at(&piece, Form::Original),
            };
            seen.map_err(|error| said(&error))
        };
        let mut bytes = look(self)?;
        if bytes.is_none() {
            let owner = self.device.owner().cloned();
            let owner = owner.ok_or_else(|| said(&DeviceError::NotEnrolled))?;
            let transport = Transport::new(&owner.server).map_err(|it| Sentence::from(&it))?;
            let fetched = runtime()?.block_on(async {
                match fetch.form {
                    EvidenceForm::Thumbnail => {
                        let (device, rng) = (&mut self.device, &mut self.rng);
                        transport.fetch_thumbnail(device, rng, &piece).await
                    }
                    _ => transport.fetch_original(&mut self.device, &piece).await,
                }
            });
            fetched.map_err(|error| Sentence::from(&error))?;
            bytes = look(self)?;
        }
        let bytes = bytes.ok_or_else(|| said(&DeviceError::EvidenceNotHere))?;
        std::fs::write(&fetch.out, &bytes[..]).map_err(|error| {
            let path = fetch.out.display();
            Sentence::new(
                "file",
                format!("写不了文件 {path}:{error}"),
                format!("The file {path} cannot be written: {error}"),
            )
        })?;
        let path = fetch.out.display().to_string();
        let text = self
            .lang
            .pick(format!("✓ 已存到 {path}"), format!("✓ Written to {path}"));
        Ok(Answer::new(
            text,
            json!({ "file": path, "bytes": bytes.len(), "piece": piece.id.to_string() }),
        ))
    }

    pub(super) fn keep(&mut self, keep: Option<KeepForm>) -> Done {
        if let Some(keep) = keep {
            let keep = match keep {
                KeepForm::Original => Keep::Original,
                KeepForm::Display => Keep::Display,
                KeepForm::Thumbnail => Keep::Thumbnail,
            };
            self.device.set_keep(keep).map_err(|error| said(&error))?;
        }
        let keep = self.device.keep().map_err(|error| said(&error))?;
        let (zh, en) = match keep {
            Keep::Original => ("原图", "originals"),
            Keep::Display => ("浏览图", "display copies"),
            Keep::Thumbnail => ("缩略图", "thumbnails"),
        };
        let text = self.lang.pick(
            format!("照片传到服务器以后,手机上保留:{zh}"),
            format!("Once photos have arrived at the server, this phone keeps: {en}"),
        );
        Ok(Answer::new(text, json!({ "keep": keep.word() })))
    }

    /// Sends evidence after a synchronisation: a line, and for scripts.
    pub(super) fn send_evidence(
        &mut self,
        transport: &Transport,
        sync: &SyncArgs,
    ) -> Result<(String, Json), Sentence> {
        let clock = self.clock;
        let (setting, link) = (sync.evidence.into(), sync.link.into());
        let device = &mut self.device;
        let sent = transport.send_evidence(device, setting, link, || clock.now(), |_| {});
        let report = match runtime()?.block_on(sent) {
            Ok(report) => report,
            // What was said and heard before stands; photos go on next time.
            Err(error) => {
                let Sentence { code, zh, en } = Sentence::from(&error);
                let line = self.lang.pick(format!("\n⚠ {zh}"), format!("\n⚠ {en}"));
                let json = json!({ "error": { "code": code, "zh": zh, "en": en } });
                return Ok((line, json));
            }
        };
        let EvidenceReport {
            thumbnails,
            originals,
            bytes_up,
            waiting,
        } = &report;
        let mut text = match originals {
            0 => String::new(),
            _ => self.lang.pick(
                format!("\n照片等佐证已传到服务器 {originals} 份。"),
                format!("\n{originals} pieces of evidence arrived at the server."),
            ),
        };
        text.push_str(
            &self
                .arrivals_line()?
                .map_or_else(String::new, |line| format!("\n{line}")),
        );
        let mut codes = std::collections::BTreeMap::new();
        for one in waiting {
            codes.entry(&one.code).or_insert(one);
        }
        for one in codes.values() {
            let line = self
                .lang
                .pick(format!("\n⚠ {}", one.zh), format!("\n⚠ {}", one.en));
            text.push_str(&line);
        }
        let waiting: Vec<_> = waiting
            .iter()
            .map(|one| {
                json!({
                    "sealed": one.sealed.to_string(),
                    "code": one.code,
                    "zh": one.zh,
                    "en": one.en,
                })
            })
            .collect();
        let json = json!({
            "thumbnails": thumbnails,
            "originals": originals,
            "bytes_up": bytes_up,
            "waiting": waiting,
        });
        Ok((text, json))
    }

    /// How many of one's own pieces have arrived, while some are on the way.
    pub(super) fn arrivals_line(&self) -> Result<Option<String>, Sentence> {
        let arrivals = self.device.store().own_arrivals();
        let (arrivals, photos_only) = arrivals.map_err(|error| Sentence::from(&error))?;
        Ok(arrivals.is_worth_a_line().then(|| {
            self.lang
                .pick(arrivals.zh(photos_only), arrivals.en(photos_only))
        }))
    }

    /// The piece that a text means: its id, or a beginning that only it has.
    fn piece(&self, view: &RecordView, text: &str) -> Result<Evidence, Sentence> {
        let evidence = self.device.evidence(&view.state);
        let mut found = evidence.map_err(|error| said(&error))?;
        let means = |one: &Evidence| one.attached.piece.id.to_string().starts_with(text);
        found.retain(|one| !text.is_empty() && means(one));
        found.dedup_by_key(|one| one.attached.piece.id);
        match (found.pop(), found.is_empty()) {
            (Some(one), true) => Ok(one),
            _ => Err(Sentence::new(
                "no_such_evidence",
                format!("没有(或不止一份)佐证 {text};用 shaodao evidence 查看。"),
                format!("There is no evidence {text}, or more than one; see `shaodao evidence`."),
            )),
        }
    }
}

fn shot(file: &Path, shows: Shows, position: Option<Position>) -> Shot {
    Shot {
        file: file.to_owned(),
        shows,
        position,
        taken_at_ms: None,
    }
}

fn evidence_json(one: &Evidence) -> Json {
    let piece = &one.attached.piece;
    let here: Vec<_> = one.here.iter().map(|form| form.word()).collect();
    json!({
        "piece": piece.id.to_string(),
        "sealed": piece.sealed.to_string(),
        "shows": piece.shows.word(),
        "media": piece.media.word(),
        "size": piece.size,
        "taken_at_ms": piece.taken_at_ms,
        "position": piece.position.map(|it| it.to_string()),
        "by": one.attached.by.0,
        "action": one.attached.hash.to_string(),
        "state": one.arrival.word(),
        "own": one.own,
        "here": here,
        "erased": one.attached.erased.as_ref().map(|(by, reason)| json!({
            "by": by.0, "reason": reason,
        })),
    })
}
