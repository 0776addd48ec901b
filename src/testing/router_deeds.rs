//! Floor 5. What sessions of WAMP do in the world of routers: each deed, and what the model makes
//! of it.
//!
//! One deed is done at a time, and everything that follows from it is heard before the next, so
//! the model says each word of it. Absent on purpose: two things at once (`dealers`).

use super::dealer_law::{NAMES, PATTERNS, Wrong, fits};
use super::router_book::{Answer, LISTENED, SHARES, Wish, is_own, pattern, word};
use super::routers::{Leave, World};
use crate::hub::calls::Kind;

type Done = Result<(), Wrong>;

impl World {
    /// Somebody who is there.
    pub(super) fn anybody(&mut self) -> usize {
        self.rng.below(self.folk.len() as u64) as usize
    }

    pub(super) fn some_name(&mut self) -> &'static str {
        NAMES[self.rng.below(NAMES.len() as u64) as usize]
    }

    pub(super) fn listen(&mut self, at: usize) -> Done {
        let which = self.rng.below(LISTENED as u64) as usize;
        let (kind, text) = pattern(which);
        let (no, request) = self.ids(at);
        let matching = format!("{{\"match\":\"{}\"}}", word(kind));
        self.say(at, &format!("[32,{request},{matching},\"{text}\"]"))?;
        let (name, created, joined) = self.book.interest(no, which);
        self.book.want(no, &format!("[33,{request},\"{name}\"]"))?;
        let from = (self.town(no), no);
        if created && !is_own(which) {
            let what = format!("\"id\":\"{name}\",\"created\":\"*\",\"uri\":\"{text}\"");
            let args = format!("[\"@p{no}\",{{{what},\"match\":\"{}\"}}]", word(kind));
            self.book.note(from, "wamp.subscription.on_create", &args)?;
        }
        if joined && !is_own(which) {
            let args = format!("[\"@p{no}\",\"{name}\"]");
            self.book.note(from, "wamp.subscription.on_subscribe", &args)?;
        }
        Ok(())
    }

    pub(super) fn listen_no_more(&mut self, at: usize) -> Done {
        let Some((name, town)) = self.some_interest() else { return Ok(()) };
        let (no, request) = self.ids(at);
        self.say(at, &format!("[34,{request},\"{name}\"]"))?;
        let mine = self.book.towns[town]
            .interests
            .iter()
            .any(|it| it.name == name && it.listeners.contains(&no));
        if !mine {
            let why = "wamp.error.no_such_subscription";
            return self.book.want(no, &format!("[8,34,{request},{{}},\"{why}\"]"));
        }
        self.book.want(no, &format!("[35,{request}]"))?;
        self.book.disinterest(no, &name)
    }

    pub(super) fn offer(&mut self, at: usize) -> Done {
        let which = self.rng.below(PATTERNS.len() as u64) as usize;
        let (kind, text) = pattern(which);
        let usual = self.shares[which];
        let odd = self.rng.chance(1, 10);
        let invoke = SHARES[if odd { self.rng.below(5) as usize } else { usual }];
        let (no, request) = self.ids(at);
        let options = format!("{{\"match\":\"{}\",\"invoke\":\"{invoke}\"}}", word(kind));
        self.say(at, &format!("[64,{request},{options},\"{text}\"]"))?;
        let Some((name, created, joined)) = self.book.offer(no, which, invoke) else {
            let why = "wamp.error.procedure_already_exists";
            return self.book.want(no, &format!("[8,64,{request},{{}},\"{why}\"]"));
        };
        self.book.want(no, &format!("[65,{request},\"{name}\"]"))?;
        let from = (self.town(no), no);
        if created {
            let what = format!("\"id\":\"{name}\",\"created\":\"*\",\"uri\":\"{text}\"");
            let how = format!("\"match\":\"{}\",\"invoke\":\"{invoke}\"", word(kind));
            let args = format!("[\"@p{no}\",{{{what},{how}}}]");
            self.book.note(from, "wamp.registration.on_create", &args)?;
        }
        if joined {
            let args = format!("[\"@p{no}\",\"{name}\"]");
            self.book.note(from, "wamp.registration.on_register", &args)?;
        }
        Ok(())
    }

    pub(super) fn offer_no_more(&mut self, at: usize) -> Done {
        let Some((name, town)) = self.some_offer() else { return Ok(()) };
        let (no, request) = self.ids(at);
        self.say(at, &format!("[66,{request},\"{name}\"]"))?;
        let known = self.book.towns[town].offers.iter().find(|it| it.name == name);
        if !known.is_some_and(|it| it.callees.contains(&no)) {
            let why = "wamp.error.no_such_registration";
            return self.book.want(no, &format!("[8,66,{request},{{}},\"{why}\"]"));
        }
        self.book.want(no, &format!("[67,{request}]"))?;
        self.book.unoffer(no, &name)
    }

    pub(super) fn call(&mut self, at: usize) -> Done {
        let name = self.some_name();
        let how = Wish { pieces: self.rng.chance(1, 2), discloses: self.rng.chance(1, 3) };
        let (no, request) = self.ids(at);
        self.calls += 1;
        let call = self.calls;
        let Wish { pieces, discloses } = how;
        let options = format!("{{\"receive_progress\":{pieces},\"disclose_me\":{discloses}}}");
        self.say(at, &format!("[48,{request},{options},\"{name}\",[\"call {call}\"]]"))?;
        self.book.call((no, request, call), name, how)
    }

    /// Somebody who was asked answers; false: nobody was.
    pub(super) fn answer(&mut self, how: Option<Answer>) -> Result<bool, Wrong> {
        if self.book.open.is_empty() {
            return Ok(false);
        }
        let at = self.rng.below(self.book.open.len() as u64) as usize;
        let how = how.unwrap_or_else(|| match self.rng.below(8) {
            0..=1 => Answer::Piece,
            2 => Answer::Error,
            3..=4 => Answer::Unavailable,
            _ => Answer::Result,
        });
        self.answers += 1;
        let open = &self.book.open[at];
        let (number, said) = (open.number, format!("answer {} {}", open.no, self.answers));
        let who = open.callee;
        let text = match how {
            Answer::Piece => format!("[70,{number},{{\"progress\":true}},[\"{said}\"]]"),
            Answer::Result => format!("[70,{number},{{}},[\"{said}\"]]"),
            Answer::Error => format!("[8,68,{number},{{}},\"org.error.mine\",[\"{said}\"]]"),
            Answer::Unavailable => {
                format!("[8,68,{number},{{}},\"wamp.error.unavailable\",[\"{said}\"]]")
            }
        };
        let place = self.folk.iter().position(|it| it.no == who).ok_or("nobody can answer")?;
        self.say(place, &text)?;
        self.book.answers(at, how, &said)?;
        Ok(true)
    }

    pub(super) fn cancel(&mut self) -> Done {
        let waits: Vec<usize> =
            (0..self.book.open.len()).filter(|at| self.book.open[*at].caller.is_some()).collect();
        let Some(at) = self.rng.pick(&waits).copied() else { return Ok(()) };
        let mode = ["skip", "kill", "killnowait"][self.rng.below(3) as usize];
        let open = &self.book.open[at];
        let text = format!("[49,{},{{\"mode\":\"{mode}\"}}]", open.request);
        let caller = open.caller;
        let place = self.folk.iter().position(|it| Some(it.no) == caller);
        self.say(place.ok_or("nobody can cancel")?, &text)?;
        self.book.cancel(at, mode)
    }

    /// Somebody publishes: to all, or without some, or for some, who may be in another realm.
    pub(super) fn publish(&mut self, at: usize) -> Done {
        let name = self.some_name();
        let (no, request) = self.ids(at);
        self.said += 1;
        let args = format!("[\"said {}\"]", self.said);
        let includes_me = self.rng.chance(1, 4);
        let discloses = self.rng.chance(1, 4);
        let some: Vec<usize> =
            self.book.folk.keys().copied().filter(|_| self.rng.chance(1, 2)).collect();
        let names: Vec<String> = some.iter().map(|no| format!("\"@p{no}\"")).collect();
        let lists = self.rng.below(6);
        let list = match lists {
            0 => format!(",\"eligible\":[{}]", names.join(",")),
            1 => format!(",\"exclude\":[{}]", names.join(",")),
            _ => String::new(),
        };
        let options = format!("\"exclude_me\":{},\"disclose_me\":{discloses}{list}", !includes_me);
        let text = format!("[16,{request},{{\"acknowledge\":true,{options}}},\"{name}\",{args}]");
        self.say(at, &text)?;
        self.book.want(no, &format!("[17,{request},\"*\"]"))?;
        let more = match discloses {
            true => format!(
                "\"publisher\":\"@p{no}\",\"publisher_authid\":\"@a{no}\",{}",
                "\"publisher_authrole\":\"anonymous\""
            ),
            false => String::new(),
        };
        let only = |who: usize| match lists {
            0 => some.contains(&who),
            1 => !some.contains(&who),
            _ => true,
        };
        let without = (!includes_me).then_some(no);
        self.book.tell((self.town(no), without), (name, &args), &more, only)
    }

    /// Something to be said at the end, or all of that taken back.
    pub(super) fn testament(&mut self, at: usize) -> Done {
        let (no, request) = self.ids(at);
        let destroyed = self.rng.chance(1, 2);
        let scope = if destroyed { "destroyed" } else { "detached" };
        self.book.want(no, &format!("[50,{request},{{}}]"))?;
        if self.rng.chance(1, 5) {
            let procedure = "wamp.session.flush_testaments";
            let text = format!("[48,{request},{{}},\"{procedure}\",[],{{\"scope\":\"{scope}\"}}]");
            let one = self.book.folk.get_mut(&no);
            one.ok_or("nobody")?.testaments.retain(|it| it.0 != destroyed);
            return self.say(at, &text);
        }
        let name = self.some_name();
        self.said += 1;
        let said = self.said;
        let args = format!("[\"{name}\",[\"will {said}\"],{{}}]");
        let procedure = "wamp.session.add_testament";
        let text = format!("[48,{request},{{}},\"{procedure}\",{args},{{\"scope\":\"{scope}\"}}]");
        let one = self.book.folk.get_mut(&no).ok_or("nobody")?;
        one.testaments.push((destroyed, name, said));
        self.say(at, &text)
    }

    /// Somebody is sent away, or cannot be.
    pub(super) fn kill(&mut self, at: usize) -> Done {
        let (no, request) = self.ids(at);
        let victim = self.anybody();
        let victim = self.folk[victim].no;
        let text = format!("[48,{request},{{}},\"wamp.session.kill\",[\"@p{victim}\"]]");
        self.say(at, &text)?;
        if victim == no || self.town(victim) != self.town(no) {
            return self.failed(no, request, "wamp.error.no_such_session");
        }
        self.book.want(no, &format!("[50,{request},{{}}]"))?;
        self.send_away(&[victim], false)
    }

    /// Many are sent away at once.
    pub(super) fn kill_many(&mut self, at: usize) -> Done {
        let (no, request) = self.ids(at);
        let mut gone = self.book.in_town(self.town(no));
        gone.retain(|who| *who != no);
        let count = gone.len();
        match self.rng.below(3) {
            0 => {
                let args = "\"wamp.session.kill_by_authrole\",[\"anonymous\"]";
                self.say(at, &format!("[48,{request},{{}},{args}]"))?;
                self.book.want(no, &format!("[50,{request},{{}},[{count}]]"))?;
                self.send_away(&gone, false)
            }
            1 => {
                self.say(at, &format!("[48,{request},{{}},\"wamp.session.kill_all\"]"))?;
                self.book.want(no, &format!("[50,{request},{{}},[{count}]]"))?;
                self.send_away(&gone, true)
            }
            _ => {
                let Some(it) = self.rng.pick(&gone).copied() else {
                    // That of somebody who is not there.
                    let args = "\"wamp.session.kill_by_authid\",[\"nobody\"]";
                    self.say(at, &format!("[48,{request},{{}},{args}]"))?;
                    return self
                        .book
                        .want(no, &format!("[50,{request},{{}},[[]],{{\"count\":0}}]"));
                };
                let args = format!("\"wamp.session.kill_by_authid\",[\"@a{it}\"]");
                self.say(at, &format!("[48,{request},{{}},{args}]"))?;
                let list = format!("[[\"@p{it}\"]],{{\"count\":1}}");
                self.book.want(no, &format!("[50,{request},{{}},{list}]"))?;
                self.send_away(&[it], false)
            }
        }
    }

    fn send_away(&mut self, gone: &[usize], quiet: bool) -> Done {
        for who in gone {
            let one = self.book.folk.get_mut(who).ok_or("nobody is sent away")?;
            one.going = true;
            if quiet {
                one.testaments.clear();
            }
            self.book.want(*who, "[6,{},\"wamp.close.killed\"]")?;
        }
        // In the order of their connections; who says nothing is let go later.
        let mut gone = gone.to_vec();
        let place = |who: usize| self.folk.iter().find(|it| it.no == who);
        gone.sort_by_key(|who| place(*who).map(|it| (it.rude, it.conn)));
        self.loose = gone.len() > 1;
        self.book.at_once = self.loose;
        let left = gone.into_iter().try_for_each(|who| self.leaves(who, Leave { quiet }));
        self.book.at_once = false;
        left
    }

    /// It is taken from somebody what it offers, or listens to.
    pub(super) fn revoke(&mut self, at: usize) -> Done {
        let offers = self.rng.chance(1, 2);
        let (what, error) = match offers {
            true => ("registration", "wamp.error.no_such_registration"),
            false => ("subscription", "wamp.error.no_such_subscription"),
        };
        let found = if offers { self.some_offer() } else { self.some_interest() };
        let Some((name, town)) = found else { return Ok(()) };
        let members = self.members(town, &name);
        let victim = match self.rng.chance(1, 6) {
            true => Some(self.anybody()).map(|at| self.folk[at].no),
            false => self.rng.pick(&members).copied(),
        };
        let Some(victim) = victim else { return Ok(()) };
        let (no, request) = self.ids(at);
        let verb = if offers { "callee" } else { "subscriber" };
        let args = format!("\"wamp.{what}.remove_{verb}\",[\"{name}\",\"@p{victim}\"]");
        self.say(at, &format!("[48,{request},{{}},{args}]"))?;
        if self.town(no) != town {
            return self.failed(no, request, error);
        }
        if !members.contains(&victim) {
            return self.failed(no, request, "wamp.error.no_such_session");
        }
        self.book.want(no, &format!("[50,{request},{{}}]"))?;
        if self.book.folk[&victim].revokes {
            let code = if offers { 67 } else { 35 };
            let details = format!("\"{what}\":\"{name}\",\"reason\":\"wamp.close.normal\"");
            self.book.want(victim, &format!("[{code},0,{{{details}}}]"))?;
        }
        match offers {
            true => self.book.unoffer(victim, &name),
            false => self.book.disinterest(victim, &name),
        }
    }

    /// Somebody asks the router about what there is.
    pub(super) fn ask_about(&mut self, at: usize) -> Done {
        let (no, request) = self.ids(at);
        let town = self.town(no);
        let (question, answer) = match self.rng.below(10) {
            0 => self.count_sessions(town),
            1 => self.about_somebody(town),
            2..=3 => self.lists(town)?,
            4 => self.looked_up(town),
            5 => self.matched(town),
            6..=7 => self.about_offer(town),
            _ => self.about_interest(town),
        };
        self.say(at, &format!("[48,{request},{{}},{question}]"))?;
        match answer {
            Ok(answer) => self.book.want(no, &format!("[50,{request},{{}},[{answer}]]")),
            Err(why) => self.failed(no, request, why),
        }
    }

    fn failed(&mut self, no: usize, request: u64, why: &str) -> Done {
        self.book.want(no, &format!("[8,48,{request},{{}},\"{why}\"]"))
    }
}

/// A question, and its answer.
type Question = (String, Result<String, &'static str>);

/// The names of these sessions.
fn listed(all: &[usize]) -> String {
    let names: Vec<String> = all.iter().map(|no| format!("\"@p{no}\"")).collect();
    format!("[{}]", names.join(","))
}

impl World {
    fn count_sessions(&mut self, town: usize) -> Question {
        let all = self.book.in_town(town);
        match self.rng.below(4) {
            0 => ("\"wamp.session.count\"".into(), Ok(all.len().to_string())),
            1 => ("\"wamp.session.count\",[[\"nobody\"]]".into(), Ok("0".into())),
            2 => {
                let args = "[[\"anonymous\",\"nobody\",\"anonymous\"]]";
                (format!("\"wamp.session.count\",{args}"), Ok(all.len().to_string()))
            }
            _ => ("\"wamp.session.list\"".into(), Ok(listed(&all))),
        }
    }

    fn about_somebody(&mut self, town: usize) -> Question {
        let it = self.anybody();
        let it = self.folk[it].no;
        let question = format!("\"wamp.session.get\",[\"@p{it}\"]");
        if self.town(it) != town {
            return (question, Err("wamp.error.no_such_session"));
        }
        let names = format!("\"session\":\"@p{it}\",\"authid\":\"@a{it}\"");
        (question, Ok(format!("{{{names},\"authrole\":\"anonymous\",\"...\":0}}")))
    }

    /// What there is of a realm: names and patterns.
    fn known(&self, offers: bool, town: usize) -> Vec<(String, usize)> {
        let town = &self.book.towns[town];
        match offers {
            true => town.offers.iter().map(|it| (it.name.clone(), it.pattern)).collect(),
            false => town.interests.iter().map(|it| (it.name.clone(), it.pattern)).collect(),
        }
    }

    fn lists(&mut self, town: usize) -> Result<Question, Wrong> {
        let offers = self.rng.chance(1, 2);
        let mut kinds = Vec::new();
        for kind in [Kind::Exact, Kind::Prefix, Kind::Wildcard] {
            let mut numbers = Vec::new();
            for (name, at) in self.known(offers, town) {
                if pattern(at).0 == kind {
                    numbers.push(self.book.number(&name)?);
                }
            }
            numbers.sort_unstable();
            let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
            kinds.push(format!("\"{}\":[{}]", word(kind), numbers.join(",")));
        }
        let what = if offers { "registration" } else { "subscription" };
        Ok((format!("\"wamp.{what}.list\""), Ok(format!("{{{}}}", kinds.join(",")))))
    }

    fn looked_up(&mut self, town: usize) -> Question {
        let offers = self.rng.chance(1, 2);
        let (what, many) = match offers {
            true => ("registration", PATTERNS.len()),
            false => ("subscription", LISTENED),
        };
        let which = self.rng.below(many as u64) as usize;
        let (kind, text) = pattern(which);
        let found = self.known(offers, town).into_iter().find(|(_, at)| *at == which);
        let options = format!("{{\"match\":\"{}\"}}", word(kind));
        let answer = found.map_or_else(|| "null".to_owned(), |(name, _)| format!("\"{name}\""));
        (format!("\"wamp.{what}.lookup\",[\"{text}\",{options}]"), Ok(answer))
    }

    fn matched(&mut self, town: usize) -> Question {
        let name = self.some_name();
        if self.rng.chance(1, 2) {
            let best = self.book.best(town, name).map(|it| format!("\"{}\"", it.name));
            let answer = best.unwrap_or_else(|| "null".to_owned());
            return (format!("\"wamp.registration.match\",[\"{name}\"]"), Ok(answer));
        }
        let all = self.known(false, town);
        let fit = all.iter().filter(|(_, at)| fits(pattern(*at), name));
        let fit: Vec<String> = fit.map(|(its, _)| format!("\"{its}\"")).collect();
        let answer =
            if fit.is_empty() { "null".to_owned() } else { format!("[{}]", fit.join(",")) };
        (format!("\"wamp.subscription.match\",[\"{name}\"]"), Ok(answer))
    }

    fn about_offer(&mut self, town: usize) -> Question {
        let none = || "\"wamp.registration.list_callees\",[987654]".to_owned();
        let no_such = Err("wamp.error.no_such_registration");
        let Some((name, its)) = self.some_offer() else { return (none(), no_such) };
        let way = self.rng.below(3);
        let verb = ["get", "count_callees", "list_callees"][way as usize];
        let question = format!("\"wamp.registration.{verb}\",[\"{name}\"]");
        let offer = self.book.towns[its].offers.iter().find(|it| it.name == name);
        let Some(offer) = offer.filter(|_| its == town) else { return (question, no_such) };
        let (kind, uri) = pattern(offer.pattern);
        let what = format!("\"id\":\"{name}\",\"created\":\"*\",\"uri\":\"{uri}\"");
        let how = format!("\"match\":\"{}\",\"invoke\":\"{}\"", word(kind), offer.invoke);
        let answer = match way {
            0 => format!("{{{what},{how}}}"),
            1 => offer.callees.len().to_string(),
            _ => listed(&offer.callees),
        };
        (question, Ok(answer))
    }

    fn about_interest(&mut self, town: usize) -> Question {
        let none = || "\"wamp.subscription.get\",[4000000000]".to_owned();
        let no_such = Err("wamp.error.no_such_subscription");
        let Some((name, its)) = self.some_interest() else { return (none(), no_such) };
        let way = self.rng.below(4);
        let verb =
            ["get", "count_subscribers", "count_suscribers", "list_subscribers"][way as usize];
        let question = format!("\"wamp.subscription.{verb}\",[\"{name}\"]");
        let interest = self.book.towns[its].interests.iter().find(|it| it.name == name);
        let Some(it) = interest.filter(|_| its == town) else { return (question, no_such) };
        let (kind, uri) = pattern(it.pattern);
        let what = format!("\"id\":\"{name}\",\"created\":\"*\",\"uri\":\"{uri}\"");
        let answer = match way {
            0 => format!("{{{what},\"match\":\"{}\"}}", word(kind)),
            1 | 2 => it.listeners.len().to_string(),
            _ => listed(&it.listeners),
        };
        (question, Ok(answer))
    }

    fn some_offer(&mut self) -> Option<(String, usize)> {
        let towns = self.book.towns.iter().enumerate();
        let all: Vec<(String, usize)> = towns
            .flat_map(|(at, t)| t.offers.iter().map(move |it| (it.name.clone(), at)))
            .collect();
        self.rng.pick(&all).cloned()
    }

    fn some_interest(&mut self) -> Option<(String, usize)> {
        let towns = self.book.towns.iter().enumerate();
        let all: Vec<(String, usize)> = towns
            .flat_map(|(at, t)| t.interests.iter().map(move |it| (it.name.clone(), at)))
            .collect();
        self.rng.pick(&all).cloned()
    }

    fn members(&self, town: usize, name: &str) -> Vec<usize> {
        let town = &self.book.towns[town];
        let offer = town.offers.iter().find(|it| it.name == name).map(|it| &it.callees);
        let interest = town.interests.iter().find(|it| it.name == name).map(|it| &it.listeners);
        offer.or(interest).cloned().unwrap_or_default()
    }
}
