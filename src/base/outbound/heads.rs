//! Floor 0. Frames of one kind become frames of another where they stand.
//!
//! Whoever says frames with heads of four bytes need not know what others want in front: each head
//! is replaced behind its back. A body is not looked at; a shared one stays shared, and a copied
//! one moves by the few bytes that heads differ by, if they do. Frames may be cut anywhere between
//! calls and pieces. Absent on purpose: what heads mean.

use core::ops::Deref;

use bytes::{Buf, Bytes};

use super::{Cut, Mark, Outbound};

/// Bytes of a head that is replaced.
const HEAD: usize = 4;

/// How far a run of frames has come: part of a head, or what a body lacks.
#[derive(Debug, Default)]
pub struct Frames {
    part: [u8; HEAD],
    have: usize,
    left: usize,
}

impl Frames {
    /// No frame is out by half. A head that is not whole is held back.
    #[must_use]
    pub fn is_between(&self) -> bool {
        self.left == 0
    }

    /// Bytes of a head; how many of these it takes.
    fn fill(&mut self, from: &[u8]) -> usize {
        let n = from.len().min(HEAD - self.have);
        let place = self.part.get_mut(self.have..self.have + n).unwrap_or_default();
        place.copy_from_slice(from.get(..n).unwrap_or_default());
        self.have += n;
        n
    }
}

/// Two places in the scratch: bytes up to `kept` are as they are to be, those from `read` on as
/// they were. Whether they are apart or not, nothing stands between them.
struct Places {
    read: usize,
    kept: usize,
    /// The first shared payload behind `read`.
    next: usize,
}

impl Outbound {
    /// What was put behind `mark` are frames: heads of four bytes, and bodies. `turn` makes of
    /// each head another one, and says how long its body is.
    pub fn rehead<H: Deref<Target = [u8]>>(
        &mut self,
        mark: Mark,
        frames: &mut Frames,
        turn: impl Fn([u8; HEAD]) -> (H, usize),
    ) {
        let start = mark.at.min(self.scratch.len());
        let mut at = Places { read: start, kept: start, next: mark.cuts };
        loop {
            let end = self.cuts.get(at.next).map_or(self.scratch.len(), |cut| cut.at);
            let here = end.saturating_sub(at.read);
            if here == 0 {
                if at.next >= self.cuts.len() {
                    break;
                }
                self.pass_shared(&mut at, frames);
            } else if frames.left > 0 {
                let n = here.min(frames.left);
                if at.kept != at.read {
                    self.scratch.copy_within(at.read..at.read + n, at.kept);
                }
                (at.read, at.kept) = (at.read + n, at.kept + n);
                frames.left -= n;
            } else {
                at.read += frames.fill(self.scratch.get(at.read..end).unwrap_or_default());
            }
            if frames.have == HEAD {
                frames.have = 0;
                let (head, len) = turn(frames.part);
                frames.left = len;
                self.put_head(&mut at, &head);
            }
        }
        self.scratch.truncate(at.kept);
    }

    /// A shared payload is next: it is body, or begins with body, or with a head.
    fn pass_shared(&mut self, at: &mut Places, frames: &mut Frames) {
        let Some(cut) = self.cuts.get_mut(at.next) else { return };
        let len = cut.shared.len();
        if frames.left == 0 {
            let n = frames.fill(&cut.shared);
            cut.shared.advance(n);
            self.shared_len -= n;
            if n == len {
                self.cuts.remove(at.next);
            }
            return;
        }
        cut.at = at.kept;
        at.next += 1;
        let n = len.min(frames.left);
        frames.left -= n;
        if n < len {
            let rest: Bytes = cut.shared.split_off(n);
            self.cuts.insert(at.next, Cut { at: at.read, shared: rest });
        }
    }

    fn put_head(&mut self, at: &mut Places, head: &[u8]) {
        let more = head.len().saturating_sub(at.read - at.kept);
        if more > 0 {
            self.scratch.splice(at.read..at.read, core::iter::repeat_n(0, more));
            for cut in self.cuts.iter_mut().skip(at.next) {
                cut.at += more;
            }
            at.read += more;
        }
        if let Some(place) = self.scratch.get_mut(at.kept..at.kept + head.len()) {
            place.copy_from_slice(head);
        }
        at.kept += head.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::outbound::COPY_MAX;
    use crate::base::rng::Rng;

    /// A head of another length for each class of lengths, as WebSockets have them.
    fn other(head: [u8; HEAD]) -> (Vec<u8>, usize) {
        let len = u32::from_be_bytes(head) as usize;
        let used = match len {
            0..=125 => 2,
            126..=0xffff => 4,
            _ => 10,
        };
        let mut bytes = vec![0xee; used];
        bytes[1] = len as u8;
        (bytes, len)
    }

    /// Frames of these lengths, as they are said and as they are to be.
    fn frames(lens: &[usize]) -> (Vec<u8>, Vec<u8>) {
        let (mut said, mut wanted) = (Vec::new(), Vec::new());
        for (i, len) in lens.iter().enumerate() {
            let body: Vec<u8> = (0..*len).map(|at| (at + i * 7) as u8).collect();
            let head = (*len as u32).to_be_bytes();
            said.extend(head);
            wanted.extend(other(head).0);
            said.extend(&body);
            wanted.extend(&body);
        }
        (said, wanted)
    }

    #[test]
    fn frames_of_any_length_cut_anywhere_get_other_heads() {
        for seed in 0..300 {
            let mut rng = Rng::new(seed);
            let mut some = |most: u64| match rng.below(4) {
                0 => rng.below(4) as usize,
                1 => rng.below(200) as usize,
                _ => rng.below(most) as usize,
            };
            let lens: Vec<usize> = (0..some(20)).map(|_| some(9_000)).chain([70_000]).collect();
            let (said, wanted) = frames(&lens);
            let (mut rest, mut state, mut heard) = (&said[..], Frames::default(), Vec::new());
            while !rest.is_empty() {
                let mut out = Outbound::default();
                out.put_slice(b"before");
                if some(2) == 0 {
                    out.put_bytes(&Bytes::from(vec![9; COPY_MAX + 1]));
                }
                let (front, mark) = (out.len(), out.mark());
                for _ in 0..some(6) {
                    let (piece, later) = rest.split_at(some(6_000).min(rest.len()));
                    rest = later;
                    match some(3) {
                        0 => out.put_slice(piece),
                        _ => out.put_bytes(&Bytes::copy_from_slice(piece)),
                    }
                }
                out.rehead(mark, &mut state, other);
                let all = out.to_vec();
                assert_eq!((all.len(), &all[..6]), (out.len(), &b"before"[..]));
                heard.extend_from_slice(&all[front..]);
            }
            assert!(heard == wanted, "seed {seed}");
            assert!(state.is_between());
        }
    }

    #[test]
    fn a_large_body_is_not_copied_whether_its_head_is_shared_with_it_or_not() {
        let (said, wanted) = frames(&[100_000, 3, 50_000]);
        let whole = Bytes::from(said);
        for apart in [true, false] {
            let mut out = Outbound::default();
            let mark = out.mark();
            if apart {
                out.put_slice(&whole[..4]);
                out.put_bytes(&whole.slice(4..));
            } else {
                out.put_bytes(&whole);
            }
            out.rehead(mark, &mut Frames::default(), other);
            assert!(out.to_vec() == wanted);
            assert_eq!(out.scratch.len(), 10 + 2 + 4, "heads are all that was copied");
            assert_eq!(out.cuts[0].shared.as_ptr(), whole[4..].as_ptr());
        }
    }

    #[test]
    fn a_head_that_is_not_whole_is_held_back() {
        let mut state = Frames::default();
        let mut say = |bytes: &[u8]| {
            let mut out = Outbound::default();
            let mark = out.mark();
            out.put_slice(bytes);
            out.rehead(mark, &mut state, other);
            (out.to_vec(), state.is_between())
        };
        assert_eq!(say(&[0, 0, 0]), (vec![], true));
        assert_eq!(say(&[2]), (vec![0xee, 2], false), "its body is to come");
        assert_eq!(say(&[5]), (vec![5], false));
        assert_eq!(say(&[6, 0, 0, 0, 0]), (vec![6, 0xee, 0], true), "and one without a body");
    }
}
