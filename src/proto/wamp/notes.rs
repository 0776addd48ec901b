//! Floor 3. What goes with arguments beside them: who published, how far to be trusted, how packed,
//! and for whom it is kept.
//!
//! ```text
//! tag · length (2 bytes) · what it says
//! ```
//!
//! It stands behind the head of a publication's properties (`proto/carried.rs`), and alone beside a
//! call's arguments. What is not known is passed over. Absent on purpose: the arguments.

use bytes::{Buf, BufMut, Bytes};

use super::options::Ppt;
use super::parts::Text;
use crate::hub::audience::{Audience, List};

/// Tags, as they stand in the journal; never renumbered.
mod tag {
    pub(super) const PUBLISHER: u8 = 1;
    pub(super) const AUTHID: u8 = 2;
    pub(super) const AUTHROLE: u8 = 3;
    pub(super) const TRUST: u8 = 4;
    pub(super) const SCHEME: u8 = 5;
    pub(super) const SERIALIZER: u8 = 6;
    pub(super) const CIPHER: u8 = 7;
    pub(super) const KEYID: u8 = 8;
    pub(super) const EXCLUDE: u8 = 9;
    pub(super) const ELIGIBLE: u8 = 10;
    pub(super) const EXCLUDE_LIST: u8 = 11;
    pub(super) const ELIGIBLE_LIST: u8 = 12;
}

/// Who is behind it, if that may be known.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Who {
    /// The session.
    pub id: u64,
    /// As whom it was let in.
    pub authid: Text,
    /// In which role.
    pub authrole: Text,
}

/// All of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Notes {
    /// Who is behind it.
    pub who: Option<Who>,
    /// How far that one is trusted.
    pub trust: Option<u64>,
    /// How the arguments are packed.
    pub ppt: Option<Box<Ppt>>,
}

impl Notes {
    /// There is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.who.is_none() && self.trust.is_none() && self.ppt.is_none()
    }

    /// As bytes.
    pub fn put(&self, into: &mut Vec<u8>) {
        if let Some(who) = &self.who {
            entry(tag::PUBLISHER, &who.id.to_be_bytes(), into);
            entry(tag::AUTHID, who.authid.bytes(), into);
            entry(tag::AUTHROLE, who.authrole.bytes(), into);
        }
        if let Some(trust) = self.trust {
            entry(tag::TRUST, &trust.to_be_bytes(), into);
        }
        if let Some(ppt) = &self.ppt {
            for (tag, text) in [
                (tag::SCHEME, &ppt.scheme),
                (tag::SERIALIZER, &ppt.serializer),
                (tag::CIPHER, &ppt.cipher),
                (tag::KEYID, &ppt.keyid),
            ] {
                if let Some(text) = text {
                    entry(tag, text.bytes(), into);
                }
            }
        }
    }

    /// Out of bytes.
    #[must_use]
    pub fn of(bytes: &Bytes) -> Self {
        let mut it = Self::default();
        if bytes.is_empty() {
            return it;
        }
        for (tag, mut said) in entries(bytes.clone()) {
            let text = || Text::from_utf8(said.clone()).unwrap_or_default();
            match tag {
                tag::PUBLISHER => {
                    it.who.get_or_insert_default().id = said.try_get_u64().unwrap_or_default();
                }
                tag::AUTHID => it.who.get_or_insert_default().authid = text(),
                tag::AUTHROLE => it.who.get_or_insert_default().authrole = text(),
                tag::TRUST => it.trust = said.try_get_u64().ok(),
                tag::SCHEME => it.ppt.get_or_insert_default().scheme = Some(text()),
                tag::SERIALIZER => it.ppt.get_or_insert_default().serializer = Some(text()),
                tag::CIPHER => it.ppt.get_or_insert_default().cipher = Some(text()),
                tag::KEYID => it.ppt.get_or_insert_default().keyid = Some(text()),
                _ => {}
            }
        }
        it
    }
}

/// For whom a publication is kept, as bytes behind the notes. False: it does not fit.
pub fn put_lists(audience: &Audience, into: &mut Vec<u8>) -> bool {
    let ids = |ids: &[u64]| ids.iter().flat_map(|id| id.to_be_bytes()).collect::<Vec<u8>>();
    let mut fits = true;
    if !audience.exclude.is_empty() {
        fits &= entry(tag::EXCLUDE, &ids(&audience.exclude), into);
    }
    if let Some(eligible) = &audience.eligible {
        fits &= entry(tag::ELIGIBLE, &ids(eligible), into);
    }
    for list in &audience.lists {
        let mut said = Vec::new();
        put_text(list.attribute.as_bytes(), &mut said);
        list.values.iter().for_each(|value| put_text(value, &mut said));
        let tag = if list.eligible { tag::ELIGIBLE_LIST } else { tag::EXCLUDE_LIST };
        fits &= entry(tag, &said, into);
    }
    fits
}

/// The lists again.
#[must_use]
pub fn lists(bytes: &Bytes) -> Audience {
    let mut it = Audience::default();
    for (tag, said) in entries(bytes.clone()) {
        match tag {
            tag::EXCLUDE => it.exclude = ids(said),
            tag::ELIGIBLE => it.eligible = Some(ids(said)),
            tag::EXCLUDE_LIST | tag::ELIGIBLE_LIST => {
                let mut texts = texts(said);
                let Some(attribute) = texts.next() else { continue };
                let attribute = String::from_utf8_lossy(&attribute).into_owned();
                let eligible = tag == tag::ELIGIBLE_LIST;
                it.lists.push(List { attribute, eligible, values: texts.collect() });
            }
            _ => {}
        }
    }
    it
}

/// Append an entry; false, and nothing appended, if it is too long for one.
fn entry(tag: u8, said: &[u8], into: &mut Vec<u8>) -> bool {
    let Ok(len) = u16::try_from(said.len()) else { return false };
    into.put_u8(tag);
    into.put_u16(len);
    into.put_slice(said);
    true
}

fn put_text(text: &[u8], into: &mut Vec<u8>) {
    // What is longer than can be said stays longer than anybody's attribute.
    let text = text.get(..usize::from(u16::MAX)).unwrap_or(text);
    into.put_u16(text.len() as u16);
    into.put_slice(text);
}

fn entries(mut bytes: Bytes) -> impl Iterator<Item = (u8, Bytes)> {
    core::iter::from_fn(move || {
        let tag = bytes.try_get_u8().ok()?;
        Some((tag, cut(&mut bytes)?))
    })
}

fn texts(mut bytes: Bytes) -> impl Iterator<Item = Bytes> {
    core::iter::from_fn(move || cut(&mut bytes))
}

fn ids(mut bytes: Bytes) -> Vec<u64> {
    core::iter::from_fn(|| bytes.try_get_u64().ok()).collect()
}

fn cut(bytes: &mut Bytes) -> Option<Bytes> {
    let len = usize::from(bytes.try_get_u16().ok()?);
    (len <= bytes.len()).then(|| bytes.split_to(len))
}
