//! Floor 5. Client libraries for programs that block: plain threads over the broker's own codecs.
//!
//! A client speaks one protocol and owns a fixed number of threads, whatever it is asked to do.
//! Absent on purpose: async, and anything of the broker but its codecs.

pub mod aio;
pub(crate) mod masked;
pub mod mqtt;
pub(crate) mod percent;
pub(crate) mod pipe;
pub mod prx1;
pub mod wamp;
