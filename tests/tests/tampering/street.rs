//! A server whose people sign what they do, without phones and network: a
//! morning with every kind of verdict, in a database small enough to walk ten
//! thousand times.

use std::path::PathBuf;

use ed25519_dalek::SigningKey;

use shaodao_core::domain::action::{Action, Body, Facts, RecordKind};
use shaodao_core::domain::ids::{BootId, DeviceId, EnvelopeHash, PersonId, RecordId};
use shaodao_core::domain::time::{Anchor, Claim};
use shaodao_core::envelope::{Envelope, Sealed};
use shaodao_core::pack;
use shaodao_core::sync::wire::{Judgement, Standing};
use shaodao_server::audit;
use shaodao_server::clock::Clock;
use shaodao_server::engine::Engine;
use shaodao_server::ingest::Arrived;
use shaodao_server::timers::BATCH;
use shaodao_tests::world::{HOUR_MS, MORNING_MS, finding_facts, order};

use super::COVERED;

const NORTH_GATE: &str = "530102001006";
const GRID: &str = "530102001006001";
const HEAD: &str = "P01006-01";
const SECRETARY: &str = "P01006-00";
const URBAN: &str = "P01006-06";
const DISPATCHER: &str = "S-01";
const URBAN_POST: &str = "post:530102001006001/urban";

/// A small street's server with people who sign what they do.
pub struct Street {
    pub engine: Engine,
    clock: Clock,
    folder: PathBuf,
    people: Vec<Person>,
    now_ms: i64,
}

struct Person {
    id: PersonId,
    device: DeviceId,
    key: SigningKey,
    dev_seq: u64,
    prev: Option<EnvelopeHash>,
}

impl Street {
    pub fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("shaodao-tampering-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let clock = Clock::rehearsal(MORNING_MS);
        let engine = Engine::open(&folder, clock.clone(), pack::HUASHAN).expect("opens");
        let mut street = Self {
            engine,
            clock,
            folder,
            people: Vec::new(),
            now_ms: MORNING_MS,
        };
        for (nth, id) in [HEAD, SECRETARY, URBAN, DISPATCHER].into_iter().enumerate() {
            street.enrol(id, nth as u8 + 1);
        }
        street
    }

    fn enrol(&mut self, id: &str, nth: u8) {
        let person = Person {
            id: id.into(),
            device: DeviceId([nth; 16]),
            key: SigningKey::from_bytes(&[nth; 32]),
            dev_seq: 0,
            prev: None,
        };
        let now_ms = self.now_ms;
        let enrolled = self.engine.in_transaction(|engine| {
            let db = engine.connection();
            db.execute(
                "INSERT INTO device (device, person, key, token_expires_ms, app, enrolled_ms,
                                     state, backlog)
                 VALUES (?1, ?2, ?3, 0, 'test', ?4, 1, 0)",
                rusqlite::params![
                    person.device.0,
                    person.id.0,
                    person.key.verifying_key().to_bytes(),
                    now_ms
                ],
            )
            .expect("a device");
            audit::device(db, now_ms, "enrol", id, person.device)
        });
        enrolled.expect("commits").expect("enrols");
        self.people.push(person);
    }

    /// A morning with every kind of verdict, numbers, escalations, a stand-down.
    pub fn live(&mut self) {
        let mut newest = Vec::new();
        for nth in 0..3u8 {
            let finding = RecordId([100 + nth; 16]);
            let facts = finding_facts(GRID, "E0102", &format!("第{nth}处"));
            let report = self.finding(HEAD, finding, facts, Body::Report, &[]);
            let accept = self.finding(SECRETARY, finding, Facts::new(), Body::Accept, &[report]);
            newest.push((finding, report, accept));
        }
        let (finding, report, accept) = newest[0];
        // Not permitted, and somebody who builds on it.
        let denied = Body::Decline {
            reason: "不归我管".into(),
        };
        let denied = self.finding(URBAN, finding, Facts::new(), denied, &[report]);
        let note = Body::Note {
            text: "现场复查".into(),
        };
        self.finding(URBAN, finding, Facts::new(), note.clone(), &[denied]);
        // Too late: decided without having heard of the acceptance.
        self.pass(60_000);
        let late = Body::Decline {
            reason: "重复".into(),
        };
        self.finding(SECRETARY, finding, Facts::new(), late, &[report]);
        // What builds on something that never comes.
        for nth in 1..3 {
            let unknown = EnvelopeHash([nth; 32]);
            self.finding(
                HEAD,
                finding,
                Facts::new(),
                note.clone(),
                &[accept, unknown],
            );
        }
        for nth in 0..3u8 {
            let whistle = RecordId([200 + nth; 16]);
            let due_ms = MORNING_MS + [1, 2, 8][usize::from(nth)] * HOUR_MS;
            let issue = Body::Issue(order(
                NORTH_GATE,
                vec![newest[usize::from(nth)].0],
                &[URBAN_POST],
                due_ms,
            ));
            let issue = self.whistle(SECRETARY, whistle, issue, &[], 0);
            if nth == 0 {
                // In time, heard of after the escalation.
                self.pass(2 * HOUR_MS - 120_000);
                let party = URBAN_POST.to_owned();
                let age_ms = self.now_ms - MORNING_MS - HOUR_MS / 2;
                let arrive = Body::Arrive {
                    party: party.clone(),
                    heads: 1,
                    position: None,
                    away: None,
                };
                let arrive = self.whistle(URBAN, whistle, arrive, &[issue], age_ms);
                let text = "已清理".to_owned();
                let feedback = Body::Feedback { party, text };
                self.whistle(URBAN, whistle, feedback, &[arrive], age_ms);
            }
        }
        self.pass(90 * 60_000);
        self.mark();
        let count = |sql: &str| -> i64 {
            let counted = self
                .engine
                .connection()
                .query_row(sql, [], |row| row.get(0));
            counted.expect("a count")
        };
        for standing in [
            Standing::Accepted,
            Standing::Late,
            Standing::Quarantined,
            Standing::Waiting,
        ] {
            let sql = format!(
                "SELECT COUNT(*) FROM envelope WHERE standing = {}",
                standing.code()
            );
            assert!(count(&sql) > 0, "no {} envelope", standing.word());
        }
        for table in COVERED.map(|(table, _)| table) {
            assert!(
                count(&format!("SELECT COUNT(*) FROM {table}")) > 0,
                "{table} is empty"
            );
        }
        assert!(count("SELECT COUNT(*) FROM envelope WHERE seen IS NOT NULL") > 0);
        // What the foreign keys refuse would not be a test of `verify`.
        let off = self
            .engine
            .connection()
            .pragma_update(None, "foreign_keys", false);
        off.expect("switches off");
    }

    /// The street summons somebody who does not come: a mark for the district.
    fn mark(&mut self) {
        let street = RecordId::of_escalation(RecordId([201; 16]), 2, 1);
        let opened: [u8; 32] = self
            .engine
            .connection()
            .query_row(
                "SELECT hash FROM envelope JOIN record ON record.id = envelope.record
                 WHERE record.record = ?1",
                [street.0],
                |row| row.get(0),
            )
            .expect("the street has taken over");
        let targets = order(NORTH_GATE, Vec::new(), &[URBAN_POST], 0).targets;
        let summon = Body::Summon { targets };
        let opened = EnvelopeHash(opened);
        self.whistle(DISPATCHER, street, summon, &[opened], 0);
        self.pass(25 * HOUR_MS);
        // And something that is still to come.
        let due_ms = self.now_ms + 8 * HOUR_MS;
        let order = order(NORTH_GATE, Vec::new(), &[URBAN_POST], due_ms);
        self.whistle(SECRETARY, RecordId([203; 16]), Body::Issue(order), &[], 0);
    }

    fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
        self.clock.set(self.now_ms);
        let fired = self
            .engine
            .in_transaction(|engine| engine.in_savepoint(|engine| engine.fire_timers(None, BATCH)));
        fired.expect("commits").expect("fires");
    }

    fn finding(
        &mut self,
        who: &str,
        record: RecordId,
        facts: Facts,
        body: Body,
        seen: &[EnvelopeHash],
    ) -> EnvelopeHash {
        self.act(who, RecordKind::Finding, record, facts, body, seen, 0)
    }

    fn whistle(
        &mut self,
        who: &str,
        record: RecordId,
        body: Body,
        seen: &[EnvelopeHash],
        age_ms: i64,
    ) -> EnvelopeHash {
        let facts = Facts::new();
        self.act(who, RecordKind::Whistle, record, facts, body, seen, age_ms)
    }

    /// Somebody signs an action of so long ago, and the server judges it.
    #[allow(clippy::too_many_arguments, reason = "an action has that many parts")]
    fn act(
        &mut self,
        who: &str,
        kind: RecordKind,
        record: RecordId,
        facts: Facts,
        body: Body,
        seen: &[EnvelopeHash],
        age_ms: i64,
    ) -> EnvelopeHash {
        let head = audit::newest(self.engine.connection()).expect("a head");
        let person = self.people.iter_mut().find(|it| it.id.0 == who);
        let person = person.expect("somebody");
        person.dev_seq += 1;
        let mut seen = seen.to_vec();
        seen.sort_unstable();
        let envelope = Envelope {
            street: "530102001".to_owned(),
            device: person.device,
            dev_seq: person.dev_seq,
            prev: person.prev,
            action: Action {
                kind,
                record,
                person: person.id.clone(),
                facts,
                body,
            },
            seen,
            claim: Claim {
                wall_ms: self.now_ms - age_ms,
                boot: BootId([1; 8]),
                mono_ms: 1_000,
                anchor: Some(Anchor {
                    position: head.position,
                    head: Some(head.mark()),
                    server_ms: MORNING_MS,
                    age_ms: Some((self.now_ms - MORNING_MS - age_ms).unsigned_abs()),
                }),
            },
            app: "test".to_owned(),
        };
        let sealed: Sealed = envelope.seal(&person.key).expect("small enough");
        person.prev = Some(sealed.hash);
        let hash = sealed.hash;
        let judged: Result<Result<Vec<Judgement>, _>, _> = self.engine.in_transaction(|engine| {
            engine.in_savepoint(|engine| {
                engine.judge_all(&[Arrived {
                    sealed,
                    received_before_ms: None,
                }])
            })
        });
        judged.expect("commits").expect("judges");
        hash
    }
}

impl Drop for Street {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
