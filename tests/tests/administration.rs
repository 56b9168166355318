//! What an administrator does from a terminal, beside a running server, with
//! files as an office writes them.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use shaodao_tests::process::{ServerProcess, Terminal};
use shaodao_tests::world::MORNING_MS;

const LI: &str = "P01006-02";
const GRID: &str = "530102001006002";
const LAST_GRID: &str = "530102001013004";

struct Office {
    server: ServerProcess,
    folder: PathBuf,
}

impl Office {
    fn open(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("shaodao-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let server = ServerProcess::start(&folder, MORNING_MS).expect("a server");
        Self { server, folder }
    }

    fn does(&self, args: &[&str]) -> Json {
        match self.server.admin(args) {
            Ok(said) => said,
            Err(error) => panic!("{args:?}: {error}"),
        }
    }

    fn refused(&self, args: &[&str]) -> String {
        match self.server.admin(args) {
            Ok(said) => panic!("{args:?}: {said}"),
            Err(error) => error.to_string(),
        }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        std::fs::write(&path, text).expect("writes");
        path.display().to_string()
    }

    fn phone(&self, name: &str) -> Terminal {
        Terminal::new(&self.folder.join(name)).expect("the phone program")
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn run(phone: &Terminal, args: &[&str]) -> Json {
    match phone.run(args) {
        Ok(said) => said,
        Err(error) => panic!("{args:?}: {error}"),
    }
}

/// The grids of a pack as GeoJSON, without those that `leave_out` names.
fn geojson(pack: &Json, leave_out: &[&str]) -> String {
    let features: Vec<Json> = pack["grids"]
        .as_array()
        .expect("grids")
        .iter()
        .filter(|grid| !leave_out.iter().any(|code| grid["code"] == *code))
        .map(|grid| {
            json!({
                "type": "Feature",
                "properties": { "code": grid["code"], "name": grid["name"] },
                "geometry": { "type": "Polygon", "coordinates": [grid["ring"]] },
            })
        })
        .collect();
    json!({ "type": "FeatureCollection", "features": features }).to_string()
}

fn hows(said: &Json) -> Vec<(String, String)> {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let changes = said["changes"].as_array().expect("changes");
    let line = |change: &Json| (text(&change["how"]), text(&change["key"]));
    changes.iter().map(line).collect()
}

#[test]
fn territory_is_imported_taken_back_and_a_code_is_never_used_again() {
    let office = Office::open("territory");
    let phone = office.phone("li");
    phone.enrol(&office.server, LI).expect("enrols");
    let pack = office.does(&["export", "directory"]);
    assert_eq!(pack["version"], 1);

    // A dry run says what would change, and changes nothing.
    let fewer = office.file("fewer.geojson", &geojson(&pack, &[LAST_GRID]));
    let dry = ["import", "territory", "--grids", &fewer, "--dry-run"];
    let retired = [("retired".to_owned(), LAST_GRID.to_owned())];
    assert_eq!(hows(&office.does(&dry)), retired);
    assert_eq!(office.does(&["export", "directory"])["version"], 1);
    let done = office.does(&dry[..4]);
    assert_eq!(
        (hows(&done), &done["edition"]),
        (retired.to_vec(), &json!(2))
    );

    // The code is gone for good; whoever draws it again is told where.
    let all = office.file("all.geojson", &geojson(&pack, &[]));
    let refused = office.refused(&["import", "territory", "--grids", &all]);
    assert!(
        refused.contains("all.geojson") && refused.contains(LAST_GRID) && refused.contains("never"),
        "{refused}"
    );
    // A grid that is redrawn keeps its code under the next version.
    let mut redrawn = pack.clone();
    redrawn["grids"][0]["ring"][1][0] = json!(102.70119);
    let redrawn = office.file("redrawn.geojson", &geojson(&redrawn, &[LAST_GRID]));
    office.does(&["import", "territory", "--grids", &redrawn]);
    let now = office.does(&["export", "directory"]);
    let grid = |pack: &Json, code: &Json| {
        let grids = pack["grids"].as_array().expect("grids").clone();
        grids
            .into_iter()
            .find(|grid| grid["code"] == *code)
            .expect("the grid")
    };
    assert_eq!(grid(&now, &pack["grids"][0]["code"])["version"], 2);
    assert_eq!(grid(&now, &json!(LAST_GRID))["retired"], 2);

    // A community goes with its grids, or not at all.
    let communities: String = pack["communities"]
        .as_array()
        .expect("communities")
        .iter()
        .filter(|it| it["code"] != "530102001013")
        .map(|it| format!("{},{},{}\n", it["code"], it["name"], it["class"]))
        .collect();
    let table = format!("代码,名称,类别\n{communities}");
    let communities = office.file("communities.csv", &table.replace('"', ""));
    let alone = ["import", "territory", "--communities", &communities];
    let refused = office.refused(&alone);
    assert!(
        refused.contains("530102001013 would be given up"),
        "{refused}"
    );
    let mut grids = pack.clone();
    let inside = |grid: &Json| grid["community"] == "530102001013";
    grids["grids"]
        .as_array_mut()
        .expect("grids")
        .retain(|grid| !inside(grid));
    let grids = office.file("grids.geojson", &geojson(&grids, &[]));
    let both = [&alone[..], &["--grids", &grids, "--dry-run"]].concat();
    let gone = hows(&office.does(&both));
    assert!(gone.contains(&("retired".to_owned(), "530102001013".to_owned())));

    // Taking it back is a new edition; the phone gets the newest one.
    office.does(&["directory", "revert", "1"]);
    let now = office.does(&["export", "directory"]);
    assert!(grid(&now, &json!(LAST_GRID))["retired"].is_null());
    let editions = office.does(&["directory", "list"]);
    let newest = &editions[0];
    assert_eq!(newest["version"], 4);
    assert_eq!(newest["who"], "Wen");
    assert_eq!(newest["what"], "back to edition 1");
    run(&phone, &["sync"]);
    let grids = run(&phone, &["directory", "grids", LAST_GRID]);
    assert_eq!(grids[0]["id"], LAST_GRID);
}

#[test]
fn a_file_with_a_mistake_is_refused_by_file_and_line() {
    let office = Office::open("mistakes");
    let people = "people.csv";
    for (name, text, args, wanted) in [
        (
            people,
            "工号,姓名\n",
            &["people"][..],
            "line 1: there is no column roles or 角色",
        ),
        (
            people,
            "\u{feff}工号,姓名,角色,岗位\nA,甲,网格员:530102001006002,\nB,乙,king:530102001,\n",
            &["people"],
            "line 3: role `king` is none of",
        ),
        (
            people,
            "id,name,roles,posts\nA,甲,member:530102001999001,\n",
            &["people"],
            "line 2: there is no `530102001999001`",
        ),
        (
            people,
            "id,name,roles,posts\nA,甲,,\n\nA,乙,,\n",
            &["people"],
            "line 4: A stands on line 2 already",
        ),
        (
            "posts.csv",
            "code,name,standing\nx,某,maybe\n",
            &["posts"],
            "line 2: standing `maybe`",
        ),
        (
            "units.csv",
            "id,name,platform\nU,某,6\n",
            &["organisations"],
            "line 2: a platform",
        ),
        (
            "days.csv",
            "date,kind,name,source\n2026-02-30,off,春节,通知\n",
            &["calendar"],
            "line 2",
        ),
        (
            "communities.csv",
            "code,name,class\n530103001001,某,A\n",
            &["territory", "--communities"],
            "line 2: 530103001001 is not a community",
        ),
        (
            "grids.geojson",
            r#"{"features":[{"properties":{"code":"530102001006009"},"geometry":{"type":"Point"}}]}"#,
            &["territory", "--grids"],
            "feature 1 (530102001006009): its geometry is not a polygon",
        ),
        ("pack.json", "{\"version\":\n", &["directory"], "line 2"),
    ] {
        let path = office.file(name, text);
        let mut command = vec!["import"];
        command.extend(args);
        command.push(&path);
        let refused = office.refused(&command);
        assert!(
            refused.contains(name) && refused.contains(wanted),
            "{refused}"
        );
    }
    assert_eq!(office.does(&["export", "directory"])["version"], 1);
    let nobody = office.refused(&["ticket", "--person", "nobody"]);
    assert!(
        nobody.contains("nobody is not in the directory"),
        "{nobody}"
    );
}

#[test]
fn people_come_and_go_by_file() {
    let office = Office::open("people");
    let pack = office.does(&["export", "directory"]);
    let everybody = pack["people"].as_array().expect("people").len();
    let text = format!(
        "工号,姓名,岗位,角色\nP01006-02,李静,网格长:{GRID},网格员:{GRID}\nNEW,新人,,member:{GRID}\n"
    );
    let path = office.file("people.csv", &text);
    let done = office.does(&["import", "people", &path]);
    let changes = hows(&done);
    assert!(changes.contains(&("added".to_owned(), "NEW".to_owned())));
    assert!(!changes.contains(&("changed".to_owned(), LI.to_owned())));
    // Whoever left keeps the name and nothing else.
    let now = office.does(&["export", "directory"]);
    let people = now["people"].as_array().expect("people");
    assert_eq!(people.len(), everybody + 1);
    let left = people.iter().find(|person| person["id"] == "P01006-01");
    assert_eq!(left.expect("still named")["roles"], json!([]));
    let again = office.does(&["import", "people", &path]);
    assert!(again["edition"].is_null() && hows(&again).is_empty());
    office
        .phone("new")
        .enrol(&office.server, "NEW")
        .expect("the running server knows");
}

#[test]
fn a_phone_is_enrolled_by_what_its_camera_read_and_shut_out_at_once() {
    let office = Office::open("devices");
    let address = office.server.address();
    let ticket = office.does(&["ticket", "--person", LI, "--server", &address]);
    let uri = ticket[0]["uri"].as_str().expect("an invitation");
    let phone = office.phone("li");
    let shown = run(&phone, &["enrol", "--no-wait", uri]);
    let code = shown["check_code"].as_str().expect("six digits");
    assert_eq!(office.does(&["pending"])[0]["check_code"], code);
    let wrong = if code == "000000" { "000001" } else { "000000" };
    let refused = office.refused(&["confirm", wrong]);
    assert!(refused.contains("do not confirm"), "{refused}");
    assert_eq!(run(&phone, &["enrol", "--resume"])["enrolled"], false);
    office.does(&["confirm", code]);
    assert_eq!(run(&phone, &["enrol", "--resume"])["person"], LI);
    assert_eq!(office.does(&["pending"]), json!([]));

    // A QR code for somebody else's server is not taken.
    let other = office.phone("other");
    let ticket = office.does(&["ticket", "--person", LI, "--server", &address]);
    let uri = ticket[0]["uri"].as_str().expect("an invitation");
    let forged = uri.replace("key=", "key=ff").replace("&pin", "");
    let forged = &forged[..forged.len() - 2];
    let refused = other
        .run(&["enrol", "--no-wait", forged])
        .expect_err("another key");
    assert_eq!(refused["error"]["code"], "wrong_server");

    let report = [
        "report",
        "门口有垃圾",
        "--category",
        "E0102",
        "--grid",
        GRID,
    ];
    run(&phone, &report);
    run(&phone, &["sync"]);
    let devices = office.does(&["devices", "--person", LI]);
    assert_eq!(devices[0]["state"], "active");
    assert_eq!(devices[0]["backlog"], 0);
    assert_eq!(devices[0]["last_sync_ms"], MORNING_MS);
    assert!(
        devices[0]["app"]
            .as_str()
            .expect("a build")
            .starts_with("shaodao ")
    );
    let device = devices[0]["device"].as_str().expect("an id").to_owned();

    // The next request already meets the new state.
    office.does(&["suspend", &device[..8]]);
    run(
        &phone,
        &[
            "report",
            "第二处垃圾",
            "--category",
            "E0102",
            "--grid",
            GRID,
            "--again",
        ],
    );
    let synced = run(&phone, &["sync"]);
    assert_eq!(synced["troubles"][0]["reason"], "device_suspended");
    let status = run(&phone, &["status"]);
    assert_eq!(
        (&status["shows"], &status["why"]),
        (&json!("own_only"), &json!("suspended"))
    );
    let aside = office.does(&["quarantine", "list"]);
    let hash = aside[0]["hash"].as_str().expect("a hash");
    assert_eq!(
        office.does(&["quarantine", "show", &hash[..8]])["person"],
        LI
    );
    office.does(&["resume", &device[..8]]);
    office.does(&["quarantine", "return", &hash[..8]]);
    run(&phone, &["sync"]);
    let troubles = run(&phone, &["troubles"]);
    assert_eq!(troubles[0]["reason"], "returned");
    assert_eq!(troubles[0]["facts"]["title"], "第二处垃圾");
    run(&phone, &["redo", &hash[..8]]);
    assert_eq!(run(&phone, &["sync"])["accepted"], 1);
    // Both reports are of one moment, so their hashes decide which of them counts;
    // the other is a trace, and there is one finding.
    let released = office.does(&["quarantine", "release", hash]);
    let standing = released["standing"].as_str().unwrap_or_default();
    assert!(["accepted", "late"].contains(&standing), "{released}");
    run(&phone, &["sync"]);
    let found = run(&phone, &["search", "第二处垃圾"]);
    assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");

    office.does(&["revoke", &device[..8]]);
    let refused = office.refused(&["resume", &device[..8]]);
    assert!(refused.contains("for ever"), "{refused}");
    let qr = std::process::Command::new(
        shaodao_tests::process::binary("shaodao-server").expect("built"),
    )
    .args(["--data", &data(&office.folder)])
    .args(["admin", "ticket", "--qr", "--person", LI])
    .output()
    .expect("runs");
    let text = String::from_utf8_lossy(&qr.stdout).into_owned();
    assert!(
        text.contains('█') && text.contains("shaodao://enrol?"),
        "{text}"
    );
}

#[test]
fn the_phone_waits_until_somebody_has_confirmed_it() {
    let office = Office::open("waiting");
    let phone = office.phone("li");
    let ticket = office.does(&["ticket", "--person", LI]);
    let ticket = ticket[0]["ticket"].as_str().expect("a ticket");
    let waiting = phone
        .command(&["enrol", &office.server.address(), ticket])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("runs");
    let code = (0..1_000).find_map(|_| {
        let pending = office.does(&["pending"]);
        pending[0]["check_code"].as_str().map(str::to_owned)
    });
    office.does(&["confirm", &code.expect("the phone shows up")]);
    let said = waiting.wait_with_output().expect("ends by itself");
    assert!(said.status.success());
    let said: Json = serde_json::from_slice(&said.stdout).expect("JSON");
    assert_eq!(
        (&said["enrolled"], &said["person"]),
        (&json!(true), &json!(LI))
    );
}

fn data(folder: &Path) -> String {
    folder.join("server").display().to_string()
}
