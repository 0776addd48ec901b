//! Floor 5. Lies about what is heard, each of which the book of calls must find.
//!
//! A world with a flaw is as good as one with a broken broker: somebody hears what nobody said, or
//! not what was said. Absent on purpose: flaws that no ear can hear (`hub/calls` audits itself).

use super::dealer_folk::Word;
use super::dealer_law::Token;
use super::dealers::World;

/// What nobody says anything to.
const UNHEARD: usize = 3;

/// A lie.
#[cfg_attr(not(test), expect(dead_code, reason = "tests lie"))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flaw {
    /// An outcome is lost.
    Lost,
    /// It comes twice.
    Twice,
    /// It comes to somebody else.
    Astray,
    /// Under another number.
    Renumbered,
    /// It is that of another call.
    Foreign,
    /// A piece comes behind it.
    Behind,
    /// A piece comes that nobody asked for.
    Unasked,
    /// A piece comes twice.
    Stutter,
    /// Somebody is asked who does not serve it.
    Stranger,
    /// Somebody is asked whose turn it is not.
    Favourite,
    /// Two are asked.
    Both,
    /// Under a number that was another call's.
    Worn,
    /// What is answered too late is never heard of: the call is kept.
    Hoard,
    /// An event comes to somebody who does not listen.
    Overheard,
    /// It comes twice.
    Echo,
    /// It does not come.
    Missed,
    /// Somebody is interrupted who cannot be.
    Halted,
}

#[cfg(test)]
impl Flaw {
    /// Each, and what the book says of it.
    pub(super) const ALL: [(Self, &'static str); 17] = [
        (Self::Lost, "has no outcome"),
        (Self::Twice, "a second end"),
        (Self::Astray, "never made request"),
        (Self::Renumbered, "never made request"),
        (Self::Foreign, "has what"),
        (Self::Behind, "a piece behind its end"),
        (Self::Unasked, "never asked for any"),
        (Self::Stutter, "out of order"),
        (Self::Stranger, "who is not registered"),
        (Self::Favourite, "not how they share"),
        (Self::Both, "and had come to"),
        (Self::Worn, "and was under"),
        (Self::Hoard, "calls are kept"),
        (Self::Overheard, "who does not listen"),
        (Self::Echo, "comes twice"),
        (Self::Missed, "never came"),
        (Self::Halted, "is interrupted"),
    ];
}

impl World {
    /// What is heard instead of this, and by whom.
    pub(super) fn twist(&mut self, who: usize, word: Word) -> Vec<(usize, Word)> {
        let Some(flaw) = self.flaw else { return vec![(who, word)] };
        if !self.rng.chance(1, 3) {
            return vec![(who, word)];
        }
        match word {
            Word::Came { .. } => self.twist_outcome(flaw, who, word),
            Word::Do { .. } => self.twist_question(flaw, who, word),
            Word::Event(sub, _, token) => match flaw {
                Flaw::Overheard => vec![(who, Word::Event(sub + 1_000, Some(UNHEARD), token))],
                Flaw::Echo => vec![(who, word), (who, word)],
                Flaw::Missed => Vec::new(),
                _ => vec![(who, word)],
            },
            Word::Yes(..) if flaw == Flaw::Halted => vec![(who, word), (who, Word::Stop(77_777))],
            _ => vec![(who, word)],
        }
    }

    fn anybody_but(&self, who: usize) -> Option<usize> {
        self.folk.iter().map(|it| it.no).find(|no| *no != who)
    }

    fn twist_outcome(&self, flaw: Flaw, who: usize, word: Word) -> Vec<(usize, Word)> {
        let Word::Came { request, token, more, gathered } = word else { return Vec::new() };
        let piece = Word::Came { request, token: None, more: true, gathered: None };
        match flaw {
            Flaw::Lost if !more => Vec::new(),
            Flaw::Twice if !more => vec![(who, word), (who, word)],
            Flaw::Behind if !more => vec![(who, word), (who, piece)],
            Flaw::Unasked if !more => vec![(who, piece), (who, word)],
            Flaw::Stutter if more => vec![(who, word), (who, word)],
            Flaw::Astray => match self.anybody_but(who) {
                Some(other) => vec![(other, word)],
                None => vec![(who, word)],
            },
            Flaw::Renumbered => {
                let request = request + 1_000_000;
                vec![(who, Word::Came { request, token, more, gathered })]
            }
            Flaw::Foreign => {
                let token = token.map(|token| Token { no: token.no + 1, ..token });
                vec![(who, Word::Came { request, token, more, gathered })]
            }
            _ => vec![(who, word)],
        }
    }

    fn twist_question(&self, flaw: Flaw, who: usize, word: Word) -> Vec<(usize, Word)> {
        let Word::Do { number, pattern, token, pieces, timed } = word else { return Vec::new() };
        let members = pattern.and_then(|pattern| self.law.members.get(&pattern));
        let members: Vec<usize> = members.into_iter().flatten().map(|(who, _)| *who).collect();
        let other = members.iter().copied().find(|other| *other != who);
        // A number that nobody had yet.
        let asked = |number| Word::Do { number, pattern, token, pieces, timed };
        let fresh = asked(number + 1_000_000);
        match (flaw, other) {
            (Flaw::Stranger, _) => {
                let known = |no: &usize| !members.contains(no);
                match self.folk.iter().map(|it| it.no).find(known) {
                    Some(stranger) => vec![(stranger, word)],
                    None => vec![(who, word)],
                }
            }
            (Flaw::Favourite, Some(other)) if self.looked.is_some() => vec![(other, fresh)],
            (Flaw::Both, Some(other)) => vec![(who, word), (other, fresh)],
            (Flaw::Worn, _) if number > 1 => vec![(who, asked(1))],
            _ => vec![(who, word)],
        }
    }
}
