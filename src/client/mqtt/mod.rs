//! Floor 5. A blocking client for MQTT 3.1, 3.1.1 and 5.0, over TCP, TLS, WebSocket, Unix sockets.
//!
//! ```no_run
//! use std::time::Duration;
//! use spindle::client::mqtt::{Client, Event};
//!
//! let mut client = Client::builder().address("localhost", 1883).connect()?;
//! client.subscribe("room/+/temp", 1)?;
//! client.publish("room/1/temp", "21.5", 1, false)?;
//! while let Some(event) = client.wait(Some(Duration::from_secs(5)))? {
//!     if let Event::Message(message) = event {
//!         println!("{:?}: {:?}", message.topic, message.payload);
//!         break;
//!     }
//! }
//! client.disconnect();
//! # Ok::<(), spindle::client::mqtt::Error>(())
//! ```
//!
//! It has no thread of its own: whoever owns it drives it, by [`Client::wait`]. A message is
//! acknowledged when it is handed out, so what nobody takes stays the broker's; what waits on this
//! side, in either direction, has a bound, and beyond it the answer is [`Error::Full`]. Another
//! thread ends a wait by an [`Interrupt`]. Reading order: `setup`, `error`, `desk` (what is owed,
//! a value without sockets), `wire` (bytes, TLS, frames), then the client here. Absent on purpose:
//! dialling again by itself; after an error [`Client::reconnect`] goes on where it was.

#![expect(clippy::disallowed_types, reason = "a client on its owner's thread reads its own clock")]

mod desk;
#[cfg(test)]
mod desk_test;
mod error;
#[cfg(not(feature = "tls"))]
mod no_tls;
mod setup;
#[cfg(feature = "tls")]
mod tls;
mod wire;
mod ws;

#[cfg(not(feature = "tls"))]
use no_tls as tls;

// Who drives many connections at once drives their layers itself.
#[cfg(feature = "tls")]
pub(crate) use tls::machines_issuers;
pub(crate) use tls::{Broken, Session, Trust};
pub(crate) use ws::Ws;

pub use error::Error;
pub use setup::{Builder, Tls, TlsVersion};

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::proto::mqtt::{
    Asked, Codes, ConnAck, Packet, Prop, Props, Publish, Reason, Sender, Subscribe, Unsubscribe,
    Version, encode_vec, frame_len, next,
};

use desk::Desk;
use setup::Plan;
use wire::Wire;

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A message arrived; handing it out acknowledges it.
    Message(Publish),
    /// A publish of ours is done, or was refused: a reason of 128 and more.
    Published {
        /// What [`Client::publish`] answered.
        id: u16,
        /// 0 before 5.0.
        reason: u8,
        /// What the broker said besides.
        props: Props,
    },
    /// An answer to a subscription: a code for each filter.
    Subscribed(Codes),
    /// An answer to the end of one.
    Unsubscribed(Codes),
}

/// A connection, and what is owed on it.
#[derive(Debug)]
pub struct Client {
    plan: Plan,
    desk: Desk,
    /// None: there is no connection.
    wire: Option<Wire>,
    input: BytesMut,
    connack: ConnAck,
    keep_alive: Option<Duration>,
    /// When something was last sent.
    spoke: Instant,
    /// When a ping went out that is not answered.
    asked: Option<Instant>,
    trace: Option<setup::Trace>,
}

/// Ends a wait of a client from another thread.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<mio::Waker>);

impl Interrupt {
    /// Let the wait end now, or the next one as soon as it begins.
    pub fn interrupt(&self) {
        // Who has gone waits for nothing.
        let _ = self.0.wake();
    }
}

impl Client {
    /// Begin to describe a client.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn dial(plan: Plan, trace: Option<setup::Trace>) -> Result<Self, Error> {
        let mut client = Self {
            desk: Desk::new(&plan),
            plan,
            wire: None,
            input: BytesMut::new(),
            connack: ConnAck { present: false, code: 0, props: Props::none() },
            keep_alive: None,
            spoke: Instant::now(),
            asked: None,
            trace,
        };
        client.reconnect()?;
        Ok(client)
    }

    /// Dial again and go on: what was not acknowledged is sent again. The answer tells whether the
    /// broker still had the session; subscriptions are to be made anew when it had not.
    pub fn reconnect(&mut self) -> Result<bool, Error> {
        self.wire = None;
        self.input.clear();
        self.asked = None;
        let deadline = Instant::now() + self.plan.timeout;
        self.wire = Some(Wire::open(&self.plan, deadline)?);
        let outcome = self.greet(deadline);
        if outcome.is_err() {
            self.wire = None;
        }
        outcome
    }

    fn greet(&mut self, deadline: Instant) -> Result<bool, Error> {
        self.say(&Packet::Connect(Box::new(self.plan.connect.clone())))?;
        loop {
            if let Some(packet) = self.hear()? {
                let Packet::ConnAck(connack) = packet else { return Err(Error::Unexpected) };
                return self.on_connack(connack);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::TimedOut);
            }
            self.turn(Some(left))?;
        }
    }

    fn on_connack(&mut self, connack: ConnAck) -> Result<bool, Error> {
        let version = self.plan.connect.version;
        self.connack = connack;
        if self.connack.code != 0 {
            let (code, props) = (self.connack.code, self.connack.props.clone());
            return Err(Error::Refused { code, version, props });
        }
        let mut seconds = self.plan.connect.keep_alive;
        for prop in self.connack.props.iter() {
            match prop {
                Prop::ServerKeepAlive(n) => seconds = n,
                Prop::AssignedClientId(id) => self.plan.connect.client_id = id,
                _ => {}
            }
        }
        self.keep_alive = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
        self.desk.on_connected(&self.connack);
        self.send_due()?;
        Ok(self.connack.present)
    }

    /// Publish. With QoS 0 it is done when it is written, and the answer is none; otherwise an
    /// [`Event::Published`] with this id follows.
    pub fn publish(
        &mut self,
        topic: impl AsRef<[u8]>,
        payload: impl Into<Bytes>,
        qos: u8,
        retain: bool,
    ) -> Result<Option<u16>, Error> {
        let topic = Bytes::copy_from_slice(topic.as_ref());
        let payload = payload.into();
        let props = Props::none();
        self.send(Publish { dup: false, qos, retain, topic, id: 0, props, payload })
    }

    /// Publish with everything a packet can say; its id and `dup` are chosen here.
    pub fn send(&mut self, publish: Publish) -> Result<Option<u16>, Error> {
        self.make_room()?;
        let id = self.desk.publish(publish)?;
        self.send_due()?;
        Ok(id)
    }

    /// Subscribe to one filter. An [`Event::Subscribed`] with this id follows.
    pub fn subscribe(&mut self, filter: impl AsRef<[u8]>, qos: u8) -> Result<u16, Error> {
        let filter = Bytes::copy_from_slice(filter.as_ref());
        let asked = Asked { filter, qos, no_local: false, as_published: false, handling: 0 };
        self.subscribe_all(vec![asked], Props::none())
    }

    /// Subscribe to several filters at once.
    pub fn subscribe_all(&mut self, filters: Vec<Asked>, props: Props) -> Result<u16, Error> {
        self.make_room()?;
        let id = self.desk.ask()?;
        self.say(&Packet::Subscribe(Subscribe { id, props, filters: filters.into() }))?;
        Ok(id)
    }

    /// End subscriptions. An [`Event::Unsubscribed`] with this id follows.
    pub fn unsubscribe_all(&mut self, filters: Vec<Bytes>, props: Props) -> Result<u16, Error> {
        self.make_room()?;
        let id = self.desk.ask()?;
        self.say(&Packet::Unsubscribe(Unsubscribe { id, props, filters: filters.into() }))?;
        Ok(id)
    }

    /// The next event; none when the time is over, or the wait was interrupted. Without a time
    /// it waits for as long as there is a connection.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Option<Event>, Error> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut first = true;
        loop {
            self.take_in()?;
            if let Some(event) = self.desk.poll_event() {
                self.send_due()?;
                return Ok(Some(event));
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            // What has arrived already is looked at even by those who do not want to wait.
            if left.is_some_and(|left| left.is_zero()) && !first {
                return Ok(None);
            }
            first = false;
            if self.turn(left)? {
                return Ok(None);
            }
        }
    }

    /// Everything that was asked for is written, acknowledged and answered.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.desk.is_settled() && self.wire.as_ref().is_none_or(|wire| wire.waiting() == 0)
    }

    /// Write what waits to be written, for `timeout` at most.
    pub fn flush(&mut self, timeout: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + timeout;
        while self.wire.as_ref().is_some_and(|wire| wire.waiting() > 0) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::TimedOut);
            }
            self.turn(Some(left))?;
        }
        Ok(())
    }

    /// Say goodbye and close. What was not acknowledged is lost with the client.
    pub fn disconnect(self) {
        self.disconnect_with(0, Props::none());
    }

    /// Say goodbye for a reason (5.0; 4 lets the broker publish the will).
    pub fn disconnect_with(mut self, reason: u8, props: Props) {
        let _ = self.say(&Packet::Disconnect(Reason { reason, props }));
        let _ = self.flush(FAREWELL);
        let Some(mut wire) = self.wire.take() else { return };
        wire.close();
        // Closing over bytes that were not read could destroy what the broker has not read.
        let deadline = Instant::now() + LINGER;
        while Instant::now() < deadline {
            self.input.clear();
            let left = deadline.saturating_duration_since(Instant::now());
            if !matches!(wire.receive(&mut self.input), Ok(true)) || wire.wait(Some(left)).is_err()
            {
                break;
            }
        }
    }

    /// What another thread can end a wait with.
    pub fn interrupt(&self) -> Result<Interrupt, Error> {
        self.wire.as_ref().map(|wire| Interrupt(wire.waker())).ok_or(Error::Offline)
    }

    /// There is a connection.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.wire.is_some()
    }

    /// How the broker welcomed us.
    #[must_use]
    pub fn connack(&self) -> &ConnAck {
        &self.connack
    }

    /// The name of the session, chosen here or by the broker.
    #[must_use]
    pub fn client_id(&self) -> &Bytes {
        &self.plan.connect.client_id
    }

    /// Which MQTT is spoken.
    #[must_use]
    pub fn version(&self) -> Version {
        self.plan.connect.version
    }

    /// Write, wait, read; true when the wait was interrupted.
    fn turn(&mut self, most: Option<Duration>) -> Result<bool, Error> {
        self.keep_alive()?;
        let alive = self.until_due();
        let most = match (most, alive) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let interrupted = self.with_wire(|wire, _| {
            wire.flush()?;
            wire.wait(most)
        })?;
        self.read()?;
        Ok(interrupted)
    }

    /// Read what has arrived, unless there is much that nobody has taken.
    fn read(&mut self) -> Result<(), Error> {
        if self.input.len() > INPUT_MAX || self.desk.is_crowded() {
            return Ok(());
        }
        let before = self.input.len();
        let open = self.with_wire(|wire, input| wire.receive(input))?;
        if self.input.len() > before {
            // Any word is a sign of life; the answer to the ping may stand behind it.
            self.asked = None;
        }
        if open {
            return Ok(());
        }
        // What was said whole before the end is still heard, by whoever waits for it.
        let whole = frame_len(&self.input, self.plan.packet_max).ok().flatten();
        if whole.is_some_and(|len| len <= self.input.len()) {
            return Ok(());
        }
        self.fail(Error::Lost)
    }

    /// Packets that have arrived become events.
    fn take_in(&mut self) -> Result<(), Error> {
        while !self.desk.is_crowded() {
            let Some(packet) = self.hear()? else { break };
            match packet {
                Packet::PingResp => self.asked = None,
                Packet::Disconnect(bye) => {
                    return self.fail(Error::Disconnected { reason: bye.reason, props: bye.props });
                }
                packet => match self.desk.on_packet(packet) {
                    Ok(()) => self.send_due()?,
                    Err(error) => return self.fail(error),
                },
            }
            // One at a time: whoever traces sees packets and events in one order.
            if self.desk.has_events() {
                break;
            }
        }
        Ok(())
    }

    fn hear(&mut self) -> Result<Option<Packet>, Error> {
        let version = Some(self.plan.connect.version);
        match next(&mut self.input, version, Sender::Server, self.plan.packet_max) {
            Ok(packet) => {
                if let (Some(packet), Some(trace)) = (&packet, &self.trace) {
                    trace(false, packet);
                }
                Ok(packet)
            }
            Err(fault) => self.fail(Error::Protocol(fault)),
        }
    }

    /// What the desk has to say goes out.
    fn send_due(&mut self) -> Result<(), Error> {
        while let Some(packet) = self.desk.poll_packet() {
            self.say(&packet)?;
        }
        Ok(())
    }

    fn say(&mut self, packet: &Packet) -> Result<(), Error> {
        let bytes = encode_vec(packet, self.plan.connect.version)?;
        if let Some(trace) = &self.trace {
            trace(true, packet);
        }
        self.spoke = Instant::now();
        self.with_wire(|wire, _| wire.send(&bytes))
    }

    /// No more may wait to be written than this, so whoever publishes faster than the network
    /// waits here; it goes on reading meanwhile, or both sides could wait for each other.
    fn make_room(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + self.plan.timeout;
        while self.wire.as_ref().is_some_and(|wire| wire.waiting() > OUTPUT_MAX) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Full);
            }
            self.turn(Some(left))?;
            self.take_in()?;
        }
        Ok(())
    }

    fn keep_alive(&mut self) -> Result<(), Error> {
        let Some(period) = self.keep_alive else { return Ok(()) };
        let now = Instant::now();
        match self.asked {
            Some(asked) if now.duration_since(asked) >= period => self.fail(Error::Silent),
            None if now.duration_since(self.spoke) >= period => {
                self.asked = Some(now);
                self.say(&Packet::PingReq)
            }
            _ => Ok(()),
        }
    }

    /// Until the next sign of life is due, or to be expected.
    fn until_due(&self) -> Option<Duration> {
        let since = self.asked.unwrap_or(self.spoke);
        let due = since.checked_add(self.keep_alive?)?;
        Some(due.saturating_duration_since(Instant::now()) + Duration::from_millis(1))
    }

    fn with_wire<T>(
        &mut self,
        act: impl FnOnce(&mut Wire, &mut BytesMut) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let wire = self.wire.as_mut().ok_or(Error::Offline)?;
        match act(wire, &mut self.input) {
            Ok(done) => Ok(done),
            Err(error) => self.fail(error),
        }
    }

    /// The connection is over.
    fn fail<T>(&mut self, error: Error) -> Result<T, Error> {
        self.wire = None;
        self.input.clear();
        Err(error)
    }
}

/// What may wait to be written before a publish waits.
const OUTPUT_MAX: usize = 1 << 20;
/// What may have been read and not understood as a packet yet, before reading stops.
const INPUT_MAX: usize = 1 << 20;
/// For our last words to be written.
const FAREWELL: Duration = Duration::from_secs(3);
/// For the broker to close after them.
const LINGER: Duration = Duration::from_millis(500);
