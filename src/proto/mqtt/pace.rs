//! Floor 3. How fast a client is read when the limits bound its rate.
//!
//! Nothing is refused and nothing lost: a client ahead of its pace is not read until it is back in
//! it, and TCP holds the rest. What a packet costs is charged when it is taken, so one large packet
//! is slowed down and not refused for ever. Absent on purpose: clocks; the pause is a deadline of
//! the connection.

use crate::base::bucket::Bucket;
use crate::base::limits::{Limit, Limits};
use crate::base::time::{Deadline, Now};

/// The pace of one connection.
#[derive(Debug)]
pub(super) struct Pace {
    messages: Bucket,
    bytes: Bucket,
    until: Deadline,
    paused: bool,
}

impl Pace {
    /// None: nothing is bounded, and nothing need be counted.
    pub(super) fn of(limits: &Limits) -> Option<Box<Self>> {
        let (messages, bytes) = (u64::from(limits.messages_s_max), limits.bytes_s_max);
        (messages > 0 || bytes > 0).then(|| {
            Box::new(Self {
                messages: Bucket::new(messages, messages),
                bytes: Bucket::new(bytes, bytes),
                until: Deadline(0),
                paused: false,
            })
        })
    }

    /// A packet of so many bytes was taken. With a bound: it is reached, and that was the last
    /// packet for now.
    pub(super) fn on_packet(&mut self, now: Now, len: usize, is_message: bool) -> Option<Limit> {
        self.bytes.charge(now.mono, len as u64);
        if is_message {
            self.messages.charge(now.mono, 1);
        }
        let (bytes, messages) = (self.bytes.ready_at(1), self.messages.ready_at(1));
        self.until = Deadline(bytes.max(messages));
        let limit = if bytes > messages { Limit::bytes_s_max } else { Limit::messages_s_max };
        self.paused = !now.reached(self.until);
        self.paused.then_some(limit)
    }

    /// Its connection is ahead of it, and is not read from.
    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    /// It is time again.
    pub(super) fn go_on(&mut self) {
        self.paused = false;
    }

    /// Not before this.
    pub(super) fn until(&self) -> Deadline {
        self.until
    }
}
