//! What chance would make of a whistle once in a hundred weeks, made on purpose:
//! an order with a due time, and work that is done before or after it, told
//! before or after it, with or without a pause in between.

use rand::RngExt;

use shaodao_core::device::Draft;
use shaodao_core::domain::action::{Body, RecordKind, Value, fact};
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::record::RecordState;

use super::Simulation;
use super::cast::{COMMUNITY, EVERYBODY, speaker};
use super::plan::Case;
use crate::world::{finding_facts, order};

const HOUR_MS: i64 = 3_600_000;
const SECRETARY: &str = "P01006-00";
/// Whoever can be relied on to do what they are asked.
const RELIABLE: [&str; 2] = ["post:530102001006001/urban", "person:P01006-01"];

impl Simulation {
    /// Makes a case of a new whistle, or finding.
    pub(super) fn case(&mut self, case: Case) {
        match case {
            Case::SetAside => return self.one_of_two_is_set_aside(),
            Case::Disagreement => return self.two_correct_one_fact(),
            _ => {}
        }
        let party = RELIABLE[self.rng.random_range(0..RELIABLE.len())];
        let phone = speaker(party).expect("somebody speaks for them");
        let Some((whistle, due_ms)) = self.order_for(party, phone) else {
            return;
        };
        self.count(format!("case {case:?}"));
        let half_ms = (due_ms - self.world.now_ms()) / 2;
        self.pass(half_ms);
        let later_ms = due_ms + self.rng.random_range(1..9) * HOUR_MS;
        match case {
            Case::Answered => {
                self.answer(phone, party, whistle);
                self.reach(phone);
                self.pass_to(due_ms + 1);
            }
            Case::LateProof => {
                self.answer(phone, party, whistle);
                self.pass_to(later_ms);
                self.reach(phone);
            }
            Case::Late => {
                // The wall clock swears that it was yesterday.
                let before_ms = self.world.of(phone).clock_error_ms;
                self.world.of(phone).clock_error_ms = -24 * HOUR_MS;
                self.pass_to(later_ms);
                self.answer(phone, party, whistle);
                self.world.of(phone).clock_error_ms = before_ms;
                self.pass(HOUR_MS);
                self.reach(phone);
            }
            Case::Paused => {
                self.pause(phone, party, whistle, due_ms);
                self.pass_to(due_ms + 1);
            }
            Case::SetAside | Case::Disagreement => {}
            Case::Silent => {
                // The due time itself is still in time.
                self.pass_to(due_ms);
                self.pass_to(due_ms + 1);
            }
            Case::LastMoment => {
                self.pass_to(due_ms - 1);
                self.world.wait(1);
                self.answer(phone, party, whistle);
                self.reach(phone);
                self.pass_to(due_ms + 1);
            }
            Case::OwnWork => {
                self.answer(phone, party, whistle);
                let verify = Body::Verify {
                    party: party.to_owned(),
                    passed: true,
                    text: "已核实".to_owned(),
                };
                self.on(phone, whistle, verify);
                self.reach(phone);
            }
        }
    }

    /// The secretary finds something, accepts it and whistles; both phones hear
    /// of everything, if they can.
    fn order_for(&mut self, party: &str, phone: &str) -> Option<(RecordId, i64)> {
        let finding = self.finding_of(SECRETARY)?;
        let accept = Draft::on(RecordKind::Finding, finding, Body::Accept);
        self.try_it(SECRETARY, accept)?;
        let due_ms = self.world.now_ms() + self.rng.random_range(2..8) * HOUR_MS;
        let order = order(COMMUNITY, vec![finding], &[party], due_ms);
        let title = Value::Text("请速到场处理".to_owned());
        let facts = [(fact::TITLE.to_owned(), title)].into();
        let issue = Draft::new(RecordKind::Whistle, facts, Body::Issue(order));
        let hash = self.try_it(SECRETARY, issue)?;
        let whistle = self.ledger.deeds[&hash].record();
        self.reach(SECRETARY);
        self.reach(phone);
        Some((whistle, due_ms))
    }

    fn answer(&mut self, phone: &str, party: &str, whistle: RecordId) {
        let arrive = Body::Arrive {
            party: party.to_owned(),
            heads: 1,
            position: None,
            away: Some("在现场".to_owned()),
        };
        self.on(phone, whistle, arrive);
        let done = Body::Feedback {
            party: party.to_owned(),
            text: "已处理".to_owned(),
        };
        self.on(phone, whistle, done);
    }

    /// A suspension, asked for and granted.
    fn pause(&mut self, phone: &str, party: &str, whistle: RecordId, due_ms: i64) {
        let ask = Body::AskSuspension {
            party: party.to_owned(),
            review_ms: due_ms + 12 * HOUR_MS,
            reason: "等待配件".to_owned(),
        };
        self.on(phone, whistle, ask);
        self.reach(phone);
        self.reach(SECRETARY);
        let Ok(view) = self.world.of(SECRETARY).device.show(whistle) else {
            return;
        };
        let RecordState::Whistle(state) = view.state else {
            return;
        };
        let Some(request) = state.open_requests().next() else {
            return;
        };
        let grant = Body::Rule {
            request: request.asked.hash,
            granted: true,
            until_ms: None,
            text: "同意".to_owned(),
        };
        self.on(SECRETARY, whistle, grant);
        self.reach(SECRETARY);
    }

    /// Two notes, one on top of the other. The first arrives while the phone is
    /// shut out, and its author does not hear of it; the second counts.
    fn one_of_two_is_set_aside(&mut self) {
        let (who, phone) = (0, EVERYBODY[0].id);
        let Some(finding) = self.finding_of(phone) else {
            return;
        };
        self.reach(phone);
        self.suspend(who);
        self.world.wait(1);
        for text in ["已联系物业", "物业明早来"] {
            let text = text.to_owned();
            let note = Draft::on(RecordKind::Finding, finding, Body::Note { text });
            self.try_it(phone, note);
        }
        let outbox = self.world.of(phone).device.store().outbox(usize::MAX);
        let outbox = outbox.expect("an outbox");
        if let [first, _] = outbox.as_slice()
            && self
                .world
                .push_bytes(phone, vec![first.bytes.clone()])
                .is_some()
        {
            self.count("set aside on the way");
        }
        self.world.wait(1);
        self.resume_all();
        self.reach(phone);
    }

    /// Two people correct one fact in the same moment, and neither knows.
    fn two_correct_one_fact(&mut self) {
        let phone = EVERYBODY[0].id;
        let Some(finding) = self.finding_of(phone) else {
            return;
        };
        self.reach(phone);
        self.reach(SECRETARY);
        for (who, address) in [(phone, "北门街1号"), (SECRETARY, "北门街2号")] {
            let facts = [(fact::ADDRESS.to_owned(), Value::Text(address.to_owned()))];
            let correct = Draft::on(RecordKind::Finding, finding, Body::Correct);
            self.try_it(who, correct.with_facts(facts.into()));
        }
        self.reach(SECRETARY);
        self.reach(phone);
        self.count("case Disagreement");
    }

    fn finding_of(&mut self, phone: &str) -> Option<RecordId> {
        let facts = finding_facts("530102001006001", "E0102", "巡查发现");
        let report = Draft::new(RecordKind::Finding, facts, Body::Report);
        let hash = self.try_it(phone, report)?;
        Some(self.ledger.deeds[&hash].record())
    }

    fn on(&mut self, phone: &str, whistle: RecordId, body: Body) {
        self.try_it(phone, Draft::on(RecordKind::Whistle, whistle, body));
    }

    /// Tries a few times, if there is a signal.
    fn reach(&mut self, phone: &str) {
        for _ in 0..6 {
            if self.world.sync(phone) {
                return;
            }
        }
    }

    fn pass_to(&mut self, ms: i64) {
        self.pass((ms - self.world.now_ms()).max(0));
    }
}
