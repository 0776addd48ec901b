//! Floor 2. A namespace: the topics, kept values, names and queues that see each other.

use std::collections::VecDeque;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::base::id::SessionId;
use crate::base::map::{Map, Seed};
use crate::topic::{FilterTrie, LeafId, TopicTree};

use super::group::Group;
use super::names::Names;
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

/// What a namespace has been told to do for its parties.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Names are of small letters, digits and underscores only.
    pub strict: bool,
    /// Who publishes or calls may be told to others.
    pub disclose: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self { strict: false, disclose: true }
    }
}

impl Terms {
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
            _ => return Err(format!("{key} is nothing a realm can be told")),
        }
        Ok(())
    }
}

/// A namespace.
#[derive(Debug)]
pub struct Realm {
    /// Its name in the configuration.
    pub name: String,
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
    /// What it has been told to do.
    pub terms: Terms,
    /// Work queues by address.
    pub queues: Map<Bytes, Queue>,
}

impl Realm {
    /// An empty one.
    #[must_use]
    pub fn new(name: &str, seed: Seed) -> Self {
        Self {
            name: name.to_owned(),
            topics: FilterTrie::new(seed.clone()),
            shared: FilterTrie::new(seed.clone()),
            bare: Default::default(),
            retained: TopicTree::new(),
            kept_bytes: 0,
            names: Names::new(seed.clone()),
            terms: Terms::default(),
            queues: Map::with_hasher(seed),
        }
    }
}
