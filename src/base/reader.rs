//! Floor 0. A bounded cursor over bytes: short input is an answer, never a panic.
//!
//! What it returns are slices of the buffer it reads (no copy); lengths are compared with what is
//! there before anything is taken. Absent on purpose: protocol rules, text checks.

use bytes::{Buf, Bytes};

/// The input ended inside a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Short;

/// Takes fields from the front of a body.
#[derive(Clone, Debug)]
pub struct Reader {
    rest: Bytes,
}

impl Reader {
    /// Read `body` from its first byte.
    #[must_use]
    pub fn new(body: Bytes) -> Self {
        Self { rest: body }
    }

    /// Bytes not yet taken.
    #[must_use]
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Short> {
        if self.rest.is_empty() {
            return Err(Short);
        }
        Ok(self.rest.get_u8())
    }

    /// Two bytes, big endian.
    pub fn u16(&mut self) -> Result<u16, Short> {
        if self.rest.len() < 2 {
            return Err(Short);
        }
        Ok(self.rest.get_u16())
    }

    /// Four bytes, big endian.
    pub fn u32(&mut self) -> Result<u32, Short> {
        if self.rest.len() < 4 {
            return Err(Short);
        }
        Ok(self.rest.get_u32())
    }

    /// Eight bytes, big endian.
    pub fn u64(&mut self) -> Result<u64, Short> {
        let (high, low) = (self.u32()?, self.u32()?);
        Ok(u64::from(high) << 32 | u64::from(low))
    }

    /// The next `len` bytes, shared with the buffer.
    pub fn take(&mut self, len: usize) -> Result<Bytes, Short> {
        if self.rest.len() < len {
            return Err(Short);
        }
        Ok(self.rest.split_to(len))
    }

    /// A blob that a big-endian `u16` counts.
    pub fn blob16(&mut self) -> Result<Bytes, Short> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// Everything that is left.
    #[must_use]
    pub fn rest(self) -> Bytes {
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_end_where_the_input_ends() {
        let mut r = Reader::new(Bytes::from_static(&[7, 0, 2, b'h', b'i', 9]));
        assert_eq!(r.u8(), Ok(7));
        assert_eq!(r.blob16(), Ok(Bytes::from_static(b"hi")));
        assert_eq!(r.u16(), Err(Short), "one byte is no u16");
        assert_eq!(r.u8(), Ok(9));
        assert_eq!(r.u8(), Err(Short));
        assert_eq!(Reader::new(Bytes::from_static(&[0, 3, 1, 2])).blob16(), Err(Short));
    }
}
