//! The core's own time for two screens, to compare what a binding adds:
//! `screens FOLDER`, where a phone lives in `FOLDER/phone` with its key in
//! `FOLDER/key`. `bindings/bench.sh` makes the folder and calls this.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::SeedableRng;
use rand::rngs::StdRng;
use shaodao_core::device::{Device, Home};
use shaodao_core::domain::ids::BootId;
use shaodao_core::domain::time::Moment;
use shaodao_core::store::key::DatabaseKey;
use shaodao_core::store::pages::FindingQuery;

const ROUNDS: usize = 301;

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("screens FOLDER")?;
    let folder = Path::new(&folder);
    let key: [u8; 32] = std::fs::read(folder.join("key"))?
        .try_into()
        .map_err(|_| "not a key")?;
    let wall_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
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
    let page = device.finding_page(now, FindingQuery::default())?;
    let first = page.rows.first().ok_or("no findings")?.record;
    let list = median(|| {
        let begun = Instant::now();
        let page = device.finding_page(now, FindingQuery::default())?;
        assert_eq!(page.rows.len(), 50);
        Ok(begun.elapsed())
    })?;
    let detail = median(|| {
        let begun = Instant::now();
        let view = device.view(now, first)?;
        device.steps(now, first)?;
        device.doubles(first)?;
        assert_eq!(view.record, first);
        Ok(begun.elapsed())
    })?;
    println!("core    list of 50  {list:>8.3} ms   detail {detail:>8.3} ms");
    Ok(())
}

/// Milliseconds.
fn median(
    mut once: impl FnMut() -> Result<Duration, Box<dyn Error>>,
) -> Result<f64, Box<dyn Error>> {
    let mut taken = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        taken.push(once()?);
    }
    taken.sort_unstable();
    Ok(taken[ROUNDS / 2].as_secs_f64() * 1_000.0)
}
