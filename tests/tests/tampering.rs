//! `shaodao-server verify` against somebody who changes the database behind the
//! server's back: 10,000 random changes of one row or two, each found.
//!
//! What could go wrong: a column that no hash, no signature and no comparison
//! covers; a row whose removal leaves no gap; a walk that stops with an error
//! instead of naming the row.

use std::path::PathBuf;

use ed25519_dalek::SigningKey;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use rusqlite::types::{Value as Sql, ValueRef};
use rusqlite::{Connection, params_from_iter};

use shaodao_core::domain::action::{Action, Body, Facts, RecordKind};
use shaodao_core::domain::ids::{BootId, DeviceId, EnvelopeHash, PersonId, RecordId};
use shaodao_core::domain::time::{Anchor, Claim};
use shaodao_core::envelope::{Envelope, Sealed};
use shaodao_core::pack;
use shaodao_core::sync::wire::{Judgement, Standing};
use shaodao_server::audit;
use shaodao_server::clock::Clock;
use shaodao_server::engine::{Engine, EngineError};
use shaodao_server::ingest::Arrived;
use shaodao_server::verify::{Bad, Extent};
use shaodao_tests::world::{HOUR_MS, MORNING_MS, finding_facts, order};

const NORTH_GATE: &str = "530102001006";
const GRID: &str = "530102001006001";
const HEAD: &str = "P01006-01";
const SECRETARY: &str = "P01006-00";
const URBAN: &str = "P01006-06";
const URBAN_POST: &str = "post:530102001006001/urban";

/// Every table that `verify` answers for, with the columns of it; all of them
/// where none are named.
const COVERED: [(&str, &[&str]); 15] = [
    ("envelope", &[]),
    ("feed", &[]),
    ("signed_head", &["position", "signature"]),
    ("audit", &[]),
    ("device", &["device", "person", "key", "enrolled_ms"]),
    ("meta", &["name", "value"]),
    ("record", &[]),
    ("finding", &[]),
    ("whistle", &[]),
    ("target", &[]),
    ("whistle_finding", &[]),
    ("timer", &[]),
    ("escalation", &[]),
    ("number_counter", &[]),
    ("waiting", &[]),
];

/// Half of the changes each, on the two cores of a small machine.
#[test]
fn five_thousand_changes_are_found() {
    tamper_and_verify("first", 1, 5_000, Extent::First);
}

#[test]
fn five_thousand_more_are_found() {
    tamper_and_verify("second", 2, 5_000, Extent::First);
}

#[test]
fn every_bad_row_is_named() {
    tamper_and_verify("everything", 3, 300, Extent::Everything);
}

#[test]
fn a_cut_end_is_found() {
    // Somebody removes the newest decisions whole: positions, verdicts, acts.
    let mut street = Street::new("cut");
    street.live();
    let engine = &mut street.engine;
    let end = audit::newest(engine.connection()).expect("a head").position;
    for cut in 1..=10 {
        let found = undone(engine, |db| {
            let from = i64::try_from(end - cut).expect("small");
            db.execute("DELETE FROM audit WHERE position > ?1", [from])?;
            db.execute("DELETE FROM feed_key WHERE position > ?1", [from])?;
            db.execute("DELETE FROM feed WHERE position > ?1", [from])
        });
        assert!(
            found.iter().any(|bad| bad.table == "signed_head"),
            "{cut} cut: {found:#?}"
        );
    }
}

#[test]
fn the_read_model_can_be_made_again() {
    let mut street = Street::new("rebuild");
    street.live();
    let engine = &mut street.engine;
    let spoil = "UPDATE finding SET title = '?', grid = ''; DELETE FROM target;
                 UPDATE whistle SET stage = 'concluded'; DELETE FROM timer;";
    let spoilt = engine.in_transaction(|engine| engine.connection().execute_batch(spoil));
    spoilt.expect("commits").expect("spoils");
    assert!(!verify(engine, Extent::First).is_empty());
    let rebuilt = engine.in_transaction(|engine| engine.in_savepoint(Engine::rebuild));
    assert!(rebuilt.expect("commits").expect("rebuilds") > 5);
    assert_eq!(verify(engine, Extent::Everything), []);
}

fn tamper_and_verify(name: &str, seed: u64, changes: u32, extent: Extent) {
    println!("tampering {name}: seed {seed}");
    let mut street = Street::new(name);
    street.live();
    let engine = &mut street.engine;
    assert_eq!(
        verify(engine, Extent::Everything),
        [],
        "nothing is wrong yet"
    );
    let mut rng = StdRng::seed_from_u64(seed);
    let mut done = std::collections::BTreeMap::new();
    for nth in 0..changes {
        let mut what = String::new();
        let found = change(engine, extent, |db| {
            // What the schema itself refuses is no change.
            loop {
                db.execute_batch("SAVEPOINT attempt")?;
                if let Some(done) = tamper(db, &mut rng) {
                    what = done;
                    return Ok(1);
                }
                db.execute_batch("ROLLBACK TO attempt; RELEASE attempt")?;
            }
        });
        assert!(!found.is_empty(), "change {nth} was not found: {what}");
        let kind = what.split(' ').take(2).collect::<Vec<_>>().join(" ");
        *done.entry(kind).or_insert(0u32) += 1;
    }
    println!("{done:?}");
    assert_eq!(verify(engine, Extent::Everything), [], "all was undone");
}

/// Does one random change; `None` if it was impossible or changed nothing.
fn tamper(db: &Connection, rng: &mut StdRng) -> Option<String> {
    let (table, named) = COVERED[rng.random_range(0..COVERED.len())];
    let all = columns(db, table);
    let rows: Vec<Vec<Sql>> = rows(db, table, &all);
    if rows.is_empty() {
        return None;
    }
    let free: Vec<usize> = (0..all.len())
        .filter(|at| named.is_empty() || named.contains(&all[*at].name.as_str()))
        .collect();
    let row = &rows[rng.random_range(0..rows.len())];
    let column = free[rng.random_range(0..free.len())];
    let name = &all[column].name;
    match rng.random_range(0..8) {
        0..=3 => {
            let value = another(&row[column], &all[column], rng)?;
            let mut changed = row.clone();
            changed[column] = value;
            replace(db, table, &all, row, &changed)?;
            Some(format!("edit {table} {name}"))
        }
        4 => {
            delete(db, table, &all, row)?;
            Some(format!("remove {table}"))
        }
        5 | 6 => {
            let other = &rows[rng.random_range(0..rows.len())];
            if other[column] == row[column] {
                return None;
            }
            let (mut one, mut two) = (row.clone(), other.clone());
            std::mem::swap(&mut one[column], &mut two[column]);
            // Two rows that differ in nothing else have only changed places.
            if one == *other && two == *row {
                return None;
            }
            // Both out of the way first: a key may move.
            delete(db, table, &all, row)?;
            delete(db, table, &all, other)?;
            insert(db, table, &all, &one)?;
            insert(db, table, &all, &two)?;
            Some(format!("swap {table} {name}"))
        }
        // A further name in `meta` means nothing to anybody.
        _ if table == "meta" => None,
        _ => {
            let mut copy = row.clone();
            let keys = (0..all.len()).filter(|at| all[*at].unique);
            for at in keys {
                copy[at] = another(&row[at], &all[at], rng)?;
            }
            insert(db, table, &all, &copy)?;
            Some(format!("duplicate {table}"))
        }
    }
}

struct Column {
    name: String,
    kind: String,
    nullable: bool,
    unique: bool,
}

fn columns(db: &Connection, table: &str) -> Vec<Column> {
    let mut statement = db
        .prepare(&format!("PRAGMA table_info({table})"))
        .expect("a table");
    let rows = statement.query_map([], |row| {
        let name: String = row.get(1)?;
        // The one column that is unique without being the key.
        let hash = table == "envelope" && name == "hash" || table == "record" && name == "record";
        Ok(Column {
            unique: hash || row.get::<_, i64>(5)? > 0,
            name,
            kind: row.get(2)?,
            nullable: row.get::<_, i64>(3)? == 0,
        })
    });
    rows.expect("columns")
        .map(|it| it.expect("a column"))
        .collect()
}

fn rows(db: &Connection, table: &str, columns: &[Column]) -> Vec<Vec<Sql>> {
    // Of `meta` only what says who the server is.
    let which = match table {
        "meta" => {
            "WHERE name IN ('epoch', 'device', 'device_key', 'directory', 'receipt_key',
                            'chain_length', 'chain_newest')"
        }
        _ => "",
    };
    let names: Vec<&str> = columns.iter().map(|it| it.name.as_str()).collect();
    let sql = format!("SELECT {} FROM {table} {which}", names.join(", "));
    let mut statement = db.prepare(&sql).expect("a query");
    let rows = statement.query_map([], |row| {
        (0..names.len())
            .map(|at| row.get_ref(at).map(owned))
            .collect::<Result<Vec<_>, _>>()
    });
    rows.expect("rows").map(|row| row.expect("a row")).collect()
}

fn owned(value: ValueRef<'_>) -> Sql {
    value.try_into().expect("a value")
}

/// Another value that the column could hold.
fn another(value: &Sql, column: &Column, rng: &mut StdRng) -> Option<Sql> {
    if column.nullable && *value != Sql::Null && rng.random_bool(0.2) {
        return Some(Sql::Null);
    }
    let new = match value {
        Sql::Integer(number) => match rng.random_range(0..3) {
            0 => Sql::Integer(number + 1),
            1 => Sql::Integer(number - 1),
            _ => Sql::Integer(rng.random_range(0..1 << 40)),
        },
        Sql::Text(text) => Sql::Text(match rng.random_range(0..3) {
            0 => format!("{text}0"),
            1 if !text.is_empty() => text.chars().skip(1).collect(),
            _ => "closed".to_owned(),
        }),
        Sql::Blob(bytes) => {
            let mut bytes = bytes.clone();
            match rng.random_range(0..8) {
                0 => bytes.push(0),
                1 => drop(bytes.pop()),
                _ if bytes.is_empty() => bytes.push(1),
                _ => {
                    let at = rng.random_range(0..bytes.len());
                    bytes[at] ^= 1 << rng.random_range(0..8);
                }
            }
            Sql::Blob(bytes)
        }
        Sql::Null if column.kind == "INTEGER" => Sql::Integer(rng.random_range(0..6)),
        Sql::Null if column.kind == "TEXT" => Sql::Text("closed".to_owned()),
        Sql::Null => {
            let mut bytes = vec![0; 32];
            rng.fill_bytes(&mut bytes);
            Sql::Blob(bytes)
        }
        Sql::Real(_) => return None,
    };
    (new != *value).then_some(new)
}

fn replace(
    db: &Connection,
    table: &str,
    columns: &[Column],
    old: &[Sql],
    new: &[Sql],
) -> Option<()> {
    delete(db, table, columns, old)?;
    insert(db, table, columns, new)
}

fn delete(db: &Connection, table: &str, columns: &[Column], row: &[Sql]) -> Option<()> {
    let all: Vec<String> = columns
        .iter()
        .map(|it| format!("{} IS ?", it.name))
        .collect();
    let sql = format!("DELETE FROM {table} WHERE {}", all.join(" AND "));
    let deleted = db.prepare_cached(&sql).ok()?.execute(params_from_iter(row));
    (deleted == Ok(1)).then_some(())
}

fn insert(db: &Connection, table: &str, columns: &[Column], row: &[Sql]) -> Option<()> {
    let names: Vec<&str> = columns.iter().map(|it| it.name.as_str()).collect();
    let marks = vec!["?"; columns.len()].join(", ");
    let sql = format!(
        "INSERT INTO {table} ({}) VALUES ({marks})",
        names.join(", ")
    );
    let inserted = db.prepare_cached(&sql).ok()?.execute(params_from_iter(row));
    (inserted == Ok(1)).then_some(())
}

/// What `verify` finds after a change, which is undone again.
fn change(
    engine: &mut Engine,
    extent: Extent,
    mut work: impl FnMut(&Connection) -> rusqlite::Result<usize>,
) -> Vec<Bad> {
    let mut found = Vec::new();
    let undone = engine.in_transaction(|engine| {
        engine.in_savepoint(|engine| {
            work(engine.connection())?;
            found = engine.verify(extent, &mut |_| {})?.bad;
            Err::<(), _>(EngineError::Malformed("to be undone"))
        })
    });
    match undone.expect("commits") {
        Err(EngineError::Malformed("to be undone")) => found,
        other => panic!("verify does not get to its end: {other:?}"),
    }
}

fn undone(
    engine: &mut Engine,
    work: impl FnMut(&Connection) -> rusqlite::Result<usize>,
) -> Vec<Bad> {
    change(engine, Extent::Everything, work)
}

fn verify(engine: &mut Engine, extent: Extent) -> Vec<Bad> {
    engine.verify(extent, &mut |_| {}).expect("walks").bad
}

/// A small street's server with people who sign what they do.
struct Street {
    engine: Engine,
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
    fn new(name: &str) -> Self {
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
        for (nth, id) in [HEAD, SECRETARY, URBAN].into_iter().enumerate() {
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
                "INSERT INTO device (device, person, key, app, enrolled_ms)
                 VALUES (?1, ?2, ?3, 'test', ?4)",
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
    fn live(&mut self) {
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
                };
                let arrive = self.whistle(URBAN, whistle, arrive, &[issue], age_ms);
                let text = "已清理".to_owned();
                let feedback = Body::Feedback { party, text };
                self.whistle(URBAN, whistle, feedback, &[arrive], age_ms);
            }
        }
        self.pass(90 * 60_000);
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

    fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
        self.clock.set(self.now_ms);
        let fired = self
            .engine
            .in_transaction(|engine| engine.in_savepoint(Engine::fire_timers));
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
