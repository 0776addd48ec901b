//! A broker inside a program: publish, subscribe, stop; nothing listens on the network.
//!
//! `cargo run --example embed`
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "an example is a program")]

use std::thread;

use spindle::Broker;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let broker = Broker::builder().memory().build()?;
    let handle = broker.handle();
    let running = thread::spawn(move || broker.run());

    let rooms = handle.subscribe("room/*", 1)?;
    for degrees in ["21.0", "21.5", "22.0"] {
        let readers = handle.publish("room/1/temp", degrees, 1, true)?.wait()?;
        println!("{degrees} went to {readers} reader");
    }
    for message in rooms.take(3) {
        let topic = String::from_utf8_lossy(&message.topic);
        println!("{topic}: {}", String::from_utf8_lossy(&message.body));
    }

    handle.stop();
    running.join().map_err(|_| "the broker panicked")??;
    Ok(())
}
