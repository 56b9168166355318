//! A morning in flight mode, then everybody is at the station: each phone sends
//! what its owner reported and how they answered a whistle, all at once. The
//! server is killed right after the last reply; whatever it had acknowledged
//! must be there.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::ProgressBar;
use rusqlite::{Connection, OpenFlags};
use serde::Serialize;
use serde_json::{Value as Json, json};

use shaodao_core::device::Draft;
use shaodao_core::domain::action::{Body, Level, Order, Party, RecordKind, Target, Value, fact};
use shaodao_core::domain::ids::{EnvelopeHash, RecordId};
use shaodao_core::pack;
use shaodao_core::store::read::WhistleFilter;
use shaodao_core::sync::transport::Transport;
use shaodao_tests::world::{HOUR_MS, MORNING_MS};

use crate::{AnyError, Phone, Street, quantile, timed};

/// Findings that each member reports in the morning.
const FINDINGS_EACH: usize = 5;
/// Signing and arriving, for the one whistle that each member is summoned by.
const ANSWERS_EACH: usize = 2;

/// What the burst cost.
#[derive(Debug, Serialize)]
pub struct Station {
    /// Phones that synced at once.
    pub phones: usize,
    /// Actions that the server judged and acknowledged.
    pub actions: usize,
    /// From the first request to the last reply, milliseconds.
    pub took_ms: f64,
    /// Half of the phones had their reply within, milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 phones had their reply within, milliseconds.
    pub p99_ms: f64,
    /// Memory of the server after the last reply, bytes.
    pub resident_bytes: u64,
    /// The most it ever had, bytes.
    pub peak_bytes: u64,
    /// From SIGKILL to listening again, milliseconds.
    pub restart_ms: f64,
}

/// One member of the burst, and what their phone saved.
struct Member {
    phone: Phone,
    saved: HashSet<EnvelopeHash>,
}

/// Lives through the morning and the burst.
pub fn measure(folder: &Path, phones: usize) -> Result<Station, AnyError> {
    let directory = folder.with_extension("directory.json");
    std::fs::create_dir_all(folder)?;
    let people = crowded(&directory, phones)?;
    let mut street = Street::open(folder, Some(&directory))?;
    let mut members = Vec::new();
    let bar = ProgressBar::new(3 * people.len() as u64).with_message("morning");
    for (person, grid) in &people {
        let phone = street.phone(person, person, grid)?;
        let saved = HashSet::new();
        members.push(Member { phone, saved });
        bar.inc(1);
    }
    summon(&mut street, &mut members, &bar)?;
    for member in &mut members {
        morning(&mut street, member)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    burst(&mut street, &mut members)
}

/// A directory with so many more members, spread over all grids: their staff
/// numbers and grids.
fn crowded(path: &PathBuf, count: usize) -> Result<Vec<(String, String)>, AnyError> {
    let mut directory: Json = serde_json::from_slice(pack::HUASHAN)?;
    let grids: Vec<String> = directory["grids"]
        .as_array()
        .ok_or("no grids")?
        .iter()
        .filter_map(|grid| grid["code"].as_str().map(str::to_owned))
        .collect();
    let people: Vec<_> = (0..count)
        .map(|nth| (format!("M{nth:04}"), grids[nth % grids.len()].clone()))
        .collect();
    let list = directory["people"].as_array_mut().ok_or("no people")?;
    list.extend(people.iter().map(|(id, grid)| {
        json!({
            "id": id, "name": format!("网格员{id}"), "posts": [],
            "roles": [{ "role": "member", "scope": grid }],
        })
    }));
    std::fs::write(path, serde_json::to_vec(&directory)?)?;
    Ok(people)
}

/// Every secretary whistles for each member of the community; the members have
/// it on their phones before they leave.
fn summon(street: &mut Street, members: &mut [Member], bar: &ProgressBar) -> Result<(), AnyError> {
    let communities: HashSet<String> = members
        .iter()
        .map(|member| member.phone.grid[..12].to_owned())
        .collect();
    for community in communities {
        let inspector = format!("P{}-05", &community[7..]);
        let grid = format!("{community}001");
        let mut reporter = street.phone(&inspector, &inspector, &grid)?;
        let finding = street.report(&mut reporter, 0)?.record;
        street.sync(&mut reporter)?;
        let secretary = format!("P{}-00", &community[7..]);
        let mut secretary = street.phone(&secretary, &secretary, &community)?;
        street.sync(&mut secretary)?;
        street.act(
            &mut secretary,
            Draft::on(RecordKind::Finding, finding, Body::Accept),
        )?;
        let summoned = members
            .iter()
            .filter(|member| member.phone.grid.starts_with(&community));
        for member in summoned {
            let draft = whistle(&community, finding, &member.phone.person)?;
            street.act(&mut secretary, draft)?;
        }
        street.sync(&mut secretary)?;
    }
    for member in members {
        street.sync(&mut member.phone)?;
        bar.inc(1);
    }
    Ok(())
}

fn whistle(community: &str, finding: RecordId, person: &str) -> Result<Draft, AnyError> {
    let due_ms = MORNING_MS + 24 * HOUR_MS;
    let order = Order {
        level: Level::Community,
        platform: 5,
        area: community.to_owned(),
        findings: vec![finding],
        targets: vec![Target {
            party: party(person)?,
            lead: true,
            mandatory: true,
        }],
        sign_by_ms: None,
        report_by_ms: None,
        due_ms,
        terms: None,
        parent: None,
    };
    let title = Value::Text(format!("请{person}到场处理"));
    let facts = [(fact::TITLE.to_owned(), title)].into();
    Ok(Draft::new(RecordKind::Whistle, facts, Body::Issue(order)))
}

fn party(person: &str) -> Result<Party, AnyError> {
    let key = format!("person:{person}");
    Party::parse(&key).ok_or_else(|| format!("{key} is no party").into())
}

/// What a member does before coming to the station.
fn morning(street: &mut Street, member: &mut Member) -> Result<(), AnyError> {
    let party = party(&member.phone.person)?.key();
    for nth in 0..FINDINGS_EACH {
        let captured = street.report(&mut member.phone, nth)?;
        member.saved.insert(captured.hash);
    }
    // A list is cut at 50, and there are more whistles in the community.
    let own = WhistleFilter {
        party: Some(party.clone()),
        ..WhistleFilter::default()
    };
    let whistles = member.phone.device.store().whistles(&own)?;
    let mine = whistles
        .iter()
        .find(|whistle| whistle.title.contains(&member.phone.person))
        .ok_or("the whistle has not come")?
        .record;
    let arrive = Body::Arrive {
        party: party.clone(),
        heads: 1,
        position: None,
        away: None,
    };
    for body in [Body::Sign { party }, arrive] {
        let draft = Draft::on(RecordKind::Whistle, mine, body);
        let captured = street.act(&mut member.phone, draft)?;
        member.saved.insert(captured.hash);
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a load test measures time")]
fn burst(street: &mut Street, members: &mut [Member]) -> Result<Station, AnyError> {
    let outgoing = members
        .iter()
        .map(|member| member.phone.device.prepare_sync())
        .collect::<Result<Vec<_>, _>>()?;
    // A connection of its own for each phone.
    let address = street.server.address();
    let transports = members
        .iter()
        .map(|_| Transport::new(&address))
        .collect::<Result<Vec<_>, _>>()?;
    let started = Instant::now();
    let replies: Vec<(Vec<u8>, f64)> = street.wait(async {
        let running: Vec<_> = transports
            .into_iter()
            .zip(&outgoing)
            .map(|(transport, outgoing)| {
                let (token, body) = (outgoing.token.clone(), outgoing.body.clone());
                tokio::spawn(async move {
                    let reply = transport.exchange(&token, body).await?;
                    Ok::<_, AnyError>((reply, started.elapsed().as_secs_f64() * 1e3))
                })
            })
            .collect();
        let mut replies = Vec::new();
        for task in running {
            replies.push(task.await??);
        }
        Ok::<_, AnyError>(replies)
    })?;
    let took_ms = started.elapsed().as_secs_f64() * 1e3;
    let (resident_bytes, peak_bytes) =
        (street.server.resident_bytes()?, street.server.peak_bytes()?);
    street.server.stop()?;

    let times: Vec<f64> = replies.iter().map(|(_, ms)| *ms).collect();
    let mut acknowledged = HashSet::new();
    for ((member, outgoing), (reply, _)) in members.iter_mut().zip(&outgoing).zip(&replies) {
        let now = street.now();
        let outcome = member.phone.device.settle_sync(outgoing, now, reply)?;
        if outcome.accepted != FINDINGS_EACH + ANSWERS_EACH {
            let person = &member.phone.person;
            return Err(format!("{person}: {outcome:?}").into());
        }
        acknowledged.extend(&member.saved);
    }
    all_there(&street.server.database(), &acknowledged)?;
    let ((), restart_ms) = timed(|| street.server.start_again(MORNING_MS))?;
    let (code, said) = street.server.upkeep(&["verify"])?;
    if code != Some(0) {
        return Err(format!("verify after the kill: {said}").into());
    }
    for member in members.iter_mut() {
        street.sync(&mut member.phone)?;
        let waiting = member.phone.device.store().counts()?.outbox;
        if waiting != 0 {
            return Err(format!("{}: {waiting} still queued", member.phone.person).into());
        }
    }
    Ok(Station {
        phones: members.len(),
        actions: acknowledged.len(),
        took_ms,
        p50_ms: quantile(&times, 0.5),
        p99_ms: quantile(&times, 0.99),
        resident_bytes,
        peak_bytes,
        restart_ms,
    })
}

/// Every acknowledged action is in the files that the killed server left.
fn all_there(database: &Path, acknowledged: &HashSet<EnvelopeHash>) -> Result<(), AnyError> {
    let db = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let mut statement = db.prepare("SELECT 1 FROM envelope WHERE hash = ?1")?;
    for hash in acknowledged {
        if !statement.exists([hash.0.as_slice()])? {
            return Err(format!("{hash:?} was acknowledged and is gone").into());
        }
    }
    Ok(())
}
