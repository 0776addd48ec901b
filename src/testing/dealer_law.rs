//! Floor 5. What must hold of calls, whoever makes them: a book that is kept from outside.
//!
//! Every call has a number here that travels in what it is asked with and in what is answered, so
//! what anybody hears tells which call it is about, and by whom it was answered. Everything is
//! written down as it is heard at the ends of wires, and each line of the book may be the one that
//! cannot be. Absent on purpose: who said it in which protocol, and chance.

use std::collections::{BTreeMap, BTreeSet};

use crate::hub::calls::{Invoke, Kind};

/// What went wrong, in words.
pub(super) type Wrong = String;

/// Names that are called, and topics.
pub(super) const NAMES: [&str; 7] =
    ["com.a", "com.a.b", "com.b.c", "com.c", "com.x.b", "com.a.z", "org.a.b"];

/// What is offered, and listened to.
pub(super) const PATTERNS: [(Kind, &str); 9] = [
    (Kind::Exact, "com.a"),
    (Kind::Exact, "com.a.b"),
    (Kind::Exact, "com.b.c"),
    (Kind::Exact, "com.c"),
    (Kind::Prefix, "com"),
    (Kind::Prefix, "com.a"),
    (Kind::Wildcard, "com..b"),
    (Kind::Wildcard, ".a.b"),
    (Kind::Wildcard, "com.a."),
];

/// Is the name one of the pattern's?
pub(super) fn matches(pattern: usize, name: &str) -> bool {
    fits(PATTERNS[pattern], name)
}

/// Is the name one of this pattern's?
pub(super) fn fits((kind, text): (Kind, &str), name: &str) -> bool {
    match kind {
        Kind::Exact => text == name,
        Kind::Prefix => name.starts_with(text),
        Kind::Wildcard => {
            let same = text.split('.').count() == name.split('.').count();
            same && text.split('.').zip(name.split('.')).all(|(p, n)| p.is_empty() || p == n)
        }
    }
}

/// The less of this a pattern has, the better it is: the exact one, then the longest prefix, then
/// the one whose first difference from the others is a literal.
pub(super) fn rank((kind, text): (Kind, &str)) -> (u8, usize, Vec<bool>) {
    match kind {
        Kind::Exact => (0, 0, Vec::new()),
        Kind::Prefix => (1, usize::MAX - text.len(), Vec::new()),
        Kind::Wildcard => (2, 0, text.split('.').map(str::is_empty).collect()),
    }
}

/// What travels in a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Token {
    /// Which call, or publication.
    pub(super) no: usize,
    /// Who answers, or asks.
    pub(super) by: usize,
    /// Which piece.
    pub(super) piece: usize,
}

impl Token {
    /// As a body, of about this length.
    pub(super) fn body(self, len: usize) -> String {
        let body = format!("#{}/{}/{};", self.no, self.by, self.piece);
        format!("{body}{}", "x".repeat(len))
    }

    /// Out of a body, in whichever form.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let from = bytes.iter().rposition(|byte| *byte == b'#')? + 1;
        let len = bytes[from..].iter().position(|byte| *byte == b';')?;
        let text = core::str::from_utf8(&bytes[from..from + len]).ok()?;
        let mut numbers = text.split('/').map(|number| number.parse().ok());
        let mut number = || numbers.next().flatten();
        Some(Self { no: number()?, by: number()?, piece: number()? })
    }
}

/// A call, as its caller made it.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) caller: usize,
    pub(super) request: u64,
    pub(super) name: &'static str,
    /// Its result may come in pieces.
    pub(super) pieces: bool,
    /// It goes to all who serve it.
    pub(super) many: bool,
    /// Milliseconds; 0: any.
    pub(super) timeout_ms: u64,
    /// Whoever does it watches the time.
    pub(super) timed_there: bool,
    /// Who was asked, under which number, and the last piece of it.
    pub(super) asked: Vec<(usize, u64, usize)>,
    /// The last one who was asked said that it cannot.
    pub(super) declined: bool,
    /// The last piece that came.
    came: Option<usize>,
    answered: usize,
}

impl Made {
    pub(super) fn new(caller: usize, request: u64, name: &'static str) -> Self {
        Self {
            caller,
            request,
            name,
            pieces: false,
            many: false,
            timeout_ms: 0,
            timed_there: false,
            asked: Vec::new(),
            declined: false,
            came: None,
            answered: 0,
        }
    }
}

/// Somebody hears that it is to do something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Invoked {
    pub(super) who: usize,
    pub(super) number: u64,
    /// For which of what it offered, if it knows that.
    pub(super) pattern: Option<usize>,
    pub(super) token: Token,
}

/// Somebody hears what came of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Came {
    pub(super) who: usize,
    pub(super) request: u64,
    pub(super) token: Option<Token>,
    pub(super) more: bool,
    /// Of a request to many: so many answered.
    pub(super) gathered: Option<usize>,
}

/// The book.
#[derive(Debug, Default)]
pub(super) struct Law {
    pub(super) calls: Vec<Made>,
    open: BTreeMap<(usize, u64), usize>,
    over: BTreeSet<(usize, u64)>,
    /// Who serves what, in the order of coming, and how they share it.
    pub(super) members: BTreeMap<usize, Vec<(usize, Invoke)>>,
    last: BTreeMap<usize, u64>,
    events: BTreeSet<(usize, u64, usize)>,
}

impl Law {
    /// Somebody calls; the number of the call.
    pub(super) fn made(&mut self, it: Made) -> usize {
        let no = self.calls.len();
        self.open.insert((it.caller, it.request), no);
        self.calls.push(it);
        no
    }

    /// It serves this from now on, and knows it.
    pub(super) fn serves(&mut self, who: usize, pattern: usize, invoke: Invoke) {
        let members = self.members.entry(pattern).or_default();
        members.push((who, invoke));
    }

    /// It does not any more, and knows it.
    pub(super) fn stops(&mut self, who: usize, pattern: usize) {
        if let Some(members) = self.members.get_mut(&pattern) {
            members.retain(|(member, _)| *member != who);
        }
    }

    /// It is gone: nobody waits for what it asked.
    pub(super) fn left(&mut self, who: usize) {
        self.members.values_mut().for_each(|m| m.retain(|(member, _)| *member != who));
        self.open.retain(|(caller, _), _| *caller != who);
    }

    fn is_member(&self, who: usize, pattern: usize) -> bool {
        self.members.get(&pattern).is_some_and(|m| m.iter().any(|(member, _)| *member == who))
    }

    /// Who serves this name best: the pattern.
    pub(super) fn best(&self, name: &str) -> Option<usize> {
        let fits = |pattern: &usize| {
            matches(*pattern, name) && self.members.get(pattern).is_some_and(|m| !m.is_empty())
        };
        (0..PATTERNS.len()).filter(fits).min_by_key(|pattern| rank(PATTERNS[*pattern]))
    }

    /// Somebody is asked.
    pub(super) fn invoked(&mut self, it: Invoked) -> Result<(), Wrong> {
        let Invoked { who, number, token: Token { no, piece, .. }, .. } = it;
        let member = it.pattern.is_some_and(|pattern| self.is_member(who, pattern));
        let call = self.calls.get_mut(no).ok_or("somebody is asked what nobody called")?;
        if let Some(known) = call.asked.iter_mut().find(|(w, n, _)| (*w, *n) == (who, number)) {
            if piece <= known.2 {
                return Err(format!("piece {piece} of call {no} comes to p{who} again"));
            }
            known.2 = piece;
            return Ok(());
        }
        if !member || !it.pattern.is_some_and(|pattern| matches(pattern, call.name)) {
            let what = it.pattern.map(|pattern| PATTERNS[pattern].1);
            return Err(format!("call {no} comes to p{who}, who is not registered for {what:?}"));
        }
        let last = self.last.entry(who).or_default();
        if number <= *last {
            return Err(format!("p{who} is asked under {number}, and was under {last} before"));
        }
        *last = number;
        let again = call.asked.iter().any(|(before, ..)| *before == who);
        if again || !call.many && !call.asked.is_empty() && !call.declined {
            return Err(format!("call {no} comes to p{who} and had come to {:?}", call.asked));
        }
        call.declined = false;
        call.asked.push((who, number, piece));
        Ok(())
    }

    /// What came of it. The number of the call, if this is its end.
    pub(super) fn came(&mut self, it: Came) -> Result<Option<usize>, Wrong> {
        let key = (it.who, it.request);
        let Some(no) = self.open.get(&key).copied() else {
            let what = if it.more { "a piece behind its end" } else { "a second end" };
            return Err(match self.over.contains(&key) {
                true => format!("request {} of p{} has {what}", it.request, it.who),
                false => format!("p{} never made request {}", it.who, it.request),
            });
        };
        let call = &mut self.calls[no];
        if let Some(token) = it.token {
            let asked = call.asked.iter().any(|(who, ..)| *who == token.by);
            if token.no != no || !asked {
                return Err(format!("call {no} has what p{} said of {}", token.by, token.no));
            }
            if !call.many && call.came.is_some_and(|last| token.piece <= last) {
                return Err(format!("piece {} of call {no} is out of order", token.piece));
            }
            call.came = Some(token.piece);
        }
        if it.more {
            call.answered += 1;
            return match call.pieces || call.many {
                true => Ok(None),
                false => Err(format!("call {no} has a piece and never asked for any")),
            };
        }
        if it.gathered.is_some_and(|gathered| gathered != call.answered) {
            return Err(format!("call {no} had {} answers, not {:?}", call.answered, it.gathered));
        }
        self.open.remove(&key);
        self.over.insert(key);
        Ok(Some(no))
    }

    /// Was somebody asked under this number?
    pub(super) fn was_asked(&self, who: usize, number: u64) -> bool {
        self.last.get(&who).is_some_and(|last| number <= *last)
    }

    /// It waits for an outcome.
    pub(super) fn is_open(&self, no: usize) -> bool {
        let call = self.calls.get(no);
        call.is_some_and(|call| self.open.get(&(call.caller, call.request)) == Some(&no))
    }

    /// Everybody had the time: those that are still open never had an outcome.
    pub(super) fn missing(&self, only: impl Fn(&Made) -> bool) -> Result<(), Wrong> {
        let missing = self.open.values().find(|no| only(&self.calls[**no]));
        match missing {
            None => Ok(()),
            Some(no) => Err(format!("call {no} has no outcome: {:?}", self.calls[*no])),
        }
    }

    /// An event came by one of somebody's subscriptions, which it has, or has not.
    pub(super) fn heard(
        &mut self,
        (who, subscription): (usize, u64),
        no: usize,
        pattern: Option<usize>,
        topic: &str,
    ) -> Result<(), Wrong> {
        if !pattern.is_some_and(|pattern| matches(pattern, topic)) {
            return Err(format!("event {no} of {topic} comes to p{who}, who does not listen"));
        }
        match self.events.insert((who, subscription, no)) {
            true => Ok(()),
            false => Err(format!("event {no} comes twice to p{who}")),
        }
    }
}

/// These were asked one after the other: is that how the members share it?
pub(super) fn shared(asked: &[usize], members: &[(usize, Invoke)]) -> Result<(), Wrong> {
    let (n, all) = (members.len(), members.iter().map(|(who, _)| *who).collect::<Vec<_>>());
    let Some((_, how)) = members.first() else { return Err("nobody serves it".into()) };
    if members.iter().any(|(_, other)| other != how) || *how == Invoke::Single && n > 1 {
        return Err(format!("{members:?} share one procedure"));
    }
    let fair = match how {
        Invoke::Single | Invoke::First => asked.iter().all(|who| *who == all[0]),
        Invoke::Last => asked.iter().all(|who| *who == all[n - 1]),
        Invoke::Roundrobin => {
            let (first, again) = asked.split_at(n.min(asked.len()));
            let each: BTreeSet<_> = first.iter().filter(|who| all.contains(who)).collect();
            each.len() == first.len() && first.starts_with(again)
        }
        Invoke::Random => asked.iter().all(|who| all.contains(who)),
    };
    let all_had = *how != Invoke::Random || asked.len() < 16 * n;
    match fair && (all_had || all.iter().all(|who| asked.contains(who))) {
        true => Ok(()),
        false => Err(format!("{asked:?} were asked of {members:?}, which is not how they share")),
    }
}
