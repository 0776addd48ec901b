//! Floor 6. The connection flags that all clients share, with mosquitto's letters.
//!
//! What a flag does not say, the environment says (`SPINDLE_...`), then the context, then the
//! default. Everything is checked before anybody is dialled. Absent on purpose: SOCKS proxies,
//! pre-shared keys and SRV records, which neither side of this broker speaks.

use std::cell::Cell;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::{ArgAction, Args};

use crate::client::mqtt::{Builder, Client, Tls, TlsVersion};
use crate::client::prx1;
use crate::os::sys;
use crate::proto::mqtt::props::Place;
use crate::proto::mqtt::{Packet, Prop, Props, Version, Will};

use super::context::{self, Chosen};
use super::property::Properties;
use super::url::{Scheme, Url};

/// Flags of `pub`, `sub`, `request` and `reply`.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Link {
    /// The broker's host [default: localhost]
    #[arg(short = 'h', long, value_name = "HOST", env = "SPINDLE_HOST", hide_env_values = true)]
    host: Option<String>,
    /// Its port [default: 1883; TLS 8883, WebSocket 8083 and 8084, PRX1 52909]
    #[arg(short, long, value_name = "PORT", env = "SPINDLE_PORT", allow_hyphen_values = true)]
    port: Option<String>,
    /// scheme://user:password@host:port/topic, or unix:/path; schemes: mqtt, mqtts, ws,
    /// wss, prx1
    #[arg(short = 'L', long, value_name = "URL", env = "SPINDLE_URL", hide_env_values = true)]
    url: Option<String>,
    /// Connect to this Unix socket
    #[arg(long, value_name = "PATH", env = "SPINDLE_UNIX")]
    unix: Option<PathBuf>,
    /// Speak through a WebSocket
    #[arg(long)]
    ws: bool,
    /// Its path
    #[arg(long, value_name = "PATH", default_value = "/mqtt")]
    ws_path: String,
    /// QoS: 0, 1 or 2 [default: 0]
    #[arg(short, long, value_name = "QOS", allow_hyphen_values = true)]
    qos: Option<String>,
    /// Client id; without one the broker chooses
    #[arg(short, long, value_name = "ID", env = "SPINDLE_CLIENT_ID", allow_hyphen_values = true)]
    id: Option<String>,
    /// Client id: this and the number of the process
    #[arg(short = 'I', long, value_name = "PREFIX", allow_hyphen_values = true)]
    id_prefix: Option<String>,
    /// User name
    #[arg(short, long, value_name = "NAME", env = "SPINDLE_USER", allow_hyphen_values = true)]
    username: Option<String>,
    /// Password; better in SPINDLE_PASSWORD, since everybody here can read a command line
    #[arg(short = 'P', long, value_name = "PASSWORD", env = "SPINDLE_PASSWORD")]
    #[arg(hide_env_values = true, allow_hyphen_values = true)]
    pw: Option<String>,
    /// mqttv5, mqttv311 or mqttv31; also 5, 311, 31 [default: mqttv311]
    #[arg(short = 'V', long, value_name = "VERSION", env = "SPINDLE_PROTOCOL_VERSION")]
    protocol_version: Option<String>,
    /// Seconds between signs of life [default: 60]
    #[arg(short, long, value_name = "SECONDS", allow_hyphen_values = true)]
    keepalive: Option<String>,
    /// Keep the session (needs -i)
    #[arg(short = 'c', long)]
    disable_clean_session: bool,
    /// Keep it for so many seconds after the end, MQTT 5.0; -1: for ever
    #[arg(short = 'x', long, value_name = "SECONDS", allow_hyphen_values = true)]
    session_expiry_interval: Option<String>,
    /// Print the packets that are sent and received
    #[arg(short, long)]
    debug: bool,
    /// Print no complaints
    #[arg(long)]
    quiet: bool,
    /// Dial from this address
    #[arg(short = 'A', long, value_name = "ADDRESS")]
    bind: Option<IpAddr>,
    /// A property, MQTT 5.0: command, name, value (user-property: name and value)
    #[arg(short = 'D', long, num_args = 3..=4)]
    #[arg(value_names = ["COMMAND", "NAME", "VALUE", "VALUE2"])]
    property: Vec<String>,
    /// How many messages may be unacknowledged [default: 20]
    #[arg(short = 'M', long, value_name = "MESSAGES", allow_hyphen_values = true)]
    max_inflight: Option<String>,
    /// Accepted for old scripts; small packets always go at once
    #[arg(long)]
    nodelay: bool,
    /// Topic of a will
    #[arg(long, value_name = "TOPIC", allow_hyphen_values = true)]
    will_topic: Option<String>,
    /// What it says
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    will_payload: Option<String>,
    /// Its QoS
    #[arg(long, value_name = "QOS")]
    will_qos: Option<String>,
    /// It is kept
    #[arg(long)]
    will_retain: bool,
    #[command(flatten)]
    tls: TlsFlags,
    /// Take what is not said here from this context
    #[arg(long, value_name = "NAME", env = "SPINDLE_CONTEXT", conflicts_with = "no_context")]
    context: Option<String>,
    /// Take nothing from any context
    #[arg(long)]
    no_context: bool,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// Flags of TLS.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct TlsFlags {
    /// Trust the issuers in this file (PEM)
    #[arg(long, value_name = "FILE", env = "SPINDLE_CA")]
    cafile: Option<PathBuf>,
    /// Trust the issuers in the files of this folder
    #[arg(long, value_name = "DIR")]
    capath: Option<PathBuf>,
    /// Our certificate (PEM)
    #[arg(long, value_name = "FILE", env = "SPINDLE_CERT")]
    cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", env = "SPINDLE_KEY")]
    key: Option<PathBuf>,
    /// tlsv1.2 or tlsv1.3 [default: both]
    #[arg(long, value_name = "VERSION")]
    tls_version: Option<String>,
    /// Offer this application protocol
    #[arg(long, value_name = "NAME")]
    tls_alpn: Option<String>,
    /// Trust whom this machine trusts
    #[arg(long)]
    tls_use_os_certs: bool,
    /// Do not compare the broker's name with its certificate
    #[arg(long)]
    insecure: bool,
}

/// Whom to speak to, and how.
pub(super) enum Road {
    Mqtt(Box<Builder>),
    Prx1(Box<prx1::Builder>),
}

/// What the flags come to.
pub(super) struct Plan {
    pub(super) road: Road,
    pub(super) version: Version,
    pub(super) qos: u8,
    pub(super) quiet: bool,
    pub(super) debug: bool,
    /// The topic in the URL.
    pub(super) topic: Option<String>,
    pub(super) props: Properties,
}

impl Plan {
    /// A sentence on standard error, unless they were not wanted.
    pub(super) fn complain(&self, text: &str) {
        if !self.quiet {
            complain(text);
        }
    }

    /// Say goodbye with the properties that were given for it.
    pub(super) fn part(&self, client: Client) {
        client.disconnect_with(0, self.props.block(Place::DisconnectUp));
    }
}

/// A sentence on standard error.
pub(super) fn complain(text: &str) {
    use std::io::Write;

    // Where complaints cannot be written, the exit code still says it.
    let _ = writeln!(std::io::stderr(), "{text}");
}

impl Link {
    /// Only 5.0 has what is wanted.
    pub(super) fn need_v5(&mut self) {
        self.protocol_version = Some("5".to_owned());
    }

    /// Judge the flags. An error is a sentence for standard error.
    pub(super) fn plan(&self) -> Result<Plan, String> {
        let chosen = if self.no_context {
            Chosen::default()
        } else {
            context::chosen(self.context.as_deref())?
        };
        let mut url = match self.url.as_deref().or(chosen.url.as_deref()) {
            Some(text) => Url::parse(text)?,
            None => Url::default(),
        };
        if self.url.is_none() && (self.host.is_some() || self.unix.is_some()) {
            url = Url { user: url.user, password: url.password, ..Url::default() };
        }
        if let Some(host) = &self.host {
            url.host.clone_from(host);
        }
        let props = Properties::parse(&self.property)?;
        let version = self.version(!self.property.is_empty(), &chosen)?;
        let (quiet, debug) = (self.quiet, self.debug);
        let (qos, topic) = (self.qos()?, url.topic.clone());
        let user =
            self.username.clone().or_else(|| url.user.clone()).or_else(|| chosen.user.clone());
        let password =
            self.pw.clone().or_else(|| url.password.clone()).or_else(|| chosen.password.clone());
        if password.is_some() && user.is_none() && version < Version::V5 {
            return Err("Error: Problem setting username and/or password.".to_owned());
        }
        let road =
            if url.scheme == Scheme::Prx1 {
                Road::Prx1(Box::new(self.prx1(&url, user, password)?))
            } else {
                let builder = self.mqtt(&url, version, &props, &chosen)?;
                Road::Mqtt(Box::new(builder.login(
                    user.as_deref().map(str::as_bytes),
                    password.as_deref().map(str::as_bytes),
                )))
            };
        Ok(Plan { road, version, qos, quiet, debug, topic, props })
    }

    fn prx1(
        &self,
        url: &Url,
        user: Option<String>,
        password: Option<String>,
    ) -> Result<prx1::Builder, String> {
        let port = self.port()?.or(url.port).unwrap_or(52909);
        let mut builder = prx1::Client::builder()
            .address(format!("{}:{port}", url.host))
            .user(user.unwrap_or_default())
            .password(password.unwrap_or_default());
        if let Some(id) = &self.id {
            builder = builder.client_id(id);
        }
        Ok(builder)
    }

    fn mqtt(
        &self,
        url: &Url,
        version: Version,
        props: &Properties,
        chosen: &Chosen,
    ) -> Result<Builder, String> {
        let mut builder = Client::builder()
            .version(version)
            .clean(!self.disable_clean_session)
            .keep_alive(self.keep_alive()?)
            .in_flight(self.in_flight()?)
            .client_id(self.client_id(version, chosen)?);
        let port = self.port()?.or(url.port);
        let tls = self.tls.plan(url, port, chosen)?;
        let ws = self.ws || matches!(url.scheme, Scheme::Ws | Scheme::Wss);
        let usual = match (tls.is_some(), ws) {
            (false, false) => 1883,
            (true, false) => 8883,
            (false, true) => 8083,
            (true, true) => 8084,
        };
        builder = match self.unix.as_ref().or(url.unix.as_ref()) {
            Some(path) => builder.unix(path),
            None => builder.address(&url.host, port.unwrap_or(usual)),
        };
        if let Some(tls) = tls {
            builder = builder.tls(tls);
        }
        if ws {
            builder = builder.websocket(&self.ws_path);
        }
        if let Some(own) = self.bind {
            builder = builder.dial_by(move |to| sys::dial_from(own, to));
        }
        if let Some(will) = self.will(version, props)? {
            builder = builder.will(will);
        }
        if version == Version::V5 {
            builder = builder.props(self.connect_props(props)?);
        }
        if self.debug {
            let id = self.id.clone();
            let last = Cell::new(0);
            builder = builder.trace(move |sent, packet| trace(id.as_deref(), &last, sent, packet));
        }
        Ok(builder)
    }

    fn version(&self, props: bool, chosen: &Chosen) -> Result<Version, String> {
        match self.protocol_version.as_deref().or(chosen.version.as_deref()) {
            // Only 5.0 has properties.
            _ if props => Ok(Version::V5),
            None | Some("mqttv311" | "311") => Ok(Version::V311),
            Some("mqttv31" | "31") => Ok(Version::V31),
            Some("mqttv5" | "5") => Ok(Version::V5),
            Some(_) => Err("Error: Invalid protocol version argument given.\n".to_owned()),
        }
    }

    fn client_id(&self, version: Version, chosen: &Chosen) -> Result<String, String> {
        let pid = std::process::id();
        match (self.id.as_ref().or(chosen.client_id.as_ref()), &self.id_prefix) {
            (Some(_), Some(_)) if self.id.is_some() => {
                Err("Error: -i and -I argument cannot be used together.\n".to_owned())
            }
            (_, Some(prefix)) => Ok(format!("{prefix}-{pid}")),
            (Some(id), None) => Ok(id.clone()),
            (None, None) if self.disable_clean_session => {
                Err("Error: You must provide a client id if you are using the -c option."
                    .to_owned())
            }
            // 3.1 has no empty client ids.
            (None, None) if version == Version::V31 => Ok(format!("spindle-{pid}")),
            (None, None) => Ok(String::new()),
        }
    }

    fn port(&self) -> Result<Option<u16>, String> {
        let Some(text) = &self.port else { return Ok(None) };
        text.parse().map(Some).map_err(|_| format!("Error: Invalid port given: {text}"))
    }

    fn qos(&self) -> Result<u8, String> {
        qos(self.qos.as_deref(), "QoS")
    }

    fn keep_alive(&self) -> Result<u16, String> {
        let Some(text) = &self.keepalive else { return Ok(60) };
        text.parse().ok().filter(|n| *n >= 5).ok_or_else(|| {
            "Error: Invalid keepalive given, it must be between 5 and 65535 inclusive.\n".to_owned()
        })
    }

    fn in_flight(&self) -> Result<u16, String> {
        let Some(text) = &self.max_inflight else { return Ok(20) };
        text.parse()
            .ok()
            .filter(|n| *n > 0)
            .ok_or_else(|| "Error: Maximum inflight messages must be greater than 0.\n".to_owned())
    }

    fn expiry(&self) -> Result<Option<u32>, String> {
        match self.session_expiry_interval.as_deref() {
            None => Ok(self.disable_clean_session.then_some(u32::MAX)),
            Some("-1" | "∞") => Ok(Some(u32::MAX)),
            Some(text) => text
                .parse()
                .map(Some)
                .map_err(|_| "Error: session-expiry-interval out of range.\n".to_owned()),
        }
    }

    fn connect_props(&self, props: &Properties) -> Result<Props, String> {
        let mut all = props.of(Place::Connect);
        let has_expiry = all.iter().any(|prop| matches!(prop, Prop::SessionExpiry(_)));
        all.extend(self.expiry()?.filter(|_| !has_expiry).map(Prop::SessionExpiry));
        Ok(Props::build(&all))
    }

    fn will(&self, version: Version, props: &Properties) -> Result<Option<Will>, String> {
        let Some(topic) = &self.will_topic else {
            let lost = match (&self.will_payload, self.will_retain) {
                (Some(_), _) => "Will payload",
                (None, true) => "Will retain",
                (None, false) => return Ok(None),
            };
            return Err(format!("Error: {lost} given, but no will topic given."));
        };
        if topic.contains(['+', '#']) {
            return Err(format!(
                "Error: Invalid will topic '{topic}', does it contain '+' or '#'?"
            ));
        }
        let props = if version == Version::V5 { props.block(Place::Will) } else { Props::none() };
        Ok(Some(Will {
            topic: Bytes::from(topic.clone()),
            payload: Bytes::from(self.will_payload.clone().unwrap_or_default()),
            qos: qos(self.will_qos.as_deref(), "will QoS")?,
            retain: self.will_retain,
            props,
        }))
    }
}

fn qos(text: Option<&str>, what: &str) -> Result<u8, String> {
    match text {
        None => Ok(0),
        Some(text) => text
            .parse()
            .ok()
            .filter(|n| *n <= 2)
            .ok_or_else(|| format!("Error: Invalid {what} given: {text}")),
    }
}

impl TlsFlags {
    fn plan(&self, url: &Url, port: Option<u16>, chosen: &Chosen) -> Result<Option<Tls>, String> {
        let ca_file = self.cafile.clone().or_else(|| chosen.ca.clone());
        let certificate = self.cert.clone().or_else(|| chosen.cert.clone());
        let key = self.key.clone().or_else(|| chosen.key.clone());
        if certificate.is_some() != key.is_some() {
            return Err("Error: Both certfile and keyfile must be provided if one of them is set."
                .to_owned());
        }
        let asked = matches!(url.scheme, Scheme::Mqtts | Scheme::Wss);
        let named = ca_file.is_some() || self.capath.is_some() || certificate.is_some();
        if !asked && !named && !self.tls_use_os_certs && port != Some(8883) {
            return Ok(None);
        }
        let missing = |path: &Option<PathBuf>| path.as_deref().is_some_and(|p| !Path::exists(p));
        if [&ca_file, &self.capath, &certificate, &key].into_iter().any(missing) {
            return Err("Error: Problem setting TLS options: File not found.".to_owned());
        }
        let version = match self.tls_version.as_deref() {
            None => None,
            Some("tlsv1.2") => Some(TlsVersion::V12),
            Some("tlsv1.3") => Some(TlsVersion::V13),
            Some(_) => {
                return Err(
                    "Error: Problem setting TLS options, check the options are valid.".to_owned()
                );
            }
        };
        Ok(Some(Tls {
            ca_file,
            ca_path: self.capath.clone(),
            system: self.tls_use_os_certs,
            certificate,
            key,
            any_name: self.insecure || chosen.insecure,
            version,
            alpn: self.tls_alpn.clone(),
        }))
    }
}

/// A line for a packet, as -d prints them: messages of QoS 0 are numbered there too.
fn trace(id: Option<&str>, last: &Cell<u16>, sent: bool, packet: &Packet) {
    let text = match (sent, packet) {
        (true, Packet::Connect(_)) => "CONNECT".to_owned(),
        (false, Packet::ConnAck(p)) => format!("CONNACK ({})", p.code),
        (_, Packet::Publish(p)) => {
            let topic = String::from_utf8_lossy(&p.topic);
            let (dup, retain, len) = (u8::from(p.dup), u8::from(p.retain), p.payload.len());
            let number = if sent && p.id == 0 { last.get().wrapping_add(1) } else { p.id };
            last.set(if sent { number } else { last.get() });
            let qos = p.qos;
            format!("PUBLISH (d{dup}, q{qos}, r{retain}, m{number}, '{topic}', ... ({len} bytes))")
        }
        (true, Packet::PubAck(a)) => format!("PUBACK (m{}, rc{})", a.id, a.reason),
        (false, Packet::PubAck(a)) => format!("PUBACK (Mid: {}, RC:{})", a.id, a.reason),
        (true, Packet::PubRec(a)) => format!("PUBREC (m{}, rc{})", a.id, a.reason),
        (false, Packet::PubRec(a)) => format!("PUBREC (Mid: {})", a.id),
        (true, Packet::PubRel(a)) => format!("PUBREL (m{})", a.id),
        (false, Packet::PubRel(a)) => format!("PUBREL (Mid: {})", a.id),
        (true, Packet::PubComp(a)) => format!("PUBCOMP (m{})", a.id),
        (false, Packet::PubComp(a)) => format!("PUBCOMP (Mid: {}, RC:{})", a.id, a.reason),
        (true, Packet::Subscribe(s)) => return asked(id, s),
        (true, Packet::Unsubscribe(u)) => {
            for filter in &u.filters {
                let topic = String::from_utf8_lossy(filter);
                line(id, "sending", &format!("UNSUBSCRIBE (Mid: {}, Topic: {topic})", u.id));
            }
            return;
        }
        (_, Packet::SubAck(_)) => "SUBACK".to_owned(),
        (_, Packet::UnsubAck(_)) => "UNSUBACK".to_owned(),
        (_, Packet::PingReq) => "PINGREQ".to_owned(),
        (_, Packet::PingResp) => "PINGRESP".to_owned(),
        (true, Packet::Disconnect(_)) => "DISCONNECT".to_owned(),
        (false, Packet::Disconnect(r)) => format!("DISCONNECT ({})", r.reason),
        (_, other) => format!("{other:?}"),
    };
    line(id, if sent { "sending" } else { "received" }, &text);
}

fn asked(id: Option<&str>, subscribe: &crate::proto::mqtt::Subscribe) {
    for asked in &subscribe.filters {
        let options =
            u8::from(asked.no_local) << 2 | u8::from(asked.as_published) << 3 | asked.handling << 4;
        let topic = String::from_utf8_lossy(&asked.filter);
        let text = format!(
            "SUBSCRIBE (Mid: {}, Topic: {topic}, QoS: {}, Options: 0x{options:02x})",
            subscribe.id, asked.qos
        );
        line(id, "sending", &text);
    }
}

fn line(id: Option<&str>, way: &str, text: &str) {
    super::say(&format!("Client {} {way} {text}", id.unwrap_or("(null)")));
}

/// A connection that is lost is dialled again after this.
pub(super) const AGAIN: Duration = Duration::from_secs(1);
