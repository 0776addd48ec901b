//! Floor 6. `-D command name value`: properties of MQTT 5.0 on a command line.
//!
//! Names are those of the standard in small letters with dashes; where each may stand, the codec's
//! own table says. Absent on purpose: properties that only a broker sends.

use bytes::Bytes;

use crate::proto::mqtt::props::{self, Place};
use crate::proto::mqtt::{Prop, Props};

/// What was given, and for which packet.
#[derive(Clone, Debug, Default)]
pub(super) struct Properties(Vec<(Place, Prop)>);

impl Properties {
    /// Read them: three words each, a user property four.
    pub(super) fn parse(words: &[String]) -> Result<Self, String> {
        let mut all = Vec::new();
        let mut words = words.iter().map(String::as_str);
        while let Some(command) = words.next() {
            let place =
                place(command).ok_or("Error: Invalid command given in --property argument.\n")?;
            let name = words.next().unwrap_or_default();
            let row = props::TABLE.iter().find(|row| spelled(row.name) == name);
            let row = row.ok_or("Error: Invalid property name given in --property argument.\n")?;
            if !row.may_stand(place) {
                return Err(format!(
                    "Error: {name} property not allowed for {command} in --property argument.\n"
                ));
            }
            let value = words.next().unwrap_or_default();
            let second = if name == "user-property" { words.next() } else { None };
            let prop = prop(row.id, value, second)
                .ok_or_else(|| format!("Error: Invalid value for {name}: {value}\n"))?;
            all.push((place, prop));
        }
        Ok(Self(all))
    }

    /// Those for one kind of packet.
    pub(super) fn of(&self, place: Place) -> Vec<Prop> {
        self.0.iter().filter(|(own, _)| *own == place).map(|(_, prop)| prop.clone()).collect()
    }

    /// The same as they are sent.
    pub(super) fn block(&self, place: Place) -> Props {
        Props::build(&self.of(place))
    }
}

fn spelled(name: &str) -> String {
    name.to_ascii_lowercase().replace(' ', "-")
}

fn place(command: &str) -> Option<Place> {
    Some(match command.to_ascii_lowercase().as_str() {
        "connect" => Place::Connect,
        "publish" => Place::PublishUp,
        "puback" | "pubrec" | "pubrel" | "pubcomp" => Place::Ack,
        "subscribe" => Place::Subscribe,
        "unsubscribe" => Place::Unsubscribe,
        "disconnect" => Place::DisconnectUp,
        "auth" => Place::Auth,
        "will" => Place::Will,
        _ => return None,
    })
}

fn prop(id: u8, value: &str, second: Option<&str>) -> Option<Prop> {
    let text = || Bytes::copy_from_slice(value.as_bytes());
    let bit = || value.parse().ok().filter(|n| *n <= 1);
    let large = || value.parse::<u32>().ok();
    let small = || value.parse::<u16>().ok();
    Some(match id {
        0x01 => Prop::PayloadFormat(bit()?),
        0x02 => Prop::MessageExpiry(large()?),
        0x03 => Prop::ContentType(text()),
        0x08 => Prop::ResponseTopic(text()),
        0x09 => Prop::CorrelationData(text()),
        0x0b => Prop::SubscriptionId(large().filter(|n| (1..=props::VAR_MAX).contains(n))?),
        0x11 => Prop::SessionExpiry(large()?),
        0x15 => Prop::AuthMethod(text()),
        0x16 => Prop::AuthData(text()),
        0x17 => Prop::RequestProblem(bit()? == 1),
        0x18 => Prop::WillDelay(large()?),
        0x19 => Prop::RequestResponse(bit()? == 1),
        0x1f => Prop::ReasonString(text()),
        0x21 => Prop::ReceiveMax(small().filter(|n| *n > 0)?),
        0x22 => Prop::TopicAliasMax(small()?),
        0x23 => Prop::TopicAlias(small().filter(|n| *n > 0)?),
        0x26 => Prop::User(text(), Bytes::copy_from_slice(second?.as_bytes())),
        0x27 => Prop::MaximumPacketSize(large().filter(|n| *n > 0)?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Properties, String> {
        Properties::parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn properties_are_for_the_packet_they_name() {
        let all =
            parse("publish user-property k v connect receive-maximum 5 publish topic-alias 3");
        let all = all.unwrap();
        assert_eq!(all.of(Place::Connect), [Prop::ReceiveMax(5)]);
        assert_eq!(all.of(Place::PublishUp).len(), 2);
        assert!(all.block(Place::Will).is_empty());
    }

    #[test]
    fn what_no_packet_takes_is_refused() {
        for (text, wrong) in [
            ("foo bar baz", "Invalid command"),
            ("connect bar baz", "Invalid property name"),
            ("connect topic-alias 1", "not allowed for connect"),
            ("connect receive-maximum 0", "Invalid value"),
            ("publish user-property k", "Invalid value"),
            ("connect server-keep-alive 5", "not allowed"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(wrong), "{text}: {error}");
        }
    }
}
