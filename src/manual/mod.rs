//! Floor 6. The manual: chapters in markdown, mounted so that they stand beside the code.
//!
//! Reading order: [`architecture`], [`style`], [`adding_a_protocol`], [`journal`], [`guarantees`],
//! [`operating`], [`configuration`], [`cli`], [`relay`], [`realms`], [`prx1_calls`],
//! [`mqtt_calls`], [`wamp_features`], [`aio`], [`aio_weaknesses`], [`aio_client`], [`connector`],
//! [`embedding`], [`console`], [`service`], [`metrics`], [`rest`], [`mqtt_clauses`]. A chapter is a
//! file that a pull request changes together with the code it speaks of; some are compared with it
//! by `tests/tidy.rs`. Absent on purpose: code. Nothing here runs but an example.

#[doc = include_str!("architecture.md")]
pub mod architecture {}

#[doc = include_str!("style.md")]
pub mod style {}

#[doc = include_str!("adding_a_protocol.md")]
pub mod adding_a_protocol {}

#[doc = include_str!("journal.md")]
pub mod journal {}

#[doc = include_str!("guarantees.md")]
pub mod guarantees {}

#[doc = include_str!("operating.md")]
pub mod operating {}

#[doc = include_str!("configuration.md")]
pub mod configuration {}

#[doc = include_str!("cli.md")]
pub mod cli {}

#[doc = include_str!("relay.md")]
pub mod relay {}

#[doc = include_str!("realms.md")]
pub mod realms {}

#[doc = include_str!("prx1_calls.md")]
pub mod prx1_calls {}

#[doc = include_str!("aio.md")]
pub mod aio {}

#[doc = include_str!("aio_weaknesses.md")]
pub mod aio_weaknesses {}

#[doc = include_str!("mqtt_calls.md")]
pub mod mqtt_calls {}

#[doc = include_str!("embedding.md")]
pub mod embedding {}

#[doc = include_str!("aio_client.md")]
pub mod aio_client {}

#[doc = include_str!("connector.md")]
pub mod connector {}

#[doc = include_str!("console.md")]
pub mod console {}

#[doc = include_str!("service.md")]
pub mod service {}

#[doc = include_str!("mqtt_clauses.md")]
pub mod mqtt_clauses {}

#[doc = include_str!("wamp_features.md")]
pub mod wamp_features {}

#[doc = include_str!("rest.md")]
pub mod rest {}

#[doc = include_str!("metrics.md")]
pub mod metrics {}
