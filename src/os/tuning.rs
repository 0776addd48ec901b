//! Floor 5. What is asked of the machine so that messages wait less.
//!
//! Everything here costs something that others on the machine would have, so nothing of it is done
//! unless it is asked for, and what is asked for and refused ends a start: a broker that is only
//! believed to be quick is worse than one that says no. Threads inherit where they may run, so all
//! others are started before the loop takes its own core. Absent on purpose: guessing what the
//! machine is like.

use std::io;

use super::listener::Door;
use super::poller::Poller;
use super::sys;

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tuning {
    /// Microseconds for which the loop looks for more before it sleeps; 0: it sleeps at once.
    pub spin_us: u64,
    /// Microseconds for which the system asks network cards on its own; 0: not at all.
    pub busy_poll_us: u32,
    /// The core of the loop.
    pub cpu: Option<usize>,
    /// The cores of all other threads; empty: any.
    pub worker_cpus: Vec<usize>,
    /// Everything stays in memory.
    pub lock: bool,
    /// Bytes of heap to have before they are needed; with any, segments too.
    pub prefault: usize,
}

impl Tuning {
    /// Ask for everything that can be refused, on the thread that builds the broker.
    pub fn try_all(&self, poller: &mut Poller, doors: &[Door]) -> io::Result<()> {
        if self.cpu.is_some() || !self.worker_cpus.is_empty() {
            let before = sys::affinity()?;
            let tried = self.pin_others().and_then(|()| self.pin_loop());
            sys::pin(&before)?;
            tried?;
        }
        if self.busy_poll_us > 0 {
            poller.set_busy_poll(self.busy_poll_us);
            for door in doors {
                door.hurry(poller).map_err(|e| self.no_busy_poll(&e))?;
            }
        }
        if self.prefault > 0 {
            sys::keep_heap().map_err(|e| said("prefault_mb", "", &e))?;
        }
        if self.lock {
            let advice = "; it takes LimitMEMLOCK=infinity (ulimit -l unlimited) or CAP_IPC_LOCK";
            sys::lock_memory().map_err(|e| said("mlock", advice, &e))?;
        }
        Ok(())
    }

    /// This thread, and those it starts, run where all but the loop may; where this one could run
    /// before.
    pub fn begin(&self) -> io::Result<Vec<usize>> {
        if self.cpu.is_none() && self.worker_cpus.is_empty() {
            return Ok(Vec::new());
        }
        let before = sys::affinity()?;
        self.pin_others()?;
        Ok(before)
    }

    /// All others were started: this thread is the loop, and `before` is what [`Tuning::begin`]
    /// found.
    pub fn begun(&self, before: &[usize]) -> io::Result<()> {
        if !before.is_empty() {
            sys::pin(before)?;
            self.pin_loop()?;
        }
        touch(self.prefault);
        Ok(())
    }

    fn pin_loop(&self) -> io::Result<()> {
        let Some(cpu) = self.cpu else { return Ok(()) };
        sys::pin(&[cpu]).map_err(|e| said(&format!("cpu = {cpu}"), NO_CORE, &e))
    }

    fn pin_others(&self) -> io::Result<()> {
        if self.worker_cpus.is_empty() {
            return Ok(());
        }
        sys::pin(&self.worker_cpus)
            .map_err(|e| said(&format!("worker_cpus = {:?}", self.worker_cpus), NO_CORE, &e))
    }

    fn no_busy_poll(&self, e: &io::Error) -> io::Error {
        let advice = "; beyond net.core.busy_read it takes CAP_NET_ADMIN: raise that sysctl to as \
                      many microseconds, and net.core.busy_poll with it";
        said(&format!("busy_poll_us = {}", self.busy_poll_us), advice, e)
    }
}

/// Cores of a list as `taskset` has it: `2,4-7`.
pub fn cores(text: &str) -> Result<Vec<usize>, String> {
    let wrong = || format!("{text:?} is no list of cores such as 2,4-7");
    let number = |text: &str| text.trim().parse::<usize>().ok().filter(|n| *n < sys::CORES_MAX);
    let mut all = Vec::new();
    for part in text.split(',').filter(|part| !part.trim().is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = number(first).zip(number(last)).ok_or_else(wrong)?;
        if last < first {
            return Err(wrong());
        }
        all.extend(first..=last);
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// Have so many bytes of heap: each page is written to once, and then all of it is free.
fn touch(bytes: usize) {
    let pieces = (0..bytes.div_ceil(PIECE)).map(|_| vec![1_u8; PIECE]).collect::<Vec<_>>();
    core::hint::black_box(&pieces);
}

fn said(what: &str, advice: &str, e: &io::Error) -> io::Error {
    io::Error::new(e.kind(), format!("{what}: the system refuses ({e}){advice}"))
}

const NO_CORE: &str = "; this process may run on the cores that `taskset -cp` names, and under \
                       systemd CPUAffinity= says which";
/// Less than what the allocator returns to the system on its own.
const PIECE: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_that_says_no_is_quoted_with_what_it_would_take() {
        let no = io::Error::from_raw_os_error(libc::EPERM);
        let tuning = Tuning { busy_poll_us: 50, ..Tuning::default() };
        let said = tuning.no_busy_poll(&no);
        assert_eq!(said.kind(), io::ErrorKind::PermissionDenied);
        let text = said.to_string();
        assert!(text.starts_with("busy_poll_us = 50: the system refuses (Operation not permitted"));
        assert!(text.contains("CAP_NET_ADMIN") && text.contains("net.core.busy_read"), "{text}");
    }

    #[test]
    fn a_list_of_cores_is_one_as_taskset_has_it() {
        assert_eq!(cores("3"), Ok(vec![3]));
        assert_eq!(cores("2, 4-7,5"), Ok(vec![2, 4, 5, 6, 7]));
        assert_eq!(cores(""), Ok(Vec::new()));
        for wrong in ["x", "3-", "5-4", "-1", "1024", "0-99999999999"] {
            assert!(cores(wrong).is_err(), "{wrong}");
        }
    }
}
