//! Floor 3. CONNECT to CONNACK: who may come in, as what, and what both sides agree on.
//!
//! Nothing is sent before the CONNACK but steps of a dialogue, and nothing but a CONNACK is said to
//! whoever does not come in. What the welcome says is what the limits are: a property is left out
//! when its absence means the same. Absent on purpose: the rules of admission (the policy's), and
//! the life of sessions (the hub's).

use std::sync::Arc;

use bytes::Bytes;

use crate::base::id::Ticket;
use crate::base::limits::{Limit, Limits};
use crate::base::stats::Counter;
use crate::base::words::{Method, Outcome, Tongue};
use crate::hub::policy::{Access, Admit, Event, Login, Principal, Refusal, Terms};
use crate::hub::registry::{Attach, Attached, Fresh, NoSession};
use crate::hub::session::{Kind, Will};
use crate::proto::fault::{Fault, FaultKind};
use crate::proto::{Ask, Ctx};
use crate::topic::{Dialect, Match, Plus};

use super::alias::{Ours, Theirs};
use super::auth::{Proof, Words};
use super::dialect::Spelling;
use super::encode::encode_vec;
use super::online::{Online, check_agreed, is_utf8, permit};
use super::pace::Pace;
use super::packet::{ConnAck, Connect, Packet, Version};
use super::peer::{Joining, Peer, State, Verifying};
use super::props::{Prop, Props};

/// A client id up to this length may stand in a response topic.
const PLAIN_ID_MAX: usize = 64;

/// What a client of 5.0 asked for in its CONNECT; before 5.0, what its absence means.
#[derive(Clone, Copy, Debug)]
struct Wishes {
    expiry_s: u32,
    receive_max: u16,
    packet_max: u32,
    alias_max: u16,
    response: bool,
    problems: bool,
}

impl Wishes {
    fn of(props: &Props) -> Self {
        let mut wishes = Self {
            expiry_s: 0,
            receive_max: u16::MAX,
            packet_max: u32::MAX,
            alias_max: 0,
            response: false,
            problems: true,
        };
        for prop in props.iter() {
            match prop {
                Prop::SessionExpiry(s) => wishes.expiry_s = s,
                Prop::ReceiveMax(max) => wishes.receive_max = max,
                Prop::MaximumPacketSize(max) => wishes.packet_max = max,
                Prop::TopicAliasMax(max) => wishes.alias_max = max,
                Prop::RequestResponse(yes) => wishes.response = yes,
                Prop::RequestProblem(yes) => wishes.problems = yes,
                _ => {}
            }
        }
        wishes
    }
}

impl Peer {
    pub(super) fn on_connect(
        &mut self,
        connect: Box<Connect>,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        let wishes = Wishes::of(&connect.props);
        self.line.version = Some(connect.version);
        self.line.problems = wishes.problems;
        self.line.packet_max = wishes.packet_max;
        check_client_id(&connect)?;
        check_will(&connect, ctx)?;
        let words = Words::of(&connect.props);
        if words.method.is_some() {
            return self.converse(connect, words, ctx);
        }
        if words.data.is_some() {
            // Mqtt5 3.1.2.11.10.
            return Err(FaultKind::MqttAuthProtocol.fault());
        }
        let login = login_of(&connect, ctx);
        match ctx.hub.admit(ctx.now, &login) {
            Admit::Yes(principal) => self.join(Joining { connect, principal, said: None }, ctx),
            Admit::No(why) => refuse(&connect, why, ctx),
            Admit::Busy => {
                ctx.hub.stats.login(method_of(&connect, ctx), Outcome::Busy);
                Err(FaultKind::MqttBusy.fault())
            }
            Admit::Verify { secret, hash, claim } => {
                self.serial += 1;
                let ticket = Ticket { conn: ctx.conn, serial: self.serial };
                let (address, tag) = (ctx.address, claim.tag);
                ctx.asks.push(Ask::Verify { ticket, address, tag, secret, hash });
                self.state = State::Verifying(Box::new(Verifying {
                    serial: self.serial,
                    connect: without_password(connect),
                    claim,
                }));
                Ok(())
            }
        }
    }

    /// Let in: find or make the session. Without room in the journal, wait for it.
    pub(super) fn join(&mut self, j: Joining, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        let connect = &*j.connect;
        let name = match connect.client_id.is_empty() {
            true => unused_name(ctx),
            false => Bytes::copy_from_slice(&connect.client_id),
        };
        // A copy, since two that share a name take more than two names.
        let client_id = Bytes::copy_from_slice(&name);
        let principal = Principal { client_id, ..j.principal.clone() };
        let principal = Arc::new(principal);
        let will = will_of(connect, &principal, ctx)?;
        let wishes = Wishes::of(&connect.props);
        let asked_s = match connect.version {
            Version::V5 => wishes.expiry_s,
            // A session of 3.1.1 has no end of its own; ours is the bound on all of them.
            _ if connect.clean => 0,
            _ => u32::MAX,
        };
        let expiry_s = granted_expiry(asked_s, ctx.hub.limits.session_s_max);
        let known = has_session(&name, ctx);
        // One that is to end with the connection may still begin where another left off.
        let durable = expiry_s > 0 || known && !connect.clean;
        check_place(durable && !known, &principal, ctx)?;
        let props = match connect.version {
            Version::V5 => terms(&j, &principal, expiry_s, self.line.packet_max, ctx)?,
            _ => Props::none(),
        };
        let limits = &ctx.hub.limits;
        let attach = Attach {
            kind: Kind::Mqtt,
            tongue: tongue_of(connect.version),
            realm: ctx.listener.realm,
            name,
            principal: principal.clone(),
            conn: ctx.conn,
            durable,
            fresh: if connect.clean { Fresh::All } else { Fresh::No },
            level: ctx.listener.level,
            inflight_max: limits.inflight_max.min(usize::from(wishes.receive_max)),
            expiry_s,
            unique: true,
            will,
        };
        let attached = match ctx.hub.attach(ctx.now, attach) {
            Ok(attached) => attached,
            Err(NoSession::Held(why)) if why.passes() => {
                self.state = State::Joining(Box::new(j));
                ctx.asks.push(Ask::Stall);
                return Ok(());
            }
            Err(NoSession::Held(_)) => return Err(FaultKind::MqttStorage.fault()),
            Err(NoSession::Anothers) => return keep_off(connect, &principal, ctx),
        };
        ctx.asks.extend(attached.yielding.filter(|old| *old != ctx.conn).map(Ask::Yield));
        if keep_alive(j.connect.keep_alive, &ctx.hub.limits) != j.connect.keep_alive {
            ctx.hub.limited(ctx.now, &principal.client_id, Limit::server_keepalive_s);
        }
        self.welcome(&principal, attached, props, &j.connect, ctx);
        self.pace = Pace::of(&ctx.hub.limits);
        let mut online = online(&j, principal, attached, expiry_s, ctx);
        if attached.present {
            online.serve_again(self.line.is_v5(), ctx);
        }
        self.state = State::Online(online);
        Ok(())
    }

    fn welcome(
        &mut self,
        who: &Principal,
        attached: Attached,
        props: Props,
        connect: &Connect,
        ctx: &mut Ctx<'_>,
    ) {
        let ack = ConnAck { present: attached.present, code: 0, props };
        self.line.say_first(attached.after, Packet::ConnAck(ack));
        ctx.hub.stats.login(method_of(connect, ctx), Outcome::Accepted);
        let client_id = &who.client_id[..];
        let version = match connect.version {
            Version::V31 => 1,
            Version::V311 => 2,
            Version::V5 => 5,
        };
        let terms = Some(Terms {
            version: Some(version),
            clean: connect.clean,
            keepalive_s: connect.keep_alive,
        });
        let event = Event::LoggedIn { conn: ctx.conn, protocol: "mqtt", who, client_id, terms };
        ctx.hub.observer.see(ctx.now, &event);
    }
}

/// The state of a client that is in from now on.
fn online(
    j: &Joining,
    who: Arc<Principal>,
    attached: Attached,
    expiry_s: u64,
    ctx: &Ctx<'_>,
) -> Online {
    let wishes = Wishes::of(&j.connect.props);
    let limits = &ctx.hub.limits;
    let method = Words::of(&j.connect.props).method;
    Online {
        session: attached.session,
        who,
        // Mqtt 3.1.2-24: one and a half times as long.
        idle_ms: u64::from(keep_alive(j.connect.keep_alive, limits)) * 1_500,
        ends: expiry_s == 0,
        bridge: j.connect.bridge,
        theirs: Theirs::default(),
        ours: Ours::new(wishes.alias_max.min(limits.alias_max)),
        proof: method.map(|method| {
            let method = Bytes::copy_from_slice(&method);
            Box::new(Proof { method, dialogue: None })
        }),
        rpc: None,
    }
}

/// What the welcome says to a client of 5.0 (mqtt5 3.2.2.3). For a client that takes only tiny
/// packets, what it can do without is left out, the least needed first.
fn terms(
    j: &Joining,
    who: &Principal,
    expiry_s: u64,
    packet_max: u32,
    ctx: &mut Ctx<'_>,
) -> Result<Props, Fault> {
    let wishes = Wishes::of(&j.connect.props);
    let mut props = needed_terms(j, who, expiry_s, &ctx.hub.limits);
    let needed = props.len();
    let limits = &ctx.hub.limits;
    if let Ok(max) = u32::try_from(limits.packet_bytes_max) {
        props.push(Prop::MaximumPacketSize(max));
    }
    if limits.alias_max > 0 {
        props.push(Prop::TopicAliasMax(limits.alias_max));
    }
    if wishes.response {
        props.extend(response_base(who, ctx).map(Prop::ResponseInfo));
    }
    loop {
        let ack = ConnAck { present: false, code: 0, props: Props::build(&props) };
        let packet = Packet::ConnAck(ack.clone());
        if packet_max == u32::MAX
            || encode_vec(&packet, Version::V5)
                .is_ok_and(|bytes| bytes.len() <= packet_max as usize)
        {
            return Ok(ack.props);
        }
        if props.len() == needed {
            return Err(FaultKind::MqttOverMax.fault());
        }
        props.pop();
    }
}

/// The terms without which the client would take the broker for something it is not.
fn needed_terms(j: &Joining, who: &Principal, expiry_s: u64, limits: &Limits) -> Vec<Prop> {
    let wishes = Wishes::of(&j.connect.props);
    let mut props = Vec::new();
    let told_s = u32::try_from(expiry_s).unwrap_or(u32::MAX);
    if told_s != wishes.expiry_s {
        props.push(Prop::SessionExpiry(told_s));
    }
    if limits.receive_max < u16::MAX {
        props.push(Prop::ReceiveMax(limits.receive_max));
    }
    if limits.qos_max < 2 {
        props.push(Prop::MaximumQos(limits.qos_max));
    }
    if j.connect.client_id.is_empty() {
        props.push(Prop::AssignedClientId(who.client_id.clone()));
    }
    for (ok, prop) in [
        (limits.retain_ok, Prop::RetainAvailable(false)),
        (limits.wildcard_ok, Prop::WildcardAvailable(false)),
        (limits.subids_ok, Prop::SubIdAvailable(false)),
        (limits.shared_ok, Prop::SharedAvailable(false)),
    ] {
        props.extend((!ok).then_some(prop));
    }
    let kept = keep_alive(j.connect.keep_alive, limits);
    if kept != j.connect.keep_alive {
        props.push(Prop::ServerKeepAlive(kept));
    }
    let words = Words::of(&j.connect.props);
    props.extend(words.method.map(Prop::AuthMethod));
    props.extend(j.said.clone().filter(|said| !said.is_empty()).map(Prop::AuthData));
    props
}

/// Where answers to this client may be sent: a topic of its own, if it may listen there. An id
/// that would be more than one level, or a wildcard, gets none.
fn response_base(who: &Principal, ctx: &mut Ctx<'_>) -> Option<Bytes> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let id = Some(&who.client_id).filter(|id| id.len() <= PLAIN_ID_MAX && id.iter().all(plain))?;
    let base = [b"response/", &id[..]].concat();
    let below = Bytes::from([&base[..], b"/#"].concat());
    let plus = Plus { levels_max: ctx.hub.limits.levels_max };
    let filter = plus.filter(&below, Match::Native).ok()?;
    let may = ctx.hub.policy.permit(who, &Access::Subscribe(&filter));
    may.then(|| Bytes::from(base))
}

/// How long the session waits for its owner: as long as asked, within the bound; `u64::MAX` is
/// for ever, which 5.0 writes as the largest number.
pub(super) fn granted_expiry(asked_s: u32, max_s: u64) -> u64 {
    let asked_s = if asked_s == u32::MAX { u64::MAX } else { u64::from(asked_s) };
    asked_s.min(max_s)
}

/// The keep alive in force; 0: none.
fn keep_alive(asked: u16, limits: &Limits) -> u16 {
    let max = limits.server_keepalive_s;
    match asked {
        0 if max == u16::MAX => 0,
        0 => max,
        asked => asked.max(limits.keepalive_s_min).min(max),
    }
}

fn check_client_id(connect: &Connect) -> Result<(), Fault> {
    let named = match connect.version {
        Version::V31 => false,
        // Mqtt 3.1.3-8.
        Version::V311 => connect.clean,
        Version::V5 => true,
    };
    match connect.client_id.is_empty() && !named {
        true => Err(FaultKind::MqttClientId.fault()),
        false => Ok(()),
    }
}

/// What can be said of a will before its owner is known.
fn check_will(connect: &Connect, ctx: &Ctx<'_>) -> Result<(), Fault> {
    let Some(will) = &connect.will else { return Ok(()) };
    Spelling::new(&ctx.hub.limits).topic(&will.topic)?;
    check_agreed(will.qos, will.retain, ctx)?;
    let utf8 = will.props.iter().any(|prop| prop == Prop::PayloadFormat(1));
    if utf8 && ctx.hub.limits.check_payload_format && !is_utf8(&will.payload) {
        return Err(FaultKind::MqttPayloadFormat.fault());
    }
    Ok(())
}

/// The will as the hub keeps it: copied, because it outlives the packet it came in.
fn will_of(connect: &Connect, who: &Principal, ctx: &mut Ctx<'_>) -> Result<Option<Will>, Fault> {
    let Some(will) = &connect.will else { return Ok(None) };
    let topic = Spelling::new(&ctx.hub.limits).topic(&will.topic)?.detached();
    if !permit(who, Access::Publish(&topic), ctx) {
        return Err(FaultKind::MqttWillDenied.fault());
    }
    let (mut expiry_s, mut delay_s) = (0, 0);
    for prop in will.props.iter() {
        match prop {
            Prop::MessageExpiry(s) => expiry_s = s.max(1),
            Prop::WillDelay(s) => delay_s = s,
            _ => {}
        }
    }
    let body = Bytes::copy_from_slice(&will.payload);
    let props = Bytes::copy_from_slice(&will.props.forwardable());
    let (qos, retain) = (will.qos, will.retain);
    Ok(Some(Will { topic, body, props, qos, retain, expiry_s, delay_s }))
}

/// A session that would not be kept must not look like one that is.
fn check_place(wanted: bool, who: &Principal, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
    match ctx.hub.durables.full(&ctx.hub.limits).filter(|_| wanted) {
        None => Ok(()),
        Some(limit) => {
            ctx.hub.limited(ctx.now, &who.client_id, limit);
            Err(FaultKind::MqttBusy.fault())
        }
    }
}

/// Is there something to come back to?
fn has_session(name: &Bytes, ctx: &Ctx<'_>) -> bool {
    let id = ctx.hub.named(ctx.listener.realm, Kind::Mqtt, name);
    id.and_then(|id| ctx.hub.session(id)).is_some_and(|session| session.durable)
}

/// A name for a client that has none: nobody has it, and it cannot be guessed from outside,
/// because the key of the realm's names goes into it.
fn unused_name(ctx: &Ctx<'_>) -> Bytes {
    let Some(realm) = ctx.hub.realm(ctx.listener.realm) else { return Bytes::new() };
    let mut turn = 0u64;
    loop {
        let key = (ctx.conn.index, ctx.conn.life, turn);
        let name = format!("auto-{:016x}", realm.names.secret(key));
        let name = Bytes::from(name);
        if ctx.hub.named(ctx.listener.realm, Kind::Mqtt, &name).is_none() {
            return name;
        }
        turn += 1;
    }
}

/// What the policy is asked.
pub(super) fn login_of<'a>(connect: &'a Connect, ctx: &Ctx<'a>) -> Login<'a> {
    Login {
        protocol: "mqtt",
        user: connect.username.as_deref().unwrap_or_default(),
        password: connect.password.as_deref(),
        client_id: &connect.client_id,
        address: ctx.address,
        loopback: ctx.loopback,
        certificate: ctx.certificate,
    }
}

/// It does not come in. Why is for the log: outside all refusals look the same.
pub(super) fn refuse(connect: &Connect, why: Refusal, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
    ctx.hub.stats.login(method_of(connect, ctx), Outcome::Refused);
    let user = connect.username.as_deref().unwrap_or_default();
    tell_refused(user, &connect.client_id, why, ctx);
    Err(FaultKind::MqttCredentials.fault())
}

/// It is who it says, and wants another user's session. It has shown who it is, so it may know.
fn keep_off(connect: &Connect, who: &Principal, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
    ctx.hub.stats.login(method_of(connect, ctx), Outcome::Refused);
    ctx.hub.stats.count(Counter::TakeoversRefused);
    tell_refused(&who.user, &who.client_id, Refusal::Anothers, ctx);
    Err(FaultKind::MqttAnothers.fault())
}

pub(super) fn tell_refused(user: &[u8], client_id: &[u8], why: Refusal, ctx: &mut Ctx<'_>) {
    let event = Event::Refused { conn: ctx.conn, address: ctx.address, user, client_id, why };
    ctx.hub.observer.see(ctx.now, &event);
}

/// By what it shows who it is.
pub(super) fn method_of(connect: &Connect, ctx: &Ctx<'_>) -> Method {
    if Words::of(&connect.props).method.is_some() {
        Method::Scram
    } else if connect.password.is_some() {
        Method::Password
    } else if ctx.certificate.is_some() {
        Method::Certificate
    } else {
        Method::Anonymous
    }
}

pub(super) const fn tongue_of(version: Version) -> Tongue {
    match version {
        Version::V31 => Tongue::Mqtt31,
        Version::V311 => Tongue::Mqtt311,
        Version::V5 => Tongue::Mqtt5,
    }
}

/// The password is not kept while a worker looks at its copy, only that there was one.
fn without_password(mut connect: Box<Connect>) -> Box<Connect> {
    connect.password = connect.password.map(|_| Bytes::new());
    // What is left must not keep the buffer alive that the password was read into.
    let apart = |bytes: &mut Bytes| *bytes = Bytes::copy_from_slice(bytes);
    apart(&mut connect.client_id);
    connect.username.as_mut().map(apart);
    connect.props = Props::from_checked(Bytes::copy_from_slice(connect.props.raw()));
    if let Some(will) = &mut connect.will {
        apart(&mut will.topic);
        apart(&mut will.payload);
        will.props = Props::from_checked(Bytes::copy_from_slice(will.props.raw()));
    }
    connect
}
