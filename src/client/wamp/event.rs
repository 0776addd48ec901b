//! Floor 5. A subscription of a WAMP client, and the events that come by it.
//!
//! Events wait in a queue of their subscription, in the order in which they came, until somebody
//! takes them; those for which there is no room are dropped and counted, as a router does it for a
//! slow client. Absent on purpose: a thread for those who want to be called back: they loop.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::proto::wamp::options::Ppt;
use crate::proto::wamp::packet::{self, Unsubscribe};
use crate::proto::wamp::{Amount, Text};
use crate::value::Bounds;

use super::{Error, Payload, Shared, detached, owned};

/// An event.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// Where it was published.
    pub topic: String,
    /// Its id.
    pub publication: u64,
    /// What it says.
    pub payload: Payload,
    /// The session that published it, if it may be known.
    pub publisher: Option<u64>,
    /// Its name.
    pub publisher_authid: Option<String>,
    /// Its role.
    pub publisher_authrole: Option<String>,
    /// How far the publisher is trusted, if the router says so.
    pub trust: Option<u64>,
    /// It was published before the subscription, and kept.
    pub retained: bool,
    /// How the payload is packed, if it is: then it is one value of bytes.
    pub ppt: Option<Ppt>,
}

impl Event {
    pub(super) fn read(event: &packet::Event, topic: &Text, bounds: Bounds) -> Option<Self> {
        let details = &event.details;
        Some(Self {
            topic: details.topic.as_ref().unwrap_or(topic).as_str().to_owned(),
            publication: event.publication,
            payload: Payload::read(&event.payload, bounds).ok()?,
            publisher: details.publisher,
            publisher_authid: owned(details.publisher_authid.as_ref()),
            publisher_authrole: owned(details.publisher_authrole.as_ref()),
            trust: details.trustlevel.map(|Amount(level)| level),
            retained: details.retained,
            ppt: detached(details.ppt.as_deref()),
        })
    }
}

/// A subscription; dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    pub(super) shared: Arc<Shared>,
    pub(super) id: u64,
    pub(super) key: u64,
    pub(super) queue: Receiver<Event>,
    pub(super) missed: Arc<AtomicU64>,
    pub(super) revoked: Arc<OnceLock<String>>,
    pub(super) over: bool,
}

impl Subscription {
    /// The next event; none when the time is over. Without a time it waits for as long as there is
    /// a connection. Several threads may take events of one subscription.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Option<Event>, Error> {
        let event = match timeout {
            None => self.queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(timeout) => self.queue.recv_timeout(timeout),
        };
        match event {
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(self.end()),
        }
    }

    /// Hand every event to this, one after the other, until there are no more: why.
    pub fn each(&self, mut handle: impl FnMut(Event)) -> Error {
        loop {
            match self.wait(None) {
                Ok(event) => event.into_iter().for_each(&mut handle),
                Err(error) => return error,
            }
        }
    }

    /// End it, and wait until the router has.
    pub fn unsubscribe(mut self) -> Result<(), Error> {
        self.over = true;
        let (id, key) = (self.id, self.key);
        let shared = Arc::clone(&self.shared);
        shared.give_up(
            |desk| desk.unsubscribe(id, key),
            |request| Unsubscribe { request, subscription: id }.into(),
        )
    }

    /// The id that the router gave it.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// How many events were dropped because too many waited, or could not be read.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    fn end(&self) -> Error {
        match self.revoked.get() {
            Some(reason) => Error::Revoked(reason.clone()),
            None => self.shared.why(),
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if !self.over {
            let (id, key) = (self.id, self.key);
            self.shared.tell(
                |desk| desk.unsubscribe(id, key),
                |request| Unsubscribe { request, subscription: id }.into(),
            );
        }
    }
}
