//! Floor 5. What systemd is told: that we are ready, that we end, that we are alive.
//!
//! A few words in a datagram to a socket whose name is in the environment; nobody else is asked and
//! nothing is waited for. That a word could not be said is no reason to do anything else. Absent on
//! purpose: the environment (the command line reads it), and any library of systemd.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use super::sys;

/// The way to whoever started us.
#[derive(Debug)]
pub struct Notify {
    socket: UnixDatagram,
    to: SocketAddr,
    /// It must hear from us that often.
    watchdog: Option<Duration>,
}

impl Notify {
    /// To the socket of this name: a path, or `@` and a name that is no path. A watchdog that bites
    /// after `watchdog_us` is fed twice in that time; 0: there is none.
    pub fn open(name: &OsStr, watchdog_us: u64) -> io::Result<Self> {
        let to = match name.as_bytes().split_first() {
            Some((b'@', rest)) => abstract_name(rest)?,
            Some((b'/', _)) => SocketAddr::from_pathname(name)?,
            _ => return Err(io::Error::other("neither a path nor an abstract name")),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let watchdog = (watchdog_us > 0).then(|| Duration::from_micros(watchdog_us));
        Ok(Self { socket, to, watchdog })
    }

    /// Served is from now on.
    pub fn ready(&self, status: &str) {
        self.say(&format!("READY=1\nSTATUS={status}"));
    }

    /// Files are being read again; `ready` follows.
    pub fn reloading(&self) {
        let us = sys::monotonic_us();
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={us}\nSTATUS=reading the files again"));
    }

    /// It comes to an end.
    pub fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=saying goodbye");
    }

    /// The loop turns.
    pub fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    /// How often it must be said that the loop turns, in milliseconds.
    #[must_use]
    pub fn every_ms(&self) -> Option<u64> {
        self.watchdog.map(|limit| u64::try_from(limit.as_millis() / 2).unwrap_or(u64::MAX).max(1))
    }

    fn say(&self, words: &str) {
        if let Err(e) = self.socket.send_to_addr(words.as_bytes(), &self.to) {
            log::debug!("nobody hears {:?}: {e}", words.lines().next().unwrap_or_default());
        }
    }
}

#[cfg(target_os = "linux")]
fn abstract_name(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;

    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_name(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::Error::other("there are no abstract names here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(at: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        at.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let n = at.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..n].to_vec()).unwrap()
    }

    fn says_everything(name: &OsStr, at: &UnixDatagram) {
        let notify = Notify::open(name, 3_000_000).unwrap();
        assert_eq!(notify.every_ms(), Some(1_500));
        notify.ready("2 listeners");
        assert_eq!(heard(at), "READY=1\nSTATUS=2 listeners");
        let before = sys::monotonic_us();
        notify.reloading();
        let said = heard(at);
        let us = said.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        let us: u64 = us.lines().next().unwrap().parse().unwrap();
        assert!((before..=sys::monotonic_us()).contains(&us), "{said}");
        notify.alive();
        assert_eq!(heard(at), "WATCHDOG=1");
        notify.stopping();
        assert!(heard(at).starts_with("STOPPING=1\n"));
    }

    #[test]
    fn words_reach_a_socket_with_a_path() {
        let path = std::env::temp_dir().join(format!("spindle-notify-{}", std::process::id()));
        let at = UnixDatagram::bind(&path).unwrap();
        says_everything(path.as_os_str(), &at);
        std::fs::remove_file(&path).unwrap();
        drop(at);
        // Whoever listened has gone: nothing happens.
        Notify::open(path.as_os_str(), 0).unwrap().alive();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn words_reach_a_socket_without_a_path() {
        let name = format!("spindle-notify-{}", std::process::id());
        let at = UnixDatagram::bind_addr(&abstract_name(name.as_bytes()).unwrap()).unwrap();
        says_everything(OsStr::new(&format!("@{name}")), &at);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in ["", "relative", "vsock:2:1"] {
            assert!(Notify::open(OsStr::new(name), 0).is_err(), "{name}");
        }
        let name = std::env::temp_dir().join("spindle-notify-nobody");
        assert_eq!(Notify::open(name.as_os_str(), 0).unwrap().every_ms(), None);
    }
}
