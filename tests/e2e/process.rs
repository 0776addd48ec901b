//! One real broker: started on a port of its own choice, ended by its id.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A directory that goes when its test ends.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let n = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("spindle-{name}-{}-{n}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running broker.
pub(crate) struct Spindle {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
    pub(crate) address: String,
}

pub(crate) fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_spindle"))
}

impl Spindle {
    /// Start on this data directory and wait until it listens.
    pub(crate) fn start(data: &Path, flags: &[&str]) -> Self {
        Self::start_by(command(), data, flags)
    }

    /// The same by a command that was prepared.
    pub(crate) fn start_by(mut command: Command, data: &Path, flags: &[&str]) -> Self {
        command.arg("serve").arg("--data").arg(data).args(["--listen", "prx1://127.0.0.1:0"]);
        let mut child =
            command.args(flags).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut it = Self { child, lines, said: Vec::new(), address: String::new() };
        let line = it.hear("listening ");
        it.address = address_in(&line);
        it
    }

    /// Where its next listener is.
    pub(crate) fn listener(&mut self) -> String {
        address_in(&self.hear("listening "))
    }

    /// The next line of its log that has this in it.
    pub(crate) fn hear(&mut self, what: &str) -> String {
        loop {
            match self.lines.recv_timeout(LONG) {
                Ok(line) if line.contains(what) => {
                    self.said.push(line.clone());
                    return line;
                }
                Ok(line) => self.said.push(line),
                Err(e) => panic!("{what:?} was not said ({e}):\n{}", self.said.join("\n")),
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap();
        assert!(sent.success());
    }

    /// The end by KILL: no goodbye, no sync.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The end by TERM: its exit code.
    pub(crate) fn stop(mut self) -> i32 {
        self.signal("TERM");
        let code = self.child.wait().unwrap().code();
        code.expect("it was ended by a signal")
    }

    /// The same, and everything it has said.
    pub(crate) fn stop_and_tell(mut self) -> String {
        self.signal("TERM");
        self.child.wait().unwrap();
        let rest: Vec<String> = self.lines.iter().collect();
        [self.said.join("\n"), rest.join("\n")].join("\n")
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Has it ended?
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(crate) fn stdout(&mut self) -> std::process::ChildStdout {
        self.child.stdout.take().unwrap()
    }
}

fn address_in(line: &str) -> String {
    let address = line.rsplit_once("address=").unwrap().1;
    // What follows belongs to the form of the line.
    address.trim_end_matches(['"', '}']).to_owned()
}

impl Drop for Spindle {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Longer than anything takes on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(30);
