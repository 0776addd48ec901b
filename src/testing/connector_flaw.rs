//! Floor 5. Lies about what connectors hear, each of which their book must find.
//!
//! Absent on purpose: lies of who keeps files, which stand where files are kept (`connectors`).

use super::connector_folk::Word;
use super::connector_law::NAMES;
use super::connectors::World;

/// A lie.
#[cfg_attr(not(test), expect(dead_code, reason = "tests lie"))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flaw {
    /// A message does not come.
    Lost,
    /// One comes behind the next.
    Late,
    /// One comes to another name.
    Astray,
    /// One comes twice.
    Echo,
    /// One comes that nobody said.
    Ghost,
    /// An outcome does not come.
    Mute,
    /// One comes twice.
    Again,
    /// An acknowledgement does not come.
    Silent,
    /// A file is acknowledged before anybody had it.
    Hasty,
    /// A file is placed in part.
    Half,
    /// A file is not placed.
    Unplaced,
    /// A file comes along as another.
    Spoiled,
}

#[cfg(test)]
impl Flaw {
    /// Each, and what the book says of it.
    pub(super) const ALL: [(Self, &'static str); 12] = [
        (Self::Lost, "was acknowledged and never came"),
        (Self::Late, "out of order"),
        (Self::Astray, "and came to"),
        (Self::Echo, "and was said"),
        (Self::Ghost, "was never said"),
        (Self::Mute, "has no outcome"),
        (Self::Again, "has a second outcome"),
        (Self::Silent, "was never acknowledged"),
        (Self::Hasty, "nobody had it"),
        (Self::Half, "as it never was"),
        (Self::Unplaced, "is not placed"),
        (Self::Spoiled, "came along as it never was"),
    ];
}

impl World {
    /// What is heard instead of this, and by whom.
    pub(super) fn twist(&mut self, who: usize, word: Word) -> Vec<(usize, Word)> {
        let Some(flaw) = self.flaw else { return vec![(who, word)] };
        if flaw == Flaw::Late
            && let Word::Message(what, _) = word
            && let Some((held, Word::Message(before, _))) = &self.held
            && (*held, before.0) == (who, what.0)
        {
            return [(who, word)].into_iter().chain(self.held.take()).collect();
        }
        if !self.dice.chance(1, 3) {
            return vec![(who, word)];
        }
        let twice = vec![(who, word.clone()), (who, word.clone())];
        match (flaw, &word) {
            (Flaw::Lost, Word::Message(..))
            | (Flaw::Mute, Word::Outcome(_))
            | (Flaw::Silent, Word::Acked(_)) => Vec::new(),
            (Flaw::Late, Word::Message(..)) if self.held.is_none() => {
                self.held = Some((who, word));
                Vec::new()
            }
            (Flaw::Echo, Word::Message(..)) | (Flaw::Again, Word::Outcome(_)) => twice,
            (Flaw::Astray, _) => vec![((who + 1) % NAMES.len(), word)],
            (Flaw::Ghost, Word::Message((from, n), _)) => {
                vec![(who, Word::Message((*from, n + 1_000_000), None))]
            }
            _ => vec![(who, word)],
        }
    }
}
