//! Floor 2. For whom a publication is, as those see it who listen.

use bytes::Bytes;

use super::audience::{Audience, List};
use super::calls::Kind;
use super::hub_test::*;
use super::message::Durability;
use super::parties::Joining;
use super::policy::Principal;
use super::session::SubOpts;
use super::subscribe::Replays;
use crate::base::id::SessionId;
use crate::base::limits::Limits;
use crate::topic::{Dialect, Match};
use crate::value::Value;

fn text(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// A party with the number `10 * n`, a listener of `a`.
fn party(b: &mut Bench, n: u32, authid: &str, role: &str, node: Option<&str>) -> SessionId {
    let session = b.client(&format!("party {n}"), |a| a.durable = false).session;
    let conn = b.hub.session(session).and_then(|s| s.conn).expect("connected");
    b.hub.parties.join(Joining {
        id: u64::from(n) * 10,
        session,
        realm: REALM,
        conn,
        authid: text(authid),
        authrole: text(role),
        authmethod: text("ticket"),
        authprovider: text("static"),
        details: vec![("org".into(), Value::Text(format!("org{n}")))],
    });
    listen(b, session, node);
    session
}

fn listen(b: &mut Bench, session: SessionId, node: Option<&str>) {
    let (now, pattern) = (b.now, text("a"));
    let noted =
        b.hub.interests.subscribe(now, REALM, session, (Kind::Exact, &pattern), node.map(text));
    let filter = STAR.filter(&pattern, Match::Native).expect("filter");
    let opts = SubOpts { id: noted.id, ..SubOpts::default() };
    b.hub.subscribe(now, session, &filter, None, opts, Replays::Never).expect("room");
}

/// Who of these hears it.
fn heard(b: &mut Bench, all: &[SessionId], audience: Audience) -> Vec<usize> {
    let from = all[0];
    let who = Principal::default();
    let mut p = Bench::publication("a", b"x", 0, false);
    let level = Durability::Memory;
    b.hub.accept_for(b.now, (from, &who), level, &mut p, audience).expect("room");
    let now = b.now;
    (0..all.len()).filter(|at| b.hub.next(now, all[*at]).is_some()).collect()
}

fn list(attribute: &str, eligible: bool, values: &[&str]) -> Audience {
    let values = values.iter().map(|value| text(value)).collect();
    let list = List { attribute: attribute.into(), eligible, values };
    Audience { lists: vec![list], ..Audience::default() }
}

fn scene() -> (Bench, Vec<SessionId>) {
    let mut b = Bench::new(Limits::default());
    let mut all = vec![
        party(&mut b, 1, "ann", "user", None),
        party(&mut b, 2, "bob", "user", None),
        party(&mut b, 3, "cy", "guest", None),
    ];
    // No party: it listens by another protocol.
    let plain = b.client("dan", |a| {
        a.durable = false;
        a.principal = std::sync::Arc::new(Principal { user: text("dan"), ..Principal::default() });
    });
    b.subscribe(plain.session, "a", 0);
    all.push(plain.session);
    (b, all)
}

#[test]
fn everybody_has_it_unless_somebody_is_left_out() {
    let (mut b, all) = scene();
    assert!(Audience::default().is_open());
    assert_eq!(heard(&mut b, &all, Audience::default()), [0, 1, 2, 3]);
    let without = Audience { without: Some(all[0]), ..Audience::default() };
    assert_eq!(heard(&mut b, &all, without), [1, 2, 3]);
    let only = Audience { only: Some(all[2]), ..Audience::default() };
    assert_eq!(heard(&mut b, &all, only), [2]);
    let exclude = Audience { exclude: vec![20, 999], ..Audience::default() };
    assert_eq!(heard(&mut b, &all, exclude), [0, 2, 3]);
}

#[test]
fn a_list_that_is_empty_counts() {
    let (mut b, all) = scene();
    let eligible = |ids: &[u64]| Audience { eligible: Some(ids.to_vec()), ..Audience::default() };
    assert_eq!(heard(&mut b, &all, eligible(&[10, 30])), [0, 2]);
    assert_eq!(heard(&mut b, &all, eligible(&[])), [0; 0], "nobody");
    assert_eq!(heard(&mut b, &all, list("authid", true, &[])), [0; 0], "nobody");
    assert_eq!(heard(&mut b, &all, list("authid", false, &[])), [0, 1, 2, 3], "nobody is left out");
}

#[test]
fn readers_are_chosen_by_what_is_said_of_them_and_all_lists_agree() {
    let (mut b, all) = scene();
    assert_eq!(heard(&mut b, &all, list("authrole", true, &["user"])), [0, 1]);
    assert_eq!(heard(&mut b, &all, list("authrole", false, &["user"])), [2, 3]);
    assert_eq!(heard(&mut b, &all, list("org", true, &["org2", "org3"])), [1, 2]);
    assert_eq!(heard(&mut b, &all, list("org", false, &["org2"])), [0, 2, 3]);
    assert_eq!(heard(&mut b, &all, list("none", true, &["x"])), [0; 0], "nobody has it");
    assert_eq!(heard(&mut b, &all, list("authid", true, &["dan", "ann"])), [0, 3], "by its user");
    let mut both = list("authrole", true, &["user"]);
    both.eligible = Some(vec![20, 30]);
    assert_eq!(heard(&mut b, &all, both.clone()), [1]);
    let mut two = list("authrole", true, &["user"]);
    two.lists.extend(list("org", false, &["org1"]).lists);
    assert_eq!(heard(&mut b, &all, two), [1]);
    both.exclude = vec![20];
    assert_eq!(heard(&mut b, &all, both), [0; 0]);
}

#[test]
fn of_nodes_one_has_it_and_who_is_no_node_has_everything() {
    let mut b = Bench::new(Limits::default());
    let all = [
        party(&mut b, 1, "ann", "user", None),
        party(&mut b, 2, "bob", "user", Some("x")),
        party(&mut b, 3, "cy", "user", Some("y")),
        party(&mut b, 4, "dan", "user", Some("x")),
    ];
    let key = |key: &str| Audience { key: Some(text(key)), ..Audience::default() };
    let mut seen = Vec::new();
    for n in 0..20 {
        let got = heard(&mut b, &all, key(&n.to_string()));
        assert!(got == [0, 1, 3] || got == [0, 2], "{got:?}");
        assert_eq!(heard(&mut b, &all, key(&n.to_string())), got, "the same key, the same node");
        seen.push(got);
    }
    assert!(seen.contains(&vec![0, 1, 3]) && seen.contains(&vec![0, 2]));
    assert_eq!(heard(&mut b, &all, Audience::default()), [0, 1, 2, 3], "without a key everybody");
}

#[test]
fn an_audience_is_for_one_publication() {
    let (mut b, all) = scene();
    let nobody = Audience { eligible: Some(Vec::new()), ..Audience::default() };
    assert_eq!(heard(&mut b, &all, nobody), [0; 0]);
    b.publish("a", b"y", 0, false);
    let now = b.now;
    assert!(all.iter().all(|session| b.hub.next(now, *session).is_some()));
}
