//! Floor 3. What a connected client says: messages, questions, answers, and what it listens to.
//!
//! What it says to everybody (to the server, as it writes it) goes to the topic of its type; what
//! it says to one, to that one alone. A question is either, and remembered by whoever is told it;
//! the answer goes back to who asked. If nobody is there to be asked, the asker hears so at once,
//! in the words that its own connector has for a lost connection. What it may not say is
//! acknowledged and goes nowhere: this client would say nothing else until it was (specification
//! 6). Absent on purpose: the wire, and how long anything is waited for.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::id::{Lsn, SessionId};
use crate::base::stats::Counter;
use crate::hub::audience::Audience;
use crate::hub::message::{Durability, Publication};
use crate::hub::policy::{Access, Event, Principal};
use crate::hub::session::{Kind, SubOpts};
use crate::hub::subscribe::Replays;
use crate::hub::{Held, Receipt};
use crate::proto::Ctx;
use crate::topic::{Dialect, Topic};

use super::asked::{Asker, Book};
use super::calling::{Calling, failed, is_procedure};
use super::decode::Content;
use super::dialect::{SEP, Spelling};
use super::giving::{Given, Giving, note_withheld};
use super::inner::PING;
use super::letter::{self, ADDRESSED, AWAITED, Apart, PUBLISHED};
use super::names::{NAME_MAX, Name};
use super::packet::{Frame, Header, Id, Text};

/// A client that is in.
#[derive(Debug)]
pub(super) struct Online {
    pub(super) session: SessionId,
    pub(super) who: Arc<Principal>,
    pub(super) name: Name,
    /// What it calls this end.
    pub(super) me: Text,
    pub(super) book: Book,
    /// It calls, or is called.
    pub(super) calling: Option<Box<Calling>>,
    /// When it was asked whether it is there, if it has not been heard since.
    pub(super) pinged: Option<u64>,
    /// What it says now goes to others without its file.
    pub(super) withholds: bool,
    /// What it says now has its file there.
    pub(super) passes: Option<Apart>,
    /// And so many hear it.
    pub(super) readers: u32,
    /// A long file that is on its way to it.
    pub(super) giving: Option<Box<Giving>>,
    /// Those that were.
    pub(super) given: Given,
}

/// What became of something it said.
#[derive(Debug)]
pub(super) struct Done {
    /// What an acknowledgement waits for.
    pub(super) after: Lsn,
    /// To be said at once.
    pub(super) say: Option<Frame>,
}

impl Done {
    const NOTHING: Self = Self { after: Lsn::START, say: None };
}

impl Online {
    /// It calls this end so, as far as it has said.
    pub(super) fn learn(&mut self, frame: &Frame) {
        let Some(said) = &frame.header.destination_id else { return };
        let short = said.as_str().len() <= 2 * NAME_MAX;
        if *said != self.me && short && Name::new(said).is_none() {
            self.me = said.detached();
        }
    }

    /// A message, or a question. `promised`: it will be acknowledged.
    pub(super) fn on_message(
        &mut self,
        (frame, content): (&Frame, &Content),
        promised: bool,
        ctx: &mut Ctx<'_>,
    ) -> Result<Done, Held> {
        let header = &frame.header;
        let kind = &header.message_type;
        let to = header.destination_id.as_ref().and_then(Name::new);
        let asked = header.request_id.as_ref().filter(|_| header.await_response);
        if let Some(id) = asked.filter(|_| to.is_none())
            && let Some(topic) = self.topic(kind, ctx).filter(|topic| is_procedure(topic, ctx))
        {
            let say = self.call((kind, id), &topic, &frame.data, ctx);
            return Ok(Done { after: Lsn::START, say });
        }
        let flags = if to.is_some() { ADDRESSED } else { 0 };
        let said = Said { frame, content, kind, flags, promised };
        // Before it is told: the answer may come in this very turn.
        asked.iter().for_each(|id| self.book.wait(kind, id));
        let done = match self.permitted(kind, ctx) {
            None => Ok(Receipt::default()),
            Some(topic) => match &to {
                None => self.say(&said, topic, To::All, ctx),
                Some(name) => self.say_to(&said, topic, (name, asked.is_some()), ctx),
            },
        };
        self.note_file(&done, ctx);
        let unheard = !done.as_ref().is_ok_and(|receipt| receipt.matched > 0);
        let unheard = asked.filter(|id| unheard && self.book.take(kind, id));
        let say = unheard.map(|id| nobody(kind, id, self.me.clone()));
        Ok(Done { after: done?.after, say })
    }

    /// A publication.
    pub(super) fn on_publish(
        &mut self,
        kind: &Text,
        (frame, content): (&Frame, &Content),
        promised: bool,
        ctx: &mut Ctx<'_>,
    ) -> Result<Done, Held> {
        let Some(topic) = self.permitted(kind, ctx) else { return Ok(Done::NOTHING) };
        let said = Said { frame, content, kind, flags: PUBLISHED, promised };
        let receipt = self.say(&said, topic, To::All, ctx);
        self.note_file(&receipt, ctx);
        let receipt = receipt?;
        Ok(Done { after: receipt.after, say: None })
    }

    /// An answer: to who asked, if anybody did.
    pub(super) fn on_answer(
        &mut self,
        (frame, content): (&Frame, &Content),
        promised: bool,
        ctx: &mut Ctx<'_>,
    ) -> Result<Done, Held> {
        let kind = &frame.header.message_type;
        if kind.as_str() == PING {
            return Ok(Done::NOTHING);
        }
        let Some(told) = &frame.header.response_id else { return Ok(Done::NOTHING) };
        let Some(asked) = self.book.by(kind, told) else {
            if frame.header.destination_id.as_ref().and_then(Name::new).is_some() {
                return self.on_message((frame, content), promised, ctx);
            }
            // Nobody knows any more whose answer it is: told to all, it could be taken for the
            // answer to another question of that number.
            ctx.hub.stats.count(Counter::Ignored);
            return Ok(Done::NOTHING);
        };
        let flags = ADDRESSED | if asked.awaited { AWAITED } else { 0 };
        let (who, id) = match &asked.who {
            Asker::Client(who) => (who.clone(), asked.id.clone()),
            Asker::Call(number) => {
                self.answer(*number, &frame.data, ctx);
                self.book.answered(kind, told);
                return Ok(Done::NOTHING);
            }
        };
        let header = Header { response_id: Some(id), ..frame.header.clone() };
        let answer = Frame { header, data: frame.data.clone(), binary: Bytes::new() };
        let Some(topic) = self.topic(kind, ctx) else { return Ok(Done::NOTHING) };
        let said = Said { frame: &answer, content, kind, flags, promised };
        let receipt = self.say_to(&said, topic, (&who, true), ctx);
        self.note_file(&receipt, ctx);
        let receipt = receipt?;
        self.book.answered(kind, told);
        Ok(Done { after: receipt.after, say: None })
    }

    /// It listens to these; what finds no room is left in the list.
    pub(super) fn on_subscribe(
        &mut self,
        types: &mut Vec<Text>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Done, Held> {
        let spelling = Spelling::new(&ctx.hub.limits);
        let opts = SubOpts { qos: 1, ..SubOpts::default() };
        let native = crate::topic::Match::Native;
        for at in 0..types.len() {
            let Some(kind) = types.get(at) else { break };
            let Ok(filter) = spelling.filter(kind.bytes(), native) else {
                ctx.hub.stats.count(Counter::Ignored);
                continue;
            };
            if !permit(&self.who, Access::Subscribe(&filter), ctx) {
                continue;
            }
            let taken = ctx.hub.take_on(self.session, kind.as_str().as_bytes()).and_then(|()| {
                ctx.hub.subscribe(ctx.now, self.session, &filter, None, opts, Replays::IfNew)
            });
            if let Err(why) = taken {
                types.drain(..at);
                return Err(why);
            }
            self.serve(kind, ctx);
        }
        Ok(Done::NOTHING)
    }

    /// And to these no more.
    pub(super) fn on_unsubscribe(
        &mut self,
        types: &mut Vec<Text>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Done, Held> {
        let spelling = Spelling::new(&ctx.hub.limits);
        for at in 0..types.len() {
            let Some(kind) = types.get(at) else { break };
            let filter = spelling.filter(kind.bytes(), crate::topic::Match::Native);
            let Ok(filter) = filter else { continue };
            let taken = ctx
                .hub
                .take_on(self.session, kind.as_str().as_bytes())
                .and_then(|()| ctx.hub.unsubscribe(ctx.now, self.session, &filter, None));
            if let Err(why) = taken {
                types.drain(..at);
                return Err(why);
            }
            self.serve_no_more(kind, ctx);
        }
        Ok(Done::NOTHING)
    }

    /// It is gone: whoever asked it alone has no answer to wait for.
    pub(super) fn leave(&mut self, ctx: &mut Ctx<'_>) {
        let left: Vec<_> = self.book.left().collect();
        for asked in left {
            let (kind, Asker::Client(who)) = (asked.kind(), &asked.who) else { continue };
            let Some(topic) = self.topic(kind, ctx) else { continue };
            let frame = nobody(kind, &asked.id, self.me.clone());
            let content = Content(frame.data.clone());
            let flags = ADDRESSED | AWAITED;
            let promised = false;
            let said = Said { frame: &frame, content: &content, kind, flags, promised };
            // Who has no room for that is told nothing, as if it had come too late.
            let _ = self.say_to(&said, topic, (who, true), ctx);
        }
    }

    /// So many hear it: with its file, or without one that there was.
    fn note_file(&mut self, done: &Result<Receipt, Held>, ctx: &mut Ctx<'_>) {
        let readers = done.as_ref().map_or(0, |receipt| receipt.matched);
        if self.withholds && readers > 0 {
            note_withheld(self, ctx);
        }
        self.readers = readers;
    }

    pub(super) fn topic(&self, kind: &Text, ctx: &mut Ctx<'_>) -> Option<Topic> {
        let spelling = Spelling::new(&ctx.hub.limits);
        if let Some(known) = ctx.hub.known_topic(SEP, kind.bytes()) {
            return Some(known.clone());
        }
        spelling.topic(kind.bytes()).ok()
    }

    /// The topic of this type, if there can be one and it may be published to.
    fn permitted(&self, kind: &Text, ctx: &mut Ctx<'_>) -> Option<Topic> {
        let Some(topic) = self.topic(kind, ctx) else {
            ctx.hub.stats.count(Counter::Ignored);
            return None;
        };
        permit(&self.who, Access::Publish(&topic), ctx).then_some(topic)
    }

    /// To a client of this name; to nobody, if there is none. One that speaks another protocol has
    /// to listen to the type, and cannot be `asked`: it has no word for an answer.
    fn say_to(
        &self,
        said: &Said<'_>,
        topic: Topic,
        (name, asked): (&Name, bool),
        ctx: &mut Ctx<'_>,
    ) -> Result<Receipt, Held> {
        let (realm, name) = (ctx.listener.realm, name.as_str().as_bytes());
        if let Some(to) = ctx.hub.named(realm, Kind::Aio, name) {
            return self.say(said, topic, To::One(to), ctx);
        }
        let others = [Kind::Mqtt, Kind::Prx1].into_iter();
        match others.filter(|_| !asked).find_map(|kind| ctx.hub.named(realm, kind, name)) {
            Some(to) => self.say(said, topic, To::Listener(to), ctx),
            None => {
                ctx.hub.stats.count(Counter::Ignored);
                Ok(Receipt::default())
            }
        }
    }

    fn say(
        &self,
        said: &Said<'_>,
        topic: Topic,
        to: To,
        ctx: &mut Ctx<'_>,
    ) -> Result<Receipt, Held> {
        let source = self.name.text().clone();
        let how = (said.flags, self.passes.as_ref());
        let props = letter::props(said.frame, said.kind, source, how);
        let mut publication = Publication {
            realm: ctx.listener.realm,
            topic,
            body: said.content.0.clone(),
            props: props.ok_or(Held::TooLarge)?,
            // Who is away has it later, and until it is acknowledged it is owed.
            qos: 1,
            retain: false,
            expires: 0,
            inbound: None,
        };
        let from = (self.session, &*self.who);
        // Who publishes to itself hears itself. Who says something to everybody does not mean to,
        // and is not somebody who could answer it.
        let without = (said.flags & PUBLISHED == 0).then_some(self.session);
        let mut sent = Err(Held::Failed);
        for level in [ctx.listener.level, Durability::Memory] {
            let audience = Audience { without, ..Audience::default() };
            let (now, p) = (ctx.now, &mut publication);
            sent = match to {
                To::One(to) => ctx.hub.accept_to(now, from, level, p, to),
                To::Listener(to) => {
                    let audience = Audience { only: Some(to), ..Audience::default() };
                    ctx.hub.accept_for(now, from, level, p, audience)
                }
                To::All => ctx.hub.accept_for(now, from, level, p, audience),
            };
            // Where nothing was promised, a sick disk need not stop it.
            if sent != Err(Held::Failed) || said.promised {
                break;
            }
        }
        sent
    }
}

/// For whom something is.
#[derive(Clone, Copy)]
enum To {
    /// Whoever listens.
    All,
    /// This one, whatever it listens to.
    One(SessionId),
    /// This one, if it listens.
    Listener(SessionId),
}

/// What it says, and how.
struct Said<'a> {
    frame: &'a Frame,
    content: &'a Content,
    kind: &'a Text,
    flags: u8,
    promised: bool,
}

/// There is nobody who could answer. The words are those in which a connector says that its
/// connection is gone.
fn nobody(kind: &Text, id: &Id, me: Text) -> Frame {
    failed(kind, id, me, b"disconnected_during_wait", Bytes::from_static(b"{}"))
}

pub(super) fn permit(who: &Principal, access: Access<'_>, ctx: &mut Ctx<'_>) -> bool {
    if ctx.hub.policy.permit(who, &access) {
        return true;
    }
    ctx.hub.stats.denied(access.action());
    let why = ctx.hub.policy.explain(who, &access);
    let event = Event::Denied { conn: ctx.conn, who, access, why: &why };
    ctx.hub.observer.see(ctx.now, &event);
    false
}
