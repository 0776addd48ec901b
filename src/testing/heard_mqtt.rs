//! Floor 5. What an MQTT server said: read strictly, put into words, compared with a script's.
//!
//! The reader takes what a server may send and nothing else: reserved bits, lengths, places and
//! numbers of properties, reason codes, text. So every script checks every packet it hears
//! against the standard, whatever it was written for. Comparing is fair to what the standard
//! leaves open: packet ids are the server's choice, reasons in text may come or not.
//!
//! Absent on purpose: packets that only clients send.

use std::collections::BTreeMap;

use super::words_mqtt::{Item, Line, PACKETS, PROPERTIES, Shape, lossy, number};

/// What `@name` stands for.
pub type Vars = BTreeMap<String, Vec<u8>>;

/// How much more is needed before the packet in front is whole; 0: it is.
pub fn missing(heard: &[u8]) -> Result<usize, String> {
    let (mut len, mut shift) = (0, 0);
    for (n, byte) in heard.iter().skip(1).take(4).enumerate() {
        len |= usize::from(byte & 127) << shift;
        shift += 7;
        if byte & 128 == 0 {
            return Ok((2 + n + len).saturating_sub(heard.len()));
        }
    }
    match heard.len() {
        0..5 => Ok(1),
        _ => Err("a length of more than four bytes".into()),
    }
}

/// A packet of a server in words; the error says which rule of the standard it breaks.
pub fn describe(packet: &[u8], level: u8) -> Result<Line, String> {
    let mut r = Reader { rest: packet };
    let first = r.one()?;
    let len = r.var()?;
    if len != r.rest.len() {
        return Err(format!("{} bytes behind a length of {len}", r.rest.len()));
    }
    let kind = first >> 4;
    let word = PACKETS.iter().find(|(_, k)| *k == kind).ok_or("a packet of type 0")?.0;
    let mut line = Line { word: word.to_owned(), items: Vec::new() };
    if kind != 3 && first & 15 != if kind == 6 { 2 } else { 0 } {
        return Err(format!("reserved bits: a {word} that begins with {first:#04x}"));
    }
    match kind {
        2 => connack(&mut r, &mut line, level)?,
        3 => publish(&mut r, &mut line, first, level)?,
        4..=7 => ack(&mut r, &mut line, level, kind)?,
        9 | 11 => codes(&mut r, &mut line, level, kind)?,
        13 => {}
        14 | 15 if level == 5 => reason(&mut r, &mut line, kind)?,
        _ => return Err(format!("a server does not say {word}")),
    }
    match r.rest.is_empty() {
        true => Ok(line),
        false => Err(format!("{} bytes too many in a {word}", r.rest.len())),
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let (front, rest) = self.rest.split_at_checked(n).ok_or("it ends too early")?;
        self.rest = rest;
        Ok(front)
    }

    fn one(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self, bytes: usize) -> Result<u64, String> {
        Ok(self.take(bytes)?.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)))
    }

    fn id(&mut self) -> Result<u64, String> {
        match self.number(2)? {
            0 => Err("packet id 0".into()),
            id => Ok(id),
        }
    }

    fn var(&mut self) -> Result<usize, String> {
        let mut n = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.one()?;
            n |= usize::from(byte & 127) << shift;
            if byte & 128 == 0 {
                return match byte == 0 && shift > 0 {
                    true => Err("a length with more bytes than it needs".into()),
                    false => Ok(n),
                };
            }
        }
        Err("a length of more than four bytes".into())
    }

    fn data(&mut self) -> Result<&'a [u8], String> {
        let len = self.number(2)?;
        self.take(len as usize)
    }

    fn text(&mut self) -> Result<&'a [u8], String> {
        let text = self.data()?;
        match core::str::from_utf8(text) {
            Ok(text) if !text.contains('\0') => Ok(text.as_bytes()),
            _ => Err(format!("no text: {}", text.escape_ascii())),
        }
    }
}

fn push_number(line: &mut Line, key: &str, n: u64) {
    line.push(key, if n < 128 { n.to_string() } else { format!("{n:#04x}") });
}

/// The properties of a packet of type `kind`, each where it may stand and as often as it may.
fn props(r: &mut Reader<'_>, line: &mut Line, kind: u8) -> Result<(), String> {
    let len = r.var()?;
    let mut r = Reader { rest: r.take(len)? };
    let mut seen = Vec::new();
    while !r.rest.is_empty() {
        let id = r.var()?;
        let found = PROPERTIES.iter().find(|p| usize::from(p.0) == id);
        let (_, key, shape, places) = found.ok_or_else(|| format!("no property is {id}"))?;
        // A server sends no subscription identifier of its own and never sets a session expiry
        // in DISCONNECT [MQTT5-3.14.2-2].
        if !places.contains(&kind) || (*key, kind) == ("session-expiry", 14) {
            return Err(format!("{key} has no place in a {}", line.word));
        }
        let many = *key == "prop" || (*key, kind) == ("sub-id", 3);
        if !many && seen.contains(&id) {
            return Err(format!("{key} stands there twice"));
        }
        seen.push(id);
        value(&mut r, line, key, *shape)?;
    }
    Ok(())
}

fn value(r: &mut Reader<'_>, line: &mut Line, key: &str, shape: Shape) -> Result<(), String> {
    let n = match shape {
        Shape::One => r.number(1)?,
        Shape::Two => r.number(2)?,
        Shape::Four => r.number(4)?,
        Shape::Var => r.var()? as u64,
        Shape::Text => {
            line.push(key, r.text()?);
            return Ok(());
        }
        Shape::Data => {
            line.push(key, r.data()?);
            return Ok(());
        }
        Shape::Pair => {
            line.push(key, [r.text()?, b":", r.text()?].concat());
            return Ok(());
        }
    };
    let flag = shape == Shape::One && n > 1;
    let zero = ["receive-max", "max-packet", "alias", "sub-id"].contains(&key) && n == 0;
    if flag || zero {
        return Err(format!("{key} may not be {n}"));
    }
    line.push(key, n.to_string());
    Ok(())
}

/// The reason codes that a server may put into each packet, by the table of section 2.4.
fn allowed(kind: u8, code: u8, level: u8) -> bool {
    let codes: &[u8] = match (kind, level) {
        (2, 5) => &[
            0, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95,
            0x97, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f,
        ],
        (2, _) => &[0, 1, 2, 3, 4, 5],
        (4 | 5, _) => &[0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
        (6 | 7, _) => &[0, 0x92],
        (9, 5) => &[0, 1, 2, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2],
        (9, _) => &[0, 1, 2, 0x80],
        (11, _) => &[0, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91],
        (14, _) => &[
            0, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94,
            0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
        ],
        _ => &[0, 0x18],
    };
    codes.contains(&code)
}

fn code(r: &mut Reader<'_>, line: &mut Line, kind: u8, level: u8) -> Result<u8, String> {
    let code = r.one()?;
    if !allowed(kind, code, level) {
        return Err(format!("{code:#04x} is no code that a server says in a {}", line.word));
    }
    push_number(line, "", u64::from(code));
    Ok(code)
}

fn connack(r: &mut Reader<'_>, line: &mut Line, level: u8) -> Result<(), String> {
    let flags = r.one()?;
    let refused = code(r, line, 2, level)? != 0;
    match flags {
        0 => {}
        1 if refused => return Err("a session is present behind a refusal".into()),
        1 => line.push("present", ""),
        _ => return Err(format!("reserved bits: flags {flags:#04x}")),
    }
    if level == 5 { props(r, line, 2) } else { Ok(()) }
}

fn publish(r: &mut Reader<'_>, line: &mut Line, first: u8, level: u8) -> Result<(), String> {
    let (dup, qos, retain) = (first & 8 != 0, first >> 1 & 3, first & 1 != 0);
    if qos == 3 || qos == 0 && dup {
        return Err(format!("a PUBLISH that begins with {first:#04x}"));
    }
    let topic = r.text()?;
    if topic.iter().any(|b| matches!(b, b'+' | b'#')) {
        return Err(format!("wildcards in the topic {}", lossy(topic)));
    }
    if qos > 0 {
        line.push(&format!("q{qos}"), "");
        let id = r.id()?;
        line.push("id", id.to_string());
    }
    for (flag, set) in [("dup", dup), ("retain", retain)] {
        if set {
            line.push(flag, "");
        }
    }
    line.push("", topic);
    if level == 5 {
        props(r, line, 3)?;
    }
    if topic.is_empty() && line.key("alias").is_none() {
        return Err("an empty topic without alias".into());
    }
    let wild = |b: &u8| matches!(b, b'+' | b'#');
    if line.key("response").is_some_and(|topic| topic.iter().any(wild)) {
        return Err("wildcards in the response topic".into());
    }
    let rest = r.rest.len();
    line.push("", r.take(rest)?);
    Ok(())
}

fn ack(r: &mut Reader<'_>, line: &mut Line, level: u8, kind: u8) -> Result<(), String> {
    let id = r.id()?;
    push_number(line, "", id);
    if level < 5 || r.rest.is_empty() {
        return Ok(());
    }
    code(r, line, kind, level)?;
    if r.rest.is_empty() { Ok(()) } else { props(r, line, kind) }
}

fn codes(r: &mut Reader<'_>, line: &mut Line, level: u8, kind: u8) -> Result<(), String> {
    let id = r.id()?;
    push_number(line, "", id);
    if level == 5 {
        props(r, line, kind)?;
    }
    if level < 5 && kind == 11 {
        return Ok(());
    }
    while !r.rest.is_empty() {
        code(r, line, kind, level)?;
    }
    Ok(())
}

fn reason(r: &mut Reader<'_>, line: &mut Line, kind: u8) -> Result<(), String> {
    if r.rest.is_empty() {
        line.push("", "0");
        return Ok(());
    }
    code(r, line, kind, 5)?;
    if r.rest.is_empty() { Ok(()) } else { props(r, line, kind) }
}

/// Put what is known in the place of `@name`; what is not yet known stays, or becomes `or`.
pub fn fill(line: &mut Line, vars: &Vars, or: Option<&[u8]>) {
    for item in line.items.iter_mut().filter(|item| item.var) {
        let known = vars.get(&lossy(&item.value)).map(Vec::as_slice).or(or);
        if let Some(value) = known {
            item.value = value.to_vec();
            item.var = false;
        }
    }
}

/// Does this packet say what the script expects? It binds what the script names for the first
/// time. The error says what is different.
pub fn agree(wanted: &Line, said: &Line, vars: &mut Vars) -> Result<(), String> {
    if wanted.word != said.word {
        return Err(format!("a {} and not a {}", said.word, wanted.word));
    }
    let mut bound = Vec::new();
    flags(wanted, said)?;
    names(wanted, said, &mut bound)?;
    keys(wanted, said, &mut bound)?;
    vars.extend(bound);
    Ok(())
}

fn flags(wanted: &Line, said: &Line) -> Result<(), String> {
    if wanted.qos() != said.qos() {
        return Err(format!("QoS {} and not {}", said.qos(), wanted.qos()));
    }
    for flag in ["dup", "retain", "present"] {
        // `dup?`: a broker that has lost power cannot know whether something was sent before.
        let free = flag == "dup" && wanted.has("dup?");
        if !free && wanted.has(flag) != said.has(flag) {
            let not = if wanted.has(flag) { "is not" } else { "is" };
            return Err(format!("`{flag}` {not} there"));
        }
    }
    Ok(())
}

fn names(wanted: &Line, said: &Line, bound: &mut Vec<(String, Vec<u8>)>) -> Result<(), String> {
    let is_name = |item: &&Item| item.key.is_empty();
    let wanted_names: Vec<&Item> = wanted.items.iter().filter(is_name).collect();
    let mut names: Vec<&Item> = said.items.iter().filter(is_name).collect();
    let len = wanted_names.len();
    let ack = matches!(wanted.word.as_str(), "puback" | "pubrec" | "pubrel" | "pubcomp");
    let good = |item: &Item| matches!(number(&item.value), Ok(0 | 0x10));
    if ack && len == 1 && names.len() == 2 && good(names[1]) {
        names.truncate(1);
    }
    let empty = Item { key: String::new(), value: Vec::new(), not: false, var: false };
    let zero = Item { value: b"0".to_vec(), ..empty.clone() };
    while names.len() < len && ack {
        names.push(&zero);
    }
    let mut wanted_names = wanted_names;
    if wanted.word == "pub" && len == 1 {
        wanted_names.push(&empty);
    }
    if names.len() != wanted_names.len() {
        return Err(format!("{} codes and not {len}", names.len()));
    }
    let exact = wanted.word == "pub";
    let pairs = wanted_names.into_iter().zip(names);
    pairs.into_iter().try_for_each(|(wanted, said)| same(wanted, &said.value, exact, bound))
}

/// Keys: of a PUBLISH all, of other packets those that are named; `only` means all.
fn keys(wanted: &Line, said: &Line, bound: &mut Vec<(String, Vec<u8>)>) -> Result<(), String> {
    let all = wanted.word == "pub" || wanted.has("only");
    for (_, key, ..) in PROPERTIES.iter().chain(&[(0, "id", Shape::Two, &[] as &[u8])]) {
        let of = |line: &Line| -> Vec<Item> {
            line.items.iter().filter(|item| item.key == *key).cloned().collect()
        };
        let (mut wanted, mut said) = (of(wanted), of(said));
        if wanted.iter().any(|item| item.not) && !said.is_empty() {
            return Err(format!("`{key}` is there: {}", lossy(&said[0].value)));
        }
        wanted.retain(|item| !item.not);
        if *key == "sub-id" {
            wanted.sort_by(|a, b| a.value.cmp(&b.value));
            said.sort_by(|a, b| a.value.cmp(&b.value));
        }
        let free = matches!(*key, "id" | "reason-text") || !all;
        if wanted.is_empty() && free {
            continue;
        }
        if wanted.len() != said.len() && (all || wanted.len() > said.len()) {
            let (there, not) = (said.len(), wanted.len());
            return Err(format!("`{key}` is there {there} times and not {not}"));
        }
        for (wanted, said) in wanted.iter().zip(&said) {
            same(wanted, &said.value, false, bound).map_err(|why| format!("{key}: {why}"))?;
        }
    }
    Ok(())
}

/// One value against the expected one: itself, the same number, `*`, `a|b`, `a..b`, `@name`.
fn same(
    wanted: &Item,
    said: &[u8],
    exact: bool,
    bound: &mut Vec<(String, Vec<u8>)>,
) -> Result<(), String> {
    if wanted.var {
        bound.push((lossy(&wanted.value), said.to_vec()));
        return Ok(());
    }
    let text = lossy(&wanted.value);
    let equals = |text: &str| match (number(text.as_bytes()), number(said)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    };
    let within = || {
        let (low, high) = text.split_once("..")?;
        let (low, high) = (number(low.as_bytes()).ok()?, number(high.as_bytes()).ok()?);
        Some((low..=high).contains(&number(said).ok()?))
    };
    let fits = wanted.value == said
        || !exact && (text == "*" || text.split('|').any(equals) || within() == Some(true));
    match fits {
        true => Ok(()),
        false => {
            let cut = |bytes: &[u8]| bytes[..bytes.len().min(64)].escape_ascii().to_string();
            Err(format!("`{}` ({} bytes) and not `{}`", cut(said), said.len(), cut(&wanted.value)))
        }
    }
}
