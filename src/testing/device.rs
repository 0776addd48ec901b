//! Floor 5. An MQTT client as the standard has it: what it remembers, and one connection of it.
//!
//! A device keeps both ladders across its connections, as section 4.4 asks: what it sent at QoS 1
//! and 2 and has no last answer for, and the numbers of what it received at QoS 2 and was not told
//! to forget. A line is one connection: what is on its way, which answers are owed, what was heard.
//! Whatever the broker says that no ladder allows is an error here, without knowing why it was
//! said. Absent on purpose: chance, and any knowledge of what the broker should owe whom.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};

use crate::base::id::ConnId;
use crate::proto::mqtt::{Ack, Packet, Props, Publish, Sender, Version, encode_vec, next};

use super::model::Wrong;
use super::net::Acks;

/// Packet ids of a device go round so soon that they are used again in every world.
const IDS: u16 = 200;
/// The longest packet a broker sends here.
const PACKET_MAX: usize = 1 << 20;

/// How far a publication has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Sent, and not answered.
    Sent,
    /// The broker has it (QoS 2); the number is not free yet.
    Received,
}

/// A publication without its last answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) id: u16,
    pub(super) no: usize,
    pub(super) qos: u8,
    pub(super) step: Step,
    /// Writes of the disk when the broker gave the number free.
    pub(super) freed: Option<u64>,
}

/// What a client remembers, whatever happens to its connections.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) version: Version,
    /// In the order they were sent.
    pub(super) out: Vec<Sent>,
    /// Received at QoS 2, and not told to forget: message.
    pub(super) received: BTreeMap<u16, usize>,
    /// Told to forget and forgotten; whether the broker knows is not known.
    forgotten: BTreeSet<u16>,
    /// The life of its session that all this is about.
    life: Option<usize>,
    /// It must begin anew: what the broker knows of it may be older than what it knows itself.
    pub(super) anew: bool,
    /// It was there while the disk was sick, and was promised nothing.
    pub(super) shaken: bool,
    last_id: u16,
    last_sub: u32,
}

/// An answer that is owed to the broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Todo {
    /// To a delivery of QoS 1, and its message.
    Ack(u16, usize),
    /// To a delivery of QoS 2, and its message.
    Rec(u16, usize),
    /// Forget the number of a publication.
    Rel(u16),
    /// A number is forgotten.
    Comp(u16),
}

/// A subscription that was asked for or given up.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) id: u16,
    pub(super) group: String,
    pub(super) filter: String,
    /// What for; nothing: it ends.
    pub(super) opts: Option<super::rooms::Opts>,
    /// What is kept may follow.
    pub(super) replays: bool,
    /// The model's number, once it was taken in, and the writes of the disk then.
    pub(super) op: Option<(usize, u64)>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) no: usize,
    pub(super) conn: ConnId,
    pub(super) device: usize,
    pub(super) version: Version,
    pub(super) honest: bool,
    pub(super) clean: bool,
    pub(super) expiry_s: u32,
    pub(super) receive_max: u16,
    /// Its will: message, delay.
    pub(super) will: Option<(usize, u32)>,
    /// The goodbye: its reason, and another expiry.
    pub(super) bye: Option<(u8, Option<u32>)>,
    /// The broker let it in, into this life of its session; it resumed it; the writes then; the
    /// place in the order of messages then.
    pub(super) joined: Option<Joined>,
    pub(super) online: bool,
    /// It has gone without a word: nothing is sent, read or closed.
    pub(super) vanished: bool,
    pub(super) acks: Acks,
    pub(super) pace: usize,
    pub(super) outward: VecDeque<u8>,
    ears: BytesMut,
    /// Publications on their way that the broker was not seen to take in; `true`: sent before.
    pub(super) publishes: VecDeque<(usize, bool)>,
    pub(super) wishes: Vec<Wish>,
    pub(super) todo: Vec<Todo>,
    /// Deliveries with QoS 1 or 2 whose ladder has not ended on this connection: QoS.
    pub(super) flying: BTreeMap<u16, u8>,
    /// PUBRELs and PUBRECs of ours that wait for their answers.
    rels: BTreeSet<u16>,
    recs: BTreeSet<u16>,
    /// Ids of ours under way.
    sent: BTreeSet<u16>,
    /// Half-done exchanges of earlier connections that nothing was heard of yet.
    half: BTreeSet<u16>,
    /// What was heard at QoS 1 and 2.
    pub(super) heard: BTreeSet<usize>,
    pub(super) acked_since: Vec<usize>,
    pub(super) pings: VecDeque<Vec<usize>>,
    pub(super) order: Vec<((String, u8), u64)>,
    /// Topics the broker has numbers for.
    pub(super) theirs: BTreeMap<u16, Bytes>,
    /// And the other way round.
    pub(super) ours: BTreeMap<String, u16>,
    pub(super) alias_max: u16,
    /// Publications the broker takes unanswered.
    pub(super) quota: usize,
    delivered: bool,
}

/// How the broker let a connection in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joined {
    pub(super) life: usize,
    pub(super) resumed: bool,
    pub(super) written: u64,
    pub(super) place: u64,
}

impl Device {
    pub(super) fn new(version: Version) -> Self {
        Self {
            version,
            out: Vec::new(),
            received: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            life: None,
            anew: false,
            shaken: false,
            last_id: 0,
            last_sub: 0,
        }
    }

    /// An id that is not in use.
    pub(super) fn id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id % IDS + 1;
            if !self.out.iter().any(|sent| sent.id == self.last_id) {
                return self.last_id;
            }
        }
    }

    /// A subscription identifier that was never used.
    pub(super) fn sub_id(&mut self) -> u32 {
        self.last_sub += 1;
        self.last_sub
    }

    /// The broker knows nothing of it.
    pub(super) fn forget(&mut self) {
        self.out.clear();
        self.received.clear();
        self.forgotten.clear();
        self.anew = false;
    }
}

impl Call {
    pub(super) fn new(no: usize, conn: ConnId, device: usize, version: Version) -> Self {
        Self {
            no,
            conn,
            device,
            version,
            honest: true,
            clean: false,
            expiry_s: 0,
            receive_max: u16::MAX,
            will: None,
            bye: None,
            joined: None,
            online: false,
            vanished: false,
            acks: Acks::Prompt,
            pace: 0,
            outward: VecDeque::new(),
            ears: BytesMut::new(),
            publishes: VecDeque::new(),
            wishes: Vec::new(),
            todo: Vec::new(),
            flying: BTreeMap::new(),
            rels: BTreeSet::new(),
            recs: BTreeSet::new(),
            sent: BTreeSet::new(),
            half: BTreeSet::new(),
            heard: BTreeSet::new(),
            acked_since: Vec::new(),
            pings: VecDeque::new(),
            order: Vec::new(),
            theirs: BTreeMap::new(),
            ours: BTreeMap::new(),
            alias_max: 0,
            quota: 20,
            delivered: false,
        }
    }

    /// It may send: it is in, and has neither left nor gone.
    pub(super) fn is_up(&self) -> bool {
        self.online && !self.vanished && self.bye.is_none()
    }

    pub(super) fn send(&mut self, packet: &Packet) {
        match encode_vec(packet, self.version) {
            Ok(bytes) => self.outward.extend(bytes),
            Err(why) => panic!("a client cannot say {packet:?}: {why:?}"),
        }
    }

    /// Send a publication, for the first time or again.
    pub(super) fn publish(&mut self, no: usize, publish: Publish) {
        if publish.qos > 0 {
            self.sent.insert(publish.id);
        }
        self.publishes.push_back((no, publish.dup));
        self.send(&Packet::Publish(publish));
    }

    pub(super) fn listen(&mut self, bytes: &[u8]) -> Result<Vec<Packet>, Wrong> {
        self.ears.extend_from_slice(bytes);
        let mut packets = Vec::new();
        loop {
            match next(&mut self.ears, Some(self.version), Sender::Server, PACKET_MAX) {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => return Ok(packets),
                Err(fault) => return Err(format!("the broker says nonsense: {fault}")),
            }
        }
    }

    /// It is welcome. What was half done must be ended before anything is delivered.
    pub(super) fn welcomed(&mut self, device: &mut Device, joined: Joined) {
        self.online = true;
        // A session that began unheard of (its welcome was lost) is not the one it knows of. Time
        // tells a client so; here the number of the life does.
        if !joined.resumed || device.life != Some(joined.life) {
            device.forget();
        }
        device.life = Some(joined.life);
        self.half = device.received.keys().copied().collect();
    }

    /// What came under this number was no live message: its acknowledgement says nothing of one.
    pub(super) fn is_copy(&mut self, number: u16) {
        for todo in &mut self.todo {
            if let Todo::Ack(id, no) | Todo::Rec(id, no) = todo
                && *id == number
            {
                *no = usize::MAX;
            }
        }
    }

    /// Carry out what is owed to the broker.
    pub(super) fn answer(&mut self, at: usize, device: &mut Device) {
        if at >= self.todo.len() {
            return;
        }
        match self.todo.remove(at) {
            Todo::Ack(id, no) => {
                self.flying.remove(&id);
                self.acked_since.push(no);
                self.send(&Packet::PubAck(ack(id, 0)));
            }
            Todo::Rec(id, no) => {
                self.recs.insert(id);
                self.acked_since.push(no);
                self.send(&Packet::PubRec(ack(id, 0)));
            }
            Todo::Rel(id) => {
                self.rels.insert(id);
                self.send(&Packet::PubRel(ack(id, 0)));
            }
            Todo::Comp(id) => {
                let known = device.received.remove(&id).is_some();
                device.forgotten.insert(id);
                self.flying.remove(&id);
                let reason = if known || self.version != Version::V5 { 0 } else { 0x92 };
                self.send(&Packet::PubComp(ack(id, reason)));
            }
        }
    }

    /// Refuse a delivery of QoS 2 (5.0): its number is free then.
    pub(super) fn refuse(&mut self, at: usize, device: &mut Device) -> Option<usize> {
        let Some(Todo::Rec(id, no)) = self.todo.get(at).copied() else { return None };
        self.todo.remove(at);
        device.received.remove(&id);
        self.flying.remove(&id);
        self.send(&Packet::PubRec(ack(id, 0x83)));
        Some(no)
    }

    /// PUBACK: the publication it is for.
    pub(super) fn on_ack(&mut self, a: &Ack, device: &mut Device) -> Result<Sent, Wrong> {
        let fits = |s: &Sent| s.id == a.id && s.qos == 1;
        let at = device.out.iter().position(fits).filter(|_| self.sent.remove(&a.id));
        Ok(device.out.remove(at.ok_or("a PUBACK for nothing that was sent here")?))
    }

    /// PUBREC: the publication it is for, and whether it is the first for it.
    pub(super) fn on_rec(&mut self, a: &Ack, device: &mut Device) -> Result<(Sent, bool), Wrong> {
        let fits = |s: &Sent| s.id == a.id && s.qos == 2;
        let at = device.out.iter().position(fits).filter(|_| self.sent.remove(&a.id));
        let at = at.ok_or("a PUBREC for nothing that was sent here")?;
        if a.reason >= 0x80 {
            return Ok((device.out.remove(at), true));
        }
        let sent = &mut device.out[at];
        let first = sent.step == Step::Sent;
        sent.step = Step::Received;
        let sent = *sent;
        self.todo.push(Todo::Rel(a.id));
        Ok((sent, first))
    }

    /// PUBCOMP: the publication whose ladder has ended.
    pub(super) fn on_comp(&mut self, a: &Ack, device: &mut Device) -> Result<Sent, Wrong> {
        let fits = |s: &Sent| s.id == a.id && s.step == Step::Received;
        let at = device.out.iter().position(fits).filter(|_| self.rels.remove(&a.id));
        Ok(device.out.remove(at.ok_or("a PUBCOMP for nothing that was given free here")?))
    }

    /// PUBREL: forget the number, which may have been forgotten before; true when our PUBREC on
    /// this connection asked for it.
    pub(super) fn on_rel(&mut self, a: &Ack, device: &Device) -> Result<bool, Wrong> {
        let asked = self.recs.remove(&a.id);
        let half = self.half.remove(&a.id);
        if !asked && !half && !device.forgotten.contains(&a.id) {
            return Err(format!("PUBREL {} for nothing that was received", a.id));
        }
        if !asked && self.delivered {
            return Err(format!("PUBREL {} of an earlier connection behind deliveries", a.id));
        }
        self.todo.push(Todo::Comp(a.id));
        Ok(asked)
    }

    /// A delivery at QoS 1 or 2 arrives: is it one to be taken in (and not a copy of what was)?
    pub(super) fn on_delivery(
        &mut self,
        p: &Publish,
        no: usize,
        device: &mut Device,
        window: usize,
    ) -> Result<bool, Wrong> {
        self.delivered = true;
        if p.id == 0 || self.flying.contains_key(&p.id) {
            return Err(format!("id {} is in use, or none", p.id));
        }
        if self.flying.len() >= window {
            return Err(format!("more than {window} are unacknowledged"));
        }
        self.flying.insert(p.id, p.qos);
        device.forgotten.remove(&p.id);
        if p.qos == 1 {
            if device.received.contains_key(&p.id) {
                return Err(format!("id {} is used again and was not released", p.id));
            }
            self.todo.push(Todo::Ack(p.id, no));
            return Ok(true);
        }
        self.half.remove(&p.id);
        self.todo.push(Todo::Rec(p.id, no));
        match device.received.insert(p.id, no) {
            None => Ok(true),
            Some(before) if before == no && p.dup => Ok(false),
            Some(before) => {
                Err(format!("id {} was #{before}, is #{no}, and was not released", p.id))
            }
        }
    }

    /// What is heard live of a topic, at a quality, comes in the order it was taken in.
    pub(super) fn in_order(
        &mut self,
        key: (String, u8),
        place: u64,
        no: usize,
    ) -> Result<(), Wrong> {
        let Some((_, last)) = self.order.iter_mut().find(|(k, _)| *k == key) else {
            self.order.push((key, place));
            return Ok(());
        };
        if place <= *last {
            return Err(format!("message {no} of {} comes out of order", key.0));
        }
        *last = place;
        Ok(())
    }
}

pub(super) fn ack(id: u16, reason: u8) -> Ack {
    Ack { id, reason, props: Props::none() }
}
