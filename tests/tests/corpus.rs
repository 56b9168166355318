//! What fuzzing has found worth keeping is replayed on every run: the same
//! functions, the same bytes. A new find goes into the corpus before it is
//! mended. `SHAODAO_BLESS=1` writes the seeds, and only those that are not
//! there yet.

use std::path::{Path, PathBuf};

use shaodao_core::domain::place::{Position, PositionSource};
use shaodao_core::pack;
use shaodao_tests::bombs;
use shaodao_tests::decoders::TARGETS;

fn corpus(target: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.join("fuzz/corpus").join(target)
}

#[test]
fn the_corpus_of_every_decoder_is_replayed() {
    for (name, decode) in TARGETS {
        let folder = corpus(name);
        let mut files: Vec<_> = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.expect("an entry").path())
            .collect();
        files.sort();
        assert!(files.len() >= 4, "{name} has {} files", files.len());
        for file in files {
            println!("{}", file.display());
            decode(&std::fs::read(&file).expect("reads"));
        }
    }
}

#[test]
fn every_decoder_survives_every_bomb() {
    for bomb in bombs::zoo() {
        for (_, decode) in TARGETS {
            decode(&bomb.body);
        }
    }
}

#[test]
fn every_target_is_built_for_the_fuzzer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).expect("reads");
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        assert!(
            folder.join(format!("targets/{name}.rs")).is_file(),
            "{name}"
        );
    }
}

#[test]
fn the_seeds_of_the_corpus_are_there() {
    let golden = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("golden")
            .join(name);
        std::fs::read_to_string(path).expect("a golden file")
    };
    let unhex = |text: &str| -> Vec<u8> {
        let digits: Vec<u32> = text
            .chars()
            .filter_map(|digit| digit.to_digit(16))
            .collect();
        digits
            .chunks(2)
            .map(|pair| (pair[0] * 16 + pair[1]) as u8)
            .collect()
    };
    let second = |line: &str| unhex(line.split_whitespace().last().unwrap_or_default());
    let mut seeds: Vec<(&str, String, Vec<u8>)> = Vec::new();
    for (nth, line) in golden("envelope_v1.txt").lines().enumerate() {
        let bytes = second(line);
        // The payload is the first byte string of the outer array.
        if let Ok(mut decoder) = Ok::<_, ()>(minicbor::Decoder::new(&bytes))
            && decoder.array().is_ok()
            && let Ok(payload) = decoder.bytes()
        {
            seeds.push((
                "fields",
                format!("golden-{nth}"),
                [&[nth as u8], payload].concat(),
            ));
        }
        seeds.push(("envelope", format!("golden-{nth}"), bytes));
    }
    for (nth, line) in golden("wire_v1.txt").lines().enumerate() {
        for target in ["sync_request", "sync_reply", "enrol"] {
            seeds.push((target, format!("golden-{nth}"), second(line)));
        }
    }
    let small = r#"{"version":1,"street":{"code":"530102001","name":"s"},"codes":"cjt214-2007",
        "calendar":{"version":"c","periods":[[540,720]],"weekdays":[true,true,true,true,true,false,false],
        "off":["2025-10-01"],"worked":["2025-09-28"],"horizon":"2025-12-31"},
        "policy":{"max_anchor_age_hours":72,"max_drift_minutes":5,"failed_verifications":2,"street_limit_hours":24},
        "communities":[{"code":"530102001006","name":"c","class":"A"}],
        "posts":[{"code":"head","name":"p","standing":true}],
        "organisations":[{"id":"D01","name":"o","platform":1}],
        "grids":[{"code":"530102001006001","name":"g","community":"530102001006","version":1,
        "ring":[[102.7,25.0],[102.8,25.0],[102.8,25.1],[102.7,25.0]]}],
        "people":[{"id":"P","name":"n","roles":[{"role":"member","scope":"530102001006001"}],
        "posts":[{"post":"head","grid":"530102001006001"}]}]}"#;
    let text = |target, name: &str, text: &str| (target, name.to_owned(), text.as_bytes().to_vec());
    seeds.push(text("directory", "small", small));
    seeds.push(text("directory", "empty", "{}"));
    seeds.push(text("directory", "deep", &"[".repeat(500)));
    seeds.push((
        "directory",
        "huashan-cut".to_owned(),
        pack::HUASHAN[..2_000].to_vec(),
    ));
    for (name, table) in [
        (
            "small",
            "major,major_name,minor,name\n01,m,02,n\n---\nmajor,major_name,minor,name,limit_a,whistle_hint\n04,m,03,n,4h,x\n",
        ),
        (
            "quoted",
            "major,major_name,minor,name\n\"0\"\"1\",\"a\nb\",02,n\n---\n",
        ),
        ("ragged", "major,minor\n1\n1,2,3\n---\n,,\n"),
        ("nothing", ""),
    ] {
        seeds.push(text("codes", name, table));
    }
    let here = Position::from_degrees(25.042, -102.7065, Some(12.5), PositionSource::Gps);
    for (name, line) in [
        ("position", here.expect("a position").to_string().as_str()),
        ("position-short", "25.0420,102.7065"),
        ("position-nan", "NaN,inf,-1e308,map"),
        ("limit", "4h"),
        ("limit-huge", "4294967295u"),
        ("code", "E0403"),
        (
            "address",
            "https://10.0.0.5:8470#pin=a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7",
        ),
        ("han", "四工作时h,哨"),
    ] {
        seeds.push(text("texts", name, line));
    }
    for (target, name, bytes) in seeds {
        let path = corpus(target).join(&name);
        if std::env::var_os("SHAODAO_BLESS").is_some() && !path.exists() {
            std::fs::create_dir_all(corpus(target)).expect("a folder");
            std::fs::write(&path, &bytes).expect("writes");
        }
        assert!(path.is_file(), "{} is not there", path.display());
    }
}
