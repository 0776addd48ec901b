//! Floor 3. A file that is too long to be kept in memory: it goes on piece by piece as it comes.
//!
//! What stands before it in its frame is a packet like others, and as long at most. Then only so
//! much of the file is under way as such a packet may have; nothing more is read of the connection
//! until some of it is done, and nobody else waits for that. The message is acted upon when the
//! file is where it belongs, or came to its end without being taken. Whoever hears the message is
//! told in it that there is no file: none that is longer than a packet is passed on. Absent on
//! purpose: where files go, and those that are short (`peer`).

use std::collections::VecDeque;

use bytes::{Buf, BytesMut};

use crate::base::stats::Counter;
use crate::proto::Ctx;
use crate::proto::fault::{Fault, FaultKind};

use super::decode::{Content, Front, front};
use super::errand::{Errand, Ran};
use super::file::WithFile;
use super::heard::{Heard, What};
use super::peer::{Filing, Peer, State};

/// A file that comes, and the message that it came with.
#[derive(Debug)]
pub(super) struct Taking {
    heard: Heard,
    content: Content,
    /// Bytes that have not come.
    left: u64,
    to: To,
    /// What was handed on and is not answered: under which number, and how long it is.
    under_way: VecDeque<(u32, usize)>,
    /// Bytes of that.
    bytes: usize,
}

/// Where its bytes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum To {
    /// To whoever writes them.
    Disk,
    /// There it went, and cannot any more.
    Refused,
    /// Nobody here keeps it.
    Nowhere,
}

impl Taking {
    /// Nothing more is taken of it for now. `most` is how much may be under way.
    pub(super) fn is_full(&self, most: usize) -> bool {
        self.left == 0 || self.bytes >= most || self.under_way.len() >= PIECES_MAX
    }
}

impl Peer {
    /// The front of a frame that is too long to be kept; false: it has not come yet.
    pub(super) fn begin(&mut self, input: &mut BytesMut, ctx: &mut Ctx<'_>) -> Result<bool, Fault> {
        let Some((begun, len)) = front(input, ctx.hub.limits.packet_bytes_max)? else {
            return Ok(false);
        };
        input.advance(len);
        let Front { frame, content, file } = begun;
        let mut heard = self.hear(frame)?.ok_or(FaultKind::AioOverMax)?;
        let stored = self.stored(&heard, ctx);
        let open = stored.map(|(from, with)| Errand::Open { from, with, size: file });
        let withheld = withhold(&mut heard);
        if let State::Online(online) = &mut self.state {
            online.withholds = withheld;
        }
        let mut under_way = VecDeque::new();
        let to = if open.is_some() { To::Disk } else { To::Nowhere };
        under_way.extend(open.map(|open| (self.go(open, ctx), 0)));
        let taking = Taking { heard, content, left: file, to, under_way, bytes: 0 };
        self.taking = Some(Box::new(taking));
        Ok(true)
    }

    /// What has come of the file; false: nothing.
    pub(super) fn take_piece(
        &mut self,
        input: &mut BytesMut,
        ctx: &mut Ctx<'_>,
    ) -> Result<bool, Fault> {
        let most = self.owed_max;
        let Some(taking) = &mut self.taking else { return Ok(false) };
        let left = usize::try_from(taking.left).unwrap_or(usize::MAX);
        let mut len = input.len().min(left);
        let kept = taking.to == To::Disk;
        if kept {
            len = len.min(most.saturating_sub(taking.bytes));
        }
        if len == 0 {
            return Ok(false);
        }
        taking.left -= len as u64;
        let piece = input.split_to(len);
        if kept {
            let serial = self.go(Errand::Piece(piece.freeze()), ctx);
            if let Some(taking) = &mut self.taking {
                taking.under_way.push_back((serial, len));
                taking.bytes += len;
            }
        }
        self.is_heard(ctx.now);
        self.end(ctx)?;
        Ok(true)
    }

    /// Something of it is done, or is not; false: it was something else.
    pub(super) fn on_piece(
        &mut self,
        serial: u32,
        done: &Ran,
        ctx: &mut Ctx<'_>,
    ) -> Result<bool, Fault> {
        let Some(taking) = &mut self.taking else { return Ok(false) };
        let first = taking.under_way.pop_front_if(|(first, _)| *first == serial);
        let Some((_, len)) = first else { return Ok(false) };
        taking.bytes -= len;
        if *done != Ran::Taken {
            taking.to = To::Refused;
        }
        self.is_heard(ctx.now);
        self.end(ctx)?;
        Ok(true)
    }

    /// If all of it has come and is done, it is to have its name, or its message goes on.
    fn end(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        let over = |taking: &mut Box<Taking>| taking.left == 0 && taking.under_way.is_empty();
        let Some(taking) = self.taking.take_if(over) else { return Ok(()) };
        let Taking { heard, content, to, .. } = *taking;
        match to {
            To::Disk => {
                let serial = self.go(Errand::Close, ctx);
                self.filing = Some(Box::new(Filing { serial, heard, content }));
                return Ok(());
            }
            To::Refused => ctx.hub.stats.count(Counter::FilesRefused),
            To::Nowhere => {}
        }
        self.act(heard, content, ctx)
    }

    /// Its sender is gone: nothing of it is left.
    pub(super) fn forsake(&mut self, ctx: &mut Ctx<'_>) {
        if self.taking.take().is_some_and(|taking| taking.to == To::Disk) {
            self.go(Errand::Abandon, ctx);
        }
    }
}

/// Whoever hears it is told that there is no file. False: nobody hears it.
fn withhold(heard: &mut Heard) -> bool {
    let (What::Message(frame) | What::Answer(frame) | What::Publish(_, frame)) = &mut heard.what
    else {
        return false;
    };
    if let Ok(Some(with)) = WithFile::of(frame) {
        let file_error = Some(WITHHELD.into());
        frame.header.with_file = Some(WithFile { file_error, ..with }.write());
    }
    true
}

/// What is said to whoever hears the message without its file.
const WITHHELD: &str = "longer than the broker passes on";
/// Pieces under way: each may keep a whole buffer that was read into.
const PIECES_MAX: usize = 16;
