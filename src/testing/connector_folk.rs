//! Floor 5. A connector in the simulated world: its connection, and what it has not been told yet.
//!
//! It does what connectors do that keep what they say: it says its name and what it listens to, and
//! says again, in order, whatever was not acknowledged. What it hears it acknowledges by and by,
//! what it is asked it answers by and by. Absent on purpose: opinions (`connector_law`).

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};

use crate::base::id::ConnId;
use crate::proto::aio::file::{CHUNK, Chunk, WithFile};
use crate::proto::aio::inner::{Meaning, Side, frame, meaning};
use crate::proto::aio::{Frame, Id, Name, Text, encode_vec, next};
use crate::proto::fault::Fault;

use super::connector_law::{FILE, KINDS, LISTENS, Law, NAMES, To, Wrong};

/// A connector.
#[derive(Debug, Default)]
pub(super) struct Folk {
    pub(super) no: usize,
    pub(super) conn: Option<ConnId>,
    /// Counts its connections.
    pub(super) line: u64,
    /// Said, and not on the wire yet.
    pub(super) outward: Vec<u8>,
    input: BytesMut,
    /// Said, and not acknowledged.
    pub(super) open: VecDeque<usize>,
    /// Under which numbers, on this connection.
    numbers: BTreeMap<u64, usize>,
    given: u64,
    /// Heard, and not acknowledged.
    pub(super) owes: VecDeque<Id>,
    /// Asked, and not answered.
    pub(super) doing: Vec<Doing>,
    /// Answered on this connection: who knows whether that has come.
    answered: Vec<(usize, usize)>,
    /// How often it heard what on this connection.
    pub(super) times: BTreeMap<(usize, usize), u32>,
    /// Files that came along with messages, or none where there should be one.
    pub(super) files: Vec<((usize, usize), Option<Bytes>)>,
}

/// A question that it was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Doing {
    kind: Text,
    id: Id,
    pub(super) what: (usize, usize),
}

/// What is heard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Word {
    /// What it said has arrived.
    Acked(usize),
    /// A message of this one, by number; a question?
    Message((usize, usize), Option<Doing>),
    /// The answer to its question, or that there is none.
    Outcome(usize),
}

/// What is in a message.
pub(super) fn token((who, n): (usize, usize)) -> String {
    format!("{who}/{n}")
}

fn read_token(data: &[u8]) -> Option<(usize, usize)> {
    let (who, n) = core::str::from_utf8(data).ok()?.split_once('/')?;
    let who = who.parse().ok().filter(|who| *who < NAMES.len())?;
    Some((who, n.parse().ok()?))
}

impl Folk {
    /// The one of this number.
    pub(super) fn new(no: usize) -> Self {
        Self { no, ..Self::default() }
    }

    fn name(&self) -> &'static str {
        NAMES[self.no]
    }

    fn put(&mut self, frame: &Frame) {
        self.outward.extend(encode_vec(frame).unwrap_or_default());
    }

    fn mean(&mut self, meant: &Meaning) {
        if let Some(frame) = frame(meant, self.name()) {
            self.put(&frame);
        }
    }

    /// It is connected.
    pub(super) fn enter(&mut self, conn: ConnId, law: &mut Law) {
        self.conn = Some(conn);
        self.line += 1;
        let Some(name) = Name::new(&self.name().into()) else { return };
        self.mean(&Meaning::Hello { tls: false, name });
        if !LISTENS[self.no].is_empty() {
            let types = LISTENS[self.no].iter().map(|kind| KINDS[*kind].into()).collect();
            self.mean(&Meaning::Subscribe(types));
        }
        let open: Vec<usize> = self.open.iter().copied().collect();
        open.into_iter().for_each(|n| self.say(n, law));
    }

    /// Its connection is gone, with all that was of it.
    pub(super) fn lose(&mut self, law: &mut Law) {
        self.conn = None;
        self.outward.clear();
        self.input.clear();
        self.numbers.clear();
        self.given = 0;
        self.owes.clear();
        self.times.clear();
        self.doing.drain(..).for_each(|it| law.left(it.what));
        self.answered.drain(..).for_each(|what| law.left(what));
    }

    /// Say something that is in the book.
    pub(super) fn say(&mut self, n: usize, law: &mut Law) {
        law.said(self.no, n, self.line);
        let Some(made) = law.made[self.no].get(n) else { return };
        let kind = match made.to {
            To::Kind(kind) => KINDS[kind],
            To::Name(name) => KINDS[name % FILE],
        };
        let mut frame = Frame::of(kind, self.name()).with(token((self.no, n)));
        let header = &mut frame.header;
        header.destination_id = Some(match made.to {
            To::Name(name) => NAMES[name].into(),
            To::Kind(_) => "('broker', 10673)".into(),
        });
        if made.question.is_some() {
            header.await_response = true;
            header.request_id = Some(Id::from(n as u64));
        }
        if made.promised {
            self.given += 1;
            header.wait_for_ack = true;
            header.transport_id = Some(Id::from(self.given));
            self.numbers.insert(self.given, n);
        }
        let file = made.part.and_then(|(file, index)| {
            let it = law.files.get(&(self.no, file))?;
            let part = it.parts.get(index.checked_sub(1)? as usize)?;
            Some((with_file((self.no, file), index, it.parts.len()), part))
        });
        if let Some((with, part)) = file {
            frame.header.with_file = Some(with.write());
            frame.binary = Bytes::copy_from_slice(part);
        }
        self.put(&frame);
    }

    /// Acknowledge what it heard first.
    pub(super) fn acknowledge(&mut self) {
        if let Some(id) = self.owes.pop_front() {
            self.mean(&Meaning::Ack(id));
        }
    }

    /// Answer one of the questions.
    pub(super) fn answer(&mut self, at: usize) {
        let doing = self.doing.remove(at);
        self.answered.push(doing.what);
        let mut frame = Frame::of(doing.kind.as_str(), self.name());
        frame.header.response_id = Some(doing.id);
        self.put(&frame.with("answer"));
    }

    /// What comes of these bytes.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Result<Vec<Word>, Wrong> {
        self.input.extend_from_slice(bytes);
        let (mut words, wrong) = (Vec::new(), |why: Fault| format!("it hears nonsense: {why:?}"));
        while let Some(frame) = next(&mut self.input, 1 << 24).map_err(wrong)? {
            match meaning(&frame, Side::Server).map_err(wrong)? {
                Meaning::Ack(id) => {
                    let n = id.number().and_then(|id| self.numbers.remove(&id));
                    let n = n.ok_or("an acknowledgement of a number that was not given")?;
                    self.open.retain(|open| *open != n);
                    words.push(Word::Acked(n));
                }
                Meaning::Ping(id) => self.mean(&Meaning::Pong(id)),
                Meaning::Message => words.push(self.message(frame)?),
                other => return Err(format!("it hears {other:?}")),
            }
        }
        Ok(words)
    }

    fn message(&mut self, frame: Frame) -> Result<Word, Wrong> {
        let header = frame.header;
        self.owes.extend(header.transport_id);
        if header.destination_id.as_ref().is_some_and(|to| to.as_str() != self.name()) {
            return Err(format!("{} hears what is for {:?}", self.name(), header.destination_id));
        }
        if let Some(id) = header.response_id {
            let n = id.number().ok_or("an answer without a number")?;
            return Ok(Word::Outcome(n as usize));
        }
        let what = read_token(&frame.data).ok_or("a message of nobody's")?;
        if header.source_id.as_ref().map(Text::as_str) != Some(NAMES[what.0]) {
            return Err(format!("{what:?} comes as {:?}'s", header.source_id));
        }
        if let Some(with) = header.with_file {
            let with = WithFile::read(&with).map_err(|why| format!("of a file: {why:?}"))?;
            self.files.push((what, with.file_error.is_none().then_some(frame.binary)));
        }
        let kind = header.message_type;
        let asked = header.request_id.filter(|_| header.await_response);
        Ok(Word::Message(what, asked.map(|id| Doing { kind, id, what })))
    }
}

/// What is said of a part of a file.
fn with_file(file: (usize, usize), index: u32, count: usize) -> WithFile {
    let (name, dst_type) = (format!("{}-{}", file.0, file.1), Text::from("any"));
    if count < 2 {
        return WithFile { dst_type, dst_name: name.as_str().into(), ..WithFile::default() };
    }
    let base = format!("{name}{CHUNK}");
    let dst_name = format!("{base}_{index}_{count}").as_str().into();
    let chunked = Some(Chunk { base: base.as_str().into(), index, count: count as u32 });
    WithFile { dst_type, dst_name, chunked, ..WithFile::default() }
}
