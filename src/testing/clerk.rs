//! Floor 5. Who keeps files of connectors in the fake world: in memory, and as it is told to.
//!
//! Short ones find their place and are forgotten. Long ones that are for others wait under a number
//! until all of those have acknowledged them; the broker's end is not theirs. Absent on purpose:
//! folders, ages and bounds, which are the real one's (`os/clerk`).

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::base::id::ConnId;
use crate::proto::aio::errand::{Errand, Ran};

/// What comes: it is for here, it is for others, and what has come of it.
type Coming = (bool, bool, Vec<u8>);

/// Files that come, and files that wait.
#[derive(Debug, Default)]
pub struct Clerk {
    coming: BTreeMap<ConnId, Coming>,
    /// What waits under its number, and for how many.
    pub spool: BTreeMap<u64, (Bytes, Option<u32>)>,
    last: u64,
}

impl Clerk {
    /// What has come whole over this connection, for who puts it somewhere.
    pub fn take(&mut self, conn: ConnId) -> Option<(Bytes, bool)> {
        let (_, pass, bytes) = self.coming.remove(&conn)?;
        Some((bytes.into(), pass))
    }

    /// This waits from now on: under which number.
    pub fn wait(&mut self, file: Bytes) -> u64 {
        self.last += 1;
        self.spool.insert(self.last, (file, None));
        self.last
    }

    /// What the next broker has of it.
    #[must_use]
    pub fn again(mut self) -> Self {
        self.coming.clear();
        self.spool.values_mut().for_each(|(_, readers)| *readers = None);
        self
    }

    /// Do that, or say no.
    pub fn run(&mut self, conn: ConnId, errand: Errand, ok: bool) -> Ran {
        match errand {
            Errand::Told { number, readers } => self.wait_for(number, |_| Some(readers)),
            Errand::Had(number) => {
                self.wait_for(number, |left| left.map(|left| left.saturating_sub(1)))
            }
            Errand::Leave => Ran::Noted,
            Errand::Fetch { .. } if !ok => Ran::Not("the answer is no"),
            _ if !ok => {
                self.coming.remove(&conn);
                Ran::Not("the answer is no")
            }
            Errand::Store { .. } => Ran::Stored,
            Errand::Open { keep, pass, .. } => {
                self.coming.insert(conn, (keep, pass, Vec::new()));
                Ran::Taken
            }
            Errand::Piece(piece) => match self.coming.get_mut(&conn) {
                Some((_, _, bytes)) => {
                    bytes.extend_from_slice(&piece);
                    Ran::Taken
                }
                None => Ran::Not("nothing is known of it"),
            },
            Errand::Close => match self.coming.remove(&conn) {
                Some((stored, true, bytes)) => {
                    let number = self.wait(bytes.into());
                    Ran::Spooled { at: "files".into(), number, stored }
                }
                Some((true, ..)) => Ran::Stored,
                _ => Ran::Not("nothing is known of it"),
            },
            Errand::Abandon => {
                self.coming.remove(&conn);
                Ran::Not("its sender is gone")
            }
            Errand::Fetch { number, size, at, len } => {
                let file = self.spool.get(&number).filter(|(bytes, _)| bytes.len() as u64 == size);
                let at = usize::try_from(at).unwrap_or(usize::MAX);
                match file.and_then(|(bytes, _)| bytes.get(at..at.saturating_add(len))) {
                    Some(piece) => Ran::Fetched(Bytes::copy_from_slice(piece)),
                    None => Ran::Not("it is not there"),
                }
            }
            _ => Ran::Not("nothing is known of that here"),
        }
    }

    fn wait_for(&mut self, number: u64, change: impl Fn(Option<u32>) -> Option<u32>) -> Ran {
        if let Some((_, readers)) = self.spool.get_mut(&number) {
            *readers = change(*readers);
            if *readers == Some(0) {
                self.spool.remove(&number);
            }
        }
        Ran::Noted
    }
}
