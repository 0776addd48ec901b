//! Floor 5. One connection of a WAMP client: a pipe, and in it a WebSocket or a RawSocket's frames.
//!
//! Absent on purpose: messages, and any clock but the deadline it is handed.

#![expect(clippy::disallowed_types, reason = "a client on its own thread reads its own clock")]

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use mio::Waker;

use crate::base::rng::Rng;
use crate::client::mqtt::Session;
use crate::client::pipe::{Broke, Pipe, Socket, seed};
use crate::proto::wamp::batch;
use crate::proto::wamp::rawsocket::{self, Denied, Frame, Kind, Offer, Refusal};
use crate::value::Form;

use super::Error;
use super::setup::Plan;
use super::url::Place;
use super::ws::{Spoken, Ws};

/// What marks where messages begin and end.
#[derive(Debug)]
enum Frames {
    /// The length that this side takes.
    Raw(usize),
    Ws(Box<Ws>),
}

/// A connection.
#[derive(Debug)]
pub(super) struct Wire {
    pipe: Pipe,
    frames: Frames,
    spoken: Spoken,
    /// The longest message that the router takes.
    takes: usize,
    /// Plain, still in frames.
    framed: BytesMut,
    /// What is left of a batch.
    batch: Option<batch::Messages>,
}

impl Wire {
    /// Dial, and come through the handshakes. Of several forms, a RawSocket is asked for one after
    /// the other.
    pub(super) fn open(plan: &Plan, deadline: Instant) -> Result<Self, Error> {
        let mut last = Err(Error::Setting("no serializer"));
        for spoken in &plan.offered {
            last = Self::dial(plan, *spoken, deadline);
            match &last {
                // There is another form to ask for.
                Err(Error::RawSocket(why)) if *why == refusal(Refusal::Serializer as u8) => {}
                _ => return last,
            }
        }
        last
    }

    fn dial(plan: &Plan, spoken: Spoken, deadline: Instant) -> Result<Self, Error> {
        let host = match &plan.url.place {
            Place::Tcp(host, _) => host.as_str(),
            Place::Unix(_) | Place::Inner(_) => "localhost",
        };
        let tls = match plan.url.tls {
            true => Some(Session::new(&plan.tls, host)?),
            false => None,
        };
        let socket = |waker: &Arc<Waker>| match &plan.url.place {
            Place::Tcp(host, port) => {
                let by = |address, left| TcpStream::connect_timeout(&address, left);
                Socket::tcp((host, *port), deadline, by)
            }
            Place::Unix(path) => Socket::unix(path),
            Place::Inner(enter) => {
                let waker = Arc::clone(waker);
                // Who has gone waits for nothing.
                let wake = move || drop(waker.wake());
                enter.0(Arc::new(wake)).map(Socket::Inner).map_err(Broke::Dial)
            }
        };
        let mut wire = Self {
            pipe: Pipe::open(socket, tls)?,
            frames: Frames::Raw(plan.longest),
            spoken,
            takes: rawsocket::LONGEST,
            framed: BytesMut::new(),
            batch: None,
        };
        wire.pipe.shake_hands(&mut wire.framed, deadline)?;
        match &plan.url.path {
            Some(path) => wire.upgrade(plan, host, path, deadline)?,
            None => wire.agree(plan, deadline)?,
        }
        Ok(wire)
    }

    fn upgrade(
        &mut self,
        plan: &Plan,
        host: &str,
        path: &str,
        deadline: Instant,
    ) -> Result<(), Error> {
        let named = match &plan.url.place {
            Place::Tcp(_, port) if host.contains(':') => format!("[{host}]:{port}"),
            Place::Tcp(_, port) => format!("{host}:{port}"),
            Place::Unix(_) | Place::Inner(_) => host.to_owned(),
        };
        let rng = Rng::new(seed());
        let (mut ws, request) = Ws::new(&named, path, &plan.offered, plan.longest, rng);
        self.seal(&request)?;
        self.spoken = loop {
            if let Some(spoken) = ws.greet(&mut self.framed, &plan.offered)? {
                break spoken;
            }
            self.step(deadline, Error::WebSocket("the router hung up"))?;
        };
        self.takes = usize::MAX;
        self.frames = Frames::Ws(Box::new(ws));
        Ok(())
    }

    /// The four octets of a RawSocket, either way.
    fn agree(&mut self, plan: &Plan, deadline: Instant) -> Result<(), Error> {
        let form = self.spoken.form;
        let ours = Offer { takes: plan.longest, form };
        self.seal(&ours.octets())?;
        let offer = loop {
            match rawsocket::answered(&self.framed, form) {
                Ok(Some(offer)) => break offer,
                Ok(None) => {
                    let hung_up = "the router hung up".to_owned();
                    self.step(deadline, Error::RawSocket(hung_up))?;
                }
                Err(Denied::Foreign) => {
                    return Err(Error::RawSocket("something else is spoken there".to_owned()));
                }
                Err(Denied::Otherwise) => {
                    return Err(Error::RawSocket("agreed to what was not asked".to_owned()));
                }
                Err(Denied::Refused(why)) => return Err(Error::RawSocket(refusal(why))),
            }
        };
        self.framed.advance(rawsocket::HEAD);
        self.takes = offer.takes;
        Ok(())
    }

    /// One turn of a handshake: what comes is kept as framed.
    fn step(&mut self, deadline: Instant, ended: Error) -> Result<(), Error> {
        self.pipe.step(&mut self.framed, deadline).map_err(|broke| match broke {
            Broke::HungUp => ended,
            broke => broke.into(),
        })
    }

    pub(super) fn waker(&self) -> Arc<Waker> {
        self.pipe.waker()
    }

    /// What messages are written in.
    pub(super) fn form(&self) -> Form {
        self.spoken.form
    }

    /// The longest message that the router takes.
    pub(super) fn takes(&self) -> usize {
        self.takes
    }

    /// Bytes that were said and not written.
    pub(super) fn waiting(&self) -> usize {
        self.pipe.waiting()
    }

    /// Say a message.
    pub(super) fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        let mut framed = BytesMut::with_capacity(message.len() + 14);
        match &mut self.frames {
            Frames::Raw(_) => {
                let head = rawsocket::head(Kind::Message, message.len()).ok_or(Error::TooLarge)?;
                framed.extend_from_slice(&head);
                framed.extend_from_slice(message);
            }
            Frames::Ws(ws) if self.spoken.batched => {
                let mut batch = Vec::with_capacity(message.len() + 4);
                if !batch::Split::of(self.spoken.form).put(message, &mut batch) {
                    return Err(Error::TooLarge);
                }
                ws.wrap(&batch, &mut framed);
            }
            Frames::Ws(ws) => ws.wrap(message, &mut framed),
        }
        self.seal(&framed)
    }

    /// Ask for a sign of life.
    pub(super) fn ping(&mut self) -> Result<(), Error> {
        let mut framed = BytesMut::new();
        match &mut self.frames {
            Frames::Raw(_) => framed.extend(rawsocket::head(Kind::Ping, 0).iter().flatten()),
            Frames::Ws(ws) => ws.ping(&mut framed),
        }
        self.seal(&framed)
    }

    /// The next message that has arrived whole.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(message) = self.batch.as_mut().and_then(Iterator::next) {
                return message.map(Some).map_err(|kind| Error::Protocol(kind.text().to_owned()));
            }
            self.batch = None;
            let Some(message) = self.unframe()? else { return Ok(None) };
            if !self.spoken.batched {
                return Ok(Some(message));
            }
            self.batch = Some(batch::messages(self.spoken.form, message));
        }
    }

    fn unframe(&mut self) -> Result<Option<Bytes>, Error> {
        let takes = match &mut self.frames {
            Frames::Raw(takes) => *takes,
            Frames::Ws(ws) => {
                let mut answers = BytesMut::new();
                let message = ws.next(&mut self.framed, &mut answers);
                if !answers.is_empty() {
                    self.seal(&answers)?;
                }
                return message;
            }
        };
        loop {
            let frame = rawsocket::next(&mut self.framed, takes);
            match frame.map_err(|kind| Error::RawSocket(kind.text().to_owned()))? {
                Some(Frame::Message(message)) => return Ok(Some(message)),
                Some(Frame::Ping(payload)) => {
                    let head = rawsocket::head(Kind::Pong, payload.len());
                    let mut pong = head.unwrap_or_default().to_vec();
                    pong.extend_from_slice(&payload);
                    self.seal(&pong)?;
                }
                Some(Frame::Pong(_)) => {}
                None => return Ok(None),
            }
        }
    }

    fn seal(&mut self, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.pipe.seal(bytes)?)
    }

    /// Write as much as the socket takes.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        Ok(self.pipe.flush()?)
    }

    /// Wait until there is something to read, or to write what waits, or somebody woke us. While
    /// nothing is to be read, what has arrived is no reason to come back.
    pub(super) fn wait(&mut self, most: Option<Duration>) -> Result<(), Error> {
        self.pipe.wait(most)?;
        Ok(())
    }

    /// The socket may have something to read.
    pub(super) fn is_readable(&self) -> bool {
        self.pipe.is_readable()
    }

    /// Read what has arrived, up to a bound; false: there will be nothing more.
    pub(super) fn receive(&mut self) -> Result<bool, Error> {
        Ok(self.pipe.receive(&mut self.framed)?)
    }

    /// Bytes that were read and not understood yet.
    pub(super) fn unread(&self) -> usize {
        self.framed.len()
    }

    /// Say that nothing follows, in every layer, and wait a moment for the router to close: closing
    /// over bytes that were not read could destroy what it has not read.
    pub(super) fn close(mut self, deadline: Instant) {
        if let Frames::Ws(ws) = &mut self.frames {
            let mut frame = BytesMut::new();
            ws.close(&mut frame);
            let _ = self.seal(&frame);
        }
        self.pipe.linger(deadline);
    }
}

fn refusal(why: u8) -> String {
    match why {
        1 => "the router does not speak in this form",
        2 => "the router does not accept messages of our length",
        3 => "the router misread our offer",
        4 => "too many connections",
        _ => return format!("refused with {why}"),
    }
    .to_owned()
}
