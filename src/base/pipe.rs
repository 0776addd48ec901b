//! Floor 0. Bytes both ways between two threads of one process: a stream without a socket.
//!
//! Two ends, each of which reads what the other writes. Nothing waits: an end is told that it
//! would have to, and is woken when that is over. Each direction holds a bounded number of bytes.
//! Absent on purpose: what they mean, and who sleeps.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, BytesMut};

/// Wakes whoever has an end.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Bytes under way in one direction, at most.
pub const ROOM: usize = 128 << 10;

#[derive(Default)]
struct State {
    bytes: BytesMut,
    /// Nothing more will be written, or read.
    closed: bool,
    /// The writer was told that there is no room.
    full: bool,
}

/// One direction.
struct Lane {
    state: Mutex<State>,
    reader: Wake,
    writer: Wake,
}

impl Lane {
    fn new(reader: &Wake, writer: &Wake) -> Arc<Self> {
        let state = Mutex::default();
        Arc::new(Self { state, reader: Arc::clone(reader), writer: Arc::clone(writer) })
    }

    /// Nothing is left half done under this lock, so a poisoned one is as good as another.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.state().closed = true;
        (self.reader)();
        (self.writer)();
    }
}

/// One end.
pub struct Pipe {
    inward: Arc<Lane>,
    outward: Arc<Lane>,
}

/// Two ends, and what wakes whoever has the one and the other.
#[must_use]
pub fn pair(one: &Wake, other: &Wake) -> (Pipe, Pipe) {
    let (to, from) = (Lane::new(other, one), Lane::new(one, other));
    let here = Pipe { inward: Arc::clone(&from), outward: Arc::clone(&to) };
    (here, Pipe { inward: to, outward: from })
}

impl Pipe {
    /// Say that nothing follows; what was written before is still read.
    pub fn shutdown(&self) {
        self.outward.close();
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.outward.close();
        self.inward.close();
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe").finish_non_exhaustive()
    }
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.inward.state();
        let len = state.bytes.len().min(into.len());
        if len == 0 && !into.is_empty() {
            return if state.closed { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        if let (Some(into), Some(bytes)) = (into.get_mut(..len), state.bytes.get(..len)) {
            into.copy_from_slice(bytes);
        }
        state.bytes.advance(len);
        let freed = core::mem::take(&mut state.full);
        drop(state);
        if freed {
            (self.inward.writer)();
        }
        Ok(len)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.outward.state();
        if state.closed {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let len = bytes.len().min(ROOM.saturating_sub(state.bytes.len()));
        if len == 0 && !bytes.is_empty() {
            state.full = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        let first = state.bytes.is_empty();
        state.bytes.extend_from_slice(bytes.get(..len).unwrap_or_default());
        drop(state);
        if first {
            (self.outward.reader)();
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn counted() -> (Arc<AtomicUsize>, Wake) {
        let count = Arc::new(AtomicUsize::new(0));
        let own = Arc::clone(&count);
        let wake = move || {
            own.fetch_add(1, Ordering::SeqCst);
        };
        (count, Arc::new(wake))
    }

    #[test]
    fn what_one_writes_the_other_reads_and_is_woken_for_once() {
        let ((mine, one), (theirs, other)) = (counted(), counted());
        let (mut a, mut b) = pair(&one, &other);
        let mut into = [0; 8];
        assert_eq!(b.read(&mut into).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!((a.write(b"he").unwrap(), a.write(b"llo").unwrap()), (2, 3));
        assert_eq!((theirs.load(Ordering::SeqCst), mine.load(Ordering::SeqCst)), (1, 0));
        assert_eq!((b.read(&mut into[..3]).unwrap(), &into[..3]), (3, &b"hel"[..]));
        assert_eq!((b.read(&mut into).unwrap(), &into[..2]), (2, &b"lo"[..]));
        b.write_all(b"back").unwrap();
        assert_eq!((a.read(&mut into).unwrap(), &into[..4]), (4, &b"back"[..]));
    }

    #[test]
    fn a_full_direction_takes_nothing_and_its_writer_is_woken_when_there_is_room() {
        let ((mine, one), (_, other)) = (counted(), counted());
        let (mut a, mut b) = pair(&one, &other);
        let long = vec![7; ROOM + 1];
        assert_eq!(a.write(&long).unwrap(), ROOM);
        assert_eq!(a.write(&long).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(mine.load(Ordering::SeqCst), 0);
        assert_eq!(b.read(&mut [0; 5]).unwrap(), 5);
        assert_eq!(mine.load(Ordering::SeqCst), 1);
        assert_eq!(a.write(&long).unwrap(), 5);
    }

    #[test]
    fn what_was_written_before_the_end_is_read_and_then_nothing() {
        let ((mine, one), (theirs, other)) = (counted(), counted());
        let (mut a, mut b) = pair(&one, &other);
        a.write_all(b"bye").unwrap();
        a.shutdown();
        let mut into = [0; 8];
        assert_eq!((b.read(&mut into).unwrap(), b.read(&mut into).unwrap()), (3, 0));
        b.write_all(b"x").unwrap();
        let before = (mine.load(Ordering::SeqCst), theirs.load(Ordering::SeqCst));
        drop(a);
        assert!(theirs.load(Ordering::SeqCst) > before.1, "whoever is left is woken");
        assert_eq!(b.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
