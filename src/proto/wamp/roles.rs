//! Floor 3. Roles and features: what either side says it can do.
//!
//! A feature that was not announced may not be used towards its side, so each is one bit. Names
//! that are not known here are passed over, also of roles. Absent on purpose: what a router
//! announces (the peer knows what it does).

use super::decode::{Field, Heard, Refused};
use super::encode::{Out, Said};
use super::options::Dict;
use crate::value::Item;

macro_rules! features {
    ($($(#[doc = $doc:literal])+ $feature:ident = $name:literal $(, $also:literal)?;)*) => {
        /// Something that one side can do beyond the basic profile.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Feature { $($(#[doc = $doc])+ $feature),* }

        impl Feature {
            /// Each, its name, and the name that some say instead.
            pub const ALL: &[(Self, &'static str, Option<&'static str>)] =
                &[$((Self::$feature, $name, features!(@ $($also)?))),*];
        }
    };
    (@) => { None };
    (@ $also:literal) => { Some($also) };
}

features! {
    /// The publisher may be told to subscribers.
    PublisherIdentification = "publisher_identification";
    /// Who may have an event, by lists.
    SubscriberBlackwhiteListing = "subscriber_blackwhite_listing";
    /// The publisher gets its own event, if it says so.
    PublisherExclusion = "publisher_exclusion";
    /// Events say how far their publisher is trusted.
    PublicationTrustlevels = "publication_trustlevels";
    /// Subscriptions can be asked about.
    SubscriptionMetaApi = "subscription_meta_api";
    /// Prefixes and wildcards in subscriptions.
    PatternBasedSubscription = "pattern_based_subscription";
    /// Events for one of several nodes. The standard misspells it.
    ShardedSubscription = "sharded_subscription", "shareded_subscriptions";
    /// Past events can be asked for.
    EventHistory = "event_history";
    /// The last event of a topic is kept.
    EventRetention = "event_retention";
    /// The router can end a subscription.
    SubscriptionRevocation = "subscription_revocation";
    /// Topics can be described.
    TopicReflection = "topic_reflection";
    /// Results in pieces.
    ProgressiveCallResults = "progressive_call_results", "progressive_calls";
    /// Calls in pieces.
    ProgressiveCallInvocations = "progressive_call_invocations";
    /// Calls end after a time.
    CallTimeout = "call_timeout";
    /// Calls can be taken back.
    CallCanceling = "call_canceling";
    /// The caller may be told to callees.
    CallerIdentification = "caller_identification";
    /// Invocations say how far their caller is trusted.
    CallTrustlevels = "call_trustlevels";
    /// Another callee is tried when one has no time.
    CallReroute = "call_reroute";
    /// Registrations can be asked about.
    RegistrationMetaApi = "registration_meta_api";
    /// Prefixes and wildcards in registrations.
    PatternBasedRegistration = "pattern_based_registration";
    /// Several callees of one procedure.
    SharedRegistration = "shared_registration";
    /// Which of them, by a key.
    ShardedRegistration = "sharded_registration";
    /// The router can end a registration.
    RegistrationRevocation = "registration_revocation";
    /// Procedures can be described.
    ProcedureReflection = "procedure_reflection";
    /// Sessions can be asked about.
    SessionMetaApi = "session_meta_api";
    /// Events for when a session is gone.
    TestamentMetaApi = "testament_meta_api";
    /// Payloads that only their ends can read.
    PayloadPassthruMode = "payload_passthru_mode";
}

/// Some features.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Features(u64);

impl Features {
    /// These ones.
    #[must_use]
    pub const fn these(features: &[Feature]) -> Self {
        let (mut bits, mut rest) = (0, features);
        while let [first, after @ ..] = rest {
            bits |= 1 << *first as u64;
            rest = after;
        }
        Self(bits)
    }

    /// Is it among them?
    #[must_use]
    pub const fn has(self, feature: Feature) -> bool {
        self.0 & 1 << feature as u64 != 0
    }

    /// As bits, one for each.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl Dict for Features {
    fn learn(&mut self, key: &str, field: &mut Field<'_>) -> Result<bool, Refused> {
        let named = |row: &&(_, &str, Option<&str>)| row.1 == key || row.2 == Some(key);
        let Some((feature, name, _)) = Feature::ALL.iter().find(named) else {
            return Ok(false);
        };
        // Either name will do, so neither takes back what the other said.
        if field.value(name)? {
            self.0 |= Self::these(&[*feature]).0;
        }
        Ok(true)
    }

    fn keys(&self) -> usize {
        Feature::ALL.iter().filter(|row| self.has(row.0)).map(|row| names(row).count()).sum()
    }

    fn put(&self, to: &mut Out<'_>) {
        for row in Feature::ALL.iter().filter(|row| self.has(row.0)) {
            for name in names(row) {
                to.entry(name, &true);
            }
        }
    }
}

/// What this router does, as its WELCOME says.
#[must_use]
pub const fn router() -> Roles {
    use Feature as F;
    let broker = Features::these(&[
        F::PublisherIdentification,
        F::SubscriberBlackwhiteListing,
        F::PublisherExclusion,
        F::SubscriptionMetaApi,
        F::PatternBasedSubscription,
        F::ShardedSubscription,
        F::EventHistory,
        F::PublicationTrustlevels,
        F::EventRetention,
        F::SubscriptionRevocation,
        F::TopicReflection,
        F::SessionMetaApi,
        F::PayloadPassthruMode,
    ]);
    let dealer = Features::these(&[
        F::ProgressiveCallResults,
        F::ProgressiveCallInvocations,
        F::CallTimeout,
        F::CallCanceling,
        F::CallerIdentification,
        F::CallTrustlevels,
        F::RegistrationMetaApi,
        F::PatternBasedRegistration,
        F::SharedRegistration,
        F::ShardedRegistration,
        F::RegistrationRevocation,
        F::ProcedureReflection,
        F::CallReroute,
        F::TestamentMetaApi,
        F::SessionMetaApi,
        F::PayloadPassthruMode,
    ]);
    Roles {
        publisher: None,
        subscriber: None,
        caller: None,
        callee: None,
        broker: Some(broker),
        dealer: Some(dealer),
    }
}

/// Under which names it is announced: of the one that the standard misspells, both.
fn names(
    row: &(Feature, &'static str, Option<&'static str>),
) -> impl Iterator<Item = &'static str> {
    let also = row.2.filter(|_| row.0 == Feature::ShardedSubscription);
    [Some(row.1), also].into_iter().flatten()
}

/// The features of each role that was announced.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Roles {
    /// Of a client.
    pub publisher: Option<Features>,
    /// Of a client.
    pub subscriber: Option<Features>,
    /// Of a client.
    pub caller: Option<Features>,
    /// Of a client.
    pub callee: Option<Features>,
    /// Of a router.
    pub broker: Option<Features>,
    /// Of a router.
    pub dealer: Option<Features>,
}

impl Roles {
    /// It has one of the roles that a client can have.
    #[must_use]
    pub fn has_client(&self) -> bool {
        let all = [self.publisher, self.subscriber, self.caller, self.callee];
        all.iter().any(Option::is_some)
    }

    fn each(&self) -> [(&'static str, Option<Features>); 6] {
        [
            ("publisher", self.publisher),
            ("subscriber", self.subscriber),
            ("caller", self.caller),
            ("callee", self.callee),
            ("broker", self.broker),
            ("dealer", self.dealer),
        ]
    }
}

impl Dict for Roles {
    fn learn(&mut self, key: &str, field: &mut Field<'_>) -> Result<bool, Refused> {
        let (role, name) = match key {
            "publisher" => (&mut self.publisher, "roles.publisher"),
            "subscriber" => (&mut self.subscriber, "roles.subscriber"),
            "caller" => (&mut self.caller, "roles.caller"),
            "callee" => (&mut self.callee, "roles.callee"),
            "broker" => (&mut self.broker, "roles.broker"),
            "dealer" => (&mut self.dealer, "roles.dealer"),
            _ => return Ok(false),
        };
        *role = field.value::<Option<Role>>(name)?.map(|it| it.features);
        Ok(true)
    }

    fn keys(&self) -> usize {
        self.each().iter().filter(|role| role.1.is_some()).count()
    }

    fn put(&self, to: &mut Out<'_>) {
        for (name, features) in self.each() {
            to.entry(name, &features.map(|features| Role { features }));
        }
    }
}

impl Heard for Roles {
    fn hear(first: Item<'_>, at: &mut Field<'_>) -> Result<Self, Refused> {
        at.dict(&first)
    }
}

impl Said for Roles {
    fn is_absent(&self) -> bool {
        self.keys() == 0
    }

    fn say(&self, to: &mut Out<'_>) {
        to.dict(self);
    }
}

/// What stands under the name of a role.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Role {
    features: Features,
}

impl Dict for Role {
    fn learn(&mut self, key: &str, field: &mut Field<'_>) -> Result<bool, Refused> {
        if key == "features" {
            self.features = field.value::<Features>("features")?;
        }
        Ok(key == "features")
    }

    fn keys(&self) -> usize {
        usize::from(!self.features.is_absent())
    }

    fn put(&self, to: &mut Out<'_>) {
        to.entry("features", &self.features);
    }
}

impl Heard for Role {
    fn hear(first: Item<'_>, at: &mut Field<'_>) -> Result<Self, Refused> {
        at.dict(&first)
    }
}

impl Said for Role {
    fn say(&self, to: &mut Out<'_>) {
        to.dict(self);
    }
}

impl Heard for Features {
    fn hear(first: Item<'_>, at: &mut Field<'_>) -> Result<Self, Refused> {
        at.dict(&first)
    }
}

impl Said for Features {
    fn is_absent(&self) -> bool {
        self.0 == 0
    }

    fn say(&self, to: &mut Out<'_>) {
        to.dict(self);
    }
}

const _: () = assert!(Feature::ALL.len() <= 64, "a feature is a bit");
