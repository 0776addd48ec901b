//! Floor 1. What the journal remembers, one record at a time, and its bytes.
//!
//! A record is a kind, eight flags and a body; `frame.rs` puts length, numbers and checksum around
//! it. Integers are big endian, variable fields are counted before they come, the last one takes
//! what is left. Decoding shares the buffer it reads and believes no count it has not reached.
//! Absent on purpose: what topics, properties, filters and options mean. They are opaque here.

use super::frame::{FRAME, padded};
use crate::base::id::{OwnerNo, RealmId};
use crate::base::reader::{Reader, Short};
use bytes::Bytes;
use smallvec::SmallVec;

/// One thing that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// A publish, and everyone it is owed to.
    Message(MessageRecord),
    /// All that is known of an owner, apart from its subscriptions and what it is owed.
    Owner(OwnerRecord),
    /// An owner subscribed, or changed the options of a subscription.
    Subscribe {
        /// Who.
        owner: OwnerNo,
        /// The group it takes turns with; empty: none.
        group: Bytes,
        /// The filter as the owner spelled it.
        filter: Bytes,
        /// What was asked for with it.
        options: Bytes,
    },
    /// An owner unsubscribed.
    Unsubscribe {
        /// Who.
        owner: OwnerNo,
        /// The group it took turns with; empty: none.
        group: Bytes,
        /// The filter as the owner spelled it.
        filter: Bytes,
    },
    /// An owner settled deliveries; cumulative, so the last one tells all.
    Settle {
        /// Who.
        owner: OwnerNo,
        /// Every ordinal up to here is settled.
        floor: u64,
        /// The settled ones above it.
        extras: SmallVec<[u64; 4]>,
        /// Settled ones whose exchange has not ended: all of them.
        released: SmallVec<[u64; 4]>,
    },
    /// An owner came or went, and the last ordinal that was sent to it.
    Mark {
        /// Who.
        owner: OwnerNo,
        /// It has a connection.
        attached: bool,
        /// Its last will is void, or was carried out.
        quiet: bool,
        /// Ordinals up to here may have been seen by it.
        sent: u64,
        /// When, wall clock in ms.
        at: u64,
        /// How long it is kept from then on, in seconds.
        expiry_s: u64,
    },
    /// An owner's publish was taken in, and its number is not free again yet; or it is free.
    Received {
        /// Who.
        owner: OwnerNo,
        /// The number the owner gave it.
        packet: u16,
        /// It is not free.
        held: bool,
    },
    /// A delivery was received by its owner, and the exchange has not ended.
    Released {
        /// Who.
        owner: OwnerNo,
        /// Which delivery.
        ord: u64,
    },
    /// An owner ended, with its subscriptions and all it was owed.
    Gone {
        /// Who.
        owner: OwnerNo,
    },
    /// A retained value was taken away.
    Clear {
        /// Of which namespace.
        realm: RealmId,
        /// Of which topic.
        topic: Bytes,
    },
    /// Something small that a neighbour wants to find again; the last value of a key counts.
    Note {
        /// Whose.
        key: Bytes,
        /// What; empty forgets the key.
        value: Bytes,
    },
    /// The end of a full segment.
    Seal {
        /// Records before it in the segment.
        count: u64,
        /// The checksum of their checksums.
        crc: u32,
    },
}

/// A publish that somebody durable is owed, that is retained, or that is remembered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessageRecord {
    /// It is the retained value of its topic.
    pub retain: bool,
    /// Quality of service it was published with.
    pub qos: u8,
    /// Its namespace.
    pub realm: RealmId,
    /// When it was published, wall clock in ms.
    pub born: u64,
    /// When it expires, wall clock in ms; 0: never.
    pub expires: u64,
    /// Its topic.
    pub topic: Bytes,
    /// Its properties.
    pub props: Bytes,
    /// Its payload.
    pub body: Bytes,
    /// To whom it is owed.
    pub owed: SmallVec<[Owed; 1]>,
    /// It is remembered, as this.
    pub past: Option<PastRecord>,
}

/// What a message has that is remembered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PastRecord {
    /// Which of all that were ever remembered.
    pub ord: u64,
    /// Its publication's number.
    pub number: u64,
    /// For whom it was, in the hub's own bytes.
    pub lists: Bytes,
}

/// A message to be appended, before anything of it is copied.
#[derive(Clone, Copy, Debug)]
pub struct MessageRef<'a> {
    /// It is the retained value of its topic.
    pub retain: bool,
    /// Quality of service it was published with.
    pub qos: u8,
    /// Its namespace.
    pub realm: RealmId,
    /// When it was published, wall clock in ms.
    pub born: u64,
    /// When it expires, wall clock in ms; 0: never.
    pub expires: u64,
    /// Its topic.
    pub topic: &'a [u8],
    /// Its properties.
    pub props: &'a [u8],
    /// Its payload.
    pub body: &'a [u8],
    /// To whom it is owed.
    pub owed: &'a [Owed],
    /// It is remembered, as this.
    pub past: Option<&'a PastRecord>,
}

/// One delivery of a message that is owed to one owner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owed {
    /// To whom.
    pub owner: OwnerNo,
    /// Which of that owner's deliveries, counted from 1.
    pub ord: u64,
    /// How it is to be delivered: quality of service and flags, in the hub's own bits.
    pub grant: u8,
    /// Identifiers of the subscriptions that matched.
    pub subs: SmallVec<[u32; 4]>,
}

/// All that is known of an owner; replaces what earlier records said of it, except subscriptions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnerRecord {
    /// Its number.
    pub owner: OwnerNo,
    /// Session or queue, in the hub's own numbers.
    pub kind: u8,
    /// Its namespace.
    pub realm: RealmId,
    /// Its name.
    pub name: Bytes,
    /// Whatever else its kind needs.
    pub detail: Bytes,
    /// The next ordinal.
    pub next: u64,
    /// Ordinals up to here may have been seen by it.
    pub sent: u64,
    /// It has a connection.
    pub attached: bool,
    /// Every ordinal up to here is settled.
    pub floor: u64,
    /// The settled ones above it.
    pub extras: SmallVec<[u64; 4]>,
}

/// Kinds as they stand on the disk; never renumbered.
pub(super) mod kind {
    pub(in crate::journal) const MESSAGE: u8 = 1;
    pub(in crate::journal) const OWNER: u8 = 2;
    pub(in crate::journal) const SUBSCRIBE: u8 = 3;
    pub(in crate::journal) const UNSUBSCRIBE: u8 = 4;
    pub(in crate::journal) const SETTLE: u8 = 5;
    pub(in crate::journal) const MARK: u8 = 6;
    pub(in crate::journal) const GONE: u8 = 7;
    pub(in crate::journal) const CLEAR: u8 = 8;
    pub(in crate::journal) const NOTE: u8 = 9;
    pub(in crate::journal) const SEAL: u8 = 10;
    pub(in crate::journal) const RECEIVED: u8 = 11;
    pub(in crate::journal) const RELEASED: u8 = 12;
    pub(in crate::journal) const PAST: u8 = 13;
}

/// Bytes of a message's fields before its debts, and of a debt before its subscriptions.
const MESSAGE: usize = 30;
const OWED: usize = 15;
/// Bytes before those of one that is remembered, without lists.
const PAST: usize = 20;

const RETAIN: u8 = 1;
const ATTACHED: u8 = 1;
const QUIET: u8 = 2;
const HELD: u8 = 1;

/// A record on its way out: its head is in the caller's buffer, its large fields are borrowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draft<'a> {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) blobs: [&'a [u8]; 3],
}

/// A field is longer than its counter can say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooLong;

impl<'a> Draft<'a> {
    fn plain(kind: u8, flags: u8) -> Self {
        Self { kind, flags, blobs: [&[]; 3] }
    }

    /// Bytes of the large fields.
    pub(super) fn blob_len(&self) -> usize {
        self.blobs.iter().map(|b| b.len()).sum()
    }
}

impl MessageRecord {
    /// The same, borrowed.
    #[must_use]
    pub fn as_ref(&self) -> MessageRef<'_> {
        MessageRef {
            retain: self.retain,
            qos: self.qos,
            realm: self.realm,
            born: self.born,
            expires: self.expires,
            topic: &self.topic,
            props: &self.props,
            body: &self.body,
            owed: &self.owed,
            past: self.past.as_ref(),
        }
    }
}

impl<'a> MessageRef<'a> {
    /// Bytes it takes on the disk, as `Spot::len` says after it was appended.
    #[must_use]
    pub fn size(&self) -> usize {
        let owed: usize = self.owed.iter().map(|owed| OWED + 4 * owed.subs.len()).sum();
        let past = self.past.map_or(0, |past| PAST + past.lists.len());
        let said = self.topic.len() + self.props.len() + self.body.len();
        padded(FRAME + past + MESSAGE + owed + said)
    }

    /// Append the head to `out`; the rest is in the draft.
    pub(super) fn draft(&self, out: &mut Vec<u8>) -> Result<Draft<'a>, TooLong> {
        if let Some(past) = self.past {
            out.extend_from_slice(&past.ord.to_be_bytes());
            out.extend_from_slice(&past.number.to_be_bytes());
            put_blob(out, &past.lists)?;
        }
        out.extend_from_slice(&self.realm.0.to_be_bytes());
        out.extend_from_slice(&self.born.to_be_bytes());
        out.extend_from_slice(&self.expires.to_be_bytes());
        put_len(out, self.topic.len())?;
        put_len(out, self.props.len())?;
        put_len(out, self.owed.len())?;
        for owed in self.owed {
            out.extend_from_slice(&owed.owner.0.to_be_bytes());
            out.extend_from_slice(&owed.ord.to_be_bytes());
            out.push(owed.grant);
            let count = u16::try_from(owed.subs.len()).map_err(|_| TooLong)?;
            out.extend_from_slice(&count.to_be_bytes());
            owed.subs.iter().for_each(|sub| out.extend_from_slice(&sub.to_be_bytes()));
        }
        let flags = (u8::from(self.retain) * RETAIN) | ((self.qos & 3) << 1);
        let kind = if self.past.is_some() { kind::PAST } else { kind::MESSAGE };
        Ok(Draft { kind, flags, blobs: [self.topic, self.props, self.body] })
    }
}

impl Record {
    /// Append the head to `out`; large fields, if any, are in the draft.
    pub(super) fn draft(&self, out: &mut Vec<u8>) -> Result<Draft<'_>, TooLong> {
        let mut draft = Draft::plain(0, 0);
        draft.kind = match self {
            Self::Message(message) => return message.as_ref().draft(out),
            Self::Owner(owner) => {
                draft.flags = u8::from(owner.attached) * ATTACHED;
                owner.draft(out)?;
                kind::OWNER
            }
            Self::Subscribe { owner, group, filter, options } => {
                put_owner(out, *owner);
                put_blob(out, group)?;
                put_blob(out, filter)?;
                out.extend_from_slice(options);
                kind::SUBSCRIBE
            }
            Self::Unsubscribe { owner, group, filter } => {
                put_owner(out, *owner);
                put_blob(out, group)?;
                out.extend_from_slice(filter);
                kind::UNSUBSCRIBE
            }
            Self::Settle { owner, floor, extras, released } => {
                put_owner(out, *owner);
                out.extend_from_slice(&floor.to_be_bytes());
                put_ords(out, extras)?;
                put_ords(out, released)?;
                kind::SETTLE
            }
            Self::Mark { owner, attached, quiet, sent, at, expiry_s } => {
                draft.flags = (u8::from(*attached) * ATTACHED) | (u8::from(*quiet) * QUIET);
                put_owner(out, *owner);
                for number in [sent, at, expiry_s] {
                    out.extend_from_slice(&number.to_be_bytes());
                }
                kind::MARK
            }
            Self::Received { owner, packet, held } => {
                draft.flags = u8::from(*held) * HELD;
                put_owner(out, *owner);
                out.extend_from_slice(&packet.to_be_bytes());
                kind::RECEIVED
            }
            Self::Released { owner, ord } => {
                put_owner(out, *owner);
                out.extend_from_slice(&ord.to_be_bytes());
                kind::RELEASED
            }
            Self::Gone { owner } => {
                put_owner(out, *owner);
                kind::GONE
            }
            Self::Clear { realm, topic } => {
                out.extend_from_slice(&realm.0.to_be_bytes());
                out.extend_from_slice(topic);
                kind::CLEAR
            }
            Self::Note { key, value } => {
                put_blob(out, key)?;
                out.extend_from_slice(value);
                kind::NOTE
            }
            Self::Seal { count, crc } => {
                out.extend_from_slice(&count.to_be_bytes());
                out.extend_from_slice(&crc.to_be_bytes());
                kind::SEAL
            }
        };
        Ok(draft)
    }

    /// Read the body of a record of that kind; `None` when nothing we know looks like it.
    pub(super) fn decode(kind: u8, flags: u8, body: Bytes) -> Option<Self> {
        decode(kind, flags, Reader::new(body)).ok().flatten()
    }
}

impl OwnerRecord {
    fn draft(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_owner(out, self.owner);
        out.push(self.kind);
        out.extend_from_slice(&self.realm.0.to_be_bytes());
        out.extend_from_slice(&self.next.to_be_bytes());
        out.extend_from_slice(&self.sent.to_be_bytes());
        out.extend_from_slice(&self.floor.to_be_bytes());
        put_ords(out, &self.extras)?;
        put_blob(out, &self.name)?;
        out.extend_from_slice(&self.detail);
        Ok(())
    }
}

fn put_owner(out: &mut Vec<u8>, owner: OwnerNo) {
    out.extend_from_slice(&owner.0.to_be_bytes());
}

fn put_len(out: &mut Vec<u8>, len: usize) -> Result<(), TooLong> {
    let len = u32::try_from(len).map_err(|_| TooLong)?;
    out.extend_from_slice(&len.to_be_bytes());
    Ok(())
}

fn put_blob(out: &mut Vec<u8>, blob: &[u8]) -> Result<(), TooLong> {
    put_len(out, blob.len())?;
    out.extend_from_slice(blob);
    Ok(())
}

fn put_ords(out: &mut Vec<u8>, ords: &[u64]) -> Result<(), TooLong> {
    put_len(out, ords.len())?;
    ords.iter().for_each(|ord| out.extend_from_slice(&ord.to_be_bytes()));
    Ok(())
}

fn decode(kind: u8, flags: u8, mut r: Reader) -> Result<Option<Record>, Short> {
    let record = match kind {
        kind::MESSAGE => Record::Message(message(flags, r, true)?),
        kind::PAST => {
            let past = Some(past(&mut r)?);
            Record::Message(MessageRecord { past, ..message(flags, r, true)? })
        }
        kind::OWNER => Record::Owner(owner_record(flags, r)?),
        kind::SUBSCRIBE => {
            let (owner, group, filter) = (owner(&mut r)?, blob(&mut r)?, blob(&mut r)?);
            Record::Subscribe { owner, group, filter, options: r.rest() }
        }
        kind::UNSUBSCRIBE => {
            let (owner, group) = (owner(&mut r)?, blob(&mut r)?);
            Record::Unsubscribe { owner, group, filter: r.rest() }
        }
        kind::SETTLE => {
            let (owner, floor) = (owner(&mut r)?, u64(&mut r)?);
            Record::Settle { owner, floor, extras: ords(&mut r)?, released: ords(&mut r)? }
        }
        kind::MARK => {
            let owner = owner(&mut r)?;
            let (attached, quiet) = (flags & ATTACHED != 0, flags & QUIET != 0);
            let (sent, at, expiry_s) = (u64(&mut r)?, u64(&mut r)?, u64(&mut r)?);
            Record::Mark { owner, attached, quiet, sent, at, expiry_s }
        }
        kind::RECEIVED => {
            let owner = owner(&mut r)?;
            Record::Received { owner, packet: r.u16()?, held: flags & HELD != 0 }
        }
        kind::RELEASED => Record::Released { owner: owner(&mut r)?, ord: u64(&mut r)? },
        kind::GONE => Record::Gone { owner: owner(&mut r)? },
        kind::CLEAR => Record::Clear { realm: RealmId(r.u16()?), topic: r.rest() },
        kind::NOTE => Record::Note { key: blob(&mut r)?, value: r.rest() },
        kind::SEAL => Record::Seal { count: u64(&mut r)?, crc: r.u32()? },
        _ => return Ok(None),
    };
    Ok(Some(record))
}

/// Read a message; without its debts when the caller has already found the one it wants.
fn message(flags: u8, mut r: Reader, with_owed: bool) -> Result<MessageRecord, Short> {
    let realm = RealmId(r.u16()?);
    let (born, expires) = (u64(&mut r)?, u64(&mut r)?);
    let (topic_len, props_len) = (r.u32()? as usize, r.u32()? as usize);
    let mut all = SmallVec::new();
    for _ in 0..r.u32()? {
        if with_owed {
            all.push(owed(&mut r)?);
        } else {
            skip_owed(&mut r)?;
        }
    }
    let (topic, props) = (r.take(topic_len)?, r.take(props_len)?);
    let (retain, qos) = (flags & RETAIN != 0, (flags >> 1) & 3);
    Ok(MessageRecord {
        retain,
        qos,
        realm,
        born,
        expires,
        topic,
        props,
        body: r.rest(),
        owed: all,
        past: None,
    })
}

/// What a record of this kind has of a message that anybody may be owed.
pub(super) fn message_in(kind: u8, body: Bytes) -> Option<Bytes> {
    match kind {
        kind::MESSAGE => Some(body),
        kind::PAST => {
            let mut r = Reader::new(body);
            past(&mut r).ok()?;
            Some(r.rest())
        }
        _ => None,
    }
}

fn past(r: &mut Reader) -> Result<PastRecord, Short> {
    Ok(PastRecord { ord: u64(r)?, number: u64(r)?, lists: blob(r)? })
}

/// The debt of this message to `owner` with an ordinal from `lo` to `hi`, and the message without
/// its other debts: what reading a backlog needs, whatever the fan-out was.
pub(super) fn message_owed_to(
    flags: u8,
    body: &Bytes,
    owner: OwnerNo,
    lo: u64,
    hi: u64,
) -> Option<(Owed, MessageRecord)> {
    let mut r = Reader::new(body.clone());
    r.take(MESSAGE - 4).ok()?;
    for _ in 0..r.u32().ok()? {
        let mut at = r.clone();
        let (who, ord) = skip_owed(&mut r).ok()?;
        if who == owner && (lo..=hi).contains(&ord) {
            let found = owed(&mut at).ok()?;
            return Some((found, message(flags, Reader::new(body.clone()), false).ok()?));
        }
    }
    None
}

fn owed(r: &mut Reader) -> Result<Owed, Short> {
    let (owner, ord, grant) = (owner(r)?, u64(r)?, r.u8()?);
    let mut subs = SmallVec::new();
    for _ in 0..r.u16()? {
        subs.push(r.u32()?);
    }
    Ok(Owed { owner, ord, grant, subs })
}

fn skip_owed(r: &mut Reader) -> Result<(OwnerNo, u64), Short> {
    let (owner, ord, _) = (owner(r)?, u64(r)?, r.u8()?);
    let subs = usize::from(r.u16()?);
    r.take(subs * 4)?;
    Ok((owner, ord))
}

fn owner_record(flags: u8, mut r: Reader) -> Result<OwnerRecord, Short> {
    let (owner, kind, realm) = (owner(&mut r)?, r.u8()?, RealmId(r.u16()?));
    let (next, sent, floor) = (u64(&mut r)?, u64(&mut r)?, u64(&mut r)?);
    let (extras, name) = (ords(&mut r)?, blob(&mut r)?);
    let (attached, detail) = (flags & ATTACHED != 0, r.rest());
    Ok(OwnerRecord { owner, kind, realm, name, detail, next, sent, attached, floor, extras })
}

fn owner(r: &mut Reader) -> Result<OwnerNo, Short> {
    Ok(OwnerNo(r.u32()?))
}

fn u64(r: &mut Reader) -> Result<u64, Short> {
    Ok(u64::from(r.u32()?) << 32 | u64::from(r.u32()?))
}

fn blob(r: &mut Reader) -> Result<Bytes, Short> {
    let len = r.u32()? as usize;
    r.take(len)
}

fn ords(r: &mut Reader) -> Result<SmallVec<[u64; 4]>, Short> {
    let mut all = SmallVec::new();
    for _ in 0..r.u32()? {
        all.push(u64(r)?);
    }
    Ok(all)
}
