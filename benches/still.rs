//! Floor 6. Nothing is asked of the allocator for a message of WAMP, once everything is warm.
//!
//! Publications that somebody reads in the same form, and calls with their results, in the three
//! forms and over both roads: a round is done until nothing new is needed, and then allocations are
//! counted. This fails when there is one for every so many messages. Absent on purpose: time.

#[path = "support/alloc.rs"]
#[expect(dead_code, reason = "`idle` asks how many bytes, this bench how often")]
mod alloc;
#[path = "support/dealing.rs"]
#[expect(dead_code, reason = "`counts` has sessions that come and go, this bench has none")]
mod dealing;
#[path = "support/report.rs"]
mod report;
#[path = "support/rig.rs"]
mod rig;

use dealing::{Pairs, Road};
use spindle::value::Form;
use std::hint::black_box;

/// Rounds before, and rounds that are counted.
const WARM: usize = 40;
const COUNTED: usize = 40;
/// Messages for which there may be one allocation.
const SELDOM: usize = 50;

fn main() {
    let mut often = Vec::new();
    for (framed, road) in [(false, "raw"), (true, "ws")] {
        for form in Form::ALL {
            for calls in [false, true] {
                for messages in [1, 8] {
                    let what = if calls { "calls" } else { "events" };
                    let name = format!("{what} {form:?} {road} x{messages}");
                    let each = measured(Road { form, framed }, messages, calls);
                    report::say(&format!("still {name}: {each:.3} allocations each"));
                    if each * (SELDOM as f64) >= 1.0 {
                        often.push(name);
                    }
                }
            }
        }
    }
    assert!(often.is_empty(), "more than one for every {SELDOM} messages: {often:?}");
}

fn measured(road: Road, messages: usize, calls: bool) -> f64 {
    let mut pairs = Pairs::new(road, 8, messages, calls);
    (0..WARM).for_each(|_| pairs.round(|out| _ = black_box(out.len())));
    let before = alloc::calls();
    (0..COUNTED).for_each(|_| pairs.round(|out| _ = black_box(out.len())));
    let each = (alloc::calls() - before) as f64 / (COUNTED * pairs.messages()) as f64;
    pairs.check();
    each
}
