//! Floor 2. Looking through kept values: levels of the tree, lists, and one value wherever it is.
//!
//! Every look does a bounded amount of work and says where the next begins. A value on disk is read
//! there and waits for whoever asked, who is woken; one that is not fetched is forgotten when the
//! next is asked for. Absent on purpose: subscribers (`retained`).

use std::sync::Arc;

use crate::base::id::{ConnId, RealmId};
use crate::base::time::Now;
use crate::journal::job::{Pick, Picked};
use crate::topic::{Cursor, Filter, Seg, Tail, Topic, Walk};

use super::backlog::message_of_record;
use super::message::Message;
use super::{Hub, READS_MAX, Reader};

/// Topics counted below a level.
const BELOW_MAX: usize = 100;
/// Values read from disk that wait for whoever asked.
const WAITING_MAX: usize = 16;

/// Where to look, and for how much.
#[derive(Clone, Debug)]
pub struct Look {
    /// Below this topic; everywhere without one.
    pub prefix: Option<Topic>,
    /// Behind this topic.
    pub after: Option<Topic>,
    /// So many rows.
    pub most: usize,
}

/// A level of the tree.
#[derive(Clone, Debug)]
pub struct LevelRow {
    /// The topic up to this level.
    pub topic: Topic,
    /// A value is kept under this very topic.
    pub here: bool,
    /// Topics with values below it.
    pub below: usize,
    /// There are more than were counted.
    pub capped: bool,
}

/// A kept value.
#[derive(Clone, Debug)]
pub struct ValueRow {
    /// Its topic.
    pub topic: Topic,
    /// What it takes.
    pub bytes: u32,
    /// Until when it is of use, in milliseconds since 1970; 0: for ever.
    pub expires: u64,
    /// It is not in memory.
    pub on_disk: bool,
}

/// A value that was asked for.
#[derive(Debug)]
pub enum Value {
    /// This is it.
    Here(Arc<Message>),
    /// It is read; whoever asked is woken when it has come.
    Coming,
    /// There is none.
    None,
}

/// A filter for everything below a prefix; with `itself`, and the prefix.
fn filter_of(prefix: Option<&Topic>, itself: bool) -> Filter {
    let segs = prefix.map(Filter::exact).map(|filter| filter.segs).unwrap_or_default();
    let literal = |seg: &Seg| matches!(seg, Seg::Lit(_));
    debug_assert!(segs.iter().all(literal), "a topic has no wildcards");
    let tail = if itself { Tail::Rest } else { Tail::Starts(bytes::Bytes::new()) };
    Filter { segs, tail }
}

impl Hub {
    /// Levels right below a prefix. True: there are more.
    #[must_use]
    pub fn kept_levels(&self, realm: RealmId, look: &Look) -> (Vec<LevelRow>, bool) {
        let Some(r) = self.realm(realm) else { return (Vec::new(), false) };
        let filter = filter_of(look.prefix.as_ref(), false);
        let depth = look.prefix.as_ref().map_or(0, Topic::depth);
        let mut cursor = look.after.as_ref().map_or_else(Cursor::default, Cursor::beyond);
        let mut rows: Vec<LevelRow> = Vec::new();
        let mut full = false;
        loop {
            let rows = &mut rows;
            let over = r.retained.walk(&filter, &mut cursor, BELOW_MAX, &mut |topic, _| {
                let levels = || topic.levels().take(depth + 1);
                let known = rows.last_mut().filter(|row| row.topic.levels().eq(levels()));
                let here = topic.depth() == depth + 1;
                if let Some(row) = known {
                    row.below += usize::from(!here);
                    row.capped = row.below >= BELOW_MAX;
                    return if row.capped { Walk::Stop } else { Walk::Go };
                }
                if rows.len() == look.most {
                    full = true;
                    return Walk::Stop;
                }
                let level = Topic::from_levels(levels().collect::<Vec<_>>());
                rows.push(LevelRow {
                    topic: level,
                    here,
                    below: usize::from(!here),
                    capped: false,
                });
                Walk::Go
            });
            if over || full {
                return (core::mem::take(rows), full);
            }
            if let Some(row) = rows.last().filter(|row| row.capped) {
                cursor = Cursor::beyond(&row.topic);
            }
        }
    }

    /// Kept values at and below a prefix. True: there are more.
    #[must_use]
    pub fn kept_values(&self, now: Now, realm: RealmId, look: &Look) -> (Vec<ValueRow>, bool) {
        let Some(r) = self.realm(realm) else { return (Vec::new(), false) };
        let filter = filter_of(look.prefix.as_ref(), true);
        let mut cursor = look.after.as_ref().map_or_else(Cursor::default, Cursor::behind);
        let (mut rows, mut full) = (Vec::new(), false);
        let steps = look.most.saturating_mul(4).max(64);
        let over = r.retained.walk(&filter, &mut cursor, steps, &mut |topic, kept| {
            if rows.len() == look.most {
                full = true;
                return Walk::Stop;
            }
            if !kept.is_expired(now.wall) {
                let on_disk = kept.value.is_none();
                let (bytes, expires) = (kept.bytes, kept.expires);
                rows.push(ValueRow { topic: topic.clone(), bytes, expires, on_disk });
            }
            Walk::Go
        });
        (rows, full || !over)
    }

    /// The value kept under this topic, for a connection that may have to wait for it.
    pub fn kept_value(&mut self, now: Now, realm: RealmId, topic: &Topic, conn: ConnId) -> Value {
        if let Some(at) = self.picked.iter().position(|(asker, _)| *asker == conn) {
            let (_, message) = self.picked.swap_remove(at);
            return message.map_or(Value::None, Value::Here);
        }
        let r = self.realms.get(usize::from(realm.0));
        let kept = r.and_then(|r| r.retained.get(topic));
        let Some(kept) = kept.filter(|kept| !kept.is_expired(now.wall)) else {
            return Value::None;
        };
        if let Some(value) = &kept.value {
            return Value::Here(value.message(&topic.detached(), kept.expires, &self.meter));
        }
        let Some(lsn) = kept.lsn.filter(|_| self.reads.len() < READS_MAX) else {
            return Value::None;
        };
        let at = vec![(lsn, kept.len)];
        let token = self.new_read(Reader::Asked(conn));
        match &mut self.journal {
            Some(journal) => journal.request(Pick { token, at }),
            None => return Value::None,
        }
        Value::Coming
    }

    /// A value that was asked for has come.
    pub(crate) fn on_asked(&mut self, conn: ConnId, picked: Picked) {
        let meter = self.meter.clone();
        let record = picked.items.into_iter().next().and_then(Result::ok);
        let message = record.and_then(|record| message_of_record(&record, &meter)).map(Arc::new);
        if self.picked.len() >= WAITING_MAX {
            self.picked.remove(0);
        }
        self.picked.push((conn, message));
        self.awake.push(conn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::Limits;
    use crate::hub::Parts;
    use crate::hub::message::{Durability, Publication};
    use crate::hub::policy::{Event, Observer, Open};
    use bytes::Bytes;

    struct Quiet;

    impl Observer for Quiet {
        fn see(&mut self, _: Now, _: &Event<'_>) {}
    }

    const NOW: Now = Now { mono: 0, wall: 1_000 };
    const MAIN: RealmId = RealmId(0);

    fn topic(text: &str) -> Topic {
        Topic::split(Bytes::copy_from_slice(text.as_bytes()), b'/')
    }

    fn hub(topics: &[String]) -> Hub {
        let (policy, observer) = (Box::new(Open), Box::new(Quiet));
        let (limits, realms) = (Limits::default(), vec!["main".into()]);
        let mut hub = Hub::new(Parts { limits, seed: 1, realms, policy, observer });
        for text in topics {
            let publication = Publication {
                realm: MAIN,
                topic: topic(text),
                body: Bytes::from_static(b"x"),
                props: Bytes::new(),
                qos: 0,
                retain: true,
                expires: 0,
                inbound: None,
            };
            hub.publish(NOW, None, Durability::Memory, &publication).expect("there is room");
        }
        hub
    }

    fn look(prefix: Option<&str>, after: Option<&str>, most: usize) -> Look {
        Look { prefix: prefix.map(topic), after: after.map(topic), most }
    }

    #[test]
    fn levels_are_counted_up_to_a_bound_and_paged() {
        let mut topics: Vec<String> = (0..350).map(|n| format!("a/{n:03}/x")).collect();
        topics.extend(["a".into(), "b".into(), "c/d/e".into(), "c/d/f".into(), "$SYS/x".into()]);
        let hub = hub(&topics);
        let levels = |look: &Look| {
            let (rows, more) = hub.kept_levels(MAIN, look);
            let text = |topic: &Topic| String::from_utf8_lossy(topic.text()).into_owned();
            let row = |r: &LevelRow| (text(&r.topic), r.here, r.below, r.capped);
            (rows.iter().map(row).collect::<Vec<_>>(), more)
        };
        let (first, more) = levels(&look(None, None, 2));
        let wanted = vec![("a".into(), true, BELOW_MAX, true), ("b".into(), true, 0, false)];
        assert_eq!((first, more), (wanted, true));
        let rest = levels(&look(None, Some("b"), 2));
        assert_eq!(rest, (vec![("c".into(), false, 2, false)], false));
        let (below, more) = levels(&look(Some("a"), None, 1_000));
        assert_eq!((below.len(), more), (350, false));
        assert_eq!(below[349], ("a/349".into(), false, 1, false));
        assert_eq!(levels(&look(Some("$SYS"), None, 9)).0.len(), 1, "hidden, and not from here");
        assert_eq!(levels(&look(Some("b"), None, 9)), (Vec::new(), false));
    }

    #[test]
    fn values_come_in_order_and_each_once() {
        let topics: Vec<String> = (0..95).map(|n| format!("a/{n:02}")).collect();
        let hub = hub(&topics);
        let (mut seen, mut after) = (Vec::new(), None::<String>);
        loop {
            let (rows, more) = hub.kept_values(NOW, MAIN, &look(Some("a"), after.as_deref(), 10));
            let text = |row: &ValueRow| String::from_utf8_lossy(row.topic.text()).into_owned();
            seen.extend(rows.iter().map(text));
            if !more {
                break;
            }
            after = seen.last().cloned();
        }
        assert_eq!(seen, topics);
    }
}
