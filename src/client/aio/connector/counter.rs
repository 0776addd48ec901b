//! Floor 5. One application that sends: its frames, one after the other, and answers to questions.
//!
//! Nothing is answered but questions, each on a connection of its own or in turn. A frame must be
//! whole within seconds of its first byte; no room is made for what was only announced, and all
//! applications together have so much under way at most. Who it is from is the connector's to say,
//! and a client's also who it is for. Absent on purpose: acknowledgements; the protocol has none
//! here.

#![expect(clippy::disallowed_types, reason = "a connector reads its own clock")]

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use crossbeam_channel::RecvTimeoutError;

use crate::client::aio::{Id, Message};
use crate::proto::aio::{encode_vec, inner, next};

use super::house::{Asked, House, Sent, told};

/// Why an application is not listened to any more.
#[derive(Debug)]
pub(super) enum Gone {
    /// It has hung up.
    Left,
    /// It has said something that cannot be.
    Wrong(String),
}

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Self {
        Self::Left
    }
}

/// Listen to an application until it has left.
pub(super) fn serve(house: &House, stream: UnixStream) {
    let mut app = App { house, stream, input: BytesMut::new(), booked: 0 };
    let gone = loop {
        match app.frame().and_then(|frame| app.on_frame(frame)) {
            Ok(true) => {}
            Ok(false) => return,
            Err(gone) => break gone,
        }
    };
    if let Gone::Wrong(why) = gone {
        log::warn!("an application was hung up on: {why}");
    }
}

struct App<'a> {
    house: &'a House,
    stream: UnixStream,
    input: BytesMut,
    /// What of `House::coming` is ours.
    booked: usize,
}

impl Drop for App<'_> {
    fn drop(&mut self) {
        self.book(0);
    }
}

impl App<'_> {
    /// The next frame.
    fn frame(&mut self) -> Result<Message, Gone> {
        let wrong = |fault: crate::proto::fault::Fault| Gone::Wrong(fault.to_string());
        let max = self.house.setup.message_max;
        let mut begun: Option<Instant> = (!self.input.is_empty()).then(Instant::now);
        loop {
            if let Some(frame) = next(&mut self.input, max).map_err(wrong)? {
                self.book(self.input.len());
                return Ok(frame);
            }
            self.stream.set_read_timeout(left(begun.map(|begun| begun.elapsed()))?)?;
            self.read()?;
            begun.get_or_insert_with(Instant::now);
        }
    }

    /// Read something; waiting in vain is nothing.
    fn read(&mut self) -> Result<(), Gone> {
        let mut part = [0; 16 << 10];
        match self.stream.read(&mut part) {
            Ok(0) => return Err(Gone::Left),
            Ok(len) => self.input.extend_from_slice(part.get(..len).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(_) => return Err(Gone::Left),
        }
        if self.book(self.input.len()) > COMING_MAX {
            return Err(Gone::Wrong("too much is on its way from applications".to_owned()));
        }
        Ok(())
    }

    /// So many bytes are held for this one; what all have together.
    fn book(&mut self, now: usize) -> usize {
        let coming = &self.house.coming;
        coming.fetch_add(now, Ordering::Relaxed);
        let before = coming.fetch_sub(self.booked, Ordering::Relaxed);
        let all = before.saturating_sub(self.booked);
        self.booked = now;
        all
    }

    /// Do what a frame wants; false: that was all.
    fn on_frame(&mut self, mut frame: Message) -> Result<bool, Gone> {
        let house = self.house;
        let header = &mut frame.header;
        (header.source_id, header.transport_id) = (None, None);
        if house.hall.is_none() {
            header.destination_id = None;
        }
        let peer = house.peer_of(&frame);
        let header = &frame.header;
        let kind = header.message_type.as_str();
        let inner = kind == inner::PING || kind == inner::PUBSUB;
        let own = !kind.starts_with('_') && house.setup.send_types.iter().any(|it| it == kind);
        let ignored = peer.is_some_and(|peer| house.ignores(&peer));
        let why = match (inner || own, ignored) {
            (true, false) => None,
            (true, true) => Some("traffic is ignored".to_owned()),
            (false, _) => Some("its type is none that may be sent".to_owned()),
        };
        if let Some(why) = why {
            told(&house.tally.unsent, "of applications", &why);
            return Ok(house.setup.send_more);
        }
        if header.await_response {
            return self.ask(frame);
        }
        if let Sent::Not(why) | Sent::Failed(why) = house.send(frame) {
            told(&house.tally.unsent, "of applications", &why);
        }
        Ok(house.setup.send_more)
    }

    /// A question: nothing else is heard until it is answered.
    fn ask(&mut self, question: Message) -> Result<bool, Gone> {
        let house = self.house;
        let kind = question.header.message_type.as_str().to_owned();
        let asked = match house.ask(question) {
            Ok(asked) => asked,
            Err(why) => {
                told(&house.tally.unsent, "of applications", &why);
                // Whoever waits would wait in vain.
                return Ok(false);
            }
        };
        let Some(answer) = self.answer(&asked, &kind)? else { return Ok(false) };
        drop(asked);
        let bytes = encode_vec(&answer).map_err(|e| Gone::Wrong(e.to_string()))?;
        self.stream.set_nonblocking(false)?;
        self.stream.set_write_timeout(Some(WHOLE))?;
        self.stream.write_all(&bytes)?;
        Ok(house.setup.send_more)
    }

    /// Wait for it for as long as whoever asked does.
    fn answer(&mut self, asked: &Asked<'_>, kind: &str) -> Result<Option<Message>, Gone> {
        let begun = Instant::now();
        while begun.elapsed() < ANSWER && !self.house.is_over() {
            match asked.answer.recv_timeout(STEP) {
                Ok(Some(received)) => return Ok(Some(received.frame)),
                Ok(None) => return Ok(Some(interrupted(kind))),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {
                    self.stream.set_nonblocking(true)?;
                    self.read()?;
                }
            }
        }
        Ok(None)
    }
}

/// How long may be waited for the rest of a frame of which something came so long ago.
fn left(begun: Option<Duration>) -> Result<Option<Duration>, Gone> {
    let Some(begun) = begun else { return Ok(None) };
    match WHOLE.checked_sub(begun) {
        Some(left) if !left.is_zero() => Ok(Some(left)),
        _ => Err(Gone::Wrong("a frame was not whole in time".to_owned())),
    }
}

/// What the original says to who waits when the connection is lost.
fn interrupted(kind: &str) -> Message {
    let mut frame = Message::of(kind, "").with("{}");
    frame.header.source_id = None;
    let why = Id::from("disconnected_during_wait");
    frame.header.others = vec![("error".into(), Bytes::clone(why.json()))];
    frame
}

/// From the first byte of a frame to its last.
const WHOLE: Duration = Duration::from_secs(10);
/// For an answer.
const ANSWER: Duration = Duration::from_secs(3_600);
/// How often is looked whether whoever asked is still there.
const STEP: Duration = Duration::from_millis(500);
/// What applications may have under way together.
const COMING_MAX: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_waited_for_as_long_as_nothing_of_it_has_come_and_then_for_some_time() {
        let ms = Duration::from_millis;
        assert!(matches!(left(None), Ok(None)));
        assert!(matches!(left(Some(ms(0))), Ok(Some(WHOLE))));
        assert!(matches!(left(Some(ms(9_999))), Ok(Some(left)) if left == ms(1)));
        for late in [WHOLE, WHOLE + ms(1)] {
            assert!(matches!(left(Some(late)), Err(Gone::Wrong(_))), "{late:?}");
        }
    }
}
