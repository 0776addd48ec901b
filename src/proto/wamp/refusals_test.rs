//! Floor 3. What a WAMP session may not, cannot, or did not announce, and what it is told then.

use bytes::{Bytes, BytesMut};

use super::line::{Heard, Line};
use super::meta::bench_test::{Bench, REALM};
use super::notes::Notes;
use super::packet::Published;
use super::peer::Peer;
use super::span::Span;
use crate::base::outbound::Outbound;
use crate::base::stats::Counter;
use crate::base::time::{Deadline, MS, Now};
use crate::hub::calls::Kind;
use crate::hub::parties::Mail;
use crate::hub::policy::{Access, Admit, Claim, Login, Policy, Principal, Refusal, Secret};
use crate::link::Carrier;
use crate::proto::Protocol;
use crate::proto::carried::{ARGS, Head};
use crate::proto::doom::Doom;
use crate::proto::fault::{Fault, FaultKind};
use crate::value::{Bounds, Form};

/// Everything that can be announced.
const ALL: &str = r#""publisher":{"features":{"payload_passthru_mode":true}},
    "subscriber":{"features":{"subscription_revocation":true,"publication_trustlevels":true}},
    "caller":{"features":{"payload_passthru_mode":true,"progressive_call_results":true}},
    "callee":{"features":{"payload_passthru_mode":true,"progressive_call_results":true,
    "call_canceling":true,"caller_identification":true,"call_timeout":true,
    "registration_revocation":true}}"#;
/// Every role, and no feature.
const NONE: &str = r#""publisher":{},"subscriber":{},"caller":{},"callee":{}"#;

fn give(peer: &mut Peer, b: &mut Bench, all: &[&str]) -> Result<(), Fault> {
    let mut input = BytesMut::new();
    for text in all {
        input.extend_from_slice(&(text.len() as u32).to_be_bytes());
        input.extend_from_slice(text.as_bytes());
    }
    peer.on_bytes(&mut input, &mut b.ctx())
}

fn say(peer: &mut Peer, b: &mut Bench, text: &str) {
    give(peer, b, &[text]).expect("it may say so");
}

/// All it is told now.
fn hear(peer: &mut Peer, b: &mut Bench) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let mut out = Outbound::default();
        peer.poll_transmit(b.now, &mut b.hub, &mut out, 1 << 16);
        let mut said = &out.to_vec()[..];
        if said.is_empty() {
            return all;
        }
        while let Some((head, rest)) = said.split_first_chunk::<4>() {
            let len = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
            all.push(String::from_utf8(rest[..len].to_vec()).expect("text"));
            said = &rest[len..];
        }
    }
}

fn enter(mut peer: Peer, b: &mut Bench, roles: &str) -> Peer {
    say(&mut peer, b, &format!(r#"[1,"default",{{"roles":{{{roles}}}}}]"#));
    let said = hear(&mut peer, b);
    assert!(said.last().is_some_and(|said| said.starts_with("[2,")), "{said:?}");
    peer
}

fn seat(b: &mut Bench, roles: &str) -> Peer {
    let peer = Peer::carried(Carrier::Json, b.now, &b.hub);
    enter(peer, b, roles)
}

/// One who takes 2,048 bytes at most.
fn small(b: &mut Bench, roles: &str) -> Peer {
    let mut peer = Peer::carried(Carrier::Raw, b.now, &b.hub);
    peer.on_bytes(&mut BytesMut::from(&b"\x7f\x21\0\0"[..]), &mut b.ctx()).expect("a handshake");
    let mut out = Outbound::default();
    peer.poll_transmit(b.now, &mut b.hub, &mut out, 1 << 16);
    enter(peer, b, roles)
}

fn answer(peer: &mut Peer, b: &mut Bench, text: &str) -> String {
    say(peer, b, text);
    let mut all = hear(peer, b);
    assert_eq!(all.len(), 1, "{text}: {all:?}");
    all.remove(0)
}

fn count(b: &Bench, what: Counter) -> u64 {
    b.hub.stats.get(what)
}

#[test]
fn what_is_not_permitted_is_refused_and_counted() {
    let mut b = Bench::new();
    let mut it = seat(&mut b, ALL);
    b.forbid("com.no");
    for (asked, code) in [
        (r#"[16,1,{"acknowledge":true},"com.no"]"#, 16),
        (r#"[32,1,{},"com.no"]"#, 32),
        (r#"[48,1,{},"com.no"]"#, 48),
        (r#"[64,1,{},"com.no"]"#, 64),
    ] {
        let wanted = format!(r#"[8,{code},1,{{}},"wamp.error.not_authorized"]"#);
        assert_eq!(answer(&mut it, &mut b, asked), wanted);
    }
    assert_eq!(count(&b, Counter::PolicyDenied), 4);
}

#[test]
fn nobody_is_disclosed_where_nobody_is_to_be() {
    let mut b = Bench::new();
    b.terms(|terms| terms.disclose = false);
    let mut it = seat(&mut b, ALL);
    for (asked, code) in [
        (r#"[16,1,{"acknowledge":true,"disclose_me":true},"com.a"]"#, 16),
        (r#"[48,1,{"disclose_me":true},"com.a"]"#, 48),
        (r#"[64,1,{"disclose_caller":true},"com.a"]"#, 64),
    ] {
        let said = answer(&mut it, &mut b, asked);
        let wanted = format!(r#"[8,{code},1,{{}},"wamp.error.option_disallowed.disclose_me"]"#);
        assert_eq!(said, wanted);
    }
}

#[test]
fn a_testament_has_the_rights_that_its_owner_has_in_the_end() {
    for (allowed, said) in [(true, 1), (false, 0)] {
        let mut b = Bench::new();
        let mut it = seat(&mut b, ALL);
        let asked = r#"[48,1,{},"wamp.session.add_testament",["com.will",[],{}]]"#;
        assert!(answer(&mut it, &mut b, asked).starts_with("[50,1,"));
        if !allowed {
            b.forbid("com.will");
        }
        it.on_doom(&Doom::Eof, &mut b.ctx());
        assert_eq!(count(&b, Counter::MessagesReceived), said);
        assert_eq!(count(&b, Counter::PublishesRefused), 1 - said);
    }
}

#[test]
fn where_everybody_goes_nothing_is_said_for_anybody() {
    let mut b = Bench::new();
    let mut it = seat(&mut b, ALL);
    let asked = r#"[48,1,{},"wamp.session.add_testament",["com.will",[],{}]]"#;
    assert!(answer(&mut it, &mut b, asked).starts_with("[50,1,"));
    it.on_doom(&Doom::Stopping, &mut b.ctx());
    assert_eq!(count(&b, Counter::MessagesReceived), 0);
}

#[test]
fn a_call_that_cannot_be_meant_is_refused() {
    let mut b = Bench::new();
    let mut it = seat(&mut b, ALL);
    let packed = r#"[48,1,{"ppt_scheme":"x_a","ppt_serializer":"cbor"},"com.a",["p"],{"k":1}]"#;
    let said = answer(&mut it, &mut b, packed);
    assert_eq!(said, r#"[8,48,1,{},"wamp.error.invalid_argument"]"#);
    let run = r#"[48,2,{"runmode":"all","rkey":"1"},"com.a"]"#;
    let said = answer(&mut it, &mut b, run);
    assert_eq!(said, r#"[8,48,2,{},"wamp.error.option_not_allowed"]"#);
}

#[test]
fn a_subscription_that_was_not_made_is_not_known() {
    let mut b = Bench::new();
    b.hub.limits.subscriptions_max = 1;
    let mut it = seat(&mut b, ALL);
    assert!(answer(&mut it, &mut b, r#"[32,1,{},"com.a"]"#).starts_with("[33,1,"));
    let said = answer(&mut it, &mut b, r#"[32,2,{},"com.b"]"#);
    assert!(said.starts_with(r#"[8,32,2,{},"wamp.error.unavailable""#), "{said}");
    assert_eq!(b.hub.interests.lookup(REALM, Kind::Exact, &Bytes::from_static(b"com.b")), None);
}

#[test]
fn many_registrations_in_a_turn_wait_for_the_next() {
    let mut b = Bench::new();
    let mut it = seat(&mut b, ALL);
    let all: Vec<String> = (1..100).map(|n| format!(r#"[64,{n},{{}},"com.n{n}"]"#)).collect();
    let texts: Vec<&str> = all.iter().map(String::as_str).collect();
    give(&mut it, &mut b, &texts[..60]).expect("good");
    let said = hear(&mut it, &mut b).len();
    assert!((2..59).contains(&said), "{said}");
    assert!(!it.wants_bytes(&b.hub), "nothing behind what waits is read");
}

#[test]
fn what_waits_for_room_is_answered_when_there_is_some_and_nothing_overtakes_it() {
    let mut b = Bench::new();
    let mut it = seat(&mut b, ALL);
    let (before, _weight) = (b.hub.limits.memory_bytes_max, b.hub.weigh(1_000));
    b.hub.limits.memory_bytes_max = 0;
    let all = [r#"[16,1,{"acknowledge":true},"com.a"]"#, r#"[32,2,{},"com.b"]"#];
    let mut input = BytesMut::new();
    for text in all {
        input.extend_from_slice(&(text.len() as u32).to_be_bytes());
        input.extend_from_slice(text.as_bytes());
    }
    it.on_bytes(&mut input, &mut b.ctx()).expect("good");
    assert!(hear(&mut it, &mut b).is_empty() && !input.is_empty());
    b.hub.limits.memory_bytes_max = before;
    it.on_bytes(&mut input, &mut b.ctx()).expect("good");
    let said = hear(&mut it, &mut b);
    assert!(said[0].starts_with("[17,1,") && said[1].starts_with("[33,2,"), "{said:?}");
}

#[test]
fn nothing_behind_a_goodbye_is_read() {
    let mut b = Bench::new();
    let mut it = seat(&mut b, ALL);
    let all = [r#"[6,{},"wamp.close.close_realm"]"#, r#"[32,2,{},"com.b"]"#];
    give(&mut it, &mut b, &all).expect("good");
    assert_eq!(b.hub.interests.lookup(REALM, Kind::Exact, &Bytes::from_static(b"com.b")), None);
}

#[test]
fn whoever_takes_no_answers_is_not_read_from() {
    let mut b = Bench::new();
    let mut it = seat(&mut b, ALL);
    b.hub.limits.packets_turn = usize::MAX;
    let many = b.hub.limits.replies_max + 10;
    give(&mut it, &mut b, &vec!["[34,1,7]"; many]).expect("good");
    assert_eq!(hear(&mut it, &mut b).len(), many - 10);
}

#[test]
fn a_stranger_says_no_more_than_a_login() {
    let mut b = Bench::new();
    b.hub.limits.login_bytes_max = 200;
    let mut it = Peer::carried(Carrier::Json, b.now, &b.hub);
    let long = format!(r#"[1,"default",{{"roles":{{{NONE}}},"x":"{}"}}]"#, "x".repeat(200));
    let fault = give(&mut it, &mut b, &[&long]).expect_err("too long");
    assert_eq!(fault.kind, FaultKind::RawOverMax);
    let mut it = seat(&mut b, NONE);
    let call = format!(r#"[48,1,{{}},"com.a",["{}"]]"#, "x".repeat(200));
    assert!(answer(&mut it, &mut b, &call).starts_with("[8,48,1,"));
}

#[test]
fn whoever_was_told_to_go_is_told_nothing_more_and_is_let_go() {
    let mut b = Bench::new();
    let mut it = seat(&mut b, ALL);
    let session = it.session().expect("online");
    let (reason, message) = (Bytes::from_static(b"com.enough"), Bytes::new());
    assert!(b.hub.post(session, Mail::Go { reason: reason.clone(), message }));
    assert!(b.hub.post(session, Mail::Unsubscribed { id: 7, reason }));
    assert_eq!(hear(&mut it, &mut b), [r#"[6,{},"com.enough"]"#]);
    let end = b.now.mono + 1_000 * MS;
    assert_eq!(it.deadline(), Deadline(end));
    b.now.mono = end;
    assert_eq!(it.on_deadline(&mut b.ctx()), Err(Doom::Kicked));
    it.on_doom(&Doom::Kicked, &mut b.ctx());
    assert!(hear(&mut it, &mut b).is_empty(), "it heard that before");
}

#[test]
fn what_is_taken_away_is_told_to_who_announced_that() {
    for (roles, said) in [(ALL, 1), (NONE, 0)] {
        let mut b = Bench::new();
        let mut it = seat(&mut b, roles);
        let session = it.session().expect("online");
        let reason = Bytes::from_static(b"com.why");
        assert!(b.hub.post(session, Mail::Unsubscribed { id: 7, reason: reason.clone() }));
        assert_eq!(hear(&mut it, &mut b).len(), said);
        assert!(b.hub.post(session, Mail::Unregistered { id: 7, reason }));
        assert_eq!(hear(&mut it, &mut b).len(), said);
    }
}

/// A callee for "com.a" with these options, what it is asked when this is called, and the caller.
fn asked(b: &mut Bench, roles: [&str; 2], register: &str, call: &str) -> (Peer, String, Peer) {
    let (mut callee, mut caller) = (seat(b, roles[0]), seat(b, roles[1]));
    let register = format!(r#"[64,1,{register},"com.a"]"#);
    assert!(answer(&mut callee, b, &register).starts_with("[65,1,"));
    say(&mut caller, b, &format!(r#"[48,1,{call},"com.a"]"#));
    let mut all = hear(&mut callee, b);
    assert_eq!(all.len(), 1, "{all:?}");
    (callee, all.remove(0), caller)
}

#[test]
fn a_call_is_as_its_ends_announced() {
    for (roles, wanted) in [([ALL, ALL], true), ([ALL, NONE], false)] {
        let it = asked(&mut Bench::new(), roles, "{}", r#"{"receive_progress":true}"#).1;
        assert_eq!(it.contains("receive_progress"), wanted, "{it}");
    }
    for (callee, wanted) in [(ALL, true), (NONE, false)] {
        let register = r#"{"forward_timeout":true,"disclose_caller":true}"#;
        let mut b = Bench::new();
        let it = asked(&mut b, [callee, ALL], register, r#"{"timeout":500}"#).1;
        assert_eq!(it.contains("timeout"), wanted, "{it}");
        assert_eq!(it.contains("caller_authid"), wanted, "{it}");
        assert_eq!(b.hub.calls.deadline().is_none(), wanted, "who watches the time");
    }
}

#[test]
fn a_packed_result_needs_its_feature_on_both_sides() {
    let packed = r#"[70,1,{"ppt_scheme":"x_a","ppt_serializer":"cbor"},["x"]]"#;
    let mut b = Bench::new();
    let (mut callee, ..) = asked(&mut b, [NONE, ALL], "{}", "{}");
    let fault = give(&mut callee, &mut b, &[packed]).expect_err("it did not announce that");
    assert_eq!(fault.kind, FaultKind::WampFeature);
    let mut b = Bench::new();
    let (mut callee, _, mut caller) = asked(&mut b, [ALL, NONE], "{}", "{}");
    let said = answer(&mut callee, &mut b, packed);
    assert_eq!(said, r#"[8,70,1,{},"wamp.error.feature_not_supported"]"#);
    assert!(hear(&mut caller, &mut b).is_empty(), "it waits on");
}

#[test]
fn what_is_longer_than_its_reader_takes_fails_and_says_so() {
    let long = "x".repeat(3_000);
    let register = r#"[64,1,{},"com.a"]"#;
    // A call.
    let mut b = Bench::new();
    let (mut callee, mut caller) = (small(&mut b, ALL), seat(&mut b, ALL));
    answer(&mut callee, &mut b, register);
    say(&mut caller, &mut b, &format!(r#"[48,1,{{}},"com.a",["{long}"]]"#));
    say(&mut caller, &mut b, &format!(r#"[48,2,{{}},"com.a",["{long}"]]"#));
    say(&mut caller, &mut b, r#"[49,2,{}]"#);
    assert!(hear(&mut callee, &mut b).is_empty(), "nor is it told to stop what it never heard of");
    let said = hear(&mut caller, &mut b);
    assert_eq!(said.len(), 2, "{said:?}");
    let failed = |said: &String| said.starts_with(r#"[8,48,1,{},"wamp.error.network_failure""#);
    assert!(said.iter().any(failed), "{said:?}");
    // A result, and an error.
    let mut b = Bench::new();
    let (mut callee, mut caller) = (seat(&mut b, ALL), small(&mut b, ALL));
    answer(&mut callee, &mut b, register);
    for request in [1, 2] {
        say(&mut caller, &mut b, &format!(r#"[48,{request},{{}},"com.a"]"#));
    }
    assert_eq!(hear(&mut callee, &mut b).len(), 2);
    say(&mut callee, &mut b, &format!(r#"[70,1,{{}},["{long}"]]"#));
    say(&mut callee, &mut b, &format!(r#"[8,68,2,{{}},"com.wrong",["{long}"]]"#));
    let wanted =
        [r#"[8,48,1,{},"wamp.error.payload_size_exceeded"]"#, r#"[8,48,2,{},"com.wrong"]"#];
    assert_eq!(hear(&mut caller, &mut b), wanted);
    // An event.
    let mut b = Bench::new();
    let (mut reader, mut writer) = (small(&mut b, ALL), seat(&mut b, ALL));
    answer(&mut reader, &mut b, r#"[32,1,{},"com.a"]"#);
    say(&mut writer, &mut b, &format!(r#"[16,1,{{}},"com.a",["{long}"]]"#));
    assert!(hear(&mut reader, &mut b).is_empty());
    assert_eq!(count(&b, Counter::DroppedLarge), 1);
}

#[test]
fn a_line_says_nothing_that_is_too_long_or_that_its_form_cannot_hold() {
    let mut line = Line::bare();
    let heard = line.next(&mut BytesMut::from(&b"\x7f\x01\0\0"[..]), 1 << 16);
    assert!(matches!(heard, Ok(Heard::Octets(_))));
    let (mut out, mut scratch) = (Outbound::default(), Vec::new());
    let message = Published { request: 1, publication: 2 }.into();
    for (len, fits) in [(300, true), (600, false)] {
        assert_eq!(line.put_whole(&vec![b'x'; len], &mut out), fits);
    }
    let before = out.len();
    // What MessagePack has no meaning for.
    let bytes = Bytes::from_static(b"\x91\xc1");
    let span = Span { form: Form::MsgPack, flags: ARGS, bytes };
    assert!(span.turned(Form::Json, Bounds::default()).is_none());
    assert!(line.put_with(&message, &span, &mut scratch, &mut out).is_err());
    assert_eq!(out.len(), before);
}

#[test]
fn what_was_said_is_settled_and_does_not_stand_in_the_way_of_more() {
    let mut b = Bench::new();
    b.hub.limits.inflight_max = 2;
    let (mut reader, mut writer) = (seat(&mut b, ALL), seat(&mut b, ALL));
    answer(&mut reader, &mut b, r#"[32,1,{},"com.a"]"#);
    for request in 1..9 {
        let asked = format!(r#"[16,{request},{{"acknowledge":true}},"com.a"]"#);
        answer(&mut writer, &mut b, &asked);
    }
    assert_eq!(hear(&mut reader, &mut b).len(), 8);
}

#[test]
fn how_far_a_publisher_is_trusted_is_told_to_who_announced_that() {
    let mut b = Bench::new();
    let (mut one, mut other) = (seat(&mut b, ALL), seat(&mut b, NONE));
    for it in [&mut one, &mut other] {
        answer(it, &mut b, r#"[32,1,{},"com.a"]"#);
    }
    let mut rest = Vec::new();
    Notes { who: None, trust: Some(3), ppt: None }.put(&mut rest);
    let head = Head { form: Form::Json, flags: ARGS, number: 7 };
    b.publish("com.a", b"[1]", head.put(&rest));
    assert!(hear(&mut one, &mut b)[0].contains(r#""trustlevel":3"#));
    assert!(!hear(&mut other, &mut b)[0].contains("trustlevel"));
}

#[test]
fn what_is_kept_for_more_than_can_be_noted_is_kept_for_nobody() {
    let mut b = Bench::new();
    let mut it = seat(&mut b, ALL);
    let one = String::from(r#""anonymous""#);
    let many = format!(r#"{one}{}"#, format!(r#","{}""#, "x".repeat(4_000)).repeat(20));
    for (list, heard) in [(one, 1), (many, 0)] {
        let lists = format!(r#"{{"retain":true,"eligible_authrole":[{list}]}}"#);
        say(&mut it, &mut b, &format!(r#"[16,1,{lists},"com.a",[1]]"#));
        let mut late = seat(&mut b, ALL);
        say(&mut late, &mut b, r#"[32,1,{"get_retained":true},"com.a"]"#);
        assert_eq!(hear(&mut late, &mut b).len(), 1 + heard);
    }
}

/// Wants every password looked at.
struct Looks;

impl Policy for Looks {
    fn admit(&mut self, _: Now, login: &Login<'_>) -> Admit {
        let claim = Claim {
            principal: Some(Principal::default()),
            user: Bytes::copy_from_slice(login.user),
            address: login.address,
            loopback: login.loopback,
            tag: 0,
        };
        let secret = Secret::new(login.password.unwrap_or_default());
        Admit::Verify { secret, hash: "hash".into(), claim }
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
    fn recall(&self, _: &Bytes) -> Option<Principal> {
        None
    }
}

#[test]
fn while_a_proof_is_looked_at_nothing_is_read_and_it_is_waited_for_so_long() {
    let mut b = Bench::new();
    b.hub.policy = Box::new(Looks);
    let mut it = Peer::carried(Carrier::Json, b.now, &b.hub);
    let hello = r#"[1,"default",{"roles":{"caller":{}},"authmethods":["ticket"],"authid":"a"}]"#;
    say(&mut it, &mut b, hello);
    assert_eq!(hear(&mut it, &mut b), [r#"[4,"ticket",{}]"#]);
    let mut input = BytesMut::new();
    for text in [r#"[5,"x",{}]"#, r#"[5,"y",{}]"#] {
        input.extend_from_slice(&(text.len() as u32).to_be_bytes());
        input.extend_from_slice(text.as_bytes());
    }
    b.now.mono += 1_000 * MS;
    it.on_bytes(&mut input, &mut b.ctx()).expect("the other waits");
    assert_eq!(input.len(), 14);
    assert_eq!(it.deadline(), Deadline(b.now.mono + 60_000 * MS));
    // A verdict on another proof is nobody's.
    let stale = count(&b, Counter::StaleAnswers);
    it.on_verdict(7, true, &mut b.ctx()).expect("no matter");
    assert_eq!(count(&b, Counter::StaleAnswers), stale + 1);
    assert!(it.is_stranger() && hear(&mut it, &mut b).is_empty());
    it.on_verdict(1, true, &mut b.ctx()).expect("good");
    assert!(hear(&mut it, &mut b)[0].starts_with("[2,"));
}

#[test]
fn nobody_says_of_itself_what_the_router_says_of_it() {
    let mut b = Bench::new();
    let mut it = Peer::carried(Carrier::Json, b.now, &b.hub);
    let own = r#""authrole":"admin","session":1,"transport":{},"realm":"x","color":"red""#;
    say(&mut it, &mut b, &format!(r#"[1,"default",{{"roles":{{{NONE}}},{own}}}]"#));
    let session = it.session().expect("online");
    let party = b.hub.parties.get(session).expect("here");
    let names: Vec<&str> = party.details.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["color"]);
}
