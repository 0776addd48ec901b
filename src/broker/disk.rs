//! Floor 6. The journal of a broker, from its directory to a hub that knows what is in it.
//!
//! It is read and brought to rest before anybody is let in, by whoever builds the broker: what
//! cannot be read ends the start. Absent on purpose: what a journal does once the broker runs.

use super::*;
use crate::hub::recover::Recovery;
use crate::journal::{Journal, Salvaged, State, perform};

/// What lies between the journal and its directory, once the broker runs.
pub(super) type Door = Box<dyn FnOnce(Box<dyn Storage>) -> Box<dyn Storage>>;

/// Read the journal into the hub, and bring it to the disk again: what was read may have been in
/// memory only.
pub(super) fn open_journal(
    mut storage: Directory,
    door: Option<Door>,
    options: Options,
    hub: &mut Hub,
    (seed, clock): (u64, &Clock),
) -> Result<(Box<dyn Storage>, Report), Error> {
    let mut told = Recovery::new(seed, hub);
    let (mut journal, report) = Journal::recover(&mut storage, options, &mut |spot, record| {
        told.apply(spot.lsn, spot.len, record);
    })
    .map_err(Error::Journal)?;
    while let Some(job) = journal.poll_job(clock.now()) {
        let done = perform(&mut storage, job);
        journal.on_done(clock.now(), done);
    }
    if let State::Failed(error) = journal.state() {
        return Err(error.clone().into());
    }
    if !journal.is_settled() {
        return Err(Error::Disk("the journal does not come to rest".into()));
    }
    hub.recover(clock.now(), told, journal);
    hub.recall_relays(clock.now());
    hub.stats.add(Counter::JournalCut, report.cut.as_ref().map_or(0, |cut| cut.records));
    let lost = report.salvaged.as_ref().map_or(0, Salvaged::lost_records);
    hub.stats.add(Counter::JournalLost, lost);
    let storage: Box<dyn Storage> = Box::new(storage);
    let storage = match door {
        Some(door) => door(storage),
        None => storage,
    };
    Ok((storage, report))
}
