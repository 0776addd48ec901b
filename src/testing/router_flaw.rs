//! Floor 5. Lies about what is heard of a router, each of which its model must find.
//!
//! A world with a flaw is as good as one with a broken router: somebody hears what nobody said, or
//! not what was said, or is told another number than there is. Absent on purpose: flaws that no ear
//! can hear (the broker's counts are compared with the model's after every deed).

use super::router_folk::code;
use super::routers::World;
use crate::value::Value;

/// A lie.
#[cfg_attr(not(test), expect(dead_code, reason = "tests lie"))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flaw {
    /// An outcome is lost.
    Lost,
    /// It comes twice.
    Twice,
    /// It comes to somebody in another realm.
    Astray,
    /// An event comes to somebody in another realm.
    Across,
    /// It does not come.
    Missed,
    /// Two events change places.
    Turned,
    /// There is one session more than there are.
    Miscounted,
    /// Somebody is listed who is not there.
    Ghost,
    /// Somebody is sent away without a word.
    Wordless,
    /// Something is said behind the goodbye.
    Behind,
    /// Somebody is asked whose turn it is not.
    Favourite,
    /// What is taken away is not said.
    Unrevoked,
    /// Somebody learns who calls though it was not to.
    Disclosed,
    /// Somebody is told of itself.
    Own,
    /// A session has the number of another.
    Double,
    /// What is registered already is registered once more.
    Granted,
}

#[cfg(test)]
impl Flaw {
    /// Each, and what the world says of it.
    pub(super) const ALL: [(Self, &'static str); 16] = [
        (Self::Lost, "never hears [50"),
        (Self::Twice, "and should not"),
        (Self::Astray, "and should not"),
        (Self::Across, "hears [36"),
        (Self::Missed, "never hears [36"),
        (Self::Turned, "hears [36"),
        (Self::Miscounted, "hears [50"),
        (Self::Ghost, "hears [50"),
        (Self::Wordless, "never hears [6,"),
        (Self::Behind, "hears [36"),
        (Self::Favourite, "hears [68"),
        (Self::Unrevoked, "never hears [67,0"),
        (Self::Disclosed, "hears [68"),
        (Self::Own, "hears [36"),
        (Self::Double, "is not known as"),
        (Self::Granted, "hears [65"),
    ];
}

impl World {
    /// What is heard instead of this, and by whom.
    pub(super) fn twist(&mut self, who: usize, message: Value) -> Vec<(usize, Value)> {
        let Some(flaw) = self.flaw else { return vec![(who, message)] };
        if !self.rng.chance(1, 2) {
            return vec![(who, message)];
        }
        match (flaw, code(&message)) {
            (Flaw::Lost, Some(50)) | (Flaw::Missed, Some(36)) | (Flaw::Wordless, Some(6)) => {
                Vec::new()
            }
            (Flaw::Twice, Some(50)) => vec![(who, message.clone()), (who, message)],
            (Flaw::Unrevoked, Some(67)) if at(&message, 1) == Some(0) => Vec::new(),
            (Flaw::Astray, Some(50)) => vec![(self.elsewhere(who).unwrap_or(who), message)],
            (Flaw::Across, Some(36)) => match self.elsewhere(who) {
                Some(other) => vec![(who, message.clone()), (other, message)],
                None => vec![(who, message)],
            },
            (Flaw::Behind, Some(6)) => {
                let event = changed(&message, |parts| {
                    *parts = vec![Value::Int(36), Value::Int(1), Value::Int(1)];
                });
                vec![(who, message), (who, event)]
            }
            (Flaw::Own, Some(33)) => {
                let event = changed(&message, |parts| {
                    *parts = vec![Value::Int(36), Value::Int(1), Value::Int(1)];
                });
                vec![(who, message), (who, event)]
            }
            (Flaw::Favourite, Some(68)) => match self.beside(who) {
                Some(other) => vec![(other, message)],
                None => vec![(who, message)],
            },
            (Flaw::Turned, Some(36)) => vec![(who, self.turned(message))],
            _ => vec![(who, reworded(flaw, message))],
        }
    }

    /// Somebody in another realm.
    fn elsewhere(&self, who: usize) -> Option<usize> {
        let town = self.town(who);
        self.book.folk.iter().find(|(_, one)| one.town != town).map(|(no, _)| *no)
    }

    /// Somebody else in the same one.
    fn beside(&self, who: usize) -> Option<usize> {
        self.book.in_town(self.town(who)).into_iter().find(|no| *no != who)
    }

    /// What was to come by the same subscription later comes first.
    fn turned(&self, message: Value) -> Value {
        let mut wanted = self.book.wanted.values().flatten();
        let by = message.as_list().and_then(|parts| parts.get(1)).cloned();
        let fits = |it: &Value| {
            let same = self.book.names.filled(it).ok();
            let its = same.as_ref().and_then(|it| it.as_list()).and_then(|it| it.get(1));
            code(it) == Some(36) && its == by.as_ref()
        };
        let last = wanted.rfind(|it| fits(it));
        let filled = last.and_then(|it| self.book.names.filled(it).ok());
        let args = filled.and_then(|it| it.as_list().and_then(|it| it.get(4)).cloned());
        changed(&message, |parts| {
            if let (Some(own), Some(args)) = (parts.get_mut(4), args) {
                *own = args;
            }
        })
    }
}

/// The number at this place of a message.
fn at(message: &Value, place: usize) -> Option<i64> {
    message.as_list()?.get(place)?.as_int()
}

fn changed(message: &Value, change: impl FnOnce(&mut Vec<Value>)) -> Value {
    let mut message = message.clone();
    if let Value::List(parts) = &mut message {
        change(parts);
    }
    message
}

/// Another number than there is, or more than is to be known.
fn reworded(flaw: Flaw, message: Value) -> Value {
    let first = message.as_list().and_then(|parts| parts.get(3)?.as_list()?.first().cloned());
    match (flaw, code(&message), first) {
        (Flaw::Miscounted, Some(50), Some(Value::Int(count))) => changed(&message, |parts| {
            parts[3] = Value::List(vec![Value::Int(count + 1)]);
        }),
        (Flaw::Ghost, Some(50), Some(Value::List(mut all))) => changed(&message, |parts| {
            all.push(Value::Int(77));
            parts[3] = Value::List(vec![Value::List(all)]);
        }),
        (Flaw::Disclosed, Some(68), _) => changed(&message, |parts| {
            if let Some(Value::Map(details)) = parts.get_mut(3) {
                details.retain(|(key, _)| key != "caller");
                details.push(("caller".into(), Value::Int(7)));
            }
        }),
        (Flaw::Granted, Some(8), _) if at(&message, 1) == Some(64) => changed(&message, |parts| {
            *parts = vec![Value::Int(65), parts[2].clone(), Value::Int(1)];
        }),
        (Flaw::Double, Some(2), _) => changed(&message, |parts| parts[1] = Value::Int(4)),
        _ => message,
    }
}
