//! A data folder that is worth damaging, and what must be in it.
//!
//! Everything is known by its body, so what comes out of a damaged folder can be told apart: what
//! was promised, what was settled before, and what nobody ever said. Where in the journal each
//! body stands is found by looking for it: nothing here knows the format.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use spindle::proto::mqtt::packet::{Packet, Publish};
use spindle::proto::prx1::{Action, Packet as Item, QAckCode, Queue};

use crate::broker::{LONG, Place};
use crate::clients::{Client, Heard, Who, ack, body_of, publish, read_body};
use crate::prx1::Prx1;

/// Messages of each of the writers.
const MESSAGES: u32 = 300;
const WRITERS: [&str; 4] = ["w0", "w1", "w2", "w3"];
const TOPICS: u32 = 12;
const ITEMS: u32 = 60;
/// One never came back; the other took half of what it was owed.
const READERS: [&str; 2] = ["away", "half"];
/// What is said last is heard last.
const LAST: &str = "last";
const QUIET: Duration = Duration::from_millis(700);

/// One body, by sender and number.
pub(crate) type Said = (String, u32);

/// Segments by name, as bytes.
pub(crate) type Image = BTreeMap<String, Vec<u8>>;

/// What is in a folder: promised, or found.
#[derive(Clone, Default)]
pub(crate) struct Content {
    /// By reader: what it is owed, or was given.
    pub(crate) owed: BTreeMap<&'static str, BTreeSet<Said>>,
    pub(crate) items: BTreeSet<Said>,
    pub(crate) kept: BTreeMap<String, Said>,
    /// Bodies that nobody said, or not there.
    pub(crate) strange: u64,
    /// What came after something that was said later.
    pub(crate) disorder: u64,
}

/// Fill a folder.
pub(crate) fn fill(place: &Place) -> Result<Content, String> {
    let (running, _) = place.start()?;
    let mut content = Content::default();
    for name in READERS {
        let mut client = Client::join(&place.mqtt, &Who::lasting(name))?;
        client.subscribe("load/#", 1, &mut |_, _| ())?;
        client.leave();
    }
    let mut writer = Client::join(&place.mqtt, &Who::passing("writer"))?;
    let mut queue = Prx1::join(place.prx1.as_deref().unwrap_or_default(), "pq")?;
    for n in 0..MESSAGES {
        for name in WRITERS {
            let said = publish(1, 1, &format!("load/{name}"), &body_of(name, n));
            tell(&mut writer, said)?;
            for reader in READERS {
                content.owed.entry(reader).or_default().insert((name.to_owned(), n));
            }
        }
        if n.is_multiple_of(MESSAGES / ITEMS) {
            push(&mut queue, &body_of("q", n))?;
            content.items.insert(("q".to_owned(), n));
        }
        let topic = format!("kept/{}", n % TOPICS);
        // Each topic is set several times, and some are cleared in between.
        let clears = n % 5 == 4;
        let body = if clears { String::new() } else { body_of("k", n) };
        tell(&mut writer, Publish { retain: true, ..publish(1, 1, &topic, &body) })?;
        match clears {
            true => content.kept.remove(&topic),
            false => content.kept.insert(topic, ("k".to_owned(), n)),
        };
        if n == MESSAGES / 2 {
            let taken = take_all(place, "half", usize::MAX)?;
            content.owed.insert("half", BTreeSet::new());
            content.strange += taken.strange;
        }
    }
    writer.leave();
    let status = running.stop()?;
    if !status.success() || content.strange > 0 {
        return Err(format!("the folder could not be filled ({status}):\n{}", place.said()));
    }
    Ok(content)
}

fn tell(writer: &mut Client, said: Publish) -> Result<(), String> {
    writer.say(&Packet::Publish(said));
    match writer.listen(LONG)? {
        Heard::Packet(Packet::PubAck(_)) => Ok(()),
        _ => Err("a message is not acknowledged".to_owned()),
    }
}

fn push(wire: &mut Prx1, item: &str) -> Result<(), String> {
    wire.say(&queue(Action::Initialize, item));
    match wire.listen(LONG)? {
        Heard::Packet(Item::QAck(QAckCode::Ok)) => Ok(()),
        _ => Err("an item is not taken".to_owned()),
    }
}

fn queue(action: Action, item: &str) -> Item {
    Item::Queue(Queue {
        action,
        address: Some(Bytes::from_static(b"jobs/q")),
        mark: Some(Bytes::from_static(b"durable")),
        message: (!item.is_empty()).then(|| Bytes::copy_from_slice(item.as_bytes())),
        ..Queue::default()
    })
}

/// Everything that is in the folder of a running broker. It is taken out.
pub(crate) fn look(place: &Place) -> Result<Content, String> {
    let mut found = Content::default();
    let mut writer = Client::join(&place.mqtt, &Who::passing("writer"))?;
    tell(&mut writer, publish(1, 1, &format!("load/{LAST}"), &body_of(LAST, 0)))?;
    for name in READERS {
        let taken = take_all(place, name, usize::MAX)?;
        found.strange += taken.strange;
        found.disorder += taken.disorder;
        found.owed.insert(name, taken.owed.into_values().flatten().collect());
    }
    kept(&mut writer, &mut found)?;
    items(place, &mut found)?;
    Ok(found)
}

/// What one reader is owed, read and acknowledged until the last of it.
fn take_all(place: &Place, name: &'static str, most: usize) -> Result<Content, String> {
    let mut taken = Content::default();
    let mut latest = BTreeMap::new();
    let mut client = Client::join(&place.mqtt, &Who::lasting(name))?;
    let owed = taken.owed.entry(name).or_default();
    while owed.len() < most {
        let m = match client.listen(QUIET)? {
            Heard::Packet(Packet::Publish(m)) => m,
            Heard::Packet(other) => return Err(format!("{name} is told {other:?}")),
            Heard::Quiet => break,
            Heard::Ended => return Err(format!("{name} was thrown out")),
        };
        client.say(&Packet::PubAck(ack(m.id)));
        match read_body(&m.payload) {
            Some((LAST, _)) => break,
            Some((sender, n)) if m.topic.strip_prefix(b"load/") == Some(sender.as_bytes()) => {
                let last = latest.insert(sender.to_owned(), n);
                taken.disorder += u64::from(last > Some(n));
                taken.strange += u64::from(!WRITERS.contains(&sender) || n >= MESSAGES);
                owed.insert((sender.to_owned(), n));
            }
            _ => taken.strange += 1,
        }
    }
    client.leave();
    Ok(taken)
}

fn kept(client: &mut Client, found: &mut Content) -> Result<(), String> {
    let mut all = Vec::new();
    client.subscribe("kept/#", 0, &mut |_, packet| all.push(packet))?;
    client.say(&Packet::Publish(publish(0, 0, &format!("kept/{LAST}"), LAST)));
    loop {
        match client.listen(LONG)? {
            Heard::Packet(Packet::Publish(m)) if m.payload[..] == *LAST.as_bytes() => break,
            Heard::Packet(packet) => all.push(packet),
            Heard::Quiet | Heard::Ended => return Err("kept values do not come".to_owned()),
        }
    }
    for packet in all {
        let Packet::Publish(m) = packet else { continue };
        let topic = String::from_utf8_lossy(&m.topic).into_owned();
        match read_body(&m.payload) {
            Some(("k", n)) if topic == format!("kept/{}", n % TOPICS) => {
                found.kept.insert(topic, ("k".to_owned(), n));
            }
            _ => found.strange += 1,
        }
    }
    Ok(())
}

fn items(place: &Place, found: &mut Content) -> Result<(), String> {
    let mut wire = Prx1::join(place.prx1.as_deref().unwrap_or_default(), "pd")?;
    push(&mut wire, &body_of(LAST, 1))?;
    wire.say(&queue(Action::Drain, ""));
    let mut latest = None;
    loop {
        let m = match wire.listen(QUIET)? {
            Heard::Packet(Item::Publish(m)) => m,
            Heard::Packet(Item::QAck(_)) => continue,
            Heard::Packet(other) => return Err(format!("pd is told {other:?}")),
            Heard::Quiet => return Ok(()),
            Heard::Ended => return Err("pd was thrown out".to_owned()),
        };
        wire.say(&Item::PubAck(m.id));
        match read_body(&m.payload) {
            Some((LAST, _)) => return Ok(()),
            Some(("q", n)) => {
                found.disorder += u64::from(latest.replace(n) > Some(n));
                found.items.insert(("q".to_owned(), n));
            }
            _ => found.strange += 1,
        }
    }
}

/// The journal of a folder.
pub(crate) fn image(data: &Path) -> Result<Image, String> {
    let mut image = Image::new();
    for entry in std::fs::read_dir(data.join("journal")).map_err(|e| e.to_string())? {
        let path = entry.map_err(|e| e.to_string())?.path();
        let bytes = std::fs::read(&path).map_err(|e| e.to_string())?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        image.insert(name, bytes);
    }
    Ok(image)
}

/// The same as files.
pub(crate) fn lay(image: &Image, data: &Path) -> Result<(), String> {
    let folder = data.join("journal");
    std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    for (name, bytes) in image {
        std::fs::write(folder.join(name), bytes).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Where the last copy of each body stands: segment and offset.
pub(crate) fn places(image: &Image) -> BTreeMap<Said, (String, usize)> {
    let mut places = BTreeMap::new();
    for (name, bytes) in image {
        for at in 0..bytes.len() {
            if !matches!(bytes[at], b'w' | b'k' | b'q') {
                continue;
            }
            let text = &bytes[at..bytes.len().min(at + 12)];
            let mut parts = text.split(|b| *b == b':');
            let (sender, n) = (parts.next(), parts.next());
            if parts.next().is_none() {
                continue;
            }
            let text = |part: Option<&[u8]>| {
                part.and_then(|part| std::str::from_utf8(part).ok()).map(str::to_owned)
            };
            let n = text(n).and_then(|n| n.parse().ok());
            if let (Some(sender), Some(n)) = (text(sender), n) {
                places.insert((sender, n), (name.clone(), at));
            }
        }
    }
    places
}
