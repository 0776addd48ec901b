//! Floor 5. The street: the one folder that touches threads, sockets, files and the clock.
//!
//! Reading order: `driver` (the turn), `poller`, `listener`, `stream`, `socket`, `local` (the
//! embedding program's way in), then the threads `disk`, `workers` and `clerk`, the files in
//! `mmap`, and the small things: `chunks`, `clock`, `signal`, `sys`, `figures`, `notify`, `passed`,
//! `logging` and `log_observer`.
//! Whatever decides anything about messages is below; here bytes are carried. Absent on purpose:
//! protocols, and a second loop.

pub mod chunks;
pub mod clerk;
pub mod clock;
pub mod dial;
pub mod disk;
pub mod driver;
pub mod figures;
mod linger;
pub mod listener;
pub mod local;
pub mod log_observer;
pub mod logging;
pub mod mmap;
pub mod notify;
pub mod passed;
pub mod poller;
pub mod reload;
pub mod signal;
pub mod socket;
pub mod spin;
pub mod stream;
pub mod sys;
pub mod tuning;
pub mod workers;

#[cfg(test)]
mod disk_test;
#[cfg(test)]
mod driver_test;
#[cfg(test)]
mod mmap_test;
#[cfg(test)]
mod workers_test;
