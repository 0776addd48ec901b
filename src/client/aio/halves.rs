//! Floor 5. Files of which some parts are there, for each sender by itself, whether it is there or
//! not: the rest of a file may come over another connection.
//!
//! Each has room of its own, so nobody loses a part because others have many. Who is there looks at
//! its clock for its own; for who is away somebody else must (`on_time`), and no more senders than
//! have a bound may be away and leave something. Absent on purpose: bytes, and parts that survive
//! the process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::map::Seed;
use crate::base::time::{Deadline, Now};
use crate::client::pipe::seed;
use crate::proto::aio::Name;
use crate::proto::aio::assembly::{Assembly, Most};

use super::folders::Part;
use super::line::Watch;

/// Those of all senders, and the clock that says for how long.
#[derive(Clone, Debug)]
pub(super) struct Halves {
    pub(super) watch: Watch,
    all: Arc<Mutex<BTreeMap<Name, Mine>>>,
}

impl Default for Halves {
    fn default() -> Self {
        Self { watch: Watch::start(), all: Arc::default() }
    }
}

/// Those of one, for as long as it is there and as something is left.
#[derive(Clone, Debug)]
pub(super) struct Mine(Arc<Mutex<Assembly<Part>>>);

impl Default for Mine {
    fn default() -> Self {
        let all = Assembly::new(Most::default(), Seed::with_seed(seed()));
        Self(Arc::new(Mutex::new(all)))
    }
}

impl Mine {
    pub(super) fn lock(&self) -> MutexGuard<'_, Assembly<Part>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its sender is not there.
    fn is_left(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl Halves {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Name, Mine>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of this sender, which is there now.
    pub(super) fn of(&self, name: &Name) -> Mine {
        self.on_time(self.watch.now());
        self.lock().entry(name.detached()).or_default().clone()
    }

    /// Something of this sender is there.
    pub(super) fn has(&self, name: &Name) -> bool {
        self.lock().get(name).is_some_and(|mine| !mine.lock().is_empty())
    }

    /// Who comes under this name from now on is somebody else.
    pub(super) fn forget(&self, name: &Name) {
        let gone = self.lock().remove(name);
        drop(gone);
    }

    /// Of who is away nothing stays that nobody waits for, and of no more than so many: who has
    /// been silent for longest loses what it began.
    pub(super) fn on_time(&self, now: Now) {
        let mut all = self.lock();
        let (mut parts, mut left, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        for (name, mine) in all.iter().filter(|(_, mine)| mine.is_left()) {
            let mut own = mine.lock();
            parts.extend(own.due(now));
            match (own.is_empty(), own.remembers()) {
                (true, false) => ended.push(name.clone()),
                // Who has begun nothing goes first where there are too many.
                (true, true) => left.push((Deadline(0), name.clone())),
                (false, _) => left.push((own.deadline(), name.clone())),
            }
        }
        left.sort_unstable();
        let many = left.len().saturating_sub(LEFT_MAX);
        ended.extend(left.drain(..many).map(|(_, name)| name));
        let ended: Vec<Mine> = ended.iter().filter_map(|name| all.remove(name)).collect();
        // Files go while nobody waits for that.
        drop(all);
        drop((parts, ended));
    }
}

/// Senders that are away, and of whom something is there.
const LEFT_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::aio::folders::{Folders, Stored};
    use crate::proto::aio::file::{CHUNK, Chunk, WithFile};
    use std::fs;
    use std::path::PathBuf;

    /// A folder of a test's own.
    struct Dir(PathBuf);

    impl Dir {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("spindle-aio-h-{:x}", seed()));
            fs::create_dir(&path).expect("a folder");
            Self(path)
        }

        /// This one is there.
        fn of(&self, halves: &Halves, who: &Name) -> Folders {
            let folders = vec![("any".into(), self.0.clone())];
            Folders::new(folders, who, halves.of(who)).expect("it is there")
        }

        fn count(&self) -> usize {
            fs::read_dir(&self.0).expect("a folder").count()
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn name(text: &str) -> Name {
        Name::new(&text.into()).expect("a name")
    }

    /// One of two parts of the file `a` comes.
    fn say(folders: &mut Folders, index: u32, now: Now) -> Stored {
        let base = format!("a{CHUNK}");
        let dst_name = format!("{base}_{index}_2").as_str().into();
        let chunked = Some(Chunk { base: base.as_str().into(), index, count: 2 });
        let with = WithFile { dst_type: "any".into(), dst_name, chunked, ..WithFile::default() };
        let spool = folders.begin(with, 0);
        folders.end(now, spool, false).expect("stored")
    }

    #[test]
    fn what_one_has_begun_waits_for_it_and_for_nobody_else() {
        let (dir, halves, now) = (Dir::new(), Halves::default(), Now::default());
        let (ann, bob) = (name("ann"), name("bob"));
        assert_eq!(say(&mut dir.of(&halves, &ann), 1, now), Stored::Part);
        assert!(halves.has(&ann) && !halves.has(&bob));
        assert_eq!(say(&mut dir.of(&halves, &bob), 2, now), Stored::Part);
        let whole = say(&mut dir.of(&halves, &ann), 2, now);
        assert_eq!(whole, Stored::At(dir.0.join("a")));
        assert!(!halves.has(&ann) && halves.has(&bob));
        halves.forget(&bob);
        assert!(!halves.has(&bob));
        assert_eq!(dir.count(), 1);
    }

    #[test]
    fn what_who_is_away_has_begun_goes_in_time_and_what_who_is_there_has_is_its_own_to_see_to() {
        let (dir, halves, now) = (Dir::new(), Halves::default(), Now::default());
        let mut there = dir.of(&halves, &name("there"));
        say(&mut there, 1, now);
        say(&mut dir.of(&halves, &name("away")), 1, now);
        let late = Now { mono: there.deadline().0, wall: 0 };
        halves.on_time(Now { mono: late.mono - 1, wall: 0 });
        assert_eq!((dir.count(), halves.lock().len()), (2, 2));
        halves.on_time(late);
        assert_eq!((dir.count(), halves.lock().len()), (1, 1));
        there.on_time(late);
        assert_eq!(dir.count(), 0);
    }

    #[test]
    fn a_last_part_said_again_is_known_over_the_next_connection_and_not_for_ever() {
        let (dir, halves, now) = (Dir::new(), Halves::default(), Now::default());
        let ann = name("ann");
        let whole = Stored::At(dir.0.join("a"));
        say(&mut dir.of(&halves, &ann), 1, now);
        let late = Now { mono: halves.of(&ann).lock().deadline().0, wall: 0 };
        for _ in 0..3 {
            assert_eq!(say(&mut dir.of(&halves, &ann), 2, now), whole);
        }
        halves.on_time(late);
        assert_eq!(halves.lock().len(), 0);
        say(&mut dir.of(&halves, &ann), 1, now);
        say(&mut dir.of(&halves, &ann), 2, now);
        for number in 0..LEFT_MAX {
            say(&mut dir.of(&halves, &name(&format!("c{number}"))), 1, now);
        }
        halves.on_time(now);
        assert_eq!((halves.lock().len(), dir.count()), (LEFT_MAX, LEFT_MAX + 1), "but for ann");
    }

    #[test]
    fn of_many_who_are_away_who_was_silent_for_longest_loses_what_it_began() {
        let (dir, halves) = (Dir::new(), Halves::default());
        let mut there = dir.of(&halves, &name("there"));
        say(&mut there, 1, Now::default());
        for number in 0..LEFT_MAX + 10 {
            let now = Now { mono: number as u64, wall: 0 };
            say(&mut dir.of(&halves, &name(&format!("c{number}"))), 1, now);
        }
        halves.on_time(Now::default());
        assert_eq!(dir.count(), LEFT_MAX + 1);
        let has = |number: usize| halves.has(&name(&format!("c{number}")));
        assert!(!has(9) && has(10) && has(LEFT_MAX + 9));
        assert_ne!(there.deadline(), Deadline::NEVER, "it is there");
    }
}
