//! Floor 5. The two threads of a PRX1 client: one dials and writes, one reads and calls back.
//!
//! The reader never waits for the writer (save when very many acknowledgements are owed), so a
//! broker that stops reading until we read is always read. A connection that has ended is
//! ended for both: the socket is shut, the reader joined, and only then the next one dialled.
//! Absent on purpose: what is said and what an answer means (`desk.rs`).

#![expect(clippy::disallowed_types, reason = "a client on its own threads reads its own clock")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::base::outbound::Outbound;
use crate::base::rng::Rng;
use crate::proto::prx1::decode::BODY_MAX;
use crate::proto::prx1::packet::{ConnAck, Packet};
use crate::proto::prx1::{fault, next};

use super::desk::{Desk, Phase};
use super::receipt::{Disconnected, Message};
use super::setup::look_up;
use super::{Handle, Shared, lock};

/// From Connect to ConnAck.
const ANSWER_DEADLINE: Duration = Duration::from_secs(2);
/// A broker that takes nothing for so long is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// After our goodbye, for the broker to close: closing first could destroy what it has not read.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
const WRITE_BYTES: usize = 64 << 10;
const READ_BYTES: usize = 64 << 10;
/// Pings without a sound, from a broker that used to answer them.
const UNHEARD_MAX: u32 = 3;

const PING: [u8; 2] = [0xc0, 0];
const DISCONNECT: [u8; 2] = [0xe0, 0];

type OnMessage = Box<dyn FnMut(Message, &Handle) + Send>;

pub(super) struct Calls {
    pub(super) message: OnMessage,
    pub(super) connected: Box<dyn FnMut(bool) + Send>,
    pub(super) disconnected: Box<dyn FnMut(Disconnected) + Send>,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            message: Box::new(|_, _| {}),
            connected: Box::new(|_| {}),
            disconnected: Box::new(|_| {}),
        }
    }
}

pub(super) struct Plan {
    pub(super) address: String,
    /// The Connect, encoded.
    pub(super) words: Vec<u8>,
    pub(super) heartbeat: Duration,
    pub(super) backoff: (Duration, Duration),
    pub(super) max_retry: Option<u32>,
    pub(super) dial_timeout: Duration,
}

pub(super) struct Line {
    shared: Arc<Shared>,
    plan: Plan,
    calls: Calls,
    rng: Rng,
}

/// Tells everybody that the client has ended, however its writer does.
struct Ending(Arc<Shared>, Disconnected);

impl Drop for Ending {
    fn drop(&mut self) {
        *lock(&self.0.socket) = None;
        self.0.desk().on_stopped(self.1);
        self.0.room.notify_all();
    }
}

impl Line {
    pub(super) fn new(shared: Arc<Shared>, plan: Plan, calls: Calls, rng: Rng) -> Self {
        Self { shared, plan, calls, rng }
    }

    /// Connect, serve, wait, again; until stopped or out of attempts.
    pub(super) fn run(mut self) {
        let mut ending = Ending(Arc::clone(&self.shared), Disconnected::Forced);
        let mut failures = 0u32;
        let mut pause = Duration::ZERO;
        loop {
            let began = Instant::now();
            let reason = self.attempt();
            (self.calls.disconnected)(reason);
            if self.shared.desk().stopping {
                // A callback that panicked stops the client too.
                let forced = reason == Disconnected::Forced;
                ending.1 = if forced { reason } else { Disconnected::None };
                return;
            }
            // A connection that lived longer than it was waited for ends a row of failures.
            let failed = self.shared.desk().failed.is_some();
            if !failed && began.elapsed() > pause {
                failures = 0;
            }
            failures = failures.saturating_add(1);
            if self.plan.max_retry.is_some_and(|most| failures > most) {
                ending.1 = reason;
                return;
            }
            // Credentials do not mend themselves in a moment.
            let steps = if reason == Disconnected::Rejected { 32 } else { failures - 1 };
            pause = self.pause(steps);
            if !self.sleep(pause) {
                ending.1 = Disconnected::None;
                return;
            }
        }
    }

    fn pause(&mut self, steps: u32) -> Duration {
        let (min, max) = self.plan.backoff;
        let whole = min.saturating_mul(1 << steps.min(20)).min(max);
        let half = whole / 2;
        let jitter = self.rng.below(u64::try_from(half.as_micros()).unwrap_or(u64::MAX));
        whole - Duration::from_micros(jitter)
    }

    /// False when the client is to end.
    fn sleep(&self, pause: Duration) -> bool {
        let desk = self.shared.desk();
        let waited = self.shared.work.wait_timeout_while(desk, pause, |desk| !desk.stopping);
        waited.is_ok_and(|(desk, _)| !desk.stopping)
    }

    /// One connection, from dialling to its end.
    fn attempt(&mut self) -> Disconnected {
        let (stream, input, ack) = match self.dial().and_then(|stream| self.shake(stream)) {
            Ok(accepted) => accepted,
            Err(reason) => {
                *lock(&self.shared.socket) = None;
                self.shared.desk().failed = Some(reason);
                self.shared.room.notify_all();
                return reason;
            }
        };
        self.shared.desk().on_online(ack.session_present);
        self.shared.room.notify_all();
        (self.calls.connected)(ack.session_present);
        let reason = match self.read_beside(&stream, input) {
            Ok(reader) => {
                let reason = self.write(&stream);
                // Wakes the reader, whether it waits for bytes or for room.
                self.shared.desk().ended.get_or_insert(reason);
                self.shared.room.notify_all();
                let _ = stream.shutdown(Shutdown::Both);
                self.take_back(reader, reason)
            }
            Err(reason) => reason,
        };
        *lock(&self.shared.socket) = None;
        self.shared.desk().on_offline();
        self.shared.room.notify_all();
        reason
    }

    fn dial(&self) -> Result<TcpStream, Disconnected> {
        for address in look_up(&self.plan.address) {
            if self.shared.desk().stopping {
                return Err(Disconnected::None);
            }
            let Ok(stream) = TcpStream::connect_timeout(&address, self.plan.dial_timeout) else {
                continue;
            };
            let ready = stream
                .set_nodelay(true)
                .and_then(|()| stream.set_write_timeout(Some(WRITE_TIMEOUT)))
                .and_then(|()| stream.try_clone());
            if let Ok(clone) = ready {
                *lock(&self.shared.socket) = Some(clone);
                return Ok(stream);
            }
        }
        Err(Disconnected::Socket)
    }

    /// Connect, and the first frame that comes back.
    fn shake(&self, mut stream: TcpStream) -> Result<(TcpStream, BytesMut, ConnAck), Disconnected> {
        let socket = |_| Disconnected::Socket;
        stream.write_all(&self.plan.words).map_err(socket)?;
        let deadline = Instant::now() + ANSWER_DEADLINE;
        let mut input = BytesMut::new();
        let mut chunk = [0; 512];
        loop {
            match next(&mut input, BODY_MAX) {
                Ok(Some(packet)) => {
                    let ack = accepted(packet)?;
                    stream.set_read_timeout(None).map_err(socket)?;
                    return Ok((stream, input, ack));
                }
                Ok(None) => {}
                Err(_) => return Err(Disconnected::Forced),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Disconnected::AckDeadline);
            }
            stream.set_read_timeout(Some(left)).map_err(socket)?;
            match stream.read(&mut chunk) {
                Ok(0) => return Err(Disconnected::Socket),
                Ok(n) => input.extend_from_slice(chunk.get(..n).unwrap_or_default()),
                Err(e) if is_timeout(&e) => {}
                Err(_) => return Err(Disconnected::Socket),
            }
        }
    }

    fn read_beside(
        &mut self,
        stream: &TcpStream,
        input: BytesMut,
    ) -> Result<JoinHandle<OnMessage>, Disconnected> {
        let stream = stream.try_clone().map_err(|_| Disconnected::Socket)?;
        let shared = Arc::clone(&self.shared);
        // Comes back with the join; a callback that panicked does not, and ends the client.
        let call = std::mem::replace(&mut self.calls.message, Calls::default().message);
        let name = thread::Builder::new().name("prx1-reader".to_owned());
        let reader = name.spawn(move || read(&Handle { shared }, stream, input, call));
        reader.map_err(|e| {
            log::error!("prx1 client: no thread to read with: {e}");
            self.shared.desk().stop();
            Disconnected::Forced
        })
    }

    fn take_back(&mut self, reader: JoinHandle<OnMessage>, reason: Disconnected) -> Disconnected {
        let joined = reader.join();
        *lock(&self.shared.reader) = None;
        match joined {
            Ok(call) => {
                self.calls.message = call;
                reason
            }
            Err(_) => {
                log::error!("prx1 client: a callback panicked; the client ends");
                self.shared.desk().stop();
                Disconnected::Forced
            }
        }
    }

    /// Write until the connection ends, and say why it did.
    fn write(&self, stream: &TcpStream) -> Disconnected {
        let mut ping_at = Instant::now() + self.plan.heartbeat;
        let mut out = Outbound::default();
        loop {
            let mut desk = self.wait_for_work(ping_at);
            if let Some(reason) = desk.ended {
                return reason;
            }
            desk.poll_transmit(&mut out, WRITE_BYTES);
            let last = desk.stopping && !desk.has_work();
            if out.is_empty() && !last && Instant::now() >= ping_at {
                if desk.pongs && desk.unheard >= UNHEARD_MAX {
                    return Disconnected::Socket;
                }
                desk.unheard += 1;
                out.put_slice(&PING);
            }
            if last {
                out.put_slice(&DISCONNECT);
            }
            drop(desk);
            if !out.is_empty() {
                // Places in the list may have come free.
                self.shared.room.notify_all();
                if (&*stream).write_all(&out.to_vec()).is_err() {
                    return self.shared.desk().ended.unwrap_or(Disconnected::Socket);
                }
                out.clear();
                ping_at = Instant::now() + self.plan.heartbeat;
            }
            if last {
                self.linger(stream);
                return Disconnected::None;
            }
        }
    }

    fn wait_for_work(&self, until: Instant) -> MutexGuard<'_, Desk> {
        let mut desk = self.shared.desk();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if desk.ended.is_some() || desk.stopping || desk.has_work() || left.is_zero() {
                return desk;
            }
            desk = match self.shared.work.wait_timeout(desk, left) {
                Ok((desk, _)) => desk,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    fn linger(&self, stream: &TcpStream) {
        // A socket that is gone has nobody to wait for.
        let _ = stream.shutdown(Shutdown::Write);
        let open = |desk: &mut Desk| desk.ended.is_none();
        let _ = self.shared.work.wait_timeout_while(self.shared.desk(), CLOSE_TIMEOUT, open);
    }
}

/// Both successes: that of every public revision, and that of the 2017 transcript.
fn accepted(packet: Packet) -> Result<ConnAck, Disconnected> {
    match packet {
        Packet::ConnAck(ack) if matches!(ack.result, ConnAck::OK | ConnAck::UNSET) => Ok(ack),
        Packet::ConnAck(_) => Err(Disconnected::Rejected),
        Packet::Disconnect => Err(Disconnected::Disconnect),
        _ => Err(Disconnected::Forced),
    }
}

fn is_timeout(e: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(e.kind(), Interrupted | TimedOut | WouldBlock)
}

/// Tells the writer that the reader has ended, however it does.
struct Ended<'a>(&'a Shared, Disconnected);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let mut desk = self.0.desk();
        desk.ended.get_or_insert(self.1);
        self.0.work.notify_all();
    }
}

fn read(
    handle: &Handle,
    mut stream: TcpStream,
    mut input: BytesMut,
    mut call: OnMessage,
) -> OnMessage {
    let shared = &*handle.shared;
    *lock(&shared.reader) = Some(thread::current().id());
    let mut ended = Ended(shared, Disconnected::Forced);
    let mut chunk = vec![0; READ_BYTES];
    loop {
        if let Err(reason) = understand(handle, &mut input, &mut call) {
            ended.1 = reason;
            return call;
        }
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => input.extend_from_slice(chunk.get(..n).unwrap_or_default()),
            Err(e) if is_timeout(&e) => {}
            Err(_) => break,
        }
    }
    ended.1 = Disconnected::Socket;
    call
}

/// Everything whole in `input`.
fn understand(
    handle: &Handle,
    input: &mut BytesMut,
    call: &mut OnMessage,
) -> Result<(), Disconnected> {
    let shared = &*handle.shared;
    loop {
        let packet = match next(input, BODY_MAX) {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok(()),
            Err(broken) if fault::is_harmless(&broken) => continue,
            Err(broken) => {
                log::warn!("prx1 client: {broken}");
                return Err(Disconnected::Forced);
            }
        };
        let mut desk = shared.desk();
        let heard = desk.on_packet(packet)?;
        let deaf = desk.stopping || desk.phase() != Phase::Online;
        drop(desk);
        shared.room.notify_all();
        // What comes after the goodbye is not acknowledged, so QoS 1 comes again.
        let Some((message, id)) = heard.filter(|_| !deaf) else {
            continue;
        };
        call(message, handle);
        if let Some(id) = id {
            let desk = shared.desk();
            let choked = shared.room.wait_while(desk, |desk| desk.is_choked());
            let mut desk = choked.unwrap_or_else(std::sync::PoisonError::into_inner);
            desk.acknowledge(id);
            shared.work.notify_all();
        }
    }
}
