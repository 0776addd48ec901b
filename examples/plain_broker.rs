//! The shortest broker: registered users, no rules, everything else by default.
//!
//! `cargo run --example plain_broker [HOST:PORT]`; Ctrl-C stops it.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "an example is a program")]

use std::fmt::Write;

use spindle::access::{Access, Terms};
use spindle::os::signal::Signals;
use spindle::{Broker, Speak};

/// Sample credentials: a name, and the secret that travels on the wire.
const CLIENTS: [(&str, &str); 4] = [
    ("test", "$2a$06$lNi8H5kc5Z9T9xJAXwQqyunl2EYhGUi6ct3TgpR1BNb1vpzpp9pzC"),
    ("test2", "$2a$06$2uqusEvRMcpla2KXph8sBuBXO4WVOgIVbIgfRjk5y01UXxxgR9z6O"),
    ("test3", "$2a$06$sgQ9yjjVvRxQhLqWKSGv4OTE2EF4ojUu1sEHnGUJdimmn.5M9M7/."),
    ("test4", "$2a$06$9wavlAtmNZ66Whe2wturDO7yIBdE41/Zcn4c5z4ydzJ/ydVJIZwJK"),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:52909".into());
    let signals = Signals::catch()?;
    let mut users = String::from("mode = \"none\"\n");
    for (name, secret) in CLIENTS {
        writeln!(users, "[[users]]\nname = \"{name}\"\nshared_secret = \"{secret}\"")?;
    }
    let key = [getrandom::u64()?, getrandom::u64()?];
    let access = Access::new(&users, key, Terms::default()).map_err(|note| note.to_string())?;
    let broker =
        Broker::builder().listen(address, Speak::Prx1).policy(access).signals(signals).build()?;
    if let Some(bound) = broker.local_addr(0) {
        println!("listening on {bound}");
    }
    broker.run()?;
    println!("stopped");
    Ok(())
}
