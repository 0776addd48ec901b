//! Floor 6. `spindle certs ca`, `server`, `client` and `renew`: what is issued, and what to do
//! with it.
//!
//! Everything that could be wrong is found before a file is written, and a key is on the disk
//! before the certificate that needs it. Nothing ends later than its issuer. Absent on purpose:
//! trusting an old certificate because it has the issuer's name: its signature is checked.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::key::Key;
use super::make::{self, Issuer, Name, Subject};
use super::pem::{self, CERTIFICATE, CRL, Draft, KEY};
use super::read::{self, Certificate, Revoked};
use super::{DAYS, Done, No, Where, text, texts};
use crate::cli::passwd::quoted;
use crate::os::clock::Clock;

/// An issuer, read from its files.
pub(super) struct Ca {
    pub(super) der: Vec<u8>,
    pub(super) key: Key,
    pub(super) path: PathBuf,
}

impl Ca {
    pub(super) fn read(place: &Where) -> Result<Self, String> {
        let own =
            |given: &Option<PathBuf>, name| given.clone().unwrap_or_else(|| place.dir.join(name));
        let (path, key_path) = (own(&place.ca, "ca.pem"), own(&place.ca_key, "ca.key"));
        if place.ca.is_none() && !path.exists() {
            let shown = path.display();
            return Err(format!("there is no issuer at {shown}; `spindle certs ca` makes one"));
        }
        let wrong = |why: &str| format!("{}: {why}", path.display());
        let der = pem::first(&path, CERTIFICATE)?;
        let key = Key::read(&key_path)?;
        let it = Certificate::of(&der).ok_or_else(|| wrong("it cannot be read"))?;
        if !it.is_ca() {
            return Err(wrong("this certificate may not issue others"));
        }
        if it.public != key.public()? {
            return Err(wrong(&format!("{} is not its key", key_path.display())));
        }
        Ok(Self { der, key, path })
    }

    /// What it says of itself.
    pub(super) fn certificate(&self) -> Result<Certificate<'_>, String> {
        Certificate::of(&self.der).ok_or_else(|| "the issuer cannot be read".to_owned())
    }

    /// As whoever signs.
    pub(super) fn issuer(&self) -> Result<Issuer<'_>, String> {
        let it = self.certificate()?;
        Ok(Issuer { name: it.subject, key_id: it.key_id(), key: &self.key })
    }
}

/// Where the list of an issuer is.
pub(super) fn list_path(place: &Where) -> PathBuf {
    place.dir.join("crl.pem")
}

pub(super) fn ca(place: &Where, name: Option<String>, days: u32) -> Result<Done, No> {
    let [a, b, ..] = random()?;
    let host = host_name().unwrap_or_else(|| "of one's own".to_owned());
    let name = name.unwrap_or_else(|| format!("spindle CA {host} {a:02x}{b:02x}"));
    let subject = common_name(&name)?;
    let (key, secret) = Key::generate()?;
    let public = key.public()?;
    let id = make::key_id(&public).ok_or("the key cannot be read")?;
    let issuer = Issuer { name: &subject, key_id: Some(&id), key: &key };
    let [begin, end] = validity(days)?;
    let template = Subject {
        name: &subject,
        public: &public,
        validity: [&begin, &end],
        extensions: make::of_issuer(),
    };
    let der = make::certificate(&issuer, &template, random()?)?;
    let list = make::list(&issuer, None, &[], [&begin, &end])?;
    let paths = ["ca.pem", "ca.key", "crl.pem"].map(|name| place.dir.join(name));
    let [own, key_path, crl] = paths.clone();
    let drafts = [
        Draft::secret(key_path, pem::block(KEY, &secret)),
        Draft::open(own, pem::block(CERTIFICATE, &der)),
        Draft::open(crl, pem::block(CRL, &list)),
    ];
    pem::write(&drafts, place.force)?;
    let [own, key_path, crl] = paths.each_ref().map(|path| path.display());
    let end = read::moment(&end).unwrap_or_default();
    let at = match place.dir.as_os_str() == DIR {
        true => String::new(),
        false => format!(" --dir {}", word(&place.dir.to_string_lossy())),
    };
    let said = format!(
        "issuer       {name}\nvalid until  {end}\nwritten      {own}   (what others trust)\n\
         \x20            {key_path}   (issues certificates: keep it, and keep it secret)\n\
         \x20            {crl}   (what it has revoked: nothing)\n\n\
         Next:\n  spindle certs server --name HOST{at}\n  spindle certs client NAME{at}"
    );
    Ok(Done { text: said, rows: rows(&der, &paths[0], Some(&paths[1]))? })
}

pub(super) fn server(
    place: &Where,
    hosts: &[String],
    addresses: &[IpAddr],
    days: u32,
    out: &str,
) -> Result<Done, No> {
    let mut names: Vec<Name> =
        hosts.iter().map(|host| Name::of(host)).collect::<Result<_, _>>().map_err(No::usage)?;
    names.extend(addresses.iter().copied().map(Name::Address));
    // A machine may be called in a way that no certificate can say.
    names.extend(host_name().and_then(|host| Name::of(&host).ok()));
    for always in ["localhost", "127.0.0.1", "::1"] {
        names.push(Name::of(always)?);
    }
    let mut seen = Vec::new();
    names.retain(|name| {
        !seen.contains(name) && {
            seen.push(name.clone());
            true
        }
    });
    let first = names.first().map(Name::to_string).unwrap_or_default();
    // A long name stands among the others only.
    let subject = common_name(&first).or_else(|_| common_name("spindle"))?;
    let made = Made::issue(place, &subject, make::of_server(&names), days, out)?;
    let shown = names.iter().map(Name::to_string).collect::<Vec<_>>().join(", ");
    let [cert, key, ca, crl] = made.paths(place)?;
    let said = format!(
        "{}\nnames        {shown}\n\n\
         In the broker's configuration:\n\n\
         [tls]\ncert = {}\nkey = {}\n\
         # With these two every client must show a certificate (`spindle certs client NAME`):\n\
         # ca = {}\n# crl = {}\n\n\
         [[listener]]\nurl = \"mqtts://127.0.0.1:8883\"\n\
         # Other machines come in at 0.0.0.0, and with a users file (`spindle passwd`).\n\n\
         Clients trust the issuer:\n\n  spindle pub -L mqtts://localhost:8883/hello --cafile {} \
         -m hello",
        made.head(),
        quoted(&cert),
        quoted(&key),
        quoted(&ca),
        quoted(&crl),
        word(&ca),
    );
    Ok(Done { text: said, rows: rows(&made.der, &made.own, Some(&made.secret))? })
}

pub(super) fn client(
    place: &Where,
    user: &str,
    days: u32,
    out: Option<String>,
) -> Result<Done, No> {
    let subject = common_name(user)?;
    // The same name again, for brokers that take it from there.
    let other = match (user.contains('@') && user.is_ascii(), Name::of(user)) {
        (true, _) => Some(Name::Mail(user.to_owned())),
        (false, Ok(name @ Name::Host(_))) => Some(name),
        _ => None,
    };
    let extensions = make::of_client(other.as_slice());
    let made = Made::issue(place, &subject, extensions, days, out.as_deref().unwrap_or(user))?;
    let [cert, key, ca, crl] = made.paths(place)?;
    let said = format!(
        "{}\n\n\
         The broker has to ask for certificates; in its configuration:\n\n\
         [tls]\nca = {}\ncrl = {}\n\n\
         and if it has a users file, there:\n\n\
         [[users]]\nname = {}\ncertificate = true\n\n\
         The client shows it:\n\n\
         \x20 spindle pub -L mqtts://localhost:8883/hello --cafile {} --cert {} --key {} -m hello",
        made.head(),
        quoted(&ca),
        quoted(&crl),
        quoted(user),
        word(&ca),
        word(&cert),
        word(&key),
    );
    Ok(Done { text: said, rows: rows(&made.der, &made.own, Some(&made.secret))? })
}

/// A peer's certificate and its key, on the disk.
struct Made {
    der: Vec<u8>,
    own: PathBuf,
    secret: PathBuf,
    issuer: PathBuf,
}

impl Made {
    fn issue(
        place: &Where,
        subject: &[u8],
        extensions: Vec<Vec<u8>>,
        days: u32,
        out: &str,
    ) -> Result<Self, No> {
        let tame = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | '+');
        if out.is_empty() || out.starts_with('.') || !out.chars().all(tame) {
            let shown = out.escape_debug();
            return Err(No::usage(format!("no file can be called {shown}; --out says how else")));
        }
        if matches!(out, "ca" | "crl") {
            let text = format!("{out}.pem is the issuer's own; --out says how else");
            return Err(No::usage(text));
        }
        let ca = Ca::read(place)?;
        let (key, secret) = Key::generate()?;
        let public = key.public()?;
        let [begin, end] = validity(days)?;
        let end = make::earlier(&end, ca.certificate()?.end);
        let template =
            Subject { name: subject, public: &public, validity: [&begin, end], extensions };
        let der = make::certificate(&ca.issuer()?, &template, random()?)?;
        let file = |kind: &str| place.dir.join(format!("{out}.{kind}"));
        let drafts = [
            Draft::secret(file("key"), pem::block(KEY, &secret)),
            Draft::open(file("pem"), pem::block(CERTIFICATE, &der)),
        ];
        pem::write(&drafts, place.force)?;
        Ok(Self { der, own: file("pem"), secret: file("key"), issuer: ca.path })
    }

    fn head(&self) -> String {
        let end = Certificate::of(&self.der).and_then(|it| read::moment(it.end));
        format!(
            "valid until  {}\nwritten      {}\n\x20            {}   (its private key)",
            end.unwrap_or_default(),
            self.own.display(),
            self.secret.display()
        )
    }

    /// Certificate, key, issuer and list, as a configuration anywhere may name them.
    fn paths(&self, place: &Where) -> Result<[String; 4], String> {
        let list = list_path(place);
        let mut out = [&self.own, &self.secret, &self.issuer, &list].map(|_| String::new());
        for (to, path) in out.iter_mut().zip([&self.own, &self.secret, &self.issuer, &list]) {
            let whole =
                std::path::absolute(path).map_err(|e| format!("{}: {e}", path.display()))?;
            *to = whole.to_string_lossy().into_owned();
        }
        Ok(out)
    }
}

pub(super) fn renew(
    place: &Where,
    path: &Path,
    new_key: bool,
    days: Option<u32>,
) -> Result<Done, No> {
    let wrong = |why: &str| format!("{}: {why}", path.display());
    let ca = Ca::read(place)?;
    let der = pem::first(path, CERTIFICATE)?;
    let old = Certificate::of(&der).ok_or_else(|| wrong("it cannot be read"))?;
    let issuer = ca.certificate()?;
    if old.issuer != issuer.subject || !ca.key.has_signed(&der) {
        return Err(wrong(&format!("it is not from the issuer {}", ca.path.display())).into());
    }
    let own = old.public == issuer.public && old.subject == issuer.subject;
    if own && new_key {
        return Err(wrong(
            "an issuer with another key is another issuer: `spindle certs ca` in another folder",
        )
        .into());
    }
    let list = revoked(place, &ca)?;
    if list.as_deref().and_then(Revoked::of).is_some_and(|list| list.has(old.serial)) {
        return Err(wrong("it is revoked, and would not be any more; make another one").into());
    }
    let fresh = if new_key { Some(Key::generate()?) } else { None };
    let public = match &fresh {
        Some((key, _)) => key.public()?,
        None => old.public.to_vec(),
    };
    let [begin, end] = validity(days.unwrap_or(if own { CA_DAYS } else { DAYS }))?;
    let end = if own { &end } else { make::earlier(&end, issuer.end) };
    let template = Subject {
        name: old.subject,
        public: &public,
        validity: [&begin, end],
        extensions: make::handed_on(&old),
    };
    let new = make::certificate(&ca.issuer()?, &template, random()?)?;
    let secret = path.with_extension("key");
    let mut drafts = Vec::new();
    drafts.extend(fresh.map(|(_, bytes)| Draft::secret(secret.clone(), pem::block(KEY, &bytes))));
    drafts.push(Draft::open(path.to_owned(), pem::block(CERTIFICATE, &new)));
    // That it goes is what was asked for.
    pem::write(&drafts, true)?;
    let end = read::moment(end).unwrap_or_default();
    let mut said = format!("valid until  {end}\nwritten      {}", path.display());
    if new_key {
        said += &format!("\n\x20            {}   (its private key)", secret.display());
    }
    said += "\n\nA broker that runs takes it over by `spindle ctl reload`, or by SIGHUP.";
    Ok(Done { text: said, rows: rows(&new, path, new_key.then_some(&*secret))? })
}

/// The list of an issuer, if there is one and it is its own.
pub(super) fn revoked(place: &Where, ca: &Ca) -> Result<Option<Vec<u8>>, String> {
    let path = list_path(place);
    if !path.exists() {
        return Ok(None);
    }
    let der = pem::first(&path, CRL)?;
    let wrong = |why| Err(format!("{}: {why}", path.display()));
    match Revoked::of(&der) {
        None => wrong("the list cannot be read"),
        Some(_) if !ca.key.has_signed(&der) => wrong("this list is not the issuer's"),
        Some(_) => Ok(Some(der)),
    }
}

/// What programs are told of a certificate.
fn rows(
    der: &[u8],
    path: &Path,
    secret: Option<&Path>,
) -> Result<Vec<(&'static str, super::Value)>, String> {
    let it = Certificate::of(der).ok_or("what was made cannot be read")?;
    let shown = |path: &Path| text(&path.to_string_lossy());
    let mut rows = vec![("certificate", shown(path))];
    rows.extend(secret.map(|path| ("key", shown(path))));
    rows.push(("subject", text(&read::name(it.subject).unwrap_or_default())));
    rows.push(("serial", text(&read::serial(it.serial))));
    rows.push(("not_after", text(&read::moment(it.end).unwrap_or_default())));
    rows.push(("names", texts(&it.names().unwrap_or_default())));
    Ok(rows)
}

/// From a little ago, for those whose clock is behind.
pub(super) fn validity(days: u32) -> Result<[Vec<u8>; 2], No> {
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(No::usage(format!("a certificate is valid for 1 to {DAYS_MAX} days")));
    }
    let now = Clock::start().now().wall;
    Ok([now - 300_000, now + u64::from(days) * 86_400_000].map(make::moment))
}

fn common_name(name: &str) -> Result<Vec<u8>, No> {
    let letters = name.chars().count();
    if !(1..=64).contains(&letters) || name.chars().any(char::is_control) {
        return Err(No::usage(format!(
            "a name in a certificate has 1 to 64 letters and no control characters: {}",
            name.escape_debug()
        )));
    }
    Ok(make::common_name(name))
}

pub(super) fn random() -> Result<[u8; 16], String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| format!("no randomness: {e}"))?;
    Ok(bytes)
}

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// As a shell reads one word.
fn word(text: &str) -> String {
    let tame = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,*".contains(c);
    match text.chars().all(tame) && !text.is_empty() {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// The folder when none is named.
const DIR: &str = "spindle-certs";
/// For an issuer.
const CA_DAYS: u32 = 3_650;
/// A century.
const DAYS_MAX: u32 = 36_500;
