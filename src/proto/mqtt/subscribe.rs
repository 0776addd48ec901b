//! Floor 3. SUBSCRIBE and UNSUBSCRIBE: one answer with one code for each filter.
//!
//! A filter that cannot be had costs its own code and nothing else: the others stand (3.8.4-5). A
//! malformed one is a malformed packet: the code for a bad filter is for well-formed ones that are
//! not for this client (mqtt5 3.9.3). When room runs out in the middle, or what a turn has for
//! filters, the codes so far are parked with the packet, so that no filter is carried out twice.
//! Absent on purpose: how retained messages follow (the hub's replays; the answer is a gate they
//! wait behind).

use bytes::Bytes;

use crate::base::id::Lsn;
use crate::base::limits::Limits;
use crate::hub::policy::Access;
use crate::hub::session::SubOpts;
use crate::hub::subscribe::{Replays, Subscribed};
use crate::hub::{Held, Receipt};
use crate::proto::Ctx;
use crate::proto::fault::{Fault, FaultKind};
use crate::topic::{Filter, Seg, Tail};

use super::dialect::Spelling;
use super::fault::reason as code;
use super::line::{Done, Line, Parked};
use super::online::{Online, note_deep, park, permit};
use super::packet::{Asked, Codes, Packet, Subscribe, Unsubscribe};
use super::props::Prop;

/// What became of one filter.
enum Outcome {
    /// Its code, and what the answer waits for.
    Code(u8, Lsn),
    /// Its code, and why.
    No(u8, FaultKind),
    /// There is no room now, or no time.
    Later(Held),
}

impl Online {
    pub(super) fn on_subscribe(
        &mut self,
        s: Subscribe,
        mut done: Done,
        line: &mut Line,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        let number = s.props.iter().find_map(|prop| match prop {
            Prop::SubscriptionId(number) => Some(number),
            _ => None,
        });
        while let Some(asked) = s.filters.get(done.codes.len()) {
            let outcome = self.subscribe_one(asked, number.unwrap_or(0), line.is_v5(), ctx)?;
            if let Some(why) = note(outcome, &mut done) {
                park(Parked::Packet(Packet::Subscribe(s), done), why, line, ctx);
                return Ok(());
            }
        }
        if !line.is_v5() {
            // Mqtt 3.9.3-2: one code for every refusal.
            done.codes.iter_mut().filter(|code| **code >= 0x80).for_each(|code| *code = 0x80);
        }
        let props = line.reason(done.why.map(FaultKind::text));
        let answer = Codes { id: s.id, props, codes: done.codes };
        line.say_first(done.after, Packet::SubAck(answer));
        Ok(())
    }

    /// Only what makes the whole packet malformed is an error.
    fn subscribe_one(
        &mut self,
        asked: &Asked,
        number: u32,
        v5: bool,
        ctx: &mut Ctx<'_>,
    ) -> Result<Outcome, Fault> {
        if let Err(why) = ctx.hub.take_on(self.session, &asked.filter) {
            return Ok(Outcome::Later(why));
        }
        let (filter, share) = match Spelling::new(&ctx.hub.limits).filter(&asked.filter) {
            Ok(found) => found,
            // Well-formed, and more than this broker takes.
            Err(why) if why.kind == FaultKind::MqttTopicDeep => {
                note_deep(&self.who, asked.filter.len(), ctx);
                return Ok(Outcome::No(code::FILTER, why.kind));
            }
            Err(why) => return Err(why),
        };
        // Mqtt5 3.8.3-4.
        if share.is_some() && asked.no_local {
            return Err(FaultKind::MqttShareNoLocal.fault());
        }
        if let Some(off) = switched_off(&filter, share.is_some(), number, &ctx.hub.limits) {
            // Mqtt5 3.2.2.3.11 to 13: the welcome said so. Before 5.0 nothing could say it.
            return if v5 { Err(off.fault()) } else { Ok(Outcome::No(code::UNSPECIFIED, off)) };
        }
        if !permit(&self.who, Access::Subscribe(&filter), ctx) {
            return Ok(Outcome::No(code::DENIED, FaultKind::MqttDenied));
        }
        let opts = SubOpts {
            qos: asked.qos.min(ctx.hub.limits.qos_max),
            id: number,
            no_local: asked.no_local || self.bridge,
            as_published: asked.as_published || self.bridge,
        };
        let replays = match asked.handling {
            _ if !ctx.hub.limits.retain_ok => Replays::Never,
            0 => Replays::Always,
            1 => Replays::IfNew,
            _ => Replays::Never,
        };
        if v5 && let Err(why) = self.serve(&filter, &asked.filter, ctx) {
            let code =
                if why == FaultKind::MqttServed { code::IMPLEMENTATION } else { code::QUOTA };
            return Ok(Outcome::No(code, why));
        }
        let outcome = self.hang(&filter, share.as_ref(), opts, replays, ctx);
        if matches!(outcome, Outcome::No(..)) {
            self.serve_no_more(&asked.filter, ctx);
        }
        Ok(outcome)
    }

    fn hang(
        &self,
        filter: &Filter,
        share: Option<&Bytes>,
        opts: SubOpts,
        replays: Replays,
        ctx: &mut Ctx<'_>,
    ) -> Outcome {
        match ctx.hub.subscribe(ctx.now, self.session, filter, share, opts, replays) {
            Ok(Subscribed::Yes(receipt)) => Outcome::Code(opts.qos, receipt.after),
            Ok(Subscribed::TooMany) => Outcome::No(code::QUOTA, FaultKind::MqttBusy),
            Err(why) if why.passes() => Outcome::Later(why),
            Err(Held::TooLarge) => Outcome::No(code::QUOTA, FaultKind::MqttTopicDeep),
            Err(_) => Outcome::No(code::IMPLEMENTATION, FaultKind::MqttStorage),
        }
    }

    pub(super) fn on_unsubscribe(
        &mut self,
        u: Unsubscribe,
        mut done: Done,
        line: &mut Line,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        while let Some(text) = u.filters.get(done.codes.len()) {
            let outcome = self.unsubscribe_one(text, ctx)?;
            if let Some(why) = note(outcome, &mut done) {
                park(Parked::Packet(Packet::Unsubscribe(u), done), why, line, ctx);
                return Ok(());
            }
        }
        let props = line.reason(done.why.map(FaultKind::text));
        // Before 5.0 the answer has no codes.
        let codes = if line.is_v5() { done.codes } else { Default::default() };
        line.say(done.after, Packet::UnsubAck(Codes { id: u.id, props, codes }));
        Ok(())
    }

    fn unsubscribe_one(&mut self, text: &Bytes, ctx: &mut Ctx<'_>) -> Result<Outcome, Fault> {
        if let Err(why) = ctx.hub.take_on(self.session, text) {
            return Ok(Outcome::Later(why));
        }
        let (filter, share) = match Spelling::new(&ctx.hub.limits).filter(text) {
            Ok(found) => found,
            // Nobody has subscribed to what is more than this broker takes.
            Err(why) if why.kind == FaultKind::MqttTopicDeep => {
                return Ok(Outcome::Code(code::NO_SUBSCRIPTION, Lsn::START));
            }
            Err(why) => return Err(why),
        };
        Ok(match ctx.hub.unsubscribe(ctx.now, self.session, &filter, share.as_ref()) {
            Ok(Some(Receipt { after, .. })) => {
                self.serve_no_more(text, ctx);
                Outcome::Code(0, after)
            }
            Ok(None) => Outcome::Code(code::NO_SUBSCRIPTION, Lsn::START),
            Err(why) if why.passes() => Outcome::Later(why),
            Err(_) => Outcome::No(code::IMPLEMENTATION, FaultKind::MqttStorage),
        })
    }
}

/// Why it has no code yet, if it has none.
fn note(outcome: Outcome, done: &mut Done) -> Option<Held> {
    match outcome {
        Outcome::Code(code, after) => {
            done.codes.push(code);
            done.after = done.after.max(after);
        }
        Outcome::No(code, why) => {
            done.codes.push(code);
            done.why = done.why.or(Some(why));
        }
        Outcome::Later(why) => return Some(why),
    }
    None
}

/// What the filter needs and this broker does not offer.
fn switched_off(filter: &Filter, shared: bool, number: u32, limits: &Limits) -> Option<FaultKind> {
    if shared && !limits.shared_ok {
        Some(FaultKind::MqttNoShared)
    } else if number != 0 && !limits.subids_ok {
        Some(FaultKind::MqttNoSubIds)
    } else if !limits.wildcard_ok && has_wildcard(filter) {
        Some(FaultKind::MqttNoWildcards)
    } else {
        None
    }
}

fn has_wildcard(filter: &Filter) -> bool {
    filter.tail != Tail::End || filter.segs.contains(&Seg::One)
}
