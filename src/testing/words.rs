//! Floor 5. PRX1 packets as a person writes them: hex, quoted text, or a word with its fields.
//!
//! `20 01 02`, `72 07 0001 0003 'a/b'`, `pub q1 id=9 a/b "m1" retain`. What a line means does not
//! depend on anything but the line. Words are encoded by the broker's own encoder, which is tested
//! against recorded bytes; what it refuses to say is written in hex. Absent on purpose: defaults
//! that a reader would have to look up, save one: a sample user's secret need not be repeated.

use bytes::Bytes;

use crate::proto::prx1::{
    Action, ConnAck, Connect, Packet, Publish, QAckCode, Queue, Subscribe, encode_vec,
};

/// The sample users of the protocol's original, and the secrets they send.
pub const SAMPLES: [(&str, &str); 4] = [
    ("test", "$2a$06$lNi8H5kc5Z9T9xJAXwQqyunl2EYhGUi6ct3TgpR1BNb1vpzpp9pzC"),
    ("test2", "$2a$06$2uqusEvRMcpla2KXph8sBuBXO4WVOgIVbIgfRjk5y01UXxxgR9z6O"),
    ("test3", "$2a$06$sgQ9yjjVvRxQhLqWKSGv4OTE2EF4ojUu1sEHnGUJdimmn.5M9M7/."),
    ("test4", "$2a$06$9wavlAtmNZ66Whe2wturDO7yIBdE41/Zcn4c5z4ydzJ/ydVJIZwJK"),
];

/// The bytes that a line of script stands for.
pub fn bytes_of(line: &str) -> Result<Vec<u8>, String> {
    let words = split(line)?;
    let Some(Word::Bare(first)) = words.first() else {
        return raw(&words);
    };
    if !WORDS.contains(&first.as_str()) {
        return raw(&words);
    }
    let fields = Fields::of(&words[1..])?;
    let packet = match first.as_str() {
        "connect" => connect(&fields)?,
        "sub" => Packet::Subscribe(subscription(&fields)?),
        "unsub" => Packet::Unsubscribe(subscription(&fields)?),
        "pub" => publication(&fields)?,
        "queue" => queue(&fields)?,
        "puback" => Packet::PubAck(fields.first_number()?),
        "suback" => Packet::SubAck(fields.first_number()?),
        "unsuback" => Packet::UnsubAck(fields.first_number()?),
        "ping" => Packet::Ping,
        "pong" => Packet::Pong,
        "disconnect" => Packet::Disconnect,
        "qack" if fields.has("ok") => Packet::QAck(QAckCode::Ok),
        "qack" if fields.has("error") => Packet::QAck(QAckCode::Error),
        "connack" => connack(&fields)?,
        other => return Err(format!("`{other}` needs more words")),
    };
    encode_vec(&packet).map_err(|why| format!("{line}: {why}"))
}

/// The words that stand for packets.
const WORDS: &[&str] = &[
    "connect",
    "sub",
    "unsub",
    "pub",
    "queue",
    "puback",
    "suback",
    "unsuback",
    "ping",
    "pong",
    "disconnect",
    "qack",
    "connack",
];

/// A word of a line: bare, or between quotes and perhaps repeated.
#[derive(Clone, Debug)]
enum Word {
    Bare(String),
    Text(Vec<u8>),
}

fn split(line: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        if first == '\'' || first == '"' {
            let end = rest[1..].find(first).ok_or("a quote is not closed")? + 1;
            let mut text = rest.as_bytes()[1..end].to_vec();
            rest = &rest[end + 1..];
            if let Some(times) = rest.strip_prefix('*') {
                let end = times.find(' ').unwrap_or(times.len());
                text = text.repeat(number(&times[..end])?);
                rest = &times[end..];
            }
            words.push(Word::Text(text));
        } else {
            let end = rest.find(' ').unwrap_or(rest.len());
            words.push(Word::Bare(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Ok(words)
}

/// Hex digits in pairs, and quoted text, one after the other.
fn raw(words: &[Word]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for word in words {
        match word {
            Word::Text(text) => bytes.extend_from_slice(text),
            Word::Bare(hex) => {
                let (digits, times) = hex.split_once('*').unwrap_or((hex, "1"));
                bytes.extend(unhex(digits)?.repeat(number(times)?));
            }
        }
    }
    Ok(bytes)
}

/// Hex digits as bytes.
pub fn unhex(digits: &str) -> Result<Vec<u8>, String> {
    let all: Option<Vec<u32>> = digits.chars().map(|c| c.to_digit(16)).collect();
    let all = all.filter(|all| all.len() % 2 == 0);
    let all = all.ok_or_else(|| format!("`{digits}` is neither a word nor hex"))?;
    Ok(all.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

fn number<T: core::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

/// The words behind the first: flags and names in order, `key=value` by key, one text.
#[derive(Default)]
struct Fields {
    bare: Vec<String>,
    keyed: Vec<(String, String)>,
    text: Option<Vec<u8>>,
}

const FLAGS: &[&str] =
    &["dup", "retain", "clean", "nopass", "noid", "q0", "q1", "q2", "q3", "ok", "error", "present"];

impl Fields {
    fn of(words: &[Word]) -> Result<Self, String> {
        let mut fields = Self::default();
        for word in words {
            match word {
                Word::Text(text) if fields.text.is_none() => fields.text = Some(text.clone()),
                Word::Text(_) => return Err("two texts in one packet".into()),
                Word::Bare(word) => match word.split_once('=') {
                    Some((key, value)) => fields.keyed.push((key.into(), value.into())),
                    None => fields.bare.push(word.clone()),
                },
            }
        }
        Ok(fields)
    }

    fn has(&self, flag: &str) -> bool {
        self.bare.iter().any(|word| word == flag)
    }

    fn key(&self, key: &str) -> Option<&str> {
        self.keyed.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    fn bytes(&self, key: &str) -> Option<Bytes> {
        self.key(key).map(|value| Bytes::copy_from_slice(value.as_bytes()))
    }

    /// The words that are no flags.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.bare.iter().map(String::as_str).filter(|word| !FLAGS.contains(word))
    }

    fn topic(&self) -> Bytes {
        Bytes::copy_from_slice(self.names().next().unwrap_or_default().as_bytes())
    }

    fn qos(&self) -> u8 {
        (0..4).find(|q| self.has(&format!("q{q}"))).unwrap_or(0)
    }

    fn id(&self) -> Result<u16, String> {
        self.key("id").map_or(Ok(0), number)
    }

    fn first_number(&self) -> Result<u16, String> {
        number(self.names().next().unwrap_or_default())
    }
}

fn connect(f: &Fields) -> Result<Packet, String> {
    let user = f.key("user");
    let sample = SAMPLES.iter().find(|(name, _)| Some(*name) == user).map(|(_, secret)| *secret);
    let password = f.key("pass").or(sample).filter(|_| !f.has("nopass"));
    Ok(Packet::Connect(Connect {
        clean_start: f.has("clean"),
        version: f.bytes("version").unwrap_or(Bytes::from_static(b"PRX1")),
        password: password.map(|p| Bytes::copy_from_slice(p.as_bytes())),
        client_id: if f.has("noid") { None } else { Some(f.bytes("cid").unwrap_or_default()) },
        keepalive: f.key("keepalive").map(number).transpose()?,
        username: f.bytes("user"),
    }))
}

fn connack(f: &Fields) -> Result<Packet, String> {
    let code = f.names().next().unwrap_or("02");
    let result = u8::from_str_radix(code, 16).map_err(|_| format!("`{code}` is no code"))?;
    Ok(Packet::ConnAck(ConnAck { session_present: f.has("present"), ..ConnAck::plain(result) }))
}

fn subscription(f: &Fields) -> Result<Subscribe, String> {
    let (dup, qos, retain) = (f.has("dup"), f.qos(), f.has("retain"));
    Ok(Subscribe { dup, qos, retain, id: f.id()?, topic: f.topic() })
}

fn publication(f: &Fields) -> Result<Packet, String> {
    Ok(Packet::Publish(Publish {
        dup: f.has("dup"),
        qos: f.qos(),
        retain: f.has("retain"),
        id: f.id()?,
        topic: f.topic(),
        payload: Bytes::from(f.text.clone().unwrap_or_default()),
    }))
}

fn queue(f: &Fields) -> Result<Packet, String> {
    let mut names = f.names();
    let action = match names.next().unwrap_or_default() {
        "init" => Action::Initialize,
        "drain" => Action::Drain,
        "destroy" => Action::Destroy,
        other => return Err(format!("`{other}` is nothing to do with a queue")),
    };
    Ok(Packet::Queue(Queue {
        dup: f.has("dup"),
        action,
        id: f.key("id").map(number).transpose()?,
        address: names.next().map(|name| Bytes::copy_from_slice(name.as_bytes())),
        return_path: f.bytes("to"),
        mark: f.bytes("mark"),
        message: f.text.clone().map(Bytes::from),
    }))
}
