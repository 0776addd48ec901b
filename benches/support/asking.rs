//! Floor 6. Clients of a relay, all in one thread: whom they ask, and what comes back.
//!
//! Every answer is looked at: it has to be that of the oldest request of its connection that has
//! none yet. Whatever else comes, or does not, is an error that says what it was. Absent on
//! purpose: spinning (the server has the same core) and knowing who is asked.

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use spindle::os::clock::Clock;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

/// About what a request has to say.
const BODY: &str = "Forty bytes that nobody reads any closer";
/// Connections that are opened together: fewer than any backlog has room for.
const BATCH: usize = 64;
const SECOND: u64 = 1_000_000_000;
/// How long an answer may take before it is lost.
const PATIENCE: u64 = 20 * SECOND;
/// How long all of them may take to come in. One that lets them in slowly has fewer.
const OPENING: u64 = 60 * SECOND;

struct Client {
    stream: TcpStream,
    /// The beginning of an answer.
    input: Vec<u8>,
    /// Numbers without an answer, and when each was sent.
    asked: VecDeque<(u64, u64)>,
}

/// All clients.
pub(crate) struct Crowd {
    clock: Clock,
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    through: Vec<u8>,
    words: Vec<u8>,
    /// How long each answer took, in nanoseconds, while somebody wants to know.
    took: Option<Vec<u64>>,
    /// Who had an answer in the last round.
    heard: Vec<usize>,
    /// Requests sent, which is the number of the last one, and answers that came.
    pub(crate) sent: u64,
    answered: u64,
}

impl Crowd {
    /// As many as are wanted, or as many as came in before there was no more time; with a reason
    /// where some were refused.
    pub(crate) fn open(address: SocketAddr, wanted: usize) -> (Self, Option<String>) {
        let mut crowd = Self {
            clock: Clock::start(),
            poll: Poll::new().expect("a poller"),
            events: Events::with_capacity(1_024),
            clients: Vec::with_capacity(wanted),
            through: vec![0; 65_536],
            words: Vec::new(),
            took: None,
            heard: Vec::new(),
            sent: 0,
            answered: 0,
        };
        let until = crowd.clock.mono() + OPENING;
        while crowd.clients.len() < wanted && crowd.clock.mono() < until {
            let there = crowd.clients.len();
            if let Err(why) = crowd.join(address, BATCH.min(wanted - there)) {
                crowd.clients.truncate(there);
                // Nobody waits for what those had asked.
                crowd.answered = crowd.sent;
                return (crowd, Some(why));
            }
        }
        (crowd, None)
    }

    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Some more, each of whom had an answer: being connected means only that a backlog had room.
    fn join(&mut self, address: SocketAddr, count: usize) -> Result<(), String> {
        let first = self.clients.len();
        for slot in first..first + count {
            let limit = Duration::from_nanos(PATIENCE);
            let stream = std::net::TcpStream::connect_timeout(&address, limit)
                .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
                .and_then(|stream| stream.set_nonblocking(true).map(|()| stream))
                .map_err(|e| format!("connection {slot}: {e}"))?;
            let mut stream = TcpStream::from_std(stream);
            let registry = self.poll.registry();
            let told = registry.register(&mut stream, Token(slot), Interest::READABLE);
            told.map_err(|e| format!("connection {slot}: {e}"))?;
            self.clients.push(Client { stream, input: Vec::new(), asked: VecDeque::new() });
        }
        for slot in first..first + count {
            self.ask(slot, 1)?;
        }
        self.finish()
    }

    /// Requests one after the other around the clients, by a schedule; how long each took.
    pub(crate) fn paced(&mut self, rate: u64, nanos: u64) -> Result<Vec<u64>, String> {
        let total = (u128::from(rate) * u128::from(nanos) / u128::from(SECOND)) as u64;
        self.took = Some(Vec::with_capacity(total as usize));
        let began = self.clock.mono();
        for nth in 0..total {
            let due = began + (u128::from(nth) * u128::from(SECOND) / u128::from(rate)) as u64;
            while self.clock.mono() < due {
                self.hear(Duration::from_millis(1))?;
            }
            self.ask(nth as usize % self.clients.len(), 1)?;
        }
        self.finish()?;
        Ok(self.took.take().unwrap_or_default())
    }

    /// Some clients ask so many things at once, and again when all of it has an answer; how many
    /// requests that were, and in how many nanoseconds.
    pub(crate) fn flood(
        &mut self,
        clients: usize,
        window: usize,
        nanos: u64,
    ) -> Result<(u64, u64), String> {
        let (began, before) = (self.clock.mono(), self.answered);
        let mut asking = clients.min(self.clients.len());
        for slot in 0..asking {
            self.ask(slot, window)?;
        }
        let mut last = began;
        while asking > 0 {
            let (now, answered) = (self.clock.mono(), self.answered);
            self.hear(Duration::from_millis(10))?;
            if self.answered > answered {
                last = now;
            } else if now > last + PATIENCE {
                return Err(self.lost());
            }
            let heard = std::mem::take(&mut self.heard);
            for slot in &heard {
                match self.clients[*slot].asked.is_empty() {
                    true if now < began + nanos => self.ask(*slot, window)?,
                    true => asking -= 1,
                    false => {}
                }
            }
            self.heard = heard;
        }
        Ok((self.answered - before, self.clock.mono() - began))
    }

    /// Until everything has an answer.
    fn finish(&mut self) -> Result<(), String> {
        let until = self.clock.mono() + PATIENCE;
        while self.answered < self.sent {
            if self.clock.mono() > until {
                return Err(self.lost());
            }
            self.hear(Duration::from_millis(10))?;
        }
        Ok(())
    }

    fn lost(&self) -> String {
        format!("{} of {} requests have no answer", self.sent - self.answered, self.sent)
    }

    /// In one write.
    fn ask(&mut self, slot: usize, count: usize) -> Result<(), String> {
        let client = &mut self.clients[slot];
        self.words.clear();
        let now = self.clock.mono();
        for _ in 0..count {
            self.sent += 1;
            writeln!(self.words, "REQ {} {BODY}", self.sent).expect("memory");
            client.asked.push_back((self.sent, now));
        }
        match client.stream.write(&self.words) {
            Ok(wrote) if wrote == self.words.len() => Ok(()),
            other => Err(format!("connection {slot} takes no request: {other:?}")),
        }
    }

    /// What came, waiting for it at most so long.
    fn hear(&mut self, limit: Duration) -> Result<(), String> {
        self.heard.clear();
        match self.poll.poll(&mut self.events, Some(limit)) {
            Err(e) if e.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other.map_err(|e| e.to_string())?,
        }
        for event in &self.events {
            let Token(slot) = event.token();
            // Of a batch that was given up there may still be an event.
            let Some(client) = self.clients.get_mut(slot) else { continue };
            let mut came = 0;
            loop {
                let read = match client.stream.read(&mut self.through) {
                    Ok(0) => return Err(format!("connection {slot} was ended")),
                    Ok(read) => read,
                    Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                    Err(e) => return Err(format!("connection {slot}: {e}")),
                };
                let now = self.clock.mono();
                came += client.take(&self.through[..read], now, self.took.as_mut())?;
                if read < self.through.len() {
                    break;
                }
            }
            if came > 0 {
                self.answered += came;
                self.heard.push(slot);
            }
        }
        Ok(())
    }
}

impl Client {
    /// How many answers are complete.
    fn take(
        &mut self,
        mut came: &[u8],
        now: u64,
        mut took: Option<&mut Vec<u64>>,
    ) -> Result<u64, String> {
        let mut count = 0;
        while let Some(end) = came.iter().position(|byte| *byte == b'\n') {
            self.input.extend_from_slice(&came[..end]);
            came = &came[end + 1..];
            let line = std::str::from_utf8(&self.input).unwrap_or_default();
            let number = line.strip_prefix("ACK ").and_then(|rest| rest.parse().ok());
            let wanted = self.asked.pop_front();
            match (wanted, number) {
                (Some((wanted, sent)), Some(number)) if wanted == number => {
                    if let Some(took) = took.as_deref_mut() {
                        took.push(now - sent);
                    }
                }
                _ => return Err(format!("{line:?} came where {wanted:?} has no answer yet")),
            }
            self.input.clear();
            count += 1;
        }
        self.input.extend_from_slice(came);
        Ok(count)
    }
}
