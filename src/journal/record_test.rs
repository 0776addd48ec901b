//! Floor 1. Records come back as they went, and no cut or count makes them panic.

use super::record::*;
use crate::base::id::{OwnerNo, RealmId};
use crate::base::rng::Rng;
use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

pub(super) fn owed(owner: u32, ord: u64) -> Owed {
    Owed { owner: OwnerNo(owner), ord, grant: 1, subs: smallvec![7, 9] }
}

pub(super) fn message(body: &[u8], owed: &[Owed]) -> MessageRecord {
    MessageRecord {
        retain: true,
        qos: 2,
        realm: RealmId(3),
        born: 1_700_000_000_000,
        expires: 5,
        topic: Bytes::from_static(b"a/b"),
        props: Bytes::from_static(b"props"),
        body: Bytes::copy_from_slice(body),
        owed: owed.iter().cloned().collect(),
        past: None,
    }
}

/// One of each kind, the fields all different.
pub(super) fn one_of_each() -> Vec<Record> {
    let (owner, filter) = (OwnerNo(0x0102_0304), Bytes::from_static(b"a/+/c"));
    vec![
        Record::Message(message(b"payload", &[owed(1, 11), owed(2, u64::MAX)])),
        Record::Message(MessageRecord {
            past: Some(PastRecord { ord: 5, number: 1 << 52, lists: Bytes::from_static(b"lists") }),
            ..message(b"payload", &[owed(1, 12)])
        }),
        Record::Owner(OwnerRecord {
            owner,
            kind: 2,
            realm: RealmId(1),
            name: Bytes::from_static(b"client"),
            detail: Bytes::from_static(b"detail"),
            next: 9,
            sent: 8,
            attached: true,
            floor: 4,
            extras: smallvec![6, 7],
        }),
        Record::Subscribe {
            owner,
            group: Bytes::from_static(b"g"),
            filter: filter.clone(),
            options: Bytes::from_static(b"\x02"),
        },
        Record::Unsubscribe { owner, group: Bytes::new(), filter: filter.clone() },
        Record::Settle {
            owner,
            floor: 70,
            extras: smallvec![72, 74, 75, 78, 79],
            released: smallvec![69, 74],
        },
        Record::Mark { owner, attached: true, quiet: false, sent: 12, at: 5, expiry_s: 6 },
        Record::Mark { owner, attached: false, quiet: true, sent: 13, at: 7, expiry_s: u64::MAX },
        Record::Received { owner, packet: 65_535, held: true },
        Record::Received { owner, packet: 1, held: false },
        Record::Released { owner, ord: 1 << 40 },
        Record::Gone { owner },
        Record::Clear { realm: RealmId(2), topic: filter },
        Record::Note { key: Bytes::from_static(b"k"), value: Bytes::from_static(b"v") },
        Record::Seal { count: 5, crc: 6 },
    ]
}

fn body_of(record: &Record) -> (u8, u8, Vec<u8>) {
    let mut out = Vec::new();
    let draft = record.draft(&mut out).expect("short fields");
    let (kind, flags, blobs) = (draft.kind, draft.flags, draft.blobs.concat());
    out.extend_from_slice(&blobs);
    (kind, flags, out)
}

#[test]
fn every_kind_comes_back_as_it_went() {
    for record in one_of_each() {
        let (kind, flags, body) = body_of(&record);
        assert_eq!(Record::decode(kind, flags, body.into()), Some(record));
    }
}

#[test]
fn a_cut_record_is_none_or_a_shorter_last_field() {
    for record in one_of_each() {
        let (kind, flags, body) = body_of(&record);
        for len in 0..body.len() {
            let got = Record::decode(kind, flags, Bytes::copy_from_slice(&body[..len]));
            assert_ne!(got.as_ref(), Some(&record), "cut at {len} of {}", body.len());
            if let Some(shorter) = got {
                assert_eq!(body_of(&shorter).2, &body[..len], "nothing is invented");
            }
        }
    }
}

#[test]
fn noise_is_none_or_itself() {
    let mut rng = Rng::new(7);
    let mut read = 0;
    for _ in 0..20_000 {
        let len = rng.below(80) as usize;
        let body: Vec<u8> = (0..len).map(|_| (rng.next_u64() % 3) as u8).collect();
        let kind = rng.below(14) as u8;
        if let Some(record) = Record::decode(kind, 0, body.clone().into()) {
            let again = body_of(&record).2;
            assert!(body.starts_with(&again), "{record:?} is not what {body:?} says");
            read += 1;
        }
    }
    assert!(read > 1000, "noise that is never read tests nothing: {read}");
}

#[test]
fn a_debt_is_found_among_many_without_the_others() {
    let all: SmallVec<[Owed; 1]> = (0..100).map(|n| owed(n, 1000 + u64::from(n))).collect();
    let record = message(b"body", &all);
    let (_, flags, body) = body_of(&Record::Message(record.clone()));
    let body = Bytes::from(body);
    let (found, got) = message_owed_to(flags, &body, OwnerNo(42), 1000, 2000).expect("there");
    assert_eq!(found, owed(42, 1042));
    assert_eq!(got, MessageRecord { owed: SmallVec::new(), ..record });
    assert_eq!(message_owed_to(flags, &body, OwnerNo(42), 1043, 2000), None, "below the range");
    assert_eq!(message_owed_to(flags, &body, OwnerNo(100), 0, 5000), None, "not owed");
}

#[test]
fn what_is_remembered_is_owed_like_anything_else() {
    let past = Some(PastRecord { ord: 1, number: 2, lists: Bytes::from_static(b"for all") });
    let record = MessageRecord { past, ..message(b"body", &[owed(1, 11)]) };
    let (kind, flags, body) = body_of(&Record::Message(record.clone()));
    assert_eq!(record.as_ref().size() % 8, 0);
    assert_eq!(body.len() + super::frame::FRAME, record.as_ref().size() - padding(body.len()));
    let plain = message_in(kind, body.into()).expect("a message");
    let (found, got) = message_owed_to(flags, &plain, OwnerNo(1), 1, 20).expect("there");
    assert_eq!(found, owed(1, 11));
    assert_eq!(got, MessageRecord { owed: SmallVec::new(), past: None, ..record });
    let (kind, _, body) = body_of(&Record::Gone { owner: OwnerNo(1) });
    assert_eq!(message_in(kind, body.into()), None);
}

fn padding(body: usize) -> usize {
    (8 - (body + super::frame::FRAME) % 8) % 8
}
