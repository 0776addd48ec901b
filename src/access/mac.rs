//! Floor 3. A keyed digest of secrets: SipHash-2-4 with 128 bits, its key injected at start.
//!
//! What must be compared or remembered here (passwords, who failed where) is compared and
//! remembered as a digest under a key that nobody outside knows and that dies with the process.
//! So tables hold no password, nobody can aim at a slot of a table, and comparing two digests
//! tells a stopwatch nothing about what they are digests of. Every digest begins with its
//! purpose and counts its parts, so that no two meanings share one. Absent on purpose: storing
//! digests beyond the process (bcrypt is for that).

/// The purposes digests are made for; each is a space of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Purpose {
    /// A shared secret, stored or presented.
    Secret = 1,
    /// A login that succeeded.
    Verified = 2,
    /// Failures of a network.
    Network = 3,
    /// Failures under a user name.
    User = 4,
    /// Failures of a network under a user name.
    Pair = 5,
    /// A network that knew a user's password.
    Friend = 6,
    /// Seeds for maps.
    Seed = 7,
    /// Salts of users whose file names none.
    Salt = 8,
    /// Nonces of dialogues.
    Nonce = 9,
}

/// The key.
#[derive(Clone, Copy)]
pub(super) struct Mac([u64; 2]);

impl Mac {
    pub(super) const fn new(key: [u64; 2]) -> Self {
        Self(key)
    }

    /// Begin a digest.
    pub(super) fn of(self, purpose: Purpose) -> Digest {
        let mut digest = Digest::new(self.0);
        digest.bytes(&[purpose as u8]);
        digest
    }
}

/// A digest in the making.
pub(super) struct Digest {
    v: [u64; 4],
    held: u64,
    len: usize,
}

impl Digest {
    fn new([k0, k1]: [u64; 2]) -> Self {
        let v = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        Self { v, held: 0, len: 0 }
    }

    /// Add a part: its length, then its bytes.
    pub(super) fn part(mut self, bytes: &[u8]) -> Self {
        self.bytes(&(bytes.len() as u64).to_le_bytes());
        self.bytes(bytes);
        self
    }

    /// The digest.
    pub(super) fn done(mut self) -> u128 {
        let last = self.held | ((self.len as u64 & 0xff) << 56);
        self.word(last);
        self.v[2] ^= 0xee;
        self.rounds(4);
        let low = self.v[0] ^ self.v[1] ^ self.v[2] ^ self.v[3];
        self.v[1] ^= 0xdd;
        self.rounds(4);
        let high = self.v[0] ^ self.v[1] ^ self.v[2] ^ self.v[3];
        (u128::from(high) << 64) | u128::from(low)
    }

    fn bytes(&mut self, mut bytes: &[u8]) {
        while !self.len.is_multiple_of(8) {
            let Some((&first, rest)) = bytes.split_first() else {
                return;
            };
            self.byte(first);
            bytes = rest;
        }
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
            self.len = self.len.wrapping_add(8);
        }
        for &byte in rest {
            self.byte(byte);
        }
    }

    fn byte(&mut self, byte: u8) {
        self.held |= u64::from(byte) << (8 * (self.len % 8));
        self.len = self.len.wrapping_add(1);
        if self.len.is_multiple_of(8) {
            self.word(self.held);
            self.held = 0;
        }
    }

    fn word(&mut self, word: u64) {
        self.v[3] ^= word;
        self.rounds(2);
        self.v[0] ^= word;
    }

    fn rounds(&mut self, n: usize) {
        let [mut a, mut b, mut c, mut d] = self.v;
        for _ in 0..n {
            a = a.wrapping_add(b);
            b = b.rotate_left(13) ^ a;
            a = a.rotate_left(32);
            c = c.wrapping_add(d);
            d = d.rotate_left(16) ^ c;
            a = a.wrapping_add(d);
            d = d.rotate_left(21) ^ a;
            c = c.wrapping_add(b);
            b = b.rotate_left(17) ^ c;
            c = c.rotate_left(32);
        }
        self.v = [a, b, c, d];
    }
}

/// Are these the same? Takes as long when they differ in the first bit as in the last.
pub(super) fn same(a: u128, b: u128) -> bool {
    let mut differ = 0u8;
    for (x, y) in a.to_le_bytes().iter().zip(b.to_le_bytes()) {
        differ = core::hint::black_box(differ | (x ^ y));
    }
    differ == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(len: usize) -> u128 {
        let key: [u8; 16] = core::array::from_fn(|i| i as u8);
        let (low, high) = key.split_at(8);
        let word = |half: &[u8]| u64::from_le_bytes(half.try_into().unwrap());
        let mut digest = Digest::new([word(low), word(high)]);
        let input: Vec<u8> = (0..len as u8).collect();
        // Cut in odd places: the digest must not depend on how its input arrives.
        for piece in input.chunks(5) {
            digest.bytes(piece);
        }
        digest.done()
    }

    /// Published results for the key 00 01 .. 0f and the inputs 00 01 02 ...
    #[test]
    fn agrees_with_the_published_results() {
        let published: [(usize, u128); 8] = [
            (0, 0xa381_7f04_ba25_a8e6_6df6_7214_c755_0293),
            (1, 0xda87_c1d8_6b99_af44_3476_5911_9b22_fc45),
            (7, 0xa1f1_ebbe_d8db_c153_c0b8_4aa6_1ff0_8239),
            (8, 0x3b62_a9ba_6258_f561_0f83_e264_f314_97b4),
            (9, 0x2644_9906_0ad9_baab_c47f_8b02_bb6d_71ed),
            (15, 0x5493_e999_33b0_a811_7e08_ec0f_97cf_c3d9),
            (16, 0x6ee2_a4ca_67b0_54bb_fd33_15bf_8523_0577),
            (63, 0x5150_d177_2f50_834a_503e_069a_973f_bd7c),
        ];
        for (len, digest) in published {
            assert_eq!(plain(len).to_le_bytes(), digest.to_be_bytes(), "input of {len} bytes");
        }
    }

    #[test]
    fn parts_and_purposes_do_not_run_together() {
        let mac = Mac::new([1, 2]);
        let two = |a: &[u8], b: &[u8]| mac.of(Purpose::Pair).part(a).part(b).done();
        assert_ne!(two(b"ab", b"c"), two(b"a", b"bc"));
        assert_ne!(two(b"", b"a"), two(b"a", b""));
        assert_ne!(two(b"a", b"b"), mac.of(Purpose::Verified).part(b"a").part(b"b").done());
        assert_ne!(
            two(b"a", b"b"),
            Mac::new([1, 3]).of(Purpose::Pair).part(b"a").part(b"b").done()
        );
    }

    #[test]
    fn every_bit_counts_when_digests_are_compared() {
        assert!(same(5, 5));
        for bit in 0..128 {
            assert!(!same(0, 1 << bit), "bit {bit}");
        }
    }
}
