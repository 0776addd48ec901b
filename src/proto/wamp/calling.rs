//! Floor 3. Calls and registrations of a WAMP session: what it asks of others, and what it answers.
//!
//! The dealer decides; here its words are made of ours. A procedure of the router itself is
//! answered at once. Absent on purpose: who is asked, and what a call waits for (`hub/calls`).

use bytes::Bytes;

use crate::base::id::Lsn;
use crate::base::stats::Counter;
use crate::hub::Hub;
use crate::hub::calls::{
    Able, Answer, Ask, Invoke as Share, Mode, Offer, Payload as Load, Refused, Terms, Violation,
};
use crate::hub::parties::{Mail, scatter};
use crate::hub::policy::Access;
use crate::proto::Ctx;
use crate::proto::carried::{SEALED, code_of};
use crate::proto::fault::FaultKind;
use crate::proto::replies::Replies;
use crate::value::{Form, Value, Writer};

use super::exam::PROVIDER;
use super::fault::Reason;
use super::meta::{self, Asker};
use super::notes::Notes;
use super::online::{Online, discloses, is_packed, refuse};
use super::options::{CallOptions, CancelMode, Invoke, Ppt, ResultDetails};
use super::packet::{Call, Cancel, Failure, Outcome, Register, Unregister, Yield};
use super::parts::{Payload, Raw};
use super::peer::{Reply, Stop};
use super::roles::Feature;
use super::span::Span;
use super::telling::granted;

/// Codes that answers name.
pub(super) const CALL: u64 = 48;
const CANCEL: u64 = 49;
const REGISTER: u64 = 64;
const UNREGISTER: u64 = 66;
const YIELD: u64 = 70;
/// Names that only the router uses.
const RESERVED: &str = "wamp.";
/// What a callee says that wants another to be asked.
const UNAVAILABLE: &str = "wamp.error.unavailable";

impl Online {
    pub(super) fn on_call(
        &self,
        it: &Call,
        whole: &Bytes,
        replies: &mut Replies<Reply>,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Stop> {
        let Some(features) = self.roles.caller else { return Err(FaultKind::WampRole.into()) };
        let more = it.options.progress;
        if more && !features.has(Feature::ProgressiveCallInvocations) {
            return Err(FaultKind::WampFeature.into());
        }
        if it.options.ppt.is_some() && !features.has(Feature::PayloadPassthruMode) {
            return Err(FaultKind::WampFeature.into());
        }
        // What follows of a call goes where it went, as the first piece said.
        if !ctx.hub.calls.is_asked(self.session, it.request) {
            let objection = self.objection(it, ctx);
            let is_meta = it.procedure.as_str().starts_with(RESERVED);
            if objection.is_some() || is_meta {
                if ctx.hub.calls.answer_at_once(self.session, it.request, more) {
                    self.answer_here(it, objection, replies, ctx);
                }
                return Ok(());
            }
        }
        ctx.hub.stats.count(Counter::CallsTaken);
        let span = Span::of(&it.payload, whole, self.form);
        let ask = Ask {
            realm: self.realm,
            caller: self.session,
            request: it.request,
            procedure: it.procedure.bytes().clone(),
            payload: load(span, it.options.ppt.as_deref()),
            more,
            pieces: it.options.receive_progress && features.has(Feature::ProgressiveCallResults),
            timeout_ms: it.options.timeout.map_or(0, |ms| ms.0),
            disclose: it.options.disclose_me,
            trust: self.trusted(it.procedure.bytes(), ctx.hub),
            needs: needs(it.options.ppt.as_deref()),
            can: self.calls_as,
            shard: shard(&it.options),
        };
        let mut acts = ctx.hub.spare_acts();
        let done = ctx.hub.calls.call(ctx.now, ask, &mut acts);
        ctx.hub.pass_on(&mut acts);
        done.map_err(violated)
    }

    /// It is refused, or the router itself knows the answer.
    fn answer_here(
        &self,
        it: &Call,
        objection: Option<Reason>,
        replies: &mut Replies<Reply>,
        ctx: &mut Ctx<'_>,
    ) {
        if let Some(reason) = objection {
            ctx.hub.stats.count(Counter::CallsFailed);
            return refuse(CALL, it.request, reason, None, replies);
        }
        ctx.hub.stats.count(Counter::CallsTaken);
        self.answer_meta(it, replies, ctx);
    }

    /// How far it is trusted with a call, as far as anybody says so.
    fn trusted(&self, procedure: &Bytes, hub: &mut Hub) -> u32 {
        if hub.realm(self.realm).is_none_or(|realm| realm.terms.trusts.is_empty()) {
            return 0;
        }
        let topic = self.topic(procedure, hub);
        topic.and_then(|topic| self.trust(&topic, hub)).unwrap_or_default()
    }

    /// Why it is not even asked for.
    fn objection(&self, it: &Call, ctx: &mut Ctx<'_>) -> Option<Reason> {
        let Some(topic) = self.topic(it.procedure.bytes(), ctx.hub) else {
            return Some(Reason::InvalidUri);
        };
        ctx.hub.note_topic(self.realm, &topic);
        // What the router is told is for nobody else.
        if ctx.hub.is_answering(self.realm, it.procedure.bytes()) {
            return Some(Reason::NotAuthorized);
        }
        if !self.permits(Access::Request(&topic), ctx) {
            return Some(Reason::NotAuthorized);
        }
        if it.options.disclose_me && !discloses(self.realm, ctx.hub) {
            return Some(Reason::DiscloseMeDisallowed);
        }
        if !is_packed(it.options.ppt.as_deref(), &it.payload) {
            return Some(Reason::InvalidArgument);
        }
        let run = it.options.runmode.as_ref().map(super::parts::Text::as_str);
        let odd = !matches!(run, None | Some("partition"));
        (odd || (run.is_some() && it.options.rkey.is_none())).then_some(Reason::OptionNotAllowed)
    }

    fn answer_meta(&self, it: &Call, replies: &mut Replies<Reply>, ctx: &mut Ctx<'_>) {
        let who = Asker { session: self.session, realm: self.realm };
        match meta::answer(it.procedure.as_str(), &it.payload, who, ctx) {
            Some(Ok(reply)) => {
                let details = ResultDetails::default();
                let payload = payload_of(&reply.args, &reply.kwargs);
                let outcome = Outcome { request: it.request, details, payload };
                replies.push(Lsn::START, Reply::Message(Box::new(outcome.into())));
            }
            Some(Err(why)) => {
                ctx.hub.stats.count(Counter::CallsFailed);
                refuse(CALL, it.request, why.reason, why.text, replies);
            }
            None => {
                ctx.hub.stats.count(Counter::CallsFailed);
                refuse(CALL, it.request, Reason::NoSuchProcedure, None, replies);
            }
        }
    }

    pub(super) fn on_cancel(
        &self,
        it: &Cancel,
        replies: &mut Replies<Reply>,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Stop> {
        if self.roles.caller.is_none() {
            return Err(FaultKind::WampRole.into());
        }
        let mode = match &it.options.mode {
            None | Some(CancelMode::KillNoWait) => Mode::KillNoWait,
            Some(CancelMode::Kill) => Mode::Kill,
            Some(CancelMode::Skip) => Mode::Skip,
            Some(CancelMode::Other(word)) => {
                let text = format!("invalid cancel mode {word}");
                let reason = Reason::InvalidArgument;
                refuse(CANCEL, it.request, reason, Some(&text), replies);
                return Ok(());
            }
        };
        let mut acts = ctx.hub.spare_acts();
        ctx.hub.calls.cancel(self.session, it.request, mode, &mut acts);
        ctx.hub.pass_on(&mut acts);
        Ok(())
    }

    pub(super) fn on_register(
        &self,
        it: &Register,
        replies: &mut Replies<Reply>,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Stop> {
        let Some(features) = self.roles.callee else { return Err(FaultKind::WampRole.into()) };
        let text = it.procedure.bytes();
        ctx.hub.take_on(self.session, text).map_err(Stop::Wait)?;
        let said = match self.filter(text, it.options.matching, ctx.hub) {
            Some(said) if !it.procedure.as_str().starts_with(RESERVED) => said,
            _ => {
                refuse(REGISTER, it.request, Reason::InvalidUri, None, replies);
                return Ok(());
            }
        };
        let (filter, kind) = said;
        let may = self.may_answer(text, ctx.hub) && self.permits(Access::Subscribe(&filter), ctx);
        let objection = if !may {
            Some(Reason::NotAuthorized)
        } else if it.options.disclose_caller && !discloses(self.realm, ctx.hub) {
            Some(Reason::DiscloseMeDisallowed)
        } else {
            None
        };
        if let Some(reason) = objection {
            refuse(REGISTER, it.request, reason, None, replies);
            return Ok(());
        }
        let takes_timeout = it.options.forward_timeout && features.has(Feature::CallTimeout);
        let discloses = it.options.disclose_caller;
        let offer = Offer {
            procedure: Bytes::copy_from_slice(text),
            kind,
            invoke: share(it.options.invoke),
            terms: Terms { can: self.able, discloses, takes_timeout, within_ms: 0 },
        };
        match ctx.hub.calls.register(ctx.now, self.realm, self.session, &offer) {
            Ok(done) => {
                self.grant(it.request, Some(done.id()), replies, ctx);
                meta::on_registered(self.session, done, ctx);
            }
            Err(Refused::Exists) => {
                refuse(REGISTER, it.request, Reason::ProcedureAlreadyExists, None, replies);
            }
            Err(Refused::Full(bound)) => {
                ctx.hub.limited(ctx.now, &self.who.user, bound.limit());
                refuse(REGISTER, it.request, Reason::Unavailable, Some("too many"), replies);
            }
        }
        Ok(())
    }

    /// Whom the router asks for its word is somebody whom the users file names, and who has shown
    /// it; other names anybody may offer.
    fn may_answer(&self, procedure: &[u8], hub: &Hub) -> bool {
        let known = || {
            let party = hub.parties.get(self.session);
            party.is_some_and(|it| it.authprovider == PROVIDER && it.authmethod != "anonymous")
        };
        !hub.is_answering(self.realm, procedure) || known()
    }

    pub(super) fn on_unregister(
        &self,
        it: &Unregister,
        replies: &mut Replies<Reply>,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Stop> {
        if self.roles.callee.is_none() {
            return Err(FaultKind::WampRole.into());
        }
        match ctx.hub.calls.unregister(self.realm, self.session, it.registration) {
            None => {
                refuse(UNREGISTER, it.request, Reason::NoSuchRegistration, None, replies);
            }
            Some(lost) => {
                self.grant(it.request, None, replies, ctx);
                meta::on_unregistered(self.id, self.realm, lost, ctx);
            }
        }
        Ok(())
    }

    /// What it is asked before it stops serving it hears before it hears that it did; and what it
    /// serves anew, behind that.
    fn grant(
        &self,
        request: u64,
        registration: Option<u64>,
        replies: &mut Replies<Reply>,
        ctx: &mut Ctx<'_>,
    ) {
        let mail = Mail::Granted { request, registration };
        let waits = ctx.hub.parties.has_mail(self.session);
        if !waits || !ctx.hub.post(self.session, mail) {
            let said = granted(request, registration);
            replies.push_gate(Lsn::START, Reply::Message(Box::new(said)));
        }
    }

    pub(super) fn on_yield(
        &self,
        it: &Yield,
        whole: &Bytes,
        replies: &mut Replies<Reply>,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Stop> {
        let Some(features) = self.roles.callee else { return Err(FaultKind::WampRole.into()) };
        let ppt = it.options.ppt.as_deref();
        if ppt.is_some() && !features.has(Feature::PayloadPassthruMode) {
            return Err(FaultKind::WampFeature.into());
        }
        let payload = load(Span::of(&it.payload, whole, self.form), ppt);
        let answer = match it.options.progress {
            true => Answer::Piece(payload, needs(ppt)),
            false => Answer::Result(payload, needs(ppt)),
        };
        let heard = self.answer(it.request, answer, ctx)?;
        if heard == crate::hub::calls::Heard::Unfit {
            refuse(YIELD, it.request, Reason::FeatureNotSupported, None, replies);
        }
        Ok(())
    }

    pub(super) fn on_error(
        &self,
        it: &Failure,
        whole: &Bytes,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Stop> {
        if self.roles.callee.is_none() {
            return Err(FaultKind::WampRole.into());
        }
        let span = Span::of(&it.payload, whole, self.form);
        let (payload, name) = (load(span, it.details.ppt.as_deref()), it.error.bytes().clone());
        let answer = match it.error.as_str() {
            UNAVAILABLE => Answer::Unavailable(name, payload),
            _ => Answer::Error(name, payload),
        };
        self.answer(it.request, answer, ctx).map(|_| ())
    }

    fn answer(
        &self,
        number: u64,
        answer: Answer,
        ctx: &mut Ctx<'_>,
    ) -> Result<crate::hub::calls::Heard, Stop> {
        let mut acts = ctx.hub.spare_acts();
        let done = ctx.hub.calls.answer(ctx.now, self.session, number, answer, &mut acts);
        ctx.hub.pass_on(&mut acts);
        done.map_err(violated)
    }
}

fn violated(why: Violation) -> Stop {
    match why {
        Violation::NeverIssued => FaultKind::WampNeverIssued.into(),
        Violation::Reused => FaultKind::WampReused.into(),
    }
}

fn share(invoke: Option<Invoke>) -> Share {
    match invoke {
        None | Some(Invoke::Single) => Share::Single,
        Some(Invoke::First) => Share::First,
        Some(Invoke::Last) => Share::Last,
        Some(Invoke::RoundRobin) => Share::Roundrobin,
        Some(Invoke::Random) => Share::Random,
    }
}

/// What else a callee or caller must be able to do.
fn needs(ppt: Option<&Ppt>) -> Able {
    if ppt.is_some() { Able::OPAQUE } else { Able::NONE }
}

/// Calls with the same key go to the same callee.
fn shard(options: &CallOptions) -> Option<u64> {
    let key = options.rkey.as_ref().filter(|_| options.runmode.is_some())?;
    Some(key.bytes().iter().fold(1, |sum, byte| scatter(sum ^ u64::from(*byte))))
}

/// Arguments as the dealer hands them on: flags first, then notes.
pub(super) fn load(span: Span, ppt: Option<&Ppt>) -> Load {
    let meta = match (ppt, span.flags) {
        (None, flags) => {
            // Nearly always one of these, which need no memory.
            const FLAGS: &[u8; 4] = &[0, 1, 2, 3];
            let at = usize::from(flags & 3);
            Bytes::from_static(FLAGS.get(at..=at).unwrap_or_default())
        }
        (Some(ppt), flags) => {
            let mut meta = vec![flags | SEALED];
            let ppt = Some(Box::new(ppt.clone()));
            Notes { who: None, trust: None, ppt }.put(&mut meta);
            meta.into()
        }
    };
    Load { form: code_of(span.form), meta, args: span.bytes }
}

/// Values as arguments.
pub(super) fn payload_of(args: &[Value], kwargs: &[(String, Value)]) -> Payload {
    let raw = |bytes: Vec<u8>| Raw { form: Form::Json, bytes: bytes.into() };
    let mut it = Payload::default();
    if !args.is_empty() {
        let mut into = Vec::new();
        let mut writer = Writer::new(Form::Json, &mut into);
        writer.list(args.len());
        args.iter().for_each(|arg| arg.write(&mut writer));
        writer.end();
        it.args = Some(raw(into));
    }
    if !kwargs.is_empty() {
        let mut into = Vec::new();
        let mut writer = Writer::new(Form::Json, &mut into);
        writer.map(kwargs.len());
        for (key, value) in kwargs {
            writer.key(key);
            value.write(&mut writer);
        }
        writer.end();
        it.kwargs = Some(raw(into));
    }
    it
}
