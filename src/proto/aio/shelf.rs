//! Floor 3. What is kept for a peer that is away: which, how much, in which order, and until when.
//!
//! Kept is what the list of types names, while its reader is away. On return all of it is sent
//! before anything that comes later, in the order in which it came; what comes meanwhile goes
//! behind it. Each is let go of when the reader has acknowledged it, and not a moment before: a
//! connection that ends in the midst of it begins again with what was not acknowledged, where the
//! original has deleted everything first (specification 8, and 12 item 14). What finds no room is
//! refused, counted, and said. Absent on purpose: files, and the messages themselves: `T` is what
//! the driver finds them by. `remains` reads the files that an original has left behind.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::proto::fault::Fault;

use super::decode;
use super::packet::Frame;

/// Which messages are kept for readers that are away.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Kept {
    /// None.
    #[default]
    Nothing,
    /// All that are for applications.
    Everything,
    /// Those of these types. `any` is a type like others.
    Types(Vec<String>),
}

impl Kept {
    /// Is a message of this type kept? What connectors say among themselves never is.
    #[must_use]
    pub fn has(&self, kind: &str) -> bool {
        match self {
            _ if kind.starts_with('_') => false,
            Self::Nothing => false,
            Self::Everything => true,
            Self::Types(types) => types.iter().any(|it| it == kind),
        }
    }
}

/// Why something is not kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// Its type is none of those that are.
    Type,
    /// There is no room for it.
    Room,
}

/// What was refused for want of room, to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lost {
    /// How many.
    pub count: u64,
    /// Bytes of them.
    pub bytes: u64,
}

#[derive(Debug)]
struct Item<T> {
    what: T,
    len: u64,
    /// Its place in the order of all that was ever kept here.
    number: u64,
}

/// What is kept for one peer.
#[derive(Debug)]
pub struct Shelf<T> {
    items: VecDeque<Item<T>>,
    bytes: u64,
    bytes_max: u64,
    /// The number of the next one that comes, and of the next one that is sent.
    next_in: u64,
    next_out: u64,
    lost: Lost,
}

impl<T> Shelf<T> {
    /// An empty one, for so many bytes.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        let lost = Lost::default();
        Self { items: VecDeque::new(), bytes: 0, bytes_max, next_in: 0, next_out: 0, lost }
    }

    /// Keep a message of this type and length; the number it has here.
    pub fn put(&mut self, kept: &Kept, kind: &str, (len, what): (u64, T)) -> Result<u64, Refused> {
        if !kept.has(kind) {
            return Err(Refused::Type);
        }
        if len > self.bytes_max - self.bytes {
            self.lost.count += 1;
            self.lost.bytes = self.lost.bytes.saturating_add(len);
            return Err(Refused::Room);
        }
        let number = self.next_in;
        self.next_in += 1;
        self.bytes += len;
        self.items.push_back(Item { what, len, number });
        Ok(number)
    }

    /// What is to be sent next, and its number; none when all of it is under way.
    pub fn send(&mut self) -> Option<(u64, &T)> {
        let at = self.items.partition_point(|item| item.number < self.next_out);
        let item = self.items.get(at)?;
        self.next_out = item.number + 1;
        Some((item.number, &item.what))
    }

    /// The reader has it: let go of it.
    pub fn on_ack(&mut self, number: u64) -> Option<T> {
        // What was not sent cannot have arrived.
        let at = self.items.binary_search_by_key(&number, |item| item.number).ok()?;
        if number >= self.next_out {
            return None;
        }
        let item = self.items.remove(at)?;
        self.bytes -= item.len;
        Some(item.what)
    }

    /// The reader is gone: what it has not acknowledged is sent again when it is back.
    pub fn rewind(&mut self) {
        self.next_out = self.items.front().map_or(self.next_in, |item| item.number);
    }

    /// Nothing is kept or under way: what comes now may go past the shelf.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Bytes of them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What was refused for want of room since this was last asked.
    pub fn take_lost(&mut self) -> Lost {
        core::mem::take(&mut self.lost)
    }
}

/// What stands before each message in a file that an original has left behind.
pub const SEPARATOR: &[u8] = b"@@@PERSISTENCE_SEPARATOR@@@";

/// Why such a file is not read further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Broken {
    /// No separator where one is due.
    Separator,
    /// The file ends within a message.
    Short,
    /// A message that cannot be read.
    Message(Fault),
}

/// Messages of such a file, up to the first that cannot be read; after that there is nothing. A
/// separator within a message is part of it: the length says where it ends.
pub fn remains(file: &Bytes, max: usize) -> impl Iterator<Item = Result<Frame, Broken>> {
    let mut rest = Some(BytesMut::from(&file[..]));
    core::iter::from_fn(move || {
        let mut bytes = rest.take().filter(|bytes| !bytes.is_empty())?;
        if !bytes.starts_with(SEPARATOR) {
            return Some(Err(Broken::Separator));
        }
        let mut bytes = bytes.split_off(SEPARATOR.len());
        match decode::next(&mut bytes, max) {
            Ok(Some(frame)) => {
                rest = Some(bytes);
                Some(Ok(frame))
            }
            Ok(None) => Some(Err(Broken::Short)),
            Err(fault) => Some(Err(Broken::Message(fault))),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::aio::encode_vec;
    use crate::proto::fault::FaultKind;

    fn shelf(max: u64) -> Shelf<char> {
        Shelf::new(max)
    }

    fn put(shelf: &mut Shelf<char>, len: u64, what: char) -> Result<u64, Refused> {
        shelf.put(&Kept::Everything, "any", (len, what))
    }

    #[test]
    fn the_list_of_types_names_what_is_kept_and_any_is_a_type() {
        let types = Kept::Types(vec!["any".to_owned()]);
        assert!(types.has("any") && !types.has("other"));
        assert!(Kept::Everything.has("other") && !Kept::Everything.has("_ping"));
        assert!(!Kept::Nothing.has("any") && !Kept::Types(vec!["_ack".to_owned()]).has("_ack"));
        assert_eq!(shelf(9).put(&types, "other", (1, 'a')), Err(Refused::Type));
    }

    #[test]
    fn what_is_kept_is_sent_in_its_order_and_goes_when_it_is_acknowledged() {
        let mut shelf = shelf(100);
        for what in ['a', 'b', 'c'] {
            put(&mut shelf, 10, what).expect("room");
        }
        assert_eq!(shelf.send(), Some((0, &'a')));
        assert_eq!(shelf.send(), Some((1, &'b')));
        assert_eq!(shelf.on_ack(2), None, "it was not sent");
        assert_eq!(shelf.on_ack(1), Some('b'), "in any order");
        assert_eq!(shelf.on_ack(1), None, "once");
        assert_eq!(shelf.send(), Some((2, &'c')));
        assert_eq!(shelf.send(), None);
        assert!(!shelf.is_empty(), "not before all of it has arrived");
        assert_eq!((shelf.on_ack(0), shelf.on_ack(2)), (Some('a'), Some('c')));
        assert!(shelf.is_empty() && shelf.bytes() == 0);
    }

    #[test]
    fn a_connection_that_ends_begins_again_with_what_was_not_acknowledged() {
        let mut shelf = shelf(100);
        for what in ['a', 'b', 'c'] {
            put(&mut shelf, 10, what).expect("room");
        }
        shelf.send();
        shelf.send();
        assert_eq!(shelf.on_ack(0), Some('a'));
        shelf.rewind();
        assert_eq!(shelf.on_ack(1), None, "what a connection said is over with it");
        put(&mut shelf, 10, 'd').expect("room");
        let again: Vec<(u64, char)> =
            core::iter::from_fn(|| shelf.send().map(|(n, what)| (n, *what))).collect();
        assert_eq!(again, [(1, 'b'), (2, 'c'), (3, 'd')]);
        let mut empty = Shelf::<char>::new(1);
        empty.rewind();
        assert_eq!(empty.send(), None);
    }

    #[test]
    fn what_finds_no_room_is_refused_and_said_and_takes_none() {
        let mut shelf = shelf(25);
        assert_eq!(put(&mut shelf, 20, 'a'), Ok(0));
        assert_eq!(put(&mut shelf, 6, 'b'), Err(Refused::Room), "not even by one");
        assert_eq!(put(&mut shelf, 5, 'c'), Ok(1));
        assert_eq!(put(&mut shelf, u64::MAX, 'd'), Err(Refused::Room));
        assert_eq!((shelf.len(), shelf.bytes()), (2, 25));
        assert_eq!(shelf.take_lost(), Lost { count: 2, bytes: u64::MAX });
        assert_eq!(shelf.take_lost(), Lost::default());
        shelf.send();
        assert_eq!(shelf.on_ack(0), Some('a'));
        assert_eq!(put(&mut shelf, 20, 'e'), Ok(2));
    }

    #[test]
    fn a_file_of_the_original_is_read_to_its_end_or_to_where_it_is_broken() {
        let frame = Frame::of("any", "a").with([b"1".as_slice(), SEPARATOR, b"2"].concat());
        let one = [SEPARATOR, &encode_vec(&frame).expect("short")].concat();
        let two: Bytes = [&one[..], &one].concat().into();
        let read = |file: &Bytes| remains(file, 1 << 20).collect::<Vec<_>>();
        assert_eq!(read(&two), [Ok(frame.clone()), Ok(frame.clone())]);
        assert_eq!(read(&Bytes::new()), []);
        let cut = two.slice(..two.len() - 1);
        assert_eq!(read(&cut), [Ok(frame.clone()), Err(Broken::Short)]);
        let garbage: Bytes = [&one[..], b"x"].concat().into();
        assert_eq!(read(&garbage), [Ok(frame), Err(Broken::Separator)]);
        let fault = FaultKind::AioShort.fault();
        let empty: Bytes = [SEPARATOR, &[0; 4]].concat().into();
        assert_eq!(read(&empty), [Err(Broken::Message(fault))]);
    }
}
