//! Floor 3. The only line that a relay ever says itself: a refusal.
//!
//! Absent on purpose: requests and answers, which pass as they are.

/// The line that refuses the request of this number, and a word for why.
#[must_use]
pub fn refusal(seq: i64, word: &str) -> Vec<u8> {
    format!("NAK {seq} {word}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_the_number_of_what_it_refuses() {
        assert_eq!(refusal(-7, "WHY"), b"NAK -7 WHY\n");
    }
}
