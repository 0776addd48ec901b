//! Floor 5. Buffers that sockets are read into, used again when nobody holds a part of them.
//!
//! What a turn reads is mostly said on by the end of that turn, so the next finds its buffers free:
//! a busy broker asks the system for no memory, and an idle one uses one buffer. A buffer of which
//! somebody keeps a part is passed over. Absent on purpose: any idea of what is in them.

use bytes::BytesMut;

/// The buffers.
#[derive(Debug)]
pub struct Chunks {
    all: Vec<BytesMut>,
    at: usize,
    size: usize,
    spared: u32,
}

/// Buffers kept at most.
const CHUNKS: usize = 16;
/// After so many turns that left the last of them alone it is given back.
const PATIENCE: u32 = 4_096;

impl Chunks {
    /// Of so many bytes each.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self { all: vec![BytesMut::with_capacity(size)], at: 0, size, spared: 0 }
    }

    /// An empty buffer with room for `len`, taken out; to be put back. Small reads share one.
    pub fn take(&mut self, len: usize) -> BytesMut {
        while let Some(chunk) = self.all.get_mut(self.at) {
            chunk.clear();
            if chunk.try_reclaim(len) {
                return core::mem::take(chunk);
            }
            self.at += 1;
        }
        self.at = self.all.len().min(CHUNKS - 1);
        BytesMut::with_capacity(self.size.max(len))
    }

    /// It was read into, and somebody may hold parts of it.
    pub fn put_back(&mut self, chunk: BytesMut) {
        match self.all.get_mut(self.at) {
            Some(place) => *place = chunk,
            None => self.all.push(chunk),
        }
    }

    /// A turn is over.
    pub fn on_turn_over(&mut self) {
        self.spared = if self.at + 1 < self.all.len() { self.spared + 1 } else { 0 };
        if self.spared > PATIENCE {
            self.all.pop();
            self.spared = 0;
        }
        self.at = 0;
    }

    /// Bytes of all of them; one that was said on knows nothing of its size any more.
    #[cfg(test)]
    fn held(&self) -> usize {
        self.all.len() * self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 1_000;

    fn read(chunks: &mut Chunks) -> (*const u8, bytes::Bytes) {
        let mut chunk = chunks.take(SIZE);
        chunk.extend_from_slice(&[7; SIZE]);
        let part = chunk.split_to(SIZE).freeze();
        chunks.put_back(chunk);
        (part.as_ptr(), part)
    }

    #[test]
    fn a_turn_reads_into_the_buffers_of_the_last_one() {
        let mut chunks = Chunks::new(SIZE);
        let turn = |chunks: &mut Chunks| {
            let parts: Vec<_> = (0..5).map(|_| read(chunks)).collect();
            chunks.on_turn_over();
            parts.iter().map(|(at, _)| *at).collect::<Vec<_>>()
        };
        let first = turn(&mut chunks);
        assert_eq!(turn(&mut chunks), first);
    }

    #[test]
    fn a_part_that_is_held_stays_as_it_is() {
        let mut chunks = Chunks::new(SIZE);
        let (at, held) = read(&mut chunks);
        for _ in 0..3 {
            chunks.on_turn_over();
            assert_ne!(read(&mut chunks).0, at);
        }
        assert_eq!(&held[..], &[7; SIZE]);
        drop(held);
        chunks.on_turn_over();
        assert_eq!(read(&mut chunks).0, at, "free again");
    }

    #[test]
    fn small_reads_share_a_buffer() {
        let mut chunks = Chunks::new(SIZE);
        let mut parts = Vec::new();
        for _ in 0..100 {
            let mut chunk = chunks.take(10);
            chunk.extend_from_slice(&[7; 10]);
            parts.push(chunk.split_to(10).freeze());
            chunks.put_back(chunk);
        }
        assert_eq!(chunks.all.len(), 1);
    }

    #[test]
    fn a_burst_that_is_over_gives_its_memory_back() {
        let mut chunks = Chunks::new(SIZE);
        let all: Vec<_> = (0..100).map(|_| read(&mut chunks)).collect();
        drop(all);
        assert!(chunks.held() <= CHUNKS * SIZE);
        for _ in 0..PATIENCE * CHUNKS as u32 + 100 {
            read(&mut chunks);
            chunks.on_turn_over();
        }
        assert!(chunks.held() <= SIZE, "{}", chunks.held());
    }
}
