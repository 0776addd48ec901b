//! Floor 3. HMAC (RFC 2104), and PBKDF2 over it (RFC 8018), for any hash of the SHA-2 family.
//!
//! A key is eaten once and then signs as often as somebody likes, which is what makes a derivation
//! of thousands of rounds cost two hashes each. Absent on purpose: keys longer than one hash, which
//! nothing here derives.

use sha2::Digest;
use sha2::digest::Output;
use sha2::digest::common::{Block, BlockSizeUser};

/// HMAC under one key: the two hashes that have eaten it.
#[derive(Clone)]
pub(crate) struct Keyed<D> {
    inner: D,
    outer: D,
}

impl<D: Digest + BlockSizeUser + Clone> Keyed<D> {
    pub(crate) fn new(key: &[u8]) -> Self {
        let mut block = Block::<D>::default();
        let short;
        let key = if key.len() > block.len() {
            short = D::digest(key);
            &short[..]
        } else {
            key
        };
        for (to, from) in block.iter_mut().zip(key) {
            *to = *from;
        }
        let padded = |pad: u8| {
            let mut block = block.clone();
            block.iter_mut().for_each(|byte| *byte ^= pad);
            D::new_with_prefix(block)
        };
        Self { inner: padded(0x36), outer: padded(0x5c) }
    }

    pub(crate) fn sign(&self, parts: &[&[u8]]) -> Output<D> {
        let (mut inner, mut outer) = (self.inner.clone(), self.outer.clone());
        for part in parts {
            inner.update(part);
        }
        outer.update(inner.finalize());
        outer.finalize()
    }
}

/// PBKDF2 for a single block, which is what SCRAM calls Hi.
pub(crate) fn stretch<D>(password: &[u8], salt: &[u8], rounds: u32) -> Output<D>
where
    D: Digest + BlockSizeUser + Clone,
{
    let keyed = Keyed::<D>::new(password);
    let mut link = keyed.sign(&[salt, &1u32.to_be_bytes()]);
    let mut all = link.clone();
    for _ in 1..rounds {
        link = keyed.sign(&[&link]);
        for (byte, more) in all.iter_mut().zip(&link) {
            *byte ^= *more;
        }
    }
    all
}

/// Are these the same? Takes as long when they differ in the first bit as in the last.
pub(super) fn same<const N: usize>(a: &[u8; N], b: &[u8; N]) -> bool {
    let mut differ = 0u8;
    for (x, y) in a.iter().zip(b) {
        differ = core::hint::black_box(differ | (x ^ y));
    }
    differ == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Sha256, Sha512};

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        let two: [&[u8]; 2] = [b"what do ya want ", b"for nothing?"];
        let six: [&[u8]; 1] = [b"Test Using Larger Than Block-Size Key - Hash Key First"];
        for (key, parts, small, large) in [
            (
                &b"Jefe"[..],
                &two[..],
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554",
            ),
            (
                &[0xaa; 131],
                &six,
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
                "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352",
            ),
        ] {
            assert_eq!(hex(&Keyed::<Sha256>::new(key).sign(parts)), small);
            assert!(hex(&Keyed::<Sha512>::new(key).sign(parts)).starts_with(large));
        }
    }

    #[test]
    fn a_difference_in_any_bit_is_one() {
        assert!(same(&[7; 32], &[7; 32]));
        for bit in 0..8 {
            let mut other = [7; 32];
            other[31] ^= 1 << bit;
            assert!(!same(&[7; 32], &other));
        }
    }
}
