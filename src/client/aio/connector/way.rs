//! Floor 5. One peer: the connection to it while there is one, and what is kept for it.
//!
//! Messages of types that are kept go through the disk, also while there is a connection: they are
//! deleted when the peer has acknowledged them, so neither side's end loses one. While anything
//! waits there everything goes that way, or what comes later would overtake it. Everything else is
//! for a peer that is there. A client's connector has one such way, to its server, which dials
//! again by itself; a server's has one for each client, which begins when the client comes, and is
//! forgotten when it has left and nothing is kept for it. No lock of these is held while that of
//! the connection is taken. Absent on purpose: who a peer is, and what it says.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::BytesMut;

use crate::client::aio::setup::{Taker, Wish};
use crate::client::aio::{Client, Error, Handle, Message, Received, Text};
use crate::proto::aio::heard::What;
use crate::proto::aio::inner::PING;
use crate::proto::aio::shelf::Kept;
use crate::proto::aio::{encode_vec, next};

use super::chest::{Chest, Refused};
use super::house::{House, Sent, lock};

/// A peer, and how it is reached.
#[derive(Debug)]
pub(super) struct Way {
    /// What it is called.
    pub(super) peer: Text,
    line: Mutex<Line>,
    chest: Option<Mutex<Chest>>,
    /// There is something in the chest, room under way, or a line; or it is over.
    more: Condvar,
    /// The number of the connection that there is, where the peer comes by itself; else 0.
    now: AtomicU64,
    /// It was waited for in vain.
    slow: AtomicBool,
    over: AtomicBool,
}

#[derive(Debug, Default)]
struct Line {
    client: Option<Client>,
    from: Option<SocketAddr>,
    /// Somebody makes a connection.
    busy: bool,
    count: u64,
    forwarding: Option<JoinHandle<()>>,
}

/// What became of a message that was to go this way.
pub(super) enum Went {
    /// That.
    So(Sent),
    /// The way is not used any more: there may be another.
    Over(Box<Message>),
}

impl Way {
    pub(super) fn new(peer: Text, chest: Option<Chest>) -> Self {
        Self {
            peer,
            line: Mutex::default(),
            chest: chest.map(Mutex::new),
            more: Condvar::new(),
            now: AtomicU64::new(0),
            slow: AtomicBool::new(false),
            over: AtomicBool::new(false),
        }
    }

    pub(super) fn handle(&self) -> Option<Handle> {
        lock(&self.line).client.as_ref().map(|client| client.handle.clone())
    }

    pub(super) fn is_online(&self) -> bool {
        self.handle().is_some_and(|handle| handle.is_online())
    }

    /// Where it came from, if it is there.
    pub(super) fn from(&self) -> Option<SocketAddr> {
        let line = lock(&self.line);
        line.from.filter(|_| line.client.is_some())
    }

    /// Begin to dial, unless that was done already.
    pub(super) fn begin(&self, dial: impl FnOnce() -> Result<Client, Error>) -> Result<(), Error> {
        let mut line = lock(&self.line);
        if self.is_over() {
            return Err(Error::Left);
        }
        if line.client.is_none() {
            line.client = Some(dial()?);
        }
        drop(line);
        self.more.notify_all();
        Ok(())
    }

    /// It has come by itself. Who only says its name is refused while somebody has that;
    /// `proven`: it shows more, and takes the other's place. `made` is told its number.
    pub(super) fn enter(
        self: &Arc<Self>,
        house: &Arc<House>,
        (from, proven): (SocketAddr, bool),
        made: impl FnOnce(Arc<dyn Taker>) -> Result<Client, Error>,
    ) -> Result<(), Error> {
        let mut line = lock(&self.line);
        if self.is_over() {
            return Err(Error::Left);
        }
        if line.busy || line.client.is_some() && !proven {
            return Err(Error::Refused("its name is another's who is there"));
        }
        line.busy = true;
        let (before, forwarding) = (line.client.take(), line.forwarding.take());
        drop(line);
        if let Some(before) = before {
            self.now.store(0, Ordering::Relaxed);
            // What had come over it comes before what will come over the next.
            before.cut_and_wait();
            house.gone(&self.peer);
        }
        self.wake();
        if let Some(thread) = forwarding {
            // A panic has been told on its thread.
            let _ = thread.join();
        }
        let mut line = lock(&self.line);
        line.busy = false;
        line.count += 1;
        let number = line.count;
        let seat = Arc::new(Seat { house: Arc::clone(house), way: Arc::clone(self), number });
        // Before it is heard for the first time.
        self.now.store(number, Ordering::Relaxed);
        // Before there is a client to whom nobody would bring anything. It waits for that.
        let made = self.bring(house, number, &mut line).and_then(|()| made(seat));
        let entered = made.map(|client| (line.client, line.from) = (Some(client), Some(from)));
        if entered.is_err() {
            self.now.store(0, Ordering::Relaxed);
        }
        drop(line);
        self.wake();
        entered
    }

    /// A thread that brings what is kept over the connection of this number.
    fn bring(
        self: &Arc<Self>,
        house: &Arc<House>,
        number: u64,
        line: &mut Line,
    ) -> Result<(), Error> {
        if self.chest.is_some() {
            let (way, house) = (Arc::clone(self), Arc::clone(house));
            let named = std::thread::Builder::new().name("aio-kept".to_owned()).stack_size(STACK);
            let forwarding = named.spawn(move || way.forward(&house, number));
            line.forwarding = Some(forwarding.map_err(Error::io)?);
        }
        Ok(())
    }

    /// The connection of this number is lost. Nobody else has the name before `gone` is done.
    fn left(&self, number: u64, gone: impl FnOnce()) -> bool {
        let mut line = lock(&self.line);
        if line.count != number || line.client.is_none() {
            return false;
        }
        let client = line.client.take();
        self.now.store(0, Ordering::Relaxed);
        gone();
        drop(line);
        // It has ended, so this waits for nothing.
        drop(client);
        self.wake();
        true
    }

    /// Whose connection it was, to be ended by the caller. Nobody else has the name before `gone`
    /// is done.
    pub(super) fn hang_up(&self, gone: impl FnOnce()) -> Option<Client> {
        let mut line = lock(&self.line);
        let client = line.client.take();
        self.now.store(0, Ordering::Relaxed);
        if client.is_some() {
            gone();
        }
        drop(line);
        self.wake();
        client
    }

    /// The connection of this number is the one that there is.
    pub(super) fn is_by(&self, number: u64) -> bool {
        self.now.load(Ordering::Relaxed) == number
    }

    /// It is over, for all threads.
    pub(super) fn close(&self) {
        self.over.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// If nobody is there and nothing is kept, it is over, and its place on the disk goes.
    pub(super) fn retire(&self) -> bool {
        let line = lock(&self.line);
        if line.busy || line.client.is_some() {
            return false;
        }
        if let Some(chest) = &self.chest {
            let chest = lock(chest);
            if !chest.is_empty() {
                return false;
            }
            self.over.store(true, Ordering::Relaxed);
            chest.discard();
        }
        self.over.store(true, Ordering::Relaxed);
        true
    }

    fn wake(&self) {
        // Whoever has looked already waits by the time this is to be had.
        drop(self.chest.as_ref().map(lock));
        self.more.notify_all();
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Say this, or keep it. Where somebody else's message would wait behind it, it waits for room
    /// no longer than `most`, and not at all as long as that was in vain.
    pub(super) fn send(&self, keep: &Kept, message: Message, most: Option<Duration>) -> Went {
        let kind = message.header.message_type.as_str();
        let (keeps, pings) = (keep.has(kind), kind == PING);
        if let Some(chest) = &self.chest {
            let mut chest = lock(chest);
            if self.is_over() {
                return Went::Over(Box::new(message));
            }
            // What comes later must not be there earlier; but a ping is answered and never
            // acknowledged, so it would stay.
            if keeps || !chest.is_empty() && !pings {
                let sent = match encode_vec(&message).map(|bytes| chest.put(&bytes)) {
                    Ok(Ok(())) => Sent::Kept,
                    Ok(Err(why @ Refused::Disk(_))) => Sent::Failed(why.to_string()),
                    Ok(Err(why)) => Sent::Not(why.to_string()),
                    Err(e) => Sent::Not(e.to_string()),
                };
                drop(chest);
                self.more.notify_all();
                return Went::So(sent);
            }
        }
        let Some(handle) = self.handle().filter(Handle::is_online) else {
            return Went::So(Sent::Not("there is no connection".to_owned()));
        };
        let slow = self.slow.load(Ordering::Relaxed);
        let most = most.map(|most| if slow { Duration::ZERO } else { most });
        let said = handle.shared.with_room(most, |desk| desk.say(message, None));
        self.slow.store(matches!(said, Err(Error::Full)), Ordering::Relaxed);
        Went::So(match said {
            Ok(()) => Sent::Said,
            Err(error) => Sent::Not(error.to_string()),
        })
    }

    /// Bring what is kept to the peer, until it is over; a number: as long as it is there by the
    /// connection of that number.
    pub(super) fn forward(self: &Arc<Self>, house: &Arc<House>, number: u64) {
        let Some(chest) = &self.chest else { return };
        let seat = Seat { house: Arc::clone(house), way: Arc::clone(self), number };
        let seat: Arc<dyn Taker> = Arc::new(seat);
        let ends = || self.is_over() || number > 0 && !self.is_by(number);
        loop {
            let mut kept = lock(chest);
            while !(ends() || kept.has_next() && kept.under_way() < WINDOW) {
                kept = self.more.wait(kept).unwrap_or_else(PoisonError::into_inner);
            }
            if ends() {
                return;
            }
            let synced = kept.sync();
            drop(kept);
            if let Err(e) = synced {
                log::error!("what is kept may not survive: {e}");
            }
            let Some(handle) = self.handle() else {
                // Nobody dials now. Whoever begins again wakes us, or has done so just now.
                let kept = lock(chest);
                if !ends() {
                    drop(self.more.wait_timeout(kept, PAUSE));
                }
                continue;
            };
            let taken = lock(chest).take();
            match taken {
                Ok(None) => {}
                Ok(Some((kept, bytes))) => self.forward_one(&handle, &seat, kept, &bytes),
                Err(e) => {
                    log::error!("a message that was kept cannot be read: {e}");
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }

    fn forward_one(&self, handle: &Handle, seat: &Arc<dyn Taker>, number: u64, bytes: &[u8]) {
        let frame = next(&mut BytesMut::from(bytes), u32::MAX as usize);
        let Ok(Some(frame)) = frame else {
            log::error!("a message that was kept makes no sense any more");
            self.settled(number, &Ok(()));
            return;
        };
        let taker = Arc::clone(seat);
        let said = handle.shared.with_room(None, |desk| desk.say_kept(frame, taker, number));
        if let Err(error) = said {
            self.settled(number, &Err(error));
        }
    }

    fn settled(&self, number: u64, done: &Result<(), Error>) {
        let Some(chest) = &self.chest else { return };
        let mut chest = lock(chest);
        match done {
            // What can never be said is not tried for ever.
            Ok(()) => chest.settle(number),
            Err(Error::TooLarge) => {
                log::error!("a message that was kept is too long to be sent");
                chest.settle(number);
            }
            Err(_) => chest.put_back(number),
        }
        drop(chest);
        self.more.notify_all();
    }

    /// How many wait for it.
    pub(super) fn waiting(&self) -> u64 {
        let said = self.handle().map_or(0, |handle| handle.shared.desk().waiting() as u64);
        // What is under way is with the connection, or with the peer.
        self.chest.as_ref().map_or(said, |chest| lock(chest).len().max(said))
    }

    /// What is kept survives from now on.
    pub(super) fn secure(&self) {
        if let Some(Err(e)) = self.chest.as_ref().map(|chest| lock(chest).sync()) {
            log::error!("what is kept may not survive: {e}");
        }
    }

    /// Its disk fails from now on, as this does.
    #[cfg(test)]
    pub(super) fn fail(&self, like: &str) {
        lock(self.chest.as_ref().expect("something is kept")).fail(like);
    }

    #[cfg(test)]
    pub(super) fn is_safe(&self) -> bool {
        self.chest.as_ref().is_none_or(|chest| !lock(chest).dirty)
    }

    /// Throw away what is kept and not under way.
    pub(super) fn forget(&self) -> std::io::Result<()> {
        self.chest.as_ref().map_or(Ok(()), |chest| lock(chest).clear())
    }
}

/// Where what a peer says is heard.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) house: Arc<House>,
    pub(super) way: Arc<Way>,
    /// Of its connection, where it comes by itself; else 0.
    pub(super) number: u64,
}

impl Taker for Seat {
    fn take(&self, received: Received) -> Result<bool, Error> {
        self.house.take(&self.way.peer, received)
    }

    fn secure(&self) -> u64 {
        self.house.secure()
    }

    fn lost(&self) {
        if self.number == 0 {
            self.house.gone(&self.way.peer);
        } else if self.way.left(self.number, || self.house.gone(&self.way.peer)) {
            self.house.retire(&self.way);
        }
    }

    fn settled(&self, number: u64, done: &Result<(), Error>) {
        self.way.settled(number, done);
    }

    fn sent(&self, shared: u64) {
        self.house.sent(&self.way.peer, shared);
    }

    fn holds(&self, before: usize, now: usize) -> bool {
        self.house.holds(before, now)
    }

    fn keeps(&self, what: &What) -> bool {
        self.house.keeps(what)
    }

    fn wished(&self, wish: Wish) {
        self.house.wished(&self.way, self.number, wish);
    }
}

/// How many kept messages are with the connection at a time.
const WINDOW: usize = 64;
/// How often is looked again for what nobody tells.
const PAUSE: Duration = Duration::from_millis(200);
/// What a thread needs.
const STACK: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn with_client() -> Way {
        let way = Way::new("ann".into(), None);
        let client = Client::builder("127.0.0.1:1", "ann").begin().expect("it begins");
        {
            let mut line = lock(&way.line);
            (line.client, line.count) = (Some(client), 1);
        }
        way
    }

    #[test]
    fn nobody_else_has_the_name_before_the_end_of_its_connection_is_done() {
        let way = with_client();
        assert!(way.left(1, || assert!(way.line.try_lock().is_err())));
        let way = with_client();
        assert!(way.hang_up(|| assert!(way.line.try_lock().is_err())).is_some());
    }
}
