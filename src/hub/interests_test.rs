//! Floor 2. Numbered subscriptions, against a model that knows no indices.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::calls::Kind;
use super::interests::{Interests, Left};
use crate::base::id::{RealmId, SessionId};
use crate::base::rng::Rng;
use crate::base::time::Now;

const HERE: RealmId = RealmId(0);
const NOW: Now = Now { mono: 5, wall: 77 };

fn session(index: u32) -> SessionId {
    SessionId { index, life: 0 }
}

fn text(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn exact(all: &mut Interests, who: u32, pattern: &str, node: Option<&str>) -> u32 {
    all.subscribe(NOW, HERE, session(who), (Kind::Exact, &text(pattern)), node.map(text)).id
}

#[test]
fn all_sessions_of_one_pattern_share_its_number() {
    let mut all = Interests::new(1);
    let first = all.subscribe(NOW, HERE, session(1), (Kind::Exact, &text("a.b")), None);
    assert!(first.created && first.joined && first.id != 0);
    let other = all.subscribe(NOW, HERE, session(2), (Kind::Exact, &text("a.b")), None);
    assert_eq!((other.id, other.created, other.joined), (first.id, false, true));
    let again = all.subscribe(NOW, HERE, session(1), (Kind::Exact, &text("a.b")), None);
    assert_eq!((again.id, again.created, again.joined), (first.id, false, false));
    for (realm, kind) in [(HERE, Kind::Prefix), (RealmId(1), Kind::Exact)] {
        let apart = all.subscribe(NOW, realm, session(1), (kind, &text("a.b")), None);
        assert!(apart.created && apart.id != first.id, "{realm:?} {kind:?}");
    }
    let it = all.get(HERE, u64::from(first.id)).expect("there");
    assert_eq!((it.created, it.kind, &it.pattern[..]), (77, Kind::Exact, &b"a.b"[..]));
    assert!(all.get(RealmId(1), u64::from(first.id)).is_none(), "of another realm");
    assert!(all.get(HERE, u64::from(first.id) + (1 << 32)).is_none(), "not cut to its low half");
}

#[test]
fn it_is_over_when_the_last_one_leaves_and_its_number_is_not_used_at_once() {
    let mut all = Interests::new(1);
    let id = exact(&mut all, 1, "a", None);
    exact(&mut all, 2, "a", None);
    assert_eq!(all.unsubscribe(session(3), id), None, "never listened");
    let left = |ended| Some(Left { id, pattern: text("a"), ended });
    assert_eq!(all.unsubscribe(session(1), id), left(false));
    assert_eq!(all.unsubscribe(session(1), id), None, "not twice");
    assert_eq!(all.unsubscribe(session(2), id), left(true));
    assert_eq!((all.len(), all.lookup(HERE, Kind::Exact, &text("a"))), (0, None));
    assert_ne!(exact(&mut all, 1, "a", None), id);
}

#[test]
fn what_stands_is_there_whoever_listens() {
    let mut all = Interests::new(1);
    let id = all.stand(NOW, HERE, Kind::Exact, &text("a"));
    assert_eq!(
        (exact(&mut all, 1, "a", None), all.stand(NOW, HERE, Kind::Exact, &text("a"))),
        (id, id)
    );
    let left = all.unsubscribe(session(1), id).expect("it listened");
    assert!(!left.ended && all.get(HERE, u64::from(id)).is_some());
    exact(&mut all, 1, "a", None);
    all.sit(id);
    assert_eq!(all.len(), 1, "somebody listens");
    all.stand(NOW, HERE, Kind::Exact, &text("a"));
    all.unsubscribe(session(1), id);
    all.sit(id);
    assert!(all.is_empty() && all.list(HERE, 0).count() == 0);
}

#[test]
fn a_key_chooses_one_node_and_who_comes_or_goes_moves_only_its_share() {
    let mut all = Interests::new(1);
    let id = exact(&mut all, 9, "a", None);
    let node_for = |all: &Interests, key: &str| {
        all.get(HERE, u64::from(id)).and_then(|it| it.node_for(key.as_bytes())).cloned()
    };
    assert_eq!(node_for(&all, "k"), None, "there are no nodes");
    for (who, node) in [(1, "x"), (2, "y"), (3, "y"), (4, "z")] {
        exact(&mut all, who, "a", Some(node));
    }
    let keys: Vec<String> = (0..300).map(|n| format!("key {n}")).collect();
    let choose = |all: &Interests| -> Vec<Option<Bytes>> {
        keys.iter().map(|key| node_for(all, key)).collect()
    };
    let before = choose(&all);
    for node in ["x", "y", "z"] {
        let share = before.iter().filter(|it| **it == Some(text(node))).count();
        assert!((60..140).contains(&share), "{node} has {share} of 300");
    }
    all.unsubscribe(session(4), id);
    for (before, after) in before.iter().zip(choose(&all)) {
        assert_ne!(after, Some(text("z")));
        assert!(*before == Some(text("z")) || *before == after, "others stay where they are");
    }
    exact(&mut all, 1, "a", None);
    exact(&mut all, 2, "a", Some("w"));
    exact(&mut all, 3, "a", None);
    let it = all.get(HERE, u64::from(id)).expect("there");
    assert_eq!((it.node_of(session(1)), it.node_of(session(2))), (None, Some(&text("w"))));
    assert_eq!(it.node_for(b"any"), Some(&text("w")), "what it is now");
    exact(&mut all, 2, "a", None);
    assert_eq!(node_for(&all, "any"), None, "nobody is a node any more");
}

#[test]
fn whatever_comes_and_goes_is_as_a_model_says() {
    type Names = BTreeMap<(u16, u8, u8), (u32, BTreeMap<u32, Option<Bytes>>)>;
    let (mut all, mut rng) = (Interests::new(3), Rng::new(11));
    let (mut model, mut longest): (Names, usize) = (BTreeMap::new(), 0);
    let kinds = [Kind::Exact, Kind::Prefix, Kind::Wildcard];
    for step in 0..20_000 {
        let who = session(rng.below(40) as u32);
        let key = (rng.below(2) as u16, rng.below(3) as u8, rng.below(4) as u8);
        let pattern = text(&format!("p{}", key.2));
        let (realm, kind) = (RealmId(key.0), kinds[usize::from(key.1)]);
        // For a while more come than go, so that lists become long and short again.
        let comes = rng.below(10) < if step / 2_000 % 2 == 0 { 7 } else { 2 };
        match rng.below(40) {
            0 => {
                let left: BTreeSet<(u32, bool)> =
                    all.leave(who).into_iter().map(|left| (left.id, left.ended)).collect();
                let mut expected = BTreeSet::new();
                model.retain(|_, (id, listeners)| {
                    if listeners.remove(&who.index).is_some() {
                        expected.insert((*id, listeners.is_empty()));
                    }
                    !listeners.is_empty()
                });
                assert_eq!(left, expected, "step {step}");
            }
            _ if comes => {
                let node = rng.chance(1, 3).then(|| text(&format!("n{}", rng.below(3))));
                let noted = all.subscribe(NOW, realm, who, (kind, &pattern), node.clone());
                let known = model.contains_key(&key);
                let entry = model.entry(key).or_insert((noted.id, BTreeMap::new()));
                let joined = entry.1.insert(who.index, node).is_none();
                assert_eq!((noted.id, noted.created, noted.joined), (entry.0, !known, joined));
            }
            _ => {
                let id = all.lookup(realm, kind, &pattern);
                assert_eq!(id, model.get(&key).map(|entry| entry.0), "step {step}");
                let Some(id) = id else { continue };
                let listeners = &mut model.get_mut(&key).expect("known").1;
                let left = all.unsubscribe(who, id).map(|left| left.ended);
                let was = listeners.remove(&who.index).is_some();
                assert_eq!(left, was.then_some(listeners.is_empty()), "step {step}");
                if listeners.is_empty() {
                    model.remove(&key);
                }
            }
        }
        assert_eq!(all.len(), model.len());
        if step % 50 == 0 {
            longest = longest.max(model.values().map(|entry| entry.1.len()).max().unwrap_or(0));
            agrees(&all, &model);
        }
    }
    assert!(longest > 20, "some became long: {longest}");
    for index in 0..40 {
        all.leave(session(index));
    }
    assert!(all.is_empty());
}

fn agrees(all: &Interests, model: &BTreeMap<(u16, u8, u8), (u32, BTreeMap<u32, Option<Bytes>>)>) {
    for (id, listeners) in model.values() {
        let realm = if all.get(HERE, u64::from(*id)).is_some() { HERE } else { RealmId(1) };
        let it = all.get(realm, u64::from(*id)).expect("there");
        let own: Vec<u32> = it.listeners().map(|session| session.index).collect();
        assert_eq!((own, it.len()), (listeners.keys().copied().collect(), listeners.len()));
        for (index, node) in listeners {
            assert!(it.is_heard_by(session(*index)));
            assert_eq!(it.node_of(session(*index)), node.as_ref());
        }
        let nodes = listeners.values().flatten().count();
        assert_eq!(it.node_for(b"key").is_some(), nodes > 0);
    }
    for realm in [0, 1] {
        let ids: Vec<u32> = all.list(RealmId(realm), 0).map(|it| it.id).collect();
        let of_realm = model.iter().filter(|(key, _)| key.0 == realm);
        let mut expected: Vec<u32> = of_realm.map(|(_, entry)| entry.0).collect();
        expected.sort_unstable();
        assert_eq!(ids, expected);
        let behind = ids.first().map_or(0, |first| u64::from(*first));
        assert_eq!(all.list(RealmId(realm), behind).count(), ids.len().saturating_sub(1));
    }
}
