//! Floor 5. A connector: one named client of a server, or the server of many clients, for all
//! programs of a machine.
//!
//! ```text
//! application  ->  uds_path_send_to_connector_client_NAME           frames
//! application  <-  uds_path_receive_from_connector_client_TYPE_NAME frames; it listens there
//! tools       <->  uds_path_commander_NAME                          one question to a connection
//! ```
//!
//! Those of a server are called `..server..` and by its address. Unmodified programs written for
//! the original (`ConnectorAPI` of Python) speak to it. To its server a client is a
//! [`Client`](super::Client) like any other, and so is, for a server, its end of the connection
//! with each client; what a connector adds is the sockets, and what is kept on the disk in both
//! directions. Threads: one for each connection, one that lets in, one for each program that sends,
//! one for each type that is received, one that brings what is kept to each peer. Reading order:
//! `setup`, `chest` (what is kept), `house` (what is shared), `way` (to a peer), `outlet` (to the
//! programs), `counter` (from them), `orders`, `door`; of a server `lists`, `subscribers`,
//! `parting` (files that more than one is told), `hall`, `gate` and `errands` (what it is told of
//! its clients). Absent on purpose: a broker between connectors and other protocols, which is
//! `broker`.

mod chest;
#[cfg(test)]
mod chest_test;
#[cfg(test)]
mod connector_test;
mod counter;
mod door;
mod errands;
#[cfg(test)]
mod files_test;
mod gate;
mod hall;
mod house;
mod lists;
mod md5;
mod orders;
mod outlet;
mod parting;
#[cfg(test)]
mod server_test;
mod setup;
#[cfg(test)]
mod sharing_test;
#[cfg(all(test, feature = "tls"))]
mod shown_test;
mod subscribers;
#[cfg(test)]
mod unkept_test;
mod way;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::{Error, folders};

pub use crate::proto::aio::Name;
pub use crate::proto::aio::errand::{Errand, Ran};
pub use crate::proto::aio::shelf::Kept;
pub use lists::{List, Lists, NoPattern, Pattern};
pub use setup::{Ignored, Names, Serving, Setup};

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
    /// Open the sockets and begin to dial, or to let clients in. That the server cannot be reached
    /// is no error.
    pub fn start(setup: Setup) -> Result<Self, Error> {
        setup.check()?;
        // What is called by a client is made when that comes.
        for (_, folder) in setup.folders.iter().filter(|(_, folder)| !is_anybodys(folder)) {
            folders::make(folder).map_err(|e| Error::file(folder, e))?;
            // The end of a connection with a server does so itself.
            if setup.serves.is_some() {
                folders::sweep(folder);
            }
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

    /// There is a connection to the server; or a server lets clients in.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.house.is_online()
    }

    /// Where a server lets clients in.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.house.address()
    }

    /// Somebody has asked it to end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.house.is_over()
    }

    /// Messages that wait for programs here, and for peers.
    #[must_use]
    pub fn waiting(&self) -> (u64, u64) {
        self.house.waiting()
    }
}

/// It is called by the client whose files go there.
fn is_anybodys(folder: &Path) -> bool {
    folder.to_str().is_some_and(|text| text.contains('{'))
}

impl Drop for Connector {
    fn drop(&mut self) {
        self.guests.send_away();
        // First, or an order that is late could begin it again.
        self.house.leave();
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
