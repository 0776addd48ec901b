//! Floor 2. Cookies: who has shown who it is may come again by what its browser keeps.
//!
//! A cookie is drawn for each connection that shows none which is good, and is good for nothing
//! until whoever sits there was let in by another method. Then it stands for that user in that
//! realm, for so long and no longer: it is not drawn out by being used. There are so many of them,
//! and the oldest makes room. Nothing of them is on record, so a restart ends them all. Absent on
//! purpose: fields of requests (`link`), and whether there still is such a user (the policy's).

use std::collections::VecDeque;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::base::hex;
use crate::base::id::ConnId;
use crate::base::map::{Map, Seed};
use crate::base::time::{Deadline, Now};
use crate::link::Terms;
use crate::link::ws_handshake::{COOKIE, Cookie};

/// Whom a cookie stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bearer {
    /// In this realm.
    pub realm: String,
    /// The user.
    pub user: Bytes,
    /// In this role.
    pub role: Bytes,
    /// Somebody else than the policy vouched for it.
    pub vouched: bool,
}

#[derive(Clone, Copy, Debug)]
struct Came {
    shown: Option<Cookie>,
    given: Option<Cookie>,
    keep_s: u64,
}

/// All cookies.
#[derive(Debug)]
pub struct Cookies {
    key: [u64; 4],
    drawn: u64,
    /// What open connections have shown and were given.
    came: Map<ConnId, Came>,
    good: Map<Cookie, (Deadline, Bearer)>,
    /// The oldest first; some may be good no more.
    order: VecDeque<Cookie>,
}

impl Cookies {
    /// None.
    #[must_use]
    pub fn new(seed: Seed, key: u64) -> Self {
        let (came, good) = (Map::with_hasher(seed.clone()), Map::with_hasher(seed));
        Self { key: [key; 4], drawn: 0, came, good, order: VecDeque::new() }
    }

    /// From now on they are drawn with this, which nobody knows.
    pub fn seal(&mut self, key: [u64; 4]) {
        self.key = key;
    }

    /// Somebody came and has shown this. What it is to keep, if that is another.
    pub fn come(
        &mut self,
        now: Now,
        conn: ConnId,
        shown: Option<Cookie>,
        keep_s: u64,
    ) -> Option<Cookie> {
        let shown = shown.filter(|cookie| self.bearer(now, cookie).is_some());
        let given = shown.is_none().then(|| self.draw());
        self.came.insert(conn, Came { shown, given, keep_s });
        given
    }

    /// It is gone.
    pub fn leave(&mut self, conn: ConnId) {
        self.came.remove(&conn);
    }

    /// For whom the cookie stands that this connection has shown.
    #[must_use]
    pub fn shown(&self, now: Now, conn: ConnId) -> Option<&Bearer> {
        self.bearer(now, &self.came.get(&conn)?.shown?)
    }

    /// Whoever sits there was let in by another method than a cookie: what it was given stands for
    /// it. What it has shown, if that stands for somebody else, stands for nobody any more.
    pub fn admit(&mut self, now: Now, conn: ConnId, bearer: Bearer, most: usize) {
        let Some(came) = self.came.get(&conn).copied() else { return };
        if let Some(shown) = came.shown
            && self.bearer(now, &shown) != Some(&bearer)
        {
            self.good.remove(&shown);
        }
        let Some(given) = came.given.filter(|_| most > 0) else { return };
        while self.order.len() >= most
            && let Some(oldest) = self.order.pop_front()
        {
            self.good.remove(&oldest);
        }
        let until = now.after_ms(came.keep_s.saturating_mul(1_000));
        if self.good.insert(given, (until, bearer)).is_none() {
            self.order.push_back(given);
        }
    }

    /// Those of these users stand for nobody any more.
    pub fn forget(&mut self, is_other: impl Fn(&Bearer) -> bool) {
        self.good.retain(|_, (_, bearer)| !is_other(bearer));
        let good = &self.good;
        self.order.retain(|cookie| good.contains_key(cookie));
    }

    /// So many stand for somebody, or did until their time was over.
    #[must_use]
    pub fn len(&self) -> usize {
        self.good.len()
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.good.is_empty()
    }

    fn bearer(&self, now: Now, cookie: &Cookie) -> Option<&Bearer> {
        let (until, bearer) = self.good.get(cookie)?;
        (!now.reached(*until)).then_some(bearer)
    }

    fn draw(&mut self) -> Cookie {
        self.drawn += 1;
        let mut digest = Sha256::new();
        digest.update(b"cookie");
        for word in self.key.iter().chain([&self.drawn]) {
            digest.update(word.to_le_bytes());
        }
        let digest: [u8; 32] = digest.finalize().into();
        *digest.first_chunk().unwrap_or(&[0; 16])
    }
}

/// Somebody comes to a listener on these terms, and has shown this; the field that has its browser
/// keep another, if it should.
pub fn come(
    all: &mut Cookies,
    (now, conn): (Now, ConnId),
    shown: Option<Cookie>,
    terms: &Terms,
) -> Option<String> {
    let given = all.come(now, conn, shown, terms.cookie_s)?;
    Some(field(&given, terms.cookie_s, terms.tls.is_some()))
}

/// The field that has a browser keep it: told to no script, sent from no page of another site, and
/// in clear text only where it came so.
#[must_use]
fn field(cookie: &Cookie, keep_s: u64, secure: bool) -> String {
    let (text, secure) = (hex::encode(cookie), if secure { "; Secure" } else { "" });
    format!("{COOKIE}={text}; Max-Age={keep_s}; Path=/; HttpOnly; SameSite=Strict{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { mono: 1_000, wall: 0 };

    fn later(s: u64) -> Now {
        Now { mono: NOW.mono + s * 1_000 * crate::base::time::MS, ..NOW }
    }

    fn conn(index: u32) -> ConnId {
        ConnId { index, life: 1 }
    }

    fn who(user: &'static str) -> Bearer {
        let (user, role) = (Bytes::from_static(user.as_bytes()), Bytes::from_static(b"crew"));
        Bearer { realm: "default".into(), user, role, vouched: false }
    }

    fn cookies() -> Cookies {
        Cookies::new(Seed::with_seed(1), 2)
    }

    /// Somebody comes and is let in.
    fn login(all: &mut Cookies, at: u32, user: &'static str) -> Cookie {
        let given = all.come(NOW, conn(at), None, 60).expect("drawn");
        all.admit(NOW, conn(at), who(user), 2);
        given
    }

    #[test]
    fn a_cookie_is_good_for_whom_was_let_in_and_for_so_long() {
        let mut all = cookies();
        let given = all.come(NOW, conn(1), None, 60).expect("drawn");
        assert_ne!(all.come(NOW, conn(2), None, 60), Some(given), "each is another");
        assert!(all.come(NOW, conn(3), Some(given), 60).is_some(), "good for nothing yet");
        assert_eq!(all.shown(NOW, conn(3)), None);
        all.admit(NOW, conn(1), who("ann"), 2);
        assert_eq!(all.shown(NOW, conn(1)), None, "it has shown none");
        assert_eq!(all.come(NOW, conn(4), Some(given), 60), None, "it keeps what it has");
        assert_eq!(all.shown(NOW, conn(4)), Some(&who("ann")));
        all.leave(conn(4));
        assert_eq!(all.shown(NOW, conn(4)), None);
        assert_eq!(all.come(later(59), conn(5), Some(given), 60), None);
        assert_eq!(all.shown(later(60), conn(5)), None, "its time is over though it was used");
        assert!(all.come(later(60), conn(6), Some(given), 60).is_some());
    }

    #[test]
    fn there_are_so_many_and_the_oldest_makes_room() {
        let mut all = cookies();
        let given = ["ann", "bob", "cat"].map(|user| login(&mut all, 1, user));
        for (at, good) in [(0, false), (1, true), (2, true)] {
            all.come(NOW, conn(2), Some(given[at]), 60);
            assert_eq!(all.shown(NOW, conn(2)).is_some(), good, "{at}");
        }
        assert_eq!(all.len(), 2);
        all.come(NOW, conn(3), None, 60);
        all.admit(NOW, conn(3), who("dan"), 0);
        assert_eq!(all.len(), 2, "none are kept where none may be");
    }

    #[test]
    fn who_comes_as_another_ends_the_cookie_that_it_has_shown() {
        let mut all = cookies();
        let given = login(&mut all, 1, "ann");
        all.come(NOW, conn(2), Some(given), 60);
        all.admit(NOW, conn(2), who("ann"), 2);
        assert_eq!(all.shown(NOW, conn(2)), Some(&who("ann")), "the same is no other");
        all.admit(NOW, conn(2), who("bob"), 2);
        assert_eq!(all.shown(NOW, conn(2)), None);
        let given = login(&mut all, 1, "cat");
        all.forget(|bearer| bearer.user == b"cat"[..]);
        assert!(all.come(NOW, conn(3), Some(given), 60).is_some() && all.is_empty());
    }

    #[test]
    fn a_browser_is_told_to_keep_it_to_itself() {
        let text = field(&[0xab; 16], 60, false);
        let plain = "spindle-wamp=abababababababababababababababab; Max-Age=60; Path=/; HttpOnly; \
                     SameSite=Strict";
        assert_eq!(text, plain);
        assert_eq!(field(&[0xab; 16], 60, true), format!("{plain}; Secure"));
    }
}
