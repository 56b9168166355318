//! Lists, details, searches and the state of the phone.

use serde_json::json;

use shaodao_core::device::RecordView;
use shaodao_core::domain::action::Party;
use shaodao_core::domain::calendar::local_text;
use shaodao_core::domain::finding::{FindingStage, FindingState};
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::lease::Sight;
use shaodao_core::domain::record::RecordState;
use shaodao_core::domain::whistle::WhistleStage;
use shaodao_core::explain::Sentence;
use shaodao_core::store::read::{FindingFilter, WhistleFilter, WhistleSummary};

use super::salvaged::incident_json;
use super::{Done, Hand, said};
use crate::args::{List, Part, Records};
use crate::resolve;
use crate::view::{Answer, View, short};

impl Hand {
    pub(super) fn list(&self, list: List) -> Done {
        let directory = self.device.directory().map_err(|error| said(&error))?;
        let view = View {
            lang: self.lang,
            directory: &directory,
            now_ms: self.reading_ms()?,
        };
        let now = self.clock.now();
        let stage = list.stage.as_deref().map(|stage| stage.replace('-', "_"));
        match list.what {
            Records::Findings => {
                let words = FindingStage::ALL.map(FindingStage::word);
                let filter = FindingFilter {
                    stage: stage_of(stage.as_deref(), FindingStage::from_word, &words)?,
                    area: list.area,
                    category: list.category.map(|code| code.to_uppercase()),
                    reporter: None,
                    conflicts: list.conflicts,
                    before_ms: None,
                    limit: list.limit,
                };
                let rows = self.device.findings(now, &filter);
                let rows = rows.map_err(|error| said(&error))?;
                self.under_lease(view.findings(&rows))
            }
            Records::Whistles => {
                let words = WhistleStage::ALL.map(WhistleStage::word);
                let party = list
                    .target
                    .as_deref()
                    .map(|name| self.party(name))
                    .transpose()?;
                let filter = WhistleFilter {
                    stage: stage_of(stage.as_deref(), WhistleStage::from_word, &words)?,
                    party,
                    blower: None,
                    open: list.open,
                    limit: list.limit,
                };
                let rows = self.device.whistles(now, &filter);
                let rows = rows.map_err(|error| said(&error))?;
                let mut answer = Answer::new(String::new(), json!([]));
                for row in &rows {
                    self.push_whistle(&view, row, &mut answer)?;
                }
                if rows.is_empty() {
                    let none = self.lang.pick("没有哨令。", "No whistles.");
                    answer.text.push_str(none);
                }
                self.under_lease(answer)
            }
        }
    }

    pub(super) fn show(&self, name: &str) -> Done {
        let directory = self.device.directory().map_err(|error| said(&error))?;
        let record = resolve::record(&self.device, name, None)?;
        let seen = self.device.view(self.clock.now(), record.record);
        let record = seen.map_err(|error| said(&error))?;
        let view = View {
            lang: self.lang,
            directory: &directory,
            now_ms: self.reading_ms()?,
        };
        let row = self.device.store().finding(record.record);
        let row = row.map_err(|error| Sentence::from(&error))?;
        let stage = row.map_or(record.state.stage_word(), |row| row.stage.word());
        let next = self.device.steps(self.clock.now(), &record);
        let next = next.map_err(|error| said(&error))?;
        let mut answer = view.record(&record, stage, &next);
        let (text, confided) = self.confidences(&record)?;
        answer.text.push_str(&text);
        let (text, evidence) = self.evidence_of(&record)?;
        answer.text.push_str(&text);
        let (text, outlook) = self.outlook(&record)?;
        answer.text.push_str(&text);
        if let Some(fields) = answer.json.as_object_mut() {
            fields.insert("confided".to_owned(), confided);
            fields.insert("evidence".to_owned(), evidence);
            fields.insert("outlook".to_owned(), outlook);
        }
        self.beside(&record, &mut answer)?;
        Ok(answer)
    }

    /// What else there is to know beside a record: whistles for the same
    /// findings, findings that may be the same problem.
    fn beside(&self, view: &RecordView, answer: &mut Answer) -> Result<(), Sentence> {
        let (records, label, name): (Vec<RecordId>, _, _) = match &view.state {
            RecordState::Finding(_) => {
                let doubles = self.device.doubles(view.record);
                let doubles = doubles.map_err(|error| said(&error))?;
                let label = self.lang.pick(
                    "可能重复(可用 merge 合并):",
                    "May be the same (see `merge`):",
                );
                (
                    doubles.iter().map(|it| it.record).collect(),
                    label,
                    "doubles",
                )
            }
            RecordState::Whistle(_) => {
                let rivals = self.device.rivals(view.record);
                let rivals = rivals.map_err(|error| said(&error))?;
                let label = self.lang.pick(
                    "同一问题的其他哨令(可用 summon 加派、cancel 撤销来合并):",
                    "Other whistles for the same findings (join them by `summon` and `cancel`):",
                );
                (rivals.iter().map(|it| it.record).collect(), label, "rivals")
            }
        };
        if let RecordState::Finding(finding) = &view.state {
            self.follows(finding, answer)?;
        }
        answer.json[name] = records.iter().map(ToString::to_string).collect();
        if !records.is_empty() {
            let listed = self.records(&records)?.text;
            answer.text.push_str(&format!("{label}\n{listed}"));
        }
        Ok(())
    }

    /// The finding that a double was merged into, and where that stands.
    fn follows(&self, finding: &FindingState, answer: &mut Answer) -> Result<(), Sentence> {
        let Some(into) = finding.merged_into else {
            return Ok(());
        };
        let row = self.device.store().finding(into);
        let row = row.map_err(|error| Sentence::from(&error))?;
        answer.json["follows"] = json!(row.map(|row| row.stage.word()));
        let label = self.lang.pick("已并入:", "Follows:");
        let listed = self.records(&[into])?.text;
        answer.text.push_str(&format!("{label}\n{listed}"));
        Ok(())
    }

    pub(super) fn search(&self, text: &str, limit: u32) -> Done {
        let found = self.device.search(self.clock.now(), text, limit);
        let found = found.map_err(|error| said(&error))?;
        self.under_lease(self.records(&found)?)
    }

    /// Says so where the phone does not show everything.
    pub(super) fn under_lease(&self, mut answer: Answer) -> Done {
        let sight = self.device.sight(self.clock.now());
        if let Sight::OwnOnly(blind) = sight.map_err(|error| said(&error))? {
            let sentence = Sentence::from(&blind);
            let notice = self.lang.pick(sentence.zh, sentence.en);
            answer.text = format!("⚠ {notice}\n{}", answer.text);
        }
        Ok(answer)
    }

    /// Records of both kinds as lines.
    pub(super) fn records(&self, records: &[RecordId]) -> Done {
        let directory = self.device.directory().map_err(|error| said(&error))?;
        let view = View {
            lang: self.lang,
            directory: &directory,
            now_ms: self.reading_ms()?,
        };
        let store = self.device.store();
        let mut answer = Answer::new(String::new(), json!([]));
        for record in records {
            let finding = store
                .finding(*record)
                .map_err(|error| Sentence::from(&error))?;
            if let Some(finding) = finding {
                let line = view.findings(std::slice::from_ref(&finding)).text;
                answer.push(&line, view.finding_json(&finding));
            }
            let whistle = store
                .whistle(*record)
                .map_err(|error| Sentence::from(&error))?;
            if let Some(whistle) = whistle {
                self.push_whistle(&view, &whistle, &mut answer)?;
            }
        }
        if answer.text.is_empty() {
            answer.text = self.lang.pick("没有找到。", "Nothing found.").to_owned();
        }
        Ok(answer)
    }

    fn push_whistle(
        &self,
        view: &View<'_>,
        row: &WhistleSummary,
        answer: &mut Answer,
    ) -> Result<(), Sentence> {
        let shown = self.device.show(row.record).map_err(|error| said(&error))?;
        if let RecordState::Whistle(whistle) = &shown.state {
            answer.push(
                &view.whistle_line(row, whistle),
                view.whistle_json(row, whistle),
            );
        }
        Ok(())
    }

    pub(super) fn directory(&self, part: Part, text: Option<&str>) -> Done {
        let directory = self.device.directory().map_err(|error| said(&error))?;
        let rows: Vec<(String, String, String)> = match part {
            Part::People => directory
                .people
                .values()
                .map(|person| {
                    let roles = person.grants.iter().map(|grant| {
                        let role = self.lang.pick(grant.role.zh(), grant.role.word());
                        format!("{role} {}", directory.area_name(&grant.scope))
                    });
                    let posts = person.posts.iter().map(|(post, grid)| {
                        let (post, grid) = (post.clone(), grid.clone());
                        directory.party_name(&Party::Post { grid, post })
                    });
                    let does: Vec<String> = roles.chain(posts).collect();
                    (person.id.0.clone(), person.name.clone(), does.join(", "))
                })
                .collect(),
            Part::Organisations => directory
                .organisations
                .values()
                .map(|it| {
                    (
                        it.id.clone(),
                        it.name.clone(),
                        format!("platform {}", it.platform),
                    )
                })
                .collect(),
            Part::Grids => directory
                .grids
                .values()
                .map(|it| {
                    (
                        it.code.clone(),
                        it.name.clone(),
                        directory.area_name(&it.community),
                    )
                })
                .collect(),
            Part::Posts => directory
                .posts
                .values()
                .map(|it| (it.code.clone(), it.name.clone(), String::new()))
                .collect(),
            Part::Categories => directory
                .codes
                .all()
                .map(|it| (it.code.to_string(), it.name.clone(), it.major_name.clone()))
                .collect(),
        };
        let wanted = |row: &(String, String, String)| {
            text.is_none_or(|text| {
                [&row.0, &row.1, &row.2]
                    .iter()
                    .any(|cell| cell.contains(text))
            })
        };
        let rows: Vec<_> = rows.into_iter().filter(wanted).collect();
        let lines: String = rows
            .iter()
            .map(|(id, name, more)| format!("{id}  {name}  {more}\n"))
            .collect();
        let json = rows
            .iter()
            .map(|(id, name, more)| json!({ "id": id, "name": name, "more": more }))
            .collect();
        Ok(Answer::new(lines, json))
    }

    pub(super) fn status(&self) -> Done {
        let store = self.device.store();
        let failed = |error| Sentence::from(&error);
        let counts = store.counts().map_err(failed)?;
        let contact = store.contact().map_err(failed)?;
        let troubles = store.troubles().map_err(failed)?;
        let sight = self.device.sight(self.clock.now());
        let blind = match sight.map_err(|error| said(&error))? {
            Sight::OwnOnly(blind) if self.device.owner().is_some() => Some(blind),
            _ => None,
        };
        let incidents = store.incidents().map_err(failed)?;
        let salvaged = store.salvaged().map_err(failed)?;
        let owner = self.device.owner();
        let mut text = match owner {
            Some(owner) => {
                let directory = self.device.directory().ok();
                let directory = directory.as_ref();
                let name = directory.map_or_else(|| "—".to_owned(), |it| it.name_of(&owner.person));
                let street = directory.map_or(&owner.street, |it| &it.street_name);
                format!("{name}({}) {street}  {}\n", owner.person, owner.server)
            }
            None => self
                .lang
                .pick("还没有登记。\n", "Not enrolled yet.\n")
                .to_owned(),
        };
        let last = contact.map_or_else(
            || self.lang.pick("从未", "never").to_owned(),
            |contact| local_text(contact.server_ms),
        );
        text.push_str(&self.lang.pick(
            format!(
                "问题 {} 个(有分歧 {} 个),哨令 {} 道,待上传 {} 项,上次同步 {last}\n",
                counts.findings, counts.conflicts, counts.whistles, counts.outbox
            ),
            format!(
                "{} findings ({} disputed), {} whistles, {} actions to send, last contact {last}\n",
                counts.findings, counts.conflicts, counts.whistles, counts.outbox
            ),
        ));
        let (arrivals, _) = store.own_arrivals().map_err(failed)?;
        if let Some(line) = self.arrivals_line()? {
            text.push_str(&format!("{line}\n"));
        }
        if let Some(blind) = &blind {
            let sentence = Sentence::from(blind);
            text.push_str(&format!("⚠ {}\n", self.lang.pick(sentence.zh, sentence.en)));
        }
        let put_off = self.device.put_off(self.clock.now());
        let put_off = put_off.map_err(|error| said(&error))?.map(|put_off| {
            let Sentence { code, zh, en } = Sentence::from(&put_off);
            text.push_str(&self.lang.pick(format!("⏳ {zh}\n"), format!("⏳ {en}\n")));
            json!({ "code": code, "zh": zh, "en": en, "until_ms": put_off.until_ms })
        });
        let newer = self
            .device
            .needs_newer_app()
            .map_err(|error| said(&error))?;
        if newer {
            text.push_str(self.lang.pick(
                "⚠ 名录由新版服务器写成,请更新应用;现在仍按原名录工作。\n",
                "⚠ A newer server wrote the directory; update the app. It goes on with the \
                 directory that it had.\n",
            ));
        }
        for trouble in troubles.iter().filter(|trouble| trouble.redone.is_none()) {
            let (zh, en) = trouble.reason.map_or(("", ""), |it| (it.zh(), it.en()));
            let record = short(trouble.record);
            text.push_str(&self.lang.pick(
                format!("⚠ {record} {}:{zh}\n", trouble.standing.zh()),
                format!("⚠ {record} {}: {en}\n", trouble.standing.en()),
            ));
        }
        text.push_str(&self.incident_lines(&incidents));
        if !salvaged.is_empty() {
            let count = salvaged.len();
            text.push_str(&self.lang.pick(
                format!("⚠ {count} 项操作待重做,见 shaodao salvaged\n"),
                format!("⚠ {count} actions to be done again, see `shaodao salvaged`\n"),
            ));
        }
        let contradiction = self.device.contradiction().map_err(|error| said(&error))?;
        if let Some((contradiction, at_ms)) = contradiction {
            let Sentence { zh, en, .. } = contradiction.into();
            let at = local_text(at_ms);
            let line = self
                .lang
                .pick(format!("⚠ {at} {zh}\n"), format!("⚠ {at} {en}\n"));
            text.push_str(&line);
        }
        let troubles: Vec<_> = troubles
            .iter()
            .map(|trouble| {
                json!({
                    "action": trouble.hash.to_string(),
                    "record": trouble.record.to_string(),
                    "standing": trouble.standing.word(),
                    "reason": trouble.reason.map(|reason| reason.code()),
                    "redone": trouble.redone.map(|hash| hash.to_string()),
                })
            })
            .collect();
        Ok(Answer::new(
            text,
            json!({
                "needs_newer_app": newer,
                "shows": blind.map_or("all", |_| "own_only"),
                "why": blind.map(|blind| blind.word()),
                "device": self.device.id().to_string(),
                "person": owner.map(|owner| &owner.person.0),
                "street": owner.map(|owner| &owner.street),
                "server": owner.map(|owner| &owner.server),
                "findings": counts.findings,
                "whistles": counts.whistles,
                "conflicts": counts.conflicts,
                "outbox": counts.outbox,
                "evidence": {
                    "pieces": arrivals.pieces, "arrived": arrivals.arrived,
                    "set_aside": arrivals.set_aside,
                },
                "last_contact_ms": contact.map(|contact| contact.server_ms),
                "put_off": put_off,
                "incidents": incidents.iter().map(incident_json).collect::<Vec<_>>(),
                "salvaged": salvaged.len(),
                "troubles": troubles,
                "server_contradiction": contradiction.map(|(it, _)| it.word()),
            }),
        ))
    }
}

fn stage_of<T>(
    word: Option<&str>,
    read: impl Fn(&str) -> Option<T>,
    known: &[&str],
) -> Result<Option<T>, Sentence> {
    let Some(word) = word else {
        return Ok(None);
    };
    let known = known.join(" ");
    read(word).map(Some).ok_or_else(|| {
        Sentence::new(
            "unknown_stage",
            format!("没有阶段 {word};有:{known}"),
            format!("No stage `{word}`; there are: {known}"),
        )
    })
}
