//! Floor 5. A conversation in MQTT, line by line: what scripts say and expect, performed.
//!
//! Packets are heard whole and one at a time, so a script may expect them in any order (`<~`) and
//! keep what comes too early. Names (`@x`) last as long as the script: an id the broker chose can
//! be said back to it. Absent on purpose: bytes and their meaning (`words_mqtt`, `heard_mqtt`).

use std::collections::{BTreeMap, VecDeque};

use crate::access::scram::client_final;

use super::heard_mqtt::{Vars, agree, describe, fill, missing};
use super::script::{World, spell};
use super::words_mqtt::{Line, encode, lossy};
use super::words_ws::{NO_FRAME, binary, server_frame};

/// Something said or expected, perhaps many times.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Phrase {
    /// The packet in words.
    pub line: Line,
    /// In which level of the protocol.
    pub level: u8,
    /// How often.
    pub times: usize,
    /// Others may come before it, and are kept.
    pub among: bool,
    /// It goes in a binary frame of a WebSocket.
    pub framed: bool,
}

/// What was heard and not expected yet, and the names given so far.
#[derive(Debug, Default)]
pub struct Talk {
    kept: BTreeMap<String, VecDeque<Vec<u8>>>,
    /// What came out of frames and is not a whole packet yet.
    unframed: BTreeMap<String, Vec<u8>>,
    vars: Vars,
    /// What was named in WAMP.
    pub(super) wamp: super::words_wamp::Names,
    /// What was named in HTTP.
    pub(super) http: super::words_http::Names,
}

impl Phrase {
    /// Understand it; what can be wrong with it without a broker is found here.
    pub fn parse(text: &str, level: u8, times: usize, among: bool) -> Result<Self, String> {
        let line = Line::parse(text)?;
        let mut tried = line.clone();
        fill(&mut tried, &Vars::new(), Some(b"1"));
        let loose = |value: &[u8]| {
            value == b"*" || value.contains(&b'|') || value.windows(2).any(|two| two == b"..")
        };
        for item in &mut tried.items {
            if loose(&item.value) && line.word != "pub" {
                item.value = b"1".to_vec();
            }
            item.value.truncate(60_000);
        }
        tried.items.retain(|item| !item.not && !loose(&item.value));
        if tried.word == "pub" && tried.key("id").is_none() {
            tried.push("id", "1");
        }
        encode(&tried, level).map_err(|why| format!("`{text}`: {why}"))?;
        Ok(Self { line, level, times, among, framed: false })
    }

    /// Its bytes, without a frame around them.
    pub fn bytes_as_they_are(&self) -> Result<Vec<u8>, String> {
        encode(&self.line, self.level)
    }
}

impl Talk {
    /// Nothing is left over from this peer.
    pub fn is_done(&self, who: &str) -> bool {
        self.kept.get(who).is_none_or(VecDeque::is_empty)
            && self.unframed.get(who).is_none_or(Vec::is_empty)
    }

    /// Forget what this peer has heard so far: it begins anew, or whatever it was was expected.
    /// True: there was something.
    pub fn forget(&mut self, who: &str) -> bool {
        self.unframed.remove(who);
        self.kept.remove(who).is_some_and(|kept| !kept.is_empty())
    }

    /// Say it.
    pub fn say(&mut self, world: &mut dyn World, who: &str, phrase: &Phrase) -> Result<(), String> {
        let mut line = phrase.line.clone();
        fill(&mut line, &self.vars, None);
        self.prove(&mut line)?;
        let bytes = encode(&line, phrase.level)?.repeat(phrase.times);
        world.say(who, &if phrase.framed { binary(&bytes) } else { bytes })
    }

    /// `scram="SECRET,BARE"` is the last word of a SCRAM login that began with BARE and was
    /// answered with what the script calls `@answer`. What the broker must say to it is then
    /// `@proof`.
    fn prove(&mut self, line: &mut Line) -> Result<(), String> {
        let Some(item) = line.items.iter_mut().find(|item| item.key == "scram") else {
            return Ok(());
        };
        let text = lossy(&item.value);
        let (secret, bare) = text.split_once(',').ok_or("`scram=\"SECRET,n=USER,r=NONCE\"`")?;
        let answer = lossy(self.vars.get("@answer").ok_or("nothing is called @answer")?);
        let (last, proof) =
            client_final(secret.as_bytes(), bare, &answer).ok_or("the answer is none")?;
        item.key = "auth-data".to_owned();
        item.value = last.into_bytes();
        self.vars.insert("@proof".to_owned(), proof.into_bytes());
        Ok(())
    }

    /// Hear it.
    pub fn hear(
        &mut self,
        world: &mut dyn World,
        who: &str,
        phrase: &Phrase,
    ) -> Result<(), String> {
        (0..phrase.times).try_for_each(|_| match phrase.among {
            true => self.find(world, who, phrase),
            false => {
                let kept = self.kept.get_mut(who).and_then(VecDeque::pop_front);
                let heard = match kept {
                    Some(packet) => packet,
                    None => self.next(world, who, phrase.framed)?,
                };
                self.compare(&heard, phrase).map_err(|why| {
                    let wanted = &phrase.line;
                    format!("{who} should hear `{wanted}`, hears {}: {why}", tell(&heard, phrase))
                })
            }
        })
    }

    /// Hear it among others, which are kept.
    fn find(&mut self, world: &mut dyn World, who: &str, phrase: &Phrase) -> Result<(), String> {
        let mut kept = self.kept.remove(who).unwrap_or_default();
        let found = kept.iter().position(|heard| self.compare(heard, phrase).is_ok());
        if let Some(at) = found {
            kept.remove(at);
            self.kept.insert(who.to_owned(), kept);
            return Ok(());
        }
        loop {
            let heard = self.next(world, who, phrase.framed)?;
            if heard.is_empty() {
                let others: Vec<String> = kept.iter().map(|heard| tell(heard, phrase)).collect();
                let wanted = &phrase.line;
                return Err(format!("{who} hears no `{wanted}` but {}", others.join(", ")));
            }
            if self.compare(&heard, phrase).is_ok() {
                self.kept.insert(who.to_owned(), kept);
                return Ok(());
            }
            kept.push_back(heard);
        }
    }

    /// The next packet, or as much of one as comes; empty: silence.
    fn next(&mut self, world: &mut dyn World, who: &str, framed: bool) -> Result<Vec<u8>, String> {
        if !framed {
            return packet(&mut |n| world.hear(who, n));
        }
        let mut stream = self.unframed.remove(who).unwrap_or_default();
        let heard = packet(&mut |n| {
            while stream.len() < n {
                let (first, payload) = match server_frame(&mut |n| world.hear(who, n)) {
                    Err(why) if why == NO_FRAME => break,
                    other => other?,
                };
                // A server may send a message in pieces; all of them are data.
                match first {
                    0x82 | 0x02 | 0x80 | 0x00 => stream.extend(payload),
                    _ => return Err(format!("a frame {first:#04x}: {}", spell(&payload))),
                }
            }
            Ok(stream.drain(..n.min(stream.len())).collect())
        })?;
        self.unframed.insert(who.to_owned(), stream);
        Ok(heard)
    }

    fn compare(&mut self, heard: &[u8], phrase: &Phrase) -> Result<(), String> {
        if heard.is_empty() {
            return Err("silence".into());
        }
        let mut wanted = phrase.line.clone();
        fill(&mut wanted, &self.vars, None);
        if wanted.word.is_empty() {
            let bytes = encode(&wanted, phrase.level)?;
            return if bytes == heard { Ok(()) } else { Err("other bytes".into()) };
        }
        agree(&wanted, &describe(heard, phrase.level)?, &mut self.vars)
    }
}

fn packet(hear: &mut dyn FnMut(usize) -> Result<Vec<u8>, String>) -> Result<Vec<u8>, String> {
    let mut heard = Vec::new();
    loop {
        let more = missing(&heard)?;
        if more == 0 {
            return Ok(heard);
        }
        let piece = hear(more)?;
        if piece.is_empty() {
            return Ok(heard);
        }
        heard.extend(piece);
    }
}

fn tell(heard: &[u8], phrase: &Phrase) -> String {
    match describe(heard, phrase.level) {
        Ok(line) => format!("`{line}`"),
        Err(_) => spell(heard),
    }
}
