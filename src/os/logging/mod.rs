//! Floor 5. The program's log: lines are made where something happens and written by a thread.
//!
//! Whoever logs only puts a finished line into a bounded queue, so a terminal or a disk that does
//! not take it stops nobody: what does not fit is counted, and said once there is room again. How
//! much is said can be changed for each target while the broker runs, for a while or for good. A
//! panic is a line like any other, and the last one is written before the program ends. Absent on
//! purpose: colours, rotation (a file is opened again when it is asked for), and the environment.

mod format;
mod levels;
#[cfg(test)]
mod logging_test;
mod writer;

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};

use super::clock::Clock;
use crate::base::tail::{Ask, Page, Tails};
use levels::Levels;
use writer::Writer;

pub use format::{Form, Plain, Said};
pub use levels::{TARGETS, UnknownTarget};

/// How to log.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How much, where nothing else is said about a target.
    pub level: LevelFilter,
    /// How a line looks.
    pub form: Form,
    /// Where lines go; without one, to standard error.
    pub file: Option<PathBuf>,
}

/// Write the log like this from now on. The first call in a process decides where lines go and how
/// they look; a later one only how much is said.
pub fn start(setup: &Setup) -> io::Result<()> {
    let clock = Clock::start();
    if let Some(logger) = LOGGER.get() {
        logger.change(|levels, _| levels.set_base(setup.level));
        return Ok(());
    }
    let writer = Writer::start(setup, clock)?;
    let levels = RwLock::new(Levels::new(setup.level));
    let logger = Logger { levels, form: setup.form, clock, writer };
    if LOGGER.set(logger).is_ok()
        && let Some(logger) = LOGGER.get()
        && log::set_logger(logger).is_ok()
    {
        log::set_max_level(setup.level);
        mind_panics();
    }
    Ok(())
}

/// Say this much about a target and what is below it ("all": about everything that has no level of
/// its own), for so many seconds; 0: until it is changed again.
pub fn set_level(target: &str, level: LevelFilter, for_s: u64) -> Result<(), UnknownTarget> {
    let name = levels::known(target)?;
    if let Some(logger) = LOGGER.get() {
        logger.change(|levels, now_ms| {
            let until = (for_s > 0).then(|| now_ms.saturating_add(for_s.saturating_mul(1_000)));
            levels.set(name, level, until);
        });
        let level = level.as_str().to_ascii_lowercase();
        log::info!(target: "spindle::log", name, level:% = level, for_s; "level set");
        logger.writer.nudge();
    }
    Ok(())
}

/// The same with the level in words, and what there is to say about it.
pub fn set_level_named(target: &str, level: &str, for_s: u64) -> Result<String, String> {
    if LOGGER.get().is_none() {
        return Err("the log is not ours: whoever embeds the broker writes it".into());
    }
    let known = level.parse::<LevelFilter>();
    let known = known.map_err(|_| "a level is off, error, warn, info, debug or trace")?;
    let target = if target.is_empty() { "all" } else { target };
    set_level(target, known, for_s).map_err(|e| e.to_string())?;
    Ok(match for_s {
        0 => format!("the log says {level} of {target}"),
        _ => format!("the log says {level} of {target} for {for_s} s"),
    })
}

/// The manual's chapter on what is counted and said: metrics, words, topics and targets.
#[must_use]
pub fn chapter() -> String {
    let about = "\n## Targets of the log\n\n`spindle log conn=debug` lets one of these say more \
                 for a while; `spindle::` may be left out.\n\n";
    [&crate::proto::http::metrics::chapter(), about, &levels::table()].concat()
}

/// What is said about which targets: name, level, and for how many more seconds.
#[must_use]
pub fn levels() -> Vec<(String, LevelFilter, Option<u64>)> {
    let Some(logger) = LOGGER.get() else { return Vec::new() };
    let now_ms = logger.now_ms();
    logger.levels.read().unwrap_or_else(PoisonError::into_inner).list(now_ms)
}

/// Open the file again, because somebody has moved it away. False: there is no file.
pub fn reopen() -> bool {
    LOGGER.get().is_some_and(|logger| logger.writer.reopen())
}

/// The last lines, for whoever asks over the network.
#[must_use]
pub fn tails() -> Box<dyn Tails> {
    Box::new(Ours)
}

/// The last lines of our own log; none where whoever embeds the broker writes it.
#[derive(Debug)]
struct Ours;

impl Tails for Ours {
    fn page(&self, ask: Ask) -> Option<Page> {
        LOGGER.get().map(|logger| logger.writer.tail(ask))
    }
}

/// Lines that were lost because they were not written fast enough.
#[must_use]
pub fn dropped() -> u64 {
    LOGGER.get().map_or(0, |logger| logger.writer.dropped())
}

/// Wait, for a moment at most, until everything is written that was said.
pub fn flush() {
    if let Some(logger) = LOGGER.get() {
        logger.writer.flush(FLUSH);
    }
}

/// Does standard error go to the journal of systemd? It says so in a variable: device and inode of
/// the stream, which another stream does not have.
#[must_use]
pub fn is_journal(journal_stream: &str) -> bool {
    let Ok(stderr) = io::stderr().as_fd().try_clone_to_owned() else { return false };
    let Ok(meta) = std::fs::File::from(stderr).metadata() else { return false };
    format!("{}:{}", meta.dev(), meta.ino()) == journal_stream
}

struct Logger {
    levels: RwLock<Levels>,
    form: Form,
    clock: Clock,
    writer: Writer,
}

impl Logger {
    /// Milliseconds on a clock that never goes back.
    fn now_ms(&self) -> u64 {
        self.clock.now().mono / 1_000_000
    }

    fn change(&self, change: impl FnOnce(&mut Levels, u64)) {
        let now_ms = self.now_ms();
        let mut levels = self.levels.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut levels, now_ms);
        log::set_max_level(levels.most());
    }
}

/// What was set for a while and is over is as before. When to look again, in milliseconds.
fn expire() -> Option<u64> {
    let logger = LOGGER.get()?;
    let now_ms = logger.now_ms();
    let next = logger.levels.read().unwrap_or_else(PoisonError::into_inner).next();
    if next.is_none_or(|at| at > now_ms) {
        return next.map(|at| at - now_ms);
    }
    let mut gone = Vec::new();
    logger.change(|levels, now_ms| gone = levels.expire(now_ms));
    for name in gone {
        log::info!(target: "spindle::log", name:% = name; "level as before");
    }
    Some(0)
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let levels = self.levels.read().unwrap_or_else(PoisonError::into_inner);
        metadata.level() <= levels.of(metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let made = format::line(self.form, self.clock.now().wall, record);
            self.writer.put(made);
        }
    }

    fn flush(&self) {
        self.writer.flush(FLUSH);
    }
}

/// A panic is said in the log, and the log is written, before anything else happens.
fn mind_panics() {
    let before = std::panic::take_hook();
    let to_file = LOGGER.get().is_some_and(|logger| logger.writer.has_file());
    std::panic::set_hook(Box::new(move |info| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed");
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("something that is no text");
        log::error!(target: "spindle::panic", thread = name, place:% = place; "panic: {text}");
        if name != writer::THREAD {
            flush();
        }
        if to_file {
            // Who looks at standard error is told, too.
            before(info);
        }
    }));
}

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// How long the end of the program may take for the log.
const FLUSH: Duration = Duration::from_secs(2);
