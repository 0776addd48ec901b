//! Floor 5. Signals as something to read, like a socket; nothing happens inside a handler.
//!
//! Only the program asks for them: a library does not take signals away from whoever embeds it.
//! Absent on purpose: what a signal means (`driver.rs`).

use std::io;

#[cfg(target_os = "linux")]
use std::fs::File;
#[cfg(target_os = "linux")]
use std::io::Read;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;

use super::poller::Poller;

/// What somebody outside wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// TERM or INT: come to an end.
    Stop,
    /// HUP: read the files again.
    Reload,
    /// USR1: open the log file again.
    Reopen,
    /// USR2: print the counters.
    Print,
}

/// The signals that were caught.
#[derive(Debug)]
pub struct Signals {
    #[cfg(target_os = "linux")]
    file: File,
}

#[cfg(target_os = "linux")]
impl Signals {
    /// Catch them. To be called before the first thread is started.
    pub fn catch() -> io::Result<Self> {
        let wanted = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2];
        Ok(Self { file: super::sys::signals(&wanted)? })
    }

    /// Be told when there is one.
    pub fn register(&self, poller: &Poller) -> io::Result<()> {
        let fd = self.file.as_raw_fd();
        poller.register(&mut mio::unix::SourceFd(&fd), super::poller::Whom::Signal)
    }

    /// The next one.
    pub fn take(&mut self) -> Option<Signal> {
        // The first four of its 128 bytes are the number of the signal.
        let mut record = [0; 128];
        loop {
            self.file.read_exact(&mut record).ok()?;
            let [a, b, c, d, ..] = record;
            match i32::from_ne_bytes([a, b, c, d]) {
                libc::SIGTERM | libc::SIGINT => return Some(Signal::Stop),
                libc::SIGHUP => return Some(Signal::Reload),
                libc::SIGUSR1 => return Some(Signal::Reopen),
                libc::SIGUSR2 => return Some(Signal::Print),
                _ => {}
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Signals {
    /// Elsewhere than on Linux signals keep their usual effect.
    pub fn catch() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Nothing to be told.
    pub fn register(&self, _: &Poller) -> io::Result<()> {
        Ok(())
    }

    /// Never one.
    pub fn take(&mut self) -> Option<Signal> {
        None
    }
}
