//! Floor 5. The embedding program's way in: questions through one bounded queue, answers by name.
//!
//! Whatever a program publishes goes through one peer, so that its order is kept; every
//! subscription is a peer of its own, so that a slow one holds up nobody else. Only the loop puts
//! messages into a subscription's queue and only as many as fit, so what was taken out of the
//! engine always finds its place. Absent on purpose: the words the program sees (`broker.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use crossbeam_channel::Sender;

use super::reload::Told;
use crate::base::id::ConnId;
use crate::base::map::{Map, Seed};
use crate::base::pipe::Pipe;
use crate::base::time::Now;
use crate::engine::Engine;
use crate::hub::message::Delivery;
use crate::hub::policy::Principal;
use crate::proto::doom::Doom;
use crate::proto::local::{Verb, Word};

/// How many readers a verb found, or why it was not carried out.
pub type Verdict = Result<u32, &'static str>;

/// What a program asks for.
#[derive(Debug)]
pub enum Command {
    /// Publish.
    Publish {
        /// Where to.
        topic: Bytes,
        /// What.
        body: Bytes,
        /// 0 or 1.
        qos: u8,
        /// Keep it.
        retain: bool,
        /// Told when it is done.
        done: Sender<Verdict>,
    },
    /// Listen.
    Subscribe {
        /// The name of a session that outlives the program; empty for one that does not.
        name: Bytes,
        /// To what.
        filter: Bytes,
        /// 0 or 1.
        qos: u8,
        /// Where messages go.
        messages: Sender<Delivery>,
        /// Set when the queue is full: then the loop is to be told of what is taken.
        full: Arc<AtomicBool>,
        /// Told who it is, and when the subscription is there.
        done: Sender<Result<ConnId, &'static str>>,
    },
    /// Speak WAMP through this.
    Enter {
        /// The broker's end.
        stream: Pipe,
        /// Set when there may be something to read, or room to write.
        stirred: Arc<AtomicBool>,
        /// Told when there is a connection.
        done: Sender<Result<(), &'static str>>,
    },
    /// Read everything again.
    Reload {
        /// Told how it went.
        done: Sender<Told>,
    },
}

/// What a program reports. Always taken in, also when questions wait.
#[derive(Clone, Copy, Debug)]
pub enum Control {
    /// A message was taken care of: the ordinal of an acknowledged one, or 0.
    Taken(ConnId, u64),
    /// A subscription is not needed any more.
    Leave(ConnId),
    /// The broker is to come to an end.
    Stop,
}

/// Who waits for the answer to a verb.
#[derive(Debug)]
enum Asker {
    Publish(Sender<Verdict>),
    Subscribe(Sender<Result<ConnId, &'static str>>),
}

/// A subscription's queue.
#[derive(Debug)]
struct Inbox {
    messages: Sender<Delivery>,
    full: Arc<AtomicBool>,
}

/// The in-process peers.
#[derive(Debug)]
pub(super) struct Locals {
    publisher: Option<ConnId>,
    askers: Map<u64, Asker>,
    inboxes: Map<ConnId, Inbox>,
    next: u64,
    words: Vec<Word>,
}

impl Locals {
    pub(super) fn new(seed: u64) -> Self {
        let seed = Seed::with_seed(seed);
        Self {
            publisher: None,
            askers: Map::with_hasher(seed.clone()),
            inboxes: Map::with_hasher(seed),
            next: 1,
            words: Vec::new(),
        }
    }

    /// Connections that are these.
    pub(super) fn len(&self) -> usize {
        self.inboxes.len() + usize::from(self.publisher.is_some())
    }

    /// Another question may be taken.
    pub(super) fn has_room(&self) -> bool {
        self.askers.len() < ASKED_MAX
    }

    /// The program asks.
    pub(super) fn on_command(&mut self, now: Now, engine: &mut Engine, command: Command) {
        match command {
            Command::Publish { topic, body, qos, retain, done } => {
                let Some(conn) = self.publisher(now, engine) else {
                    let _ = done.try_send(Err(NO_SLOT));
                    return;
                };
                let no = self.ask(Asker::Publish(done));
                engine.on_verb(now, conn, Verb::Publish { no, topic, body, qos, retain });
            }
            Command::Subscribe { name, filter, qos, messages, full, done } => {
                let Ok(conn) = engine.on_local(now, name.clone(), embedder(!name.is_empty()))
                else {
                    let _ = done.try_send(Err(NO_SLOT));
                    return;
                };
                self.inboxes.insert(conn, Inbox { messages, full });
                let no = self.ask(Asker::Subscribe(done));
                engine.on_verb(now, conn, Verb::Subscribe { no, filter, qos });
            }
            // Not about messages: the loop itself takes them.
            Command::Enter { .. } | Command::Reload { .. } => {}
        }
    }

    /// The program reports.
    pub(super) fn on_control(&mut self, now: Now, engine: &mut Engine, control: Control) {
        match control {
            Control::Taken(conn, ord) => {
                if ord > 0 {
                    engine.on_verb(now, conn, Verb::Settle { ord });
                }
                self.speak(now, engine, conn);
            }
            Control::Leave(conn) => engine.doom(now, conn, Doom::Left),
            Control::Stop => {}
        }
    }

    /// A peer has something to say: as much as its queue takes.
    pub(super) fn speak(&mut self, now: Now, engine: &mut Engine, conn: ConnId) {
        let Some(most) = self.room(conn) else { return };
        engine.poll_words(now, conn, most, &mut self.words);
        self.tell(conn);
    }

    /// It is over: its last words, and then nobody.
    pub(super) fn bury(&mut self, now: Now, engine: &mut Engine, conn: ConnId) {
        engine.poll_words(now, conn, usize::MAX, &mut self.words);
        self.tell(conn);
        self.inboxes.remove(&conn);
        if self.publisher == Some(conn) {
            self.publisher = None;
        }
    }

    /// How much the queue of a peer takes; nothing when it is full, and then the program says
    /// when it has taken something.
    fn room(&self, conn: ConnId) -> Option<usize> {
        let Some(inbox) = self.inboxes.get(&conn) else { return Some(WORDS_TURN) };
        let left = || inbox.messages.capacity().unwrap_or(0).saturating_sub(inbox.messages.len());
        if left() == 0 {
            inbox.full.store(true, Ordering::SeqCst);
            // It may have taken something between the look and the note.
            if left() == 0 {
                return None;
            }
            inbox.full.store(false, Ordering::SeqCst);
        }
        Some(left())
    }

    fn tell(&mut self, conn: ConnId) {
        for word in self.words.drain(..) {
            match word {
                Word::Done { no, matched } => answer(self.askers.remove(&no), conn, Ok(matched)),
                Word::Refused { no, why } => answer(self.askers.remove(&no), conn, Err(why)),
                Word::Message(delivery) => {
                    if let Some(inbox) = self.inboxes.get(&conn) {
                        // Room was made sure of; a receiver that is gone has left.
                        let _ = inbox.messages.try_send(delivery);
                    }
                }
            }
        }
    }

    fn publisher(&mut self, now: Now, engine: &mut Engine) -> Option<ConnId> {
        // One that is over takes no more questions, and would leave them without an answer.
        if self.publisher.is_none_or(|conn| engine.is_doomed(conn)) {
            self.publisher = engine.on_local(now, Bytes::new(), embedder(false)).ok();
        }
        self.publisher
    }

    fn ask(&mut self, asker: Asker) -> u64 {
        let no = self.next;
        self.next += 1;
        self.askers.insert(no, asker);
        no
    }
}

/// The program itself: it is bound by no rules but those it makes.
fn embedder(durable: bool) -> Principal {
    Principal { durable, ..Principal::default() }
}

/// Whoever does not wait for the answer any more has dropped the other end.
fn answer(asker: Option<Asker>, conn: ConnId, verdict: Verdict) {
    match asker {
        Some(Asker::Publish(done)) => {
            let _ = done.try_send(verdict);
        }
        Some(Asker::Subscribe(done)) => {
            let _ = done.try_send(verdict.map(|_| conn));
        }
        None => {}
    }
}

pub(super) const NO_SLOT: &str = "there is no place for another connection";
/// Questions that wait for their answers.
const ASKED_MAX: usize = 4_096;
/// Answers to the publishing peer in one go.
const WORDS_TURN: usize = 1_024;
