//! Floor 2. How much of a turn goes into filters: a share for each session, a bound for all.
//!
//! A filter costs by its bytes and more by its levels, whether it comes or goes, is granted or not:
//! every level of it may be a node to make or to take away. Who has had its share goes on in the
//! next turn, and so does whoever comes when the bound is reached; nobody is refused for it. Work
//! on one session comes in a row, so only the last is known. Absent on purpose: what a turn is,
//! which whoever drives knows.

use crate::base::id::SessionId;

/// What has been done in this part of a turn.
#[derive(Debug, Default)]
pub struct Effort {
    all: usize,
    whose: Option<SessionId>,
    own: usize,
}

impl Effort {
    /// May this session have a filter with this text looked at now? If so, it is counted.
    pub fn takes_on(&mut self, id: SessionId, text: &[u8]) -> bool {
        if self.whose != Some(id) {
            (self.whose, self.own) = (Some(id), 0);
        }
        if self.own >= SHARE || self.is_over() {
            return false;
        }
        let cost = cost(text);
        self.own += cost;
        self.all += cost;
        true
    }

    /// Nobody gets anything more now.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.all >= ALL
    }

    /// Another part of a turn, or another turn, begins.
    pub fn begin(&mut self) {
        *self = Self::default();
    }
}

/// What a filter costs, whichever way its dialect parts levels.
fn cost(text: &[u8]) -> usize {
    let levels = text.iter().filter(|byte| matches!(byte, b'/' | b'.')).count();
    EACH + text.len() + levels * LEVEL
}

/// What a filter costs besides its bytes.
const EACH: usize = 32;
/// What a level costs besides its bytes.
const LEVEL: usize = 8;
/// For one session.
pub const SHARE: usize = 1 << 10;
/// For all of them.
pub const ALL: usize = 4 * SHARE;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(index: u32) -> SessionId {
        SessionId { index, life: 0 }
    }

    /// How many filters of so many bytes it may have now.
    fn takes(effort: &mut Effort, of: u32, len: usize) -> usize {
        let text = vec![b'x'; len];
        (0..100_000).take_while(|_| effort.takes_on(id(of), &text)).count()
    }

    #[test]
    fn everybody_has_a_share_until_all_is_given_out() {
        let mut effort = Effort::default();
        let share = SHARE / (EACH + 224);
        for of in 0..4 {
            assert!(!effort.is_over());
            assert_eq!(takes(&mut effort, of, 224), share);
        }
        assert!(effort.is_over());
        assert_eq!(takes(&mut effort, 5, 0), 0);
        effort.begin();
        assert_eq!(takes(&mut effort, 5, 65_535), 1, "however long, one is carried out");
        effort.begin();
        assert_eq!(takes(&mut effort, 5, 0), SHARE / EACH, "and so many at most, however short");
    }

    #[test]
    fn a_level_costs_more_than_its_bytes() {
        for text in ["x/".repeat(100), "x.".repeat(100)] {
            let mut effort = Effort::default();
            let all = (0..1_000).take_while(|_| effort.takes_on(id(1), text.as_bytes())).count();
            assert_eq!(all, SHARE.div_ceil(EACH + 200 + 100 * LEVEL));
        }
    }
}
