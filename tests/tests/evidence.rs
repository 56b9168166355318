//! Photos between phones and a server that are real processes: no action ever
//! cites a file that is not there, a receipt is never early, and what was erased
//! is nowhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value as Json;

use shaodao_core::domain::evidence::sealed_size;
use shaodao_core::seal::id_of;
use shaodao_tests::home::Folder;
use shaodao_tests::photos::photo;
use shaodao_tests::process::{ServerProcess, Terminal};
use shaodao_tests::wanted::wanted;
use shaodao_tests::world::MORNING_MS;

const MEMBER: &str = "P01006-01";
const SECRETARY: &str = "P01006-00";
const SEED: u64 = 905;
/// Kills while photos are attached; `SHAODAO_KILLS` says otherwise.
const KILLS: u64 = 25;
/// Attempts on each record.
const EACH: usize = 20;

/// Takes a photo, into a file.
fn take_photo(folder: &Folder, rng: &mut StdRng, name: &str) -> String {
    let path = folder.0.join(name);
    std::fs::write(&path, photo(rng, 480, 320, 1)).expect("writes");
    path.display().to_string()
}

fn enrolled(server: &ServerProcess, folder: &Path, person: &str) -> Terminal {
    let phone = Terminal::new(&folder.join(person)).expect("the phone program");
    let enrolled = phone.enrol(server, person);
    assert_eq!(enrolled.expect("enrols")["person"], person);
    phone
}

fn report(phone: &Terminal, title: &str) -> String {
    let grid = "530102001006001";
    let args = [
        "report",
        title,
        "--category",
        "C0101",
        "--grid",
        grid,
        "--again",
    ];
    let said = phone.run(&args).expect("reports");
    said["record"].as_str().expect("a record").to_owned()
}

/// The evidence of a record, as a phone lists it.
fn listed(phone: &Terminal, record: &str) -> Json {
    phone.run(&["evidence", record]).expect("lists")
}

fn pieces(listed: &Json) -> &Vec<Json> {
    listed["list"].as_array().expect("a list")
}

fn text<'a>(json: &'a Json, name: &str) -> &'a str {
    json[name].as_str().expect("a text")
}

/// Names of the files of evidence on a phone.
fn files(home: &Path) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(home.join("evidence")) else {
        return BTreeSet::new();
    };
    let names = entries.flatten().map(|it| it.file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name != "lock")
        .collect()
}

#[test]
fn no_kill_leaves_an_action_that_cites_what_is_not_there() {
    // What could go wrong: the action is on the disk and its photo is not, or
    // only half of it; or photos that nobody cites fill the phone.
    let kills = wanted("SHAODAO_KILLS", KILLS) as usize;
    println!("evidence: seed {SEED}, {kills} kills");
    let folder = Folder::new("evidence-kills");
    let server = ServerProcess::start(&folder.0, MORNING_MS).expect("a server");
    let phone = enrolled(&server, &folder.0, MEMBER);
    let home = folder.0.join(MEMBER);
    let mut rng = StdRng::seed_from_u64(SEED);
    // What has arrived is kept small: the folder of a phone that goes on for weeks.
    phone.run(&["keep", "thumbnail"]).expect("keeps");
    let mut records = Vec::new();
    let (mut between, mut cited) = (0, 0);
    let mut most = usize::MAX;
    for nth in 0..=kills {
        let is_first = nth % EACH == 0;
        if is_first {
            // A phone that never came home would compare ever more actions at
            // every opening with what its journal has of them.
            phone.run(&["sync"]).expect("syncs");
            records.push(report(&phone, &format!("第{nth}处井盖破损")));
        }
        let record = records.last().expect("a record").clone();
        let [one, other] =
            ["a.jpg", "b.jpg"].map(|name| take_photo(&folder, &mut rng, &format!("{nth}-{name}")));
        let before = files(&home);
        let mut child = phone
            .command(&["attach", &record, &one, &other])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("runs");
        // No sleep: time passes by looking at the folder, from when the first
        // file is begun. The first one on each record is let go, to see how often
        // one can look meanwhile.
        let mut looks = match is_first {
            true => usize::MAX,
            false => rng.random_range(0..most),
        };
        let begun = looks;
        while looks > 0 && child.try_wait().expect("waits").is_none() {
            looks -= usize::from(files(&home) != before);
        }
        if is_first {
            most = (begun - looks).max(1);
        }
        let _ = child.kill();
        child.wait().expect("ends");
        for taken in [&one, &other] {
            std::fs::remove_file(taken).expect("was taken");
        }
        let left = files(&home).difference(&before).count();
        let listed = listed(&phone, &record);
        for piece in pieces(&listed) {
            let sealed = text(piece, "sealed");
            let bytes = std::fs::read(home.join("evidence").join(sealed));
            let bytes = bytes.unwrap_or_else(|error| panic!("kill {nth}: {sealed}: {error}"));
            let size = piece["size"].as_u64().expect("a size");
            assert_eq!(bytes.len() as u64, sealed_size(size), "kill {nth}");
            assert_eq!(id_of(&bytes).to_string(), sealed, "kill {nth}");
        }
        // What the phone has just opened on is swept: all files are named.
        let known: BTreeSet<&str> = pieces(&listed)
            .iter()
            .map(|piece| text(piece, "sealed"))
            .collect();
        let now = files(&home);
        let orphans = now.difference(&before).filter(|name| {
            let sealed = name.split('.').next().unwrap_or_default();
            !known.contains(sealed)
        });
        assert_eq!(orphans.count(), 0, "kill {nth} left orphans");
        let grown = now.len() > before.len();
        between += usize::from(left > 0 && !grown);
        cited += usize::from(grown);
    }
    println!("{cited} attached, {between} killed between the first file and the action");
    assert!(cited > 0 && between > 0, "the kills hit one side only");
    // Everything that was cited arrives.
    phone.run(&["sync"]).expect("syncs");
    let mut pieces = 0;
    for record in &records {
        let listed = listed(&phone, record);
        assert_eq!(listed["arrived"], listed["pieces"]);
        pieces += listed["pieces"].as_u64().expect("a number");
    }
    println!("{pieces} pieces on {} records arrived", records.len());
}

#[test]
fn seven_of_nine_photos_have_arrived_and_everybody_knows_where_the_others_are() {
    // What could go wrong: "sent" before the server has it; a record that says
    // nothing of photos that are still on somebody's phone.
    println!("arrivals: seed {SEED}");
    let folder = Folder::new("evidence-arrivals");
    let server = ServerProcess::start(&folder.0, MORNING_MS).expect("a server");
    let [head, secretary] = [MEMBER, SECRETARY].map(|it| enrolled(&server, &folder.0, it));
    let mut rng = StdRng::seed_from_u64(SEED);
    let record = report(&head, "井盖破损");
    let mut taken: Vec<String> = Vec::new();
    let mut attach = |count: usize| {
        let first = taken.len();
        for nth in first..first + count {
            taken.push(take_photo(&folder, &mut rng, &format!("IMG_{nth}.jpg")));
        }
        let mut args = vec!["attach", record.as_str(), "--shows", "scene"];
        args.extend(taken[first..].iter().map(String::as_str));
        head.run(&args).expect("attaches");
        taken.clone()
    };
    let states = |phone: &Terminal| -> Vec<String> {
        let listed = listed(phone, &record);
        let list = pieces(&listed).iter();
        list.map(|piece| text(piece, "state").to_owned()).collect()
    };
    attach(7);
    assert_eq!(states(&head), ["on_phone"; 7]);
    let synced = head.run(&["sync"]).expect("syncs");
    assert_eq!(synced["evidence"]["originals"], 7);
    assert_eq!(synced["evidence"]["thumbnails"], 7);
    assert_eq!(states(&head), ["at_server"; 7]);
    // Two more, while only words go: on mobile data, originals wait for Wi-Fi.
    let taken = attach(2);
    let synced = head.run(&["sync", "--evidence", "wifi", "--link", "mobile"]);
    let evidence = &synced.expect("syncs")["evidence"];
    assert_eq!(
        (&evidence["thumbnails"], &evidence["originals"]),
        (&2.into(), &0.into())
    );
    let status = head.run(&["status"]).expect("a status");
    assert_eq!(
        status["evidence"],
        serde_json::json!({ "pieces": 9, "arrived": 7, "set_aside": 0 })
    );
    for lang in [("en", "7 of 9 photos arrived"), ("zh", "9 张照片已到 7 张")] {
        let (lang, wanted) = lang;
        for args in [
            vec!["status"],
            vec!["show", &record],
            vec!["evidence", &record],
        ] {
            let said = plain(&head, lang, &args);
            assert!(said.contains(wanted), "{args:?}: {said}");
        }
    }
    // The secretary reads how many there are, and whose phone has the others.
    secretary.run(&["sync"]).expect("syncs");
    let there = listed(&secretary, &record);
    assert_eq!(
        (&there["pieces"], &there["arrived"]),
        (&9.into(), &7.into())
    );
    let waiting: Vec<_> = pieces(&there)
        .iter()
        .filter(|it| text(it, "state") == "on_phone")
        .collect();
    assert_eq!(waiting.len(), 2);
    assert!(waiting.iter().all(|it| text(it, "by") == MEMBER));
    let fetch = |nth: usize, form: &str| {
        let piece = text(&pieces(&there)[nth], "piece").to_owned();
        let out = folder.0.join(format!("{nth}-{form}.jpg"));
        let out = out.display().to_string();
        let args = ["fetch", &record, &piece, "--form", form, "--out", &out];
        secretary
            .run(&args)
            .map(|_| std::fs::read(&out).expect("reads"))
    };
    // A thumbnail is there before its original, and says so.
    for nth in [0, 8] {
        let small = fetch(nth, "thumbnail").expect("a thumbnail");
        let read = image::load_from_memory(&small).expect("a picture");
        assert_eq!(read.width().max(read.height()), 256);
    }
    assert!(fetch(8, "original").is_err(), "it has not arrived");
    let original = fetch(0, "original").expect("an original");
    assert_eq!(original, std::fs::read(&taken[0]).expect("reads"));
    // On Wi-Fi the rest goes, and nothing goes twice.
    let synced = head.run(&["sync", "--evidence", "wifi", "--link", "wifi"]);
    let evidence = &synced.expect("syncs")["evidence"];
    assert_eq!(
        (&evidence["thumbnails"], &evidence["originals"]),
        (&0.into(), &2.into())
    );
    let again = head.run(&["sync"]).expect("syncs");
    assert_eq!(again["evidence"]["bytes_up"], 0);
    // What the secretary has looked at is seen, the rest has arrived.
    let states = states(&head);
    let seen: Vec<_> = (0..9).filter(|nth| states[*nth] == "seen").collect();
    assert_eq!(seen, [0, 8], "{states:?}");
    assert_eq!(states.iter().filter(|it| *it == "at_server").count(), 7);
    let status = head.run(&["status"]).expect("a status");
    assert_eq!(status["evidence"]["pieces"], 0, "nothing is on the way");

    // The first one shows a passer-by: it is erased, and nowhere.
    let piece = text(&pieces(&there)[0], "piece").to_owned();
    let sealed = text(&pieces(&there)[0], "sealed").to_owned();
    let ciphertext = folder.0.join(MEMBER).join("evidence").join(&sealed);
    let ciphertext = std::fs::read(ciphertext).expect("on the phone");
    let needle = &ciphertext[1_000..1_064];
    for phone in [MEMBER, SECRETARY, "server"] {
        assert!(
            !files_with(&folder.0.join(phone), needle).is_empty(),
            "{phone}"
        );
    }
    let reason = ["--reason", "拍到路人"];
    let args = [
        &["erase-evidence", record.as_str(), &piece][..],
        &reason[..],
    ]
    .concat();
    head.run(&args).expect("erases");
    head.run(&["sync"]).expect("syncs");
    secretary.run(&["sync"]).expect("syncs");
    // The server destroys the key with the action, and tidies up now and then.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let tidied = runtime.block_on(server.set_clock(MORNING_MS + 60_000));
    tidied.expect("time goes by");
    for phone in [MEMBER, SECRETARY, "server"] {
        let found = files_with(&folder.0.join(phone), needle);
        assert_eq!(found, Vec::<PathBuf>::new(), "{phone}");
    }
    let there = listed(&secretary, &record);
    assert_eq!(text(&pieces(&there)[0]["erased"], "reason"), "拍到路人");
    assert!(fetch(0, "original").is_err() && fetch(0, "thumbnail").is_err());
}

/// What a command says to people.
fn plain(phone: &Terminal, lang: &str, args: &[&str]) -> String {
    let output = phone.plain(lang, args).output().expect("runs");
    assert!(output.status.success(), "{args:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Files below a folder that contain the bytes.
fn files_with(folder: &Path, needle: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_with(&path, needle));
            continue;
        }
        let bytes = std::fs::read(&path).expect("reads");
        if bytes.windows(needle.len()).any(|window| window == needle) {
            found.push(path);
        }
    }
    found
}
