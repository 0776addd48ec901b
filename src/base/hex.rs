//! Floor 0. Bytes as hexadecimal digits, as keys and signatures are written.
//!
//! Written in lower case, read in either; two digits for each byte and nothing between them. Absent
//! on purpose: prefixes, separators.

/// The digits for these bytes.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes these digits stand for, if they are digits.
#[must_use]
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_chunks::<2>();
    let half = |byte: u8| char::from(byte).to_digit(16).and_then(|half| u8::try_from(half).ok());
    let byte = |[high, low]: &[u8; 2]| Some((half(*high)? << 4) | half(*low)?);
    pairs.iter().map(byte).collect::<Option<Vec<u8>>>().filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back_in_either_case() {
        let all: Vec<u8> = (0..=255).collect();
        let text = encode(&all);
        assert!(text.starts_with("000102") && text.ends_with("fdfeff"));
        assert_eq!(decode(text.as_bytes()), Some(all.clone()));
        assert_eq!(decode(text.to_uppercase().as_bytes()), Some(all));
    }

    #[test]
    fn what_is_no_pair_of_digits_is_nothing() {
        for text in ["0", "000", "0g", "+1", " 0", "0x00", "\u{663}\u{663}"] {
            assert_eq!(decode(text.as_bytes()), None, "{text:?}");
        }
    }
}
