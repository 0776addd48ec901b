//! Floor 2. Sessions that are spoken to by requests: what waits to be fetched, and who waits.
//!
//! Such a session is a connection like any other, but without a socket. What it says is laid down
//! here until somebody fetches it; when too much lies here it says nothing more, as if a socket
//! took nothing. Whoever knows its name may speak for it, so names cannot be guessed. What an ended
//! one said last is kept for a while; one that said nothing is gone. Absent on purpose: requests,
//! frames, and how the session speaks.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::base::id::ConnId;
use crate::base::map::{Map, Seed};
use crate::base::time::{Deadline, MS, Now};
use crate::link::Carrier;

use super::Hub;
use super::cookies::Cookies;
use super::message::Charge;

/// The name of a session that is spoken to by requests.
pub type Name = [u8; 16];

/// A message, in the pieces that it was said in.
pub type Pieces = Vec<Bytes>;

/// One such session.
#[derive(Debug)]
pub struct Poll {
    /// Its connection, as long as it lives.
    pub conn: Option<ConnId>,
    /// How it speaks.
    pub carrier: Carrier,
    /// It takes more now.
    pub takes: bool,
    /// It has not said who it is.
    pub stranger: bool,
    /// Who waits for what it says next.
    fetcher: Option<ConnId>,
    down: VecDeque<Pieces>,
    bytes: usize,
    /// What all that takes of the memory.
    charge: Charge,
    /// Once it is over: until when what it said last is kept.
    until: u64,
}

/// What came of fetching.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fetched {
    /// These, at least one.
    Some(Vec<Pieces>),
    /// Nothing yet.
    Nothing,
    /// Somebody else waits now, or there will never be anything.
    Over,
}

/// All of them.
#[derive(Debug)]
pub struct Polls {
    key: [u64; 4],
    drawn: u64,
    all: Map<Name, Poll>,
    names: Map<ConnId, Name>,
    /// How many of them have not said who they are.
    strangers: usize,
    /// Ended ones, and until when what they said last is kept.
    ended: BTreeSet<(u64, Name)>,
    /// What is given to whoever comes by HTTP, with or without a socket.
    pub cookies: Cookies,
}

impl Polls {
    /// None.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let maps = Seed::with_seed(seed);
        Self {
            key: [seed; 4],
            drawn: 0,
            all: Map::with_hasher(maps.clone()),
            names: Map::with_hasher(maps),
            strangers: 0,
            ended: BTreeSet::new(),
            cookies: Cookies::new(Seed::with_seed(seed), seed),
        }
    }

    /// From now on names are made with this, which nobody knows.
    pub fn seal(&mut self, key: [u64; 4]) {
        self.key = key;
        self.cookies.seal(key);
    }

    /// One more; the charge grows with what waits.
    fn open(&mut self, conn: ConnId, carrier: Carrier, charge: Charge) -> Name {
        self.drawn += 1;
        let mut digest = Sha256::new();
        for word in self.key.iter().chain([&self.drawn]) {
            digest.update(word.to_le_bytes());
        }
        let digest: [u8; 32] = digest.finalize().into();
        let name = *digest.first_chunk::<16>().unwrap_or(&[0; 16]);
        let poll = Poll {
            conn: Some(conn),
            carrier,
            takes: true,
            stranger: true,
            fetcher: None,
            down: VecDeque::new(),
            bytes: 0,
            charge,
            until: 0,
        };
        self.strangers += 1;
        self.all.insert(name, poll);
        self.names.insert(conn, name);
        name
    }

    /// The session of this name.
    #[must_use]
    pub fn get(&self, name: &Name) -> Option<&Poll> {
        self.all.get(name)
    }

    /// The session that this connection is.
    #[must_use]
    pub fn of(&self, conn: ConnId) -> Option<&Poll> {
        self.all.get(self.names.get(&conn)?)
    }

    /// How it is with the session that this connection is.
    pub fn tell(&mut self, conn: ConnId, takes: bool, stranger: bool) {
        let poll = self.names.get(&conn).and_then(|name| self.all.get_mut(name));
        if let Some(poll) = poll {
            self.strangers -= usize::from(poll.stranger);
            self.strangers += usize::from(stranger);
            (poll.takes, poll.stranger) = (takes, stranger);
        }
    }

    /// How many have not said who they are, those that ended before they did among them.
    #[must_use]
    pub fn strangers(&self) -> usize {
        self.strangers
    }

    /// How many there are, those that ended among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// When what an ended one said last is forgotten.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        self.ended.first().map(|(until, _)| Deadline(*until))
    }

    /// What nobody fetched in time is forgotten.
    pub fn forget(&mut self, now: Now) {
        while let Some((until, name)) = self.ended.first().copied()
            && now.reached(Deadline(until))
        {
            self.remove(&name);
        }
    }

    fn remove(&mut self, name: &Name) {
        let Some(poll) = self.all.remove(name) else { return };
        self.strangers -= usize::from(poll.stranger);
        self.ended.remove(&(poll.until, *name));
    }
}

impl Hub {
    /// One more session that is spoken to by requests: this connection.
    pub fn open_poll(&mut self, conn: ConnId, carrier: Carrier) -> Name {
        let charge = self.weigh(0);
        self.polls.open(conn, carrier, charge)
    }

    /// A session said this; whoever waits for it is woken.
    pub fn lay_down(&mut self, conn: ConnId, message: Pieces) {
        let Some(name) = self.polls.names.get(&conn) else { return };
        let Some(poll) = self.polls.all.get_mut(name) else { return };
        poll.bytes += len_of(&message);
        poll.charge.set(poll.charge.bytes() + weight_of(&message));
        poll.down.push_back(message);
        self.awake.extend(poll.fetcher);
    }

    /// So much waits to be fetched that it says no more.
    #[must_use]
    pub fn is_laden(&self, conn: ConnId) -> bool {
        let most = self.limits.wamp_poll_bytes_max;
        self.polls.of(conn).is_some_and(|poll| poll.bytes >= most)
    }

    /// This connection fetches what the session says, from now on and instead of any other.
    pub fn begin_fetch(&mut self, name: &Name, by: ConnId) {
        let Some(poll) = self.polls.all.get_mut(name) else { return };
        let before = poll.fetcher.replace(by).filter(|other| *other != by);
        self.awake.extend(before);
    }

    /// It does so no longer.
    pub fn end_fetch(&mut self, name: &Name, by: ConnId) {
        if let Some(poll) = self.polls.all.get_mut(name) {
            poll.fetcher.take_if(|fetcher| *fetcher == by);
        }
    }

    /// Somebody waits for what this session says.
    #[must_use]
    pub fn is_awaited(&self, conn: ConnId) -> bool {
        self.polls.of(conn).is_some_and(|poll| poll.fetcher.is_some())
    }

    /// What there is for who waits: the first message, or all of them up to about so many bytes.
    pub fn fetch(&mut self, name: &Name, by: ConnId, all: bool) -> Fetched {
        let most = self.limits.wamp_poll_bytes_max;
        let Some(poll) = self.polls.all.get_mut(name) else { return Fetched::Over };
        if poll.fetcher != Some(by) {
            return Fetched::Over;
        }
        let (mut taken, mut len, mut weight) = (Vec::new(), 0, 0);
        while (taken.is_empty() || all && len < most)
            && let Some(message) = poll.down.pop_front()
        {
            len += len_of(&message);
            weight += weight_of(&message);
            taken.push(message);
        }
        poll.bytes = poll.bytes.saturating_sub(len);
        poll.charge.set(poll.charge.bytes().saturating_sub(weight));
        let ends = poll.conn.is_none() && poll.down.is_empty();
        match (taken.is_empty(), poll.conn) {
            (true, Some(_)) => return Fetched::Nothing,
            (true, None) => return Fetched::Over,
            (false, _) => poll.fetcher = None,
        }
        // There is room again.
        self.awake.extend(poll.conn);
        if ends {
            self.polls.remove(name);
        }
        Fetched::Some(taken)
    }

    /// The session is over; what it said last, if anything, may still be fetched.
    pub fn end_poll(&mut self, now: Now, conn: ConnId) {
        let Some(name) = self.polls.names.remove(&conn) else { return };
        let Some(poll) = self.polls.all.get_mut(&name) else { return };
        (poll.conn, poll.takes) = (None, false);
        self.awake.extend(poll.fetcher);
        if poll.down.is_empty() {
            return self.polls.remove(&name);
        }
        poll.until = now.mono.saturating_add(self.limits.wamp_poll_ms.saturating_mul(MS));
        self.polls.ended.insert((poll.until, name));
    }
}

fn len_of(message: &Pieces) -> usize {
    message.iter().map(Bytes::len).sum()
}

/// What it takes of the memory, about, while it waits.
fn weight_of(message: &Pieces) -> usize {
    size_of::<Pieces>()
        + message.iter().map(|piece| size_of::<Bytes>() + piece.len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::Limits;
    use crate::hub::Parts;
    use crate::hub::policy::{Event, Observer, Open};

    struct Quiet;
    impl Observer for Quiet {
        fn see(&mut self, _: Now, _: &Event<'_>) {}
    }

    fn hub() -> Hub {
        let (policy, observer) = (Box::new(Open), Box::new(Quiet));
        let limits = Limits { wamp_poll_bytes_max: 10, wamp_poll_ms: 5, ..Limits::default() };
        Hub::new(Parts { limits, seed: 7, realms: vec!["main".into()], policy, observer })
    }

    const fn conn(index: u32) -> ConnId {
        ConnId { index, life: 0 }
    }

    fn said(text: &'static [u8]) -> Pieces {
        let (one, two) = text.split_at(1);
        vec![Bytes::from_static(one), Bytes::from_static(two)]
    }

    const NOW: Now = Now { mono: 0, wall: 0 };

    #[test]
    fn names_depend_on_what_nobody_knows_and_never_come_again() {
        let mut hub = hub();
        let mut names: Vec<Name> = Vec::new();
        for key in [[1, 2, 3, 4], [1, 2, 3, 5], [0, 2, 3, 4]] {
            hub.polls.seal(key);
            hub.polls.drawn = 0;
            names.extend((0..3).map(|n| hub.open_poll(conn(n), Carrier::Json)));
        }
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn what_waits_is_counted_until_it_is_fetched() {
        let mut hub = hub();
        let name = hub.open_poll(conn(1), Carrier::Json);
        hub.lay_down(conn(1), said(b"12345"));
        assert!(!hub.is_laden(conn(1)));
        hub.lay_down(conn(1), said(b"67890"));
        assert!(hub.is_laden(conn(1)));
        hub.begin_fetch(&name, conn(2));
        assert_eq!(hub.fetch(&name, conn(2), false), Fetched::Some(vec![said(b"12345")]));
        assert!(!hub.is_laden(conn(1)) && !hub.is_awaited(conn(1)));
        assert_eq!(hub.fetch(&name, conn(2), false), Fetched::Over, "it has what it asked for");
        // A batch ends behind the message with which it is long enough.
        for text in [b"abcde", b"fghij"] {
            hub.lay_down(conn(1), said(text));
        }
        hub.begin_fetch(&name, conn(2));
        let batch = vec![said(b"67890"), said(b"abcde")];
        assert_eq!(hub.fetch(&name, conn(2), true), Fetched::Some(batch));
        hub.begin_fetch(&name, conn(2));
        assert_eq!(hub.fetch(&name, conn(2), true), Fetched::Some(vec![said(b"fghij")]));
        hub.begin_fetch(&name, conn(2));
        assert_eq!(hub.fetch(&name, conn(2), true), Fetched::Nothing);
    }

    #[test]
    fn who_waits_is_woken_and_a_later_one_takes_its_place() {
        let mut hub = hub();
        let name = hub.open_poll(conn(1), Carrier::Json);
        hub.begin_fetch(&name, conn(2));
        hub.begin_fetch(&name, conn(3));
        assert_eq!(core::mem::take(&mut hub.awake), [conn(2)]);
        assert_eq!(hub.fetch(&name, conn(2), false), Fetched::Over);
        hub.end_fetch(&name, conn(2));
        assert!(hub.is_awaited(conn(1)), "whose place was taken takes none away");
        hub.lay_down(conn(1), said(b"x"));
        assert_eq!(core::mem::take(&mut hub.awake), [conn(3)]);
        assert!(matches!(hub.fetch(&name, conn(3), false), Fetched::Some(_)));
        // There is room again.
        assert_eq!(core::mem::take(&mut hub.awake), [conn(1)]);
        hub.begin_fetch(&name, conn(3));
        hub.end_fetch(&name, conn(3));
        assert!(!hub.is_awaited(conn(1)));
        hub.lay_down(conn(1), said(b"y"));
        assert!(hub.awake.is_empty());
    }

    #[test]
    fn what_an_ended_one_said_last_is_kept_for_a_while_and_then_forgotten() {
        let mut hub = hub();
        let name = hub.open_poll(conn(1), Carrier::Json);
        hub.lay_down(conn(1), said(b"bye"));
        assert_eq!(hub.polls.deadline(), None);
        hub.end_poll(NOW, conn(1));
        assert!(hub.polls.of(conn(1)).is_none() && !hub.polls.get(&name).expect("kept").takes);
        let end = hub.polls.deadline().expect("it is kept until then");
        assert_eq!(end, Deadline(5 * MS));
        hub.polls.forget(Now { mono: end.0 - 1, ..NOW });
        assert!(!hub.polls.is_empty());
        hub.polls.forget(Now { mono: end.0, ..NOW });
        assert!(hub.polls.is_empty() && hub.polls.deadline().is_none());
        hub.begin_fetch(&name, conn(2));
        assert_eq!(hub.fetch(&name, conn(2), false), Fetched::Over);
    }

    #[test]
    fn an_ended_one_is_gone_when_there_is_nothing_more_of_it() {
        let mut hub = hub();
        hub.open_poll(conn(1), Carrier::Json);
        hub.end_poll(NOW, conn(1));
        assert!(hub.polls.is_empty(), "it said nothing");
        let name = hub.open_poll(conn(1), Carrier::Json);
        hub.lay_down(conn(1), said(b"bye"));
        hub.lay_down(conn(1), said(b"now"));
        hub.end_poll(NOW, conn(1));
        for (text, left) in [(b"bye", 1), (b"now", 0)] {
            hub.begin_fetch(&name, conn(2));
            assert_eq!(hub.fetch(&name, conn(2), false), Fetched::Some(vec![said(text)]));
            assert_eq!(hub.polls.len(), left);
        }
        assert_eq!(hub.polls.deadline(), None, "nothing of it is waited for");
    }

    #[test]
    fn strangers_are_counted_until_they_are_known_or_forgotten() {
        let mut hub = hub();
        let strangers = |hub: &Hub| hub.polls.strangers();
        for n in 1..4 {
            hub.open_poll(conn(n), Carrier::Json);
            assert_eq!(strangers(&hub), n as usize);
        }
        hub.polls.tell(conn(1), true, false);
        hub.polls.tell(conn(1), false, false);
        assert_eq!(strangers(&hub), 2);
        hub.polls.tell(conn(2), true, true);
        hub.end_poll(NOW, conn(2));
        assert_eq!(strangers(&hub), 1);
        // With last words it holds its place.
        hub.lay_down(conn(3), said(b"bye"));
        hub.end_poll(NOW, conn(3));
        hub.end_poll(NOW, conn(1));
        assert_eq!((hub.polls.len(), strangers(&hub)), (1, 1));
        hub.polls.forget(Now { mono: 5 * MS, ..NOW });
        assert_eq!((hub.polls.len(), strangers(&hub)), (0, 0));
    }

    #[test]
    fn what_waits_takes_of_the_memory_until_it_is_fetched_or_forgotten() {
        let mut hub = hub();
        let before = hub.memory_used();
        for n in [1, 3] {
            let name = hub.open_poll(conn(n), Carrier::Json);
            let pieces = vec![Bytes::from(vec![b'x'; 5_000]), Bytes::from(vec![b'y'; 5_000])];
            hub.lay_down(conn(n), pieces);
            hub.lay_down(conn(n), said(b"abc"));
            assert!(hub.memory_used() >= before + 10_000);
            hub.begin_fetch(&name, conn(2));
            assert!(matches!(hub.fetch(&name, conn(2), false), Fetched::Some(_)));
            let rest = hub.memory_used() - before;
            assert!((1..1_000).contains(&rest), "{rest}: what is left");
            hub.end_poll(NOW, conn(n));
            if n == 1 {
                hub.polls.forget(Now { mono: 5 * MS, ..NOW });
            } else {
                hub.begin_fetch(&name, conn(2));
                assert!(matches!(hub.fetch(&name, conn(2), false), Fetched::Some(_)));
            }
            assert_eq!(hub.memory_used(), before);
        }
    }
}
