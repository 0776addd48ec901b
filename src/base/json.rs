//! Floor 0. JSON: a writer that appends, and a reader that is bounded.
//!
//! The writer knows one thing, whether a comma is due, so what it has written can be taken away in
//! the midst of a document and a long answer never stands in memory as a whole. Bytes that are no
//! UTF-8 are written as replacement characters. The reader makes a tree no deeper and with no more
//! nodes than it is told, refuses a key that stands twice in an object, and never recurses
//! further than that. Absent on purpose: derive macros, numbers beyond what a double holds.

/// Something that can stand in a document.
pub trait Put {
    /// Append it.
    fn put(self, to: &mut Writer);
}

/// Appends a document, piece by piece.
#[derive(Debug, Default)]
pub struct Writer {
    text: Vec<u8>,
    comma: bool,
}

impl Writer {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begin an object.
    pub fn open(&mut self) -> &mut Self {
        self.begin(b'{')
    }

    /// End an object.
    pub fn close(&mut self) -> &mut Self {
        self.end(b'}')
    }

    /// Begin a list.
    pub fn open_list(&mut self) -> &mut Self {
        self.begin(b'[')
    }

    /// End a list.
    pub fn close_list(&mut self) -> &mut Self {
        self.end(b']')
    }

    /// A member's name; its value follows.
    pub fn key(&mut self, name: &str) -> &mut Self {
        self.value(name);
        self.text.push(b':');
        self.comma = false;
        self
    }

    /// A member of an object.
    pub fn field(&mut self, name: &str, value: impl Put) -> &mut Self {
        self.key(name).value(value)
    }

    /// A member that is an object.
    pub fn object(&mut self, name: &str, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.key(name).open();
        fill(self);
        self.close()
    }

    /// A member that is a list.
    pub fn list(&mut self, name: &str, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.key(name).open_list();
        fill(self);
        self.close_list()
    }

    /// An item of a list, or the value behind a key.
    pub fn value(&mut self, value: impl Put) -> &mut Self {
        value.put(self);
        self
    }

    /// A value that is a document already.
    pub fn raw(&mut self, document: &[u8]) -> &mut Self {
        self.due();
        self.text.extend_from_slice(document);
        self.comma = true;
        self
    }

    /// How much is written and not taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Nothing is written, or everything was taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Take what is written so far; the document goes on behind it.
    pub fn take(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.text)
    }

    fn begin(&mut self, bracket: u8) -> &mut Self {
        self.due();
        self.text.push(bracket);
        self.comma = false;
        self
    }

    fn end(&mut self, bracket: u8) -> &mut Self {
        self.text.push(bracket);
        self.comma = true;
        self
    }

    fn due(&mut self) {
        if self.comma {
            self.text.push(b',');
        }
    }

    fn plain(&mut self, text: &str) {
        self.due();
        self.text.extend_from_slice(text.as_bytes());
        self.comma = true;
    }

    fn escape(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '"' => self.text.extend_from_slice(b"\\\""),
                '\\' => self.text.extend_from_slice(b"\\\\"),
                '\n' => self.text.extend_from_slice(b"\\n"),
                '\r' => self.text.extend_from_slice(b"\\r"),
                '\t' => self.text.extend_from_slice(b"\\t"),
                // The last two end a line in JavaScript, and `<` could end a script in a page.
                c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '<') => {
                    self.text.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
                }
                c => self.text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }
}

impl Put for &[u8] {
    fn put(self, to: &mut Writer) {
        to.due();
        to.text.push(b'"');
        for chunk in self.utf8_chunks() {
            to.escape(chunk.valid());
            if !chunk.invalid().is_empty() {
                to.escape("\u{fffd}");
            }
        }
        to.text.push(b'"');
        to.comma = true;
    }
}

impl Put for &str {
    fn put(self, to: &mut Writer) {
        self.as_bytes().put(to);
    }
}

impl Put for &String {
    fn put(self, to: &mut Writer) {
        self.as_bytes().put(to);
    }
}

impl Put for &bytes::Bytes {
    fn put(self, to: &mut Writer) {
        self[..].put(to);
    }
}

impl Put for bool {
    fn put(self, to: &mut Writer) {
        to.plain(if self { "true" } else { "false" });
    }
}

macro_rules! numbers {
    ($($ty:ty),*) => { $(impl Put for $ty {
        fn put(self, to: &mut Writer) {
            to.plain(&self.to_string());
        }
    })* };
}

numbers!(u8, u16, u32, u64, usize, i64);

impl Put for f64 {
    fn put(self, to: &mut Writer) {
        if self.is_finite() { to.plain(&self.to_string()) } else { to.plain("null") }
    }
}

impl<T: Put> Put for Option<T> {
    fn put(self, to: &mut Writer) {
        match self {
            Some(value) => value.put(to),
            None => to.plain("null"),
        }
    }
}

/// A document that was read.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A number.
    Number(f64),
    /// Text.
    Text(String),
    /// Values in order.
    List(Vec<Self>),
    /// Values by name, in the order they were written.
    Object(Vec<(String, Self)>),
}

/// Why a text is no document, and at which byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wrong {
    /// Where.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl core::fmt::Display for Wrong {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

impl Value {
    /// Read a whole document of at most so many levels and values.
    pub fn parse(text: &[u8], depth_max: usize, values_max: usize) -> Result<Self, Wrong> {
        let mut reader = Reader { text, at: 0, values: values_max };
        let value = reader.value(depth_max)?;
        reader.skip();
        if reader.at < text.len() {
            return Err(reader.wrong("something behind the document"));
        }
        Ok(value)
    }

    /// The member of this name, if it is an object that has one.
    #[must_use]
    pub fn at(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The yes or no, if it is one.
    #[must_use]
    pub fn truth(&self) -> Option<bool> {
        if let Self::Bool(truth) = self { Some(*truth) } else { None }
    }

    /// The number, if it is a whole one and not negative.
    #[must_use]
    pub fn whole(&self) -> Option<u64> {
        match self {
            Self::Number(n) if *n >= 0.0 && n.fract() == 0.0 && *n <= WHOLE_MAX => Some(*n as u64),
            _ => None,
        }
    }
}

/// The largest number up to which a double holds every whole one.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    values: usize,
}

impl Reader<'_> {
    fn wrong(&self, what: &'static str) -> Wrong {
        Wrong { at: self.at, what }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip(&mut self) {
        while self.peek().is_some_and(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, Wrong> {
        self.skip();
        self.values = self.values.checked_sub(1).ok_or_else(|| self.wrong("too many values"))?;
        match self.peek() {
            Some(b'{' | b'[') if depth == 0 => Err(self.wrong("nested too deep")),
            Some(b'{') => self.object(depth - 1),
            Some(b'[') => self.list(depth - 1),
            Some(b'"') => self.string().map(Value::Text),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err(self.wrong("no value begins so")),
            None => Err(self.wrong("the document ends early")),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, Wrong> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(self.wrong("no value begins so"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn object(&mut self, depth: usize) -> Result<Value, Wrong> {
        let mut members: Vec<(String, Value)> = Vec::new();
        self.at += 1;
        self.skip();
        if self.take(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.skip();
            let name = self.string()?;
            if members.iter().any(|(known, _)| *known == name) {
                return Err(self.wrong("a name stands twice"));
            }
            self.skip();
            if !self.take(b':') {
                return Err(self.wrong("a colon is missing"));
            }
            members.push((name, self.value(depth)?));
            self.skip();
            if self.take(b'}') {
                return Ok(Value::Object(members));
            }
            if !self.take(b',') {
                return Err(self.wrong("a comma is missing"));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, Wrong> {
        let mut items = Vec::new();
        self.at += 1;
        self.skip();
        if self.take(b']') {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.skip();
            if self.take(b']') {
                return Ok(Value::List(items));
            }
            if !self.take(b',') {
                return Err(self.wrong("a comma is missing"));
            }
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// RFC 8259, section 6: no leading zeros, no bare point.
    fn number(&mut self) -> Result<Value, Wrong> {
        let start = self.at;
        self.take(b'-');
        let digits = |r: &mut Self| {
            let from = r.at;
            while r.peek().is_some_and(|b| b.is_ascii_digit()) {
                r.at += 1;
            }
            r.at - from
        };
        let first = self.peek();
        let whole = digits(self);
        if whole == 0 || (whole > 1 && first == Some(b'0')) {
            return Err(self.wrong("not a number"));
        }
        if self.take(b'.') && digits(self) == 0 {
            return Err(self.wrong("not a number"));
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            if digits(self) == 0 {
                return Err(self.wrong("not a number"));
            }
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        let number = core::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        let number = number.filter(|n: &f64| n.is_finite());
        number.map(Value::Number).ok_or_else(|| self.wrong("not a number"))
    }

    fn string(&mut self) -> Result<String, Wrong> {
        if !self.take(b'"') {
            return Err(self.wrong("a quote is missing"));
        }
        let mut text = Vec::new();
        loop {
            let Some(byte) = self.peek() else {
                return Err(self.wrong("the document ends early"));
            };
            match byte {
                b'"' => {
                    self.at += 1;
                    return String::from_utf8(text).map_err(|_| self.wrong("text is no UTF-8"));
                }
                b'\\' => {
                    let c = self.escaped()?;
                    text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                0..0x20 => return Err(self.wrong("a control character in a text")),
                byte => {
                    text.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    fn escaped(&mut self) -> Result<char, Wrong> {
        self.at += 1;
        let letter = self.peek().unwrap_or_default();
        self.at += 1;
        Ok(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = self.hex()?;
                if !(0xd800..0xdc00).contains(&high) {
                    return char::from_u32(high).ok_or_else(|| self.wrong("half a character"));
                }
                if !(self.take(b'\\') && self.take(b'u')) {
                    return Err(self.wrong("half a character"));
                }
                let low = self.hex()?;
                let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400);
                let low = low.ok_or_else(|| self.wrong("half a character"))?;
                let c = 0x10000 + ((high - 0xd800) << 10) + low;
                return char::from_u32(c).ok_or_else(|| self.wrong("half a character"));
            }
            _ => return Err(self.wrong("no such escape")),
        })
    }

    fn hex(&mut self) -> Result<u32, Wrong> {
        let digits = self.text.get(self.at..self.at + 4).unwrap_or_default();
        let all = digits.len() == 4 && digits.iter().all(u8::is_ascii_hexdigit);
        let text = core::str::from_utf8(digits).ok().filter(|_| all);
        let n = text.and_then(|text| u32::from_str_radix(text, 16).ok());
        let n = n.ok_or_else(|| self.wrong("four hexadecimal digits are missing"))?;
        self.at += 4;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Value, &'static str> {
        Value::parse(text.as_bytes(), 4, 32).map_err(|wrong| wrong.what)
    }

    #[test]
    fn what_is_written_is_read_alike() {
        let mut w = Writer::new();
        w.open().field("a", 1u64).field("b", "x\"\\\n\u{1}<\u{2028}é");
        w.list("c", |w| {
            w.value(true).value(None::<u64>).value(1.5);
        });
        w.object("d", |w| {
            w.field("e", &b"\xff!"[..]);
        })
        .object("f", |_| {})
        .close();
        let text = w.take();
        let read = serde_json::from_slice::<serde_json::Value>(&text).expect("good JSON");
        let wanted = serde_json::json!({"a": 1, "b": "x\"\\\n\u{1}<\u{2028}é",
            "c": [true, null, 1.5], "d": {"e": "\u{fffd}!"}, "f": {}});
        assert_eq!(read, wanted);
        let own = Value::parse(&text, 4, 32).expect("ours too");
        assert_eq!(own.at("b").and_then(Value::text), Some("x\"\\\n\u{1}<\u{2028}é"));
        assert_eq!(own.at("a").and_then(Value::whole), Some(1));
    }

    #[test]
    fn a_document_can_be_taken_in_pieces() {
        let (mut w, mut all) = (Writer::new(), Vec::new());
        w.open_list();
        for n in 0..3u64 {
            w.value(n);
            all.extend(w.take());
        }
        w.close_list();
        all.extend(w.take());
        assert_eq!(all, b"[0,1,2]");
    }

    #[test]
    fn strangers_are_bounded_and_wrong_texts_are_named() {
        for (text, what) in [
            ("", "the document ends early"),
            ("[[[[[1]]]]]", "nested too deep"),
            ("{\"a\":1,\"a\":2}", "a name stands twice"),
            ("[1,]", "no value begins so"),
            ("[1 2]", "a comma is missing"),
            ("{\"a\" 1}", "a colon is missing"),
            ("{a:1}", "a quote is missing"),
            ("01", "not a number"),
            ("1.", "not a number"),
            ("1e999", "not a number"),
            ("-", "not a number"),
            ("truth", "something behind the document"),
            ("nul", "no value begins so"),
            ("\"\\x\"", "no such escape"),
            ("\"\\ud800\"", "half a character"),
            ("\"\\udc00\"", "half a character"),
            ("\"\\u12\"", "four hexadecimal digits are missing"),
            ("\"\n\"", "a control character in a text"),
            ("\"", "the document ends early"),
            ("1 1", "something behind the document"),
        ] {
            assert_eq!(parse(text).unwrap_err(), what, "{text}");
        }
        let many = format!("[{}1]", "1,".repeat(40));
        assert_eq!(parse(&many).unwrap_err(), "too many values");
        assert_eq!(Value::parse(b"\"\xff\"", 1, 1).unwrap_err().what, "text is no UTF-8");
        assert_eq!(parse("\"\\ud83d\\ude00\""), Ok(Value::Text("\u{1f600}".into())));
        assert_eq!(parse(" -0.5e1 "), Ok(Value::Number(-5.0)));
        assert_eq!(parse("1.5").unwrap().whole(), None);
    }

    /// Whatever comes, our reader says what a well-known one says.
    #[test]
    fn agrees_with_another_reader() {
        let mut rng = crate::base::rng::Rng::new(7);
        let alphabet: Vec<char> = "{}[]\",:\\u012eE+-.tfn alse\u{e9}".chars().collect();
        let mut good = 0;
        for _ in 0..200_000 {
            let len = rng.below(12) as usize;
            let pick = |rng: &mut crate::base::rng::Rng| {
                alphabet[rng.below(alphabet.len() as u64) as usize]
            };
            let text: String = (0..len).map(|_| pick(&mut rng)).collect();
            let ours = Value::parse(text.as_bytes(), 100, 100);
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            let twice = matches!(&ours, Err(wrong) if wrong.what == "a name stands twice");
            assert_eq!(ours.is_ok() || twice, theirs.is_ok(), "{text}");
            good += u32::from(ours.is_ok());
        }
        assert!(good > 1_000, "{good} of them are documents");
    }
}
