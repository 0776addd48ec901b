//! Floor 6. What the system says about processes: time, memory, and how often they gave way.
//!
//! Times of threads are in nanoseconds where the kernel counts so, else in hundredths of a second.
//! Nothing is read without a bound. Absent on purpose: any system but Linux; elsewhere there is
//! nothing to read, and the figures are left out.

use std::fs::File;
use std::io::Read;

/// A process at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Sample {
    /// Nanoseconds of processor time, of all its threads.
    pub(super) cpu: u64,
    /// Bytes in memory.
    pub(super) resident: u64,
    /// How often it waited, and how often it was made to.
    pub(super) switches: u64,
}

impl Sample {
    /// Look at a process.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let status = read(&format!("/proc/{pid}/status"))?;
        let mut sample = Self { resident: field(&status, "VmRSS:")? * 1_024, ..Self::default() };
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        for task in tasks.take(THREADS_MAX).flatten() {
            let path = task.path();
            let path = path.display();
            // A thread may have ended since it was listed.
            let Some(status) = read(&format!("{path}/status")) else { continue };
            sample.cpu += time(&path.to_string()).unwrap_or_default();
            let switches = ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"];
            sample.switches += switches.iter().filter_map(|name| field(&status, name)).sum::<u64>();
        }
        Some(sample)
    }
}

/// Nanoseconds of the calling thread: with a processor, and waiting for one that others have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Own {
    pub(super) used: u64,
    pub(super) waited: u64,
}

/// What the calling thread had up to now.
pub(super) fn own() -> Option<Own> {
    const TASK: &str = "/proc/thread-self";
    let text = read(&format!("{TASK}/schedstat"));
    let waited = text.and_then(|text| text.split_whitespace().nth(1)?.parse().ok());
    Some(Own { used: time(TASK)?, waited: waited.unwrap_or_default() })
}

impl Own {
    /// What it had since then.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            used: self.used.saturating_sub(before.used),
            waited: self.waited.saturating_sub(before.waited),
        }
    }
}

/// The processor and the system, for those who compare.
pub(super) fn machine() -> (String, String) {
    let text = read("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(':')).map_or("unknown", |(_, name)| name);
    let kernel = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    (model.trim().to_owned(), kernel.trim().to_owned())
}

fn time(task: &str) -> Option<u64> {
    if let Some(text) = read(&format!("{task}/schedstat")) {
        return text.split_whitespace().next()?.parse().ok();
    }
    ticks(&read(&format!("{task}/stat"))?)
}

/// User and system time out of a line of `stat`, whose second field may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * TICK)
}

/// The number behind a name.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn read(path: &str) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(READ_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

const READ_MAX: u64 = 64 << 10;
const THREADS_MAX: usize = 4_096;
/// Nanoseconds of a tick: every Linux tells its programs that there are a hundred in a second.
const TICK: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let line = "12 (a) b) c) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20";
        assert_eq!(ticks(line), Some(175 * TICK));
        assert_eq!(ticks("12 (a S"), None);
        assert_eq!(field("VmHWM:\t 9 kB\nVmRSS:\t  123 kB\n", "VmRSS:"), Some(123));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_there() {
        let sample = Sample::of(std::process::id()).unwrap();
        assert!(sample.resident > 1 << 20 && own().is_some());
        assert_eq!(Sample::of(u32::MAX), None);
    }
}
