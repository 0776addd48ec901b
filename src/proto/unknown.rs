//! Floor 3. Somebody who has not shown yet what they speak.
//!
//! It holds the place of a peer while the first bytes are waited for, and keeps their deadline; it
//! is replaced by a peer of the protocol before any byte is for a peer. Absent on purpose: words.

use bytes::BytesMut;

use crate::base::id::{Lsn, SessionId};
use crate::base::outbound::Outbound;
use crate::base::time::{Deadline, MS, Now};
use crate::hub::Hub;
use crate::hub::admin::About;

use super::doom::Doom;
use super::fault::{Fault, FaultKind};
use super::{Ctx, Protocol};

/// Nobody yet.
#[derive(Debug)]
pub struct Unknown {
    until: Deadline,
}

impl Unknown {
    /// Somebody who was accepted now.
    #[must_use]
    pub fn new(now: Now, hub: &Hub) -> Self {
        let ms = hub.limits.connect_ms_max.saturating_mul(MS);
        Self { until: Deadline(now.mono.saturating_add(ms)) }
    }
}

impl Protocol for Unknown {
    fn on_bytes(&mut self, _: &mut BytesMut, _: &mut Ctx<'_>) -> Result<(), Fault> {
        Err(FaultKind::FirstBytes.fault())
    }
    fn on_verdict(&mut self, _: u32, _: bool, _: &mut Ctx<'_>) -> Result<(), Fault> {
        Ok(())
    }
    fn on_deadline(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Doom> {
        if ctx.now.reached(self.until) { Err(Doom::ConnectTimeout) } else { Ok(()) }
    }
    fn on_doom(&mut self, _: &Doom, _: &mut Ctx<'_>) {}
    fn poll_transmit(&mut self, _: Now, _: &mut Hub, _: &mut Outbound, _: usize) -> bool {
        false
    }
    fn deadline(&self) -> Deadline {
        self.until
    }
    fn wants_bytes(&self, _: &Hub) -> bool {
        true
    }
    fn has_packet(&self, _: &[u8], _: &Hub) -> bool {
        false
    }
    fn waits_for(&self) -> Option<Lsn> {
        None
    }
    fn session(&self) -> Option<SessionId> {
        None
    }
    fn is_stranger(&self) -> bool {
        true
    }
    fn about(&self) -> About {
        About { protocol: "unknown", ..About::default() }
    }
    fn heap(&self) -> usize {
        0
    }
}
