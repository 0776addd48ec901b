//! Floor 6. What one read of a busy MQTT connection brings.
//!
//! The same bytes for every bench that takes them apart. Absent on purpose: taking them apart.

use bytes::Bytes;
use spindle::base::rng::Rng;
use spindle::proto::mqtt::{self, Prop, Props, Version};
use spindle::testing::workload;

/// As many whole publishes of MQTT as one read brings, and how many they are.
pub(crate) fn mqtt_read(version: Version, len: usize, qos: u8) -> (Vec<u8>, usize) {
    let payload = workload::payload(len);
    let user = Prop::User(Bytes::from_static(b"unit"), Bytes::from_static(b"celsius"));
    let props = Props::build(&[Prop::MessageExpiry(60), user]);
    let mut rng = Rng::new(7);
    let (mut all, mut count) = (Vec::new(), 0);
    loop {
        let publish = mqtt::Publish {
            dup: false,
            qos,
            retain: false,
            topic: workload::topic(rng.below(10_000) as usize),
            id: if qos == 0 { 0 } else { count as u16 + 1 },
            props: if version == Version::V5 { props.clone() } else { Props::none() },
            payload: payload.clone(),
        };
        let one = mqtt::encode_vec(&mqtt::Packet::Publish(publish), version).unwrap_or_default();
        if all.len() + one.len() > workload::READ {
            return (all, count);
        }
        all.extend_from_slice(&one);
        count += 1;
    }
}
