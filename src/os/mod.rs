//! Floor 5. The street: the one folder that touches threads, sockets, files and the clock.

pub mod sys;
pub mod workers;

#[cfg(test)]
mod workers_test;
