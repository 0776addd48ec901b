//! Floor 5. Files of publications that are to go when all for whom they are have them.
//!
//! A program says of a file that it is not to stay: for one receiver whoever sends it deletes it,
//! for more the last of them. In memory only, and a receiver that is lost with what it was told
//! counts as one that has it; of what is kept for others the file waits, and stays if the connector
//! ends before. Absent on purpose: deleting.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::proto::aio::Text;

/// Who has not got which.
#[derive(Debug, Default)]
pub(super) struct Parting {
    /// True: it is kept for that one, whether there or not.
    files: BTreeMap<PathBuf, BTreeMap<Text, bool>>,
}

impl Parting {
    /// This file is for all of these; false: there is no room to remember that.
    pub(super) fn begin(&mut self, path: &Path, who: &[Text]) -> bool {
        if self.files.len() >= FILES_MAX {
            return false;
        }
        let all = self.files.entry(path.to_owned()).or_default();
        all.extend(who.iter().map(|who| (who.detached(), true)));
        true
    }

    /// It goes to this one over the connection that there is, and not over another.
    pub(super) fn said(&mut self, path: &Path, who: &Text) {
        if let Some(kept) = self.files.get_mut(path).and_then(|all| all.get_mut(who)) {
            *kept = false;
        }
    }

    /// This one has it, or never will; true: it was the last.
    pub(super) fn has(&mut self, path: &Path, who: &Text) -> bool {
        let Some(all) = self.files.get_mut(path) else { return false };
        let last = all.remove(who).is_some() && all.is_empty();
        if last {
            self.files.remove(path);
        }
        last
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// This one is gone. The files for which nobody is left.
    pub(super) fn gone(&mut self, who: &Text) -> Vec<PathBuf> {
        let lost = |all: &BTreeMap<Text, bool>| all.get(who) == Some(&false);
        let files = self.files.iter().filter(|(_, all)| lost(all));
        let mut files: Vec<PathBuf> = files.map(|(path, _)| path.clone()).collect();
        files.retain(|path| self.has(path, who));
        files
    }
}

/// Files that are remembered at a time.
const FILES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_who_has_it_ends_it_and_who_is_lost_has_no_use_for_it() {
        let (one, two) = (Path::new("/one"), Path::new("/two"));
        let [ann, bob, eve]: [Text; 3] = ["ann", "bob", "eve"].map(Text::from);
        let mut it = Parting::default();
        assert!(it.begin(one, &[ann.clone(), bob.clone()]));
        assert!(it.begin(two, &[ann.clone(), eve.clone()]));
        assert!(!it.has(one, &eve), "it is not for that one");
        assert!(!it.has(one, &ann) && !it.has(one, &ann), "once");
        assert!(it.has(one, &bob));
        it.said(two, &eve);
        assert!(it.gone(&ann).is_empty(), "it is kept for that one");
        assert!(it.gone(&eve).is_empty(), "another has not got it");
        it.said(two, &ann);
        assert_eq!(it.gone(&ann), [two]);
        assert!(it.files.is_empty());
    }

    #[test]
    fn no_more_files_are_remembered_than_there_is_room_for() {
        let mut it = Parting::default();
        let who = ["ann".into()];
        for number in 0..FILES_MAX {
            assert!(it.begin(Path::new(&number.to_string()), &who));
        }
        assert!(!it.begin(Path::new("more"), &who));
        assert!(it.has(Path::new("0"), &who[0]));
        assert!(it.begin(Path::new("more"), &who));
    }
}
