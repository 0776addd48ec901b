//! Floor 6. Relays that are measured: how each is started, and what the system knows of it.
//!
//! Each is a process of its own on the first core, with a folder for what it writes, and ends with
//! its handle. What it costs is asked of the system, for it and for whatever it started. Absent on
//! purpose: measuring anything of it by a clock.

use spindle::os::clock::Clock;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// How long a relay may take until it listens, in nanoseconds.
const START: u64 = 10_000_000_000;
/// How long its children may take to end.
const LEAVE: u64 = 2_000_000_000;
/// Descriptors that a relay needs for itself.
pub(crate) const OWN: usize = 100;

/// How a relay is started.
#[derive(Clone)]
pub(crate) enum Start {
    /// There is none: clients ask the server.
    Direct,
    /// A line for a shell, with places for addresses and a folder.
    Command(String),
    /// A bare relay of bytes.
    Haproxy,
}

#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) name: String,
    start: Start,
}

impl Subject {
    pub(crate) fn direct() -> Self {
        Self { name: "direct".into(), start: Start::Direct }
    }

    pub(crate) fn spindle() -> Self {
        let line = format!(
            "'{}' foo-proxy --listen {{listen}} --forward {{forward}} --http 127.0.0.1:0 \
             --recovery-path {{dir}}/r.json",
            env!("CARGO_BIN_EXE_spindle")
        );
        Self { name: "spindle".into(), start: Start::Command(line) }
    }

    /// Where it is installed.
    pub(crate) fn haproxy() -> Option<Self> {
        let asked = Command::new("haproxy").arg("-v").stdout(Stdio::null()).status();
        let there = asked.is_ok_and(|status| status.success());
        there.then(|| Self { name: "haproxy".into(), start: Start::Haproxy })
    }

    /// By `NAME=COMMAND`.
    pub(crate) fn named(words: &str) -> Option<Self> {
        let (name, line) = words.split_once('=')?;
        Some(Self { name: name.into(), start: Start::Command(line.into()) })
    }

    /// Is this the way without a relay?
    pub(crate) fn is_direct(&self) -> bool {
        matches!(self.start, Start::Direct)
    }

    /// Started for so many clients, and listening; nothing where there is no relay.
    pub(crate) fn start(
        &self,
        forward: SocketAddr,
        clients: usize,
        scratch: &Path,
    ) -> Result<Option<Relay>, String> {
        let line = match &self.start {
            Start::Direct => return Ok(None),
            Start::Command(line) => line,
            Start::Haproxy => "exec haproxy -db -f {dir}/haproxy.cfg",
        };
        let listen = free()?;
        // Nobody finds what somebody before it wrote.
        let dir = scratch.join(format!("{}-{}", self.name, listen.port()));
        fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        if matches!(self.start, Start::Haproxy) {
            let written = fs::write(dir.join("haproxy.cfg"), haproxy(listen, forward, clients));
            written.map_err(|e| format!("{}: {e}", dir.display()))?;
        }
        let line = line.replace("{listen}", &listen.to_string());
        let line = line.replace("{forward}", &forward.to_string());
        let line = line.replace("{dir}", &dir.display().to_string());
        // The shell gives its place to the relay, so that this handle is the relay's.
        let line = if line.contains("exec ") { line } else { format!("exec {line}") };
        let log = fs::File::create(dir.join("log")).map_err(|e| e.to_string())?;
        let both = log.try_clone().map_err(|e| e.to_string())?;
        let child = Command::new("taskset")
            .args(["--cpu-list", "0", "sh", "-c", &line])
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(both)
            .spawn()
            .map_err(|e| format!("taskset: {e}"))?;
        let mut relay = Relay { child, address: listen, dir };
        relay.wait()?;
        Ok(Some(relay))
    }
}

/// A port that nobody has: the system does not give it out again at once.
fn free() -> Result<SocketAddr, String> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound.map_err(|e| format!("a port: {e}"))
}

/// One thread, bytes as they come, and nothing written about it. Pipes are descriptors too, and
/// lines this short do not go through them.
fn haproxy(listen: SocketAddr, forward: SocketAddr, clients: usize) -> String {
    format!(
        "global\n    nbthread 1\n    maxconn {clients}\n    maxpipes 8\n\
         defaults\n    mode tcp\n    option splice-auto\n    timeout connect 5s\n    \
         timeout client 1h\n    timeout server 1h\n\
         listen relay\n    bind {listen}\n    maxconn {clients}\n    server upstream {forward}\n"
    )
}

/// One that runs.
pub(crate) struct Relay {
    child: Child,
    pub(crate) address: SocketAddr,
    dir: PathBuf,
}

impl Relay {
    /// Until it listens.
    fn wait(&mut self) -> Result<(), String> {
        let clock = Clock::start();
        loop {
            if TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_ok() {
                // That was a client too; it is over before anything is measured.
                thread::sleep(Duration::from_millis(100));
                return Ok(());
            }
            if !self.runs() || clock.mono() > START {
                return Err(format!("it does not start: {}", self.last_words()));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it said last.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read(self.dir.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log[log.len().saturating_sub(600)..]).into_owned();
        log.lines().collect::<Vec<_>>().join("; ")
    }

    /// Nanoseconds of a core that it and its children have had; those of children that have ended
    /// are forgotten.
    pub(crate) fn spent(&self) -> u64 {
        let mut all = 0;
        for pid in self.family() {
            let tasks = fs::read_dir(format!("/proc/{pid}/task"));
            for task in tasks.into_iter().flatten().flatten() {
                let said = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
                all += said.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
            }
        }
        all
    }

    /// Bytes of it and its children that are in memory.
    pub(crate) fn resident(&self) -> u64 {
        let of = |pid: u32| {
            let said = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = said.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("");
            let kib = line.trim().strip_suffix(" kB").and_then(|n| n.trim().parse::<u64>().ok());
            kib.unwrap_or(0) * 1_024
        };
        self.family().into_iter().map(of).sum()
    }

    /// It, and all that it started.
    fn family(&self) -> Vec<u32> {
        let parent = |pid: u32| {
            let said = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // The name before it may have anything in it, blanks and brackets too.
            let (_, rest) = said.rsplit_once(") ")?;
            Some((pid, rest.split(' ').nth(1)?.parse::<u32>().ok()?))
        };
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let known: Vec<(u32, u32)> = pids.filter_map(parent).collect();
        let mut family = vec![self.child.id()];
        let mut at = 0;
        while let Some(pid) = family.get(at).copied() {
            family.extend(known.iter().filter(|(_, of)| *of == pid).map(|(pid, _)| *pid));
            at += 1;
        }
        family
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Its children end with their clients, and nobody else asks how.
        let clock = Clock::start();
        while self.family().len() > 1 && clock.mono() < LEAVE {
            thread::sleep(Duration::from_millis(20));
        }
        // It may have ended, and then there is nothing to be done.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
