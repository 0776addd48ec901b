//! Floor 1. What may lie between a socket and a protocol: a proxy's header, TLS, WebSocket frames.
//!
//! A link turns arriving bytes into those the peer is to hear, in the buffer they came in, and
//! wraps what the peer says; a plain one does neither and costs one comparison. Layers lie in one
//! order: proxy header, TLS, then either bare bytes or a WebSocket, and the first bytes inside tell
//! which when a listener leaves it open. A layer that is done with is taken away. Reading order:
//! `sniff`, `proxy`, `ws_handshake`, `origin`, `ws`, `ws_frame`, `ws_message`, `tls`, `toward`,
//! `certificate`, `connectors`, `flaw`. Absent on purpose: sockets, the protocols inside, deadlines
//! (a connection has one from its first moment, and a handshake only uses it up), and what happens
//! to whoever breaks a rule.

pub mod certificate;
#[cfg(feature = "tls")]
mod connectors;
mod flaw;
#[cfg(any(test, feature = "testing"))]
pub mod fuzzing;
#[cfg(not(feature = "tls"))]
pub mod no_tls;
pub mod origin;
pub mod proxy;
pub mod sniff;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "tls")]
mod toward;
mod ws;
pub mod ws_frame;
pub mod ws_handshake;
pub mod ws_message;

#[cfg(test)]
mod certificate_test;
#[cfg(test)]
mod link_test;
#[cfg(test)]
mod proxy_test;
#[cfg(test)]
mod sniff_test;
#[cfg(all(test, feature = "tls"))]
mod tls_test;
#[cfg(all(test, feature = "tls"))]
mod toward_test;
#[cfg(test)]
mod ws_frame_test;
#[cfg(test)]
mod ws_handshake_test;
#[cfg(test)]
mod ws_message_test;

pub use flaw::Flaw;
#[cfg(not(feature = "tls"))]
pub use no_tls as tls;
pub use sniff::{Carrier, Spoken};

use core::net::IpAddr;

use bytes::{Buf, BytesMut};

use crate::base::cidr::Cidr;
use crate::base::limits::Limits;
use crate::base::outbound::Outbound;
use crate::base::time::Now;

use origin::Implied;
use sniff::First;
use tls::Tls;
use ws::Ws;
use ws_handshake::Visit;

/// What a listener wraps its connections in.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// TLS, by this configuration.
    pub tls: Option<tls::Config>,
    /// What comes next.
    pub inside: Inside,
    /// Protocols that may be found behind a WebSocket or by first bytes.
    pub speaks: Vec<Spoken>,
    /// Where the WebSocket is; without any, at `/`, `/ws` and the names of the protocols.
    pub paths: Vec<String>,
    /// Of which origins pages may come, besides its own host's; without any, that depends on what
    /// their browsers bring along. `*`: of all.
    pub origins: Vec<String>,
    /// Trusted proxies begin with a PROXY header.
    pub proxy: bool,
    /// Whose word about addresses is taken.
    pub trusted: Vec<Cidr>,
    /// For a relay: how each of its upstreams is spoken to, where that is within TLS.
    pub toward: Vec<Option<tls::Toward>>,
    /// How those who are silent are asked whether they are there, if not as everywhere.
    pub pings: Pings,
    /// So many seconds a cookie stands for whoever came by HTTP and was let in; 0: none is given.
    pub cookie_s: u64,
}

/// When somebody silent is pinged, and how long an answer may take; none: as everywhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pings {
    /// After so long a silence; 0: never.
    pub ping_ms: Option<u64>,
    /// Nothing is heard for so long after it: it is gone.
    pub pong_ms: Option<u64>,
}

/// What is found inside of TLS, or at once without it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Inside {
    /// The protocol itself.
    #[default]
    Bare,
    /// A WebSocket.
    Ws,
    /// The first bytes tell.
    Any,
}

impl Terms {
    /// Is this address a trusted proxy's?
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|block| block.contains(address))
    }

    /// Is this spoken here? Who speaks WAMP does so in every form.
    fn takes(&self, spoken: Spoken) -> bool {
        let alike = |own: &Spoken| match (own, spoken) {
            (Spoken::Wamp(_), Spoken::Wamp(_)) => true,
            _ => *own == spoken,
        };
        self.speaks.iter().any(alike)
    }

    /// What stands behind the place where sessions of WAMP are spoken to by requests, if this path
    /// is there: beside each WebSocket.
    #[must_use]
    pub fn polled<'a>(&self, path: &'a str) -> Option<&'a str> {
        let (base, rest) = path.split_once("/lp/")?;
        let base = if base.is_empty() { "/" } else { base };
        (self.takes(Spoken::Wamp(Carrier::Raw)) && self.has_path(base)).then_some(rest)
    }

    fn has_path(&self, path: &str) -> bool {
        if self.paths.is_empty() {
            return matches!(path, "/" | "/mqtt" | "/prx1" | "/ws" | "/wamp");
        }
        self.paths.iter().any(|own| own == path)
    }
}

/// What lies between a socket and a peer.
#[derive(Debug)]
pub enum Link {
    /// Nothing.
    Plain,
    /// Something.
    Wrapped(Box<Wrapped>),
}

/// The layers of a connection.
#[derive(Debug)]
pub struct Wrapped {
    /// Where it comes from, as far as is known.
    from: Option<IpAddr>,
    /// A header must come first.
    proxy: bool,
    tls: Option<Tls>,
    inside: Layer,
    /// Whoever can come here is let in unasked.
    unasked: bool,
    /// Bytes that do not make a whole header, beginning or head yet.
    held: BytesMut,
}

#[derive(Debug)]
enum Layer {
    Bare,
    Unknown,
    /// A request's head is not whole; so much of it was looked through.
    Head(usize),
    /// A request that is not granted.
    Refused(Flaw),
    /// It was told why.
    Over,
    /// Apart, so that who has none pays nothing for it.
    Ws(Box<Ws>),
}

/// What arriving bytes told besides what is for the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Heard {
    /// A trusted proxy speaks for this address.
    pub address: Option<IpAddr>,
    /// The peer speaks this.
    pub spoken: Option<Spoken>,
    /// Who comes, as its request says.
    pub visit: Option<Visit>,
    /// Every layer is agreed upon; from now on the peer is heard.
    pub opened: bool,
    /// The peer has said everything.
    pub ended: bool,
    /// A rule was broken, behind what is for the peer.
    pub flaw: Option<Flaw>,
}

/// Why a connection ends, as a WebSocket says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parting {
    /// The code of a Close frame.
    pub code: u16,
    /// A word for people.
    pub reason: &'static str,
    /// It took too long: a request that is not whole is told so.
    pub late: bool,
}

impl Link {
    /// The link of a new connection.
    pub fn new(terms: &Terms, from: Option<IpAddr>) -> Result<Self, Flaw> {
        let proxy = terms.proxy && from.is_some_and(|from| terms.trusts(from));
        if !proxy && terms.tls.is_none() && terms.inside == Inside::Bare {
            return Ok(Self::Plain);
        }
        let tls = terms.tls.as_ref().map(Tls::new).transpose()?;
        let inside = match terms.inside {
            Inside::Bare => Layer::Bare,
            Inside::Ws => Layer::Head(0),
            Inside::Any => Layer::Unknown,
        };
        let held = BytesMut::new();
        let unasked = false;
        Ok(Self::Wrapped(Box::new(Wrapped { from, proxy, tls, inside, unasked, held })))
    }

    /// The link of a connection that we open, to this upstream of the listener's relay.
    pub fn toward(terms: &Terms, at: u16) -> Result<Self, Flaw> {
        let toward = terms.toward.get(usize::from(at)).and_then(Option::as_ref);
        let Some(tls) = toward.map(Tls::toward).transpose()? else { return Ok(Self::Plain) };
        let (inside, held) = (Layer::Bare, BytesMut::new());
        let tls = Some(tls);
        let (proxy, unasked) = (false, false);
        Ok(Self::Wrapped(Box::new(Wrapped { from: None, proxy, tls, inside, unasked, held })))
    }

    /// Whoever can come here is let in unasked, so a page must not come by somebody's browser.
    pub fn let_in_unasked(&mut self) {
        if let Self::Wrapped(it) = self {
            it.unasked = true;
        }
    }

    /// Every layer is agreed upon.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let Self::Wrapped(it) = self else { return true };
        let inside = matches!(it.inside, Layer::Bare | Layer::Ws(_));
        inside && !it.proxy && it.tls.as_ref().is_none_or(Tls::is_open)
    }

    /// Take what is the link's out of `chunk`; what is left in it is for the peer. `spare` is
    /// memory to work in, empty before and after.
    pub fn on_bytes(
        &mut self,
        now: Now,
        chunk: &mut BytesMut,
        spare: &mut BytesMut,
        terms: &Terms,
        limits: &Limits,
    ) -> Heard {
        let was_open = self.is_open();
        let Self::Wrapped(it) = self else { return Heard::default() };
        let mut heard = Heard::default();
        heard.flaw = it.unwrap(now, chunk, spare, terms, limits, &mut heard).err();
        if !it.proxy && it.tls.is_none() && matches!(it.inside, Layer::Bare) {
            *self = Self::Plain;
        }
        heard.opened = heard.flaw.is_none() && !was_open && self.is_open();
        heard
    }

    /// What is kept here for the peer until more has come takes so much memory.
    #[must_use]
    pub fn held(&self) -> usize {
        self.ws().map_or(0, Ws::held)
    }

    /// Bytes of it.
    #[must_use]
    pub fn begun(&self) -> usize {
        self.ws().map_or(0, Ws::begun)
    }

    fn ws(&self) -> Option<&Ws> {
        let Self::Wrapped(it) = self else { return None };
        if let Layer::Ws(ws) = &it.inside { Some(ws) } else { None }
    }

    /// One more field in the answer to the request, which was not said yet.
    pub fn add_field(&mut self, field: &str) {
        if let Self::Wrapped(it) = self
            && let Layer::Ws(ws) = &mut it.inside
        {
            ws.add_field(field);
        }
    }

    /// It has something to say of its own.
    #[must_use]
    pub fn has_words(&self) -> bool {
        let Self::Wrapped(it) = self else { return false };
        it.tls.as_ref().is_some_and(Tls::has_words) || it.inside.has_words()
    }

    /// The user name in the certificate that the client has shown.
    #[must_use]
    pub fn certificate(&self) -> Option<&str> {
        match self {
            Self::Wrapped(it) => it.tls.as_ref()?.name(),
            Self::Plain => None,
        }
    }
}

impl Wrapped {
    fn unwrap(
        &mut self,
        now: Now,
        chunk: &mut BytesMut,
        spare: &mut BytesMut,
        terms: &Terms,
        limits: &Limits,
        heard: &mut Heard,
    ) -> Result<(), Flaw> {
        if self.proxy {
            self.unhold(chunk);
            let header = proxy::header(chunk).inspect_err(|_| chunk.clear())?;
            let Some(header) = header else { return self.hold(chunk) };
            chunk.advance(header.len);
            self.proxy = false;
            heard.address = header.address;
            self.from = header.address.or(self.from);
        }
        let mut flaw = Ok(());
        if let Some(tls) = &mut self.tls {
            flaw = tls.take(now, chunk, spare);
            heard.ended = tls.has_ended();
            core::mem::swap(chunk, spare);
            spare.clear();
        }
        self.unhold(chunk);
        self.look_inside(chunk, terms, limits, heard)?;
        flaw
    }

    fn look_inside(
        &mut self,
        chunk: &mut BytesMut,
        terms: &Terms,
        limits: &Limits,
        heard: &mut Heard,
    ) -> Result<(), Flaw> {
        if let Layer::Unknown = self.inside {
            match sniff::sniff(chunk).inspect_err(|_| chunk.clear())? {
                First::Short => return self.hold(chunk),
                First::Http => self.inside = Layer::Head(0),
                First::Plain(spoken) if terms.takes(spoken) => {
                    heard.spoken = Some(spoken);
                    self.inside = Layer::Bare;
                }
                First::Plain(_) => {
                    chunk.clear();
                    return Err(Flaw::FirstBytes);
                }
            }
        }
        if let Layer::Head(seen) = self.inside {
            let head = self.head(seen, chunk, terms, limits, heard);
            let head = head.inspect_err(|flaw| {
                chunk.clear();
                self.inside = Layer::Refused(*flaw);
            });
            match head? {
                Some(ws) => self.inside = Layer::Ws(ws),
                None => return Ok(()),
            }
        }
        if let Layer::Ws(ws) = &mut self.inside {
            heard.ended |= ws.hear(chunk, limits)?;
        }
        Ok(())
    }

    /// The head of a request, once it is whole.
    fn head(
        &mut self,
        seen: usize,
        chunk: &mut BytesMut,
        terms: &Terms,
        limits: &Limits,
        heard: &mut Heard,
    ) -> Result<Option<Box<Ws>>, Flaw> {
        // The first letter tells garbage from a slow request.
        if !chunk.first().is_none_or(u8::is_ascii_uppercase) {
            return Err(Flaw::HttpMalformed);
        }
        let most = limits.http_head_bytes_max;
        let Some(len) = ws_handshake::head_len(chunk, seen) else {
            if chunk.len() > most {
                return Err(Flaw::HttpTooLong);
            }
            self.inside = Layer::Head(chunk.len());
            return self.hold(chunk).map(|()| None);
        };
        if len > most {
            return Err(Flaw::HttpTooLong);
        }
        let whole = chunk.get(..len).unwrap_or_default();
        let polls = ws_handshake::path_of(whole).and_then(|path| terms.polled(path)).is_some();
        let admin = terms.speaks.contains(&Spoken::Http);
        if (admin || polls) && !ws_handshake::asks_upgrade(whole) {
            // A request like any other: it stays where it is, for the peer.
            heard.spoken = Some(if polls { Spoken::Polls } else { Spoken::Http });
            self.inside = Layer::Bare;
            return Ok(None);
        }
        let head = chunk.split_to(len);
        let upgrade = ws_handshake::upgrade(&head, terms, self.from)?;
        ws_handshake::check_page(&head, terms, self.implied())?;
        heard.spoken = Some(upgrade.spoken);
        heard.address = upgrade.forwarded.or(heard.address);
        heard.visit = Some(upgrade.visit);
        Ok(Some(Box::new(Ws::new(upgrade.spoken, upgrade.answer))))
    }

    /// What a browser would bring along here.
    fn implied(&self) -> Implied {
        match self.tls.as_ref().and_then(Tls::name) {
            Some(_) => Implied::Certificate,
            None if self.unasked => Implied::Place,
            None => Implied::Nothing,
        }
    }

    /// Keep everything until more has come.
    fn hold(&mut self, chunk: &mut BytesMut) -> Result<(), Flaw> {
        self.held.extend_from_slice(chunk);
        chunk.clear();
        Ok(())
    }

    /// Put what was kept in front again.
    fn unhold(&mut self, chunk: &mut BytesMut) {
        if !self.held.is_empty() {
            let mut whole = core::mem::take(&mut self.held);
            whole.extend_from_slice(chunk);
            *chunk = whole;
        }
    }

    /// Say what waits, and what `say` puts there, into `out`; with `last`, also that nothing
    /// follows. `spare` is memory to work in. True: there is more that could be said at once.
    pub fn speak(
        &mut self,
        out: &mut Outbound,
        spare: &mut Outbound,
        share: usize,
        last: Option<Parting>,
        say: impl FnOnce(&mut Outbound) -> bool,
    ) -> bool {
        let Some(tls) = &mut self.tls else { return self.inside.speak(out, last, say) };
        let mut more = false;
        if tls.is_open() {
            tls.seal_backlog(share);
            if !tls.has_backlog() || last.is_some() {
                spare.clear();
                more = self.inside.speak(spare, last, say);
                tls.seal(spare, share);
                if spare.is_last() {
                    // One half of the conversation is over: TLS says so, and then the socket.
                    tls.close();
                    out.end();
                }
                spare.clear();
            }
        }
        if last.is_some() {
            tls.close();
        }
        tls.drain(out);
        more || tls.has_backlog()
    }
}

impl Layer {
    fn has_words(&self) -> bool {
        matches!(self, Self::Ws(ws) if ws.has_words())
    }

    fn speak(
        &mut self,
        out: &mut Outbound,
        last: Option<Parting>,
        say: impl FnOnce(&mut Outbound) -> bool,
    ) -> bool {
        let answer = match self {
            Self::Bare => return say(out),
            Self::Ws(ws) => return ws.speak(out, last, say),
            Self::Unknown | Self::Over => return false,
            Self::Head(_) => last.map(Parting::http),
            Self::Refused(flaw) => last.map(|_| ws_handshake::refusal(*flaw)),
        };
        if let Some(answer) = answer {
            out.put_slice(&answer);
            *self = Self::Over;
        }
        false
    }
}

impl Parting {
    fn http(self) -> Vec<u8> {
        if self.late { ws_handshake::late() } else { ws_handshake::unwelcome() }
    }
}
