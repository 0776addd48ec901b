//! A broker with an explicit access control list: strict mode, two groups, four users.
//!
//! `cargo run --example acl_broker [HOST:PORT]`; Ctrl-C stops it. The secrets look like bcrypt
//! hashes and are not used as such: they travel on the wire as they are.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "an example is a program")]

use spindle::access::{Access, Terms};
use spindle::os::signal::Signals;
use spindle::{Broker, Speak};

/// Users may write to an inbox and listen for notifications; bots report where they are.
const USERS: &str = r#"
mode = "strict"

[groups.User]
type = "inclusive"
rules = ["can publish self/inbox", "can subscribe self/notifications"]

[groups.Bot]
type = "inclusive"
rules = ["can publish self/location", "can request self/access/upgrade"]

[[users]]
name = "test"
shared_secret = "$2a$06$lNi8H5kc5Z9T9xJAXwQqyunl2EYhGUi6ct3TgpR1BNb1vpzpp9pzC"
client_id = ""
group = "User"

[[users]]
name = "test2"
shared_secret = "$2a$06$2uqusEvRMcpla2KXph8sBuBXO4WVOgIVbIgfRjk5y01UXxxgR9z6O"
client_id = ""
group = "User"

[[users]]
name = "test3"
shared_secret = "$2a$06$sgQ9yjjVvRxQhLqWKSGv4OTE2EF4ojUu1sEHnGUJdimmn.5M9M7/."
client_id = ""
group = "Bot"

[[users]]
name = "test4"
shared_secret = "$2a$06$9wavlAtmNZ66Whe2wturDO7yIBdE41/Zcn4c5z4ydzJ/ydVJIZwJK"
client_id = ""
group = "Bot"
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:52909".into());
    // Before any thread is started, so that all of them leave the signals to the broker.
    let signals = Signals::catch()?;
    let key = [getrandom::u64()?, getrandom::u64()?];
    let access = Access::new(USERS, key, Terms::default()).map_err(|note| note.to_string())?;
    let broker = Broker::builder()
        .listen(address, Speak::Prx1)
        .policy(access)
        .memory()
        .signals(signals)
        .build()?;
    if let Some(bound) = broker.local_addr(0) {
        println!("listening on {bound}");
    }
    broker.run()?;
    println!("stopped");
    Ok(())
}
