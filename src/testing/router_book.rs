//! Floor 5. A plain model of a router of WAMP: who must hear what, of everything that is done.
//!
//! It knows each realm as three lists: sessions, what they offer, what they listen to. Whatever is
//! done is done to these lists first, and every message that somebody must hear of it is written
//! down as a line of JSON; numbers that the router chooses have names there (`@p` sessions, `@r`
//! registrations, `@s` subscriptions) and are learned when they are heard first. What nobody wrote
//! down nobody may hear. Absent on purpose: time, and calls that end by it (`dealers`).

use std::collections::BTreeMap;

use crate::hub::calls::Kind;

use super::dealer_law::{PATTERNS, Wrong, fits, rank};
use super::words_wamp::{Names, value_of};
use crate::value::Value;

/// What is listened to besides [`PATTERNS`].
const META: [(Kind, &str); 13] = [
    (Kind::Exact, "wamp.session.on_join"),
    (Kind::Exact, "wamp.session.on_leave"),
    (Kind::Exact, "wamp.registration.on_create"),
    (Kind::Exact, "wamp.registration.on_register"),
    (Kind::Exact, "wamp.registration.on_unregister"),
    (Kind::Exact, "wamp.registration.on_delete"),
    (Kind::Exact, "wamp.subscription.on_create"),
    (Kind::Exact, "wamp.subscription.on_unsubscribe"),
    (Kind::Prefix, "wamp."),
    (Kind::Prefix, "wamp.registration"),
    (Kind::Wildcard, "wamp..on_create"),
    (Kind::Wildcard, "..on_delete"),
    (Kind::Prefix, "wamp.subscription.on_"),
];

/// Patterns that can be listened to; the first of them can be offered, too.
pub(super) const LISTENED: usize = PATTERNS.len() + META.len();

/// One of them.
pub(super) fn pattern(at: usize) -> (Kind, &'static str) {
    PATTERNS.get(at).copied().unwrap_or_else(|| META[at - PATTERNS.len()])
}

/// How it is written.
pub(super) fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Exact => "exact",
        Kind::Prefix => "prefix",
        Kind::Wildcard => "wildcard",
    }
}

/// In which ways registrations are shared.
pub(super) const SHARES: [&str; 5] = ["single", "first", "last", "roundrobin", "random"];

/// A registration.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) name: String,
    pub(super) pattern: usize,
    pub(super) invoke: &'static str,
    /// In the order in which they came.
    pub(super) callees: Vec<usize>,
    turn: usize,
}

/// A subscription.
#[derive(Clone, Debug)]
pub(super) struct Interest {
    pub(super) name: String,
    pub(super) pattern: usize,
    pub(super) listeners: Vec<usize>,
}

/// Somebody.
#[derive(Clone, Debug)]
pub(super) struct One {
    pub(super) town: usize,
    /// It can give pieces, and be stopped.
    pub(super) able: bool,
    /// It hears what is taken away from it.
    pub(super) revokes: bool,
    /// It has been told to go: nothing else is said to it.
    pub(super) going: bool,
    /// What it wants said: only when it will not come back, where, and which.
    pub(super) testaments: Vec<(bool, &'static str, usize)>,
    /// Times it was asked.
    pub(super) asked: u64,
}

/// A call that its callee has not answered.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) no: usize,
    /// Who waits for it; nobody, once it has its outcome.
    pub(super) caller: Option<usize>,
    pub(super) request: u64,
    pub(super) callee: usize,
    pub(super) number: u64,
    name: &'static str,
    offer: String,
    /// Somebody else could be asked when it began.
    others: bool,
    tried: Vec<usize>,
    pieces: bool,
    discloses: bool,
    came: bool,
    killed: bool,
}

/// A realm.
#[derive(Clone, Debug, Default)]
pub(super) struct Town {
    pub(super) offers: Vec<Offer>,
    pub(super) interests: Vec<Interest>,
}

/// How somebody answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    Piece,
    Result,
    Error,
    Unavailable,
}

/// How somebody calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wish {
    pub(super) pieces: bool,
    pub(super) discloses: bool,
}

/// The model.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) names: Names,
    pub(super) towns: Vec<Town>,
    pub(super) folk: BTreeMap<usize, One>,
    pub(super) open: Vec<Open>,
    /// What each must hear.
    pub(super) wanted: BTreeMap<usize, Vec<Value>>,
    /// A call goes to one of these, and nobody knows to which.
    pub(super) lot: Option<(Open, Vec<usize>)>,
    /// Several leave at once.
    pub(super) at_once: bool,
    made: usize,
}

impl Book {
    /// Nobody is anywhere.
    pub(super) fn new(towns: usize) -> Self {
        Self { towns: vec![Town::default(); towns], ..Self::default() }
    }

    /// One more name.
    pub(super) fn fresh(&mut self, of: &str) -> String {
        self.made += 1;
        format!("@{of}{}", self.made)
    }

    /// It must hear this.
    pub(super) fn want(&mut self, who: usize, text: &str) -> Result<(), Wrong> {
        self.wanted.entry(who).or_default().push(value_of(text)?);
        Ok(())
    }

    /// The number behind a name.
    pub(super) fn number(&self, name: &str) -> Result<i64, Wrong> {
        let known = self.names.known(name).and_then(Value::as_int);
        known.ok_or_else(|| format!("nobody has heard of {name}"))
    }

    /// Those who are in a realm, by their names.
    pub(super) fn in_town(&self, town: usize) -> Vec<usize> {
        self.folk.iter().filter(|(_, one)| one.town == town).map(|(no, _)| *no).collect()
    }

    /// Something is said in a realm: `args` of it, and what else its listeners hear of it.
    pub(super) fn tell(
        &mut self,
        (town, without): (usize, Option<usize>),
        (topic, args): (&str, &str),
        more: &str,
        only: impl Fn(usize) -> bool,
    ) -> Result<(), Wrong> {
        let fit = |it: &&Interest| fits(pattern(it.pattern), topic);
        let interests: Vec<Interest> =
            self.towns[town].interests.iter().filter(fit).cloned().collect();
        for it in interests {
            let mut details = more.to_owned();
            if pattern(it.pattern).0 != Kind::Exact {
                let comma = if more.is_empty() { "" } else { "," };
                details = format!("\"topic\":\"{topic}\"{comma}{more}");
            }
            let text = format!("[36,\"{}\",\"*\",{{{details}}},{args}]", it.name);
            for who in it.listeners {
                if Some(who) != without && self.listens(who) && only(who) {
                    self.want(who, &text)?;
                }
            }
        }
        Ok(())
    }

    /// The router tells something of its own.
    pub(super) fn note(
        &mut self,
        (town, from): (usize, usize),
        topic: &str,
        args: &str,
    ) -> Result<(), Wrong> {
        self.tell((town, Some(from)), (topic, args), "", |_| true)
    }

    /// What a call of this name goes to.
    pub(super) fn best(&self, town: usize, name: &str) -> Option<&Offer> {
        let fit = |it: &&Offer| fits(pattern(it.pattern), name);
        self.towns[town].offers.iter().filter(fit).min_by_key(|it| rank(pattern(it.pattern)))
    }

    /// Somebody calls.
    pub(super) fn call(
        &mut self,
        (who, request, no): (usize, u64, usize),
        name: &'static str,
        how: Wish,
    ) -> Result<(), Wrong> {
        let town = self.folk[&who].town;
        let Some(offer) = self.best(town, name).cloned() else {
            let why = "wamp.error.no_such_procedure";
            return self.want(who, &format!("[8,48,{request},{{}},\"{why}\",[\"*\"]]"));
        };
        let open = Open {
            no,
            caller: Some(who),
            request,
            callee: 0,
            number: 0,
            name,
            others: offer.callees.len() > 1,
            offer: offer.name,
            tried: Vec::new(),
            // Who asks for pieces must have said that it takes them.
            pieces: how.pieces && self.folk[&who].able,
            discloses: how.discloses,
            came: false,
            killed: false,
        };
        self.ask(town, open).map(|_| ())
    }

    /// Whoever's turn it is, of those who were not asked yet. False: there is nobody.
    fn ask(&mut self, town: usize, open: Open) -> Result<bool, Wrong> {
        let Some(offer) = self.towns[town].offers.iter_mut().find(|it| it.name == open.offer)
        else {
            return Ok(false);
        };
        let n = offer.callees.len();
        let free = |at: &usize| !open.tried.contains(&offer.callees[*at]);
        let at = match offer.invoke {
            "last" => (0..n).rev().find(free),
            "roundrobin" => {
                let first = offer.turn.min(n);
                (first..n).chain(0..first).find(free)
            }
            "random" => {
                let all: Vec<usize> = (0..n).filter(free).map(|at| offer.callees[at]).collect();
                let some = !all.is_empty();
                self.lot = some.then_some((open, all));
                return Ok(some);
            }
            _ => (0..n).find(free),
        };
        let Some(at) = at else { return Ok(false) };
        let callee = offer.callees[at];
        if offer.invoke == "roundrobin" {
            offer.turn = at + 1;
        }
        self.asked(open, callee).map(|()| true)
    }

    /// This one is asked.
    pub(super) fn asked(&mut self, mut open: Open, callee: usize) -> Result<(), Wrong> {
        let Some(one) = self.folk.get_mut(&callee) else { return Err("nobody is asked".into()) };
        one.asked += 1;
        (open.callee, open.number) = (callee, one.asked);
        let (able, town, caller) = (one.able, one.town, open.caller.unwrap_or_default());
        let offer = self.towns[town].offers.iter().find(|it| it.name == open.offer);
        let mut details = Vec::new();
        if offer.is_some_and(|it| pattern(it.pattern).0 != Kind::Exact) {
            details.push(format!("\"procedure\":\"{}\"", open.name));
        }
        if open.pieces && able {
            details.push("\"receive_progress\":true".to_owned());
        }
        if open.discloses {
            let authid = format!("\"caller_authid\":\"@a{caller}\"");
            details.push(format!("\"caller\":\"@p{caller}\",{authid}"));
            details.push("\"caller_authrole\":\"anonymous\"".to_owned());
        }
        let (number, offer, no) = (open.number, &open.offer, open.no);
        let details = details.join(",");
        let text = format!("[68,{number},\"{offer}\",{{{details}}},[\"call {no}\"]]");
        self.open.push(open);
        self.want(callee, &text)
    }

    /// A callee answers one of its invocations; `said` is what it says.
    pub(super) fn answers(&mut self, at: usize, how: Answer, said: &str) -> Result<(), Wrong> {
        let open = self.open[at].clone();
        let able = self.folk[&open.callee].able;
        let Some(caller) = open.caller else {
            if how == Answer::Piece && able {
                return self.interrupt(&open, "killnowait");
            }
            if how != Answer::Piece {
                self.open.remove(at);
            }
            return Ok(());
        };
        let request = open.request;
        let failed = |why: &str, args: &str| format!("[8,48,{request},{{}},\"{why}\",[{args}]]");
        if how == Answer::Piece {
            if !(open.pieces && able) {
                return Ok(());
            }
            self.open[at].came = true;
            return self
                .want(caller, &format!("[50,{request},{{\"progress\":true}},[\"{said}\"]]"));
        }
        self.open.remove(at);
        match how {
            Answer::Error => self.want(caller, &failed("org.error.mine", &format!("\"{said}\""))),
            Answer::Unavailable if open.killed || open.came => {
                self.want(caller, &failed("wamp.error.unavailable", &format!("\"{said}\"")))
            }
            Answer::Unavailable => {
                let town = self.folk[&open.callee].town;
                let mut again = open.clone();
                again.tried.push(open.callee);
                match open.others && self.ask(town, again)? {
                    true => Ok(()),
                    false => self.want(caller, &failed("wamp.error.no_available_callee", "\"*\"")),
                }
            }
            _ => self.want(caller, &format!("[50,{request},{{}},[\"{said}\"]]")),
        }
    }

    /// It has not been told to go: something can be said to it.
    fn listens(&self, who: usize) -> bool {
        self.folk.get(&who).is_some_and(|one| !one.going)
    }

    fn interrupt(&mut self, open: &Open, mode: &str) -> Result<(), Wrong> {
        if !self.listens(open.callee) {
            return Ok(());
        }
        let options = format!("{{\"mode\":\"{mode}\",\"reason\":\"wamp.error.canceled\"}}");
        self.want(open.callee, &format!("[69,{},{options}]", open.number))
    }

    /// A caller does not want a call any more.
    pub(super) fn cancel(&mut self, at: usize, mode: &str) -> Result<(), Wrong> {
        let open = self.open[at].clone();
        let Some(caller) = open.caller.filter(|_| !open.killed) else { return Ok(()) };
        let able = self.folk[&open.callee].able;
        if mode == "kill" && able {
            self.open[at].killed = true;
            return self.interrupt(&open, mode);
        }
        self.open[at].caller = None;
        let why = "wamp.error.canceled";
        self.want(caller, &format!("[8,48,{},{{}},\"{why}\",[\"*\"]]", open.request))?;
        match mode == "killnowait" && able {
            true => self.interrupt(&open, mode),
            false => Ok(()),
        }
    }

    /// Its calls have no caller any more, and those it was asked no callee.
    pub(super) fn leaves_calls(&mut self, who: usize) -> Result<(), Wrong> {
        for open in core::mem::take(&mut self.open) {
            match open.caller {
                _ if open.callee == who => {
                    let waits = |caller: &usize| *caller != who && self.listens(*caller);
                    if let Some(caller) = open.caller.filter(waits) {
                        let why = "\"wamp.error.canceled\",[\"callee gone\"]";
                        self.want(caller, &format!("[8,48,{},{{}},{why}]", open.request))?;
                    }
                }
                Some(caller) if caller == who => {
                    if self.folk.get(&open.callee).is_some_and(|one| one.able) && !open.killed {
                        self.interrupt(&open, "killnowait")?;
                    }
                    self.open.push(Open { caller: None, ..open });
                }
                _ => self.open.push(open),
            }
        }
        Ok(())
    }

    /// One more offers this; its name, and whether it is new; none: it may not.
    pub(super) fn offer(
        &mut self,
        who: usize,
        pattern: usize,
        invoke: &'static str,
    ) -> Option<(String, bool, bool)> {
        let (town, name) = (self.folk[&who].town, self.fresh("r"));
        let offers = &mut self.towns[town].offers;
        let Some(known) = offers.iter_mut().find(|it| it.pattern == pattern) else {
            let (callees, made) = (vec![who], name.clone());
            offers.push(Offer { name, pattern, invoke, callees, turn: 0 });
            return Some((made, true, true));
        };
        let mine = known.callees.contains(&who);
        if known.invoke != invoke || invoke == "single" && !mine {
            return None;
        }
        if !mine {
            known.callees.push(who);
        }
        Some((known.name.clone(), false, !mine))
    }

    /// One more listens to this; its name, whether it is new, and whether the listener is.
    pub(super) fn interest(&mut self, who: usize, pattern: usize) -> (String, bool, bool) {
        let (town, name) = (self.folk[&who].town, self.fresh("s"));
        let interests = &mut self.towns[town].interests;
        let Some(known) = interests.iter_mut().find(|it| it.pattern == pattern) else {
            let (listeners, made) = (vec![who], name.clone());
            interests.push(Interest { name, pattern, listeners });
            return (made, true, true);
        };
        let mine = known.listeners.contains(&who);
        if !mine {
            known.listeners.push(who);
        }
        (known.name.clone(), false, !mine)
    }

    /// It is no callee of this any more, and the others hear of that.
    pub(super) fn unoffer(&mut self, who: usize, name: &str) -> Result<(), Wrong> {
        let town = self.folk[&who].town;
        let offers = &mut self.towns[town].offers;
        let Some(at) = offers.iter().position(|it| it.name == name) else { return Ok(()) };
        offers[at].callees.retain(|callee| *callee != who);
        let ended = offers[at].callees.is_empty();
        if ended {
            offers.remove(at);
        }
        self.ended((town, who), ("registration", "unregister"), name, ended)
    }

    /// It does not listen to this any more, and the others hear of that.
    pub(super) fn disinterest(&mut self, who: usize, name: &str) -> Result<(), Wrong> {
        let town = self.folk[&who].town;
        let interests = &mut self.towns[town].interests;
        let Some(at) = interests.iter().position(|it| it.name == name) else { return Ok(()) };
        interests[at].listeners.retain(|listener| *listener != who);
        let (ended, own) = (interests[at].listeners.is_empty(), is_own(interests[at].pattern));
        if ended {
            interests.remove(at);
        }
        match own {
            true => Ok(()),
            false => self.ended((town, who), ("subscription", "unsubscribe"), name, ended),
        }
    }

    fn ended(
        &mut self,
        from: (usize, usize),
        (of, verb): (&str, &str),
        name: &str,
        ended: bool,
    ) -> Result<(), Wrong> {
        let args = format!("[\"@p{}\",\"{name}\"]", from.1);
        self.note(from, &format!("wamp.{of}.on_{verb}"), &args)?;
        if !ended {
            return Ok(());
        }
        // Of several who are sent away at once nobody says who is the last to go; whoever it is is
        // the same for all who hear of it.
        let last = match self.at_once {
            true => format!("[\"{}\",\"{name}\"]", self.fresh("last")),
            false => args,
        };
        self.note(from, &format!("wamp.{of}.on_delete"), &last)
    }
}

/// Nothing is told of those who listen to what the router tells.
pub(super) fn is_own(at: usize) -> bool {
    pattern(at).1.starts_with("wamp.")
}
