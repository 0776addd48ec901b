//! Floor 3. What a WAMP peer hears about its fault: every URI of errors and ends, and the ABORT.
//!
//! A message that breaks the protocol ends the session: ABORT with the reason below and a text that
//! names message and option. A request that cannot be granted is answered with an ERROR, and the
//! session goes on. Absent on purpose: the decision which of the two it is, save for what cannot be
//! read, and arguments of errors.

use super::decode::Refused;
use super::options::AbortDetails;
use super::packet::Abort;
use crate::proto::fault::{Blame, Fault};
use crate::topic::TopicFault;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $reason:ident = $uri:literal;)*) => {
        /// Why something ended or was not done.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Reason { $($(#[doc = $doc])+ $reason),* }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$reason),*];

            /// As it is said.
            #[must_use]
            pub const fn uri(self) -> &'static str {
                match self { $(Self::$reason => $uri),* }
            }

            /// What is said so.
            #[must_use]
            pub fn of(uri: &str) -> Option<Self> {
                match uri { $($uri => Some(Self::$reason),)* _ => None }
            }
        }
    };
}

reasons! {
    /// Not a URI, or one that clients may not use.
    InvalidUri = "wamp.error.invalid_uri";
    /// Nobody offers it.
    NoSuchProcedure = "wamp.error.no_such_procedure";
    /// Somebody offers it already, and alone.
    ProcedureAlreadyExists = "wamp.error.procedure_already_exists";
    /// There is no such registration, or it is another's.
    NoSuchRegistration = "wamp.error.no_such_registration";
    /// There is no such subscription, or it is another's.
    NoSuchSubscription = "wamp.error.no_such_subscription";
    /// Not what the procedure takes.
    InvalidArgument = "wamp.error.invalid_argument";
    /// There is no such session.
    NoSuchSession = "wamp.error.no_such_session";
    /// It may not.
    NotAuthorized = "wamp.error.not_authorized";
    /// Whether it may cannot be found out.
    AuthorizationFailed = "wamp.error.authorization_failed";
    /// There is no such realm.
    NoSuchRealm = "wamp.error.no_such_realm";
    /// There is no such role, or none was announced.
    NoSuchRole = "wamp.error.no_such_role";
    /// None of its methods is offered.
    NoMatchingAuthMethod = "wamp.error.no_matching_auth_method";
    /// It is not who it says it is.
    AuthenticationFailed = "wamp.error.authentication_failed";
    /// It is, and may not come in.
    AuthenticationDenied = "wamp.error.authentication_denied";
    /// Nobody is called so.
    NoSuchPrincipal = "wamp.error.no_such_principal";
    /// It must say who it is.
    AuthenticationRequired = "wamp.error.authentication_required";
    /// It may not act so.
    AuthorizationDenied = "wamp.error.authorization_denied";
    /// It must be allowed to first.
    AuthorizationRequired = "wamp.error.authorization_required";
    /// The caller took the call back.
    Canceled = "wamp.error.canceled";
    /// It took too long.
    Timeout = "wamp.error.timeout";
    /// An option that is not for this.
    OptionNotAllowed = "wamp.error.option_not_allowed";
    /// Nobody is named in this realm.
    DiscloseMeDisallowed = "wamp.error.option_disallowed.disclose_me";
    /// The other side cannot be reached now.
    NetworkFailure = "wamp.error.network_failure";
    /// The other side cannot do it.
    FeatureNotSupported = "wamp.error.feature_not_supported";
    /// Not now.
    Unavailable = "wamp.error.unavailable";
    /// Not now, by anyone.
    NoAvailableCallee = "wamp.error.no_available_callee";
    /// Longer than the other side takes.
    PayloadSizeExceeded = "wamp.error.payload_size_exceeded";
    /// Against the protocol.
    ProtocolViolation = "wamp.error.protocol_violation";
    /// Enough said.
    Normal = "wamp.close.normal";
    /// The realm is no more.
    CloseRealm = "wamp.close.close_realm";
    /// The answer to a goodbye.
    GoodbyeAndOut = "wamp.close.goodbye_and_out";
    /// The router stops.
    SystemShutdown = "wamp.close.system_shutdown";
    /// Somebody wanted it gone.
    Killed = "wamp.close.killed";
}

impl From<TopicFault> for Reason {
    /// Whatever is wrong with a URI, there is one word for it.
    fn from(_: TopicFault) -> Self {
        Self::InvalidUri
    }
}

/// The reason that a fault is told as.
#[must_use]
pub fn reason(fault: &Fault) -> Reason {
    match fault.blame {
        Blame::Peer => Reason::ProtocolViolation,
        Blame::Policy => Reason::NotAuthorized,
        Blame::Capacity => Reason::PayloadSizeExceeded,
        Blame::Us => Reason::Unavailable,
    }
}

/// The last message to who sent what was refused.
#[must_use]
pub fn last_words(refused: &Refused) -> Abort {
    Abort {
        details: AbortDetails { message: Some(refused.to_string().into()) },
        reason: reason(&refused.fault).uri().into(),
        ..Abort::default()
    }
}
