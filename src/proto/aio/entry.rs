//! Floor 3. How a client shows who it is where a listener keeps certificates or tokens, and how it
//! is given either.
//!
//! ```text
//! certificate of its own      the name that it is kept under; it is in without a word
//! the default one             may ask for one of its own, and nothing else; then it is let go
//! token                       the name that it was given to
//! ```
//!
//! Whatever it says, a question goes out first, and nothing more is read of it until the answer is
//! there. Who may be given what is decided where the names are kept; what is asked for twice is
//! refused there as well. Absent on purpose: keys, digests of tokens, and users' passwords.

use crate::base::hex;
use crate::base::id::{Lsn, Ticket};
use crate::base::stats::Counter;
use crate::proto::fault::{Fault, FaultKind};
use crate::proto::{Ask, Ctx};

use super::errand::{Errand, Fingerprint, Ran};
use super::inner::Meaning;
use super::names::Name;
use super::peer::{Comer, Peer, Reply, State, refuse};
use crate::hub::policy::Refusal;

/// What a question is about that a stranger waits with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum About {
    /// Whose is the certificate that it showed?
    Certificate,
    /// A certificate or a token for it.
    Gift,
    /// It shows a token.
    Token(Name),
}

impl Peer {
    /// All that lies below is agreed upon: a certificate was shown, where they are asked for.
    pub fn on_opened(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        let kept = ctx.listener.desk.as_ref().is_some_and(|desk| desk.knows_certificates());
        if !kept || !matches!(self.state, State::Stranger { .. }) {
            return Ok(());
        }
        let shown = ctx.certificate.and_then(fingerprint).ok_or(FaultKind::AioCredentials)?;
        self.ask(About::Certificate, Errand::Identify(shown), ctx);
        Ok(())
    }

    fn ask(&mut self, about: About, errand: Errand, ctx: &mut Ctx<'_>) {
        self.heard = ctx.now.mono;
        self.state = State::Asking { serial: self.go(errand, ctx), about: Box::new(about) };
    }

    /// Have that done; under which number the answer comes.
    pub(super) fn go(&mut self, errand: Errand, ctx: &mut Ctx<'_>) -> u32 {
        self.serial = self.serial.wrapping_add(1);
        if let Some(desk) = &ctx.listener.desk {
            let ticket = Ticket { conn: ctx.conn, serial: self.serial };
            ctx.asks.push(Ask::Errand { ticket, desk: desk.clone(), errand });
        }
        self.serial
    }

    /// A stranger's first word, where the listener keeps what clients show. False: it keeps
    /// nothing of the kind.
    pub(super) fn on_word(
        &mut self,
        meaning: &Meaning,
        guest: bool,
        ctx: &mut Ctx<'_>,
    ) -> Result<bool, Fault> {
        let Some(desk) = ctx.listener.desk.clone() else { return Ok(false) };
        let (certificates, tokens) = (desk.certificates.is_some(), desk.tokens.is_some());
        if !certificates && !tokens {
            return Ok(false);
        }
        if certificates && !guest {
            return Err(FaultKind::AioFirst.fault());
        }
        match meaning {
            Meaning::GetToken(name) if tokens => {
                self.ask(About::Gift, Errand::Token(name.detached()), ctx);
            }
            Meaning::Authenticate(name, token) if tokens => {
                let about = About::Token(name.detached());
                self.ask(about, Errand::Compare(name.detached(), token.clone()), ctx);
            }
            Meaning::GetCertificate(name) if certificates && !tokens => {
                self.ask(About::Gift, Errand::Certify(name.detached()), ctx);
            }
            Meaning::GetCertificate(_) | Meaning::GetToken(_) => {
                return Err(FaultKind::AioEnrol.fault());
            }
            // Its name would be its word alone.
            _ => return Err(FaultKind::AioCredentials.fault()),
        }
        Ok(true)
    }

    /// An errand is done.
    pub fn on_ran(&mut self, serial: u32, done: Ran, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        if self.filing.as_ref().is_some_and(|filing| filing.serial == serial) {
            return self.on_filed(done, ctx);
        }
        if self.on_piece(serial, &done, ctx)? || self.on_fetched(serial, &done)? {
            return Ok(());
        }
        let State::Asking { serial: asked, about } = &self.state else {
            ctx.hub.stats.count(Counter::StaleAnswers);
            return Ok(());
        };
        if *asked != serial {
            ctx.hub.stats.count(Counter::StaleAnswers);
            return Ok(());
        }
        let about = (**about).clone();
        self.heard = ctx.now.mono;
        let wants_token = ctx.listener.desk.as_ref().is_some_and(|desk| desk.tokens.is_some());
        match (about, done) {
            (About::Certificate, Ran::Known(name)) if !wants_token => {
                self.state = State::Over;
                self.admit(Comer { name, token: false, shown: true }, None, ctx)
            }
            (About::Certificate, Ran::Default) => {
                self.state = State::Stranger { guest: true };
                Ok(())
            }
            (About::Gift, Ran::Certified { crt, key }) => {
                self.give(Meaning::SetCertificate { crt, key }, ctx)
            }
            (About::Gift, Ran::Given(token)) => self.give(Meaning::SetToken(token), ctx),
            (About::Gift, _) => Err(FaultKind::AioEnrol.fault()),
            (About::Token(name), Ran::Right) => {
                self.state = State::Over;
                self.admit(Comer { name, token: true, shown: true }, None, ctx)
            }
            (About::Token(name), _) => {
                refuse(&Comer { name, token: true, shown: false }, Refusal::Unknown, ctx)
            }
            (About::Certificate, _) => Err(FaultKind::AioCredentials.fault()),
        }
    }

    /// It has what it shows from now on, and comes back with it at once.
    fn give(&mut self, gift: Meaning, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        self.state = State::Over;
        self.replies.push(Lsn::START, Reply::Give(Box::new(gift)));
        ctx.asks.push(Ask::Leave);
        Ok(())
    }
}

fn fingerprint(digits: &str) -> Option<Fingerprint> {
    hex::decode(digits.as_bytes())?.try_into().ok()
}
