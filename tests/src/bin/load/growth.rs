//! How cost grows: the same few things, done again with ten times as much there.

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use serde::Serialize;

use shaodao_core::device::Device;
use shaodao_core::store::read::FindingFilter;
use shaodao_core::sync::transport::Transport;
use shaodao_tests::home::{home, unbacked};
use shaodao_tests::world::MORNING_MS;

use crate::{AnyError, Phone, Street, quantile, timed};

/// New findings of one measured push.
const PUSHED: usize = 100;
/// Repetitions of what is quick.
const TIMES: usize = 11;
/// Repetitions of what takes longer.
const FEW: usize = 3;
/// Phones that fill a server; each reports in its own grid.
const FEEDERS: usize = 40;

/// Figures of one kind over a growing number of findings.
#[derive(Debug, Serialize)]
pub struct Growth {
    /// Where the findings are: for people.
    pub title: &'static str,
    /// Numbers of findings.
    pub sizes: Vec<usize>,
    /// What was measured at each size.
    pub lines: Vec<Line>,
}

/// One figure, by size.
#[derive(Debug, Serialize)]
pub struct Line {
    /// What it is.
    pub name: &'static str,
    /// `ms` or `MiB`.
    pub unit: &'static str,
    /// One value for each size.
    pub values: Vec<f64>,
}

impl Growth {
    fn new(title: &'static str) -> Self {
        Self {
            title,
            sizes: Vec::new(),
            lines: Vec::new(),
        }
    }

    fn add(&mut self, name: &'static str, unit: &'static str, value: f64) {
        match self.lines.iter_mut().find(|line| line.name == name) {
            Some(line) => line.values.push(value),
            None => self.lines.push(Line {
                name,
                unit,
                values: vec![value],
            }),
        }
    }
}

impl Line {
    /// The power of the size that it grew with over the last step: 1 is in
    /// proportion, 0 not at all.
    pub fn exponent(&self, sizes: &[usize]) -> Option<f64> {
        let (values, sizes) = (self.values.last_chunk::<2>()?, sizes.last_chunk::<2>()?);
        let steps = sizes[1] as f64 / sizes[0] as f64;
        Some((values[1] / values[0]).ln() / steps.ln())
    }
}

/// A server with more and more findings.
pub fn server(folder: &Path, sizes: &[usize]) -> Result<Growth, AnyError> {
    let mut street = Street::open(folder, None)?;
    let mut growth = Growth::new("on the server");
    let mut feeders = Vec::new();
    for nth in 0..FEEDERS {
        let (community, grid) = (COMMUNITIES[nth % 10], nth / 10 + 1);
        let person = format!("P{community}-0{grid}");
        feeders.push(street.phone(&person, &person, &format!("5301020{community}00{grid}"))?);
    }
    // One more who takes no part in the filling.
    let mut pusher = street.phone("pusher", "P01006-06", "530102001006001")?;
    let mut held = 0;
    for &size in sizes {
        fill(&mut street, &mut feeders, &mut held, size)?;
        street.sync(&mut pusher)?;
        let supervisor = street.phone(&format!("supervisor-{size}"), "S-01", "530102001")?;
        measure_server(&mut street, &mut growth, &mut pusher, supervisor, &mut held)?;
        growth.sizes.push(size);
    }
    Ok(growth)
}

fn fill(
    street: &mut Street,
    feeders: &mut [Phone],
    held: &mut usize,
    size: usize,
) -> Result<(), AnyError> {
    let bar = ProgressBar::new((size - *held) as u64).with_message("filling the server");
    let mut next = 0;
    while *held < size {
        // As much as one request carries, then somebody else.
        let count = (size - *held).min(500);
        let feeder = &mut feeders[next % FEEDERS];
        for _ in 0..count {
            street.report(feeder, *held)?;
            *held += 1;
            bar.inc(1);
        }
        street.sync(feeder)?;
        next += 1;
    }
    bar.finish_and_clear();
    Ok(())
}

fn measure_server(
    street: &mut Street,
    growth: &mut Growth,
    pusher: &mut Phone,
    mut reader: Phone,
    held: &mut usize,
) -> Result<(), AnyError> {
    let transport = Transport::new(&street.server.address())?;
    // A supervisor's new phone, which then has everything but the newest.
    let (_, first_ms) = timed(|| street.sync(&mut reader))?;
    growth.add("first pull of everything", "ms", first_ms);
    let (mut push, mut newest, mut unchanged) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..FEW {
        for _ in 0..PUSHED {
            street.report(pusher, *held)?;
            *held += 1;
        }
        let outgoing = pusher.device.prepare_sync()?;
        let (reply, ms) =
            timed(|| Ok(street.wait(transport.exchange(&outgoing.token, outgoing.body.clone()))?))?;
        push.push(ms);
        let now = street.now();
        let outcome = pusher.device.settle_sync(&outgoing, now, &reply)?;
        if outcome.accepted != PUSHED {
            return Err(format!("not all accepted: {outcome:?}").into());
        }
        street.sync(pusher)?;

        let outgoing = reader.device.prepare_sync()?;
        let (reply, ms) =
            timed(|| Ok(street.wait(transport.exchange(&outgoing.token, outgoing.body.clone()))?))?;
        newest.push(ms);
        let now = street.now();
        let outcome = reader.device.settle_sync(&outgoing, now, &reply)?;
        if outcome.pulled < PUSHED {
            return Err(format!("the newest did not come: {outcome:?}").into());
        }
        street.sync(&mut reader)?;
        for _ in 0..TIMES {
            let outgoing = reader.device.prepare_sync()?;
            let exchange = transport.exchange(&outgoing.token, outgoing.body.clone());
            unchanged.push(timed(|| Ok(street.wait(exchange)?))?.1);
        }
    }
    growth.add("push of 100, judged", "ms", quantile(&push, 0.5));
    growth.add("pull of the newest 100", "ms", quantile(&newest, 0.5));
    growth.add("nothing changed", "ms", quantile(&unchanged, 0.5));
    let resident = street.server.resident_bytes()?;

    let mut restart = Vec::new();
    for _ in 0..FEW {
        street.server.stop()?;
        restart.push(timed(|| street.server.start_again(MORNING_MS))?.1);
    }
    growth.add("restart after SIGKILL", "ms", quantile(&restart, 0.5));
    street.sync(&mut reader)?;
    growth.add("memory, at work", "MiB", mebibytes(resident));
    let fresh = street.server.resident_bytes()?;
    growth.add("memory, just started", "MiB", mebibytes(fresh));
    let folder = street.server.database();
    let folder = folder.parent().ok_or("no folder")?;
    growth.add("disk", "MiB", mebibytes(size_of(folder)?));
    Ok(())
}

/// A phone with more and more findings.
pub fn phone(folder: &Path, sizes: &[usize]) -> Result<Growth, AnyError> {
    let mut street = Street::open(folder, None)?;
    let mut growth = Growth::new("on the phone");
    let mut phone = street.phone("walker", "P01006-01", "530102001006001")?;
    let at = street.phone_folder("walker");
    let mut held = 0;
    for &size in sizes {
        while held < size {
            street.report(&mut phone, held)?;
            held += 1;
        }
        street.sync(&mut phone)?;
        phone = measure_phone(&mut street, &mut growth, phone, &at, &mut held)?;
        growth.sizes.push(size);
    }
    Ok(growth)
}

fn measure_phone(
    street: &mut Street,
    growth: &mut Growth,
    mut phone: Phone,
    at: &Path,
    held: &mut usize,
) -> Result<Phone, AnyError> {
    let mut capture = Vec::new();
    for _ in 0..TIMES {
        capture.push(timed(|| street.report(&mut phone, *held))?.1);
        *held += 1;
    }
    street.sync(&mut phone)?;
    let (mut unchanged, mut list, mut search) = (Vec::new(), Vec::new(), Vec::new());
    let newest = FindingFilter {
        limit: 50,
        ..FindingFilter::default()
    };
    for _ in 0..TIMES {
        unchanged.push(timed(|| street.sync(&mut phone))?.1);
        let store = phone.device.store();
        list.push(timed(|| Ok(store.findings(&newest)?))?.1);
        search.push(timed(|| Ok(store.search("井盖", 50)?))?.1);
    }
    let Phone { person, grid, .. } = phone;
    let mut open = Vec::new();
    let mut device = None;
    for _ in 0..TIMES {
        // Closed before it is opened again.
        drop(device.take());
        let home = home(at, MORNING_MS);
        let (opened, ms) = timed(|| Ok(Device::open(&home, &mut street.rng)?))?;
        open.push(ms);
        device = Some(opened);
    }
    growth.add("capture", "ms", quantile(&capture, 0.5));
    growth.add("sync, nothing changed", "ms", quantile(&unchanged, 0.5));
    growth.add("cold open", "ms", quantile(&open, 0.5));
    growth.add("newest 50", "ms", quantile(&list, 0.5));
    growth.add("search of two characters", "ms", quantile(&search, 0.5));
    let disk = size_of(at)? + size_of(&unbacked(at))?;
    growth.add("disk", "MiB", mebibytes(disk));
    Ok(Phone {
        device: device.ok_or("never opened")?,
        person,
        grid,
    })
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn size_of(path: &Path) -> Result<u64, AnyError> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    let inside: Vec<PathBuf> = std::fs::read_dir(path)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, std::io::Error>>()?;
    inside.iter().map(|path| size_of(path)).sum()
}

/// The communities of the sample street, as staff numbers name them.
const COMMUNITIES: [&str; 10] = [
    "01001", "01002", "01003", "01006", "01007", "01008", "01009", "01010", "01011", "01013",
];
