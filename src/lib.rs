//! Floor 6. spindle: a message broker for one machine, as a program and as a library.
//!
//! It is not a cluster, not a stream processor and not a database. It is one loop on one thread
//! that takes bytes from any number of connections, decides who is owed what, and writes down what
//! must survive. An acknowledgement never promises more than the disk has; everything has a bound.
//!
//! ```
//! use spindle::{Broker, Speak};
//!
//! let broker = Broker::builder().listen("127.0.0.1:0", Speak::Prx1).memory().build()?;
//! let handle = broker.handle();
//! let thread = std::thread::spawn(move || broker.run());
//!
//! let mut rooms = handle.subscribe("room/*", 1)?;
//! let matched = handle.publish("room/1/temp", "21.5", 1, false)?.wait()?;
//! assert_eq!(matched, 1);
//! let message = rooms.next().ok_or("the broker is gone")?;
//! assert_eq!(&message.body[..], b"21.5");
//!
//! handle.stop();
//! thread.join().map_err(|_| "the loop panicked")??;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Floors
//!
//! Imports go down only; the first line of every file names its floor, and a test holds them to it.
//!
//! | floor | rooms | what may be there |
//! |---|---|---|
//! | 6 | this file, [`broker`], [`config`], `cli` | the street: embedders and the command line |
//! | 5 | [`os`], [`client`] | all that touches the world: sockets, threads, files, the clock |
//! | 4 | [`engine`] | the broker as a value: bytes and time in, bytes and work out |
//! | 3 | [`proto`], [`access`] | one folder per protocol; who may do what |
//! | 2 | [`hub`] | sessions, debts, subscriptions, queues, kept values; no wire format |
//! | 1 | [`topic`], [`journal`], [`value`], [`link`] | names; what survives; values; TLS |
//! | 0 | [`base`] | what any program could reuse |
//!
//! [`manual`] has the chapters: architecture, style, adding a protocol, the journal's format, and
//! operating a broker. Those who own their loop drive an [`engine::Engine`] themselves; without the
//! feature `os` only floors 0 to 4 are built. Absent on purpose: an async runtime.

pub mod access;
pub mod base;
#[cfg(feature = "os")]
pub mod broker;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "os")]
pub mod client;
#[cfg(feature = "os")]
pub mod config;
pub mod engine;
pub mod hub;
pub mod journal;
pub mod link;
pub mod manual;
#[cfg(feature = "os")]
pub mod os;
pub mod proto;
#[cfg(feature = "testing")]
pub mod testing;
pub mod topic;
pub mod value;

#[cfg(feature = "os")]
pub use broker::{Broker, Handle, Listen, Message, Receipt, Subscription};
pub use hub::message::Durability;
pub use proto::Speak;
