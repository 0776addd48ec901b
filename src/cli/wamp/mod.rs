//! Floor 6. `spindle wamp`: publish and subscribe, call and be called, ask a router about itself.
//!
//! The flags that say where the router is and who asks are the same for all five. Exit codes are
//! those of the other clients. Absent on purpose: contexts, whose URLs are of brokers of MQTT, and
//! files of many calls: the shell repeats.

mod call;
mod command;
mod meta;
mod publish;
mod register;
mod sub;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::client::wamp::{Builder, Client, Error, Form, Tls};

use super::exit;
use super::link::complain;

/// What can be done.
#[derive(Subcommand, Debug)]
pub(super) enum Verb {
    /// Subscribe, and print the events that arrive
    Sub(sub::Sub),
    /// Publish an event
    Pub(Box<publish::Pub>),
    /// Call a procedure, and print its result
    Call(call::Call),
    /// Offer a procedure, and answer its calls
    Register(register::Register),
    /// Ask the router about sessions, registrations and subscriptions
    Meta(meta::Meta),
}

/// Where the router is, and who we are.
#[derive(Args, Clone, Debug)]
pub(super) struct Link {
    /// ws://user:password@host:port/path, wss://; rs:// (or tcp://), rss:// (or tcps://) for a
    /// RawSocket, unix:/path for one at a Unix socket
    #[arg(short = 'L', long, value_name = "URL", global = true, env = "SPINDLE_WAMP_URL")]
    #[arg(hide_env_values = true, default_value = "ws://localhost:8080/ws")]
    url: String,
    /// The realm
    #[arg(short, long, value_name = "URI", global = true, env = "SPINDLE_WAMP_REALM")]
    #[arg(default_value = "default")]
    realm: String,
    /// User name (authid)
    #[arg(short, long, value_name = "NAME", global = true, env = "SPINDLE_USER")]
    user: Option<String>,
    /// Password, secret or ticket; better in SPINDLE_PASSWORD, since everybody here can read a
    /// command line
    #[arg(short = 'P', long, value_name = "PASSWORD", global = true, env = "SPINDLE_PASSWORD")]
    #[arg(hide_env_values = true, allow_hyphen_values = true)]
    password: Option<String>,
    /// How to prove it, the dearest first. A ticket is sent as it is: name the others alone where
    /// nobody may read it
    #[arg(long, value_name = "METHODS", global = true, value_delimiter = ',')]
    #[arg(default_value = "wamp-scram,wampcra,ticket")]
    auth: Vec<Method>,
    /// Log in by the Ed25519 key whose seed stands in this file, as 64 hex digits (cryptosign)
    #[arg(long, value_name = "FILE", global = true)]
    key: Option<PathBuf>,
    /// How messages are written
    #[arg(long, value_name = "FORM", global = true, default_value = "auto")]
    serializer: Serializer,
    /// Prefer the batched forms of WebSocket
    #[arg(long, global = true)]
    batched: bool,
    /// Seconds of silence before a sign of life is asked for; 0: never [default: 30, and 0 on a
    /// RawSocket]
    #[arg(short, long, value_name = "SECONDS", global = true)]
    keepalive: Option<u64>,
    /// Milliseconds that the router may take to answer
    #[arg(long, value_name = "MS", global = true, default_value_t = 5_000)]
    patience: u64,
    /// Trust the issuers in this file (PEM)
    #[arg(long, value_name = "FILE", global = true, env = "SPINDLE_CA")]
    cafile: Option<PathBuf>,
    /// Our certificate (PEM)
    #[arg(long, value_name = "FILE", global = true, requires = "cert_key")]
    cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", global = true, requires = "cert")]
    cert_key: Option<PathBuf>,
    /// Do not compare the router's name with its certificate
    #[arg(long, global = true)]
    insecure: bool,
    /// A document for each event, result or answer
    #[arg(long, global = true)]
    json: bool,
    /// Print no complaints
    #[arg(long, global = true)]
    quiet: bool,
}

/// How to prove who one is.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Method {
    /// WAMP-SCRAM
    WampScram,
    /// WAMP-CRA, salted or not
    Wampcra,
    /// As it is
    Ticket,
}

/// How messages are written.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Serializer {
    Auto,
    Json,
    Msgpack,
    Cbor,
}

impl Verb {
    pub(super) fn run(&self, link: &Link) -> u8 {
        match self {
            Self::Sub(it) => it.run(link),
            Self::Pub(it) => it.run(link),
            Self::Call(it) => it.run(link),
            Self::Register(it) => it.run(link),
            Self::Meta(it) => it.run(link),
        }
    }
}

impl Link {
    /// What the flags come to.
    fn builder(&self) -> Result<Builder, String> {
        let mut builder = Client::builder(&self.url, &self.realm)
            .batched(self.batched)
            .dial_timeout(DIAL)
            .timeout(Duration::from_millis(self.patience))
            .tls(Tls {
                ca_file: self.cafile.clone(),
                certificate: self.cert.clone(),
                key: self.cert_key.clone(),
                any_name: self.insecure,
                ..Tls::default()
            });
        let form = match self.serializer {
            Serializer::Auto => None,
            Serializer::Json => Some(Form::Json),
            Serializer::Msgpack => Some(Form::MsgPack),
            Serializer::Cbor => Some(Form::Cbor),
        };
        if let Some(form) = form {
            builder = builder.form(form);
        }
        if let Some(seconds) = self.keepalive {
            builder = builder.keep_alive(Duration::from_secs(seconds));
        }
        if let Some(user) = &self.user {
            builder = builder.user(user);
        }
        if let Some(file) = &self.key {
            builder = by_key(builder, file)?;
        }
        if let Some(password) = self.password.clone().or_else(|| builder.password_in_url()) {
            for method in &self.auth {
                builder = match method {
                    Method::WampScram => builder.scram(&password),
                    Method::Wampcra => builder.wampcra(&password),
                    Method::Ticket => builder.ticket(&password),
                };
            }
        }
        Ok(builder)
    }

    /// The router behind the flags, or the code to end with.
    fn connect(&self) -> Result<Client, u8> {
        let builder = self.builder().map_err(|why| self.wrong(&why))?;
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

#[cfg(feature = "tls")]
fn by_key(builder: Builder, file: &std::path::Path) -> Result<Builder, String> {
    let seed = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    Ok(builder.cryptosign(&seed))
}

#[cfg(not(feature = "tls"))]
fn by_key(_: Builder, _: &std::path::Path) -> Result<Builder, String> {
    Err("this program was built without TLS, and so without signatures".to_owned())
}

fn code(error: &Error) -> u8 {
    match error {
        Error::TimedOut => exit::TIMED_OUT,
        Error::Failed(failure) if failure.uri == "wamp.error.timeout" => exit::TIMED_OUT,
        Error::Lookup(_)
        | Error::Dial(_)
        | Error::WebSocket(_)
        | Error::RawSocket(_)
        | Error::Refused { .. }
        | Error::Proof(_)
        | Error::Setting(_) => exit::CLIENT,
        Error::Tls(_) => exit::TLS,
        Error::Protocol(_) => exit::PROTOCOL,
        Error::Closed { .. } | Error::Lost | Error::Io(_) | Error::Silent | Error::Left => {
            exit::LOST
        }
        Error::Full
        | Error::TooLarge
        | Error::Value(_)
        | Error::Failed(_)
        | Error::Revoked(_)
        | Error::Unwanted => exit::REFUSED,
    }
}

/// The connection is gone and another may be had.
fn is_lost(error: &Error) -> bool {
    match error {
        Error::Lost | Error::Io(_) | Error::Silent => true,
        Error::Closed { reason, .. } => {
            matches!(reason.as_str(), "wamp.close.system_shutdown" | "wamp.close.close_realm")
        }
        _ => false,
    }
}

/// Nobody is there yet.
fn is_away(error: &Error) -> bool {
    matches!(error, Error::Dial(_) | Error::Lookup(_) | Error::TimedOut) || is_lost(error)
}

/// For dialling and logging in.
const DIAL: Duration = Duration::from_secs(10);
