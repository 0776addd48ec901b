//! Floor 3. A message on its way to an aioconnectors client.
//!
//! What is owed until it is acknowledged goes with a number that follows from its ordinal: the
//! client acknowledges whatever has one. What another client said is told as that one said it, with
//! its name; what was published otherwise is the data of a message, by this end. What the client
//! cannot be told is counted and settled, so that it is not owed for ever. Absent on purpose: which
//! message is next (the hub knows).

use crate::base::outbound::Outbound;
use crate::base::stats::Counter;
use crate::base::time::Now;
use crate::base::words::Loss;
use crate::hub::Hub;
use crate::hub::message::{Delivery, id_of};
use crate::hub::session::Kind;
use crate::proto::carried;
use crate::topic::Dialect;

use super::dialect::Spelling;
use super::encode::encode;
use super::giving::Giving;
use super::letter::{self, ADDRESSED, AWAITED, Apart, Letter};
use super::names::Name;
use super::online::Online;
use super::packet::{Frame, Header, Id, Text};

/// Why something is not told.
enum Not {
    /// It is not for this one after all.
    Meant,
    /// It cannot be told.
    Lost(Loss),
}

impl Online {
    /// Say the next thing that is owed; false when nothing can be said now.
    pub(super) fn deliver(&mut self, now: Now, hub: &mut Hub, out: &mut Outbound) -> bool {
        let Some(delivery) = hub.next(now, self.session) else { return false };
        let said = self.frame_of(&delivery, hub).and_then(|(frame, apart)| match apart {
            None => encode(&frame, out).map_err(|_| Not::Lost(Loss::Large)),
            Some(apart) => {
                let giving = Giving::new(frame, &apart, hub.limits.packet_bytes_max)
                    .ok_or(Not::Lost(Loss::Large))?;
                self.giving = Some(Box::new(giving));
                Ok(())
            }
        });
        if let Err(why) = said {
            self.pass_by(now, &delivery, &why, hub);
        }
        hub.done(delivery);
        true
    }

    fn frame_of(&mut self, d: &Delivery, hub: &Hub) -> Result<(Frame, Option<Apart>), Not> {
        let m = &d.message;
        let mut text = Vec::new();
        if !Spelling::new(&hub.limits).spell(&m.topic, &mut text) {
            return Err(Not::Lost(Loss::Spelling));
        }
        let kind = Text::of(text.into()).ok_or(Not::Lost(Loss::Spelling))?;
        let letter = letter::read(&m.props, &m.body.to_bytes());
        let (mut frame, apart) = match letter {
            Some(Letter { flags, frame, apart }) => (self.told(flags, frame, &kind)?, apart),
            None => {
                let body = carried::plain(m, d.retain).ok_or(Not::Lost(Loss::Form))?;
                let source_id = Some(self.me.clone());
                let header = Header { source_id, ..Header::default() };
                (Frame { header, data: body.to_bytes(), ..Frame::default() }, None)
            }
        };
        frame.header.message_type = kind;
        frame.header.destination_id = Some(self.name.text().clone());
        if d.qos > 0 {
            frame.header.transport_id = Some(Id::from(u64::from(id_of(d.ord))));
        }
        Ok((frame, apart))
    }

    /// What another client said, or this one.
    fn told(&mut self, flags: u8, mut frame: Frame, kind: &Text) -> Result<Frame, Not> {
        let header = &mut frame.header;
        let source = header.source_id.as_ref().and_then(Name::new);
        // Only the first who answers does, and only who waits is told.
        if flags & AWAITED != 0
            && header.response_id.as_ref().is_some_and(|id| !self.book.take(kind, id))
        {
            return Err(Not::Meant);
        }
        if let (Some(who), Some(id)) = (&source, &header.request_id) {
            let how = (header.await_response, flags & ADDRESSED != 0);
            let told = self.book.tell(kind, (who, id), how);
            header.request_id = Some(told);
        }
        Ok(frame)
    }

    fn pass_by(&self, now: Now, d: &Delivery, why: &Not, hub: &mut Hub) {
        match why {
            Not::Meant => hub.stats.count(Counter::Ignored),
            Not::Lost(Loss::Spelling) => hub.note_unspelled(now, Kind::Aio, &d.message.topic),
            Not::Lost(reason) => hub.note_lost(now, self.session, &d.message.topic, *reason),
        }
        if d.qos > 0 {
            hub.settle(self.session, id_of(d.ord));
        }
    }
}
