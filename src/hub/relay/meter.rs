//! Floor 2. What passes a relay, counted: totals, rates of the last second and of the last ten.
//!
//! Lines are counted by what they are, whichever way they went, and malformed ones by what is
//! wrong with them. Answers meet the requests they belong to by their number, each connection for
//! itself, so it is known how long an answer took, which never came and which nobody asked for.
//! What is remembered of requests is bounded. Totals and the last ten seconds can be written down
//! and taken up again. Absent on purpose: the lines, and where any of this is shown or kept.

use std::collections::VecDeque;

use crate::base::hist;
use crate::base::time::{MS, Now};
use crate::base::window::Window;

/// What a line is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// A request.
    Req,
    /// It was accepted.
    Ack,
    /// It was refused.
    Nak,
}

impl Kind {
    /// All of them with their words.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Req, "REQ"), (Self::Ack, "ACK"), (Self::Nak, "NAK")];

    /// By its word.
    #[must_use]
    pub fn of(word: &[u8]) -> Option<Self> {
        Self::ALL.iter().find(|(_, own)| own.as_bytes() == word).map(|(kind, _)| *kind)
    }

    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// Why a line is none: the first thing that is wrong with it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Flaw {
    /// Nothing before the LF.
    Empty,
    /// It begins with none of the three words.
    Type,
    /// Not exactly one space before the number.
    Space,
    /// No whole number, or one beyond 64 bits.
    Seq,
    /// A NUL in its data.
    Nul,
    /// Its data are no UTF-8.
    Utf8,
    /// It is longer than lines are read.
    Long,
    /// The connection ended within it.
    Unfinished,
}

impl Flaw {
    /// All of them with the words that tell their counters apart.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Empty, "empty"),
        (Self::Type, "type"),
        (Self::Space, "space"),
        (Self::Seq, "sequence"),
        (Self::Nul, "nul"),
        (Self::Utf8, "utf8"),
        (Self::Long, "too_long"),
        (Self::Unfinished, "unfinished"),
    ];

    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// What else is counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Tally {
    /// Connections of clients.
    Clients,
    /// Bytes from clients.
    BytesUp,
    /// Bytes from upstreams.
    BytesDown,
    /// Requests without an answer when their connection ended.
    Unanswered,
    /// Answers that no request waits for.
    Stray,
    /// Answers that came before one that was asked for earlier.
    Overtaking,
    /// Requests that were not remembered, because too many were under way.
    Unpaired,
    /// Answers from clients and requests from upstreams.
    WrongWay,
    /// Clients that were told that no upstream is there.
    Away,
    /// Requests that were answered by the relay itself.
    Refused,
    /// Requests whose answer took too long.
    Late,
}

impl Tally {
    /// All of them with the words that tell their counters apart.
    pub const ALL: [(Self, &'static str); 11] = [
        (Self::Clients, "clients"),
        (Self::BytesUp, "bytes_up"),
        (Self::BytesDown, "bytes_down"),
        (Self::Unanswered, "unanswered"),
        (Self::Stray, "stray"),
        (Self::Overtaking, "overtaking"),
        (Self::Unpaired, "unpaired"),
        (Self::WrongWay, "wrong_way"),
        (Self::Away, "away"),
        (Self::Refused, "refused"),
        (Self::Late, "late"),
    ];
}

/// Requests of one connection that are remembered until they are answered.
pub const ASKED_MAX: usize = 1_024;
/// Seconds that rates look back at most.
pub const SECONDS: usize = 10;
/// The slots of a relay, in nanoseconds, how many are a second, and how many are kept.
const SLOT: u64 = 100 * MS;
const SLOTS_S: usize = 10;
const SLOTS: usize = SECONDS * SLOTS_S + 1;
/// Of one connection.
const OWN_SLOT: u64 = 1_000 * MS;
const OWN_SLOTS: usize = SECONDS + 1;

/// Requests and answers a second: of the last second and of the last ten.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Rates {
    /// Requests in the last second.
    pub asked_1s: f64,
    /// Requests a second in the last ten.
    pub asked_10s: f64,
    /// Answers in the last second.
    pub answered_1s: f64,
    /// Answers a second in the last ten.
    pub answered_10s: f64,
}

/// Requests and answers, in slots.
#[derive(Clone, Debug)]
struct Both<const N: usize> {
    asked: Window<N>,
    answered: Window<N>,
}

impl<const N: usize> Both<N> {
    fn new(slot: u64) -> Self {
        Self { asked: Window::new(slot), answered: Window::new(slot) }
    }

    fn count(&mut self, now: Now, kind: Kind) {
        match kind {
            Kind::Req => self.asked.count(now.mono, 1),
            Kind::Ack | Kind::Nak => self.answered.count(now.mono, 1),
        }
    }

    fn rates(&self, now: Now, slots_s: usize) -> Rates {
        let ten = SECONDS as f64;
        Rates {
            asked_1s: self.asked.sum(now.mono, slots_s),
            asked_10s: self.asked.sum(now.mono, SECONDS * slots_s) / ten,
            answered_1s: self.answered.sum(now.mono, slots_s),
            answered_10s: self.answered.sum(now.mono, SECONDS * slots_s) / ten,
        }
    }
}

/// A relay's figures.
#[derive(Debug)]
pub struct Meter {
    kinds: [u64; Kind::ALL.len()],
    flaws: [u64; Flaw::ALL.len()],
    tallies: [u64; Tally::ALL.len()],
    lately: Both<SLOTS>,
    /// From a request to its answer, in microseconds.
    pub latency: hist::Windows,
    /// Something was counted since it was written down.
    pub(crate) stirred: bool,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            kinds: [0; Kind::ALL.len()],
            flaws: [0; Flaw::ALL.len()],
            tallies: [0; Tally::ALL.len()],
            lately: Both::new(SLOT),
            latency: hist::Windows::default(),
            stirred: false,
        }
    }
}

impl Meter {
    /// A line passed.
    pub fn line(&mut self, now: Now, kind: Kind) {
        self.stirred = true;
        self.kinds[kind as usize] += 1;
        self.lately.count(now, kind);
    }

    /// Something passed that is no line.
    pub fn flaw(&mut self, flaw: Flaw) {
        self.stirred = true;
        self.flaws[flaw as usize] += 1;
    }

    /// So many more.
    pub fn add(&mut self, what: Tally, n: u64) {
        self.stirred = true;
        self.tallies[what as usize] += n;
    }

    /// Nothing was counted since it was last written down.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        !self.stirred
    }

    /// Lines of this kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> u64 {
        self.kinds[kind as usize]
    }

    /// Lines of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.kinds.iter().sum()
    }

    /// Malformed lines of this kind.
    #[must_use]
    pub fn flawed(&self, flaw: Flaw) -> u64 {
        self.flaws[flaw as usize]
    }

    /// Malformed lines of all kinds.
    #[must_use]
    pub fn malformed(&self) -> u64 {
        self.flaws.iter().sum()
    }

    /// What else was counted.
    #[must_use]
    pub fn tally(&self, what: Tally) -> u64 {
        self.tallies[what as usize]
    }

    /// Lines a second.
    #[must_use]
    pub fn rates(&self, now: Now) -> Rates {
        self.lately.rates(now, SLOTS_S)
    }

    /// Requests and answers in each of the last ten seconds, the newest first.
    #[must_use]
    pub fn seconds(&self, now: Now) -> [(u64, u64); SECONDS] {
        let sum = |window: &Window<SLOTS>, ago: usize| {
            (0..SLOTS_S).map(|slot| window.ago(now.mono, (ago * SLOTS_S + slot) as u64)).sum()
        };
        core::array::from_fn(|ago| (sum(&self.lately.asked, ago), sum(&self.lately.answered, ago)))
    }

    /// So many requests and answers were in the second that ended so many seconds ago.
    pub fn recall_second(&mut self, now: Now, ago: u64, asked: u32, answered: u32) {
        for slot in 0..SLOTS_S as u64 {
            // What does not divide evenly stands in the first of them.
            let part = |n: u32| {
                let each = n / SLOTS_S as u32;
                if slot == 0 { each + n % SLOTS_S as u32 } else { each }
            };
            let slots_ago = ago.saturating_mul(SLOTS_S as u64).saturating_add(slot);
            self.lately.asked.recall(now.mono, slots_ago, part(asked));
            self.lately.answered.recall(now.mono, slots_ago, part(answered));
        }
    }

    /// Everything that is to outlive the process: the last seconds, and the totals. Each is short
    /// enough to be kept in memory as well as on the disk.
    #[must_use]
    pub fn written(&self, now: Now) -> [Vec<u8>; 2] {
        let lately = self.seconds(now).into_iter().flat_map(|(asked, answered)| [asked, answered]);
        let counts = self.kinds.iter().chain(&self.flaws).chain(&self.tallies).copied();
        let seconds = [now.wall].into_iter().chain(lately);
        [spelled(SECONDS_TAG, seconds), spelled(TOTALS_TAG, counts)]
    }

    /// Take up again what was written down. False: it is of another form, and nothing is taken.
    pub fn recall(&mut self, now: Now, bytes: &[u8]) -> bool {
        let Some((tag, rest)) = bytes.split_first() else { return false };
        let (words, odd) = rest.as_chunks::<8>();
        let counts = self.kinds.len() + self.flaws.len() + self.tallies.len();
        let mut each = words.iter().map(|word| u64::from_le_bytes(*word));
        match (*tag, words.len()) {
            _ if !odd.is_empty() => false,
            (SECONDS_TAG, len) if len == 1 + 2 * SECONDS => {
                self.recall_seconds(now, each);
                true
            }
            (TOTALS_TAG, len) if len == counts => {
                let all = self.kinds.iter_mut().chain(&mut self.flaws).chain(&mut self.tallies);
                for (own, was) in all.zip(&mut each) {
                    *own = own.saturating_add(was);
                }
                true
            }
            _ => false,
        }
    }

    fn recall_seconds(&mut self, now: Now, mut words: impl Iterator<Item = u64>) {
        let then = words.next().unwrap_or(0);
        // A clock that was set back: the last seconds were at some time, and not now.
        let ago = now.wall.checked_sub(then).map_or(u64::MAX, |ms| ms.div_ceil(1_000));
        for second in 0..SECONDS as u64 {
            let mut next = || u32::try_from(words.next().unwrap_or(0)).unwrap_or(u32::MAX);
            let (asked, answered) = (next(), next());
            self.recall_second(now, ago.saturating_add(second), asked, answered);
        }
    }
}

fn spelled(tag: u8, words: impl Iterator<Item = u64>) -> Vec<u8> {
    let mut bytes = vec![tag];
    words.for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
    bytes
}

/// What is written down, and in which form.
const SECONDS_TAG: u8 = 1;
const TOTALS_TAG: u8 = 2;

/// Figures of one connection, and its requests that wait for their answers.
#[derive(Debug)]
pub struct Own {
    kinds: [u64; Kind::ALL.len()],
    lately: Both<OWN_SLOTS>,
    waiting: VecDeque<(i64, u64)>,
    unsure: bool,
}

impl Default for Own {
    fn default() -> Self {
        let waiting = VecDeque::new();
        let kinds = [0; Kind::ALL.len()];
        Self { kinds, lately: Both::new(OWN_SLOT), waiting, unsure: false }
    }
}

impl Own {
    /// Lines of this kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> u64 {
        self.kinds[kind as usize]
    }

    /// Lines a second.
    #[must_use]
    pub fn rates(&self, now: Now) -> Rates {
        self.lately.rates(now, 1)
    }

    /// Since when the request that was asked first waits.
    #[must_use]
    pub fn waits_since(&self) -> Option<u64> {
        self.waiting.front().map(|(_, at)| *at)
    }

    /// Requests without an answer.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The number of the request that was asked first, which waits no longer.
    pub fn give_up(&mut self) -> Option<i64> {
        self.waiting.pop_front().map(|(seq, _)| seq)
    }

    /// The client said this.
    pub fn on_client(&mut self, now: Now, meter: &mut Meter, kind: Kind, seq: i64) {
        self.count(now, meter, kind);
        if kind != Kind::Req {
            self.unsure = true;
            meter.add(Tally::WrongWay, 1);
        } else if self.waiting.len() < ASKED_MAX {
            self.waiting.push_back((seq, now.mono));
        } else {
            self.unsure = true;
            meter.add(Tally::Unpaired, 1);
        }
    }

    /// Something went up of which nobody knows whether it is answered.
    pub fn lose_track(&mut self) {
        self.unsure = true;
    }

    /// Nothing is owed to it, as far as is known, and everything is known.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.waiting.is_empty() && !self.unsure
    }

    /// The upstream said this.
    pub fn on_upstream(&mut self, now: Now, meter: &mut Meter, kind: Kind, seq: i64) {
        self.count(now, meter, kind);
        if kind == Kind::Req {
            return meter.add(Tally::WrongWay, 1);
        }
        let Some(at) = self.waiting.iter().position(|(own, _)| *own == seq) else {
            return meter.add(Tally::Stray, 1);
        };
        if at > 0 {
            meter.add(Tally::Overtaking, 1);
        }
        if let Some((_, asked)) = self.waiting.remove(at) {
            meter.latency.record(now.mono.saturating_sub(asked) / 1_000);
        }
    }

    /// It is over.
    pub fn end(&mut self, meter: &mut Meter) {
        let left = core::mem::take(&mut self.waiting).len();
        if left > 0 {
            meter.add(Tally::Unanswered, left as u64);
        }
    }

    fn count(&mut self, now: Now, meter: &mut Meter, kind: Kind) {
        self.kinds[kind as usize] += 1;
        self.lately.count(now, kind);
        meter.line(now, kind);
    }

    /// Heap bytes.
    #[must_use]
    pub fn heap(&self) -> usize {
        self.waiting.capacity() * size_of::<(i64, u64)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Now {
        Now { mono: ms * MS, wall: 1_700_000_000_000 + ms }
    }

    #[test]
    fn every_word_stands_at_its_place() {
        for (n, (kind, word)) in Kind::ALL.iter().enumerate() {
            assert_eq!((*kind as usize, kind.word()), (n, *word));
            assert_eq!(Kind::of(word.as_bytes()), Some(*kind));
        }
        for (n, (flaw, word)) in Flaw::ALL.iter().enumerate() {
            assert_eq!((*flaw as usize, flaw.word()), (n, *word));
        }
        for (n, (tally, _)) in Tally::ALL.iter().enumerate() {
            assert_eq!(*tally as usize, n);
        }
    }

    #[test]
    fn rates_are_by_the_second() {
        let mut meter = Meter::default();
        for n in 0..100 {
            meter.line(at(20_000 + n), Kind::Req);
            meter.line(at(20_000 + n), if n < 12 { Kind::Nak } else { Kind::Ack });
        }
        let rates = meter.rates(at(20_500));
        assert_eq!((rates.asked_1s, rates.asked_10s), (100.0, 10.0));
        assert_eq!((rates.answered_1s, rates.answered_10s), (100.0, 10.0));
        assert_eq!(meter.rates(at(25_000)).asked_1s, 0.0);
        assert_eq!(meter.rates(at(25_000)).asked_10s, 10.0);
        assert_eq!(meter.rates(at(31_000)), Rates::default());
        assert_eq!((meter.total(), meter.of(Kind::Ack), meter.of(Kind::Nak)), (200, 88, 12));
    }

    #[test]
    fn answers_meet_their_requests_by_number() {
        let (mut meter, mut own) = (Meter::default(), Own::default());
        for seq in 1..=4 {
            own.on_client(at(1_000), &mut meter, Kind::Req, seq);
        }
        own.on_upstream(at(1_002), &mut meter, Kind::Ack, 1);
        own.on_upstream(at(1_004), &mut meter, Kind::Nak, 3);
        own.on_upstream(at(1_004), &mut meter, Kind::Ack, 3);
        own.on_upstream(at(1_004), &mut meter, Kind::Ack, 9);
        own.on_upstream(at(1_004), &mut meter, Kind::Req, 9);
        own.on_client(at(1_004), &mut meter, Kind::Ack, 2);
        assert_eq!((own.waiting(), own.waits_since()), (2, Some(1_000 * MS)));
        own.end(&mut meter);
        let wanted = [
            (Tally::Unanswered, 2),
            (Tally::Stray, 2),
            (Tally::Overtaking, 1),
            (Tally::WrongWay, 2),
            (Tally::Unpaired, 0),
        ];
        for (what, n) in wanted {
            assert_eq!(meter.tally(what), n, "{what:?}");
        }
        assert_eq!((meter.latency.all().count(), meter.latency.all().max()), (2, 4_000));
        assert_eq!((own.of(Kind::Req), own.of(Kind::Ack), own.of(Kind::Nak)), (5, 4, 1));
    }

    #[test]
    fn requests_that_nobody_answers_take_bounded_memory() {
        let (mut meter, mut own) = (Meter::default(), Own::default());
        for seq in 0..ASKED_MAX as i64 + 7 {
            own.on_client(at(1), &mut meter, Kind::Req, seq);
        }
        assert_eq!((own.waiting(), meter.tally(Tally::Unpaired)), (ASKED_MAX, 7));
    }

    #[test]
    fn what_is_written_down_is_taken_up_again_with_the_time_that_passed() {
        let mut meter = Meter::default();
        for n in 0..50 {
            meter.line(at(20_000 + n), Kind::Req);
        }
        meter.line(at(20_000), Kind::Nak);
        meter.flaw(Flaw::Utf8);
        meter.add(Tally::Stray, 3);
        let written = meter.written(at(20_900));
        let later = |ms: u64| {
            let mut meter = Meter::default();
            // The process is another one: its clock began anew.
            let now = Now { mono: 500_000 * MS, wall: at(20_900).wall + ms };
            assert!(written.iter().all(|part| meter.recall(now, part)));
            (meter.rates(now).asked_10s, meter)
        };
        let (rate, meter) = later(3_000);
        assert_eq!(rate, 5.0);
        assert_eq!((meter.of(Kind::Req), meter.of(Kind::Nak), meter.total()), (50, 1, 51));
        assert_eq!((meter.flawed(Flaw::Utf8), meter.malformed()), (1, 1));
        assert_eq!(meter.tally(Tally::Stray), 3);
        assert_eq!(later(8_000).0, 5.0);
        assert_eq!(later(10_100).0, 0.0, "more than ten seconds ago");
        assert_eq!(later(1 << 40).0, 0.0);
        let mut meter = Meter::default();
        let back = Now { mono: 900_000 * MS, wall: 1_000 };
        assert!(written.iter().all(|part| meter.recall(back, part)));
        assert_eq!(meter.rates(back).asked_10s, 0.0);
        assert_eq!(meter.of(Kind::Req), 50, "the clock was set back; totals have no time");
    }

    #[test]
    fn what_is_of_another_form_is_not_taken() {
        for written in Meter::default().written(at(1)) {
            assert!(written.len() < 256, "what is longer is not at hand after a start");
            for len in 0..written.len() {
                assert!(!Meter::default().recall(at(1), &written[..len]), "{len} bytes");
            }
            let mut other = written.clone();
            other[0] = 7;
            assert!(!Meter::default().recall(at(1), &other));
            assert!(!Meter::default().recall(at(1), &[&written[..], b"x"].concat()));
        }
    }
}
