//! Floor 6. PEM files: blocks of base64 between lines that name them, and how they get to the disk.
//!
//! A file is written whole beside its place, with the rights it will have, and takes its place by
//! its name; so there is never half a key, nor one that others can read for a moment. What is there
//! already stays, unless somebody said that it goes. Absent on purpose: encrypted keys.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::No;
use crate::base::base64;

/// What a block holds.
pub(super) const CERTIFICATE: &str = "CERTIFICATE";
/// A list of certificates that are revoked.
pub(super) const CRL: &str = "X509 CRL";
/// A private key (PKCS#8).
pub(super) const KEY: &str = "PRIVATE KEY";

/// The blocks of this kind in a text, in their order.
pub(super) fn blocks(text: &str, kind: &str) -> Result<Vec<Vec<u8>>, String> {
    let (begin, end) = (format!("-----BEGIN {kind}-----"), format!("-----END {kind}-----"));
    let mut out = Vec::new();
    for block in text.split(&begin).skip(1) {
        let (body, _) = block.split_once(&end).ok_or("a block has no end")?;
        let body: Vec<u8> = body.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        out.push(base64::decode(&body).ok_or("a block is no base64")?);
    }
    Ok(out)
}

/// A block of this kind.
pub(super) fn block(kind: &str, der: &[u8]) -> String {
    let body = base64::encode(der);
    let mut text = format!("-----BEGIN {kind}-----\n");
    // The alphabet is ASCII, so every place is one between letters.
    for line in body.as_bytes().chunks(64) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text + &format!("-----END {kind}-----\n")
}

/// The text of a file. An error names the file.
pub(super) fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// The first block of this kind in a file. An error names the file.
pub(super) fn first(path: &Path, kind: &str) -> Result<Vec<u8>, String> {
    let wrong = |why: &str| format!("{}: {why}", path.display());
    let found = blocks(&read(path)?, kind).map_err(|why| wrong(&why))?;
    let missing = || wrong(&format!("there is no BEGIN {kind} in it; PEM is expected"));
    found.into_iter().next().ok_or_else(missing)
}

/// A file that is to be.
pub(super) struct Draft {
    path: PathBuf,
    text: String,
    mode: u32,
}

impl Draft {
    /// For everybody.
    pub(super) fn open(path: PathBuf, text: String) -> Self {
        Self { path, text, mode: 0o644 }
    }

    /// For its owner alone.
    pub(super) fn secret(path: PathBuf, text: String) -> Self {
        Self { path, text, mode: 0o600 }
    }
}

/// Write them all; none if one of them is there already and nobody said that it may go.
pub(super) fn write(drafts: &[Draft], force: bool) -> Result<(), No> {
    for Draft { path, .. } in drafts {
        if !force && path.symlink_metadata().is_ok() {
            let text = format!("{} is there already; --force replaces it", path.display());
            return Err(No::usage(text));
        }
    }
    for draft in drafts {
        put(draft).map_err(|e| format!("{}: {e}", draft.path.display()))?;
    }
    Ok(())
}

fn put(draft: &Draft) -> std::io::Result<()> {
    let folder = draft.path.parent().filter(|p| !p.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder)?;
    let mut name = draft.path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = folder.join(name);
    // One that was left behind is not ours to trust.
    let _ = fs::remove_file(&beside);
    let mut open = fs::OpenOptions::new();
    let mut file = open.write(true).create_new(true).mode(draft.mode).open(&beside)?;
    file.write_all(draft.text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, &draft.path)?;
    fs::File::open(folder)?.sync_all()
}
