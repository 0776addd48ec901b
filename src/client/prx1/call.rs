//! Floor 5. What a program has in its hand of a PRX1 call: one it made, one it serves.
//!
//! Dropping takes back: a call that is not over, a question without an answer, a procedure that is
//! served. Absent on purpose: what waits and how much of it (`rpc`).

#![expect(clippy::disallowed_types, reason = "a client on its owner's thread reads its own clock")]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::proto::prx1::extended::{What, mode, reason};

use super::desk::Phase;
use super::receipt::{Error, Receipt};
use super::rpc::{Outcome, Question};
use super::{Shared, sendable};

/// How a call is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CallOptions {
    /// How long it may take, watched by the broker; none: as long as whoever serves it stays.
    pub timeout: Option<Duration>,
    /// To all who serve it, until so many have answered; 0: until all have.
    pub many: Option<u16>,
    /// The result may come in pieces.
    pub pieces: bool,
}

/// How several share a procedure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Share {
    /// Nobody else serves it.
    #[default]
    Single = 0,
    /// Who came first is asked.
    First = 1,
    /// Who came last is asked.
    Last = 2,
    /// One after the other is asked.
    RoundRobin = 3,
    /// Anyone is asked.
    Random = 4,
}

/// How a call is taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum CancelMode {
    /// Nobody is told.
    Skip = 0,
    /// Whoever does it is told, and its answer is waited for.
    Kill = 1,
    /// Whoever does it is told.
    #[default]
    KillNoWait = 2,
}

/// Why a call failed, or a procedure is not served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// Whoever was asked says so, by a name.
    Said,
    /// Nobody serves that.
    NoProcedure,
    /// All who serve it cannot now.
    Unavailable,
    /// Whoever serves it lacks what the call needs.
    Unsupported,
    /// It was taken back.
    Canceled,
    /// It took too long.
    Timeout,
    /// Whoever did it left.
    Gone,
    /// Whoever does it takes nothing at the moment.
    Blocked,
    /// The broker has no more room.
    Full,
    /// It is not permitted.
    Denied,
    /// Somebody serves it alone, or shares it in another way.
    Exists,
    /// The topic names no procedure.
    Wrong,
    /// What came of it does not fit into a frame, or is no body.
    TooLarge,
    /// A number that a later broker may know.
    Other(u8),
}

impl Reason {
    /// Of its number.
    pub(super) fn of(number: u8) -> Self {
        match number {
            reason::NONE => Self::Said,
            reason::NO_PROCEDURE => Self::NoProcedure,
            reason::UNAVAILABLE => Self::Unavailable,
            reason::UNSUPPORTED => Self::Unsupported,
            reason::CANCELED => Self::Canceled,
            reason::TIMEOUT => Self::Timeout,
            reason::GONE => Self::Gone,
            reason::BLOCKED => Self::Blocked,
            reason::FULL => Self::Full,
            reason::DENIED => Self::Denied,
            reason::EXISTS => Self::Exists,
            reason::WRONG => Self::Wrong,
            reason::TOO_LARGE => Self::TooLarge,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Said => "it failed",
            Self::NoProcedure => "nobody serves that",
            Self::Unavailable => "nobody who serves it can now",
            Self::Unsupported => "whoever serves it cannot do that",
            Self::Canceled => "it was taken back",
            Self::Timeout => "it took too long",
            Self::Gone => "whoever did it left",
            Self::Blocked => "whoever does it takes nothing at the moment",
            Self::Full => "the broker has no room for it",
            Self::Denied => "not permitted",
            Self::Exists => "somebody else serves it",
            Self::Wrong => "the topic names no procedure",
            Self::TooLarge => "the answer fits into no frame",
            Self::Other(number) => return write!(f, "reason {number}"),
        })
    }
}

/// A call failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Why.
    pub reason: Reason,
    /// Which error, if whoever was asked says so.
    pub name: Bytes,
    /// What was said with it.
    pub payload: Bytes,
}

/// What came of a call, or a part of that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// More is to come; of a call to many, what one of them answered.
    Piece(Bytes),
    /// The result.
    Final(Bytes),
    /// It failed.
    Failed(Failure),
    /// Of a call to many: nothing more is to come.
    Gathered {
        /// So many were asked.
        asked: u16,
        /// Of them answered.
        answered: u16,
        /// And failed.
        failed: u16,
    },
}

/// A call on its way. Dropped before its outcome, it is taken back.
#[derive(Debug)]
pub struct Call {
    pub(super) shared: Arc<Shared>,
    pub(super) id: u64,
    pub(super) queue: Receiver<Outcome>,
    pub(super) over: bool,
}

impl Call {
    /// What comes next. After anything but a piece nothing does: `None`. `TimedOut` ends nothing:
    /// ask again, or take it back.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Said>, Error> {
        if self.over {
            return Ok(None);
        }
        match self.queue.recv_timeout(timeout) {
            Ok(Ok(said)) => {
                self.over = !matches!(said, Said::Piece(_));
                Ok(Some(said))
            }
            Ok(Err(why)) => {
                self.over = true;
                Err(why)
            }
            Err(RecvTimeoutError::Timeout) => Err(Error::TimedOut),
            Err(RecvTimeoutError::Disconnected) => {
                self.over = true;
                Err(Error::Lost)
            }
        }
    }

    /// The result; pieces before it are passed over. A failure is `Failed` with its reason; what
    /// else is said of it, `next` tells.
    pub fn wait(mut self, timeout: Duration) -> Result<Bytes, Error> {
        let until = Instant::now() + timeout;
        loop {
            match self.next(until.saturating_duration_since(Instant::now()))? {
                Some(Said::Final(payload)) => return Ok(payload),
                Some(Said::Failed(failure)) => return Err(Error::Failed(failure.reason)),
                Some(Said::Gathered { .. }) => return Ok(Bytes::new()),
                Some(Said::Piece(_)) => {}
                None => return Err(Error::Lost),
            }
        }
    }

    /// Take it back; the outcome still comes.
    pub fn cancel(&mut self, how: CancelMode) {
        if !self.over {
            self.shared.desk().rpc.cancel(self.id, how as u8, true);
            self.shared.work.notify_one();
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.over {
            self.shared.desk().rpc.cancel(self.id, mode::KILL_NO_WAIT, false);
            self.shared.work.notify_one();
        }
    }
}

/// A procedure that is served, on this connection and on those that follow, until it is dropped.
#[derive(Debug)]
pub struct Service {
    pub(super) shared: Arc<Shared>,
    pub(super) topic: Bytes,
    pub(super) key: u64,
    pub(super) queue: Receiver<Question>,
    pub(super) receipt: Receipt,
}

impl Service {
    /// Wait until the broker has granted it, for `timeout` at most.
    pub fn granted(&mut self, timeout: Duration) -> Result<(), Error> {
        self.receipt.wait(timeout)
    }

    /// The next question. `TimedOut`: none has come. `None`: none will, because somebody else ended
    /// it, it was not granted, or the client has ended.
    pub fn next(&self, timeout: Duration) -> Result<Option<Asked>, Error> {
        match self.queue.recv_timeout(timeout) {
            Ok(question) => {
                Ok(Some(Asked { shared: Arc::clone(&self.shared), question, over: false }))
            }
            Err(RecvTimeoutError::Timeout) => Err(Error::TimedOut),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let mut desk = self.shared.desk();
        let online = desk.phase() == Phase::Online;
        desk.rpc.serve_no_more(&self.topic, self.key, online);
        drop(desk);
        self.shared.work.notify_one();
        // What waits was asked and will not be done.
        for question in self.queue.try_iter() {
            drop(Asked { shared: Arc::clone(&self.shared), question, over: false });
        }
    }
}

/// A question. Dropped without an answer, another one may be asked it.
#[derive(Debug)]
pub struct Asked {
    shared: Arc<Shared>,
    question: Question,
    over: bool,
}

impl Asked {
    /// What is asked.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.question.payload
    }

    /// How long it may take, if the caller said so.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        let ms = self.question.timeout_ms;
        (ms > 0).then(|| Duration::from_millis(ms.into()))
    }

    /// The caller takes the answer in pieces.
    #[must_use]
    pub fn takes_pieces(&self) -> bool {
        self.question.pieces
    }

    /// It need not be done any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.question.over.load(Ordering::Acquire)
    }

    /// A piece of the answer; more is to come.
    pub fn piece(&self, payload: impl AsRef<[u8]>) -> Result<(), Error> {
        self.say(What::Piece(sendable(payload.as_ref())?))
    }

    /// The answer.
    pub fn answer(mut self, payload: impl AsRef<[u8]>) -> Result<(), Error> {
        let payload = sendable(payload.as_ref())?;
        self.end(What::Final(payload))
    }

    /// It failed, by a name: a topic.
    pub fn fail(mut self, name: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> Result<(), Error> {
        let (name, payload) = (sendable(name.as_ref())?, sendable(payload.as_ref())?);
        self.end(What::Error { reason: reason::NONE, name, payload })
    }

    fn end(&mut self, what: What) -> Result<(), Error> {
        let said = self.say(what);
        // What found no room is left to the drop.
        self.over = said != Err(Error::Full);
        said
    }

    /// `Lost`: nobody waits for it any more.
    fn say(&self, what: What) -> Result<(), Error> {
        let shared = &self.shared;
        let mut desk = shared.wait_unless_called_back(|desk| desk.is_full_of_words());
        if desk.is_full_of_words() {
            return Err(Error::Full);
        }
        let said = desk.rpc.respond(self.question.id, &self.question.over, what);
        drop(desk);
        shared.work.notify_one();
        if said { Ok(()) } else { Err(Error::Lost) }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.over {
            let what = What::Error {
                reason: reason::UNAVAILABLE,
                name: Bytes::new(),
                payload: Bytes::new(),
            };
            self.shared.desk().rpc.respond(self.question.id, &self.question.over, what);
            self.shared.work.notify_one();
        }
    }
}
