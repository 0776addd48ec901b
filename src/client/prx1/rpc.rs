//! Floor 5. Calls of a PRX1 client: what it asks, what it serves, and what is to be said of both.
//!
//! A call lives as long as its connection: what was asked on one that is lost is answered with
//! that, because nobody knows whether it was done. What is served is said again on the next one.
//! Everything has a bound: calls, what is to be said, and what waits for whoever takes it. A piece
//! for which there is no room ends its call; a question for which there is none is refused, and
//! the broker asks somebody else. Absent on purpose: sockets, threads, time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::base::outbound::Outbound;
use crate::proto::prx1::encode;
use crate::proto::prx1::extended::{
    Answer, Cancel, Extended, Register, Request, Response, Unregister, What, mode, reason,
};
use crate::proto::prx1::packet::Packet;

use super::call::{Failure, Reason, Said, Share};
use super::receipt::{Disconnected, Done, Error, Receipt, answer};

/// Pieces that wait for whoever called; one more place is kept for the outcome.
const PIECES_MAX: usize = 1_024;
/// Questions that wait for whoever serves.
const ASKED_MAX: usize = 256;
/// Calls without an outcome, procedures served, and questions without an answer.
const OPEN_MAX: usize = 16_000;

/// What comes of a call, in order.
pub(super) type Outcome = Result<Said, Error>;

/// A question, as it came.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) id: u64,
    pub(super) payload: Bytes,
    pub(super) timeout_ms: u32,
    pub(super) pieces: bool,
    /// Nobody waits for the answer any more.
    pub(super) over: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Service {
    share: Share,
    questions: Sender<Question>,
    /// Which of them it is: another may have its topic by now.
    key: u64,
}

/// A question to the broker about a procedure.
#[derive(Debug)]
struct Pending {
    topic: Bytes,
    /// None: it is not to be served any more, and nobody waits.
    key: Option<u64>,
    done: Done,
}

/// Everything about calls.
#[derive(Debug, Default)]
pub(super) struct Rpc {
    calls: BTreeMap<u64, Sender<Outcome>>,
    last: u64,
    services: BTreeMap<Bytes, Service>,
    /// By the number of the question; answers come with it.
    pending: BTreeMap<u16, Pending>,
    number: u16,
    /// What is being done for others.
    doing: BTreeMap<u64, Arc<AtomicBool>>,
    said: VecDeque<Extended>,
    bytes: usize,
}

impl Rpc {
    /// Bytes that wait to be said.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn has_work(&self) -> bool {
        !self.said.is_empty()
    }

    fn say(&mut self, it: Extended) {
        self.bytes += weight(&it);
        self.said.push_back(it);
    }

    /// Say what is next, about `budget` bytes of it.
    pub(super) fn poll_transmit(&mut self, out: &mut Outbound, budget: usize) {
        while out.len() < budget
            && let Some(it) = self.said.pop_front()
        {
            self.bytes -= weight(&it);
            // Lengths were checked when it came in.
            let said = encode(&Packet::Extended(it), out);
            debug_assert!(said.is_ok(), "{said:?}");
        }
    }

    /// Ask it.
    pub(super) fn call(&mut self, ask: Request) -> Result<(u64, Receiver<Outcome>), Error> {
        if self.calls.len() >= OPEN_MAX {
            return Err(Error::Full);
        }
        let (send, receive) = bounded(PIECES_MAX + 1);
        self.last += 1;
        self.calls.insert(self.last, send);
        self.say(Extended::Request(Request { id: self.last, ..ask }));
        Ok((self.last, receive))
    }

    /// The caller has had enough. With `told`, it waits for the outcome all the same.
    pub(super) fn cancel(&mut self, id: u64, mode: u8, told: bool) {
        let known = match told {
            true => self.calls.contains_key(&id),
            false => self.calls.remove(&id).is_some(),
        };
        if known {
            self.say(Extended::Cancel(Cancel { id, mode }));
        }
    }

    /// Serve it. None: it is served already.
    pub(super) fn serve(
        &mut self,
        topic: &Bytes,
        share: Share,
        online: bool,
    ) -> Result<(u64, Receiver<Question>, Receipt), Error> {
        if self.services.contains_key(topic) {
            return Err(Error::Failed(Reason::Exists));
        }
        if self.services.len() >= OPEN_MAX || self.pending.len() >= OPEN_MAX {
            return Err(Error::Full);
        }
        let (questions, receive) = bounded(ASKED_MAX);
        self.last += 1;
        let key = self.last;
        self.services.insert(topic.clone(), Service { share, questions, key });
        let (receipt, done) = Receipt::open();
        let pending = Pending { topic: topic.clone(), key: Some(key), done };
        let id = self.pend(pending);
        if online {
            self.say(Extended::Register(Register { id, share: share as u8, topic: topic.clone() }));
        }
        Ok((key, receive, receipt))
    }

    fn pend(&mut self, pending: Pending) -> u16 {
        loop {
            self.number = self.number.wrapping_add(1).max(1);
            if !self.pending.contains_key(&self.number) {
                self.pending.insert(self.number, pending);
                return self.number;
            }
        }
    }

    /// Serve it no more.
    pub(super) fn serve_no_more(&mut self, topic: &Bytes, key: u64, online: bool) {
        if self.services.get(topic).is_none_or(|service| service.key != key) {
            return;
        }
        self.services.remove(topic);
        self.pending.retain(|_, pending| pending.key != Some(key));
        if online && self.pending.len() < OPEN_MAX {
            let id = self.pend(Pending { topic: topic.clone(), key: None, done: None });
            self.say(Extended::Unregister(Unregister { id, topic: topic.clone() }));
        }
    }

    /// Answer; false: nobody waits for it any more.
    pub(super) fn respond(&mut self, id: u64, over: &Arc<AtomicBool>, what: What) -> bool {
        if !self.doing.get(&id).is_some_and(|doing| Arc::ptr_eq(doing, over)) {
            return false;
        }
        if !matches!(what, What::Piece(_)) {
            self.doing.remove(&id);
        }
        self.say(Extended::Response(Response { id, what }));
        true
    }

    pub(super) fn on_online(&mut self) {
        let mut pending: BTreeMap<u64, Pending> = BTreeMap::new();
        for (_, it) in core::mem::take(&mut self.pending) {
            pending.extend(it.key.map(|key| (key, it)));
        }
        let all: Vec<(Bytes, Share, u64)> =
            self.services.iter().map(|(topic, it)| (topic.clone(), it.share, it.key)).collect();
        for (topic, share, key) in all {
            let none = Pending { topic: topic.clone(), key: Some(key), done: None };
            let id = self.pend(pending.remove(&key).unwrap_or(none));
            self.say(Extended::Register(Register { id, share: share as u8, topic }));
        }
    }

    /// What was on its way is lost; what is served waits for the next connection.
    pub(super) fn on_offline(&mut self) {
        for (_, caller) in core::mem::take(&mut self.calls) {
            let _ = caller.try_send(Err(Error::Lost));
        }
        for (_, over) in core::mem::take(&mut self.doing) {
            over.store(true, Ordering::Release);
        }
        self.said.clear();
        self.bytes = 0;
    }

    pub(super) fn on_stopped(&mut self, why: Disconnected) {
        self.on_offline();
        for (_, pending) in core::mem::take(&mut self.pending) {
            answer(pending.done, Err(Error::Stopped(why)));
        }
        // Whoever waits for a question hears that there will be none.
        self.services.clear();
    }

    pub(super) fn on_extended(&mut self, it: Extended) {
        match it {
            Extended::Answer(it) => self.on_answer(it),
            Extended::Request(it) => self.on_request(it),
            Extended::Response(it) => self.on_response(it),
            Extended::Cancel(it) => {
                let over = match it.mode {
                    // Its answer is still wanted.
                    mode::KILL => self.doing.get(&it.id).cloned(),
                    _ => self.doing.remove(&it.id),
                };
                if let Some(over) = over {
                    over.store(true, Ordering::Release);
                }
            }
            // Somebody else wanted that.
            Extended::Unregister(it) => {
                self.services.remove(&it.topic);
            }
            Extended::Register(_) => {}
        }
    }

    fn on_answer(&mut self, it: Answer) {
        let Some(Pending { topic, key, done }) = self.pending.remove(&it.id) else { return };
        if it.reason == reason::NONE {
            return answer(done, Ok(()));
        }
        if self.services.get(&topic).is_some_and(|service| Some(service.key) == key) {
            self.services.remove(&topic);
        }
        answer(done, Err(Error::Failed(Reason::of(it.reason))));
    }

    fn on_request(&mut self, it: Request) {
        let over = Arc::new(AtomicBool::new(false));
        let question = Question {
            id: it.id,
            payload: Bytes::copy_from_slice(&it.payload),
            timeout_ms: it.timeout_ms,
            pieces: it.pieces,
            over: Arc::clone(&over),
        };
        let service = self.services.get(&it.topic).filter(|_| self.doing.len() < OPEN_MAX);
        let taken = service.is_some_and(|service| service.questions.try_send(question).is_ok());
        if taken {
            self.doing.insert(it.id, over);
            return;
        }
        let (name, payload) = (Bytes::new(), Bytes::new());
        let what = What::Error { reason: reason::UNAVAILABLE, name, payload };
        self.say(Extended::Response(Response { id: it.id, what }));
    }

    fn on_response(&mut self, it: Response) {
        let Some(caller) = self.calls.get(&it.id) else { return };
        let copy = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
        let said = match it.what {
            What::Piece(payload) if caller.len() >= PIECES_MAX => {
                drop(payload);
                let _ = caller.try_send(Err(Error::Full));
                return self.cancel(it.id, mode::KILL_NO_WAIT, false);
            }
            What::Piece(payload) => {
                // Whoever does not listen any more takes it back itself.
                let _ = caller.try_send(Ok(Said::Piece(copy(&payload))));
                return;
            }
            What::Final(payload) => Said::Final(copy(&payload)),
            What::Error { reason, name, payload } => Said::Failed(Failure {
                reason: Reason::of(reason),
                name: copy(&name),
                payload: copy(&payload),
            }),
            What::Gathered { asked, answered, failed } => {
                Said::Gathered { asked, answered, failed }
            }
        };
        let _ = caller.try_send(Ok(said));
        self.calls.remove(&it.id);
    }
}

/// What it takes until it is said.
fn weight(it: &Extended) -> usize {
    64 + match it {
        Extended::Register(it) => it.topic.len(),
        Extended::Unregister(it) => it.topic.len(),
        Extended::Request(it) => it.topic.len() + it.payload.len(),
        Extended::Response(it) => match &it.what {
            What::Final(payload) | What::Piece(payload) => payload.len(),
            What::Error { name, payload, .. } => name.len() + payload.len(),
            What::Gathered { .. } => 0,
        },
        Extended::Answer(_) | Extended::Cancel(_) => 0,
    }
}
