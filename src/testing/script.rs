//! Floor 5. Wire scripts: scenes between a broker and its peers, written line by line.
//!
//! A script is data. It runs on an engine in the fake world, and, when it asks for nothing that
//! only a fake world has, again over TCP. Everything said must be accounted for: what a script
//! does not expect is an error, at the latest at its end.
//!
//! ```text
//! # [prx1 §5] One sentence: what this shows. Clauses, and the FaultKinds it breaks, in the head.
//! users: open | samples | readme | none      (default open; see `Users`)
//! users| mode = "strict"                     a users file, line by line
//! limit: idle_ms_max=2000 segment_bytes=65536
//! level: disk | os | memory
//! keeps: tokens | certificates | files types=T   what a listener keeps of connectors
//! procedures: exact:a.b prefix:rpc.          topics that are procedures also to MQTT
//! cookies: 60                                where WebSockets are, they stand for somebody so long
//! realm: default?trust=1:user                a namespace of WAMP, and what it is told to do
//! origins: https://app.example               pages of these may come to WebSockets
//!
//! speak: mqtt 5                              what peers speak: prx1 (default), mqtt 3, 4 or 5,
//!                                            http, foo, wamp, aio
//! relay: strict away=nak wait_ms=500 forward=2   what the relay does, and upstreams it has
//!
//! a: open [prx1 | mqtt 4] [at ws | any | any-ws] [from 10.0.0.7] | close | reset | deaf | hear
//! a> 20 01 'text' "text"*1000 00*5           bytes in: hex and text, or a packet in words:
//! a> connect user=test [pass=P] [nopass] [cid=C] [noid] [keepalive=S] [clean] [version=V]
//! a> sub|unsub [q1 id=N] [dup] TOPIC ; pub [q1 id=N] TOPIC "body" [retain] [dup] ; puback N
//! a> queue init|drain|destroy ADDRESS [id=N] [mark=M] [to=TOPIC] ["item"] ; ping ; disconnect
//! a< connack 02 [present] ; suback N ; puback N ; unsuback N ; qack ok ; pong ; pub ...
//! a<                                         nothing is said
//! a< ...                                     whatever is said, and there is something
//! a! idle_timeout                            closed, for this reason, with nothing unread
//! a!                                         closed, for whatever reason
//!
//! In MQTT (every word: `words_mqtt`; numbers in lines that a broker says may be `1|2`, `1..5`,
//! `*`, or `@x`, which names the number, or means it once it is named; `!key`: it is not there):
//! a> connect id=a [clean] [keep=60] [user=U] [pass=P] [will=T wbody="x" wq=1 wretain w.delay=5]
//! a> sub 1 a/b q1 [nolocal] [rap] [rh=2] c/d q2 [sub-id=7] ; unsub 2 a/b ; puback 3 [0x87]
//! a> pub q2 id=3 a/b "body" [retain] [dup] [expiry=9] [prop=k:v] ; pubrel 3 ; disconnect [4]
//! a< connack 0 [present] [session-expiry=9] [only] ; suback 1 1 2 ; pub q1 id=@x a/b "body"
//! a<~ pub c/d "x"                            this, though others come before it
//! a>*100 ping ; a<*100 pong                  a hundred times
//!
//! At a WebSocket packets go in binary frames, and there is (`words_ws`):
//! a> upgrade /mqtt mqtt ["Header: value"] ; a< switched mqtt | status 400
//! a> frame bin|text|cont|close|ping|pong|op3 [more] [bare] [rsv=4] [len=N] BYTES ; a> raw BYTES
//! a< frame close 1002 ; a< frame pong 'x'
//!
//! In HTTP (`words_http`; administrators are ann, an operator, and bob, a viewer):
//! a> get /livez ; a> post /publish as ann "Name: value" 'body' ; a> raw 'GET / HTTP/1.1|...||'
//! a< 200 Name=value !Name 'in the body' ; a< 200 bare
//! a< 200 '"key":"@x' ; a> get /x/@x/y        what stands there has a name from then on
//!
//! In Foo bytes are text with `|` for a line's end. The relay dials, and an upstream answers:
//! u: dialed | u: refused                     who was dialed first is there, or not to be had
//! a> 'REQ 1 Hey|' ; a< end                   the other side has said that nothing follows
//!
//! In WAMP a message is a list in JSON (`words_wamp`):
//! a> hello caller ; a< welcome ; a> [48,1,{},"com.add",[2,3]] ; a< [50,1,{},[5]]
//!
//! In aioconnectors a frame is a header in JSON, and what it carries (`words_aio`):
//! a> hello ann ; a> {"message_type":"any","source_id":"ann"} 'data' + 'binary'
//!
//! clock +5s | clock +250ms
//! disk hold | sync | go | full | room | fail | break
//! verify yes | no | hold | first yes         first: only the one that waits longest
//! local q1 TOPIC "body"                      the embedding program publishes
//! crash | kill | restart                     crash: the power goes; kill: only the process
//! count messages_resent_total 1              a counter of the broker
//! ```
//! `;` between blanks separates statements. A `users|` line is taken whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::rig::Setup;
use super::talk_mqtt::{Phrase, Talk};
use super::words::{SAMPLES, bytes_of};
use super::words_aio;
use super::words_http;
use super::words_wamp;
use super::words_ws::{Heard, frame, upgrade};
use crate::hub::message::Durability;
use crate::hub::relay::{Away, Terms};
use crate::proto::wamp::terms;

/// Who there is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Users {
    /// Nobody is configured and everybody is welcome.
    #[default]
    Open,
    /// The sample users, each of whom may do everything.
    Samples,
    /// The sample users in the groups of the original's README.
    Readme,
    /// The sample users, and rules are not asked.
    None,
    /// A users file.
    File(String),
}

/// Something to do in the fake world.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fake {
    /// Milliseconds pass.
    Clock(u64),
    /// Something about the disk.
    Disk(String),
    /// How passwords are judged.
    Verify(String),
    /// The power goes.
    Crash,
    /// The process is killed.
    Kill,
    /// The broker starts on what is left.
    Restart,
    /// A counter has this value.
    Count(String, u64),
    /// The embedding program publishes: QoS, topic, body.
    Local(u8, String, Vec<u8>),
}

/// What a peer speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tongue {
    /// The broker's first protocol.
    #[default]
    Prx1,
    /// MQTT in this level: 3, 4 (3.1.1) or 5.
    Mqtt(u8),
    /// HTTP, for whoever administers.
    Http,
    /// The Foo protocol, at a relay.
    Foo,
    /// HTTP, for whoever asks how the relay is doing.
    Stats,
    /// WAMP over RawSocket.
    Wamp,
    /// aioconnectors.
    Aio,
}

/// Where a peer comes in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Door {
    /// Where its protocol is spoken.
    #[default]
    Own,
    /// At a WebSocket.
    Ws,
    /// Where the first bytes tell what is spoken.
    Any,
    /// There, and the first bytes are those of a WebSocket.
    AnyWs,
}

/// One statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Connect, from an address if it matters.
    Open(String, Tongue, Door, Option<[u8; 4]>),
    /// The client closes; `true`: with a reset.
    Close(String, bool),
    /// The client stops reading, or reads again.
    Deaf(String, bool),
    /// Bytes in.
    Say(String, Vec<u8>),
    /// These bytes out; none: silence.
    Hear(String, Vec<u8>),
    /// Something is said, whatever it is.
    HearAny(String),
    /// A packet of MQTT in.
    Tell(String, Phrase),
    /// A packet of MQTT out.
    Heed(String, Phrase),
    /// Something of a WebSocket out.
    Ws(String, Heard),
    /// A message of WAMP in, or something of a RawSocket.
    Call(String, words_wamp::Phrase),
    /// The same out.
    Answer(String, words_wamp::Phrase),
    /// A frame of aioconnectors in.
    Post(String, words_aio::Phrase),
    /// The same out.
    Fetch(String, words_aio::Phrase),
    /// A request of HTTP in, with names in its path.
    Ask(String, String),
    /// An answer of HTTP out.
    Http(String, words_http::Answer),
    /// Hung up on, for this reason.
    End(String, String),
    /// It is told that nothing follows.
    HearEnd(String),
    /// The connection that the broker dialed first is there, under this name, or not to be had.
    Dialed(String, bool),
    /// Only the fake world can.
    Fake(Fake),
}

/// A scene.
#[derive(Clone, Debug)]
pub struct Script {
    /// The lines that begin with `#`.
    pub head: Vec<String>,
    /// Who there is.
    pub users: Users,
    /// What the broker is made of, users apart.
    pub setup: Setup,
    /// It asks for limits or levels of its own.
    pub tuned: bool,
    /// What peers speak that do not say what they speak.
    pub tongue: Tongue,
    /// Line numbers and statements.
    pub steps: Vec<(usize, Step)>,
}

/// Where a script is performed.
pub trait World {
    /// A client that speaks this connects, through this door.
    fn open(
        &mut self,
        who: &str,
        tongue: Tongue,
        door: Door,
        from: Option<[u8; 4]>,
    ) -> Result<(), String>;
    /// It closes.
    fn close(&mut self, who: &str, reset: bool) -> Result<(), String>;
    /// It sends.
    fn say(&mut self, who: &str, bytes: &[u8]) -> Result<(), String>;
    /// The next `len` bytes it hears, or fewer if no more come; with 0, whatever there is now.
    fn hear(&mut self, who: &str, len: usize) -> Result<Vec<u8>, String>;
    /// It was hung up on; the reason if this world knows it.
    fn ended(&mut self, who: &str) -> Result<Option<String>, String>;
    /// What only a fake world can do.
    fn fake(&mut self, step: &Step) -> Result<(), String>;
}

impl Users {
    /// The users file, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<String> {
        let (mode, groups, all) = match self {
            Self::Open => return None,
            Self::File(text) => return Some(text.clone()),
            Self::None => ("none", "", ["User"; 4]),
            Self::Samples => ("strict", FREE, ["User"; 4]),
            Self::Readme => ("strict", README, ["User", "User", "Bot", "Bot"]),
        };
        let mut text = format!("mode = \"{mode}\"\n{groups}");
        for ((name, secret), group) in SAMPLES.iter().zip(all) {
            let group = match groups {
                "" => String::new(),
                _ => format!("group = \"{group}\"\n"),
            };
            text += &format!("[[users]]\nname = \"{name}\"\n{group}client_id = \"\"\n");
            text += &format!("shared_secret = \"{secret}\"\n");
        }
        Some(text)
    }
}

const FREE: &str = "[groups.User]\ntype = \"exclusive\"\nrules = []\n";

const README: &str = "[groups.User]\ntype = \"inclusive\"\n\
    rules = [\"can publish self/inbox\", \"can subscribe self/notifications\"]\n\
    [groups.Bot]\ntype = \"inclusive\"\n\
    rules = [\"can publish self/location\", \"can request self/access/upgrade\"]\n";

impl Script {
    /// Understand a script, or say which line is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut script = Self {
            head: Vec::new(),
            users: Users::Open,
            setup: Setup::default(),
            tuned: false,
            tongue: Tongue::default(),
            steps: Vec::new(),
        };
        for (no, line) in text.lines().enumerate().map(|(i, line)| (i + 1, line)) {
            script.line(no, line).map_err(|why| format!("line {no}: {why}"))?;
        }
        script.setup.users = script.users.file();
        Ok(script)
    }

    /// It needs nothing that only a fake world has.
    #[must_use]
    pub fn runs_anywhere(&self) -> bool {
        let anywhere = |step: &Step| match step {
            Step::Fake(_) | Step::Deaf(..) | Step::Close(_, true) => false,
            Step::Dialed(..)
            | Step::HearEnd(_)
            | Step::Open(_, Tongue::Foo | Tongue::Stats, ..) => false,
            Step::Open(.., from) => from.is_none(),
            _ => true,
        };
        !self.tuned && self.steps.iter().all(|(_, step)| anywhere(step))
    }

    /// Perform it; an error names the line.
    pub fn perform(&self, world: &mut dyn World) -> Result<(), String> {
        let mut open: BTreeMap<&str, usize> = BTreeMap::new();
        let mut talk = Talk::default();
        for (no, step) in &self.steps {
            match step {
                Step::Open(who, ..) => drop(open.insert(who, *no)),
                Step::Close(who, _) | Step::End(who, _) => drop(open.remove(who.as_str())),
                Step::Fake(Fake::Crash | Fake::Kill) => open.clear(),
                _ => {}
            }
            step.perform(world, &mut talk).map_err(|why| format!("line {no}: {why}"))?;
        }
        for (who, _) in open {
            let left = world.hear(who, 0).map_err(|why| format!("at the end: {who}: {why}"))?;
            if !left.is_empty() || !talk.is_done(who) {
                return Err(format!("at the end {who} still hears {}", spell(&left)));
            }
        }
        Ok(())
    }

    fn line(&mut self, no: usize, line: &str) -> Result<(), String> {
        if let Some(head) = line.strip_prefix('#') {
            self.head.push(head.trim().to_owned());
            return Ok(());
        }
        if let Some(text) = line.strip_prefix("users|") {
            let mut file = self.users.file().unwrap_or_default();
            file += text.trim();
            file.push('\n');
            self.users = Users::File(file);
            return Ok(());
        }
        for statement in line.split(" ; ").map(str::trim).filter(|s| !s.is_empty()) {
            if !self.setting(statement)? {
                let step = self.step(statement)?;
                self.steps.push((no, step));
            }
        }
        Ok(())
    }

    /// What this peer speaks and where, by what it said when it came.
    fn manner_of(&self, who: &str) -> (Tongue, Door) {
        let said = self.steps.iter().rev().find_map(|(_, step)| match step {
            Step::Open(name, tongue, door, _) if name == who => Some((*tongue, *door)),
            Step::Dialed(name, _) if name == who => Some((Tongue::Foo, Door::Own)),
            _ => None,
        });
        said.unwrap_or((self.tongue, Door::Own))
    }

    fn setting(&mut self, statement: &str) -> Result<bool, String> {
        let Some((key, value)) = statement.split_once(": ") else { return Ok(false) };
        match key {
            "users" => {
                self.users = match value.trim() {
                    "open" => Users::Open,
                    "samples" => Users::Samples,
                    "readme" => Users::Readme,
                    "none" => Users::None,
                    other => return Err(format!("`{other}` are no users")),
                };
            }
            "speak" => self.tongue = tongue(value.trim())?,
            "keeps" => {
                self.tuned = true;
                let desk = Arc::make_mut(self.setup.desk.get_or_insert_default());
                for word in value.split_whitespace() {
                    match word.split_once('=').unwrap_or((word, "")) {
                        ("tokens", _) => desk.tokens = Some("tokens".into()),
                        ("certificates", _) => desk.certificates = Some("certificates".into()),
                        ("files", _) => desk.files = Some("files".into()),
                        ("types", kind) => desk.file_types.push(kind.into()),
                        _ => return Err(format!("`{word}` is nothing that is kept")),
                    }
                }
            }
            "relay" => {
                self.tuned = true;
                relay(&mut self.setup.relay, value)?;
            }
            "realm" => {
                self.tuned = true;
                let value = value.trim();
                let (name, options) = value.split_once('?').unwrap_or((value, ""));
                self.setup.realms.push((name.to_owned(), terms::read(options)?));
            }
            "cookies" => {
                self.tuned = true;
                let s = value.trim().parse();
                self.setup.cookie_s = s.map_err(|_| "cookies last for seconds")?;
            }
            "limit" => {
                self.tuned = true;
                for pair in value.split_whitespace() {
                    let (name, value) = pair.split_once('=').ok_or("a limit needs a value")?;
                    self.setup.limits.set(name, value)?;
                }
            }
            "origins" => {
                self.setup.origins.extend(value.split_whitespace().map(str::to_owned));
            }
            "procedures" => {
                self.setup.procedures.extend(value.split_whitespace().map(str::to_owned));
            }
            "level" => {
                self.tuned = true;
                self.setup.level = match value.trim() {
                    "disk" => Durability::Disk,
                    "os" => Durability::Os,
                    "memory" => Durability::Memory,
                    other => return Err(format!("`{other}` is no level")),
                };
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Script {
    fn step(&self, statement: &str) -> Result<Step, String> {
        let first = statement.split(' ').next().unwrap_or_default();
        let rest = statement[first.len()..].trim();
        let fake = match first {
            "clock" => Fake::Clock(duration(rest)?),
            "disk" => Fake::Disk(rest.to_owned()),
            "verify" => Fake::Verify(rest.to_owned()),
            "crash" => Fake::Crash,
            "kill" => Fake::Kill,
            "restart" => Fake::Restart,
            "count" => {
                let (name, value) = rest.split_once(' ').ok_or("a counter needs its value")?;
                Fake::Count(name.to_owned(), value.parse().map_err(|_| "no number")?)
            }
            "local" => {
                let (qos, rest) = rest.split_once(' ').ok_or("a QoS, a topic and a body")?;
                let (topic, body) = rest.split_once(' ').ok_or("a topic and a body")?;
                let qos = ["q0", "q1", "q2"].iter().position(|q| *q == qos).ok_or("no QoS")?;
                Fake::Local(qos as u8, topic.to_owned(), bytes_of(body)?)
            }
            _ => return self.peer_step(first, rest),
        };
        Ok(Step::Fake(fake))
    }

    fn peer_step(&self, first: &str, rest: &str) -> Result<Step, String> {
        let end = first.find([':', '>', '<', '!']).filter(|end| *end > 0);
        let end = end.ok_or_else(|| format!("`{first} {rest}` means nothing"))?;
        let (name, sign) = first.split_at(end);
        let who = name.to_owned();
        let (sign, times) = match sign.split_once('*') {
            Some((sign, times)) => (sign, times.parse().map_err(|_| "how many times?")?),
            None => (sign, 1),
        };
        let (tongue, door) = self.manner_of(name);
        let framed = matches!(door, Door::Ws | Door::AnyWs);
        let level = if let Tongue::Mqtt(level) = tongue { level } else { 4 };
        if framed && let Some(step) = ws_step(sign, &who, rest, level)? {
            return Ok(step);
        }
        let phrase = || {
            let phrase = Phrase::parse(rest, level, times, sign == "<~")?;
            Ok::<Phrase, String>(Phrase { framed, ..phrase })
        };
        match (sign, rest, tongue) {
            (">", _, Tongue::Foo) => Ok(Step::Say(who, foo_bytes(rest)?)),
            ("<", "end", Tongue::Foo) => Ok(Step::HearEnd(who)),
            ("<", _, Tongue::Foo) if rest != "..." => Ok(Step::Hear(who, foo_bytes(rest)?)),
            (">", _, Tongue::Http) if rest.contains("/@") => Ok(Step::Ask(who, rest.to_owned())),
            (">", _, Tongue::Http | Tongue::Stats) => {
                Ok(Step::Say(who, words_http::request(rest)?))
            }
            ("<", words, Tongue::Http | Tongue::Stats) if !matches!(words, "" | "...") => {
                Ok(Step::Http(who, words_http::Answer::parse(words)?))
            }
            (">", _, Tongue::Wamp) => Ok(Step::Call(who, words_wamp::Phrase::parse(rest, framed)?)),
            ("<", words, Tongue::Wamp) if !matches!(words, "" | "...") => {
                Ok(Step::Answer(who, words_wamp::Phrase::parse(rest, framed)?))
            }
            (">", words, Tongue::Aio) => match words.strip_prefix("raw ") {
                Some(bytes) => Ok(Step::Say(who, bytes_of(bytes)?)),
                None => Ok(Step::Post(who, words_aio::Phrase::parse(words)?)),
            },
            ("<", words, Tongue::Aio) if !matches!(words, "" | "...") => {
                Ok(Step::Fetch(who, words_aio::Phrase::parse(words)?))
            }
            (">", _, Tongue::Mqtt(_)) => Ok(Step::Tell(who, phrase()?)),
            ("<", "" | "...", _) | (":" | "!", ..) => self.plain_step(sign, who, rest),
            ("<" | "<~", _, Tongue::Mqtt(_)) => Ok(Step::Heed(who, phrase()?)),
            _ if times == 1 => self.plain_step(sign, who, rest),
            _ => Err("only packets of MQTT are said many times".into()),
        }
    }

    fn plain_step(&self, sign: &str, who: String, rest: &str) -> Result<Step, String> {
        Ok(match (sign, rest) {
            (":", "close") => Step::Close(who, false),
            (":", "reset") => Step::Close(who, true),
            (":", "deaf") => Step::Deaf(who, true),
            (":", "hear") => Step::Deaf(who, false),
            (":", "dialed") => Step::Dialed(who, true),
            (":", "refused") => Step::Dialed(who, false),
            (":", rest) => self.open(who, rest)?,
            (">", rest) => Step::Say(who, bytes_of(rest)?),
            ("<", "...") => Step::HearAny(who),
            ("<", rest) => Step::Hear(who, bytes_of(rest)?),
            ("!", reason) => Step::End(who, reason.to_owned()),
            _ => return Err(format!("`{sign}` means nothing")),
        })
    }

    /// `open [TONGUE] [at DOOR] [from ADDRESS]`.
    fn open(&self, who: String, words: &str) -> Result<Step, String> {
        let Some(words) = words.strip_prefix("open") else {
            return Err(format!("`{words}` is nothing a client does"));
        };
        let (words, from) = match words.split_once("from ") {
            Some((words, from)) => (words, Some(ipv4(from)?)),
            None => (words, None),
        };
        let (spoken, door) = match words.split_once("at ") {
            Some((spoken, door)) => (spoken, door.trim()),
            None => (words, ""),
        };
        let door = match door {
            "" => Door::Own,
            "ws" => Door::Ws,
            "any" => Door::Any,
            "any-ws" => Door::AnyWs,
            other => return Err(format!("`{other}` is no door")),
        };
        let spoken = match spoken.trim() {
            "" => self.tongue,
            spoken => tongue(spoken)?,
        };
        Ok(Step::Open(who, spoken, door, from))
    }
}

/// What only WebSockets have.
fn ws_step(sign: &str, who: &str, rest: &str, level: u8) -> Result<Option<Step>, String> {
    let who = who.to_owned();
    let (first, words) = rest.split_once(' ').unwrap_or((rest, ""));
    Ok(match (sign, first) {
        (">", "upgrade") => Some(Step::Say(who, upgrade(words)?)),
        (">", "frame") => Some(Step::Say(who, frame(words, level)?)),
        (">", "raw") => {
            Some(Step::Say(who, Phrase::parse(words, level, 1, false)?.bytes_as_they_are()?))
        }
        ("<", _) => Heard::parse(rest, level)?.map(|heard| Step::Ws(who, heard)),
        _ => None,
    })
}

/// Text in which `|` is the end of a line, or bytes as anywhere.
fn foo_bytes(text: &str) -> Result<Vec<u8>, String> {
    let bytes = bytes_of(text)?;
    Ok(bytes.into_iter().map(|byte| if byte == b'|' { b'\n' } else { byte }).collect())
}

/// What is said about the relay.
fn relay(terms: &mut Terms, words: &str) -> Result<(), String> {
    for word in words.split_whitespace() {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let number = || value.parse::<u64>().map_err(|_| format!("`{word}` has no number"));
        match (name, value) {
            ("strict", "") => terms.strict = true,
            ("away", "nak") => terms.away = Away::Nak,
            ("forward", _) => {
                terms.forward = (0..number()?).map(|no| format!("upstream{no}:1")).collect();
            }
            ("connect_ms", _) => terms.connect_ms = number()?,
            ("wait_ms", _) => terms.wait_ms = number()?,
            ("answer_ms", _) => terms.answer_ms = number()?,
            ("idle_ms", _) => terms.idle_ms = number()?,
            ("check_ms", _) => terms.check_ms = number()?,
            ("open", _) => terms.open_max = number()? as u32,
            ("spare", _) => terms.spare_max = number()? as usize,
            ("line", _) => terms.line_max = number()? as usize,
            _ => return Err(format!("`{word}` is nothing about a relay")),
        }
    }
    Ok(())
}

fn tongue(text: &str) -> Result<Tongue, String> {
    match text {
        "prx1" => Ok(Tongue::Prx1),
        "http" => Ok(Tongue::Http),
        "foo" => Ok(Tongue::Foo),
        "stats" => Ok(Tongue::Stats),
        "wamp" => Ok(Tongue::Wamp),
        "aio" => Ok(Tongue::Aio),
        "mqtt 3" => Ok(Tongue::Mqtt(3)),
        "mqtt 4" => Ok(Tongue::Mqtt(4)),
        "mqtt 5" => Ok(Tongue::Mqtt(5)),
        other => Err(format!("nobody speaks `{other}`")),
    }
}

fn ipv4(text: &str) -> Result<[u8; 4], String> {
    let parts: Result<Vec<u8>, _> = text.split('.').map(str::parse).collect();
    let parts = parts.ok().and_then(|parts| parts.try_into().ok());
    parts.ok_or_else(|| format!("`{text}` is no address"))
}

fn duration(text: &str) -> Result<u64, String> {
    let text = text.trim_start_matches('+');
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (text.trim_end_matches('s'), 1_000),
    };
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is no time"))?;
    Ok(number * unit)
}

impl Step {
    fn perform(&self, world: &mut dyn World, talk: &mut Talk) -> Result<(), String> {
        match self {
            Self::Open(who, tongue, door, from) => {
                talk.forget(who);
                world.open(who, *tongue, *door, *from)
            }
            Self::Ws(who, heard) => heard
                .perform(&mut |n| world.hear(who, n))
                .map_err(|why| format!("{who} should hear {heard:?}: {why}")),
            Self::Call(who, phrase) => phrase.say(world, who, &mut talk.wamp),
            Self::Post(who, phrase) => world.say(who, &phrase.bytes(&talk.wamp)?),
            Self::Fetch(who, phrase) => phrase.hear(world, who, &mut talk.wamp),
            Self::Answer(who, phrase) => phrase.hear(world, who, &mut talk.wamp),
            Self::Ask(who, words) => {
                let words = words_http::filled(words, &talk.http)?;
                world.say(who, &words_http::request(&words)?)
            }
            Self::Http(who, answer) => answer
                .perform(&mut talk.http, &mut |n| world.hear(who, n))
                .map_err(|why| format!("{who} should hear {answer:?}: {why}")),
            Self::Tell(who, phrase) => talk.say(world, who, phrase),
            Self::Heed(who, phrase) => talk.hear(world, who, phrase),
            Self::Hear(who, _) | Self::End(who, _) if !talk.is_done(who) => {
                Err(format!("{who} has heard more than that"))
            }
            Self::Close(who, reset) => world.close(who, *reset),
            Self::Say(who, bytes) => world.say(who, bytes),
            Self::Hear(who, bytes) => {
                let heard = world.hear(who, bytes.len())?;
                match heard == *bytes {
                    true => Ok(()),
                    false if bytes.is_empty() => Err(format!("{who} hears {}", spell(&heard))),
                    false => Err(format!(
                        "{who} should hear {} and hears {}",
                        spell(bytes),
                        spell(&heard)
                    )),
                }
            }
            Self::HearAny(who) if talk.forget(who) => world.hear(who, 0).map(drop),
            Self::HearAny(who) => match world.hear(who, 1)?.is_empty() {
                true => Err(format!("{who} hears nothing")),
                false => world.hear(who, 0).map(drop),
            },
            Self::End(who, reason) => end(world, who, reason),
            Self::Deaf(..) | Self::Dialed(..) | Self::HearEnd(_) | Self::Fake(_) => {
                world.fake(self)
            }
        }
    }
}

fn end(world: &mut dyn World, who: &str, reason: &str) -> Result<(), String> {
    let left = world.hear(who, 0)?;
    if !left.is_empty() {
        return Err(format!("{who} is told {} before the end", spell(&left)));
    }
    match world.ended(who)? {
        Some(why) if why == reason || why.is_empty() || reason.is_empty() => Ok(()),
        Some(why) => Err(format!("{who} was hung up on for {why}, not for {reason}")),
        None => Err(format!("{who} is still connected")),
    }
}

/// Bytes for an error message.
#[must_use]
pub fn spell(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "nothing".to_owned();
    }
    let shown = &bytes[..bytes.len().min(96)];
    let hex: Vec<String> = shown.iter().map(|b| format!("{b:02x}")).collect();
    format!("{} ({} bytes: {})", hex.join(" "), bytes.len(), shown.escape_ascii())
}
