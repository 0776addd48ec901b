//! Floor 6. The latency distribution as a picture: percentiles across, time upwards, both by tens.
//!
//! The horizontal axis is stretched so that 90, 99, 99.9 and 99.99 % stand at equal distances: the
//! tail, of which this is about, gets as much room as the middle. Everything is text; nothing is
//! loaded from elsewhere. Absent on purpose: scripts.

use super::nanos::Hist;
use super::tally::Tally;

/// A picture, or a page with it.
pub(super) fn draw(title: &str, tally: &Tally, page: bool) -> String {
    let lines = [
        ("from when it was due", &tally.due, "#1f5fa8"),
        ("from when it was sent", &tally.sent, "#c9702a"),
        ("acknowledgement", &tally.acks, "#4c8c4a"),
        ("connect", &tally.connects, "#777777"),
    ];
    let talks = tally.sent.count() > 0;
    let shown: Vec<_> = lines
        .into_iter()
        .filter(|(name, hist, _)| hist.count() > 0 && (!talks || *name != "connect"))
        .collect();
    let decades =
        shown.iter().map(|(_, hist, _)| digits(hist.max())).max().unwrap_or(LEAST.ilog10() + 1);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"14\">{}</text>\n",
        escaped(title)
    );
    grid(decades, &mut svg);
    for (nth, (name, hist, colour)) in shown.iter().enumerate() {
        let points: Vec<String> = curve(hist).map(|(x, nanos)| point(x, nanos, decades)).collect();
        let y = TOP + 16.0 + 16.0 * nth as f64;
        svg += &format!(
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>\n\
             <text x=\"{}\" y=\"{y:.0}\" fill=\"{colour}\">{name}</text>\n",
            points.join(" "),
            LEFT + 10.0
        );
    }
    svg += "</svg>\n";
    if !page {
        return svg;
    }
    let title = escaped(title);
    format!("<!doctype html>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n{svg}")
}

/// Where each share stands (0 to 4 nines) and what it does not exceed.
fn curve(hist: &Hist) -> impl Iterator<Item = (f64, u64)> + '_ {
    let last = NINES * STEPS;
    (0..=last).map(|step| {
        let nines = step as f64 / STEPS as f64;
        let share = (1.0 - 10f64.powf(-nines)) * 100_000.0;
        (nines, hist.percentile(share.round() as u32))
    })
}

fn grid(decades: u32, svg: &mut String) {
    for nines in 0..=NINES {
        let x = across(nines as f64);
        let label = ["0 %", "90 %", "99 %", "99.9 %", "99.99 %"].get(nines).unwrap_or(&"");
        *svg += &format!(
            "<path d=\"M{x:.1} {TOP}V{}\" stroke=\"#dddddd\"/>\n\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>\n",
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 18.0
        );
    }
    for decade in LEAST.ilog10()..=decades {
        let y = upwards(10u64.saturating_pow(decade), decades);
        let label = match 10u64.saturating_pow(decade) {
            nanos if nanos < 1_000 => format!("{nanos} ns"),
            nanos if nanos < 1_000_000 => format!("{} us", nanos / 1_000),
            nanos if nanos < 1_000_000_000 => format!("{} ms", nanos / 1_000_000),
            nanos => format!("{} s", nanos / 1_000_000_000),
        };
        *svg += &format!(
            "<path d=\"M{LEFT} {y:.1}H{}\" stroke=\"#dddddd\"/>\n\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>\n",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y + 4.0
        );
    }
}

fn point(nines: f64, nanos: u64, decades: u32) -> String {
    format!("{:.1},{:.1}", across(nines), upwards(nanos, decades))
}

fn across(nines: f64) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * nines / NINES as f64
}

/// Nobody is quicker than a hundred nanoseconds, so the axis begins there.
fn upwards(nanos: u64, decades: u32) -> f64 {
    let above = (nanos.max(LEAST) as f64).log10() - f64::from(LEAST.ilog10());
    let share = above / f64::from(decades.saturating_sub(LEAST.ilog10()).max(1));
    HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share
}

/// Of the power of ten that is above it.
fn digits(nanos: u64) -> u32 {
    nanos.max(LEAST).ilog10() + 1
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 40.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 40.0;
/// Where the vertical axis begins, in nanoseconds.
const LEAST: u64 = 100;
const NINES: usize = 4;
/// Points of a curve for each nine.
const STEPS: usize = 25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_stands_where_the_axis_says() {
        let mut tally = Tally::default();
        tally.due.record_all(5_000, 9_990);
        tally.due.record_all(2_000_000, 10);
        let (right, top) = (across(4.0), upwards(1_000_000, 7));
        assert!(across(3.0) < right && top < upwards(5_000, 7));
        assert_eq!(upwards(1, 7), upwards(LEAST, 7));
        let all: Vec<(f64, u64)> = curve(&tally.due).collect();
        assert!(all.iter().all(|(x, nanos)| *x >= 3.0 || nanos.abs_diff(5_000) < 40));
        assert!(all.last().unwrap().1 > 1_980_000, "the last point is the tail");
    }

    #[test]
    fn a_title_cannot_be_markup() {
        let page = draw("<script>", &Tally::default(), true);
        assert!(page.starts_with("<!doctype html>") && page.contains("&lt;script&gt;"));
        assert!(!page.contains("<script>"));
    }
}
