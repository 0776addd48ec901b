//! Floor 5. Where the clients of a server come in: from the connection to the name.
//!
//! A thread for each who comes goes through the handshake and hears who that is, in one of the four
//! ways of the protocol (specification 3): so many at once, and of one address so many, within a
//! time, so that who is silent keeps nobody out for long, and nothing longer than a hello is read
//! of a stranger. What somebody has said of itself is believed where nothing is to be shown, and no
//! name that is in use is given to a second. A server's own name is none that a client could have.
//! Absent on purpose: what happens behind the door.

#![expect(clippy::disallowed_types, reason = "a connector reads its own clock")]

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token, Waker};
use sha2::{Digest, Sha256};

use crate::client::aio::tls::Offer;
use crate::client::aio::wire::Wire;
use crate::client::aio::{Error, Security};
use crate::proto::aio::errand::{Errand, Ran};
use crate::proto::aio::{Meaning, Name, Side, inner, meaning};

use super::hall::{Hall, admits};
use super::house::{House, lock};
use super::setup::{Names, Serving};

/// It listens; dropping it ends that.
#[derive(Debug)]
pub(super) struct Gate {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

/// Those who have come and not said who they are.
#[derive(Debug, Default)]
pub(super) struct Callers {
    from: Mutex<BTreeMap<IpAddr, usize>>,
}

impl Callers {
    /// One more from there, if there is room.
    fn enter(&self, from: IpAddr) -> bool {
        let mut all = lock(&self.from);
        let count: usize = all.values().sum();
        let own = all.get(&from).copied().unwrap_or(0);
        if count >= CALLERS_MAX || own >= EACH_MAX {
            return false;
        }
        all.insert(from, own + 1);
        true
    }

    fn leave(&self, from: IpAddr) {
        let mut all = lock(&self.from);
        if let Some(own) = all.get_mut(&from) {
            *own -= 1;
            if *own == 0 {
                all.remove(&from);
            }
        }
    }
}

impl Gate {
    /// Listen, or say why not.
    pub(super) fn open(house: &Arc<House>, serving: &Serving) -> Result<Self, Error> {
        let offer = offer(&house.setup.security, &serving.certificates)?;
        let dial = |e| Error::Dial(Arc::new(e));
        let listener = TcpListener::bind(&house.setup.server).map_err(dial)?;
        let address = listener.local_addr().map_err(Error::io)?;
        listener.set_nonblocking(true).map_err(Error::io)?;
        let mut listener = mio::net::TcpListener::from_std(listener);
        let poll = Poll::new().map_err(Error::io)?;
        poll.registry().register(&mut listener, SOCKET, Interest::READABLE).map_err(Error::io)?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(Error::io)?;
        let over = Arc::new(AtomicBool::new(false));
        let (house, ends) = (Arc::clone(house), Arc::clone(&over));
        let named = std::thread::Builder::new().name("aio-gate".to_owned());
        let thread = named.spawn(move || listen(&house, poll, &listener, offer.as_ref(), &ends));
        Ok(Self { address, over, waker, thread: Some(thread.map_err(Error::io)?) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Where it cannot be woken it ends with the next who comes.
        if self.waker.wake().is_ok()
            && let Some(thread) = self.thread.take()
        {
            // A panic has been told on its thread.
            let _ = thread.join();
        }
    }
}

fn listen(
    house: &Arc<House>,
    mut poll: Poll,
    listener: &mio::net::TcpListener,
    offer: Option<&Offer>,
    over: &AtomicBool,
) {
    let mut events = Events::with_capacity(8);
    let mut most = Some(MINUTE);
    while !over.load(Ordering::Relaxed) {
        match poll.poll(&mut events, most) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => {
                log::error!("no client can come in any more: {e}");
                return;
            }
            _ => {}
        }
        if let Some(hall) = &house.hall {
            hall.halves.on_time(hall.halves.watch.now());
        }
        most = loop {
            match listener.accept() {
                Ok((stream, from)) => let_in(house, stream.into(), from, offer),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break Some(MINUTE),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    // Too many files are open, or somebody was gone already.
                    log::warn!("a client was not let in: {e}");
                    break Some(PAUSE);
                }
            }
        };
    }
}

fn let_in(house: &Arc<House>, stream: TcpStream, from: SocketAddr, offer: Option<&Offer>) {
    let Some(hall) = &house.hall else { return };
    let ip = from.ip();
    if !admits(hall, ip) {
        log::info!("nobody may come from={ip}");
        return;
    }
    if !hall.callers.enter(ip) {
        log::warn!(
            "there are too many who have not said who they are; one was sent away from={ip}"
        );
        return;
    }
    let (theirs, offer) = (Arc::clone(house), offer.cloned());
    let named = std::thread::Builder::new().name("aio-caller".to_owned());
    let greeted = named.spawn(move || {
        let Some(hall) = &theirs.hall else { return };
        let done = greet(&theirs, hall, stream, from, offer.as_ref());
        hall.callers.leave(ip);
        match done {
            // The original looks whether anybody is there before it comes.
            Ok(()) | Err(Error::Lost) => {}
            Err(why) => log::warn!("a client was not let in from={from}: {why}"),
        }
    });
    if let Err(e) = greeted {
        hall.callers.leave(ip);
        log::error!("a client was not let in: {e}");
    }
}

fn greet(
    house: &Arc<House>,
    hall: &Hall,
    stream: TcpStream,
    from: SocketAddr,
    offer: Option<&Offer>,
) -> Result<(), Error> {
    let deadline = Instant::now() + GREETING;
    let session = offer.map(Offer::session).transpose()?;
    let mut wire = match Wire::accept(stream, session, deadline) {
        Err(Error::Io(_)) => return Err(Error::Lost),
        other => other?,
    };
    if let Some(prompt) = hall.serving.prompt {
        wire.prompt(prompt);
    }
    let since = hall.forgotten();
    let mut stranger = Stranger { house, hall, wire, deadline };
    match stranger.login()? {
        Some((name, proven)) => {
            stranger.admit(&name)?;
            hall.enter(house, (&name, proven, since), from, stranger.wire)
        }
        None => {
            stranger.wire.close(Instant::now() + LINGER);
            Ok(())
        }
    }
}

/// Somebody of whom nothing is known yet.
struct Stranger<'a> {
    house: &'a House,
    hall: &'a Hall,
    wire: Wire,
    deadline: Instant,
}

impl Stranger<'_> {
    /// Who it is, and whether it has shown that; none: it was given what it is to show, and comes
    /// back with it.
    fn login(&mut self) -> Result<Option<(Name, bool)>, Error> {
        match &self.house.setup.security {
            Security::Plain => self.hello(false).map(Some),
            Security::AllowAll | Security::Known(_) => self.hello(true).map(Some),
            Security::Certificates(_) => match self.shown()? {
                Ran::Known(name) => Ok(Some((name, true))),
                Ran::Default => self.enrol().map(|()| None),
                _ => Err(Error::Refused("its certificate is nobody's")),
            },
            Security::Token { certificates, .. } => {
                if certificates.is_some() && self.shown()? != Ran::Default {
                    return Err(Error::Refused("it is to show the default certificate"));
                }
                self.token()
            }
        }
    }

    fn hear(&mut self) -> Result<Meaning, Error> {
        let frame = self.wire.hear(self.deadline)?.ok_or(Error::Lost)?;
        Ok(meaning(&frame, Side::Client)?)
    }

    fn hello(&mut self, within_tls: bool) -> Result<(Name, bool), Error> {
        match self.hear()? {
            Meaning::Hello { tls, name } if tls == within_tls => Ok((name.detached(), false)),
            _ => Err(Error::Refused("it was to say hello")),
        }
    }

    /// Whose certificate it has shown.
    fn shown(&self) -> Result<Ran, Error> {
        let shown = self.wire.shown().ok_or(Error::Refused("it has shown no certificate"))?;
        let print = Sha256::digest(shown).into();
        Ok(self.names()?.run(Errand::Identify(print)))
    }

    fn names(&self) -> Result<&dyn Names, Error> {
        let names = self.hall.serving.names.as_deref();
        names.ok_or(Error::Setting("a server that knows no names"))
    }

    /// It may be here under this name.
    fn admit(&self, name: &Name) -> Result<(), Error> {
        match lock(&self.hall.lists).admit_name(name.as_str()) {
            true => Ok(()),
            false => Err(Error::Refused("its name is not to come in")),
        }
    }

    fn enrol(&mut self) -> Result<(), Error> {
        let Meaning::GetCertificate(name) = self.hear()? else {
            return Err(Error::Refused("it was to ask for a certificate"));
        };
        self.admit(&name)?;
        match self.names()?.run(Errand::Certify(name.detached())) {
            Ran::Certified { crt, key } => self.say(&Meaning::SetCertificate { crt, key }),
            _ => Err(Error::Refused("it is none of those who are given a certificate")),
        }
    }

    fn token(&mut self) -> Result<Option<(Name, bool)>, Error> {
        match self.hear()? {
            Meaning::GetToken(name) => {
                self.admit(&name)?;
                match self.names()?.run(Errand::Token(name.detached())) {
                    Ran::Given(token) => self.say(&Meaning::SetToken(token)).map(|()| None),
                    _ => Err(Error::Refused("it is none of those who are given a token")),
                }
            }
            Meaning::Authenticate(name, token) => {
                let name = name.detached();
                if self.names()?.run(Errand::Compare(name.clone(), token)) != Ran::Right {
                    return Err(Error::Refused("its token is not the right one"));
                }
                self.admit(&name)?;
                self.say(&Meaning::Welcome)?;
                Ok(Some((name, true)))
            }
            _ => Err(Error::Refused("it was to show a token")),
        }
    }

    fn say(&mut self, meant: &Meaning) -> Result<(), Error> {
        let frame = inner::frame(meant, self.house.server.as_str());
        self.wire.send(&frame.ok_or(Error::Setting("nothing to say"))?)?;
        self.wire.flush()
    }
}

/// What is shown to who comes, if anything is.
fn offer(security: &Security, dir: &Path) -> Result<Option<Offer>, Error> {
    let asks = match security {
        Security::Plain => return Ok(None),
        Security::AllowAll | Security::Known(_) => false,
        Security::Certificates(_) => true,
        Security::Token { certificates, .. } => certificates.is_some(),
    };
    let folder = dir.join("certificates").join("server").join("server-cert");
    // Until version 1.2.0 it was called otherwise.
    let [path, older] = ["server.pem", "server.crt"].map(|name| folder.join(name));
    let path = if older.exists() && !path.exists() { older } else { path };
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|e| Error::file(path, e));
    let (crt, key) = (read(&path)?, read(&folder.join("server.key"))?);
    if asks { Offer::asking(&crt, &key) } else { Offer::new(&crt, &key) }.map(Some)
}

/// For a handshake and a name.
const GREETING: Duration = Duration::from_secs(10);
/// For who was given something to close.
const LINGER: Duration = Duration::from_secs(2);
/// Those who have come and not said who they are, and those of one address.
const CALLERS_MAX: usize = 256;
const EACH_MAX: usize = 64;
/// Until somebody else is listened to after that failed.
const PAUSE: Duration = Duration::from_millis(200);
/// Until somebody looks after what clients have left that are away.
const MINUTE: Duration = Duration::from_secs(60);
const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_strangers_are_heard_than_there_is_room_for_and_no_address_has_it_all() {
        let callers = Callers::default();
        let from = |last: usize| IpAddr::from([127, 0, 0, u8::try_from(last).expect("small")]);
        for _ in 0..EACH_MAX {
            assert!(callers.enter(from(1)));
        }
        assert!(!callers.enter(from(1)), "of one address");
        for number in EACH_MAX..CALLERS_MAX {
            assert!(callers.enter(from(2 + number / EACH_MAX)));
        }
        assert!(!callers.enter(from(99)), "of all");
        callers.leave(from(1));
        assert!(callers.enter(from(1)));
        (0..EACH_MAX).for_each(|_| callers.leave(from(1)));
        assert!(!lock(&callers.from).contains_key(&from(1)));
    }
}
