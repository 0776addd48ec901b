//! Floor 6. Plays the wire scripts: every scene under `tests/wire/` on the engine in the fake
//! world, and those that need nothing fake once more over TCP.
//!
//! Over TCP every scene has a broker of its own, in this process, made of the same limits and
//! users. Absent on purpose: what the lines of a script mean (`testing::script`).

#![cfg_attr(
    feature = "os",
    expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "the test is the world")
)]

use std::fs;
use std::path::{Path, PathBuf};

use spindle::testing::script::Script;
use spindle::testing::stage::Stage;

#[cfg(feature = "os")]
#[path = "wire/tcp.rs"]
mod tcp;

/// Every script, or those whose path holds what `SPINDLE_SCENES` says.
fn scripts() -> Vec<PathBuf> {
    let wanted = std::env::var("SPINDLE_SCENES").unwrap_or_default();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
    let mut found = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of scripts") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "wire")
                && path.to_string_lossy().contains(&wanted)
            {
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

#[cfg(feature = "os")]
#[test]
fn every_scene_without_fakes_plays_over_tcp() {
    let anywhere: Vec<PathBuf> =
        scripts().into_iter().filter(|path| read(path).runs_anywhere()).collect();
    assert!(anywhere.len() > 40, "only {} scenes need nothing fake", anywhere.len());
    // Scenes mostly wait, for the disk or for silence; so several wait at once.
    let failed: Vec<String> = std::thread::scope(|scope| {
        let shares: Vec<_> = (0..SCENES_AT_ONCE)
            .map(|first| {
                let share = anywhere.iter().skip(first).step_by(SCENES_AT_ONCE);
                scope.spawn(move || share.filter_map(|path| play_over_tcp(path).err()).collect())
            })
            .collect();
        let each = |share: std::thread::ScopedJoinHandle<'_, Vec<String>>| share.join().unwrap();
        shares.into_iter().flat_map(each).collect()
    });
    assert!(
        failed.is_empty(),
        "{} of {} fail:\n{}",
        failed.len(),
        anywhere.len(),
        failed.join("\n")
    );
}

#[cfg(feature = "os")]
const SCENES_AT_ONCE: usize = 8;

#[cfg(feature = "os")]
fn play_over_tcp(path: &Path) -> Result<(), String> {
    // Two folders may have a scene of one name, and both may play at once.
    let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
    let stem = path.file_stem().unwrap_or_default();
    let name = format!("{}-{}", folder.to_string_lossy(), stem.to_string_lossy());
    let script = read(path);
    let play = || {
        let mut world = tcp::Sockets::new(&name, &script.setup)?;
        script.perform(&mut world)?;
        world.stop()
    };
    play().map_err(|why: String| format!("{name}: {why}"))
}

#[test]
fn every_scene_can_be_read() {
    let wrong: Vec<String> = scripts()
        .iter()
        .filter_map(|path| {
            let parsed = Script::parse(&fs::read_to_string(path).expect("a script"));
            parsed.err().map(|why| format!("{}: {why}", path.display()))
        })
        .collect();
    assert!(wrong.is_empty(), "{} cannot be read:\n{}", wrong.len(), wrong.join("\n"));
}

/// The folders, and how the heads in them begin.
const SHOWN: [(&str, &str); 11] = [
    ("foo", "[foo"),
    ("http", "[http"),
    ("prx1", "[prx1 §"),
    ("mqtt3", "[MQTT-"),
    ("mqtt5", "[MQTT5-"),
    ("mqtt-bad", "[bad "),
    ("ws", "[ws "),
    ("cross", "[cross"),
    ("wamp", "[wamp"),
    ("aio", "[aio"),
    ("durability", "[durability"),
];

#[test]
fn every_scene_says_what_it_shows() {
    for path in scripts() {
        let script = read(&path);
        let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
        let (_, begin) = SHOWN.iter().find(|(name, _)| folder == *name).expect("a known folder");
        let head = script.head.first().unwrap_or_else(|| panic!("{}: no head", path.display()));
        assert!(head.starts_with(begin), "{}: {head}", path.display());
        assert!(head.ends_with('.'), "{}: a sentence ends with a full stop", path.display());
    }
}
