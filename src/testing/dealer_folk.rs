//! Floor 5. People who call and are called: what they say and hear, in three protocols, as one.
//!
//! A person is one connection. What it says is written in its protocol here and waits until the
//! network carries it on; what it hears becomes a [`Word`], the same for all. Who speaks MQTT
//! publishes, listens and asks, and serves nothing. Absent on purpose: chance, and what must hold.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};

use crate::base::id::ConnId;
use crate::hub::calls::{Invoke, Kind, Mode};
use crate::proto::mqtt;
use crate::proto::prx1::extended::{
    self as extended, Extended, Register, Request, Response, Unregister, What, mode, share,
};
use crate::proto::prx1::{self, decode::BODY_MAX};
use crate::proto::wamp::options::{
    CallOptions, CancelMode, CancelOptions, HelloDetails, Invoke as Share, Matching,
    PublishOptions, RegisterOptions, SubscribeOptions, YieldOptions,
};
use crate::proto::wamp::packet as wamp;
use crate::proto::wamp::rawsocket::{self, Frame, Offer};
use crate::proto::wamp::roles::{Feature, Features, Roles};
use crate::proto::wamp::{Amount, Message, Most, Payload, Raw, Sender, decode, encode};
use crate::value::{Bounds, Form, Writer};

use super::dealer_law::{Came, PATTERNS, Token, Wrong};

/// How somebody speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Speech {
    /// WAMP, in this form.
    Wamp(Form),
    /// PRX1.
    Prx1,
    /// MQTT 5.0.
    Mqtt,
}

/// A request that will be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asked {
    /// To serve this.
    Serve(usize, Invoke),
    /// Not to serve this any more.
    Stop(usize),
    /// To listen to this.
    Listen(usize),
    /// Not to listen by this subscription any more, which is to this.
    Leave(u64, usize),
    /// To publish.
    Publish,
    /// That somebody goes, or serves something no more.
    Order,
}

/// What somebody hears.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Word {
    /// Come in.
    In,
    /// A request was granted; for subscriptions, their number.
    Yes(Asked, u64),
    /// Or not.
    No(Asked),
    /// An event, by this subscription, which is to this at that moment.
    Event(u64, Option<usize>, Token),
    /// Do this.
    Do {
        number: u64,
        pattern: Option<usize>,
        token: Token,
        /// The result may come in pieces.
        pieces: bool,
        /// It is to watch the time.
        timed: bool,
    },
    /// Do that no more.
    Stop(u64),
    /// That is what came of it.
    Came { request: u64, token: Option<Token>, more: bool, gathered: Option<usize> },
    /// Goodbye.
    Over,
}

/// How a call is made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manner {
    pub(super) pieces: bool,
    pub(super) more: bool,
    pub(super) many: bool,
    pub(super) timeout_ms: u64,
}

/// How it is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reply {
    /// With a piece.
    Piece,
    /// With the result.
    Result,
    /// It failed.
    Error,
    /// This one cannot.
    Unavailable,
}

/// What somebody does for somebody.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doing {
    pub(super) no: usize,
    pub(super) pieces: bool,
    pub(super) said: usize,
}

/// Somebody, on a connection.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) no: usize,
    pub(super) conn: ConnId,
    pub(super) speech: Speech,
    /// What it can do as a callee (WAMP).
    pub(super) able: Features,
    /// On its way.
    pub(super) outward: Vec<u8>,
    ears: BytesMut,
    shaken: bool,
    /// The longest message it takes (WAMP).
    pub(super) takes: usize,
    pub(super) online: bool,
    /// It hung up, or broke the rules: it may be let go.
    pub(super) leaves: bool,
    /// Somebody wants it to go: it may be let go.
    pub(super) doomed: bool,
    /// Its number (WAMP).
    pub(super) session: u64,
    /// It has heard a goodbye.
    over: bool,
    /// Bytes it takes in a turn; 0: any number.
    pub(super) pace: usize,
    pub(super) request: u64,
    pub(super) asked: BTreeMap<u64, Asked>,
    /// What it serves: registrations and their patterns.
    pub(super) served: BTreeMap<u64, usize>,
    /// What it listens to: subscriptions and their patterns.
    pub(super) subs: BTreeMap<u64, usize>,
    /// And ever did.
    pub(super) ever: BTreeSet<usize>,
    pub(super) doing: BTreeMap<u64, Doing>,
    /// Its calls in pieces: number, and the next piece.
    pub(super) streams: BTreeMap<u64, (usize, usize, &'static str)>,
    /// Its calls.
    pub(super) calls: Vec<u64>,
}

/// The same with the other separator.
fn slashed(name: &str) -> Bytes {
    Bytes::from(name.replace('.', "/"))
}

/// The pattern as a filter, where there is one.
pub(super) fn filter(speech: Speech, pattern: usize) -> Option<String> {
    let (kind, text) = PATTERNS[pattern];
    let open = match speech {
        Speech::Wamp(_) => return Some(text.to_owned()),
        Speech::Prx1 => "*",
        Speech::Mqtt => "+",
    };
    let level = |level: &str| if level.is_empty() { open.to_owned() } else { level.to_owned() };
    match kind {
        Kind::Prefix => (speech == Speech::Mqtt && text == "com").then(|| "com/#".to_owned()),
        // Whoever listens to the very topic of a procedure in MQTT serves it.
        Kind::Exact if speech == Speech::Mqtt => None,
        // At its end, PRX1's star is for any rest.
        Kind::Wildcard if speech == Speech::Prx1 && text.ends_with('.') => None,
        _ => Some(text.split('.').map(level).collect::<Vec<_>>().join("/")),
    }
}

/// The packet by which a client of MQTT listens to answers.
const BACK: u16 = 60_000;
/// Where they go.
const BACK_TO: &str = "back/";

fn payload(form: Form, body: &str) -> Payload {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(form, &mut bytes);
    writer.list(1);
    writer.text(body);
    writer.end();
    Payload { args: Some(Raw { form, bytes: bytes.into() }), kwargs: None }
}

fn token(payload: &Payload) -> Option<Token> {
    Token::of(&payload.args.as_ref()?.bytes)
}

impl Person {
    pub(super) fn new(no: usize, conn: ConnId, speech: Speech, able: Features) -> Self {
        Self {
            no,
            conn,
            speech,
            able,
            outward: Vec::new(),
            ears: BytesMut::new(),
            shaken: false,
            takes: 1 << 24,
            online: false,
            leaves: false,
            doomed: false,
            session: 0,
            over: false,
            pace: 0,
            request: 0,
            asked: BTreeMap::new(),
            served: BTreeMap::new(),
            subs: BTreeMap::new(),
            ever: BTreeSet::new(),
            doing: BTreeMap::new(),
            streams: BTreeMap::new(),
            calls: Vec::new(),
        }
    }

    fn wamp(&mut self, form: Form, message: impl Into<Message>) {
        let mut text = Vec::new();
        let said = encode(&message.into(), form, Bounds::default(), &mut text);
        let head = rawsocket::head(rawsocket::Kind::Message, text.len());
        self.outward.extend(head.filter(|_| said.is_ok()).unwrap_or_default());
        self.outward.append(&mut text);
    }

    fn prx1(&mut self, packet: &prx1::Packet) {
        self.outward.extend(prx1::encode_vec(packet).unwrap_or_default());
    }

    fn calls(&mut self, it: Extended) {
        self.prx1(&prx1::Packet::Extended(it));
    }

    fn mqtt(&mut self, packet: &mqtt::Packet) {
        self.outward.extend(mqtt::encode_vec(packet, mqtt::Version::V5).unwrap_or_default());
    }

    fn next(&mut self, asked: Asked) -> u64 {
        self.request += 1;
        self.asked.insert(self.request, asked);
        self.request
    }

    /// Say who it is.
    pub(super) fn enter(&mut self) {
        let name = Bytes::from(format!("p{}", self.no));
        match self.speech {
            Speech::Wamp(form) => {
                self.outward.extend(Offer { takes: self.takes, form }.octets());
                let all = Features::these(&[
                    Feature::ProgressiveCallInvocations,
                    Feature::ProgressiveCallResults,
                    Feature::CallCanceling,
                ]);
                let roles = Roles {
                    publisher: Some(all),
                    subscriber: Some(all),
                    caller: Some(all),
                    callee: Some(self.able),
                    ..Roles::default()
                };
                let details = HelloDetails { roles, ..HelloDetails::default() };
                self.wamp(form, wamp::Hello { realm: "default".into(), details });
            }
            Speech::Prx1 => self.prx1(&prx1::Packet::Connect(prx1::Connect {
                clean_start: true,
                client_id: Some(Bytes::new()),
                username: Some(name),
                ..prx1::Connect::default()
            })),
            Speech::Mqtt => {
                self.mqtt(&mqtt::Packet::Connect(Box::new(mqtt::Connect {
                    version: mqtt::Version::V5,
                    bridge: false,
                    clean: true,
                    keep_alive: 0,
                    client_id: name,
                    will: None,
                    username: None,
                    password: None,
                    props: mqtt::Props::none(),
                })));
                self.mqtt_listen(BACK, format!("{BACK_TO}{}", self.no));
            }
        }
    }

    /// Offer this.
    pub(super) fn serve(&mut self, pattern: usize, invoke: Invoke) {
        let request = self.next(Asked::Serve(pattern, invoke));
        let (kind, text) = PATTERNS[pattern];
        if let Speech::Wamp(form) = self.speech {
            let how = match invoke {
                Invoke::Single => Share::Single,
                Invoke::First => Share::First,
                Invoke::Last => Share::Last,
                Invoke::Roundrobin => Share::RoundRobin,
                Invoke::Random => Share::Random,
            };
            let options = RegisterOptions {
                matching: matching(kind),
                invoke: Some(how),
                forward_timeout: self.able.has(Feature::CallTimeout),
                ..RegisterOptions::default()
            };
            return self.wamp(form, wamp::Register { request, options, procedure: text.into() });
        }
        let share = match invoke {
            Invoke::Single => share::SINGLE,
            Invoke::First => share::FIRST,
            Invoke::Last => share::LAST,
            Invoke::Roundrobin => share::ROUND_ROBIN,
            Invoke::Random => share::RANDOM,
        };
        let (id, topic) = (request as u16, slashed(text));
        self.calls(Extended::Register(Register { id, share, topic }));
    }

    /// Offer it no more.
    pub(super) fn stop(&mut self, registration: u64, pattern: usize) {
        let request = self.next(Asked::Stop(pattern));
        match self.speech {
            Speech::Wamp(form) => self.wamp(form, wamp::Unregister { request, registration }),
            _ => {
                let (id, topic) = (request as u16, slashed(PATTERNS[pattern].1));
                self.calls(Extended::Unregister(Unregister { id, topic }));
            }
        }
    }

    /// Call, under this number.
    pub(super) fn call(&mut self, request: u64, name: &str, how: Manner, body: &str) {
        if let Speech::Wamp(form) = self.speech {
            let options = CallOptions {
                timeout: (how.timeout_ms > 0).then_some(Amount(how.timeout_ms)),
                receive_progress: how.pieces,
                progress: how.more,
                ..CallOptions::default()
            };
            let (procedure, payload) = (name.into(), payload(form, body));
            return self.wamp(form, wamp::Call { request, options, procedure, payload });
        }
        if self.speech == Speech::Mqtt {
            let (to, mark) = (format!("{BACK_TO}{}", self.no), request.to_string());
            let props =
                [mqtt::Prop::ResponseTopic(to.into()), mqtt::Prop::CorrelationData(mark.into())];
            return self.mqtt_say(name, body, mqtt::Props::build(&props));
        }
        self.calls(Extended::Request(Request {
            id: request,
            timeout_ms: how.timeout_ms as u32,
            many: how.many.then_some(0),
            pieces: how.pieces,
            topic: slashed(name),
            payload: Bytes::copy_from_slice(body.as_bytes()),
        }));
    }

    /// Ask the router to do something about these numbers (WAMP).
    pub(super) fn order(&mut self, procedure: &str, numbers: &[u64]) {
        let Speech::Wamp(form) = self.speech else { return };
        let request = self.next(Asked::Order);
        let mut bytes = Vec::new();
        let mut writer = Writer::new(form, &mut bytes);
        writer.list(numbers.len());
        numbers.iter().for_each(|number| _ = writer.uint(*number));
        writer.end();
        let args = Some(Raw { form, bytes: bytes.into() });
        let (procedure, payload) = (procedure.into(), Payload { args, kwargs: None });
        let options = CallOptions::default();
        self.wamp(form, wamp::Call { request, options, procedure, payload });
    }

    /// Take a call back.
    pub(super) fn cancel(&mut self, request: u64, how: Mode) {
        if let Speech::Wamp(form) = self.speech {
            let mode = match how {
                Mode::Skip => CancelMode::Skip,
                Mode::Kill => CancelMode::Kill,
                Mode::KillNoWait => CancelMode::KillNoWait,
            };
            let options = CancelOptions { mode: Some(mode) };
            return self.wamp(form, wamp::Cancel { request, options });
        }
        let mode = match how {
            Mode::Skip => mode::SKIP,
            Mode::Kill => mode::KILL,
            Mode::KillNoWait => mode::KILL_NO_WAIT,
        };
        self.calls(Extended::Cancel(extended::Cancel { id: request, mode }));
    }

    /// Answer what it was asked under this number.
    pub(super) fn reply(&mut self, number: u64, reply: Reply, body: &str) {
        let named = match reply {
            Reply::Unavailable => Some("wamp.error.unavailable"),
            Reply::Error => Some("org.error.mine"),
            Reply::Piece | Reply::Result => None,
        };
        if let Speech::Wamp(form) = self.speech {
            let (request, payload) = (number, payload(form, body));
            if let Some(name) = named {
                let (kind, error) = (68, name.into());
                let failure = wamp::Failure { kind, request, error, payload, ..Default::default() };
                return self.wamp(form, failure);
            }
            let options = YieldOptions { progress: reply == Reply::Piece, ppt: None };
            return self.wamp(form, wamp::Yield { request, options, payload });
        }
        let payload = Bytes::copy_from_slice(body.as_bytes());
        let what = match reply {
            Reply::Piece => What::Piece(payload),
            Reply::Result => What::Final(payload),
            Reply::Error => {
                let (reason, name) = (extended::reason::NONE, slashed("org.error.mine"));
                What::Error { reason, name, payload }
            }
            Reply::Unavailable => {
                let (reason, name) = (extended::reason::UNAVAILABLE, Bytes::new());
                What::Error { reason, name, payload }
            }
        };
        self.calls(Extended::Response(Response { id: number, what }));
    }

    /// Listen; false where its protocol has no such filter.
    pub(super) fn listen(&mut self, pattern: usize) -> bool {
        let Some(text) = filter(self.speech, pattern) else { return false };
        let request = self.next(Asked::Listen(pattern));
        self.ever.insert(pattern);
        match self.speech {
            Speech::Wamp(form) => {
                let matching = matching(PATTERNS[pattern].0);
                let options = SubscribeOptions { matching, ..SubscribeOptions::default() };
                self.wamp(form, wamp::Subscribe { request, options, topic: text.into() });
            }
            Speech::Prx1 => {
                let (qos, id, topic) = (1, request as u16, text.into());
                let it = prx1::Subscribe { qos, id, topic, ..prx1::Subscribe::default() };
                self.prx1(&prx1::Packet::Subscribe(it));
            }
            Speech::Mqtt => self.mqtt_listen(request as u16, text),
        }
        true
    }

    fn mqtt_listen(&mut self, id: u16, filter: String) {
        let asked = mqtt::Asked {
            filter: filter.into(),
            qos: 0,
            no_local: false,
            as_published: false,
            handling: 0,
        };
        let (filters, props) = (core::iter::once(asked).collect(), mqtt::Props::none());
        self.mqtt(&mqtt::Packet::Subscribe(mqtt::Subscribe { id, props, filters }));
    }

    fn mqtt_say(&mut self, name: &str, body: &str, props: mqtt::Props) {
        self.mqtt(&mqtt::Packet::Publish(mqtt::Publish {
            dup: false,
            qos: 0,
            retain: false,
            topic: slashed(name),
            id: 0,
            props,
            payload: Bytes::copy_from_slice(body.as_bytes()),
        }));
    }

    /// Listen no more.
    pub(super) fn leave(&mut self, subscription: u64, pattern: usize) {
        let Some(text) = filter(self.speech, pattern) else { return };
        let request = self.next(Asked::Leave(subscription, pattern));
        match self.speech {
            Speech::Wamp(form) => self.wamp(form, wamp::Unsubscribe { request, subscription }),
            Speech::Prx1 => {
                let (qos, id, topic) = (1, request as u16, text.into());
                let it = prx1::Subscribe { qos, id, topic, ..prx1::Subscribe::default() };
                self.prx1(&prx1::Packet::Unsubscribe(it));
            }
            Speech::Mqtt => {
                let filters = core::iter::once(Bytes::from(text)).collect();
                let (id, props) = (request as u16, mqtt::Props::none());
                self.mqtt(&mqtt::Packet::Unsubscribe(mqtt::Unsubscribe { id, props, filters }));
            }
        }
    }

    /// Publish.
    pub(super) fn publish(&mut self, name: &str, body: &str) {
        let text = Bytes::copy_from_slice(body.as_bytes());
        match self.speech {
            Speech::Wamp(form) => {
                let request = self.next(Asked::Publish);
                let options = PublishOptions { acknowledge: true, ..PublishOptions::default() };
                let (topic, payload) = (name.into(), payload(form, body));
                self.wamp(form, wamp::Publish { request, options, topic, payload });
            }
            Speech::Prx1 => {
                let (topic, payload) = (slashed(name), text);
                let it = prx1::Publish { topic, payload, ..prx1::Publish::default() };
                self.prx1(&prx1::Packet::Publish(it));
            }
            Speech::Mqtt => self.mqtt_say(name, body, mqtt::Props::none()),
        }
    }

    /// Say goodbye.
    pub(super) fn depart(&mut self) {
        self.leaves = true;
        match self.speech {
            Speech::Wamp(form) => {
                let reason = "wamp.close.close_realm".into();
                self.wamp(form, wamp::Goodbye { reason, ..wamp::Goodbye::default() });
            }
            Speech::Prx1 => self.prx1(&prx1::Packet::Disconnect),
            Speech::Mqtt => {
                let reason = mqtt::Reason { reason: 0, props: mqtt::Props::none() };
                self.mqtt(&mqtt::Packet::Disconnect(reason));
            }
        }
    }

    /// What these bytes say, with those that were heard before.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Result<Vec<Word>, Wrong> {
        self.ears.extend_from_slice(bytes);
        let mut words = Vec::new();
        loop {
            let (whole, word) = match self.speech {
                Speech::Wamp(form) => self.hear_wamp(form)?,
                Speech::Prx1 => self.hear_prx1()?,
                Speech::Mqtt => self.hear_mqtt()?,
            };
            words.extend(word);
            if !whole {
                return Ok(words);
            }
        }
    }

    fn granted(&mut self, request: u64, id: u64) -> Result<Word, Wrong> {
        let asked = self.asked.remove(&request);
        let asked = asked.ok_or_else(|| format!("p{} never asked {request}", self.no))?;
        match asked {
            Asked::Serve(pattern, _) => _ = self.served.insert(id, pattern),
            Asked::Stop(pattern) => self.served.retain(|_, its| *its != pattern),
            Asked::Listen(pattern) => _ = self.subs.insert(id, pattern),
            Asked::Leave(sub, _) => _ = self.subs.remove(&sub),
            Asked::Publish | Asked::Order => {}
        }
        Ok(Word::Yes(asked, id))
    }

    fn refused(&mut self, request: u64) -> Result<Word, Wrong> {
        let asked = self.asked.remove(&request);
        Ok(Word::No(asked.ok_or_else(|| format!("p{} never asked {request}", self.no))?))
    }

    /// Somebody has taken this from it.
    fn revoked(&mut self, registration: Option<u64>) -> Result<Word, Wrong> {
        let its = registration.and_then(|id| self.served.remove(&id));
        let its = its.ok_or_else(|| format!("p{} never served {registration:?}", self.no))?;
        Ok(Word::Yes(Asked::Stop(its), 0))
    }

    fn hear_wamp(&mut self, form: Form) -> Result<(bool, Option<Word>), Wrong> {
        if !self.shaken {
            let answer = rawsocket::answered(&self.ears, form).map_err(|_| "no handshake")?;
            let Some(_) = answer else { return Ok((false, None)) };
            let _ = self.ears.split_to(rawsocket::HEAD);
            self.shaken = true;
        }
        let frame = rawsocket::next(&mut self.ears, rawsocket::LONGEST).map_err(|k| k.text())?;
        let Some(frame) = frame else { return Ok((false, None)) };
        let Frame::Message(text) = frame else { return Ok((true, None)) };
        let message = decode(form, &text, Sender::Router, &Most::default());
        let message = message.map_err(|why| format!("p{} hears {why}", self.no))?;
        if self.over {
            return Err(format!("p{} hears {message:?} behind a goodbye", self.no));
        }
        let came = |request, more, payload: &Payload| Word::Came {
            request,
            token: token(payload),
            more,
            gathered: None,
        };
        let word = match &message {
            Message::Welcome(it) => {
                self.session = it.session;
                Word::In
            }
            Message::Registered(it) => self.granted(it.request, it.registration)?,
            Message::Unregistered(it) if it.ended.request == 0 => {
                self.revoked(it.ended.revoked.as_ref().and_then(|it| it.registration))?
            }
            Message::Unregistered(it) => self.granted(it.ended.request, 0)?,
            Message::Subscribed(it) => self.granted(it.request, it.subscription)?,
            Message::Unsubscribed(it) => self.granted(it.ended.request, 0)?,
            Message::Published(it) => self.granted(it.request, 0)?,
            Message::Event(it) => match token(&it.payload) {
                Some(token) => {
                    let pattern = self.subs.get(&it.subscription).copied();
                    Word::Event(it.subscription, pattern, token)
                }
                None => return Err(format!("p{} hears an event of nothing", self.no)),
            },
            Message::Invocation(it) => Word::Do {
                number: it.request,
                pattern: self.served.get(&it.registration).copied(),
                token: token(&it.payload).ok_or_else(|| format!("p{} hears {it:?}", self.no))?,
                pieces: it.details.receive_progress,
                timed: it.details.timeout.is_some(),
            },
            Message::Interrupt(it) => Word::Stop(it.request),
            Message::Outcome(it) if self.asked.contains_key(&it.request) => {
                self.granted(it.request, 0)?
            }
            Message::Failure(it) if it.kind == 48 && self.asked.contains_key(&it.request) => {
                self.refused(it.request)?
            }
            Message::Outcome(it) => came(it.request, it.details.progress, &it.payload),
            Message::Failure(it) if it.kind == 48 => came(it.request, false, &it.payload),
            Message::Failure(it) => self.refused(it.request)?,
            Message::Goodbye(_) | Message::Abort(_) => {
                self.over = true;
                if self.doomed && !self.leaves {
                    self.depart();
                }
                Word::Over
            }
            other => return Err(format!("p{} hears {other:?}", self.no)),
        };
        Ok((true, Some(word)))
    }

    fn hear_prx1(&mut self) -> Result<(bool, Option<Word>), Wrong> {
        let packet = prx1::next(&mut self.ears, BODY_MAX).map_err(|fault| fault.kind.text())?;
        let Some(packet) = packet else { return Ok((false, None)) };
        let word = match packet {
            prx1::Packet::ConnAck(_) => Word::In,
            prx1::Packet::SubAck(id) | prx1::Packet::UnsubAck(id) => {
                let id = u64::from(id);
                self.granted(id, id)?
            }
            prx1::Packet::Publish(it) => {
                if it.id != 0 {
                    self.prx1(&prx1::Packet::PubAck(it.id));
                }
                Word::Event(0, None, Token::of(&it.payload).ok_or("an event of nothing")?)
            }
            prx1::Packet::Disconnect => Word::Over,
            prx1::Packet::Extended(it) => return Ok((true, Some(self.hear_extended(&it)?))),
            prx1::Packet::PubAck(_) | prx1::Packet::Pong => return Ok((true, None)),
            other => return Err(format!("p{} hears {other:?}", self.no)),
        };
        Ok((true, Some(word)))
    }

    fn hear_extended(&mut self, it: &Extended) -> Result<Word, Wrong> {
        Ok(match it {
            Extended::Answer(it) if it.reason == 0 => {
                let request = u64::from(it.id);
                self.granted(request, request)?
            }
            Extended::Answer(it) => self.refused(u64::from(it.id))?,
            Extended::Request(it) => {
                let served = |pattern: &&usize| slashed(PATTERNS[**pattern].1) == it.topic;
                Word::Do {
                    number: it.id,
                    pattern: self.served.values().find(served).copied(),
                    token: Token::of(&it.payload).ok_or("a request of nothing")?,
                    pieces: it.pieces,
                    timed: it.timeout_ms > 0,
                }
            }
            Extended::Cancel(it) => Word::Stop(it.id),
            Extended::Response(Response { id: request, what }) => {
                let (body, more, gathered) = match what {
                    What::Final(body) | What::Error { payload: body, .. } => (body, false, None),
                    What::Piece(body) => (body, true, None),
                    What::Gathered { answered, .. } => {
                        (&Bytes::new(), false, Some(usize::from(*answered)))
                    }
                };
                Word::Came { request: *request, token: Token::of(body), more, gathered }
            }
            other => return Err(format!("p{} hears {other:?}", self.no)),
        })
    }

    fn hear_mqtt(&mut self) -> Result<(bool, Option<Word>), Wrong> {
        let version = Some(mqtt::Version::V5);
        let packet = mqtt::next(&mut self.ears, version, mqtt::Sender::Server, BODY_MAX);
        let packet = packet.map_err(|fault| fault.kind.text())?;
        let Some(packet) = packet else { return Ok((false, None)) };
        let word = match packet {
            mqtt::Packet::ConnAck(_) => Word::In,
            mqtt::Packet::SubAck(it) if it.id == BACK => return Ok((true, None)),
            mqtt::Packet::SubAck(it) | mqtt::Packet::UnsubAck(it) => {
                let id = u64::from(it.id);
                self.granted(id, id)?
            }
            mqtt::Packet::Publish(it) if it.topic.starts_with(BACK_TO.as_bytes()) => {
                let mark = it.props.iter().find_map(|prop| match prop {
                    mqtt::Prop::CorrelationData(mark) => {
                        core::str::from_utf8(&mark).ok()?.parse().ok()
                    }
                    _ => None,
                });
                let request = mark.ok_or("an answer to nothing")?;
                let token = Token::of(&it.payload);
                Word::Came { request, token, more: false, gathered: None }
            }
            mqtt::Packet::Publish(it) => {
                Word::Event(0, None, Token::of(&it.payload).ok_or("an event of nothing")?)
            }
            mqtt::Packet::Disconnect(_) => Word::Over,
            other => return Err(format!("p{} hears {other:?}", self.no)),
        };
        Ok((true, Some(word)))
    }

    /// By which pattern it may have heard this: what was on its way when it stopped listening, it
    /// may still hear where events do not name their subscription.
    pub(super) fn may_listen(&self, fits: impl Fn(usize) -> bool) -> Option<usize> {
        match self.speech {
            Speech::Wamp(_) => None,
            _ => self.ever.iter().copied().find(|pattern| fits(*pattern)),
        }
    }

    /// What it heard of a call, as the book has it.
    pub(super) fn came(no: usize, word: &Word) -> Option<Came> {
        let Word::Came { request, token, more, gathered } = *word else { return None };
        Some(Came { who: no, request, token, more, gathered })
    }
}

fn matching(kind: Kind) -> Matching {
    match kind {
        Kind::Exact => Matching::Exact,
        Kind::Prefix => Matching::Prefix,
        Kind::Wildcard => Matching::Wildcard,
    }
}
