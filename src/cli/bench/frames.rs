//! Floor 6. What a WebSocket carries for the load generator: the bytes of MQTT, or WAMP's messages.
//!
//! The generator writes and reads WAMP as a RawSocket has it, so here each of its messages becomes
//! one of the WebSocket, and back. Absent on purpose: fragments, and pings of our own.

use std::io;

use bytes::{Buf, BytesMut};

use crate::base::rng::Rng;
use crate::client::{mqtt, wamp};
use crate::link::ws_frame;
use crate::proto::wamp::rawsocket::{self, Kind, LONGEST, MAGIC};
use crate::value::Form;

/// The path of a WebSocket, and the form of the messages in it, if it is messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Way {
    pub(super) path: String,
    pub(super) form: Option<Form>,
}

#[derive(Debug)]
pub(super) enum Frames {
    Bytes(mqtt::Ws),
    Messages(Box<Messages>),
}

#[derive(Debug)]
pub(super) struct Messages {
    ws: wamp::Ws,
    spoken: wamp::Spoken,
    is_open: bool,
    /// It was asked which form is spoken, as at a RawSocket.
    asked: bool,
}

impl Frames {
    /// The layer, and the request it begins with.
    pub(super) fn new(host: &str, way: &Way, rng: Rng) -> (Self, Vec<u8>) {
        let Some(form) = way.form else {
            let (ws, request) = mqtt::Ws::new(host, &way.path, rng);
            return (Self::Bytes(ws), request.to_vec());
        };
        let spoken = wamp::Spoken { form, batched: false };
        let (ws, request) = wamp::Ws::new(host, &way.path, &[spoken], LONGEST, rng);
        (Self::Messages(Box::new(Messages { ws, spoken, is_open: false, asked: false })), request)
    }

    /// Read the answer to the request; is it there?
    pub(super) fn greet(&mut self, raw: &mut BytesMut) -> io::Result<bool> {
        match self {
            Self::Bytes(ws) => ws.greet(raw).map_err(broken),
            Self::Messages(it) => {
                it.is_open |=
                    !it.is_open && it.ws.greet(raw, &[it.spoken]).map_err(broken)?.is_some();
                Ok(it.is_open)
            }
        }
    }

    /// Append what came to what may be read; false: the other side has closed it.
    pub(super) fn unwrap(
        &mut self,
        raw: &mut BytesMut,
        plain: &mut BytesMut,
        said: &mut BytesMut,
    ) -> io::Result<bool> {
        match self {
            Self::Bytes(ws) => ws.unwrap(raw, plain, said).map_err(broken),
            Self::Messages(it) => {
                if core::mem::take(&mut it.asked) {
                    // What a router would answer at a RawSocket: it takes what we do.
                    plain.extend_from_slice(
                        &rawsocket::Offer { takes: LONGEST, form: it.spoken.form }.octets(),
                    );
                }
                while let Some(message) = it.ws.next(raw, said).map_err(broken)? {
                    let head = rawsocket::head(Kind::Message, message.len()).ok_or_else(far)?;
                    plain.extend_from_slice(&head);
                    plain.extend_from_slice(&message);
                }
                Ok(true)
            }
        }
    }

    /// Wrap what is to be sent.
    pub(super) fn wrap(&mut self, mut out: &[u8], said: &mut BytesMut) {
        match self {
            Self::Bytes(ws) => ws.wrap(ws_frame::BINARY, out, said),
            Self::Messages(it) => {
                while let Some(&[kind, a, b, c]) = out.first_chunk::<{ rawsocket::HEAD }>() {
                    out.advance(rawsocket::HEAD);
                    if kind == MAGIC {
                        it.asked = true;
                        continue;
                    }
                    let len = u32::from_be_bytes([0, a, b, c]) as usize;
                    let (message, rest) = out.split_at_checked(len).unwrap_or((out, &[]));
                    it.ws.wrap(message, said);
                    out = rest;
                }
            }
        }
    }
}

fn broken(e: impl core::fmt::Display) -> io::Error {
    io::Error::other(e.to_string())
}

fn far() -> io::Error {
    io::Error::other("a message that is too long")
}
