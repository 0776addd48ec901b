//! Floor 3. Who waits for which answer of whom, until when.
//!
//! An answer is known by its type, by who says it, and by the id of what it answers: the original
//! wants all three (specification 5, step 9). A second question with the id of one that is still
//! open is refused; else one of the two would have the other's answer, or none. When a peer is
//! gone, those who waited for it hear so, and nobody else (the original wakes everybody). Absent on
//! purpose: the questions and the answers themselves; `T` is who asks.

use std::collections::BTreeMap;

use crate::base::map::{Map, Seed};
use crate::base::time::{Deadline, Now};

use super::packet::{Id, Text};

/// How many and how long.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Questions of one type to one peer.
    pub each_max: usize,
    /// Questions in all.
    pub all_max: usize,
    /// How long an answer is waited for.
    pub wait_ms: u64,
}

impl Default for Terms {
    fn default() -> Self {
        Self { each_max: 1_000, all_max: 100_000, wait_ms: 3_600_000 }
    }
}

/// Why nobody will wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// This question is open already.
    Open,
    /// Too many of this type to this peer are.
    Each,
    /// Too many are.
    All,
}

/// A type, and a peer by its name.
type Line = (Text, Text);

#[derive(Debug)]
struct Waits<T> {
    who: T,
    turn: Turn,
}

/// Until when somebody waits, and a number so that no two are alike.
type Turn = (Deadline, u64);

/// All questions that are open.
#[derive(Debug)]
pub struct Answers<T> {
    terms: Terms,
    lines: Map<Line, Map<Id, Waits<T>>>,
    /// What each waits for, the most urgent first.
    turns: BTreeMap<Turn, (Line, Id)>,
    asked: u64,
    seed: Seed,
}

impl<T> Answers<T> {
    /// Nobody waits.
    #[must_use]
    pub fn new(terms: Terms, seed: Seed) -> Self {
        let lines = Map::with_hasher(seed.clone());
        Self { terms, lines, turns: BTreeMap::new(), asked: 0, seed }
    }

    /// A question of this type and id goes to a peer; `who` waits for the answer.
    pub fn ask(
        &mut self,
        now: Now,
        (kind, peer): (&Text, &Text),
        id: &Id,
        who: T,
    ) -> Result<(), Refused> {
        let key = (kind.detached(), peer.detached());
        let open = self.lines.get(&key);
        if open.is_some_and(|line| line.contains_key(id)) {
            return Err(Refused::Open);
        }
        if open.map_or(0, Map::len) >= self.terms.each_max {
            return Err(Refused::Each);
        }
        if self.len() >= self.terms.all_max {
            return Err(Refused::All);
        }
        let turn = (now.after_ms(self.terms.wait_ms), self.asked);
        self.asked += 1;
        let fresh = || Map::with_hasher(self.seed.clone());
        let line = self.lines.entry(key.clone()).or_insert_with(fresh);
        line.insert(id.detached(), Waits { who, turn });
        self.turns.insert(turn, (key, id.detached()));
        Ok(())
    }

    /// A peer answers. Who waited for that; nobody, and then it is an ordinary message.
    pub fn answer(&mut self, (kind, peer): (&Text, &Text), id: &Id) -> Option<T> {
        self.take_one(&(kind.clone(), peer.clone()), id)
    }

    /// A peer is gone: who waits for it in vain.
    pub fn gone(&mut self, peer: &Text) -> Vec<T> {
        self.take(|line, _| line.1 == *peer)
    }

    /// These wait no more, because they are gone themselves.
    pub fn withdraw(&mut self, is: impl Fn(&T) -> bool) -> Vec<T> {
        self.take(|_, waits| is(&waits.who))
    }

    /// Who has waited too long, the longest first.
    pub fn due(&mut self, now: Now) -> Vec<T> {
        let mut late = Vec::new();
        while let Some(((until, _), (line, id))) = self.turns.first_key_value()
            && now.reached(*until)
        {
            let (line, id) = (line.clone(), id.clone());
            late.extend(self.take_one(&line, &id));
        }
        late
    }

    /// When to ask for that.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        self.turns.first_key_value().map_or(Deadline::NEVER, |((until, _), _)| *until)
    }

    /// How many questions are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.turns.len()
    }

    /// None is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    fn take_one(&mut self, line: &Line, id: &Id) -> Option<T> {
        let open = self.lines.get_mut(line)?;
        let waits = open.remove(id)?;
        if open.is_empty() {
            self.lines.remove(line);
        }
        self.turns.remove(&waits.turn);
        Some(waits.who)
    }

    /// Takes out whom `which` names, in the order in which they asked.
    fn take(&mut self, which: impl Fn(&Line, &Waits<T>) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for (line, open) in &mut self.lines {
            taken.extend(open.extract_if(|_, waits| which(line, waits)).map(|(_, waits)| waits));
        }
        self.lines.retain(|_, open| !open.is_empty());
        taken.sort_by_key(|waits| waits.turn.1);
        taken.iter().for_each(|waits| drop(self.turns.remove(&waits.turn)));
        taken.into_iter().map(|waits| waits.who).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::MS;
    use bytes::Bytes;

    fn at(ms: u64) -> Now {
        Now { mono: ms * MS, wall: 0 }
    }

    fn answers() -> Answers<u32> {
        Answers::new(Terms { each_max: 2, all_max: 3, wait_ms: 100 }, Seed::with_seed(1))
    }

    fn id(json: &'static str) -> Id {
        let json = Bytes::from_static(json.as_bytes());
        Id::read(&json).expect("JSON").expect("an id")
    }

    #[test]
    fn an_answer_has_the_type_the_speaker_and_the_id_of_the_question() {
        let (any, other, ann, bob) = (&"any".into(), &"other".into(), &"ann".into(), &"bob".into());
        let mut answers = answers();
        answers.ask(at(0), (any, ann), &id("5"), 1).expect("room");
        assert_eq!(answers.answer((other, ann), &id("5")), None);
        assert_eq!(answers.answer((any, bob), &id("5")), None);
        assert_eq!(answers.answer((any, ann), &id("\"5\"")), None, "a text is no number");
        assert_eq!(answers.answer((any, ann), &id("5.0")), Some(1), "and a number is a number");
        assert_eq!(answers.answer((any, ann), &id("5")), None, "once");
        assert!(answers.is_empty() && answers.lines.is_empty());
    }

    #[test]
    fn questions_are_bounded_and_none_takes_the_place_of_another() {
        let (any, ann, bob) = (&"any".into(), &"ann".into(), &"bob".into());
        let mut answers = answers();
        let mut ask = |peer, n, who| answers.ask(at(0), (any, peer), &Id::from(n), who);
        assert_eq!(ask(ann, 1, 1), Ok(()));
        assert_eq!(ask(ann, 1, 2), Err(Refused::Open));
        assert_eq!(ask(ann, 2, 3), Ok(()));
        assert_eq!(ask(ann, 3, 4), Err(Refused::Each));
        assert_eq!(ask(bob, 1, 5), Ok(()));
        assert_eq!(ask(bob, 2, 6), Err(Refused::All));
        assert_eq!(answers.len(), 3);
        assert_eq!(answers.answer((any, ann), &Id::from(1)), Some(1), "the first who asked");
    }

    #[test]
    fn who_waits_for_one_that_is_gone_hears_so_and_nobody_else() {
        let (any, ping, ann, bob) = (&"any".into(), &"_ping".into(), &"ann".into(), &"bob".into());
        let mut answers = answers();
        answers.ask(at(0), (any, ann), &Id::from(1), 3).expect("room");
        answers.ask(at(0), (ping, ann), &Id::from(1), 2).expect("room");
        answers.ask(at(0), (any, bob), &Id::from(1), 1).expect("room");
        assert_eq!(answers.gone(ann), [3, 2], "as they asked");
        assert_eq!(answers.len(), 1);
        assert_eq!(answers.withdraw(|who| *who == 1), [1]);
        assert!(answers.is_empty());
    }

    #[test]
    fn an_answer_is_waited_for_so_long_and_no_longer() {
        let (any, ann) = (&"any".into(), &"ann".into());
        let mut answers = answers();
        assert_eq!(answers.deadline(), Deadline::NEVER);
        answers.ask(at(0), (any, ann), &Id::from(1), 1).expect("room");
        answers.ask(at(50), (any, ann), &Id::from(2), 2).expect("room");
        assert_eq!(answers.deadline(), Deadline(100 * MS));
        assert_eq!(answers.due(at(99)), [0; 0]);
        assert_eq!(answers.due(at(100)), [1]);
        assert_eq!(answers.deadline(), Deadline(150 * MS));
    }
}
