//! Floor 2. Who may look at the broker and who may change it: the question, and words for answers.
//!
//! Apart from `Policy`, because whoever runs a broker is not one of its clients: other names, other
//! passwords, two roles instead of rules. The way of asking is the same, a hash is compared by a
//! worker. Absent on purpose: hashes and digests (`access::gate`), and anything about HTTP.

use crate::base::time::Now;

use super::policy::{Admit, Claim, Login, Principal, Refusal};

/// What an administrator may do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// Look.
    Viewer,
    /// Look, and change.
    Operator,
}

impl Role {
    /// The name in configuration and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        [Self::Viewer, Self::Operator].into_iter().find(|role| role.name() == name)
    }
}

/// Somebody with a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Admin {
    /// The name.
    pub name: String,
    /// The hash of the password, as the users file has it.
    pub hash: String,
    /// What it may do.
    pub role: Role,
}

/// Something with a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// What to call it.
    pub name: String,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// What it may do.
    pub role: Role,
}

// Written by hand so that no line of a log ever holds a hash.
impl core::fmt::Debug for Admin {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Admin").field("name", &self.name).field("role", &self.role).finish()
    }
}

impl core::fmt::Debug for Token {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Token").field("name", &self.name).field("role", &self.role).finish()
    }
}

/// Who may administer, and under which names the broker is asked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Admins {
    /// People.
    pub users: Vec<Admin>,
    /// Programs.
    pub tokens: Vec<Token>,
    /// Names that a Host header may have besides those of this machine; `*`: any.
    pub hosts: Vec<String>,
}

/// Decides who may administer. Must not block.
pub trait Gate: Send {
    /// May it come in? A password is in `login.password`; a token as well, without a user.
    fn admit(&mut self, now: Now, login: &Login<'_>) -> Admit;

    /// A worker has compared what `admit` asked to compare.
    fn verified(&mut self, now: Now, claim: &Claim, ok: bool) -> Result<Principal, Refusal>;

    /// What this principal may do.
    fn role(&self, who: &Principal) -> Role;

    /// Replace everybody.
    fn set(&mut self, admins: Admins);

    /// Nobody is configured.
    fn is_empty(&self) -> bool;

    /// May requests be for a host of this name (without port, in lower case)?
    fn knows_host(&self, host: &str) -> bool;
}

/// Nobody comes in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shut;

impl Gate for Shut {
    fn admit(&mut self, _: Now, _: &Login<'_>) -> Admit {
        Admit::No(Refusal::Unknown)
    }

    fn verified(&mut self, _: Now, _: &Claim, _: bool) -> Result<Principal, Refusal> {
        Err(Refusal::Unknown)
    }

    fn role(&self, _: &Principal) -> Role {
        Role::Viewer
    }

    fn set(&mut self, _: Admins) {}

    fn is_empty(&self) -> bool {
        true
    }

    fn knows_host(&self, _: &str) -> bool {
        false
    }
}
