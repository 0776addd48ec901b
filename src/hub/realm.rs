//! Floor 2. A namespace: the topics, kept values, names and queues that see each other.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::base::id::SessionId;
use crate::base::map::{Map, Seed};
use crate::topic::{Filter, FilterTrie, LeafId, Topic, TopicTree};
use crate::value::Value;

use super::calls::Kind;
use super::group::Group;
use super::history::History;
use super::message::Charge;
use super::names::Names;
use super::numbered::Number;
use super::queue::Queue;
use super::retained::Kept;
use super::riddle::Way;
use super::session::SubOpts;

/// A subscriber at a leaf.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Who.
    pub session: SessionId,
    /// What it asked for.
    pub opts: SubOpts,
}

/// All subscribers of one filter; of most filters there is one.
pub type Leaf = SmallVec<[Member; 1]>;

/// On which terms peers that can call and be called are in a realm.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terms {
    /// Names are made of small letters, digits and `_` only.
    pub strict: bool,
    /// Who publishes or calls may be told to others.
    pub disclose: bool,
    /// The realm can be asked about itself, and tells what happens in it.
    pub meta: bool,
    /// Sessions can be ended by whoever may ask for that.
    pub kill: bool,
    /// What is said of a session can be changed.
    pub modify: bool,
    /// An end by somebody else is called a normal one, as some clients expect.
    pub normal: bool,
    /// Of what clients say of themselves, only this is passed on; none: all of it.
    pub shown: Option<Arc<[String]>>,
    /// What is remembered; see [`super::Hub::tell_realm`].
    pub histories: Arc<[Remembered]>,
    /// Topics under these are procedures also to who has no word for a call but a message that
    /// says where its answer goes.
    pub procedures: Arc<[Filter]>,
    /// How far whoever publishes or calls is trusted: the first that fits.
    pub trusts: Arc<[Trusted]>,
    /// Who is asked about what the users file does not say.
    pub asked: Arc<Asked>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            strict: false,
            disclose: true,
            meta: true,
            kill: true,
            modify: false,
            normal: false,
            shown: None,
            histories: Arc::default(),
            procedures: Arc::default(),
            trusts: Arc::default(),
            asked: Arc::default(),
        }
    }
}

impl Terms {
    /// Is this topic a procedure?
    #[must_use]
    pub fn is_procedure(&self, topic: &Topic) -> bool {
        self.procedures.iter().any(|filter| filter.matches(topic))
    }

    /// What whoever configures says. An error is a sentence.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let is_on = |value| match value {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err(format!("{key} is on or off")),
        };
        match key {
            "strict" => self.strict = is_on(value)?,
            "disclose" => self.disclose = is_on(value)?,
            "meta" => self.meta = is_on(value)?,
            "kill" => self.kill = is_on(value)?,
            "modify" => self.modify = is_on(value)?,
            "normal" => self.normal = is_on(value)?,
            _ => return Err(format!("{key} is nothing a realm can be told")),
        }
        Ok(())
    }
}

impl Terms {
    /// How far this user in this role is trusted with this name; nothing where nobody says so, the
    /// least where others are.
    #[must_use]
    pub fn trust(&self, who: (&[u8], &[u8]), topic: &Topic) -> Option<u32> {
        let least = (!self.trusts.is_empty()).then_some(0);
        self.trusts.iter().find(|it| it.is_about(who, topic)).map(|it| it.level).or(least)
    }
}

/// Somebody is trusted so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trusted {
    /// How far; 0 is the least.
    pub level: u32,
    /// Only in this role.
    pub role: Option<Bytes>,
    /// Only of this name.
    pub user: Option<Bytes>,
    /// Only with names of this pattern.
    pub filter: Option<Filter>,
}

impl Trusted {
    fn is_about(&self, (user, role): (&[u8], &[u8]), topic: &Topic) -> bool {
        self.role.as_ref().is_none_or(|own| *own == role)
            && self.user.as_ref().is_none_or(|own| *own == user)
            && self.filter.as_ref().is_none_or(|own| own.matches(topic))
    }
}

/// Procedures of a realm that the router itself asks, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// They are asked in this namespace; nothing: in the one that they are asked about.
    pub realm: Option<Arc<str>>,
    /// Who somebody is that the users file does not name.
    pub authenticator: Option<Bytes>,
    /// In which ways such a one may show it.
    pub ways: Arc<[Way]>,
    /// How all of them make keys of their passwords; nothing: they do not.
    pub salted: Option<Salted>,
    /// Whether somebody may do something.
    pub authorizer: Option<Bytes>,
    /// So long an answer is waited for.
    pub wait_ms: u64,
    /// So long it is remembered; 0: not at all.
    pub keep_s: u64,
}

/// How clients make a key of a password: the same for all, or those who are not there would show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Salted {
    /// Bytes of a salt.
    pub len: usize,
    /// Rounds of PBKDF2.
    pub rounds: u32,
    /// Bytes of a key.
    pub key_len: u32,
}

impl Default for Asked {
    fn default() -> Self {
        let ways = Arc::new([Way::Password, Way::Mac, Way::Signature]);
        Self {
            realm: None,
            authenticator: None,
            ways,
            salted: None,
            authorizer: None,
            wait_ms: 5_000,
            keep_s: 60,
        }
    }
}

/// Publications under a pattern are remembered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remembered {
    /// The pattern, as subscribers write it.
    pub pattern: Bytes,
    /// How it is meant.
    pub kind: Kind,
    /// The same, as the hub matches it.
    pub filter: Filter,
    /// So many, the newest.
    pub limit: usize,
    /// They outlive the broker, if what is published outlives it at all.
    pub lasting: bool,
}

/// What somebody said about a name of a realm.
#[derive(Debug)]
pub struct Described {
    /// The number of whoever said it.
    pub owner: u64,
    /// What.
    pub what: Value,
    /// What that weighs on the memory budget.
    pub charge: Charge,
}

/// A namespace.
#[derive(Debug)]
pub struct Realm {
    /// Its name in the configuration.
    pub name: String,
    /// What it is on record, once something of it is.
    pub(crate) number: Option<Number>,
    /// Nobody configured it: it is on record only.
    pub(crate) shut: bool,
    /// On which terms peers are here.
    pub terms: Terms,
    /// It is open because somebody came, until everybody has left.
    pub(crate) made: bool,
    /// Everybody has left, and what was kept is being forgotten.
    pub(crate) vacating: bool,
    /// What is remembered, in the order of the terms.
    pub(crate) histories: Vec<History>,
    /// What was said about names.
    pub described: BTreeMap<String, Described>,
    /// Filters and who listens.
    pub topics: FilterTrie<Leaf>,
    /// Filters and the groups that take turns.
    pub shared: FilterTrie<Vec<Group>>,
    /// Filters, and filters of groups, at which nobody is left, and which are still to be cut.
    pub(crate) bare: (VecDeque<LeafId>, VecDeque<LeafId>),
    /// Last values.
    pub retained: TopicTree<Kept>,
    /// Bytes of them, in memory and on disk.
    pub kept_bytes: u64,
    /// Sessions by name: durable ones, and those that nobody else may be meanwhile.
    pub names: Names,
    /// Work queues by address.
    pub queues: Map<Bytes, Queue>,
}

impl Realm {
    /// An empty one.
    #[must_use]
    pub fn new(name: &str, seed: Seed) -> Self {
        Self {
            name: name.to_owned(),
            number: None,
            shut: false,
            terms: Terms::default(),
            made: false,
            vacating: false,
            histories: Vec::new(),
            described: BTreeMap::new(),
            topics: FilterTrie::new(seed.clone()),
            shared: FilterTrie::new(seed.clone()),
            bare: Default::default(),
            retained: TopicTree::new(),
            kept_bytes: 0,
            names: Names::new(seed.clone()),
            queues: Map::with_hasher(seed),
        }
    }

    /// It is there for as long as somebody is, so nothing of it goes on record; one that is on
    /// record already is as it was.
    pub(crate) fn is_fleeting(&self) -> bool {
        self.made && self.number.is_none()
    }

    /// Its place is another's from now on, when there is one.
    pub(super) fn is_vacant(&self) -> bool {
        self.name.is_empty() && !self.vacating
    }
}
