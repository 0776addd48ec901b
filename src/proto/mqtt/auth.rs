//! Floor 3. Enhanced authentication (mqtt5 4.12): a login, or a new proof, in several steps.
//!
//! The policy holds the dialogue; here its words become AUTH packets. Before the welcome a failure
//! is a refused login, after it a goodbye. A proof given anew must be of the same user by the same
//! method, and changes nothing but what the policy knows of it. Absent on purpose: any method.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::id::Lsn;
use crate::base::words::{Method, Outcome};
use crate::hub::policy::{Dialogue, Login, Principal, Refusal, Said};
use crate::proto::fault::{Fault, FaultKind};
use crate::proto::{Ask, Ctx};

use super::connect::{login_of, refuse, tell_refused};
use super::fault::reason as code;
use super::line::Line;
use super::online::Online;
use super::packet::{Connect, Packet, Reason};
use super::peer::{Conversing, Joining, Peer, State};
use super::props::{Prop, Props};

/// How a client proves who it is.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) method: Bytes,
    /// A new proof is under way.
    pub(super) dialogue: Option<Box<dyn Dialogue>>,
}

/// The two properties every step has.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) method: Option<Bytes>,
    pub(super) data: Option<Bytes>,
}

impl Words {
    pub(super) fn of(props: &Props) -> Self {
        let mut words = Self::default();
        for prop in props.iter() {
            match prop {
                Prop::AuthMethod(method) => words.method = Some(method),
                Prop::AuthData(data) => words.data = Some(data),
                _ => {}
            }
        }
        words
    }
}

impl Peer {
    /// A CONNECT names a method: the dialogue begins.
    pub(super) fn converse(
        &mut self,
        connect: Box<Connect>,
        words: Words,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        let method = words.method.unwrap_or_default();
        let login = login_of(&connect, ctx);
        if ctx.hub.is_barred(ctx.now, &login) {
            return refuse(&connect, Refusal::Banned, ctx);
        }
        let Some(mut dialogue) = ctx.hub.policy.converse(ctx.now, &login, &method) else {
            ctx.hub.stats.login(Method::Scram, Outcome::Refused);
            return Err(FaultKind::MqttAuthMethod.fault());
        };
        match words.data {
            Some(data) => {
                let said = ctx.hub.policy.hear(ctx.now, &mut *dialogue, &data);
                self.on_said(said, connect, dialogue, &method, ctx)
            }
            None => {
                // It may want to be asked first.
                self.line.say(Lsn::START, auth(code::CONTINUE, &method, None));
                self.state = State::Conversing(Box::new(Conversing { connect, dialogue }));
                Ok(())
            }
        }
    }

    /// The next step of a stranger.
    pub(super) fn on_conversing(&mut self, packet: Packet, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        let State::Conversing(it) = core::mem::replace(&mut self.state, State::Over) else {
            return Ok(());
        };
        let Conversing { connect, mut dialogue } = *it;
        let step = match packet {
            Packet::Auth(step) => step,
            Packet::Disconnect(_) => {
                self.line.left = true;
                ctx.asks.push(Ask::Leave);
                return Ok(());
            }
            _ => return Err(FaultKind::MqttAuthProtocol.fault()),
        };
        let method = Words::of(&connect.props).method.unwrap_or_default();
        let data = answer(&step, &method, code::CONTINUE)?;
        let said = ctx.hub.policy.hear(ctx.now, &mut *dialogue, &data);
        self.on_said(said, connect, dialogue, &method, ctx)
    }

    fn on_said(
        &mut self,
        said: Said,
        connect: Box<Connect>,
        dialogue: Box<dyn Dialogue>,
        method: &Bytes,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        match said {
            Said::More(data) => {
                self.line.say(Lsn::START, auth(code::CONTINUE, method, Some(data)));
                self.state = State::Conversing(Box::new(Conversing { connect, dialogue }));
                Ok(())
            }
            Said::Done(principal, last) => {
                self.join(Joining { connect, principal, said: Some(last) }, ctx)
            }
            Said::No(why) => refuse(&connect, why, ctx),
        }
    }
}

impl Online {
    /// AUTH from a client that is in: it proves anew who it is (mqtt5 4.12.1).
    pub(super) fn on_auth(
        &mut self,
        step: &Reason,
        line: &mut Line,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        let Some(proof) = &mut self.proof else {
            // Mqtt5 4.12.0-7.
            return Err(FaultKind::MqttAuthProtocol.fault());
        };
        let (mut dialogue, wanted) = match proof.dialogue.take() {
            Some(dialogue) => (dialogue, code::CONTINUE),
            None => {
                let login = again(&self.who, ctx);
                let begun = ctx.hub.policy.converse(ctx.now, &login, &proof.method);
                (begun.ok_or(FaultKind::MqttAuthMethod.fault())?, code::REAUTHENTICATE)
            }
        };
        let data = answer(step, &proof.method, wanted)?;
        match ctx.hub.policy.hear(ctx.now, &mut *dialogue, &data) {
            Said::More(data) => {
                line.say(Lsn::START, auth(code::CONTINUE, &proof.method, Some(data)));
                proof.dialogue = Some(dialogue);
                Ok(())
            }
            Said::Done(who, last) if who.user == self.who.user => {
                line.say(Lsn::START, auth(0, &proof.method, Some(last)));
                let client_id = self.who.client_id.clone();
                self.who = Arc::new(Principal { client_id, ..who });
                ctx.hub.set_principal(self.session, Arc::clone(&self.who));
                Ok(())
            }
            Said::Done(..) => self.disproved(Refusal::Unknown, ctx),
            Said::No(why) => self.disproved(why, ctx),
        }
    }

    /// Mqtt5 4.12.1-2: a failed proof ends the connection.
    fn disproved(&self, why: Refusal, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        ctx.hub.stats.login(Method::Scram, Outcome::Refused);
        tell_refused(&self.who.user, &self.who.client_id, why, ctx);
        Err(FaultKind::MqttCredentials.fault())
    }
}

/// What a step says, if it is the step whose turn it is (mqtt5 4.12.0-2, 4.12.0-5).
fn answer(step: &Reason, method: &Bytes, wanted: u8) -> Result<Bytes, Fault> {
    let words = Words::of(&step.props);
    if step.reason != wanted || words.method.as_ref() != Some(method) {
        return Err(FaultKind::MqttAuthProtocol.fault());
    }
    Ok(words.data.unwrap_or_default())
}

/// Who is in already, as a login.
fn again<'a>(who: &'a Principal, ctx: &Ctx<'a>) -> Login<'a> {
    Login {
        protocol: "mqtt",
        user: &who.user,
        password: None,
        client_id: &who.client_id,
        address: ctx.address,
        loopback: ctx.loopback,
        certificate: ctx.certificate,
    }
}

fn auth(reason: u8, method: &Bytes, data: Option<Bytes>) -> Packet {
    let mut props = vec![Prop::AuthMethod(method.clone())];
    props.extend(data.map(Prop::AuthData));
    Packet::Auth(Reason { reason, props: Props::build(&props) })
}
