//! Floor 5. The book of what connectors said: what must come of it, and what must not.
//!
//! ```text
//! kept      what was acknowledged comes to everybody who was known to be owed it
//! order     what somebody hears of another for the first time is newer than all before
//! name      nobody hears what is for another name or of a type it did not ask for
//! often     on one connection nothing comes more often than it was said
//! outcome   a question has one outcome as long as its asker's connection lasts
//! file      a file is placed as it was sent, once; acknowledged only when somebody had it
//! along     a file that comes along with its message comes as it was sent
//! ```
//!
//! Absent on purpose: wires, and when anything is looked at (`connectors`).

use std::collections::{BTreeMap, BTreeSet};

/// Everybody.
pub(super) const NAMES: [&str; 4] = ["ann", "bob", "a-b", "ab"];
/// Types of messages; files go with the last.
pub(super) const KINDS: [&str; 4] = ["t0", "t1", "t2", "f"];
/// Of which everybody listens to these.
pub(super) const LISTENS: [&[usize]; 4] = [&[0, 2], &[0, 1, 3], &[1], &[]];
/// As long as a packet may be.
pub(super) const PACKET: usize = 600;
/// The type of files.
pub(super) const FILE: usize = 3;

/// What went wrong, in words.
pub(super) type Wrong = String;

/// For whom something is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum To {
    /// For the client of this name.
    Name(usize),
    /// For who listens to this type.
    Kind(usize),
}

/// A question, as its asker sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Question {
    /// The asker's connection on which it was said last.
    pub(super) line: u64,
    done: bool,
    /// Somebody who was asked beside others is gone without an answer.
    left: bool,
}

/// Something that was said.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) to: To,
    /// Who must hear it once it was acknowledged.
    must: Vec<usize>,
    pub(super) said: u32,
    acked: bool,
    /// An acknowledgement is wanted.
    pub(super) promised: bool,
    pub(super) question: Option<Question>,
    /// A part of this file.
    pub(super) part: Option<(usize, u32)>,
    heard: [bool; NAMES.len()],
}

/// A file.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) parts: Vec<Vec<u8>>,
    /// Parts that somebody had.
    filed: BTreeSet<u32>,
    /// Something of it was refused, or lost with who had it.
    pub(super) lost: bool,
    placed: bool,
}

/// The book.
#[derive(Debug, Default)]
pub(super) struct Law {
    /// By speaker, in order.
    pub(super) made: [Vec<Made>; NAMES.len()],
    /// Whose session the disk has, with all that it listens to.
    pub(super) known: [bool; NAMES.len()],
    /// By listener and speaker: the newest that was heard.
    newest: [[Option<usize>; NAMES.len()]; NAMES.len()],
    /// By sender and number.
    pub(super) files: BTreeMap<(usize, usize), Sent>,
    /// Messages that were heard, and outcomes.
    pub(super) heard: usize,
    pub(super) outcomes: usize,
    pub(super) places: usize,
    /// Files that came along and were longer than a packet.
    pub(super) long: usize,
}

impl Law {
    /// Somebody has something to say: its number.
    pub(super) fn make(&mut self, who: usize, to: To, promised: bool, asks: bool) -> usize {
        let hears = |x: &usize| match to {
            To::Name(name) => *x == name,
            To::Kind(kind) => *x != who && LISTENS[*x].contains(&kind),
        };
        let must = (0..NAMES.len()).filter(|x| self.known[*x] && hears(x)).collect();
        let question = asks.then_some(Question { line: 0, done: false, left: false });
        let (said, acked, part, heard) = (0, false, None, [false; NAMES.len()]);
        self.made[who].push(Made { to, must, said, acked, promised, question, part, heard });
        self.made[who].len() - 1
    }

    /// It is said, on this connection.
    pub(super) fn said(&mut self, who: usize, n: usize, line: u64) {
        let Some(made) = self.made[who].get_mut(n) else { return };
        made.said += 1;
        if let Some(question) = &mut made.question {
            *question = Question { line, done: false, left: false };
        }
    }

    /// It is acknowledged.
    pub(super) fn acked(&mut self, who: usize, n: usize) -> Result<(), Wrong> {
        let made = self.made[who].get_mut(n).ok_or("an acknowledgement of nothing")?;
        made.acked = true;
        if let Some((file, index)) = made.part {
            let had = self.files.get(&(who, file)).is_some_and(|it| it.filed.contains(&index));
            if !had {
                return Err(format!("part {index} of {file} is acknowledged and nobody had it"));
            }
        }
        // What it said to itself stands on the disk behind all that it is.
        self.known[who] |= made.to == To::Name(who);
        Ok(())
    }

    /// Somebody hears something, for this many times on its connection.
    pub(super) fn hear(
        &mut self,
        x: usize,
        (who, n): (usize, usize),
        times: u32,
    ) -> Result<(), Wrong> {
        let what = || format!("{}/{n}", NAMES[who]);
        let Some(made) = self.made[who].get_mut(n) else {
            return Err(format!("{} was never said", what()));
        };
        match made.to {
            To::Name(name) if name != x => {
                return Err(format!("{} is for {} and came to {}", what(), NAMES[name], NAMES[x]));
            }
            To::Kind(kind) if x == who || !LISTENS[x].contains(&kind) => {
                return Err(format!("{} does not listen to {}", NAMES[x], what()));
            }
            To::Name(_) | To::Kind(_) => {}
        }
        if times > made.said {
            return Err(format!("{} comes {times} times, and was said {}", what(), made.said));
        }
        if !made.heard[x] {
            let newest = &mut self.newest[x][who];
            // Who came in between hears for the first time what is said for the second.
            if made.said == 1 && newest.is_some_and(|newest| newest > n) {
                return Err(format!("{} comes to {} out of order", what(), NAMES[x]));
            }
            *newest = (*newest).max(Some(n));
            made.heard[x] = true;
        }
        self.heard += 1;
        Ok(())
    }

    /// An answer, or that there is none.
    pub(super) fn outcome(&mut self, who: usize, n: usize, line: u64) -> Result<(), Wrong> {
        let made = self.made[who].get_mut(n).ok_or("an answer to nothing")?;
        let question = made.question.as_mut().ok_or("an answer to what is no question")?;
        if question.line != line || question.done {
            return Err(format!("{}/{n} has a second outcome: {question:?}", NAMES[who]));
        }
        question.done = true;
        self.outcomes += 1;
        Ok(())
    }

    /// Who was told this is gone, and has not answered.
    pub(super) fn left(&mut self, (who, n): (usize, usize)) {
        let made = self.made[who].get_mut(n);
        if let Some(Made { to: To::Kind(_), question: Some(question), .. }) = made {
            question.left = true;
        }
    }

    /// Somebody has this part now, or has refused it.
    pub(super) fn filed(&mut self, who: usize, file: usize, index: u32) {
        if let Some(it) = self.files.get_mut(&(who, file)) {
            it.filed.insert(index);
        }
    }

    /// A file is placed.
    pub(super) fn placed(&mut self, who: usize, file: usize, bytes: &[u8]) -> Result<(), Wrong> {
        let it = self.files.get_mut(&(who, file)).ok_or("a file that nobody sent")?;
        if it.placed {
            return Err(format!("file {file} of {} is placed again", NAMES[who]));
        }
        if it.parts.concat() != bytes {
            return Err(format!("file {file} of {} is placed as it never was", NAMES[who]));
        }
        it.placed = true;
        self.places += 1;
        Ok(())
    }

    /// A message comes with this file, or without the one that it had.
    pub(super) fn came_along(
        &mut self,
        (who, n): (usize, usize),
        file: Option<&[u8]>,
    ) -> Result<(), Wrong> {
        let made = self.made[who].get(n).and_then(|made| made.part);
        let (number, index) = made.ok_or("a file comes along with what has none")?;
        let it = self.files.get(&(who, number)).ok_or("a file that nobody sent")?;
        let part = it.parts.get((index as usize).wrapping_sub(1)).map(Vec::as_slice);
        if file.is_some() && file != part {
            return Err(format!("file {number} of {} came along as it never was", NAMES[who]));
        }
        self.long += usize::from(file.is_some_and(|file| file.len() > PACKET));
        Ok(())
    }

    /// A file of these parts is to be sent: its number.
    pub(super) fn file(&mut self, who: usize, parts: Vec<Vec<u8>>) -> usize {
        let number = self.files.len();
        let (filed, lost, placed) = (BTreeSet::new(), false, false);
        self.files.insert((who, number), Sent { parts, filed, lost, placed });
        number
    }

    /// All is quiet, and everybody is on this connection: nothing may be missing.
    pub(super) fn missing(&self, lines: &[u64]) -> Result<(), Wrong> {
        for (who, all) in self.made.iter().enumerate() {
            for (n, made) in all.iter().enumerate() {
                let what = format!("{}/{n}", NAMES[who]);
                if made.promised && !made.acked {
                    return Err(format!("{what} was never acknowledged"));
                }
                let lost = made.must.iter().find(|x| made.acked && !made.heard[**x]);
                if let Some(x) = lost {
                    return Err(format!("{what} was acknowledged and never came to {}", NAMES[*x]));
                }
                let waits = |it: &Question| it.line == lines[who] && !it.done && !it.left;
                if made.question.as_ref().is_some_and(waits) {
                    return Err(format!("{what} has no outcome: {made:?}"));
                }
            }
        }
        for ((who, file), it) in &self.files {
            if !it.placed && !it.lost && it.filed.len() == it.parts.len() {
                return Err(format!("file {file} of {} is not placed", NAMES[*who]));
            }
        }
        Ok(())
    }
}
