//! Floor 3. One login, from HELLO to WELCOME: which method, what is asked, and who is let in.
//!
//! The first of the client's methods is taken that is offered to whoever it says it is; what it
//! says of its role, its provider or its session is not believed. Whether there is such a user
//! shows at the end only: somebody who does not exist is challenged like anybody else. Every way
//! out has one reason and, for each method, one message. Keys and verdicts are the policy's
//! (`riddle`); what is signed stands in `exam/ask.rs`, and `exam/abroad.rs` asks about those whom
//! the users file does not name. Absent on purpose: the WELCOME itself, time limits (the peer's),
//! and binding to TLS: whoever asks for that is refused.

mod abroad;
mod ask;

use std::sync::Arc;

use super::fault::Reason;
use super::options::{AuthExtra, ChallengeExtra};
use super::packet::{Authenticate, Challenge, Hello};
use super::parts::Text;
use crate::base::words::{Method, Outcome};
use crate::hub::cookies::Bearer;
use crate::hub::policy::{Admit, Claim, Event, Login, Principal, Refusal, Secret};
use crate::hub::riddle::Way;
use crate::proto::Ctx;

use abroad::{Abroad, Elsewhere};
use ask::Asked;

/// One login.
#[derive(Debug)]
pub struct Exam {
    kind: Kind,
    /// Who the client says it is; empty when it does not say.
    authid: Text,
    /// The id that WELCOME will carry.
    id: u64,
    state: State,
    /// A procedure is asked about it.
    abroad: Option<Elsewhere>,
    /// That one did not say who it is, for this reason.
    unanswered: Option<&'static str>,
}

/// How it goes on.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one is handed over in a login, and none is kept")]
pub enum Step {
    /// Let in.
    In(Box<Admitted>),
    /// Say this, and wait for AUTHENTICATE.
    Challenge(Challenge),
    /// A worker compares; then `on_verdict`.
    Verify {
        /// The password.
        secret: Secret,
        /// What it must match.
        hash: Arc<str>,
        /// The same for equal questions of one network.
        tag: u128,
    },
    /// The router has asked somebody; then `on_told`.
    Ask,
    /// Stay out.
    Abort {
        /// As a URI.
        reason: Reason,
        /// In words.
        message: &'static str,
    },
    /// Nobody has the time to look at it.
    Busy,
}

/// Somebody who was let in, as WELCOME says it.
#[derive(Debug)]
pub struct Admitted {
    /// Who.
    pub who: Principal,
    /// The name; made up for whoever has none.
    pub authid: Text,
    /// As what.
    pub authrole: Text,
    /// How it was proven.
    pub method: &'static str,
    /// Who vouches for it.
    pub provider: &'static str,
    /// What the method says last.
    pub extra: Option<Box<AuthExtra>>,
}

impl Admitted {
    /// Whom a cookie may stand for from now on: whoever has shown who it is by more than that, and
    /// not by what is shown anew each time.
    pub(super) fn bearer(&self, realm: &str) -> Option<Bearer> {
        let shown = [Kind::Anonymous, Kind::Tls, Kind::Cookie];
        let proved = Kind::named(self.method).is_some_and(|kind| !shown.contains(&kind));
        proved.then(|| Bearer {
            realm: realm.to_owned(),
            user: self.who.user.clone(),
            role: self.authrole.bytes().clone(),
            vouched: self.provider == ABROAD,
        })
    }
}

/// The methods.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Anonymous,
    Tls,
    Cookie,
    Ticket,
    Cra,
    Scram,
    /// SCRAM as autobahn and crossbar speak it.
    ScramText,
    Cryptosign,
}

#[derive(Debug)]
enum State {
    /// A ticket is waited for.
    Ticket,
    /// The answer to this is.
    Asked(Box<Asked>),
    /// A worker's answer is.
    Verifying(Box<Claim>),
    /// The answer of somebody who was asked is.
    Abroad(Box<Abroad>),
    Over,
}

/// Why a method is passed over, or how it begins.
#[expect(clippy::large_enum_variant, reason = "one is handed over in a login, and none is kept")]
enum Begun {
    /// The next one may fit.
    Skip,
    /// This one, and so it goes on.
    Step(State, Step),
    /// This one, and it is refused.
    No(Refusal, &'static str),
}

impl Kind {
    const ALL: &[Self] = &[
        Self::Anonymous,
        Self::Tls,
        Self::Cookie,
        Self::Ticket,
        Self::Cra,
        Self::Scram,
        Self::ScramText,
        Self::Cryptosign,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Tls => "tls",
            Self::Cookie => "cookie",
            Self::Ticket => "ticket",
            Self::Cra => "wampcra",
            Self::Scram => "wamp-scram",
            Self::ScramText => "scram",
            Self::Cryptosign => "cryptosign",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// What the policy knows it as; nothing where nobody is asked.
    const fn way(self) -> Option<Way> {
        match self {
            Self::Anonymous | Self::Tls | Self::Cookie => None,
            Self::Ticket => Some(Way::Password),
            Self::Cra => Some(Way::Mac),
            Self::Scram => Some(Way::Scram),
            Self::ScramText => Some(Way::ScramText),
            Self::Cryptosign => Some(Way::Signature),
        }
    }

    const fn counted(self) -> Method {
        match self {
            Self::Anonymous => Method::Anonymous,
            Self::Tls => Method::Certificate,
            Self::Cookie => Method::Cookie,
            Self::Ticket => Method::Password,
            Self::Cra => Method::Cra,
            Self::Scram | Self::ScramText => Method::Scram,
            Self::Cryptosign => Method::Cryptosign,
        }
    }

    /// A public key can stand for the name.
    const fn needs_name(self) -> bool {
        matches!(self, Self::Ticket | Self::Cra | Self::Scram | Self::ScramText)
    }

    /// The words for every failure of it, whatever the cause: clients know them by heart.
    const fn failure(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous login refused",
            Self::Tls => "invalid certificate",
            Self::Cookie => "invalid cookie",
            Self::Ticket => "invalid ticket",
            Self::Cra | Self::Scram | Self::ScramText | Self::Cryptosign => "invalid signature",
        }
    }
}

/// Methods of one HELLO that are looked at; there are not so many.
const METHODS_MAX: usize = 16;

impl Exam {
    /// A HELLO came; the session will have this id.
    pub fn begin(hello: &Hello, id: u64, ctx: &mut Ctx<'_>) -> (Self, Step) {
        let authid = hello.details.authid.as_ref().map(Text::detached).unwrap_or_default();
        let (kind, state) = (Kind::Anonymous, State::Over);
        let mut exam = Self { kind, authid, id, state, abroad: None, unanswered: None };
        let listed = hello.details.authmethods.as_deref().unwrap_or_default();
        let none_given = listed.is_empty().then_some(Kind::Anonymous);
        let methods = listed.iter().filter_map(|method| Kind::named(method.as_str()));
        let mut nameless = false;
        let abroad = exam.abroad(hello, ctx);
        let all: Vec<Kind> = none_given.into_iter().chain(methods).take(METHODS_MAX).collect();
        // First by what it could have; then, so that nobody can tell who has what, by what anybody
        // has: it is asked, and never right.
        let twice = [false, true].into_iter().flat_map(|any| all.iter().map(move |it| (*it, any)));
        for (kind, any) in twice {
            exam.kind = kind;
            if kind.needs_name() && exam.authid.bytes().is_empty() {
                nameless = true;
                continue;
            }
            if let Some(there) = abroad.as_ref().filter(|there| there.knows(kind)) {
                let step = exam.start_abroad(there.clone(), hello, ctx);
                return (exam, step);
            }
            match exam.start(hello, any, ctx) {
                Begun::Skip => {}
                Begun::Step(state, step) => {
                    exam.state = state;
                    return (exam, step);
                }
                Begun::No(why, message) => {
                    let step = exam.refuse(why, message, ctx);
                    return (exam, step);
                }
            }
        }
        let why =
            if exam.authid.bytes().is_empty() { Refusal::Anonymous } else { Refusal::Unknown };
        let step = match nameless {
            true => exam.refuse(why, "missing authid", ctx),
            false => {
                exam.tell_refused(why, ctx);
                let message = "could not authenticate with any method";
                Step::Abort { reason: Reason::NoMatchingAuthMethod, message }
            }
        };
        (exam, step)
    }

    /// How this login is counted: by the method that was taken.
    #[must_use]
    pub fn counted(&self) -> Method {
        self.kind.counted()
    }

    /// An AUTHENTICATE came.
    pub fn on_authenticate(&mut self, said: &Authenticate, ctx: &mut Ctx<'_>) -> Step {
        match core::mem::replace(&mut self.state, State::Over) {
            State::Ticket if self.abroad.is_some() => self.ticket_abroad(said, ctx),
            State::Ticket => self.on_ticket(said, ctx),
            State::Asked(asked) => {
                let proof = match asked.proof(said) {
                    Ok(proof) => proof,
                    Err(message) => return self.refuse(Refusal::Malformed, message, ctx),
                };
                if let Some(why) = self.unanswered {
                    return self.refuse(Refusal::Unanswered(why), self.kind.failure(), ctx);
                }
                let policy = &mut ctx.hub.policy;
                match policy.judge(ctx.now, &asked.riddle, &asked.words, &proof) {
                    Ok((who, vouched)) => {
                        let extra = asked.last_words(&vouched);
                        self.let_in(who, extra, ctx)
                    }
                    Err(why) => self.refuse(why, self.kind.failure(), ctx),
                }
            }
            // Nobody was asked, or it has answered already.
            State::Verifying(_) | State::Abroad(_) | State::Over => {
                let message = "AUTHENTICATE without a CHALLENGE";
                Step::Abort { reason: Reason::ProtocolViolation, message }
            }
        }
    }

    /// A worker has compared what `Step::Verify` asked to compare.
    pub fn on_verdict(&mut self, ok: bool, ctx: &mut Ctx<'_>) -> Step {
        let State::Verifying(claim) = core::mem::replace(&mut self.state, State::Over) else {
            return self.refuse(Refusal::Malformed, self.kind.failure(), ctx);
        };
        match ctx.hub.policy.verified(ctx.now, &claim, ok) {
            Ok(who) => self.let_in(who, None, ctx),
            Err(why) => self.refuse(why, self.kind.failure(), ctx),
        }
    }

    /// Begin by `self.kind`, if it fits.
    fn start(&self, hello: &Hello, any: bool, ctx: &mut Ctx<'_>) -> Begun {
        let Some(way) = self.kind.way() else {
            return match self.kind {
                _ if any => Begun::Skip,
                Kind::Cookie => self.by_cookie(hello, ctx),
                _ => self.unasked(ctx),
            };
        };
        let login = self.login(ctx);
        let policy = &ctx.hub.policy;
        if !(policy.offers(&login, way) || any && policy.knows(way)) {
            return Begun::Skip;
        }
        if ctx.hub.is_barred(ctx.now, &login) {
            return Begun::No(Refusal::Banned, self.kind.failure());
        }
        if self.kind == Kind::Ticket {
            let extra = ChallengeExtra::default();
            let challenge = Challenge { method: self.kind.name().into(), extra };
            return Begun::Step(State::Ticket, Step::Challenge(challenge));
        }
        let key = match ask::check(self.kind, hello) {
            Ok(key) => key,
            Err(message) => return Begun::No(Refusal::Malformed, message),
        };
        let Some(riddle) = ctx.hub.policy.challenge(ctx.now, &login, way, key.as_ref()) else {
            return Begun::Skip;
        };
        let (asked, extra) = Asked::new(self.kind, self.id, riddle, hello, ctx.now);
        let challenge = Challenge { method: self.kind.name().into(), extra };
        Begun::Step(State::Asked(Box::new(asked)), Step::Challenge(challenge))
    }

    /// Whoever comes in without being asked: by a certificate, or as nobody.
    fn unasked(&self, ctx: &mut Ctx<'_>) -> Begun {
        let by_certificate = self.kind == Kind::Tls;
        if by_certificate && ctx.certificate.is_none() {
            return Begun::Skip;
        }
        let certificate = ctx.certificate.filter(|_| by_certificate);
        // A name that is claimed here proves nothing and is not looked at.
        let login = Login { user: b"", certificate, ..self.login(ctx) };
        match ctx.hub.admit(ctx.now, &login) {
            Admit::Yes(who) if by_certificate => {
                let claimed = self.authid.bytes();
                match !who.user.is_empty() && (claimed.is_empty() || *claimed == who.user) {
                    true => Begun::Step(State::Over, self.let_in(who, None, ctx)),
                    false => Begun::Skip,
                }
            }
            Admit::Yes(who) => Begun::Step(State::Over, self.let_in(who, None, ctx)),
            Admit::No(Refusal::Anonymous) => Begun::Skip,
            Admit::No(why) => Begun::No(why, self.kind.failure()),
            Admit::Busy => Begun::Step(State::Over, self.busy(ctx)),
            Admit::Verify { secret, hash, claim } => {
                let tag = claim.tag;
                Begun::Step(State::Verifying(Box::new(claim)), Step::Verify { secret, hash, tag })
            }
        }
    }

    /// Whoever shows a cookie that was given to it, in the realm where it was let in, and does not
    /// say that it is another; as what it is by now.
    fn by_cookie(&self, hello: &Hello, ctx: &mut Ctx<'_>) -> Begun {
        let (realm, name) = (hello.realm.as_str(), self.authid.bytes());
        let shown = ctx.hub.polls.cookies.shown(ctx.now, ctx.conn);
        let is_its = |it: &&Bearer| it.realm == realm && (name.is_empty() || *name == it.user);
        let Some(bearer) = shown.filter(is_its).cloned() else { return Begun::Skip };
        let policy = &ctx.hub.policy;
        let who = match bearer.vouched {
            true => policy.vouched(&bearer.user, &bearer.role),
            false => policy.recall(&bearer.user),
        };
        let Some(who) = who else { return Begun::Skip };
        let mut step = self.let_in(who, None, ctx);
        if let Step::In(admitted) = &mut step {
            admitted.provider = if bearer.vouched { ABROAD } else { PROVIDER };
        }
        Begun::Step(State::Over, step)
    }

    fn on_ticket(&mut self, said: &Authenticate, ctx: &mut Ctx<'_>) -> Step {
        let password = Some(&said.signature.bytes()[..]);
        let login = Login { password, ..self.login(ctx) };
        match ctx.hub.admit(ctx.now, &login) {
            Admit::Yes(who) => self.let_in(who, None, ctx),
            Admit::No(why) => self.refuse(why, self.kind.failure(), ctx),
            Admit::Busy => self.busy(ctx),
            Admit::Verify { secret, hash, claim } => {
                let tag = claim.tag;
                self.state = State::Verifying(Box::new(claim));
                Step::Verify { secret, hash, tag }
            }
        }
    }

    /// What the policy is asked. A certificate counts by its own method only, or it would make any
    /// ticket a good one.
    fn login<'a>(&'a self, ctx: &Ctx<'_>) -> Login<'a> {
        Login {
            protocol: "wamp",
            user: self.authid.bytes(),
            password: None,
            client_id: b"",
            certificate: None,
            address: ctx.address,
            loopback: ctx.loopback,
        }
    }

    fn let_in(&self, who: Principal, extra: Option<Box<AuthExtra>>, ctx: &mut Ctx<'_>) -> Step {
        // A key or a certificate has told the name only now.
        if ctx.hub.is_barred(ctx.now, &Login { user: &who.user, ..self.login(ctx) }) {
            return self.refuse(Refusal::Banned, self.kind.failure(), ctx);
        }
        let (authid, authrole) = match self.kind {
            Kind::Anonymous => (unforeseen(self.id, ctx), Text::from(self.kind.name())),
            _ => (Text::from_utf8(who.user.clone()).unwrap_or_default(), role(&who, ctx)),
        };
        let provider = if self.abroad.is_some() { ABROAD } else { PROVIDER };
        let method = self.kind.name();
        Step::In(Box::new(Admitted { who, authid, authrole, method, provider, extra }))
    }

    fn refuse(&self, why: Refusal, message: &'static str, ctx: &mut Ctx<'_>) -> Step {
        self.tell_refused(why, ctx);
        Step::Abort { reason: Reason::AuthenticationFailed, message }
    }

    /// Why is for the log: outside, all failures of a method look the same.
    fn tell_refused(&self, why: Refusal, ctx: &mut Ctx<'_>) {
        ctx.hub.stats.login(self.kind.counted(), Outcome::Refused);
        let (conn, address, user) = (ctx.conn, ctx.address, &self.authid.bytes()[..]);
        let event = Event::Refused { conn, address, user, client_id: b"", why };
        ctx.hub.observer.see(ctx.now, &event);
    }

    fn busy(&self, ctx: &mut Ctx<'_>) -> Step {
        ctx.hub.stats.login(self.kind.counted(), Outcome::Busy);
        Step::Busy
    }
}

/// A name for somebody who has none, which cannot be guessed from outside.
fn unforeseen(id: u64, ctx: &Ctx<'_>) -> Text {
    let key = (ctx.conn.index, ctx.conn.life, id);
    let realm = ctx.hub.realm(ctx.listener.realm);
    let secret = |turn: u8| realm.map_or(id, |realm| realm.names.secret((key, turn)));
    format!("{:016x}{:016x}", secret(0), secret(1)).into()
}

fn role(who: &Principal, ctx: &Ctx<'_>) -> Text {
    let role = Text::from_utf8(ctx.hub.policy.role(who)).unwrap_or_default();
    if role.bytes().is_empty() { Text::from(ROLE) } else { role }
}

/// The users are those of a file.
pub(super) const PROVIDER: &str = "static";
/// They are those that a procedure vouches for.
const ABROAD: &str = "dynamic";
/// The role of users where there are no groups.
const ROLE: &str = "user";
