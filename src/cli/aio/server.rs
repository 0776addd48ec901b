//! Floor 6. What a configuration of the original says of a server, and what it looks names up in.
//!
//! Lists of names hold patterns, and are read before anything is listened to, so that one which
//! nobody here understands lets nobody in by mistake. Absent on purpose: what clients and servers
//! are told alike (`config`).

use std::path::PathBuf;

use crate::client::aio::Security;
use crate::client::aio::connector::{Errand, List, Lists, Name, Names, Pattern, Ran};
use crate::os::clerk::Register;
use crate::proto::aio::errand::{Desk, Enrol};
use crate::value::Value;

use super::config::{default_dir, texts};

/// What a server is told.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Server {
    /// Where the certificates are.
    pub(super) certificates: PathBuf,
    pub(super) central_broker: bool,
    pub(super) lists: Lists,
}

impl Server {
    pub(super) fn of(value: &Value) -> Result<Self, String> {
        let truth = |key: &str| match value.get(key) {
            None | Some(Value::Null) => Ok(false),
            Some(found) => {
                found.as_bool().ok_or_else(|| format!("{key} is neither true nor false"))
            }
        };
        let dir = match value.get("certificates_directory_path") {
            None | Some(Value::Null) => default_dir(),
            Some(found) => found.as_text().ok_or("certificates_directory_path is no text")?.into(),
        };
        let lists = Lists { white: list(value, "white")?, black: list(value, "black")? };
        Ok(Self { certificates: dir, central_broker: truth("pubsub_central_broker")?, lists })
    }
}

fn list(value: &Value, colour: &str) -> Result<List, String> {
    let key = |what: &str| format!("{colour}listed_clients_{what}");
    let names = texts(value, &key("id"))?;
    let names = names.iter().map(|name| Pattern::new(name).map_err(|why| why.to_string()));
    let blocks = |what: &str| {
        let all = texts(value, &key(what))?;
        let wrong = |text: &str| format!("{}: {text:?} is no address", key(what));
        all.iter().map(|text| text.parse().map_err(|_| wrong(text))).collect::<Result<_, _>>()
    };
    Ok(List {
        names: names.collect::<Result<_, _>>()?,
        addresses: blocks("ip")?,
        blocks: blocks("subnet")?,
    })
}

/// Clients' certificates and tokens, in their folders.
#[derive(Debug)]
pub(super) struct Kept(Register);

impl Kept {
    /// Those that are shown here, if any are; `enrol`: who is given one.
    pub(super) fn of(security: &Security, enrol: Enrol) -> Option<Self> {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let desk = match security {
            Security::Certificates(at) => Desk { certificates: Some(text(at)), ..Desk::default() },
            Security::Token { tokens, certificates } => Desk {
                certificates: certificates.as_ref().map(text),
                tokens: Some(text(&tokens.join("server_tokens.json"))),
                ..Desk::default()
            },
            _ => return None,
        };
        Some(Self(Register::new(Desk { enrol, ..desk })))
    }
}

impl Names for Kept {
    fn run(&self, errand: Errand) -> Ran {
        self.0.run(errand)
    }

    fn forget(&self, name: &Name, link_only: bool) -> Result<(), String> {
        self.0.forget(name, link_only)
    }
}

/// `nobody`, `anyone`, or a file of names.
pub(super) fn enrol(text: &str) -> Result<Enrol, String> {
    match text {
        "nobody" => Ok(Enrol::Nobody),
        "anyone" => Ok(Enrol::Anyone),
        file if file.starts_with('/') => Ok(Enrol::Listed(file.to_owned())),
        _ => Err("it is nobody, anyone, or the whole path of a file".to_owned()),
    }
}
