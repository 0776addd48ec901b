//! Floor 6. A disk that is full: what stops, what goes on, and that it goes on by itself.
//!
//! A real file system, so small that a few seconds fill it: a tmpfs, and at length an ext4 in a
//! file as well. Mounting wants rights; without them the driver says that it was left out, because
//! a limit on file sizes or on descriptors is another fault than this one. Absent on purpose:
//! quotas, which are the same error to a program.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::overload_rig::{Outcome, Rig, Scratch, ensure, told};
use super::overload_words::{CONNACK, Hello, PINGRESP, PUBACK, PUBLISH, Wire, puback, publish};

/// The file system, in MiB, and what lies in it that is no broker's.
const SIZE: u64 = 40;
const BALLAST: u64 = 16;
/// Small segments, so that it is filled to nearly its end.
const FLAGS: [&str; 2] = ["--limit", "segment_bytes=1048576"];
const MQTT: &str = "mqtt://127.0.0.1:0";

pub(crate) fn tmpfs() -> Outcome {
    let dir = Scratch::new("full")?;
    fill(&small_tmpfs(&dir)?.0)
}

pub(crate) fn ext4() -> Outcome {
    let dir = Scratch::new("full")?;
    fill(&small_ext4(&dir)?.0)
}

/// Why there can be none here, if so.
pub(crate) fn no_tmpfs() -> Option<String> {
    Scratch::new("full").and_then(|dir| small_tmpfs(&dir)).err()
}

/// Why there can be none here, if so.
pub(crate) fn no_ext4() -> Option<String> {
    Scratch::new("full").and_then(|dir| small_ext4(&dir)).err()
}

pub(crate) fn small_tmpfs(dir: &Scratch) -> Result<Mount, String> {
    Mount::new(&dir.0, &["-t", "tmpfs", "-o", &format!("size={SIZE}m"), "none"])
}

fn small_ext4(dir: &Scratch) -> Result<Mount, String> {
    let image = dir.0.join("image");
    let file = std::fs::File::create(&image).map_err(told)?;
    file.set_len((SIZE + 8) << 20).map_err(told)?;
    let image = image.display().to_string();
    run("mkfs.ext4", &["-q", "-F", "-m", "0", &image])?;
    Mount::new(&dir.0, &["-o", "loop", &image])
}

/// A file system that goes with its owner.
pub(crate) struct Mount(pub(crate) PathBuf);

impl Mount {
    fn new(dir: &Path, what: &[&str]) -> Result<Self, String> {
        let at = dir.join("disk");
        std::fs::create_dir_all(&at).map_err(told)?;
        let place = at.display().to_string();
        run("mount", &[what, &[&place]].concat())?;
        Ok(Self(at))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = run("umount", &["-l", &self.0.display().to_string()]);
    }
}

fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let done = Command::new(program).args(args).output().map_err(|e| format!("{program}: {e}"))?;
    let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    ensure(done.status.success(), || format!("{program}: {said}"))
}

/// Who publishes with numbers, and knows which of them were acknowledged.
struct Publisher {
    wire: Wire,
    sent: u64,
    acked: u64,
}

impl Publisher {
    fn new(address: &str, next: u64) -> Result<Self, String> {
        let wire = Wire::named(address, "publisher")?;
        wire.stream.set_read_timeout(Some(QUIET)).map_err(told)?;
        Ok(Self { wire, sent: next, acked: next })
    }

    /// Publish until so many more are acknowledged, or none is for a while. How many were.
    fn publish(&mut self, most: u64) -> Result<u64, String> {
        let before = self.acked;
        while self.acked - before < most {
            while self.sent - self.acked < WINDOW {
                let mut payload = vec![b'x'; PAYLOAD];
                payload[..8].copy_from_slice(&self.sent.to_be_bytes());
                self.wire.say(&publish("keep", &payload, 1, id_of(self.sent), false))?;
                self.sent += 1;
            }
            match self.wire.hear_a(PUBACK) {
                Ok(ack) => {
                    let right = ack.id() == id_of(self.acked) && ack.byte(2) < 0x80;
                    ensure(right, || format!("{} is answered by {ack:?}", self.acked))?;
                    self.acked += 1;
                }
                Err(why) if why.contains("os error 11") => break,
                Err(why) => return Err(why),
            }
        }
        Ok(self.acked - before)
    }
}

fn id_of(number: u64) -> u16 {
    (number % 60_000) as u16 + 1
}

/// The session that is owed everything, and the messages it has had.
fn keeper(address: &str) -> Result<(Wire, bool), String> {
    let mut wire = Wire::open(address)?;
    wire.say(&Hello { id: "keeper", stays: true, ..Hello::default() }.words())?;
    let present = wire.hear_a(CONNACK)?.byte(0) == 1;
    Ok((wire, present))
}

/// All of it, from an empty disk to one that has room again.
fn fill(disk: &Path) -> Outcome {
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, vec![7; (BALLAST << 20) as usize]).map_err(told)?;
    let data = disk.join("data");
    let mut rig = Rig::start(&data, &[MQTT], &FLAGS)?;
    let address = rig.address().to_owned();
    keeper(&address)?.0.subscribe("keep", 1)?;
    let mut publisher = Publisher::new(&address, 0)?;
    let before_full = publisher.publish(u64::MAX)?;
    rig.has_said(&["storage", "state=full"])?;
    let mut figures = vec![format!("{before_full} acknowledged until the disk was full")];
    figures.push(lives_on(&mut rig, &address)?);
    // Room again, by somebody else's doing.
    std::fs::remove_file(&ballast).map_err(told)?;
    let since = Instant::now();
    ensure(publisher.publish(1)? == 1, || "it does not go on when there is room".into())?;
    let took = since.elapsed();
    rig.says(&["storage", "state=running"])?;
    let again = 1 + publisher.publish(u64::MAX)?;
    rig.says(&["storage", "state=full"])?;
    figures.push(format!("goes on {took:.1?} after there was room: {again} more, full again"));
    let acked = publisher.acked;
    if let Some(status) = rig.is_gone() {
        return Err(format!("it ended with {status}"));
    }
    rig.kill();
    figures.extend(return_to(&data, acked, publisher.sent)?);
    Ok(figures)
}

/// What goes on while the disk is full.
fn lives_on(rig: &mut Rig, address: &str) -> Result<String, String> {
    let mut reader = Wire::named(address, "newcomer-in")?;
    reader.subscribe("quiet", 0)?;
    let mut writer = Wire::named(address, "newcomer-out")?;
    let (mut slowest, count) = (Duration::ZERO, 200);
    for n in 0..count {
        let start = Instant::now();
        writer.say(&publish("quiet", b"?", 0, 0, false))?;
        reader.hear_a(PUBLISH).map_err(|why| format!("QoS 0 number {n}: {why}"))?;
        slowest = slowest.max(start.elapsed());
        thread::sleep(Duration::from_millis(5));
    }
    writer.say(&[0xc0, 0])?;
    writer.hear_a(PINGRESP)?;
    let stalled = rig.reaches("publishers_stalled_total", 1)?;
    Ok(format!(
        "two newcomers are in, {count} of {count} of QoS 0 arrive, slowest {slowest:.1?}; \
         publishers made to wait {stalled} times"
    ))
}

/// Start on the full disk, read all that is owed, and publish into the room that this makes.
fn return_to(data: &Path, acked: u64, sent: u64) -> Outcome {
    let since = Instant::now();
    let rig = Rig::start(data, &[MQTT], &FLAGS)?;
    let took = since.elapsed();
    let (mut keeper, present) = keeper(rig.address())?;
    ensure(present, || "the session is gone".into())?;
    keeper.stream.set_read_timeout(Some(QUIET)).map_err(told)?;
    let mut seen = vec![false; sent as usize];
    let (mut read, mut twice) = (0, 0);
    while let Ok(heard) = keeper.hear_a(PUBLISH) {
        let number = heard.payload().first_chunk().map_or(u64::MAX, |b| u64::from_be_bytes(*b));
        let whole = heard.payload().len() == PAYLOAD;
        let place = seen.get_mut(number as usize).filter(|_| whole);
        let place = place.ok_or_else(|| format!("nobody sent {number}"))?;
        twice += u64::from(core::mem::replace(place, true));
        read += 1;
        keeper.say(&puback(heard.message_id()))?;
    }
    let lost = seen.iter().take(acked as usize).filter(|seen| !**seen).count();
    ensure(lost == 0, || format!("{lost} of {acked} acknowledged are lost"))?;
    ensure(twice == 0, || format!("{twice} came twice"))?;
    let mut publisher = Publisher::new(rig.address(), sent)?;
    let more = publisher.publish(1_000)?;
    ensure(more == 1_000, || format!("{more} of 1000 after everything was read"))?;
    rig.stop()?;
    Ok(vec![format!(
        "killed and started on the full disk in {took:.1?}: {acked} acknowledged, {read} read, \
         0 lost, 0 twice; then {more} more are taken"
    )])
}

const PAYLOAD: usize = 4_096;
const WINDOW: u64 = 32;
/// Nothing for so long: it has stopped.
const QUIET: Duration = Duration::from_millis(1_500);
