//! Floor 5. Sessions of WAMP, whose words are lines of JSON whatever form they travel in.
//!
//! A session answers pings and, unless it is rude, the goodbye of the broker. Absent on purpose:
//! chance, and what must be heard (`router_book`).

use bytes::BytesMut;

use crate::base::id::ConnId;
use crate::proto::wamp::rawsocket::{self, Frame, Kind, Offer};
use crate::value::{Bounds, Form, Value, Walk};

use super::dealer_law::Wrong;
use super::words_wamp::{encoded, value_of};

/// What every session announces.
const ALWAYS: &str = r#""publisher_identification":true,"caller_identification":true,
"pattern_based_subscription":true,"pattern_based_registration":true,"shared_registration":true"#;

/// Somebody, on a connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) no: usize,
    pub(super) conn: ConnId,
    pub(super) form: Form,
    /// It does not answer a goodbye.
    pub(super) rude: bool,
    pub(super) request: u64,
    /// On its way.
    pub(super) outward: Vec<u8>,
    ears: BytesMut,
    shaken: bool,
}

/// What a message says it is.
pub(super) fn code(message: &Value) -> Option<i64> {
    message.as_list()?.first()?.as_int()
}

impl Session {
    pub(super) fn new(no: usize, conn: ConnId, form: Form, rude: bool) -> Self {
        let (outward, ears) = (Vec::new(), BytesMut::new());
        Self { no, conn, form, rude, request: 0, outward, ears, shaken: false }
    }

    /// Say hello; `able` is to give pieces and to be stopped, `revokes` to hear what is taken away.
    pub(super) fn enter(&mut self, realm: &str, able: bool, revokes: bool) -> Result<(), Wrong> {
        self.outward.extend(Offer { takes: 1 << 24, form: self.form }.octets());
        let mut features = ALWAYS.replace('\n', "");
        if able {
            features += ",\"call_canceling\":true,\"progressive_call_results\":true";
        }
        if revokes {
            features += ",\"registration_revocation\":true,\"subscription_revocation\":true";
        }
        let roles = ["publisher", "subscriber", "caller", "callee"];
        let role = |role: &str| format!("\"{role}\":{{\"features\":{{{features}}}}}");
        let roles = roles.map(role).join(",");
        self.say(&value_of(&format!("[1,\"{realm}\",{{\"roles\":{{{roles}}}}}]"))?);
        Ok(())
    }

    /// A number for what it asks.
    pub(super) fn next(&mut self) -> u64 {
        self.request += 1;
        self.request
    }

    /// Say this.
    pub(super) fn say(&mut self, message: &Value) {
        self.frame(Kind::Message, &encoded(message, self.form));
    }

    fn frame(&mut self, kind: Kind, body: &[u8]) {
        self.outward.extend(rawsocket::head(kind, body.len()).unwrap_or_default());
        self.outward.extend_from_slice(body);
    }

    /// What these bytes say, with those that were heard before.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Result<Vec<Value>, Wrong> {
        self.ears.extend_from_slice(bytes);
        let mut heard = Vec::new();
        if !self.shaken {
            let answer = rawsocket::answered(&self.ears, self.form).map_err(|_| "no handshake")?;
            let Some(_) = answer else { return Ok(heard) };
            let _ = self.ears.split_to(rawsocket::HEAD);
            self.shaken = true;
        }
        loop {
            let frame = rawsocket::next(&mut self.ears, rawsocket::LONGEST);
            match frame.map_err(|why| format!("p{} hears {}", self.no, why.text()))? {
                None => return Ok(heard),
                Some(Frame::Ping(body)) => self.frame(Kind::Pong, &body),
                Some(Frame::Pong(_)) => {}
                Some(Frame::Message(text)) => {
                    let mut walk = Walk::new(self.form, &text, Bounds::default());
                    let message = Value::read(&mut walk);
                    let message =
                        message.map_err(|why| format!("p{} hears {}", self.no, why.text()))?;
                    if code(&message) == Some(6) && !self.rude {
                        self.say(&value_of("[6,{},\"wamp.close.goodbye_and_out\"]")?);
                    }
                    heard.push(message);
                }
            }
        }
    }
}
