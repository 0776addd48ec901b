//! Floor 6. `spindle aio send`: a message, perhaps with a file, and what is wanted of it.
//!
//! Data goes as it is given. Without `--ack` or `--ask` nothing says that it arrived: the protocol
//! has no other word for it. Absent on purpose: many messages at once; the shell repeats.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;

use crate::client::aio::{Client, Error, Message, Received, Upload};
use crate::value::{Form, Value, Writer};

use super::super::exit;
use super::{Link, print};

/// Flags of `aio send`.
#[derive(Args, Clone, Debug)]
pub(in super::super) struct Send {
    /// The data, as it is, or none; `-` for standard input
    #[arg(value_name = "DATA", allow_hyphen_values = true)]
    data: Option<String>,
    /// The type of the message
    #[arg(short = 't', long = "type", value_name = "TYPE", default_value = "any")]
    kind: String,
    /// For this client; for servers that look at it
    #[arg(long, value_name = "NAME")]
    to: Option<String>,
    /// The data is a text that is sent as JSON, as the original's programs do
    #[arg(long)]
    as_json: bool,
    /// Send what is in this file as binary
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Send this file; the receiver puts it below the folder that it has for its type
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Which folder that is [default: any]
    #[arg(long, value_name = "TYPE", requires = "file")]
    file_type: Option<String>,
    /// What the file is called there [default: as here]
    #[arg(long, value_name = "NAME", requires = "file")]
    file_name: Option<String>,
    /// Files longer than this many bytes go in chunks
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20)]
    chunk: usize,
    /// A label
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// What an answer names
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Wait until the server has acknowledged it
    #[arg(long, conflicts_with = "publish")]
    ack: bool,
    /// Wait for an answer, and print it
    #[arg(long, conflicts_with_all = ["ack", "publish", "file"])]
    ask: bool,
    /// Send it so many times
    #[arg(long, value_name = "COUNT", default_value_t = 1, conflicts_with_all = ["ask", "file"])]
    repeat: u32,
    /// Publish it: its type is the topic
    #[arg(long)]
    publish: bool,
    /// Wait so many seconds, then end with code 27 [default: 50]
    #[arg(short = 'W', long = "within", value_name = "SECONDS", default_value_t = 50)]
    within: u64,
}

impl Send {
    pub(super) fn run(&self, link: &Link) -> u8 {
        self.play(link).unwrap_or_else(|code| code)
    }

    fn play(&self, link: &Link) -> Result<u8, u8> {
        let mut message = self.message().map_err(|why| link.wrong(&why))?;
        let config = link.config(None)?;
        let builder = link.builder(&config).chunk(self.chunk).reconnect(None);
        let client = link.connect(&builder)?;
        let mut lines = None;
        for left in (0..self.repeat).rev() {
            let message = if left == 0 { core::mem::take(&mut message) } else { message.clone() };
            lines = self.say(&client, message).map_err(|error| link.failed(&error))?;
        }
        // Whether what was said has been written is known when the server has answered behind it.
        if !self.ack && !self.ask {
            let within = Duration::from_secs(self.within);
            client.ping(within).map_err(|error| link.failed(&error))?;
        }
        let line = match (lines, link.json) {
            (Some(Answer::Received(received)), true) => Some(print::document(&received)),
            (Some(Answer::Received(received)), false) => Some(print::safe(&received.frame.data)),
            (Some(Answer::Messages(count)), true) => {
                Some(print::json(vec![("messages", Value::Int(i64::from(count)))]))
            }
            (None, true) => {
                let count = Value::Int(i64::from(self.repeat));
                Some(print::json(vec![("messages", count)]))
            }
            (_, false) => None,
        };
        if let Some(line) = line {
            print::say(&line);
        }
        Ok(exit::DONE)
    }

    fn message(&self) -> Result<Message, String> {
        let unread = |path: &PathBuf, e: std::io::Error| format!("{}: {e}", path.display());
        let mut data = self.data.clone().unwrap_or_default().into_bytes();
        if data == b"-" {
            data.clear();
            let mut stdin = std::io::stdin().lock().take(DATA_MAX);
            stdin.read_to_end(&mut data).map_err(|e| e.to_string())?;
        }
        if self.as_json {
            let text = String::from_utf8(data).map_err(|_| "--as-json wants text".to_owned())?;
            let mut quoted = Vec::new();
            Value::Text(text).write(&mut Writer::new(Form::Json, &mut quoted));
            data = quoted;
        }
        let mut message = Message::of(&self.kind, "").with(data);
        if let Some(path) = &self.binary {
            let binary = std::fs::read(path).map_err(|e| unread(path, e))?;
            message.binary = Bytes::from(binary);
        }
        let header = &mut message.header;
        header.destination_id = self.to.as_deref().map(Into::into);
        header.tag = self.tag.as_deref().map(Into::into);
        header.request_id = self.request_id.as_deref().map(Into::into);
        header.wait_for_ack = self.ack;
        Ok(message)
    }

    fn say(&self, client: &Client, message: Message) -> Result<Option<Answer>, Error> {
        let within = Duration::from_secs(self.within);
        if let Some(path) = &self.file {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let upload = Upload {
                path: path.clone(),
                kind: self.file_type.clone().unwrap_or_else(|| "any".to_owned()),
                name: self.file_name.clone().unwrap_or(name),
            };
            return client.send_file(message, &upload).map(|count| Some(Answer::Messages(count)));
        }
        if self.ask {
            return client.ask(message, within).map(|it| Some(Answer::Received(Box::new(it))));
        }
        match (self.publish, self.ack) {
            (true, _) => client.publish(message),
            (false, true) => client.send_acked(message, within),
            (false, false) => client.send(message),
        }
        .map(|()| None)
    }
}

/// What there is to be told.
enum Answer {
    Received(Box<Received>),
    Messages(u32),
}

/// What is read of standard input.
const DATA_MAX: u64 = 64 << 20;
