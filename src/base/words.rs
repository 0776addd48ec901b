//! Floor 0. The words that tell counters apart: each set closed, in one table with its meaning.
//!
//! A label of a metric takes one of these words and nothing else, so there are as many series as
//! there are words, whatever clients do. The manual lists them from here. Absent on purpose: words
//! that come from outside (names, addresses, topics).

use super::stats::Counter;

macro_rules! words {
    ($(#[doc = $about:literal])+ $set:ident {
        $($(#[doc = $doc:literal])+ $name:ident, $word:literal;)*
    }) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $set { $($(#[doc = $doc])+ $name),* }

        impl $set {
            /// All of them with their words and meanings, in order.
            pub const ALL: &[(Self, &'static str, &'static str)] =
                &[$((Self::$name, $word, concat!($($doc),+))),*];

            /// The words alone.
            pub const WORDS: &[&'static str] = &[$($word),*];

            /// The word.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word),* }
            }
        }
    };
}

words! {
    /// What a client speaks, with its version.
    Tongue {
        /// PRX1.
        Prx1, "prx1";
        /// MQTT 3.1.
        Mqtt31, "mqtt31";
        /// MQTT 3.1.1.
        Mqtt311, "mqtt311";
        /// MQTT 5.0.
        Mqtt5, "mqtt5";
        /// HTTP, for whoever runs the broker.
        Http, "http";
        /// The Foo protocol, on either side of a relay.
        Foo, "foo";
        /// WAMP.
        Wamp, "wamp";
        /// aioconnectors.
        Aio, "aio";
        /// The embedding program.
        Local, "local";
        /// Nobody knows yet: it has not identified itself.
        Unknown, "unknown";
        /// Nobody: the broker itself says it, for an administrator or for a client that is gone.
        Broker, "broker";
    }
}

words! {
    /// Why a connection ended.
    Ending {
        /// The peer closed its end.
        Eof, "eof";
        /// The network gave up on it.
        Reset, "reset";
        /// The peer said goodbye.
        Left, "left";
        /// No upstream of its relay is there, or the one it had is gone.
        Unreachable, "unreachable";
        /// Somebody else logged in under its name.
        TakenOver, "taken_over";
        /// It did not identify itself in time.
        ConnectTimeout, "connect_timeout";
        /// It was silent for too long.
        IdleTimeout, "idle_timeout";
        /// It began a packet and did not end it in time.
        PacketTimeout, "packet_timeout";
        /// It had begun a packet, and there was no memory for all that were begun.
        Unfinished, "unfinished";
        /// It took no bytes for too long while some waited for it.
        Stuck, "stuck";
        /// It did not fetch what it asked for.
        Overrun, "overrun";
        /// A rule was broken; the log names it.
        Fault, "fault";
        /// It may not come in.
        Refused, "refused";
        /// It would have had to wait too long for its login.
        Busy, "busy";
        /// The broker is going down.
        Stopping, "stopping";
        /// The disk failed, and it wanted a promise.
        StorageFailed, "storage_failed";
        /// An operator or the embedding program closed it.
        Kicked, "kicked";
        /// The address that a proxy named may not come in, or not so often.
        Unwelcome, "unwelcome";
    }
}

words! {
    /// By what somebody shows who it is.
    Method {
        /// By nothing.
        Anonymous, "anonymous";
        /// By a password, or a secret that is compared as it stands.
        Password, "password";
        /// By a dialogue that proves the knowledge of one.
        Scram, "scram";
        /// By a MAC of a challenge, with a shared key.
        Cra, "wampcra";
        /// By the signature of a challenge, with a key of its own.
        Cryptosign, "cryptosign";
        /// By a cookie that was given to whoever had shown it in another way.
        Cookie, "cookie";
        /// By a certificate alone.
        Certificate, "certificate";
        /// As an administrator, by a password or a token; only refusals are counted.
        Admin, "admin";
    }
}

words! {
    /// How a login ended.
    Outcome {
        /// It is in.
        Accepted, "accepted";
        /// It stays out.
        Refused, "refused";
        /// Nobody had the time to look at it.
        Busy, "busy";
    }
}

words! {
    /// What somebody wanted to do, and may not.
    Action {
        /// Come in, from where it comes.
        Connect, "connect";
        /// Publish to a topic.
        Publish, "publish";
        /// Subscribe to a filter.
        Subscribe, "subscribe";
        /// Be handed a message.
        Receive, "receive";
        /// Call or ask for something under a name.
        Request, "request";
    }
}

words! {
    /// Why a delivery was given up, as the log says it.
    Loss {
        /// The reader is connected, and lags behind by as much as is kept for it.
        Outbox, "outbox full";
        /// The reader is away, and as much as is kept for it waits already.
        Offline, "offline queue full";
        /// The reader is owed as many messages, or bytes, as it may be.
        Owed, "as much as it may be owed";
        /// The message's lifetime is over.
        Expired, "expired";
        /// The reader said that it takes no packets so large.
        Large, "larger than its reader takes";
        /// The reader's protocol has no spelling for the topic; said once for each topic.
        Spelling, "no spelling for its topic";
        /// It came with arguments that make no body for its reader, or was kept for some only.
        Form, "no body for its reader";
        /// The reader is away, and it is not among those for whom this is kept; counted only.
        Away, "reader away";
    }
}

impl Loss {
    /// Where it is counted.
    #[must_use]
    pub const fn counter(self) -> Counter {
        match self {
            Self::Outbox | Self::Offline | Self::Owed => Counter::DroppedFull,
            Self::Expired => Counter::DroppedExpired,
            Self::Large => Counter::DroppedLarge,
            Self::Spelling | Self::Form => Counter::Unspellable,
            Self::Away => Counter::DroppedAway,
        }
    }
}

impl Tongue {
    /// The one of this word; nobody knows any other.
    #[must_use]
    pub fn named(word: &str) -> Self {
        let found = Self::ALL.iter().find(|(_, own, _)| *own == word);
        found.map_or(Self::Unknown, |(tongue, ..)| *tongue)
    }
}

/// Qualities of service, as labels.
pub const QOS: &[&str] = &["0", "1", "2"];
