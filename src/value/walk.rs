//! Floor 1. One value, item by item, in whatever form it stands.
//!
//! A form knows what one token is; what is open around it is remembered here, an entry of sixteen
//! bytes for each list or map, so nothing recurses. Nothing is remembered of an item before all of
//! it was found well: what `next` does not know can still be skipped. Skipping checks all that
//! walking does, but for what a number comes to, so a span may be given to others as it is.
//! Absent on purpose: several values one behind the other, duplicate keys.

use smallvec::SmallVec;

use super::{Bounds, Flaw, Form, Item, Token, cbor, json, msgpack};

/// Goes through one value.
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    form: Form,
    rest: &'a [u8],
    /// What was left before the last item.
    start: &'a [u8],
    /// Items that may still come.
    items: u32,
    depth: u32,
    here: Open,
    outer: SmallVec<[Open; 8]>,
}

/// The end is marked by what stands there, not by a count.
pub(super) const ENDLESS: u64 = u64::MAX;

/// A list or a map that has not ended, or what is around all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    /// Values of a list or pairs of a map that have not begun, or [`ENDLESS`].
    left: u64,
    kind: Kind,
    /// Nothing in it was read.
    fresh: bool,
    /// A key was read, and its value is due.
    keyed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Root,
    List,
    Map,
}

impl<'a> Walk<'a> {
    /// Begin before the value that stands in `bytes`.
    #[must_use]
    pub fn new(form: Form, bytes: &'a [u8], bounds: Bounds) -> Self {
        Self {
            form,
            rest: bytes,
            start: bytes,
            items: bounds.items,
            depth: bounds.depth,
            here: Open::new(Kind::Root, 1),
            outer: SmallVec::new(),
        }
    }

    /// The next item. Where the value is over: `Short` if the input is too, else `Trailing`.
    #[expect(
        clippy::should_implement_trait,
        reason = "a walk ends with its value, never with None"
    )]
    pub fn next(&mut self) -> Result<Item<'a>, Flaw> {
        self.item(true)
    }

    /// Pass over one whole value (or key). `Short` where the list or map ends instead; that end is
    /// still to be read then.
    pub fn skip(&mut self) -> Result<(), Flaw> {
        self.span().map(drop)
    }

    /// Pass over one whole value (or key): its bytes, nothing before and nothing behind it.
    pub fn span(&mut self) -> Result<&'a [u8], Flaw> {
        if self.at_end()? {
            return Err(Flaw::Short);
        }
        let depth = self.outer.len();
        self.item(false)?;
        let start = self.start;
        while self.outer.len() > depth {
            self.item(false)?;
        }
        Ok(start.get(..start.len().saturating_sub(self.rest.len())).unwrap_or_default())
    }

    /// Within a list or map: is its `End` what comes next? Never true outside.
    pub fn at_end(&mut self) -> Result<bool, Flaw> {
        if self.here.kind == Kind::Root { Ok(false) } else { self.ends() }
    }

    /// The value is over, and nothing but white space follows. `Short` if it is not over: every
    /// list and map wants its `End` read.
    pub fn finish(self) -> Result<(), Flaw> {
        if !self.is_over() {
            return Err(Flaw::Short);
        }
        if self.blank().is_empty() { Ok(()) } else { Err(Flaw::Trailing) }
    }

    /// All of the value was read.
    pub(super) fn is_over(&self) -> bool {
        self.here.kind == Kind::Root && self.here.left == 0
    }

    /// Bytes behind the last item.
    #[must_use]
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// What comes next is a key (or the end of a map).
    pub(super) fn wants_key(&self) -> bool {
        self.here.kind == Kind::Map && !self.here.keyed
    }

    /// What comes next is the value behind a key.
    pub(super) fn is_keyed(&self) -> bool {
        self.here.keyed
    }

    /// The next item, or one like it: unless it is to be kept, nothing is made of what is in it.
    pub(super) fn item(&mut self, keep: bool) -> Result<Item<'a>, Flaw> {
        if self.ends()? {
            return self.close();
        }
        let key = self.wants_key();
        let mut rest = self.rest;
        if self.form == Form::Json {
            rest = json::approach(rest, self.here.sign())?;
        }
        let start = rest;
        let items = self.items.checked_sub(1).ok_or(Flaw::Items)?;
        let token = match self.form {
            Form::Json => json::token(&mut rest, key, keep)?,
            Form::MsgPack => msgpack::token(&mut rest)?,
            Form::Cbor => cbor::token(&mut rest, keep)?,
        };
        if key && !matches!(token, Token::Leaf(Item::Text(_))) {
            return Err(Flaw::Key);
        }
        let (item, opened) = match token {
            Token::Strange(flaw) if keep => return Err(flaw),
            Token::Strange(_) => (Item::Null, None),
            Token::Leaf(item) => (item, None),
            Token::List(left) => (Item::List, Some(Open::new(Kind::List, left))),
            Token::Map(left) => (Item::Map, Some(Open::new(Kind::Map, left))),
        };
        self.items = items;
        self.start = start;
        self.rest = rest;
        self.here.took();
        if let Some(opened) = opened {
            self.depth = self.depth.checked_sub(1).ok_or(Flaw::Depth)?;
            self.outer.push(core::mem::replace(&mut self.here, opened));
        }
        Ok(item)
    }

    /// Nothing more stands in what is open.
    fn ends(&mut self) -> Result<bool, Flaw> {
        if self.here.left != ENDLESS || self.here.keyed {
            return Ok(self.here.left == 0 && !self.here.keyed);
        }
        self.rest = self.blank();
        let mark = match (self.form, self.here.kind) {
            (Form::Json, Kind::Map) => b'}',
            (Form::Json, _) => b']',
            _ => cbor::BREAK,
        };
        Ok(*self.rest.first().ok_or(Flaw::Short)? == mark)
    }

    fn close(&mut self) -> Result<Item<'a>, Flaw> {
        let Some(outer) = self.outer.pop() else {
            return Err(if self.blank().is_empty() { Flaw::Short } else { Flaw::Trailing });
        };
        if self.here.left == ENDLESS {
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
        self.here = outer;
        self.depth += 1;
        Ok(Item::End)
    }

    /// What is left without the white space before it.
    fn blank(&self) -> &'a [u8] {
        if self.form == Form::Json { json::blank(self.rest) } else { self.rest }
    }
}

impl Open {
    fn new(kind: Kind, left: u64) -> Self {
        Self { left, kind, fresh: true, keyed: false }
    }

    /// What JSON wants before the next item.
    fn sign(&self) -> Option<u8> {
        match (self.keyed, self.fresh) {
            (true, _) => Some(b':'),
            (false, true) => None,
            (false, false) => Some(b','),
        }
    }

    /// A key, or a value, was read.
    fn took(&mut self) {
        self.fresh = false;
        if self.keyed {
            // The pair was counted with its key.
            self.keyed = false;
            return;
        }
        self.keyed = self.kind == Kind::Map;
        if self.left != ENDLESS {
            self.left -= 1;
        }
    }
}
