//! Floor 5. The fake world: disk, network, clock and people, all of them values with a seed.
//!
//! Reading order: `disk`, `rig` (one broker and its turn), `words`, `script` and `stage` (scenes
//! written as text; in MQTT `words_mqtt`, `heard_mqtt`, `talk_mqtt`; in frames `words_ws`, in HTTP
//! `words_http`, in WAMP `words_wamp`, in aioconnectors `words_aio`), then the simulator: `dice`,
//! `net`, `model`, `world` with its halves `watch` and `fate`, and its door for fuzzers, `fuzzing`;
//! and worlds of their own for relays (`relays`), for calls (`dealers` with `dealer_folk`,
//! `dealer_law`, `dealer_flaw`), for connectors (`connectors` with `connector_folk`,
//! `connector_law`, `connector_flaw`) and for realms that are asked about themselves (`routers`
//! with `router_folk`, `router_book`, `router_deeds`, `router_flaw`). What benches say is in
//! `workload`. What a fake promises is what the real thing promises and no more: a disk keeps what
//! was synced, a network keeps the order of one connection. Absent on purpose: real sockets, files,
//! clocks and threads, and anything that floors 0 to 4 would have to know about.

pub mod clerk;
mod connector_flaw;
mod connector_folk;
mod connector_law;
#[cfg(test)]
mod connector_test;
pub mod connectors;
mod dealer_flaw;
mod dealer_folk;
mod dealer_law;
#[cfg(test)]
mod dealer_test;
pub mod dealers;
mod deeds;
mod device;
pub mod dice;
pub mod disk;
mod fate;
pub mod fuzzing;
pub mod heard_mqtt;
mod heed;
pub mod model;
pub mod net;
#[cfg(test)]
mod passing_test;
pub mod relays;
pub mod rig;
mod rooms;
mod router_book;
mod router_deeds;
mod router_flaw;
mod router_folk;
#[cfg(test)]
mod router_test;
pub mod routers;
pub mod script;
pub mod stage;
pub mod talk_mqtt;
mod watch;
pub mod words;
pub mod words_aio;
pub mod words_http;
pub mod words_mqtt;
pub mod words_wamp;
pub mod words_ws;
pub mod workload;
pub mod world;

#[cfg(test)]
mod rig_test;
#[cfg(test)]
mod words_mqtt_test;
