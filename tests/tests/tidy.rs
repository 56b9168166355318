//! What ARCHITECTURE.md promises about the source itself, looked up in the
//! source.

use std::path::{Path, PathBuf};

/// Longest source file, lines: one reads a file downwards in one sitting.
const LONGEST: usize = 900;

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the workspace").to_owned()
}

/// Rust files below a folder, by their path from the workspace.
fn sources(folder: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        let mut entries: Vec<_> = std::fs::read_dir(folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.expect("an entry").path())
            .collect();
        entries.sort();
        for path in entries {
            if path.is_dir() && !path.ends_with("target") {
                walk(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(path);
            }
        }
    }
    let root = root();
    let mut paths = Vec::new();
    walk(&root.join(folder), &mut paths);
    assert!(!paths.is_empty(), "{folder} has no sources");
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("reads");
            let name = path
                .strip_prefix(&root)
                .expect("below")
                .display()
                .to_string();
            (name, text)
        })
        .collect()
}

/// Nothing in the files names any of these words outside comments.
fn nowhere(files: &[(String, String)], words: &[&str], why: &str) {
    for (name, text) in files {
        for (nth, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in words {
                assert!(!code.contains(word), "{name}:{}: `{word}`: {why}", nth + 1);
            }
        }
    }
}

/// The part of a file before its tests.
fn without_tests(files: Vec<(String, String)>) -> Vec<(String, String)> {
    files
        .into_iter()
        .map(|(name, text)| {
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            (name, code.to_owned())
        })
        .collect()
}

#[test]
fn the_domain_is_pure() {
    let domain = sources("core/src/domain");
    let io = [
        "std::fs",
        "std::io",
        "std::net",
        "std::thread",
        "std::env",
        "std::process",
    ];
    nowhere(&domain, &io, "the domain does no input or output");
    let engines = [
        "rusqlite",
        "reqwest",
        "tokio",
        "automerge",
        "minicbor",
        "serde",
        "zstd",
    ];
    nowhere(
        &domain,
        &engines,
        "the domain knows no engine and no format",
    );
    let upward = [
        "crate::envelope",
        "crate::document",
        "crate::store",
        "crate::sync",
    ];
    nowhere(&domain, &upward, "the domain is below everything");
}

#[test]
fn the_layers_of_the_core_only_look_down() {
    for (layer, above) in [
        (
            "core/src/envelope",
            [
                "crate::document",
                "crate::store",
                "crate::sync",
                "crate::device",
            ],
        ),
        (
            "core/src/document",
            ["crate::store", "crate::sync", "crate::device", "rusqlite"],
        ),
        (
            "core/src/store",
            [
                "crate::device",
                "crate::explain",
                "reqwest",
                "sync::transport",
            ],
        ),
    ] {
        nowhere(
            &without_tests(sources(layer)),
            &above,
            "a layer only looks down",
        );
    }
    for file in ["plan.rs", "settle.rs", "wire.rs"] {
        let files: Vec<_> = sources("core/src/sync")
            .into_iter()
            .filter(|(name, _)| name.ends_with(file))
            .collect();
        let io = [
            "crate::store",
            "crate::device",
            "reqwest",
            "rusqlite",
            "std::fs",
        ];
        nowhere(&files, &io, "planning and settling do no input or output");
    }
}

#[test]
fn nothing_panics_by_shortcut_and_nothing_sleeps() {
    for part in ["core/src", "bindings/cli/src", "sync-server/src"] {
        let files = without_tests(sources(part));
        let shortcuts = [
            ".unwrap()",
            ".expect(",
            "panic!(",
            "todo!(",
            "unimplemented!(",
            "dbg!(",
        ];
        nowhere(&files, &shortcuts, "errors are returned");
    }
    for part in [
        "core",
        "bindings",
        "sync-server",
        "tests/src",
        "tests/tests/stories",
    ] {
        nowhere(
            &sources(part),
            &["thread::sleep", "time::sleep(", "#[ignore"],
            "time is virtual",
        );
    }
}

#[test]
fn automerge_is_reached_through_one_door_only() {
    let all = sources("core/src")
        .into_iter()
        .chain(sources("sync-server/src"));
    let others: Vec<_> = all
        .filter(|(name, _)| !name.ends_with("document/mod.rs"))
        .collect();
    nowhere(
        &others,
        &["automerge::"],
        "only the document knows the merge engine",
    );
}

#[test]
fn files_can_be_read_in_one_sitting() {
    for part in ["core", "bindings", "sync-server", "tests"] {
        for (name, text) in sources(part) {
            let lines = text.lines().count();
            assert!(lines <= LONGEST, "{name} has {lines} lines");
        }
    }
}
