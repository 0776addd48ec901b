//! Floor 5. The book of calls finds every lie, and what it once found stays found.

use super::dealer_flaw::Flaw;
use super::dealer_folk::{Asked, Manner, Person, Reply, Speech, Word};
use super::dealers::{live, live_with};
use super::disk::FakeDisk;
use super::rig::{Rig, Setup, WAMP};
use crate::base::time::{MS, Now};
use crate::hub::calls::Invoke;
use crate::hub::message::Durability;
use crate::hub::policy::Address;
use crate::proto::wamp::roles::{Feature, Features};
use crate::value::Form;

/// Seeds that are tried for a flaw: not every life has what it needs.
const SEEDS: u64 = 12;
/// `com.a.b` among the patterns, and the words that a call or an event carries.
const EXACT: usize = 1;
const BODY: &str = "#0/0/0;";

#[test]
fn every_flaw_is_found_and_called_by_its_name() {
    for (flaw, words) in Flaw::ALL {
        let found = (0..SEEDS).filter_map(|seed| live_with(seed, Some(flaw)).err());
        let last = |log: String| log.lines().last().unwrap_or_default().to_owned();
        let found: Vec<String> = found.map(last).collect();
        assert!(found.iter().any(|why| why.contains(words)), "{flaw:?}: {found:#?}");
    }
}

#[test]
fn without_a_flaw_nothing_is_found() {
    (0..SEEDS).for_each(|seed| _ = live(seed).unwrap_or_else(|why| panic!("{why}")));
}

/// A broker, and two who are in.
fn two() -> (Rig, [Person; 2]) {
    let setup = Setup { level: Durability::Memory, ..Setup::default() };
    let now = Now { mono: 1_000 * MS, wall: 1_700_000_000_000 };
    let mut rig = Rig::start(&setup, &FakeDisk::default(), now).expect("a broker");
    let able = Features::these(&[Feature::CallCanceling]);
    let mut both = [1, 2].map(|no| {
        let conn = rig.open_at(WAMP, Address::V4([10, 0, 0, 1])).expect("a slot");
        let mut it = Person::new(no, conn, Speech::Wamp(Form::Json), able);
        it.enter();
        it
    });
    assert_eq!(heard(&mut rig, &mut both), [vec![Word::In], vec![Word::In]]);
    (rig, both)
}

/// All that was said goes out at once; what is heard then.
fn heard(rig: &mut Rig, both: &mut [Person; 2]) -> [Vec<Word>; 2] {
    for it in both.iter_mut() {
        let wire = rig.wires.get_mut(&it.conn).expect("a wire");
        wire.inward.extend(it.outward.drain(..));
    }
    assert!(rig.rest(64));
    both.each_mut().map(|it| {
        let wire = rig.wires.get_mut(&it.conn).expect("a wire");
        it.hear(&core::mem::take(&mut wire.heard)).expect("words")
    })
}

#[test]
fn what_is_asked_before_an_unregister_is_heard_before_its_answer() {
    let (mut rig, mut both) = two();
    both[1].serve(EXACT, Invoke::Single);
    heard(&mut rig, &mut both);
    let (id, _) = both[1].served.first_key_value().expect("it serves");
    let id = *id;
    // Both in one turn; and it begins anew at once.
    both[0].call(1, "com.a.b", Manner::default(), BODY);
    both[1].stop(id, EXACT);
    both[1].serve(EXACT, Invoke::Single);
    let [_, words] = heard(&mut rig, &mut both);
    let [Word::Do { number, pattern: Some(EXACT), .. }, stopped, serves] = words[..] else {
        panic!("{words:?}");
    };
    assert_eq!(stopped, Word::Yes(Asked::Stop(EXACT), 0));
    assert!(matches!(serves, Word::Yes(Asked::Serve(EXACT, _), new) if new != id));
    both[1].reply(number, Reply::Result, BODY);
    let [words, _] = heard(&mut rig, &mut both);
    assert!(matches!(words[..], [Word::Came { request: 1, more: false, .. }]), "{words:?}");
}

#[test]
fn no_event_comes_behind_the_answer_to_an_unsubscribe() {
    for many in [false, true] {
        let (mut rig, mut both) = two();
        let all = if many { 0..9 } else { EXACT..EXACT + 1 };
        all.for_each(|pattern| assert!(both[1].listen(pattern)));
        heard(&mut rig, &mut both);
        let sub = both[1].subs.iter().find(|(_, its)| **its == EXACT).map(|(sub, _)| *sub);
        let sub = sub.expect("it listens");
        both[0].publish("com.a.b", BODY);
        both[1].leave(sub, EXACT);
        let [_, words] = heard(&mut rig, &mut both);
        let gone = words.iter().position(|word| matches!(word, Word::Yes(Asked::Leave(..), _)));
        let gone = gone.expect("it is answered");
        let late = |word: &Word| matches!(word, Word::Event(by, ..) if *by == sub);
        assert!(!words[gone..].iter().any(late), "{words:?}");
        let others = words.iter().filter(|word| matches!(word, Word::Event(..))).count();
        assert_eq!(others, if many { 5 } else { 0 }, "{words:?}");
    }
}
