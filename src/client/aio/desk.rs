//! Floor 5. What a client of aioconnectors has said and waits for: a value without sockets.
//!
//! Everything that is said goes through one line, in order. Of what is to be acknowledged a window
//! is under way; when the connection is lost it goes to the front again, so it arrives at least
//! once. Questions do not outlive their connection. The thread that reads hands out and never
//! waits: a message for which there is no room is dropped and counted. Absent on purpose: a clock,
//! and files.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};
use mio::Waker;

use crate::base::map::Seed;
use crate::base::time::{Deadline, Now};
use crate::proto::aio::acks::{self, Acks, Due};
use crate::proto::aio::answers::{self, Answers, Refused};
use crate::proto::aio::encode::HEADER_MAX;
use crate::proto::aio::{Frame, Id, Meaning, Text, header_fits, inner};

use super::setup::{Plan, Taker};
use super::{Error, Received};

/// What a message that was to be acknowledged has come to.
pub(super) type Done = Result<(), Error>;

/// What a question has come to.
pub(super) type Answer = Result<Received, Error>;

/// Who is told what a message has come to.
#[derive(Debug)]
enum Notice {
    Caller(Sender<Done>),
    /// What kept it, and the number it has there.
    Taker(Arc<dyn Taker>, u64),
}

/// A message in the line.
#[derive(Debug)]
struct Parcel {
    frame: Frame,
    done: Option<Notice>,
    /// It is to be acknowledged, whether or not its header says so to applications.
    certain: bool,
}

/// Where messages of a type go.
#[derive(Debug)]
struct Outlet {
    key: u64,
    send: Sender<Received>,
    bytes: Arc<AtomicUsize>,
    missed: Arc<AtomicU64>,
}

/// Where they come out.
#[derive(Debug)]
pub(super) struct Mouth {
    pub(super) key: u64,
    pub(super) queue: Receiver<Received>,
    /// What waits in it.
    pub(super) bytes: Arc<AtomicUsize>,
    /// What was dropped for want of room.
    pub(super) missed: Arc<AtomicU64>,
}

#[derive(Debug)]
pub(super) struct Desk {
    me: Text,
    server: Text,
    terms: acks::Terms,
    queue: (usize, usize),
    /// Bytes that may wait to be said.
    line: usize,
    /// Said before anything else.
    first: VecDeque<Frame>,
    out: VecDeque<Arc<Parcel>>,
    /// Of all that is not sent, or not acknowledged.
    out_bytes: usize,
    acks: Acks<Arc<Parcel>>,
    again: VecDeque<(u64, Arc<Parcel>)>,
    answers: Answers<Sender<Answer>>,
    outlets: BTreeMap<Text, Vec<Outlet>>,
    /// What was asked for at the beginning and is not handed out yet.
    mouths: BTreeMap<Text, Mouth>,
    /// How many here want each topic.
    topics: BTreeMap<Text, usize>,
    number: u64,
    waker: Option<Arc<Waker>>,
    leaving: bool,
    ended: Option<Error>,
    last: Option<Error>,
}

impl Desk {
    pub(super) fn new(plan: &Plan, seed: u64) -> Self {
        let terms = acks::Terms { window: plan.window, ..acks::Terms::default() };
        let waits = answers::Terms { wait_ms: u64::MAX, ..answers::Terms::default() };
        let mut desk = Self {
            me: plan.me.clone(),
            server: plan.server.clone(),
            terms,
            queue: plan.queue,
            line: plan.line,
            first: VecDeque::new(),
            out: VecDeque::new(),
            out_bytes: 0,
            acks: Acks::new(terms),
            again: VecDeque::new(),
            answers: Answers::new(waits, Seed::with_seed(seed)),
            outlets: BTreeMap::new(),
            mouths: BTreeMap::new(),
            topics: BTreeMap::new(),
            // Ids of questions do not begin again when the client does.
            number: seed >> 16,
            waker: None,
            leaving: false,
            ended: None,
            last: None,
        };
        for kind in &plan.kinds {
            if !desk.mouths.contains_key(kind) {
                let mouth = desk.open(kind);
                desk.mouths.insert(kind.clone(), mouth);
            }
        }
        for topic in &plan.topics {
            desk.topics.insert(topic.clone(), 1);
        }
        desk
    }

    /// There is a connection on which the server knows us.
    pub(super) fn on_online(&mut self, waker: Arc<Waker>) {
        self.waker = Some(waker);
        let topics: Vec<Text> = self.topics.keys().cloned().collect();
        if !topics.is_empty() {
            self.first.extend(inner::frame(&Meaning::Subscribe(topics), self.me.as_str()));
        }
    }

    /// It is lost. What was not acknowledged is said again by the next, if there is to be one.
    pub(super) fn on_lost(&mut self, error: &Error) {
        self.waker = None;
        self.last = Some(error.clone());
        self.first.clear();
        self.again.clear();
        for parcel in self.acks.close().into_iter().rev() {
            self.out.push_front(parcel);
        }
        self.acks = Acks::new(self.terms);
        for who in self.answers.gone(&self.server) {
            let _ = who.try_send(Err(error.clone()));
        }
    }

    /// It was tried again in vain.
    pub(super) fn on_failed(&mut self, error: Error) {
        self.last = Some(error);
    }

    /// There will be no other.
    pub(super) fn end(&mut self, error: &Error) {
        if self.ended.is_some() {
            return;
        }
        self.on_lost(error);
        self.ended = Some(error.clone());
        for parcel in self.out.drain(..) {
            tell(&parcel, Err(error.clone()));
        }
        self.out_bytes = 0;
        self.outlets.clear();
        self.mouths.clear();
    }

    /// Say what is left, and that nothing is wanted any more.
    pub(super) fn leave(&mut self) {
        if !self.leaving && self.is_online() {
            let topics: Vec<Text> = self.topics.keys().cloned().collect();
            if !topics.is_empty() {
                let frame = inner::frame(&Meaning::Unsubscribe(topics), self.me.as_str());
                let parcel = |frame| Arc::new(Parcel { frame, done: None, certain: false });
                self.out.extend(frame.map(parcel));
            }
        }
        self.leaving = true;
    }

    /// All is said.
    pub(super) fn has_left(&self) -> bool {
        self.leaving && self.out.is_empty() && self.acks.is_empty()
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving || self.ended.is_some()
    }

    pub(super) fn is_online(&self) -> bool {
        self.waker.is_some()
    }

    /// How many wait to be sent.
    pub(super) fn waiting(&self) -> usize {
        self.out.len()
    }

    pub(super) fn ended(&self) -> Option<&Error> {
        self.ended.as_ref()
    }

    pub(super) fn last(&self) -> Option<&Error> {
        self.last.as_ref()
    }

    pub(super) fn waker(&self) -> Option<Arc<Waker>> {
        self.waker.clone()
    }

    /// Who has something to say should wait.
    pub(super) fn is_full(&self) -> bool {
        self.ended.is_none() && (self.out_bytes > self.line || self.out.len() > OUT_COUNT)
    }

    /// Something that was said has not left yet.
    pub(super) fn has_line(&self) -> bool {
        !self.out.is_empty()
    }

    /// Say this. What cannot be said leaves no trace.
    pub(super) fn say(&mut self, frame: Frame, done: Option<Sender<Done>>) -> Done {
        let certain = frame.header.wait_for_ack;
        self.line_up(frame, done.map(Notice::Caller), certain)
    }

    /// Say this until it is acknowledged, and tell who has kept it.
    pub(super) fn say_kept(&mut self, frame: Frame, taker: Arc<dyn Taker>, number: u64) -> Done {
        self.line_up(frame, Some(Notice::Taker(taker, number)), true)
    }

    fn line_up(&mut self, mut frame: Frame, done: Option<Notice>, certain: bool) -> Done {
        self.check()?;
        self.address(&mut frame);
        // The number that it goes with is not in it yet.
        if !header_fits(&frame.header, NUMBER_MAX)
            || frame.len() > u32::MAX as usize - 2 * HEADER_MAX
        {
            return Err(Error::TooLarge);
        }
        self.out_bytes += frame.len() + SMALL;
        self.out.push_back(Arc::new(Parcel { frame, done, certain }));
        Ok(())
    }

    fn check(&self) -> Done {
        match &self.ended {
            Some(error) => Err(error.clone()),
            None if self.leaving => Err(Error::Left),
            None => Ok(()),
        }
    }

    fn address(&self, frame: &mut Frame) {
        let header = &mut frame.header;
        header.source_id = Some(self.me.clone());
        header.destination_id.get_or_insert_with(|| self.server.clone());
        header.transport_id = None;
    }

    /// Ask this. The answer comes by what is returned, and is known by the type and the id.
    pub(super) fn ask(
        &mut self,
        now: Now,
        mut frame: Frame,
    ) -> Result<(Text, Id, Receiver<Answer>), Error> {
        self.check()?;
        if !self.is_online() {
            return Err(self.last.clone().unwrap_or(Error::Lost));
        }
        frame.header.await_response = true;
        self.number += 1;
        let id = frame.header.request_id.get_or_insert_with(|| self.number.into()).clone();
        let kind = frame.header.message_type.clone();
        let (send, receive) = bounded(1);
        let asked = self.answers.ask(now, (&kind, &self.server), &id, send);
        asked.map_err(|why| if why == Refused::Open { Error::Open } else { Error::Full })?;
        if let Err(error) = self.say(frame, None) {
            self.forget(&kind, &id);
            return Err(error);
        }
        Ok((kind, id, receive))
    }

    /// Nobody waits for this answer any more.
    pub(super) fn forget(&mut self, kind: &Text, id: &Id) {
        drop(self.answers.answer((kind, &self.server), id));
    }

    /// What is to be sent next.
    pub(super) fn poll_frame(&mut self, now: Now) -> Option<Frame> {
        if let Some(frame) = self.first.pop_front() {
            return Some(frame);
        }
        if let Some((number, parcel)) = self.again.pop_front() {
            return Some(numbered(&parcel, number));
        }
        let parcel = self.out.front()?;
        if !parcel.certain {
            let parcel = self.out.pop_front()?;
            self.settle(&parcel, Ok(()));
            let taken = Arc::try_unwrap(parcel);
            return Some(taken.map_or_else(|kept| kept.frame.clone(), |parcel| parcel.frame));
        }
        let number = self.acks.send(now, Arc::clone(parcel))?;
        let parcel = self.out.pop_front()?;
        Some(numbered(&parcel, number))
    }

    fn settle(&mut self, parcel: &Parcel, done: Done) {
        self.out_bytes = self.out_bytes.saturating_sub(parcel.frame.len() + SMALL);
        tell(parcel, done);
    }

    /// The server has what had this number.
    pub(super) fn on_ack(&mut self, id: &Id) {
        if let Some(parcel) = self.acks.on_ack(id) {
            self.again.retain(|(number, _)| Some(*number) != id.number());
            self.settle(&parcel, Ok(()));
        }
    }

    /// What was not acknowledged in time is said again, and given up after some times.
    pub(super) fn on_time(&mut self, now: Now) {
        for due in self.acks.due(now) {
            match due {
                Due::Again(number, parcel) => self.again.push_back((number, parcel)),
                Due::GivenUp(parcel) => self.settle(&parcel, Err(Error::TimedOut)),
            }
        }
    }

    /// When to ask for that.
    pub(super) fn deadline(&self) -> Deadline {
        self.acks.deadline()
    }

    /// An answer or a message came. Nobody may want it.
    pub(super) fn on_message(&mut self, received: Received) {
        let header = &received.frame.header;
        if let Some(id) = &header.response_id
            && let Some(who) = self.answers.answer((&header.message_type, &self.server), id)
        {
            let _ = who.try_send(Ok(received));
            return;
        }
        let outlets = self.outlets.get(&header.message_type);
        let size = weight(&received);
        for outlet in outlets.into_iter().flatten() {
            // It is counted before whoever takes it can subtract it.
            let before = outlet.bytes.fetch_add(size, Ordering::Relaxed);
            let full = before > 0 && before + size > self.queue.1;
            if full || outlet.send.try_send(received.clone()).is_err() {
                outlet.bytes.fetch_sub(size, Ordering::Relaxed);
                outlet.missed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Messages of this type are wanted.
    pub(super) fn listen(&mut self, kind: &Text) -> Result<Mouth, Error> {
        self.check()?;
        match self.mouths.remove(kind) {
            Some(mouth) => Ok(mouth),
            None => Ok(self.open(kind)),
        }
    }

    fn open(&mut self, kind: &Text) -> Mouth {
        self.number += 1;
        let (send, queue) = bounded(self.queue.0);
        let (bytes, missed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
        let (key, heavy, lost) = (self.number, Arc::clone(&bytes), Arc::clone(&missed));
        let outlet = Outlet { key, send, bytes: heavy, missed: lost };
        self.outlets.entry(kind.clone()).or_default().push(outlet);
        Mouth { key, queue, bytes, missed }
    }

    /// They are wanted no more.
    pub(super) fn close(&mut self, kind: &Text, key: u64) {
        if let Some(all) = self.outlets.get_mut(kind) {
            all.retain(|outlet| outlet.key != key);
            if all.is_empty() {
                self.outlets.remove(kind);
            }
        }
    }

    /// Publications of this topic are wanted.
    pub(super) fn subscribe(&mut self, topic: &Text) -> Result<Mouth, Error> {
        self.check()?;
        let handed = self.mouths.contains_key(topic) && self.topics.contains_key(topic);
        if !handed {
            let wanted = self.topics.entry(topic.clone()).or_default();
            *wanted += 1;
            if *wanted == 1 && self.is_online() {
                self.topic_frame(Meaning::Subscribe(vec![topic.clone()]))?;
            }
        }
        self.listen(topic)
    }

    /// They are wanted no more.
    pub(super) fn unsubscribe(&mut self, topic: &Text) {
        let Some(wanted) = self.topics.get_mut(topic) else { return };
        *wanted -= 1;
        if *wanted > 0 {
            return;
        }
        self.topics.remove(topic);
        if self.is_online() {
            // Where nothing can be said, the next connection says nothing of it either.
            let _ = self.topic_frame(Meaning::Unsubscribe(vec![topic.clone()]));
        }
    }

    fn topic_frame(&mut self, meant: Meaning) -> Done {
        match inner::frame(&meant, self.me.as_str()) {
            Some(frame) => self.say(frame, None),
            None => Ok(()),
        }
    }
}

/// What a message counts for while it waits.
pub(super) fn weight(received: &Received) -> usize {
    received.frame.len() + SMALL
}

fn tell(parcel: &Parcel, done: Done) {
    match &parcel.done {
        None => {}
        // Nobody may wait any more.
        Some(Notice::Caller(who)) => drop(who.try_send(done)),
        Some(Notice::Taker(who, number)) => who.settled(*number, &done),
    }
}

fn numbered(parcel: &Parcel, number: u64) -> Frame {
    let mut frame = parcel.frame.clone();
    frame.header.transport_id = Some(number.into());
    frame
}

/// Bytes that may wait to be sent or acknowledged before callers must wait.
pub(super) const OUT_MAX: usize = 8 << 20;
/// And messages.
const OUT_COUNT: usize = 100_000;
/// What a message costs beside its content.
const SMALL: usize = 64;
/// The key of the number and the number, as they are written.
const NUMBER_MAX: usize = 64;
