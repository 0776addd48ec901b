//! Floor 1. Pages: which of them may come in by a browser that somebody else sits at.
//!
//! A browser says of which origin the page is (RFC 6455, 10.2); nobody else is bound to, so whoever
//! says nothing is no page and is kept out by who it is. A page can use what its browser brings
//! along unasked: the certificate of whoever sits there, and the place on the network that the
//! machine has. Where neither counts for anything, a page has to show a password like everybody,
//! and may be of any origin. Absent on purpose: cookies, which
//! are looked at for pages of this very host alone (`ws_handshake`), and passwords.

use super::{Flaw, Terms};

/// What a browser brings along that a page could use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Implied {
    /// Nothing that counts.
    Nothing,
    /// A certificate that says who it is.
    Certificate,
    /// Whoever can come here is let in unasked.
    Place,
}

/// Is this an origin that a listener may be told of?
#[must_use]
pub fn is_origin(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return matches!(text, "*" | "null") };
    let letters = !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric());
    letters && !rest.is_empty() && !rest.contains(['/', '?', '#', '@', ' '])
}

impl Terms {
    /// May a page of this origin come in, that asked for this host?
    pub fn welcomes(
        &self,
        origin: Option<&[u8]>,
        host: &[u8],
        implied: Implied,
    ) -> Result<(), Flaw> {
        let Some(origin) = origin else { return Ok(()) };
        let listed = |own: &String| own == "*" || own.as_bytes().eq_ignore_ascii_case(origin);
        let free = self.origins.is_empty() && implied == Implied::Nothing;
        if free || is_own(origin, host, implied) || self.origins.iter().any(listed) {
            return Ok(());
        }
        Err(Flaw::WsOrigin)
    }
}

/// Is the page from the host that it asks? Ports are not looked at: pages of all ports of a host
/// share its cookies too. Where the place alone lets in, a name does not count: somebody may have
/// had a name of his own lead here.
fn is_own(origin: &[u8], host: &[u8], implied: Implied) -> bool {
    let text = |bytes| core::str::from_utf8(bytes).ok();
    let (Some(origin), Some(host)) = (text(origin), text(host)) else { return false };
    let (Some((_, page)), host) = (origin.split_once("://"), bare(host)) else { return false };
    let near = || {
        let digits = host.trim_start_matches('[').trim_end_matches(']');
        let local = host.eq_ignore_ascii_case("localhost");
        local || digits.parse::<core::net::IpAddr>().is_ok()
    };
    bare(page).eq_ignore_ascii_case(host) && (implied != Implied::Place || near())
}

/// A host without its port.
fn bare(host: &str) -> &str {
    let end = match host.starts_with('[') {
        true => host.find(']').map_or(host.len(), |at| at + 1),
        false => host.find(':').unwrap_or(host.len()),
    };
    host.get(..end).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(origins: &[&str], origin: &str, host: &str, implied: Implied) -> bool {
        let origins = origins.iter().map(|origin| (*origin).into()).collect();
        let terms = Terms { origins, ..Terms::default() };
        terms.welcomes(Some(origin.as_bytes()), host.as_bytes(), implied).is_ok()
    }

    const ALL: [Implied; 3] = [Implied::Nothing, Implied::Certificate, Implied::Place];

    #[test]
    fn who_is_no_page_says_no_origin_and_is_no_matter_of_origins() {
        let terms = Terms { origins: vec!["https://a.example".into()], ..Terms::default() };
        for implied in ALL {
            assert_eq!(terms.welcomes(None, b"b.example", implied), Ok(()));
        }
    }

    #[test]
    fn a_page_of_any_origin_comes_where_its_browser_brings_nothing_that_counts() {
        for origin in ["http://evil.example", "null", "file://", ""] {
            assert!(may(&[], origin, "broker.example", Implied::Nothing), "{origin}");
            for implied in [Implied::Certificate, Implied::Place] {
                assert!(!may(&[], origin, "broker.example", implied), "{origin}");
                assert!(!may(&[], origin, "127.0.0.1:9001", implied), "{origin}");
            }
        }
    }

    #[test]
    fn a_page_of_the_host_itself_comes_from_any_port() {
        for (origin, host) in [
            ("http://127.0.0.1:3000", "127.0.0.1:9001"),
            ("http://localhost", "LOCALHOST:9001"),
            ("https://[::1]:5", "[::1]:9001"),
        ] {
            assert!(ALL.iter().all(|implied| may(&[], origin, host, *implied)), "{origin}");
        }
        for (origin, host) in [
            ("http://[::1]:5", "[::2]:5"),
            ("http://localhost.evil.example", "localhost"),
            ("http://evil.example:80", "localhost:80"),
            ("localhost", "localhost"),
        ] {
            assert!(!may(&[], origin, host, Implied::Certificate), "{origin}");
        }
    }

    #[test]
    fn a_name_that_leads_here_makes_no_page_our_own_where_the_place_lets_in() {
        let (origin, host) = ("http://evil.example", "evil.example:9001");
        assert!(!may(&[], origin, host, Implied::Place));
        // Within TLS its certificate would be ours, which no browser takes for that name.
        assert!(may(&[], origin, host, Implied::Certificate));
    }

    #[test]
    fn a_list_says_which_others_come_whatever_counts() {
        let list = ["https://app.example", "null"];
        for implied in ALL {
            assert!(may(&list, "HTTPS://app.example", "broker.example", implied));
            assert!(may(&list, "null", "broker.example", implied));
            assert!(!may(&list, "https://app.example:444", "broker.example", implied));
            assert!(!may(&list, "https://evil.example", "broker.example", implied));
            assert!(may(&["*"], "https://evil.example", "broker.example", implied));
        }
    }

    #[test]
    fn what_is_no_origin_is_told_from_one() {
        for good in ["*", "null", "http://a", "https://a.example:8443", "app://[::1]:3"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in ["", "a.example", "http://", "://a", "http://a/", "http://a b", "http://u@a"] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
