//! Floor 3. Options and details: one table of keys that makes the types, the reader and the writer.
//!
//! A key that stands in no table is passed over; null is the same as no key; a key that stands
//! twice counts as it stands last. What is at its default is not written. Absent on purpose: what
//! follows from an option (the router knows), and whether its feature was announced.

use super::decode::{Field, Heard, Refused};
use super::encode::{Out, Said};
use super::parts::{Amount, Raw, Text};
use super::roles::Roles;
use crate::proto::fault::FaultKind;
use crate::topic::Match;
use crate::value::Item;

/// Reads and writes the keys of one map, or of a part of one.
pub(super) trait Dict: Default + PartialEq {
    /// Take the value of this key; false when it is not one of ours.
    fn learn(&mut self, key: &str, field: &mut Field<'_>) -> Result<bool, Refused>;

    /// How many keys there are to write.
    fn keys(&self) -> usize;

    /// Write them.
    fn put(&self, to: &mut Out<'_>);
}

/// Keys that are rare, so that most messages have no room for them. None of them is the same as
/// none there.
impl<T: Dict> Dict for Option<Box<T>> {
    fn learn(&mut self, key: &str, field: &mut Field<'_>) -> Result<bool, Refused> {
        let mut inner = self.take().map_or_else(T::default, |it| *it);
        let took = inner.learn(key, field);
        *self = (inner != T::default()).then(|| Box::new(inner));
        took
    }

    fn keys(&self) -> usize {
        self.as_ref().map_or(0, |it| it.keys())
    }

    fn put(&self, to: &mut Out<'_>) {
        if let Some(it) = self {
            it.put(to);
        }
    }
}

macro_rules! dicts {
    ($($(#[doc = $doc:literal])+ $dict:ident {
        $($(#[doc = $what:literal])+ $field:ident: $type:ty = $key:literal,)*
        $(.. $(#[doc = $also:literal])+ $group:ident: $part:ty,)*
    })*) => {
        $(
            $(#[doc = $doc])+
            #[derive(Clone, PartialEq, Eq, Debug, Default)]
            pub struct $dict {
                $($(#[doc = $what])+ pub $field: $type,)*
                $($(#[doc = $also])+ pub $group: $part,)*
            }

            impl Dict for $dict {
                fn learn(&mut self, key: &str, field: &mut Field<'_>) -> Result<bool, Refused> {
                    match key {
                        $($key => {
                            self.$field = field.value($key)?;
                            return Ok(true);
                        })*
                        _ => {}
                    }
                    $(if self.$group.learn(key, field)? {
                        return Ok(true);
                    })*
                    Ok(false)
                }

                fn keys(&self) -> usize {
                    0 $(+ usize::from(!self.$field.is_absent()))*
                        $(+ self.$group.keys())*
                }

                fn put(&self, to: &mut Out<'_>) {
                    $(to.entry($key, &self.$field);)*
                    $(self.$group.put(to);)*
                }
            }

            impl Heard for $dict {
                fn hear(first: Item<'_>, at: &mut Field<'_>) -> Result<Self, Refused> {
                    at.dict(&first)
                }
            }

            impl Said for $dict {
                fn say(&self, to: &mut Out<'_>) {
                    to.dict(self);
                }
            }
        )*

        /// Every table, and its keys.
        #[cfg(test)]
        pub(super) const KEYS: &[(&str, &[&str])] =
            &[$((stringify!($dict), &[$($key),*])),*];
    };
}

dicts! {
    /// Of HELLO.
    HelloDetails {
        /// What it can do.
        roles: Roles = "roles",
        /// How it would prove who it is, the dearest first.
        authmethods: Option<Vec<Text>> = "authmethods",
        /// Who it says it is.
        authid: Option<Text> = "authid",
        /// What its methods need.
        authextra: Option<Box<AuthExtra>> = "authextra",
        .. /// What else it says of itself.
        more: More,
    }
    /// Of WELCOME.
    WelcomeDetails {
        /// What the router can do.
        roles: Roles = "roles",
        /// The realm it is in.
        realm: Option<Text> = "realm",
        /// Who it is.
        authid: Option<Text> = "authid",
        /// As what.
        authrole: Option<Text> = "authrole",
        /// How that was proven.
        authmethod: Option<Text> = "authmethod",
        /// Who vouches for it.
        authprovider: Option<Text> = "authprovider",
        /// What its method needs.
        authextra: Option<Box<AuthExtra>> = "authextra",
        .. /// What else there is to know.
        more: More,
    }
    /// What methods of authentication say beside HELLO and WELCOME.
    AuthExtra {
        /// The client's random text (SCRAM).
        nonce: Option<Text> = "nonce",
        /// The client's key in hex (Cryptosign).
        pubkey: Option<Text> = "pubkey",
        /// The kind of binding to TLS.
        channel_binding: Option<Text> = "channel_binding",
        /// The router's own proof (SCRAM).
        verifier: Option<Text> = "verifier",
        .. /// Everything else.
        more: More,
    }
    /// Of CHALLENGE.
    ChallengeExtra {
        /// What is to be signed.
        challenge: Option<Text> = "challenge",
        /// The salt of the key.
        salt: Option<Text> = "salt",
        /// Its length.
        keylen: Option<Amount> = "keylen",
        /// Rounds of deriving it.
        iterations: Option<Amount> = "iterations",
        /// Memory for deriving it, in KiB.
        memory: Option<Amount> = "memory",
        /// How it is derived.
        kdf: Option<Text> = "kdf",
        /// Both random texts.
        nonce: Option<Text> = "nonce",
        /// The kind of binding to TLS.
        channel_binding: Option<Text> = "channel_binding",
        .. /// Everything else.
        more: More,
    }
    /// Of AUTHENTICATE.
    AuthenticateExtra {
        /// Both random texts.
        nonce: Option<Text> = "nonce",
        /// The kind of binding to TLS.
        channel_binding: Option<Text> = "channel_binding",
        /// What binds.
        cbind_data: Option<Text> = "cbind_data",
        .. /// Everything else.
        more: More,
    }
    /// Of ABORT.
    AbortDetails {
        /// In words.
        message: Option<Text> = "message",
    }
    /// Of GOODBYE.
    GoodbyeDetails {
        /// In words.
        message: Option<Text> = "message",
    }
    /// Of ERROR.
    ErrorDetails {
        .. /// How the payload is packed.
        ppt: Option<Box<Ppt>>,
    }
    /// Of PUBLISH.
    PublishOptions {
        /// It is to be answered.
        acknowledge: bool = "acknowledge",
        /// False: the publisher gets it too, if it subscribed.
        exclude_me: Option<bool> = "exclude_me",
        /// Subscribers may know who published.
        disclose_me: bool = "disclose_me",
        /// It is kept for who subscribes later.
        retain: bool = "retain",
        /// Which node it is for.
        rkey: Option<Text> = "rkey",
        /// A hash that another system knows it by; passed over here.
        transaction_hash: Option<Text> = "transaction_hash",
        /// The routers it came through.
        forward_for: Option<Vec<Forward>> = "forward_for",
        .. /// Who may have it.
        audience: Option<Box<Audience>>,
        .. /// How the payload is packed.
        ppt: Option<Box<Ppt>>,
    }
    /// Who may have an event, by what stands in well-known attributes of a session. A list that is
    /// there counts, also when it is empty.
    Audience {
        /// Not these sessions.
        exclude: Option<Vec<u64>> = "exclude",
        /// Only these.
        eligible: Option<Vec<u64>> = "eligible",
        /// Not these names.
        exclude_authid: Option<Vec<Text>> = "exclude_authid",
        /// Only these.
        eligible_authid: Option<Vec<Text>> = "eligible_authid",
        /// Not these roles.
        exclude_authrole: Option<Vec<Text>> = "exclude_authrole",
        /// Only these.
        eligible_authrole: Option<Vec<Text>> = "eligible_authrole",
        .. /// The same by any other attribute.
        others: Others,
    }
    /// A payload that only its ends can read: one item of bytes in `Arguments`.
    Ppt {
        /// By whose rules.
        scheme: Option<Text> = "ppt_scheme",
        /// What it is written in.
        serializer: Option<Text> = "ppt_serializer",
        /// What it is encrypted with.
        cipher: Option<Text> = "ppt_cipher",
        /// The key's name.
        keyid: Option<Text> = "ppt_keyid",
    }
    /// A router that a message came through.
    Forward {
        /// Its session there.
        session: Option<u64> = "session",
        /// Its name.
        authid: Option<Text> = "authid",
        /// Its role.
        authrole: Option<Text> = "authrole",
    }
    /// Of SUBSCRIBE.
    SubscribeOptions {
        /// How the topic is meant.
        matching: Matching = "match",
        /// What was retained is wanted too.
        get_retained: bool = "get_retained",
        /// Which node it is.
        nkey: Option<Text> = "nkey",
        /// The routers it came through.
        forward_for: Option<Vec<Forward>> = "forward_for",
    }
    /// Of UNSUBSCRIBED and UNREGISTERED that nobody asked for.
    RevokedDetails {
        /// The subscription that ended.
        subscription: Option<u64> = "subscription",
        /// The registration that ended.
        registration: Option<u64> = "registration",
        /// Why.
        reason: Option<Text> = "reason",
    }
    /// Of EVENT.
    EventDetails {
        /// Where it was published, when the subscription is a pattern.
        topic: Option<Text> = "topic",
        /// The publisher's session.
        publisher: Option<u64> = "publisher",
        /// Its name.
        publisher_authid: Option<Text> = "publisher_authid",
        /// Its role.
        publisher_authrole: Option<Text> = "publisher_authrole",
        /// How far the publisher is trusted.
        trustlevel: Option<Amount> = "trustlevel",
        /// It was kept from before the subscription.
        retained: bool = "retained",
        /// A hash that another system knows it by.
        transaction_hash: Option<Text> = "transaction_hash",
        /// An EVENT_RECEIVED is asked for.
        x_acknowledged_delivery: bool = "x_acknowledged_delivery",
        /// The routers it came through.
        forward_for: Option<Vec<Forward>> = "forward_for",
        .. /// How the payload is packed.
        ppt: Option<Box<Ppt>>,
    }
    /// Of CALL.
    CallOptions {
        /// Milliseconds; 0 is none.
        timeout: Option<Amount> = "timeout",
        /// Results may come in pieces.
        receive_progress: bool = "receive_progress",
        /// More of the call will come, with the same id.
        progress: bool = "progress",
        /// The callee may know who called.
        disclose_me: bool = "disclose_me",
        /// Which of the callees.
        runmode: Option<Text> = "runmode",
        /// By what to choose.
        rkey: Option<Text> = "rkey",
        .. /// How the payload is packed.
        ppt: Option<Box<Ppt>>,
    }
    /// Of CANCEL.
    CancelOptions {
        /// How hard.
        mode: Option<CancelMode> = "mode",
    }
    /// Of RESULT.
    ResultDetails {
        /// More will come.
        progress: bool = "progress",
        .. /// How the payload is packed.
        ppt: Option<Box<Ppt>>,
    }
    /// Of REGISTER.
    RegisterOptions {
        /// How the procedure is meant.
        matching: Matching = "match",
        /// Who of several is called.
        invoke: Option<Invoke> = "invoke",
        /// Callers must be known.
        disclose_caller: bool = "disclose_caller",
        /// The callee minds timeouts itself.
        forward_timeout: bool = "forward_timeout",
    }
    /// Of INVOCATION.
    InvocationDetails {
        /// What was called, when the registration is a pattern.
        procedure: Option<Text> = "procedure",
        /// The caller's session.
        caller: Option<u64> = "caller",
        /// Its name.
        caller_authid: Option<Text> = "caller_authid",
        /// Its role.
        caller_authrole: Option<Text> = "caller_authrole",
        /// How far the caller is trusted.
        trustlevel: Option<Amount> = "trustlevel",
        /// Results may go in pieces.
        receive_progress: bool = "receive_progress",
        /// More of the call will come, with the same id.
        progress: bool = "progress",
        /// Milliseconds to mind.
        timeout: Option<Amount> = "timeout",
        .. /// How the payload is packed.
        ppt: Option<Box<Ppt>>,
    }
    /// Of INTERRUPT.
    InterruptOptions {
        /// How hard.
        mode: Option<CancelMode> = "mode",
        /// Why.
        reason: Option<Text> = "reason",
    }
    /// Of YIELD.
    YieldOptions {
        /// More will come.
        progress: bool = "progress",
        .. /// How the payload is packed.
        ppt: Option<Box<Ppt>>,
    }
}

impl PublishOptions {
    /// The publisher is among those who may have it.
    #[must_use]
    pub fn includes_me(&self) -> bool {
        self.exclude_me == Some(false)
    }
}

macro_rules! words {
    ($($(#[$doc:meta])+ $kind:ident { $($(#[$what:meta])+ $word:ident = $said:literal,)* })*) => {
        $(
            $(#[$doc])+
            #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
            pub enum $kind {
                $($(#[$what])+ $word,)*
            }

            impl $kind {
                /// All of them.
                pub const ALL: &[Self] = &[$(Self::$word),*];

                /// As it is said.
                #[must_use]
                pub const fn word(self) -> &'static str {
                    match self { $(Self::$word => $said),* }
                }

                /// What is said so.
                #[must_use]
                pub fn of(word: &str) -> Option<Self> {
                    Self::ALL.iter().copied().find(|it| it.word() == word)
                }
            }
        )*
    };
}

words! {
    /// How a URI of a subscription or registration is meant.
    Matching {
        /// Letter by letter.
        #[default]
        Exact = "exact",
        /// By how it begins.
        Prefix = "prefix",
        /// With components left open.
        Wildcard = "wildcard",
    }
    /// Who of several callees is called.
    Invoke {
        /// There may be one only.
        #[default]
        Single = "single",
        /// One after the other.
        RoundRobin = "roundrobin",
        /// Anyone.
        Random = "random",
        /// The one that came first.
        First = "first",
        /// The one that came last.
        Last = "last",
    }
}

impl Matching {
    /// The same, in the words of the space of topics.
    #[must_use]
    pub const fn how(self) -> Match {
        match self {
            Self::Exact => Match::Exact,
            Self::Prefix => Match::Prefix,
            Self::Wildcard => Match::Wildcard,
        }
    }
}

/// How hard a call is to be cancelled. What is none of the three is kept, because the answer to it
/// is an ERROR that says so, and no end of the session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CancelMode {
    /// The caller is told, the callee is not.
    Skip,
    /// The callee is told, and answers.
    Kill,
    /// Both are told at once.
    KillNoWait,
    /// Something else.
    Other(Text),
}

impl CancelMode {
    /// As it is said.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Skip => "skip",
            Self::Kill => "kill",
            Self::KillNoWait => "killnowait",
            Self::Other(word) => word.as_str(),
        }
    }
}

impl Heard for CancelMode {
    fn hear(first: Item<'_>, at: &mut Field<'_>) -> Result<Self, Refused> {
        let word = Text::hear(first, at)?;
        Ok(match word.as_str() {
            "skip" => Self::Skip,
            "kill" => Self::Kill,
            "killnowait" => Self::KillNoWait,
            _ => Self::Other(word),
        })
    }
}

impl Said for CancelMode {
    fn say(&self, to: &mut Out<'_>) {
        to.text(self.word());
    }
}

impl Heard for Matching {
    fn hear(first: Item<'_>, at: &mut Field<'_>) -> Result<Self, Refused> {
        let word = Text::hear(first, at)?;
        Self::of(word.as_str()).ok_or_else(|| at.refused(FaultKind::WampOption))
    }
}

impl Said for Matching {
    fn is_absent(&self) -> bool {
        *self == Self::default()
    }

    fn say(&self, to: &mut Out<'_>) {
        to.text(self.word());
    }
}

impl Heard for Invoke {
    fn hear(first: Item<'_>, at: &mut Field<'_>) -> Result<Self, Refused> {
        let word = Text::hear(first, at)?;
        Self::of(word.as_str()).ok_or_else(|| at.refused(FaultKind::WampOption))
    }
}

impl Said for Invoke {
    fn say(&self, to: &mut Out<'_>) {
        to.text(self.word());
    }
}

/// Keys that have no table, with what they were said to be: a session's other attributes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct More(pub Vec<(Text, Raw)>);

impl More {
    /// What was said under this key.
    #[must_use]
    pub fn of(&self, key: &str) -> Option<&Raw> {
        self.0.iter().find(|(name, _)| name.as_str() == key).map(|(_, raw)| raw)
    }
}

impl Dict for More {
    fn learn(&mut self, key: &str, field: &mut Field<'_>) -> Result<bool, Refused> {
        let raw = field.raw();
        self.0.retain(|(name, _)| name.as_str() != key);
        if let Some(raw) = raw? {
            if self.0.len() >= field.most().entries {
                return Err(field.refused(FaultKind::WampDeep));
            }
            self.0.push((key.into(), raw));
        }
        Ok(true)
    }

    fn keys(&self) -> usize {
        self.0.len()
    }

    fn put(&self, to: &mut Out<'_>) {
        for (key, raw) in &self.0 {
            to.entry(key.as_str(), raw);
        }
    }
}

/// Who may have an event, by an attribute that has no table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Other {
    /// Those may not; else only those may.
    pub exclude: bool,
    /// The attribute's name.
    pub attribute: Text,
    /// Its values.
    pub among: Vec<Text>,
}

/// All such lists of an event.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Others(pub Vec<Other>);

impl Dict for Others {
    fn learn(&mut self, key: &str, field: &mut Field<'_>) -> Result<bool, Refused> {
        let (exclude, attribute) = match (key.strip_prefix(EXCLUDE), key.strip_prefix(ELIGIBLE)) {
            (Some(attribute), _) => (true, attribute),
            (None, Some(attribute)) => (false, attribute),
            (None, None) => return Ok(false),
        };
        // What is no list asks for nothing: `exclude_me` is such a key.
        if !field.is_list()? {
            return Ok(false);
        }
        let among = field.value(if exclude { "exclude_*" } else { "eligible_*" })?;
        self.0.retain(|it| it.exclude != exclude || it.attribute.as_str() != attribute);
        if self.0.len() >= field.most().entries {
            return Err(field.refused(FaultKind::WampDeep));
        }
        self.0.push(Other { exclude, attribute: attribute.into(), among });
        Ok(true)
    }

    fn keys(&self) -> usize {
        self.0.len()
    }

    fn put(&self, to: &mut Out<'_>) {
        for Other { exclude, attribute, among } in &self.0 {
            let prefix = if *exclude { EXCLUDE } else { ELIGIBLE };
            to.entry(&format!("{prefix}{attribute}"), among);
        }
    }
}

const EXCLUDE: &str = "exclude_";
const ELIGIBLE: &str = "eligible_";
