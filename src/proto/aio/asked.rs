//! Floor 3. What a client was asked and by whom, and what it asked itself.
//!
//! An answer names its question by type and id alone, and says nothing of who asked. So whoever is
//! told a question has a note of it here. Ids are the askers' own, and two askers may use the same:
//! then the second question is told under a number of ours. Both lists are bounded, and the oldest
//! note makes room: its answer is nobody's then. Absent on purpose: how long an answer
//! is waited for, which is the asker's business.

use std::collections::VecDeque;

use super::names::Name;
use super::packet::{Id, Text};

/// Questions remembered in each direction.
pub(super) const MOST: usize = 1_000;
/// Numbers of ours begin here: what people count from 1 does not come so far.
const OURS: u64 = 1 << 40;

/// Who asked something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Asker {
    /// Another client.
    Client(Name),
    /// Somebody who calls; the client's number for that call.
    Call(u64),
}

/// A question that was told.
#[derive(Debug)]
pub(super) struct Asked {
    kind: Text,
    told: Id,
    /// Who asked.
    pub(super) who: Asker,
    /// What the asker calls it.
    pub(super) id: Id,
    /// It waits for the answer.
    pub(super) awaited: bool,
    /// Nobody else was asked.
    pub(super) alone: bool,
}

impl Asked {
    /// Its type.
    pub(super) fn kind(&self) -> &Text {
        &self.kind
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Book {
    told: VecDeque<Asked>,
    waits: VecDeque<(Text, Id)>,
    given: u64,
}

impl Book {
    /// A question is told; under which id.
    pub(super) fn tell(
        &mut self,
        kind: &Text,
        (who, id): (&Name, &Id),
        (awaited, alone): (bool, bool),
    ) -> Id {
        let own = |it: &Asked| matches!(&it.who, Asker::Client(name) if name == who);
        let again = |it: &Asked| it.kind == *kind && own(it) && it.id == *id;
        if let Some(known) = self.told.iter_mut().find(|it| again(it)) {
            (known.awaited, known.alone) = (awaited, alone);
            return known.told.clone();
        }
        let told = match self.by(kind, id) {
            None => id.detached(),
            Some(_) => self.fresh(kind),
        };
        let (kind, who, id) = (kind.detached(), Asker::Client(who.detached()), id.detached());
        self.note(Asked { kind, told: told.clone(), who, id, awaited, alone });
        told
    }

    /// A call is told as a question; under which id.
    pub(super) fn ask(&mut self, kind: &Text, number: u64) -> Id {
        let told = self.fresh(kind);
        let (kind, who, id) = (kind.detached(), Asker::Call(number), told.clone());
        self.note(Asked { kind, told: told.clone(), who, id, awaited: false, alone: false });
        told
    }

    fn note(&mut self, asked: Asked) {
        if self.told.len() >= MOST {
            self.told.pop_front();
        }
        self.told.push_back(asked);
    }

    /// A number of ours that no question here has.
    fn fresh(&mut self, kind: &Text) -> Id {
        loop {
            self.given += 1;
            let id = Id::from(OURS + self.given);
            // Askers choose theirs, and may choose these.
            if self.by(kind, &id).is_none() {
                return id;
            }
        }
    }

    /// Who asked that.
    pub(super) fn by(&self, kind: &Text, told: &Id) -> Option<&Asked> {
        self.told.iter().find(|it| it.kind == *kind && it.told == *told)
    }

    /// It is answered.
    pub(super) fn answered(&mut self, kind: &Text, told: &Id) {
        let found = self.told.iter().position(|it| it.kind == *kind && it.told == *told);
        found.and_then(|at| self.told.remove(at));
    }

    /// Questions that nobody else was asked, whose askers wait.
    pub(super) fn left(&mut self) -> impl Iterator<Item = Asked> {
        core::mem::take(&mut self.told).into_iter().filter(|it| it.awaited && it.alone)
    }

    /// It waits for the answer to its own question.
    pub(super) fn wait(&mut self, kind: &Text, id: &Id) {
        if self.waits.iter().any(|(own, it)| own == kind && it == id) {
            return;
        }
        if self.waits.len() >= MOST {
            self.waits.pop_front();
        }
        self.waits.push_back((kind.detached(), id.detached()));
    }

    /// That is the answer; false: it waits for none.
    pub(super) fn take(&mut self, kind: &Text, id: &Id) -> bool {
        let found = self.waits.iter().position(|(own, it)| own == kind && it == id);
        found.and_then(|at| self.waits.remove(at)).is_some()
    }

    /// Heap bytes, about.
    pub(super) fn heap(&self) -> usize {
        self.told.capacity() * size_of::<Asked>() + self.waits.capacity() * size_of::<(Text, Id)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(&text.into()).expect("a name")
    }

    #[test]
    fn two_who_ask_alike_are_told_apart() {
        let (mut book, any) = (Book::default(), &Text::from("any"));
        let (ann, bob, one) = (&name("ann"), &name("bob"), &Id::from(1));
        assert_eq!(book.tell(any, (ann, one), (true, false)), *one);
        let other = book.tell(any, (bob, one), (true, true));
        assert_ne!(other, *one);
        assert_eq!(book.tell(any, (bob, one), (true, true)), other, "told once more");
        assert_eq!(book.tell(&"other".into(), (bob, one), (true, true)), *one, "another type");
        let by = |book: &Book, id| book.by(any, id).map(|it| (it.who.clone(), it.id.clone()));
        let (ann, bob) = (Asker::Client(ann.clone()), Asker::Client(bob.clone()));
        assert_eq!(by(&book, one), Some((ann, one.clone())));
        assert_eq!(by(&book, &other), Some((bob.clone(), one.clone())));
        book.answered(any, one);
        assert_eq!(by(&book, one), None, "once");
        let left: Vec<_> = book.left().map(|it| (it.kind, it.who)).collect();
        assert_eq!(left, [(any.clone(), bob.clone()), ("other".into(), bob)]);
    }

    #[test]
    fn nobody_can_guess_what_a_question_will_be_told_as() {
        let (mut book, any) = (Book::default(), &Text::from("any"));
        let (ann, bob, guess) = (&name("ann"), &name("bob"), &Id::from(OURS + 1));
        assert_eq!(book.tell(any, (ann, guess), (true, false)), *guess);
        let call = book.ask(any, 7);
        assert_ne!(call, *guess);
        assert_eq!(book.by(any, &call).map(|it| it.who.clone()), Some(Asker::Call(7)));
        let other = book.tell(any, (bob, guess), (true, false));
        assert!(other != *guess && other != call);
        let who = book.by(any, guess).map(|it| it.who.clone());
        assert_eq!(who, Some(Asker::Client(ann.clone())));
    }

    #[test]
    fn notes_are_bounded_and_the_oldest_makes_room() {
        let (mut book, any, ann) = (Book::default(), &Text::from("any"), &name("ann"));
        for n in 0..=MOST as u64 {
            book.tell(any, (ann, &Id::from(n)), (false, false));
            book.wait(any, &Id::from(n));
            book.wait(any, &Id::from(n));
        }
        assert_eq!((book.told.len(), book.waits.len()), (MOST, MOST));
        assert!(book.by(any, &Id::from(0)).is_none() && !book.take(any, &Id::from(0)));
        assert!(book.by(any, &Id::from(1)).is_some() && book.take(any, &Id::from(1)));
        assert!(!book.take(any, &Id::from(1)), "once");
        assert_eq!(book.left().count(), 0, "nobody waits for these");
    }
}
