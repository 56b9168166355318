//! `shaodao`: a phone in a terminal. The same core as in the apps, on a folder
//! of its own: for trying things out, for scripts, and for seeing what a phone
//! would do.
//!
//! [`args`] says what can be asked, [`home`] where the phone and its key are,
//! [`resolve`] finds the records and people that are meant, [`commands`] does
//! it, [`view`], [`clock_view`] and [`owed`] say what came of it, to people and to
//! scripts.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;

mod args;
mod clock;
mod clock_view;
mod commands;
mod home;
mod lang;
mod owed;
mod resolve;
mod view;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let lang = args.lang.unwrap_or_else(lang::Lang::from_locale);
    let json = args.json;
    match commands::run(args, lang) {
        Ok(answer) => {
            answer.print(json);
            ExitCode::from(answer.exit)
        }
        Err(error) => {
            let said = match lang {
                lang::Lang::Zh => &error.zh,
                lang::Lang::En => &error.en,
            };
            if json {
                let error = serde_json::json!({
                    "error": { "code": error.code, "zh": error.zh, "en": error.en }
                });
                eprintln!("{error}");
            } else if std::io::stderr().is_terminal() {
                eprintln!("\x1b[31m✗\x1b[0m {said}");
            } else {
                eprintln!("✗ {said}");
            }
            ExitCode::FAILURE
        }
    }
}
