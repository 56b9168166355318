//! Doing what was asked.

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;

use shaodao_core::device::{Captured, Device, DeviceError, Draft, RecordView};
use shaodao_core::domain::action::{Body, RecordKind, word_zh};
use shaodao_core::domain::record::RecordState;
use shaodao_core::explain::Sentence;

use crate::args::{Args, Command, Outcome, Reasoned};
use crate::clock::Clock;
use crate::home::home;
use crate::lang::Lang;
use crate::resolve;
use crate::view::{Answer, short};

mod enrol;
//
mod network;
//
mod findings;
//
mod evidence;
mod private;
mod statistics;
mod whistles;
//
mod looking;
mod outlook;
//
mod todo;
//
mod troubles;
//
mod salvaged;

use salvaged::tell_report;

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
    let home = home(args.home, clock.now().wall_ms, &mut rng)?;
    let device = Device::open(&home, &mut rng).map_err(|error| Sentence::from(&error))?;
    tell_report(&device, lang, args.json);
    let hand = Hand {
        device,
        clock,
        rng: StdRng::from_rng(&mut rng),
        lang,
        json: args.json,
    };
    let done = hand.dispatch(args.command);
    if done.as_ref().is_err_and(|error| error.code == "damaged") {
        let repaired = Device::repair(&home, &mut rng).map_err(|error| Sentence::from(&error))?;
        tell_report(&repaired, lang, args.json);
    }
    done
}

type Done = Result<Answer, Sentence>;

fn said(error: &DeviceError) -> Sentence {
    error.into()
}

impl Hand {
    fn dispatch(mut self, command: Command) -> Done {
        match command {
            Command::Enrol(enrol) => self.enrol(&enrol),
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
            Command::SelfResolve(resolved) => self.self_resolve(resolved),
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
            Command::Confide {
                finding,
                text,
                kind,
            } => self.confide(&finding, kind, &text),
            Command::Erase {
                finding,
                item,
                reason,
            } => self.erase(&finding, &item, reason),
            Command::Attach(attach) => self.attach(&attach),
            Command::Evidence { record } => self.evidence(&record),
            Command::Fetch(fetch) => self.fetch(&fetch),
            Command::EraseEvidence {
                record,
                piece,
                reason,
            } => self.erase_evidence(&record, &piece, reason),
            Command::Keep { form } => self.keep(form),
            Command::Whistle(order) => self.whistle(order),
            Command::Summon { whistle, targets } => {
                let targets = self.targets(&targets)?;
                self.on_whistle(&whistle, Body::Summon { targets })
            }
            Command::Sign(target) => self.as_target(&target, |party| Body::Sign { party }),
            Command::Arrive {
                target,
                heads,
                at,
                away,
            } => {
                let position = at.as_deref().map(resolve::position).transpose()?;
                self.as_target(&target, |party| Body::Arrive {
                    party,
                    heads,
                    position,
                    away,
                })
            }
            Command::Feedback { target, text } => {
                self.as_target(&target, |party| Body::Feedback { party, text })
            }
            Command::DeclineSummons { target, reason } => {
                self.as_target(&target, |party| Body::DeclineSummons { party, reason })
            }
            Command::Object { target, reason } => {
                self.as_target(&target, |party| Body::Object { party, reason })
            }
            Command::AskExtension {
                target,
                until,
                reason,
            } => self.ask_extension(&target, &until, reason),
            Command::AskSuspension {
                target,
                review,
                reason,
            } => {
                let review_ms = resolve::date_ms(&review, self.reading_ms()?)?;
                self.as_target(&target, |party| Body::AskSuspension {
                    party,
                    review_ms,
                    reason,
                })
            }
            Command::Rule(ruling) => self.rule(ruling),
            Command::Resume(Reasoned { record, reason }) => {
                self.on_whistle(&record, Body::Resume { reason })
            }
            Command::Recompute {
                whistle,
                limit,
                due,
                reason,
            } => self.recompute(&whistle, limit.as_deref(), due.as_deref(), reason),
            Command::Urge { record, text } => {
                let record = resolve::record(&self.device, &record, None)?;
                let body = Body::Urge { text };
                self.act(Draft::on(kind_of(&record), record.record, body))
            }
            Command::Supervise {
                whistle,
                of,
                text,
                reply_by,
            } => {
                let party = self.side(of)?;
                let reply_by_ms = resolve::date_ms(&reply_by, self.reading_ms()?)?;
                let body = Body::Supervise {
                    party,
                    text,
                    reply_by_ms,
                };
                self.on_whistle(&whistle, body)
            }
            Command::Reply { whistle, to, text } => self.reply(&whistle, to.as_deref(), text),
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
                let party = self.side(of)?;
                self.on_whistle(&whistle, Body::Evaluate { party, score, text })
            }
            Command::Escalate(Reasoned { record, reason }) => {
                self.on_whistle(&record, Body::AskEscalation { reason })
            }
            Command::StandDown(Reasoned { record, reason }) => self.stand_down(&record, reason),
            Command::Uphold(Reasoned { record, reason }) => self.uphold(&record, reason),
            Command::WithdrawMark(Reasoned { record, reason }) => {
                self.withdraw_mark(&record, reason)
            }
            Command::List(list) => self.list(list),
            Command::Show { record } => self.show(&record),
            Command::Search { text, limit } => self.search(&text, limit),
            Command::Todo => self.todo(),
            Command::Directory { part, text } => self.directory(part, text.as_deref()),
            Command::Stats(stats) => self.stats(&stats),
            Command::Troubles => self.troubles(),
            Command::Sync(sync) => self.sync(&sync),
            Command::Status => self.status(),
            Command::Salvaged => self.salvaged(),
            Command::Redo { action, forget } => self.redo(action.as_deref(), forget),
        }
    }

    fn on_finding(&mut self, name: &str, body: Body) -> Done {
        let finding = resolve::finding(&self.device, name)?;
        self.act(Draft::on(RecordKind::Finding, finding, body))
    }

    fn on_whistle(&mut self, name: &str, body: Body) -> Done {
        let (whistle, _) = resolve::whistle(&self.device, name)?;
        self.act(Draft::on(RecordKind::Whistle, whistle, body))
    }

    fn act(&mut self, draft: Draft) -> Done {
        let word = draft.body.word().to_owned();
        let captured = self.capture(draft)?;
        Ok(self.saved(&captured, &word))
    }

    fn saved(&self, captured: &Captured, word: &str) -> Answer {
        let record = short(captured.record);
        let text = self.lang.pick(
            format!("✓ {}已保存:{record}", word_zh(word)),
            format!("✓ {} saved: {record}", word.replace('_', " ")),
        );
        Answer::new(text, done_json(captured, word))
    }

    fn capture(&mut self, draft: Draft) -> Result<Captured, Sentence> {
        let now = self.clock.now();
        self.device
            .capture(now, &mut self.rng, draft)
            .map_err(|error| said(&error))
    }

    /// The best reading of the time that this phone has, milliseconds.
    fn reading_ms(&self) -> Result<i64, Sentence> {
        let reading = self.device.reading_ms(self.clock.now());
        reading.map_err(|error| said(&error))
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

fn runtime() -> Result<tokio::runtime::Runtime, Sentence> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Sentence::new("runtime", format!("启动失败:{error}"), error.to_string()))
}
