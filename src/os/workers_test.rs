//! Floor 5. The pool: its answers, its bounds, and what it survives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::workers::{Verified, VerifyJob, Workers};
use crate::access::{Access, Terms};
use crate::base::id::{ConnId, Ticket};
use crate::base::time::Now;
use crate::hub::policy::{Address, Admit, Login, Policy, Refusal, Secret};

const LONG: Duration = Duration::from_secs(20);

fn ticket(serial: u32) -> Ticket {
    Ticket { conn: ConnId { index: 0, life: 0 }, serial }
}

fn job(serial: u32, secret: &[u8], hash: &str) -> VerifyJob {
    VerifyJob { ticket: ticket(serial), secret: Secret::new(secret), hash: hash.into() }
}

fn hash(password: &[u8]) -> String {
    bcrypt::hash(password, 4).unwrap()
}

fn pool(threads: usize, places: usize) -> (Workers, Receiver<Verified>) {
    let (sender, answers) = unbounded();
    let answer = move |v| sender.send(v).unwrap_or(());
    (Workers::start(threads, places, answer).unwrap(), answers)
}

/// What a worker says about one password.
fn verdict(secret: &[u8], hash: &str) -> bool {
    let (workers, answers) = pool(1, 1);
    workers.submit(job(7, secret, hash)).unwrap();
    let answer = answers.recv_timeout(LONG).unwrap();
    assert_eq!(answer.ticket, ticket(7));
    answer.ok
}

#[test]
fn a_password_matches_its_own_hash_only() {
    let right = hash(b"correct horse");
    assert!(verdict(b"correct horse", &right));
    assert!(!verdict(b"correct horsf", &right));
    assert!(!verdict(b"", &right));
    assert!(!verdict(right.as_bytes(), &right), "a hash is not its own password");
    for prefix in ["$2a$", "$2y$"] {
        assert!(verdict(b"correct horse", &right.replace("$2b$", prefix)), "{prefix}");
    }
}

#[test]
fn nothing_is_cut_off() {
    let full = [b'x'; 72];
    let right = hash(&full);
    assert!(verdict(&full, &right));
    assert!(!verdict(&[b'x'; 73], &right), "bcrypt itself would not have noticed");
    assert!(!verdict(&full[..71], &right));
    let short = hash(b"pass");
    assert!(!verdict(b"pass\0", &short));
    assert!(!verdict(b"pass\0word", &short));
    assert!(!verdict(b"pass\0pass", &short), "to bcrypt, which goes round, the same as `pass`");
}

#[test]
fn a_hash_that_cannot_be_read_matches_nothing() {
    for bad in [
        "",
        "plain",
        "$2b$04$short",
        "$2b$99$abcdefghijklmnopqrstuu...............................",
    ] {
        assert!(!verdict(b"plain", bad), "{bad}");
    }
}

/// From the users file to the worker and back: right and wrong passwords, and a user who is not
/// there at all, whose decoy the worker must be able to read, or its refusal would come early.
#[test]
fn a_login_goes_all_the_way() {
    let text = format!(
        "mode = \"strict\"\n[groups.User]\n[[users]]\nname = \"ann\"\npassword_hash = \"{}\"",
        hash(b"pw")
    );
    let mut access = Access::new(&text, [1, 2], Terms::default()).unwrap();
    let mut try_login = |user: &str, password: &str| {
        let login = Login {
            protocol: "prx1",
            user: user.as_bytes(),
            password: Some(password.as_bytes()),
            client_id: b"",
            certificate: None,
            address: Address::V4([192, 0, 2, 1]),
            loopback: false,
        };
        let Admit::Verify { secret, hash, claim } = access.admit(Now::default(), &login) else {
            panic!("no check is asked for");
        };
        assert!(bcrypt::non_truncating_verify(secret.bytes(), &hash).is_ok(), "{hash}");
        let ok = verdict(secret.bytes(), &hash);
        access.verified(Now::default(), &claim, ok)
    };
    assert_eq!(try_login("ann", "px"), Err(Refusal::Unknown));
    assert_eq!(try_login("nobody", "pw"), Err(Refusal::Unknown));
    assert_eq!(try_login("ann", "pw").unwrap().user, "ann");
}

#[test]
fn every_job_is_answered_once() {
    let (workers, answers) = pool(3, 64);
    let right = hash(b"x");
    for serial in 0..64 {
        let secret: &[u8] = if serial % 2 == 0 { b"x" } else { b"y" };
        workers.submit(job(serial, secret, &right)).unwrap();
    }
    let mut seen = [false; 64];
    for _ in 0..64 {
        let Verified { ticket, ok } = answers.recv_timeout(LONG).unwrap();
        assert_eq!(ok, ticket.serial % 2 == 0);
        assert!(!std::mem::replace(&mut seen[ticket.serial as usize], true), "answered twice");
    }
    drop(workers);
    assert!(answers.try_recv().is_err());
}

/// A pool of one whose worker says when it has begun to answer, and then waits to be let go.
fn held() -> (Workers, Receiver<()>, Sender<()>, Receiver<Verified>) {
    let (begun, has_begun) = unbounded();
    let (go, may_go) = bounded::<()>(16);
    let (sender, answers) = unbounded();
    let answer = move |v| {
        begun.send(()).unwrap_or(());
        may_go.recv_timeout(LONG).unwrap_or(());
        sender.send(v).unwrap_or(());
    };
    (Workers::start(1, 2, answer).unwrap(), has_begun, go, answers)
}

#[test]
fn a_full_queue_gives_the_job_back_at_once() {
    let (workers, has_begun, go, answers) = held();
    let right = hash(b"x");
    workers.submit(job(0, b"x", &right)).unwrap();
    has_begun.recv_timeout(LONG).unwrap();
    workers.submit(job(1, b"x", &right)).unwrap();
    workers.submit(job(2, b"x", &right)).unwrap();
    let back = workers.submit(job(3, b"x", &right)).unwrap_err();
    assert_eq!((back.ticket, back.secret.bytes()), (ticket(3), b"x".as_ref()));
    for _ in 0..3 {
        go.send(()).unwrap();
    }
    for serial in 0..3 {
        assert_eq!(answers.recv_timeout(LONG).unwrap().ticket, ticket(serial));
    }
}

#[test]
fn closing_gives_up_what_still_waits() {
    let (workers, has_begun, go, answers) = held();
    let right = hash(b"x");
    workers.submit(job(0, b"x", &right)).unwrap();
    has_begun.recv_timeout(LONG).unwrap();
    workers.submit(job(1, b"x", &right)).unwrap();
    workers.close();
    go.send(()).unwrap();
    drop(workers);
    assert_eq!(answers.recv_timeout(LONG).unwrap().ticket, ticket(0));
    assert!(answers.recv_timeout(LONG).is_err(), "the second was not looked at");
}

#[test]
fn a_panic_loses_neither_the_worker_nor_the_next_job() {
    let (sender, answers) = unbounded();
    let first = Arc::new(AtomicBool::new(true));
    let answer = move |v| {
        assert!(!first.swap(false, Ordering::Relaxed), "planted");
        sender.send(v).unwrap_or(());
    };
    let workers = Workers::start(1, 2, answer).unwrap();
    let right = hash(b"x");
    workers.submit(job(0, b"x", &right)).unwrap();
    workers.submit(job(1, b"x", &right)).unwrap();
    assert_eq!(answers.recv_timeout(LONG).unwrap(), Verified { ticket: ticket(1), ok: true });
}

#[test]
fn there_is_always_a_worker() {
    let (workers, answers) = pool(0, 1);
    workers.submit(job(0, b"x", &hash(b"x"))).unwrap();
    assert!(answers.recv_timeout(LONG).unwrap().ok);
}

/// The nineteenth field of a thread's line: its niceness.
#[cfg(target_os = "linux")]
fn niceness() -> i32 {
    let line = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let (_, rest) = line.rsplit_once(") ").unwrap();
    rest.split(' ').nth(16).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn workers_let_others_go_first_and_only_they_do() {
    let before = niceness();
    let (sender, answers) = unbounded();
    let answers_seen = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&answers_seen);
    let answer = move |_| {
        seen.fetch_add(1, Ordering::Relaxed);
        sender.send(niceness()).unwrap_or(());
    };
    let workers = Workers::start(1, 1, answer).unwrap();
    workers.submit(job(0, b"x", &hash(b"x"))).unwrap();
    assert_eq!(answers.recv_timeout(LONG).unwrap(), (before + 5).min(19));
    drop(workers);
    assert_eq!((niceness(), answers_seen.load(Ordering::Relaxed)), (before, 1));
}
