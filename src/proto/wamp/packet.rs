//! Floor 3. WAMP messages: one table of codes, of who may say them, and of what follows the code.
//!
//! The table makes a type for each message, the enum of all, the reader and the writer, so the four
//! cannot disagree. What stands in options and details is the table of `options.rs`. Absent on
//! purpose: `Arguments` as values; they are spans of the buffer they came in.

use super::decode::{Element, Elements, Refused};
use super::encode::Out;
use super::options::{
    AbortDetails, AuthenticateExtra, CallOptions, CancelOptions, ChallengeExtra, ErrorDetails,
    EventDetails, GoodbyeDetails, HelloDetails, InterruptOptions, InvocationDetails,
    PublishOptions, RegisterOptions, ResultDetails, RevokedDetails, SubscribeOptions,
    WelcomeDetails, YieldOptions,
};
use super::parts::{Payload, Text};
use crate::proto::fault::FaultKind;

/// Who is talking.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sender {
    /// A client, to its router.
    Client,
    /// A router, to its client.
    Router,
}

/// Who may say a message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Origin {
    /// Clients only.
    Client,
    /// Routers only.
    Router,
    /// Either side.
    Both,
}

impl Origin {
    /// May this side say it?
    #[must_use]
    pub fn allows(self, sender: Sender) -> bool {
        match self {
            Self::Both => true,
            Self::Client => sender == Sender::Client,
            Self::Router => sender == Sender::Router,
        }
    }
}

/// The answer to an UNSUBSCRIBE or UNREGISTER; or, with details, word that the router ended it by
/// itself (then the request is 0).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ended {
    /// Which request is answered; 0 for none.
    pub request: u64,
    /// What was ended without having been asked for.
    pub revoked: Option<RevokedDetails>,
}

/// Details that nobody reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Unread;

macro_rules! messages {
    ($($(#[doc = $doc:literal])+ $code:literal $name:literal $origin:ident $kind:ident {
        $($(#[doc = $what:literal])+ $field:ident: $type:ty,)*
    })*) => {
        $(
            $(#[doc = $doc])+
            #[derive(Clone, PartialEq, Eq, Debug, Default)]
            pub struct $kind { $($(#[doc = $what])+ pub $field: $type,)* }

            impl From<$kind> for Message {
                fn from(message: $kind) -> Self {
                    Self::$kind(message)
                }
            }
        )*

        /// Any message.
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub enum Message { $($(#[doc = $doc])+ $kind($kind),)* }

        /// Every message: code, name, and who may say it.
        pub const MESSAGES: &[(u64, &str, Origin)] = &[$(($code, $name, Origin::$origin)),*];

        impl Message {
            /// The number that begins it.
            #[must_use]
            pub const fn code(&self) -> u64 {
                match self { $(Self::$kind(_) => $code),* }
            }

            /// What the standard calls it.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$kind(_) => $name),* }
            }

            /// One of every kind with nothing in it, to begin from.
            #[must_use]
            pub fn each() -> Vec<Self> {
                vec![$(Self::$kind($kind::default())),*]
            }

            /// Read what follows the code.
            pub(super) fn read(code: u64, from: &mut Elements<'_>) -> Result<Self, Refused> {
                match code {
                    $($code => {
                        from.begin($name, Origin::$origin)?;
                        Ok(Self::$kind($kind {
                            $($field: from.element(stringify!($field))?,)*
                        }))
                    })*
                    _ => Err(from.refused(FaultKind::WampCode)),
                }
            }

            /// How many elements follow the code.
            pub(super) fn count(&self) -> usize {
                match self { $(Self::$kind(it) => 0 $(+ it.$field.count())*),* }
            }

            /// Write what follows the code.
            pub(super) fn write(&self, to: &mut Out<'_>) {
                match self { $(Self::$kind(it) => { $(it.$field.write(to);)* })* }
            }
        }
    };
}

messages! {
    /// A client asks to come in.
    1 "HELLO" Client Hello {
        /// Where to.
        realm: Text,
        /// Who it is and what it can do.
        details: HelloDetails,
    }
    /// It is in.
    2 "WELCOME" Router Welcome {
        /// The session's id.
        session: u64,
        /// As whom, and what the router can do.
        details: WelcomeDetails,
    }
    /// It is over before, or against the rules.
    3 "ABORT" Both Abort {
        /// In words.
        details: AbortDetails,
        /// In a URI.
        reason: Text,
        /// More of it.
        payload: Payload,
    }
    /// Prove it.
    4 "CHALLENGE" Router Challenge {
        /// The method of authentication.
        method: Text,
        /// What it needs.
        extra: ChallengeExtra,
    }
    /// The proof.
    5 "AUTHENTICATE" Client Authenticate {
        /// The proof itself.
        signature: Text,
        /// What else the method needs.
        extra: AuthenticateExtra,
    }
    /// It is over.
    6 "GOODBYE" Both Goodbye {
        /// In words.
        details: GoodbyeDetails,
        /// In a URI.
        reason: Text,
    }
    /// A request failed; clients say it of invocations only.
    8 "ERROR" Both Failure {
        /// The code of the request.
        kind: u64,
        /// Its id.
        request: u64,
        /// How the payload is packed.
        details: ErrorDetails,
        /// What went wrong.
        error: Text,
        /// More of it.
        payload: Payload,
    }
    /// An event for all who want it.
    16 "PUBLISH" Client Publish {
        /// The request's id.
        request: u64,
        /// For whom, and how.
        options: PublishOptions,
        /// Where.
        topic: Text,
        /// What.
        payload: Payload,
    }
    /// The event was taken.
    17 "PUBLISHED" Router Published {
        /// The request's id.
        request: u64,
        /// The event's id.
        publication: u64,
    }
    /// Events are wanted.
    32 "SUBSCRIBE" Client Subscribe {
        /// The request's id.
        request: u64,
        /// How the topic is meant.
        options: SubscribeOptions,
        /// Which.
        topic: Text,
    }
    /// They will come.
    33 "SUBSCRIBED" Router Subscribed {
        /// The request's id.
        request: u64,
        /// The subscription's id.
        subscription: u64,
    }
    /// They are wanted no more.
    34 "UNSUBSCRIBE" Client Unsubscribe {
        /// The request's id.
        request: u64,
        /// The subscription's id.
        subscription: u64,
    }
    /// They come no more.
    35 "UNSUBSCRIBED" Router Unsubscribed {
        /// What was ended.
        ended: Ended,
    }
    /// An event.
    36 "EVENT" Router Event {
        /// By which subscription.
        subscription: u64,
        /// The event's id.
        publication: u64,
        /// Where and from whom.
        details: EventDetails,
        /// What.
        payload: Payload,
    }
    /// A procedure is called.
    48 "CALL" Client Call {
        /// The request's id.
        request: u64,
        /// How.
        options: CallOptions,
        /// Which.
        procedure: Text,
        /// With what.
        payload: Payload,
    }
    /// The caller wants it no more.
    49 "CANCEL" Client Cancel {
        /// The id of the CALL.
        request: u64,
        /// How hard.
        options: CancelOptions,
    }
    /// What came of a call.
    50 "RESULT" Router Outcome {
        /// The id of the CALL.
        request: u64,
        /// Whether more will come.
        details: ResultDetails,
        /// What.
        payload: Payload,
    }
    /// A procedure is offered.
    64 "REGISTER" Client Register {
        /// The request's id.
        request: u64,
        /// How it is meant, and how to choose.
        options: RegisterOptions,
        /// Which.
        procedure: Text,
    }
    /// It can be called.
    65 "REGISTERED" Router Registered {
        /// The request's id.
        request: u64,
        /// The registration's id.
        registration: u64,
    }
    /// It is offered no more.
    66 "UNREGISTER" Client Unregister {
        /// The request's id.
        request: u64,
        /// The registration's id.
        registration: u64,
    }
    /// It can be called no more.
    67 "UNREGISTERED" Router Unregistered {
        /// What was ended.
        ended: Ended,
    }
    /// Do it.
    68 "INVOCATION" Router Invocation {
        /// The request's id, counted for this callee.
        request: u64,
        /// By which registration.
        registration: u64,
        /// What was called, and by whom.
        details: InvocationDetails,
        /// With what.
        payload: Payload,
    }
    /// Stop doing it.
    69 "INTERRUPT" Router Interrupt {
        /// The id of the INVOCATION.
        request: u64,
        /// How hard, and why.
        options: InterruptOptions,
    }
    /// What came of an invocation.
    70 "YIELD" Client Yield {
        /// The id of the INVOCATION.
        request: u64,
        /// Whether more will come.
        options: YieldOptions,
        /// What.
        payload: Payload,
    }
    /// An event arrived; an extension of one client that asks for nothing.
    337 "EVENT_RECEIVED" Client EventReceived {
        /// The event's id.
        publication: u64,
        /// Nothing that matters.
        details: Unread,
    }
}
