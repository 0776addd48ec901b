//! Floor 6. `spindle sub`: messages as lines, with mosquitto_sub's letters.
//!
//! Output is flushed whenever nothing more has arrived, so a pipe sees a message at once and a
//! flood is written in large pieces. A lost connection is dialled again, as there. Absent on
//! purpose: writing to files; the shell does that.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;

use crate::base::time::{Deadline, Now};
use crate::client::mqtt::{Client, Error, Event};
use crate::client::prx1;
use crate::os::clock::Clock;
use crate::os::signal::{Signal, Signals};
use crate::proto::mqtt::props::Place;
use crate::proto::mqtt::{Asked, Props, Publish, Version};

use super::format::{self, At};
use super::link::{AGAIN, Link, Plan, Road, complain};
use super::publish::{is_lost, prx1_code};
use super::{exit, words};

/// Flags of `sub`.
#[derive(Args, Clone, Debug)]
pub(super) struct Sub {
    #[command(flatten)]
    link: Link,
    /// Listen to this; may be repeated
    #[arg(short, long, value_name = "FILTER", allow_hyphen_values = true)]
    topic: Vec<String>,
    /// Print the topic in front of each message
    #[arg(short, long)]
    verbose: bool,
    /// End after so many messages
    #[arg(short = 'C', value_name = "MESSAGES", allow_hyphen_values = true)]
    count: Option<String>,
    /// End after so many seconds, with code 27
    #[arg(short = 'W', value_name = "SECONDS", allow_hyphen_values = true)]
    within: Option<String>,
    /// End when the broker has answered the subscriptions
    #[arg(short = 'E')]
    exit_after_sub: bool,
    /// How to print: %t %p %q %r %l %m %x %X %I %U %j %J %A %C %D %E %F %P %R %S, @ and a letter
    /// of strftime, @N
    #[arg(short = 'F', value_name = "FORMAT", allow_hyphen_values = true)]
    format: Option<String>,
    /// A document for each message, as -F %j
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// No end of line behind a payload
    #[arg(short = 'N')]
    no_eol: bool,
    /// Nothing that was kept
    #[arg(short = 'R')]
    no_retain: bool,
    /// Only what was kept; end at the first message that was not
    #[arg(long)]
    retained_only: bool,
    /// Clear what was kept, once it is printed
    #[arg(long)]
    remove_retained: bool,
    /// MQTT 5.0: leave the flag as the publisher set it
    #[arg(long)]
    retain_as_published: bool,
    /// Nothing that matches this; may be repeated
    #[arg(short = 'T', long, value_name = "FILTER", allow_hyphen_values = true)]
    filter_out: Vec<String>,
    /// End a subscription first; may be repeated
    #[arg(short = 'U', long, value_name = "FILTER", allow_hyphen_values = true)]
    unsubscribe: Vec<String>,
    /// Watch: print each topic's message over the one before (needs a terminal)
    #[arg(short = 'w', long)]
    watch: bool,
    /// Documents of %j and %J over many lines
    #[arg(long)]
    pretty: bool,
}

impl Sub {
    pub(super) fn run(&self) -> u8 {
        let run = match self.prepare() {
            Ok(run) => run,
            Err(why) => {
                complain(&why);
                return exit::CLIENT;
            }
        };
        run.go()
    }

    /// How to print, if that was said.
    fn form(&self) -> Option<&str> {
        if self.json { Some(format::JSON) } else { self.format.as_deref() }
    }

    fn prepare(&self) -> Result<Run<'_>, String> {
        let plan = self.link.plan()?;
        if let Some(format) = self.form() {
            format::check(format)?;
        }
        let count = match self.count.as_deref() {
            None => None,
            Some(text) => match text.parse::<u64>() {
                Ok(n) if n > 0 => Some(n),
                _ => return Err(format!("Error: Invalid message count \"{text}\".\n")),
            },
        };
        let within = match self.within.as_deref() {
            None => None,
            Some(text) => match text.parse::<u64>() {
                Ok(n) if n > 0 => Some(n),
                _ => return Err(format!("Error: Invalid timeout \"{text}\".\n")),
            },
        };
        if self.no_retain && self.retained_only {
            return Err("\nError: Combining '-R' and '--retained-only' makes no sense.".to_owned());
        }
        let mut filters = self.topic.clone();
        filters.extend(plan.topic.clone().filter(|_| filters.is_empty()));
        if filters.is_empty() && self.unsubscribe.is_empty() {
            return Err("Error: You must specify a topic to subscribe to.".to_owned());
        }
        let mqtt = matches!(plan.road, Road::Mqtt(_));
        for (kind, list) in [
            ("subscription", &filters),
            ("filter", &self.filter_out),
            ("unsubscribe", &self.unsubscribe),
        ] {
            if let Some(wrong) = list.iter().find(|f| mqtt && !is_filter(f)) {
                return Err(format!(
                    "Error: Invalid {kind} topic '{wrong}', are all '+' and '#' wildcards correct?"
                ));
            }
        }
        let clock = Clock::start();
        let until = within.map_or(Deadline::NEVER, |s| clock.now().after_ms(s * 1_000));
        Ok(Run {
            sub: self,
            plan,
            filters,
            count,
            until,
            clock,
            seen: 0,
            out: Vec::new(),
            rows: Vec::new(),
        })
    }
}

/// `+` stands alone in its level, `#` alone in the last.
fn is_filter(filter: &str) -> bool {
    let levels: Vec<&str> = filter.split('/').collect();
    let last = levels.len() - 1;
    !filter.is_empty()
        && levels.iter().enumerate().all(|(i, level)| {
            let hash = *level == "#" && i == last;
            hash || *level == "+" || !level.contains(['+', '#'])
        })
}

/// Does the filter match the topic? What begins with `$` is found by its own name only.
fn matches(filter: &[u8], topic: &[u8]) -> bool {
    let is_wild = matches!(filter.first(), Some(b'+' | b'#'));
    if is_wild && topic.first() == Some(&b'$') {
        return false;
    }
    let mut levels = topic.split(|b| *b == b'/');
    for part in filter.split(|b| *b == b'/') {
        match (part, levels.next()) {
            (b"#", _) => return true,
            (b"+", Some(_)) => {}
            (part, Some(level)) if part == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// How a run ends.
enum End {
    /// Everything that was wanted has come.
    Done,
    /// Somebody wants it to end.
    Stopped,
    TimedOut,
    /// Nobody reads what is printed.
    Unheard,
}

struct Run<'a> {
    sub: &'a Sub,
    plan: Plan,
    filters: Vec<String>,
    count: Option<u64>,
    until: Deadline,
    clock: Clock,
    seen: u64,
    out: Vec<u8>,
    /// Topics in the order of their rows, for those who watch.
    rows: Vec<Bytes>,
}

impl Run<'_> {
    fn go(mut self) -> u8 {
        // Before the first thread; without signals the usual effect is as good.
        let mut signals = Signals::catch().ok();
        let nobody = Road::Mqtt(Box::default());
        match std::mem::replace(&mut self.plan.road, nobody) {
            Road::Mqtt(builder) => match builder.connect() {
                Ok(client) => self.by_mqtt(client, &mut signals),
                Err(error) => self.failed(&error),
            },
            Road::Prx1(builder) => self.by_prx1(*builder, &mut signals),
        }
    }

    fn failed(&self, error: &Error) -> u8 {
        let (text, code) = words::of(error);
        self.plan.complain(&text);
        code
    }

    fn by_mqtt(&mut self, mut client: Client, signals: &mut Option<Signals>) -> u8 {
        let mut round = self.listen(&mut client);
        loop {
            let end = round.and_then(|()| self.follow(&mut client, signals));
            match end {
                Ok(end) => return self.end(client, &end),
                Err(error) if is_lost(&error) => {}
                Err(error) => return self.failed(&error),
            }
            std::thread::sleep(AGAIN);
            round = match client.reconnect() {
                Ok(_) => self.listen(&mut client),
                Err(Error::Dial(_) | Error::Lookup(_) | Error::TimedOut) => Err(Error::Offline),
                Err(error) => Err(error),
            };
            if let Some(end) = self.is_over(signals) {
                return self.end(client, &end);
            }
        }
    }

    fn end(&mut self, mut client: Client, end: &End) -> u8 {
        let flushed = self.flush();
        // What is to be cleared was asked for, and is waited for; what arrives is not.
        let patience = Some(Duration::from_secs(5));
        while self.sub.remove_retained && !client.is_settled() {
            if !matches!(client.wait(patience), Ok(Some(_))) {
                break;
            }
        }
        let reason = match end {
            End::Stopped | End::TimedOut => 4,
            End::Done | End::Unheard => 0,
        };
        let v5 = client.version() == Version::V5;
        client.disconnect_with(
            if v5 { reason } else { 0 },
            self.plan.props.block(Place::DisconnectUp),
        );
        match end {
            End::TimedOut => {
                self.plan.complain("Timed out");
                exit::TIMED_OUT
            }
            _ if flushed.is_err() => exit::DONE,
            End::Done | End::Stopped | End::Unheard => exit::DONE,
        }
    }

    fn listen(&self, client: &mut Client) -> Result<(), Error> {
        let v5 = client.version() == Version::V5;
        let sub = self.sub;
        let asked = self.filters.iter().map(|filter| Asked {
            filter: Bytes::copy_from_slice(filter.as_bytes()),
            qos: self.plan.qos,
            no_local: v5 && sub.remove_retained && !filter.starts_with("$share/"),
            as_published: v5 && sub.retain_as_published,
            handling: if v5 && sub.no_retain { 2 } else { 0 },
        });
        let asked: Vec<Asked> = asked.collect();
        let props = |place| if v5 { self.plan.props.block(place) } else { Props::none() };
        if !asked.is_empty() {
            client.subscribe_all(asked, props(Place::Subscribe))?;
        }
        if !sub.unsubscribe.is_empty() {
            let filters = sub.unsubscribe.iter().map(|f| Bytes::copy_from_slice(f.as_bytes()));
            client.unsubscribe_all(filters.collect(), props(Place::Unsubscribe))?;
        }
        Ok(())
    }

    fn follow(&mut self, client: &mut Client, signals: &mut Option<Signals>) -> Result<End, Error> {
        loop {
            let event = match client.wait(Some(Duration::ZERO))? {
                Some(event) => Some(event),
                None => {
                    if self.flush().is_err() {
                        return Ok(End::Unheard);
                    }
                    client.wait(Some(self.patience()))?
                }
            };
            match event {
                Some(Event::Message(message)) => {
                    if let Some(end) = self.on_message(&message, Some(client))? {
                        return Ok(end);
                    }
                }
                Some(Event::Subscribed(codes)) => {
                    if self.plan.debug {
                        let list: Vec<String> =
                            codes.codes.iter().map(ToString::to_string).collect();
                        let line = format!("Subscribed (mid: {}): {}\n", codes.id, list.join(", "));
                        self.out.extend_from_slice(line.as_bytes());
                    }
                    if codes.codes.iter().all(|code| *code >= 0x80) {
                        self.plan.complain("All subscription requests were denied.");
                        return Ok(End::Done);
                    }
                    if self.sub.exit_after_sub {
                        return Ok(End::Done);
                    }
                }
                Some(_) | None => {}
            }
            // Packets are printed as they come, so messages must not lag behind them.
            if self.plan.debug && self.flush().is_err() {
                return Ok(End::Unheard);
            }
            if let Some(end) = self.is_over(signals) {
                return Ok(end);
            }
        }
    }

    /// Signals are looked for this often.
    fn patience(&self) -> Duration {
        let left = self.until.ms_left(self.clock.now());
        Duration::from_millis(left.clamp(1, 200))
    }

    fn is_over(&self, signals: &mut Option<Signals>) -> Option<End> {
        let now: Now = self.clock.now();
        if now.reached(self.until) {
            return Some(End::TimedOut);
        }
        let stop = signals.as_mut().and_then(Signals::take) == Some(Signal::Stop);
        stop.then_some(End::Stopped)
    }

    /// A message; some: it was the last.
    fn on_message(
        &mut self,
        message: &Publish,
        client: Option<&mut Client>,
    ) -> Result<Option<End>, Error> {
        let sub = self.sub;
        if sub.retained_only && !message.retain {
            return Ok(Some(End::Done));
        }
        if message.retain && sub.no_retain || self.is_out(message) {
            return Ok(None);
        }
        if let (true, Some(client)) = (sub.remove_retained && message.retain, client) {
            client.publish(&message.topic, "", 1, true)?;
        }
        self.print(message);
        self.seen += 1;
        Ok((Some(self.seen) == self.count).then_some(End::Done))
    }

    fn is_out(&self, message: &Publish) -> bool {
        self.sub.filter_out.iter().any(|filter| matches(filter.as_bytes(), &message.topic))
    }

    fn print(&mut self, message: &Publish) {
        if self.sub.watch && !self.go_to_row(&message.topic) {
            return;
        }
        self.print_plain(message);
        if self.out.len() > OUT_MAX {
            // A closed pipe is found by the next flush too.
            let _ = self.flush();
        }
    }

    /// The topic's own row on the screen; none when there are too many.
    fn go_to_row(&mut self, topic: &Bytes) -> bool {
        if self.rows.is_empty() {
            self.out.extend_from_slice(b"\x1b[2J");
        }
        let row = match self.rows.iter().position(|own| own == topic) {
            Some(row) => row,
            None if self.rows.len() < ROWS_MAX => {
                self.rows.push(topic.clone());
                self.rows.len() - 1
            }
            None => return false,
        };
        self.out.extend_from_slice(format!("\x1b[{};1H\x1b[K", row + 1).as_bytes());
        true
    }

    fn print_plain(&mut self, message: &Publish) {
        let sub = self.sub;
        let end: &[u8] = if sub.no_eol { b"" } else { b"\n" };
        if let Some(format) = sub.form() {
            let at = At::now(&self.clock);
            let printed = format::print(format, message, at, sub.pretty, &mut self.out);
            if let Err(why) = printed {
                self.plan.complain(&why);
            }
            self.out.extend_from_slice(end);
            return;
        }
        if sub.verbose {
            if message.payload.is_empty() {
                if !sub.no_eol {
                    self.out.extend_from_slice(&message.topic);
                    self.out.extend_from_slice(b" (null)\n");
                }
                return;
            }
            self.out.extend_from_slice(&message.topic);
            self.out.push(b' ');
        }
        if !message.payload.is_empty() {
            self.out.extend_from_slice(&message.payload);
            self.out.extend_from_slice(end);
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(&self.out)?;
        self.out.clear();
        stdout.flush()
    }

    fn by_prx1(&mut self, builder: prx1::Builder, signals: &mut Option<Signals>) -> u8 {
        let (send, messages) = crossbeam_channel::bounded(256);
        let builder = builder.on_message(move |message, _| {
            // Who does not take it has ended.
            let _ = send.send(message);
        });
        let qos = if self.plan.qos == 0 { prx1::Qos::AtMostOnce } else { prx1::Qos::AtLeastOnce };
        let begun = builder.connect().and_then(|client| {
            for filter in &self.filters {
                client.subscribe(filter, qos)?.wait(Duration::from_secs(30))?;
            }
            Ok(client)
        });
        let client = match begun {
            Ok(client) => client,
            Err(error) => {
                self.plan.complain(&format!("Error: {error}"));
                return prx1_code(&error);
            }
        };
        let end = loop {
            match messages.recv_timeout(self.patience()) {
                Ok(message) => {
                    if let Ok(Some(end)) = self.on_message(&as_publish(message), None) {
                        break end;
                    }
                }
                Err(_) if self.flush().is_err() => break End::Unheard,
                Err(_) => {}
            }
            if messages.is_empty() && self.flush().is_err() {
                break End::Unheard;
            }
            if let Some(end) = self.is_over(signals) {
                break end;
            }
        };
        // The callback must not wait for a reader that has gone.
        drop(messages);
        client.disconnect();
        let _ = self.flush();
        match end {
            End::TimedOut => {
                self.plan.complain("Timed out");
                exit::TIMED_OUT
            }
            _ => exit::DONE,
        }
    }
}

fn as_publish(message: prx1::Message) -> Publish {
    Publish {
        dup: message.dup,
        qos: message.qos as u8,
        retain: message.retain,
        topic: message.topic,
        id: 0,
        props: Props::none(),
        payload: message.payload,
    }
}

/// So much is printed at a time.
const OUT_MAX: usize = 64 << 10;
/// No screen has more rows.
const ROWS_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_leave_out_what_they_match() {
        for (filter, topic, yes) in [
            ("a/b", "a/b", true),
            ("a/+", "a/b", true),
            ("a/+", "a/b/c", false),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
            ("a", "a/", false),
        ] {
            assert_eq!(matches(filter.as_bytes(), topic.as_bytes()), yes, "{filter} {topic}");
        }
    }

    #[test]
    fn wildcards_stand_alone() {
        for (filter, yes) in [
            ("a/+/b", true),
            ("#", true),
            ("a/#", true),
            ("", false),
            ("a#", false),
            ("#/a", false),
        ] {
            assert_eq!(is_filter(filter), yes, "{filter}");
        }
    }
}
