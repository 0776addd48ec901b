//! Floor 5. The thread that writes the log, and the queue in front of it.
//!
//! Putting a line never waits. What finds no place is counted; the count is said by the thread once
//! there is room, in a line of its own. An error of writing loses the line and nothing else: a log
//! that cannot be written must not stop a broker. Absent on purpose: what lines look like.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use log::{Level, Record};

use super::Setup;
use super::format::{self, Form, Made};
use crate::base::tail::{Ask, Page, Tail};
use crate::os::clock::Clock;

/// The way to the thread.
pub(super) struct Writer {
    notes: Sender<Note>,
    state: Arc<Shared>,
    file: bool,
}

enum Note {
    Line(Made),
    /// Tell when everything before this is written.
    Flush(Sender<()>),
    /// Open the file again: what comes behind this belongs into the new one.
    Reopen,
    /// Look around: something has changed.
    Nudge,
}

#[derive(Default)]
struct Shared {
    /// Lines that found no place, ever.
    dropped: AtomicU64,
    /// The file is to be opened again.
    reopen: AtomicBool,
    /// The last lines, for whoever asks: held for as long as it takes to copy one or a few
    /// hundred references.
    tail: Mutex<Tail>,
}

impl Writer {
    /// Open what there is to open, and start the thread.
    pub(super) fn start(setup: &Setup, clock: Clock) -> io::Result<Self> {
        let out = match &setup.file {
            Some(path) => Out::File(path.clone(), open(path)?),
            None => Out::Stderr,
        };
        Self::write_to(out, setup.form, clock, QUEUE)
    }

    /// The same with another output and another queue.
    pub(super) fn write_to(out: Out, form: Form, clock: Clock, queue: usize) -> io::Result<Self> {
        let (notes, waiting) = bounded(queue);
        let state = Arc::new(Shared::default());
        let file = matches!(out, Out::File(..));
        let shared = Arc::clone(&state);
        let mut hand = Hand { out, form, clock, shared, said: 0, again: false, buffer: Vec::new() };
        thread::Builder::new().name(THREAD.into()).spawn(move || hand.work(&waiting))?;
        Ok(Self { notes, state, file })
    }

    pub(super) fn put(&self, line: Made) {
        if self.notes.try_send(Note::Line(line)).is_err() {
            self.state.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn nudge(&self) {
        // A queue that is full is being worked on already.
        let _ = self.notes.try_send(Note::Nudge);
    }

    pub(super) fn has_file(&self) -> bool {
        self.file
    }

    /// Some of the last lines that were taken to be written.
    pub(super) fn tail(&self, ask: Ask) -> Page {
        self.state.tail.lock().unwrap_or_else(PoisonError::into_inner).page(ask)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.state.dropped.load(Ordering::Relaxed)
    }

    /// False: there is no file.
    pub(super) fn reopen(&self) -> bool {
        if self.file && self.notes.try_send(Note::Reopen).is_err() {
            // The queue is full; then it is done as soon as the thread looks.
            self.state.reopen.store(true, Ordering::SeqCst);
        }
        self.file
    }

    /// Wait until everything put so far is written, but no longer than that.
    pub(super) fn flush(&self, limit: Duration) {
        let (done, written) = bounded(1);
        if self.notes.send_timeout(Note::Flush(done), limit).is_ok() {
            let _ = written.recv_timeout(limit);
        }
    }
}

/// Where lines go.
pub(super) enum Out {
    Stderr,
    File(PathBuf, File),
    #[cfg(test)]
    Pipe(Box<dyn Write + Send>),
}

fn open(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).open(path)
}

/// What the thread owns.
struct Hand {
    out: Out,
    form: Form,
    clock: Clock,
    shared: Arc<Shared>,
    /// Lost lines that were told of.
    said: u64,
    /// The file is to be opened again before anything else is taken.
    again: bool,
    buffer: Vec<u8>,
}

impl Hand {
    fn work(&mut self, notes: &Receiver<Note>) {
        loop {
            let first = match super::expire() {
                Some(ms) => notes.recv_timeout(Duration::from_millis(ms)),
                None => notes.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let first = match first {
                Ok(note) => note,
                Err(RecvTimeoutError::Timeout) => Note::Nudge,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut flushed = self.take(first);
            // One write for what has gathered meanwhile.
            while self.buffer.len() < BATCH
                && flushed.is_none()
                && !self.again
                && let Ok(note) = notes.try_recv()
            {
                flushed = self.take(note);
            }
            self.tell_dropped();
            self.write();
            let asked = self.shared.reopen.swap(false, Ordering::SeqCst);
            if std::mem::take(&mut self.again) || asked {
                self.open_again();
                self.write();
            }
            if let Some(done) = flushed {
                let _ = done.try_send(());
            }
        }
    }

    fn take(&mut self, note: Note) -> Option<Sender<()>> {
        match note {
            Note::Line(line) => self.keep(&line),
            Note::Flush(done) => return Some(done),
            Note::Reopen => self.again = true,
            Note::Nudge => {}
        }
        None
    }

    /// A line goes where lines go, and is kept for a while for those who ask.
    fn keep(&mut self, made: &Made) {
        self.buffer.extend_from_slice(made.line.as_bytes());
        let Some((target, text)) = format::told(self.form, &made.line) else { return };
        let mut tail = self.shared.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.put(made.wall, made.level, &target, &text);
    }

    /// Lines that were lost since this was last said.
    fn tell_dropped(&mut self) {
        let dropped = self.shared.dropped.load(Ordering::Relaxed);
        let lost = dropped.wrapping_sub(self.said);
        if lost > 0 {
            self.said = dropped;
            let text = format!("{lost} lines lost: they came faster than they could be written");
            self.say(Level::Warn, &text);
        }
    }

    /// A line of our own.
    fn say(&mut self, level: Level, text: &str) {
        let args = format_args!("{text}");
        let record = Record::builder().level(level).target("spindle::log").args(args).build();
        let made = format::line(self.form, self.clock.now().wall, &record);
        self.keep(&made);
    }

    fn open_again(&mut self) {
        let Out::File(path, file) = &mut self.out else { return };
        match open(path) {
            Ok(new) => {
                *file = new;
                self.say(Level::Info, "log file opened again");
            }
            Err(e) => {
                let text = format!("cannot open the log file again: {e}; the old one is used");
                self.say(Level::Error, &text);
            }
        }
    }

    fn write(&mut self) {
        let all = &self.buffer;
        // An error loses these lines: there is no better place to complain.
        let _ = match &mut self.out {
            Out::Stderr => io::stderr().lock().write_all(all),
            Out::File(_, file) => file.write_all(all),
            #[cfg(test)]
            Out::Pipe(pipe) => pipe.write_all(all),
        };
        self.buffer.clear();
        self.buffer.shrink_to(BATCH);
    }
}

/// The name of the thread.
pub(super) const THREAD: &str = "log";
/// Lines that may wait to be written.
const QUEUE: usize = 8_192;
/// Bytes written at once.
const BATCH: usize = 64 << 10;
