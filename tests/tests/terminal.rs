//! The whole loop by hand, with the programs as a user runs them: 问题收集 →
//! 吹哨 → 签收 → 报到 → 处理反馈 → 核实结项 → 综合评价, each phone a process.

use std::path::Path;

use serde_json::Value as Json;

use shaodao_tests::home::Folder;
use shaodao_tests::process::{ServerProcess, Terminal};
use shaodao_tests::world::{HOUR_MS, MORNING_MS};

fn enrolled(server: &ServerProcess, folder: &Path, person: &str) -> Terminal {
    let phone = Terminal::new(&folder.join(person)).expect("the phone program");
    phone.enrol(server, person).expect("enrols");
    phone
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

fn record(said: &Json) -> String {
    said["record"].as_str().expect("a record").to_owned()
}

#[test]
fn a_finding_goes_all_the_way_from_four_terminals() {
    let folder = Folder::new("terminal");
    let server = ServerProcess::start(&folder.0, MORNING_MS).expect("a server");
    let [member, secretary, urban, dispatcher] = ["P01006-01", "P01006-00", "P01006-06", "S-01"]
        .map(|person| enrolled(&server, &folder.0, person));

    // Reported offline; a second look at the same place is only a hint.
    let gas = [
        "report",
        "北门街燃气泄漏",
        "--category",
        "E0403",
        "--at",
        "25.0420,102.7065",
    ];
    let finding = record(&member.must(&gas));
    let hint = member.run(&gas).expect_err("somebody was here before");
    assert_eq!(hint["error"]["code"], "similar");
    let found = member.must(&["search", "燃气"]);
    assert_eq!(found[0]["record"], finding.as_str());
    assert_eq!(member.must(&["status"])["outbox"], 1);
    member.must(&["sync"]);

    // The secretary accepts and whistles whoever holds the urban post.
    secretary.must(&["sync"]);
    assert_eq!(secretary.must(&["todo"])[0]["waiting"], "to accept");
    secretary.must(&["accept", &finding[..8]]);
    let order = [
        "whistle",
        "处置燃气泄漏",
        "--finding",
        &finding,
        "--target",
        "post:530102001006001/urban",
        "--due",
        "2h",
    ];
    let whistle = record(&secretary.must(&order));
    secretary.must(&["sync"]);

    urban.must(&["sync"]);
    assert_eq!(urban.must(&["todo"])[0]["waiting"], "to answer");
    let outlook = &urban.must(&["show", &whistle])["outlook"];
    assert_eq!(outlook["next"]["cause"], "due_passed");
    urban.must(&["sign", &whistle]);
    urban.must(&[
        "arrive",
        &whistle,
        "--heads",
        "2",
        "--at",
        "25.0420,102.7065,5",
    ]);
    // A part is missing: asked for, ruled on, and the due time moves.
    let more = [
        "ask-extension",
        &whistle,
        "--until",
        "3h",
        "--reason",
        "配件未到",
    ];
    urban.must(&more);
    urban.must(&["sync"]);
    secretary.must(&["sync"]);
    assert_eq!(secretary.must(&["todo"])[0]["waiting"], "to rule on");
    let before = secretary.must(&["show", &whistle])["due_at_ms"].clone();
    let grant = ["rule", &whistle, "--grant", "--until", "1h"];
    secretary.must(&grant);
    let seen = secretary.must(&["show", &whistle]);
    let due_ms = before.as_i64().expect("a due time") + 3_600_000;
    assert_eq!(seen["due_at_ms"], due_ms);
    assert_eq!(seen["requests"][0]["outcome"], "granted");
    let twice = secretary.run(&grant).expect_err("nothing waits");
    assert_eq!(twice["error"]["code"], "no_such_request");
    let can = |said: &Json, word: &str| {
        let next = said["next"].as_array().expect("next steps");
        next.iter().any(|step| step["word"] == word)
    };
    assert!(can(&seen, "cancel") && !can(&seen, "conclude") && !can(&seen, "feedback"));
    secretary.must(&["sync"]);
    urban.must(&["sync"]);
    let seen = urban.must(&["show", &whistle]);
    assert!(can(&seen, "feedback") && !can(&seen, "verify") && !can(&seen, "rule"));
    urban.must(&["feedback", &whistle, "--text", "已关阀检修"]);
    let own = urban.run(&["verify", &whistle]).expect_err("own work");
    assert_eq!(own["error"]["code"], "own_work");
    urban.must(&["sync"]);

    secretary.must(&["sync"]);
    let outlook = &secretary.must(&["show", &whistle])["outlook"];
    assert_eq!(outlook["next"], Json::Null, "answered");
    secretary.must(&["verify", &whistle, "--text", "复测正常"]);
    secretary.must(&["conclude", &whistle, "--text", "已处置"]);
    secretary.must(&[
        "evaluate",
        &whistle,
        "--of",
        "post:530102001006001/urban",
        "--score",
        "5",
    ]);
    secretary.must(&["sync"]);

    // Everybody who may see it sees the same; the number came from the server.
    member.must(&["sync"]);
    dispatcher.must(&["sync"]);
    for phone in [&member, &dispatcher] {
        let closed = phone.must(&["list", "--stage", "closed"]);
        assert_eq!(closed[0]["record"], finding.as_str());
        let number = closed[0]["number"].as_str().expect("a number");
        assert!(
            number.starts_with("E0403-") && number.ends_with("-0001"),
            "{number}"
        );
        assert_eq!(record(&phone.must(&["show", number])), finding);
    }
    let seen = dispatcher.must(&["show", &whistle]);
    assert_eq!(seen["stage"], "evaluated");
    assert_eq!(seen["history"].as_array().expect("a history").len(), 9);

    // It leaks again, later: opened again, whistled again. (A rehearsal's clock
    // stands still, so "later" has to be said.)
    runtime()
        .block_on(server.set_clock(MORNING_MS + HOUR_MS))
        .expect("the clock");
    secretary.must(&["sync"]);
    secretary.must(&["reopen", &finding, "--reason", "再次泄漏"]);
    assert_eq!(secretary.must(&["show", &finding])["stage"], "accepted");
}

#[test]
fn a_copied_folder_is_a_new_phone_and_its_work_is_done_again() {
    let folder = Folder::new("copied");
    let server = ServerProcess::start(&folder.0, MORNING_MS).expect("a server");
    let old = enrolled(&server, &folder.0, "P01006-01");
    let report = [
        "report",
        "井盖破损",
        "--category",
        "C0101",
        "--grid",
        "530102001006001",
    ];
    let finding = record(&old.must(&report));
    let (here, there) = (folder.0.join("P01006-01"), folder.0.join("copy"));
    shaodao_tests::home::copied(&here, &there);

    let new = Terminal::new(&there).expect("the phone program");
    let status = new.must(&["status"]);
    assert_eq!(status["person"], Json::Null);
    assert_eq!(
        (&status["outbox"], &status["salvaged"]),
        (&0.into(), &1.into())
    );
    assert_eq!(status["incidents"][0]["why"], "restored");
    assert_eq!(
        new.run(&["redo"]).expect_err("not enrolled")["error"]["code"],
        "not_enrolled"
    );
    new.enrol(&server, "P01006-01").expect("enrols");
    new.must(&["sync"]);
    assert_eq!(new.must(&["salvaged"])[0]["record"], *finding);
    assert_eq!(new.must(&["redo"])["refused"], serde_json::json!([]));
    assert_eq!(new.must(&["sync"])["accepted"], 1);
    assert_eq!(new.must(&["status"])["salvaged"], 0);

    // The key lies beside the database, for its owner alone.
    let key = there.join("key");
    std::fs::write(&key, [1; 32]).expect("another key");
    let refused = new.run(&["status"]).expect_err("another key");
    assert_eq!(refused["error"]["code"], "wrong_key");
    std::fs::remove_file(&key).expect("no key");
    let refused = new.run(&["status"]).expect_err("no key");
    assert_eq!(refused["error"]["code"], "no_key");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let key = std::fs::metadata(here.join("key")).expect("a key");
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_database_is_backed_up_altered_found_out_and_restored_by_hand() {
    // What could go wrong: a backup of a running server that is not whole, an
    // altered row that passes, a restore under a running server, phones that do
    // not bring what is missing.
    let folder = Folder::new("by-hand");
    let backup = folder.0.join("noon.db");
    let mut server = ServerProcess::start(&folder.0, MORNING_MS).expect("a server");
    runtime()
        .block_on(server.set_clock(MORNING_MS))
        .expect("the clock");
    let [member, secretary] =
        ["P01006-01", "P01006-00"].map(|person| enrolled(&server, &folder.0, person));
    let report = |title: &str| {
        let args = [
            "report",
            title,
            "--category",
            "E0102",
            "--at",
            "25.0420,102.7065",
            "--again",
        ];
        let finding = record(&member.must(&args));
        member.must(&["sync"]);
        secretary.must(&["sync"]);
        secretary.must(&["accept", &finding]);
        secretary.must(&["sync"]);
        member.must(&["sync"]);
        finding
    };
    let number = |finding: &str| {
        let list = member.must(&["list"]);
        let mut rows = list.as_array().expect("a list").iter();
        let row = rows.find(|row| row["record"] == finding);
        row.expect("is here")["number"].clone()
    };
    report("垃圾满溢");
    let noon = backup.to_str().expect("a path");
    let (code, said) = server.upkeep(&["backup", noon, "--json"]).expect("runs");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(server.upkeep(&["backup", noon]).expect("runs").0, Some(1));
    let finding = report("绿化带破坏");
    let given = number(&finding);
    assert_eq!(given, "E0102-20250611-0002");

    let (code, said) = server.upkeep(&["verify", "--json"]).expect("runs");
    assert_eq!(code, Some(0), "{said}");
    let database = rusqlite::Connection::open(server.database()).expect("opens");
    let alter = "UPDATE envelope SET received_at_ms = received_at_ms - 3600000
                 WHERE id = (SELECT MAX(id) FROM envelope)";
    database.execute(alter, []).expect("alters");
    drop(database);
    let (code, said) = server.upkeep(&["verify", "--json"]).expect("runs");
    let said: Json = serde_json::from_str(&said).expect("JSON");
    assert_eq!(code, Some(1));
    assert_eq!(said["bad"][0]["table"], "feed", "{said}");
    let (code, _) = server.upkeep(&["restore", noon]).expect("runs");
    assert_eq!(code, Some(1), "the server is running");

    server.stop().expect("stops");
    let (code, said) = server.upkeep(&["restore", noon]).expect("runs");
    assert_eq!(code, Some(0), "{said}");
    server.start_again(MORNING_MS).expect("starts");
    let again = [
        "report",
        "占道",
        "--category",
        "E0102",
        "--at",
        "25.0420,102.7065",
        "--again",
    ];
    let waiting = record(&member.must(&again));
    member.must(&["sync"]);
    secretary.must(&["sync"]);
    let (code, said) = server.upkeep(&["resume"]).expect("runs");
    assert_eq!(code, Some(0), "{said}");
    runtime()
        .block_on(server.set_clock(MORNING_MS + 1))
        .expect("the clock");
    secretary.must(&["accept", &waiting]);
    secretary.must(&["sync"]);
    member.must(&["sync"]);
    assert_eq!(number(&finding), given);
    assert_eq!(number(&waiting), "E0102-20250611-5001");
    assert_eq!(member.must(&["status"])["server_contradiction"], Json::Null);
    let (code, said) = server.upkeep(&["rebuild"]).expect("runs");
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = server.upkeep(&["verify"]).expect("runs");
    assert_eq!(code, Some(0), "{said}");
}
