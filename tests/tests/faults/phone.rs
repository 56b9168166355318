//! Eight scenarios of a phone: begun, reporting, reporting a heap, confiding,
//! erasing, syncing, opened after its log had lost its end, and opened with a
//! damaged database.

use std::collections::BTreeSet;
use std::path::PathBuf;

use shaodao_tests::process::{ServerProcess, Terminal};
use shaodao_tests::world::MORNING_MS;

use super::{Files, Folder, WAYS, every_n, every_n_in, files_of, place, records, run};

const MEMBER: &str = "P01006-01";
const SECRETARY: &str = "P01006-00";

/// The database of a phone, among its files.
pub const DATABASE: &str = "home/phone.db";
/// Bytes of one of its pages.
const PAGE: usize = 4096;

/// A phone with a past, and what it does while its disk fails.
pub struct Scenario {
    pub name: &'static str,
    pub before: Files,
    pub args: Vec<String>,
    pub input: String,
}

pub struct Phone {
    _folder: Folder,
    pub server: ServerProcess,
    pub disk: PathBuf,
    pub phone: Terminal,
}

pub fn text(said: &serde_json::Value) -> String {
    said.as_str().expect("a text").to_owned()
}

pub fn report(nth: usize) -> [String; 6] {
    [
        "report".to_owned(),
        format!("第{nth}处井盖破损"),
        "--category".to_owned(),
        "C0101".to_owned(),
        "--grid".to_owned(),
        "530102001006001".to_owned(),
    ]
}

impl Phone {
    pub fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let server = ServerProcess::start(&folder.0, MORNING_MS).expect("a server");
        let disk = folder.0.join("phone");
        let phone = Terminal::new(&disk).expect("the phone program");
        phone.enrol(&server, MEMBER).expect("enrols");
        Self {
            _folder: folder,
            server,
            disk,
            phone,
        }
    }

    pub fn report(&self, nth: usize) -> String {
        let args = report(nth);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        text(&self.phone.run(&args).expect("reports")["record"])
    }

    pub fn listed(&self, what: &str) -> BTreeSet<String> {
        let rows = self.phone.run(&["list", "--limit", "10000"]);
        let rows = rows.unwrap_or_else(|error| panic!("{what}: it does not list: {error}"));
        let rows = rows.as_array().expect("rows").iter();
        rows.map(|row| text(&row["record"])).collect()
    }

    /// Runs a scenario on a failing disk, for every n.
    pub fn fail(&self, scenario: &Scenario) {
        self.fail_in(&WAYS, scenario);
    }

    /// The same in some of the ways.
    pub fn fail_in(&self, ways: &[&'static str], scenario: &Scenario) {
        let Scenario {
            name,
            before,
            args,
            input,
        } = scenario;
        let command = || {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            self.phone.command(&args)
        };
        place(&self.disk, before);
        let device = self.phone.run(&["status"]).expect("a status")["device"].clone();
        let saved = self.listed(name);
        place(&self.disk, before);
        let well = run(command(), input, &self.disk, u64::MAX, "error");
        assert!(
            well.ended_well(name),
            "{name}: fails on a disk that is well"
        );
        let mut refused = 0;
        let tried = every_n_in(ways, well.asked, |at, how| {
            let what = format!("{name}, {how} at {at} of {}", well.asked);
            place(&self.disk, before);
            let went = run(command(), input, &self.disk, at, how);
            refused += usize::from(!went.ended_well(&what));
            let mut wanted = saved.clone();
            wanted.extend(records(&went.output.stdout));
            let there = self.listed(&what);
            let lost: Vec<_> = wanted.difference(&there).collect();
            assert!(lost.is_empty(), "{what}: acknowledged and lost: {lost:?}");
            let status = self.phone.run(&["status"]).expect("a status");
            assert_eq!(status["device"], device, "{what}: another device");
        });
        println!("{name}: {tried} failures, {refused} times it said so or died");
        // The last one goes on: its chain is whole, and the server takes it.
        let again = self.report(99);
        let synced = self.phone.run(&["sync"]).expect("syncs");
        assert_eq!(synced["troubles"], serde_json::json!([]), "{name}");
        let status = self.phone.run(&["status"]).expect("a status");
        assert_eq!(status["outbox"], 0, "{name}");
        assert!(self.listed(name).contains(&again), "{name}");
    }
}

#[test]
fn a_phone_is_begun_on_a_failing_disk() {
    let folder = Folder::new("faults-begun");
    let disk = folder.0.join("phone");
    let phone = Terminal::new(&disk).expect("the phone program");
    let nothing = Files::new();
    place(&disk, &nothing);
    let well = run(phone.command(&["status"]), "", &disk, u64::MAX, "error");
    well.ended_well("begun");
    let tried = every_n(well.asked, |at, how| {
        let what = format!("begun, {how} at {at} of {}", well.asked);
        place(&disk, &nothing);
        run(phone.command(&["status"]), "", &disk, at, how).ended_well(&what);
        // Nobody had saved anything: it begins, as if nothing had been.
        let again = phone.command(&["status"]).output().expect("runs");
        assert_eq!(again.status, well.output.status, "{what}");
    });
    println!("begun: {tried} failures");
}

#[test]
fn a_phone_reports_on_a_failing_disk() {
    let it = Phone::new("faults-report");
    it.report(1);
    it.phone.run(&["sync"]).expect("syncs");
    it.report(2);
    let before = files_of(&it.disk);
    it.fail(&Scenario {
        name: "report",
        before: before.clone(),
        args: report(3).to_vec(),
        input: String::new(),
    });
    let line = |nth| {
        format!("{{\"title\":\"第{nth}处\",\"category\":\"C0101\",\"grid\":\"530102001006001\"}}\n")
    };
    // The phone of before would use its numbers again; another one of its own.
    let it = Phone::new("faults-heap");
    it.report(1);
    it.fail(&Scenario {
        name: "a heap of reports",
        before: files_of(&it.disk),
        args: ["report", "--batch", "-"].map(str::to_owned).to_vec(),
        input: (3..6).map(line).collect(),
    });
}

#[test]
fn a_phone_keeps_secrets_on_a_failing_disk() {
    let it = Phone::new("faults-confide");
    let finding = it.report(1);
    let confide = ["confide", &finding, "13888888888", "--kind", "phone"];
    it.fail(&Scenario {
        name: "confide",
        before: files_of(&it.disk),
        args: confide.map(str::to_owned).to_vec(),
        input: String::new(),
    });
    let it = Phone::new("faults-erase");
    let finding = it.report(1);
    let confide = ["confide", &finding, "13888888888", "--kind", "phone"];
    it.phone.run(&confide).expect("confides");
    let shown = it.phone.run(&["show", &finding]).expect("shows");
    let item = text(&shown["confided"][0]["item"]);
    let erase = ["erase", &finding, &item, "--reason", "居民要求"];
    it.fail(&Scenario {
        name: "erase",
        before: files_of(&it.disk),
        args: erase.map(str::to_owned).to_vec(),
        input: String::new(),
    });
}

#[test]
fn a_phone_syncs_on_a_failing_disk() {
    let it = Phone::new("faults-sync");
    let finding = it.report(1);
    it.phone.run(&["sync"]).expect("syncs");
    let secretary = it.disk.with_file_name("secretary");
    let secretary = Terminal::new(&secretary).expect("the phone program");
    secretary.enrol(&it.server, SECRETARY).expect("enrols");
    secretary.run(&["sync"]).expect("syncs");
    secretary.run(&["accept", &finding]).expect("accepts");
    secretary.run(&["sync"]).expect("syncs");
    it.report(2);
    it.fail(&Scenario {
        name: "sync",
        before: files_of(&it.disk),
        args: vec!["sync".to_owned()],
        input: String::new(),
    });
}

#[test]
fn a_phone_recovers_on_a_failing_disk() {
    // Its log is gone, and with it what was saved last: the journal knows.
    let it = Phone::new("faults-log");
    it.report(1);
    it.phone.run(&["sync"]).expect("syncs");
    let mut before = files_of(&it.disk);
    it.report(2);
    it.report(3);
    let journal = "home/phone.journal";
    let journalled = files_of(&it.disk)[journal].clone();
    before.insert(journal.to_owned(), journalled);
    it.fail(&Scenario {
        name: "a lost log",
        before,
        args: vec!["status".to_owned()],
        input: String::new(),
    });
}

#[test]
fn a_phone_starts_over_on_a_failing_disk() {
    // What could go wrong: the files are set aside, and what was to take their
    // place is not whole; or the second attempt takes the half of the first.
    let it = Phone::new("faults-damaged");
    it.report(1);
    it.phone.run(&["sync"]).expect("syncs");
    it.report(2);
    it.report(3);
    let whole = files_of(&it.disk);
    // A page that opening reads, and none of the directory's: without that the
    // phone would have to sync before it lists anything.
    let pages = whole[DATABASE].len() / PAGE;
    let damaged = (1..pages).map(|page| {
        let mut files = whole.clone();
        let database = files.get_mut(DATABASE).expect("a database");
        database[page * PAGE + 100] ^= 0x40;
        files
    });
    let mut noticed = damaged.filter(|files| {
        place(&it.disk, files);
        it.phone.run(&["list"]).is_ok() && is_set_aside(&files_of(&it.disk))
    });
    let before = noticed.next().expect("a page that opening reads");
    it.fail(&Scenario {
        name: "a damaged database",
        before,
        args: vec!["status".to_owned()],
        input: String::new(),
    });
}

/// Whether a damaged database was set aside.
fn is_set_aside(files: &Files) -> bool {
    files.keys().any(|name| name.starts_with("home/damaged-"))
}
