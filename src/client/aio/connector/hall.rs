//! Floor 5. What a connector has that is a server: its clients, who of them wants which
//! publications, and whom it lets in.
//!
//! A client is known from its hello until it has left and nothing is kept for it. What programs say
//! to it goes its way; to a client that is away what is kept goes to the disk, also where it was
//! never seen, and everything else is dropped. Clients do not hear each other but by publications,
//! which this end tells as its own, and answers go to this machine's programs alone. What a client
//! sends of a file in a publication is stored here first and sent on from there: where it says that
//! the file lies would be a path of this machine. Absent on purpose: sockets (`gate`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::client::aio::attach;
use crate::client::aio::halves::Halves;
use crate::client::aio::setup::Wish;
use crate::client::aio::wire::Wire;
use crate::client::aio::{Client, Error, Message, Received, Stored, Text};
use crate::proto::aio::Name;
use crate::proto::aio::file::WithFile;
use crate::proto::aio::shelf::Kept;

use super::chest::Failures;
use super::gate::{Callers, Gate};
use super::house::{House, Sent, lock, told};
use super::lists::Lists;
use super::parting::Parting;
use super::setup::{Serving, Setup, unspelled};
use super::subscribers::Subscribers;
use super::way::{Way, Went};

/// A server's.
#[derive(Debug)]
pub(super) struct Hall {
    pub(super) serving: Serving,
    ways: Mutex<BTreeMap<Text, Arc<Way>>>,
    subscribers: Mutex<Subscribers>,
    parting: Mutex<Parting>,
    /// For whom publications were put on the disk that may not survive yet.
    unsafe_for: Mutex<BTreeSet<Text>>,
    pub(super) lists: Mutex<Lists>,
    pub(super) callers: Callers,
    /// How often what was given to a client was taken back.
    forgotten: AtomicU64,
    failures: Failures,
    /// Of files that come in parts.
    pub(super) halves: Halves,
    gate: Mutex<Option<Gate>>,
}

impl Hall {
    /// With a way for each client for whom something is kept.
    pub(super) fn new(
        setup: &Setup,
        serving: &Serving,
        failures: &Failures,
    ) -> Result<Self, Error> {
        let mut ways = BTreeMap::new();
        let kept = if setup.keep_sent == Kept::Nothing { None } else { Some(setup.chests()) };
        for entry in kept.iter().flat_map(fs::read_dir).flatten().flatten() {
            let name = entry.file_name();
            let whose = name.to_str().and_then(unspelled);
            let whose = whose.as_deref().and_then(|it| it.strip_prefix(TO));
            let Some(name) = whose.and_then(|it| Name::new(&it.into())) else { continue };
            let way = Arc::new(way_to(setup, &name, failures)?);
            // One that is empty was left behind by a crash.
            if !way.retire() {
                ways.insert(name.as_str().into(), way);
            }
        }
        Ok(Self {
            serving: serving.clone(),
            ways: Mutex::new(ways),
            subscribers: Mutex::default(),
            parting: Mutex::default(),
            unsafe_for: Mutex::default(),
            lists: Mutex::new(serving.lists.clone()),
            callers: Callers::default(),
            forgotten: AtomicU64::new(0),
            failures: Arc::clone(failures),
            halves: Halves::default(),
            gate: Mutex::new(None),
        })
    }

    /// Begin to let clients in, unless that was done already.
    pub(super) fn begin(&self, house: &Arc<House>) -> Result<(), Error> {
        let mut gate = lock(&self.gate);
        if house.is_leaving() {
            return Err(Error::Left);
        }
        if gate.is_none() {
            *gate = Some(Gate::open(house, &self.serving)?);
        }
        Ok(())
    }

    /// Let nobody in any more, and hang up on everybody; `hard`: without saying what waits.
    pub(super) fn end(&self, hard: bool) {
        drop(lock(&self.gate).take());
        let clients: Vec<Client> = self.all().iter().filter_map(|way| way.hang_up(|| ())).collect();
        for client in &clients {
            if hard {
                client.cut();
            } else {
                client.say_goodbye();
            }
        }
        // All have the same time, and not one after the other.
        let mut left = FAREWELL;
        while left > Duration::ZERO && clients.iter().any(|client| client.end().is_none()) {
            std::thread::sleep(STEP);
            left = left.saturating_sub(STEP);
        }
        clients.iter().for_each(Client::cut);
    }

    pub(super) fn is_open(&self) -> bool {
        lock(&self.gate).is_some()
    }

    /// Where clients are let in.
    pub(super) fn address(&self) -> Option<std::net::SocketAddr> {
        lock(&self.gate).as_ref().map(Gate::address)
    }

    /// Every client that is there, or for whom something is kept.
    pub(super) fn all(&self) -> Vec<Arc<Way>> {
        lock(&self.ways).values().cloned().collect()
    }

    pub(super) fn way(&self, name: &str) -> Option<Arc<Way>> {
        lock(&self.ways).get(&Text::from(name)).cloned()
    }

    /// The way to this client, if need be a fresh one where there are fewer than so many.
    fn way_for(&self, setup: &Setup, name: &Name, most: usize) -> Result<Arc<Way>, Error> {
        let mut ways = lock(&self.ways);
        let key = Text::from(name.as_str());
        if let Some(way) = ways.get(&key) {
            return Ok(Arc::clone(way));
        }
        if ways.len() >= most {
            return Err(Error::Refused("there are too many clients"));
        }
        let way = Arc::new(way_to(setup, name, &self.failures)?);
        ways.insert(key, Arc::clone(&way));
        Ok(way)
    }

    /// If nobody is there and nothing is kept for it, it is not known any more.
    pub(super) fn retire(&self, way: &Way) {
        let mut ways = lock(&self.ways);
        let same = ways.get(&way.peer).is_some_and(|it| std::ptr::eq(&raw const **it, way));
        if same && way.retire() {
            ways.remove(&way.peer);
        }
    }

    /// Say this to the client that it is for, or keep it; wait for room at most so long.
    pub(super) fn send(&self, setup: &Setup, mut message: Message, most: Duration) -> Sent {
        let Some(to) = &message.header.destination_id else {
            return Sent::Not("it names no client".to_owned());
        };
        let Some(name) = Name::new(to).map(|name| name.detached()) else {
            return Sent::Not("what it is for is no name of a client".to_owned());
        };
        let keeps = setup.keep_sent.has(message.header.message_type.as_str());
        // One that is given up at this moment is not used any more, and there is another.
        for _ in 0..TRIES {
            let way = match self.way(name.as_str()) {
                Some(way) => way,
                None if keeps => match self.way_for(setup, &name, self.rest()) {
                    Ok(way) => way,
                    Err(why) => return Sent::Not(why.to_string()),
                },
                None => return Sent::Not(format!("{} is not there", name.as_str())),
            };
            match way.send(&setup.keep_sent, message, Some(most)) {
                Went::So(sent) => {
                    if matches!(sent, Sent::Not(_) | Sent::Failed(_)) {
                        self.retire(&way);
                    }
                    return sent;
                }
                Went::Over(back) => message = *back,
            }
        }
        Sent::Not(format!("{} is just leaving", name.as_str()))
    }

    /// How often what was given to a client was taken back.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// What was given to a client opens nothing any more; whoever shows it just now may not stay.
    pub(super) fn forget(&self) {
        self.forgotten.fetch_add(1, Ordering::Relaxed);
    }

    /// Somebody has come, and said who it is; `proven`: and shown it, since so often something was
    /// taken back.
    pub(super) fn enter(
        &self,
        house: &Arc<House>,
        (name, proven, since): (&Name, bool, u64),
        from: std::net::SocketAddr,
        mut wire: Wire,
    ) -> Result<(), Error> {
        let setup = &house.setup;
        let mut plan = setup.plan_for(name, &house.server, !self.halves.has(name))?;
        plan.halves = Some(self.halves.clone());
        wire.trust(plan.frame_max);
        if !proven && self.is_crowded(from.ip()) {
            return Err(Error::Refused("there are too many clients of its address"));
        }
        for _ in 0..TRIES {
            let way = self.way_for(setup, name, self.serving.clients_max)?;
            let mut made = Some(wire);
            let entered = way.enter(house, (from, proven), |taker| {
                plan.taker = Some(taker);
                // Before it can be gone again, or want something.
                lock(&self.subscribers).came(&way.peer);
                let client = Client::over(plan.clone(), made.take());
                client.inspect_err(|_| self.unsubscribe(&way.peer, &setup.keep_sent))
            });
            match (entered, made) {
                // It was given up at this moment.
                (Err(Error::Left), Some(back)) => wire = back,
                (Err(why), _) => {
                    self.retire(&way);
                    return Err(why);
                }
                // It was on its way when that was done.
                (Ok(()), _) if !self.lets_in(name, from.ip(), since) => {
                    self.send_away(house, &way);
                    return Err(Error::Refused("nobody is let in, or not this one any more"));
                }
                (Ok(()), _) => {
                    log::info!(name:% = name.as_str(); "a client came from={from}");
                    return Ok(());
                }
            }
        }
        Err(Error::Left)
    }

    /// So many are there from one address who have only said who they are that others must find
    /// room.
    fn is_crowded(&self, from: IpAddr) -> bool {
        let there = |way: &&Arc<Way>| way.from().is_some_and(|it| it.ip() == from);
        self.all().iter().filter(there).count() >= self.rest()
    }

    /// Of the names that may be known, those of which something is left for others.
    fn rest(&self) -> usize {
        self.serving.clients_max - self.serving.clients_max / 8
    }

    /// A client is gone.
    pub(super) fn gone(&self, peer: &Text, keep: &Kept) {
        log::info!(name:% = peer.as_str(); "a client is gone");
        self.unsubscribe(peer, keep);
        let files = lock(&self.parting).gone(peer);
        files.iter().for_each(|path| attach::delete(path));
    }

    fn unsubscribe(&self, peer: &Text, keep: &Kept) {
        lock(&self.subscribers).gone(peer, |topic| keep.has(topic));
    }

    /// The file that is shared under this number has gone to this client, or never will.
    pub(super) fn sent(&self, peer: &Text, shared: u64) {
        let last = lock(&self.parting).has(shared, peer);
        last.iter().for_each(|path| attach::delete(path));
    }

    /// Nothing is kept for this client any more.
    pub(super) fn forget_files(&self, peer: &Text) {
        let files = lock(&self.parting).forgotten(peer);
        files.iter().for_each(|path| attach::delete(path));
    }

    /// Hang up on this client.
    pub(super) fn send_away(&self, house: &House, way: &Way) {
        if let Some(client) = way.hang_up(|| house.gone(&way.peer)) {
            client.cut();
        }
        self.retire(way);
    }

    /// Is it still so that it may come in?
    fn lets_in(&self, name: &Name, from: IpAddr, since: u64) -> bool {
        // Who was sent away for nothing comes again, and shows the same.
        if !self.is_open() || self.forgotten() != since {
            return false;
        }
        let lists = lock(&self.lists);
        lists.admit_name(name.as_str()) && lists.admit(from)
    }

    /// What was put on the disk for clients survives from now on. Whoever comes meanwhile waits:
    /// it may be its own.
    pub(super) fn secure(&self) {
        let mut all = lock(&self.unsafe_for);
        for way in core::mem::take(&mut *all).iter().filter_map(|peer| self.way(peer.as_str())) {
            way.secure();
        }
    }

    /// A client wants something, over its connection of this number.
    pub(super) fn wished(&self, house: &House, (way, number): (&Way, u64), wish: Wish) {
        let peer = &way.peer;
        let dropped = |why: &str| told(&house.tally.unwanted, "from clients", why);
        if !self.serving.central_broker {
            dropped("this connector is no broker of publications (pubsub_central_broker)");
            return;
        }
        match wish {
            Wish::Topics(topics) => {
                let mut subscribers = lock(&self.subscribers);
                // Who is gone would want it for ever.
                if !way.is_by(number) {
                    return;
                }
                let all = topics.iter().all(|topic| subscribers.add(peer, topic));
                let forgotten = subscribers.forgotten();
                drop(subscribers);
                if !all {
                    log::warn!(name:% = peer.as_str(); "a client wants too many topics");
                }
                for who in forgotten {
                    log::warn!(name:% = who.as_str(); "what one who is away wants is forgotten");
                }
            }
            Wish::NoTopics(topics) => {
                let mut subscribers = lock(&self.subscribers);
                topics.iter().for_each(|topic| subscribers.remove(peer, topic));
            }
            Wish::Publish(topic, received) => match published(&topic, *received) {
                // Whoever reads waits for nobody, or two could wait for each other.
                Ok(message) => self.publish(house, &message, Duration::ZERO),
                Err(why) => dropped(&why),
            },
        }
    }

    /// Is a publication for anybody?
    pub(super) fn wants(&self, topic: &Text) -> bool {
        self.serving.central_broker && !lock(&self.subscribers).of(topic).is_empty()
    }

    /// Tell it to everybody who wants it.
    pub(super) fn publish(&self, house: &House, message: &Message, most: Duration) {
        let who = lock(&self.subscribers).of(&message.header.message_type);
        let mut message = message.clone();
        let goes = self.share_file(&mut message, &who);
        for peer in who {
            let mut own = message.clone();
            own.header.destination_id = Some(peer.clone());
            let sent = self.send(&house.setup, own, most);
            if let Some(shared) = goes {
                self.on_shared(shared, &peer, &sent);
            }
            match sent {
                Sent::Said => {}
                Sent::Kept => drop(lock(&self.unsafe_for).insert(peer)),
                Sent::Not(why) => told(&house.tally.unsent, "of publications", &why),
                Sent::Failed(why) => {
                    told(&house.tally.unsent, "of publications", &why);
                    // Whoever publishes it is not told so otherwise.
                    self.failures.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// The file of a message that is to go, if more than one is told it: the first who has it must
    /// not delete it.
    fn share_file(&self, message: &mut Message, who: &[Text]) -> Option<u64> {
        let mut with = WithFile::of(message).ok().flatten()?;
        // That is nobody's to say who publishes.
        if attach::unshare(&mut with).is_some() {
            message.header.with_file = Some(with.write());
        }
        let path = attach::path(&with).filter(|_| who.len() > 1 && !with.keep)?;
        with.keep = true;
        let shared = lock(&self.parting).begin(&path, who);
        match shared {
            Some(number) => attach::share(&mut with, number),
            None => log::warn!("{}: it stays, too many files wait to go", path.display()),
        }
        message.header.with_file = Some(with.write());
        shared
    }

    #[cfg(test)]
    pub(super) fn is_away(&self, name: &str) -> bool {
        lock(&self.subscribers).is_away(name)
    }

    #[cfg(test)]
    pub(super) fn last_file(&self) -> u64 {
        lock(&self.parting).last()
    }

    #[cfg(test)]
    pub(super) fn waits_for_files(&self) -> bool {
        !lock(&self.parting).is_empty()
    }

    fn on_shared(&self, shared: u64, peer: &Text, sent: &Sent) {
        if *sent == Sent::Said {
            lock(&self.parting).said(shared, peer);
        }
        // Who has gone before that was written down is asked for nothing any more.
        let lost =
            *sent == Sent::Said && self.way(peer.as_str()).is_none_or(|it| it.from().is_none());
        if lost || matches!(sent, Sent::Not(_) | Sent::Failed(_)) {
            self.sent(peer, shared);
        }
    }
}

/// What subscribers are told of a client's publication.
fn published(topic: &Text, received: Received) -> Result<Message, String> {
    let Received { mut frame, file } = received;
    frame.header.message_type = topic.clone();
    frame.header.message_type_publish = None;
    (frame.header.source_id, frame.header.destination_id) = (None, None);
    if let Ok(Some(with)) = WithFile::of(&frame) {
        // What came in parts is stored as a whole, and a path that a client names is not one of
        // its own here.
        let with = if matches!(file, Some(Stored::At(_))) { with.whole() } else { with };
        let (src_path, why) = match file {
            Some(Stored::At(path)) => match path.to_str() {
                Some(path) => (Some(path.into()), None),
                None => (None, Some("its path is no text".to_owned())),
            },
            Some(Stored::Part) => return Err("it brings a part of a file".to_owned()),
            Some(Stored::Not(why)) => (None, Some(why)),
            None => (None, Some("it did not come".to_owned())),
        };
        let file_error = why.map(|why| why.as_str().into());
        let with = WithFile { src_path, file_error, keep: true, binary_offset: None, ..with };
        frame.header.with_file = Some(with.write());
    }
    Ok(frame)
}

/// A program's publication, as subscribers are told it; none: it has no topic.
pub(super) fn announced(mut frame: Message) -> Option<Message> {
    frame.header.message_type = frame.header.message_type_publish.take()?;
    Some(frame)
}

fn way_to(setup: &Setup, name: &Name, failures: &Failures) -> Result<Way, Error> {
    let chest = match &setup.keep_sent {
        Kept::Nothing => None,
        _ => Some(setup.open_chest(&format!("{TO}{}", name.as_str()), failures)?),
    };
    Ok(Way::new(name.as_str().into(), chest))
}

/// May somebody come from there?
pub(super) fn admits(hall: &Hall, from: IpAddr) -> bool {
    lock(&hall.lists).admit(from)
}

/// What the folder of what is kept for a client begins with.
const TO: &str = "to-";
/// For all clients to hear what is left to be said.
const FAREWELL: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(20);
/// How often a way is looked for that others give up just then.
const TRIES: usize = 16;
