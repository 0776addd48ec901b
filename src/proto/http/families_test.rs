//! Floor 3. The table of metrics against the tables it stands for: nothing is left out, nothing is
//! named that does not exist, and names keep to the rules of Prometheus.

use std::collections::BTreeSet;

use crate::base::stats::COUNTERS;
use crate::hub::sys;
use crate::hub::timings::TIMINGS;

use super::families::{FAMILIES, Family, Source};

fn all() -> impl Iterator<Item = &'static Family> {
    FAMILIES.iter().flat_map(|(_, families)| *families)
}

#[test]
fn every_counter_is_shown_once() {
    let shown: Vec<_> = all().flat_map(Family::counters).collect();
    for (counter, label, _) in COUNTERS {
        let times = shown.iter().filter(|own| *own == counter).count();
        assert_eq!(times, 1, "{label}");
    }
    assert_eq!(shown.len(), COUNTERS.len());
}

#[test]
fn every_duration_is_shown() {
    let shown = |label| all().any(|f| matches!(f.source, Source::Times(own) if own == label));
    for row in TIMINGS {
        assert!(shown(row.label), "{}", row.label);
        let level = row.durability.map(|level| format!("_{level}")).unwrap_or_default();
        let member = format!("timings.{}{level}", row.label);
        let told = |family: &Family| family.varz.contains(&&*member);
        assert!(all().any(told), "{member}");
    }
}

#[test]
fn every_topic_belongs_to_a_metric_and_every_topic_exists() {
    let named: BTreeSet<&str> = all().flat_map(|family| family.sys).copied().collect();
    let said: BTreeSet<&str> = sys::ROWS.iter().map(|row| row.name).collect();
    assert_eq!(named, said);
}

/// What both call the same is made of the same counters.
#[test]
fn sums_under_sys_are_those_of_the_metrics() {
    let shown = |name: &str| -> BTreeSet<String> {
        let of = all().filter(|family| family.sys.contains(&name));
        of.flat_map(Family::counters).map(|counter| format!("{counter:?}")).collect()
    };
    for (name, counters) in sys::ROWS.iter().filter_map(|row| Some((row.name, row.sum()?))) {
        let sum: BTreeSet<String> = counters.iter().map(|c| format!("{c:?}")).collect();
        assert_eq!(shown(name), sum, "{name}");
    }
}

#[test]
fn names_keep_to_the_rules() {
    let mut seen = BTreeSet::new();
    for family in all() {
        let (name, kind) = (family.name, family.kind());
        assert!(seen.insert(name), "{name} is there twice");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        assert_eq!(family.unit() == "seconds", name.contains("seconds"), "{name}");
        assert_eq!(family.unit() == "bytes", name.contains("bytes"), "{name}");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        for suffix in ["_count", "_sum", "_bucket"] {
            assert!(!name.ends_with(suffix), "{name} is taken for a part of a histogram");
        }
        assert!(family.doc.ends_with('.') && !family.doc.contains('|'), "{name}");
        for client in ["client", "topic", "user", "address", "id"] {
            assert!(!family.labels.contains(&client), "{name}: as many series as clients");
        }
    }
}
