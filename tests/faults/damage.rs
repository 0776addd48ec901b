//! A data folder is damaged, one damage for each copy: it is intact all the same, or refused with
//! file and offset, and then started with its loss said.
//!
//! What is never to be seen: a start that says nothing and lacks something (silent), a body that
//! nobody said (served damaged), a loss before the place of the damage, an end that names nothing.

use std::collections::BTreeMap;
use std::path::Path;

use spindle::base::rng::Rng;

use crate::broker::{Place, Scratch, Started};
use crate::damage_data::{Content, Image, Said, fill, image, lay, look, places};
use crate::{Options, Verdict};

/// Journals of the shortest useful segments.
const FLAGS: [&str; 4] = ["--durability", "disk", "--limit", "segment_bytes=32768"];

/// A record that holds a body begins no farther before it.
const HEAD: usize = 256;

/// What the format of the journal sets apart for what is not records.
const FIRST_PAGE: usize = 4096;

type Hurt = fn(&mut Image, &mut Rng) -> Option<Damage>;

const KINDS: [(&str, Hurt); 9] = [
    ("cut", cut),
    ("flip", flip),
    ("flip in the first page", flip_first),
    ("zero", zero),
    ("double", double),
    ("in another's place", instead),
    ("swap", swap),
    ("remove", remove),
    ("empty", empty),
];

/// Where: nothing before it may be lost.
struct Damage {
    text: String,
    segment: String,
    offset: usize,
}

#[derive(Default)]
struct Tally {
    trials: u64,
    intact: u64,
    refused: u64,
    reported: u64,
    silent: u64,
    served: u64,
    before: u64,
    other: u64,
    /// Messages, items and kept values that quarantine lost, over all trials.
    lost: u64,
    wrong: Vec<String>,
}

/// Damage, start, damage, start.
pub(crate) fn damage(options: &Options) -> Verdict {
    let home = Scratch::new("damage")?;
    let place = Place::ours(&home.path().join("whole"), &FLAGS)?;
    let promised = fill(&place)?;
    let whole = image(&place.data)?;
    let facts = Facts { places: places(&whole), promised, whole };
    let (mut rng, mut tally) = (Rng::new(options.seed), Tally::default());
    // That nothing is damaged is seen as that.
    facts.trial(&mut tally, &home.path().join("0"), &facts.whole, None)?;
    let rounds = if options.long { 40 } else { 3 };
    for round in 0..rounds {
        for (kind, hurt) in KINDS {
            let mut image = facts.whole.clone();
            let Some(damage) = hurt(&mut image, &mut rng) else { continue };
            let folder = home.path().join(format!("{round} {kind}"));
            // A start that hangs and a broker that throws out are findings, not the end of the run.
            if let Err(why) = facts.trial(&mut tally, &folder, &image, Some(&damage)) {
                tally.other += 1;
                tally.wrong.push(format!("{}: {why}", damage.text));
            }
            let _ = std::fs::remove_dir_all(folder);
        }
    }
    facts.tell(tally)
}

struct Facts {
    promised: Content,
    whole: Image,
    places: BTreeMap<Said, (String, usize)>,
}

impl Facts {
    /// One copy with one damage, or none.
    fn trial(
        &self,
        tally: &mut Tally,
        folder: &Path,
        image: &Image,
        damage: Option<&Damage>,
    ) -> Result<(), String> {
        tally.trials += 1;
        let place = Place::ours(folder, &FLAGS)?;
        lay(image, &place.data)?;
        let what = damage.map_or("nothing", |damage| &damage.text);
        let running = match place.try_start()? {
            Started::Up(running, _) => running,
            Started::Down(status) => {
                let said = place.said();
                let names = names_a_place(&said);
                let untouched = crate::damage_data::image(&place.data)? == *image;
                if status.code() != Some(3) || !names || !untouched || damage.is_none() {
                    tally.other += 1;
                    let text = format!("{what}: {status}, untouched {untouched}:\n{said}");
                    tally.wrong.push(text);
                    return Ok(());
                }
                tally.refused += 1;
                return self.quarantine(tally, folder, damage);
            }
        };
        let found = look(&place)?;
        running.stop()?;
        let lost = self.lost(&found);
        if found.strange > 0 {
            tally.served += 1;
            tally.wrong.push(format!("{what}: {} bodies that nobody said", found.strange));
        } else if !lost.is_empty() || found.disorder > 0 {
            tally.silent += 1;
            let text = format!("{what}: {} lost, first {:?}", lost.len(), lost.first());
            tally.wrong.push(format!("{text}, {} out of order", found.disorder));
        } else {
            tally.intact += 1;
        }
        Ok(())
    }

    /// The same copy, told to go on with what is whole.
    fn quarantine(
        &self,
        tally: &mut Tally,
        folder: &Path,
        damage: Option<&Damage>,
    ) -> Result<(), String> {
        let flags = [&FLAGS[..], &["--salvage"]].concat();
        let place = Place::ours(folder, &flags)?;
        let what = damage.map_or("nothing", |damage| &damage.text);
        let running = match place.try_start()? {
            Started::Up(running, _) => running,
            Started::Down(status) => {
                tally.other += 1;
                let text = format!("{what}: not even salvaged ({status}):\n{}", place.said());
                tally.wrong.push(text);
                return Ok(());
            }
        };
        let counted = place.counter("journal_lost_records_total")?;
        let found = look(&place)?;
        running.stop()?;
        let (lost, said) = (self.lost(&found), place.said());
        tally.lost += lost.len() as u64;
        let early = lost.iter().filter(|it| damage.is_some_and(|d| self.is_before(it, d)));
        let early: Vec<&Said> = early.collect();
        if found.strange > 0 {
            tally.served += 1;
            tally.wrong.push(format!("{what}: {} bodies that nobody said", found.strange));
        } else if !early.is_empty() {
            tally.before += 1;
            tally.wrong.push(format!("{what}: lost before it: {early:?}\n{said}"));
        } else if !lost.is_empty() && (counted == 0 || !said.contains("lost records")) {
            tally.silent += 1;
            let text = format!("{what}: {} lost, {counted} counted", lost.len());
            tally.wrong.push(format!("{text}:\n{said}"));
        } else if !said.contains("salvaged") || found.disorder > 0 {
            tally.other += 1;
            let text = format!("{what}: {} out of order, or no report", found.disorder);
            tally.wrong.push(format!("{text}:\n{said}"));
        } else {
            tally.reported += 1;
        }
        Ok(())
    }

    /// Promised, and not there.
    fn lost(&self, found: &Content) -> Vec<Said> {
        let mut lost = Vec::new();
        for (reader, owed) in &self.promised.owed {
            let has = found.owed.get(reader).cloned().unwrap_or_default();
            lost.extend(owed.difference(&has).cloned());
        }
        lost.extend(self.promised.items.difference(&found.items).cloned());
        for (topic, value) in &self.promised.kept {
            if found.kept.get(topic) != Some(value) {
                lost.push(value.clone());
            }
        }
        lost
    }

    /// It stood whole before the place of the damage.
    fn is_before(&self, it: &Said, damage: &Damage) -> bool {
        let Some((segment, at)) = self.places.get(it) else { return false };
        let end = at + crate::clients::body_of(&it.0, it.1).len();
        *segment < damage.segment || *segment == damage.segment && end + HEAD < damage.offset
    }

    fn tell(&self, tally: Tally) -> Verdict {
        let bytes: usize = self.whole.values().map(Vec::len).sum();
        let owed: usize = self.promised.owed.values().map(std::collections::BTreeSet::len).sum();
        let Tally { trials, intact, refused, reported, silent, served, before, other, .. } = tally;
        let mut lines = vec![
            format!(
                "the folder: {} segments, {bytes} bytes, {owed} messages owed, {} items, {} kept \
                 values",
                self.whole.len(),
                self.promised.items.len(),
                self.promised.kept.len()
            ),
            format!(
                "trials {trials}: intact {intact}, refused with file and offset {refused}, silent \
                 {silent}, served damaged {served}, anything else {other}"
            ),
            format!(
                "of the refused, started by salvage with the loss said {reported}; with a loss \
                 before the damage {before}; lost together {}",
                tally.lost
            ),
        ];
        lines.extend(tally.wrong);
        let good = silent + served + before + other == 0 && intact > 0 && refused == reported;
        if good { Ok(lines) } else { Err(lines.join("\n")) }
    }
}

/// The refusal names a file of the journal and where in it.
fn names_a_place(said: &str) -> bool {
    said.lines().any(|line| line.contains(".seg") && line.contains("offset="))
}

fn pick(image: &Image, rng: &mut Rng) -> Option<String> {
    let names: Vec<&String> = image.keys().collect();
    rng.pick(&names).map(|name| (*name).clone())
}

/// A segment that has records, and where they end.
fn written(image: &Image, rng: &mut Rng) -> Option<(String, usize)> {
    let used = |bytes: &Vec<u8>| bytes.iter().rposition(|b| *b != 0).unwrap_or(0);
    let all: Vec<(&String, usize)> = image.iter().map(|(name, b)| (name, used(b))).collect();
    let all: Vec<_> = all.into_iter().filter(|(_, end)| *end > FIRST_PAGE).collect();
    rng.pick(&all).map(|(name, end)| ((*name).clone(), *end))
}

fn at(text: String, segment: String, offset: usize) -> Option<Damage> {
    Some(Damage { text, segment, offset })
}

fn cut(image: &mut Image, rng: &mut Rng) -> Option<Damage> {
    let name = pick(image, rng)?;
    let bytes = image.get_mut(&name)?;
    let len = rng.below(bytes.len() as u64) as usize;
    bytes.truncate(len);
    at(format!("{name} cut at {len}"), name, if len < FIRST_PAGE { 0 } else { len })
}

fn flip(image: &mut Image, rng: &mut Rng) -> Option<Damage> {
    let (name, end) = written(image, rng)?;
    let offset = FIRST_PAGE + rng.below((end - FIRST_PAGE) as u64 + 1) as usize;
    *image.get_mut(&name)?.get_mut(offset)? ^= 1 << rng.below(8);
    at(format!("{name}: a bit at {offset}"), name, offset)
}

fn flip_first(image: &mut Image, rng: &mut Rng) -> Option<Damage> {
    let name = pick(image, rng)?;
    let offset = rng.below(FIRST_PAGE as u64) as usize;
    *image.get_mut(&name)?.get_mut(offset)? ^= 1 << rng.below(8);
    at(format!("{name}: a bit at {offset}"), name, 0)
}

fn zero(image: &mut Image, rng: &mut Rng) -> Option<Damage> {
    let (name, end) = written(image, rng)?;
    let block = if rng.chance(1, 2) { 4096 } else { 512 };
    let offset = rng.below((end / block) as u64 + 1) as usize * block;
    let bytes = image.get_mut(&name)?;
    let until = bytes.len().min(offset + block);
    bytes.get_mut(offset..until)?.fill(0);
    let from = if offset < FIRST_PAGE { 0 } else { offset };
    at(format!("{name}: {block} zeroes at {offset}"), name, from)
}

/// A copy behind all others.
fn double(image: &mut Image, rng: &mut Rng) -> Option<Damage> {
    let name = pick(image, rng)?;
    let bytes = image.get(&name)?.clone();
    let last = u32::from_str_radix(image.keys().last()?.split('.').next()?, 16).ok()?;
    let copy = format!("{:08x}.seg", last + 1);
    image.insert(copy.clone(), bytes);
    at(format!("{name} again as {copy}"), copy, 0)
}

fn instead(image: &mut Image, rng: &mut Rng) -> Option<Damage> {
    let (from, to) = (pick(image, rng)?, pick(image, rng)?);
    let bytes = image.get(&from)?.clone();
    image.insert(to.clone(), bytes);
    let offset = if from == to { usize::MAX } else { 0 };
    at(format!("{from} again as {to}"), to, offset)
}

fn swap(image: &mut Image, rng: &mut Rng) -> Option<Damage> {
    let (one, other) = (pick(image, rng)?, pick(image, rng)?);
    let (a, b) = (image.get(&one)?.clone(), image.get(&other)?.clone());
    image.insert(one.clone(), b);
    image.insert(other.clone(), a);
    at(format!("{one} and {other} swapped"), one.min(other), 0)
}

fn remove(image: &mut Image, rng: &mut Rng) -> Option<Damage> {
    let name = pick(image, rng)?;
    image.remove(&name)?;
    at(format!("{name} removed"), name, 0)
}

fn empty(image: &mut Image, rng: &mut Rng) -> Option<Damage> {
    let name = pick(image, rng)?;
    image.get_mut(&name)?.clear();
    at(format!("{name} emptied"), name, 0)
}
