//! What people are told when they disagree, when somebody did not come, and
//! when somebody waits for them: on the screen, in both languages, by the
//! program as they run it.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use shaodao_tests::process::{ServerProcess, Terminal};
use shaodao_tests::world::{HOUR_MS, MORNING_MS};

const FINDING: [&str; 5] = [
    "report",
    "渣土堆放",
    "--category",
    "E0103",
    "--grid=530102001006001",
];
const URBAN_POST: &str = "post:530102001006001/urban";

struct Street {
    folder: PathBuf,
    server: ServerProcess,
}

impl Drop for Street {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Street {
    fn open(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("shaodao-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let server = ServerProcess::start(&folder, MORNING_MS).expect("a server");
        Self { folder, server }
    }

    fn phone(&self, person: &str) -> Terminal {
        let home: &Path = &self.folder.join(person);
        let phone = Terminal::new(home).expect("the phone program");
        phone.enrol(&self.server, person).expect("enrols");
        phone
    }
}

fn record(said: &Json) -> String {
    said["record"].as_str().expect("a record").to_owned()
}

fn sync(phones: &[&Terminal]) {
    for phone in phones {
        phone.must(&["sync"]);
    }
}

/// A screen says this in Chinese and that in English.
fn says(phone: &Terminal, args: &[&str], zh: &str, en: &str) {
    for (lang, words) in [("zh", zh), ("en", en)] {
        let screen = phone.read(lang, args).expect("runs");
        assert!(screen.contains(words), "{args:?} in {lang}:\n{screen}");
    }
}

fn whistle(secretary: &Terminal, finding: &str, more: &[&str]) -> String {
    let order = [
        "whistle",
        "清运渣土",
        "--finding",
        finding,
        "--target",
        URBAN_POST,
        "--due",
        "2h",
    ];
    record(&secretary.must(&[&order, more].concat()))
}

#[test]
fn who_disagreed_is_told_in_one_sentence() {
    // What could go wrong: a value, a conclusion or a step that is gone, and a
    // screen that says nothing.
    let street = Street::open("told-disagreed");
    let [member, secretary, urban, supervisor] =
        ["P01006-01", "P01006-00", "P01006-06", "S-03"].map(|person| street.phone(person));

    // The same fact, and different ones.
    let finding = record(&member.must(&FINDING));
    sync(&[&member, &secretary]);
    member.must(&[
        "correct",
        &finding,
        "--title",
        "北门渣土",
        "--address",
        "北门街1号",
    ]);
    secretary.must(&[
        "correct",
        &finding,
        "--title",
        "路口渣土",
        "--description",
        "约两车",
    ]);
    sync(&[&member, &secretary, &member]);
    for phone in [&member, &secretary] {
        let show = ["show", &finding];
        says(phone, &show, "⚠ 另有说法:", "⚠ somebody else says:");
        for value in ["北门渣土", "路口渣土", "北门街1号", "约两车"] {
            says(phone, &show, value, value);
        }
        says(phone, &["list", "--conflicts"], "⚠有分歧", "⚠disputed");
        says(phone, &["todo"], "各方说法不一", "disputed, to correct");
    }

    // A step that is not possible any more.
    let double = record(&member.must(&[&FINDING[..], &["--again"]].concat()));
    sync(&[&member, &secretary]);
    secretary.must(&["merge", &double, "--into", &finding]);
    sync(&[&secretary]);
    member.must(&["self-resolve", &double, "已清理"]);
    sync(&[&member]);
    for screen in [&["show", &double][..], &["troubles"]] {
        says(
            &member,
            screen,
            "这个问题已并入另一个问题",
            "was merged into another one",
        );
    }

    // Two whistles for one finding.
    let first = whistle(&secretary, &finding, &[]);
    let second = whistle(&secretary, &finding, &[]);
    for rival in [&first, &second] {
        says(
            &secretary,
            &["show", rival],
            "同一问题的其他哨令(可用 summon 加派、cancel 撤销来合并)",
            "Other whistles for the same findings",
        );
    }
    secretary.must(&["cancel", &second, "--reason", "重复吹哨"]);

    // Conclusion against rework, and two notes beside one another.
    sync(&[&secretary, &urban]);
    urban.must(&["arrive", &first, "--away", "没有定位"]);
    urban.must(&["feedback", &first, "--text", "已清运"]);
    sync(&[&urban, &secretary, &supervisor]);
    secretary.must(&["verify", &first, "--text", "照片里干净"]);
    secretary.must(&["conclude", &first, "--text", "办结"]);
    supervisor.must(&["verify", &first, "--failed", "--text", "现场还在"]);
    for (phone, note) in [(&secretary, "居民催问"), (&urban, "车已约好")] {
        phone.must(&["note", &first, note]);
    }
    sync(&[&secretary, &supervisor, &urban, &secretary]);
    says(
        &secretary,
        &["show", &first],
        "有人同时核实不通过,以返工为准。",
        "Somebody failed the verification at the same time; rework wins.",
    );
    says(
        &secretary,
        &["todo"],
        "结项已被返工推翻",
        "conclusion overtaken",
    );
    for note in ["居民催问", "车已约好"] {
        says(&secretary, &["show", &first], note, note);
    }
}

#[test]
fn who_did_not_come_and_who_did_not_answer_is_on_the_screen() {
    // What could go wrong: a list in which everything looks well, a reply to a
    // superior that nobody can find, or a target blamed for time that it had.
    let street = Street::open("told-no-show");
    let [secretary, urban, supervisor] =
        ["P01006-00", "P01006-06", "S-03"].map(|person| street.phone(person));
    let finding = record(&secretary.must(&FINDING));
    let whistle = whistle(&secretary, &finding, &["--report-by", "1h"]);
    sync(&[&secretary, &urban, &supervisor]);
    for of in [URBAN_POST, "blower"] {
        let demand = [
            "supervise",
            &whistle,
            "--of",
            of,
            "--text",
            "请说明进展",
            "--reply-by",
            "30m",
        ];
        supervisor.must(&demand);
    }
    sync(&[&supervisor, &urban, &secretary]);
    let show = ["show", whistle.as_str()];
    let listed = ["list", "whistles"];
    says(&secretary, &show, "[待回复]", "[awaited]");
    says(&secretary, &listed, "⚠督办待回复 2", "⚠replies owed 2");
    says(&urban, &["todo"], "【督办待回复】", "【to reply】");
    let row = &urban.must(&["todo"])[0];
    let demand = row["answers"].as_str().expect("a name");
    assert_eq!(
        (&row["question"], &row["text"]),
        (&"reply".into(), &"请说明进展".into())
    );
    urban.must(&["reply", &whistle, "--to", demand, "--text", "渣土车已约好"]);
    sync(&[&urban, &supervisor]);
    says(&supervisor, &show, "渣土车已约好", "渣土车已约好");
    says(&supervisor, &show, "[按时回复]", "[in time]");
    assert_eq!(
        supervisor.must(&listed)[0]["no_shows"],
        serde_json::json!([])
    );

    // An hour later nobody has come, and the blower has not answered.
    later(&street, 2 * HOUR_MS);
    sync(&[&supervisor]);
    says(
        &supervisor,
        &show,
        "⚠未到场,报到期限",
        "⚠no-show, report by",
    );
    says(&supervisor, &show, "[逾期未回复]", "[overdue]");
    says(&supervisor, &listed, "⚠未到场 1", "⚠no-shows 1");
    says(&supervisor, &listed, "⚠督办逾期 1", "⚠replies overdue 1");
    let row = &supervisor.must(&listed)[0];
    assert_eq!(row["no_shows"], serde_json::json!([URBAN_POST]));
    let seen = supervisor.must(&show);
    let demands = seen["supervisions"].as_array().expect("demands");
    let standing = |party: &str| {
        let mut demands = demands.iter();
        let of = demands.find(|it| it["party"] == party);
        of.expect("a demand")["standing"].clone()
    };
    assert_eq!(standing(URBAN_POST), "in_time");
    assert_eq!(standing("blower"), "overdue");
}

/// The server's clock goes on; phones learn of it with their next exchange.
fn later(street: &Street, ms: i64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let clock = street.server.set_clock(MORNING_MS + ms);
    runtime.block_on(clock).expect("the clock");
}
