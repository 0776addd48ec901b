//! Floor 6. `spindle pub`: one message, or one for each line, with mosquitto_pub's letters.
//!
//! It ends when everything is acknowledged, so an exit code of 0 means that the broker has what it
//! was given. Lines are read by a thread of their own, which waits when the broker is slow. Absent
//! on purpose: templates.

use std::io::{BufRead, Read};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

use crate::client::mqtt::{Builder, Client, Error, Event, Interrupt};
use crate::client::prx1;
use crate::proto::mqtt::props::Place;
use crate::proto::mqtt::{Prop, Props, Publish, Version};

use super::link::{AGAIN, Link, Plan, Road, complain};
use super::{exit, words};

/// Flags of `pub`.
#[derive(Args, Clone, Debug)]
pub(super) struct Pub {
    #[command(flatten)]
    link: Link,
    /// Publish to this topic
    #[arg(short, long, value_name = "TOPIC", allow_hyphen_values = true)]
    topic: Option<String>,
    /// This message
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    message: Option<String>,
    /// The contents of this file
    #[arg(short, long, value_name = "FILE", allow_hyphen_values = true)]
    file: Option<String>,
    /// A message for each line of standard input
    #[arg(short = 'l', long)]
    stdin_line: bool,
    /// All of standard input as one message
    #[arg(short, long)]
    stdin_file: bool,
    /// A message of no bytes
    #[arg(short, long)]
    null_message: bool,
    /// The broker keeps it for those who come later
    #[arg(short, long)]
    retain: bool,
    /// Send it so many times
    #[arg(long, value_name = "TIMES", allow_hyphen_values = true)]
    repeat: Option<String>,
    /// Wait so many seconds in between
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    repeat_delay: Option<String>,
}

/// What is published.
enum Source {
    Once(Bytes),
    Lines,
}

/// What every message of this run has in common.
struct Shape {
    topic: Bytes,
    qos: u8,
    retain: bool,
    props: Vec<Prop>,
    times: u32,
    delay: Duration,
}

impl Pub {
    pub(super) fn run(&self) -> u8 {
        match self.prepare() {
            Ok((plan, source, shape)) => go(plan, source, &shape),
            Err(why) => {
                complain(&why);
                exit::CLIENT
            }
        }
    }

    fn prepare(&self) -> Result<(Plan, Source, Shape), String> {
        let modes = [
            self.message.is_some(),
            self.file.is_some(),
            self.stdin_line,
            self.stdin_file,
            self.null_message,
        ];
        if modes.iter().filter(|given| **given).count() > 1 {
            return Err("Error: Only one type of message can be sent at once.\n".to_owned());
        }
        let plan = self.link.plan()?;
        let times = match self.repeat.as_deref() {
            None => 1,
            Some(text) => text
                .parse()
                .ok()
                .filter(|n| *n > 0)
                .ok_or("Error: --repeat argument must be >0.\n")?,
        };
        let delay = match self.repeat_delay.as_deref() {
            None => Duration::ZERO,
            Some(text) => text
                .parse()
                .ok()
                .and_then(|s| Duration::try_from_secs_f64(s).ok())
                .ok_or("Error: --repeat-delay argument must be >=0.0.\n")?,
        };
        let topic = self.topic.clone().or_else(|| plan.topic.clone());
        let has_mode = modes.contains(&true);
        let (Some(topic), true) = (topic, has_mode) else {
            return Err("Error: Both topic and message must be supplied.".to_owned());
        };
        if topic.is_empty() || topic.contains(['+', '#']) {
            return Err(format!(
                "Error: Invalid publish topic '{topic}', does it contain '+' or '#'?"
            ));
        }
        let props = match plan.version {
            Version::V5 => plan.props.of(Place::PublishUp),
            _ => Vec::new(),
        };
        let (qos, retain, topic) = (plan.qos, self.retain, Bytes::from(topic));
        let shape = Shape { topic, qos, retain, props, times, delay };
        Ok((plan, self.source()?, shape))
    }

    fn source(&self) -> Result<Source, String> {
        if self.stdin_line {
            return Ok(Source::Lines);
        }
        let mut payload = Vec::new();
        if let Some(text) = &self.message {
            payload.extend_from_slice(text.as_bytes());
        } else if let Some(path) = &self.file {
            payload = std::fs::read(path).map_err(|_| {
                format!(
                    "Error: Unable to open file \"{path}\".\nError loading input file \"{path}\"."
                )
            })?;
            if payload.is_empty() {
                return Err(format!(
                    "Error: File \"{path}\" is empty.\nError loading input file \"{path}\"."
                ));
            }
        } else if self.stdin_file {
            let mut stdin = std::io::stdin().lock();
            stdin.read_to_end(&mut payload).map_err(|e| format!("Error: {}", words::system(&e)))?;
            if payload.is_empty() {
                return Err("Error: Zero length input.\n\
                            Error loading input from stdin."
                    .to_owned());
            }
        }
        Ok(Source::Once(payload.into()))
    }
}

fn go(mut plan: Plan, source: Source, shape: &Shape) -> u8 {
    let nobody = Road::Mqtt(Box::default());
    match std::mem::replace(&mut plan.road, nobody) {
        Road::Mqtt(builder) => by_mqtt(&plan, *builder, source, shape),
        Road::Prx1(builder) => by_prx1(&plan, *builder, source, shape),
    }
}

fn by_mqtt(plan: &Plan, builder: Builder, source: Source, shape: &Shape) -> u8 {
    let mut speaker = Speaker { plan, shape, spoken: false };
    let mut client = match builder.connect() {
        Ok(client) => client,
        Err(error) => return refused(plan, &error),
    };
    let done = match source {
        Source::Once(payload) => speaker.once(&mut client, &payload),
        Source::Lines => speaker.lines(&mut client),
    };
    match done {
        Ok(()) => {
            plan.part(client);
            exit::DONE
        }
        Err(error) => failed(plan, &error),
    }
}

/// The broker said no, which mosquitto_pub says twice.
fn refused(plan: &Plan, error: &Error) -> u8 {
    let code = failed(plan, error);
    if let Error::Refused { version, .. } = error {
        plan.complain(match version {
            Version::V5 => {
                "Error: A network protocol error occurred when communicating with the broker."
            }
            _ => "Error: The connection was refused.",
        });
    }
    code
}

fn failed(plan: &Plan, error: &Error) -> u8 {
    let (text, code) = words::of(error);
    plan.complain(&text);
    code
}

struct Speaker<'a> {
    plan: &'a Plan,
    shape: &'a Shape,
    /// The topic was said on this connection; from then on its alias is enough.
    spoken: bool,
}

impl Speaker<'_> {
    fn say(&mut self, client: &mut Client, payload: Bytes) -> Result<(), Error> {
        let Shape { topic, qos, retain, props, .. } = self.shape;
        let aliased = props.iter().any(|prop| matches!(prop, Prop::TopicAlias(_)));
        let topic = if aliased && self.spoken { Bytes::new() } else { topic.clone() };
        self.spoken = true;
        let publish = Publish {
            dup: false,
            qos: *qos,
            retain: *retain,
            topic,
            id: 0,
            props: Props::build(props),
            payload,
        };
        while let Err(error) = client.send(publish.clone()) {
            match error {
                Error::Full => self.hear(client, Some(Duration::from_secs(1)))?,
                other => return Err(other),
            }
        }
        Ok(())
    }

    /// Take one event, if one comes in time.
    fn hear(&self, client: &mut Client, most: Option<Duration>) -> Result<(), Error> {
        if let Some(Event::Published { id, reason, props }) = client.wait(most)?
            && reason >= 0x80
        {
            let why = words::reason(reason);
            self.plan.complain(&format!("Warning: Publish {id} failed: {why}."));
            for prop in props.iter() {
                if let Prop::ReasonString(text) = prop {
                    self.plan.complain(&String::from_utf8_lossy(&text));
                }
            }
        }
        Ok(())
    }

    /// Until everything is acknowledged.
    fn settle(&self, client: &mut Client) -> Result<(), Error> {
        while !client.is_settled() {
            self.hear(client, Some(Duration::from_millis(200)))?;
        }
        // What was acknowledged last may still be told.
        self.hear(client, Some(Duration::ZERO))
    }

    fn once(&mut self, client: &mut Client, payload: &Bytes) -> Result<(), Error> {
        for round in 0..self.shape.times {
            if round > 0 {
                std::thread::sleep(self.shape.delay);
            }
            self.say(client, payload.clone())?;
            self.settle(client)?;
        }
        Ok(())
    }

    fn lines(&mut self, client: &mut Client) -> Result<(), Error> {
        let (lines, wake) = read_lines();
        // Who reads is gone only when there is nothing left to wake for.
        let _ = wake.send(client.interrupt()?);
        loop {
            match lines.try_recv() {
                Ok(line) => {
                    if let Err(error) = self.say(client, line.clone()) {
                        self.again(client, error, &wake)?;
                        self.say(client, line)?;
                    }
                }
                Err(TryRecvError::Disconnected) => return self.settle(client),
                Err(TryRecvError::Empty) => {
                    if let Err(error) = self.hear(client, Some(Duration::from_secs(1))) {
                        self.again(client, error, &wake)?;
                    }
                }
            }
        }
    }

    /// A lost connection is dialled again for as long as there are lines.
    fn again(
        &mut self,
        client: &mut Client,
        error: Error,
        wake: &Sender<Interrupt>,
    ) -> Result<(), Error> {
        if !is_lost(&error) {
            return Err(error);
        }
        self.spoken = false;
        loop {
            std::thread::sleep(AGAIN);
            match client.reconnect() {
                Ok(_) => break,
                Err(Error::Dial(_) | Error::Lookup(_) | Error::TimedOut) => {}
                Err(error) if is_lost(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let _ = wake.try_send(client.interrupt()?);
        Ok(())
    }
}

/// The connection ended, and nobody said that it should not be made again.
pub(super) fn is_lost(error: &Error) -> bool {
    matches!(
        error,
        Error::Lost | Error::Io(_) | Error::Silent | Error::Disconnected { .. } | Error::Offline
    )
}

type Lines = (Receiver<Bytes>, Sender<Interrupt>);

/// A thread that reads lines, and wakes whoever it is told to for each.
fn read_lines() -> Lines {
    let (send, lines) = bounded(64);
    let (wake, wakers) = bounded::<Interrupt>(16);
    let reader = move || {
        let mut waker = None;
        let mut stdin = std::io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let end = match stdin.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => true,
                Ok(_) => {
                    if line.last() == Some(&b'\n') {
                        line.pop();
                    }
                    send.send(Bytes::from(line)).is_err()
                }
            };
            while let Ok(newer) = wakers.try_recv() {
                waker = Some(newer);
            }
            if end {
                drop(send);
                waker.iter().for_each(Interrupt::interrupt);
                return;
            }
            waker.iter().for_each(Interrupt::interrupt);
        }
    };
    // Without a thread there are no lines, and the channel says that they are over.
    let _ = std::thread::Builder::new().name("lines".to_owned()).spawn(reader);
    (lines, wake)
}

fn by_prx1(plan: &Plan, builder: prx1::Builder, source: Source, shape: &Shape) -> u8 {
    let done = (|| -> Result<(), prx1::Error> {
        let client = builder.connect()?;
        let qos = if shape.qos == 0 { prx1::Qos::AtMostOnce } else { prx1::Qos::AtLeastOnce };
        let say = |payload: &[u8]| -> Result<(), prx1::Error> {
            let mut receipt = client.publish(&shape.topic, payload, qos, shape.retain)?;
            receipt.wait(Duration::from_secs(30))
        };
        match source {
            Source::Once(payload) => {
                for round in 0..shape.times {
                    if round > 0 {
                        std::thread::sleep(shape.delay);
                    }
                    say(&payload)?;
                }
            }
            Source::Lines => {
                for line in std::io::stdin().lock().split(b'\n').map_while(Result::ok) {
                    say(&line)?;
                }
            }
        }
        client.disconnect();
        Ok(())
    })();
    match done {
        Ok(()) => exit::DONE,
        Err(error) => {
            plan.complain(&format!("Error: {error}"));
            prx1_code(&error)
        }
    }
}

/// The exit code of an error of a PRX1 client.
pub(super) fn prx1_code(error: &prx1::Error) -> u8 {
    use prx1::{Disconnected, Error, Reason};
    match error {
        Error::Disconnected(Disconnected::Rejected) | Error::Refused => exit::REFUSED,
        Error::Failed(Reason::Timeout) => exit::TIMED_OUT,
        Error::Failed(_) => exit::REFUSED,
        Error::Disconnected(Disconnected::Forced) => exit::PROTOCOL,
        Error::Lost | Error::Offline | Error::Stopped(_) => exit::LOST,
        Error::TimedOut => exit::TIMED_OUT,
        _ => exit::CLIENT,
    }
}
