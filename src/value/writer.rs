//! Floor 1. One value, item by item, appended to a buffer in whatever form is asked for.
//!
//! What is written is well formed if the calls are: each list and map has as many values or pairs
//! as were announced, and its `end`; that is the caller's to see to. Absent on purpose: a check of
//! that, and a bound; what is written is the program's own, or was walked.

use smallvec::SmallVec;

use super::{Form, cbor, json, msgpack};

/// Appends a value.
#[derive(Debug)]
pub struct Writer<'o> {
    form: Form,
    out: &'o mut Vec<u8>,
    /// The brackets of JSON that are to be closed.
    open: SmallVec<[u8; 16]>,
    /// A comma is due before what comes next.
    comma: bool,
}

impl<'o> Writer<'o> {
    /// Append to `out`.
    pub fn new(form: Form, out: &'o mut Vec<u8>) -> Self {
        Self { form, out, open: SmallVec::new(), comma: false }
    }

    /// Nothing.
    pub fn null(&mut self) -> &mut Self {
        match self.form {
            Form::Json => self.due().extend_from_slice(b"null"),
            Form::MsgPack => self.out.push(msgpack::NULL),
            Form::Cbor => self.out.push(cbor::NULL),
        }
        self
    }

    /// Yes or no.
    pub fn bool(&mut self, truth: bool) -> &mut Self {
        let word: &[u8] = if truth { b"true" } else { b"false" };
        match self.form {
            Form::Json => self.due().extend_from_slice(word),
            Form::MsgPack => self.out.push(msgpack::truth(truth)),
            Form::Cbor => self.out.push(cbor::truth(truth)),
        }
        self
    }

    /// A whole number.
    pub fn int(&mut self, number: i64) -> &mut Self {
        match self.form {
            Form::Json => json::put_whole(self.due(), number < 0, number.unsigned_abs()),
            Form::MsgPack => msgpack::put_int(self.out, number),
            Form::Cbor => cbor::put_int(self.out, number),
        }
        self
    }

    /// A whole number that is not negative.
    pub fn uint(&mut self, number: u64) -> &mut Self {
        match self.form {
            Form::Json => json::put_whole(self.due(), false, number),
            Form::MsgPack => msgpack::put_unsigned(self.out, number),
            Form::Cbor => cbor::put_unsigned(self.out, number),
        }
        self
    }

    /// A double.
    pub fn float(&mut self, number: f64) -> &mut Self {
        match self.form {
            Form::Json => json::put_float(self.due(), number),
            Form::MsgPack => msgpack::put_float(self.out, number),
            Form::Cbor => cbor::put_float(self.out, number),
        }
        self
    }

    /// Text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        match self.form {
            Form::Json => json::put_text(self.due(), text),
            Form::MsgPack => msgpack::put_text(self.out, text),
            Form::Cbor => cbor::put_text(self.out, text),
        }
        self
    }

    /// Bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        match self.form {
            Form::Json => json::put_bytes(self.due(), bytes),
            Form::MsgPack => msgpack::put_bytes(self.out, bytes),
            Form::Cbor => cbor::put_bytes(self.out, bytes),
        }
        self
    }

    /// A list of exactly so many values begins.
    pub fn list(&mut self, len: usize) -> &mut Self {
        match self.form {
            Form::Json => self.open(b'[', b']'),
            Form::MsgPack => msgpack::put_list(self.out, len),
            Form::Cbor => cbor::put_list(self.out, len),
        }
        self
    }

    /// A map of exactly so many pairs begins.
    pub fn map(&mut self, len: usize) -> &mut Self {
        match self.form {
            Form::Json => self.open(b'{', b'}'),
            Form::MsgPack => msgpack::put_map(self.out, len),
            Form::Cbor => cbor::put_map(self.out, len),
        }
        self
    }

    /// The innermost list or map ends.
    pub fn end(&mut self) -> &mut Self {
        self.out.extend(self.open.pop());
        self.comma = true;
        self
    }

    /// The key of a pair; its value follows.
    pub fn key(&mut self, key: &str) -> &mut Self {
        self.text(key);
        if self.form == Form::Json {
            self.out.push(b':');
            self.comma = false;
        }
        self
    }

    /// A value that stands in this form already.
    pub fn raw(&mut self, value: &[u8]) -> &mut Self {
        if self.form == Form::Json {
            self.due();
        }
        self.out.extend_from_slice(value);
        self
    }

    /// Where an item of JSON goes: behind a comma, where one is due.
    fn due(&mut self) -> &mut Vec<u8> {
        if self.comma {
            self.out.push(b',');
        }
        self.comma = true;
        self.out
    }

    fn open(&mut self, open: u8, close: u8) {
        self.due().push(open);
        self.open.push(close);
        self.comma = false;
    }
}
