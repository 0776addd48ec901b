//! Floor 6. `spindle foo-client`: asks, in pieces cut anywhere, and checks every answer.
//!
//! Without options it does what the original's does: a hundred requests, one after the other, each
//! in several writes with pauses between them, and a dot for ten. Absent on purpose: measuring
//! (`spindle bench`).

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::base::rng::Rng;
use crate::os::clock::Clock;

use super::super::{FAILED, complain};
use super::{hash, or_env};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// Send requests and check the answers: the original's test client
#[derive(clap::Args, Debug)]
pub(crate) struct Client {
    /// Whom to ask [default: localhost:8001]
    #[arg(long, value_name = "ADDRESS")]
    connect: Option<String>,
    /// How many requests
    #[arg(long, value_name = "N", default_value_t = 100)]
    count: u64,
    /// Requests a second; 0: as fast as answers come
    #[arg(long, value_name = "N", default_value_t = 0)]
    rate: u64,
    /// Each request in one write, not in pieces
    #[arg(long)]
    whole: bool,
}

impl Client {
    pub(crate) fn run(self) -> u8 {
        let to = or_env(self.connect.clone(), "connect", "localhost:8001");
        let stream = match TcpStream::connect(&to) {
            Ok(stream) => stream,
            Err(e) => return complain(&format!("cannot connect to {to}: {e}"), FAILED),
        };
        let progress = Progress::new(self.count);
        match self.ask_all(&stream, &progress) {
            Ok(()) => {
                progress.end("OK!");
                0
            }
            Err(why) => {
                progress.end("FAILED!");
                // Where it cannot be printed, the code still says it.
                let _ = writeln!(std::io::stdout(), "Errors:\n{why}");
                FAILED
            }
        }
    }

    fn ask_all(&self, stream: &TcpStream, progress: &Progress) -> Result<(), String> {
        let wrong = |e: std::io::Error| e.to_string();
        stream.set_nodelay(true).map_err(wrong)?;
        stream.set_read_timeout(Some(ANSWER)).map_err(wrong)?;
        let mut input = BufReader::new(stream);
        let (mut rng, clock) = (Rng::new(1), Clock::start());
        let began = clock.now().mono;
        for seq in 1..=self.count as i64 {
            if let Some(due) = self.due(seq) {
                let gone = Duration::from_nanos(clock.now().mono - began);
                std::thread::sleep(due.saturating_sub(gone));
            }
            let data = data(&mut rng);
            let line = format!("REQ {seq} {data}\n");
            self.send(stream, line.as_bytes(), &mut rng).map_err(wrong)?;
            let mut answer = String::new();
            input.read_line(&mut answer).map_err(|e| format!("no answer to {seq}: {e}"))?;
            let (accepted, digest) = hash::answer(seq, data.as_bytes());
            let word = if accepted { "ACK" } else { "NAK" };
            let wanted = format!("{word} {seq} {digest}\n");
            if answer != wanted {
                return Err(format!("validating response: corrupted data: {}", answer.trim_end()));
            }
            progress.done(seq as u64);
        }
        Ok(())
    }

    fn due(&self, seq: i64) -> Option<Duration> {
        (self.rate > 0).then(|| Duration::from_secs_f64((seq - 1) as f64 / self.rate as f64))
    }

    /// A line in one write, or in several, down to single bytes.
    fn send(&self, mut stream: &TcpStream, line: &[u8], rng: &mut Rng) -> std::io::Result<()> {
        let mut rest = line;
        while !self.whole && rest.len() > 1 && rng.chance(1, 2) {
            let at = 1 + rng.below(rest.len() as u64 - 1) as usize;
            let (piece, behind) = rest.split_at(if rng.chance(1, 3) { 1 } else { at });
            stream.write_all(piece)?;
            std::thread::sleep(Duration::from_millis(rng.below(3)));
            rest = behind;
        }
        stream.write_all(rest)
    }
}

/// Words that look like data.
fn data(rng: &mut Rng) -> String {
    let len = 1 + rng.below(60);
    (0..len).map(|_| char::from(b'a' + rng.below(26) as u8)).collect()
}

/// A bar on a terminal; elsewhere a dot for every ten, as the original has it.
struct Progress {
    all: u64,
    terminal: bool,
}

impl Progress {
    fn new(all: u64) -> Self {
        Self { all, terminal: std::io::stdout().is_terminal() }
    }

    fn done(&self, n: u64) {
        let mut out = std::io::stdout();
        if self.terminal {
            let part = (n * 40 / self.all.max(1)) as usize;
            let _ = write!(out, "\r[{:<40}] {n} of {}", "#".repeat(part), self.all);
        } else if n.is_multiple_of(10) {
            let _ = write!(out, ".");
        }
        let _ = out.flush();
    }

    fn end(&self, word: &str) {
        let before = if self.terminal { "\n" } else { "" };
        let _ = writeln!(std::io::stdout(), "{before}{word}");
    }
}
