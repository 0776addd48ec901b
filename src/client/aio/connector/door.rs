//! Floor 5. The sockets of a connector: who comes in is served by a thread of its own.
//!
//! A socket is made where nobody else looks, closed to everybody but its owner, and moved to its
//! place; so there is no moment at which others could use it. The folder must be its owner's and
//! closed to others' writing, or somebody else could stand where applications are looked for
//! (specification 12, items 12 and 13). What a connector that ended badly has left behind is
//! replaced; one that answers is not. Absent on purpose: what is said.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::net::Shutdown;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use mio::{Events, Interest, Poll, Token, Waker};

use crate::client::aio::Error;
use crate::client::pipe::seed;

use super::house::{House, lock};
use super::setup::Setup;
use super::{counter, orders};

/// Both sockets, and who has come in.
#[derive(Debug)]
pub(super) struct Door {
    poll: Poll,
    listeners: Vec<(mio::net::UnixListener, For)>,
    paths: Vec<PathBuf>,
    guests: Arc<Guests>,
}

/// What a socket is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum For {
    Sending,
    Orders,
}

/// The connections that are open, so that they can be ended.
#[derive(Debug, Default)]
pub(super) struct Guests {
    all: Mutex<BTreeMap<u64, (UnixStream, bool)>>,
}

impl Guests {
    /// One more, if there is room for it.
    fn enter(&self, number: u64, stream: &UnixStream, sends: bool) -> io::Result<bool> {
        let mut all = lock(&self.all);
        let alike = all.values().filter(|(_, it)| *it == sends).count();
        if alike >= if sends { SENDERS_MAX } else { ORDERS_MAX } {
            return Ok(false);
        }
        all.insert(number, (stream.try_clone()?, sends));
        Ok(true)
    }

    /// Hang up on everybody.
    pub(super) fn send_away(&self) {
        for (stream, _) in lock(&self.all).values() {
            // Who has left already needs no more.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Door {
    /// Listen, or say why not.
    pub(super) fn open(setup: &Setup) -> Result<Self, Error> {
        let dir = &setup.directory;
        let wrong = |e: io::Error| Error::file(dir, e);
        if !dir.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(wrong)?;
        }
        let poll = Poll::new().map_err(wrong)?;
        let mut door =
            Self { poll, listeners: Vec::new(), paths: Vec::new(), guests: Arc::default() };
        for (path, what) in [(setup.sender(), For::Sending), (setup.commander(), For::Orders)] {
            let listener = bind(dir, &path)?;
            door.paths.push(path);
            listener.set_nonblocking(true).map_err(wrong)?;
            let mut listener = mio::net::UnixListener::from_std(listener);
            let token = Token(door.listeners.len());
            let registry = door.poll.registry();
            registry.register(&mut listener, token, Interest::READABLE).map_err(wrong)?;
            door.listeners.push((listener, what));
        }
        Ok(door)
    }

    /// What ends [`Door::run`] when the house is over.
    pub(super) fn waker(&self) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), WAKER)
    }

    pub(super) fn guests(&self) -> Arc<Guests> {
        Arc::clone(&self.guests)
    }

    /// Let in who comes, until it is over.
    pub(super) fn run(mut self, house: &Arc<House>) {
        let mut events = Events::with_capacity(8);
        let mut number = 0;
        while !house.is_over() {
            match self.poll.poll(&mut events, None) {
                Err(e) if e.kind() != io::ErrorKind::Interrupted => {
                    log::error!("nobody can come in any more: {e}");
                    return;
                }
                _ => {}
            }
            for (listener, what) in &self.listeners {
                while let Ok((stream, _)) = listener.accept() {
                    number += 1;
                    if let Err(e) = self.let_in(house, number, stream.into(), *what) {
                        log::warn!("an application was not let in: {e}");
                    }
                }
            }
        }
    }

    fn let_in(
        &self,
        house: &Arc<House>,
        number: u64,
        stream: UnixStream,
        what: For,
    ) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        if !self.guests.enter(number, &stream, what == For::Sending)? {
            return Err(io::Error::other("there are too many already"));
        }
        let (theirs, guests) = (Arc::clone(house), Arc::clone(&self.guests));
        let named = std::thread::Builder::new().name("aio-application".to_owned());
        let thread = named.stack_size(STACK).spawn(move || {
            match what {
                For::Sending => counter::serve(&theirs, stream),
                For::Orders => orders::serve(&theirs, stream),
            }
            lock(&guests.all).remove(&number);
        });
        if let Err(e) = thread {
            lock(&self.guests.all).remove(&number);
            return Err(e);
        }
        Ok(())
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        for path in &self.paths {
            // It may be gone already.
            let _ = fs::remove_file(path);
        }
    }
}

/// A socket at this path in this folder, for its owner only.
fn bind(dir: &Path, path: &Path) -> Result<UnixListener, Error> {
    if UnixStream::connect(path).is_ok() {
        return Err(Error::file(path, "somebody listens here already"));
    }
    let private = dir.join(format!(".spindle-{:08x}", seed() as u32));
    let wrong = |e: io::Error| Error::file(path, e);
    DirBuilder::new().mode(0o700).create(&private).map_err(wrong)?;
    let made = || -> io::Result<UnixListener> {
        let (found, own) = (fs::metadata(dir)?, fs::metadata(&private)?);
        let ours = found.uid() == own.uid() || found.uid() == 0;
        if !ours || found.mode() & 0o022 != 0 {
            let why = format!("others than its owner may write into {}", dir.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        let at = private.join("s");
        let listener = UnixListener::bind(&at)?;
        let moved = fs::set_permissions(&at, Permissions::from_mode(0o600))
            .and_then(|()| fs::rename(&at, path));
        if moved.is_err() {
            fs::remove_file(&at)?;
        }
        moved.map(|()| listener)
    };
    let listener = made().map_err(wrong);
    // It is empty by now.
    let _ = fs::remove_dir(&private);
    listener
}

/// Applications that send, of which many may wait for an answer.
const SENDERS_MAX: usize = 1_100;
/// And those that give orders.
const ORDERS_MAX: usize = 16;
/// What a thread needs.
const STACK: usize = 256 << 10;
const WAKER: Token = Token(usize::MAX);

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of a test's own.
    struct Dir(PathBuf);

    impl Dir {
        fn new(mode: u32) -> Self {
            let path = std::env::temp_dir().join(format!("spindle-aio-door-{:x}", seed()));
            fs::create_dir(&path).expect("a folder");
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its own");
            Self(path)
        }

        fn setup(&self) -> Setup {
            Setup::new("127.0.0.1:1", "me", &self.0)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn sockets_are_for_their_owner_and_go_with_the_door() {
        let dir = Dir::new(0o755);
        let setup = dir.setup();
        let door = Door::open(&setup).expect("it opens");
        for path in [setup.sender(), setup.commander()] {
            let mode = fs::metadata(&path).expect("it is there").mode();
            assert_eq!(mode & 0o7777, 0o600);
        }
        assert_eq!(fs::read_dir(&dir.0).expect("a folder").count(), 2, "and nothing else");
        drop(door);
        assert_eq!(fs::read_dir(&dir.0).expect("a folder").count(), 0);
    }

    #[test]
    fn a_socket_that_answers_is_not_replaced_and_one_that_was_left_behind_is() {
        let dir = Dir::new(0o700);
        let setup = dir.setup();
        let door = Door::open(&setup).expect("it opens");
        assert!(matches!(Door::open(&setup), Err(Error::File(_))));
        assert!(UnixStream::connect(setup.sender()).is_ok(), "the first still has it");
        drop(door);
        drop(UnixListener::bind(setup.sender()).expect("bound"));
        assert!(setup.sender().exists(), "nobody listens there any more");
        Door::open(&setup).expect("it is replaced");
    }

    #[test]
    fn a_folder_into_which_others_may_write_is_not_used() {
        for mode in [0o777, 0o1777, 0o770] {
            let dir = Dir::new(mode);
            assert!(matches!(Door::open(&dir.setup()), Err(Error::File(_))), "{mode:o}");
            assert_eq!(fs::read_dir(&dir.0).expect("a folder").count(), 0);
        }
    }

    #[test]
    fn no_more_come_in_than_there_is_room_for() {
        let guests = Guests::default();
        let (one, _other) = UnixStream::pair().expect("a pair");
        for number in 2_000..2_000 + ORDERS_MAX as u64 {
            assert!(guests.enter(number, &one, true).expect("a copy"));
        }
        for number in 0..ORDERS_MAX as u64 {
            assert!(guests.enter(number, &one, false).expect("a copy"));
        }
        assert!(!guests.enter(999, &one, false).expect("a copy"));
        assert!(guests.enter(1_000, &one, true).expect("a copy"), "those are counted apart");
    }
}
