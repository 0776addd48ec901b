//! Floor 5. The words between a PRX1 client and its program: messages, receipts, reasons.
//!
//! A receipt is answered exactly once, by an acknowledgement or by the end of the client; its
//! answer stays. Absent on purpose: knowledge of threads and sockets.

use std::fmt;
use std::time::Duration;

use super::call::Reason;
use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

/// How sure a delivery is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Qos {
    /// QoS 0.
    #[default]
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce,
}

/// A message that has arrived. QoS 1 is acknowledged when the callback returns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Where it was published.
    pub topic: Bytes,
    /// What it says.
    pub payload: Bytes,
    /// How it was delivered.
    pub qos: Qos,
    /// It was kept for late subscribers.
    pub retain: bool,
    /// It may have arrived before.
    pub dup: bool,
}

/// Why there is no connection. The numbers are those of the protocol's first client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Disconnected {
    /// 0: no reason; the program asked for it.
    None,
    /// 1: the connection failed, or could not be made.
    Socket,
    /// 2: the broker does not accept us.
    Rejected,
    /// 3: the broker said goodbye.
    Disconnect,
    /// 4: the broker broke the protocol, or a callback panicked.
    Forced,
    /// 5: no answer to Connect in time.
    AckDeadline,
}

impl Disconnected {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// Why something asked of a client was not done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// No connection, and QoS 0 is not kept.
    Offline,
    /// Too much waits already.
    Full,
    /// A field is longer than 65,535 bytes.
    TooLong,
    /// An empty topic, or a wildcard where there may be none.
    Topic,
    /// A queue request without an action.
    Action,
    /// A setting that cannot be: which.
    Setting(&'static str),
    /// The connection was not made.
    Disconnected(Disconnected),
    /// The client has ended.
    Stopped(Disconnected),
    /// The broker answered no.
    Refused,
    /// A call failed, or a procedure is not served.
    Failed(Reason),
    /// The connection was lost before the answer; it may or may not have been done.
    Lost,
    /// Not within the time given; it may still happen.
    TimedOut,
    /// The store failed.
    Store(std::io::ErrorKind),
    /// A thread could not be started.
    Thread(std::io::ErrorKind),
}

impl fmt::Display for Disconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "closed by this program",
            Self::Socket => "the connection failed",
            Self::Rejected => "rejected by the broker",
            Self::Disconnect => "the broker said goodbye",
            Self::Forced => "the protocol was broken",
            Self::AckDeadline => "the broker did not answer in time",
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offline => f.write_str("not connected"),
            Self::Full => f.write_str("too much waits already"),
            Self::TooLong => f.write_str("a field is longer than 65,535 bytes"),
            Self::Topic => f.write_str("no topic to publish or subscribe"),
            Self::Action => f.write_str("a queue request without an action"),
            Self::Setting(which) => write!(f, "a setting that cannot be: {which}"),
            Self::Disconnected(reason) => write!(f, "no connection: {reason}"),
            Self::Stopped(reason) => write!(f, "the client has ended: {reason}"),
            Self::Failed(reason) => reason.fmt(f),
            Self::Refused => f.write_str("refused by the broker"),
            Self::Lost => f.write_str("the connection was lost before the answer"),
            Self::TimedOut => f.write_str("not within the time given"),
            Self::Store(kind) => write!(f, "the store failed: {kind}"),
            Self::Thread(kind) => write!(f, "a thread could not be started: {kind}"),
        }
    }
}

impl std::error::Error for Error {}

/// Tells when something asked for has been done.
#[derive(Debug)]
pub struct Receipt {
    answer: Option<Result<(), Error>>,
    line: Option<Receiver<Result<(), Error>>>,
}

/// The other end of a receipt. Nobody may be listening.
pub(super) type Done = Option<Sender<Result<(), Error>>>;

impl Receipt {
    /// Done already.
    pub(super) fn done() -> Self {
        Self { answer: Some(Ok(())), line: None }
    }

    /// To be answered.
    pub(super) fn open() -> (Self, Done) {
        let (send, receive) = bounded(1);
        (Self { answer: None, line: Some(receive) }, Some(send))
    }

    /// Wait for the answer, for `timeout` at most. `TimedOut` is no answer: ask again later.
    pub fn wait(&mut self, timeout: Duration) -> Result<(), Error> {
        if let Some(answer) = self.answer {
            return answer;
        }
        let answer = match self.line.as_ref().map(|line| line.recv_timeout(timeout)) {
            Some(Ok(answer)) => answer,
            Some(Err(RecvTimeoutError::Timeout)) => return Err(Error::TimedOut),
            Some(Err(RecvTimeoutError::Disconnected)) | None => {
                Err(Error::Stopped(Disconnected::None))
            }
        };
        self.answer = Some(answer);
        answer
    }

    /// The answer, if it has come.
    pub fn poll(&mut self) -> Option<Result<(), Error>> {
        match self.wait(Duration::ZERO) {
            Err(Error::TimedOut) => None,
            answer => Some(answer),
        }
    }
}

/// Answer a receipt; whoever dropped it does not care.
pub(super) fn answer(done: Done, how: Result<(), Error>) {
    if let Some(line) = done {
        let _ = line.try_send(how);
    }
}
