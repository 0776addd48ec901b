//! Floor 5. What a connector is asked and told by the tools of the original (specification 10).
//!
//! One question to a connection. What is asked stands in a table (`proto/aio/command`), and what is
//! not in it is not answered; the original calls whatever is named. Orders that only a server
//! can carry out (`errands`), or only a client, are answered by the other as something that did not
//! work. Absent on purpose: changing the
//! configuration file; what is told so holds until the connector ends.

#![expect(clippy::disallowed_types, reason = "a connector reads its own clock")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use log::LevelFilter;

use crate::base::outbound::Outbound;
use crate::client::aio::keys::{self, Keys};
use crate::client::aio::{Error, Security};
use crate::proto::aio::command::{Command, LEN_MAX, Question, question, tell};
use crate::value::{Form, Value, Writer};

use super::errands;
use super::house::House;
use super::setup::Ignored;

/// Answer one question.
pub(super) fn serve(house: &Arc<House>, mut stream: UnixStream) {
    match hear(&mut stream) {
        Ok(question) => {
            log::info!("asked to {}", question.command.word());
            let answer = obey(house, &question);
            let mut said = Outbound::default();
            // What is longer is not answered; nothing here is.
            let _ = tell(if answer.is_empty() { "{}" } else { &answer }, &mut said);
            // Whoever asked may have left.
            let _ = stream.write_all(&said.to_vec());
            if truth(&question, "shutdown") && question.command == Command::Stop {
                drop(stream);
                house.close();
            }
        }
        Err(why) => log::warn!("an order that is none: {why}"),
    }
}

fn hear(stream: &mut UnixStream) -> Result<Question, String> {
    let begun = Instant::now();
    let mut input = BytesMut::new();
    loop {
        if let Some(question) = question(&mut input).map_err(|fault| fault.to_string())? {
            return Ok(question);
        }
        let left = WHOLE.saturating_sub(begun.elapsed());
        if left.is_zero() || input.len() > LEN_MAX + 4 {
            return Err("it was not whole in time".to_owned());
        }
        stream.set_read_timeout(Some(left)).map_err(|e| e.to_string())?;
        let mut part = [0; 4 << 10];
        match stream.read(&mut part) {
            Ok(0) => return Err("it was not said to its end".to_owned()),
            Ok(len) => input.extend_from_slice(part.get(..len).unwrap_or_default()),
            Err(e) => return Err(e.to_string()),
        }
    }
}

/// Do it; what there is to say.
pub(super) fn obey(house: &Arc<House>, question: &Question) -> String {
    let hard = || truth(question, "hard");
    match question.command {
        Command::Start => done(house.begin()),
        Command::Stop => {
            house.end(hard());
            String::new()
        }
        Command::Restart => {
            let pause = number(question, "sleep_between").clamp(0, 60).unsigned_abs();
            restart(house, hard(), Duration::from_secs(pause))
        }
        Command::Peers => peers(house),
        Command::Queues => queues(house),
        Command::Ignore => ignore(house, question),
        Command::DropCertificate => {
            let gone = match &house.setup.security {
                Security::Certificates(dir) if house.hall.is_none() => own_name(house)
                    .ok_or(Error::Setting("a name"))
                    .and_then(|name| Keys::new(dir, &name).forget()),
                _ => Err(Error::Setting("no certificates are used")),
            };
            forgotten(house, question, gone)
        }
        Command::DropToken => {
            let gone = match &house.setup.security {
                Security::Token { tokens, .. } if house.hall.is_none() => own_name(house)
                    .ok_or(Error::Setting("a name"))
                    .and_then(|name| keys::forget_token(tokens, &name)),
                _ => Err(Error::Setting("no tokens are used")),
            };
            forgotten(house, question, gone)
        }
        Command::ForgetCertificate | Command::ForgetToken => match &house.hall {
            Some(hall) => answered(errands::forget(house, hall, question)),
            None => status(&Err(Error::Setting(SERVER))),
        },
        Command::Disconnect => {
            house.hall.iter().for_each(|hall| errands::disconnect(house, hall, question));
            String::new()
        }
        // They are read each time.
        Command::LoadTokens => String::new(),
        Command::Blacklist | Command::Unblacklist | Command::Whitelist | Command::Unwhitelist => {
            match &house.hall {
                Some(hall) => errands::enlist(house, hall, question).err().unwrap_or_default(),
                None => String::new(),
            }
        }
        Command::LogLevel => level_word(log::max_level()).to_owned(),
        Command::SetLogLevel => set_level(house, question),
        Command::Subscriptions => listed(&house.topics()),
        Command::SetSubscriptions => subscribe(house, question),
        Command::DeleteRemains => match house.forget_kept() {
            Ok(()) => String::new(),
            Err(e) => e.to_string(),
        },
    }
}

fn restart(house: &Arc<House>, hard: bool, pause: Duration) -> String {
    house.end(hard);
    std::thread::sleep(pause);
    done(house.begin())
}

/// What waits, for programs here and for each peer.
fn queues(house: &House) -> String {
    let (received, _) = house.waiting();
    let sent: Vec<String> = house
        .ways()
        .iter()
        .map(|way| {
            let peer = json(&Value::Text(way.peer.as_str().to_owned()));
            format!("\n        {peer}: {}", way.waiting())
        })
        .collect();
    let end = if sent.is_empty() { "" } else { "\n    " };
    let sent = sent.join(",");
    format!("{{\n    \"queue_recv\": {received},\n    \"queue_send\": {{{sent}{end}}}\n}}")
}

fn peers(house: &House) -> String {
    if let Some(hall) = &house.hall {
        return json(&errands::peers(hall));
    }
    let server = &house.setup.server;
    let there = server.rsplit_once(':').filter(|_| house.is_online());
    let pairs = there.map(|(host, port)| {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let place = vec![Value::Text(host), Value::Int(port.parse().unwrap_or_default())];
        (house.server.as_str().to_owned(), Value::List(place))
    });
    json(&Value::Map(pairs.into_iter().collect()))
}

fn ignore(house: &House, question: &Question) -> String {
    let mut ignored = house.ignored();
    let peer = question.with.iter().find(|(key, _)| key == "unique_peer");
    if truth(question, "show") {
    } else if truth(question, "enable") {
        *ignored = Ignored::Everybody;
    } else if truth(question, "disable") {
        *ignored = Ignored::Nobody;
    } else if let Some((_, Value::Text(peer))) = peer {
        *ignored = Ignored::Peers(vec![peer.clone()]);
    }
    match &*ignored {
        Ignored::Nobody => "False".to_owned(),
        Ignored::Everybody => "True".to_owned(),
        Ignored::Peers(peers) => listed(peers),
    }
}

/// A certificate or a token is gone, and the server is called again without it.
fn forgotten(house: &Arc<House>, question: &Question, gone: Result<(), Error>) -> String {
    let stays = question
        .with
        .iter()
        .any(|(key, value)| key == "restart_client" && *value == Value::Bool(false));
    let again = match (&gone, stays) {
        (Ok(()), false) => {
            house.end(false);
            house.begin()
        }
        _ => Ok(()),
    };
    status(&gone.and(again))
}

fn own_name(house: &House) -> Option<crate::proto::aio::Name> {
    crate::proto::aio::Name::new(&house.setup.name.as_str().into())
}

fn subscribe(house: &House, question: &Question) -> String {
    let wanted = question.with.iter().find(|(key, _)| key == "message_types");
    let Some(list) = wanted.and_then(|(_, value)| value.as_list()) else { return String::new() };
    let texts = list.iter().filter_map(Value::as_text);
    let mut topics: Vec<String> = Vec::new();
    for topic in texts.filter(|it| house.setup.receive_types.iter().any(|kind| kind == it)) {
        if !topics.iter().any(|it| it == topic) {
            topics.push(topic.to_owned());
        }
    }
    let said = listed(&topics);
    house.set_topics(topics);
    said
}

fn set_level(house: &House, question: &Question) -> String {
    let wanted = question.with.iter().find(|(key, _)| key == "level").map(|(_, level)| level);
    let level = match wanted {
        Some(Value::Text(word)) => LEVELS.iter().find(|(it, _)| it == word).map(|(_, it)| *it),
        Some(Value::Int(number)) => LEVELS.get(..).and_then(|all| {
            let place = usize::try_from(50 - number.clamp(&10, &50)).ok()? / 10;
            all.get(place).map(|(_, it)| *it)
        }),
        _ => None,
    };
    let Some(level) = level else { return "no level".to_owned() };
    match house.setup.level {
        Some(change) => change(level),
        None => log::set_max_level(level),
    }
    level_word(level).to_owned()
}

/// As the original calls them, the most urgent first.
const LEVELS: [(&str, LevelFilter); 5] = [
    ("CRITICAL", LevelFilter::Error),
    ("ERROR", LevelFilter::Error),
    ("WARNING", LevelFilter::Warn),
    ("INFO", LevelFilter::Info),
    ("DEBUG", LevelFilter::Debug),
];

fn level_word(level: LevelFilter) -> &'static str {
    let found = LEVELS.iter().rev().find(|(_, it)| *it == level);
    // What says more than the original can is its last word, and silence its first.
    let other = if level == LevelFilter::Trace { "DEBUG" } else { "CRITICAL" };
    found.map_or(other, |(word, _)| *word)
}

/// As Python writes a list of texts.
fn listed(texts: &[String]) -> String {
    let quoted: Vec<String> = texts
        .iter()
        .map(|text| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")))
        .collect();
    if quoted.is_empty() { String::new() } else { format!("[{}]", quoted.join(", ")) }
}

fn done(did: Result<(), Error>) -> String {
    did.map_or_else(|error| error.to_string(), |()| String::new())
}

fn status(did: &Result<(), Error>) -> String {
    answered(did.as_ref().map_err(ToString::to_string).copied())
}

fn answered(did: Result<(), String>) -> String {
    let done = did.is_ok();
    let why = did.err().unwrap_or_default();
    format!("{{\"status\": {done}, \"msg\": {}}}", json(&Value::Text(why)))
}

fn json(value: &Value) -> String {
    let mut out = Vec::new();
    value.write(&mut Writer::new(Form::Json, &mut out));
    String::from_utf8_lossy(&out).into_owned()
}

fn truth(question: &Question, key: &str) -> bool {
    question.with.iter().any(|(it, value)| it == key && *value == Value::Bool(true))
}

fn number(question: &Question, key: &str) -> i64 {
    let found = question.with.iter().find(|(it, _)| it == key);
    found.and_then(|(_, value)| value.as_int()).unwrap_or(0)
}

/// For a question to be whole.
const WHOLE: Duration = Duration::from_secs(10);
const SERVER: &str = "this connector is a client; its server is to be asked";
