//! Floor 6. `spindle certs`: an issuer of one's own, certificates from it, and a look into others.
//!
//! An issuer lives in a folder: `ca.pem`, `ca.key`, and `crl.pem` with what it has revoked, which
//! is there from the first day, so that revoking never changes a configuration. Whatever is made
//! says what to do with it. Absent on purpose: issuers between the root and a peer, requests for
//! signatures, and asking anybody over a network.

mod connector;
mod issue;
#[cfg(feature = "tls")]
mod key;
mod make;
#[cfg(all(test, feature = "tls"))]
mod make_test;
#[cfg(not(feature = "tls"))]
mod no_key;
mod pem;
mod read;
mod revoke;
mod show;

#[cfg(not(feature = "tls"))]
use no_key as key;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ctl::object;
use super::json::Value;
use super::{FAILED, USAGE, complain, say};

pub(in crate::cli) use connector::{SelfSigned, by_chance, self_signed};

/// Where an issuer is, and how to answer.
#[derive(Args, Clone, Debug)]
pub(super) struct Where {
    /// The folder of the issuer and of what it issues
    #[arg(long, global = true, value_name = "DIR", default_value = "spindle-certs")]
    #[arg(env = "SPINDLE_CERTS")]
    dir: PathBuf,
    /// Another issuer's certificate than ca.pem in that folder
    #[arg(long, global = true, value_name = "FILE", requires = "ca_key")]
    ca: Option<PathBuf>,
    /// Its private key
    #[arg(long, global = true, value_name = "FILE", requires = "ca")]
    ca_key: Option<PathBuf>,
    /// Replace files that are there already
    #[arg(long, global = true)]
    force: bool,
    /// Answers as JSON
    #[arg(long, global = true)]
    json: bool,
}

/// What can be done with certificates.
#[derive(Subcommand, Debug)]
pub(super) enum Verb {
    /// Make an issuer: ca.pem, ca.key, and a list of revoked certificates without any, crl.pem
    Ca {
        /// What it is called [default: the machine's name and four digits]
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Valid for so many days
        #[arg(long, value_name = "DAYS", default_value_t = 3_650)]
        days: u32,
    },
    /// Issue a broker's certificate; localhost, 127.0.0.1, ::1 and this machine's name are in it
    Server {
        /// A name by which clients find the broker as well; may be repeated
        #[arg(long, value_name = "HOST")]
        name: Vec<String>,
        /// An address by which they do; may be repeated
        #[arg(long, value_name = "ADDRESS")]
        ip: Vec<IpAddr>,
        /// Valid for so many days
        #[arg(long, value_name = "DAYS", default_value_t = DAYS)]
        days: u32,
        /// Call the files OUT.pem and OUT.key
        #[arg(long, value_name = "OUT", default_value = "server")]
        out: String,
    },
    /// Issue a client's certificate
    Client {
        /// The user's name
        name: String,
        /// Valid for so many days
        #[arg(long, value_name = "DAYS", default_value_t = DAYS)]
        days: u32,
        /// Call the files OUT.pem and OUT.key [default: the user's name]
        #[arg(long, value_name = "OUT")]
        out: Option<String>,
    },
    /// Issue a certificate again, with another end; ca.pem too
    Renew {
        /// The certificate; the new one takes its place
        file: PathBuf,
        /// With a new private key, in the file of the same name that ends in .key
        #[arg(long)]
        new_key: bool,
        /// Valid for so many days [default: 825; an issuer's 3650]
        #[arg(long, value_name = "DAYS")]
        days: Option<u32>,
    },
    /// Put certificates on the list of revoked ones, crl.pem
    Revoke {
        /// The certificates
        #[arg(required_unless_present = "serial")]
        files: Vec<PathBuf>,
        /// A certificate that is lost, by its serial number (`spindle certs show`); may be repeated
        #[arg(long, value_name = "HEX")]
        serial: Vec<String>,
    },
    /// Write the list of revoked certificates anew, and print who is on it
    Crl {
        /// Valid for so many days [default: as long as the issuer]
        #[arg(long, value_name = "DAYS")]
        days: Option<u32>,
    },
    /// Print what is in a file: certificates, or a list of revoked ones (PEM)
    Show { file: PathBuf },
}

/// Why nothing was done, and the exit code.
#[derive(Debug)]
struct No(String, u8);

impl No {
    /// What was asked for is wrong.
    fn usage(text: String) -> Self {
        Self(text, USAGE)
    }
}

impl From<String> for No {
    fn from(text: String) -> Self {
        Self(text, FAILED)
    }
}

impl From<&str> for No {
    fn from(text: &str) -> Self {
        Self(text.to_owned(), FAILED)
    }
}

/// What was done: for people, and for programs.
struct Done {
    text: String,
    rows: Vec<(&'static str, Value)>,
}

impl Verb {
    pub(super) fn run(self, place: &Where) -> u8 {
        let done = match self {
            Self::Ca { name, days } => issue::ca(place, name, days),
            Self::Server { name, ip, days, out } => issue::server(place, &name, &ip, days, &out),
            Self::Client { name, days, out } => issue::client(place, &name, days, out),
            Self::Renew { file, new_key, days } => issue::renew(place, &file, new_key, days),
            Self::Revoke { files, serial } => revoke::revoke(place, &files, &serial),
            Self::Crl { days } => revoke::crl(place, days),
            Self::Show { file } => show::show(&file),
        };
        match done {
            Ok(Done { rows, .. }) if place.json => {
                say(&String::from_utf8_lossy(&object(rows).print(false)))
            }
            Ok(Done { text, .. }) => say(&text),
            Err(No(why, code)) => complain(&why, code),
        }
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.as_bytes().to_vec())
}

fn texts<'a>(all: impl IntoIterator<Item = &'a String>) -> Value {
    Value::List(all.into_iter().map(|one| text(one)).collect())
}

/// What Apple's clients still take; others take more.
const DAYS: u32 = 825;
