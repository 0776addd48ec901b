//! Floor 6. Clients that are there and say nothing, as a process of their own.
//!
//! A process, so that only the broker's memory and time are those of the bench, and because one
//! process may not have as many sockets as both sides need. They end when their input does.

use spindle::testing::workload::{self, Tongue};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// Protocols, and what they are called here.
pub(crate) const TONGUES: [(&str, Tongue); 3] =
    [("prx1", Tongue::Prx1), ("mqtt3", Tongue::Mqtt3), ("mqtt5", Tongue::Mqtt5)];
/// The word by which a bench knows that it is to be the clients.
const CLIENTS: &str = "as-clients-of";

/// Is this process to be the clients? Then it has been, when this returns.
pub(crate) fn is_this() -> bool {
    let mut args = std::env::args().skip_while(|arg| arg != CLIENTS).skip(1);
    let (Some(name), Some(address)) = (args.next(), args.next()) else { return false };
    let known = TONGUES.iter().find(|(known, _)| *known == name);
    be_them(known.expect("a protocol").1, &address);
    true
}

/// Start a process with that many clients, and wait until all of them have subscribed.
pub(crate) fn start(name: &str, address: &str, count: usize) -> Child {
    let program = std::env::current_exe().expect("this program");
    let mut child = Command::new(program)
        .args([CLIENTS, name, address, &count.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut line = String::new();
    let told = child.stdout.as_mut().map(|out| BufReader::new(out).read_line(&mut line));
    assert!(matches!(told, Some(Ok(1..))), "the clients came in");
    child
}

/// Log in, subscribe, say so, and hold until our input ends.
fn be_them(tongue: Tongue, address: &str) {
    let count: usize = std::env::args().next_back().and_then(|n| n.parse().ok()).expect("a number");
    let mut held = Vec::with_capacity(count);
    for i in 0..count {
        let mut stream = TcpStream::connect(address).expect("the broker is there");
        let mut words = tongue.login(&format!("client{count}-{i}"), "");
        words.extend(tongue.subscribe(&workload::topic(i), 1, 1));
        stream.write_all(&words).expect("it listens");
        // A welcome and the answer to the subscription: a type, a short length, a body.
        for _ in 0..2 {
            let mut head = [0; 2];
            stream.read_exact(&mut head).expect("it answers");
            stream.read_exact(&mut vec![0; usize::from(head[1])]).expect("all of it");
        }
        held.push(stream);
    }
    let mut out = std::io::stdout();
    out.write_all(b"in\n").and_then(|()| out.flush()).expect("somebody waits for this");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// Let them go.
pub(crate) fn end(mut child: Child) {
    drop(child.stdin.take());
    assert!(child.wait().is_ok_and(|status| status.success()), "the clients ended well");
}
