//! Floor 3. A hub with parties, for the tests beside it.

use std::sync::Arc;

use bytes::Bytes;

use super::given::kind;
use super::{Asker, Failed, Reply, answer, on_registered, on_subscribed};
use crate::base::id::{ConnId, ListenerNo, RealmId, SessionId};
use crate::base::limits::Limits;
use crate::base::time::Now;
use crate::base::words::Tongue;
use crate::hub::calls::{Act, Invoke, Kind, Offer, Terms as OfferTerms};
use crate::hub::message::{Durability, Publication};
use crate::hub::parties::{Joining, Mail};
use crate::hub::policy::{
    Access, Address, Admit, Claim, Event, Login, Observer, Open, Policy, Principal, Refusal,
};
use crate::hub::realm::Terms;
use crate::hub::registry::{Attach, Fresh};
use crate::hub::session::{Kind as Names, SubOpts};
use crate::hub::subscribe::Replays;
use crate::hub::{Hub, Parts};
use crate::link;
use crate::proto::wamp::dialect::Spelling;
use crate::proto::wamp::options::Matching;
use crate::proto::wamp::parts::{Payload, Raw};
use crate::proto::wamp::uri::Rule;
use crate::proto::{Ask, Ctx, Listener, Speak};
use crate::topic::{Dialect, Topic};
use crate::value::{Bounds, Form, Value, Walk, Writer};

pub(in crate::proto::wamp) const REALM: RealmId = RealmId(0);
pub(super) const OTHER: RealmId = RealmId(1);

struct Quiet;
impl Observer for Quiet {
    fn see(&mut self, _: Now, _: &Event<'_>) {}
}

/// Everything is allowed but what is about this topic.
#[derive(Debug)]
struct But(Topic);
impl Policy for But {
    fn admit(&mut self, now: Now, login: &Login<'_>) -> Admit {
        Open.admit(now, login)
    }
    fn verified(&mut self, now: Now, claim: &Claim, ok: bool) -> Result<Principal, Refusal> {
        Open.verified(now, claim, ok)
    }
    fn permit(&mut self, _: &Principal, access: &Access<'_>) -> bool {
        match access {
            Access::Publish(topic) | Access::Receive(topic) | Access::Request(topic) => {
                **topic != self.0
            }
            Access::Subscribe(filter) => !filter.is_exact() || !filter.matches(&self.0),
        }
    }
    fn explain(&self, who: &Principal, access: &Access<'_>) -> String {
        Open.explain(who, access)
    }
    fn recall(&self, user: &Bytes) -> Option<Principal> {
        Open.recall(user)
    }
    fn checks_receive(&self) -> bool {
        true
    }
}

pub(in crate::proto::wamp) struct Bench {
    pub(in crate::proto::wamp) hub: Hub,
    pub(in crate::proto::wamp) now: Now,
    asks: Vec<Ask>,
    listener: Listener,
    conns: u32,
}

/// Somebody.
#[derive(Clone, Copy)]
pub(super) struct Who {
    pub(super) session: SessionId,
    pub(super) id: u64,
    pub(super) realm: RealmId,
}

impl Bench {
    pub(in crate::proto::wamp) fn new() -> Self {
        Self::bounded(Limits::default())
    }

    pub(super) fn bounded(limits: Limits) -> Self {
        let policy = Box::new(Open);
        let realms = vec!["default".into(), "other".into()];
        let hub = Hub::new(Parts { limits, seed: 5, realms, policy, observer: Box::new(Quiet) });
        let listener = Listener {
            no: ListenerNo(0),
            speak: Speak::Wamp,
            realm: REALM,
            level: Durability::Memory,
            link: link::Terms::default(),
            relay: None,
            desk: None,
        };
        let now = Now { mono: 1_000_000, wall: 1_700_000_000_000 };
        Self { hub, now, asks: Vec::new(), listener, conns: 0 }
    }

    /// How its listener asks those who are silent.
    pub(in crate::proto::wamp) fn pings(&mut self, pings: link::Pings) {
        self.listener.link.pings = pings;
    }

    /// From now on nothing is allowed that is about this topic.
    pub(in crate::proto::wamp) fn forbid(&mut self, topic: &'static str) {
        let topic = Topic::split(Bytes::from_static(topic.as_bytes()), b'.');
        self.hub.policy = Box::new(But(topic));
    }

    pub(in crate::proto::wamp) fn ctx(&mut self) -> Ctx<'_> {
        Ctx {
            now: self.now,
            conn: ConnId { index: 0, life: 0 },
            hub: &mut self.hub,
            asks: &mut self.asks,
            listener: &self.listener,
            address: Address::Local,
            loopback: true,
            certificate: None,
        }
    }

    pub(in crate::proto::wamp) fn terms(&mut self, change: impl FnOnce(&mut Terms)) {
        let mut terms = self.hub.realm(REALM).map(|r| r.terms.clone()).expect("a realm");
        change(&mut terms);
        self.hub.tell_realm(self.now, REALM, terms);
    }

    pub(super) fn join(&mut self, authid: &str, role: &str) -> Who {
        self.join_in(REALM, authid, role)
    }

    pub(super) fn join_in(&mut self, realm: RealmId, authid: &str, role: &str) -> Who {
        self.conns += 1;
        let conn = ConnId { index: self.conns, life: 0 };
        let attach = Attach {
            kind: Names::Wamp,
            tongue: Tongue::Wamp,
            realm,
            name: Bytes::new(),
            durable: false,
            principal: Arc::default(),
            conn,
            fresh: Fresh::All,
            level: Durability::Memory,
            inflight_max: 10,
            expiry_s: 0,
            unique: false,
            will: None,
        };
        let session = self.hub.attach(self.now, attach).expect("room").session;
        let id = self.hub.parties.number();
        self.hub.parties.join(Joining {
            id,
            session,
            realm,
            conn,
            authid: Bytes::copy_from_slice(authid.as_bytes()),
            authrole: Bytes::copy_from_slice(role.as_bytes()),
            authmethod: Bytes::from_static(b"ticket"),
            authprovider: Bytes::from_static(b"static"),
            details: vec![
                ("org".into(), Value::Text("acme".into())),
                ("authrole".into(), Value::Text("forged".into())),
            ],
        });
        Who { session, id, realm }
    }

    /// Ask with arguments in JSON.
    pub(super) fn ask(&mut self, who: Who, name: &str, args: &str) -> Result<Reply, Failed> {
        self.ask_with(who, name, args, "{}")
    }

    pub(super) fn ask_with(
        &mut self,
        who: Who,
        name: &str,
        args: &str,
        kwargs: &str,
    ) -> Result<Reply, Failed> {
        self.asked(who, name, &json(args, kwargs)).expect("there is such a procedure")
    }

    pub(super) fn asked(
        &mut self,
        who: Who,
        name: &str,
        payload: &Payload,
    ) -> Option<Result<Reply, Failed>> {
        let asker = Asker { session: who.session, realm: who.realm };
        answer(name, payload, asker, &mut self.ctx())
    }

    /// The one value of the answer, in JSON.
    pub(super) fn told(&mut self, who: Who, name: &str, args: &str) -> String {
        let reply = self.ask(who, name, args).expect("an answer");
        assert_eq!(reply.args.len(), 1, "{reply:?}");
        said(&reply.args[0])
    }

    /// Listen, as a peer does, and be told so.
    pub(super) fn listen(&mut self, who: Who, pattern: &str, matching: Matching) -> u32 {
        let pattern = Bytes::copy_from_slice(pattern.as_bytes());
        let spelling = Spelling::new(&self.hub.limits, Rule::Loose);
        let filter = spelling.filter(&pattern, matching.how()).expect("a filter");
        let how = kind(Spelling::matching(&filter).expect("one of ours"));
        let (hub, now) = (&mut self.hub, self.now);
        let noted = hub.interests.subscribe(now, who.realm, who.session, (how, &pattern), None);
        let opts = SubOpts { id: noted.id, ..SubOpts::default() };
        hub.subscribe(now, who.session, &filter, None, opts, Replays::Never).expect("room");
        on_subscribed(who.session, noted, &mut self.ctx());
        noted.id
    }

    /// Offer, as a peer does.
    pub(super) fn offer(&mut self, who: Who, procedure: &str, kind: Kind, invoke: Invoke) -> u64 {
        let procedure = Bytes::copy_from_slice(procedure.as_bytes());
        let offer = Offer { procedure, kind, invoke, terms: OfferTerms::default() };
        let done = self.hub.calls.register(self.now, who.realm, who.session, &offer);
        let done = done.expect("room");
        on_registered(who.session, done, &mut self.ctx());
        done.id()
    }

    /// Say something as another protocol does.
    pub(in crate::proto::wamp) fn publish(
        &mut self,
        topic: &str,
        body: &'static [u8],
        props: Bytes,
    ) {
        let p = Publication {
            realm: REALM,
            topic: Topic::split(Bytes::copy_from_slice(topic.as_bytes()), b'.'),
            body: Bytes::from_static(body),
            props,
            qos: 0,
            retain: false,
            expires: 0,
            inbound: None,
        };
        self.hub.publish(self.now, None, Durability::Memory, &p).expect("room");
    }

    /// What it hears: topic and arguments, in JSON.
    pub(super) fn heard(&mut self, who: Who) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(d) = self.hub.next(self.now, who.session) {
            let mut name = Vec::new();
            assert!(d.message.topic.join(b'.', &mut name));
            name.push(b' ');
            name.extend_from_slice(&d.message.body);
            all.push(String::from_utf8(name).expect("text"));
        }
        all
    }

    pub(super) fn mail(&mut self, who: Who) -> Vec<Mail> {
        let all = core::iter::from_fn(|| self.hub.parties.take(who.session));
        all.filter(|mail| !matches!(mail, Mail::Act(Act::Interrupt { .. }))).collect()
    }
}

pub(super) fn json(args: &str, kwargs: &str) -> Payload {
    let raw =
        |text: &str| Some(Raw { form: Form::Json, bytes: Bytes::copy_from_slice(text.as_bytes()) });
    Payload { args: raw(args), kwargs: raw(kwargs) }
}

pub(super) fn said(value: &Value) -> String {
    let mut out = Vec::new();
    value.write(&mut Writer::new(Form::Json, &mut out));
    String::from_utf8(out).expect("text")
}

pub(super) fn value(text: &str) -> Value {
    let mut walk = Walk::new(Form::Json, text.as_bytes(), Bounds::default());
    Value::read(&mut walk).expect("a value")
}

/// Why it failed.
pub(super) fn why(answer: Result<Reply, Failed>) -> &'static str {
    answer.expect_err("it fails").reason.uri()
}
