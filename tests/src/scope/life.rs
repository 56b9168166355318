//! What the people of an organisation do, one after the other, all of it with a
//! signal; and the statement that hears of whatever counted.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::StdRng;

use shaodao_core::domain::action::{Body, Facts, Order, RecordKind, Target, Value, fact};
use shaodao_core::domain::action::{Level, Party};
use shaodao_core::domain::ids::{EnvelopeHash, RecordId};
use shaodao_core::domain::private::PrivateKind;
use shaodao_core::envelope;
use shaodao_core::seal;
use shaodao_core::sync::wire::{PrivateItem, Standing, SyncReply};

use super::organisation::{Organisation, STREET};
use super::running::Running;
use super::statement::{Finding, Private, Statement, Whistle};
use crate::world::{HOUR_MS, MORNING_MS, finding_facts};

/// An organisation at work.
pub struct Life {
    /// The street.
    pub organisation: Organisation,
    /// Its server and phones.
    pub running: Running,
    /// What counted.
    pub statement: Statement,
    /// The newest action of each record.
    pub newest: BTreeMap<RecordId, EnvelopeHash>,
}

/// What somebody is about to do.
pub struct Deed {
    /// Finding or whistle.
    pub kind: RecordKind,
    /// Which one.
    pub record: RecordId,
    /// Facts.
    pub facts: Facts,
    /// The action.
    pub body: Body,
    /// Personal data that goes with it.
    pub private: Vec<PrivateItem>,
}

impl Deed {
    /// On a finding.
    pub fn on_finding(record: RecordId, body: Body) -> Self {
        Self {
            kind: RecordKind::Finding,
            record,
            facts: Facts::new(),
            body,
            private: Vec::new(),
        }
    }

    /// On a whistle.
    pub fn on_whistle(record: RecordId, body: Body) -> Self {
        Self {
            kind: RecordKind::Whistle,
            ..Self::on_finding(record, body)
        }
    }
}

impl Life {
    /// Draws an organisation and starts its server.
    pub fn begin(name: &str, rng: &mut StdRng) -> Self {
        let organisation = Organisation::draw(rng);
        let running = Running::start(name, &organisation, rng);
        Self {
            organisation,
            running,
            statement: Statement::default(),
            newest: BTreeMap::new(),
        }
    }

    /// A few days of work.
    pub fn go_on(&mut self, rng: &mut StdRng) {
        for _ in 0..rng.random_range(5..10) {
            self.report(rng);
        }
        for _ in 0..rng.random_range(2..5) {
            self.whistle(rng);
        }
        for _ in 0..rng.random_range(2..6) {
            match rng.random_range(0..4) {
                0 => self.move_finding(rng),
                1 => self.escalate(rng),
                _ => self.confide(rng),
            }
        }
        self.report(rng);
        self.whistle(rng);
    }

    /// Somebody who holds a role, and its scope.
    pub fn someone(&self, role: &str, rng: &mut StdRng) -> Option<(usize, String)> {
        let people = self.organisation.people.iter().enumerate();
        let held: Vec<(usize, String)> = people
            .flat_map(|(nth, who)| who.roles.iter().map(move |it| (nth, it)))
            .filter(|(_, (held, _))| *held == role)
            .map(|(nth, (_, scope))| (nth, scope.clone()))
            .collect();
        (!held.is_empty()).then(|| held[rng.random_range(0..held.len())].clone())
    }

    /// A grid or a larger place within a scope.
    pub fn place(&self, scope: &str, rng: &mut StdRng) -> String {
        let organisation = &self.organisation;
        let mut places = vec![scope.to_owned()];
        let all = organisation.communities.iter().chain(&organisation.grids);
        places.extend(all.filter(|code| code.starts_with(scope)).cloned());
        places.swap_remove(rng.random_range(0..places.len()))
    }

    /// Anybody who can be summoned.
    pub fn party(&self, rng: &mut StdRng) -> String {
        let organisation = &self.organisation;
        match rng.random_range(0..3) {
            0 => {
                let at = rng.random_range(0..organisation.people.len());
                format!("person:{}", organisation.people[at].id)
            }
            1 => {
                let at = rng.random_range(0..organisation.grids.len());
                format!("post:{}/police", organisation.grids[at])
            }
            _ => {
                let at = rng.random_range(0..organisation.bodies.len());
                format!("org:{}", organisation.bodies[at])
            }
        }
    }

    /// Somebody does something, knowing what is newest of the record, or
    /// nothing; what became of it.
    pub fn act(&mut self, nth: usize, deed: Deed, informed: bool) -> (Standing, SyncReply) {
        let seen = self.newest.get(&deed.record).filter(|_| informed).copied();
        let Deed {
            kind,
            record,
            facts,
            body,
            private,
        } = deed;
        let seen: Vec<_> = seen.into_iter().collect();
        let body_again = body.clone();
        let place = match facts.get(fact::GRID) {
            Some(Value::Text(place)) => Some(place.clone()),
            _ => None,
        };
        let brought = private.iter().map(|it| seal::id_of(&it.ciphertext));
        let brought: Vec<_> = brought.collect();
        let sealed = self.running.sign(nth, kind, record, facts, body, &seen);
        let reply = self.running.push(nth, &[&sealed], private);
        let verdict = &reply.verdicts;
        let verdict = verdict.iter().find(|it| it.hash == sealed.hash.0);
        let standing = verdict.and_then(|it| Standing::from_code(it.standing));
        let standing = standing.expect("a verdict");
        if standing == Standing::Accepted {
            self.newest.insert(record, sealed.hash);
            self.note(nth, record, place, &body_again);
            // A name without content, or for somebody else's, is nothing to read.
            for item in brought {
                let private = Private {
                    beside: record,
                    confider: self.organisation.people[nth].id.clone(),
                };
                self.statement.private.entry(item).or_insert(private);
            }
            self.statement.changed();
        }
        (standing, reply)
    }

    fn note(&mut self, nth: usize, record: RecordId, place: Option<String>, body: &Body) {
        let author = self.organisation.people[nth].id.clone();
        let statement = &mut self.statement;
        match body {
            Body::Report => {
                let finding = Finding {
                    reporter: author,
                    place: place.expect("a place"),
                };
                statement.findings.insert(record, finding);
            }
            Body::Correct => {
                let finding = statement.findings.get_mut(&record);
                if let (Some(finding), Some(place)) = (finding, place) {
                    finding.place = place;
                }
            }
            Body::Issue(order) => {
                let whistle = Whistle {
                    blower: Some(author),
                    area: order.area.clone(),
                    targets: parties(&order.targets).collect(),
                    findings: order.findings.clone(),
                    from: order.parent,
                };
                statement.whistles.insert(record, whistle);
            }
            Body::Summon { targets } => {
                let whistle = statement.whistles.get_mut(&record);
                whistle.expect("a whistle").targets.extend(parties(targets));
            }
            Body::AskEscalation { .. } => {
                let from = &statement.whistles[&record];
                let street = Whistle {
                    blower: None,
                    area: STREET.to_owned(),
                    targets: Default::default(),
                    findings: from.findings.clone(),
                    from: Some(record),
                };
                let opened = RecordId::of_escalation(record, Level::Street.code(), 1);
                statement.whistles.insert(opened, street);
            }
            _ => {}
        }
    }

    fn report(&mut self, rng: &mut StdRng) {
        let role = ["member", "member", "secretary", "dispatcher"][rng.random_range(0..4usize)];
        let Some((nth, scope)) = self.someone(role, rng) else {
            return;
        };
        let place = self.place(&scope, rng);
        let record = RecordId::random(rng);
        let deed = Deed {
            facts: finding_facts(&place, "E0403", "不给外人看的事"),
            ..Deed::on_finding(record, Body::Report)
        };
        let (standing, reply) = self.act(nth, deed, false);
        assert_eq!(standing, Standing::Accepted, "{reply:?}");
    }

    /// A whistle over findings of the place that blows it.
    fn whistle(&mut self, rng: &mut StdRng) {
        let role = ["secretary", "secretary", "dispatcher"][rng.random_range(0..3usize)];
        let Some((nth, area)) = self.someone(role, rng) else {
            return;
        };
        let here = self.statement.findings.iter();
        let here = here.filter(|(_, finding)| finding.place.starts_with(&area));
        let findings: Vec<RecordId> = here.map(|(id, _)| *id).collect();
        let carried = findings
            .into_iter()
            .filter(|_| rng.random_bool(0.4))
            .collect();
        let order = self.order(&area, carried, rng);
        let deed = issue(RecordId::random(rng), order);
        let (standing, reply) = self.act(nth, deed, false);
        assert_eq!(standing, Standing::Accepted, "{reply:?}");
    }

    /// An order for one to three targets.
    pub fn order(&self, area: &str, findings: Vec<RecordId>, rng: &mut StdRng) -> Order {
        let targets = (0..rng.random_range(1..4)).map(|_| target(&self.party(rng)));
        Order {
            level: if area == STREET {
                Level::Street
            } else {
                Level::Community
            },
            platform: 1,
            area: area.to_owned(),
            findings,
            targets: targets.collect(),
            sign_by_ms: None,
            report_by_ms: None,
            due_ms: MORNING_MS + 48 * HOUR_MS,
            terms: None,
            parent: None,
        }
    }

    fn move_finding(&mut self, rng: &mut StdRng) {
        let Some(record) = self.any_finding(rng) else {
            return;
        };
        let Some((nth, scope)) = self.someone("dispatcher", rng) else {
            return;
        };
        let place = self.place(&scope, rng);
        let deed = Deed {
            facts: [(fact::GRID.to_owned(), Value::Text(place))].into(),
            ..Deed::on_finding(record, Body::Correct)
        };
        let (standing, reply) = self.act(nth, deed, true);
        assert_eq!(standing, Standing::Accepted, "{reply:?}");
    }

    /// Somebody, near or not, leaves a resident's number.
    fn confide(&mut self, rng: &mut StdRng) {
        let Some(record) = self.any_finding(rng) else {
            return;
        };
        let nth = rng.random_range(0..self.organisation.people.len());
        let (deed, _) = confided(record, rng);
        self.act(nth, deed, true);
    }

    /// A secretary asks the street, and the dispatcher summons somebody.
    fn escalate(&mut self, rng: &mut StdRng) {
        let whistles = self.statement.whistles.iter();
        let open = whistles.filter(|(id, whistle)| {
            let next = RecordId::of_escalation(**id, Level::Street.code(), 1);
            whistle.area != STREET && !self.statement.whistles.contains_key(&next)
        });
        let open: Vec<(RecordId, String)> = open.map(|(id, it)| (*id, it.area.clone())).collect();
        if open.is_empty() {
            return;
        }
        let (record, area) = open[rng.random_range(0..open.len())].clone();
        let mut people = self.organisation.people.iter();
        let nth = people.position(|it| it.roles.contains(&("secretary", area.clone())));
        let reason = "社区解决不了".to_owned();
        let deed = Deed::on_whistle(record, Body::AskEscalation { reason });
        let (standing, reply) = self.act(nth.expect("a secretary"), deed, true);
        assert_eq!(standing, Standing::Accepted, "{reply:?}");
        let street = RecordId::of_escalation(record, Level::Street.code(), 1);
        let Some((dispatcher, _)) = self.someone("dispatcher", rng) else {
            return;
        };
        let replies = self.running.pull_everything(dispatcher);
        let items = replies.iter().flat_map(|reply| &reply.items);
        let opened = items
            .filter_map(|item| envelope::open(&item.envelope).ok())
            .find(|it| it.envelope.action.record == street);
        let opened = opened.expect("the dispatcher hears of it");
        self.newest.insert(street, opened.hash);
        let targets = vec![target(&self.party(rng))];
        let deed = Deed::on_whistle(street, Body::Summon { targets });
        let (standing, reply) = self.act(dispatcher, deed, true);
        assert_eq!(standing, Standing::Accepted, "{reply:?}");
    }

    fn any_finding(&self, rng: &mut StdRng) -> Option<RecordId> {
        let all: Vec<RecordId> = self.statement.findings.keys().copied().collect();
        (!all.is_empty()).then(|| all[rng.random_range(0..all.len())])
    }
}

/// Issues an order.
pub fn issue(record: RecordId, order: Order) -> Deed {
    let title = Value::Text("请速到场".to_owned());
    Deed {
        facts: [(fact::TITLE.to_owned(), title)].into(),
        ..Deed::on_whistle(record, Body::Issue(order))
    }
}

/// Personal data left beside a finding, and what is to be brought of it.
pub fn confided(record: RecordId, rng: &mut StdRng) -> (Deed, PrivateItem) {
    let kind = PrivateKind::Phone;
    let sealed = seal::seal(rng, record, kind, "13888888888").expect("seals");
    let item = PrivateItem {
        record: record.0.to_vec(),
        ciphertext: sealed.ciphertext.clone(),
        key: sealed.key.to_vec(),
    };
    let body = Body::Confide {
        item: sealed.id,
        kind,
    };
    let deed = Deed {
        private: vec![item.clone()],
        ..Deed::on_finding(record, body)
    };
    (deed, item)
}

/// A mandatory target.
pub fn target(key: &str) -> Target {
    Target {
        party: Party::parse(key).expect("a party"),
        lead: true,
        mandatory: true,
    }
}

fn parties(targets: &[Target]) -> impl Iterator<Item = String> {
    let keys: Vec<String> = targets.iter().map(|it| it.party.key()).collect();
    keys.into_iter()
}
