//! Floor 3. Logins of those whom the users file does not name: a procedure of the realm is asked.
//!
//! A ticket is sent there and found good or not; of keys it says which is the one, and the proof
//! is judged here. Whoever is refused by it is challenged like anybody else and never right; so is
//! everybody whose answer does not come, comes too late or makes no sense, but that does not count
//! as a guess. The role that is answered is a group of the users file, so that what somebody may do
//! stands in one place. Absent on purpose: names that the file has, which are nobody else's to
//! vouch for; and keeping from others how long it takes.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::super::asking::{answer, question, unanswered};
use super::super::options::ChallengeExtra;
use super::super::packet::{Authenticate, Challenge, Hello};
use super::super::parts::Text;
use super::ask::{self, Asked};
use super::{Exam, Kind, State, Step};
use crate::hub::calls::{Payload as Load, Why};
use crate::hub::inquiries::{Inquiry, Told};
use crate::hub::policy::{Claim, Principal, Refusal, Secret};
use crate::hub::realm::{Asked as Terms, Salted};
use crate::hub::riddle::{Kdf, Key};
use crate::proto::Ctx;
use crate::value::Value;

/// Rounds that clients take when they are not told.
const ROUNDS: u32 = 1_000;
/// Bytes of a key likewise.
const LEN: u32 = 32;

/// A question that waits for its answer.
#[derive(Debug)]
pub(super) struct Abroad {
    number: u64,
    /// Under what the answer is remembered.
    key: [u8; 32],
    /// The public key that was shown.
    public: Option<[u8; 32]>,
}

/// Who is asked.
#[derive(Clone, Debug)]
pub(super) struct Elsewhere {
    asked: Arc<Terms>,
    /// The realm that the client wants to come to.
    about: Text,
}

impl Elsewhere {
    /// Is it asked about this method?
    pub(super) fn knows(&self, kind: Kind) -> bool {
        kind.way().is_some_and(|way| self.asked.ways.contains(&way))
    }
}

/// What was answered.
struct Vouch {
    role: Bytes,
    key: Option<Key>,
}

impl Exam {
    /// Who is asked about this name, if anybody is.
    pub(super) fn abroad(&self, hello: &Hello, ctx: &Ctx<'_>) -> Option<Elsewhere> {
        let asked = Arc::clone(&ctx.hub.terms_of(hello.realm.as_str())?.asked);
        asked.authenticator.as_ref()?;
        let name = self.authid.bytes();
        let foreign = !name.is_empty() && ctx.hub.policy.recall(name).is_none();
        foreign.then(|| Elsewhere { asked, about: hello.realm.detached() })
    }

    /// It begins by `self.kind`, and somebody else knows how it ends.
    pub(super) fn start_abroad(
        &mut self,
        there: Elsewhere,
        hello: &Hello,
        ctx: &mut Ctx<'_>,
    ) -> Step {
        self.abroad = Some(there);
        if ctx.hub.is_barred(ctx.now, &self.login(ctx)) {
            return self.refuse(Refusal::Banned, self.kind.failure(), ctx);
        }
        if self.kind == Kind::Ticket {
            self.state = State::Ticket;
            let extra = ChallengeExtra::default();
            return Step::Challenge(Challenge { method: self.kind.name().into(), extra });
        }
        match ask::check(self.kind, hello) {
            Err(message) => self.refuse(Refusal::Malformed, message, ctx),
            // It will hear that it is wrong, whatever it says.
            Ok(public) if self.must_wait(ctx) => self.conclude(None, None, public, ctx),
            Ok(public) => {
                let shown = public.map(|key| crate::base::hex::encode(&key));
                let said = shown.as_deref().map(|key| ("pubkey", key));
                self.inquire(said, public, ctx)
            }
        }
    }

    /// The ticket came.
    pub(super) fn ticket_abroad(&mut self, said: &Authenticate, ctx: &mut Ctx<'_>) -> Step {
        if self.must_wait(ctx) {
            return self.conclude(None, None, None, ctx);
        }
        let said = Some(("ticket", said.signature.as_str()));
        self.inquire(said, None, ctx)
    }

    fn must_wait(&self, ctx: &Ctx<'_>) -> bool {
        ctx.hub.policy.must_wait(ctx.now, &self.login(ctx))
    }

    /// What was asked was answered, or was not.
    pub fn on_told(&mut self, told: Told, ctx: &mut Ctx<'_>) -> Step {
        let State::Abroad(asked) = core::mem::replace(&mut self.state, State::Over) else {
            return self.refuse(Refusal::Malformed, self.kind.failure(), ctx);
        };
        match told {
            Told::Answer(payload) => self.heed(&payload, &asked, true, ctx),
            // It knows nobody of that name, or nobody who shows this.
            Told::Nothing(Why::Said(_)) => self.conclude(None, None, asked.public, ctx),
            Told::Nothing(why) => self.unanswered(unanswered(&why), asked.public, ctx),
        }
    }

    /// Whose answer it waits for.
    pub(crate) fn asked(&self) -> Option<u64> {
        match &self.state {
            State::Abroad(asked) => Some(asked.number),
            _ => None,
        }
    }

    /// Ask, unless the answer is known.
    fn inquire(
        &mut self,
        said: Option<(&str, &str)>,
        public: Option<[u8; 32]>,
        ctx: &mut Ctx<'_>,
    ) -> Step {
        let Some(there) = self.abroad.clone() else {
            return self.refuse(Refusal::Malformed, self.kind.failure(), ctx);
        };
        let mut asked = Abroad { number: 0, key: self.key(&there, said, ctx), public };
        if let Some(payload) = ctx.hub.inquiries.known(ctx.now, &asked.key).cloned() {
            return self.heed(&payload, &asked, false, ctx);
        }
        let realm = there.asked.realm.as_deref().unwrap_or(there.about.as_str());
        let inquiry = Inquiry {
            realm: ctx.hub.realm_named(realm),
            conn: ctx.conn,
            procedure: there.asked.authenticator.clone().unwrap_or_default(),
            payload: self.question(there.about.as_str(), said, ctx),
            wait_ms: there.asked.wait_ms,
        };
        asked.number = ctx.hub.inquire(ctx.now, inquiry);
        self.state = State::Abroad(Box::new(asked));
        Step::Ask
    }

    fn question(&self, realm: &str, said: Option<(&str, &str)>, ctx: &Ctx<'_>) -> Load {
        let from = ctx.address.to_string();
        question(|w| {
            w.list(3).text(realm).text(self.authid.as_str());
            w.map(3 + usize::from(said.is_some()));
            w.key("authmethod").text(self.kind.name()).key("session").uint(self.id);
            w.key("address").text(&from);
            if let Some((name, text)) = said {
                w.key(name).text(text);
            }
            w.end().end();
        })
    }

    /// All that an answer may hang on, but the number of the session, which says nothing of who
    /// somebody is. A digest, because what is shown may be a secret.
    fn key(&self, there: &Elsewhere, said: Option<(&str, &str)>, ctx: &Ctx<'_>) -> [u8; 32] {
        let mut sum = Sha256::new();
        // Nobody can look it up elsewhere.
        let own = ctx.hub.realm(ctx.listener.realm);
        sum.update(own.map_or(0, |realm| realm.names.secret("answers")).to_be_bytes());
        let (name, shown) = said.unwrap_or_default();
        let procedure = there.asked.authenticator.as_deref().unwrap_or_default();
        let asked_in = there.asked.realm.as_deref().unwrap_or_default().as_bytes();
        let (about, method) = (there.about.as_str(), self.kind.name());
        let (from, authid) = (ctx.address.to_string(), self.authid.as_str());
        let texts = [about, method, authid, &from, name, shown].map(str::as_bytes);
        for part in [procedure, asked_in].iter().chain(&texts) {
            sum.update((part.len() as u64).to_be_bytes());
            sum.update(part);
        }
        sum.finalize().into()
    }

    /// Do as was answered; `fresh`: that was just now.
    fn heed(&mut self, payload: &Load, asked: &Abroad, fresh: bool, ctx: &mut Ctx<'_>) -> Step {
        let terms = self.abroad.as_ref().map(|there| Arc::clone(&there.asked));
        let salted = terms.as_ref().and_then(|terms| terms.salted);
        let vouch = answer(payload).and_then(|value| vouch(&value, salted));
        let Some(vouch) = vouch.filter(|it| self.kind != Kind::Cra || it.key.is_some()) else {
            return self.unanswered("the answer makes no sense", asked.public, ctx);
        };
        let Some(who) = ctx.hub.policy.vouched(self.authid.bytes(), &vouch.role) else {
            let why = "the answer names a role that is not there";
            return self.unanswered(why, asked.public, ctx);
        };
        let keep_s = terms.filter(|_| fresh).map_or(0, |terms| terms.keep_s);
        if keep_s > 0 {
            let until = ctx.now.after_ms(keep_s.saturating_mul(1_000));
            let most = ctx.hub.limits.answers_known_max;
            ctx.hub.inquiries.remember(&asked.key, until, payload, most);
        }
        self.conclude(Some(who), vouch.key, asked.public, ctx)
    }

    /// Whether there is somebody is known now. Nobody hears of it before the end.
    fn conclude(
        &mut self,
        principal: Option<Principal>,
        key: Option<Key>,
        public: Option<[u8; 32]>,
        ctx: &mut Ctx<'_>,
    ) -> Step {
        let there = principal.is_some();
        let (user, address, loopback) = (self.authid.bytes().clone(), ctx.address, ctx.loopback);
        let claim = Claim { principal, user, address, loopback, tag: 0 };
        if self.kind == Kind::Ticket {
            return match ctx.hub.policy.verified(ctx.now, &claim, there) {
                Ok(who) => self.let_in(who, None, ctx),
                Err(why) => self.refuse(why, self.kind.failure(), ctx),
            };
        }
        let key = match self.kind {
            Kind::Cryptosign => public.map(Key::Public),
            _ => key,
        };
        let looks = self.looks();
        let Some(riddle) = ctx.hub.policy.pose(claim, key.filter(|_| there).ok_or(looks)) else {
            return self.refuse(Refusal::Unknown, self.kind.failure(), ctx);
        };
        let whose = (self.authid.as_str(), "");
        let (asked, extra) = Asked::of((self.kind, self.id), riddle, whose, ctx.now);
        self.state = State::Asked(Box::new(asked));
        Step::Challenge(Challenge { method: self.kind.name().into(), extra })
    }

    /// How somebody looks who is not there: as everybody does about whom is asked.
    fn looks(&self) -> (Kdf, usize) {
        let salted = self.abroad.as_ref().and_then(|there| there.asked.salted);
        match salted.filter(|_| self.kind == Kind::Cra) {
            Some(it) => (Kdf::Pbkdf2 { rounds: it.rounds, len: it.key_len }, it.len),
            None => (Kdf::Plain, 0),
        }
    }

    /// Nobody knows who it is: it is refused in the words that it would hear if it were nobody, at
    /// the time when it would hear them, but that is nobody's guess.
    fn unanswered(
        &mut self,
        why: &'static str,
        public: Option<[u8; 32]>,
        ctx: &mut Ctx<'_>,
    ) -> Step {
        if self.kind == Kind::Ticket {
            return self.refuse(Refusal::Unanswered(why), self.kind.failure(), ctx);
        }
        self.unanswered = Some(why);
        self.conclude(None, None, public, ctx)
    }
}

/// A role, or a role and what is signed with.
fn vouch(value: &Value, salted: Option<Salted>) -> Option<Vouch> {
    let role = value.as_text().or_else(|| value.get("role")?.as_text())?;
    let role = Bytes::copy_from_slice(role.as_bytes());
    let Some(secret) = value.get("secret") else { return Some(Vouch { role, key: None }) };
    let whole = |name: &str, usual: u32| match value.get(name) {
        None => Some(usual),
        Some(number) => u32::try_from(number.as_int()?).ok(),
    };
    let (rounds, len) = (whole("iterations", ROUNDS)?, whole("keylen", LEN)?);
    let salt = value.get("salt").map(Value::as_text);
    let (kdf, salt) = match (salt, salted) {
        (None, None) => (Kdf::Plain, Vec::new()),
        // One that looks unlike the others would show that it is there.
        (Some(Some(salt)), Some(all))
            if (salt.len(), rounds, len) == (all.len, all.rounds, all.key_len) =>
        {
            (Kdf::Pbkdf2 { rounds, len }, salt.as_bytes().to_vec())
        }
        _ => return None,
    };
    let key = Secret::new(secret.as_text().filter(|text| !text.is_empty())?.as_bytes());
    Some(Vouch { role, key: Some(Key::Mac { key, kdf, salt }) })
}
