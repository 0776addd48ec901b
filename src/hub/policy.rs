//! Floor 2. Who may come in and what they may do: the questions, and the words for the answers.
//!
//! Two traits that never mix: a `Policy` decides and is asked before anything happens, an
//! `Observer` is told afterwards and cannot change a thing. Both are called on the loop and must
//! not block; a decision that costs milliseconds (a password hash) comes back as `Admit::Verify`
//! and is finished by `Policy::verified` when a worker has the answer. Every refusal a stranger
//! can provoke looks the same from outside; the differences named here are for the log. Absent on
//! purpose: any particular rule, users file or hash.

use core::any::Any;
use core::net::IpAddr;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::edition::Edition;
use super::riddle::{Kdf, Key, Riddle, Way};
use crate::base::id::{ConnId, ListenerNo};
use crate::base::limits::Limit;
use crate::base::time::Now;
use crate::base::words::{Action, Loss};
use crate::topic::{Filter, Topic};

/// Where a connection comes from, without its port.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Address {
    /// An IPv4 address.
    V4([u8; 4]),
    /// An IPv6 address.
    V6([u8; 16]),
    /// This machine, by a road without addresses: a Unix socket, or the embedding program.
    Local,
}

impl Address {
    /// Whom to count as one: an IPv4 host, or the /64 an IPv6 host can choose addresses from. An
    /// IPv4 address in IPv6 dress is the IPv4 address.
    #[must_use]
    pub fn network(self) -> Self {
        let Self::V6(a) = self else { return self };
        if let [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, w, x, y, z] = a {
            return Self::V4([w, x, y, z]);
        }
        let mut net = [0; 16];
        net[..8].copy_from_slice(&a[..8]);
        Self::V6(net)
    }
}

impl Address {
    /// The same for those who ask the network; nothing on roads without addresses.
    #[must_use]
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::V4(a) => Some(a.into()),
            Self::V6(a) => Some(a.into()),
            Self::Local => None,
        }
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(a) => Self::V4(a.octets()),
            IpAddr::V6(a) => Self::V6(a.octets()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(a) => write!(f, "{}", core::net::Ipv4Addr::from(*a)),
            Self::V6(a) => write!(f, "{}", core::net::Ipv6Addr::from(*a)),
            Self::Local => f.write_str("local"),
        }
    }
}

/// Somebody who was let in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Principal {
    /// The name; empty for a stranger who was welcome without one.
    pub user: Bytes,
    /// The client id it came with, which rules may speak of; empty when there was none.
    pub client_id: Bytes,
    /// The policy's own number for the set of rules that applies.
    pub group: u32,
    /// May own what outlives a connection; the nameless may not.
    pub durable: bool,
    /// Which edition of the rules `group` is a number of.
    pub edition: Edition,
}

/// What a connection says about itself before it is let in.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// The protocol's name, in lower case.
    pub protocol: &'static str,
    /// The user name as sent; empty when none was.
    pub user: &'a [u8],
    /// The password as sent.
    pub password: Option<&'a [u8]>,
    /// The client id as sent; empty when none was.
    pub client_id: &'a [u8],
    /// The name in the certificate it showed, when it showed one that was verified.
    pub certificate: Option<&'a str>,
    /// Where it comes from.
    pub address: Address,
    /// It comes from this machine.
    pub loopback: bool,
}

// Written by hand so that no log line can ever hold a password.
impl fmt::Debug for Login<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("protocol", &self.protocol)
            .field("user", &self.user.escape_ascii().to_string())
            .field("client_id", &self.client_id.escape_ascii().to_string())
            .field("certificate", &self.certificate)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// A password on its way to a worker: shown nowhere, overwritten when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Copy a password out of the packet it came in.
    #[must_use]
    pub fn new(password: &[u8]) -> Self {
        Self(password.to_vec())
    }

    /// The bytes, for whoever must check them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.fill(0);
        // Without a reader the compiler may leave the overwriting out.
        core::hint::black_box(&self.0);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a policy needs back together with a worker's answer. Its asker keeps it, unread.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Who it will be if the answer is yes; nobody when the check is made only for its cost.
    pub principal: Option<Principal>,
    /// The name as claimed.
    pub user: Bytes,
    /// Where from.
    pub address: Address,
    /// From this very machine.
    pub loopback: bool,
    /// A keyed digest of everything the check depends on; 0 for a dialogue.
    pub tag: u128,
}

/// The answer to a login.
#[derive(Debug)]
pub enum Admit {
    /// Come in.
    Yes(Principal),
    /// Stay out.
    No(Refusal),
    /// A worker compares `secret` with `hash`; then `Policy::verified` decides.
    Verify {
        /// The password.
        secret: Secret,
        /// What it must match.
        hash: Arc<str>,
        /// To be handed back with the answer.
        claim: Claim,
    },
    /// No room for another check now.
    Busy,
}

/// A login in several steps, seen from the broker. It knows nothing but what was said in it; what
/// that means is for the policy, so what a peer says goes through `Policy::hear`.
pub trait Dialogue: Send + fmt::Debug {
    /// The peer said this. After anything but `More` it is over.
    fn on_data(&mut self, data: &[u8]) -> Turn;
}

/// How a dialogue goes on.
#[derive(Debug)]
pub enum Turn {
    /// Tell the peer this, and wait for what it says to it.
    More(Bytes),
    /// The peer has given its proof.
    Over {
        /// Who it claims to be; `tag` is 0, because nothing is to be remembered of the proof.
        claim: Claim,
        /// The proof is good.
        proved: bool,
        /// The last words to a peer that is let in.
        last: Bytes,
    },
    /// It makes no sense.
    No(Refusal),
}

/// What a peer is answered in a dialogue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// Tell the peer this, and wait for what it says to it.
    More(Bytes),
    /// Come in; these are the last words to the peer.
    Done(Principal, Bytes),
    /// Stay out.
    No(Refusal),
}

/// Why somebody stays out. For the log and for counters: a peer must not be able to tell
/// `Unknown` and `TooLong` apart, neither by the words nor by when they come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// User, password or client id is wrong; which of them is nobody's business.
    Unknown,
    /// The password is one that no hash can stand for: over 72 bytes, or with a NUL in it.
    TooLong,
    /// What was said in a dialogue is nothing its method knows.
    Malformed,
    /// A name is required and none was given.
    Anonymous,
    /// An operator said that it stays out.
    Banned,
    /// Whoever knows about it was not to be asked, or made no sense; which, in words.
    Unanswered(&'static str),
    /// It is who it says, but the client id leads to another user's session.
    Anothers,
    /// Too many failures lately; a try would be looked at again after this time.
    Throttled {
        /// Milliseconds until then.
        ms: u64,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown user, wrong password or wrong client id"),
            Self::TooLong => f.write_str("password over 72 bytes, or with a NUL"),
            Self::Malformed => f.write_str("not what the method of the dialogue asks for"),
            Self::Unanswered(why) => write!(f, "nobody answered who it is: {why}"),
            Self::Banned => f.write_str("banned by an operator"),
            Self::Anothers => f.write_str("the client id belongs to another user"),
            Self::Anonymous => f.write_str("no user name given"),
            Self::Throttled { ms } => write!(f, "too many failed logins, next try in {ms} ms"),
        }
    }
}

/// Something that needs permission.
#[derive(Clone, Copy, Debug)]
pub enum Access<'a> {
    /// Publish to this topic.
    Publish(&'a Topic),
    /// Subscribe to this filter.
    Subscribe(&'a Filter),
    /// Be handed a message of this topic.
    Receive(&'a Topic),
    /// Call or ask for something under this name.
    Request(&'a Topic),
}

impl Access<'_> {
    /// What is wanted, as counters tell it apart.
    #[must_use]
    pub const fn action(&self) -> Action {
        match self {
            Self::Publish(_) => Action::Publish,
            Self::Subscribe(_) => Action::Subscribe,
            Self::Receive(_) => Action::Receive,
            Self::Request(_) => Action::Request,
        }
    }
}

/// What a reload changed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// Users who were not there before.
    pub added: Vec<String>,
    /// Users who are there no longer.
    pub removed: Vec<String>,
    /// Users with another password, client id or group.
    pub changed: Vec<String>,
    /// Some rule is another: subscriptions must be permitted again.
    pub rules: bool,
    /// What is doubtful in the new text.
    pub warnings: Vec<String>,
}

/// A text that a policy's reader understood, to be taken over by that policy.
pub struct Understood {
    /// What only the policy knows.
    pub inner: Box<dyn Any + Send>,
    /// By it, everybody is welcome.
    pub open: bool,
    /// What is doubtful in it.
    pub warnings: Vec<String>,
}

/// Understands a text away from the policy: on another thread, if it takes long.
pub type Reader = Box<dyn FnOnce(&str) -> Result<Understood, String> + Send>;

/// Decides. Asked before anything happens; must not block.
pub trait Policy: Send {
    /// Is somebody from there welcome at all? Asked before a connection costs anything, and before
    /// anything is known but the address; for every transport, also where a proxy names it.
    fn accept(&mut self, _: Now, _: Address) -> bool {
        true
    }

    /// May this connection come in?
    fn admit(&mut self, now: Now, login: &Login<'_>) -> Admit;

    /// A worker has compared what `admit` asked to compare, or a dialogue has come to its proof:
    /// what is the answer now?
    fn verified(&mut self, now: Now, claim: &Claim, ok: bool) -> Result<Principal, Refusal>;

    /// Begin a login in several steps by this method; nobody is let in yet, and whether there is
    /// such a user shows at the end only. `None`: the method is not known.
    fn converse(&mut self, _: Now, _: &Login<'_>, _: &[u8]) -> Option<Box<dyn Dialogue>> {
        None
    }

    /// What does the peer in this dialogue get to hear? A proof is judged by `verified`.
    fn hear(&mut self, now: Now, dialogue: &mut dyn Dialogue, data: &[u8]) -> Said {
        match dialogue.on_data(data) {
            Turn::More(data) => Said::More(data),
            Turn::No(why) => Said::No(why),
            Turn::Over { claim, proved, last } => match self.verified(now, &claim, proved) {
                Ok(principal) => Said::Done(principal, last),
                Err(why) => Said::No(why),
            },
        }
    }

    /// Could whoever says it is this user show it in this way? About somebody who does not exist
    /// the answer is one that somebody who does could have.
    fn offers(&self, _: &Login<'_>, way: Way) -> bool {
        way == Way::Password
    }

    /// Is there anybody who could show anything in this way? Then whoever names it is asked for it.
    fn knows(&self, way: Way) -> bool {
        way == Way::Password
    }

    /// Ask for a proof in this way; nobody is let in yet, and whether there is such a user shows at
    /// the end only. For signatures `key` is the client's public key, and may stand for the name.
    /// `None`: it is not offered.
    fn challenge(
        &mut self,
        _: Now,
        _login: &Login<'_>,
        _: Way,
        _key: Option<&[u8; 32]>,
    ) -> Option<Riddle> {
        None
    }

    /// Who gave this proof for these words, and what proves to the client that the broker knows.
    fn judge(
        &mut self,
        now: Now,
        riddle: &Riddle,
        words: &[u8],
        proof: &[u8],
    ) -> Result<(Principal, Vec<u8>), Refusal> {
        let verdict = riddle.judge.judge(words, proof);
        let who = self.verified(now, &verdict.claim, verdict.proved)?;
        Ok((who, verdict.vouched))
    }

    /// Somebody whom another vouches for comes in as one of this group. Nobody: there is no such
    /// group, or the name is one that the policy itself knows.
    fn vouched(&self, _user: &Bytes, _group: &[u8]) -> Option<Principal> {
        None
    }

    /// Ask somebody whom another vouches for by this key, or whom nobody vouches for: that one
    /// looks so, and is never right. It is judged and counted like any other.
    fn pose(&mut self, _: Claim, _: Result<Key, (Kdf, usize)>) -> Option<Riddle> {
        None
    }

    /// Must a login like this wait? Nobody is asked about it meanwhile.
    fn must_wait(&self, _: Now, _: &Login<'_>) -> bool {
        false
    }

    /// As what `who` acts, for protocols that tell: the name of its group. Empty: as nothing.
    fn role(&self, _: &Principal) -> Bytes {
        Bytes::new()
    }

    /// May `who` do this?
    fn permit(&mut self, who: &Principal, access: &Access<'_>) -> bool;

    /// The same answer as `permit`, in words that name the rule that decides.
    fn explain(&self, who: &Principal, access: &Access<'_>) -> String;

    /// Who `user` would be if it were let in now; nobody when it would not be. For sessions that
    /// come back from disk, and for connections that outlive a change of rules.
    fn recall(&self, user: &Bytes) -> Option<Principal>;

    /// Replace the rules by those of another text. With an error nothing changes. Ending the
    /// connections of whoever is not who they were is the caller's.
    fn reload(&mut self, _: &str) -> Result<Changes, String> {
        Err("this policy is not read from a text".into())
    }

    /// How to understand another text as this policy would, elsewhere; the answer goes to `renew`.
    fn reader(&self) -> Option<Reader> {
        None
    }

    /// Take over what a reader of this policy understood, as `reload` does; nothing when it is
    /// somebody else's.
    fn renew(&mut self, _: Understood) -> Option<Changes> {
        None
    }

    /// Must `Access::Receive` be asked for every delivery? When not, the permission to subscribe
    /// covers everything a subscription can match.
    fn checks_receive(&self) -> bool {
        false
    }
}

/// Everybody is welcome and may do everything, except write where the broker writes (`$...`).
/// That only this machine can reach such a listener is the listener's business.
#[derive(Clone, Copy, Debug, Default)]
pub struct Open;

impl Open {
    fn guest(user: Bytes, client_id: Bytes) -> Principal {
        let durable = !user.is_empty();
        Principal { user, client_id, group: 0, durable, edition: Edition::default() }
    }
}

impl Policy for Open {
    fn admit(&mut self, _: Now, login: &Login<'_>) -> Admit {
        let client_id = Bytes::copy_from_slice(login.client_id);
        Admit::Yes(Self::guest(Bytes::copy_from_slice(login.user), client_id))
    }

    fn verified(&mut self, _: Now, _: &Claim, _: bool) -> Result<Principal, Refusal> {
        // Nothing here ever asks for a check, so an answer belongs to nobody.
        Err(Refusal::Unknown)
    }

    fn permit(&mut self, _: &Principal, access: &Access<'_>) -> bool {
        !matches!(access, Access::Publish(topic) if topic.is_hidden())
    }

    fn explain(&self, _: &Principal, access: &Access<'_>) -> String {
        match access {
            Access::Publish(topic) if topic.is_hidden() => {
                "denied: only the broker publishes under $".into()
            }
            _ => "allowed: no users are configured".into(),
        }
    }

    fn recall(&self, user: &Bytes) -> Option<Principal> {
        Some(Self::guest(user.clone(), Bytes::new()))
    }
}

/// What a login asked for, besides names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    /// The version, as its protocol counts; MQTT 3.1, 3.1.1 and 5.0 are 1, 2 and 5 to those who
    /// read logs.
    pub version: Option<u8>,
    /// Nothing is to be left of an earlier session.
    pub clean: bool,
    /// Seconds of silence it announced.
    pub keepalive_s: u16,
}

/// Watches. Told after the fact; cannot change anything; must not block.
pub trait Observer: Send {
    /// This happened.
    fn see(&mut self, now: Now, event: &Event<'_>);
}

/// What an observer is told. Names and texts are as peers sent them: escape before printing.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A connection was accepted.
    Opened {
        /// Which.
        conn: ConnId,
        /// By which listener.
        listener: ListenerNo,
        /// Where from.
        address: Address,
    },
    /// The port it comes from, where there is one.
    Port {
        /// Which connection.
        conn: ConnId,
        /// The other end's.
        port: u16,
    },
    /// A trusted proxy said for whom it speaks.
    Forwarded {
        /// Which connection.
        conn: ConnId,
        /// Where it comes from in truth.
        address: Address,
    },
    /// A login succeeded.
    LoggedIn {
        /// Which connection.
        conn: ConnId,
        /// Its protocol.
        protocol: &'static str,
        /// Who.
        who: &'a Principal,
        /// The client id as sent.
        client_id: &'a [u8],
        /// What else it said.
        terms: Option<Terms>,
    },
    /// A login failed.
    Refused {
        /// Which connection.
        conn: ConnId,
        /// Where from.
        address: Address,
        /// The name as claimed.
        user: &'a [u8],
        /// The client id as sent; empty when there was none.
        client_id: &'a [u8],
        /// Why.
        why: Refusal,
    },
    /// A connection ended.
    Closed {
        /// Which.
        conn: ConnId,
        /// The name of the reason.
        reason: &'static str,
    },
    /// A subscription began, or changed.
    Subscribed {
        /// Whose.
        who: &'a Principal,
        /// To what.
        filter: &'a Filter,
    },
    /// A subscription ended.
    Unsubscribed {
        /// Whose.
        who: &'a Principal,
        /// From what.
        filter: &'a Filter,
    },
    /// A message was taken in.
    Published {
        /// By whom.
        who: &'a Principal,
        /// Under which topic.
        topic: &'a Topic,
        /// Length of its payload.
        len: usize,
        /// Quality of service: 0 or 1.
        qos: u8,
        /// Kept for those who come later.
        retain: bool,
    },
    /// A delivery was given up.
    Dropped {
        /// Whose.
        user: &'a [u8],
        /// Of which topic.
        topic: &'a Topic,
        /// Why.
        reason: Loss,
    },
    /// Readers of this protocol cannot be told of this topic; said once for each.
    Unspelled {
        /// The protocol that has no spelling for it.
        protocol: &'static str,
        /// The topic.
        topic: &'a Topic,
    },
    /// Somebody reached a bound. Told once for each of them, bound and minute; the counters have
    /// every time.
    Limited {
        /// Its connection, for whoever has one.
        conn: Option<ConnId>,
        /// A client id, a user name, or an address.
        who: &'a [u8],
        /// The bound.
        limit: Limit,
    },
    /// A request was refused by the rules.
    Denied {
        /// Which connection.
        conn: ConnId,
        /// Who asked.
        who: &'a Principal,
        /// For what.
        access: Access<'a>,
        /// What `Policy::explain` says.
        why: &'a str,
    },
    /// A peer broke a rule of its protocol.
    Fault {
        /// Which connection.
        conn: ConnId,
        /// The clause it broke.
        clause: &'static str,
        /// The rest of the story.
        text: &'a str,
    },
    /// The state of the disk changed.
    Storage {
        /// The name of the new state.
        state: &'static str,
        /// The rest of the story.
        text: &'a str,
    },
    /// The broker is at its end: nothing is open any more, and nothing happens after this.
    Stopped {
        /// Everybody was told and everything is on the disk; otherwise time ran out.
        clean: bool,
    },
}
