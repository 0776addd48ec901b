//! Floor 1. Where filters part or end: one node for each beginning that several filters share.
//!
//! A node knows its parent and its level, so that a filter can be put together again, the leaves
//! at it, and the child behind an open level; literal ones are edges. Absent on purpose: who uses
//! which leaf.

use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::ops::Bound;

/// One path of segments; `NONE` where there is nothing. The alignment keeps it in one line.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Node {
    /// The level that leads here from the parent; empty for an open one.
    pub(super) level: SmallVec<[u8; 24]>,
    pub(super) parent: u32,
    /// The child behind an open level.
    pub(super) one: u32,
    /// How many edges lead on from here.
    pub(super) edges: u32,
    /// Leaves.
    pub(super) end: u32,
    pub(super) rest: u32,
    pub(super) more: u32,
    /// Which texts of `Tail::Starts` are here, except the empty one.
    pub(super) starts: u32,
    pub(super) is_open: bool,
}

impl Node {
    /// A node that leads nowhere yet, behind this level or an open one.
    pub(super) fn new(parent: u32, level: Option<&[u8]>) -> Self {
        Self {
            level: SmallVec::from_slice(level.unwrap_or_default()),
            parent,
            one: NONE,
            edges: 0,
            end: NONE,
            rest: NONE,
            more: NONE,
            starts: NONE,
            is_open: level.is_none(),
        }
    }

    pub(super) fn is_bare(&self) -> bool {
        self.edges == 0 && [self.one, self.end, self.rest, self.more, self.starts] == [NONE; 5]
    }
}

/// The leaves of all texts that `level` begins with, longest first. Every text that does stands
/// not after `level` in the order, and whatever stands between them shares it as a beginning; so
/// each step looks at the last text not after the present one, and cuts to what they share.
pub(super) fn each_prefix(
    starts: &BTreeMap<Box<[u8]>, u32>,
    level: &[u8],
    mut each: impl FnMut(u32),
) {
    let mut text = level;
    while !text.is_empty() {
        let upto = (Bound::Unbounded, Bound::Included(text));
        let Some((last, leaf)) = starts.range::<[u8], _>(upto).next_back() else {
            return;
        };
        let shared = last.iter().zip(text).take_while(|(a, b)| a == b).count();
        if shared == last.len() {
            each(*leaf);
            text = &text[..shared - 1];
        } else {
            text = &text[..shared];
        }
    }
}

pub(super) fn some(number: u32) -> Option<u32> {
    (number != NONE).then_some(number)
}

pub(super) const NONE: u32 = u32::MAX;
