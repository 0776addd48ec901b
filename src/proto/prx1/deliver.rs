//! Floor 3. A message on its way to a PRX1 client: spelled, and within what its frame can say.
//!
//! What the client cannot be told is counted and settled, so that it is not owed for ever. Absent
//! on purpose: which message is next (the hub knows), and packet ids (they follow from ordinals).

use crate::base::outbound::Outbound;
use crate::base::time::Now;
use crate::base::words::Loss;
use crate::hub::Hub;
use crate::hub::message::{Delivery, id_of};
use crate::hub::session::Kind;
use crate::proto::carried;

use super::dialect::Spelling;
use super::peer::Online;
use super::publish_head;

impl Online {
    /// Say the next thing that is owed; false when nothing can be said now.
    #[inline]
    pub(super) fn deliver(&self, now: Now, hub: &mut Hub, out: &mut Outbound) -> bool {
        let Some(delivery) = hub.next(now, self.session) else { return false };
        self.put_delivery(now, &delivery, hub, out);
        hub.done(delivery);
        true
    }

    #[inline]
    fn put_delivery(&self, now: Now, d: &Delivery, hub: &mut Hub, out: &mut Outbound) {
        let m = &d.message;
        let mut spelled = Vec::new();
        let spelling = Spelling::new(&hub.limits);
        let text: &[u8] = match spelling.as_spelled(&m.topic) {
            Some(text) => text,
            None if spelling.spell(&m.topic, &mut spelled) => &spelled,
            None => return self.cannot_say(now, d, hub),
        };
        let Some(body) = carried::plain(m, d.retain) else {
            return self.cannot_read(now, d, hub);
        };
        let id = if d.qos > 0 { id_of(d.ord) } else { 0 };
        let dup = d.qos > 0 && (d.dup || d.ord <= self.resumed);
        let head = publish_head(out, dup, d.qos, d.retain, id, text, body.len());
        if head.is_err() {
            return self.cannot_say(now, d, hub);
        }
        body.put(out);
    }

    /// A topic or body this protocol has no form for is invisible to it: counted, and settled so
    /// that it is not owed for ever.
    fn cannot_say(&self, now: Now, d: &Delivery, hub: &mut Hub) {
        hub.note_unspelled(now, Kind::Prx1, &d.message.topic);
        self.pass_by(d, hub);
    }

    /// Arguments that make no body, or that are not for everybody.
    fn cannot_read(&self, now: Now, d: &Delivery, hub: &mut Hub) {
        hub.note_lost(now, self.session, &d.message.topic, Loss::Form);
        self.pass_by(d, hub);
    }

    fn pass_by(&self, d: &Delivery, hub: &mut Hub) {
        if d.qos > 0 {
            hub.settle(self.session, id_of(d.ord));
        }
    }
}
