//! Floor 3. What others want of a WAMP session, and what came of what it wanted: mail as messages.
//!
//! A result that is longer than its caller takes becomes an error that says so; a call that is
//! longer than its callee takes fails. Absent on purpose: events (`deliver`).

use bytes::Bytes;

use crate::base::id::SessionId;
use crate::base::outbound::Outbound;
use crate::base::stats::Counter;
use crate::base::time::Now;
use crate::hub::Hub;
use crate::hub::calls::{Act, Invocation, Mode, Payload as Load, Stop as Halt, Why};
use crate::hub::parties::Mail;
use crate::proto::carried::form_of;
use crate::value::Form;

use super::calling::CALL;
use super::deliver::plain;
use super::fault::Reason;
use super::line::Line;
use super::notes::Notes;
use super::online::{Online, told};
use super::options::{
    CancelMode, ErrorDetails, GoodbyeDetails, InterruptOptions, InvocationDetails, ResultDetails,
    RevokedDetails,
};
use super::packet::{
    Ended, Failure, Goodbye, Interrupt, Invocation as Invoked, Message, Outcome, Registered,
    Unregistered, Unsubscribed,
};
use super::parts::{Amount, Payload, Text};
use super::roles::Feature;
use super::span::Span;

impl Online {
    /// Say it. True: it was told to go.
    pub(super) fn put_mail(
        &self,
        now: Now,
        mail: Mail,
        line: &Line,
        hub: &mut Hub,
        out: &mut Outbound,
    ) -> bool {
        match mail {
            Mail::Act(act) => self.put_act(now, act, line, hub, out),
            Mail::Unsubscribed { id, reason } => {
                if self.roles.subscriber.is_some_and(|f| f.has(Feature::SubscriptionRevocation)) {
                    let ended = revoked(Some(id), None, &reason);
                    put(&Unsubscribed { ended }.into(), line, hub, out);
                }
            }
            Mail::Unregistered { id, reason } => {
                if self.roles.callee.is_some_and(|f| f.has(Feature::RegistrationRevocation)) {
                    let ended = revoked(None, Some(id), &reason);
                    put(&Unregistered { ended }.into(), line, hub, out);
                }
            }
            Mail::Granted { request, registration } => {
                put(&granted(request, registration), line, hub, out);
            }
            Mail::Go { reason, message } => {
                let message = text(&message);
                let message = (!message.as_str().is_empty()).then_some(message);
                let details = GoodbyeDetails { message };
                put(&Goodbye { details, reason: text(&reason) }.into(), line, hub, out);
                return true;
            }
        }
        false
    }

    fn put_act(&self, now: Now, act: Act, line: &Line, hub: &mut Hub, out: &mut Outbound) {
        match act {
            Act::Invoke(it) => self.put_invocation(it, line, hub, out),
            Act::Result { request, more, payload, .. } => {
                let (span, notes) = unload(&payload, self.form);
                let details = ResultDetails { progress: more, ppt: notes.ppt };
                let outcome = Outcome { request, details, payload: Payload::default() };
                if !put_with(&outcome.into(), &span, line, hub, out) {
                    let reason = Reason::PayloadSizeExceeded.uri().into();
                    self.put_failure(request, reason, &Load::default(), line, hub, out);
                }
            }
            Act::Fail { request, why, payload, .. } => {
                hub.stats.count(Counter::CallsFailed);
                if let Why::Full(bound) = why {
                    hub.limited(now, &self.who.user, bound.limit());
                }
                let (error, words) = reason_of(why);
                match words {
                    Some(words) => {
                        let payload = told(words);
                        let (kind, details) = (CALL, ErrorDetails::default());
                        let failure = Failure { kind, request, details, error, payload };
                        put(&failure.into(), line, hub, out);
                    }
                    None => self.put_failure(request, error, &payload, line, hub, out),
                }
            }
            Act::Interrupt { number, why, .. }
                if !hub.calls.is_worth_saying(self.session, number, why) => {}
            Act::Interrupt { number, mode, why, .. } => {
                let mode = match mode {
                    Mode::Skip => CancelMode::Skip,
                    Mode::Kill => CancelMode::Kill,
                    Mode::KillNoWait => CancelMode::KillNoWait,
                };
                let reason = match why {
                    Halt::Timeout => Reason::Timeout,
                    Halt::Blocked => Reason::NetworkFailure,
                    Halt::Canceled | Halt::Gone | Halt::Late => Reason::Canceled,
                };
                let options =
                    InterruptOptions { mode: Some(mode), reason: Some(reason.uri().into()) };
                put(&Interrupt { request: number, options }.into(), line, hub, out);
            }
        }
    }

    fn put_invocation(&self, it: Invocation, line: &Line, hub: &mut Hub, out: &mut Outbound) {
        let (span, notes) = unload(&it.payload, self.form);
        let mut details = InvocationDetails {
            procedure: it.procedure.as_ref().map(text),
            receive_progress: it.pieces,
            progress: it.more,
            timeout: (it.timeout_ms > 0).then_some(Amount(it.timeout_ms)),
            ppt: notes.ppt,
            ..InvocationDetails::default()
        };
        let features = self.roles.callee.unwrap_or_default();
        if let Some(caller) = it.caller
            && features.has(Feature::CallerIdentification)
        {
            self.name(caller, &mut details, hub);
        }
        let says = hub.realm(self.realm).is_some_and(|realm| !realm.terms.trusts.is_empty());
        if says && features.has(Feature::CallTrustlevels) {
            details.trustlevel = Some(Amount(it.trust.into()));
        }
        let (request, registration) = (it.number, it.registration);
        let message = Invoked { request, registration, details, payload: Payload::default() };
        if !put_with(&message.into(), &span, line, hub, out) {
            let mut acts = hub.spare_acts();
            hub.calls.blocked(self.session, it.number, &mut acts);
            hub.pass_on(&mut acts);
        }
    }

    fn name(&self, caller: SessionId, details: &mut InvocationDetails, hub: &Hub) {
        let Some(party) = hub.parties.get(caller) else { return };
        details.caller = Some(party.id);
        details.caller_authid = Some(text(&party.authid));
        details.caller_authrole = Some(text(&party.authrole));
    }

    fn put_failure(
        &self,
        request: u64,
        error: Text,
        payload: &Load,
        line: &Line,
        hub: &mut Hub,
        out: &mut Outbound,
    ) {
        let (span, notes) = unload(payload, self.form);
        let details = ErrorDetails { ppt: notes.ppt };
        let (kind, none) = (CALL, Payload::default());
        let failure = Failure { kind, request, details, error, payload: none };
        let message: Message = failure.into();
        if !put_with(&message, &span, line, hub, out) {
            // Without what the callee said with it, it is short enough.
            put(&message, line, hub, out);
        }
    }
}

/// What a call is told that failed for this, and in which words.
fn reason_of(why: Why) -> (Text, Option<&'static str>) {
    let (reason, words) = match why {
        Why::Said(name) => return (text(&name), None),
        Why::NoProcedure => (Reason::NoSuchProcedure, "no callee registered for the procedure"),
        Why::NoCallee => (Reason::NoAvailableCallee, "all callees are unavailable"),
        Why::Unsupported => (Reason::FeatureNotSupported, "the callee cannot do that"),
        Why::Canceled => (Reason::Canceled, "call canceled"),
        Why::Timeout => (Reason::Timeout, "call timeout"),
        Why::Gone => (Reason::Canceled, "callee gone"),
        Why::Blocked => (Reason::NetworkFailure, "callee blocked - cannot call procedure"),
        Why::Full(_) => (Reason::Unavailable, "too many calls"),
    };
    (reason.uri().into(), Some(words))
}

/// The answer to a REGISTER, or to an UNREGISTER.
pub(super) fn granted(request: u64, registration: Option<u64>) -> Message {
    match registration {
        Some(registration) => Registered { request, registration }.into(),
        None => Unregistered { ended: Ended { request, revoked: None } }.into(),
    }
}

fn revoked(subscription: Option<u64>, registration: Option<u64>, reason: &Bytes) -> Ended {
    let reason = (!reason.is_empty()).then(|| text(reason));
    Ended { request: 0, revoked: Some(RevokedDetails { subscription, registration, reason }) }
}

fn text(bytes: &Bytes) -> Text {
    Text::from_utf8(bytes.clone()).unwrap_or_default()
}

/// What the dealer handed on, as arguments and notes again; what came as a body, as one argument
/// for who reads this form.
pub(super) fn unload(load: &Load, own: Form) -> (Span, Notes) {
    let Some(form) = form_of(load.form) else {
        let span = if load.args.is_empty() { NOTHING } else { plain(&load.args, own) };
        return (span, Notes::default());
    };
    let flags = load.meta.first().copied().unwrap_or(0);
    let notes = match load.meta.len() {
        0 | 1 => Notes::default(),
        _ => Notes::of(&load.meta.slice(1..)),
    };
    (Span { form, flags, bytes: load.args.clone() }, notes)
}

/// No arguments.
const NOTHING: Span = Span { form: Form::Json, flags: 0, bytes: Bytes::new() };

fn put(message: &Message, line: &Line, hub: &mut Hub, out: &mut Outbound) -> bool {
    hub.stats.count(Counter::RepliesSent);
    hub.with_scratch(|_, scratch| line.put(message, scratch, out))
}

fn put_with(
    message: &Message,
    span: &Span,
    line: &Line,
    hub: &mut Hub,
    out: &mut Outbound,
) -> bool {
    hub.stats.count(Counter::RepliesSent);
    let said = hub.with_scratch(|_, scratch| line.put_with(message, span, scratch, out));
    said.unwrap_or(false)
}
