//! Floor 5. Messages of one type on their way to the application that waits for them at a socket.
//!
//! Whoever reads from the server puts in and never waits; a thread for each type takes out and
//! writes. A type that is kept goes through the disk, is acknowledged when it is there, and waits
//! for as long as nobody listens; of others so many wait as have room while the application is
//! busy, and what comes while nobody listens is dropped, as with the original. What the socket has
//! taken counts as handed over: applications say nothing about it. Absent on purpose: what messages
//! mean.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::client::aio::Message;
use crate::proto::aio::encode_vec;

use super::chest::{Chest, Refused};
use super::house::{House, lock, told};

/// Where messages of one type go.
#[derive(Debug)]
pub(super) struct Outlet {
    socket: PathBuf,
    /// More than one message goes over a connection.
    more: bool,
    queue: Mutex<Queue>,
    /// There is something to hand over, or it is over.
    news: Condvar,
}

#[derive(Debug)]
struct Queue {
    kept: Option<Chest>,
    passing: VecDeque<Vec<u8>>,
    bytes: usize,
    over: bool,
}

/// What is handed over next.
enum Item {
    Kept(u64, Vec<u8>),
    Passing(Vec<u8>),
}

impl Outlet {
    pub(super) fn new(socket: PathBuf, more: bool, kept: Option<Chest>) -> Self {
        let queue = Queue { kept, passing: VecDeque::new(), bytes: 0, over: false };
        Self { socket, more, queue: Mutex::new(queue), news: Condvar::new() }
    }

    /// A message came, and is kept or not. Why it is dropped, and whether it may be kept when it
    /// comes again.
    pub(super) fn put(&self, message: Message) -> Result<bool, (String, bool)> {
        let bytes = encode_vec(&message).map_err(|e| (e.to_string(), false))?;
        let mut queue = lock(&self.queue);
        match &mut queue.kept {
            Some(chest) => match chest.put(&bytes) {
                Ok(()) => {}
                // It would be said again for ever.
                Err(why @ Refused::TooLong) => return Err((why.to_string(), false)),
                Err(why) => return Err((why.to_string(), true)),
            },
            None => {
                let room = queue.passing.is_empty() || queue.bytes + bytes.len() <= BYTES_MAX;
                if !room || queue.passing.len() >= COUNT_MAX {
                    let why = "the application takes them slower than they come";
                    return Err((why.to_owned(), false));
                }
                queue.bytes += bytes.len();
                queue.passing.push_back(bytes);
            }
        }
        let kept = queue.kept.is_some();
        drop(queue);
        self.news.notify_one();
        Ok(kept)
    }

    /// What was put in survives, if it is kept and the disk does not fail.
    pub(super) fn secure(&self) {
        let mut queue = lock(&self.queue);
        if let Some(Err(e)) = queue.kept.as_mut().map(Chest::sync) {
            log::error!("what is kept may not survive: {e}");
        }
    }

    #[cfg(test)]
    pub(super) fn is_kept(&self) -> bool {
        lock(&self.queue).kept.is_some()
    }

    /// Its disk fails from now on, as this does.
    #[cfg(test)]
    pub(super) fn fail(&self, like: &str) {
        lock(&self.queue).kept.as_mut().expect("something is kept").fail(like);
    }

    /// How many wait.
    pub(super) fn len(&self) -> u64 {
        let queue = lock(&self.queue);
        queue.passing.len() as u64 + queue.kept.as_ref().map_or(0, Chest::len)
    }

    /// Throw away what is kept.
    pub(super) fn forget(&self) -> io::Result<()> {
        lock(&self.queue).kept.as_mut().map_or(Ok(()), Chest::clear)
    }

    pub(super) fn close(&self) {
        lock(&self.queue).over = true;
        self.news.notify_all();
    }

    /// Hand over until it is over.
    pub(super) fn run(&self, house: &House) {
        let mut to = None;
        while let Some(item) = self.next() {
            match item {
                Item::Kept(number, bytes) => {
                    while !house.is_over() && self.hand_over(house, &mut to, &bytes).is_err() {
                        self.pause();
                    }
                    if !house.is_over()
                        && let Some(chest) = &mut lock(&self.queue).kept
                    {
                        chest.settle(number);
                    }
                }
                Item::Passing(bytes) => {
                    if let Err(e) = self.hand_over(house, &mut to, &bytes) {
                        told(&house.tally.unwanted, "from peers", &self.why(&e));
                    }
                }
            }
        }
    }

    fn why(&self, e: &io::Error) -> String {
        format!("nobody listens at {}: {e}", self.socket.display())
    }

    /// Wait for the next; none when it is over.
    fn next(&self) -> Option<Item> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.over {
                return None;
            }
            if let Some(bytes) = queue.passing.pop_front() {
                queue.bytes -= bytes.len();
                return Some(Item::Passing(bytes));
            }
            match queue.kept.as_mut().map(Chest::take) {
                Some(Ok(Some((number, bytes)))) => return Some(Item::Kept(number, bytes)),
                None | Some(Ok(None)) => queue = self.wait(queue),
                Some(Err(e)) => {
                    log::error!("a message that was kept cannot be read: {e}");
                    drop(queue);
                    self.pause();
                    queue = lock(&self.queue);
                }
            }
        }
    }

    fn wait<'a>(&'a self, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        self.news.wait(queue).unwrap_or_else(PoisonError::into_inner)
    }

    /// Until it is tried again.
    fn pause(&self) {
        let queue = lock(&self.queue);
        let on = |queue: &mut Queue| !queue.over;
        drop(self.news.wait_timeout_while(queue, PAUSE, on));
    }

    /// Write it to the connection there is, or to a fresh one.
    fn hand_over(
        &self,
        house: &House,
        to: &mut Option<UnixStream>,
        bytes: &[u8],
    ) -> io::Result<()> {
        if let Some(mut stream) = to.take()
            && write(house, &mut stream, bytes).is_ok()
        {
            *to = Some(stream);
            return Ok(());
        }
        let mut stream = UnixStream::connect(&self.socket)?;
        // So that an application that does not read holds up nobody's end.
        stream.set_write_timeout(Some(PAUSE))?;
        write(house, &mut stream, bytes)?;
        *to = self.more.then_some(stream);
        Ok(())
    }
}

/// All of it, however slowly it is taken.
fn write(house: &House, stream: &mut UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => bytes = bytes.get(len..).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                if house.is_over() {
                    return Err(e);
                }
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Messages that wait for an application that is busy, and their bytes.
const COUNT_MAX: usize = 300_000;
const BYTES_MAX: usize = 64 << 20;
/// How long until an application that does not listen is tried again.
const PAUSE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn outlet() -> Outlet {
        Outlet::new(PathBuf::from("/nowhere"), true, None)
    }

    fn message(len: usize) -> Message {
        Message::of("any", "s").with(vec![b'x'; len])
    }

    #[test]
    fn no_more_bytes_wait_than_there_is_room_for_but_one_message_does_whatever_its_length() {
        let outlet = outlet();
        outlet.put(message(BYTES_MAX + 1)).expect("there is nothing else");
        outlet.put(message(0)).expect_err("and nothing more");
        assert!(matches!(outlet.next(), Some(Item::Passing(_))));
        for _ in 0..63 {
            outlet.put(message(1 << 20)).expect("room");
        }
        outlet.put(message(1 << 20)).expect_err("each is longer than its data");
        assert!(matches!(outlet.next(), Some(Item::Passing(_))));
        outlet.put(message(1 << 20)).expect("room again");
        assert_eq!(outlet.len(), 63);
    }

    #[test]
    fn no_more_messages_wait_than_there_is_room_for_however_short() {
        let outlet = outlet();
        for _ in 0..COUNT_MAX {
            outlet.put(message(0)).expect("room");
        }
        outlet.put(message(0)).expect_err("too many");
    }
}
