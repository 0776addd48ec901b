//! Floor 3. Administrators: passwords behind bcrypt, tokens behind SHA-256.
//!
//! A password goes to a worker like any other, a success is remembered for a minute, failures are
//! throttled per address and name. A token is long and random, so one digest is enough; it is
//! compared with every configured one, all bits of each, so that a stopwatch learns nothing. A
//! name that does not exist costs as much as one that does. Absent on purpose: rules (there are
//! two roles), and where names and hashes come from.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::base::time::Now;
use crate::hub::edition::Edition;
use crate::hub::gate::{Admins, Gate, Role};
use crate::hub::policy::{Admit, Claim, Login, Principal, Refusal, Secret};

use super::keyed::same;
use super::mac::{Mac, Purpose};
use super::throttle::{Terms, Throttle};
use super::verified::Verified;

/// More than this bcrypt does not look at.
const PASSWORD_MAX: usize = 72;

/// Administrators.
pub struct AdminGate {
    mac: Mac,
    admins: Admins,
    edition: Edition,
    verified: Verified,
    throttle: Throttle,
}

impl AdminGate {
    /// Nobody yet. `key` must be random and told to nobody.
    #[must_use]
    pub fn new(key: [u64; 2]) -> Self {
        let mac = Mac::new(key);
        Self {
            mac,
            admins: Admins::default(),
            edition: Edition::FIRST,
            verified: Verified::new(),
            throttle: Throttle::new(mac, Terms::default()),
        }
    }

    fn principal(&self, name: &str, role: Role) -> Principal {
        Principal {
            user: Bytes::copy_from_slice(name.as_bytes()),
            client_id: Bytes::new(),
            group: role as u32,
            durable: false,
            edition: self.edition,
        }
    }

    fn by_token(&mut self, now: Now, login: &Login<'_>, token: &[u8]) -> Admit {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let mut found = None;
        for known in &self.admins.tokens {
            if same(&known.sha256, &digest) {
                found = Some((known.name.clone(), known.role));
            }
        }
        match found {
            Some((name, role)) => Admit::Yes(self.principal(&name, role)),
            None => {
                self.throttle.on_failed(now, login.address, login.loopback, b"");
                Admit::No(Refusal::Unknown)
            }
        }
    }
}

impl Gate for AdminGate {
    fn admit(&mut self, now: Now, login: &Login<'_>) -> Admit {
        let ms = self.throttle.wait_ms(now, login.address, login.loopback, login.user);
        if ms > 0 {
            return Admit::No(Refusal::Throttled { ms });
        }
        let password = login.password.unwrap_or_default();
        if login.user.is_empty() {
            return self.by_token(now, login, password);
        }
        if password.is_empty() || password.len() > PASSWORD_MAX || password.contains(&0) {
            self.throttle.on_failed(now, login.address, login.loopback, login.user);
            return Admit::No(Refusal::Unknown);
        }
        let known = self.admins.users.iter().find(|admin| admin.name.as_bytes() == login.user);
        // Whoever does not exist is compared with somebody's hash, for what it costs.
        let Some(admin) = known.or_else(|| self.admins.users.first()) else {
            self.throttle.on_failed(now, login.address, login.loopback, login.user);
            return Admit::No(Refusal::Unknown);
        };
        let hash: Arc<str> = Arc::from(admin.hash.as_str());
        let principal = known.map(|admin| self.principal(&admin.name, admin.role));
        let network = login.address.network().to_string();
        let digest = self.mac.of(Purpose::Verified).part(login.user).part(password);
        let tag = digest.part(hash.as_bytes()).part(network.as_bytes()).done();
        match principal {
            Some(known) if self.verified.knows(now, tag) => Admit::Yes(known),
            principal => Admit::Verify {
                secret: Secret::new(password),
                hash,
                claim: Claim {
                    principal,
                    user: Bytes::copy_from_slice(login.user),
                    address: login.address,
                    loopback: login.loopback,
                    tag,
                },
            },
        }
    }

    fn verified(&mut self, now: Now, claim: &Claim, ok: bool) -> Result<Principal, Refusal> {
        let known = claim.principal.as_ref().filter(|who| ok && who.edition == self.edition);
        let Some(principal) = known else {
            self.throttle.on_failed(now, claim.address, claim.loopback, &claim.user);
            return Err(Refusal::Unknown);
        };
        self.verified.add(now, claim.tag);
        self.throttle.on_succeeded(now, claim.address, &claim.user);
        Ok(principal.clone())
    }

    fn role(&self, who: &Principal) -> Role {
        match who.group {
            group if group == Role::Operator as u32 => Role::Operator,
            _ => Role::Viewer,
        }
    }

    fn set(&mut self, admins: Admins) {
        self.admins = admins;
        self.edition = self.edition.next();
        self.verified.flush();
        self.throttle.forget_friends();
    }

    fn is_empty(&self) -> bool {
        self.admins.users.is_empty() && self.admins.tokens.is_empty()
    }

    fn knows_host(&self, host: &str) -> bool {
        self.admins.hosts.iter().any(|known| known == "*" || known.eq_ignore_ascii_case(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::gate::{Admin, Token};
    use crate::hub::policy::Address;

    const NOW: Now = Now { mono: 0, wall: 0 };

    fn gate() -> AdminGate {
        let mut gate = AdminGate::new([1, 2]);
        let admin = |name: &str, role| Admin { name: name.into(), hash: "$2b$x".into(), role };
        gate.set(Admins {
            users: vec![admin("ann", Role::Operator), admin("bob", Role::Viewer)],
            tokens: vec![Token {
                name: "prom".into(),
                sha256: Sha256::digest(b"long-random").into(),
                role: Role::Viewer,
            }],
            hosts: vec!["broker.example".into()],
        });
        gate
    }

    fn login<'a>(user: &'a [u8], password: &'a [u8]) -> Login<'a> {
        Login {
            protocol: "http",
            user,
            password: Some(password),
            client_id: b"",
            certificate: None,
            address: Address::V4([10, 0, 0, 1]),
            loopback: false,
        }
    }

    #[test]
    fn a_password_is_checked_once_and_then_remembered_for_its_address() {
        let mut gate = gate();
        let Admit::Verify { hash, claim, .. } = gate.admit(NOW, &login(b"ann", b"pw")) else {
            panic!("nobody is believed unseen");
        };
        assert_eq!(&*hash, "$2b$x");
        let who = gate.verified(NOW, &claim, true).expect("she is who she says");
        assert_eq!(gate.role(&who), Role::Operator);
        assert!(matches!(gate.admit(NOW, &login(b"ann", b"pw")), Admit::Yes(_)));
        assert!(matches!(gate.admit(NOW, &login(b"ann", b"px")), Admit::Verify { .. }));
        let elsewhere = Login { address: Address::V4([10, 0, 0, 2]), ..login(b"ann", b"pw") };
        assert!(matches!(gate.admit(NOW, &elsewhere), Admit::Verify { .. }));
        gate.set(Admins::default());
        assert!(gate.verified(NOW, &claim, true).is_err(), "she was removed meanwhile");
        assert!(matches!(gate.admit(NOW, &login(b"ann", b"pw")), Admit::No(_)));
    }

    #[test]
    fn strangers_cost_the_same_and_are_made_to_wait() {
        let mut gate = gate();
        let Admit::Verify { claim, .. } = gate.admit(NOW, &login(b"eve", b"pw")) else {
            panic!("refused at once, she would know that there is no such name");
        };
        assert!(gate.verified(NOW, &claim, true).is_err(), "whatever the hash was");
        for _ in 0..40 {
            let _ = gate.verified(NOW, &claim, false);
        }
        let why = gate.admit(NOW, &login(b"eve", b"pw"));
        assert!(matches!(why, Admit::No(Refusal::Throttled { .. })));
    }

    #[test]
    fn a_token_is_enough_and_half_of_one_is_not() {
        let mut gate = gate();
        let Admit::Yes(who) = gate.admit(NOW, &login(b"", b"long-random")) else {
            panic!("it is the token")
        };
        assert_eq!((&who.user[..], gate.role(&who)), (&b"prom"[..], Role::Viewer));
        for wrong in [&b"long-rando"[..], b"", b"long-random ", b"LONG-RANDOM"] {
            assert!(matches!(gate.admit(NOW, &login(b"", wrong)), Admit::No(_)));
        }
        assert!(gate.knows_host("broker.example") && !gate.knows_host("evil.example"));
    }
}
