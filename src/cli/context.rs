//! Floor 6. `spindle context`: brokers by name, so that nobody types them twice.
//!
//! One small TOML file for each in `$XDG_CONFIG_HOME/spindle/contexts`, and the name of the chosen
//! one in `context` beside that folder. The files hold passwords: they are written for their owner
//! alone, and whoever finds one open to others is told. Absent on purpose: anything that is no
//! flag of a client.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Deserialize;

use super::ctl::object;
use super::json::Value;
use super::link::complain;
use super::passwd::quoted;
use super::{FAILED, USAGE, say, say_json};

/// What a context says.
#[derive(Args, Deserialize, Clone, PartialEq, Eq, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Chosen {
    /// Where the broker is: a URL
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// User name
    #[arg(long, value_name = "NAME")]
    pub(super) user: Option<String>,
    /// Password
    #[arg(long, value_name = "PASSWORD")]
    pub(super) password: Option<String>,
    /// Client id
    #[arg(long, value_name = "ID")]
    pub(super) client_id: Option<String>,
    /// mqttv5, mqttv311 or mqttv31
    #[arg(long, value_name = "VERSION")]
    pub(super) version: Option<String>,
    /// Trust the issuers in this file
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
    /// Our certificate
    #[arg(long, value_name = "FILE")]
    pub(super) cert: Option<PathBuf>,
    /// Its private key
    #[arg(long, value_name = "FILE")]
    pub(super) key: Option<PathBuf>,
    /// Do not compare the broker's name with its certificate
    #[arg(long)]
    pub(super) insecure: bool,
    /// Where its admin API is: a URL, or unix:/path
    #[arg(long, value_name = "URL")]
    pub(super) admin: Option<String>,
    /// Token for it
    #[arg(long, value_name = "TOKEN")]
    pub(super) token: Option<String>,
}

/// What can be done with contexts.
#[derive(Subcommand, Debug)]
pub(super) enum Verb {
    /// Write a context, or write it anew
    Add {
        name: String,
        #[command(flatten)]
        what: Box<Chosen>,
        /// Choose it as well
        #[arg(long)]
        select: bool,
    },
    /// Choose the context that is used when none is named; `-` for the one chosen before
    Select { name: String },
    /// List them; the chosen one has a star
    Ls {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one, without its secrets
    Show {
        name: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove one
    Rm { name: String },
}

impl Verb {
    pub(super) fn run(self) -> u8 {
        let done = match self {
            Self::Add { name, what, select } => add(&name, &what).and_then(|()| match select {
                true => choose(&name),
                false => Ok(()),
            }),
            Self::Select { name } => choose(&name),
            Self::Ls { json } => list(json),
            Self::Show { name, json } => show(name, json),
            Self::Rm { name } => path_of(&name).and_then(|path| {
                fs::remove_file(&path).map_err(|e| format!("{}: {e}", path.display()))
            }),
        };
        match done {
            Ok(()) => 0,
            Err(why) => {
                complain(&format!("spindle: {why}"));
                if why.starts_with("not a name") { USAGE } else { FAILED }
            }
        }
    }
}

/// The context that is named, or else the chosen one; nothing when there is none.
pub(super) fn chosen(named: Option<&str>) -> Result<Chosen, String> {
    let name = match named {
        Some(name) => name.to_owned(),
        None => match folder().ok().and_then(|f| fs::read_to_string(f.join("context")).ok()) {
            Some(text) => text.lines().next().unwrap_or_default().to_owned(),
            None => return Ok(Chosen::default()),
        },
    };
    if name.is_empty() {
        return Ok(Chosen::default());
    }
    read(&name)
}

fn read(name: &str) -> Result<Chosen, String> {
    let path = path_of(name)?;
    let text = fs::read_to_string(&path);
    let text = text.map_err(|e| format!("there is no context {name}: {}: {e}", path.display()))?;
    let open = fs::metadata(&path).is_ok_and(|m| m.permissions().mode() & 0o077 != 0);
    if open {
        complain(&format!(
            "spindle: others can read {}; `chmod 600` it, and change its secrets",
            path.display()
        ));
    }
    toml::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}

fn folder() -> Result<PathBuf, String> {
    let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = var("XDG_CONFIG_HOME").or_else(|| var("HOME").map(|home| home.join(".config")));
    Ok(home.ok_or("neither XDG_CONFIG_HOME nor HOME is set")?.join("spindle"))
}

fn path_of(name: &str) -> Result<PathBuf, String> {
    let tame = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.starts_with(['.', '-']) || !name.chars().all(tame) {
        return Err(format!("not a name for a context: {name}"));
    }
    Ok(folder()?.join("contexts").join(format!("{name}.toml")))
}

fn add(name: &str, what: &Chosen) -> Result<(), String> {
    let path = path_of(name)?;
    write(&path, &spelled(what, false))?;
    say(&format!("written: {}", path.display()));
    Ok(())
}

/// Whole, or not at all, and for nobody else's eyes.
fn write(path: &Path, text: &str) -> Result<(), String> {
    let wrong = |e: std::io::Error| format!("{}: {e}", path.display());
    fs::create_dir_all(path.parent().unwrap_or(path)).map_err(wrong)?;
    let draft = path.with_extension("new");
    let mut open = fs::OpenOptions::new();
    let file = open.write(true).create(true).truncate(true).mode(0o600).open(&draft);
    let mut file = file.map_err(wrong)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(wrong)?;
    fs::rename(&draft, path).map_err(wrong)
}

fn choose(name: &str) -> Result<(), String> {
    let place = folder()?.join("context");
    let old = fs::read_to_string(&place).unwrap_or_default();
    let mut old = old.lines();
    let (now, before) = (old.next().unwrap_or_default(), old.next().unwrap_or_default());
    let name = if name == "-" { before } else { name };
    if !path_of(name)?.exists() {
        return Err(format!("there is no context {name}"));
    }
    write(&place, &format!("{name}\n{now}\n"))?;
    say(&format!("context: {name}"));
    Ok(())
}

fn list(json: bool) -> Result<(), String> {
    let folder = folder()?;
    let chosen = fs::read_to_string(folder.join("context")).unwrap_or_default();
    let chosen = chosen.lines().next().unwrap_or_default();
    // No folder is as good as an empty one.
    let entries = fs::read_dir(folder.join("contexts")).into_iter().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
        .collect();
    names.sort();
    if json {
        let text = |text: &str| Value::Text(text.as_bytes().to_vec());
        let row = |name: &String| {
            let url = read(name).ok().and_then(|c| c.url).unwrap_or_default();
            let (url, star) = (text(&without_password(&url)), Value::Bool(name == chosen));
            object(vec![("name", text(name)), ("url", url), ("chosen", star)])
        };
        let all = Value::List(names.iter().map(row).collect());
        say(&String::from_utf8_lossy(&all.print(false)));
        return Ok(());
    }
    for name in names {
        let url = read(&name).ok().and_then(|c| c.url).unwrap_or_default();
        let star = if name == chosen { '*' } else { ' ' };
        say(format!("{star} {name:<20} {}", without_password(&url)).trim_end());
    }
    Ok(())
}

fn show(name: Option<String>, json: bool) -> Result<(), String> {
    let chosen = match name {
        Some(name) => read(&name)?,
        None => chosen(None)?,
    };
    if json {
        let text = |(name, value): (_, Option<String>)| Some((name, value?.as_str().into()));
        let mut all: Vec<_> = rows(&chosen, true).into_iter().filter_map(text).collect();
        all.push(("insecure", Value::Bool(chosen.insecure)));
        say_json(&object(all));
        return Ok(());
    }
    say(spelled(&chosen, true).trim_end());
    Ok(())
}

fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, rest)), Some((_, place))) => {
            let user = rest.split([':', '@']).next().unwrap_or_default();
            format!("{scheme}://{user}@{place}")
        }
        _ => url.to_owned(),
    }
}

/// What it says, or what may be seen of it.
fn rows(what: &Chosen, veiled: bool) -> [(&'static str, Option<String>); 10] {
    let path = |p: &Option<PathBuf>| p.as_ref().map(|p| p.to_string_lossy().into_owned());
    let secret = |s: &Option<String>| match veiled {
        true => s.as_ref().map(|_| "***".to_owned()),
        false => s.clone(),
    };
    let url = what.url.as_deref();
    [
        ("url", if veiled { url.map(without_password) } else { what.url.clone() }),
        ("user", what.user.clone()),
        ("password", secret(&what.password)),
        ("client_id", what.client_id.clone()),
        ("version", what.version.clone()),
        ("ca", path(&what.ca)),
        ("cert", path(&what.cert)),
        ("key", path(&what.key)),
        ("admin", what.admin.clone()),
        ("token", secret(&what.token)),
    ]
}

/// The file, or what may be seen of it.
fn spelled(what: &Chosen, veiled: bool) -> String {
    let mut text = String::new();
    for (name, value) in rows(what, veiled) {
        if let Some(value) = value {
            text += &format!("{name} = {}\n", quoted(&value));
        }
    }
    if what.insecure {
        text += "insecure = true\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_read_as_it_was_written() {
        let what = Chosen {
            url: Some("mqtt://jo:pw@host:1/x".to_owned()),
            password: Some("a \"quoted\" one\n".to_owned()),
            ca: Some("/etc/ca.pem".into()),
            insecure: true,
            ..Chosen::default()
        };
        assert_eq!(toml::from_str::<Chosen>(&spelled(&what, false)).unwrap(), what);
        let shown = spelled(&what, true);
        assert!(!shown.contains("pw") && !shown.contains("quoted"), "{shown}");
        assert!(shown.contains("mqtt://jo@host:1/x"), "{shown}");
        assert!(toml::from_str::<Chosen>("colour = 1").is_err());
    }

    #[test]
    fn a_name_is_no_path() {
        for wrong in ["", "../x", "a/b", ".x", "-", "a b"] {
            assert!(path_of(wrong).is_err(), "{wrong}");
        }
    }
}
