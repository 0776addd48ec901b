//! Floor 5. How a connector is described, a client or a server: plain data, checked once.
//!
//! The names of its sockets are those of the original, which keep letters and digits only; two
//! connectors whose names come to the same cannot run in one folder, and the second is told so
//! (specification 12, item 9). What is kept lies in a folder whose name leaves nothing out. Absent
//! on purpose: JSON, and defaults of the original.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use log::LevelFilter;

use crate::client::aio::folders;
use crate::client::aio::setup::Plan;
use crate::client::aio::{Builder, Client, Error, Security, Text};
use crate::proto::aio::Name;
use crate::proto::aio::errand::{Errand, Ran};
use crate::proto::aio::shelf::Kept;

use super::chest::{Chest, Failures};
use super::lists::Lists;

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

/// Who looks names of clients up and gives them out, for a server.
pub trait Names: Send + Sync + std::fmt::Debug {
    /// Do that.
    fn run(&self, errand: Errand) -> Ran;
    /// What was given to this client opens nothing any more. `link_only`: but it stays where it is.
    fn forget(&self, name: &Name, link_only: bool) -> Result<(), String>;
}

/// What a server has, and a client has not.
#[derive(Clone, Debug)]
pub struct Serving {
    /// The folder in which `certificates/server` is: what it shows under TLS.
    pub certificates: PathBuf,
    /// Who knows the clients' certificates and tokens, where they show any.
    pub names: Option<Arc<dyn Names>>,
    /// Publications of clients are told to those who want them.
    pub central_broker: bool,
    /// Whom it lets in.
    pub lists: Lists,
    /// Clients that are there, or for whom something is kept.
    pub clients_max: usize,
    /// A client that is silent for so long is asked whether it is there, and let go if it is silent
    /// for as long again.
    pub silence: Duration,
    /// One that takes nothing of what is said to it for so long is let go.
    pub stuck: Duration,
    /// Has the system acknowledge what comes at once, if anything does.
    pub prompt: Option<fn(BorrowedFd<'_>)>,
}

impl Serving {
    /// One that does what the original does by default.
    #[must_use]
    pub fn new(certificates: &Path) -> Self {
        Self {
            certificates: certificates.to_owned(),
            names: None,
            central_broker: false,
            lists: Lists::default(),
            clients_max: 1_024,
            silence: Duration::from_secs(15),
            stuck: Duration::from_secs(50),
            prompt: None,
        }
    }
}

/// What a connector is described as.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where the server is, or is to be: `HOST:PORT`.
    pub server: String,
    /// Its own name; nobody calls a server by it.
    pub name: String,
    /// How it shows who it is, or how its clients do.
    pub security: Security,
    /// It is the server.
    pub serves: Option<Serving>,
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
            serves: None,
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

    /// A connector that is the server at this address.
    #[must_use]
    pub fn server(address: &str, directory: &Path, serving: Serving) -> Self {
        Self { serves: Some(serving), ..Self::new(address, "server", directory) }
    }

    /// What the server is called, by itself and by others.
    pub(super) fn server_text(&self) -> Result<Text, Error> {
        Client::builder(&self.server, "server").server_text()
    }

    /// The end of a connection with this client.
    pub(super) fn plan_for(&self, client: &Name, me: &Text, fresh: bool) -> Result<Plan, Error> {
        let mut builder = self.builder_of(client.as_str());
        for (kind, folder) in &self.folders {
            builder = builder.folder(kind, own_folder(folder, client, fresh)?);
        }
        let mut plan = builder.plan()?;
        plan.me = me.clone();
        plan.server = client.as_str().into();
        plan.guest = Some(client.clone());
        plan.again = None;
        plan.line = LINE_MAX;
        if let Some(serving) = &self.serves {
            (plan.keep_alive, plan.stuck) = (Some(serving.silence), serving.stuck);
        }
        Ok(plan)
    }

    /// The client that the connector is to the server.
    pub(super) fn builder(&self) -> Builder {
        let folders = self.folders.iter();
        folders.fold(self.builder_of(&self.name), |builder, (kind, folder)| {
            builder.folder(kind, folder)
        })
    }

    fn builder_of(&self, name: &str) -> Builder {
        Client::builder(&self.server, name)
            .security(self.security.clone())
            .reconnect(Some(self.again))
            .dial_timeout(self.dial)
            .keep_alive(self.keep_alive)
            .frame_max(self.message_max)
            .attach(self.file_max)
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if self.serves.is_some() {
            self.server_text()?;
        }
        let braces =
            |folder: &Path| self.plain_part(folder).as_os_str().as_encoded_bytes().contains(&b'{');
        if self.folders.iter().any(|(_, folder)| braces(folder)) {
            return Err(Error::Setting(
                "a folder for files that is named by more than {source_id}",
            ));
        }
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
        let (side, own) = (self.side(), self.socket_name());
        self.directory.join(format!("uds_path_send_to_connector_{side}_{own}"))
    }

    /// The socket at which applications wait for messages of this type.
    #[must_use]
    pub fn receiver(&self, kind: &str) -> PathBuf {
        let (side, own) = (self.side(), self.socket_name());
        self.directory.join(format!("uds_path_receive_from_connector_{side}_{kind}_{own}"))
    }

    /// The socket for commands.
    #[must_use]
    pub fn commander(&self) -> PathBuf {
        self.directory.join(format!("uds_path_commander_{}", self.socket_name()))
    }

    /// The folder of what is kept for whoever that is.
    pub(super) fn chest(&self, whose: &str) -> PathBuf {
        self.chests().join(spelled(whose))
    }

    /// What is kept for whoever that is.
    pub(super) fn open_chest(&self, whose: &str, failures: &Failures) -> Result<Chest, Error> {
        let dir = self.chest(whose);
        Chest::open(&dir, self.kept_max, failures).map_err(|e| Error::file(&dir, e))
    }

    /// The folder of those.
    pub(super) fn chests(&self) -> PathBuf {
        // No client's name has such a sign.
        let own = match self.serves {
            Some(_) => format!("spindle_kept_server={}", spelled(&self.server)),
            None => format!("spindle_kept_{}", spelled(&self.name)),
        };
        self.directory.join(own)
    }

    fn side(&self) -> &'static str {
        if self.serves.is_some() { "server" } else { "client" }
    }

    /// What there is of a path for files before a client's name is put into it.
    fn plain_part(&self, folder: &Path) -> PathBuf {
        match (&self.serves, folder.to_str()) {
            (Some(_), Some(text)) => text.replace(SOURCE, "").into(),
            _ => folder.to_owned(),
        }
    }

    fn short_name(&self) -> String {
        let letters = |text: &str| -> String {
            text.chars().filter(|letter| letter.is_alphanumeric()).collect()
        };
        match &self.serves {
            None => letters(&self.name),
            // As the original writes the pair, and takes it apart.
            Some(_) => {
                let text = self.server_text().unwrap_or_else(|_| "".into());
                let parts: Vec<String> = text.as_str().split_whitespace().map(letters).collect();
                parts.join("_")
            }
        }
    }

    fn socket_name(&self) -> String {
        let short = self.short_name();
        if short.chars().count() > SHORT_MAX { super::md5::hex(short.as_bytes()) } else { short }
    }
}

/// The folder for files of this client's; a name is letters, digits and three signs.
fn own_folder(folder: &Path, client: &Name, fresh: bool) -> Result<PathBuf, Error> {
    let Some(text) = folder.to_str().filter(|text| text.contains(SOURCE)) else {
        return Ok(folder.to_owned());
    };
    let own = PathBuf::from(text.replace(SOURCE, client.as_str()));
    folders::make(&own).map_err(|e| Error::file(&own, e))?;
    // Else a part that is waited for lies there, whatever the clock says of it.
    if fresh {
        folders::sweep(&own);
    }
    Ok(own)
}

/// Whose folder of what is kept is called so.
pub(super) fn unspelled(name: &str) -> Option<String> {
    let mut text = String::new();
    let mut rest = name.bytes();
    while let Some(byte) = rest.next() {
        text.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                char::from(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?)
            }
            other => char::from(other),
        });
    }
    (spelled(&text) == name).then_some(text)
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

/// In the path of a folder for files: the name of who sends them.
const SOURCE: &str = "{source_id}";
/// Bytes that may wait for a client: what finds no room there is dropped in the end.
const LINE_MAX: usize = 32 << 20;
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
    fn sockets_of_a_server_are_called_by_its_address() {
        let server = |address: &str| {
            Setup::server(address, Path::new("/run"), Serving::new(Path::new("/run")))
        };
        let it = server("127.0.0.1:10673");
        assert!(it.check().is_ok());
        assert_eq!(it.server_text().expect("good"), "('127.0.0.1', 10673)".into());
        let sender = Path::new("/run/uds_path_send_to_connector_server_127001_10673");
        assert_eq!(it.sender(), sender);
        let receiver = "/run/uds_path_receive_from_connector_server_any_127001_10673";
        assert_eq!(it.receiver("any"), Path::new(receiver));
        assert_eq!(it.commander(), Path::new("/run/uds_path_commander_127001_10673"));
        let name = |text: &str| text.to_owned();
        assert_ne!(server("localhost:1").chest("a"), setup("server=localhost:1").chest("a"));
        assert!(unspelled("a%3ab") == Some(name("a:b")) && unspelled("a:b").is_none());
        assert!(server("nonsense").check().is_err());
    }

    #[test]
    fn a_folder_for_files_may_be_named_by_who_sends_them_at_a_server() {
        let at = |folder: &str| vec![("any".to_owned(), PathBuf::from(folder))];
        let serving = || Some(Serving::new(Path::new("/run")));
        let server = |folder: &str| Setup {
            serves: serving(),
            folders: at(folder),
            ..Setup::new("127.0.0.1:1", "me", Path::new("/run"))
        };
        assert!(server("/files/{source_id}/x").check().is_ok());
        assert!(server("/files/{message_type}").check().is_err());
        assert!(Setup { folders: at("/files/{source_id}"), ..setup("a") }.check().is_err());
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
