//! Lists, details, searches and the state of the phone.

use serde_json::json;

use shaodao_core::device::{DeviceError, Draft, RecordView};
use shaodao_core::domain::action::{Body, Party};
use shaodao_core::domain::calendar::local_text;
use shaodao_core::domain::directory::Role;
use shaodao_core::domain::finding::FindingStage;
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::record::RecordState;
use shaodao_core::domain::whistle::{TargetStage, WhistleStage};
use shaodao_core::explain::Sentence;
use shaodao_core::store::read::{FindingFilter, WhistleFilter};

use super::{Done, Hand, kind_of, said};
use crate::args::{List, Part, Records};
use crate::resolve;
use crate::view::{Answer, View, short};

impl Hand {
    pub(super) fn list(&self, list: List) -> Done {
        let directory = self.device.directory().map_err(|error| said(&error))?;
        let view = View {
            lang: self.lang,
            directory: &directory,
        };
        let store = self.device.store();
        let stage = list.stage.as_deref().map(|stage| stage.replace('-', "_"));
        match list.what {
            Records::Findings => {
                let words = FindingStage::ALL.map(FindingStage::word);
                let filter = FindingFilter {
                    stage: stage_of(stage.as_deref(), FindingStage::from_word, &words)?,
                    area: list.area,
                    category: list.category.map(|code| code.to_uppercase()),
                    conflicts: list.conflicts,
                    before_ms: None,
                    limit: list.limit,
                };
                let rows = store
                    .findings(&filter)
                    .map_err(|error| Sentence::from(&error))?;
                Ok(view.findings(&rows))
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
                    open: list.open,
                    limit: list.limit,
                };
                let rows = store
                    .whistles(&filter)
                    .map_err(|error| Sentence::from(&error))?;
                Ok(view.whistles(&rows))
            }
        }
    }

    pub(super) fn show(&self, name: &str) -> Done {
        let directory = self.device.directory().map_err(|error| said(&error))?;
        let record = resolve::record(&self.device, name, None)?;
        let view = View {
            lang: self.lang,
            directory: &directory,
        };
        let row = self.device.store().finding(record.record);
        let row = row.map_err(|error| Sentence::from(&error))?;
        let stage = row.map_or(record.state.stage_word(), |row| row.stage.word());
        let next = self.next_steps(&record)?;
        let mut answer = view.record(&record, stage, &next);
        let (text, confided) = self.confidences(&record)?;
        answer.text.push_str(&text);
        let (text, outlook) = self.outlook(&record)?;
        answer.text.push_str(&text);
        if let Some(fields) = answer.json.as_object_mut() {
            fields.insert("confided".to_owned(), confided);
            fields.insert("outlook".to_owned(), outlook);
        }
        Ok(answer)
    }

    /// What the phone's owner could do with a record now.
    fn next_steps(&self, view: &RecordView) -> Result<Vec<String>, Sentence> {
        let text = || "-".to_owned();
        let reason = text;
        let bodies = match &view.state {
            RecordState::Finding(_) => vec![
                Body::Accept,
                Body::Decline { reason: reason() },
                Body::SelfResolve { text: text() },
                Body::Review {
                    passed: true,
                    text: text(),
                },
                Body::Withdraw { reason: reason() },
                Body::Reopen { reason: reason() },
            ],
            RecordState::Whistle(whistle) => {
                let mine = resolve::own_party(&self.device, whistle, None).unwrap_or_default();
                let fed_back = whistle
                    .targets
                    .iter()
                    .find(|(_, target)| target.stage() == TargetStage::FedBack)
                    .map(|(key, _)| key.clone())
                    .unwrap_or_default();
                vec![
                    Body::Sign {
                        party: mine.clone(),
                    },
                    Body::Arrive {
                        party: mine.clone(),
                        heads: 1,
                        position: None,
                        away: Some(text()),
                    },
                    Body::Feedback {
                        party: mine,
                        text: text(),
                    },
                    Body::Verify {
                        party: fed_back,
                        passed: true,
                        text: text(),
                    },
                    Body::Conclude { text: text() },
                    Body::Cancel { reason: reason() },
                    Body::AskEscalation { reason: reason() },
                ]
            }
        };
        let now = self.clock.now();
        let mut next = Vec::new();
        let row = self.device.store().finding(view.record);
        let row = row.map_err(|error| Sentence::from(&error))?;
        let is_over = row.is_some_and(|row| row.stage.is_over());
        for body in bodies {
            // A finding that a whistle has closed can only be opened again,
            // and one that is open cannot.
            if is_over != matches!(body, Body::Reopen { .. }) {
                continue;
            }
            let word = body.word().to_owned();
            let draft = Draft::on(kind_of(view), view.record, body);
            match self.device.could(now, &draft) {
                Ok(()) => next.push(word),
                Err(DeviceError::Refused(_)) => {}
                Err(error) => return Err(said(&error)),
            }
        }
        Ok(next)
    }

    pub(super) fn search(&self, text: &str, limit: u32) -> Done {
        let store = self.device.store();
        let found = store
            .search(text, limit)
            .map_err(|error| Sentence::from(&error))?;
        self.records(&found)
    }

    /// Records of both kinds as lines.
    fn records(&self, records: &[RecordId]) -> Done {
        let directory = self.device.directory().map_err(|error| said(&error))?;
        let view = View {
            lang: self.lang,
            directory: &directory,
        };
        let store = self.device.store();
        let mut text = String::new();
        let mut rows = Vec::new();
        for record in records {
            let finding = store
                .finding(*record)
                .map_err(|error| Sentence::from(&error))?;
            if let Some(finding) = finding {
                text.push_str(&view.findings(std::slice::from_ref(&finding)).text);
                rows.push(view.finding_json(&finding));
            }
            let whistle = store
                .whistle(*record)
                .map_err(|error| Sentence::from(&error))?;
            if let Some(whistle) = whistle {
                text.push_str(&view.whistle_line(&whistle));
                rows.push(view.whistle_json(&whistle));
            }
        }
        if rows.is_empty() {
            text = self.lang.pick("没有找到。", "Nothing found.").to_owned();
        }
        Ok(Answer::new(text, rows.into()))
    }

    pub(super) fn todo(&self) -> Done {
        let directory = self.device.directory().map_err(|error| said(&error))?;
        let owner = self.device.owner().cloned();
        let owner = owner.ok_or_else(|| said(&DeviceError::NotEnrolled))?;
        let store = self.device.store();
        let failed = |error| Sentence::from(&error);
        let mut waiting: Vec<(&str, &str, RecordId)> = Vec::new();
        let filter = WhistleFilter {
            open: true,
            limit: 500,
            ..WhistleFilter::default()
        };
        for row in store.whistles(&filter).map_err(failed)? {
            let view = self.device.show(row.record).map_err(|error| said(&error))?;
            let RecordState::Whistle(whistle) = &view.state else {
                continue;
            };
            let answers = whistle.targets.values().any(|target| {
                let mine = directory.acts_for(&owner.person, &target.target.party);
                let stage = target.stage();
                mine && stage < TargetStage::FedBack
            });
            let can = self.next_steps(&view)?;
            let can = |word: &str| can.iter().any(|next| next == word);
            if answers {
                waiting.push(("应哨", "to answer", row.record));
            } else if can("verify") {
                waiting.push(("待核实", "to verify", row.record));
            } else if can("conclude") {
                waiting.push(("待结项", "to conclude", row.record));
            }
        }
        let decides = self
            .grants()
            .iter()
            .any(|grant| matches!(grant.role, Role::Secretary | Role::Dispatcher));
        for (stage, zh, en) in [
            (FindingStage::Reported, "待受理", "to accept"),
            (FindingStage::SelfResolved, "待复核", "to review"),
        ] {
            let filter = FindingFilter {
                stage: Some(stage),
                limit: 500,
                ..FindingFilter::default()
            };
            let rows = match decides {
                true => store.findings(&filter).map_err(failed)?,
                false => Vec::new(),
            };
            waiting.extend(rows.iter().map(|row| (zh, en, row.record)));
        }
        let mut text = String::new();
        let mut json = Vec::new();
        for (zh, en, record) in waiting {
            let mut answer = self.records(&[record])?;
            text.push_str(&format!("【{}】{}", self.lang.pick(zh, en), answer.text));
            let mut row = answer.json[0].take();
            row["waiting"] = en.into();
            json.push(row);
        }
        if json.is_empty() {
            text = self
                .lang
                .pick("没有待办。", "Nothing is waiting for you.")
                .to_owned();
        }
        Ok(Answer::new(text, json.into()))
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
        let owner = self.device.owner();
        let mut text = match owner {
            Some(owner) => {
                let directory = self.device.directory().map_err(|error| said(&error))?;
                let name = directory.name_of(&owner.person);
                let street = &directory.street_name;
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
        for trouble in &troubles {
            let (zh, en) = trouble.reason.map_or(("", ""), |it| (it.zh(), it.en()));
            let record = short(trouble.record);
            text.push_str(&self.lang.pick(
                format!("⚠ {record} {}:{zh}\n", trouble.standing.zh()),
                format!("⚠ {record} {}: {en}\n", trouble.standing.en()),
            ));
        }
        let troubles: Vec<_> = troubles
            .iter()
            .map(|trouble| {
                json!({
                    "action": trouble.hash.to_string(),
                    "record": trouble.record.to_string(),
                    "standing": trouble.standing.word(),
                    "reason": trouble.reason.map(|reason| reason.code()),
                })
            })
            .collect();
        Ok(Answer::new(
            text,
            json!({
                "device": self.device.id().to_string(),
                "person": owner.map(|owner| &owner.person.0),
                "street": owner.map(|owner| &owner.street),
                "server": owner.map(|owner| &owner.server),
                "findings": counts.findings,
                "whistles": counts.whistles,
                "conflicts": counts.conflicts,
                "outbox": counts.outbox,
                "last_contact_ms": contact.map(|contact| contact.server_ms),
                "troubles": troubles,
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
