//! Floor 3. What is done for connectors where a disk may be waited for: their names are looked up
//! and given out, files of theirs are put where they belong, and long ones wait for their readers.
//!
//! A peer says what is to be done and hears what became of it; folders are names here and nothing
//! more. Who shows a certificate is known by all of it: by its digest, never by a number in it.
//! Absent on purpose: folders, files, keys, and who does it (`os`).

use bytes::Bytes;

use super::file::WithFile;
use super::inner::Hidden;
use super::names::Name;
use super::packet::Text;

/// SHA-256 over a certificate as it is (DER).
pub type Fingerprint = [u8; 32];

/// What is kept of connectors at a listener, and where.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Desk {
    /// The folder in which `certificates` is: clients show one of those.
    pub certificates: Option<String>,
    /// The file of tokens: clients show one of those.
    pub tokens: Option<String>,
    /// Who is given a certificate or a token.
    pub enrol: Enrol,
    /// The folder for files that are sent to the broker.
    pub files: Option<String>,
    /// The types of messages of which files are put there; without any, all.
    pub file_types: Vec<String>,
    /// A file is on the device before its message is acknowledged.
    pub synced: bool,
}

/// Who is given a certificate or a token.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Enrol {
    /// Nobody.
    #[default]
    Nobody,
    /// Whose names stand in this file, which is read each time.
    Listed(String),
    /// Whoever asks first for a name.
    Anyone,
}

/// Something to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Errand {
    /// Whose certificate is this?
    Identify(Fingerprint),
    /// This client wants one.
    Certify(Name),
    /// This client wants a token.
    Token(Name),
    /// Is that this client's token?
    Compare(Name, Hidden),
    /// A file of this client's came.
    Store {
        /// Whose.
        from: Name,
        /// What is said of it.
        with: Box<WithFile>,
        /// What is in it.
        content: Bytes,
    },
    /// A file of this client's comes, piece by piece, over the connection that asks.
    Open {
        /// Whose.
        from: Name,
        /// What is said of it.
        with: Box<WithFile>,
        /// How long it will be.
        size: u64,
        /// It is to be put where it belongs.
        keep: bool,
        /// It is to wait for those who hear of it.
        pass: bool,
    },
    /// The next piece of it.
    Piece(Bytes),
    /// It is whole.
    Close,
    /// There will be no more of it.
    Abandon,
    /// So many bytes of the file that waits under this number, for this connection.
    Fetch {
        /// Which.
        number: u64,
        /// How long all of it is.
        size: u64,
        /// From here on.
        at: u64,
        /// So many.
        len: usize,
    },
    /// This connection wants no more of what it fetched.
    Leave,
    /// So many will have the file that waits under this number.
    Told {
        /// Which.
        number: u64,
        /// How many.
        readers: u32,
    },
    /// One of them has it.
    Had(u64),
}

/// Who does something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// Whoever knows names.
    Names,
    /// Whoever writes files.
    Files,
    /// Whoever reads them, and so waits for nothing that is written.
    Fetching,
}

impl Errand {
    /// Who does it.
    #[must_use]
    pub fn lane(&self) -> Lane {
        match self {
            Self::Identify(_) | Self::Certify(_) | Self::Token(_) | Self::Compare(..) => {
                Lane::Names
            }
            Self::Store { .. } | Self::Open { .. } | Self::Piece(_) => Lane::Files,
            Self::Close | Self::Abandon | Self::Told { .. } | Self::Had(_) => Lane::Files,
            Self::Fetch { .. } | Self::Leave => Lane::Fetching,
        }
    }
}

/// What became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ran {
    /// The certificate is this client's.
    Known(Name),
    /// It is the one that everybody has who has none of its own.
    Default,
    /// Certificate and key, both PEM.
    Certified {
        /// The certificate.
        crt: Text,
        /// Its key.
        key: Hidden,
    },
    /// The token.
    Given(Hidden),
    /// The token is the right one.
    Right,
    /// The file is where it belongs, or a part of it is kept until the others are there.
    Stored,
    /// More of the file may come.
    Taken,
    /// The file waits for those who hear of it.
    Spooled {
        /// Below this folder.
        at: Text,
        /// Under this number.
        number: u64,
        /// It is also where it belongs.
        stored: bool,
    },
    /// The bytes that were asked for.
    Fetched(Bytes),
    /// It was noted; nobody waits for an answer.
    Noted,
    /// It is not done, or the answer is no.
    Not(&'static str),
}

impl Desk {
    /// Clients show certificates that are compared as they are.
    #[must_use]
    pub fn knows_certificates(&self) -> bool {
        self.certificates.is_some()
    }

    /// Is a file that comes with a message of this type to be put somewhere?
    #[must_use]
    pub fn takes_files(&self, kind: &str) -> bool {
        let named = self.file_types.is_empty() || self.file_types.iter().any(|own| own == kind);
        self.files.is_some() && named
    }
}
