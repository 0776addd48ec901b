//! Floor 6. JSON as the tools read and print it: in the order it came, with the spaces of cJSON.
//!
//! Scripts compare what `sub -F %j` prints byte by byte, so the printer has no taste of its own.
//! Text is bytes: a payload need not be UTF-8. Absent on purpose: the broker's own documents,
//! which are written elsewhere and never held as a tree.

/// A document.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(Vec<u8>),
    List(Vec<Self>),
    Object(Vec<(Vec<u8>, Self)>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.as_bytes().to_vec())
    }
}

impl Value {
    /// A member of an object.
    pub(super) fn member(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(own, _)| own == name.as_bytes()).map(|(_, value)| value)
    }

    /// The items of a list; none of anything else.
    pub(super) fn items(&self) -> &[Self] {
        if let Self::List(items) = self { items } else { &[] }
    }

    /// A number.
    pub(super) fn number(&self) -> Option<f64> {
        if let Self::Number(n) = self { Some(*n) } else { None }
    }

    /// As it stands in a table: text without quotes, everything else as a document.
    pub(super) fn plain(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Text(text) => String::from_utf8_lossy(text).into_owned(),
            other => String::from_utf8_lossy(&other.print(false)).into_owned(),
        }
    }

    /// The document: in one line, or over many.
    pub(super) fn print(&self, pretty: bool) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out, pretty.then_some(0));
        out
    }

    /// `depth`: how far to indent, if at all.
    fn put(&self, out: &mut Vec<u8>, depth: Option<usize>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(yes) => out.extend_from_slice(if *yes { b"true" } else { b"false" }),
            Self::Number(n) => out.extend_from_slice(number(*n).as_bytes()),
            Self::Text(text) => quote(text, out),
            Self::List(items) => {
                out.push(b'[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.extend_from_slice(if depth.is_some() { b", " } else { b"," });
                    }
                    item.put(out, depth.map(|depth| depth + 1));
                }
                out.push(b']');
            }
            Self::Object(members) => put_object(members, out, depth),
        }
    }
}

fn put_object(members: &[(Vec<u8>, Value)], out: &mut Vec<u8>, depth: Option<usize>) {
    out.push(b'{');
    if depth.is_some() {
        out.push(b'\n');
    }
    for (i, (name, value)) in members.iter().enumerate() {
        indent(out, depth.map(|depth| depth + 1));
        quote(name, out);
        out.push(b':');
        if depth.is_some() {
            out.push(b'\t');
        }
        value.put(out, depth.map(|depth| depth + 1));
        if i + 1 < members.len() {
            out.push(b',');
        }
        if depth.is_some() {
            out.push(b'\n');
        }
    }
    indent(out, depth);
    out.push(b'}');
}

fn indent(out: &mut Vec<u8>, depth: Option<usize>) {
    out.extend(std::iter::repeat_n(b'\t', depth.unwrap_or(0)));
}

fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// As cJSON prints it: whole numbers without a point, others as short as `%g` has them.
fn number(n: f64) -> String {
    if n.is_nan() || n.is_infinite() {
        return "null".to_owned();
    }
    if n == f64::from(n as i32) {
        return (n as i32).to_string();
    }
    let short = general(n, 15);
    if short.parse() == Ok(n) { short } else { general(n, 17) }
}

/// `%1.Ng`: so many significant digits, no zeros behind them.
fn general(n: f64, digits: usize) -> String {
    let text = format!("{:.*e}", digits - 1, n);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..digits as i32).contains(&exponent) {
        let behind = (digits as i32 - 1 - exponent).max(0) as usize;
        return trim(&format!("{n:.behind$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
}

/// A whole document, or none.
pub(super) fn parse(text: &[u8]) -> Option<Value> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.skip();
    (reader.at == text.len()).then_some(value)
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn skip(&mut self) {
        while self.peek().is_some_and(|b| b <= b' ') {
            self.at += 1;
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Option<Value> {
        let rest = self.text.get(self.at..)?;
        self.at += word.len();
        rest.starts_with(word.as_bytes()).then_some(value)
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.skip();
        match self.peek()? {
            b'n' => self.word("null", Value::Null),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'"' => self.string().map(Value::Text),
            b'[' => self.list(depth),
            b'{' => self.object(depth),
            _ => self.number(),
        }
    }

    fn number(&mut self) -> Option<Value> {
        let rest = self.text.get(self.at..)?;
        let is_part = |b: &u8| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        let len = rest.iter().take_while(|b| is_part(b)).count();
        let text = std::str::from_utf8(rest.get(..len)?).ok()?;
        self.at += len;
        text.parse().ok().map(Value::Number)
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip();
        if self.peek()? == b']' {
            self.at += 1;
            return Some(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.skip();
            match self.next()? {
                b',' => {}
                b']' => return Some(Value::List(items)),
                _ => return None,
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut members = Vec::new();
        self.skip();
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(Value::Object(members));
        }
        loop {
            self.skip();
            let name = self.string()?;
            self.skip();
            if self.next()? != b':' {
                return None;
            }
            members.push((name, self.value(depth + 1)?));
            self.skip();
            match self.next()? {
                b',' => {}
                b'}' => return Some(Value::Object(members)),
                _ => return None,
            }
        }
    }

    fn string(&mut self) -> Option<Vec<u8>> {
        if self.next()? != b'"' {
            return None;
        }
        let mut text = Vec::new();
        loop {
            match self.next()? {
                b'"' => return Some(text),
                b'\\' => match self.next()? {
                    b'b' => text.push(0x08),
                    b'f' => text.push(0x0c),
                    b'n' => text.push(b'\n'),
                    b'r' => text.push(b'\r'),
                    b't' => text.push(b'\t'),
                    b'u' => self.unicode(&mut text)?,
                    c @ (b'"' | b'\\' | b'/') => text.push(c),
                    _ => return None,
                },
                byte => text.push(byte),
            }
        }
    }

    fn unicode(&mut self, text: &mut Vec<u8>) -> Option<()> {
        let mut code = self.hex()?;
        if (0xd800..0xdc00).contains(&code) {
            if (self.next()?, self.next()?) != (b'\\', b'u') {
                return None;
            }
            let low = self.hex()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
            code = 0x1_0000 + ((code - 0xd800) << 10) + low;
        }
        let c = char::from_u32(code).filter(|c| *c != '\0')?;
        text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        Some(())
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    }
}

/// A document that is deeper is refused.
const DEPTH_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn again(text: &str, pretty: bool) -> Option<String> {
        parse(text.as_bytes()).map(|v| String::from_utf8(v.print(pretty)).unwrap())
    }

    #[test]
    fn documents_are_printed_as_scripts_expect_them() {
        let text = r#" {"a":[1,2.50,1e3,true,null,"\u00e9/\ud83d\ude00\n"],"b":{}} "#;
        let line = "{\"a\":[1,2.5,1000,true,null,\"é/😀\\n\"],\"b\":{}}";
        assert_eq!(again(text, false).unwrap(), line);
        let pretty = "{\n\t\"a\":\t[1, 2.5, 1000, true, null, \"é/😀\\n\"],\n\t\"b\":\t{\n\t}\n}";
        assert_eq!(again(text, true).unwrap(), pretty);
    }

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        for (text, printed) in [
            ("0.1", "0.1"),
            ("-3", "-3"),
            ("1e300", "1e+300"),
            ("4294967296", "4294967296"),
            ("1e-7", "1e-07"),
            ("0.30000000000000004", "0.30000000000000004"),
        ] {
            assert_eq!(again(text, false).unwrap(), printed);
        }
    }

    #[test]
    fn half_documents_are_none() {
        for text in ["", "{", "[1,]", "\"a", "{\"a\"}", "1 2", "\"\\x\"", "\"\\ud800\"", "nul"] {
            assert_eq!(again(text, false), None, "{text}");
        }
        assert_eq!(again(&"[".repeat(100_000), false), None);
    }
}
