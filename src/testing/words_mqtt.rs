//! Floor 5. MQTT packets as a person writes them, and their bytes: written from the standard.
//!
//! `connect id=a clean keep=60`, `sub 1 a/b q1`, `pub q2 id=3 a/b "body"`, `puback 3`. This knows
//! nothing of the broker's own codec and is compared with the standard's examples, so what the
//! two agree on is right twice. It says wrong things willingly: `fixed=0x82` is the first byte,
//! `flags=` the connect flags, `opt=` a filter's options, `raw=` bytes between the properties,
//! `cut=2` takes bytes from the end and `more=` adds some, before the length is counted. `scram=`
//! is worked out when it is said (`talk_mqtt`).
//!
//! Absent on purpose: opinions about what was said (`heard_mqtt`), and defaults, save the secret
//! of a sample user, QoS 0, and keep-alive 0.

use super::words::{SAMPLES, unhex};

/// How a property's value stands on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// One byte.
    One,
    /// Two bytes, the high one first.
    Two,
    /// Four bytes, the high one first.
    Four,
    /// One to four bytes of seven bits, the low ones first.
    Var,
    /// UTF-8 behind two bytes of length.
    Text,
    /// Bytes behind two bytes of length.
    Data,
    /// Two texts; in words `name:value`.
    Pair,
}

/// A property of 5.0: number, word, shape, and the types of packets it may stand in (0: a will).
pub type Property = (u8, &'static str, Shape, &'static [u8]);

/// Every property, by the table of section 2.2.2.2.
pub const PROPERTIES: &[Property] = &[
    (0x01, "format", Shape::One, &[0, 3]),
    (0x02, "expiry", Shape::Four, &[0, 3]),
    (0x03, "type", Shape::Text, &[0, 3]),
    (0x08, "response", Shape::Text, &[0, 3]),
    (0x09, "corr", Shape::Data, &[0, 3]),
    (0x0b, "sub-id", Shape::Var, &[3, 8]),
    (0x11, "session-expiry", Shape::Four, &[1, 2, 14]),
    (0x12, "assigned", Shape::Text, &[2]),
    (0x13, "server-keep", Shape::Two, &[2]),
    (0x15, "auth-method", Shape::Text, &[1, 2, 15]),
    (0x16, "auth-data", Shape::Data, &[1, 2, 15]),
    (0x17, "problem-info", Shape::One, &[1]),
    (0x18, "delay", Shape::Four, &[0]),
    (0x19, "response-info", Shape::One, &[1]),
    (0x1a, "info", Shape::Text, &[2]),
    (0x1c, "server-ref", Shape::Text, &[2, 14]),
    (0x1f, "reason-text", Shape::Text, &[2, 4, 5, 6, 7, 9, 11, 14, 15]),
    (0x21, "receive-max", Shape::Two, &[1, 2]),
    (0x22, "alias-max", Shape::Two, &[1, 2]),
    (0x23, "alias", Shape::Two, &[3]),
    (0x24, "max-qos", Shape::One, &[2]),
    (0x25, "retain-ok", Shape::One, &[2]),
    (0x26, "prop", Shape::Pair, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15]),
    (0x27, "max-packet", Shape::Four, &[1, 2]),
    (0x28, "wildcard-ok", Shape::One, &[2]),
    (0x29, "subid-ok", Shape::One, &[2]),
    (0x2a, "shared-ok", Shape::One, &[2]),
];

/// The words that stand for packets, and their types.
pub const PACKETS: &[(&str, u8)] = &[
    ("connect", 1),
    ("connack", 2),
    ("pub", 3),
    ("puback", 4),
    ("pubrec", 5),
    ("pubrel", 6),
    ("pubcomp", 7),
    ("sub", 8),
    ("suback", 9),
    ("unsub", 10),
    ("unsuback", 11),
    ("ping", 12),
    ("pong", 13),
    ("disconnect", 14),
    ("auth", 15),
];

const FLAGS: &[&str] = &[
    "q0", "q1", "q2", "q3", "dup", "dup?", "retain", "clean", "wretain", "nopass", "noid",
    "nolocal", "rap", "present", "long", "only",
];

/// Keys that are no properties.
const KEYS: &[&str] = &[
    "id", "keep", "will", "wbody", "wq", "user", "pass", "name", "level", "flags", "rh", "opt",
    "fixed", "cut", "more", "raw", "w.raw", "plen", "scram",
];

/// A word behind the first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// What stands before `=`; a flag has itself as key.
    pub key: String,
    /// What stands behind it; for a name without key, the name.
    pub value: Vec<u8>,
    /// `!key`: it must not be there.
    pub not: bool,
    /// `@name`, outside quotes: what the script has under that name.
    pub var: bool,
}

/// A packet in words.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Line {
    /// Which packet; empty: only bytes.
    pub word: String,
    /// What it says.
    pub items: Vec<Item>,
}

impl Line {
    /// Understand a line; what begins with no word is hex and quoted text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = tokens(text)?;
        let is_word = |t: &Token| !t.quoted && PACKETS.iter().any(|(w, _)| w.as_bytes() == t.value);
        if !tokens.first().is_some_and(is_word) {
            let items = tokens.into_iter().map(Token::raw).collect::<Result<_, _>>()?;
            return Ok(Self { word: String::new(), items });
        }
        let word = lossy(&tokens.remove(0).value);
        let items = tokens.into_iter().map(Token::item).collect::<Result<_, _>>()?;
        Ok(Self { word, items })
    }

    /// Add a name, a key with a value, or a flag.
    pub fn push(&mut self, key: &str, value: impl Into<Vec<u8>>) {
        self.items.push(Item { key: key.to_owned(), value: value.into(), not: false, var: false });
    }

    /// The flag stands there.
    #[must_use]
    pub fn has(&self, flag: &str) -> bool {
        self.items.iter().any(|item| item.key == flag && !item.not)
    }

    /// The first value of a key.
    #[must_use]
    pub fn key(&self, key: &str) -> Option<&[u8]> {
        self.items.iter().find(|item| item.key == key).map(|item| item.value.as_slice())
    }

    /// The names without key, in order.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.items.iter().filter(|item| item.key.is_empty()).map(|item| item.value.as_slice())
    }

    /// Which QoS its flags say.
    #[must_use]
    pub fn qos(&self) -> u8 {
        (0..4).find(|q| self.has(&format!("q{q}"))).unwrap_or(0)
    }

    fn number_at(&self, n: usize) -> Result<u64, String> {
        number(self.names().nth(n).ok_or("a number is missing")?)
    }

    fn number_of(&self, key: &str, or: u64) -> Result<u64, String> {
        self.key(key).map_or(Ok(or), number)
    }
}

impl core::fmt::Display for Line {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.word)?;
        for (n, item) in self.items.iter().enumerate() {
            let shown = &item.value[..item.value.len().min(64)];
            let plain = |b: &u8| b.is_ascii_graphic() && !b"'\"\\!=*".contains(b);
            let payload = self.word == "pub" && n == self.items.len() - 1;
            f.write_str(if n == 0 && self.word.is_empty() { "" } else { " " })?;
            match item.key.as_str() {
                key if FLAGS.contains(&key) => f.write_str(key)?,
                "" => {}
                key => write!(f, "{key}=")?,
            }
            if !FLAGS.contains(&item.key.as_str()) {
                match shown.iter().all(plain) && !shown.is_empty() && !payload {
                    true => f.write_str(&lossy(shown))?,
                    false => write!(f, "\"{}\"", shown.escape_ascii())?,
                }
            }
            if shown.len() < item.value.len() {
                write!(f, "..({} bytes)", item.value.len())?;
            }
        }
        Ok(())
    }
}

struct Token {
    key: String,
    value: Vec<u8>,
    quoted: bool,
    not: bool,
}

impl Token {
    fn item(self) -> Result<Item, String> {
        let Self { mut key, value, quoted, not } = self;
        let text = lossy(&value);
        if key.is_empty() && !quoted && (FLAGS.contains(&text.as_str()) || not) {
            key = text;
        }
        let bare = key.strip_prefix("w.").unwrap_or(&key);
        let known = key.is_empty()
            || FLAGS.contains(&key.as_str())
            || KEYS.contains(&key.as_str())
            || PROPERTIES.iter().any(|p| p.1 == bare);
        match known {
            true => Ok(Item { var: !quoted && value.starts_with(b"@"), key, value, not }),
            false => Err(format!("`{key}` is nothing a packet has")),
        }
    }

    fn raw(self) -> Result<Item, String> {
        let value = match (self.quoted, self.key.is_empty()) {
            (_, false) => return Err(format!("`{}=` stands behind no word", self.key)),
            (true, _) => self.value,
            (false, _) => {
                let text = lossy(&self.value);
                let (digits, times) = text.split_once('*').unwrap_or((&text, "1"));
                unhex(digits)?.repeat(times.parse().map_err(|_| format!("`{times}` times?"))?)
            }
        };
        Ok(Item { key: String::new(), value, not: false, var: false })
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let not = rest.starts_with('!');
        rest = rest.strip_prefix('!').unwrap_or(rest);
        let is_key = |c: char| c.is_ascii_lowercase() || c == '-' || c == '.';
        let end = rest.find(|c| !is_key(c)).unwrap_or(rest.len());
        let mut key = String::new();
        if end > 0 && rest[end..].starts_with('=') {
            key = rest[..end].to_owned();
            rest = &rest[end + 1..];
        }
        let quoted = rest.starts_with(['\'', '"']);
        let value;
        if quoted {
            (value, rest) = quotation(rest)?;
        } else {
            let end = rest.find(' ').unwrap_or(rest.len());
            value = rest.as_bytes()[..end].to_vec();
            rest = &rest[end..];
        }
        found.push(Token { key, value, quoted, not });
        rest = rest.trim_start();
    }
    Ok(found)
}

/// A text between quotes, with `\xHH`, `\0`, `\\` and quotes in it, perhaps repeated.
fn quotation(text: &str) -> Result<(Vec<u8>, &str), String> {
    let quote = text.as_bytes()[0];
    let mut value = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 1;
    loop {
        match *bytes.get(at).ok_or("a quote is not closed")? {
            b'\\' if bytes.get(at + 1) == Some(&b'x') => {
                let digits = text.get(at + 2..at + 4).ok_or("`\\x` needs two digits")?;
                value.extend(unhex(digits)?);
                at += 4;
            }
            b'\\' => {
                let next = *bytes.get(at + 1).ok_or("a quote is not closed")?;
                value.push(if next == b'0' { 0 } else { next });
                at += 2;
            }
            byte if byte == quote => break,
            byte => {
                value.push(byte);
                at += 1;
            }
        }
    }
    let mut rest = &text[at + 1..];
    if let Some(times) = rest.strip_prefix('*') {
        let end = times.find(' ').unwrap_or(times.len());
        value = value.repeat(times[..end].parse().map_err(|_| "how many times?")?);
        rest = &times[end..];
    }
    Ok((value, rest))
}

/// Bytes for a message.
#[must_use]
pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A number, decimal or behind `0x`.
pub fn number(text: &[u8]) -> Result<u64, String> {
    let text = lossy(text);
    let number = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    number.ok_or_else(|| format!("`{text}` is no number"))
}

fn small<T: TryFrom<u64>>(n: u64) -> Result<T, String> {
    T::try_from(n).map_err(|_| format!("{n} does not fit"))
}

/// The bytes of a line, in the given level of the protocol (3, 4 or 5).
pub fn encode(line: &Line, level: u8) -> Result<Vec<u8>, String> {
    if line.word.is_empty() {
        return Ok(line.names().flatten().copied().collect());
    }
    let kind = PACKETS.iter().find(|(word, _)| *word == line.word).map_or(0, |(_, kind)| *kind);
    let body = match kind {
        1 => connect(line, level)?,
        2 => connack(line, level)?,
        3 => publish(line, level)?,
        4..=7 => ack(line, level)?,
        8 => subscribe(line, level)?,
        9 | 11 => codes(line, level)?,
        10 => unsubscribe(line, level)?,
        14 | 15 => reason(line, level)?,
        _ => Vec::new(),
    };
    let flags = match kind {
        3 => u8::from(line.has("dup")) << 3 | line.qos() << 1 | u8::from(line.has("retain")),
        6 | 8 | 10 => 2,
        _ => 0,
    };
    let fixed = small(line.number_of("fixed", u64::from(kind << 4 | flags))?)?;
    frame(line, fixed, body)
}

fn frame(line: &Line, fixed: u8, mut body: Vec<u8>) -> Result<Vec<u8>, String> {
    let cut: usize = small(line.number_of("cut", 0)?)?;
    body.truncate(body.len().checked_sub(cut).ok_or("there is less than that to cut")?);
    body.extend_from_slice(line.key("more").unwrap_or_default());
    let mut out = vec![fixed];
    put_var(&mut out, body.len() as u64)?;
    out.extend(body);
    Ok(out)
}

fn put_two(out: &mut Vec<u8>, n: u64) -> Result<(), String> {
    out.extend(small::<u16>(n)?.to_be_bytes());
    Ok(())
}

fn put_var(out: &mut Vec<u8>, mut n: u64) -> Result<(), String> {
    if n > 268_435_455 {
        return Err(format!("{n} is more than four bytes of seven bits hold"));
    }
    while n > 127 {
        out.push(n as u8 & 127 | 128);
        n >>= 7;
    }
    out.push(n as u8);
    Ok(())
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) -> Result<(), String> {
    put_two(out, text.len() as u64)?;
    out.extend_from_slice(text);
    Ok(())
}

/// The properties of a line, in its order, behind their length; `plen=` is another length.
fn put_props(out: &mut Vec<u8>, line: &Line, prefix: &str) -> Result<(), String> {
    let props = props(line, prefix)?;
    put_var(out, line.number_of("plen", props.len() as u64)?)?;
    out.extend(props);
    Ok(())
}

fn props(line: &Line, prefix: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    for item in &line.items {
        let Some(key) = item.key.strip_prefix(prefix) else { continue };
        if key == "raw" {
            out.extend_from_slice(&item.value);
        }
        let Some((id, _, shape, _)) = PROPERTIES.iter().find(|p| p.1 == key) else { continue };
        out.push(*id);
        put_value(&mut out, *shape, &item.value)?;
    }
    Ok(out)
}

fn put_value(out: &mut Vec<u8>, shape: Shape, value: &[u8]) -> Result<(), String> {
    match shape {
        Shape::One => out.push(small(number(value)?)?),
        Shape::Two => put_two(out, number(value)?)?,
        Shape::Four => out.extend(small::<u32>(number(value)?)?.to_be_bytes()),
        Shape::Var => put_var(out, number(value)?)?,
        Shape::Text | Shape::Data => put_text(out, value)?,
        Shape::Pair => {
            let at = value.iter().position(|b| *b == b':').ok_or("a pair is `name:value`")?;
            put_text(out, &value[..at])?;
            put_text(out, &value[at + 1..])?;
        }
    }
    Ok(())
}

fn connect(line: &Line, level: u8) -> Result<Vec<u8>, String> {
    let user = line.key("user");
    let sample = SAMPLES.iter().find(|(name, _)| Some(name.as_bytes()) == user);
    let pass = line.key("pass").or_else(|| sample.map(|(_, secret)| secret.as_bytes()));
    let pass = pass.filter(|_| !line.has("nopass"));
    let will = line.key("will");
    let mut flags = u64::from(line.has("clean")) << 1;
    flags |= line.number_of("wq", 0)? << 3 | u64::from(will.is_some()) << 2;
    flags |= u64::from(line.has("wretain")) << 5;
    flags |= u64::from(pass.is_some()) << 6 | u64::from(user.is_some()) << 7;
    let name: &[u8] = if level == 3 { b"MQIsdp" } else { b"MQTT" };
    let mut out = Vec::new();
    put_text(&mut out, line.key("name").unwrap_or(name))?;
    out.push(small(line.number_of("level", u64::from(level))?)?);
    out.push(small(line.number_of("flags", flags)?)?);
    put_two(&mut out, line.number_of("keep", 0)?)?;
    if level == 5 {
        put_props(&mut out, line, "")?;
    }
    if !line.has("noid") {
        put_text(&mut out, line.key("id").ok_or("`id=` is missing")?)?;
    }
    if let Some(topic) = will {
        if level == 5 {
            let props = props(line, "w.")?;
            put_var(&mut out, props.len() as u64)?;
            out.extend(props);
        }
        put_text(&mut out, topic)?;
        put_text(&mut out, line.key("wbody").unwrap_or_default())?;
    }
    for text in [user, pass].into_iter().flatten() {
        put_text(&mut out, text)?;
    }
    Ok(out)
}

fn connack(line: &Line, level: u8) -> Result<Vec<u8>, String> {
    let flags = line.number_of("flags", u64::from(line.has("present")))?;
    let mut out = vec![small(flags)?, small(line.number_at(0)?)?];
    if level == 5 {
        put_props(&mut out, line, "")?;
    }
    Ok(out)
}

fn publish(line: &Line, level: u8) -> Result<Vec<u8>, String> {
    let mut names = line.names();
    let mut out = Vec::new();
    put_text(&mut out, names.next().ok_or("a topic is missing")?)?;
    if line.qos() > 0 && !line.has("noid") {
        put_two(&mut out, number(line.key("id").ok_or("`id=` is missing")?)?)?;
    }
    if level == 5 {
        put_props(&mut out, line, "")?;
    }
    out.extend_from_slice(names.next().unwrap_or_default());
    Ok(out)
}

fn ack(line: &Line, level: u8) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    put_two(&mut out, line.number_at(0)?)?;
    tail(&mut out, line, level, 1)?;
    Ok(out)
}

fn reason(line: &Line, level: u8) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    tail(&mut out, line, level, 0)?;
    Ok(out)
}

/// A reason and properties, each left out when there is nothing to say, as 5.0 allows.
fn tail(out: &mut Vec<u8>, line: &Line, level: u8, at: usize) -> Result<(), String> {
    let reason = line.names().nth(at);
    let props = !props(line, "")?.is_empty() || line.has("long") || line.key("plen").is_some();
    match level {
        5 if reason.is_some() || props => out.push(small(number(reason.unwrap_or(b"0"))?)?),
        5 => return Ok(()),
        _ if reason.is_some() || props => return Err("there are no reasons before 5.0".into()),
        _ => return Ok(()),
    }
    if props { put_props(out, line, "") } else { Ok(()) }
}

fn subscribe(line: &Line, level: u8) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    put_two(&mut out, line.number_at(0)?)?;
    if level == 5 {
        put_props(&mut out, line, "")?;
    }
    let mut options = None;
    let mut names = 0;
    for item in &line.items {
        let bits = match item.key.as_str() {
            "" => {
                names += 1;
                if names > 1 {
                    out.extend(options.replace(0));
                    put_text(&mut out, &item.value)?;
                }
                continue;
            }
            "q0" => 0,
            "q1" => 1,
            "q2" => 2,
            "q3" => 3,
            "nolocal" => 4,
            "rap" => 8,
            "rh" => small::<u8>(number(&item.value)?)? << 4,
            "opt" => small(number(&item.value)?)?,
            _ => continue,
        };
        *options.as_mut().ok_or("options stand behind their filter")? |= bits;
    }
    out.extend(options);
    Ok(out)
}

fn unsubscribe(line: &Line, level: u8) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    put_two(&mut out, line.number_at(0)?)?;
    if level == 5 {
        put_props(&mut out, line, "")?;
    }
    for filter in line.names().skip(1) {
        put_text(&mut out, filter)?;
    }
    Ok(out)
}

fn codes(line: &Line, level: u8) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    put_two(&mut out, line.number_at(0)?)?;
    if level == 5 {
        put_props(&mut out, line, "")?;
    }
    for code in line.names().skip(1) {
        out.push(small(number(code)?)?);
    }
    Ok(out)
}
