//! Floor 6. Somebody else takes away what the broker writes into, while it runs.
//!
//! A mapped file that is cut short, or that lost its pages to a disk which has none left, is a bus
//! error to whoever writes into it. It must be to the broker what every error of a disk is: said,
//! nothing promised any more, and QoS 0 goes on. Absent on purpose: what is done to segments that
//! are only read, which are files to the broker (`damage`).

use std::path::{Path, PathBuf};
use std::process::Command;

use super::full;
use super::overload_rig::{Outcome, Rig, Scratch, ensure, told};
use super::overload_words::{Hello, PUBACK, PUBLISH, Wire, publish};

const LISTEN: [&str; 2] = ["mqtt://127.0.0.1:0", "mqtt://127.0.0.1:0?durability=os"];
const FLAGS: [&str; 2] = ["--limit", "segment_bytes=1048576"];

/// Cut short under the running program.
pub(crate) fn shortened_segment() -> Outcome {
    let dir = Scratch::new("torn")?;
    let data = dir.0.join("data");
    let figure = tear(&data, |path| {
        let file = std::fs::File::options().write(true).open(path).map_err(told)?;
        file.set_len(PAGE).map_err(told)
    })?;
    let again = Rig::start(&data, &LISTEN, &FLAGS);
    let refused = again.err().ok_or("it starts on what was cut short")?;
    ensure(refused.contains("segment 1"), || format!("it says: {refused}"))?;
    Ok(vec![format!("{figure}; the next start is refused")])
}

/// Its pages are given back, and the disk has none left for it.
pub(crate) fn no_page_left() -> Outcome {
    let dir = Scratch::new("torn")?;
    let disk = full::small_tmpfs(&dir)?;
    let ballast = disk.0.join("ballast");
    let figure = tear(&disk.0.join("data"), |path| {
        let len = std::fs::metadata(path).map_err(told)?.len() - PAGE;
        let (from, len) = (PAGE.to_string(), len.to_string());
        let mut punch = Command::new("fallocate");
        let punch = punch.args(["--punch-hole", "--offset", &from, "--length", &len]).arg(path);
        let done = punch.status().map_err(|e| format!("fallocate: {e}"))?;
        ensure(done.success(), || "no hole can be made".into())?;
        // As much as there is, and then there is no more.
        let all = std::fs::write(&ballast, vec![7; 64 << 20]);
        ensure(all.is_err(), || "the disk is not full".into())
    })?;
    Ok(vec![figure])
}

/// Serve from there, do this to all segments, and see what becomes of promises.
fn tear(data: &Path, how: impl Fn(&Path) -> Result<(), String>) -> Result<String, String> {
    let mut rig = Rig::start(data, &LISTEN, &FLAGS)?;
    let [disk, os] = [0, 1].map(|n| rig.addresses[n].clone());
    let mut keeper = Wire::open(&disk)?;
    keeper.hello(&Hello { id: "keeper", stays: true, ..Hello::default() })?;
    keeper.subscribe("keep", 1)?;
    drop(keeper);
    let mut quiet = Wire::named(&disk, "quiet")?;
    quiet.subscribe("quiet", 0)?;
    let mut writers = [Wire::named(&os, "writer-os")?, Wire::named(&disk, "writer-disk")?];
    for wire in &mut writers {
        ensure(is_promised(wire, 1)?, || "no promise of a disk that is well".into())?;
    }
    for path in segments(data)? {
        how(&path)?;
    }
    for wire in &mut writers {
        let promised = is_promised(wire, 2).unwrap_or(false);
        ensure(!promised, || "a promise of what is not there any more".into())?;
    }
    rig.says(&["storage", "state=failed"])?;
    quiet.say(&publish("quiet", b"?", 0, 0, false))?;
    quiet.hear_a(PUBLISH).map_err(|why| format!("QoS 0: {why}"))?;
    let mut newcomer = Wire::named(&disk, "newcomer")?;
    newcomer.subscribe("quiet", 0)?;
    ensure(rig.is_gone().is_none(), || "it is gone".into())?;
    rig.kill();
    Ok("no promise at os or disk, said, QoS 0 goes on".to_owned())
}

fn segments(data: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(data.join("journal")).map_err(told)?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(told)?.path());
    }
    ensure(paths.len() > 1, || "there is nothing to be torn".into())?;
    Ok(paths)
}

fn is_promised(wire: &mut Wire, id: u16) -> Result<bool, String> {
    wire.say(&publish("keep", &[b'x'; 6_000], 1, id, false))?;
    Ok(wire.hear_a(PUBACK)?.byte(2) < 0x80)
}

const PAGE: u64 = 4_096;
