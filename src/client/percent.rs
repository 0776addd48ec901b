//! Floor 5. What stands for bytes in parts of a URL: `%` and two digits.
//!
//! What is no such thing stays as it is. Absent on purpose: what a part means.

/// The text of a part.
#[must_use]
pub(crate) fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(value) if byte == b'%' => {
                out.push(value);
                rest = behind.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(byte);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_a_byte_becomes_it_and_the_rest_stays() {
        for (said, text) in [("jo%40x", "jo@x"), ("%3a%3A", "::"), ("5%", "5%"), ("%zz%4", "%zz%4")]
        {
            assert_eq!(decoded(said), text);
        }
    }
}
