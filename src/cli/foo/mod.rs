//! Floor 6. The Foo proxy by its own command, and the server and the client that try it.
//!
//! Flags, their defaults and their one dash are those of the proxy this replaces; two dashes do as
//! well, and so do variables of the environment (`SPINDLE_FOO_LISTEN`). Absent on purpose: what a
//! relay does (`proto/foo`), and every other protocol.

pub(super) mod client;
pub(super) mod hash;
pub(super) mod proxy;
pub(super) mod recovery;
pub(super) mod server;

/// The verbs whose flags may have one dash.
pub(super) const VERBS: [&str; 3] = ["foo-proxy", "foo-server", "foo-client"];

/// The same arguments with two dashes before every flag of more than one letter.
pub(super) fn dashed(args: impl Iterator<Item = std::ffi::OsString>) -> Vec<std::ffi::OsString> {
    let mut args: Vec<_> = args.collect();
    let ours = args.get(1).and_then(|verb| verb.to_str()).is_some_and(|v| VERBS.contains(&v));
    for arg in args.iter_mut().skip(2).filter(|_| ours) {
        let Some(text) = arg.to_str() else { continue };
        let bare = text.strip_prefix('-').filter(|bare| bare.len() > 1 && !bare.starts_with('-'));
        if bare.is_some_and(|bare| bare.starts_with(|c: char| c.is_ascii_alphabetic())) {
            *arg = format!("-{text}").into();
        }
    }
    args
}

/// What the environment says of a flag that was not given.
#[expect(clippy::disallowed_methods, reason = "the command line's own variables")]
pub(super) fn or_env(given: Option<String>, name: &str, default: &str) -> String {
    let variable = format!("SPINDLE_FOO_{}", name.replace('-', "_").to_ascii_uppercase());
    given.or_else(|| std::env::var(variable).ok()).unwrap_or_else(|| default.to_owned())
}

/// An address as the original has it: without a host it is every address of this machine.
pub(super) fn everywhere(address: &str) -> String {
    match address.strip_prefix(':') {
        Some(port) if std::net::TcpListener::bind("[::]:0").is_ok() => format!("[::]:{port}"),
        Some(port) => format!("0.0.0.0:{port}"),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {

    #[test]
    fn one_dash_does_as_well_as_two_and_only_here() {
        let dashed = |line: &str| {
            let args = line.split(' ').map(std::ffi::OsString::from);
            let args = super::dashed(args).into_iter().map(|arg| arg.into_string().unwrap());
            args.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            dashed("spindle foo-proxy -forward :8001 --listen=:8002 -http=:1 -h -1 - --"),
            "spindle foo-proxy --forward :8001 --listen=:8002 --http=:1 -h -1 - --"
        );
        assert_eq!(dashed("spindle sub -forward x"), "spindle sub -forward x");
    }
}
