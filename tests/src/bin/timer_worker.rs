//! A server process that does nothing but fire timers, on a database that
//! others may use at the same time. It says every step on its output, and may be
//! told at which one to die.
//!
//! `timer_worker FOLDER NOW_MS BATCH [STEP NTH]`

use std::io::Write;
use std::path::Path;

use shaodao_core::pack;
use shaodao_server::clock::Clock;
use shaodao_server::engine::{Engine, EngineError};
use shaodao_server::timers::Timer;

type AnyError = Box<dyn std::error::Error>;

fn main() -> Result<(), AnyError> {
    let args: Vec<String> = std::env::args().collect();
    let text = |at: usize| args.get(at).map(String::as_str);
    let folder = Path::new(text(1).ok_or("no folder")?);
    let now_ms = text(2).ok_or("no time")?.parse()?;
    let batch = text(3).ok_or("no batch")?.parse()?;
    let die_at = text(4).map(str::to_owned);
    let mut left: u32 = text(5).unwrap_or("1").parse()?;
    let mut engine = Engine::open(folder, Clock::rehearsal(now_ms), pack::HUASHAN)?;
    engine.rehearse(Box::new(move |step| {
        let name = format!("{step:?}");
        say(&name);
        if die_at.as_deref() == Some(&name) {
            left -= 1;
            if left == 0 {
                std::process::abort();
            }
        }
    }));
    let mut after: Option<Timer> = None;
    loop {
        let fired = engine.in_transaction(|engine| {
            engine.in_savepoint(|engine| engine.fire_timers(after, batch))
        });
        match fired {
            Ok(Ok(fired)) if fired.more.is_none() => break,
            Ok(Ok(fired)) => after = fired.more,
            // The other one writes for longer than anybody waits.
            Err(EngineError::Db(error)) if error.to_string().contains("locked") => say("locked"),
            Ok(Err(error)) | Err(error) => return Err(error.into()),
        }
    }
    say("done");
    Ok(())
}

fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    // Whoever listened may be gone.
    let _ = writeln!(output, "{line}");
    let _ = output.flush();
}
