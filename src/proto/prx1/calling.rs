//! Floor 3. Calls of a PRX1 client: what it offers, what it asks of others, and what it answers.
//!
//! A client takes part as soon as it says its first extended frame, and no client hears one before.
//! What is not done is answered, never silent: a refusal is a frame here, and only a number used
//! twice ends the connection. Absent on purpose: who is asked, and what a call waits for
//! (`hub/calls`).

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::base::id::{Lsn, SessionId};
use crate::base::stats::Counter;
use crate::hub::Held;
use crate::hub::calls::{
    Able, Answer, Ask, Bound, Invoke, Kind, Mode, Offer, Payload, Refused, Terms, Violation,
};
use crate::hub::parties::Joining;
use crate::hub::policy::{Access, Principal};
use crate::proto::fault::FaultKind;
use crate::proto::replies::Replies;
use crate::proto::{Ctx, procedure};
use crate::topic::{Filter, Topic};

use super::dialect::Spelling;
use super::extended::{
    Cancel, Extended, Register, Request, Response, Unregister, What, mode, reason, share,
};
use super::gather::{Book, PART};
use super::peer::{Online, Reply, permit};

/// What a client that calls and serves has beside others.
#[derive(Debug, Default)]
pub(super) struct Calling {
    /// What it serves: the registration, and the topic as it wrote it.
    pub(super) served: BTreeMap<u64, Bytes>,
    /// What it asks of many.
    pub(super) book: Book,
    /// Somebody wants it to go.
    pub(super) go: bool,
}

/// What every client here can do, calling and being called.
const CAN: Able = Able::GIVES_PIECES;
/// What a callee says that wants another to be asked.
const UNAVAILABLE: &[u8] = b"wamp.error.unavailable";
/// What an error is called whose name is none.
const UNNAMED: &[u8] = b"prx1.error.unnamed";

/// Why a packet is not carried out: the hub could not now, or a rule is broken.
#[derive(Debug)]
pub(super) enum Not {
    /// Wait with it, if that helps.
    Held(Held),
    /// The end.
    Broken(FaultKind),
}

impl Online {
    /// Somebody wants it to go.
    pub(super) fn is_to_go(&self) -> bool {
        self.calling.as_ref().is_some_and(|calling| calling.go)
    }

    /// Carry it out; `who` is the client.
    pub(super) fn on_extended(
        &mut self,
        it: &Extended,
        who: &Principal,
        replies: &mut Replies<Reply>,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Not> {
        if let Extended::Answer(_) = it {
            ctx.hub.stats.count(Counter::Ignored);
            return Ok(());
        }
        self.take_part(who, ctx);
        match it {
            Extended::Register(it) => {
                ctx.hub.take_on(self.session, &it.topic).map_err(Not::Held)?;
                let done = self.register(it, who, ctx);
                let reason = done.err().unwrap_or(reason::NONE);
                // Nothing is asked of it before it knows.
                replies.push_gate(Lsn::START, Reply::Answer { id: it.id, reason });
            }
            Extended::Unregister(it) => {
                let done = self.unregister(it, ctx);
                let reason = done.err().unwrap_or(reason::NONE);
                replies.push(Lsn::START, Reply::Answer { id: it.id, reason });
            }
            Extended::Request(it) => match self.request(it, who, ctx)? {
                Ok(()) => ctx.hub.stats.count(Counter::CallsTaken),
                Err(reason) => {
                    ctx.hub.stats.count(Counter::CallsFailed);
                    replies.push(Lsn::START, Reply::Refused { id: it.id, reason });
                }
            },
            Extended::Response(it) => self.respond(it, ctx),
            Extended::Cancel(it) => self.cancel(*it, replies, ctx),
            Extended::Answer(_) => {}
        }
        Ok(())
    }

    /// From now on others can know it.
    fn take_part(&mut self, who: &Principal, ctx: &mut Ctx<'_>) {
        if self.calling.is_some() {
            return;
        }
        self.calling = Some(Box::default());
        let (id, none) = (ctx.hub.parties.number(), Bytes::new());
        ctx.hub.parties.join(Joining {
            id,
            session: self.session,
            realm: ctx.listener.realm,
            conn: ctx.conn,
            authid: who.user.clone(),
            authrole: none.clone(),
            authmethod: none.clone(),
            authprovider: none,
            details: Vec::new(),
        });
    }

    /// Where it is, and what it is called there.
    fn named(text: &Bytes, ctx: &Ctx<'_>) -> Result<(Topic, Bytes), u8> {
        let topic = Spelling::new(&ctx.hub.limits).topic(text).map_err(|_| reason::WRONG)?;
        let name = procedure::named(&topic, ctx.listener.realm, ctx.hub).ok_or(reason::WRONG)?;
        Ok((topic, name))
    }

    fn register(&mut self, it: &Register, who: &Principal, ctx: &mut Ctx<'_>) -> Result<(), u8> {
        let (topic, name) = Self::named(&it.topic, ctx)?;
        if procedure::is_reserved(&name, ctx.listener.realm, ctx.hub) {
            return Err(reason::WRONG);
        }
        let filter = Filter::exact(&topic);
        permit(who, Access::Subscribe(&filter), ctx).map_err(|_| reason::DENIED)?;
        let invoke = match it.share {
            share::SINGLE => Invoke::Single,
            share::FIRST => Invoke::First,
            share::LAST => Invoke::Last,
            share::ROUND_ROBIN => Invoke::Roundrobin,
            share::RANDOM => Invoke::Random,
            _ => return Err(reason::UNSUPPORTED),
        };
        let terms = Terms { can: CAN, ..Terms::default() };
        let offer = Offer { procedure: name, kind: Kind::Exact, invoke, terms };
        let realm = ctx.listener.realm;
        match ctx.hub.calls.register(ctx.now, realm, self.session, &offer) {
            Ok(done) => {
                if let Some(calling) = &mut self.calling {
                    calling.served.insert(done.id(), Bytes::copy_from_slice(&it.topic));
                }
                Ok(())
            }
            Err(Refused::Exists) => Err(reason::EXISTS),
            Err(Refused::Full(bound)) => {
                ctx.hub.limited(ctx.now, &who.user, bound.limit());
                Err(reason::FULL)
            }
        }
    }

    fn unregister(&mut self, it: &Unregister, ctx: &mut Ctx<'_>) -> Result<(), u8> {
        let (_, name) = Self::named(&it.topic, ctx)?;
        let (realm, calls) = (ctx.listener.realm, &mut ctx.hub.calls);
        let id = calls.lookup(realm, Kind::Exact, &name).ok_or(reason::NO_PROCEDURE)?;
        calls.unregister(realm, self.session, id).ok_or(reason::NO_PROCEDURE)?;
        if let Some(calling) = &mut self.calling {
            calling.served.remove(&id);
        }
        Ok(())
    }

    /// Ask for it. The inner error is told; the outer one ends the connection.
    fn request(
        &mut self,
        it: &Request,
        who: &Principal,
        ctx: &mut Ctx<'_>,
    ) -> Result<Result<(), u8>, Not> {
        if it.id & PART != 0 {
            return Ok(Err(reason::WRONG));
        }
        let gathers = self.calling.as_ref().is_some_and(|calling| calling.book.has(it.id));
        if gathers || ctx.hub.calls.is_asked(self.session, it.id) {
            return Err(Not::Broken(FaultKind::Prx1Reused));
        }
        let (topic, name) = match Self::named(&it.topic, ctx) {
            Ok(named) => named,
            Err(reason) => return Ok(Err(reason)),
        };
        if permit(who, Access::Request(&topic), ctx).is_err() {
            return Ok(Err(reason::DENIED));
        }
        let ask = Ask {
            realm: ctx.listener.realm,
            caller: self.session,
            request: it.id,
            procedure: name,
            payload: plain(&it.payload),
            more: false,
            pieces: it.pieces,
            timeout_ms: it.timeout_ms.into(),
            disclose: false,
            trust: 0,
            needs: Able::NONE,
            can: CAN,
            shard: None,
        };
        match it.many {
            Some(want) => Ok(self.ask_many(want, &ask, who, ctx)),
            None => {
                let mut acts = ctx.hub.spare_acts();
                let done = ctx.hub.calls.call(ctx.now, ask, &mut acts);
                ctx.hub.pass_on(&mut acts);
                done.map_err(violated)?;
                Ok(Ok(()))
            }
        }
    }

    /// Ask all who serve it, each for itself.
    fn ask_many(
        &mut self,
        want: u16,
        ask: &Ask,
        who: &Principal,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), u8> {
        let calls = &mut ctx.hub.calls;
        let best = calls.best(ask.realm, &ask.procedure).ok_or(reason::NO_PROCEDURE)?;
        let found = calls.registration(ask.realm, best).ok_or(reason::NO_PROCEDURE)?;
        let callees: Vec<SessionId> = found.callees().iter().map(|c| c.session).collect();
        let Some(calling) = &mut self.calling else { return Err(reason::UNSUPPORTED) };
        if calling.book.open() + callees.len() > calls.limits.calls_per_caller_max {
            ctx.hub.limited(ctx.now, &who.user, Bound::CallsPerCaller.limit());
            return Err(reason::FULL);
        }
        let parts = calling.book.begin(ask.request, want, callees.len());
        let mut acts = ctx.hub.spare_acts();
        for (request, callee) in parts.into_iter().zip(callees) {
            let part = Ask { request, ..ask.clone() };
            // No part has the number of another.
            let _ = ctx.hub.calls.call_one(ctx.now, part, callee, &mut acts);
        }
        ctx.hub.pass_on(&mut acts);
        Ok(())
    }

    /// It answers what it was asked. What nobody waits for any more is nobody's loss.
    fn respond(&self, it: &Response, ctx: &mut Ctx<'_>) {
        let answer = match &it.what {
            What::Final(payload) => Answer::Result(plain(payload), Able::NONE),
            What::Piece(payload) => Answer::Piece(plain(payload), Able::NONE),
            What::Error { reason: reason::UNAVAILABLE, payload, .. } => {
                Answer::Unavailable(Bytes::from_static(UNAVAILABLE), plain(payload))
            }
            What::Error { name, payload, .. } => {
                let name = Self::named(name, ctx).map(|(_, name)| name);
                let name = name.unwrap_or(Bytes::from_static(UNNAMED));
                Answer::Error(name, plain(payload))
            }
            What::Gathered { .. } => return ctx.hub.stats.count(Counter::Ignored),
        };
        let mut acts = ctx.hub.spare_acts();
        let done = ctx.hub.calls.answer(ctx.now, self.session, it.id, answer, &mut acts);
        ctx.hub.pass_on(&mut acts);
        if done.is_err() {
            ctx.hub.stats.count(Counter::Ignored);
        }
    }

    fn cancel(&mut self, it: Cancel, replies: &mut Replies<Reply>, ctx: &mut Ctx<'_>) {
        let ended = self.calling.as_mut().and_then(|calling| calling.book.end(it.id));
        let mut acts = ctx.hub.spare_acts();
        match ended {
            Some((_, parts)) => {
                for part in parts {
                    ctx.hub.calls.cancel(self.session, part, Mode::KillNoWait, &mut acts);
                }
                ctx.hub.stats.count(Counter::CallsFailed);
                let reason = reason::CANCELED;
                replies.push(Lsn::START, Reply::Refused { id: it.id, reason });
            }
            None if it.id & PART != 0 => ctx.hub.stats.count(Counter::Ignored),
            None => {
                let mode = match it.mode {
                    mode::SKIP => Mode::Skip,
                    mode::KILL => Mode::Kill,
                    _ => Mode::KillNoWait,
                };
                ctx.hub.calls.cancel(self.session, it.id, mode, &mut acts);
            }
        }
        ctx.hub.pass_on(&mut acts);
    }
}

fn plain(body: &Bytes) -> Payload {
    Payload { form: 0, meta: Bytes::new(), args: body.clone() }
}

fn violated(_: Violation) -> Not {
    Not::Broken(FaultKind::Prx1Reused)
}
