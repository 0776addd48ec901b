//! Floor 6. `spindle aio chat`: talk to somebody who has begun a chat of the original.
//!
//! What the other side says is printed so that no terminal obeys it, and its files go below a
//! folder, where they replace nothing. `!` begins what is not said: `!upload FILE`, `!exit`, and
//! anything else is a command of this machine's shell. Absent on purpose: the side that waits for
//! others; folders and archives; and commands from the other side, which nobody here carries out.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use crate::client::aio::{Client, Error, Inbox, Message, Received, Security, Upload};

use super::super::exit;
use super::{Link, Pace, config::Config, print};

/// Flags of `aio chat`.
#[derive(Args, Clone, Debug)]
pub(in super::super) struct Chat {
    /// Who waits for us: HOST, or HOST:PORT
    #[arg(long, value_name = "HOST")]
    target: Option<String>,
    /// Files of the other side go below this folder
    #[arg(long, value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Send this file, and end when it has arrived
    #[arg(long, value_name = "FILE")]
    upload: Option<PathBuf>,
}

/// What a line of input wants.
#[derive(PartialEq, Eq, Debug)]
enum Line<'a> {
    Say(&'a str),
    Upload(&'a str),
    Run(&'a str),
    Exit,
}

impl<'a> Line<'a> {
    fn of(text: &'a str) -> Self {
        match text.strip_prefix('!').map(str::trim) {
            None => Self::Say(text),
            Some("exit") => Self::Exit,
            Some(command) => match command.split_once(' ') {
                Some(("upload", path)) => Self::Upload(path.trim()),
                _ => Self::Run(command),
            },
        }
    }
}

impl Chat {
    pub(super) fn run(&self, link: &Link) -> u8 {
        let mut pace = Pace::begin();
        self.play(link, &mut pace).unwrap_or_else(|code| code)
    }

    fn play(&self, link: &Link, pace: &mut Pace) -> Result<u8, u8> {
        let mut link = link.clone();
        link.name.get_or_insert_with(|| "chat_client".to_owned());
        if let Some(target) = &self.target {
            let named =
                target.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            link.server = Some(if named { target.clone() } else { format!("{target}:{PORT}") });
        }
        // Whoever waits for a chat knows nobody.
        let config = Config { security: Security::AllowAll, ..Config::default() };
        let builder = link.builder(&config).listen("any").folder("any", &self.folder);
        let client = link.connect(&builder.reconnect(None))?;
        if let Some(path) = &self.upload {
            let mut message = upload_message(path);
            message.header.wait_for_ack = true;
            upload(&client, path, message).map_err(|error| link.failed(&error))?;
            return Ok(exit::DONE);
        }
        let inbox = client.listen("any").map_err(|error| link.failed(&error))?;
        let lines = input();
        prompt(&link);
        loop {
            self.hear(&link, &client, &inbox).map_err(|error| link.failed(&error))?;
            match lines.recv_timeout(TURN) {
                Ok(line) => {
                    if !self.obey(&link, &client, &line)? {
                        return Ok(exit::DONE);
                    }
                    prompt(&link);
                }
                Err(RecvTimeoutError::Timeout) => {}
                // What was said last is read before the end is.
                Err(RecvTimeoutError::Disconnected) => {
                    let _ = client.ping(link.patience());
                    return Ok(exit::DONE);
                }
            }
            if pace.is_over() {
                return Ok(exit::DONE);
            }
        }
    }

    /// What the other side has said.
    fn hear(&self, link: &Link, client: &Client, inbox: &Inbox) -> Result<(), Error> {
        while let Some(received) = inbox.wait(Some(Duration::ZERO))? {
            show(link, &received);
            if let Some(answer) = received.answer() {
                client.send(answer.with(received.frame.data.clone()))?;
            }
        }
        Ok(())
    }

    /// Do what a line wants; false: it is enough.
    fn obey(&self, link: &Link, client: &Client, line: &str) -> Result<bool, u8> {
        match Line::of(line) {
            Line::Exit => {
                let _ = client.ping(link.patience());
                return Ok(false);
            }
            Line::Say("") | Line::Run("") => {}
            Line::Say(text) => {
                let message = Message::of("any", "").with(text.to_owned());
                client.send(message).map_err(|error| link.failed(&error))?;
            }
            Line::Upload(path) => {
                let path = Path::new(path);
                match upload(client, path, upload_message(path)) {
                    Ok(()) => {}
                    // A name that was mistyped ends no chat.
                    Err(error @ (Error::File(_) | Error::Setting(_))) => {
                        link.complain(&format!("Error: {error}"));
                    }
                    Err(error) => return Err(link.failed(&error)),
                }
            }
            Line::Run(command) => {
                let ran = std::process::Command::new("sh").args(["-c", command]).status();
                if let Err(e) = ran {
                    link.complain(&format!("Error: {e}"));
                }
            }
        }
        Ok(true)
    }
}

fn upload_message(path: &Path) -> Message {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Message::of("any", "").with(format!("Receiving {name}"))
}

fn upload(client: &Client, path: &Path, message: Message) -> Result<(), Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let upload = Upload { path: path.to_owned(), kind: "any".to_owned(), name };
    client.send_file(message, &upload).map(drop)
}

fn show(link: &Link, received: &Received) {
    let line = match (link.json, &received.file) {
        (true, _) => print::document(received),
        (false, None) => print::safe(&received.frame.data),
        (false, Some(_)) => print::line(received),
    };
    print::say(&line);
}

/// Lines of standard input, until there are no more.
fn input() -> Receiver<String> {
    let (send, lines) = bounded(1);
    let thread = std::thread::Builder::new().name("chat-input".to_owned());
    let read = thread.spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if send.send(line).is_err() {
                return;
            }
        }
    });
    // Without the thread there are no lines, which is what the other end sees.
    drop(read);
    lines
}

fn prompt(link: &Link) {
    if !link.json {
        let mut stdout = std::io::stdout();
        // Where nobody looks, nothing is missed.
        let _ = write!(stdout, "aioconnectors>> ").and_then(|()| stdout.flush());
    }
}

/// Where a chat waits.
const PORT: u16 = 10_673;
/// How long a line is waited for before what came is shown.
const TURN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_said_unless_it_begins_with_a_mark() {
        assert_eq!(Line::of("hello !exit"), Line::Say("hello !exit"));
        assert_eq!(Line::of("!exit"), Line::Exit);
        assert_eq!(Line::of("!upload  a b"), Line::Upload("a b"));
        assert_eq!(Line::of("!ls -l"), Line::Run("ls -l"));
        assert_eq!(Line::of("!upload"), Line::Run("upload"));
    }
}
