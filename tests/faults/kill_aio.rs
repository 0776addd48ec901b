//! Two connectors of ours and a broker between them, with programs at both ends: one of the three
//! is killed again and again, also while it starts. What a connector has on its disk arrives, in
//! order, and again only as far as nobody could know that it had.
//!
//! The programs are threads of this test, which speak to the connectors' sockets as programs of the
//! original do. They live on, and do what such programs do: they connect again, and say nothing
//! twice. Absent on purpose: what must hold (`kill_aio_law`), and other brokers.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use spindle::base::rng::Rng;
use spindle::proto::aio::{Frame, Id, encode_vec, next};

use crate::broker::{LONG, Place, Running, Scratch, free_ports};
use crate::kill_aio_law::Record;
use crate::{Options, Verdict};

/// Kills in the short form, and at length.
const KILLS: (u32, u32) = (5, 100);
/// A kill comes when so many more were heard, or after so long.
const MORE: (u64, u64) = (20, 200);
const CYCLE: Duration = Duration::from_secs(3);
/// Between two messages.
const PACE: Duration = Duration::from_millis(1);
const BREATH: Duration = Duration::from_millis(20);

/// What is said, between marks by which it is found on a disk.
fn body_of(n: u32) -> String {
    format!("said {n:08};")
}

fn read_body(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.strip_prefix(b"said ")?.strip_suffix(b";")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Between the threads.
#[derive(Default)]
struct Field {
    over: AtomicBool,
    /// Nothing more is said.
    quiet: AtomicBool,
    /// The first sign that what is said is heard.
    ready: AtomicBool,
    count: AtomicUsize,
    record: Mutex<Record>,
}

impl Field {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    fn record<T>(&self, with: impl FnOnce(&mut Record) -> T) -> T {
        with(&mut self.record.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
}

/// The program that speaks: each number once, whatever becomes of it.
fn speak(socket: &Path, field: &Field) {
    let (mut stream, mut n) = (None::<UnixStream>, 0);
    while !field.is_over() && !field.quiet.load(Ordering::Acquire) {
        let Some(open) = &mut stream else {
            stream = UnixStream::connect(socket).ok();
            if stream.is_some() && field.ready.load(Ordering::Acquire) {
                field.record(|it| it.said.push(n..n));
            }
            std::thread::sleep(PACE);
            continue;
        };
        let ready = field.ready.load(Ordering::Acquire);
        let mut frame = Frame::of("t", "program");
        if ready {
            // It is said before anybody can hear it.
            field.record(|it| match it.said.last_mut() {
                Some(span) => span.end = n + 1,
                None => it.said.push(n..n + 1),
            });
            frame.header.request_id = Some(Id::from(u64::from(n)));
            frame = frame.with(body_of(n));
            n += 1;
        }
        let bytes = encode_vec(&frame).unwrap_or_default();
        if open.write_all(&bytes).is_err() {
            stream = None;
        }
        std::thread::sleep(if ready { PACE } else { BREATH });
    }
}

/// The program that listens, to one connection after the other: what is in the first is older.
fn listen(socket: &Path, field: &Field) -> Result<(), String> {
    let wrong = |e: std::io::Error| e.to_string();
    let door = UnixListener::bind(socket).map_err(wrong)?;
    door.set_nonblocking(true).map_err(wrong)?;
    while !field.is_over() {
        match door.accept() {
            Ok((stream, _)) => hear(stream, field)?,
            Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::sleep(PACE),
            Err(e) => return Err(wrong(e)),
        }
    }
    Ok(())
}

fn hear(mut stream: UnixStream, field: &Field) -> Result<(), String> {
    stream.set_nonblocking(false).map_err(|e| e.to_string())?;
    stream.set_read_timeout(Some(BREATH)).map_err(|e| e.to_string())?;
    let (mut input, mut chunk) = (BytesMut::new(), [0; 65_536]);
    while !field.is_over() {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(len) => input.extend_from_slice(&chunk[..len]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
        while let Some(frame) = next(&mut input, 1 << 20).map_err(|e| format!("{e:?}"))? {
            if frame.data.is_empty() {
                field.ready.store(true, Ordering::Release);
                continue;
            }
            let n = read_body(&frame.data).unwrap_or(u32::MAX);
            let is_marked = frame.header.request_id == Some(Id::from(u64::from(n)));
            field.record(|it| {
                it.heard.push(n);
                it.unmarked += u64::from(!is_marked);
            });
            field.count.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// A connector: where it is, and how it is started.
struct Side {
    dir: PathBuf,
    name: &'static str,
    place: Place,
}

impl Side {
    fn new(home: &Path, name: &'static str, port: u16, more: &str) -> Result<Self, String> {
        let wrong = |e: std::io::Error| e.to_string();
        let dir = home.join(name);
        fs::DirBuilder::new().mode(0o700).create(&dir).map_err(wrong)?;
        let config = home.join(format!("{name}.json"));
        let text = format!(
            "{{\"is_server\": false, \"server_sockaddr\": [\"127.0.0.1\", {port}], \
             \"client_name\": \"{name}\", \"use_ssl\": false, \
             \"connector_files_dirpath\": {dir:?}, \
             \"send_message_types\": [\"t\"], \"recv_message_types\": [\"t\"], {more}}}"
        );
        fs::write(&config, text).map_err(wrong)?;
        let log = home.join(format!("{name}.out"));
        let place = Place::program(&log, &["connector", &config.display().to_string()])?;
        Ok(Self { dir, name, place })
    }

    fn socket(&self, what: &str) -> PathBuf {
        self.dir.join(format!("uds_path_{what}_{}", self.name))
    }

    /// Every number that it has on its disk.
    fn on_disk(&self) -> BTreeSet<u32> {
        let (mut found, mut folders) = (BTreeSet::new(), vec![self.dir.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                    Ok(kind) if kind.is_file() => {
                        let bytes = fs::read(entry.path()).unwrap_or_default();
                        let len = body_of(0).len();
                        found.extend(bytes.windows(len).filter_map(read_body));
                    }
                    _ => {}
                }
            }
        }
        found
    }
}

/// Who can be killed.
const BROKER: usize = 0;
const SAYS: usize = 1;
const HEARS: usize = 2;

struct Run<'a> {
    rng: Rng,
    field: &'a Field,
    broker: &'a Place,
    sides: &'a [Side; 2],
    /// The broker, who says, who hears.
    alive: [Option<Running>; 3],
    kills: [u32; 3],
    early: u32,
}

/// The driver.
pub(crate) fn kill(options: &Options) -> Verdict {
    let home = Scratch::new("aio")?;
    let [port] = free_ports()?;
    let aio = format!("aio://127.0.0.1:{port}");
    let owed = ["--limit", "queued_max=100000000", "--limit", "queued_bytes_max=100000000000"];
    let flags = ["--durability", "os", "--limit", "segment_bytes=65536", "--listen", &aio];
    let broker = Place::ours(home.path(), &[&flags[..], &owed[..]].concat())?;
    let keeps = "\"disk_persistence_send\": true";
    let says = Side::new(home.path(), "ann", port, keeps)?;
    let keeps = "\"disk_persistence_recv\": true, \"subscribe_message_types\": [\"t\"]";
    let hears = Side::new(home.path(), "bob", port, keeps)?;
    let (field, sides) = (Field::default(), [says, hears]);
    let to = sides[0].socket("send_to_connector_client");
    let from = sides[1].socket("receive_from_connector_client_t");
    let run = Run {
        rng: Rng::new(options.seed),
        field: &field,
        broker: &broker,
        sides: &sides,
        alive: [None, None, None],
        kills: [0; 3],
        early: 0,
    };
    std::thread::scope(|threads| {
        let listener = threads.spawn(|| listen(&from, &field));
        let speaker = threads.spawn(|| speak(&to, &field));
        let verdict = run.play(if options.long { KILLS.1 } else { KILLS.0 });
        field.over.store(true, Ordering::Release);
        speaker.join().map_err(|_| "a panic")?;
        listener.join().map_err(|_| "a panic")??;
        verdict
    })
}

impl Run<'_> {
    fn play(mut self, kills: u32) -> Verdict {
        for who in [BROKER, HEARS, SAYS] {
            self.start(who)?;
        }
        self.until("nothing is heard", LONG, |it| it.field.ready.load(Ordering::Acquire))?;
        for n in 0..kills {
            // Each of them once, whatever chance says.
            let who = if n < 3 { n as usize } else { self.rng.below(3) as usize };
            self.cycle(who)?;
        }
        self.finish()?;
        self.tell()
    }

    fn start(&mut self, who: usize) -> Result<(), String> {
        self.alive[who] = Some(match who {
            BROKER => self.broker.start()?.0,
            _ => self.sides[who - 1].place.spawn()?,
        });
        Ok(())
    }

    fn until(
        &mut self,
        why: &str,
        limit: Duration,
        holds: impl Fn(&Self) -> bool,
    ) -> Result<(), String> {
        let since = Instant::now();
        while !holds(self) {
            let mut all = self.alive.iter_mut().enumerate();
            let ended = all.find_map(|(who, it)| Some((who, it.as_mut()?.ended()?)));
            if let Some((who, status)) = ended {
                return Err(format!("{who} ended by itself: {status}\n{}", self.said()));
            }
            if since.elapsed() > limit {
                return Err(format!("{why} within {} s\n{}", limit.as_secs(), self.said()));
            }
            std::thread::sleep(PACE);
        }
        Ok(())
    }

    fn said(&self) -> String {
        let [one, two] = self.sides;
        [self.broker.said(), one.place.said(), two.place.said()].join("\n--\n")
    }

    /// Load, kill, perhaps again while it starts, and start.
    fn cycle(&mut self, who: usize) -> Result<(), String> {
        let goal = MORE.0 + self.rng.below(MORE.1 - MORE.0);
        let goal = self.field.count.load(Ordering::Relaxed) + goal as usize;
        let since = Instant::now();
        let reached = |it: &Self| it.field.count.load(Ordering::Relaxed) >= goal;
        self.until("no end", LONG, |it| reached(it) || since.elapsed() > CYCLE)?;
        std::thread::sleep(Duration::from_micros(self.rng.below(15_000)));
        self.end(who)?;
        self.kills[who] += 1;
        while self.rng.chance(1, 3) {
            self.alive[who] = Some(match who {
                BROKER => self.broker.spawn()?,
                _ => self.sides[who - 1].place.spawn()?,
            });
            std::thread::sleep(Duration::from_micros(self.rng.below(20_000)));
            self.end(who)?;
            self.early += 1;
        }
        if self.rng.chance(1, 3) {
            // Meanwhile the others go on.
            std::thread::sleep(Duration::from_micros(self.rng.below(200_000)));
        }
        self.start(who)
    }

    fn end(&mut self, who: usize) -> Result<(), String> {
        let running = self.alive[who].take().ok_or("nobody is there to be killed")?;
        running.kill()?;
        let found = if who == SAYS { self.sides[0].on_disk() } else { BTreeSet::new() };
        self.field.record(|it| {
            it.kills += 1;
            it.restarts += usize::from(who == SAYS);
            it.on_disk.extend(found);
        });
        Ok(())
    }

    /// Say no more, and wait for what was said last.
    fn finish(&mut self) -> Result<(), String> {
        let said = |it: &Self| it.field.record(|it| it.said.last().map_or(0, |span| span.end));
        // Who has said this much since the last start has noticed it.
        let enough = said(self) + 5;
        self.until("the program cannot speak", LONG, |it| said(it) > enough)?;
        self.field.quiet.store(true, Ordering::Release);
        std::thread::sleep(10 * PACE);
        let last = said(self).saturating_sub(1);
        self.until("not all is heard", LONG, |it| it.field.record(|it| it.heard.contains(&last)))?;
        std::thread::sleep(Duration::from_millis(300));
        Ok(())
    }

    fn tell(&self) -> Verdict {
        let (found, record) = self.field.record(|it| (it.judge(), it.clone()));
        let [broker, says, hears] = self.kills;
        let said: usize = record.said.iter().map(|span| span.len()).sum();
        let mut lines = vec![
            format!(
                "killed: the broker {broker} times, the connector that says {says}, the one that \
                 hears {hears}; and {} times while they started",
                self.early
            ),
            format!(
                "said {said}, heard {}, found on the disk of the dead {}",
                record.heard.len(),
                record.on_disk.len()
            ),
            format!(
                "begun again {} times, {} heard again, all known again by their ids",
                found.rewinds, found.again
            ),
            format!(
                "missing {}, ghosts {}, disorder {}, begun again for no reason {}, unmarked {}, \
                 hung up on {}",
                found.missing,
                found.ghosts,
                found.disorder,
                found.excess,
                found.unmarked,
                found.hung_up
            ),
        ];
        let tested = !record.on_disk.is_empty() && record.heard.len() > 100;
        let unnoticed = if tested { record.unnoticed() } else { Vec::new() };
        lines.push(format!("damage to what was heard that is not noticed: {unnoticed:?}"));
        if !tested {
            lines.push("nothing was put to the test".to_owned());
        }
        match found.is_good() && unnoticed.is_empty() && tested {
            true => Ok(lines),
            false => Err(lines.join("\n")),
        }
    }
}
