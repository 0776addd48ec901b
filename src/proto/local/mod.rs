//! Floor 3. The embedder is a peer too: verbs in, deliveries out, no bytes.
//!
//! It has the same session, outbox, limits and order as everybody else, so what holds for them
//! holds for it. Absent on purpose: packets, a dialect of its own (it speaks the star grammar).

pub mod peer;

use bytes::Bytes;

use crate::hub::message::Delivery;

/// What the embedding program asks for. Numbers are its own; answers carry them back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verb {
    /// Publish; answered when what was asked for is true.
    Publish {
        /// Names the question.
        no: u64,
        /// Where to, in the star grammar.
        topic: Bytes,
        /// The message.
        body: Bytes,
        /// 0 or 1.
        qos: u8,
        /// Keep it.
        retain: bool,
    },
    /// Listen.
    Subscribe {
        /// Names the question, and the subscription in deliveries.
        no: u64,
        /// To what, in the star grammar.
        filter: Bytes,
        /// 0 or 1.
        qos: u8,
    },
    /// Stop listening.
    Unsubscribe {
        /// Names the question.
        no: u64,
        /// To what.
        filter: Bytes,
    },
    /// A delivery has been taken care of.
    Settle {
        /// Its ordinal.
        ord: u64,
    },
}

/// What the embedding program is told.
#[derive(Clone, Debug)]
pub enum Word {
    /// The verb is done, and as durable as its listener promises.
    Done {
        /// The question.
        no: u64,
        /// Readers matched by a publish.
        matched: u32,
    },
    /// The verb cannot be done.
    Refused {
        /// The question.
        no: u64,
        /// Why.
        why: &'static str,
    },
    /// A message.
    Message(Delivery),
}
