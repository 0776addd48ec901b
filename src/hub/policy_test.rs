//! Floor 2. The words of a policy, and the policy that lets everybody in.

use bytes::Bytes;

use super::policy::{
    Access, Address, Admit, Claim, Login, Open, Policy, Principal, Refusal, Secret,
};
use crate::base::time::Now;
use crate::topic::{Filter, Topic};

fn topic(text: &'static str) -> Topic {
    Topic::split(Bytes::from_static(text.as_bytes()), b'/')
}

fn v6(bytes: [(usize, u8); 3]) -> Address {
    let mut a = [0; 16];
    for (at, byte) in bytes {
        a[at] = byte;
    }
    Address::V6(a)
}

#[test]
fn a_network_is_a_host_or_the_half_of_an_address_a_host_cannot_choose() {
    let v4 = Address::V4([192, 0, 2, 1]);
    assert_eq!(v4.network(), v4);
    assert_eq!(Address::Local.network(), Address::Local);
    let host = v6([(0, 0x20), (7, 1), (15, 9)]);
    assert_eq!(host.network(), v6([(0, 0x20), (7, 1), (15, 0)]));
    assert_ne!(host.network(), v6([(0, 0x20), (7, 2), (15, 9)]).network());
    assert_ne!(v6([(0, 0), (8, 1), (15, 1)]).network(), v4, "only the mapped form is IPv4");
    let mapped = Address::V6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1]);
    assert_eq!(mapped.network(), v4);
}

#[test]
fn addresses_are_shown_as_everybody_writes_them() {
    assert_eq!(Address::V4([192, 0, 2, 1]).to_string(), "192.0.2.1");
    assert_eq!(v6([(0, 0x20), (1, 1), (15, 9)]).to_string(), "2001::9");
    assert_eq!(Address::Local.to_string(), "local");
}

#[test]
fn a_secret_is_the_password_and_shows_nothing_of_it() {
    let secret = Secret::new(b"hunter2");
    assert_eq!(secret.bytes(), b"hunter2");
    assert_eq!(format!("{secret:?}"), "Secret(..)");
}

#[test]
fn open_lets_everybody_do_everything_but_write_under_the_dollar() {
    let mut open = Open;
    let login = Login {
        protocol: "prx1",
        user: b"u",
        password: None,
        client_id: b"",
        certificate: None,
        address: Address::Local,
        loopback: true,
    };
    let Admit::Yes(who) = open.admit(Now::default(), &login) else {
        panic!("not let in");
    };
    assert_eq!((who.user.as_ref(), who.durable), (b"u".as_ref(), true));
    assert_eq!(open.recall(&who.user), Some(who.clone()));
    let nameless = open.recall(&Bytes::new()).unwrap();
    assert!(!nameless.durable, "the nameless own nothing that lasts");
    let (plain, hidden) = (topic("a/b"), topic("$SYS/a"));
    let filter = Filter::exact(&hidden);
    for (access, allowed) in [
        (Access::Publish(&plain), true),
        (Access::Publish(&hidden), false),
        (Access::Subscribe(&filter), true),
        (Access::Receive(&hidden), true),
        (Access::Request(&plain), true),
    ] {
        assert_eq!(open.permit(&who, &access), allowed, "{access:?}");
        let verdict = if allowed { "allowed" } else { "denied" };
        assert!(open.explain(&who, &access).starts_with(verdict), "{access:?}");
    }
    assert!(!open.checks_receive());
}

#[test]
fn open_takes_no_answer_it_never_asked_for() {
    let claim = Claim {
        principal: Some(Principal::default()),
        user: Bytes::new(),
        address: Address::Local,
        loopback: true,
        tag: 0,
    };
    assert_eq!(Open.verified(Now::default(), &claim, true), Err(Refusal::Unknown));
}
