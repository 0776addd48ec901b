//! Floor 6. `spindle passwd`: users of a users file, with mosquitto_passwd's letters.
//!
//! The file is the administrator's: comments and order stay, and only the lines of the one user
//! change. What comes out is read as the broker reads it before it replaces the old file, whole or
//! not at all, so a slip here locks nobody out. Absent on purpose: files that spell their users
//! in another way than as `[[users]]` tables; they are refused.

use std::fs;
use std::io::{BufRead, IsTerminal, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use crate::access::{Access, Terms, scram};

use super::ctl::object;
use super::hash::{COST, MAX};
use super::json::Value;
use super::{FAILED, USAGE, complain, say, say_json};

/// Flags of `passwd`.
#[derive(Args, Debug)]
pub(super) struct Passwd {
    /// Make a new file
    #[arg(short, long, conflicts_with_all = ["delete", "update"])]
    create: bool,
    /// Take the password from the command line, where everybody here can read it
    #[arg(short, long, requires = "password")]
    batch: bool,
    /// Delete the user
    #[arg(short = 'D', long, conflicts_with = "update")]
    delete: bool,
    /// Replace every shared_secret of the file by its hash
    #[arg(short = 'U', long)]
    update: bool,
    /// Write keys for logins by SCRAM-SHA-256 instead of a bcrypt hash
    #[arg(long, conflicts_with_all = ["delete", "update"])]
    scram: bool,
    /// Say what was done as JSON
    #[arg(long)]
    json: bool,
    /// The group of a new user
    #[arg(short, long, value_name = "NAME")]
    group: Option<String>,
    /// The users file
    file: PathBuf,
    /// The user
    #[arg(required_unless_present = "update")]
    user: Option<String>,
    /// With -b only; otherwise it is asked for, or read from standard input
    #[arg(requires = "batch")]
    password: Option<String>,
}

/// Why nothing was done, and the exit code.
struct No(String, u8);

/// What was done.
enum Done {
    Added(String),
    Changed(String),
    Deleted(String),
    /// So many secrets.
    Hashed(u32),
}

impl Done {
    fn text(&self) -> String {
        match self {
            Self::Added(user) => format!("{user} is added"),
            Self::Changed(user) => format!("{user} has a new password"),
            Self::Deleted(user) => format!("{user} is deleted"),
            Self::Hashed(count) => format!("{count} secrets are hashes now"),
        }
    }

    fn document(&self) -> Value {
        let of = |done: &str, user: &str| vec![("done", done.into()), ("user", user.into())];
        object(match self {
            Self::Added(user) => of("added", user),
            Self::Changed(user) => of("changed", user),
            Self::Deleted(user) => of("deleted", user),
            Self::Hashed(count) => {
                vec![("done", "hashed".into()), ("secrets", Value::Number((*count).into()))]
            }
        })
    }
}

impl From<String> for No {
    fn from(text: String) -> Self {
        Self(text, FAILED)
    }
}

impl Passwd {
    pub(super) fn run(&self) -> u8 {
        match self.act() {
            Ok(done) if self.json => say_json(&done.document()),
            Ok(done) => say(&done.text()),
            Err(No(why, code)) => complain(&why, code),
        }
    }

    fn act(&self) -> Result<Done, No> {
        let shown = self.file.display();
        if self.create && self.file.exists() {
            return Err(No(format!("{shown} is there already; -c makes a new file"), USAGE));
        }
        let old = match self.create {
            true => String::new(),
            false => fs::read_to_string(&self.file).map_err(|e| format!("{shown}: {e}"))?,
        };
        let (new, done) = match self.user.as_deref() {
            None => hashed(&old)?,
            Some(user) if self.delete => (without(&old, user)?, Done::Deleted(user.into())),
            Some(user) => self.with(&old, user)?,
        };
        judge(&new).map_err(|why| format!("{shown} stays as it is: {why}"))?;
        replace(&self.file, &new).map_err(|e| format!("{shown}: {e}"))?;
        Ok(done)
    }

    /// The file with the user's new password.
    fn with(&self, old: &str, user: &str) -> Result<(String, Done), No> {
        let password = match (&self.password, self.batch) {
            (Some(password), true) => password.clone().into_bytes(),
            _ => ask()?,
        };
        let line = proof(&password, self.scram)?;
        let blocks = blocks(old)?;
        if let Some(block) = blocks.iter().find(|block| block.user.name == user) {
            let text = block.with_proof(&line);
            let new = splice(old, block, &text);
            return Ok((new, Done::Changed(user.into())));
        }
        let mut new = old.to_owned();
        if new.is_empty() {
            new += "# Rules are not asked; see the manual for mode = \"strict\" and its groups.\n";
            new += "mode = \"none\"\n";
        }
        if !new.ends_with('\n') {
            new.push('\n');
        }
        new += &format!("\n[[users]]\nname = {}\n", quoted(user));
        if let Some(group) = &self.group {
            new += &format!("group = {}\n", quoted(group));
        }
        new += &format!("{line}\n");
        Ok((new, Done::Added(user.into())))
    }
}

/// Keys of a users file that one password opens: with a new one, none of the old may be left.
const PROOFS: [&str; 5] =
    ["shared_secret", "password_hash", "scram_sha_256", "scram_argon2id", "wampcra"];

/// A user's table: which lines, and what is in it.
struct Block {
    from: usize,
    to: usize,
    text: String,
    user: User,
}

#[derive(Deserialize)]
struct User {
    name: String,
    shared_secret: Option<String>,
}

#[derive(Deserialize)]
struct Tables {
    users: Vec<User>,
}

impl Block {
    /// The same table with this line for its proof; the place is that of the first old one.
    fn with_proof(&self, line: &str) -> String {
        let mut out = String::new();
        let mut put = false;
        let mut end = 0;
        for own in self.text.lines() {
            let key = own.split('=').next().unwrap_or_default().trim();
            if PROOFS.contains(&key) {
                if !put {
                    out += &format!("{line}\n");
                    put = true;
                    end = out.len();
                }
                continue;
            }
            out += &format!("{own}\n");
            if !own.trim().is_empty() && !own.trim_start().starts_with('#') {
                end = out.len();
            }
        }
        if !put {
            // Behind the last key, in front of the blank lines that lead to the next table.
            out.insert_str(end, &format!("{line}\n"));
        }
        out
    }
}

/// The tables of users, one after another.
fn blocks(text: &str) -> Result<Vec<Block>, No> {
    let mut blocks = Vec::new();
    let mut from = None;
    let mut at = 0;
    let mut bounds = Vec::new();
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with('[') {
            bounds.extend(from.take().map(|from| (from, at)));
            let header: String = line.chars().filter(|c| !c.is_whitespace()).collect();
            if header.starts_with("[[users]]") {
                from = Some(at);
            }
        }
        at += line.len();
    }
    bounds.extend(from.map(|from| (from, at)));
    for (from, to) in bounds {
        let text = text.get(from..to).unwrap_or_default().to_owned();
        let tables: Tables = toml::from_str(&text)
            .map_err(|e| format!("a table of users cannot be read: {}", e.message()))?;
        let mut users = tables.users;
        let Some(user) = users.pop() else { continue };
        blocks.push(Block { from, to, text, user });
    }
    let inside: Result<Tables, _> = toml::from_str(text);
    let all = inside.map_or(0, |tables| tables.users.len());
    if all > blocks.len() {
        return Err(No(
            "this file spells its users in another way than as [[users]] tables; edit it, with a \
             line of `spindle hash`"
                .to_owned(),
            FAILED,
        ));
    }
    Ok(blocks)
}

fn splice(text: &str, block: &Block, new: &str) -> String {
    let before = text.get(..block.from).unwrap_or_default();
    let behind = text.get(block.to..).unwrap_or_default();
    format!("{before}{new}{behind}")
}

/// How long a table is up to its last key; what follows may be a comment on the next one.
fn keys_len(text: &str) -> usize {
    let (mut at, mut end) = (0, 0);
    for line in text.split_inclusive('\n') {
        at += line.len();
        if !line.trim().is_empty() && !line.trim_start().starts_with('#') {
            end = at;
        }
    }
    end
}

fn without(old: &str, user: &str) -> Result<String, No> {
    let blocks = blocks(old)?;
    let block = blocks.iter().find(|block| block.user.name == user);
    let block = block.ok_or_else(|| No(format!("there is no user {user}"), FAILED))?;
    let rest = block.text.get(keys_len(&block.text)..).unwrap_or_default();
    Ok(splice(old, block, rest.trim_start_matches('\n')))
}

/// Every plain secret replaced.
fn hashed(old: &str) -> Result<(String, Done), No> {
    let mut new = old.to_owned();
    let mut count = 0_u32;
    // From the last to the first, so that places stay what they are.
    for block in blocks(old)?.iter().rev() {
        if let Some(secret) = &block.user.shared_secret {
            let line = proof(secret.as_bytes(), false)?;
            new = splice(&new, block, &block.with_proof(&line));
            count += 1;
        }
    }
    Ok((new, Done::Hashed(count)))
}

/// The line that proves a password.
fn proof(password: &[u8], by_scram: bool) -> Result<String, No> {
    if password.is_empty() || password.len() > MAX || password.contains(&0) {
        let line = format!("a password has 1 to {MAX} bytes, and no NUL among them");
        return Err(No(line, USAGE));
    }
    if by_scram {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|e| format!("no random salt: {e}"))?;
        return Ok(format!("scram_sha_256 = \"{}\"", scram::hash(password, salt)));
    }
    let hash = bcrypt::hash(password, COST).map_err(|e| format!("cannot hash: {e}"))?;
    Ok(format!("password_hash = \"{hash}\""))
}

/// From a terminal twice, from anything else its first line.
fn ask() -> Result<Vec<u8>, No> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        let mut text = Vec::new();
        let most = stdin.lock().take(MAX as u64 + 2).read_until(b'\n', &mut text);
        most.map_err(|e| format!("cannot read the password: {e}"))?;
        while text.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
            text.pop();
        }
        return Ok(text);
    }
    echo(false);
    let read = |prompt: &str| -> Result<String, String> {
        let mut line = String::new();
        let _ = write!(std::io::stderr(), "{prompt}: ");
        let done = std::io::stdin().lock().read_line(&mut line);
        let _ = writeln!(std::io::stderr());
        done.map_err(|e| format!("cannot read the password: {e}"))?;
        Ok(line.trim_end_matches(['\n', '\r']).to_owned())
    };
    let both = read("Password").and_then(|one| Ok((one, read("Again")?)));
    echo(true);
    let (one, two) = both?;
    if one == two { Ok(one.into_bytes()) } else { Err(No("they differ".to_owned(), USAGE)) }
}

/// Best effort: a terminal that cannot be told shows what is typed.
fn echo(on: bool) {
    let word = if on { "echo" } else { "-echo" };
    let _ = std::process::Command::new("stty").arg(word).status();
}

/// Is this a users file?
fn judge(text: &str) -> Result<(), String> {
    Access::new(text, [0; 2], Terms::default()).map(drop).map_err(|note| note.to_string())
}

/// Whole, or not at all, with the rights and the owner of the old file.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let old = fs::metadata(path).ok();
    let mode = old.as_ref().map_or(0o600, |old| old.permissions().mode() & 0o777);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let draft = path.with_file_name(name);
    // One that was left behind is not ours to trust.
    let _ = fs::remove_file(&draft);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
    if let Some(old) = old {
        // Only root may give a file away; for everybody else the owner is the same anyhow.
        let _ = std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()));
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    let folder =
        path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    fs::File::open(folder)?.sync_all()
}

/// A text as TOML has it.
pub(super) fn quoted(text: &str) -> String {
    let mut out = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out += &format!("\\u{:04X}", u32::from(c)),
            c => out.push(c),
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "mode = \"none\" # nobody is asked\n\n[[users]]\nname = \"a\"\n\
        # of old\nshared_secret = \"plain\" # soon gone\n\n# Somebody else.\n[[users]]\n\
        name = \"b\"\npassword_hash = \"$2b$04$aaaaaaaaaaaaaaaaaaaaaaCxx\"\n";

    #[test]
    fn only_the_lines_of_the_user_change() {
        let all = blocks(FILE).map_err(|no| no.0).unwrap();
        assert_eq!(all.iter().map(|b| b.user.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        let new = splice(FILE, &all[0], &all[0].with_proof("password_hash = \"x\""));
        let wanted = FILE.replace("shared_secret = \"plain\" # soon gone", "password_hash = \"x\"");
        assert_eq!(new, wanted);
    }

    #[test]
    fn no_old_password_is_left_beside_a_new_one() {
        let text = "[[users]]\nname = \"a\"\nwampcra = \"old\"\ncryptosign = \"key\"\n\
                    password_hash = \"old\"\nscram_argon2id = \"old\"\nscram_sha_256 = \"old\"\n";
        let all = blocks(text).map_err(|no| no.0).unwrap();
        let new = all[0].with_proof("password_hash = \"new\"");
        let wanted = "[[users]]\nname = \"a\"\npassword_hash = \"new\"\ncryptosign = \"key\"\n";
        assert_eq!(new, wanted);
    }

    #[test]
    fn a_deleted_user_leaves_the_comment_of_the_next() {
        let new = without(FILE, "a").map_err(|no| no.0).unwrap();
        assert!(new.contains("# Somebody else.\n[[users]]\nname = \"b\""), "{new}");
        assert!(!new.contains("plain") && new.contains("nobody is asked"), "{new}");
        let new = without(FILE, "b").map_err(|no| no.0).unwrap();
        assert!(new.contains("plain") && !new.contains("$2b$04$"), "{new}");
        assert!(without(FILE, "c").is_err());
        let inner =
            "mode = \"none\"\n[[users]]\n# old\nname = \"a\"\n# why\nshared_secret = \"x\"\n";
        assert_eq!(without(inner, "a").map_err(|no| no.0).unwrap(), "mode = \"none\"\n");
    }

    #[test]
    fn other_spellings_are_refused() {
        let text = "mode = \"none\"\nusers = [{ name = \"a\", shared_secret = \"x\" }]\n";
        assert!(blocks(text).is_err());
    }

    #[test]
    fn a_password_fits_into_bcrypt() {
        assert!(proof(&[b'x'; 73], false).is_err());
        assert!(proof(b"", false).is_err() && proof(b"a\0b", true).is_err());
        assert!(proof(b"secret", true).map_err(|no| no.0).unwrap().starts_with("scram_sha_256"));
    }
}
