//! Floor 4. Lists of sessions, page after page, beside a plain sort; and how much is done at once.

use bytes::Bytes;

use crate::base::id::{ConnId, ListenerNo, RealmId};
use crate::base::limits::Limits;
use crate::base::outbound::Outbound;
use crate::base::time::{MS, Now};
use crate::hub::admin::{Answer, Question, Search, SessionRow, Sort, SubRow, Wanted};
use crate::hub::message::Durability;
use crate::hub::policy::{Address, Event, Observer, Open};
use crate::hub::{Hub, Parts};
use crate::link::Terms;
use crate::proto::prx1::packet::{Connect, Packet, Subscribe};
use crate::proto::{Listener, Speak, prx1};

use super::search::{ROWS, STEP};
use crate::engine::Engine;

struct Quiet;
impl Observer for Quiet {
    fn see(&mut self, _: Now, _: &Event<'_>) {}
}

/// More than one step looks at.
const CROWD: usize = 3 * STEP as usize + 17;

fn engine() -> Engine {
    let limits = Limits { connections_max: CROWD as u32, ..Limits::default() };
    let (policy, observer) = (Box::new(Open), Box::new(Quiet));
    let hub = Hub::new(Parts { limits, seed: 7, realms: vec!["main".into()], policy, observer });
    let listener = Listener {
        relay: None,
        desk: None,
        no: ListenerNo(0),
        speak: Speak::Prx1,
        realm: RealmId(0),
        level: Durability::Memory,
        link: Terms::default(),
    };
    Engine::new(hub, vec![listener], 7)
}

fn at(i: u64) -> Now {
    Now { mono: (1_000 + i) * MS, wall: 1_700_000_000_000 + i }
}

/// Clients whose names are in no order, several of whom came in the same moment.
fn crowd() -> Engine {
    let mut engine = engine();
    for i in 0..CROWD as u64 {
        let now = at(i / 3);
        let conn = engine.on_accept(now, 0, Address::Local, true).expect("a slot");
        let name = format!("c{:04}", i * 7_919 % CROWD as u64);
        let name = Bytes::from(name);
        let connect = Connect { username: Some(name), ..Connect::default() };
        for packet in core::iter::once(Packet::Connect(connect)).chain(filters(i)) {
            let mut out = Outbound::default();
            prx1::encode(&packet, &mut out).expect("it fits");
            engine.on_bytes(now, conn, &mut (&out.to_vec()[..]).into());
            // Each in a turn of its own: there is little time for filters in one.
            engine.commit();
        }
    }
    engine
}

/// Some have many subscriptions, most none.
fn filters(i: u64) -> impl Iterator<Item = Packet> {
    let many = if i.is_multiple_of(50) { 3 * ROWS as u16 / 2 } else { 0 };
    (1..=many).map(move |id| {
        let topic = Bytes::from(format!("of/{i}/{id}"));
        Packet::Subscribe(Subscribe { dup: false, qos: 0, retain: false, id, topic })
    })
}

/// What a search came to, and in how many steps.
fn run<R>(
    engine: &mut Engine,
    mut search: Search,
    rows: fn(Answer) -> (Vec<R>, Box<Search>),
) -> (Vec<R>, Search, usize) {
    let nobody = ConnId { index: 0, life: 0 };
    let (mut all, mut steps) = (Vec::new(), 0);
    while !search.is_over() {
        let question = Question::Search(Box::new(search));
        let (some, rest) = rows(engine.answer(at(9_999), nobody, question));
        assert!(some.len() <= ROWS, "no more rows at once than {ROWS}");
        all.extend(some);
        (search, steps) = (*rest, steps + 1);
    }
    (all, search, steps)
}

fn sessions(answer: Answer) -> (Vec<SessionRow>, Box<Search>) {
    match answer {
        Answer::Sessions(rows, search) => (rows, search),
        other => panic!("rows were asked for: {other:?}"),
    }
}

fn subscriptions(answer: Answer) -> (Vec<SubRow>, Box<Search>) {
    match answer {
        Answer::Subscriptions(rows, search) => (rows, search),
        other => panic!("rows were asked for: {other:?}"),
    }
}

#[test]
fn pages_are_a_sorted_list_cut_in_pieces() {
    let mut engine = crowd();
    let most = engine.hub.sessions.len() as u64;
    assert_eq!(most as usize, CROWD);
    for (name, sort) in Sort::ALL {
        for descending in [false, true] {
            let all = Search { sort, descending, take: most, ..Search::default() };
            let (whole, ..) = run(&mut engine, all, sessions);
            let place = |row: &SessionRow| {
                let first = match sort {
                    Sort::Since => row.link.map_or(0, |link| link.since),
                    Sort::Name | Sort::User => 0,
                    Sort::Queued => row.queued,
                    Sort::Dropped => row.dropped,
                };
                (first, if sort == Sort::User { row.user.clone() } else { row.name.clone() })
            };
            let mut places: Vec<_> = whole.iter().map(place).collect();
            let said = places.clone();
            places.sort();
            if descending {
                places.reverse();
            }
            assert!(said == places && said.len() == CROWD, "by {name}, descending {descending}");
            let (mut pieces, mut after) = (Vec::new(), None);
            loop {
                let page = Search { sort, descending, after, take: 100, ..Search::default() };
                let (rows, page, _) = run(&mut engine, page, sessions);
                pieces.extend(rows.into_iter().map(|row| row.id));
                assert_eq!(page.total, Some(most), "every page knows of all");
                if !page.has_more() {
                    break;
                }
                after = page.last;
            }
            assert_eq!(pieces, whole.iter().map(|row| row.id).collect::<Vec<_>>(), "by {name}");
        }
    }
}

#[test]
fn a_look_at_many_is_many_short_looks() {
    let mut engine = crowd();
    let page = Search { take: 100, ..Search::default() };
    let (rows, _, steps) = run(&mut engine, page, sessions);
    assert_eq!(rows.len(), 100);
    assert!(steps >= CROWD / STEP as usize + 100 / ROWS, "{steps} steps");
    // Measured: others do not feel steps of this size.
    const { assert!(STEP <= 256 && ROWS <= 8) }
}

#[test]
fn subscriptions_of_one_come_in_pieces_too_and_each_once() {
    let mut engine = crowd();
    let wanted = Wanted { subscribed: true, ..Wanted::default() };
    let all = Search { wanted, take: 10_000, subscriptions: true, ..Search::default() };
    let (rows, ..) = run(&mut engine, all, subscriptions);
    let mut filters: Vec<_> = rows.iter().map(|row| row.filter.clone()).collect();
    filters.sort();
    filters.dedup();
    assert_eq!(filters.len(), rows.len(), "none comes twice");
    let many = CROWD.div_ceil(50) * (3 * ROWS / 2);
    assert_eq!(rows.len(), many, "and all come");
}
