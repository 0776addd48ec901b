//! Floor 1. WebSocket frames (RFC 6455): the client's are taken off, ours are put on.
//!
//! Most protocols inside are streams of their own packets, so a frame is only a stretch of bytes:
//! its payload is unmasked where it lies and passed on as it comes, and nothing is gathered but
//! headers and control frames, 14 and 125 bytes at most. A length is therefore never a reason to
//! allocate. Where a message counts as one, `ws_message` has a say at its beginning and its end.
//! Absent on purpose: compression.

use bytes::BytesMut;

use super::Flaw;
use super::ws_message::Messages;

/// What a client's frames are read by.
#[derive(Debug)]
pub struct Unframe {
    /// A header that is not whole yet, or a control frame's payload.
    part: [u8; 125],
    have: u8,
    /// Payload of the frame that is still to come.
    left: u64,
    mask: [u8; 4],
    opcode: u8,
    /// A message was begun and not ended.
    within: bool,
    closed: bool,
    /// Messages count; none: what frames hold is one stream.
    messages: Option<Box<Messages>>,
}

/// Places in the buffer that is walked through: `read` is looked at, `kept` is where payload moves
/// to, and `begin` is where a message in fragments begins. The first two part at the first header
/// and never meet again, since a header of ours is never longer than the client's.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) read: usize,
    pub(super) kept: usize,
    pub(super) begin: usize,
}

impl Default for Unframe {
    fn default() -> Self {
        Self {
            part: [0; 125],
            have: 0,
            left: 0,
            mask: [0; 4],
            opcode: CONTINUE,
            within: false,
            closed: false,
            messages: None,
        }
    }
}

impl Unframe {
    /// For a protocol to which messages count: of text, or of bytes.
    #[must_use]
    pub fn of_messages(text: bool) -> Self {
        Self { messages: Some(Box::new(Messages::new(text))), ..Self::default() }
    }

    /// Take off everything that is no payload. What is left in `chunk` is for the peer, also
    /// when a flaw comes behind it; what Pings want back is put behind `pongs`. The answer is the
    /// code of a Close. No frame may be longer than `max`, and no message that counts.
    pub fn take(
        &mut self,
        chunk: &mut BytesMut,
        max: u64,
        pongs: &mut Vec<u8>,
    ) -> Result<Option<u16>, Flaw> {
        let mut at = Places::default();
        let done = self.walk(chunk, max, &mut at, pongs);
        if let Some(messages) = &mut self.messages {
            messages.hold(chunk, &mut at, done.is_ok() && !self.closed);
        }
        chunk.truncate(at.kept);
        done
    }

    /// Bytes of a message whose end has not come.
    #[must_use]
    pub fn held(&self) -> usize {
        self.messages.as_ref().map_or(0, |messages| messages.held())
    }

    fn walk(
        &mut self,
        chunk: &mut BytesMut,
        max: u64,
        at: &mut Places,
        pongs: &mut Vec<u8>,
    ) -> Result<Option<u16>, Flaw> {
        while at.read < chunk.len() && !self.closed {
            if self.left > 0 {
                self.payload(chunk, at)?;
            } else if !self.header(chunk, at, max)? {
                break;
            }
            if self.left > 0 {
                continue;
            }
            if self.is_control() {
                if let Some(code) = self.control(pongs)? {
                    return Ok(Some(code));
                }
            } else if let Some(messages) = self.messages.as_mut().filter(|_| !self.within) {
                messages.end(chunk, at)?;
            }
        }
        Ok(None)
    }

    /// Bytes of a header; true when it is whole.
    fn header(&mut self, chunk: &mut BytesMut, at: &mut Places, max: u64) -> Result<bool, Flaw> {
        let from = usize::from(self.have);
        let whole = loop {
            let have = usize::from(self.have);
            let need = header_len(self.part.get(..have).unwrap_or_default());
            // What can be judged is judged before more is waited for.
            self.judge(have, max)?;
            if have == need {
                break true;
            }
            let (Some(byte), Some(place)) = (chunk.get(at.read), self.part.get_mut(have)) else {
                break false;
            };
            *place = *byte;
            self.have += 1;
            at.read += 1;
        };
        if let Some(messages) = &mut self.messages {
            let part = self.part.get(..usize::from(self.have)).unwrap_or_default();
            messages.begin(chunk, at, part, from);
        }
        if whole {
            self.begin();
        }
        Ok(whole)
    }

    /// The rules for as much of a header as is there.
    fn judge(&self, have: usize, max: u64) -> Result<(), Flaw> {
        let part = self.part.get(..have).unwrap_or_default();
        let Some(first) = part.first() else { return Ok(()) };
        if first & 0x70 != 0 {
            return Err(Flaw::WsReserved);
        }
        let (last, opcode) = (first & 0x80 != 0, first & 0x0f);
        let text = self.messages.as_ref().is_some_and(|messages| messages.are_text());
        match opcode {
            CONTINUE if !self.within => return Err(Flaw::WsFragment),
            TEXT | BINARY if self.within => return Err(Flaw::WsFragment),
            TEXT if !text => return Err(Flaw::WsText),
            BINARY if text => return Err(Flaw::WsBinary),
            CLOSE | PING | PONG if !last => return Err(Flaw::WsControl),
            CONTINUE | TEXT | BINARY | CLOSE | PING | PONG => {}
            _ => return Err(Flaw::WsOpcode),
        }
        let Some(second) = part.get(1) else { return Ok(()) };
        if second & 0x80 == 0 {
            return Err(Flaw::WsUnmasked);
        }
        if opcode & 0x8 != 0 && second & 0x7f > 125 {
            return Err(Flaw::WsControl);
        }
        let before = self.messages.as_ref().map_or(0, |messages| messages.before());
        match length(part) {
            // [RFC 6455, 5.2] The most significant bit must be 0, the shortest form is a must.
            Some((_, false)) => Err(Flaw::WsLength),
            // A control frame has a bound of its own.
            _ if opcode & 0x8 != 0 => Ok(()),
            Some((len, true)) if len.saturating_add(before) > max => Err(Flaw::WsTooLong),
            _ => Ok(()),
        }
    }

    /// The header is whole.
    fn begin(&mut self) {
        let head = self.part.get(..usize::from(self.have)).unwrap_or_default();
        let (first, rest) = (head.first().copied().unwrap_or_default(), head.len());
        self.left = length(head).map_or(0, |(len, _)| len);
        let mask = rest.checked_sub(4).and_then(|at| head.get(at..)).and_then(<[u8]>::first_chunk);
        self.mask = mask.copied().unwrap_or_default();
        self.opcode = first & 0x0f;
        self.have = 0;
        if !self.is_control() {
            self.within = first & 0x80 == 0;
            if let Some(messages) = &mut self.messages {
                messages.count(self.left);
            }
        }
    }

    fn is_control(&self) -> bool {
        self.opcode & 0x8 != 0
    }

    /// The payload that is there: to `kept`, or into the control frame.
    fn payload(&mut self, chunk: &mut [u8], at: &mut Places) -> Result<(), Flaw> {
        let n = chunk.len().saturating_sub(at.read).min(cap(self.left));
        let mut done = Ok(());
        if self.is_control() {
            let have = usize::from(self.have);
            let from = chunk.get(at.read..at.read + n);
            if let (Some(to), Some(from)) = (self.part.get_mut(have..have + n), from) {
                to.copy_from_slice(from);
                unmask(to, self.mask);
            }
            self.have += n as u8;
        } else {
            if at.kept != at.read {
                chunk.copy_within(at.read..at.read + n, at.kept);
            }
            let clear = chunk.get_mut(at.kept..at.kept + n).unwrap_or_default();
            unmask(clear, self.mask);
            at.kept += n;
            if let Some(messages) = &mut self.messages {
                done = messages.check(clear).map_err(|good| {
                    at.kept -= n - good;
                    Flaw::WsUtf8
                });
            }
        }
        self.mask.rotate_left(n % 4);
        at.read += n;
        self.left -= n as u64;
        done
    }

    /// A control frame is whole; the code of a Close.
    fn control(&mut self, pongs: &mut Vec<u8>) -> Result<Option<u16>, Flaw> {
        let said = self.part.get(..usize::from(self.have)).unwrap_or_default();
        let mut code = None;
        match self.opcode {
            PING => pong(said, pongs),
            CLOSE => {
                self.closed = true;
                code = Some(close_code(said)?);
            }
            _ => {}
        }
        (self.have, self.opcode) = (0, CONTINUE);
        Ok(code)
    }
}

/// Answer a Ping. [RFC 6455, 5.5.3] Of many that wait for their answers the last is enough.
fn pong(said: &[u8], pongs: &mut Vec<u8>) {
    if pongs.len() + 2 + said.len() > PONGS_MAX {
        pongs.clear();
    }
    pongs.extend_from_slice(&head(PONG, said.len()));
    pongs.extend_from_slice(said);
}

/// The code of a Close; 1005 stands for none and is never sent.
fn close_code(said: &[u8]) -> Result<u16, Flaw> {
    let (code, reason) = match said {
        [] => return Ok(NO_CODE),
        [_] => return Err(Flaw::WsClose),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Flaw::WsClose);
    }
    match core::str::from_utf8(reason) {
        Ok(_) => Ok(code),
        Err(_) => Err(Flaw::WsReason),
    }
}

/// Length of the header that begins so, mask and all, as far as can be told.
pub(super) fn header_len(part: &[u8]) -> usize {
    match part.get(1).map(|second| second & 0x7f) {
        None => 2,
        Some(126) => 8,
        Some(127) => 14,
        Some(_) => 6,
    }
}

/// Length of the payload, once its bytes are there, and whether it is well put.
pub(super) fn length(part: &[u8]) -> Option<(u64, bool)> {
    match (part.get(1)? & 0x7f, part.get(2..).unwrap_or_default()) {
        (126, rest) => {
            let len = u16::from_be_bytes(*rest.first_chunk()?);
            Some((len.into(), len > 125))
        }
        (127, rest) => {
            let len = u64::from_be_bytes(*rest.first_chunk()?);
            Some((len, len > 0xffff && len >> 63 == 0))
        }
        (len, _) => Some((len.into(), true)),
    }
}

/// The mask is applied eight bytes at a time: this is all that a large message costs here.
fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let word = u64::from(u32::from_le_bytes(mask));
    let word = word << 32 | word;
    let (eights, rest) = bytes.as_chunks_mut::<8>();
    for eight in eights {
        *eight = (u64::from_le_bytes(*eight) ^ word).to_le_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// The header of a frame of ours: whole, unmasked.
#[must_use]
pub fn head(opcode: u8, len: usize) -> Head {
    let mut bytes = [0; 10];
    let (size, used) = match len {
        0..=125 => (len as u8, 2),
        126..=0xffff => (126, 4),
        _ => (127, 10),
    };
    [bytes[0], bytes[1]] = [0x80 | opcode, size];
    match used {
        4 => bytes[2..4].copy_from_slice(&(len as u16).to_be_bytes()),
        10 => bytes[2..].copy_from_slice(&(len as u64).to_be_bytes()),
        _ => {}
    }
    Head { bytes, used }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    bytes: [u8; 10],
    used: usize,
}

impl core::ops::Deref for Head {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }
}

/// A Close frame; `reason` is cut to what fits.
#[must_use]
pub fn close(code: u16, reason: &str) -> Vec<u8> {
    if code == NO_CODE {
        return head(CLOSE, 0).to_vec();
    }
    let reason = reason.get(..reason.floor_char_boundary(123)).unwrap_or_default();
    let mut frame = head(CLOSE, 2 + reason.len()).to_vec();
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(reason.as_bytes());
    frame
}

fn cap(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// What follows belongs to the message begun before.
pub const CONTINUE: u8 = 0x0;
/// Text.
pub const TEXT: u8 = 0x1;
/// Bytes.
pub const BINARY: u8 = 0x2;
/// The end.
pub const CLOSE: u8 = 0x8;
/// Are you there?
pub const PING: u8 = 0x9;
/// I am.
pub const PONG: u8 = 0xa;
/// Answers to Pings that may wait for a reader who takes none: 32 of the longest.
const PONGS_MAX: usize = 4_064;
/// Stands for a Close without a code.
pub const NO_CODE: u16 = 1005;
