//! The core's own time for some screens, to compare what a binding adds:
//! `screens FOLDER`, where a phone lives in `FOLDER/phone` with its key in
//! `FOLDER/key`. `bindings/bench.sh` makes the folder and calls this. Prints
//! milliseconds, in the order in which Kotlin and Swift print theirs.

use std::error::Error;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rand::SeedableRng;
use rand::rngs::StdRng;
use shaodao_core::device::{Device, DeviceError, Home};
use shaodao_core::domain::ids::{BootId, RecordId};
use shaodao_core::domain::record::RecordState;
use shaodao_core::domain::time::Moment;
use shaodao_core::store::key::DatabaseKey;
use shaodao_core::store::pages::{FindingQuery, WhistleQuery};

const ROUNDS: usize = 301;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("screens FOLDER")?;
    let folder = Path::new(&folder);
    let key: [u8; 32] = std::fs::read(folder.join("key"))?
        .try_into()
        .map_err(|_| "not a key")?;
    let wall_ms = wall_ms()?;
    let home = Home {
        folder: folder.join("phone"),
        unbacked: folder.join("unbacked"),
        key: DatabaseKey::new(key),
        app: "bench 1".to_owned(),
        wall_ms,
    };
    let device = Device::open(&home, &mut StdRng::seed_from_u64(1))?;
    let now = Moment {
        wall_ms,
        boot: BootId([0; 8]),
        mono_ms: 0,
    };
    // Of a phone that was just opened: nothing was derived yet.
    let first_todo = median(1, || device.todo(now).map(|_| ()))?;
    eprintln!("the first to-do list: {first_todo:.1} ms");
    let rows = device.finding_page(now, FindingQuery::default())?.rows;
    let first = rows.first().ok_or("no findings")?.record;
    let times = [
        median(ROUNDS, || findings(&device, now))?,
        median(ROUNDS, || detail(&device, now, first))?,
        median(ROUNDS, || whistles(&device, now))?,
        median(ROUNDS / 30, || device.todo(now).map(|_| ()))?,
    ];
    let times = times.map(|time| format!("{time:.3}"));
    println!("core {}", times.join(" "));
    Ok(())
}

fn findings(device: &Device, now: Moment) -> Result<(), DeviceError> {
    let page = device.finding_page(now, FindingQuery::default())?;
    assert_eq!(page.rows.len(), 50);
    device.sight(now)?;
    Ok(())
}

fn detail(device: &Device, now: Moment, finding: RecordId) -> Result<(), DeviceError> {
    let view = device.view(now, finding)?;
    device.store().finding(finding)?;
    device.steps(now, &view)?;
    device.evidence(&view.state)?;
    device.store().whistles_of(finding)?;
    device.doubles(finding)?;
    if let RecordState::Finding(state) = &view.state {
        device.confidences(finding, state)?;
    }
    Ok(())
}

fn whistles(device: &Device, now: Moment) -> Result<(), DeviceError> {
    let page = device.whistle_page(now, WhistleQuery::default())?;
    assert_eq!(page.rows.len(), 50);
    let now_ms = device.reading_ms(now)?;
    for row in &page.rows {
        device.light(now_ms, row)?;
    }
    device.sight(now)?;
    Ok(())
}

/// Milliseconds.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn median(
    rounds: usize,
    mut once: impl FnMut() -> Result<(), DeviceError>,
) -> Result<f64, DeviceError> {
    let mut taken = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let begun = Instant::now();
        once()?;
        taken.push(begun.elapsed());
    }
    taken.sort_unstable();
    Ok(taken[rounds / 2].as_secs_f64() * 1_000.0)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the phone's lights need the time"
)]
fn wall_ms() -> Result<i64, Box<dyn Error>> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(i64::try_from(since.as_millis())?)
}
