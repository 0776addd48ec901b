//! Floor 6. A broker as a process that is watched: its memory, its figures, and what it says.
//!
//! Figures are those of SIGUSR2, memory is what the kernel says of the process. A rig has a folder
//! of its own and a port for each listener, and takes both away when it ends. Absent on purpose:
//! what is expected of a broker.

use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use spindle::os::sys;

/// What a driver says: its figures, or what went wrong.
pub(crate) type Outcome = Result<Vec<String>, String>;

/// Longer than anything takes on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// Where this program may run.
pub(crate) fn cores() -> Vec<usize> {
    sys::affinity().unwrap_or_default()
}

/// The core of the broker's loop is nobody else's, as where somebody cares for latency: this
/// thread, and those it starts, leave it alone for as long as this lives. A machine with one core
/// is shared.
pub(crate) struct Aside(Vec<usize>);

impl Aside {
    pub(crate) fn step() -> Result<Self, String> {
        let all = cores();
        if let [_, others @ ..] = &all[..]
            && !others.is_empty()
        {
            sys::pin(others).map_err(told)?;
        }
        Ok(Self(all))
    }

    /// The core that the loop has to itself.
    pub(crate) fn kept(&self) -> Option<usize> {
        self.0.first().copied().filter(|_| self.0.len() > 1)
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = sys::pin(&self.0);
    }
}

/// What the broker's memory must stay below, whatever is done to it.
pub(crate) const CEILING: u64 = 256 << 20;

/// A folder that goes with its owner.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Result<Self, String> {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let n = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("spindle-{name}-{}-{n}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).map_err(told)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running broker.
pub(crate) struct Rig {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
    figures: Lines<BufReader<ChildStdout>>,
    /// Where its listeners are, in their order.
    pub(crate) addresses: Vec<String>,
}

impl Rig {
    /// Start on this folder with these listeners, and wait until all of them are there.
    pub(crate) fn start(data: &Path, listen: &[&str], flags: &[&str]) -> Result<Self, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spindle"));
        command.args(["serve", "--admin-listen", "", "--data"]).arg(data);
        for url in listen {
            command.args(["--listen", url]);
        }
        if let [own, others @ ..] = &cores()[..]
            && !others.is_empty()
        {
            let others: Vec<String> = others.iter().map(usize::to_string).collect();
            command.args(["--cpu", &own.to_string(), "--worker-cpus", &others.join(",")]);
        }
        command.args(flags).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(told)?;
        let stderr = BufReader::new(child.stderr.take().ok_or("no standard error")?);
        let figures = BufReader::new(child.stdout.take().ok_or("no standard output")?).lines();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut it = Self { child, lines, said: Vec::new(), figures, addresses: Vec::new() };
        for _ in listen {
            let line = it.says(&["listening "])?;
            let address = line.rsplit_once("address=").ok_or("no address")?.1;
            it.addresses.push(address.to_owned());
        }
        Ok(it)
    }

    /// Its number among the processes.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Where its first listener is.
    pub(crate) fn address(&self) -> &str {
        &self.addresses[0]
    }

    /// The next line of its log that has all of these words.
    pub(crate) fn says(&mut self, words: &[&str]) -> Result<String, String> {
        let until = Instant::now() + LONG;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                let last = self.said.iter().rev().take(30).rev();
                let last: Vec<&str> = last.map(String::as_str).collect();
                return Err(format!("{words:?} is not in the log:\n{}", last.join("\n")));
            };
            let has = words.iter().all(|word| line.contains(word));
            self.said.push(line.clone());
            if has {
                return Ok(line);
            }
        }
    }

    /// The same, in what it has said from the start.
    pub(crate) fn has_said(&mut self, words: &[&str]) -> Result<String, String> {
        let has = |line: &&String| words.iter().all(|word| line.contains(word));
        match self.said.iter().find(has) {
            Some(line) => Ok(line.clone()),
            None => self.says(words),
        }
    }

    /// All figures it has.
    pub(crate) fn figures(&mut self) -> Result<Value, String> {
        self.signal("USR2")?;
        let line = self.figures.next().ok_or("it says no figures")?.map_err(told)?;
        serde_json::from_str(&line).map_err(told)
    }

    /// One of them.
    pub(crate) fn figure(&mut self, name: &str) -> Result<u64, String> {
        let all = self.figures()?;
        all[name].as_u64().ok_or_else(|| format!("there is no figure {name}"))
    }

    /// Wait until one of them is at least that; how much it is then.
    pub(crate) fn reaches(&mut self, name: &str, least: u64) -> Result<u64, String> {
        let until = Instant::now() + LONG;
        loop {
            let is = self.figure(name)?;
            if is >= least {
                return Ok(is);
            }
            if Instant::now() > until {
                return Err(format!("{name} is {is}, not {least}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Memory it has now, and the most it had.
    pub(crate) fn memory(&self) -> Result<(u64, u64), String> {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(path).map_err(told)?;
        let of = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            let kib: Option<u64> = number.and_then(|n| n.parse().ok());
            kib.map(|kib| kib << 10).ok_or_else(|| format!("there is no {name}"))
        };
        Ok((of("VmRSS:")?, of("VmHWM:")?))
    }

    /// The most memory it had, which is to be below the ceiling.
    pub(crate) fn peak(&self) -> Result<String, String> {
        let (now, most) = self.memory()?;
        let text = format!("memory {} MiB, at most {} MiB", now >> 20, most >> 20);
        if most < CEILING { Ok(text) } else { Err(format!("{text}: above {}", CEILING >> 20)) }
    }

    /// Send it a signal of this name.
    pub(crate) fn signal(&self, name: &str) -> Result<(), String> {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status().map_err(told)?;
        if sent.success() { Ok(()) } else { Err(format!("{name} does not reach it")) }
    }

    /// The end without a goodbye.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// The end as an operator asks for it; an error unless it ends well.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        self.signal("TERM")?;
        let status = self.child.wait().map_err(told)?;
        if status.success() { Ok(()) } else { Err(format!("it ended with {status}")) }
    }

    /// Nobody ended it, and it is not there any more.
    pub(crate) fn is_gone(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(format!("{status}"))
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.end();
    }
}

/// An error as a sentence.
pub(crate) fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// An error unless it is so.
pub(crate) fn ensure(so: bool, else_say: impl FnOnce() -> String) -> Result<(), String> {
    if so { Ok(()) } else { Err(else_say()) }
}
