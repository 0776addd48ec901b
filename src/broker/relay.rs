//! Floor 6. What the command of a relay needs of a broker besides: its figures before and after.
//!
//! Absent on purpose: files, which that command reads and writes.

use super::Broker;
use crate::base::time::Now;
use crate::hub::Hub;

impl Broker {
    /// Take up requests and answers of the last ten seconds, the newest first, as of some second
    /// since 1970, where nothing is known of them yet.
    pub(crate) fn recall_relay(&mut self, at: u64, counts: &[(u64, u64)]) {
        let now = self.parts.clock.now();
        let Some(relay) = self.parts.engine.hub_mut().relays.get_mut(0) else { return };
        // A clock that was set back: the last seconds were at some time, and not now.
        let Some(ago) = (now.wall / 1_000).checked_sub(at) else { return };
        if relay.meter.total() > 0 {
            return;
        }
        for (second, (asked, answered)) in counts.iter().enumerate() {
            let [asked, answered] =
                [asked, answered].map(|n| u32::try_from(*n).unwrap_or(u32::MAX));
            relay.meter.recall_second(now, ago.saturating_add(second as u64), asked, answered);
        }
    }

    /// Look at it once more when it has ended.
    pub(crate) fn at_end(&mut self, look: impl FnOnce(Now, &Hub) + Send + 'static) {
        self.parts.at_end = Some(Box::new(look));
    }
}
