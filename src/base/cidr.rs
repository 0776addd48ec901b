//! Floor 0. A block of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address alone.
//!
//! An IPv4 address in IPv6 dress is the IPv4 address, in the block and in the question alike.
//! Absent on purpose: names, and what membership means.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

/// A block of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cidr {
    base: IpAddr,
    bits: u8,
}

/// Not a block of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoCidr;

impl Cidr {
    /// Is the address one of them?
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(it)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                base.to_bits() & mask == it.to_bits() & mask
            }
            (IpAddr::V6(base), IpAddr::V6(it)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                base.to_bits() & mask == it.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Cidr {
    type Err = NoCidr;

    fn from_str(text: &str) -> Result<Self, NoCidr> {
        let (base, bits) = match text.split_once('/') {
            None => (text, None),
            Some((base, bits)) => (base, Some(bits)),
        };
        let base: IpAddr = base.parse().map_err(|_| NoCidr)?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            // A sign or a space is no number of bits, whatever the parser of numbers thinks.
            Some(text) if text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse().map_err(|_| NoCidr)?
            }
            Some(_) => return Err(NoCidr),
        };
        if bits > most {
            return Err(NoCidr);
        }
        let plain = base.to_canonical();
        if plain.is_ipv4() == base.is_ipv4() {
            return Ok(Self { base, bits });
        }
        // Ninety-six bits of the dress come before the address.
        let bits = bits.checked_sub(96).ok_or(NoCidr)?;
        Ok(Self { base: plain, bits })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

impl fmt::Display for NoCidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an address and not a block of addresses (10.0.0.0/8, 2001:db8::/32)")
    }
}

impl core::error::Error for NoCidr {}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(block: &str, address: &str) -> bool {
        block.parse::<Cidr>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_block_has_its_addresses_and_no_others() {
        assert!(has("10.0.0.0/8", "10.255.0.1") && !has("10.0.0.0/8", "11.0.0.1"));
        assert!(has("192.0.2.7", "192.0.2.7") && !has("192.0.2.7", "192.0.2.6"));
        assert!(has("0.0.0.0/0", "203.0.113.9") && !has("0.0.0.0/0", "2001:db8::1"));
        assert!(has("2001:db8::/33", "2001:db8:7fff::1"));
        assert!(!has("2001:db8::/33", "2001:db8:8000::1"));
        assert!(has("::/0", "2001:db8::1") && !has("::/0", "192.0.2.1"));
    }

    #[test]
    fn ipv4_in_ipv6_dress_is_ipv4() {
        assert!(has("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(has("::ffff:10.0.0.0/104", "10.1.2.3"));
        assert!(!has("::ffff:10.0.0.0/104", "11.1.2.3"));
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for text in [
            "",
            "/",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/ 8",
            "10.0.0/8",
            "::/129",
            "::ffff:10.0.0.0/95",
            "localhost",
            "10.0.0.0/8/8",
            "10.0.0.0/256",
        ] {
            assert_eq!(text.parse::<Cidr>(), Err(NoCidr), "{text:?}");
        }
        let shown = |text: &str| text.parse::<Cidr>().unwrap().to_string();
        assert_eq!(shown("10.0.0.0/8"), "10.0.0.0/8");
        assert_eq!(shown("::1"), "::1/128");
    }
}
