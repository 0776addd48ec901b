//! Floor 5. The thread of a WAMP client: it reads, hands out, and writes what callers have left.
//!
//! It never waits for whoever takes what it hands out (`desk.rs` says what happens instead), so
//! pings are answered and other answers arrive whatever a handler does. Absent on purpose: dialling
//! again; a session is over with its connection, and its subscriptions are.

#![expect(clippy::disallowed_types, reason = "a client on its own thread reads its own clock")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::proto::wamp::fault::Reason;
use crate::proto::wamp::options::AbortDetails;
use crate::proto::wamp::packet::{Abort, Hello, Welcome};
use crate::proto::wamp::{Message, Most, Sender, decode, encode};
use crate::value::Bounds;

use super::desk::refused;
use super::proof::Proof;
use super::setup::Plan;
use super::wire::Wire;
use super::{Error, Shared};

/// How much one message may hold; how long it is has a bound of its own.
pub(super) fn most() -> Most {
    Most { walk: Bounds { depth: 64, items: 1 << 20 }, ..Most::default() }
}

/// From HELLO to WELCOME.
pub(super) fn greet(plan: &Plan, wire: &mut Wire, deadline: Instant) -> Result<Welcome, Error> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| Error::Proof("no randomness"))?;
    let mut proof = Proof::new(&plan.ways, plan.user.as_deref().unwrap_or_default(), random);
    let mut details = plan.hello(wire.form());
    details.authmethods = Some(proof.methods());
    details.authextra = proof.extra();
    say(wire, &Hello { realm: plan.realm.as_str().into(), details }.into())?;
    loop {
        match hear(wire, deadline)? {
            Message::Challenge(asked) => match proof.on_challenge(&asked) {
                Ok(answer) => say(wire, &answer.into())?,
                Err(error) => {
                    abort(wire, Reason::AuthenticationFailed, "the challenge is not answered");
                    return Err(error);
                }
            },
            Message::Welcome(welcome) => {
                let proved = proof.on_welcome(&welcome.details);
                if proved.is_err() {
                    abort(wire, Reason::AuthenticationFailed, "the router has proved nothing");
                }
                return proved.map(|()| welcome);
            }
            Message::Abort(why) => return Err(refused(&why)),
            other => {
                abort(wire, Reason::ProtocolViolation, "not what follows HELLO");
                return Err(Error::Protocol(format!("{} is not due", other.name())));
            }
        }
    }
}

fn say(wire: &mut Wire, message: &Message) -> Result<(), Error> {
    let mut bytes = Vec::new();
    encode(message, wire.form(), most().walk, &mut bytes)?;
    if bytes.len() > wire.takes() {
        return Err(Error::TooLarge);
    }
    wire.send(&bytes)
}

/// The last words; nothing hangs on whether they arrive.
fn abort(wire: &mut Wire, reason: Reason, message: &str) {
    let details = AbortDetails { message: Some(message.into()) };
    let _ = say(wire, &Abort { details, reason: reason.uri().into(), ..Abort::default() }.into());
    let _ = wire.flush();
}

fn hear(wire: &mut Wire, deadline: Instant) -> Result<Message, Error> {
    let mut open = true;
    loop {
        if let Some(bytes) = wire.next()? {
            let message = decode(wire.form(), &bytes, Sender::Router, &most());
            return message.map_err(|refused| Error::Protocol(refused.to_string()));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::TimedOut);
        }
        if !open {
            return Err(Error::Lost);
        }
        wire.flush()?;
        if !wire.is_readable() {
            wire.wait(Some(left))?;
        }
        open = wire.receive()?;
    }
}

/// One connection, from WELCOME on.
pub(super) struct Line {
    shared: Arc<Shared>,
    wire: Wire,
    most: Most,
    keep_alive: Option<Duration>,
    /// When the router was last heard.
    heard: Instant,
    /// When it was asked for a sign of life.
    asked: Option<Instant>,
    /// Since when a result is held.
    held: Option<Instant>,
    /// The socket may say more.
    open: bool,
    /// What was read is not understood to its end.
    behind: bool,
}

/// Tells everybody that the client has ended, however its thread does.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.desk().end(Error::Lost);
        self.0.room.notify_all();
    }
}

impl Line {
    pub(super) fn new(shared: Arc<Shared>, wire: Wire, keep_alive: Option<Duration>) -> Self {
        Self {
            shared,
            wire,
            most: most(),
            keep_alive,
            heard: Instant::now(),
            asked: None,
            held: None,
            open: true,
            behind: true,
        }
    }

    /// Until it is over.
    pub(super) fn run(mut self) {
        let _ending = Ending(Arc::clone(&self.shared));
        let error = loop {
            if let Err(error) = self.turn() {
                break error;
            }
        };
        let protocol = matches!(&error, Error::Protocol(_));
        let mut desk = self.shared.desk();
        desk.end(error);
        // Among the rest is the answer to a goodbye.
        while let Some(message) = desk.poll_message() {
            if self.wire.send(&message).is_err() {
                break;
            }
        }
        drop(desk);
        self.shared.room.notify_all();
        if protocol {
            abort(&mut self.wire, Reason::ProtocolViolation, "not understood");
        }
        self.wire.close(Instant::now() + LINGER);
    }

    fn turn(&mut self) -> Result<(), Error> {
        let choked = self.speak()?;
        self.wire.flush()?;
        let choked = choked || self.wire.waiting() > 2 * WRITE_MAX;
        if !choked {
            self.keep_alive()?;
            if self.read()? {
                return Ok(());
            }
        }
        let until = self.until(choked);
        self.wire.wait(until)
    }

    /// Take what callers have left; true when nothing is to be read.
    fn speak(&mut self) -> Result<bool, Error> {
        let mut desk = self.shared.desk();
        if let Some(error) = desk.ended() {
            return Err(error.clone());
        }
        let patience = self.shared.patience;
        desk.retry(self.held.is_some_and(|since| since.elapsed() >= patience));
        self.held = match desk.is_held() {
            true => self.held.or_else(|| Some(Instant::now())),
            false => None,
        };
        let mut any = false;
        while self.wire.waiting() < WRITE_MAX {
            let Some(message) = desk.poll_message() else { break };
            self.wire.send(&message)?;
            any = true;
        }
        let choked = desk.is_choked();
        drop(desk);
        if any {
            self.shared.room.notify_all();
        }
        Ok(choked)
    }

    /// Read and hand out; true when there may be more to do.
    fn read(&mut self) -> Result<bool, Error> {
        let before = self.wire.unread();
        // What was not understood yet comes first, so it does not grow.
        if self.open && !self.behind {
            self.open = self.wire.receive()?;
        }
        let mut any = self.wire.unread() > before;
        self.behind = false;
        while let Some(bytes) = self.wire.next()? {
            any = true;
            let message = decode(self.wire.form(), &bytes, Sender::Router, &self.most);
            let message = message.map_err(|refused| Error::Protocol(refused.to_string()))?;
            let mut desk = self.shared.desk();
            desk.on_message(message)?;
            if desk.is_choked() || self.wire.waiting() > 2 * WRITE_MAX {
                self.behind = true;
                break;
            }
        }
        if any {
            (self.heard, self.asked) = (Instant::now(), None);
        }
        if !self.open && !self.behind {
            return Err(Error::Lost);
        }
        Ok(any || self.wire.is_readable())
    }

    fn keep_alive(&mut self) -> Result<(), Error> {
        let Some(period) = self.keep_alive else { return Ok(()) };
        match self.asked {
            Some(asked) if asked.elapsed() >= period => Err(Error::Silent),
            None if self.heard.elapsed() >= period => {
                self.asked = Some(Instant::now());
                self.wire.ping()?;
                self.wire.flush()
            }
            _ => Ok(()),
        }
    }

    /// Until something is due that nobody will wake us for.
    fn until(&self, choked: bool) -> Option<Duration> {
        let (since, most) = match (choked, self.held) {
            (_, Some(held)) => (held, self.shared.patience),
            (true, None) => return None,
            (false, None) => (self.asked.unwrap_or(self.heard), self.keep_alive?),
        };
        Some(most.saturating_sub(since.elapsed()) + Duration::from_millis(1))
    }
}

/// What may wait for the socket before no more is taken from callers.
const WRITE_MAX: usize = 256 << 10;
/// For our last words to be written, and the router to close.
const LINGER: Duration = Duration::from_millis(500);
