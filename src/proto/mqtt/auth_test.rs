//! Floor 3. Logins in several steps: the order of words, and what breaks it.

use bytes::Bytes;

use crate::base::limits::Limits;
use crate::base::time::Now;
use crate::hub::policy::{
    Access, Address, Admit, Claim, Dialogue, Login, Open, Policy, Principal, Refusal, Turn,
};
use crate::proto::fault::FaultKind;

use super::bench_test::*;
use super::packet::{Connect, Packet, Reason, Version};
use super::props::{Prop, Props};

/// Everybody is welcome who says the word when asked.
struct Asking;

#[derive(Debug)]
struct Question(u8);

impl Dialogue for Question {
    fn on_data(&mut self, data: &[u8]) -> Turn {
        self.0 += 1;
        match (self.0, data) {
            (1, b"hello") => Turn::More(Bytes::from_static(b"the word?")),
            (2, b"word") => {
                let user = Bytes::from_static(b"ann");
                let who = Principal { user, durable: true, ..Principal::default() };
                let claim = Claim {
                    user: who.user.clone(),
                    principal: Some(who),
                    address: Address::Local,
                    loopback: true,
                    tag: 0,
                };
                Turn::Over { claim, proved: true, last: Bytes::from_static(b"welcome") }
            }
            _ => Turn::No(Refusal::Unknown),
        }
    }
}

impl Policy for Asking {
    fn admit(&mut self, now: Now, login: &Login<'_>) -> Admit {
        Open.admit(now, login)
    }
    fn verified(&mut self, _: Now, claim: &Claim, ok: bool) -> Result<Principal, Refusal> {
        claim.principal.clone().filter(|_| ok).ok_or(Refusal::Unknown)
    }
    fn permit(&mut self, _: &Principal, _: &Access<'_>) -> bool {
        true
    }
    fn explain(&self, _: &Principal, _: &Access<'_>) -> String {
        String::new()
    }
    fn recall(&self, user: &Bytes) -> Option<Principal> {
        Open.recall(user)
    }
    fn converse(&mut self, _: Now, _: &Login<'_>, method: &[u8]) -> Option<Box<dyn Dialogue>> {
        (method == b"ASK").then(|| Box::new(Question(0)) as Box<dyn Dialogue>)
    }
}

fn bench() -> Bench {
    let mut b = Bench::new(Limits::default());
    b.rig.engine.hub_mut().policy = Box::new(Asking);
    b
}

fn words(method: &'static str, data: &'static [u8]) -> Props {
    let mut props = vec![Prop::AuthMethod(Bytes::from_static(method.as_bytes()))];
    if !data.is_empty() {
        props.push(Prop::AuthData(Bytes::from_static(data)));
    }
    Props::build(&props)
}

fn hello(method: &'static str, data: &'static [u8]) -> Packet {
    let props = words(method, data);
    Packet::Connect(Box::new(Connect { props, ..connect(Version::V5, "c") }))
}

fn auth(reason: u8, method: &'static str, data: &'static [u8]) -> Packet {
    Packet::Auth(Reason { reason, props: words(method, data) })
}

#[test]
fn a_login_in_steps_ends_in_a_welcome_with_the_last_word() {
    let mut b = bench();
    let conn = b.open(Version::V5);
    assert_eq!(b.ask(conn, &hello("ASK", b"hello")), [auth(0x18, "ASK", b"the word?")]);
    let said = b.ask(conn, &auth(0x18, "ASK", b"word"));
    let [Packet::ConnAck(welcome)] = &said[..] else { panic!("{said:?}") };
    let props: Vec<Prop> = welcome.props.iter().collect();
    assert_eq!(welcome.code, 0);
    assert!(words("ASK", b"welcome").iter().all(|word| props.contains(&word)), "{props:?}");
    // And once more, while it is in.
    assert_eq!(b.ask(conn, &auth(0x19, "ASK", b"hello")), [auth(0x18, "ASK", b"the word?")]);
    assert_eq!(b.ask(conn, &Packet::PingReq), [Packet::PingResp], "other packets go on");
    let wrong = b.ask(conn, &auth(0x18, "ASK", b"what?"));
    assert!(matches!(&wrong[..], [Packet::Disconnect(bye)] if bye.reason == 0x87), "{wrong:?}");
}

#[test]
fn a_new_proof_by_the_same_user_is_acknowledged() {
    let mut b = bench();
    let conn = b.open(Version::V5);
    b.ask(conn, &hello("ASK", b""));
    b.ask(conn, &auth(0x18, "ASK", b"hello"));
    b.ask(conn, &auth(0x18, "ASK", b"word"));
    b.ask(conn, &auth(0x19, "ASK", b"hello"));
    // The login had no user name and ended as ann; the proof is ann's too.
    assert_eq!(b.ask(conn, &auth(0x18, "ASK", b"word")), [auth(0, "ASK", b"welcome")]);
    assert_eq!(b.ended(conn), None);
}

#[test]
fn who_speaks_out_of_turn_or_by_another_method_is_refused() {
    let refused = |packets: &[Packet]| {
        let mut b = bench();
        let conn = b.open(Version::V5);
        for packet in packets {
            b.send(conn, packet);
        }
        match b.said(conn).pop() {
            Some(Packet::ConnAck(ack)) => ack.code,
            Some(Packet::Disconnect(bye)) => bye.reason,
            other => panic!("{other:?}"),
        }
    };
    let first = hello("ASK", b"hello");
    let mut b = bench();
    let conn = b.open(Version::V5);
    b.send(conn, &hello("GUESS", b"hello"));
    b.broke(conn, FaultKind::MqttAuthMethod, Some(0x8c));
    assert_eq!(refused(&[hello("ASK", b"nonsense")]), 0x86);
    assert_eq!(refused(&[first.clone(), auth(0x18, "GUESS", b"word")]), 0x82);
    assert_eq!(refused(&[first.clone(), auth(0x19, "ASK", b"word")]), 0x82);
    assert_eq!(refused(&[first.clone(), publish("a", 0, 0)]), 0x82);
    assert_eq!(refused(&[first.clone(), auth(0x18, "ASK", b"no")]), 0x86);
    let all = [first, auth(0x18, "ASK", b"word"), auth(0x18, "ASK", b"hello")];
    assert_eq!(refused(&all), 0x82, "a new proof begins with its own reason");
    let mut b = bench();
    let conn = b.open(Version::V5);
    b.raw(conn, b"\x10\x12\0\x04MQTT\x05\x02\0\0\x04\x16\0\x01x\0\x01c");
    assert!(matches!(&b.said(conn)[..], [Packet::ConnAck(ack)] if ack.code == 0x82), "no method");
}

#[test]
fn a_stranger_who_leaves_or_stays_silent_in_the_middle_is_gone() {
    let mut b = bench();
    let conn = b.open(Version::V5);
    b.ask(conn, &hello("ASK", b"hello"));
    let goodbye = Packet::Disconnect(Reason { reason: 0, props: Props::none() });
    assert!(b.ask(conn, &goodbye).is_empty());
    assert_eq!(b.ended(conn), Some("left"));
    let conn = b.open(Version::V5);
    b.ask(conn, &hello("ASK", b"hello"));
    b.pass(b.setup.limits.connect_ms_max);
    assert_eq!(b.ended(conn), Some("connect_timeout"));
    assert!(matches!(&b.said(conn)[..], [Packet::ConnAck(ack)] if ack.code == 0x80));
}
