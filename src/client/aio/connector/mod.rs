//! Floor 5. A connector: one named client of a server, for all programs of a machine.
//!
//! ```text
//! application  ->  uds_path_send_to_connector_client_NAME           frames
//! application  <-  uds_path_receive_from_connector_client_TYPE_NAME frames; it listens there
//! tools       <->  uds_path_commander_NAME                          one question to a connection
//! ```
//!
//! Unmodified programs written for the original (`ConnectorAPI` of Python) speak to it. To the
//! server it is a [`Client`](super::Client) like any other; what it adds is the sockets, and what
//! is kept on the disk in both directions. Threads: the client's, one that lets in, one for each
//! program that sends, one for each type that is received, one that brings what is kept. Reading
//! order: `setup`, `chest` (what is kept), `house` (what is shared), `outlet` (to the programs),
//! `counter` (from them), `orders`, `door`. Absent on purpose: the server's side, which is the
//! broker's.

mod chest;
#[cfg(test)]
mod chest_test;
#[cfg(test)]
mod connector_test;
mod counter;
mod door;
mod house;
mod md5;
mod orders;
mod outlet;
mod setup;

use std::sync::Arc;
use std::thread::JoinHandle;

use super::Error;

pub use crate::proto::aio::shelf::Kept;
pub use setup::{Ignored, Setup};

use door::{Door, Guests};
use house::House;

/// A connector that runs; dropping it ends it.
#[derive(Debug)]
pub struct Connector {
    house: Arc<House>,
    guests: Arc<Guests>,
    waker: mio::Waker,
    threads: Vec<JoinHandle<()>>,
}

impl Connector {
    /// Open the sockets and begin to dial. That the server cannot be reached is no error.
    pub fn start(setup: Setup) -> Result<Self, Error> {
        setup.check()?;
        for (_, folder) in &setup.folders {
            std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
        }
        // Whoever has the sockets has what is kept, too.
        let door = Door::open(&setup)?;
        let house = Arc::new(House::new(setup)?);
        let (guests, waker) = (door.guests(), door.waker().map_err(Error::io)?);
        let mut connector = Self { house, guests, waker, threads: Vec::new() };
        connector.work("aio-door", move |house| door.run(house))?;
        connector.work("aio-kept", |house| house.forward())?;
        let outlets: Vec<_> = connector.house.outlets().cloned().collect();
        for outlet in outlets {
            connector.work("aio-outlet", move |house| outlet.run(house))?;
        }
        connector.house.begin()?;
        Ok(connector)
    }

    fn work(
        &mut self,
        name: &str,
        work: impl FnOnce(&Arc<House>) + Send + 'static,
    ) -> Result<(), Error> {
        let house = Arc::clone(&self.house);
        let named = std::thread::Builder::new().name(name.to_owned());
        self.threads.push(named.spawn(move || work(&house)).map_err(Error::io)?);
        Ok(())
    }

    /// There is a connection to the server.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.house.is_online()
    }

    /// Somebody has asked it to end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.house.is_over()
    }

    /// Messages that wait for programs here, and for the server.
    #[must_use]
    pub fn waiting(&self) -> (u64, u64) {
        self.house.waiting()
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        self.guests.send_away();
        self.house.end(false);
        self.house.close();
        // Where it cannot be woken it ends with the next who comes.
        let woken = self.waker.wake();
        for thread in self.threads.drain(..) {
            if woken.is_ok() {
                // A panic has been told on its thread.
                let _ = thread.join();
            }
        }
        self.guests.send_away();
    }
}
