//! Floor 5. Files of publications that are to go when all for whom they are have them.
//!
//! A program says of a file that it is not to stay: for one receiver whoever sends it deletes it,
//! for more the last of them. Each such publication has a number, which goes along with its
//! messages as far as the connections. In memory only, and a receiver that is lost with what it was
//! told counts as one that has it; of what is kept for others the file waits, and stays if the
//! connector ends before: numbers do not begin again with the next. Absent on purpose: deleting.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::client::pipe::seed;
use crate::proto::aio::Text;

/// Who has not got which.
#[derive(Debug)]
pub(super) struct Parting {
    files: BTreeMap<u64, File>,
    next: u64,
    /// How many are waited for, of all files.
    all: usize,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    /// True: it is kept for that one, whether there or not.
    who: BTreeMap<Text, bool>,
}

impl Default for Parting {
    fn default() -> Self {
        Self { files: BTreeMap::new(), next: seed() >> 16, all: 0 }
    }
}

impl Parting {
    /// This file is for all of these; none: there is no room to remember that.
    pub(super) fn begin(&mut self, path: &Path, who: &[Text]) -> Option<u64> {
        if self.all + who.len() > ALL_MAX {
            return None;
        }
        let who: BTreeMap<Text, bool> = who.iter().map(|who| (who.detached(), true)).collect();
        self.next += 1;
        self.all += who.len();
        self.files.insert(self.next, File { path: path.to_owned(), who });
        Some(self.next)
    }

    /// It goes to this one over the connection that there is, and not over another.
    pub(super) fn said(&mut self, number: u64, who: &Text) {
        if let Some(kept) = self.files.get_mut(&number).and_then(|file| file.who.get_mut(who)) {
            *kept = false;
        }
    }

    /// This one has it, or never will; a path: it was the last.
    pub(super) fn has(&mut self, number: u64, who: &Text) -> Option<PathBuf> {
        let file = self.files.get_mut(&number)?;
        file.who.remove(who)?;
        self.all -= 1;
        if !file.who.is_empty() {
            return None;
        }
        self.files.remove(&number).map(|file| file.path)
    }

    /// This one is gone. The files for which nobody is left.
    pub(super) fn gone(&mut self, who: &Text) -> Vec<PathBuf> {
        self.without(who, false)
    }

    /// What was kept for this one is not any more.
    pub(super) fn forgotten(&mut self, who: &Text) -> Vec<PathBuf> {
        self.without(who, true)
    }

    fn without(&mut self, who: &Text, kept: bool) -> Vec<PathBuf> {
        let waits = |file: &File| file.who.get(who) == Some(&kept);
        let numbers = self.files.iter().filter(|(_, file)| waits(file));
        let numbers: Vec<u64> = numbers.map(|(number, _)| *number).collect();
        numbers.into_iter().filter_map(|number| self.has(number, who)).collect()
    }

    #[cfg(test)]
    pub(super) fn last(&self) -> u64 {
        self.next
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

/// What is waited for at a time: receivers, of all files together.
const ALL_MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_who_has_it_ends_it_and_who_is_lost_has_no_use_for_it() {
        let [ann, bob, eve]: [Text; 3] = ["ann", "bob", "eve"].map(Text::from);
        let mut it = Parting::default();
        let one = it.begin(Path::new("/a"), &[ann.clone(), bob.clone()]).expect("room");
        let two = it.begin(Path::new("/b"), &[ann.clone(), eve.clone()]).expect("room");
        assert_eq!(it.has(one, &eve), None, "it is not for that one");
        assert_eq!((it.has(one, &ann), it.has(one, &ann)), (None, None), "once");
        assert_eq!(it.has(one, &bob), Some("/a".into()));
        it.said(two, &eve);
        assert!(it.gone(&ann).is_empty(), "it is kept for that one");
        assert!(it.gone(&eve).is_empty(), "another has not got it");
        it.said(two, &ann);
        assert_eq!(it.gone(&ann), [Path::new("/b")]);
        let one = it.begin(Path::new("/a"), &[ann.clone(), bob.clone()]).expect("room");
        it.said(one, &ann);
        assert!(it.forgotten(&ann).is_empty(), "it was said to that one");
        assert!(it.forgotten(&bob).is_empty() && it.gone(&bob).is_empty());
        assert_eq!(it.gone(&ann), [Path::new("/a")]);
        assert_eq!((it.files.len(), it.all), (0, 0));
    }

    #[test]
    fn one_path_that_is_told_twice_is_two_files() {
        let who = ["ann", "bob"].map(Text::from);
        let mut it = Parting::default();
        let one = it.begin(Path::new("/a"), &who).expect("room");
        let two = it.begin(Path::new("/a"), &who).expect("room");
        assert_eq!((it.has(one, &who[0]), it.has(two, &who[1])), (None, None));
        assert_eq!(it.has(one, &who[1]), Some("/a".into()));
    }

    #[test]
    fn no_more_is_waited_for_than_there_is_room_for() {
        let mut it = Parting::default();
        let who: Vec<Text> = (0..1_000).map(|who| format!("c{who}").as_str().into()).collect();
        let numbers: Vec<_> = (0..100).map(|_| it.begin(Path::new("/a"), &who)).collect();
        assert!(numbers.iter().all(Option::is_some));
        assert_eq!(it.begin(Path::new("/b"), &who[..1]), None);
        assert_eq!(it.has(numbers[0].expect("room"), &who[0]), None);
        assert!(it.begin(Path::new("/b"), &who[..1]).is_some());
    }
}
