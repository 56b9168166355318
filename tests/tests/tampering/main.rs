//! `shaodao-server verify` against somebody who changes the database behind the
//! server's back: 10,000 random changes of one row or two, each found.
//!
//! What could go wrong: a column that no hash, no signature and no comparison
//! covers; a row whose removal leaves no gap; a walk that stops with an error
//! instead of naming the row.

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use rusqlite::types::{Value as Sql, ValueRef};
use rusqlite::{Connection, params_from_iter};

use shaodao_server::audit;
use shaodao_server::engine::{Engine, EngineError};
use shaodao_server::verify::{Bad, Extent};

mod street;

use street::Street;

/// Every table that `verify` answers for, with the columns of it; all of them
/// where none are named.
const COVERED: [(&str, &[&str]); 20] = [
    ("envelope", &[]),
    ("feed", &[]),
    ("signed_head", &["position", "signature"]),
    ("audit", &[]),
    (
        "device",
        &["device", "person", "key", "enrolled_ms", "state"],
    ),
    ("edition", &[]),
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
    ("mark", &[]),
    ("audience", &[]),
    ("audience_key", &["name"]),
    ("feed_key", &[]),
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
        // A key is its name: two whose readers read the same have only changed
        // places.
        5 | 6 if table == "audience_key" => None,
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
