//! Floor 0. Base64 with padding, as headers and logins use it.
//!
//! Reading is strict: one text stands for one run of bytes, so bits to spare must be zero, padding
//! must be there, and nothing may stand between the letters. Absent on purpose: the alphabet for
//! URLs, line breaks.

/// The text for these bytes.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, b| (word << 8) | u32::from(*b));
        let word = word << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let six = (word >> (18 - 6 * place)) as usize & 63;
            let letter = ALPHABET.get(six).filter(|_| place <= chunk.len());
            text.push(char::from(*letter.unwrap_or(&PAD)));
        }
    }
    text
}

/// The bytes this text stands for, if it stands for any.
#[must_use]
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let (quads, rest) = text.as_chunks::<4>();
    let mut bytes = Vec::with_capacity(quads.len() * 3);
    for (i, quad) in quads.iter().enumerate() {
        let last = i + 1 == quads.len();
        let letters = match quad {
            [_, _, PAD, PAD] if last => 2,
            [_, _, _, PAD] if last => 3,
            _ => 4,
        };
        let mut word = 0u32;
        for letter in quad.iter().take(letters) {
            word = (word << 6) | value(*letter)?;
        }
        word <<= 6 * (4 - letters);
        let [_, three @ ..] = word.to_be_bytes();
        let (kept, spare) = three.split_at(letters - 1);
        if spare.iter().any(|b| *b != 0) {
            return None;
        }
        bytes.extend_from_slice(kept);
    }
    rest.is_empty().then_some(bytes)
}

fn value(letter: u8) -> Option<u32> {
    let value = match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PAD: u8 = b'=';

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648, section 10.
    #[test]
    fn agrees_with_the_published_results() {
        let published = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (len, text) in published.iter().enumerate() {
            let bytes = &b"foobar"[..len];
            assert_eq!(encode(bytes), *text);
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(bytes));
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(encode(&all).as_bytes()), Some(all));
    }

    #[test]
    fn one_text_for_one_run_of_bytes() {
        for text in
            ["Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm 9", "Zm9v\n", "-_8="]
        {
            assert_eq!(decode(text.as_bytes()), None, "{text:?}");
        }
    }
}
