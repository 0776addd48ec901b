//! Floor 3. A file that is too long to be kept in memory: it goes on piece by piece as it comes.
//!
//! What stands before it in its frame is a packet like others, and as long at most. Then only so
//! much of the file is under way as such a packet may have; nothing more is read of the connection
//! until some of it is done, and nobody else waits for that. The message is acted upon when the
//! file is where it belongs, or came to its end without being taken. Where the listener keeps files
//! it waits for those who hear the message (`giving`); else, and when that could not be done, they
//! are told in it that there is no file. Absent on purpose: where files go, and those that are
//! short (`peer`).

use std::collections::VecDeque;

use bytes::{Buf, BytesMut};

use crate::base::stats::Counter;
use crate::hub::policy::Access;
use crate::proto::Ctx;
use crate::proto::fault::{Fault, FaultKind};

use super::decode::{Content, Front, front};
use super::errand::{Errand, Ran};
use super::file::WithFile;
use super::giving::{WITHHELD, withhold};
use super::heard::{Heard, What};
use super::letter::Apart;
use super::names::Name;
use super::peer::{Filing, Peer, State};

/// A file that comes, and the message that it came with.
#[derive(Debug)]
pub(super) struct Taking {
    heard: Heard,
    content: Content,
    /// Bytes that have not come, and all there are.
    left: u64,
    size: u64,
    to: To,
    /// It is for here, too.
    keep: bool,
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

    /// All of it has come.
    pub(super) fn is_here(&self) -> bool {
        self.left == 0
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
        let heard = self.hear(frame)?.ok_or(FaultKind::AioOverMax)?;
        let kept = self.stored(&heard, ctx);
        let passed = self.passed(&heard, file, ctx);
        let (keep, pass) = (kept.is_some(), passed.is_some());
        let open = kept.or(passed);
        let open = open.map(|(from, with)| Errand::Open { from, with, size: file, keep, pass });
        let mut under_way = VecDeque::new();
        let to = if open.is_some() { To::Disk } else { To::Nowhere };
        under_way.extend(open.map(|open| (self.go(open, ctx), 0)));
        let (left, size) = (file, file);
        let taking = Taking { heard, content, left, size, to, keep, under_way, bytes: 0 };
        self.taking = Some(Box::new(taking));
        Ok(true)
    }

    /// Others may hear it, and its file with it: whose, and what is said of it. Who may not say it
    /// takes no room from those who may.
    fn passed(&self, heard: &Heard, size: u64, ctx: &mut Ctx<'_>) -> Option<(Name, Box<WithFile>)> {
        let State::Online(online) = &self.state else { return None };
        let keeps = ctx.listener.desk.as_ref().is_some_and(|desk| desk.files.is_some());
        if !keeps || size > ctx.hub.limits.aio_spool_bytes_max {
            return None;
        }
        let (kind, frame) = match &heard.what {
            What::Message(frame) | What::Answer(frame) => (&frame.header.message_type, frame),
            What::Publish(kind, frame) => (kind, frame),
            _ => return None,
        };
        let asked = matches!(&heard.what, What::Answer(_))
            && frame
                .header
                .response_id
                .as_ref()
                .is_some_and(|id| online.book.by(kind, id).is_some());
        let topic = online.topic(kind, ctx)?;
        if !asked && !ctx.hub.policy.permit(&online.who, &Access::Publish(&topic)) {
            return None;
        }
        let with = WithFile::of(frame).ok().flatten()?;
        Some((online.name.clone(), Box::new(with)))
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
        let Taking { mut heard, content, to, keep, size, .. } = *taking;
        match to {
            To::Disk => {
                let serial = self.go(Errand::Close, ctx);
                let long = Some(size);
                self.filing = Some(Box::new(Filing { serial, heard, content, keep, long }));
                return Ok(());
            }
            To::Refused if keep => ctx.hub.stats.count(Counter::FilesRefused),
            To::Refused | To::Nowhere => {}
        }
        self.pass(&mut heard, None);
        self.act(heard, content, ctx)
    }

    /// What is said next has its file there; none: whoever hears it is told that there is none.
    pub(super) fn pass(&mut self, heard: &mut Heard, apart: Option<Apart>) {
        let State::Online(online) = &mut self.state else { return };
        if apart.is_none()
            && let What::Message(frame) | What::Answer(frame) | What::Publish(_, frame) =
                &mut heard.what
        {
            online.withholds = withhold(frame, WITHHELD);
        }
        (online.passes, online.readers) = (apart, 0);
    }

    /// Its sender is gone: nothing of it is left.
    pub(super) fn forsake(&mut self, ctx: &mut Ctx<'_>) {
        if self.taking.take().is_some_and(|taking| taking.to == To::Disk) {
            self.go(Errand::Abandon, ctx);
        }
    }
}

/// Pieces under way: each may keep a whole buffer that was read into.
const PIECES_MAX: usize = 16;
