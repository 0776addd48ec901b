//! Floor 6. `spindle request` and `spindle reply` over PRX1: a call, and a procedure.
//!
//! What asks for several answers asks all who serve the topic. Several that serve it take turns.
//! Absent on purpose: topics to answer to; a call knows where its answer goes.

use std::time::Duration;

use bytes::Bytes;

use crate::client::prx1::{Builder, CallOptions, Client, Error, Said, Service, Share};
use crate::os::clock::Clock;
use crate::os::signal::{Signal, Signals};
use crate::proto::mqtt::{Props, Publish};

use super::exit;
use super::link::Plan;
use super::publish::prx1_code;
use super::request::{document, print, said_by};

/// For the broker to agree.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks for a signal.
const LOOK: Duration = Duration::from_millis(200);

/// A question.
pub(super) struct Question {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    pub(super) timeout: Duration,
    pub(super) replies: u32,
    pub(super) json: bool,
}

fn failed(plan: &Plan, error: Error) -> u8 {
    plan.complain(&format!("Error: {error}"));
    prx1_code(&error)
}

/// Ask it; the code to end with.
pub(super) fn request(plan: &Plan, builder: Builder, it: &Question) -> u8 {
    match builder.connect().and_then(|client| ask(plan, &client, it)) {
        Ok(code) => code,
        Err(error) => failed(plan, error),
    }
}

fn ask(plan: &Plan, client: &Client, it: &Question) -> Result<u8, Error> {
    let clock = Clock::start();
    let ms = u64::try_from(it.timeout.as_millis()).unwrap_or(u64::MAX);
    let until = clock.now().after_ms(ms);
    let many = (it.replies != 1).then(|| u16::try_from(it.replies).unwrap_or(u16::MAX));
    let options = CallOptions { timeout: Some(it.timeout), many, pieces: many.is_none() };
    let mut call = client.call(&it.topic, &it.payload, options)?;
    let show = |payload: Bytes| match it.json {
        true => print(&document(&message(&it.topic, payload), plan, &clock)),
        false => print(&payload),
    };
    loop {
        // The broker watches the time too, and says more about it.
        let left = Duration::from_millis(until.ms_left(clock.now())) + LOOK;
        match call.next(left)? {
            Some(Said::Piece(payload)) => show(payload),
            Some(Said::Final(payload)) => {
                show(payload);
                return Ok(exit::DONE);
            }
            Some(Said::Failed(failure)) => {
                let name = String::from_utf8_lossy(&failure.name);
                let payload = String::from_utf8_lossy(&failure.payload);
                let text = format!("Error: {}: {name} {payload}", failure.reason);
                plan.complain(text.trim_end_matches([' ', ':']));
                return Ok(prx1_code(&Error::Failed(failure.reason)));
            }
            Some(Said::Gathered { answered, .. }) if u32::from(answered) >= it.replies => {
                return Ok(exit::DONE);
            }
            Some(Said::Gathered { asked, answered, .. }) => {
                plan.complain(&format!("{answered} of {asked} have answered"));
                return Ok(exit::TIMED_OUT);
            }
            None => return Err(Error::Lost),
        }
    }
}

fn message(topic: &str, payload: Bytes) -> Publish {
    let topic = Bytes::copy_from_slice(topic.as_bytes());
    Publish { dup: false, qos: 0, retain: false, topic, id: 0, props: Props::none(), payload }
}

/// Answer what is asked there, by this command, or with the question; the code to end with.
pub(super) fn reply(
    plan: &Plan,
    builder: Builder,
    (topic, command): (&str, Option<&str>),
    count: Option<u64>,
) -> u8 {
    let mut signals = Signals::catch().ok();
    let done = (|| -> Result<(), Error> {
        let client = builder.connect()?;
        let mut service = client.serve(topic, Share::RoundRobin)?;
        service.granted(PATIENCE)?;
        if plan.debug {
            plan.complain(&format!("serves {topic}"));
        }
        let mut answered = 0;
        while Some(answered) != count
            && signals.as_mut().and_then(Signals::take) != Some(Signal::Stop)
        {
            answered += u64::from(answer(plan, &service, topic, command)?);
        }
        drop(service);
        client.disconnect();
        Ok(())
    })();
    match done {
        Ok(()) => exit::DONE,
        Err(error) => failed(plan, error),
    }
}

/// Answer one question, if one comes soon.
fn answer(
    plan: &Plan,
    service: &Service,
    topic: &str,
    command: Option<&str>,
) -> Result<bool, Error> {
    let asked = match service.next(LOOK) {
        Err(Error::TimedOut) => return Ok(false),
        other => other?.ok_or(Error::Lost)?,
    };
    let said = match command {
        None => Ok(asked.payload().to_vec()),
        Some(command) => said_by(command, topic, asked.payload()),
    };
    let done = match said {
        Ok(said) => asked.answer(said),
        Err(why) => {
            plan.complain(&format!("{}: {why}", command.unwrap_or_default()));
            asked.fail("spindle/error/command", why)
        }
    };
    match done {
        // Who asked does not wait any more.
        Err(Error::Lost) => Ok(false),
        other => other.map(|()| true),
    }
}
