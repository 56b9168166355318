//! The whole loop by hand, with the programs as a user runs them: 问题收集 →
//! 吹哨 → 签收 → 报到 → 处理反馈 → 核实结项 → 综合评价, each phone a process.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use shaodao_tests::process::{ServerProcess, Terminal};
use shaodao_tests::world::MORNING_MS;

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn enrolled(server: &ServerProcess, folder: &Path, person: &str) -> Terminal {
    let tickets = server
        .tickets(&[person.to_owned()], MORNING_MS)
        .expect("a ticket");
    let phone = Terminal::new(&folder.join(person)).expect("the phone program");
    phone
        .run(&["enrol", &server.address(), &tickets[0].1])
        .expect("enrols");
    phone
}

fn run(phone: &Terminal, args: &[&str]) -> Json {
    match phone.run(args) {
        Ok(said) => said,
        Err(error) => panic!("{args:?}: {error}"),
    }
}

fn record(said: &Json) -> String {
    said["record"].as_str().expect("a record").to_owned()
}

#[test]
fn a_finding_goes_all_the_way_from_four_terminals() {
    let folder = std::env::temp_dir().join(format!("shaodao-terminal-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    let folder = Folder(folder);
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
    let finding = record(&run(&member, &gas));
    let hint = member.run(&gas).expect_err("somebody was here before");
    assert_eq!(hint["error"]["code"], "similar");
    let found = run(&member, &["search", "燃气"]);
    assert_eq!(found[0]["record"], finding.as_str());
    assert_eq!(run(&member, &["status"])["outbox"], 1);
    run(&member, &["sync"]);

    // The secretary accepts and whistles whoever holds the urban post.
    run(&secretary, &["sync"]);
    assert_eq!(run(&secretary, &["todo"])[0]["waiting"], "to accept");
    run(&secretary, &["accept", &finding[..8]]);
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
    let whistle = record(&run(&secretary, &order));
    run(&secretary, &["sync"]);

    run(&urban, &["sync"]);
    assert_eq!(run(&urban, &["todo"])[0]["waiting"], "to answer");
    let outlook = &run(&urban, &["show", &whistle])["outlook"];
    assert_eq!(outlook["next"]["cause"], "due_passed");
    run(&urban, &["sign", &whistle]);
    run(
        &urban,
        &[
            "arrive",
            &whistle,
            "--heads",
            "2",
            "--at",
            "25.0420,102.7065,5",
        ],
    );
    run(&urban, &["feedback", &whistle, "--text", "已关阀检修"]);
    let own = urban.run(&["verify", &whistle]).expect_err("own work");
    assert_eq!(own["error"]["code"], "own_work");
    run(&urban, &["sync"]);

    run(&secretary, &["sync"]);
    let outlook = &run(&secretary, &["show", &whistle])["outlook"];
    assert_eq!(outlook["next"], Json::Null, "answered");
    run(&secretary, &["verify", &whistle, "--text", "复测正常"]);
    run(&secretary, &["conclude", &whistle, "--text", "已处置"]);
    run(
        &secretary,
        &[
            "evaluate",
            &whistle,
            "--of",
            "post:530102001006001/urban",
            "--score",
            "5",
        ],
    );
    run(&secretary, &["sync"]);

    // Everybody who may see it sees the same; the number came from the server.
    run(&member, &["sync"]);
    run(&dispatcher, &["sync"]);
    for phone in [&member, &dispatcher] {
        let closed = run(phone, &["list", "--stage", "closed"]);
        assert_eq!(closed[0]["record"], finding.as_str());
        let number = closed[0]["number"].as_str().expect("a number");
        assert!(
            number.starts_with("E0403-") && number.ends_with("-0001"),
            "{number}"
        );
        assert_eq!(record(&run(phone, &["show", number])), finding);
    }
    let seen = run(&dispatcher, &["show", &whistle]);
    assert_eq!(seen["stage"], "evaluated");
    assert_eq!(seen["history"].as_array().expect("a history").len(), 7);

    // It leaks again: opened again, whistled again.
    run(&secretary, &["reopen", &finding, "--reason", "再次泄漏"]);
    assert_eq!(run(&secretary, &["show", &finding])["stage"], "accepted");
}
