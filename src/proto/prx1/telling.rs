//! Floor 3. What others want of a PRX1 client, and what came of what it wanted: mail as frames.
//!
//! What came with arguments is told as the body that is made of them. What does not fit into a
//! frame becomes an error that says so, told to whoever waits for it. Absent on purpose: messages
//! (`deliver`).

use bytes::Bytes;

use crate::base::outbound::Outbound;
use crate::base::stats::Counter;
use crate::base::time::Now;
use crate::hub::Hub;
use crate::hub::calls::{Act, Answer, Invocation, Mode, Payload, Why};
use crate::hub::parties::Mail;
use crate::proto::{carried, procedure};

use super::dialect::Spelling;
use super::encode;
use super::extended::{Cancel, Extended, Request, Response, Unregister, What, mode, reason};
use super::gather::{PART, Step};
use super::packet::Packet;
use super::peer::Online;

/// No body can be made of the arguments; it is longer than a frame says.
const INVALID: &[u8] = b"wamp.error.invalid_argument";
const TOO_LARGE: &[u8] = b"wamp.error.payload_size_exceeded";
const UNAVAILABLE: &[u8] = b"wamp.error.unavailable";

impl Online {
    /// Say the next letter; false when there is none.
    pub(super) fn tell(&mut self, now: Now, hub: &mut Hub, out: &mut Outbound) -> bool {
        if self.calling.as_ref().is_none_or(|calling| calling.go) {
            return false;
        }
        let Some(mail) = hub.parties.take(self.session) else { return false };
        match mail {
            Mail::Act(Act::Invoke(it)) => self.put_invocation(now, it, hub, out),
            Mail::Act(Act::Result { request, payload, .. }) if request & PART != 0 => {
                self.put_part(request, Some(payload), hub, out);
            }
            Mail::Act(Act::Fail { request, .. }) if request & PART != 0 => {
                hub.stats.count(Counter::CallsFailed);
                self.put_part(request, None, hub, out);
            }
            Mail::Act(Act::Result { request, more, payload, .. }) => {
                self.put_result(request, more, &payload, hub, out);
            }
            Mail::Act(Act::Fail { request, why, payload, .. }) => {
                hub.stats.count(Counter::CallsFailed);
                if let Why::Full(bound) = why {
                    hub.limited(now, &self.who.user, bound.limit());
                }
                self.put_failure(request, &why, &payload, hub, out);
            }
            Mail::Act(Act::Interrupt { number, why, .. })
                if !hub.calls.is_worth_saying(self.session, number, why) => {}
            Mail::Act(Act::Interrupt { number, mode, .. }) => {
                let mode = match mode {
                    Mode::Skip => mode::SKIP,
                    Mode::Kill => mode::KILL,
                    Mode::KillNoWait => mode::KILL_NO_WAIT,
                };
                put(Extended::Cancel(Cancel { id: number, mode }), hub, out);
            }
            Mail::Unregistered { id, .. } => {
                let served = self.calling.as_mut().and_then(|calling| calling.served.remove(&id));
                if let Some(topic) = served {
                    put(Extended::Unregister(Unregister { id: 0, topic }), hub, out);
                }
            }
            Mail::Unsubscribed { .. } | Mail::Granted { .. } => {}
            Mail::Go { .. } => {
                if let Some(calling) = &mut self.calling {
                    calling.go = true;
                }
            }
        }
        true
    }

    fn put_invocation(&self, now: Now, it: Invocation, hub: &mut Hub, out: &mut Outbound) {
        let served = self.calling.as_ref().and_then(|all| all.served.get(&it.registration));
        let answer = match (served, carried::body_in(&it.payload)) {
            // It said meanwhile that it does not serve that any more.
            (None, _) => Answer::Unavailable(Bytes::from_static(UNAVAILABLE), Payload::default()),
            (_, None) => Answer::Error(Bytes::from_static(INVALID), Payload::default()),
            (Some(topic), Some(payload)) => {
                let said = Extended::Request(Request {
                    id: it.number,
                    timeout_ms: u32::try_from(it.timeout_ms).unwrap_or(u32::MAX),
                    many: None,
                    pieces: it.pieces,
                    topic: topic.clone(),
                    payload,
                });
                if put(said, hub, out) {
                    return;
                }
                Answer::Error(Bytes::from_static(TOO_LARGE), Payload::default())
            }
        };
        let mut acts = Vec::new();
        // It was asked this a moment ago.
        let _ = hub.calls.answer(now, self.session, it.number, answer, &mut acts);
        hub.pass_on(&mut acts);
    }

    /// One of many has its outcome.
    fn put_part(&mut self, part: u64, payload: Option<Payload>, hub: &mut Hub, out: &mut Outbound) {
        let Some(calling) = &mut self.calling else { return };
        let Some(id) = calling.book.of(part) else { return };
        let body = payload.as_ref().and_then(carried::body_in);
        let said = body.map(|body| Extended::Response(Response { id, what: What::Piece(body) }));
        let answered = said.is_some_and(|said| put(said, hub, out));
        let step = calling.book.on_outcome(part, answered);
        let Some(Step { request: id, end: Some((tally, rest)) }) = step else { return };
        let mut acts = Vec::new();
        for part in rest {
            hub.calls.cancel(self.session, part, Mode::KillNoWait, &mut acts);
        }
        hub.pass_on(&mut acts);
        let (asked, answered, failed) = (tally.asked, tally.answered, tally.failed);
        let what = What::Gathered { asked, answered, failed };
        put(Extended::Response(Response { id, what }), hub, out);
    }

    fn put_result(
        &self,
        id: u64,
        more: bool,
        payload: &Payload,
        hub: &mut Hub,
        out: &mut Outbound,
    ) {
        let what = |body| if more { What::Piece(body) } else { What::Final(body) };
        let said = carried::body_in(payload).map(|body| Response { id, what: what(body) });
        if said.is_some_and(|said| put(Extended::Response(said), hub, out)) {
            return;
        }
        if more {
            // It has one outcome, and not this one.
            let mut acts = Vec::new();
            hub.calls.cancel(self.session, id, Mode::KillNoWait, &mut acts);
            return hub.pass_on(&mut acts);
        }
        hub.stats.count(Counter::CallsFailed);
        put_error(id, reason::TOO_LARGE, Bytes::new(), Bytes::new(), hub, out);
    }

    fn put_failure(
        &self,
        id: u64,
        why: &Why,
        payload: &Payload,
        hub: &mut Hub,
        out: &mut Outbound,
    ) {
        let (reason, name) = match why {
            Why::Said(name) => (reason::NONE, self.spelled(name, hub)),
            other => (reason_of(other), Bytes::new()),
        };
        let body = carried::body_in(payload).unwrap_or_default();
        if !put_error(id, reason, name.clone(), body, hub, out) {
            put_error(id, reason, name, Bytes::new(), hub, out);
        }
    }

    /// The name of an error as it is written here, or else as it is.
    fn spelled(&self, name: &Bytes, hub: &Hub) -> Bytes {
        let realm = hub.session(self.session).map(|s| s.realm);
        let topic = realm.and_then(|realm| procedure::topic(name, realm, hub));
        let mut text = Vec::new();
        match topic.is_some_and(|topic| Spelling::new(&hub.limits).spell(&topic, &mut text)) {
            true => text.into(),
            false => name.clone(),
        }
    }
}

fn reason_of(why: &Why) -> u8 {
    match why {
        Why::Said(_) => reason::NONE,
        Why::NoProcedure => reason::NO_PROCEDURE,
        Why::NoCallee => reason::UNAVAILABLE,
        Why::Unsupported => reason::UNSUPPORTED,
        Why::Canceled => reason::CANCELED,
        Why::Timeout => reason::TIMEOUT,
        Why::Gone => reason::GONE,
        Why::Blocked => reason::BLOCKED,
        Why::Full(_) => reason::FULL,
    }
}

fn put_error(
    id: u64,
    reason: u8,
    name: Bytes,
    payload: Bytes,
    hub: &mut Hub,
    out: &mut Outbound,
) -> bool {
    let what = What::Error { reason, name, payload };
    put(Extended::Response(Response { id, what }), hub, out)
}

/// False: it does not fit into a frame.
fn put(it: Extended, hub: &mut Hub, out: &mut Outbound) -> bool {
    let said = encode(&Packet::Extended(it), out).is_ok();
    if said {
        hub.stats.count(Counter::RepliesSent);
    }
    said
}
