//! Floor 3. A file that is too long to be kept in its message, on its way to a client: piece by
//! piece, as its connection takes it.
//!
//! The first piece is asked for before anything is said. If there is none, the message goes without
//! its file and says so. With the first piece the head of the frame goes, which says how long all
//! of it is: from then on nothing else is said on the connection, and what cannot be gone on with
//! ends it. A few pieces are on their way or wait for the socket, and the next is asked for when
//! one of them has been said. Absent on purpose: disks, and whoever comes first (the hub).

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::id::{ConnId, Ticket};
use crate::base::limits::Limit;
use crate::base::outbound::Outbound;
use crate::base::stats::Counter;
use crate::base::time::Now;
use crate::hub::Hub;
use crate::proto::fault::{Fault, FaultKind};
use crate::proto::{Ask, Ctx};

use super::encode::{encode, encode_front, header_fits};
use super::errand::{Desk, Errand, Ran};
use super::file::WithFile;
use super::letter::Apart;
use super::online::Online;
use super::packet::{Frame, Id};
use super::peer::{Peer, State};

/// Bytes that are asked for at once, if a packet may be as long.
const PIECE: usize = 256 << 10;
/// Pieces that are on their way or wait for the socket.
const AHEAD: usize = 2;
/// What is said to whoever hears the message without its file.
pub(super) const WITHHELD: &str = "longer than the broker passes on";
/// The same when the file was there once.
const GONE: &str = "the broker has the file no more";

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Nothing is said of it.
    Asks,
    /// There is no file.
    Missing,
    /// Its head is said.
    Goes,
}

/// A file on its way, and the message that it belongs to.
#[derive(Debug)]
pub(super) struct Giving {
    frame: Frame,
    number: u64,
    size: u64,
    /// Where it is.
    desk: Arc<Desk>,
    stage: Stage,
    /// Bytes that were asked for, and those that were said.
    asked: u64,
    said: u64,
    piece: usize,
    /// What was asked for and is not answered: under which number, and how long it is.
    under_way: VecDeque<(u32, usize)>,
    /// What came and is not said.
    here: VecDeque<Bytes>,
}

/// Files that the client has not acknowledged, and where they are: the numbers of its messages.
pub(super) type Given = Vec<(u64, Arc<Desk>, u64)>;

impl Giving {
    /// With packets of this length. None: it could not even be told without the file.
    pub(super) fn new(frame: Frame, apart: &Apart, packet: usize) -> Option<Self> {
        // Its header is another than that with which it came.
        let fits = encode_front(&frame, apart.size, &mut Outbound::default()).is_ok();
        let files = Some(apart.at.as_str().to_owned());
        let desk = Arc::new(Desk { files, ..Desk::default() });
        let it = Self {
            frame,
            number: apart.number,
            size: apart.size,
            desk,
            stage: if fits { Stage::Asks } else { Stage::Missing },
            asked: 0,
            said: 0,
            piece: PIECE.min(packet),
            under_way: VecDeque::new(),
            here: VecDeque::new(),
        };
        header_fits(&it.without().header, 0).then_some(it)
    }

    /// The message as it is told without its file.
    fn without(&self) -> Frame {
        let mut frame = self.frame.clone();
        withhold(&mut frame, GONE);
        frame
    }

    /// The next piece, under this number.
    fn ask(&mut self, serial: u32) -> Option<Errand> {
        let most = if self.stage == Stage::Goes { AHEAD } else { 1 };
        let enough = self.under_way.len() + self.here.len() >= most;
        if enough || self.asked >= self.size || self.stage == Stage::Missing {
            return None;
        }
        let at = self.asked;
        let left = usize::try_from(self.size - at).unwrap_or(usize::MAX);
        let len = self.piece.min(left);
        self.asked += len as u64;
        self.under_way.push_back((serial, len));
        Some(Errand::Fetch { number: self.number, size: self.size, at, len })
    }

    /// What was asked for came, or did not; false: it was something else.
    fn on_fetched(&mut self, serial: u32, done: &Ran) -> Result<bool, Fault> {
        let first = self.under_way.pop_front_if(|(first, _)| *first == serial);
        let Some((_, len)) = first else { return Ok(false) };
        match done {
            Ran::Fetched(piece) if piece.len() == len => self.here.push_back(piece.clone()),
            _ if self.stage == Stage::Asks => self.stage = Stage::Missing,
            // How long the frame is has been said.
            _ => return Err(FaultKind::AioFileLost.fault()),
        }
        Ok(true)
    }

    /// Say of it what is here, until `most` is said; true when all of it is.
    fn say(&mut self, out: &mut Outbound, most: usize) -> bool {
        if self.stage == Stage::Asks {
            if self.here.is_empty() {
                return false;
            }
            // It was found to fit.
            let _ = encode_front(&self.frame, self.size, out);
            self.stage = Stage::Goes;
        }
        if self.stage == Stage::Missing {
            // Its header was found to fit, and it came in a packet.
            let _ = encode(&self.without(), out);
            return true;
        }
        while out.len() < most
            && let Some(piece) = self.here.pop_front()
        {
            self.said += piece.len() as u64;
            out.put_bytes(&piece);
        }
        self.said >= self.size
    }
}

impl Online {
    /// In the midst of a frame nothing else is said.
    pub(super) fn is_giving(&self) -> bool {
        self.giving.as_ref().is_some_and(|giving| giving.stage == Stage::Goes)
    }

    /// Say more of the file that is on its way; true when none is any more.
    pub(super) fn give(
        &mut self,
        now: Now,
        hub: &mut Hub,
        out: &mut Outbound,
        most: usize,
    ) -> bool {
        let Some(giving) = &mut self.giving else { return true };
        if !giving.say(out, most) {
            return false;
        }
        let Some(giving) = self.giving.take() else { return true };
        if giving.stage == Stage::Missing {
            hub.stats.count(Counter::FilesWithheld);
            return true;
        }
        hub.stats.count(Counter::FilesForwarded);
        // Meanwhile it could not be asked, and it could not answer.
        self.pinged = self.pinged.map(|_| now.mono);
        let id = giving.frame.header.transport_id.as_ref().and_then(Id::number);
        self.given.extend(id.map(|id| (id, giving.desk, giving.number)));
        true
    }

    /// It has the message of this number, and so the file that went with it.
    pub(super) fn had(&mut self, id: u64) -> Option<(Arc<Desk>, Errand)> {
        let at = self.given.iter().position(|(own, ..)| *own == id)?;
        let (_, desk, number) = self.given.swap_remove(at);
        Some((desk, Errand::Had(number)))
    }
}

impl Peer {
    /// What is to be fetched now for what is said next.
    pub fn poll_errand(&mut self, conn: ConnId) -> Option<Ask> {
        let State::Online(online) = &mut self.state else { return None };
        let giving = online.giving.as_mut()?;
        let serial = self.serial.wrapping_add(1);
        let errand = giving.ask(serial)?;
        self.serial = serial;
        let ticket = Ticket { conn, serial };
        Some(Ask::Errand { ticket, desk: giving.desk.clone(), errand })
    }

    /// Something was fetched, or is not there; false: it was something else.
    pub(super) fn on_fetched(&mut self, serial: u32, done: &Ran) -> Result<bool, Fault> {
        let State::Online(online) = &mut self.state else { return Ok(false) };
        let Some(giving) = &mut online.giving else { return Ok(false) };
        giving.on_fetched(serial, done)
    }

    /// It is over: nothing more is fetched. True: in the midst of a frame, behind which nothing can
    /// be said.
    pub(super) fn stop_giving(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let State::Online(online) = &mut self.state else { return false };
        let Some(giving) = online.giving.take() else { return false };
        if giving.asked > 0 {
            let ticket = Ticket { conn: ctx.conn, serial: self.serial };
            ctx.asks.push(Ask::Errand { ticket, desk: giving.desk, errand: Errand::Leave });
        }
        giving.stage == Stage::Goes
    }

    /// What it said is on its way with its file, to so many; or is on no way, and nobody needs it.
    pub(super) fn tell_of_passed(&mut self, ctx: &mut Ctx<'_>) {
        let State::Online(online) = &mut self.state else { return };
        let (passes, readers) = (online.passes.take(), core::mem::take(&mut online.readers));
        if let Some(Apart { number, .. }) = passes {
            self.go(Errand::Told { number, readers }, ctx);
        }
    }
}

/// Whoever hears it is told that there is no file, and why. False: there would be none anyway.
pub(super) fn withhold(frame: &mut Frame, why: &str) -> bool {
    let Ok(Some(with)) = WithFile::of(frame) else { return false };
    let file_error = Some(why.into());
    frame.header.with_file = Some(WithFile { file_error, ..with }.write());
    true
}

/// Somebody hears it, and has no file that there was.
pub(super) fn note_withheld(who: &Online, ctx: &mut Ctx<'_>) {
    ctx.hub.stats.count(Counter::FilesWithheld);
    let name = who.name.as_str().as_bytes();
    ctx.hub.limited_at(ctx.now, Some(ctx.conn), name, Limit::packet_bytes_max);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::aio::next;
    use bytes::BytesMut;

    #[test]
    fn what_a_frame_cannot_tell_the_length_of_is_not_fetched_and_said_to_be_gone() {
        let mut frame = Frame::of("any", "ann").with("data");
        frame.header.with_file = Some(Bytes::from_static(b"{}"));
        let given = |size: u64| {
            let apart = Apart { at: "/a".into(), number: 1, size };
            Giving::new(frame.clone(), &apart, 1_000).expect("it can be told")
        };
        assert!(given(1 << 30).ask(1).is_some());
        let mut long = given(u64::from(u32::MAX));
        assert_eq!(long.ask(1), None);
        let mut out = Outbound::default();
        assert!(long.say(&mut out, 1_000), "that is all of it");
        let mut said = BytesMut::from(&out.to_vec()[..]);
        let said = next(&mut said, 1_000).expect("good").expect("whole");
        let with = WithFile::of(&said).expect("good").expect("a file is said of");
        assert_eq!(with.file_error, Some(GONE.into()));
    }
}
