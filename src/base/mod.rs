//! Floor 0. What any program could reuse: identities, time, containers, bounds. Knows nothing of
//! brokers, protocols or storage.

pub mod base64;
pub mod bucket;
pub mod calendar;
pub mod cidr;
pub mod der;
pub mod dirty;
pub mod hex;
pub mod hist;
pub mod id;
pub mod json;
pub mod limits;
pub mod map;
pub mod near;
pub mod outbound;
pub mod pipe;
pub mod reader;
pub mod rng;
pub mod seldom;
pub mod slab;
pub mod stats;
pub mod tail;
pub mod time;
pub mod utf8;
pub mod wheel;
pub mod window;
pub mod words;

#[cfg(test)]
mod hist_test;
