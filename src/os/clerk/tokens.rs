//! Floor 5. The tokens of connectors: a file of JSON, names and what SHA-256 makes of their tokens.
//!
//! It is the file of the original (`server_tokens.json`). It must be nobody else's to read, and is
//! read each time, so that a token which is deleted there opens nothing from then on. A name has
//! one token, and who has one is given no other. Absent on purpose: the tokens themselves.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::base::hex;
use crate::proto::aio::Name;
use crate::proto::aio::errand::Ran;
use crate::proto::aio::inner::Hidden;
use crate::value::{Bounds, Form, Value, Walk, Writer};

/// As many as the original takes.
const TOKENS_MAX: usize = 10_000;
/// Longer than so many can be.
const FILE_MAX: u64 = 8 << 20;
const WALK: Bounds = Bounds { depth: 2, items: 4 * TOKENS_MAX as u32 };
/// Bytes of a token.
const TOKEN: usize = 32;

/// A token for a client that has none.
pub(super) fn give(path: &Path, name: &Name) -> Result<Ran, String> {
    let mut all = read(path)?;
    if find(&all, name).is_some() {
        return Err("it has one already".into());
    }
    if all.len() >= TOKENS_MAX {
        return Err(format!("there are {TOKENS_MAX} already"));
    }
    let mut bytes = [0; TOKEN];
    getrandom::fill(&mut bytes).map_err(|e| format!("no randomness: {e}"))?;
    let token = hex::encode(&bytes);
    all.push((name.as_str().to_owned(), Value::Text(digest(&token))));
    write(path, all)?;
    Ok(Ran::Given(token.as_str().into()))
}

/// A client's opens nothing any more.
pub(super) fn forget(path: &Path, name: &Name) -> Result<(), String> {
    let mut all = read(path)?;
    let before = all.len();
    all.retain(|(own, _)| own != name.as_str());
    if all.len() == before {
        return Err("it has none".into());
    }
    write(path, all)
}

fn write(path: &Path, all: Vec<(String, Value)>) -> Result<(), String> {
    let mut out = Vec::new();
    Value::Map(all).write(&mut Writer::new(Form::Json, &mut out));
    super::replace(path, &out, 0o600).map_err(|e| format!("{}: {e}", path.display()))
}

/// Is that the client's?
pub(super) fn compare(path: &Path, name: &Name, token: &Hidden) -> Result<Ran, String> {
    let all = read(path)?;
    // What is compared is digests: how far they are alike tells nothing of a token.
    let right = find(&all, name).is_some_and(|own| own == digest(token.reveal()));
    Ok(if right { Ran::Right } else { Ran::Not("another token") })
}

fn find<'a>(all: &'a [(String, Value)], name: &Name) -> Option<&'a str> {
    all.iter().find(|(own, _)| own == name.as_str())?.1.as_text()
}

fn digest(token: &str) -> String {
    hex::encode(&Sha256::digest(token.as_bytes()))
}

fn read(path: &Path) -> Result<Vec<(String, Value)>, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let found = match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|e| wrong(&e))?,
    };
    if found.mode() & 0o077 != 0 {
        return Err(wrong(&"others may read it or write to it: chmod 600"));
    }
    if found.len() > FILE_MAX {
        return Err(wrong(&"it is too long"));
    }
    let text = fs::read(path).map_err(|e| wrong(&e))?;
    let mut walk = Walk::new(Form::Json, &text, WALK);
    match Value::read(&mut walk) {
        Ok(Value::Map(all)) => Ok(all),
        _ => Err(wrong(&"it is no object of JSON")),
    }
}
