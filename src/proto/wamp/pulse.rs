//! Floor 3. Whether somebody who says nothing is there: a ping after a silence, and then the end.
//!
//! Whatever comes counts as an answer, so whoever talks is never pinged. The wait for an answer
//! begins when the ping was said, not when it was due: after a sleep of the whole machine nobody
//! is gone who was not asked. Absent on purpose: what a ping looks like (`line`), and the clock.

use crate::base::time::{Deadline, MS, Now};
use crate::link::Pings;

/// The watch over one session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pulse {
    ping_ms: u64,
    pong_ms: u64,
    asked: Asked,
    /// Nobody is asked: after the silence it is gone.
    mute: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    /// It was heard since.
    No,
    /// The ping waits to be said.
    Soon,
    /// It was said then.
    At(u64),
}

impl Pulse {
    /// A ping after so long a silence (0: never), and an answer within so long.
    pub(super) fn new(ping_ms: u64, pong_ms: u64) -> Self {
        Self { ping_ms, pong_ms, asked: Asked::No, mute: false }
    }

    /// Somebody who cannot be asked, and is gone after so long a silence.
    pub(super) fn of_polls(ms: u64) -> Self {
        Self { ping_ms: ms, pong_ms: ms, asked: Asked::No, mute: true }
    }

    /// Its listener says otherwise.
    pub(super) fn tell(&mut self, pings: Pings) {
        if self.mute {
            return;
        }
        self.ping_ms = pings.ping_ms.unwrap_or(self.ping_ms);
        self.pong_ms = pings.pong_ms.unwrap_or(self.pong_ms);
    }

    /// It was heard.
    pub(super) fn on_alive(&mut self) {
        self.asked = Asked::No;
    }

    /// It is to be pinged.
    pub(super) fn on_asked(&mut self) {
        self.asked = Asked::Soon;
    }

    /// The ping was said.
    pub(super) fn on_said(&mut self, now: Now) {
        self.asked = Asked::At(now.mono);
    }

    /// A ping is out, or never would be.
    pub(super) fn is_out(&self) -> bool {
        self.mute || matches!(self.asked, Asked::At(_))
    }

    /// When to ask, or to give up. A ping that its reader does not take has a bound of its own.
    pub(super) fn deadline(&self, heard: u64) -> Deadline {
        let (from, ms) = match self.asked {
            Asked::No if self.ping_ms > 0 => (heard, self.ping_ms),
            Asked::At(then) => (then, self.pong_ms),
            Asked::No | Asked::Soon => return Deadline::NEVER,
        };
        Deadline(from.saturating_add(ms.saturating_mul(MS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_asked_about_and_an_answer_is_waited_for_from_then_on() {
        let mut pulse = Pulse::new(30, 45);
        assert_eq!(pulse.deadline(7), Deadline(7 + 30 * MS));
        pulse.on_asked();
        assert_eq!((pulse.deadline(7), pulse.is_out()), (Deadline::NEVER, false));
        pulse.on_said(Now { mono: 100 * MS, wall: 0 });
        assert_eq!((pulse.deadline(7), pulse.is_out()), (Deadline(145 * MS), true));
        pulse.on_alive();
        assert_eq!((pulse.deadline(9), pulse.is_out()), (Deadline(9 + 30 * MS), false));
    }

    #[test]
    fn no_listener_has_those_asked_who_cannot_be() {
        let mut pulse = Pulse::of_polls(60);
        pulse.tell(Pings { ping_ms: Some(5), pong_ms: Some(7) });
        assert_eq!((pulse.deadline(7), pulse.is_out()), (Deadline(7 + 60 * MS), true));
    }

    #[test]
    fn nobody_is_asked_where_that_is_not_wanted() {
        let mut pulse = Pulse::new(0, 45);
        assert_eq!(pulse.deadline(7), Deadline::NEVER);
        pulse.tell(Pings { ping_ms: Some(2), pong_ms: None });
        assert_eq!(pulse.deadline(0), Deadline(2 * MS));
        pulse.on_said(Now { mono: 0, wall: 0 });
        pulse.tell(Pings { ping_ms: None, pong_ms: Some(3) });
        assert_eq!(pulse.deadline(0), Deadline(3 * MS));
    }
}
