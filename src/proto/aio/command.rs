//! Floor 3. How the tools of the original ask a connector something, and how they are answered.
//!
//! ```text
//! u32 length · {"cmd": NAME, "kwargs": {..}}        one question to a connection
//! u32 length · text                                 its answer
//! ```
//!
//! The original calls whatever method is named; here there is a table, and what is not in it does
//! not exist (specification 12, item 13). Absent on purpose: what a command does, and the socket
//! that only its owner may use.

use bytes::{Buf, BytesMut};

use crate::base::outbound::Outbound;
use crate::proto::fault::{Fault, FaultKind};
use crate::value::{Bounds, Form, Value, Walk, Writer};

use super::encode::{Object, TooLong};

/// The longest question, and the longest answer that is believed.
pub const LEN_MAX: usize = 1 << 16;

const WALK: Bounds = Bounds { depth: 5, items: 4_096 };

macro_rules! commands {
    ($($(#[doc = $doc:literal])+ $command:ident = $word:literal;)*) => {
        /// What can be asked.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Command { $($(#[doc = $doc])+ $command),* }

        impl Command {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$command),*];

            /// As it is said.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$command => $word),* }
            }
        }
    };
}

commands! {
    /// Begin to work.
    Start = "start";
    /// Stop working.
    Stop = "stop";
    /// Both.
    Restart = "restart";
    /// Who is connected.
    Peers = "show_connected_peers__sync";
    /// How much waits for whom.
    Queues = "peek_queues__sync";
    /// Do not listen to all, or to one.
    Ignore = "manage_ignore_peer_traffic__sync";
    /// Send a client away.
    Disconnect = "disconnect_client";
    /// A server forgets a client's certificate.
    ForgetCertificate = "delete_client_certificate_on_server";
    /// A client throws its certificate away.
    DropCertificate = "delete_client_certificate_on_client";
    /// A server forgets a client's token.
    ForgetToken = "delete_client_token_on_server";
    /// A client throws its token away.
    DropToken = "delete_client_token_on_client";
    /// Read the tokens again.
    LoadTokens = "load_server_tokens";
    /// Keep somebody out.
    Blacklist = "add_blacklist_client";
    /// Do so no more.
    Unblacklist = "remove_blacklist_client";
    /// Let somebody in.
    Whitelist = "add_whitelist_client";
    /// Do so no more.
    Unwhitelist = "remove_whitelist_client";
    /// How much is logged.
    LogLevel = "show_log_level__sync";
    /// Log more or less.
    SetLogLevel = "set_log_level__sync";
    /// Which topics are subscribed to.
    Subscriptions = "show_subscribe_message_types__sync";
    /// Subscribe to others.
    SetSubscriptions = "set_subscribe_message_types";
    /// Throw away what is kept.
    DeleteRemains = "delete_previous_persistence_remains__sync";
}

/// A question.
#[derive(Clone, PartialEq, Debug)]
pub struct Question {
    /// What is asked.
    pub command: Command,
    /// With what, by name.
    pub with: Vec<(String, Value)>,
}

/// Take a question off the front of `input` when it is whole.
pub fn question(input: &mut BytesMut) -> Result<Option<Question>, Fault> {
    let Some(text) = text(input)? else { return Ok(None) };
    let wrong = FaultKind::AioCommand.fault();
    let mut walk = Walk::new(Form::Json, &text, WALK);
    let value = Value::read(&mut walk).map_err(|_| wrong)?;
    walk.finish().map_err(|_| wrong)?;
    let word = value.get("cmd").and_then(Value::as_text);
    let command = Command::ALL.iter().find(|it| Some(it.word()) == word).ok_or(wrong)?;
    let with = match value.get("kwargs") {
        Some(Value::Map(pairs)) => pairs.clone(),
        None => Vec::new(),
        Some(_) => return Err(wrong),
    };
    Ok(Some(Question { command: *command, with }))
}

/// Append a question.
pub fn ask(question: &Question, out: &mut Outbound) -> Result<(), TooLong> {
    let mut with = Object::begin();
    for (key, value) in &question.with {
        let mut json = Vec::new();
        value.write(&mut Writer::new(Form::Json, &mut json));
        with.json(key, Some(json));
    }
    let mut object = Object::begin();
    object.text("cmd", question.command.word());
    object.json("kwargs", Some(with.end()));
    put(&object.end(), out)
}

/// Take an answer off the front of `input` when it is whole.
pub fn answer(input: &mut BytesMut) -> Result<Option<String>, Fault> {
    let Some(text) = text(input)? else { return Ok(None) };
    String::from_utf8(text.into()).map(Some).map_err(|_| FaultKind::AioCommand.fault())
}

/// Append an answer.
pub fn tell(answer: &str, out: &mut Outbound) -> Result<(), TooLong> {
    put(answer.as_bytes(), out)
}

fn text(input: &mut BytesMut) -> Result<Option<BytesMut>, Fault> {
    let Some(len) = input.first_chunk::<4>().map(|len| u32::from_le_bytes(*len) as usize) else {
        return Ok(None);
    };
    if len > LEN_MAX {
        return Err(FaultKind::AioOverMax.fault());
    }
    if input.len() - 4 < len {
        return Ok(None);
    }
    input.advance(4);
    Ok(Some(input.split_to(len)))
}

fn put(text: &[u8], out: &mut Outbound) -> Result<(), TooLong> {
    let len = u32::try_from(text.len()).ok().filter(|_| text.len() <= LEN_MAX).ok_or(TooLong)?;
    out.put_slice(&len.to_le_bytes());
    out.put_slice(text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Option<Question>, Fault> {
        let mut said = Outbound::default();
        tell(json, &mut said).expect("short");
        let mut input = BytesMut::from(&said.to_vec()[..]);
        let read = question(&mut input);
        assert!(input.is_empty());
        read
    }

    #[test]
    fn what_is_not_in_the_table_does_not_exist() {
        for command in Command::ALL {
            let said = format!("{{\"cmd\": \"{}\", \"kwargs\": {{}}}}", command.word());
            assert_eq!(read(&said), Ok(Some(Question { command: *command, with: Vec::new() })));
        }
        for bad in [
            "{\"cmd\": \"__init__\", \"kwargs\": {}}",
            "{\"cmd\": \"show_attribute__sync\", \"kwargs\": {\"attribute\": \"ssl_helper\"}}",
            "{\"kwargs\": {}}",
            "{\"cmd\": \"start\", \"kwargs\": []}",
            "{\"cmd\": \"start\"} ?",
            "start",
            "",
        ] {
            assert_eq!(read(bad), Err(FaultKind::AioCommand.fault()), "{bad}");
        }
        assert!(read("{\"cmd\": \"start\"}").is_ok_and(|read| read.is_some()));
    }

    #[test]
    fn questions_and_answers_are_waited_for_whole_and_bounded() {
        let mut said = Outbound::default();
        tell("INFO", &mut said).expect("short");
        let said = said.to_vec();
        for cut in 0..said.len() {
            assert_eq!(answer(&mut BytesMut::from(&said[..cut])), Ok(None));
        }
        assert_eq!(answer(&mut BytesMut::from(&said[..])), Ok(Some("INFO".to_owned())));
        let long = (LEN_MAX as u32 + 1).to_le_bytes();
        let fault = Err(FaultKind::AioOverMax.fault());
        assert_eq!(question(&mut BytesMut::from(&long[..])), fault);
        assert_eq!(tell(&"x".repeat(LEN_MAX + 1), &mut Outbound::default()), Err(TooLong));
        let latin = [1, 0, 0, 0, 0xe9];
        assert_eq!(answer(&mut BytesMut::from(&latin[..])), Err(FaultKind::AioCommand.fault()));
    }
}
