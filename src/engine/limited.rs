//! Floor 4. Which bound a connection reached, when reaching it is what ended it.
//!
//! Ends have names of their own, and several protocols have words for the same bound; here they
//! come back to the one row of the table. Absent on purpose: bounds that end nothing, which are
//! told where they are.

use bytes::Bytes;

use crate::base::limits::Limit;
use crate::hub::Hub;
use crate::proto::Protocol;
use crate::proto::doom::Doom;
use crate::proto::fault::FaultKind;

use super::conn::Conn;

/// The bound behind this end, if there is one.
pub(super) fn reached(doom: &Doom, stranger: bool) -> Option<Limit> {
    let limit = match doom {
        Doom::ConnectTimeout => Limit::connect_ms_max,
        Doom::PacketTimeout => Limit::packet_ms_max,
        Doom::Unfinished => Limit::unfinished_bytes_max,
        Doom::Stuck => Limit::stuck_ms_max,
        Doom::Overrun => Limit::outbox_len_max,
        Doom::Fault(fault) => match fault.kind {
            FaultKind::Prx1OverMax | FaultKind::MqttOverMax | FaultKind::AioOverMax if stranger => {
                Limit::login_bytes_max
            }
            FaultKind::Prx1OverMax | FaultKind::MqttOverMax | FaultKind::AioOverMax => {
                Limit::packet_bytes_max
            }
            FaultKind::Prx1TopicDeep | FaultKind::MqttTopicDeep => Limit::levels_max,
            FaultKind::MqttReceiveMax => Limit::receive_max,
            FaultKind::MqttRate => Limit::messages_s_max,
            _ => return None,
        },
        _ => return None,
    };
    Some(limit)
}

/// What whoever reads the log knows it by: its session, or where it comes from.
pub(super) fn label(c: &Conn, hub: &Hub) -> Bytes {
    let session = c.peer.session().and_then(|id| hub.session(id));
    match session.map(|s| s.label().clone()).filter(|label| !label.is_empty()) {
        Some(label) => label,
        None => Bytes::from(c.address.to_string()),
    }
}
