//! Floor 6. `spindle aio`: a named connector of aioconnectors on the command line.
//!
//! The flags that say where the server is and who asks are the same for all verbs that connect;
//! what no flag says, a configuration of the original may say. Exit codes are those of the other
//! clients. A connector that serves other programs is `spindle connector`. Absent on purpose:
//! servers for many, since the broker is one.

mod certificates;
mod chat;
mod config;
mod connector;
mod drills;
mod menu;
mod orders;
mod ping;
mod print;
mod receive;
mod replace;
mod send;
mod server;
mod templates;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::client::aio::{Builder, Client, Error, Security};
use crate::os::signal::{Signal, Signals};

use super::exit;
use super::link::complain;
use config::Config;
pub(super) use connector::Connector;

/// What can be done.
#[derive(Subcommand, Debug)]
pub(super) enum Verb {
    /// Send a message, perhaps with a file, and wait for what is wanted of it
    Send(Box<send::Send>),
    /// Print the messages that arrive, and keep the files that come with them
    Receive(receive::Receive),
    /// Ping the server every two seconds
    Ping(ping::Ping),
    /// Send test messages every two seconds, one of each type
    TestSendMessages(drills::SendMessages),
    /// Print test messages, and all others
    TestReceiveMessages(drills::ReceiveMessages),
    /// Publish test messages every two seconds, one of each type
    TestPublishMessages(drills::PublishMessages),
    /// Talk to somebody: call a chat, of this program or of the original, or wait for a call
    Chat(Box<chat::Chat>),
    /// Run a connector for other programs, as `spindle connector`
    CreateConnector(Connector),
    /// Ask a running connector who is connected to it
    Peers(orders::Peers),
    /// Ask a running connector how much waits for whom
    PeekQueues(orders::PeekQueues),
    /// Ask or tell a running connector whose messages it passes over
    IgnorePeerTraffic(orders::IgnorePeerTraffic),
    /// Let a running connector throw its certificate away, or its server that of a client
    DeleteClientCertificate(orders::DeleteClientCertificate),
    /// Let a running connector hang up and dial again
    RestartConnector(orders::RestartConnector),
    /// Let a running connector end
    StopConnector(orders::StopConnector),
    /// Give orders to running connectors from a menu
    Cli(menu::Menu),
    /// Make the certificates of a server and the default one of its clients
    CreateCertificates(certificates::CreateCertificates),
    /// Give a server another certificate, or back the one it had first
    ReplaceServerCertificate(replace::ReplaceServerCertificate),
    /// Print configurations to begin with
    PrintConfigTemplates(templates::Templates),
}

/// Where the server is, and who we are.
#[derive(Args, Clone, Debug)]
pub(super) struct Link {
    /// HOST:PORT, or unix:/path [default: 127.0.0.1:10673]
    #[arg(short = 'L', long, value_name = "ADDRESS", global = true, env = "SPINDLE_AIO_SERVER")]
    server: Option<String>,
    /// Our name [default: eight digits by chance]
    #[arg(short, long, value_name = "NAME", global = true, env = "SPINDLE_AIO_NAME")]
    name: Option<String>,
    /// Speak TLS that checks nobody: whoever is in between reads along
    #[arg(long, global = true, conflicts_with_all = ["certificates", "tokens"])]
    allow_all: bool,
    /// Speak TLS with the certificates in DIR/certificates/client; without one of its own, a client
    /// asks for it and keeps it there
    #[arg(long, value_name = "DIR", global = true)]
    certificates: Option<PathBuf>,
    /// Show a token, kept in this folder in a file that is called as the client; without one, ask
    /// for it
    #[arg(long, value_name = "DIR", global = true)]
    tokens: Option<PathBuf>,
    /// Do as this configuration of a client of aioconnectors says, where no flag says otherwise
    #[arg(long = "like", value_name = "FILE", global = true)]
    like: Option<PathBuf>,
    /// Seconds of silence before a sign of life is asked for; 0: never
    #[arg(short, long, value_name = "SECONDS", global = true)]
    keepalive: Option<u64>,
    /// Milliseconds that the server may take to answer
    #[arg(long, value_name = "MS", global = true, default_value_t = 5_000)]
    patience: u64,
    /// A document for each message or answer
    #[arg(long, global = true)]
    json: bool,
    /// Print no complaints
    #[arg(long, global = true)]
    quiet: bool,
}

impl Verb {
    pub(super) fn run(&self, link: &Link) -> u8 {
        match self {
            Self::Send(it) => it.run(link),
            Self::Receive(it) => it.run(link),
            Self::Ping(it) => it.run(link),
            Self::TestSendMessages(it) => it.run(link),
            Self::TestReceiveMessages(it) => it.run(link),
            Self::TestPublishMessages(it) => it.run(link),
            Self::Chat(it) => it.run(link),
            Self::CreateConnector(it) => it.run(),
            Self::Peers(it) => it.run(link),
            Self::PeekQueues(it) => it.run(link),
            Self::IgnorePeerTraffic(it) => it.run(link),
            Self::DeleteClientCertificate(it) => it.run(link),
            Self::RestartConnector(it) => it.run(link),
            Self::StopConnector(it) => it.run(link),
            Self::Cli(it) => it.run(link),
            Self::CreateCertificates(it) => it.run(link),
            Self::ReplaceServerCertificate(it) => it.run(link),
            Self::PrintConfigTemplates(it) => it.run(link),
        }
    }
}

impl Link {
    /// What the configuration says; that of the verb goes before that of the flag.
    fn config(&self, own: Option<&PathBuf>) -> Result<Config, u8> {
        match own.or(self.like.as_ref()) {
            None => Ok(Config::default()),
            Some(path) => Config::read(path).map_err(|why| self.wrong(&why)),
        }
    }

    /// The same, of a server too.
    fn any_config(&self, own: Option<&PathBuf>) -> Result<Config, u8> {
        match own.or(self.like.as_ref()) {
            None => Ok(Config::default()),
            Some(path) => Config::read_any(path).map_err(|why| self.wrong(&why)),
        }
    }

    /// What flags and configuration come to.
    fn builder(&self, config: &Config) -> Builder {
        let server = self.server.clone().or_else(|| config.server.clone());
        let server = server.unwrap_or_else(|| config::USUAL.to_owned());
        let name = self.name.clone().or_else(|| config.name.clone()).unwrap_or_else(by_chance);
        let builder = Client::builder(server, name)
            .security(self.security(config))
            .dial_timeout(DIAL)
            .timeout(self.patience())
            .reconnect(Some(AGAIN));
        let builder = match self.keepalive.or(config.keep_alive) {
            Some(seconds) => builder.keep_alive(Some(Duration::from_secs(seconds))),
            None => builder,
        };
        config.topics.iter().fold(builder, |builder, topic| builder.subscribe(topic))
    }

    fn security(&self, config: &Config) -> Security {
        match (&self.tokens, &self.certificates, self.allow_all) {
            (Some(tokens), certificates, _) => {
                Security::Token { tokens: tokens.clone(), certificates: certificates.clone() }
            }
            (None, Some(dir), _) => Security::Certificates(dir.clone()),
            (None, None, true) => Security::AllowAll,
            (None, None, false) => config.security.clone(),
        }
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(self.patience)
    }

    /// A connection, or the code to end with.
    fn connect(&self, builder: &Builder) -> Result<Client, u8> {
        let lost = |code| if code == exit::LOST { exit::CLIENT } else { code };
        builder.connect().map_err(|error| lost(self.failed(&error)))
    }

    fn complain(&self, text: &str) {
        if !self.quiet {
            complain(text);
        }
    }

    /// The command line is wrong.
    fn wrong(&self, why: &str) -> u8 {
        self.complain(&format!("Error: {why}"));
        exit::CLIENT
    }

    /// Something went wrong: say it, and the code for it.
    fn failed(&self, error: &Error) -> u8 {
        self.complain(&format!("Error: {error}"));
        code(error)
    }
}

fn code(error: &Error) -> u8 {
    match error {
        Error::TimedOut => exit::TIMED_OUT,
        Error::Lookup(_)
        | Error::Dial(_)
        | Error::Refused(_)
        | Error::Setting(_)
        | Error::File(_) => exit::CLIENT,
        Error::Tls(_) => exit::TLS,
        Error::Protocol(_) => exit::PROTOCOL,
        Error::Lost | Error::Io(_) | Error::Silent | Error::Left | Error::Unkept => exit::LOST,
        Error::Full | Error::TooLarge | Error::Open => exit::REFUSED,
    }
}

/// Signals, and a pause between them.
struct Pace {
    signals: Option<Signals>,
}

impl Pace {
    /// Before the first thread; without signals the usual effect is as good.
    fn begin() -> Self {
        Self { signals: Signals::catch().ok() }
    }

    /// Somebody wants it to end.
    fn is_over(&mut self) -> bool {
        self.signals.as_mut().and_then(Signals::take) == Some(Signal::Stop)
    }

    /// Wait so long; false: it is to end.
    fn pause(&mut self, most: Duration) -> bool {
        let mut left = most;
        while !left.is_zero() {
            if self.is_over() {
                return false;
            }
            let step = left.min(STEP);
            std::thread::sleep(step);
            left -= step;
        }
        !self.is_over()
    }
}

/// As the original calls a client that has no name.
fn by_chance() -> String {
    let mut bytes = [0; 4];
    // A machine without entropy has processes all the same.
    if getrandom::fill(&mut bytes).is_err() {
        bytes = std::process::id().to_be_bytes();
    }
    format!("{:08x}", u32::from_be_bytes(bytes))
}

/// For dialling and being let in.
const DIAL: Duration = Duration::from_secs(10);
/// A connection that is lost is dialled again after this.
const AGAIN: Duration = Duration::from_secs(1);
/// How often a signal is looked for.
const STEP: Duration = Duration::from_millis(100);
