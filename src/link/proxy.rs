//! Floor 1. The PROXY protocol: a trusted proxy says, before anything else, for whom it speaks.
//!
//! Both versions, known by their first bytes. What follows the header belongs to the connection
//! and is left alone. Who is trusted is decided before this is asked; from others the header is
//! just a wrong first packet. Absent on purpose: what else version 2 can tell (its fields are
//! skipped), and ports.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Flaw;

/// A header that is whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Its length; what follows is the connection's own.
    pub len: usize,
    /// For whom the proxy speaks; nobody when it speaks for itself.
    pub address: Option<IpAddr>,
}

/// Read the header in front of `input`; nothing when it is not whole yet.
pub fn header(input: &[u8]) -> Result<Option<Header>, Flaw> {
    if begins(input, SIGNATURE) {
        return second(input);
    }
    if begins(input, WORD) {
        return first(input);
    }
    Err(Flaw::ProxyMissing)
}

fn begins(input: &[u8], with: &[u8]) -> bool {
    input.iter().zip(with).all(|(a, b)| a == b)
}

/// `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443`, in one line.
fn first(input: &[u8]) -> Result<Option<Header>, Flaw> {
    let head = input.get(..LINE_MAX).unwrap_or(input);
    let Some(end) = head.windows(2).position(|pair| pair == b"\r\n") else {
        let hopeless = head.len() == LINE_MAX;
        return if hopeless { Err(Flaw::ProxyMalformed) } else { Ok(None) };
    };
    let line = head.get(WORD.len()..end).unwrap_or_default();
    let line = core::str::from_utf8(line).map_err(|_| Flaw::ProxyMalformed)?;
    let len = end + 2;
    let mut words = line.split(' ');
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        return Ok(Some(Header { len, address: None }));
    }
    let words: Vec<&str> = words.take(5).collect();
    let [source, target, from, to] = words.as_slice() else { return Err(Flaw::ProxyMalformed) };
    let port = |text: &str| text.parse::<u16>().is_ok();
    if !port(from) || !port(to) {
        return Err(Flaw::ProxyMalformed);
    }
    let ip = |text: &str| text.parse::<IpAddr>().map_err(|_| Flaw::ProxyMalformed);
    let (source, target) = (ip(source)?, ip(target)?);
    let fits = match family {
        "TCP4" => source.is_ipv4() && target.is_ipv4(),
        "TCP6" => source.is_ipv6() && target.is_ipv6(),
        _ => false,
    };
    let address = fits.then(|| source.to_canonical()).ok_or(Flaw::ProxyMalformed)?;
    Ok(Some(Header { len, address: Some(address) }))
}

/// Twelve bytes nobody else begins with, then numbers.
fn second(input: &[u8]) -> Result<Option<Header>, Flaw> {
    let Some([what, family, high, low]) = input.get(12..16) else { return Ok(None) };
    let local = match what {
        0x20 => true,
        0x21 => false,
        _ => return Err(Flaw::ProxyMalformed),
    };
    let body = usize::from(u16::from_be_bytes([*high, *low]));
    if body > BODY_MAX {
        return Err(Flaw::ProxyMalformed);
    }
    let len = 16 + body;
    let Some(body) = input.get(16..len) else { return Ok(None) };
    let address = match family {
        // Checks of the proxy's own, and families without an address we could show.
        _ if local => None,
        0x00 | 0x31 | 0x32 => None,
        0x11 | 0x12 => Some(v4(body)?),
        0x21 | 0x22 => Some(v6(body)?),
        _ => return Err(Flaw::ProxyMalformed),
    };
    Ok(Some(Header { len, address }))
}

fn v4(body: &[u8]) -> Result<IpAddr, Flaw> {
    match body {
        [a, b, c, d, rest @ ..] if rest.len() >= 8 => Ok(Ipv4Addr::new(*a, *b, *c, *d).into()),
        _ => Err(Flaw::ProxyMalformed),
    }
}

fn v6(body: &[u8]) -> Result<IpAddr, Flaw> {
    let source = body.first_chunk::<16>().filter(|_| body.len() >= 36);
    let source = source.ok_or(Flaw::ProxyMalformed)?;
    Ok(IpAddr::from(Ipv6Addr::from(*source)).to_canonical())
}

/// How version 2 begins.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// How version 1 begins.
const WORD: &[u8] = b"PROXY ";
/// The longest line of version 1, by its own text.
const LINE_MAX: usize = 107;
/// Fields of version 2 beyond this are nothing a proxy has to tell.
const BODY_MAX: usize = 4_096;
