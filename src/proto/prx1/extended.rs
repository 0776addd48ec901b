//! Floor 3. What PRX1 peers say about calls, with types: the frames under code 0xF.
//!
//! ```text
//! F0 · length · kind · fields
//!
//! 1 Register    u16 id · u8 share · str topic                                client to broker
//! 2 Unregister  u16 id · str topic                                           both ways
//! 3 Answer      u16 id · u8 reason                                           broker to client
//! 4 Request     u64 id · u8 options · [u32 ms] · [u16 count] · str topic · bytes payload
//! 5 Response    u64 id · u8 how · fields                                     both ways
//! 6 Cancel      u64 id · u8 mode                                             both ways
//! ```
//!
//! The original reserves the code and ignores it, so a peer that does not know these frames loses
//! nothing by them. Absent on purpose: meaning; names and ids are as on the wire, the peer judges.

use bytes::Bytes;

/// A frame under code 0xF.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Extended {
    /// I serve this.
    Register(Register),
    /// I do not any more; or, from the broker: you do not, because another wanted that.
    Unregister(Unregister),
    /// How that went.
    Answer(Answer),
    /// Do this.
    Request(Request),
    /// That is what came of it.
    Response(Response),
    /// Do not do it any more.
    Cancel(Cancel),
}

/// A procedure is offered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Register {
    /// Names the question.
    pub id: u16,
    /// How several share it: see [`share`].
    pub share: u8,
    /// The procedure.
    pub topic: Bytes,
}

/// A procedure is not offered any more.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Unregister {
    /// Names the question; 0 where nobody asked.
    pub id: u16,
    /// The procedure.
    pub topic: Bytes,
}

/// How a registration, or its end, went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Answer {
    /// The question.
    pub id: u16,
    /// One of [`reason`].
    pub reason: u8,
}

/// A call: from the caller to the broker, and from the broker to whoever serves it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Request {
    /// The sender's number for it.
    pub id: u64,
    /// Milliseconds it may take; 0: any.
    pub timeout_ms: u32,
    /// To all who serve it, until so many have answered; 0: until all have.
    pub many: Option<u16>,
    /// The result may come in pieces.
    pub pieces: bool,
    /// The procedure.
    pub topic: Bytes,
    /// What it is asked with.
    pub payload: Bytes,
}

/// What came of a call, or a part of that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// The number of the request.
    pub id: u64,
    /// What.
    pub what: What,
}

/// What came of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// 0: the result, or its last piece.
    Final(Bytes),
    /// 1: a piece, and more to come; of a request to many, what one of them answered.
    Piece(Bytes),
    /// 2: it failed.
    Error {
        /// One of [`reason`].
        reason: u8,
        /// Which error, if whoever was asked says so.
        name: Bytes,
        /// What was said with it.
        payload: Bytes,
    },
    /// 3: of a request to many: there is nothing more to come.
    Gathered {
        /// So many were asked.
        asked: u16,
        /// Of them answered.
        answered: u16,
        /// And failed.
        failed: u16,
    },
}

/// A call is not wanted any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cancel {
    /// The number of the request.
    pub id: u64,
    /// One of [`mode`].
    pub mode: u8,
}

/// How several share a procedure.
pub mod share {
    /// Nobody but this one serves it.
    pub const SINGLE: u8 = 0;
    /// Who came first is asked.
    pub const FIRST: u8 = 1;
    /// Who came last is asked.
    pub const LAST: u8 = 2;
    /// One after the other is asked.
    pub const ROUND_ROBIN: u8 = 3;
    /// Anyone is asked.
    pub const RANDOM: u8 = 4;
}

/// What becomes of a call that is canceled.
pub mod mode {
    /// The caller is told at once, whoever does it nothing.
    pub const SKIP: u8 = 0;
    /// Whoever does it is told, and its answer is the caller's.
    pub const KILL: u8 = 1;
    /// Both are told at once. So is any other number read.
    pub const KILL_NO_WAIT: u8 = 2;
}

/// Why something is not done.
pub mod reason {
    /// It is; or, of a call: whoever was asked says so itself, by a name.
    pub const NONE: u8 = 0;
    /// Nobody serves that.
    pub const NO_PROCEDURE: u8 = 1;
    /// All who serve it cannot now. Said by one who was asked: another may be.
    pub const UNAVAILABLE: u8 = 2;
    /// Whoever serves it lacks what the call needs.
    pub const UNSUPPORTED: u8 = 3;
    /// As the caller wished.
    pub const CANCELED: u8 = 4;
    /// It took too long.
    pub const TIMEOUT: u8 = 5;
    /// Whoever did it left.
    pub const GONE: u8 = 6;
    /// Whoever does it takes nothing at the moment.
    pub const BLOCKED: u8 = 7;
    /// There is no more room.
    pub const FULL: u8 = 8;
    /// It is not permitted.
    pub const DENIED: u8 = 9;
    /// Somebody serves it alone, or shares it in another way.
    pub const EXISTS: u8 = 10;
    /// The topic names no procedure, or the number is none that a request can have.
    pub const WRONG: u8 = 11;
    /// What came of it does not fit into a frame, or is no body.
    pub const TOO_LARGE: u8 = 12;
}

/// The kinds of frames.
pub(super) mod kind {
    pub(crate) const REGISTER: u8 = 1;
    pub(crate) const UNREGISTER: u8 = 2;
    pub(crate) const ANSWER: u8 = 3;
    pub(crate) const REQUEST: u8 = 4;
    pub(crate) const RESPONSE: u8 = 5;
    pub(crate) const CANCEL: u8 = 6;
}

/// Presence bits of a Request, in the order of its fields.
pub(super) mod rflag {
    pub(crate) const TIMEOUT: u8 = 0x01;
    pub(crate) const MANY: u8 = 0x02;
    pub(crate) const PIECES: u8 = 0x04;
}

/// How a Response says what came of it.
pub(super) mod how {
    pub(crate) const FINAL: u8 = 0;
    pub(crate) const PIECE: u8 = 1;
    pub(crate) const ERROR: u8 = 2;
    pub(crate) const GATHERED: u8 = 3;
}
