//! Floor 5. How a WAMP client is described before it begins.
//!
//! Plain data, checked once; a description can be used again, for the next connection. Files of TLS
//! are read when it dials. Absent on purpose: the environment, and configuration files.

use std::time::Duration;

use crate::client::mqtt::Tls;
use crate::proto::wamp::Text;
use crate::proto::wamp::options::{HelloDetails, More};
use crate::proto::wamp::rawsocket::{LONGEST, SHORTEST};
use crate::proto::wamp::roles::{Feature, Features, Roles};
use crate::value::{Form, Value};

use super::proof::Way;
use super::url::{Enter, Url};
use super::ws::Spoken;
use super::{Client, Error, payload};

/// What a client was described as.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) url: Url,
    pub(super) tls: Tls,
    /// Forms and batches, the dearest first.
    pub(super) offered: Vec<Spoken>,
    pub(super) realm: String,
    pub(super) user: Option<String>,
    pub(super) ways: Vec<Way>,
    pub(super) details: Vec<(String, Value)>,
    /// For dialling with all handshakes.
    pub(super) dial: Duration,
    /// For an answer of the router.
    pub(super) patience: Duration,
    pub(super) keep_alive: Option<Duration>,
    /// Longer messages are not taken.
    pub(super) longest: usize,
    pub(super) queues: Queues,
}

/// How much may wait for whoever takes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queues {
    pub(super) events: usize,
    pub(super) invocations: usize,
    pub(super) results: usize,
}

/// Describes a [`Client`].
#[derive(Clone, Debug)]
pub struct Builder {
    url: String,
    within: Option<Enter>,
    tls: Tls,
    form: Option<Form>,
    batched: bool,
    realm: String,
    user: Option<String>,
    ways: Vec<Way>,
    details: Vec<(String, Value)>,
    dial: Duration,
    patience: Duration,
    keep_alive: Option<Duration>,
    longest: usize,
    queues: Queues,
    wrong: Option<&'static str>,
}

impl Builder {
    pub(super) fn new(url: String, realm: String) -> Self {
        Self {
            url,
            within: None,
            tls: Tls::default(),
            form: None,
            batched: false,
            realm,
            user: None,
            ways: Vec::new(),
            details: Vec::new(),
            dial: Duration::from_secs(30),
            patience: Duration::from_secs(5),
            keep_alive: None,
            longest: LONGEST,
            queues: Queues { events: 1_024, invocations: 256, results: 256 },
            wrong: None,
        }
    }

    pub(super) fn within(enter: Enter, realm: String) -> Self {
        Self { within: Some(enter), form: Some(Form::MsgPack), ..Self::new(String::new(), realm) }
    }

    /// Whom to trust and what to show, for URLs that want TLS.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// Write messages in this form only. Without this a WebSocket offers MessagePack, CBOR and
    /// JSON, and a RawSocket asks for one after the other.
    #[must_use]
    pub fn form(mut self, form: Form) -> Self {
        self.form = Some(form);
        self
    }

    /// Offer the batched subprotocols of WebSocket first.
    #[must_use]
    pub fn batched(mut self, batched: bool) -> Self {
        self.batched = batched;
        self
    }

    /// Who we say we are (`authid`). Default: what the URL says, or nobody.
    #[must_use]
    pub fn user(mut self, name: impl Into<String>) -> Self {
        self.user = Some(name.into());
        self
    }

    /// Prove it by a ticket. Each method that is named is offered, the first one first; when none
    /// is, the login is anonymous.
    #[must_use]
    pub fn ticket(mut self, ticket: impl Into<String>) -> Self {
        self.ways.push(Way::Ticket(ticket.into()));
        self
    }

    /// Prove it by WAMP-CRA: a secret, or the password that the router salts.
    #[must_use]
    pub fn wampcra(mut self, secret: impl Into<String>) -> Self {
        self.ways.push(Way::Cra(secret.into()));
        self
    }

    /// Prove it by WAMP-SCRAM with PBKDF2; the router has to prove itself in turn.
    #[must_use]
    pub fn scram(mut self, password: impl Into<String>) -> Self {
        self.ways.push(Way::Scram(password.into()));
        self
    }

    /// Prove it by WAMP-Cryptosign: the seed of an Ed25519 key, 32 octets in hex.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn cryptosign(mut self, seed: &str) -> Self {
        match super::proof::sign::Key::of(seed) {
            Some(key) => self.ways.push(Way::Sign(key)),
            None => self.wrong = Some("a seed that is no 32 octets in hex"),
        }
        self
    }

    /// The password that stands in the URL, for whoever knows by which method it is to be proved.
    #[must_use]
    pub fn password_in_url(&self) -> Option<String> {
        Url::parse(&self.url).ok()?.password
    }

    /// Say this of us in HELLO besides.
    #[must_use]
    pub fn detail(mut self, key: impl Into<String>, value: Value) -> Self {
        self.details.push((key.into(), value));
        self
    }

    /// How long dialling may take, with all handshakes and the login. Default 30 s.
    #[must_use]
    pub fn dial_timeout(mut self, timeout: Duration) -> Self {
        self.dial = timeout;
        self
    }

    /// How long the router may take to answer; and how long a caller waits for room when more is
    /// said than the network takes. Default 5 s. A call has only the timeout of its options.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.patience = timeout;
        self
    }

    /// Ask for a sign of life after such a silence, and end after a second one; zero: never.
    /// Default 30 s on a WebSocket, never on a RawSocket: not every router answers there.
    #[must_use]
    pub fn keep_alive(mut self, period: Duration) -> Self {
        self.keep_alive = Some(period);
        self
    }

    /// The longest message to be taken from the router. Default, and at most, 16 MiB.
    #[must_use]
    pub fn message_max(mut self, bytes: usize) -> Self {
        self.longest = bytes;
        self
    }

    /// How many events of one subscription may wait to be taken; those that come then are dropped
    /// and counted. Default 1,024.
    #[must_use]
    pub fn event_queue(mut self, len: usize) -> Self {
        self.queues.events = len.max(1);
        self
    }

    /// How many invocations of one registration may wait to be taken; those that come then are
    /// answered with `wamp.error.unavailable`. Default 256.
    #[must_use]
    pub fn invocation_queue(mut self, len: usize) -> Self {
        self.queues.invocations = len.max(1);
        self
    }

    /// How many progressive results of one call, or parts of one invocation, may wait to be taken.
    /// When more results come nothing is read any more, for as long as the router may take to
    /// answer; then the call is cancelled and ends with [`Error::Full`]. An invocation of more
    /// parts is refused. Default 256.
    #[must_use]
    pub fn result_queue(mut self, len: usize) -> Self {
        self.queues.results = len.max(1);
        self
    }

    /// Dial, and wait until the router has let us in.
    pub fn connect(&self) -> Result<Client, Error> {
        Client::dial(&self.plan()?)
    }

    pub(super) fn plan(&self) -> Result<Plan, Error> {
        if let Some(wrong) = self.wrong {
            return Err(Error::Setting(wrong));
        }
        let url = match &self.within {
            Some(enter) => Url::within(enter.clone()),
            None => Url::parse(&self.url).map_err(Error::Setting)?,
        };
        if self.realm.is_empty() {
            return Err(Error::Setting("no realm"));
        }
        if self.batched && url.path.is_none() {
            return Err(Error::Setting("batches without a WebSocket"));
        }
        if !(SHORTEST..=LONGEST).contains(&self.longest) {
            return Err(Error::Setting("the longest message: 512 bytes to 16 MiB"));
        }
        let user = self.user.clone().or_else(|| url.user.clone());
        if !self.ways.is_empty() && user.is_none() && !self.has_key() {
            return Err(Error::Setting("a proof without a name"));
        }
        let forms = self.form.map_or(&FORMS[..], |form| match form {
            Form::MsgPack => &[Form::MsgPack],
            Form::Cbor => &[Form::Cbor],
            Form::Json => &[Form::Json],
        });
        let both: &[bool] = if self.batched { &[true, false] } else { &[false] };
        let offers = |batched| forms.iter().map(move |&form| Spoken { form, batched });
        Ok(Plan {
            keep_alive: match self.keep_alive {
                None => url.path.is_some().then_some(KEEP_ALIVE),
                Some(period) => Some(period).filter(|period| !period.is_zero()),
            },
            url,
            tls: self.tls.clone(),
            offered: both.iter().flat_map(|batched| offers(*batched)).collect(),
            realm: self.realm.clone(),
            user,
            ways: self.ways.clone(),
            details: self.details.clone(),
            dial: self.dial,
            patience: self.patience,
            longest: self.longest,
            queues: self.queues,
        })
    }

    /// A router can find a user by its key.
    fn has_key(&self) -> bool {
        self.ways.iter().all(|way| way.method() == "cryptosign")
    }
}

impl Plan {
    /// HELLO's details, but for what a login adds.
    pub(super) fn hello(&self, form: Form) -> HelloDetails {
        let more = self.details.iter();
        let more = more.map(|(key, value)| (Text::from(key.as_str()), payload::value(form, value)));
        HelloDetails {
            roles: roles(),
            authid: self.user.as_deref().map(Text::from),
            more: More(more.collect()),
            ..HelloDetails::default()
        }
    }
}

/// Everything that this client does.
fn roles() -> Roles {
    use Feature as F;
    Roles {
        publisher: Some(Features::these(&[
            F::PublisherIdentification,
            F::SubscriberBlackwhiteListing,
            F::PublisherExclusion,
            F::ShardedSubscription,
            F::EventRetention,
            F::PayloadPassthruMode,
        ])),
        subscriber: Some(Features::these(&[
            F::PublisherIdentification,
            F::PublicationTrustlevels,
            F::PatternBasedSubscription,
            F::ShardedSubscription,
            F::EventHistory,
            F::EventRetention,
            F::SubscriptionRevocation,
            F::PayloadPassthruMode,
        ])),
        caller: Some(Features::these(&[
            F::ProgressiveCallResults,
            F::ProgressiveCallInvocations,
            F::CallTimeout,
            F::CallCanceling,
            F::CallerIdentification,
            F::ShardedRegistration,
            F::PayloadPassthruMode,
        ])),
        callee: Some(Features::these(&[
            F::ProgressiveCallResults,
            F::ProgressiveCallInvocations,
            F::CallTimeout,
            F::CallCanceling,
            F::CallerIdentification,
            F::CallTrustlevels,
            F::PatternBasedRegistration,
            F::SharedRegistration,
            F::ShardedRegistration,
            F::RegistrationRevocation,
            F::PayloadPassthruMode,
        ])),
        broker: None,
        dealer: None,
    }
}

const FORMS: [Form; 3] = [Form::MsgPack, Form::Cbor, Form::Json];
const KEEP_ALIVE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(builder: &Builder) -> Result<Plan, String> {
        builder.plan().map_err(|e| e.to_string())
    }

    fn at(url: &str) -> Builder {
        Client::builder(url, "r")
    }

    #[test]
    fn what_is_offered_follows_from_what_was_asked_for() {
        let names = |builder: &Builder| {
            let offered = plan(builder).unwrap().offered;
            offered.iter().map(|spoken| spoken.name()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&at("ws://h")), "wamp.2.msgpack wamp.2.cbor wamp.2.json");
        assert_eq!(
            names(&at("ws://h").form(Form::Json).batched(true)),
            "wamp.2.json.batched wamp.2.json"
        );
    }

    #[test]
    fn what_cannot_be_is_found_before_anybody_is_dialled() {
        let wrong = |builder: Builder| plan(&builder).unwrap_err();
        assert!(wrong(Client::builder("ws://h", "")).contains("realm"));
        assert!(wrong(at("gopher://h")).contains("scheme"));
        assert!(wrong(at("rs://h:1").batched(true)).contains("batches"));
        assert!(wrong(at("ws://h").ticket("x")).contains("name"));
        assert!(wrong(at("ws://h").message_max(511)).contains("longest"));
        assert!(wrong(at("ws://h").message_max((16 << 20) + 1)).contains("longest"));
        assert!(plan(&at("ws://jo@h").ticket("x")).is_ok());
        #[cfg(feature = "tls")]
        {
            assert!(wrong(at("ws://h").cryptosign("abc")).contains("seed"));
            assert!(plan(&at("ws://h").cryptosign(&"0f".repeat(32))).is_ok());
        }
    }
}
