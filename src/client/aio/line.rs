//! Floor 5. The thread of a client of aioconnectors: it reads, hands out, writes, and dials again.
//!
//! It never waits for whoever takes what it hands out, so pings are answered and what is numbered
//! is acknowledged whatever an application does. A message with a file is acknowledged when the
//! file is stored, or refused. Absent on purpose: judging frames (`proto/aio/heard`).

#![expect(clippy::disallowed_types, reason = "a client on its own thread reads its own clock")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::base::time::{Deadline, Now};
use crate::proto::aio::file::WithFile;
use crate::proto::aio::heard::{Heard, Listening, What, hear};
use crate::proto::aio::{Frame, Meaning, Side, inner};

use super::attach::{self, Going, Gone};
use super::folders::{Folders, Spool, Stored};
use super::setup::Wish;
use super::wire::{Came, Wire};
use super::{Error, Received, Shared, login};

/// Nanoseconds since the client began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch(Instant);

impl Watch {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn now(self) -> Now {
        let mono = u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Now { mono, wall: 0 }
    }
}

/// Tells everybody that the client has ended, however its thread does.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.desk().end(&Error::Lost);
        self.0.room.notify_all();
        // It has not come to say so where it does otherwise.
        if std::thread::panicking()
            && let Some(taker) = &self.0.plan.taker
        {
            taker.lost();
        }
    }
}

/// From the first connection until the client is over. If there is one already, the desk knows it.
pub(super) fn run(shared: Arc<Shared>, mut folders: Folders, first: Option<Wire>) {
    let _ending = Ending(Arc::clone(&shared));
    // Those of a server do so for all that come to it.
    if shared.plan.guest.is_none() {
        folders.sweep();
    }
    let wire = first.or_else(|| again(&shared, Duration::ZERO));
    let Some(mut wire) = wire else { return };
    loop {
        let error = Live::new(&shared, &mut folders, wire).run();
        let mut desk = shared.desk();
        match shared.plan.again {
            Some(_) if !desk.is_leaving() => desk.on_lost(&error),
            _ => desk.end(&error),
        }
        drop(desk);
        shared.room.notify_all();
        if let Some(taker) = &shared.plan.taker {
            log::info!("the connection with {} is lost: {error}", shared.plan.server.as_str());
            taker.lost();
        }
        let Some(after) = shared.plan.again else { return };
        match again(&shared, after) {
            Some(next) => wire = next,
            None => return,
        }
    }
}

/// Dial until there is a connection, and tell the desk; none: nobody wants one any more.
fn again(shared: &Shared, mut after: Duration) -> Option<Wire> {
    loop {
        let stays = shared.room.wait_timeout_while(shared.desk(), after, |desk| !desk.is_leaving());
        let (mut desk, _) = stays.unwrap_or_else(PoisonError::into_inner);
        if desk.is_leaving() {
            desk.end(&Error::Left);
            return None;
        }
        drop(desk);
        match login::open(&shared.plan) {
            Ok(wire) => {
                shared.desk().on_online(wire.waker());
                shared.room.notify_all();
                return Some(wire);
            }
            Err(error) => {
                let mut desk = shared.desk();
                // The same trouble is told once.
                if shared.plan.taker.is_some()
                    && desk.last().map(ToString::to_string) != Some(error.to_string())
                {
                    log::warn!("no connection to the server: {error}");
                }
                desk.on_failed(error);
            }
        }
        after = match shared.plan.again {
            Some(after) => after,
            None => {
                shared.desk().end(&Error::Lost);
                return None;
            }
        };
    }
}

/// One connection.
struct Live<'a> {
    shared: &'a Shared,
    folders: &'a mut Folders,
    wire: Wire,
    /// The file that comes, and the message it belongs to.
    coming: Option<(Heard, Spool)>,
    /// When the server was last heard.
    heard: Instant,
    /// When it was asked for a sign of life.
    asked: Option<Instant>,
    /// How much its socket had taken, and since when it has taken no more.
    taken: (u64, Instant),
    /// What of the taker's room is ours.
    held: usize,
    /// The socket may say more.
    open: bool,
    /// What was read is not understood to its end.
    behind: bool,
    /// So much waits to be written that not all was taken from callers.
    full: bool,
    /// The file that goes, within a frame that was begun.
    going: Option<Going>,
    /// Files that have gone when these numbers are acknowledged.
    gone: BTreeMap<u64, Gone>,
    /// What is to be said at once when that frame is whole, and its bytes.
    owed: VecDeque<Frame>,
    owed_bytes: usize,
    /// Something was taken that is acknowledged by what is written next.
    vouches: bool,
    /// How often the taker's disk had failed before that.
    failures: u64,
}

impl<'a> Live<'a> {
    fn new(shared: &'a Shared, folders: &'a mut Folders, wire: Wire) -> Self {
        let heard = Instant::now();
        Self {
            shared,
            folders,
            wire,
            coming: None,
            heard,
            asked: None,
            taken: (0, heard),
            held: 0,
            open: true,
            behind: true,
            full: false,
            going: None,
            gone: BTreeMap::new(),
            owed: VecDeque::new(),
            owed_bytes: 0,
            vouches: false,
            failures: 0,
        }
    }

    fn run(mut self) -> Error {
        // What had failed before is not this connection's.
        let mut done = self.secure();
        while done.is_ok() {
            done = self.turn();
        }
        // Room is given back in any case.
        let _ = self.hold(0);
        // The last words may acknowledge something, and are not said if that is not safe.
        if self.secure().is_ok() {
            self.wire.close(Instant::now() + LINGER);
        }
        done.err().unwrap_or(Error::Lost)
    }

    fn turn(&mut self) -> Result<(), Error> {
        let left = self.speak()?;
        self.secure()?;
        self.wire.flush()?;
        if left && self.wire.waiting() == 0 {
            return Err(Error::Left);
        }
        self.keep_alive()?;
        if !self.is_choked() && self.read()? {
            return Ok(());
        }
        // What is left in line has woken this thread once, and nobody does it again.
        if (self.going.is_some() || self.full) && self.wire.waiting() < WRITE_MAX {
            return Ok(());
        }
        let until = self.until();
        self.wire.wait(until)
    }

    /// What is acknowledged by what is written from now on is safe. Else it must not be written:
    /// the other side says it again over another connection.
    fn secure(&mut self) -> Result<(), Error> {
        let Some(taker) = &self.shared.plan.taker else { return Ok(()) };
        let failures = taker.secure();
        if self.vouches && failures != self.failures {
            return Err(Error::Unkept);
        }
        (self.vouches, self.failures) = (false, failures);
        Ok(())
    }

    /// So much waits to be written that nothing more should be heard.
    fn is_choked(&self) -> bool {
        let owed = self.owed.len() > OWED_MAX || self.owed_bytes > 2 * WRITE_MAX;
        self.wire.waiting() > 2 * WRITE_MAX || owed
    }

    /// Take what callers have left; true when nothing will follow.
    fn speak(&mut self) -> Result<bool, Error> {
        let now = self.shared.watch.now();
        self.folders.on_time(now);
        let mut desk = self.shared.desk();
        if let Some(error) = desk.ended() {
            return Err(error.clone());
        }
        desk.on_time(now);
        drop(desk);
        let mut any = false;
        while self.wire.waiting() < WRITE_MAX {
            if self.going.is_some() {
                self.go_on()?;
                continue;
            }
            if let Some(frame) = self.owed.pop_front() {
                self.owed_bytes -= frame.len();
                self.wire.send(&frame)?;
                continue;
            }
            let frame = self.shared.desk().poll_frame(now);
            let Some(frame) = frame else { break };
            self.say(frame)?;
            any = true;
        }
        self.full = self.wire.waiting() >= WRITE_MAX;
        let desk = self.shared.desk();
        let (left, is_full) = (desk.has_left(), desk.is_full());
        drop(desk);
        // Who waits may have begun to wait while this went on.
        if any && !is_full {
            self.shared.room.notify_all();
        }
        Ok(left && self.going.is_none() && self.owed.is_empty())
    }

    /// A message of callers', and the file that it names if such are sent along.
    fn say(&mut self, frame: Frame) -> Result<(), Error> {
        let Some(most) = self.shared.plan.attach.filter(|_| frame.header.with_file.is_some())
        else {
            return self.wire.send(&frame);
        };
        let shared = WithFile::of(&frame).ok().flatten().and_then(|with| attach::shared(&with));
        let (frame, going) = attach::begin(frame, most);
        match going {
            Some(going) if going.left() > 0 => {
                self.wire.send_head(&frame, going.left())?;
                self.going = Some(going);
                Ok(())
            }
            Some(going) => {
                self.wire.send(&frame)?;
                self.on_gone(going.end());
                Ok(())
            }
            None => {
                // It cannot be read, so nothing waits for it.
                self.tell_gone(shared);
                self.wire.send(&frame)
            }
        }
    }

    /// The next piece of the file that goes.
    fn go_on(&mut self) -> Result<(), Error> {
        let Some(going) = &mut self.going else { return Ok(()) };
        match going.next() {
            Ok(Some(piece)) => {
                let len = piece.len() as u64;
                self.wire.send_piece(piece)?;
                self.shared.gone.fetch_add(len, Ordering::Relaxed);
                Ok(())
            }
            Ok(None) => {
                let gone = self.going.take().map(Going::end);
                gone.into_iter().for_each(|gone| self.on_gone(gone));
                Ok(())
            }
            // The frame said how long it is, so there is no way to take it back but this.
            Err(e) => Err(Error::io(e)),
        }
    }

    /// It is sent; where that is waited for, it counts when it is acknowledged.
    fn on_gone(&mut self, gone: Gone) {
        match gone.number {
            Some(number) => drop(self.gone.insert(number, gone)),
            None => self.end_file(&gone),
        }
    }

    fn end_file(&self, gone: &Gone) {
        if gone.goes {
            attach::delete(&gone.path);
        }
        self.tell_gone(gone.shared);
    }

    fn tell_gone(&self, shared: Option<u64>) {
        if let (Some(taker), Some(number)) = (&self.shared.plan.taker, shared) {
            taker.sent(number);
        }
    }

    /// Say this at once, but not within the frame of a file.
    fn utter(&mut self, frame: Frame) -> Result<(), Error> {
        if self.going.is_none() {
            return self.wire.send(&frame);
        }
        self.owed_bytes += frame.len();
        self.owed.push_back(frame);
        Ok(())
    }

    /// Read and hand out; true when there may be more to do.
    fn read(&mut self) -> Result<bool, Error> {
        let before = self.wire.unread();
        // What was not understood yet comes first, so it does not grow.
        if self.open && !self.behind {
            self.open = self.wire.receive()?;
            self.hold(self.wire.unread())?;
        }
        let mut any = self.wire.unread() > before;
        self.behind = false;
        while let Some(came) = self.wire.next()? {
            any = true;
            self.on_came(came)?;
            if self.is_choked() {
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

    fn on_came(&mut self, came: Came) -> Result<(), Error> {
        match came {
            Came::Frame(frame) => {
                let heard = self.hear(frame)?;
                self.on_heard(heard)
            }
            Came::Begin(frame, size) => {
                let heard = self.hear(frame)?;
                match with_file(&heard.what) {
                    Some(with) => {
                        let spool = self.folders.begin(with, size);
                        self.coming = Some((heard, spool));
                        Ok(())
                    }
                    // What follows is passed over.
                    None => self.on_heard(heard),
                }
            }
            Came::More(piece) => {
                if let Some((_, spool)) = &mut self.coming {
                    spool.put(&piece);
                }
                Ok(())
            }
            Came::End => match self.coming.take() {
                Some((heard, spool)) => {
                    let safe = self.promises(&heard);
                    let stored = self.folders.end(self.shared.watch.now(), spool, safe)?;
                    self.hand_out(heard, Some(stored))
                }
                None => Ok(()),
            },
        }
    }

    fn hear(&self, frame: Frame) -> Result<Heard, Error> {
        let plan = &self.shared.plan;
        let from = if plan.guest.is_some() { Side::Client } else { Side::Server };
        let name = plan.guest.as_ref();
        let on = Listening { me: plan.me.as_str(), from, name, ignored: false };
        // An answer may be of any type, so what nobody listens to is dropped where that is known.
        Ok(hear(frame, on, |_| true)?)
    }

    fn on_heard(&mut self, mut heard: Heard) -> Result<(), Error> {
        let Some(with) = with_file(&heard.what) else { return self.hand_out(heard, None) };
        let safe = self.promises(&heard);
        let (What::Message(frame) | What::Answer(frame) | What::Publish(_, frame)) =
            &mut heard.what
        else {
            return Ok(());
        };
        let (own, file) = with.cut(&frame.binary)?;
        frame.binary = own;
        let stored = match (&with.file_error, file) {
            (None, Some(file)) => {
                let mut spool = self.folders.begin(with, file.len() as u64);
                spool.put(&file);
                self.folders.end(self.shared.watch.now(), spool, safe)?
            }
            (why, _) => {
                let why = why.as_ref().map_or("it did not come", |text| text.as_str());
                Stored::Not(why.escape_debug().to_string())
            }
        };
        self.hand_out(heard, Some(stored))
    }

    /// Once it is acknowledged it is kept.
    fn promises(&self, heard: &Heard) -> bool {
        let taker = self.shared.plan.taker.as_ref();
        heard.say.is_some() && taker.is_some_and(|taker| taker.keeps(&heard.what))
    }

    fn hand_out(&mut self, heard: Heard, file: Option<Stored>) -> Result<(), Error> {
        let numbered = heard.say.is_some();
        match heard.what {
            What::Message(frame) | What::Answer(frame) => {
                self.vouches |= self.take(Received { frame, file }, numbered)? && numbered;
            }
            What::Acked(id) => {
                self.shared.desk().on_ack(&id);
                if let Some(gone) = id.number().and_then(|number| self.gone.remove(&number)) {
                    self.end_file(&gone);
                }
                self.shared.room.notify_all();
            }
            What::Subscribe(topics) => self.wished(Wish::Topics(topics)),
            What::Unsubscribe(topics) => self.wished(Wish::NoTopics(topics)),
            What::Publish(topic, frame) => {
                self.vouches |= numbered;
                let received = Box::new(Received { frame, file });
                self.wished(Wish::Publish(topic, received));
            }
            // Nobody asked, or it was said before.
            What::Nothing(_) | What::Login(_) => {}
        }
        match heard.say {
            Some(frame) => self.utter(frame),
            None => Ok(()),
        }
    }

    /// If it cannot be kept and is to be acknowledged, nothing that follows is heard either: it
    /// would overtake this, which is said again over another connection, and finds its file there.
    fn take(&self, received: Received, numbered: bool) -> Result<bool, Error> {
        let Some(taker) = &self.shared.plan.taker else {
            self.shared.desk().on_message(received);
            return Ok(false);
        };
        taker.take(received).or_else(|why| if numbered { Err(why) } else { Ok(false) })
    }

    /// So many bytes are here and not understood yet.
    fn hold(&mut self, now: usize) -> Result<(), Error> {
        let Some(taker) = &self.shared.plan.taker else { return Ok(()) };
        let before = core::mem::replace(&mut self.held, now);
        if taker.holds(before, now) { Ok(()) } else { Err(Error::Full) }
    }

    /// Whoever keeps more than one peer does something about it.
    fn wished(&self, wish: Wish) {
        if let Some(taker) = &self.shared.plan.taker {
            taker.wished(wish);
        }
    }

    fn keep_alive(&mut self) -> Result<(), Error> {
        let Some(period) = self.shared.plan.keep_alive else { return Ok(()) };
        let written = self.wire.written();
        if written != self.taken.0 {
            self.taken = (written, Instant::now());
        }
        if self.going.is_some() || self.wire.waiting() > 0 {
            // What is asked now is heard behind all that, and so is its answer.
            (self.heard, self.asked) = (Instant::now(), None);
            return match self.taken.1.elapsed() > self.shared.plan.stuck {
                true => Err(Error::Silent),
                false => Ok(()),
            };
        }
        match self.asked {
            Some(asked) if asked.elapsed() >= period => Err(Error::Silent),
            None if self.heard.elapsed() >= period => {
                self.asked = Some(Instant::now());
                let me = self.shared.plan.me.as_str();
                if let Some(ping) = inner::frame(&Meaning::Ping("keep_alive".into()), me) {
                    self.utter(ping.with(&b"keep_alive_client_check"[..]))?;
                }
                self.wire.flush()
            }
            _ => Ok(()),
        }
    }

    /// Until something is due that nobody will wake us for.
    fn until(&self) -> Option<Duration> {
        let deadline = self.shared.desk().deadline().min(self.folders.deadline());
        let due = (deadline != Deadline::NEVER)
            .then(|| Duration::from_millis(deadline.ms_left(self.shared.watch.now())));
        let alive = self.shared.plan.keep_alive.map(|period| {
            let since = self.asked.unwrap_or(self.heard);
            period.saturating_sub(since.elapsed()) + Duration::from_millis(1)
        });
        match (due, alive) {
            (Some(due), Some(alive)) => Some(due.min(alive)),
            (due, alive) => due.or(alive),
        }
    }
}

/// The file of a message, if it has one. What makes no sense was passed over before.
fn with_file(what: &What) -> Option<WithFile> {
    match what {
        What::Message(frame) | What::Answer(frame) | What::Publish(_, frame) => {
            WithFile::of(frame).ok().flatten()
        }
        _ => None,
    }
}

/// What may wait for the socket before no more is taken from callers.
const WRITE_MAX: usize = 256 << 10;
/// What is said at once and waits for a file to end, before nothing more is heard.
const OWED_MAX: usize = 10_000;
/// For our last words to be written, and the server to close.
const LINGER: Duration = Duration::from_millis(500);
