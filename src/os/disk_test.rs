//! Floor 5. The disk thread: its order, its answers, and what it survives.

use std::time::Duration;

use crossbeam_channel::{Receiver, bounded, unbounded};

use super::disk::Disk;
use crate::base::id::{Lsn, OwnerNo};
use crate::journal::job::{DiskDone, DiskJob, Fetch, Pick, Scan};
use crate::journal::memory::Memory;
use crate::journal::storage::{DiskError, SegmentFile, Slate, Storage};

const LONG: Duration = Duration::from_secs(20);

/// A disk that waits to be let go, or panics.
struct Odd {
    inner: Memory,
    gate: Option<Receiver<()>>,
    panics: bool,
}

impl Odd {
    fn before(&self) {
        if let Some(gate) = &self.gate {
            gate.recv_timeout(LONG).unwrap();
        }
        assert!(!self.panics, "planted");
    }
}

impl Storage for Odd {
    fn segments(&mut self) -> Result<Vec<SegmentFile>, DiskError> {
        self.inner.segments()
    }
    fn read(&mut self, no: u32, at: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        self.before();
        self.inner.read(no, at, buf)
    }
    fn create(&mut self, no: u32, len: u32, head: &[u8]) -> Result<Box<dyn Slate>, DiskError> {
        self.before();
        self.inner.create(no, len, head)
    }
    fn open(&mut self, no: u32) -> Result<Box<dyn Slate>, DiskError> {
        self.inner.open(no)
    }
    fn sync(&mut self, no: u32) -> Result<(), DiskError> {
        self.before();
        self.inner.sync(no)
    }
    fn remove(&mut self, no: u32) -> Result<(), DiskError> {
        self.before();
        self.inner.remove(no)
    }
    fn set_aside(&mut self, no: u32) -> Result<String, DiskError> {
        self.inner.set_aside(no)
    }
}

fn start(odd: Odd) -> (Disk, Receiver<DiskDone>) {
    let (sender, answers) = unbounded();
    let answer = move |done| sender.send(done).unwrap_or(());
    (Disk::start(Box::new(odd), answer).unwrap(), answers)
}

fn sync(upto: u64) -> DiskJob {
    DiskJob::Sync { segments: [1].into_iter().collect(), upto: Lsn(upto), seq: upto }
}

fn every_job() -> [DiskJob; 7] {
    let pick = Pick { token: 4, at: vec![(Lsn(1 << 32), 64), (Lsn(1 << 32), 64)] };
    let owner = OwnerNo(1);
    [
        DiskJob::Create { no: 1, header: vec![1; 4096], len: 8192 },
        sync(7),
        DiskJob::Ahead { no: 1, offset: 4096, len: 4096 },
        Fetch { owner, token: 3, segment: 1, offset: 4096, end: 8192, lo: 1, hi: 2, bytes_max: 9 }
            .into(),
        pick.into(),
        DiskJob::Scan(Scan { segment: 1, offset: 4096, bytes_max: 9 }),
        DiskJob::Remove { no: 1 },
    ]
}

/// The kind of an answer, its name for the asker, and whether it is an error.
fn told(done: &DiskDone) -> (&'static str, u64, bool) {
    match done {
        DiskDone::Created { no, slate } => ("create", u64::from(*no), slate.is_err()),
        DiskDone::Synced { upto, result, .. } => ("sync", upto.0, result.is_err()),
        DiskDone::Ahead { result } => ("ahead", 0, result.is_err()),
        DiskDone::Fetched(f) => ("fetch", f.token, f.result.is_err()),
        DiskDone::Picked(p) => ("pick", p.token, p.items.iter().all(Result::is_err)),
        DiskDone::Scanned(s) => ("scan", u64::from(s.segment), s.result.is_err()),
        DiskDone::Removed { no, result } => ("remove", u64::from(*no), result.is_err()),
    }
}

#[test]
fn a_panic_is_an_error_to_the_asker_and_the_thread_lives() {
    let (mut disk, answers) = start(Odd { inner: Memory::default(), gate: None, panics: true });
    for job in every_job() {
        disk.submit(job);
        assert!(told(&answers.recv_timeout(LONG).unwrap()).2);
    }
}

#[test]
fn every_job_is_answered_under_its_name() {
    let (mut disk, answers) = start(Odd { inner: Memory::default(), gate: None, panics: false });
    let names: Vec<_> = every_job()
        .into_iter()
        .map(|job| {
            disk.submit(job);
            let (kind, name, _) = told(&answers.recv_timeout(LONG).unwrap());
            (kind, name)
        })
        .collect();
    let expected = [
        ("create", 1),
        ("sync", 7),
        ("ahead", 0),
        ("fetch", 3),
        ("pick", 4),
        ("scan", 1),
        ("remove", 1),
    ];
    assert_eq!(names, expected);
}

#[test]
fn syncs_go_first_and_what_does_not_fit_is_kept() {
    let (go, gate) = bounded(1_024);
    let mut inner = Memory::default();
    inner.create(1, 8192, b"").unwrap();
    let (mut disk, answers) = start(Odd { inner, gate: Some(gate), panics: false });
    // More than the queue takes, all of the kind that waits; then two that others wait for.
    for no in 0..300 {
        disk.submit(DiskJob::Remove { no: 1_000 + no });
    }
    disk.submit(sync(1));
    disk.submit(sync(2));
    for _ in 0..302 {
        go.send(()).unwrap();
    }
    let mut order = Vec::new();
    while order.len() < 302 {
        order.push(told(&answers.recv_timeout(LONG).unwrap()));
        disk.pass_on();
    }
    let place = |kind, name| order.iter().position(|t| (t.0, t.1) == (kind, name)).unwrap();
    // One job may have been taken before the first sync was there.
    assert!(place("sync", 1) <= 1 && place("sync", 2) <= 2, "{:?}", &order[..4]);
    let removes: Vec<u64> = order.iter().filter(|t| t.0 == "remove").map(|t| t.1).collect();
    assert!(removes.is_sorted() && removes.len() == 300);
}
