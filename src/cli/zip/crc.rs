//! Floor 6. CRC-32 as ZIP has it (ISO 3309), a byte at a time.
//!
//! Absent on purpose: speed; who packs waits for a disk.

/// The sum over bytes that come piece by piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crc(u32);

impl Crc {
    pub(super) fn new() -> Self {
        Self(u32::MAX)
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let place = (self.0 ^ u32::from(*byte)) & 0xff;
            let of = TABLE.get(place as usize).copied().unwrap_or_default();
            self.0 = of ^ (self.0 >> 8);
        }
    }

    pub(super) fn end(self) -> u32 {
        !self.0
    }
}

static TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_the_standard_however_it_is_cut() {
        let text = b"123456789";
        for cut in 0..text.len() {
            let mut crc = Crc::new();
            crc.add(&text[..cut]);
            crc.add(&text[cut..]);
            assert_eq!(crc.end(), 0xcbf4_3926);
        }
        assert_eq!(Crc::new().end(), 0);
    }
}
