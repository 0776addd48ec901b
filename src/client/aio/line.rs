//! Floor 5. The thread of a client of aioconnectors: it reads, hands out, writes, and dials again.
//!
//! It never waits for whoever takes what it hands out, so pings are answered and what is numbered
//! is acknowledged whatever an application does. A message with a file is acknowledged when the
//! file is stored, or refused. Absent on purpose: judging frames (`proto/aio/heard`).

#![expect(clippy::disallowed_types, reason = "a client on its own thread reads its own clock")]

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::base::time::{Deadline, Now};
use crate::proto::aio::file::WithFile;
use crate::proto::aio::heard::{Heard, Listening, What, hear};
use crate::proto::aio::{Frame, Meaning, Side, inner};

use super::folders::{Folders, Spool, Stored};
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
    }
}

/// From the first connection, of which the desk knows, until the client is over.
pub(super) fn run(shared: Arc<Shared>, mut folders: Folders, first: Wire) {
    let _ending = Ending(Arc::clone(&shared));
    let mut wire = first;
    loop {
        let error = Live::new(&shared, &mut folders, wire).run();
        let mut desk = shared.desk();
        match shared.plan.again {
            Some(_) if !desk.is_leaving() => desk.on_lost(&error),
            _ => desk.end(&error),
        }
        drop(desk);
        shared.room.notify_all();
        match again(&shared) {
            Some(next) => wire = next,
            None => return,
        }
        shared.desk().on_online(wire.waker());
        shared.room.notify_all();
    }
}

/// Dial until there is a connection; none: nobody wants one any more.
fn again(shared: &Shared) -> Option<Wire> {
    let after = shared.plan.again?;
    loop {
        let stays = shared.room.wait_timeout_while(shared.desk(), after, |desk| !desk.is_leaving());
        let (mut desk, _) = stays.unwrap_or_else(PoisonError::into_inner);
        if desk.is_leaving() {
            desk.end(&Error::Left);
            return None;
        }
        drop(desk);
        match login::open(&shared.plan) {
            Ok(wire) => return Some(wire),
            Err(error) => shared.desk().on_failed(error),
        }
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
    /// The socket may say more.
    open: bool,
    /// What was read is not understood to its end.
    behind: bool,
}

impl<'a> Live<'a> {
    fn new(shared: &'a Shared, folders: &'a mut Folders, wire: Wire) -> Self {
        let heard = Instant::now();
        Self { shared, folders, wire, coming: None, heard, asked: None, open: true, behind: true }
    }

    fn run(mut self) -> Error {
        let error = loop {
            if let Err(error) = self.turn() {
                break error;
            }
        };
        self.wire.close(Instant::now() + LINGER);
        error
    }

    fn turn(&mut self) -> Result<(), Error> {
        let left = self.speak()?;
        self.wire.flush()?;
        if left && self.wire.waiting() == 0 {
            return Err(Error::Left);
        }
        let choked = self.wire.waiting() > 2 * WRITE_MAX;
        if !choked {
            self.keep_alive()?;
            if self.read()? {
                return Ok(());
            }
        }
        let until = self.until();
        self.wire.wait(until)
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
        let was_full = desk.is_full();
        while self.wire.waiting() < WRITE_MAX {
            let Some(frame) = desk.poll_frame(now) else { break };
            self.wire.send(&frame)?;
        }
        let (left, is_full) = (desk.has_left(), desk.is_full());
        drop(desk);
        if was_full && !is_full {
            self.shared.room.notify_all();
        }
        Ok(left)
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
        while let Some(came) = self.wire.next()? {
            any = true;
            self.on_came(came)?;
            if self.wire.waiting() > 2 * WRITE_MAX {
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
                    let stored = self.folders.end(self.shared.watch.now(), spool);
                    self.hand_out(heard, Some(stored))
                }
                None => Ok(()),
            },
        }
    }

    fn hear(&self, frame: Frame) -> Result<Heard, Error> {
        let me = self.shared.plan.name.as_str();
        let on = Listening { me, from: Side::Server, name: None, ignored: false };
        // An answer may be of any type, so what nobody listens to is dropped where that is known.
        Ok(hear(frame, on, |_| true)?)
    }

    fn on_heard(&mut self, mut heard: Heard) -> Result<(), Error> {
        let Some(with) = with_file(&heard.what) else { return self.hand_out(heard, None) };
        let (What::Message(frame) | What::Answer(frame)) = &mut heard.what else { return Ok(()) };
        let (own, file) = with.cut(&frame.binary)?;
        frame.binary = own;
        let stored = match (&with.file_error, file) {
            (None, Some(file)) => {
                let mut spool = self.folders.begin(with, file.len() as u64);
                spool.put(&file);
                self.folders.end(self.shared.watch.now(), spool)
            }
            (why, _) => {
                let why = why.as_ref().map_or("it did not come", |text| text.as_str());
                Stored::Not(why.escape_debug().to_string())
            }
        };
        self.hand_out(heard, Some(stored))
    }

    fn hand_out(&mut self, heard: Heard, file: Option<Stored>) -> Result<(), Error> {
        match heard.what {
            What::Message(frame) | What::Answer(frame) => {
                self.shared.desk().on_message(Received { frame, file });
            }
            What::Acked(id) => {
                self.shared.desk().on_ack(&id);
                self.shared.room.notify_all();
            }
            // Nobody asked, or only servers are told so.
            What::Nothing(_)
            | What::Login(_)
            | What::Publish(..)
            | What::Subscribe(_)
            | What::Unsubscribe(_) => {}
        }
        match &heard.say {
            Some(frame) => self.wire.send(frame),
            None => Ok(()),
        }
    }

    fn keep_alive(&mut self) -> Result<(), Error> {
        let Some(period) = self.shared.plan.keep_alive else { return Ok(()) };
        match self.asked {
            Some(asked) if asked.elapsed() >= period => Err(Error::Silent),
            None if self.heard.elapsed() >= period => {
                self.asked = Some(Instant::now());
                let me = self.shared.plan.name.as_str();
                if let Some(ping) = inner::frame(&Meaning::Ping("keep_alive".into()), me) {
                    self.wire.send(&ping.with(&b"keep_alive_client_check"[..]))?;
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
        What::Message(frame) | What::Answer(frame) => WithFile::of(frame).ok().flatten(),
        _ => None,
    }
}

/// What may wait for the socket before no more is taken from callers.
const WRITE_MAX: usize = 256 << 10;
/// For our last words to be written, and the server to close.
const LINGER: Duration = Duration::from_millis(500);
