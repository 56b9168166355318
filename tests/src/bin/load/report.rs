//! What came of it, as lines for a terminal and as a page for `docs`.

use std::fmt::Write;

use crate::growth::Growth;
use crate::station::Station;

/// The burst in a paragraph.
pub fn station(it: &Station) -> String {
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    format!(
        "{} phones synced at once: {} actions judged and durable in {:.2} s ({:.0} actions/s); \
         a phone had its reply within {:.0} ms (p50), {:.0} ms (p99). \
         Server memory {:.0} MiB after the last reply, {:.0} MiB at most. \
         Killed right after the last reply, it had every acknowledged action, \
         `verify` found nothing, and it listened again after {:.0} ms.",
        it.phones,
        it.actions,
        it.took_ms / 1e3,
        it.actions as f64 / it.took_ms * 1e3,
        it.p50_ms,
        it.p99_ms,
        mebibytes(it.resident_bytes),
        mebibytes(it.peak_bytes),
        it.restart_ms,
    )
}

/// A table, in Markdown: a row a figure, a column a size.
pub fn growth(table: &Growth) -> String {
    let mut text = format!("| {} |", table.title);
    for size in &table.sizes {
        let _ = write!(text, " {} |", grouped(*size));
    }
    text.push_str(" grows with |\n| --- |");
    text.push_str(&" ---: |".repeat(table.sizes.len() + 1));
    for line in &table.lines {
        let _ = write!(text, "\n| {} |", line.name);
        for value in &line.values {
            let _ = write!(text, " {} {} |", short(*value), line.unit);
        }
        match line.exponent(&table.sizes) {
            Some(power) => {
                let _ = write!(text, " n^{power:.2} |");
            }
            None => text.push_str(" |"),
        }
    }
    text.push('\n');
    text
}

/// The whole page.
pub fn page(burst: Option<&Station>, tables: &[Growth]) -> String {
    let mut text = String::from("# Load, and how cost grows\n\nWritten by `make load`.\n");
    let _ = write!(text, "\n{}\n", machine());
    if let Some(burst) = burst {
        let _ = write!(
            text,
            "\n## At the station\n\n{}\n\nEach phone brings five findings and two answers to a whistle, made in flight mode, \
             over a connection of its own; the time of a phone is that of its request, among all others. \
             Phones and server share the processors.\n",
            station(burst)
        );
    }
    if !tables.is_empty() {
        text.push_str("\n## How cost grows\n\n![both axes logarithmic](growth.svg)\n");
    }
    for table in tables {
        let _ = write!(text, "\n{}", growth(table));
    }
    text.push_str(
        "\nThe last column is the power of the number of findings that a figure grew with over the last step: \
         1 is in proportion, 0 not at all. A push, a pull and \"nothing changed\" on the server are one exchange, \
         the phone's own work left out; the first pull is with it. Medians.\n",
    );
    text
}

/// What it ran on, as the system tells it.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = read("/proc/meminfo")
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemTotal:")?
                .trim()
                .strip_suffix(" kB")?
                .parse()
                .ok()
        })
        .map_or(0, |kibibytes: u64| kibibytes.div_ceil(1 << 20));
    let release = read("/proc/sys/kernel/osrelease");
    let build = match cfg!(debug_assertions) {
        true => "debug",
        false => "release",
    };
    format!(
        "{processors} × {}, {memory} GiB, Linux {}; {build} build, loopback.",
        model.trim(),
        release.trim()
    )
}

fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn short(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
