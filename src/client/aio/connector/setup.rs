//! Floor 5. How a connector is described: plain data, checked once.
//!
//! The names of its sockets are those of the original, which keep letters and digits only; two
//! connectors whose names come to the same cannot run in one folder, and the second is told so
//! (specification 12, item 9). What is kept lies in a folder whose name leaves nothing out. Absent
//! on purpose: JSON, and defaults of the original.

use std::path::{Path, PathBuf};
use std::time::Duration;

use log::LevelFilter;

use crate::client::aio::{Builder, Client, Error, Security};
use crate::proto::aio::shelf::Kept;

/// Whose messages are passed over, in both directions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Ignored {
    /// Nobody's.
    #[default]
    Nobody,
    /// Everybody's.
    Everybody,
    /// Those of peers of these names.
    Peers(Vec<String>),
}

impl Ignored {
    /// Is this one's?
    #[must_use]
    pub fn has(&self, peer: &str) -> bool {
        match self {
            Self::Nobody => false,
            Self::Everybody => true,
            Self::Peers(peers) => peers.iter().any(|it| it == peer),
        }
    }
}

/// What a connector is described as.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where the server is: `HOST:PORT`.
    pub server: String,
    /// Its own name.
    pub name: String,
    /// How it shows who it is.
    pub security: Security,
    /// The folder of its sockets and of what it keeps.
    pub directory: PathBuf,
    /// The types that applications may send.
    pub send_types: Vec<String>,
    /// The types that applications may receive.
    pub receive_types: Vec<String>,
    /// The topics that are subscribed to.
    pub topics: Vec<String>,
    /// Files for a `dst_type` go below this folder.
    pub folders: Vec<(String, PathBuf)>,
    /// What is kept while the server is away.
    pub keep_sent: Kept,
    /// What is kept while nobody receives it.
    pub keep_received: Kept,
    /// How much is kept for the server, and how much of each type that nobody receives.
    pub kept_max: u64,
    /// Whose messages are passed over.
    pub ignored: Ignored,
    /// An application may send more than one message on a connection.
    pub send_more: bool,
    /// An application takes more than one message on a connection.
    pub receive_more: bool,
    /// How often a silent server is asked for a sign of life.
    pub keep_alive: Option<Duration>,
    /// For dialling and being let in.
    pub dial: Duration,
    /// A connection that is lost is dialled again after this.
    pub again: Duration,
    /// The longest file that is sent.
    pub file_max: u64,
    /// The longest message that is taken from an application, or from the server.
    pub message_max: usize,
    /// Changes how much is logged, for whoever asks for it.
    pub level: Option<fn(LevelFilter)>,
}

impl Setup {
    /// A connector of this name that does what the original does by default, but for TLS.
    #[must_use]
    pub fn new(server: &str, name: &str, directory: &Path) -> Self {
        let any = || vec!["any".to_owned()];
        Self {
            server: server.to_owned(),
            name: name.to_owned(),
            security: Security::Plain,
            directory: directory.to_owned(),
            send_types: any(),
            receive_types: any(),
            topics: Vec::new(),
            folders: Vec::new(),
            keep_sent: Kept::Nothing,
            keep_received: Kept::Nothing,
            kept_max: 1 << 30,
            ignored: Ignored::Nobody,
            send_more: true,
            receive_more: true,
            keep_alive: None,
            dial: Duration::from_secs(10),
            again: Duration::from_secs(1),
            file_max: 8_589_930_194,
            message_max: 64 << 20,
            level: None,
        }
    }

    /// The client that the connector is to the server.
    pub(super) fn builder(&self) -> Builder {
        let mut builder = Client::builder(&self.server, &self.name)
            .security(self.security.clone())
            .reconnect(Some(self.again))
            .dial_timeout(self.dial)
            .keep_alive(self.keep_alive)
            .frame_max(self.message_max)
            .attach(self.file_max);
        for (kind, folder) in &self.folders {
            builder = builder.folder(kind, folder);
        }
        builder
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if self.short_name().is_empty() {
            return Err(Error::Setting("a name without letters and digits"));
        }
        let long = |path: PathBuf| path.as_os_str().len() > PATH_MAX;
        if self.receive_types.iter().any(|it| it.contains(['/', '\0']) || it.is_empty()) {
            return Err(Error::Setting("a message type that is no name of a file"));
        }
        if long(self.commander())
            || long(self.sender())
            || self.receive_types.iter().any(|kind| long(self.receiver(kind)))
        {
            return Err(Error::Setting("the path of a socket is longer than 107 bytes"));
        }
        match self.topics.iter().all(|topic| self.receive_types.contains(topic)) {
            true => Ok(()),
            false => Err(Error::Setting("a topic that is not among the types to be received")),
        }
    }

    /// The socket through which applications send.
    #[must_use]
    pub fn sender(&self) -> PathBuf {
        self.directory.join(format!("uds_path_send_to_connector_client_{}", self.socket_name()))
    }

    /// The socket at which applications wait for messages of this type.
    #[must_use]
    pub fn receiver(&self, kind: &str) -> PathBuf {
        let own = self.socket_name();
        self.directory.join(format!("uds_path_receive_from_connector_client_{kind}_{own}"))
    }

    /// The socket for commands.
    #[must_use]
    pub fn commander(&self) -> PathBuf {
        self.directory.join(format!("uds_path_commander_{}", self.socket_name()))
    }

    /// The folder of what is kept for whoever that is.
    pub(super) fn chest(&self, whose: &str) -> PathBuf {
        let own = format!("spindle_kept_{}", spelled(&self.name));
        self.directory.join(own).join(spelled(whose))
    }

    fn short_name(&self) -> String {
        self.name.chars().filter(|letter| letter.is_alphanumeric()).collect()
    }

    fn socket_name(&self) -> String {
        let short = self.short_name();
        if short.chars().count() > SHORT_MAX { super::md5::hex(short.as_bytes()) } else { short }
    }
}

/// A text as the name of a file that no other text has.
fn spelled(text: &str) -> String {
    let mut name = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            name.push(char::from(byte));
        } else {
            name += &format!("%{byte:02x}");
        }
    }
    name
}

/// The longest path of a socket.
const PATH_MAX: usize = 107;
/// Longer names are digested by the original, since some version.
const SHORT_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(name: &str) -> Setup {
        Setup::new("127.0.0.1:1", name, Path::new("/run"))
    }

    #[test]
    fn sockets_are_called_as_the_originals() {
        let setup = setup("cl-1:a");
        assert_eq!(setup.sender(), Path::new("/run/uds_path_send_to_connector_client_cl1a"));
        let receiver = Path::new("/run/uds_path_receive_from_connector_client_any_cl1a");
        assert_eq!(setup.receiver("any"), receiver);
        assert_eq!(setup.commander(), Path::new("/run/uds_path_commander_cl1a"));
        let long = self::setup(&"a".repeat(33));
        assert!(long.commander().ends_with("uds_path_commander_b4f13cb081e412f44e99742cb128a1a5"));
    }

    #[test]
    fn what_is_kept_lies_where_no_other_name_leads() {
        assert_ne!(setup("a-b").chest("x"), setup("ab").chest("x"));
        assert_ne!(setup("a").chest("x/y"), setup("a").chest("x%2fy"));
        assert!(setup("a").chest("..").ends_with("spindle_kept_a/%2e%2e"));
    }

    #[test]
    fn a_setup_that_cannot_be_is_refused() {
        assert!(setup("a").check().is_ok());
        assert!(setup("-_:").check().is_err(), "its sockets would have no name");
        let types = |receive: &str| Setup { receive_types: vec![receive.to_owned()], ..setup("a") };
        assert!(types("../a").check().is_err());
        assert!(types(&"x".repeat(100)).check().is_err());
        let topics = Setup { topics: vec!["news".to_owned()], ..setup("a") };
        assert!(topics.check().is_err());
    }
}
