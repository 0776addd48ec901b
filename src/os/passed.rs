//! Floor 5. Sockets that were open before the program was: systemd binds them and passes them on.
//!
//! They stand behind the three standard streams, so many of them as a variable says, for the
//! process whose number another one says; a third gives them names. Absent on purpose: the
//! environment (the command line reads it), and which listener takes which.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

use super::sys;

/// A socket that somebody else bound.
#[derive(Debug)]
pub struct Passed {
    /// What its unit calls it.
    pub name: String,
    /// The socket.
    pub fd: OwnedFd,
}

/// Why sockets cannot be taken.
#[derive(Debug)]
pub enum NotPassed {
    /// A variable makes no sense.
    Malformed(&'static str),
    /// The system says that they are not there, or they were taken before.
    System(io::Error),
}

impl fmt::Display for NotPassed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(name) => write!(f, "{name} makes no sense"),
            Self::System(e) => write!(f, "the sockets of LISTEN_FDS cannot be taken: {e}"),
        }
    }
}

impl std::error::Error for NotPassed {}

/// How many there are for this process, and their names.
pub fn names(
    pid: Option<&str>,
    fds: Option<&str>,
    names: Option<&str>,
) -> Result<Vec<String>, NotPassed> {
    let (Some(pid), Some(fds)) = (pid, fds) else { return Ok(Vec::new()) };
    let pid: u32 = pid.parse().map_err(|_| NotPassed::Malformed("LISTEN_PID"))?;
    if pid != std::process::id() {
        // Meant for whoever started us.
        return Ok(Vec::new());
    }
    let count: usize = fds.parse().map_err(|_| NotPassed::Malformed("LISTEN_FDS"))?;
    if count > PASSED_MAX {
        return Err(NotPassed::Malformed("LISTEN_FDS"));
    }
    let mut all: Vec<String> = match names {
        Some(names) => names.split(':').map(str::to_owned).collect(),
        None => Vec::new(),
    };
    all.resize(count, "unknown".into());
    Ok(all)
}

/// Take them. Once in a process: whoever comes second is refused.
pub fn take(names: Vec<String>) -> Result<Vec<Passed>, NotPassed> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let fds = sys::inherited(names.len()).map_err(NotPassed::System)?;
    Ok(names.into_iter().zip(fds).map(|(name, fd)| Passed { name, fd }).collect())
}

/// More are not believed.
const PASSED_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn sockets_are_ours_only_if_they_were_meant_for_us() {
        let own = std::process::id().to_string();
        let all = |pid, fds, list| names(pid, fds, list).map_err(|e| e.to_string());
        let named = |list: &[&str]| Ok(list.iter().map(|&name| name.to_owned()).collect());
        assert_eq!(all(None, Some("1"), None), named(&[]));
        assert_eq!(all(Some("1"), Some("1"), None), named(&[]), "another process");
        assert_eq!(all(Some(&own), None, None), named(&[]));
        assert_eq!(all(Some(&own), Some("2"), Some("mqtt:wss")), named(&["mqtt", "wss"]));
        assert_eq!(all(Some(&own), Some("2"), None), named(&["unknown", "unknown"]));
        assert_eq!(all(Some(&own), Some("1"), Some("mqtt:wss")), named(&["mqtt"]));
        for (pid, fds) in [("x", "1"), (own.as_str(), "-1"), (own.as_str(), "257")] {
            assert!(all(Some(pid), Some(fds), None).is_err(), "{pid} {fds}");
        }
    }
}
