//! Doing what was asked.

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Deserialize;
use serde_json::json;

use shaodao_core::device::{Captured, Device, DeviceError, Draft, RecordView};
use shaodao_core::domain::action::{
    Body, Facts, Level, Order, Party, RecordKind, Target, Value, fact,
};
use shaodao_core::domain::calendar::local_text;
use shaodao_core::domain::directory::{Grant, Role};
use shaodao_core::domain::finding::FindingStage;
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::record::RecordState;
use shaodao_core::domain::time::{Claim, Moment};
use shaodao_core::domain::whistle::{TargetStage, WhistleStage};
use shaodao_core::explain::Sentence;
use shaodao_core::store::read::{FindingFilter, WhistleFilter};
use shaodao_core::sync::transport::Transport;

use crate::args::{
    Args, AsTarget, Command, FactArgs, List, Outcome, Part, Reasoned, Records, Report, Targets,
    Whistle,
};
use crate::clock::Clock;
use crate::lang::Lang;
use crate::resolve;
use crate::view::{Answer, View, short};

/// A phone in somebody's hand.
struct Hand {
    device: Device,
    clock: Clock,
    rng: StdRng,
    lang: Lang,
    json: bool,
}

/// Does one command.
///
/// # Errors
/// What went wrong, in both languages; nothing is half-done.
pub fn run(args: Args, lang: Lang) -> Result<Answer, Sentence> {
    let home = args.home.map_or_else(default_home, Ok)?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| {
        let error = error.to_string();
        Sentence::new(
            "no_randomness",
            format!("系统没有随机数:{error}"),
            format!("No randomness: {error}"),
        )
    })?;
    let mut rng = StdRng::from_seed(seed);
    let clock = Clock::new(&mut rng);
    let app = concat!("shaodao ", env!("CARGO_PKG_VERSION"));
    let device = Device::open(&home, app, &mut rng).map_err(|error| Sentence::from(&error))?;
    let hand = Hand {
        device,
        clock,
        rng,
        lang,
        json: args.json,
    };
    hand.dispatch(args.command)
}

fn default_home() -> Result<PathBuf, Sentence> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let data = folder("XDG_DATA_HOME").map(PathBuf::from);
    let home = || folder("HOME").map(|home| Path::new(&home).join(".local/share"));
    let data = data.or_else(home).ok_or_else(|| {
        Sentence::new(
            "no_home",
            "不知道数据放在哪里,请用 --home 指定文件夹。",
            "No home folder; name one with --home.",
        )
    })?;
    Ok(data.join("shaodao"))
}

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

type Done = Result<Answer, Sentence>;

fn said(error: &DeviceError) -> Sentence {
    error.into()
}

impl Hand {
    fn dispatch(mut self, command: Command) -> Done {
        match command {
            Command::Enrol { server, ticket } => self.enrol(&server, &ticket),
            Command::Report(report) => self.report(&report),
            Command::Correct {
                record,
                facts,
                title,
            } => self.correct(&record, &facts, title.as_deref()),
            Command::Note { record, text } => {
                let record = resolve::record(&self.device, &record, None)?;
                self.act(Draft::on(
                    kind_of(&record),
                    record.record,
                    Body::Note { text },
                ))
            }
            Command::SelfResolve { finding, text } => {
                self.on_finding(&finding, Body::SelfResolve { text })
            }
            Command::Review { finding, outcome } => {
                let Outcome { failed, text } = outcome;
                let passed = !failed;
                self.on_finding(&finding, Body::Review { passed, text })
            }
            Command::Accept { finding } => self.on_finding(&finding, Body::Accept),
            Command::Decline(Reasoned { record, reason }) => {
                self.on_finding(&record, Body::Decline { reason })
            }
            Command::Withdraw(Reasoned { record, reason }) => {
                self.on_finding(&record, Body::Withdraw { reason })
            }
            Command::Reopen(Reasoned { record, reason }) => {
                self.on_finding(&record, Body::Reopen { reason })
            }
            Command::Merge { finding, into } => {
                let into = resolve::finding(&self.device, &into)?;
                self.on_finding(&finding, Body::Merge { into })
            }
            Command::Whistle(order) => self.whistle(order),
            Command::Summon { whistle, targets } => {
                let targets = self.targets(&targets)?;
                self.on_whistle(&whistle, Body::Summon { targets })
            }
            Command::Sign(target) => self.as_target(&target, |party| Body::Sign { party }),
            Command::Arrive { target, heads, at } => {
                let position = at.as_deref().map(resolve::position).transpose()?;
                self.as_target(&target, |party| Body::Arrive {
                    party,
                    heads,
                    position,
                })
            }
            Command::Feedback { target, text } => {
                self.as_target(&target, |party| Body::Feedback { party, text })
            }
            Command::Verify {
                whistle,
                of,
                outcome,
            } => {
                let (record, state) = resolve::whistle(&self.device, &whistle)?;
                let directory = self.device.directory().map_err(|error| said(&error))?;
                let party = resolve::verified_party(&directory, &state, of.as_deref())?;
                let Outcome { failed, text } = outcome;
                let passed = !failed;
                let body = Body::Verify {
                    party,
                    passed,
                    text,
                };
                self.act(Draft::on(RecordKind::Whistle, record, body))
            }
            Command::Release { whistle, target } => {
                let party = self.party(&target)?;
                self.on_whistle(&whistle, Body::Release { party })
            }
            Command::Excuse {
                whistle,
                target,
                reason,
            } => {
                let party = self.party(&target)?;
                self.on_whistle(&whistle, Body::Excuse { party, reason })
            }
            Command::Conclude { whistle, text } => {
                self.on_whistle(&whistle, Body::Conclude { text })
            }
            Command::Cancel(Reasoned { record, reason }) => {
                self.on_whistle(&record, Body::Cancel { reason })
            }
            Command::Evaluate {
                whistle,
                of,
                score,
                text,
            } => {
                let party = match of.as_str() {
                    shaodao_core::domain::action::BLOWER => of,
                    of => self.party(of)?,
                };
                self.on_whistle(&whistle, Body::Evaluate { party, score, text })
            }
            Command::Escalate(Reasoned { record, reason }) => {
                self.on_whistle(&record, Body::AskEscalation { reason })
            }
            Command::StandDown(Reasoned { record, reason }) => self.stand_down(&record, reason),
            Command::List(list) => self.list(list),
            Command::Show { record } => self.show(&record),
            Command::Search { text, limit } => self.search(&text, limit),
            Command::Todo => self.todo(),
            Command::Directory { part, text } => self.directory(part, text.as_deref()),
            Command::Sync => self.sync(),
            Command::Status => self.status(),
        }
    }

    // ---- the network ----

    fn enrol(&mut self, server: &str, ticket: &str) -> Done {
        let request = self
            .device
            .enrol_request(ticket)
            .map_err(|error| said(&error))?;
        let transport = Transport::new(server).map_err(|error| Sentence::from(&error))?;
        let sent_at = self.clock.now();
        let reply = runtime()?
            .block_on(transport.enrol(&request))
            .map_err(|error| Sentence::from(&error))?;
        self.device
            .accept_enrolment(server, sent_at, &reply)
            .map_err(|error| said(&error))?;
        let directory = self.device.directory().map_err(|error| said(&error))?;
        let person = reply.person.as_str().into();
        let name = directory.name_of(&person);
        let text = self.lang.pick(
            format!("已登记:{name}({person}),{}。", directory.street_name),
            format!("Enrolled: {name} ({person}), {}.", directory.street_name),
        );
        let json = json!({ "person": person.0, "name": name, "street": directory.street });
        Ok(Answer::new(text, json))
    }

    fn sync(&mut self) -> Done {
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
                "requests": report.requests,
                "bytes_up": report.bytes_up,
                "bytes_down": report.bytes_down,
            }),
        ))
    }

    // ---- findings ----

    fn report(&mut self, report: &Report) -> Done {
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
        self.act(Draft::new(RecordKind::Finding, facts, Body::Report))
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

    fn placed(&self, mut facts: Facts) -> Result<Facts, Sentence> {
        let directory = self.device.directory().map_err(|error| said(&error))?;
        resolve::place(&directory, &self.grants(), &mut facts)?;
        Ok(facts)
    }

    fn correct(&mut self, record: &str, facts: &FactArgs, title: Option<&str>) -> Done {
        let record = resolve::record(&self.device, record, None)?;
        let facts = resolve::facts(facts, title)?;
        let draft = Draft::on(kind_of(&record), record.record, Body::Correct);
        self.act(draft.with_facts(facts))
    }

    // ---- whistles ----

    fn whistle(&mut self, order: Whistle) -> Done {
        let blows = |grant: &Grant| match grant.role {
            Role::Secretary => Some((Level::Community, grant.scope.clone())),
            Role::Dispatcher => Some((Level::Street, grant.scope.clone())),
            _ => None,
        };
        let mut levels: Vec<_> = self.grants().iter().filter_map(blows).collect();
        levels.retain(|(_, area)| order.area.as_ref().is_none_or(|wanted| wanted == area));
        let (level, area) = match levels.as_slice() {
            [one] => one.clone(),
            [] => {
                return Err(Sentence::new(
                    "not_the_blower",
                    "只有社区书记和街道调度员可以吹哨。",
                    "Only a community secretary or a street dispatcher blows a whistle.",
                ));
            }
            _ => {
                return Err(Sentence::new(
                    "which_area",
                    "您管不止一个区域,请用 --area 写明。",
                    "You blow for more than one area; say which with --area.",
                ));
            }
        };
        let findings = order
            .findings
            .iter()
            .map(|name| resolve::finding(&self.device, name))
            .collect::<Result<Vec<_>, _>>()?;
        let now_ms = self.reading_ms()?;
        let due_ms = resolve::due_ms(&self.device, order.due.as_deref(), &area, &findings, now_ms)?;
        let text = |text: String| Value::Text(text);
        let mut facts: Facts = [(fact::TITLE.to_owned(), text(order.title))].into();
        if let Some(description) = order.description {
            facts.insert(fact::DESCRIPTION.to_owned(), text(description));
        }
        let body = Body::Issue(Order {
            level,
            platform: order.platform.unwrap_or(match level {
                Level::Community => 5,
                Level::Street => 1,
            }),
            area,
            findings,
            targets: self.targets(&order.targets)?,
            sign_by_ms: None,
            report_by_ms: None,
            due_ms,
            parent: None,
        });
        let mut answer = self.act(Draft::new(RecordKind::Whistle, facts, body))?;
        let due = local_text(due_ms);
        answer.text.push_str(
            &self
                .lang
                .pick(format!(" 限期 {due}。"), format!(" Due {due}.")),
        );
        answer.json["due_at_ms"] = due_ms.into();
        Ok(answer)
    }

    fn targets(&self, targets: &Targets) -> Result<Vec<Target>, Sentence> {
        let mandatory = targets.mandatory.iter().map(|name| (name, true));
        let voluntary = targets.voluntary.iter().map(|name| (name, false));
        mandatory
            .chain(voluntary)
            .enumerate()
            .map(|(at, (name, mandatory))| {
                let directory = self.device.directory().map_err(|error| said(&error))?;
                Ok(Target {
                    party: resolve::party(&directory, name)?,
                    lead: at == 0,
                    mandatory,
                })
            })
            .collect()
    }

    fn party(&self, name: &str) -> Result<String, Sentence> {
        let directory = self.device.directory().map_err(|error| said(&error))?;
        resolve::party(&directory, name).map(|party| party.key())
    }

    fn as_target(&mut self, target: &AsTarget, body: impl FnOnce(String) -> Body) -> Done {
        let (record, state) = resolve::whistle(&self.device, &target.whistle)?;
        let party = resolve::own_party(&self.device, &state, target.party.as_deref())?;
        self.act(Draft::on(RecordKind::Whistle, record, body(party)))
    }

    fn stand_down(&mut self, whistle: &str, text: String) -> Done {
        let (record, state) = resolve::whistle(&self.device, whistle)?;
        let round = state.escalations.last().map_or(1, |newest| newest.round);
        let body = Body::StandDown { text, round };
        self.act(Draft::on(RecordKind::Whistle, record, body))
    }

    // ---- looking ----

    fn list(&self, list: List) -> Done {
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

    fn show(&self, name: &str) -> Done {
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
        Ok(view.record(&record, stage, &next))
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

    fn search(&self, text: &str, limit: u32) -> Done {
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

    fn todo(&self) -> Done {
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

    fn directory(&self, part: Part, text: Option<&str>) -> Done {
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

    fn status(&self) -> Done {
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

    // ---- doing ----

    fn on_finding(&mut self, name: &str, body: Body) -> Done {
        let finding = resolve::finding(&self.device, name)?;
        self.act(Draft::on(RecordKind::Finding, finding, body))
    }

    fn on_whistle(&mut self, name: &str, body: Body) -> Done {
        let (whistle, _) = resolve::whistle(&self.device, name)?;
        self.act(Draft::on(RecordKind::Whistle, whistle, body))
    }

    fn act(&mut self, draft: Draft) -> Done {
        let (word, zh) = (draft.body.word().to_owned(), draft.body.zh().to_owned());
        let captured = self.capture(draft)?;
        let record = short(captured.record);
        let text = self.lang.pick(
            format!("✓ {zh}已保存:{record}"),
            format!("✓ {} saved: {record}", word.replace('_', " ")),
        );
        Ok(Answer::new(text, done_json(&captured, &word)))
    }

    fn capture(&mut self, draft: Draft) -> Result<Captured, Sentence> {
        let now = self.clock.now();
        self.device
            .capture(now, &mut self.rng, draft)
            .map_err(|error| said(&error))
    }

    fn grants(&self) -> Vec<Grant> {
        let directory = self.device.directory().ok();
        let person = directory.as_ref().and_then(|directory| {
            let owner = self.device.owner()?;
            directory.person(&owner.person)
        });
        person
            .map(|person| person.grants.clone())
            .unwrap_or_default()
    }

    fn reading_ms(&self) -> Result<i64, Sentence> {
        let contact = self.device.store().contact();
        let contact = contact.map_err(|error| Sentence::from(&error))?;
        let now: Moment = self.clock.now();
        Ok(Claim::at(now, contact).reading_ms())
    }
}

fn kind_of(view: &RecordView) -> RecordKind {
    match view.state {
        RecordState::Finding(_) => RecordKind::Finding,
        RecordState::Whistle(_) => RecordKind::Whistle,
    }
}

fn done_json(captured: &Captured, word: &str) -> serde_json::Value {
    json!({
        "record": captured.record.to_string(),
        "action": captured.hash.to_string(),
        "word": word,
    })
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

fn runtime() -> Result<tokio::runtime::Runtime, Sentence> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Sentence::new("runtime", format!("启动失败:{error}"), error.to_string()))
}
