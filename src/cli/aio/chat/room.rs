//! Floor 6. What happens in a chat: lines are typed, somebody calls, speaks, sends and leaves.
//!
//! One thread reads what is typed, one listens for callers, and two belong to whoever is talked to:
//! one hears, one sends files. What they have to tell comes together here, and is printed here and
//! nowhere else. Answers are given by the thread that hears, so files go on while a command of the
//! shell runs. Absent on purpose: sockets.

#![expect(clippy::disallowed_types, reason = "how fast a file goes is measured here")]

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, never, select};

use crate::client::aio::{
    Client, Error, Guest, Handle, Host, Inbox, Message, Received, Security, Stored,
};
use crate::value::Value;

use super::super::super::exit;
use super::super::{Link, Pace, code, print};
use super::Chat;
use super::landing::{Landed, Landing};
use super::line::{self, Line};
use super::progress::{Progress, bytes};
use super::sending::{Sending, Sent, Unsent};

/// What the threads tell.
enum Event {
    Called(Box<Guest>),
    Heard(Box<Received>),
    /// A file has come from another of these programs.
    Landed(PathBuf),
    /// So many messages were dropped.
    Missed(u64),
    /// How far a file is.
    Far(String),
    Remark(String),
    /// What has become of a file: its name, its size, and how it went.
    Sent(String, u64, Result<Sent, Unsent>),
    /// The one with this number has left.
    Left(u64, Error),
}

/// Somebody who is talked to.
struct Talk {
    number: u64,
    client: Client,
    files: Sender<PathBuf>,
}

/// All of it.
pub(super) struct Room<'a> {
    chat: &'a Chat,
    link: &'a Link,
    /// Others call us.
    listens: bool,
    tell: Sender<Event>,
    events: Receiver<Event>,
    /// What is typed; none when there will be nothing more.
    lines: Option<Receiver<String>>,
    /// A line that waits for somebody to come.
    held: Option<String>,
    /// Somebody types, and looks at what is printed.
    typed: bool,
    prompts: bool,
    shows: bool,
    asking: Option<Guest>,
    talk: Option<Talk>,
    number: u64,
    /// Files that are not at their end.
    pending: usize,
    /// It is enough, when they are.
    leaving: bool,
    /// There is nothing but a file to be sent, and what became of it.
    only: Option<u8>,
}

impl<'a> Room<'a> {
    /// A room, into which others come if there is a host.
    pub(super) fn new(chat: &'a Chat, link: &'a Link, host: Option<Host>) -> Self {
        let (tell, events) = bounded(EVENTS);
        let listens = host.is_some();
        if let Some(host) = host {
            let tell = tell.clone();
            started("chat-host", move || {
                while let Ok(guest) = host.wait(FOR_EVER) {
                    let event = guest.map(|guest| Event::Called(Box::new(guest)));
                    if event.is_some_and(|event| tell.send(event).is_err()) {
                        return;
                    }
                }
            });
        }
        let typed = std::io::stdin().is_terminal();
        let shows = !link.json && !link.quiet && std::io::stderr().is_terminal();
        Self {
            chat,
            link,
            listens,
            tell,
            events,
            lines: None,
            held: None,
            typed,
            prompts: typed && !link.json && std::io::stdout().is_terminal(),
            shows,
            asking: None,
            talk: None,
            number: 0,
            pending: 0,
            leaving: false,
            only: None,
        }
    }

    /// Talk to this one.
    pub(super) fn begin(&mut self, client: Client) -> Result<(), u8> {
        self.number += 1;
        let number = self.number;
        let inbox = client.listen("any").map_err(|error| self.link.failed(&error))?;
        let (files, waiting) = bounded(FILES_MAX);
        let (handle, tell) = (Handle::clone(&client), self.tell.clone());
        let landing = Landing::new(&self.chat.folder);
        let nudges = self.listens;
        started("chat-ear", move || hear(&inbox, &handle, landing, nudges, number, &tell));
        let (handle, tell, shows) = (Handle::clone(&client), self.tell.clone(), self.shows);
        started("chat-files", move || send_files(&waiting, &handle, shows, &tell));
        self.talk = Some(Talk { number, client, files });
        self.on_held()
    }

    /// Send this, and nothing else.
    pub(super) fn only_send(&mut self, client: Client, path: &Path) -> Result<(), u8> {
        self.begin(client)?;
        (self.only, self.leaving) = (Some(exit::DONE), true);
        self.upload(path);
        Ok(())
    }

    /// Until it is enough.
    pub(super) fn run(&mut self, pace: &mut Pace) -> Result<u8, u8> {
        if self.only.is_none() {
            self.lines = Some(input());
            self.prompt();
        }
        let (nothing, events) = (never(), self.events.clone());
        loop {
            if pace.is_over() {
                return Ok(if self.pending > 0 { exit::LOST } else { exit::DONE });
            }
            if self.leaving && self.pending == 0 {
                return self.farewell();
            }
            let lines = self.lines.as_ref().filter(|_| self.wants_lines());
            let lines = lines.unwrap_or(&nothing).clone();
            select! {
                recv(events) -> event => if let Ok(event) = event {
                    self.on_event(event)?;
                },
                recv(lines) -> line => match line {
                    Ok(line) => self.on_line(&line)?,
                    Err(_) => self.on_end(),
                },
                default(TURN) => {}
            }
        }
    }

    fn wants_lines(&self) -> bool {
        !self.leaving && self.held.is_none()
    }

    /// Nobody is there to be told what does not come from a person, so it waits.
    fn holds(&self) -> bool {
        !self.typed && self.listens && self.talk.is_none() && self.asking.is_none()
    }

    fn on_held(&mut self) -> Result<(), u8> {
        self.held.take().map_or(Ok(()), |line| self.on_line(&line))
    }

    /// Nothing more is typed. Who was called waits until somebody has come, and has left.
    fn on_end(&mut self) {
        self.lines = None;
        self.leaving = !self.listens || self.number > 0 && self.holds();
    }

    /// What was said last is read before the end is.
    fn farewell(&self) -> Result<u8, u8> {
        if let Some(talk) = &self.talk {
            let heard = talk.client.ping(self.link.patience());
            heard.map_err(|error| self.link.failed(&error))?;
        }
        Ok(self.only.unwrap_or(exit::DONE))
    }

    fn on_event(&mut self, event: Event) -> Result<(), u8> {
        match event {
            Event::Called(guest) => return self.on_called(*guest),
            Event::Heard(received) => self.show(&received),
            Event::Landed(path) => {
                let path = path.to_string_lossy();
                let shown = format!("[file {}]", plain(&path));
                self.say(&shown, || vec![("file", print::text(path.as_ref()))]);
            }
            Event::Missed(count) => {
                self.complain(&format!("{count} messages came too fast and were dropped"));
            }
            Event::Far(text) => self.far(&text),
            Event::Remark(text) => self.complain(&text),
            Event::Sent(name, size, done) => self.on_sent(&name, size, done),
            Event::Left(number, error) => return self.on_left(number, &error),
        }
        Ok(())
    }

    fn on_called(&mut self, guest: Guest) -> Result<(), u8> {
        let (name, from) = (guest.name().to_owned(), guest.address());
        if self.is_gone() {
            self.part();
        }
        if self.talk.is_some() || self.asking.is_some() {
            self.complain(&format!("{name} at {from} has called as well, and was turned away"));
            return Ok(());
        }
        if self.chat.accept {
            self.let_in(guest);
            return Ok(());
        }
        self.asking = Some(guest);
        let (ip, port) = (from.ip(), from.port());
        self.say(&format!("Accept client {name} ('{ip}', {port}) ? y/n"), || {
            vec![("asks", print::text(name)), ("address", print::text(from.to_string()))]
        });
        self.on_held()
    }

    fn let_in(&mut self, guest: Guest) {
        let (name, from) = (guest.name().to_owned(), guest.address().to_string());
        let builder = self.chat.builder(self.link, Security::AllowAll);
        match guest.talk(builder) {
            Ok(client) => {
                // It complains by itself.
                if self.begin(client).is_ok() {
                    self.say(&format!("{name} is there, at {from}"), || {
                        vec![("guest", print::text(name)), ("address", print::text(from))]
                    });
                }
            }
            Err(error) => self.complain(&format!("Error: {error}")),
        }
    }

    /// A talk is over; others may call.
    fn on_left(&mut self, number: u64, error: &Error) -> Result<(), u8> {
        if self.talk.as_ref().is_none_or(|talk| talk.number != number) {
            return Ok(());
        }
        if !self.listens {
            self.talk = None;
            return Err(self.link.failed(error));
        }
        self.part();
        Ok(())
    }

    fn part(&mut self) {
        self.talk = None;
        self.say("the other side has left", || vec![("left", Value::Bool(true))]);
        self.leaving |= self.lines.is_none();
    }

    /// Whoever is talked to has left, and that was not told yet. Who is busy is there.
    fn is_gone(&self) -> bool {
        let asked = self.talk.as_ref().map(|talk| talk.client.ping(ASKED));
        matches!(asked, Some(Err(error)) if !matches!(error, Error::TimedOut | Error::Full))
    }

    fn on_sent(&mut self, name: &str, size: u64, done: Result<Sent, Unsent>) {
        self.pending = self.pending.saturating_sub(1);
        match done {
            Ok(sent) => {
                let from = match sent.from {
                    0 => String::new(),
                    from => format!(", of which {} were there", bytes(from)),
                };
                self.say(&format!("sent {} ({}{from})", plain(name), bytes(size)), || {
                    let count = |count| Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
                    vec![
                        ("sent", print::text(name)),
                        ("bytes", count(size)),
                        ("from", count(sent.from)),
                    ]
                });
            }
            Err(why) => {
                // A file that cannot be sent ends no talk.
                self.complain(&format!("Error: {why}"));
                let code = match &why {
                    Unsent::Here(_) => exit::CLIENT,
                    Unsent::Refused(_) => exit::REFUSED,
                    Unsent::Broke(error) => code(error),
                };
                self.only = self.only.map(|_| code);
            }
        }
    }

    fn on_line(&mut self, text: &str) -> Result<(), u8> {
        if self.holds() {
            self.held = Some(text.to_owned());
            return Ok(());
        }
        if let Some(guest) = self.asking.take() {
            if text.trim() == "y" {
                self.let_in(guest);
            }
            self.prompt();
            return Ok(());
        }
        match Line::of(text) {
            Line::Exit => self.leaving = true,
            Line::Say("") | Line::Run("") => {}
            Line::Say(text) => match &self.talk {
                Some(talk) => {
                    let message = Message::of("any", "").with(text.to_owned());
                    if let Err(error) = talk.client.send(message) {
                        let code = self.link.failed(&error);
                        // Who has left is told of, and others may call.
                        return if self.listens { Ok(()) } else { Err(code) };
                    }
                }
                None => self.complain("Nobody is there"),
            },
            Line::Upload(path) => self.upload(Path::new(path)),
            Line::Import(name) => {
                self.unpacked(line::import(&self.chat.folder, name, Path::new(".")));
            }
            Line::Unpack(name) => self.unpack(name, Path::new(".")),
            Line::UnpackThere(name) => self.unpack(name, &self.chat.folder),
            Line::Run(command) => self.execute(command),
        }
        self.prompt();
        Ok(())
    }

    fn unpack(&self, name: &str, to: &Path) {
        let most = self.chat.unpack_max;
        self.unpacked(line::unpack(&self.chat.folder, name, to, most));
    }

    fn unpacked(&self, done: Result<PathBuf, String>) {
        match done {
            Ok(path) => {
                let path = path.to_string_lossy();
                self.say(&format!("made {}", plain(&path)), || {
                    vec![("made", print::text(path.as_ref()))]
                });
            }
            Err(why) => self.complain(&format!("Error: {}", plain(&why))),
        }
    }

    fn upload(&mut self, path: &Path) {
        let Some(talk) = &self.talk else { return self.complain("Nobody is there") };
        match talk.files.try_send(path.to_owned()) {
            Ok(()) => self.pending += 1,
            Err(_) => self.complain("Error: too many files wait already"),
        }
    }

    /// A command of this machine's shell. What is typed is for the chat.
    fn execute(&self, command: &str) {
        let ran = Command::new("sh").args(["-c", command]).stdin(Stdio::null()).status();
        match ran {
            Ok(status) if status.success() => {}
            Ok(status) => self.complain(&status.to_string()),
            Err(e) => self.complain(&format!("Error: {e}")),
        }
    }

    /// What the other side has said.
    fn show(&self, received: &Received) {
        if self.link.json {
            print::say(&print::document(received));
            return;
        }
        let mut text = plain(&String::from_utf8_lossy(&received.frame.data));
        match &received.file {
            None => {}
            Some(Stored::At(path)) => {
                text += &format!(" [file {}]", plain(&path.to_string_lossy()));
            }
            Some(Stored::Part) => text += " [a part of a file]",
            Some(Stored::Not(why)) => text += &format!(" [file not kept: {}]", plain(why)),
        }
        if !text.is_empty() {
            self.say(text.trim_start(), Vec::new);
        }
    }

    fn say(&self, text: &str, pairs: impl FnOnce() -> Vec<(&'static str, Value)>) {
        if self.link.json {
            print::say(&print::json(pairs()));
            return;
        }
        self.clear();
        print::say(text);
        self.prompt();
    }

    fn complain(&self, text: &str) {
        self.clear();
        self.link.complain(&plain(text));
        self.prompt();
    }

    /// How far a file is: over what was said of it before, or in a line of its own.
    fn far(&self, text: &str) {
        if self.shows {
            let mut stderr = std::io::stderr();
            // Where nobody looks, nothing is missed.
            let _ = write!(stderr, "\r{text}{CLEAR}").and_then(|()| stderr.flush());
        } else {
            self.link.complain(text);
        }
    }

    /// The line of a prompt, or of a bar, is written over.
    fn clear(&self) {
        if self.shows {
            let mut stderr = std::io::stderr();
            let _ = write!(stderr, "\r{CLEAR}").and_then(|()| stderr.flush());
        }
    }

    fn prompt(&self) {
        if self.prompts && self.only.is_none() && self.pending == 0 {
            let mut stdout = std::io::stdout();
            let _ = write!(stdout, "\r{CLEAR}aioconnectors>> ").and_then(|()| stdout.flush());
        }
    }
}

/// Hear one until it leaves.
fn hear(
    inbox: &Inbox,
    handle: &Handle,
    mut landing: Landing,
    nudges: bool,
    number: u64,
    tell: &Sender<Event>,
) {
    let mut missed = 0;
    let mut pings = 0;
    loop {
        if nudges {
            nudge(handle, &mut pings);
        }
        let received = match inbox.wait(None) {
            Ok(Some(received)) => received,
            Ok(None) => continue,
            Err(error) => {
                // Where nobody listens any more, it is over.
                let _ = tell.send(Event::Left(number, lost_of(error)));
                return;
            }
        };
        let landed = landing.take(&received.frame);
        let answer = received.answer().map(|answer| match &landed {
            Some(landed) => landed.reply.put(answer),
            // As the original does, for which it says that the message has come.
            None => answer.with(received.frame.data.clone()),
        });
        if let Some(answer) = answer {
            // If it cannot be said, that is heard next.
            let _ = handle.send(answer);
        }
        let event = match landed {
            Some(Landed { file, .. }) => file.map(Event::Landed),
            None => Some(Event::Heard(Box::new(received))),
        };
        let now = inbox.missed();
        let dropped = (now > missed).then(|| Event::Missed(now - missed));
        missed = now;
        for event in event.into_iter().chain(dropped) {
            if tell.send(event).is_err() {
                return;
            }
        }
    }
}

/// The end of a talk has one name, whoever saw it first.
fn lost_of(error: Error) -> Error {
    if matches!(error, Error::Left) { Error::Lost } else { error }
}

/// A client of Python 3.11 and newer writes under TLS only what it has when something comes
/// (specification 14), so something does.
fn nudge(handle: &Handle, pings: &mut u64) {
    *pings += 1;
    let mut ping = Message::of("_ping", "");
    ping.header.request_id = Some((*pings).into());
    ping.header.await_response = true;
    // If it cannot be said, that is heard next.
    let _ = handle.send(ping);
}

/// Send one file after another.
fn send_files(files: &Receiver<PathBuf>, handle: &Handle, shows: bool, tell: &Sender<Event>) {
    for path in files {
        let event = match Sending::new(&path) {
            Err(why) => Event::Sent(path.display().to_string(), 0, Err(why)),
            Ok(sending) => {
                if sending.left_out > 0 {
                    let count = sending.left_out;
                    let text = format!("{count} of it are neither files nor folders: left out");
                    let _ = tell.send(Event::Remark(text));
                }
                let done = send_file(&sending, handle, shows, tell);
                Event::Sent(sending.name.clone(), sending.size, done)
            }
        };
        if tell.send(event).is_err() {
            return;
        }
    }
}

fn send_file(
    sending: &Sending,
    handle: &Handle,
    shows: bool,
    tell: &Sender<Event>,
) -> Result<Sent, Unsent> {
    let (begun, pause) = (Instant::now(), if shows { OFTEN } else { SELDOM });
    let mut next = pause;
    sending.send(handle, &mut |at, from| {
        let took = begun.elapsed();
        if took < next {
            return;
        }
        next = took + pause;
        let progress = Progress::new(&sending.name, sending.size, from);
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let text = if shows { progress.bar(at, ms) } else { progress.line(at, ms) };
        // Where nobody looks, nothing is missed.
        let _ = tell.try_send(Event::Far(text));
    })
}

/// Lines of standard input, until there are no more.
fn input() -> Receiver<String> {
    let (send, lines) = bounded(1);
    started("chat-input", move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if send.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Where there is no thread, what it has is dropped, and that is seen at the other end.
fn started(name: &str, work: impl FnOnce() + Send + 'static) {
    drop(std::thread::Builder::new().name(name.to_owned()).spawn(work));
}

/// Lines that no terminal obeys, and that cannot be taken for others.
fn plain(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| line.escape_debug().to_string()).collect();
    lines.join("\n  ").replace("\\'", "'").replace("\\\"", "\"")
}

/// How long a line is waited for before signals are looked at.
const TURN: Duration = Duration::from_millis(100);
/// For who is talked to, when somebody else calls.
const ASKED: Duration = Duration::from_millis(500);
/// For somebody to call.
const FOR_EVER: Duration = Duration::from_secs(3_600);
/// What the threads may be ahead.
const EVENTS: usize = 64;
/// Files that wait for others.
const FILES_MAX: usize = 16;
/// How often a bar moves, and how often a line is said instead.
const OFTEN: Duration = Duration::from_millis(200);
const SELDOM: Duration = Duration::from_secs(5);
/// What terminals clear the rest of a line by.
const CLEAR: &str = "\u{1b}[K";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_terminal_obeys_what_was_said_and_no_line_looks_like_another() {
        for bad in ["a\u{1b}[2Jb", "a\r\u{7}b", "\u{9b}2J\u{202e}", "\0\u{7f}"] {
            assert!(!plain(bad).contains(char::is_control), "{bad:?}");
            assert!(!plain(bad).contains('\u{202e}'), "{bad:?}");
        }
        assert_eq!(plain("it's \"so\""), "it's \"so\"");
        assert_eq!(plain("one\nAccept client x ? y/n\n"), "one\n  Accept client x ? y/n");
    }
}
