//! Floor 3. What is said to somebody whose request cannot be read, or who runs out of time.
//!
//! One total function from the end to the last answer. Behind it the connection is closed: where
//! the next request would begin cannot be known. Absent on purpose: requests that can be read and
//! are refused; those are answers like any other.

use crate::proto::doom::Doom;
use crate::proto::fault::FaultKind;

use super::packet::Response;
use super::problem;

/// The last answer, when there is one to give. `asked`: a request is under way.
#[must_use]
pub fn last_words(doom: &Doom, asked: bool) -> Option<Response> {
    let (status, text) = match doom {
        Doom::Fault(fault) => (status(fault.kind), fault.kind.text()),
        Doom::PacketTimeout | Doom::ConnectTimeout if asked => {
            (408, "the request did not end in time")
        }
        Doom::Unfinished if asked => (503, "too many requests were begun and not ended"),
        Doom::Busy if asked => (429, "too many passwords wait to be checked"),
        Doom::Stopping if asked => (503, "the broker goes down"),
        Doom::StorageFailed if asked => (503, "the disk failed, so nothing can be promised"),
        _ => return None,
    };
    Some(problem::of(status, text).last())
}

/// The status that says which rule was broken.
#[must_use]
pub fn status(kind: FaultKind) -> u16 {
    match kind {
        FaultKind::HttpTooLong => 431,
        FaultKind::HttpTarget => 414,
        FaultKind::HttpBodyLong => 413,
        FaultKind::HttpCoding => 501,
        FaultKind::HttpExpect => 417,
        FaultKind::HttpOtherVersion => 505,
        _ => 400,
    }
}
