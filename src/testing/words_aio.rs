//! Floor 5. aioconnectors as a person writes it: a header in JSON, data, and perhaps a binary.
//!
//! ```text
//! a> hello ann                                   the frame that says a name
//! a> {"message_type":"any","source_id":"ann"} 'data' + 'binary'
//! a< {"message_type":"any","...":0} 'data'       "...": there may be other keys
//! a< {"message_type":"_ping","request_id":"@p","...":0}
//! a> raw 02000000 0000
//! ```
//!
//! `"*"` is anything, `"@x"` names what is there or means it, as in WAMP. A frame is as long as its
//! parts are, and its header is written as it stands here, so that a line can say what no encoder
//! would. Absent on purpose: what it means.

use super::script::{World, spell};
use super::words::bytes_of;
use super::words_wamp::{Names, encoded, value_of};
use crate::value::{Bounds, Form, Value, Walk};

/// Something said or heard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Phrase {
    header: String,
    data: Vec<u8>,
    binary: Option<Vec<u8>>,
}

/// A part of a frame, with its count before it.
fn section(part: &[u8]) -> Vec<u8> {
    [&(part.len() as u32).to_le_bytes()[..], part].concat()
}

impl Phrase {
    /// Understand it as far as that can be without a broker.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("hello ") {
            let header =
                format!("{{\"message_type\":\"_handshake_no_ssl\",\"source_id\":\"{name}\"}}");
            return Ok(Self { header, data: b"hello".to_vec(), binary: None });
        }
        let bounds = Bounds::default();
        let mut walk = Walk::new(Form::Json, text.as_bytes(), bounds);
        let span = walk.span().map_err(|flaw| format!("`{text}`: {}", flaw.text()))?;
        let header = String::from_utf8_lossy(span).into_owned();
        let rest = text.get(text.len() - walk.left()..).unwrap_or_default().trim();
        let (data, binary) = match rest.split_once("+ ") {
            Some((data, binary)) => (data.trim(), Some(bytes_of(binary)?)),
            None => (rest, None),
        };
        Ok(Self { header, data: bytes_of(data)?, binary })
    }

    /// As it is said.
    pub fn bytes(&self, names: &Names) -> Result<Vec<u8>, String> {
        let header = match self.header.contains("\"@") {
            true => encoded(&names.filled(&value_of(&self.header)?)?, Form::Json),
            false => self.header.clone().into_bytes(),
        };
        let mut frame = (header.len() as u16).to_le_bytes().to_vec();
        frame.extend_from_slice(&header);
        frame.extend_from_slice(&section(&self.data));
        self.binary.iter().for_each(|binary| frame.extend_from_slice(&section(binary)));
        Ok(section(&frame))
    }

    /// Hear it.
    pub fn hear(&self, world: &mut dyn World, who: &str, names: &mut Names) -> Result<(), String> {
        let count = world.hear(who, 4)?;
        let len = number(&count).ok_or_else(|| format!("{who} hears {}", spell(&count)))?;
        let frame = world.hear(who, len)?;
        let wrong = || format!("{who} hears {}", spell(&frame));
        let (two, rest) = frame.split_first_chunk::<2>().ok_or_else(wrong)?;
        let header_len = usize::from(u16::from_le_bytes(*two));
        let (header, rest) = rest.split_at_checked(header_len).ok_or_else(wrong)?;
        let (data, rest) = part(rest).ok_or_else(wrong)?;
        let binary = if rest.is_empty() { None } else { Some(part(rest).ok_or_else(wrong)?.0) };
        let mut walk = Walk::new(Form::Json, header, Bounds::default());
        let heard = Value::read(&mut walk).map_err(|flaw| flaw.text().to_owned())?;
        let same = names.agree(&value_of(&self.header)?, &heard)
            && data == self.data
            && binary == self.binary.as_deref();
        match same {
            true => Ok(()),
            false => Err(format!("{} and not {}", wrong(), self.header)),
        }
    }
}

fn number(bytes: &[u8]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
}

/// A part, and what follows it.
fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (count, rest) = bytes.split_at_checked(4)?;
    rest.split_at_checked(number(count)?)
}
