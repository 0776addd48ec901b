//! Floor 3. One login, from HELLO to WELCOME: who it is, and by which method that is shown.
//!
//! Absent on purpose: sessions, and what is said to others about them.

use std::sync::Arc;

use super::fault::Reason;
use super::options::AuthExtra;
use super::packet::{Authenticate, Challenge, Hello};
use super::parts::Text;
use crate::base::words::{Method, Outcome};
use crate::hub::policy::{Admit, Claim, Event, Login, Principal, Refusal, Secret};
use crate::proto::Ctx;

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// It is let in.
    In(Box<Admitted>),
    /// Say this, and wait for AUTHENTICATE.
    Challenge(Challenge),
    /// A worker compares.
    Verify {
        /// What it said.
        secret: Secret,
        /// What that must match.
        hash: Arc<str>,
        /// The same for equal questions of one network.
        tag: u128,
    },
    /// It is not let in.
    Abort {
        /// Why.
        reason: Reason,
        /// In words.
        message: &'static str,
    },
    /// There is no room to look at another password now.
    Busy,
}

/// As whom it is let in.
#[derive(Debug)]
pub struct Admitted {
    /// For the rules.
    pub who: Principal,
    /// The name.
    pub authid: Text,
    /// The role.
    pub authrole: Text,
    /// How it was shown.
    pub method: &'static str,
    /// On whose word.
    pub provider: &'static str,
    /// What else the client is told.
    pub extra: Option<Box<AuthExtra>>,
}

/// A login under way.
#[derive(Debug)]
pub struct Exam {
    authid: Text,
    id: u64,
    claim: Option<Claim>,
}

impl Exam {
    /// Somebody says who it is.
    pub fn begin(hello: &Hello, id: u64, ctx: &mut Ctx<'_>) -> (Self, Step) {
        let authid = hello.details.authid.clone().unwrap_or_default().detached();
        let mut it = Self { authid, id, claim: None };
        let methods = hello.details.authmethods.clone().unwrap_or_default();
        let wants = |name: &str| methods.iter().any(|method| method.as_str() == name);
        let step = if methods.is_empty() || wants("anonymous") {
            it.authid = Text::default();
            it.admit(None, ctx)
        } else if wants("ticket") {
            let extra = super::options::ChallengeExtra::default();
            Step::Challenge(Challenge { method: "ticket".into(), extra })
        } else {
            let message = "none of the methods is offered here";
            Step::Abort { reason: Reason::NoMatchingAuthMethod, message }
        };
        (it, step)
    }

    /// The answer to the challenge.
    pub fn on_authenticate(&mut self, said: &Authenticate, ctx: &mut Ctx<'_>) -> Step {
        self.admit(Some(said.signature.bytes()), ctx)
    }

    /// A worker compared.
    pub fn on_verdict(&mut self, ok: bool, ctx: &mut Ctx<'_>) -> Step {
        let Some(claim) = self.claim.take() else { return self.refuse(Refusal::Unknown, ctx) };
        match ctx.hub.policy.verified(ctx.now, &claim, ok) {
            Ok(who) => self.welcome(who, "ticket"),
            Err(why) => self.refuse(why, ctx),
        }
    }

    fn admit(&mut self, password: Option<&[u8]>, ctx: &mut Ctx<'_>) -> Step {
        let authid = self.authid.clone();
        let login = Login {
            protocol: "wamp",
            user: authid.bytes(),
            password,
            client_id: &[],
            certificate: ctx.certificate,
            address: ctx.address,
            loopback: ctx.loopback,
        };
        match ctx.hub.admit(ctx.now, &login) {
            Admit::Yes(who) => {
                let method = if password.is_some() { "ticket" } else { "anonymous" };
                self.welcome(who, method)
            }
            Admit::No(why) => self.refuse(why, ctx),
            Admit::Busy => Step::Busy,
            Admit::Verify { secret, hash, claim } => {
                let tag = claim.tag;
                self.claim = Some(claim);
                Step::Verify { secret, hash, tag }
            }
        }
    }

    fn welcome(&self, who: Principal, method: &'static str) -> Step {
        let authid = match self.authid.as_str() {
            "" => Text::from(format!("{:014x}", self.id)),
            _ => self.authid.clone(),
        };
        let (authrole, provider, extra) = (Text::from("anonymous"), "static", None);
        Step::In(Box::new(Admitted { who, authid, authrole, method, provider, extra }))
    }

    fn refuse(&self, why: Refusal, ctx: &mut Ctx<'_>) -> Step {
        ctx.hub.stats.login(Method::Password, Outcome::Refused);
        let user = self.authid.bytes();
        let event =
            Event::Refused { conn: ctx.conn, address: ctx.address, user, client_id: &[], why };
        ctx.hub.observer.see(ctx.now, &event);
        Step::Abort { reason: Reason::AuthenticationFailed, message: "invalid ticket" }
    }
}
