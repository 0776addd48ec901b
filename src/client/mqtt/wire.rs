//! Floor 5. One connection of an MQTT client: a pipe, and a WebSocket in it or bare bytes.
//!
//! Absent on purpose: packets, and any clock but the deadline it is handed.

#![expect(clippy::disallowed_types, reason = "a client on its owner's thread reads its own clock")]

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use mio::Waker;

use crate::base::rng::Rng;
use crate::client::pipe::{Broke, Pipe, Socket, seed};
use crate::link::ws_frame;

use super::Error;
use super::setup::{Plan, Target};
use super::tls::Session;
use super::ws::Ws;

/// A connection.
#[derive(Debug)]
pub(super) struct Wire {
    pipe: Pipe,
    ws: Option<Ws>,
    /// Plain, still in frames.
    framed: BytesMut,
}

impl Wire {
    /// Dial, and come through the handshakes of TLS and WebSocket.
    pub(super) fn open(plan: &Plan, deadline: Instant) -> Result<Self, Error> {
        let (socket, host) = match &plan.target {
            Target::Tcp(host, port) => {
                let socket =
                    Socket::tcp((host, *port), deadline, |address, left| match &plan.dial {
                        None => TcpStream::connect_timeout(&address, left),
                        Some(dial) => dial(address),
                    });
                (socket?, host.as_str())
            }
            Target::Unix(path) => (Socket::unix(path)?, "localhost"),
        };
        let tls = plan.tls.as_ref().map(|tls| Session::new(tls, host)).transpose()?;
        let mut wire = Self { pipe: Pipe::new(socket, tls)?, ws: None, framed: BytesMut::new() };
        wire.shake_hands(plan, host, deadline)?;
        Ok(wire)
    }

    fn shake_hands(&mut self, plan: &Plan, host: &str, deadline: Instant) -> Result<(), Error> {
        self.pipe.shake_hands(&mut self.framed, deadline)?;
        let Some(path) = &plan.ws else { return Ok(()) };
        let named = match &plan.target {
            Target::Tcp(_, port) if host.contains(':') => format!("[{host}]:{port}"),
            Target::Tcp(_, port) => format!("{host}:{port}"),
            Target::Unix(_) => host.to_owned(),
        };
        let (mut ws, request) = Ws::new(&named, path, Rng::new(seed()));
        self.pipe.seal(&request)?;
        while !ws.greet(&mut self.framed)? {
            self.pipe.step(&mut self.framed, deadline).map_err(|broke| match broke {
                Broke::HungUp => Error::WebSocket("the broker hung up"),
                broke => broke.into(),
            })?;
        }
        self.ws = Some(ws);
        Ok(())
    }

    pub(super) fn waker(&self) -> Arc<Waker> {
        self.pipe.waker()
    }

    /// Bytes that were said and not written.
    pub(super) fn waiting(&self) -> usize {
        self.pipe.waiting()
    }

    /// Say a packet.
    pub(super) fn send(&mut self, packet: &[u8]) -> Result<(), Error> {
        let Some(ws) = &mut self.ws else { return Ok(self.pipe.seal(packet)?) };
        let mut frame = BytesMut::with_capacity(packet.len() + 14);
        ws.wrap(ws_frame::BINARY, packet, &mut frame);
        Ok(self.pipe.seal(&frame)?)
    }

    /// Write as much as the socket takes.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        Ok(self.pipe.flush()?)
    }

    /// Wait until there is something to read, or to write what waits; true: somebody interrupted.
    pub(super) fn wait(&mut self, most: Option<Duration>) -> Result<bool, Error> {
        let most = if self.pipe.is_ready() { Some(Duration::ZERO) } else { most };
        Ok(self.pipe.wait(most)?)
    }

    /// Read what has arrived, up to a bound; false: there will be nothing more.
    pub(super) fn receive(&mut self, into: &mut BytesMut) -> Result<bool, Error> {
        let Some(ws) = &mut self.ws else {
            if !self.framed.is_empty() {
                // What came right behind the handshake is first.
                into.unsplit(self.framed.split());
            }
            return Ok(self.pipe.receive(into)?);
        };
        let open = self.pipe.receive(&mut self.framed);
        let mut answers = BytesMut::new();
        let within = ws.unwrap(&mut self.framed, into, &mut answers);
        if !answers.is_empty() {
            self.pipe.seal(&answers)?;
        }
        Ok(within? && open?)
    }

    /// Say that nothing follows, in every layer.
    pub(super) fn close(&mut self) {
        if let Some(ws) = &mut self.ws {
            let mut frame = BytesMut::new();
            ws.wrap(ws_frame::CLOSE, &1000u16.to_be_bytes(), &mut frame);
            let _ = self.pipe.seal(&frame);
        }
        self.pipe.close();
    }
}
