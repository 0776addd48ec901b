//! Floor 3. Who is who: names of clients, and how the address of a server is written.
//!
//! A name is one to 128 letters, digits, `-`, `_` and `:`, and not `default` with or without a
//! number (specification 3.6). So it can be a part of a path or of a topic as it stands, and two
//! names never become one by being written somewhere. The line end that Python's `$` lets through
//! is refused. Absent on purpose: whose a name is.

use core::fmt;
use core::net::SocketAddr;

use crate::proto::fault::{Fault, FaultKind};

use super::packet::{Frame, Text};

/// The longest name.
pub const NAME_MAX: usize = 128;

/// What a client is called.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Text);

impl Name {
    /// This text, if it can be a name.
    #[must_use]
    pub fn new(text: &Text) -> Option<Self> {
        is_name(text.as_str()).then(|| Self(text.clone()))
    }

    /// The name that a client says of itself in a frame.
    pub fn of(frame: &Frame) -> Result<Self, Fault> {
        let said = frame.header.source_id.as_ref().and_then(Self::new);
        said.ok_or(FaultKind::AioName.fault())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The text that it is.
    pub(super) fn text(&self) -> &Text {
        &self.0
    }

    /// A copy that does not keep the buffer alive which this one was read from.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(self.0.detached())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

fn is_name(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':');
    let number = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_digit());
    (1..=NAME_MAX).contains(&text.len())
        && text.bytes().all(letter)
        && !text.strip_prefix("default").is_some_and(number)
}

/// What a server calls itself, and is called by its clients: its address as Python writes a pair.
/// It must be the address that they were told, or the oldest of them drop what is for it.
#[must_use]
pub fn server(address: SocketAddr) -> String {
    format!("('{}', {})", address.ip(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Option<Name> {
        Name::new(&Text::from(text))
    }

    #[test]
    fn a_name_is_letters_digits_and_three_signs() {
        for good in ["a", "client1", "A-b_c:9", "defaults", "default1a", "-", &"x".repeat(128)] {
            assert_eq!(name(good).expect(good).as_str(), good);
        }
        let long = "x".repeat(129);
        for bad in ["", "a b", "a/b", "..", "a.b", "a\n", "é", "('127.0.0.1', 1)", "a\0", &long] {
            assert_eq!(name(bad), None, "{bad}");
        }
        for bad in ["default", "default0", "default17"] {
            assert_eq!(name(bad), None, "it is what certificates of nobody are called");
        }
    }

    #[test]
    fn a_frame_without_a_good_name_is_refused_by_that() {
        let mut frame = Frame::of("any", "a b");
        assert_eq!(Name::of(&frame), Err(FaultKind::AioName.fault()));
        frame.header.source_id = None;
        assert_eq!(Name::of(&frame), Err(FaultKind::AioName.fault()));
    }

    #[test]
    fn a_server_is_called_as_its_clients_write_its_address() {
        let address = "127.0.0.1:10673".parse().expect("an address");
        assert_eq!(server(address), "('127.0.0.1', 10673)");
    }
}
