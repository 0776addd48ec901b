//! Floor 5. The thread that may block: it does the journal's disk jobs, one after another.
//!
//! Syncs, new segments and what is read before it is written go before other reads, because
//! acknowledgements or the loop would wait for them. Every job is
//! answered exactly once, even when doing it panics; then the answer is an error, and the journal
//! decides what that means. What does not fit into the queue is kept in front of it: the journal
//! itself bounds how much is asked for. Absent on purpose: retries.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select_biased};

use crate::base::id::{Lsn, OwnerNo};
use crate::journal::job::{DiskDone, DiskJob, Fetched, Picked, Scanned};
use crate::journal::perform;
use crate::journal::storage::{DiskError, Storage};

/// The thread, and the way to it. Dropping it waits for the jobs that were taken.
#[derive(Debug)]
pub struct Disk {
    urgent: Lane,
    other: Lane,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Lane {
    /// Taken when the thread is to end.
    jobs: Option<Sender<DiskJob>>,
    kept: VecDeque<DiskJob>,
}

impl Disk {
    /// Start the thread. `answer` is called on it for every job; it must not block for long.
    pub fn start<A>(storage: Box<dyn Storage>, answer: A) -> io::Result<Self>
    where
        A: Fn(DiskDone) + Send + 'static,
    {
        let (urgent, urgent_jobs) = bounded(PLACES);
        let (other, other_jobs) = bounded(PLACES);
        let named = thread::Builder::new().name("disk".into());
        let thread = named.spawn(move || work(storage, &urgent_jobs, &other_jobs, &answer))?;
        Ok(Self { urgent: Lane::new(urgent), other: Lane::new(other), thread: Some(thread) })
    }

    /// Have a job done.
    pub fn submit(&mut self, job: DiskJob) {
        match job {
            DiskJob::Sync { .. } | DiskJob::Ahead { .. } | DiskJob::Create { .. } => {
                self.urgent.submit(job);
            }
            _ => self.other.submit(job),
        }
    }

    /// There is room again, perhaps: pass on what was kept.
    pub fn pass_on(&mut self) {
        self.urgent.pass_on();
        self.other.pass_on();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.urgent.jobs = None;
        self.other.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the disk thread ended in a panic");
        }
    }
}

impl Lane {
    fn new(jobs: Sender<DiskJob>) -> Self {
        Self { jobs: Some(jobs), kept: VecDeque::new() }
    }

    fn submit(&mut self, job: DiskJob) {
        self.kept.push_back(job);
        self.pass_on();
    }

    fn pass_on(&mut self) {
        while let (Some(jobs), Some(job)) = (&self.jobs, self.kept.pop_front()) {
            if let Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) =
                jobs.try_send(job)
            {
                return self.kept.push_front(job);
            }
        }
    }
}

fn work(
    mut storage: Box<dyn Storage>,
    urgent: &Receiver<DiskJob>,
    other: &Receiver<DiskJob>,
    answer: &impl Fn(DiskDone),
) {
    // Both lanes are closed together, so whichever is found closed, the other is emptied.
    loop {
        let job = select_biased! {
            recv(urgent) -> job => job.or_else(|_| other.recv()),
            recv(other) -> job => job.or_else(|_| urgent.recv()),
        };
        let Ok(job) = job else { return };
        answer(done(&mut *storage, job));
    }
}

/// Do it; a panic is an error like any other.
fn done(storage: &mut dyn Storage, job: DiskJob) -> DiskDone {
    let echo = Echo::of(&job);
    // A storage that panicked is asked again only for what a failed journal still asks for.
    let result = catch_unwind(AssertUnwindSafe(|| perform(storage, job)));
    result.unwrap_or_else(|_| echo.failed())
}

/// What the answer to a job repeats of it.
enum Echo {
    Create(u32),
    Sync(Lsn, u64),
    Ahead(u32),
    Fetch(OwnerNo, u64, u32),
    Pick(u64, usize),
    Scan(u32, u32),
    Remove(u32),
}

impl Echo {
    fn of(job: &DiskJob) -> Self {
        match job {
            DiskJob::Create { no, .. } => Self::Create(*no),
            DiskJob::Sync { upto, seq, .. } => Self::Sync(*upto, *seq),
            DiskJob::Ahead { no, .. } => Self::Ahead(*no),
            DiskJob::Fetch(job) => Self::Fetch(job.owner, job.token, job.offset),
            DiskJob::Pick(job) => Self::Pick(job.token, job.at.len()),
            DiskJob::Scan(job) => Self::Scan(job.segment, job.offset),
            DiskJob::Remove { no } => Self::Remove(*no),
        }
    }

    fn failed(self) -> DiskDone {
        match self {
            Self::Create(no) => DiskDone::Created { no, slate: Err(panicked(no)) },
            Self::Sync(upto, seq) => DiskDone::Synced { upto, seq, result: Err(panicked(0)) },
            Self::Ahead(no) => DiskDone::Ahead { result: Err(panicked(no)) },
            Self::Fetch(owner, token, next_offset) => {
                let (items, result) = (Vec::new(), Err(panicked(0)));
                DiskDone::Fetched(Fetched { owner, token, items, next_offset, result })
            }
            Self::Pick(token, len) => {
                let items = (0..len).map(|_| Err(panicked(0))).collect();
                DiskDone::Picked(Picked { token, items })
            }
            Self::Scan(segment, offset) => {
                let (records, result) = (Vec::new(), Err(panicked(segment)));
                let next_offset = Some(offset);
                DiskDone::Scanned(Scanned { segment, records, next_offset, result })
            }
            Self::Remove(no) => DiskDone::Removed { no, result: Err(panicked(no)) },
        }
    }
}

fn panicked(segment: u32) -> DiskError {
    let text = "a panic on the disk thread".to_owned();
    DiskError { full: false, segment, offset: 0, text }
}

/// Jobs in each lane.
const PLACES: usize = 128;
