//! Floor 1. What a protocol must say about its topics: read a name, read a filter, spell both.
//!
//! The law (`laws.rs` checks it for every dialect): what a dialect spells it reads back as the
//! same thing, and what it cannot spell it says so and writes nothing. A topic that a dialect
//! cannot spell is invisible to its peers; nothing is escaped. Absent on purpose: a default
//! grammar.

use super::filter::Filter;
use super::name::Topic;
use bytes::Bytes;

/// How a filter's text is meant, where a protocol has more than one way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Match {
    /// The protocol's own and only grammar.
    Native,
    /// The text is a name; nothing in it is special.
    Exact,
    /// Everything that begins with the text.
    Prefix,
    /// Some levels are left open.
    Wildcard,
}

/// Why a text is no topic, or no filter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TopicFault {
    /// There is no text.
    Empty,
    /// More bytes than `TEXT_MAX`.
    TooLong,
    /// More levels than allowed.
    TooDeep,
    /// A wildcard in a name.
    Wildcard,
    /// Against the grammar in another way, or a way of matching that the protocol lacks.
    Malformed,
}

/// How one protocol writes topics and filters.
pub trait Dialect {
    /// Read a name. What is returned shares `text`.
    fn topic(&self, text: &Bytes) -> Result<Topic, TopicFault>;

    /// Read a filter. What is returned shares `text`.
    fn filter(&self, text: &Bytes, how: Match) -> Result<Filter, TopicFault>;

    /// Append the topic's spelling; false, and nothing appended, when it has none.
    fn spell(&self, topic: &Topic, into: &mut Vec<u8>) -> bool;

    /// Append the filter's spelling; false, and nothing appended, when it has none.
    fn spell_filter(&self, filter: &Filter, into: &mut Vec<u8>) -> bool;
}
