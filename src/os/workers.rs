//! Floor 5. The threads that compare passwords with hashes, because that takes a while.
//!
//! Jobs go in through a bounded queue that never blocks the loop: when it is full the job comes
//! back. Each job has exactly one answer unless the pool is being closed, and its secret is
//! overwritten before the answer is given. An answer names its ticket; whether anybody still
//! waits for it is for the asker to find out. A panic in a check is a refusal, not a lost worker.
//! The workers run at a lower priority, so that a flood of logins does not take the loop's core.
//! Absent on purpose: fairness (`access::line` decides whose job is next), retries, results kept.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::access::{salted, scram};
use crate::base::id::Ticket;
use crate::hub::policy::Secret;

use super::sys;

/// A password to be compared with a hash.
#[derive(Debug)]
pub struct VerifyJob {
    /// Who asks.
    pub ticket: Ticket,
    /// The password.
    pub secret: Secret,
    /// The hash: bcrypt, one of mosquitto's, or SCRAM keys.
    pub hash: Arc<str>,
}

/// What a worker found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verified {
    /// Who asked.
    pub ticket: Ticket,
    /// They match.
    pub ok: bool,
}

/// The pool. Dropping it gives up what still waits and ends the threads.
#[derive(Debug)]
pub struct Workers {
    /// Taken when the pool closes, so that the threads see the end of the queue.
    jobs: Option<Sender<VerifyJob>>,
    closing: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Start `threads` workers (at least one) behind a queue of `places`. `answer` is called on a
    /// worker for every job; it passes the answer on and wakes the loop, and must not block.
    pub fn start<A>(threads: usize, places: usize, answer: A) -> io::Result<Self>
    where
        A: Fn(Verified) + Clone + Send + 'static,
    {
        let (sender, receiver) = bounded(places);
        let closing = Arc::new(AtomicBool::new(false));
        let mut pool = Self { jobs: Some(sender), closing, threads: Vec::new() };
        for n in 0..threads.max(1) {
            let (jobs, answer) = (receiver.clone(), answer.clone());
            let closing = Arc::clone(&pool.closing);
            let named = thread::Builder::new().name(format!("verify-{n}"));
            // On an error the threads started so far end with the pool that is dropped here.
            pool.threads.push(named.spawn(move || work(&jobs, &closing, &answer))?);
        }
        Ok(pool)
    }

    /// Queue a job; it comes back when there is no place.
    pub fn submit(&self, job: VerifyJob) -> Result<(), VerifyJob> {
        match &self.jobs {
            Some(jobs) => jobs.try_send(job).map_err(crossbeam_channel::TrySendError::into_inner),
            None => Err(job),
        }
    }

    /// Give up what still waits; only checks under way are still answered.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.close();
        self.jobs = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::error!("a password worker ended in a panic");
            }
        }
    }
}

fn work<A: Fn(Verified)>(jobs: &Receiver<VerifyJob>, closing: &AtomicBool, answer: &A) {
    step_back();
    for VerifyJob { ticket, secret, hash } in jobs {
        if closing.load(Ordering::Relaxed) {
            continue;
        }
        let ok = guarded(|| matches(secret.bytes(), &hash)).unwrap_or(false);
        // Overwritten before anybody can act on the answer.
        drop(secret);
        if guarded(|| answer(Verified { ticket, ok })).is_none() {
            log::error!("the answer to a password check was lost to a panic");
        }
    }
}

/// Leave the cores to others first, as a worker does: for the calling thread, and for ever.
pub fn step_back() {
    sys::be_nice(NICE);
}

fn guarded<T>(run: impl FnOnce() -> T) -> Option<T> {
    // What `run` borrows is either dropped afterwards or made to be shared between threads.
    catch_unwind(AssertUnwindSafe(run)).ok()
}

/// Is this the password that was hashed?
fn matches(secret: &[u8], hash: &str) -> bool {
    if secret.len() > BCRYPT_BYTES || secret.contains(&0) {
        return false;
    }
    if scram::is_scram(hash) {
        return scram::matches(secret, hash);
    }
    if salted::is_salted(hash) {
        return salted::matches(secret, hash);
    }
    let answer = if secret.len() == BCRYPT_BYTES {
        // Exactly what bcrypt looks at: nothing is cut off, though the careful function, which
        // counts the terminator that bcrypt then leaves out, refuses it.
        bcrypt::verify(secret, hash)
    } else {
        bcrypt::non_truncating_verify(secret, hash)
    };
    answer.unwrap_or_else(|e| {
        log::error!("a password hash cannot be used: {e}");
        false
    })
}

/// How much of a password counts.
const BCRYPT_BYTES: usize = 72;
/// Steps of priority the workers leave to the loop.
const NICE: i32 = 5;
