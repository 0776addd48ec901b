//! Floor 6. The WAMP client against routers that are scripted here, and against our own broker.
//!
//! A scripted router is a listener on a port the system chose and a thread that says what the test
//! wants. Absent on purpose: what the desk of the client can show without a socket.

#![cfg(feature = "os")]
#![expect(clippy::disallowed_methods, reason = "the test is the world")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use spindle::client::wamp::{
    Amount, Builder, CallOptions, CancelMode, Client, Error, Failure, Feature, Form, Payload,
    PublishOptions, RegisterOptions, SubscribeOptions,
};
use spindle::proto::wamp::options::{ErrorDetails, InvocationDetails, ResultDetails};
use spindle::proto::wamp::packet;
use spindle::proto::wamp::rawsocket::{self, Frame, Kind, Offer};
use spindle::proto::wamp::{Message, Most, Sender, decode, encode};
use spindle::value::{Bounds, Value};
use spindle::{Broker, Handle};

const SOON: Option<Duration> = Some(Duration::from_secs(10));

/// One connection of a scripted router.
struct Line {
    stream: TcpStream,
    input: BytesMut,
    form: Form,
}

impl Line {
    fn fill(&mut self) -> bool {
        let mut chunk = [0; 4096];
        let len = self.stream.read(&mut chunk).unwrap_or(0);
        self.input.extend_from_slice(&chunk[..len]);
        len > 0
    }

    fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = rawsocket::next(&mut self.input, rawsocket::LONGEST).unwrap() {
                return Some(frame);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// The next message; none at the end.
    fn heard(&mut self) -> Option<Message> {
        match self.frame()? {
            Frame::Message(bytes) => {
                Some(decode(self.form, &bytes, Sender::Client, &Most::default()).unwrap())
            }
            other => panic!("{other:?}"),
        }
    }

    fn hear(&mut self) -> Message {
        self.heard().expect("a message")
    }

    fn put(&mut self, kind: Kind, payload: &[u8]) {
        self.stream.write_all(&rawsocket::head(kind, payload.len()).unwrap()).unwrap();
        self.stream.write_all(payload).unwrap();
    }

    fn say(&mut self, message: impl Into<Message>) {
        let mut bytes = Vec::new();
        encode(&message.into(), self.form, Bounds::default(), &mut bytes).unwrap();
        self.put(Kind::Message, &bytes);
    }

    /// Let it in.
    fn welcome(&mut self) -> packet::Hello {
        let Message::Hello(hello) = self.hear() else { panic!("no HELLO") };
        self.say(packet::Welcome { session: 7, ..Default::default() });
        hello
    }

    /// Answer a goodbye.
    fn part(&mut self) {
        let Message::Goodbye(bye) = self.hear() else { panic!("no GOODBYE") };
        assert_eq!(bye.reason.as_str(), "wamp.close.normal");
        self.say(packet::Goodbye {
            reason: "wamp.close.goodbye_and_out".into(),
            ..Default::default()
        });
    }
}

/// A router that says what `script` wants, to one client that it takes so much from.
fn router(takes: usize, script: impl FnOnce(Line) + Send + 'static) -> (Builder, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rs://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(SOON).unwrap();
        let mut line = Line { stream, input: BytesMut::new(), form: Form::Json };
        let offer = loop {
            if let Some(offer) = rawsocket::offered(&line.input).unwrap() {
                break offer;
            }
            assert!(line.fill());
        };
        drop(line.input.split_to(rawsocket::HEAD));
        line.form = offer.form;
        line.stream.write_all(&Offer { takes, form: offer.form }.octets()).unwrap();
        script(line);
    });
    (Client::builder(url, "r").timeout(Duration::from_secs(5)), thread)
}

fn text(text: &str) -> Vec<Value> {
    vec![Value::Text(text.to_owned())]
}

#[test]
fn requests_are_answered_in_every_form_and_the_goodbye_comes_last() {
    for form in Form::ALL {
        let (builder, thread) = router(1 << 20, |mut line| {
            let hello = line.welcome();
            assert_eq!(hello.realm.as_str(), "r");
            assert!(hello.details.roles.has_client());
            let Message::Subscribe(asked) = line.hear() else { panic!() };
            assert_eq!((asked.request, asked.topic.as_str()), (1, "a.b"));
            line.say(packet::Subscribed { request: 1, subscription: 9 });
            let Message::Publish(published) = line.hear() else { panic!() };
            assert!(published.options.acknowledge);
            let (publication, payload) = (44, published.payload);
            line.say(packet::Published { request: 2, publication });
            line.say(packet::Event { subscription: 9, publication, payload, ..Default::default() });
            let Message::Unsubscribe(over) = line.hear() else { panic!() };
            assert_eq!((over.request, over.subscription), (3, 9));
            let ended = packet::Ended { request: 3, revoked: None };
            line.say(packet::Unsubscribed { ended });
            line.part();
            assert!(line.heard().is_none(), "the client closes");
        });
        let client = builder.form(form).connect().unwrap();
        assert_eq!((client.session(), client.realm(), client.form()), (7, "r", form));
        let events = client.subscribe("a.b", SubscribeOptions::default()).unwrap();
        let options = PublishOptions { acknowledge: true, ..Default::default() };
        let payload = Payload { args: text("x"), kwargs: vec![("k".to_owned(), Value::Int(-5))] };
        assert_eq!(client.publish("a.b", options, payload.clone()).unwrap(), Some(44));
        let event = events.wait(SOON).unwrap().unwrap();
        assert_eq!((event.topic.as_str(), event.payload), ("a.b", payload));
        events.unsubscribe().unwrap();
        let handle = (*client).clone();
        client.leave();
        assert!(matches!(handle.end(), Some(Error::Left)));
        assert!(matches!(handle.publish("a", PublishOptions::default(), ()), Err(Error::Left)));
        thread.join().unwrap();
    }
}

#[test]
fn a_router_that_lacks_a_form_is_asked_for_another_one() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rs://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for answer in [[0x7f, 0x10, 0, 0], [0x7f, 0x10, 0, 0], [0x7f, 0x40, 0, 0]] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut octets = [0; 4];
            stream.read_exact(&mut octets).unwrap();
            asked.push(octets[1] & 0x0f);
            stream.write_all(&answer).unwrap();
        }
        asked
    });
    let error = Client::builder(url, "r").connect().unwrap_err();
    assert!(error.to_string().contains("too many connections"), "{error}");
    assert_eq!(thread.join().unwrap(), [2, 3, 1], "MessagePack, CBOR, JSON");
}

#[test]
fn who_is_not_let_in_learns_why_and_a_ticket_is_said_when_it_is_asked_for() {
    let (builder, thread) = router(1 << 20, |mut line| {
        let Message::Hello(hello) = line.hear() else { panic!() };
        let methods = hello.details.authmethods.unwrap();
        assert_eq!((methods.len(), methods[0].as_str()), (1, "ticket"));
        assert_eq!(hello.details.authid.unwrap().as_str(), "jo");
        line.say(packet::Challenge { method: "ticket".into(), ..Default::default() });
        let Message::Authenticate(proof) = line.hear() else { panic!() };
        assert_eq!(proof.signature.as_str(), "secret");
        let reason = "wamp.error.authentication_failed".into();
        line.say(packet::Abort { reason, ..Default::default() });
    });
    let error = builder.user("jo").ticket("secret").connect().unwrap_err();
    assert_eq!(error.uri(), Some("wamp.error.authentication_failed"));
    thread.join().unwrap();
}

#[test]
fn pings_are_answered_before_the_welcome_too_and_a_silent_router_is_left() {
    let (builder, thread) = router(1 << 20, |mut line| {
        line.put(Kind::Ping, b"early");
        assert!(matches!(line.hear(), Message::Hello(_)));
        assert_eq!(line.frame(), Some(Frame::Pong(Bytes::from_static(b"early"))));
        line.say(packet::Welcome { session: 7, ..Default::default() });
        assert_eq!(line.frame(), Some(Frame::Ping(Bytes::new())));
        line.put(Kind::Pong, b"");
        assert_eq!(line.frame(), Some(Frame::Ping(Bytes::new())), "after another silence");
        assert_eq!(line.frame(), None, "it has hung up");
    });
    let client = builder.keep_alive(Duration::from_millis(100)).connect().unwrap();
    thread.join().unwrap();
    assert!(matches!(client.end(), Some(Error::Silent)));
}

#[test]
fn results_in_pieces_come_in_order_and_the_last_one_ends_the_call() {
    let (builder, thread) = router(1 << 20, |mut line| {
        line.welcome();
        let Message::Call(call) = line.hear() else { panic!() };
        assert!(call.options.receive_progress);
        for progress in [true, true, false] {
            let details = ResultDetails { progress, ppt: None };
            let (request, payload) = (call.request, call.payload.clone());
            line.say(packet::Outcome { request, details, payload });
        }
        line.part();
    });
    let client = builder.connect().unwrap();
    let options = CallOptions { receive_progress: true, ..Default::default() };
    let mut pieces = 0;
    let call = client.begin("p", options, text("x")).unwrap();
    let last = call.finish(|piece| {
        assert!(!piece.last);
        pieces += 1;
    });
    assert_eq!((last.unwrap().payload.args, pieces), (text("x"), 2));
    client.leave();
    thread.join().unwrap();
}

#[test]
fn a_call_whose_time_is_over_is_cancelled_and_ends_without_an_answer_too() {
    let (builder, thread) = router(1 << 20, |mut line| {
        line.welcome();
        for answered in [true, false] {
            let Message::Call(call) = line.hear() else { panic!() };
            assert_eq!(call.options.timeout, Some(Amount(20)));
            let Message::Cancel(cancel) = line.hear() else { panic!() };
            assert_eq!(cancel.request, call.request);
            assert_eq!(cancel.options.mode, Some(CancelMode::KillNoWait));
            if answered {
                let (request, error) = (call.request, "wamp.error.canceled".into());
                line.say(packet::Failure { kind: 48, request, error, ..Default::default() });
            }
        }
        while line.heard().is_some() {}
    });
    let client = builder.timeout(Duration::from_millis(200)).connect().unwrap();
    let options = || CallOptions { timeout: Some(Amount(20)), ..Default::default() };
    for _ in 0..2 {
        assert!(matches!(client.call("p", options(), ()), Err(Error::TimedOut)));
    }
    drop(client);
    thread.join().unwrap();
}

#[test]
fn parts_of_a_call_go_out_under_one_number_and_a_dropped_call_is_cancelled() {
    let (builder, thread) = router(1 << 20, |mut line| {
        line.welcome();
        for progress in [true, true, false] {
            let Message::Call(call) = line.hear() else { panic!() };
            assert_eq!((call.request, call.options.progress), (1, progress));
        }
        let Message::Cancel(cancel) = line.hear() else { panic!() };
        assert_eq!(cancel.request, 1);
        line.part();
    });
    let client = builder.connect().unwrap();
    let options = CallOptions { progress: true, ..Default::default() };
    let mut call = client.begin("p", options, ()).unwrap();
    call.feed(text("x"), true).unwrap();
    call.feed(text("y"), false).unwrap();
    assert!(matches!(call.feed((), true), Err(Error::Unwanted)), "the last part was said");
    drop(call);
    client.leave();
    thread.join().unwrap();
}

/// Grant a registration under the id 9.
fn register(line: &mut Line) {
    line.welcome();
    let Message::Register(asked) = line.hear() else { panic!() };
    line.say(packet::Registered { request: asked.request, registration: 9 });
}

fn invoke(line: &mut Line, request: u64, receive_progress: bool) {
    let details = InvocationDetails { receive_progress, ..Default::default() };
    line.say(packet::Invocation { request, registration: 9, details, ..Default::default() });
}

fn error_of(message: Message) -> (u64, String) {
    let Message::Failure(it) = message else { panic!("{message:?}") };
    assert_eq!((it.kind, &it.details), (68, &ErrorDetails::default()));
    (it.request, it.error.to_string())
}

#[test]
fn every_invocation_is_answered_once_also_one_that_nobody_answers() {
    let (builder, thread) = router(4_096, |mut line| {
        register(&mut line);
        (1..=4).for_each(|request| invoke(&mut line, request, false));
        let Message::Yield(it) = line.hear() else { panic!() };
        assert_eq!((it.request, it.options.progress), (1, false));
        assert_eq!(error_of(line.hear()), (2, "x.y".to_owned()));
        assert_eq!(error_of(line.hear()), (3, "wamp.error.unavailable".to_owned()));
        let exceeded = "wamp.error.payload_size_exceeded".to_owned();
        assert_eq!(error_of(line.hear()), (4, exceeded), "the router takes 4 KiB");
        let Message::Call(call) = line.hear() else { panic!() };
        invoke(&mut line, 5, false);
        line.say(packet::Outcome { request: call.request, ..Default::default() });
        assert!(matches!(line.hear(), Message::Unregister(_)));
        assert_eq!(error_of(line.hear()), (5, "wamp.error.unavailable".to_owned()));
        line.part();
    });
    let client = builder.connect().unwrap();
    let long = "x".repeat(5_000);
    let too_long = client.publish("a", PublishOptions::default(), text(&long));
    assert!(matches!(too_long, Err(Error::TooLarge)));
    let calls = client.register("p", RegisterOptions::default()).unwrap();
    let next = || calls.wait(SOON).unwrap().unwrap();
    let first = next();
    assert!(matches!(first.progress(()), Err(Error::Unwanted)), "the caller takes no pieces");
    first.reply(()).unwrap();
    next().fail("x.y", ()).unwrap();
    drop(next());
    assert!(matches!(next().reply(text(&long)), Err(Error::TooLarge)));
    // What comes before the answer of a call was heard when that is.
    client.call("q", CallOptions::default(), ()).unwrap();
    drop(calls);
    client.leave();
    thread.join().unwrap();
}

#[test]
fn an_interrupt_reaches_the_handler_and_says_whether_an_answer_is_waited_for() {
    let (builder, thread) = router(1 << 20, |mut line| {
        register(&mut line);
        for (request, mode) in [(1, CancelMode::Kill), (2, CancelMode::KillNoWait)] {
            invoke(&mut line, request, true);
            let Message::Yield(it) = line.hear() else { panic!() };
            assert!(it.options.progress);
            let mut interrupt = packet::Interrupt { request, ..Default::default() };
            interrupt.options.mode = Some(mode);
            line.say(interrupt);
        }
        // Of the second nobody waits for an answer.
        assert_eq!(error_of(line.hear()), (1, "wamp.error.canceled".to_owned()));
        while line.heard().is_some() {}
    });
    let client = builder.connect().unwrap();
    let calls = client.register("p", RegisterOptions::default()).unwrap();
    let mut kept = Vec::new();
    for mode in [CancelMode::Kill, CancelMode::KillNoWait] {
        let invocation = calls.wait(SOON).unwrap().unwrap();
        assert_eq!(invocation.procedure, "p");
        invocation.progress(text("begun")).unwrap();
        let interrupt = invocation.wait_interrupt(Duration::from_secs(10)).unwrap();
        assert_eq!(interrupt.mode, Some(mode));
        kept.push(invocation);
    }
    let second = kept.pop().unwrap();
    assert!(matches!(second.reply(()), Err(Error::Unwanted)));
    drop(kept);
    drop(client);
    thread.join().unwrap();
}

#[test]
fn a_goodbye_of_the_router_is_answered_and_everybody_learns_of_it() {
    let (builder, thread) = router(1 << 20, |mut line| {
        line.welcome();
        assert!(matches!(line.hear(), Message::Call(_)));
        let reason = "wamp.close.system_shutdown".into();
        line.say(packet::Goodbye { reason, ..Default::default() });
        let Message::Goodbye(bye) = line.hear() else { panic!() };
        assert_eq!(bye.reason.as_str(), "wamp.close.goodbye_and_out");
    });
    let client = builder.connect().unwrap();
    let error = client.call("p", CallOptions::default(), ()).unwrap_err();
    assert_eq!(error.uri(), Some("wamp.close.system_shutdown"));
    assert!(!client.is_online());
    thread.join().unwrap();
}

#[test]
fn a_router_that_breaks_the_protocol_is_told_so() {
    let (builder, thread) = router(1 << 20, |mut line| {
        line.welcome();
        line.put(Kind::Message, b"\xc1");
        // A call may have been under way.
        let last = std::iter::from_fn(|| line.heard()).last();
        let Some(Message::Abort(abort)) = last else { panic!("{last:?}") };
        assert_eq!(abort.reason.as_str(), "wamp.error.protocol_violation");
    });
    let client = builder.connect().unwrap();
    let error = client.call("p", CallOptions::default(), ()).unwrap_err();
    assert!(matches!(error, Error::Protocol(_)), "{error}");
    thread.join().unwrap();
}

#[test]
fn a_router_that_does_not_answer_is_waited_for_no_longer_than_was_said() {
    let (builder, thread) = router(1 << 20, |mut line| {
        line.welcome();
        while line.heard().is_some() {}
    });
    let client = builder.timeout(Duration::from_millis(50)).connect().unwrap();
    let refused = client.subscribe("a", SubscribeOptions::default()).unwrap_err();
    assert!(matches!(refused, Error::TimedOut));
    assert!(client.is_online());
    drop(client);
    thread.join().unwrap();
}

struct Rig {
    handle: Handle,
    port: u16,
    thread: Option<JoinHandle<()>>,
}

impl Rig {
    fn new(url: &str) -> Self {
        let listen = url.parse().unwrap();
        let broker = Broker::builder().listen_to(listen).memory().build().unwrap();
        let handle = broker.handle();
        let port = broker.local_addr(0).unwrap().port();
        let thread = Some(std::thread::spawn(move || broker.run().unwrap()));
        Self { handle, port, thread }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Events and calls, from one client to another.
fn go_round(builder: &Builder) {
    let (one, two) = (builder.connect().unwrap(), builder.connect().unwrap());
    assert!(one.has_feature(Feature::CallCanceling));
    let events = one.subscribe("a.b", SubscribeOptions::default()).unwrap();
    let calls = one.register("math.twice", RegisterOptions::default()).unwrap();
    let bytes = Payload { args: vec![Value::Bytes(vec![0, 255])], kwargs: Vec::new() };
    let options = PublishOptions { acknowledge: true, ..Default::default() };
    two.publish("a.b", options, bytes.clone()).unwrap().unwrap();
    assert_eq!(events.wait(SOON).unwrap().unwrap().payload, bytes);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            calls.each(|call| match call.payload.args.first().and_then(Value::as_int) {
                Some(n) => Ok(vec![Value::Int(2 * n)].into()),
                None => Err(Failure { uri: "x.odd".to_owned(), payload: ().into() }),
            })
        });
        let four = two.call("math.twice", CallOptions::default(), vec![Value::Int(2)]).unwrap();
        assert_eq!(four.args, [Value::Int(4)]);
        let odd = two.call("math.twice", CallOptions::default(), text("x")).unwrap_err();
        assert_eq!(odd.uri(), Some("x.odd"));
        // Its end is the end of the handler.
        one.leave();
    });
    let gone = two.call("math.twice", CallOptions::default(), ()).unwrap_err();
    assert_eq!(gone.uri(), Some("wamp.error.no_such_procedure"));
}

#[test]
fn our_own_broker_is_spoken_to_in_every_form() {
    let (raw, ws) = (Rig::new("wamp://127.0.0.1:0"), Rig::new("wamp+ws://127.0.0.1:0"));
    for form in Form::ALL {
        let url = format!("rs://127.0.0.1:{}", raw.port);
        go_round(&Client::builder(url, "default").form(form));
        let url = format!("ws://127.0.0.1:{}/ws", ws.port);
        go_round(&Client::builder(&url, "default").form(form));
        go_round(&Client::builder(&url, "default").form(form).batched(true));
    }
}

type Upgraded = tungstenite::WebSocket<TcpStream>;

/// A router behind a WebSocket that chooses this subprotocol, if it is offered.
fn ws_router(
    chosen: &'static str,
    script: impl FnOnce(Upgraded) + Send + 'static,
) -> (Builder, JoinHandle<()>) {
    use tungstenite::handshake::server::{Request, Response};

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(SOON).unwrap();
        let name = "sec-websocket-protocol";
        #[expect(clippy::result_large_err, reason = "tungstenite wants it so")]
        let choose = |request: &Request, mut answer: Response| {
            assert_eq!(request.uri().path(), "/ws");
            let offered = request.headers().get(name).unwrap().to_str().unwrap();
            assert!(offered.split(", ").any(|it| it == chosen), "{offered}");
            answer.headers_mut().insert(name, chosen.parse().unwrap());
            Ok(answer)
        };
        script(tungstenite::accept_hdr(stream, choose).unwrap());
    });
    (Client::builder(url, "r"), thread)
}

#[test]
fn over_a_websocket_json_is_text_and_pings_are_answered() {
    use tungstenite::Message as Frame;

    let (builder, thread) = ws_router("wamp.2.json", |mut line| {
        let hello = line.read().unwrap();
        assert!(hello.to_text().unwrap().starts_with("[1,\"r\",{"), "{hello}");
        assert!(matches!(hello, Frame::Text(_)));
        line.send(Frame::Ping(Bytes::from_static(b"p"))).unwrap();
        line.send(Frame::Text("[2,7,{\"roles\":{\"dealer\":{}}}]".into())).unwrap();
        assert!(matches!(line.read().unwrap(), Frame::Pong(payload) if payload == b"p"[..]));
        assert_eq!(line.read().unwrap().to_text().unwrap(), "[48,1,{},\"p\",[\"x\"]]");
        line.send(Frame::Text("[50,1,{},[],{\"k\":\"\\u0000AP8=\"}]".into())).unwrap();
        assert_eq!(line.read().unwrap().to_text().unwrap(), "[6,{},\"wamp.close.normal\"]");
        line.send(Frame::Text("[6,{},\"wamp.close.goodbye_and_out\"]".into())).unwrap();
        assert!(matches!(line.read().unwrap(), Frame::Close(_)));
    });
    let client = builder.connect().unwrap();
    let result = client.call("p", CallOptions::default(), text("x")).unwrap();
    assert_eq!(result.kwargs, [("k".to_owned(), Value::Bytes(vec![0, 255]))]);
    client.leave();
    thread.join().unwrap();
}

#[test]
fn batches_are_taken_apart_and_what_is_said_is_a_batch() {
    use tungstenite::Message as Frame;

    let (builder, thread) = ws_router("wamp.2.json.batched", |mut line| {
        assert!(line.read().unwrap().to_text().unwrap().ends_with("\u{1e}"));
        line.send(Frame::Text("[2,7,{}]\u{1e}".into())).unwrap();
        assert_eq!(line.read().unwrap().to_text().unwrap(), "[48,1,{},\"p\"]\u{1e}");
        let both = "[50,1,{\"progress\":true},[1]]\u{1e}[50,1,{},[2]]\u{1e}";
        line.send(Frame::Text(both.into())).unwrap();
        while line.read().is_ok() {}
    });
    let client = builder.form(Form::Json).batched(true).connect().unwrap();
    let mut pieces = Vec::new();
    let call = client.begin("p", CallOptions::default(), ()).unwrap();
    let last = call.finish(|piece| pieces.extend(piece.payload.args)).unwrap();
    assert_eq!((pieces, last.payload.args), (vec![Value::Int(1)], vec![Value::Int(2)]));
    drop(client);
    thread.join().unwrap();
}
