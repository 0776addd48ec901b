//! A broker that may be any: a command line with places in it, started, killed, started again.
//!
//! It is ready when it welcomes a client, not when it says something. What it says goes to a file
//! beside its data, where it can be read after its end.

use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::Options;
use crate::clients::{Client, Who};

/// Longer than anything takes on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// What mosquitto needs to be told to keep what it can.
const MOSQUITTO: &str = "listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\n\
    persistence_location {dir}/\nmax_queued_messages 0\nuser root\n";

/// A folder that goes when its driver ends.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Result<Self, String> {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let n = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("spindle-faults-{name}-{}-{n}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How to start a broker, again and again, at one place.
pub(crate) struct Place {
    words: Vec<String>,
    pub(crate) data: PathBuf,
    log: PathBuf,
    /// Where it speaks MQTT.
    pub(crate) mqtt: String,
    /// Where it speaks PRX1, if it is ours.
    pub(crate) prx1: Option<String>,
}

impl Place {
    /// The broker that was asked for, or ours with these flags.
    pub(crate) fn of(options: &Options, home: &Path, flags: &[&str]) -> Result<Self, String> {
        match &options.broker {
            None => Self::ours(home, flags),
            Some(command) => Self::other(command, options.config.as_deref(), home),
        }
    }

    /// The program that was built with this test.
    pub(crate) fn ours(home: &Path, flags: &[&str]) -> Result<Self, String> {
        let [mqtt, prx1] = free_ports()?;
        let mut words = vec![env!("CARGO_BIN_EXE_spindle").to_owned(), "serve".to_owned()];
        words.push("--data".to_owned());
        words.push(home.join("data").display().to_string());
        for url in [format!("mqtt://127.0.0.1:{mqtt}"), format!("prx1://127.0.0.1:{prx1}")] {
            words.extend(["--listen".to_owned(), url]);
        }
        words.extend(flags.iter().map(|flag| (*flag).to_owned()));
        Self::at(home, words, mqtt, Some(prx1))
    }

    /// Another: `{port}`, `{dir}` and `{conf}` in its command are filled in. A lone `mosquitto`
    /// is known, and is told to persist.
    fn other(command: &str, config: Option<&str>, home: &Path) -> Result<Self, String> {
        let [port] = free_ports()?;
        let (command, config) = match (command.trim(), config) {
            ("mosquitto", None) => ("mosquitto -c {conf}", Some(MOSQUITTO.to_owned())),
            ("mosquitto", own) => ("mosquitto -c {conf}", own.map(str::to_owned)),
            (command, own) => (command, own.map(str::to_owned)),
        };
        let (dir, conf) = (home.join("data"), home.join("broker.conf"));
        let fill = |text: &str| {
            let text = text.replace("{port}", &port.to_string());
            let text = text.replace("{dir}", &dir.display().to_string());
            text.replace("{conf}", &conf.display().to_string())
        };
        if let Some(text) = config {
            let text = std::fs::read_to_string(&text).unwrap_or(text);
            std::fs::write(&conf, fill(&text)).map_err(|e| e.to_string())?;
        }
        let mut words: Vec<String> = command.split_whitespace().map(fill).collect();
        if let Some(first) = words.first_mut() {
            *first = found(first);
        }
        Self::at(home, words, port, None)
    }

    /// The program that was built with this test, as something else than a broker.
    pub(crate) fn program(home: &Path, words: &[&str]) -> Result<Self, String> {
        let mut all = vec![env!("CARGO_BIN_EXE_spindle").to_owned()];
        all.extend(words.iter().map(|word| (*word).to_owned()));
        Self::at(home, all, 0, None)
    }

    fn at(home: &Path, words: Vec<String>, mqtt: u16, prx1: Option<u16>) -> Result<Self, String> {
        let (data, log) = (home.join("data"), home.join("broker.log"));
        std::fs::create_dir_all(&data).map_err(|e| e.to_string())?;
        let address = |port: u16| format!("127.0.0.1:{port}");
        Ok(Self { words, data, log, mqtt: address(mqtt), prx1: prx1.map(address) })
    }

    /// Start it, and leave it at that.
    pub(crate) fn spawn(&self) -> Result<Running, String> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.map_err(|e| e.to_string())?;
        let again = |log: &File| log.try_clone().map_err(|e| e.to_string());
        let (out, err) = (again(&log)?, log);
        let (program, words) = self.words.split_first().ok_or("no command")?;
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn().map_err(|e| format!("{program}: {e}"))?;
        Ok(Running { child, since: Instant::now() })
    }

    /// Start it and wait until it welcomes a client: how long that took.
    pub(crate) fn start(&self) -> Result<(Running, Duration), String> {
        match self.try_start()? {
            Started::Up(running, took) => Ok((running, took)),
            Started::Down(status) => Err(format!("it does not start ({status}):\n{}", self.said())),
        }
    }

    /// The same, where it may refuse to.
    pub(crate) fn try_start(&self) -> Result<Started, String> {
        let mut running = self.spawn()?;
        let who = Who::passing("ready");
        while running.since.elapsed() < LONG {
            if Client::join(&self.mqtt, &who).is_ok() {
                let took = running.since.elapsed();
                return Ok(Started::Up(running, took));
            }
            if let Some(status) = running.ended() {
                return Ok(Started::Down(status));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Err(format!("nobody was welcomed within {} s:\n{}", LONG.as_secs(), self.said()))
    }

    /// What one counter of a running broker of ours shows.
    pub(crate) fn counter(&self, name: &str) -> Result<u64, String> {
        let program = self.words.first().ok_or("no command")?;
        let out = Command::new(program).args(["ctl", "stats", "--data"]).arg(&self.data).output();
        let out = out.map_err(|e| e.to_string())?;
        let said = String::from_utf8_lossy(&out.stdout);
        let (_, rest) = said.split_once(&format!("\"{name}\":")).unwrap_or_default();
        let value = rest.split([',', '}']).next().and_then(|text| text.parse().ok());
        value.ok_or_else(|| format!("no counter {name} in:\n{said}"))
    }

    /// The end of what it has said.
    pub(crate) fn said(&self) -> String {
        let said = std::fs::read(&self.log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

/// What came of a start.
pub(crate) enum Started {
    /// It welcomes clients, and took so long to.
    Up(Running, Duration),
    /// It ended by itself.
    Down(ExitStatus),
}

/// A process that ends with its driver.
pub(crate) struct Running {
    child: Child,
    pub(crate) since: Instant,
}

impl Running {
    /// The end by KILL: no goodbye, no sync.
    pub(crate) fn kill(mut self) -> Result<(), String> {
        self.child.kill().map_err(|e| e.to_string())?;
        self.child.wait().map_err(|e| e.to_string()).map(drop)
    }

    /// The end by TERM: how it ended.
    pub(crate) fn stop(mut self) -> Result<ExitStatus, String> {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().map_err(|e| e.to_string())?;
        let since = Instant::now();
        while since.elapsed() < LONG {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Err("it does not stop when told to".to_owned())
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn free_ports<const N: usize>() -> Result<[u16; N], String> {
    // All are held until the last one is chosen, or two of them may be the same.
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let door = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        *port = door.local_addr().map_err(|e| e.to_string())?.port();
        held.push(door);
    }
    Ok(ports)
}

/// Where a program is that may stand where only administrators look.
fn found(program: &str) -> String {
    let elsewhere = Path::new("/usr/sbin").join(program);
    let on_path = std::env::var_os("PATH").is_some_and(|all| {
        std::env::split_paths(&all).any(|folder| folder.join(program).is_file())
    });
    match !program.contains('/') && !on_path && elsewhere.is_file() {
        true => elsewhere.display().to_string(),
        false => program.to_owned(),
    }
}
