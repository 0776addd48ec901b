//! Floor 6. `spindle request` and `spindle reply`: a question and its answer, over MQTT 5.0 here.
//!
//! A request names a topic to answer to and a few bytes to know the answer by; a reply sends
//! whatever a command prints, or the question itself, to that topic with those bytes. Several
//! replies may answer one request. Absent on purpose: PRX1, where a question is a call (`ask`).

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;

use crate::client::mqtt::{Builder, Client, Error, Event};
use crate::client::prx1;
use crate::os::clock::Clock;
use crate::os::signal::{Signal, Signals};
use crate::proto::mqtt::props::Place;
use crate::proto::mqtt::{Asked, Prop, Props, Publish};

use super::format::{self, At};
use super::link::{AGAIN, Link, Plan, Road, complain};
use super::publish::is_lost;
use super::{ask, exit, words};

/// Flags of `request`.
#[derive(Args, Clone, Debug)]
pub(super) struct Request {
    #[command(flatten)]
    link: Link,
    /// Ask here
    #[arg(short, long, value_name = "TOPIC", allow_hyphen_values = true)]
    topic: String,
    /// This; without it all of standard input
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    message: Option<String>,
    /// Wait so many seconds for answers; end with 27 when not enough have come
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    timeout: f64,
    /// Wait for so many answers
    #[arg(long, value_name = "ANSWERS", default_value_t = 1)]
    replies: u32,
    /// Be answered here; without it at a topic that nobody else knows
    #[arg(short = 'e', long, value_name = "TOPIC")]
    response_topic: Option<String>,
    /// A document for each answer, as `sub -F %j` prints it
    #[arg(long)]
    json: bool,
}

/// Flags of `reply`.
#[derive(Args, Clone, Debug)]
pub(super) struct Reply {
    #[command(flatten)]
    link: Link,
    /// Answer what is asked here; `$share/GROUP/FILTER` lets several share the work
    #[arg(short, long, value_name = "FILTER", allow_hyphen_values = true)]
    topic: String,
    /// Answer with what this prints: it is given to `sh -c`, the question is its standard input,
    /// and SPINDLE_TOPIC says where it was asked
    #[arg(long, value_name = "COMMAND", required_unless_present = "echo")]
    command: Option<String>,
    /// Answer with the question
    #[arg(long, conflicts_with = "command")]
    echo: bool,
    /// End after so many answers
    #[arg(short = 'C', value_name = "ANSWERS")]
    count: Option<u64>,
}

/// What the flags come to, and the way to the broker; or the code to end with.
fn planned(link: &Link) -> Result<(Plan, Road), u8> {
    let mut link = link.clone();
    link.need_v5();
    let mut plan = link.plan().map_err(|why| {
        complain(&why);
        exit::CLIENT
    })?;
    let road = std::mem::replace(&mut plan.road, Road::Mqtt(Box::default()));
    Ok((plan, road))
}

fn connect(plan: Plan, builder: Builder) -> Result<(Plan, Client), u8> {
    match builder.connect() {
        Ok(client) => Ok((plan, client)),
        Err(error) => Err(failed(&plan, &error)),
    }
}

fn failed(plan: &Plan, error: &Error) -> u8 {
    let (text, code) = words::of(error);
    plan.complain(&text);
    code
}

impl Request {
    pub(super) fn run(&self) -> u8 {
        let question = match self.question() {
            Ok(question) => question,
            Err(why) => {
                complain(&why);
                return exit::CLIENT;
            }
        };
        let (plan, mut client) = match planned(&self.link) {
            Ok((plan, Road::Prx1(builder))) => return self.call(&plan, *builder, question),
            Ok((plan, Road::Mqtt(builder))) => match connect(plan, *builder) {
                Ok(both) => both,
                Err(code) => return code,
            },
            Err(code) => return code,
        };
        match self.ask(&plan, &mut client, question) {
            Ok(code) => {
                plan.part(client);
                code
            }
            Err(error) => failed(&plan, &error),
        }
    }

    fn call(&self, plan: &Plan, builder: prx1::Builder, payload: Bytes) -> u8 {
        if self.response_topic.is_some() {
            complain("Error: a call over PRX1 is answered to whoever made it, and nowhere else.");
            return exit::CLIENT;
        }
        let timeout = Duration::try_from_secs_f64(self.timeout.max(0.0)).unwrap_or(Duration::MAX);
        let (topic, replies, json) = (self.topic.clone(), self.replies, self.json);
        ask::request(plan, builder, &ask::Question { topic, payload, timeout, replies, json })
    }

    fn question(&self) -> Result<Bytes, String> {
        if self.topic.is_empty() || self.topic.contains(['+', '#']) {
            return Err(format!(
                "Error: Invalid publish topic '{}', does it contain '+' or '#'?",
                self.topic
            ));
        }
        if let Some(text) = &self.message {
            return Ok(Bytes::from(text.clone()));
        }
        let mut text = Vec::new();
        let read = std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut text);
        read.map_err(|e| format!("Error: {}", words::system(&e)))?;
        Ok(text.into())
    }

    fn ask(&self, plan: &Plan, client: &mut Client, payload: Bytes) -> Result<u8, Error> {
        let clock = Clock::start();
        let ms = (self.timeout.max(0.0) * 1_000.0) as u64;
        let until = clock.now().after_ms(ms);
        let mark = mark();
        let topic = match &self.response_topic {
            Some(topic) => topic.clone(),
            None => format!("spindle/replies/{mark}"),
        };
        let answers = Bytes::from(topic);
        let asked = Asked {
            filter: answers.clone(),
            qos: 1,
            no_local: false,
            as_published: false,
            handling: 2,
        };
        client.subscribe_all(vec![asked], plan.props.block(Place::Subscribe))?;
        let mut props = plan.props.of(Place::PublishUp);
        props.push(Prop::ResponseTopic(answers));
        let mark = Bytes::from(mark);
        props.push(Prop::CorrelationData(mark.clone()));
        let mut publish = Some(Publish {
            dup: false,
            qos: plan.qos.max(1),
            retain: false,
            topic: Bytes::copy_from_slice(self.topic.as_bytes()),
            id: 0,
            props: Props::build(&props),
            payload,
        });
        let mut heard = 0;
        while heard < self.replies {
            let left = until.ms_left(clock.now());
            if left == 0 {
                plan.complain("Timed out");
                return Ok(exit::TIMED_OUT);
            }
            match client.wait(Some(Duration::from_millis(left)))? {
                Some(Event::Subscribed(codes)) if codes.codes.iter().any(|c| *c >= 0x80) => {
                    plan.complain("All subscription requests were denied.");
                    return Ok(exit::REFUSED);
                }
                // Asked only when answers can arrive.
                Some(Event::Subscribed(_)) => {
                    if let Some(publish) = publish.take() {
                        client.send(publish)?;
                    }
                }
                Some(Event::Published { reason, .. }) if reason >= 0x10 => {
                    plan.complain(&format!("Error: {}.", words::reason(reason)));
                    return Ok(exit::REFUSED);
                }
                Some(Event::Message(message)) if is_answer(&message, &mark) => {
                    heard += 1;
                    match self.json {
                        true => print(&document(&message, plan, &clock)),
                        false => print(&message.payload),
                    }
                }
                _ => {}
            }
        }
        Ok(exit::DONE)
    }
}

/// The answer as a document.
pub(super) fn document(message: &Publish, plan: &Plan, clock: &Clock) -> Vec<u8> {
    let mut out = Vec::new();
    if let Err(why) = format::print(format::JSON, message, At::now(clock), false, &mut out) {
        plan.complain(&why);
    }
    out
}

fn is_answer(message: &Publish, mark: &Bytes) -> bool {
    message.props.iter().any(|prop| matches!(prop, Prop::CorrelationData(data) if data == mark))
}

pub(super) fn print(payload: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    // Whoever closed the pipe has heard enough.
    let _ = stdout.write_all(payload).and_then(|()| stdout.write_all(b"\n"));
    let _ = stdout.flush();
}

/// Something that nobody else chooses.
fn mark() -> String {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        return format!("pid-{}", std::process::id());
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Reply {
    pub(super) fn run(&self) -> u8 {
        let mut signals = Signals::catch().ok();
        let (plan, mut client) = match planned(&self.link) {
            Ok((plan, Road::Prx1(builder))) => {
                let what = (self.topic.as_str(), self.command.as_deref());
                return ask::reply(&plan, *builder, what, self.count);
            }
            Ok((plan, Road::Mqtt(builder))) => match connect(plan, *builder) {
                Ok(both) => both,
                Err(code) => return code,
            },
            Err(code) => return code,
        };
        let mut answered = 0;
        loop {
            match self.serve(&plan, &mut client, &mut signals, &mut answered) {
                Ok(code) => {
                    plan.part(client);
                    return code;
                }
                Err(error) if is_lost(&error) => {}
                Err(error) => return failed(&plan, &error),
            }
            std::thread::sleep(AGAIN);
            // The next round finds out whether this helped.
            if let Err(error) = client.reconnect()
                && !is_lost(&error)
                && !matches!(error, Error::Dial(_) | Error::Lookup(_) | Error::TimedOut)
            {
                return failed(&plan, &error);
            }
        }
    }

    fn serve(
        &self,
        plan: &Plan,
        client: &mut Client,
        signals: &mut Option<Signals>,
        answered: &mut u64,
    ) -> Result<u8, Error> {
        let filter = Bytes::copy_from_slice(self.topic.as_bytes());
        let asked = Asked { filter, qos: 1, no_local: false, as_published: false, handling: 2 };
        client.subscribe_all(vec![asked], plan.props.block(Place::Subscribe))?;
        loop {
            if signals.as_mut().and_then(Signals::take) == Some(Signal::Stop) {
                return Ok(exit::DONE);
            }
            match client.wait(Some(Duration::from_millis(200)))? {
                Some(Event::Message(message)) if self.answer(plan, client, &message)? => {
                    *answered += 1;
                }
                Some(Event::Subscribed(codes)) if codes.codes.iter().any(|c| *c >= 0x80) => {
                    plan.complain("All subscription requests were denied.");
                    return Ok(exit::REFUSED);
                }
                _ => {}
            }
            if Some(*answered) == self.count {
                while !client.is_settled() {
                    client.wait(Some(Duration::from_millis(200)))?;
                }
                return Ok(exit::DONE);
            }
        }
    }

    /// Answer a question; false when it says nowhere to.
    fn answer(&self, plan: &Plan, client: &mut Client, asked: &Publish) -> Result<bool, Error> {
        let mut topic = None;
        let mut props = plan.props.of(Place::PublishUp);
        for prop in asked.props.iter() {
            match prop {
                Prop::ResponseTopic(text) => topic = Some(text),
                Prop::CorrelationData(_) => props.push(prop),
                _ => {}
            }
        }
        let name = String::from_utf8_lossy(&asked.topic);
        let Some(topic) = topic else {
            plan.complain(&format!("no response topic in a message of {name}"));
            return Ok(false);
        };
        let payload = match &self.command {
            None => asked.payload.clone(),
            Some(command) => match said_by(command, &name, &asked.payload) {
                Ok(said) => Bytes::from(said),
                Err(why) => {
                    plan.complain(&format!("{command}: {why}"));
                    return Ok(false);
                }
            },
        };
        if plan.debug {
            plan.complain(&format!("answered {} bytes of {name}", payload.len()));
        }
        let qos = plan.qos.max(asked.qos.min(1));
        let props = Props::build(&props);
        client.send(Publish { dup: false, qos, retain: false, topic, id: 0, props, payload })?;
        Ok(true)
    }
}

/// What a command prints when it is asked this.
pub(super) fn said_by(command: &str, topic: &str, question: &[u8]) -> Result<Vec<u8>, String> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .env("SPINDLE_TOPIC", topic)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let stdin = child.stdin.take();
    let question = question.to_vec();
    // A command that prints before it reads must not wait for us while we wait for it.
    let feed = std::thread::Builder::new().spawn(move || {
        if let Some(mut stdin) = stdin {
            // It need not read the question.
            let _ = stdin.write_all(&question);
        }
    });
    let done = child.wait_with_output().map_err(|e| e.to_string())?;
    if let Ok(feed) = feed {
        let _ = feed.join();
    }
    if done.status.success() { Ok(done.stdout) } else { Err(done.status.to_string()) }
}
