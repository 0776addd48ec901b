//! Floor 2. What is said to and by whoever gives out calls, in no protocol's words.
//!
//! Peers translate: what they read becomes an [`Offer`], an [`Ask`] or an answer, and each [`Act`]
//! becomes one message to one session. Absent on purpose: what a payload means, names of errors
//! and codes, and the names of features (a peer knows which of them make somebody [`Able`]).

use core::ops::BitOr;

use bytes::Bytes;

use crate::base::id::{RealmId, SessionId};
use crate::base::limits::{Limit, Limits};

/// What a call or its answer carries, handed through untouched.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Payload {
    /// How it is written, in the peers' own numbers.
    pub form: u8,
    /// What has to be said beside it, in the peers' own words.
    pub meta: Bytes,
    /// The arguments.
    pub args: Bytes,
}

impl Payload {
    /// Bytes of it.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.meta.len() + self.args.len()
    }
}

/// What a session can do, or what is asked of it: a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Able(u8);

impl Able {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Be interrupted.
    pub const CANCEL: Self = Self(1);
    /// Give a result in pieces.
    pub const RESULTS: Self = Self(2);
    /// Take a call in pieces.
    pub const CHUNKS: Self = Self(4);
    /// Watch the time of a call by itself.
    pub const TIMEOUT: Self = Self(8);
    /// Take payloads that only the two ends can read.
    pub const OPAQUE: Self = Self(16);
    /// Give a result in pieces, until it is told that it is enough.
    pub const GIVES_PIECES: Self = Self(3);
    /// All of it.
    pub const ALL: Self = Self(31);

    /// All of that.
    #[must_use]
    pub fn has(self, all: Self) -> bool {
        self.0 & all.0 == all.0
    }
}

impl BitOr for Able {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Which names a registration is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Kind {
    /// This one.
    #[default]
    Exact,
    /// All that begin with this text, wherever it ends.
    Prefix,
    /// All of as many components, of which an empty one stands for any.
    Wildcard,
}

/// Which of several callees is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Invoke {
    /// There is only one.
    #[default]
    Single,
    /// Who came first.
    First,
    /// Who came last.
    Last,
    /// One after the other.
    Roundrobin,
    /// Anyone.
    Random,
}

/// On which terms a callee takes calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Terms {
    /// What it can do.
    pub can: Able,
    /// It wants to know who calls.
    pub discloses: bool,
    /// It wants to watch the time by itself.
    pub takes_timeout: bool,
    /// Milliseconds it has at most for an answer, and may stay silent: what is over for the caller
    /// is over for it too. 0: it owes an answer, whenever that comes.
    pub within_ms: u64,
}

/// A session offers a procedure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    /// The name, or the pattern.
    pub procedure: Bytes,
    /// Which it is.
    pub kind: Kind,
    /// How it shares.
    pub invoke: Invoke,
    /// Its terms.
    pub terms: Terms,
}

/// What became of an offer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Registered {
    /// There is a new registration, and this is its first callee.
    Created(u64),
    /// There was one, and this is one more callee.
    Joined(u64),
    /// It was a callee already; the terms are new.
    Again(u64),
}

impl Registered {
    /// The registration.
    #[must_use]
    pub fn id(self) -> u64 {
        match self {
            Self::Created(id) | Self::Joined(id) | Self::Again(id) => id,
        }
    }
}

/// A bound that was reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    /// `calls_per_caller_max`.
    CallsPerCaller,
    /// `calls_per_callee_max`.
    CallsPerCallee,
    /// `registrations_per_session_max`.
    RegistrationsPerSession,
    /// `callees_per_registration_max`.
    CalleesPerRegistration,
    /// `pattern_len_max`.
    PatternLen,
    /// `wildcard_shapes_max`.
    WildcardShapes,
    /// `held_bytes_max`.
    HeldBytes,
}

/// Why a registration was not made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// Somebody has it for itself, or shares it in another way.
    Exists,
    /// There is no more room.
    Full(Bound),
}

/// A registration lost a callee.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lost {
    /// Which one.
    pub registration: u64,
    /// That was its last; the registration is gone.
    pub ended: bool,
}

/// A session calls, or goes on with a call that it makes in pieces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ask {
    /// Where.
    pub realm: RealmId,
    /// Who.
    pub caller: SessionId,
    /// The caller's own number for it.
    pub request: u64,
    /// What is called.
    pub procedure: Bytes,
    /// With what.
    pub payload: Payload,
    /// There is more to come under the same number.
    pub more: bool,
    /// The result may come in pieces.
    pub pieces: bool,
    /// Milliseconds it may take; 0: any.
    pub timeout_ms: u64,
    /// The callee may know who calls.
    pub disclose: bool,
    /// How much the caller is trusted.
    pub trust: u32,
    /// What else the callee must be able to do.
    pub needs: Able,
    /// What the caller can do.
    pub can: Able,
    /// Calls with the same number here go to the same callee, as long as it is there.
    pub shard: Option<u64>,
}

/// How a call is ended by its caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// The caller is told at once, the callee nothing.
    Skip,
    /// The callee is told, and its answer is the caller's.
    Kill,
    /// Both are told at once.
    KillNoWait,
}

/// Why a callee is interrupted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The caller does not want it any more.
    Canceled,
    /// It took too long.
    Timeout,
    /// The caller left.
    Gone,
    /// A piece of the call could not be handed over.
    Blocked,
    /// It goes on with something that is over.
    Late,
}

/// Why a call failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Why {
    /// Nobody offers that.
    NoProcedure,
    /// All who offer that are unavailable.
    NoCallee,
    /// The callee lacks what the call needs.
    Unsupported,
    /// The callee says so, by this name.
    Said(Bytes),
    /// As the caller wished.
    Canceled,
    /// It took too long.
    Timeout,
    /// The callee left.
    Gone,
    /// The callee takes nothing at the moment.
    Blocked,
    /// There is no more room.
    Full(Bound),
}

/// What a callee says of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// A piece of the result, and more to come; it needs a caller that can do that.
    Piece(Payload, Able),
    /// The result, or its last piece; likewise.
    Result(Payload, Able),
    /// It failed, and this is the error's name.
    Error(Bytes, Payload),
    /// This callee cannot; another one may. What it says if there is no asking another.
    Unavailable(Bytes, Payload),
}

/// What became of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// The caller has it.
    Passed,
    /// Another callee is asked, or there is none and the caller knows.
    Rerouted,
    /// The call was over for the caller; nobody has it.
    Late,
    /// A piece that the caller never asked for; nobody has it, and the call goes on.
    Unasked,
    /// The caller lacks what it needs; nobody has it, and the call goes on.
    Unfit,
}

/// A session broke the rules; only its connection's end helps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Violation {
    /// It answers what it was never asked.
    NeverIssued,
    /// It uses a number again for another call, while the first goes on.
    Reused,
}

/// What somebody has to be told; in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    /// To a callee: do this, or here is more of it.
    Invoke(Invocation),
    /// To a caller: the result.
    Result {
        /// The caller.
        to: SessionId,
        /// The caller's number.
        request: u64,
        /// There is more to come.
        more: bool,
        /// The result.
        payload: Payload,
    },
    /// To a caller: it failed.
    Fail {
        /// The caller.
        to: SessionId,
        /// The caller's number.
        request: u64,
        /// Why.
        why: Why,
        /// What the callee said with it.
        payload: Payload,
    },
    /// To a callee that can be interrupted: stop that.
    Interrupt {
        /// The callee.
        to: SessionId,
        /// The callee's number.
        number: u64,
        /// What becomes of its answer.
        mode: Mode,
        /// Why.
        why: Stop,
    },
}

/// A callee's part of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invocation {
    /// The callee.
    pub to: SessionId,
    /// The callee's number for it: counted up from 1.
    pub number: u64,
    /// For which of its registrations.
    pub registration: u64,
    /// What was called, if the registration alone does not tell.
    pub procedure: Option<Bytes>,
    /// With what.
    pub payload: Payload,
    /// There is more to come under the same number.
    pub more: bool,
    /// The result may come in pieces.
    pub pieces: bool,
    /// Milliseconds it may take, if the callee watches that; else 0.
    pub timeout_ms: u64,
    /// Who calls, if that is to be disclosed.
    pub caller: Option<SessionId>,
    /// How much the caller is trusted.
    pub trust: u32,
}

/// Every bound of the calls. Memory in use is at most `held_bytes_max`, payloads on their way
/// apart, which are the peers'.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallLimits {
    /// Calls of one caller that nobody has answered: one that only asks must not use up the rest.
    pub calls_per_caller_max: usize,
    /// Calls at one callee that it has not answered, wanted or not: callers that come, ask and
    /// leave must not pile up work that nobody waits for.
    pub calls_per_callee_max: usize,
    /// Registrations that one session is a callee of: one must not fill the table of names.
    pub registrations_per_session_max: usize,
    /// Callees of one registration: choosing among them may look at each.
    pub callees_per_registration_max: usize,
    /// Bytes of a name or a pattern: a match by prefix takes at most as many steps, and a
    /// registration is weighed by it.
    pub pattern_len_max: usize,
    /// Ways to place wildcards among the components of a pattern that a realm may use at once: a
    /// match by wildcard takes at most as many steps.
    pub wildcard_shapes_max: usize,
    /// Calls in pieces, ended by their callee, whose late pieces a caller is forgiven.
    pub streams_known_max: usize,
    /// Bytes held for registrations, for pending calls, and of payloads that another callee may
    /// have to be asked with. What such a payload was cut from is not weighed.
    pub held_bytes_max: usize,
}

impl CallLimits {
    /// As the broker's bounds have it.
    #[must_use]
    pub fn of(limits: &Limits) -> Self {
        Self {
            calls_per_caller_max: limits.calls_per_caller_max,
            calls_per_callee_max: limits.calls_per_callee_max,
            registrations_per_session_max: limits.registrations_max,
            callees_per_registration_max: limits.callees_max,
            held_bytes_max: limits.calls_bytes_max,
            ..Self::default()
        }
    }
}

impl Bound {
    /// The broker's bound that it is one of.
    #[must_use]
    pub fn limit(self) -> Limit {
        match self {
            Self::CallsPerCaller => Limit::calls_per_caller_max,
            Self::CallsPerCallee => Limit::calls_per_callee_max,
            Self::RegistrationsPerSession | Self::PatternLen | Self::WildcardShapes => {
                Limit::registrations_max
            }
            Self::CalleesPerRegistration => Limit::callees_max,
            Self::HeldBytes => Limit::calls_bytes_max,
        }
    }
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            calls_per_caller_max: 16_384,
            calls_per_callee_max: 65_536,
            registrations_per_session_max: 16_384,
            callees_per_registration_max: 1_024,
            pattern_len_max: 1_024,
            wildcard_shapes_max: 128,
            streams_known_max: 256,
            held_bytes_max: 256 << 20,
        }
    }
}
