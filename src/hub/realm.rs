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
}
