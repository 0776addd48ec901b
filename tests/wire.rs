//! Floor 6. Plays the wire scripts: every scene under `tests/wire/` on the engine.
//!
//! Scenes that need no fake world play once more over TCP, against the broker at the address in
//! `SPINDLE_WIRE_ADDR`, which has to know the sample users and let them do everything, and nobody
//! else. Absent on purpose: what the lines of a script mean (`testing::script`).

use std::fs;
use std::path::{Path, PathBuf};

use spindle::testing::script::Script;
use spindle::testing::stage::Stage;

fn scripts() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
    let mut found = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of scripts") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "wire") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> Script {
    let text = fs::read_to_string(path).expect("a script");
    Script::parse(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

#[test]
fn every_scene_plays_on_the_engine() {
    let mut failed = Vec::new();
    let all = scripts();
    for path in &all {
        let text = fs::read_to_string(path).expect("a script");
        let played =
            Script::parse(&text).and_then(|script| script.perform(&mut Stage::new(&script.setup)?));
        if let Err(why) = played {
            failed.push(format!("{}: {why}", path.file_name().unwrap().to_string_lossy()));
        }
    }
    assert!(failed.is_empty(), "{} of {} fail:\n{}", failed.len(), all.len(), failed.join("\n"));
}

#[test]
fn every_scene_says_what_it_shows() {
    for path in scripts() {
        let script = read(&path);
        let head = script.head.first().unwrap_or_else(|| panic!("{}: no head", path.display()));
        assert!(head.starts_with("[prx1 §"), "{}: {head}", path.display());
        assert!(head.ends_with('.'), "{}: a sentence ends with a full stop", path.display());
    }
}
