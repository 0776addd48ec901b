//! Floor 6. Sessions of WAMP on a rig, and one busy round of them: events, calls, or coming and
//! going.
//!
//! Pairs do the same side by side: one publishes and the other hears, or one calls and the other
//! answers. What they say is written once, but for the numbers of invocations, which count on.
//! Absent on purpose: sockets, and whatever is measured about it.

use crate::rig::{self, Rig};
use spindle::base::id::ConnId;
use spindle::base::outbound::Outbound;
use spindle::hub::message::Durability;
use spindle::proto::Speak;
use spindle::testing::{words_ws, workload};
use spindle::value::{Bounds, Form, Writer, transcode};
use std::io::Write;

/// How sessions of a round speak.
#[derive(Clone, Copy)]
pub(crate) struct Road {
    pub(crate) form: Form,
    /// In frames of a WebSocket, not of RawSocket.
    pub(crate) framed: bool,
}

/// Pairs of sessions.
pub(crate) struct Pairs {
    pub(crate) rig: Rig,
    road: Road,
    /// What each first one says in a round.
    firsts: Vec<(ConnId, Vec<u8>)>,
    /// Each other one.
    seconds: Vec<ConnId>,
    /// Messages of each in a round.
    messages: usize,
    calls: bool,
    /// Times that each second one was asked.
    asked: u64,
    said: Vec<u8>,
    text: Vec<u8>,
    args: Vec<u8>,
}

/// Bytes of the one argument.
const LEN: usize = 64;

/// A line of JSON as a message.
fn message(road: Road, line: &str) -> Vec<u8> {
    let mut text = Vec::new();
    let done = transcode(Form::Json, line.as_bytes(), road.form, &mut text, Bounds::default());
    assert!(done.is_ok(), "{line} is JSON");
    let mut framed = Vec::new();
    put_frame(road, &text, &mut framed);
    framed
}

fn put_frame(road: Road, text: &[u8], into: &mut Vec<u8>) {
    assert!(text.len() < 65_536, "benches say short things");
    match road.framed {
        false => into.extend_from_slice(&(text.len() as u32).to_be_bytes()),
        true => {
            into.push(if road.form == Form::Json { 0x81 } else { 0x82 });
            match text.len() {
                len @ 0..126 => into.push(0x80 | len as u8),
                len => {
                    into.push(0x80 | 126);
                    into.extend_from_slice(&(len as u16).to_be_bytes());
                }
            }
            // A mask that changes nothing.
            into.extend_from_slice(&[0; 4]);
        }
    }
    into.extend_from_slice(text);
}

/// What answers the invocation of this number. By hand: a writer keeps a list of what is open, and
/// whoever counts allocations would find that.
fn put_yield(form: Form, number: u64, args: &[u8], into: &mut Vec<u8>) {
    let number = u32::try_from(number).expect("benches end before that");
    match form {
        Form::Json => write!(into, "[70,{number},{{}},").expect("there is memory"),
        Form::MsgPack => {
            into.extend_from_slice(&[0x94, 70, 0xce]);
            into.extend_from_slice(&number.to_be_bytes());
            into.push(0x80);
        }
        Form::Cbor => {
            into.extend_from_slice(&[0x84, 0x18, 70, 0x1a]);
            into.extend_from_slice(&number.to_be_bytes());
            into.push(0xa0);
        }
    }
    into.extend_from_slice(args);
    if form == Form::Json {
        into.push(b']');
    }
}

/// What somebody says first.
pub(crate) fn entrance(road: Road) -> Vec<u8> {
    let features = "\"features\":{\"call_canceling\":true,\"progressive_call_results\":true}";
    let roles = ["publisher", "subscriber", "caller", "callee"];
    let roles = roles.map(|role| format!("\"{role}\":{{{features}}}")).join(",");
    let hello = message(road, &format!("[1,\"all\",{{\"roles\":{{{roles}}}}}]"));
    let serializer = match road.form {
        Form::Json => 1,
        Form::MsgPack => 2,
        Form::Cbor => 3,
    };
    let before = match (road.framed, road.form) {
        (false, _) => vec![0x7f, 0xf0 | serializer, 0, 0],
        (true, Form::Json) => upgrade("wamp.2.json"),
        (true, Form::MsgPack) => upgrade("wamp.2.msgpack"),
        (true, Form::Cbor) => upgrade("wamp.2.cbor"),
    };
    [before, hello].concat()
}

fn upgrade(protocol: &str) -> Vec<u8> {
    words_ws::upgrade(&format!("/ws {protocol}")).expect("a request")
}

fn come(rig: &mut Rig, road: Road) -> ConnId {
    let speak = if road.framed { Speak::Any } else { Speak::Wamp };
    let conn = rig.accept(speak);
    rig.say(conn, &entrance(road));
    conn
}

impl Pairs {
    /// So many pairs, each with so many messages in a round.
    pub(crate) fn new(road: Road, pairs: usize, messages: usize, calls: bool) -> Self {
        let mut rig = Rig::new(Durability::Memory, rig::patient());
        let (mut firsts, mut seconds) = (Vec::new(), Vec::new());
        let argument = workload::payload(LEN / 2);
        let argument: String = argument.iter().map(|byte| format!("{byte:02x}")).collect();
        for at in 0..pairs {
            let first = come(&mut rig, road);
            let second = come(&mut rig, road);
            rig.quiet();
            let name = format!("com.site.device{at:06}.temp");
            let asks = if calls { 64 } else { 32 };
            rig.say(second, &message(road, &format!("[{asks},1,{{}},\"{name}\"]")));
            rig.quiet();
            let code = if calls { 48 } else { 16 };
            let line = |no| format!("[{code},{no},{{}},\"{name}\",[\"{argument}\"]]");
            let burst = (1..=messages).flat_map(|no| message(road, &line(no))).collect();
            firsts.push((first, burst));
            seconds.push(second);
        }
        let mut args = Vec::new();
        Writer::new(road.form, &mut args).list(1).text(&argument).end();
        let (said, text) = (Vec::new(), Vec::new());
        Self { rig, road, firsts, seconds, messages, calls, asked: 0, said, text, args }
    }

    /// Messages of a round: events, or results.
    pub(crate) fn messages(&self) -> usize {
        self.messages * self.firsts.len()
    }

    /// Everybody says what it has to say, and hears what there is.
    pub(crate) fn round(&mut self, mut heard: impl FnMut(&Outbound)) {
        let mut bytes = 0;
        for (conn, burst) in &self.firsts {
            self.rig.say(*conn, burst);
        }
        self.rig.turns(|_, out| {
            bytes += out.len();
            heard(out);
        });
        assert!(bytes >= self.messages() * LEN, "everybody has heard it");
        if self.calls {
            self.answer();
            let mut bytes = 0;
            self.rig.turns(|_, out| {
                bytes += out.len();
                heard(out);
            });
            assert!(bytes >= self.messages() * LEN, "everybody has an answer");
        }
    }

    fn answer(&mut self) {
        self.said.clear();
        for no in 1..=self.messages as u64 {
            self.text.clear();
            put_yield(self.road.form, self.asked + no, &self.args, &mut self.text);
            put_frame(self.road, &self.text, &mut self.said);
        }
        self.asked += self.messages as u64;
        for conn in &self.seconds {
            self.rig.say(*conn, &self.said);
        }
    }

    /// Nothing is left of a round.
    pub(crate) fn check(&self) {
        let audit = self.rig.engine.audit().expect("the machine is well");
        assert_eq!(audit.owed, 0, "every round ends with nothing owed");
        assert!(self.rig.engine.hub().calls.is_empty(), "every call has its outcome");
    }
}

/// Sessions that come, and hang up.
pub(crate) struct Visitors {
    rig: Rig,
    entrance: Vec<u8>,
    road: Road,
    many: usize,
}

impl Visitors {
    pub(crate) fn new(road: Road, many: usize) -> Self {
        let rig = Rig::new(Durability::Memory, rig::patient());
        Self { rig, entrance: entrance(road), road, many }
    }

    /// All come, one after the other, and then all leave.
    pub(crate) fn round(&mut self, mut heard: impl FnMut(&Outbound)) {
        let speak = if self.road.framed { Speak::Any } else { Speak::Wamp };
        let conns: Vec<ConnId> = (0..self.many)
            .map(|_| {
                let conn = self.rig.accept(speak);
                self.rig.say(conn, &self.entrance);
                conn
            })
            .collect();
        self.rig.turns(|_, out| heard(out));
        assert_eq!(self.rig.engine.hub().parties.len(), self.many, "all are there");
        for conn in conns {
            self.rig.engine.on_closed(self.rig.now, conn, false);
            while let Some((conn, _)) = self.rig.engine.poll_doomed() {
                self.rig.engine.bury(conn);
            }
        }
        self.rig.quiet();
        assert!(self.rig.engine.hub().parties.is_empty(), "all have left");
    }
}
