//! Floor 5. WAMP as a person writes it: a list in JSON, in a frame of RawSocket.
//!
//! ```text
//! a> hello caller callee            the handshake for JSON, and HELLO with these roles
//! a> hello/msgpack subscriber       the same in another form; what follows is written in it
//! a> [16,1,{"acknowledge":true},"com.a",["x"]]
//! a< welcome                        the answer to the handshake, and WELCOME
//! a< [17,1,"*"]                     "*": anything; "@x": what it is called from now on
//! a< [36,"@s","*",{"topic":"a","...":0},["x"]]   "...": there may be other keys
//! a> ping 'x' ; a< pong 'x' ; a< ping 'x' ; a> pong 'x' ; a> raw 7f f1 0000
//! ```
//!
//! In what is said, `"@x"` stands for what was called so. At a WebSocket there is no handshake of
//! RawSocket, and a message is a frame: of text in JSON, and else binary. Absent on purpose: what
//! it means.

use std::collections::BTreeMap;

use super::script::{World, spell};
use super::words::bytes_of;
use super::words_ws::{binary, server_frame, text};
use crate::proto::wamp::rawsocket::{self, Kind, Offer};
use crate::value::{Bounds, Flaw, Form, Value, Walk, Writer};

/// What was named, and the form that each speaks.
#[derive(Clone, Debug, Default)]
pub struct Names {
    values: BTreeMap<String, Value>,
    forms: BTreeMap<String, Form>,
}

/// Something said or heard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Phrase {
    said: String,
    /// It goes in a frame of a WebSocket.
    framed: bool,
}

/// What every peer announces of each role, unless a line says otherwise.
const FEATURES: &str = r#"{"features":{"publisher_identification":true,
"pattern_based_subscription":true,"publisher_exclusion":true,"subscriber_blackwhite_listing":true,
"subscription_revocation":true,"registration_revocation":true,"caller_identification":true,
"call_canceling":true,"call_timeout":true,"progressive_call_results":true,
"progressive_call_invocations":true,"payload_passthru_mode":true,"publication_trustlevels":true,
"call_trustlevels":true}}"#;

impl Phrase {
    /// Understand it as far as that can be without a broker.
    pub fn parse(text: &str, framed: bool) -> Result<Self, String> {
        if text.starts_with('[') {
            value_of(text)?;
        }
        Ok(Self { said: text.to_owned(), framed })
    }

    /// Say it.
    pub fn say(&self, world: &mut dyn World, who: &str, names: &mut Names) -> Result<(), String> {
        let (word, rest) = self.said.split_once(' ').unwrap_or((&self.said, ""));
        match word.split_once('/').unwrap_or((word, "json")) {
            ("hello", form) => {
                let form = form_of(form)?;
                names.forms.insert(who.to_owned(), form);
                if !self.framed {
                    world.say(who, &Offer { takes: 1 << 24, form }.octets())?;
                }
                let role = |role: &str| format!("\"{role}\":{FEATURES}");
                let roles: Vec<String> = rest.split_whitespace().map(role).collect();
                let roles = roles.join(",").replace('\n', "");
                let hello = format!("[1,\"default\",{{\"roles\":{{{roles}}}}}]");
                world.say(who, &self.dressed(&value_of(&hello)?, form))
            }
            ("ping", _) => world.say(who, &framed(Kind::Ping, &bytes_of(rest)?)),
            ("pong", _) => world.say(who, &framed(Kind::Pong, &bytes_of(rest)?)),
            ("raw", _) => world.say(who, &bytes_of(rest)?),
            ("text", _) => world.say(who, &framed(Kind::Message, &bytes_of(rest)?)),
            _ => {
                let value = names.filled(&value_of(&self.said)?)?;
                world.say(who, &self.dressed(&value, names.form(who)))
            }
        }
    }

    /// A message, in the frame it goes in.
    fn dressed(&self, value: &Value, form: Form) -> Vec<u8> {
        let message = encoded(value, form);
        match (self.framed, form) {
            (false, _) => framed(Kind::Message, &message),
            (true, Form::Json) => text(&message),
            (true, _) => binary(&message),
        }
    }

    /// Hear it.
    pub fn hear(&self, world: &mut dyn World, who: &str, names: &mut Names) -> Result<(), String> {
        let (word, rest) = self.said.split_once(' ').unwrap_or((&self.said, ""));
        match word {
            "welcome" => {
                let answer =
                    if self.framed { Vec::new() } else { world.hear(who, rawsocket::HEAD)? };
                if !self.framed && answer.first() != Some(&rawsocket::MAGIC) {
                    return Err(format!("{who} hears {} instead of a handshake", spell(&answer)));
                }
                let wanted = r#"[2,"*",{"...":0}]"#;
                self.agree(&value_of(wanted)?, &self.next(world, who, names)?, names, who)
            }
            "ping" | "pong" => {
                let kind = if word == "ping" { Kind::Ping } else { Kind::Pong };
                let (wanted, len) = (framed(kind, &bytes_of(rest)?), rawsocket::HEAD);
                let heard = world.hear(who, wanted.len().max(len))?;
                if heard == wanted { Ok(()) } else { Err(format!("{who} hears {}", spell(&heard))) }
            }
            "raw" => {
                let wanted = bytes_of(rest)?;
                let heard = world.hear(who, wanted.len())?;
                if heard == wanted { Ok(()) } else { Err(format!("{who} hears {}", spell(&heard))) }
            }
            _ => {
                let heard = self.next(world, who, names)?;
                self.agree(&value_of(&self.said)?, &heard, names, who)
            }
        }
    }

    /// The next message, whole.
    fn next(&self, world: &mut dyn World, who: &str, names: &Names) -> Result<Value, String> {
        let form = names.form(who);
        let text = if self.framed {
            let (first, payload) = server_frame(&mut |n| world.hear(who, n))?;
            let wanted = if form == Form::Json { 0x81 } else { 0x82 };
            if first != wanted {
                return Err(format!("{who} hears a frame {first:#04x}: {}", spell(&payload)));
            }
            payload
        } else {
            unframed(world, who)?
        };
        let mut walk = Walk::new(form, &text, Bounds::default());
        let flawed = |flaw: Flaw| format!("{who} hears {}: {}", spell(&text), flaw.text());
        Value::read(&mut walk).map_err(flawed)
    }

    fn agree(
        &self,
        wanted: &Value,
        heard: &Value,
        names: &mut Names,
        who: &str,
    ) -> Result<(), String> {
        if names.agree(wanted, heard) {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&encoded(heard, Form::Json)).into_owned();
        Err(format!("{who} should hear {} and hears {text}", self.said))
    }
}

/// What the next frame of a RawSocket holds.
fn unframed(world: &mut dyn World, who: &str) -> Result<Vec<u8>, String> {
    let head = world.hear(who, rawsocket::HEAD)?;
    let (kind, len) = rawsocket::announced(&head, rawsocket::LONGEST)
        .map_err(|why| format!("{who} hears {}: {}", spell(&head), why.text()))?
        .ok_or_else(|| format!("{who} hears {}", spell(&head)))?;
    if kind != Kind::Message {
        return Err(format!("{who} hears a frame that is no message: {}", spell(&head)));
    }
    world.hear(who, len)
}

impl Names {
    /// What was called so.
    pub(super) fn known(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    fn form(&self, who: &str) -> Form {
        self.forms.get(who).copied().unwrap_or(Form::Json)
    }

    /// What was called so, in place of its name.
    pub(super) fn filled(&self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::Text(text) if text.starts_with('@') => {
                let named = self.values.get(text).cloned();
                named.ok_or_else(|| format!("nothing is called {text}"))?
            }
            Value::List(all) => {
                Value::List(all.iter().map(|it| self.filled(it)).collect::<Result<_, _>>()?)
            }
            Value::Map(all) => {
                let pair = |(key, it): &(String, Value)| Ok((key.clone(), self.filled(it)?));
                Value::Map(all.iter().map(pair).collect::<Result<_, String>>()?)
            }
            other => other.clone(),
        })
    }

    pub(super) fn agree(&mut self, wanted: &Value, heard: &Value) -> bool {
        match (wanted, heard) {
            (Value::Text(text), _) if text == "*" => true,
            (Value::Text(text), heard) if text.starts_with('@') => {
                let known = self.values.entry(text.clone()).or_insert_with(|| heard.clone());
                known == heard
            }
            (Value::List(wanted), Value::List(heard)) => {
                let same = wanted.len() == heard.len();
                same && wanted.iter().zip(heard).all(|(wanted, heard)| self.agree(wanted, heard))
            }
            (Value::Map(wanted), Value::Map(heard)) => {
                let open = wanted.iter().any(|(key, _)| key == "...");
                let keys = wanted.len() - usize::from(open);
                let found = |(key, wanted): &(String, Value)| {
                    let heard = heard.iter().find(|(own, _)| own == key);
                    key == "..." || heard.is_some_and(|(_, heard)| self.agree(wanted, heard))
                };
                (open || keys == heard.len()) && wanted.iter().all(found)
            }
            (wanted, heard) => match (wanted.as_int(), heard.as_int()) {
                (Some(wanted), Some(heard)) => wanted == heard,
                _ => wanted == heard,
            },
        }
    }
}

pub(super) fn value_of(text: &str) -> Result<Value, String> {
    let mut walk = Walk::new(Form::Json, text.as_bytes(), Bounds::default());
    Value::read(&mut walk).map_err(|flaw| format!("`{text}`: {}", flaw.text()))
}

pub(super) fn encoded(value: &Value, form: Form) -> Vec<u8> {
    let mut into = Vec::new();
    value.write(&mut Writer::new(form, &mut into));
    into
}

fn framed(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let head = rawsocket::head(kind, payload.len()).unwrap_or_default();
    [&head[..], payload].concat()
}

fn form_of(name: &str) -> Result<Form, String> {
    match name {
        "json" => Ok(Form::Json),
        "msgpack" => Ok(Form::MsgPack),
        "cbor" => Ok(Form::Cbor),
        other => Err(format!("`{other}` is no form")),
    }
}
