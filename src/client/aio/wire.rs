//! Floor 5. One connection of a client of aioconnectors: a pipe, and the frames in it.
//!
//! A frame is read whole, within a bound, but for a long one that brings a file: of that the head
//! comes first and then the file piece by piece, so that it never is in memory. Absent on purpose:
//! what frames mean, and any clock but the deadline it is handed.

#![expect(clippy::disallowed_types, reason = "a client on its own thread reads its own clock")]

use std::io::IoSlice;
use std::net::TcpStream;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use mio::Waker;

use crate::base::outbound::Outbound;
use crate::client::mqtt::Session;
use crate::client::pipe::{Broke, Pipe, Socket};
use crate::proto::aio::decode::HEAD;
use crate::proto::aio::file::WithFile;
use crate::proto::aio::{Frame, encode, encode_vec, frame_len, next};

use super::Error;
use super::setup::{Place, Plan};

/// What comes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// A frame.
    Frame(Frame),
    /// A frame whose file follows: the binary is the application's part of it. How long the file
    /// is.
    Begin(Frame, u64),
    /// The next piece of that file.
    More(Bytes),
    /// It is whole.
    End,
}

/// What has come and is not understood yet.
#[derive(Debug)]
pub(super) struct Inlet {
    bytes: BytesMut,
    /// What is kept in memory at most.
    max: usize,
    /// Files that are longer are handed out in pieces.
    whole_max: usize,
    /// What is to come of a file.
    rest: Option<u64>,
}

impl Inlet {
    pub(super) fn new(max: usize) -> Self {
        Self { bytes: BytesMut::new(), max, whole_max: WHOLE_MAX.min(max), rest: None }
    }

    /// What has come whole.
    pub(super) fn next(&mut self) -> Result<Option<Came>, Error> {
        if let Some(rest) = &mut self.rest {
            if *rest == 0 {
                self.rest = None;
                return Ok(Some(Came::End));
            }
            let len = self.bytes.len().min(usize::try_from(*rest).unwrap_or(usize::MAX));
            if len == 0 {
                return Ok(None);
            }
            *rest -= len as u64;
            return Ok(Some(Came::More(self.bytes.split_to(len).freeze())));
        }
        let Some(len) = frame_len(&self.bytes, u32::MAX as usize)? else { return Ok(None) };
        if len > self.whole_max {
            match self.begin(len)? {
                Some(Begun::Comes) => return Ok(None),
                Some(Begun::Frame(frame, size)) => {
                    self.rest = Some(size);
                    return Ok(Some(Came::Begin(*frame, size)));
                }
                None => {}
            }
        }
        if len > COPY_MAX || self.bytes.len() < len {
            return Ok(next(&mut self.bytes, self.max)?.map(Came::Frame));
        }
        // A small one must not keep everything in memory that was read with it.
        let mut own = BytesMut::from(self.bytes.get(..len).unwrap_or_default());
        self.bytes.advance(len);
        Ok(next(&mut own, self.max)?.map(Came::Frame))
    }

    /// The head of a long frame, if it brings a file; none if it is to be read whole.
    fn begin(&mut self, len: usize) -> Result<Option<Begun>, Error> {
        let count = |at: usize| -> Option<usize> {
            let four = self.bytes.get(at..)?.first_chunk::<4>()?;
            usize::try_from(u32::from_le_bytes(*four)).ok()
        };
        let comes = Ok(Some(Begun::Comes));
        let Some(two) = self.bytes.get(HEAD..).and_then(|rest| rest.first_chunk::<2>()) else {
            return comes;
        };
        let data_at = HEAD + 2 + usize::from(u16::from_le_bytes(*two));
        let Some(data) = count(data_at) else { return comes };
        // `frame_len` has found it to end within the frame.
        let binary_at = data_at + 4 + data;
        if binary_at == len || data > self.whole_max {
            return Ok(None);
        }
        let Some(binary) = count(binary_at) else { return comes };
        if binary_at + 4 + binary != len {
            return Ok(None);
        }
        // The same frame without its binary, which the decoder can read already.
        let mut head = BytesMut::with_capacity(binary_at + 4);
        head.extend_from_slice(&(binary_at as u32).to_le_bytes());
        head.extend_from_slice(self.bytes.get(HEAD..binary_at).unwrap_or_default());
        head.extend_from_slice(&[0; 4]);
        let Some(mut frame) = next(&mut head, usize::MAX)? else { return Ok(None) };
        let own = match WithFile::of(&frame) {
            Ok(Some(file)) if file.file_error.is_none() => file.binary_offset.unwrap_or(0),
            _ => return Ok(None),
        };
        let Some(own) = usize::try_from(own).ok().filter(|own| *own <= binary.min(self.whole_max))
        else {
            return Ok(None);
        };
        if self.bytes.len() < binary_at + 4 + own {
            return comes;
        }
        self.bytes.advance(binary_at + 4);
        frame.binary = self.bytes.split_to(own).freeze();
        Ok(Some(Begun::Frame(Box::new(frame), (binary - own) as u64)))
    }
}

enum Begun {
    /// More of it must have come.
    Comes,
    Frame(Box<Frame>, u64),
}

/// A frame without the last bytes of its binary, of which so many follow; its counts know them.
pub(super) fn head_of(frame: &Frame, follow: u64) -> Result<Vec<u8>, Error> {
    let mut whole = frame.clone();
    let own = frame.binary.len();
    if own == 0 {
        // Something must be there, or the header does not say so.
        whole.binary = Bytes::from_static(b"-");
    }
    let mut head = encode_vec(&whole)?;
    let at = head.len() - whole.binary.len();
    head.truncate(at + own);
    let binary = own as u64 + follow;
    let len = u32::try_from((at - HEAD) as u64 + binary).map_err(|_| Error::TooLarge)?;
    let counts = [(0, len), (at - 4, u32::try_from(binary).map_err(|_| Error::TooLarge)?)];
    for (place, count) in counts {
        if let Some(four) = head.get_mut(place..place + 4) {
            four.copy_from_slice(&count.to_le_bytes());
        }
    }
    Ok(head)
}

/// A connection.
#[derive(Debug)]
pub(super) struct Wire {
    pipe: Pipe,
    inlet: Inlet,
    scratch: Outbound,
    /// Has the system acknowledge at once what was read.
    prompt: Option<fn(BorrowedFd<'_>)>,
}

impl Wire {
    /// Dial, and come through the handshake of TLS.
    pub(super) fn open(
        plan: &Plan,
        tls: Option<Session>,
        deadline: Instant,
    ) -> Result<Self, Error> {
        let socket = match &plan.place {
            Place::Tcp(host, port) => {
                let by = |address, left| TcpStream::connect_timeout(&address, left);
                Socket::tcp((host, *port), deadline, by)?
            }
            Place::Unix(path) => Socket::unix(path)?,
        };
        let mut pipe = Pipe::new(socket, tls)?;
        let mut inlet = Inlet::new(plan.frame_max);
        pipe.shake_hands(&mut inlet.bytes, deadline)?;
        Ok(Self { pipe, inlet, scratch: Outbound::default(), prompt: None })
    }

    /// Somebody has called: come through the handshake of TLS, if there is to be one. Until it is
    /// known who that is, nothing longer is read.
    pub(super) fn accept(
        stream: TcpStream,
        tls: Option<Session>,
        deadline: Instant,
    ) -> Result<Self, Error> {
        // What is small goes at once; a socket that cannot be told so is as good.
        let _ = stream.set_nodelay(true);
        stream.set_nonblocking(true).map_err(Error::io)?;
        let socket = Socket::Tcp(mio::net::TcpStream::from_std(stream));
        let mut pipe = Pipe::new(socket, tls)?;
        let mut inlet = Inlet::new(STRANGER_MAX);
        pipe.shake_hands(&mut inlet.bytes, deadline)?;
        Ok(Self { pipe, inlet, scratch: Outbound::default(), prompt: None })
    }

    /// It is known who that is: frames up to this length are read.
    pub(super) fn trust(&mut self, max: usize) {
        (self.inlet.max, self.inlet.whole_max) = (max, WHOLE_MAX.min(max));
    }

    /// The certificate that the other side has shown.
    pub(super) fn shown(&self) -> Option<&[u8]> {
        self.pipe.shown()
    }

    pub(super) fn waker(&self) -> Arc<Waker> {
        self.pipe.waker()
    }

    /// Bytes that were said and not written.
    pub(super) fn waiting(&self) -> usize {
        self.pipe.waiting()
    }

    /// Bytes that the socket has taken.
    pub(super) fn written(&self) -> u64 {
        self.pipe.written()
    }

    /// Say a frame.
    pub(super) fn send(&mut self, frame: &Frame) -> Result<(), Error> {
        self.scratch.clear();
        encode(frame, &mut self.scratch)?;
        let mut pieces: Vec<IoSlice<'_>> = Vec::with_capacity(4);
        self.scratch.pieces(0, usize::MAX, &mut pieces);
        for piece in pieces {
            self.pipe.seal(&piece)?;
        }
        Ok(())
    }

    /// Say the beginning of a frame behind which a file of this length follows.
    pub(super) fn send_head(&mut self, frame: &Frame, file: u64) -> Result<(), Error> {
        Ok(self.pipe.seal(&head_of(frame, file)?)?)
    }

    /// Say a piece of that file.
    pub(super) fn send_piece(&mut self, piece: &[u8]) -> Result<(), Error> {
        Ok(self.pipe.seal(piece)?)
    }

    /// Write as much as the socket takes.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        Ok(self.pipe.flush()?)
    }

    /// Wait until there is something to read, or to write what waits, or somebody woke us. While
    /// nothing is to be read, what has arrived is no reason to come back.
    pub(super) fn wait(&mut self, most: Option<Duration>) -> Result<(), Error> {
        self.pipe.wait(most)?;
        Ok(())
    }

    /// The socket may have something to read.
    pub(super) fn is_readable(&self) -> bool {
        self.pipe.is_readable()
    }

    /// Read what has arrived, up to a bound; false: there will be nothing more.
    pub(super) fn receive(&mut self) -> Result<bool, Error> {
        let before = self.inlet.bytes.len();
        let open = self.pipe.receive(&mut self.inlet.bytes)?;
        if let Some(prompt) = self.prompt
            && self.inlet.bytes.len() > before
        {
            self.pipe.with_descriptor(prompt);
        }
        Ok(open)
    }

    /// What is read is to be acknowledged at once: a connector of the original says a frame in two
    /// pieces, and its system keeps the second until then (specification 14).
    pub(super) fn prompt(&mut self, prompt: fn(BorrowedFd<'_>)) {
        self.prompt = Some(prompt);
        self.pipe.with_descriptor(prompt);
    }

    /// Bytes that were read and not understood yet.
    pub(super) fn unread(&self) -> usize {
        self.inlet.bytes.len()
    }

    /// What has come whole.
    pub(super) fn next(&mut self) -> Result<Option<Came>, Error> {
        self.inlet.next()
    }

    /// Wait for a frame; none: the server has hung up.
    pub(super) fn hear(&mut self, deadline: Instant) -> Result<Option<Frame>, Error> {
        loop {
            match self.inlet.next()? {
                Some(Came::Frame(frame)) => return Ok(Some(frame)),
                // No file is due here, and none is kept.
                Some(_) => {}
                None => match self.pipe.step(&mut self.inlet.bytes, deadline) {
                    Ok(()) => {}
                    Err(Broke::HungUp | Broke::Lost | Broke::Io(_)) => return Ok(None),
                    Err(broke) => return Err(broke.into()),
                },
            }
        }
    }

    /// Say that nothing follows, and wait a moment for the server to close.
    pub(super) fn close(self, deadline: Instant) {
        self.pipe.linger(deadline);
    }
}

/// Frames up to this length are read whole in any case.
const WHOLE_MAX: usize = 1 << 20;
/// Of somebody whose name is not known.
const STRANGER_MAX: usize = 4 << 10;
/// Frames up to this length have memory of their own.
const COPY_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::fault::FaultKind;

    fn frame(with_file: &'static str, data: &'static str, binary: &'static str) -> Frame {
        let mut frame = Frame::of("any", "me").with(data);
        frame.header.with_file =
            (!with_file.is_empty()).then(|| Bytes::from_static(with_file.as_bytes()));
        frame.binary = Bytes::from_static(binary.as_bytes());
        frame
    }

    fn inlet() -> Inlet {
        Inlet { whole_max: 64, ..Inlet::new(256) }
    }

    /// Everything that comes of these bytes, fed in steps of this length.
    fn all(bytes: &[u8], step: usize) -> Result<Vec<Came>, Error> {
        let mut inlet = inlet();
        let mut came = Vec::new();
        for part in bytes.chunks(step) {
            inlet.bytes.extend_from_slice(part);
            while let Some(next) = inlet.next()? {
                came.push(next);
            }
        }
        Ok(came)
    }

    /// The frame that was begun, and the file that followed.
    fn file(came: &[Came]) -> (&Frame, Vec<u8>) {
        let [Came::Begin(frame, size), pieces @ .., Came::End] = came else { panic!("{came:?}") };
        let mut whole = Vec::new();
        for piece in pieces {
            let Came::More(piece) = piece else { panic!("{piece:?}") };
            whole.extend_from_slice(piece);
        }
        assert_eq!(whole.len() as u64, *size);
        (frame, whole)
    }

    const LONG: &str = "a file that is longer than what is read whole in any case, if only a bit";

    #[test]
    fn a_long_file_comes_in_pieces_wherever_the_bytes_are_cut() {
        let said = frame("{\"dst_name\": \"a\"}", "data", LONG);
        let bytes = encode_vec(&said).expect("short enough");
        for step in 1..bytes.len() {
            let came = all(&bytes, step).expect("good");
            let (head, whole) = file(&came);
            assert_eq!(head, &Frame { binary: Bytes::new(), ..said.clone() }, "{step}");
            assert_eq!(whole, LONG.as_bytes());
        }
    }

    #[test]
    fn what_is_the_applications_comes_with_the_head() {
        let said = frame("{\"dst_name\": \"a\", \"binary_offset\": 6}", "", LONG);
        let came = all(&encode_vec(&said).expect("short"), 7).expect("good");
        let (head, whole) = file(&came);
        assert_eq!((&head.binary[..], &whole[..]), (&b"a file"[..], &LONG.as_bytes()[6..]));
    }

    #[test]
    fn what_follows_a_file_is_a_frame_again() {
        let mut bytes = encode_vec(&frame("{\"dst_name\": \"a\"}", "", LONG)).expect("short");
        let after = frame("", "after", "");
        bytes.extend(encode_vec(&after).expect("short"));
        let came = all(&bytes, bytes.len()).expect("good");
        assert_eq!(came.last(), Some(&Came::Frame(after)));
    }

    #[test]
    fn a_long_frame_without_a_file_or_with_nonsense_about_it_is_read_whole() {
        for with_file in [
            "",
            "{\"dst_name\": \"a\", \"file_error\": \"no\"}",
            "{\"dst_name\": \"a\", \"binary_offset\": 4000}",
            "[7]",
        ] {
            let said = frame(with_file, "", LONG);
            let came = all(&encode_vec(&said).expect("short"), 5).expect("good");
            assert_eq!(came, [Came::Frame(said)], "{with_file}");
        }
        let data = frame("", LONG, "");
        assert_eq!(all(&encode_vec(&data).expect("short"), 5).expect("good"), [Came::Frame(data)]);
    }

    #[test]
    fn what_would_be_kept_whole_has_a_bound() {
        let mut long = frame("", "x", "");
        long.binary = vec![0; 300].into();
        let long = encode_vec(&long).expect("short");
        let over = all(&long, 4).expect_err("it is longer than is taken");
        assert!(matches!(over, Error::Protocol(f) if f.kind == FaultKind::AioOverMax), "{over}");
    }

    #[test]
    fn sections_of_a_long_frame_come_out_even() {
        let mut uneven = encode_vec(&frame("{\"dst_name\": \"a\"}", "", LONG)).expect("short");
        let at = uneven.len() - LONG.len() - 4;
        uneven[at] += 1;
        let error = all(&uneven, uneven.len()).expect_err("more than there is");
        assert!(matches!(error, Error::Protocol(f) if f.kind == FaultKind::AioSections));
    }
}
