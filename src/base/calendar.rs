//! Floor 0. Milliseconds since 1970 as people and protocols write them, always in UTC.
//!
//! Days are turned into dates by counting eras of 400 years, which are all alike. Absent on
//! purpose: time zones, leap seconds (the clock has none), and reading the present time.

/// A moment, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// Year.
    pub year: u64,
    /// Month, from 1.
    pub month: u64,
    /// Day of the month, from 1.
    pub day: u64,
    /// Day of the week, Sunday is 0.
    pub weekday: u64,
    /// Hour, minute, second, millisecond.
    pub clock: [u64; 4],
}

impl Moment {
    /// Take a moment apart.
    #[must_use]
    pub fn of(ms: u64) -> Self {
        let (days, rest) = (ms / DAY_MS, ms % DAY_MS);
        // Eras begin in March, so that the day that not every year has is a year's last.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / ERA, shifted % ERA);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / (ERA - 1)) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march = (5 * day_of_year + 2) / 153;
        let month = if march < 10 { march + 3 } else { march - 9 };
        Self {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * march + 2) / 5 + 1,
            weekday: (days + 4) % 7,
            clock: [rest / 3_600_000, rest / 60_000 % 60, rest / 1_000 % 60, rest % 1_000],
        }
    }
}

/// The millisecond at which this moment of the clock begins; nothing for what is no date.
#[must_use]
pub fn ms_of([year, month, day]: [u64; 3], [h, m, s]: [u64; 3]) -> Option<u64> {
    let is_date = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_date || h > 23 || m > 59 || s > 60 {
        return None;
    }
    // Years begin in March, as above.
    let (year, march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * ERA + day_of_era).checked_sub(719_468)?;
    Some(days * DAY_MS + ((h * 60 + m) * 60 + s) * 1_000)
}

/// As RFC 3339 has it, with milliseconds.
#[must_use]
pub fn rfc3339(ms: u64) -> String {
    let Moment { year, month, day, clock: [h, m, s, milli], .. } = Moment::of(ms);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{milli:03}Z")
}

/// The millisecond that is written so, as RFC 3339 has it; of a finer fraction the millisecond in
/// which it lies. Nothing for what is no such date, or before 1970.
#[must_use]
pub fn read_rfc3339(text: &str) -> Option<u64> {
    let number = |at: core::ops::Range<usize>| digits(text.get(at)?);
    let signs = [4, 7, 10, 13, 16].map(|at| text.as_bytes().get(at).copied());
    let [Some(b'-'), Some(b'-'), Some(b'T' | b't' | b' '), Some(b':'), Some(b':')] = signs else {
        return None;
    };
    let date = [number(0..4)?, number(5..7)?, number(8..10)?];
    let whole = ms_of(date, [number(11..13)?, number(14..16)?, number(17..19)?])?;
    let rest = text.get(19..)?;
    let (milli, zone) = match rest.strip_prefix('.') {
        None => (0, rest),
        Some(rest) => {
            let (fraction, zone) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
            let padded = format!("{fraction:0<3}");
            (digits(padded.get(..3).filter(|_| !fraction.is_empty())?)?, zone)
        }
    };
    let local = whole + milli;
    if matches!(zone, "Z" | "z") {
        return Some(local);
    }
    let (h, m) = zone.get(1..)?.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2)?;
    let (h, m) = (digits(h).filter(|h| *h < 24)?, digits(m).filter(|m| *m < 60)?);
    let away = (h * 60 + m) * 60_000;
    match zone.as_bytes().first() {
        Some(b'+') => local.checked_sub(away),
        Some(b'-') => Some(local + away),
        _ => None,
    }
}

/// Nothing but digits.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// As HTTP has it (RFC 9110, 5.6.7).
#[must_use]
pub fn http_date(ms: u64) -> String {
    let Moment { year, month, day, weekday, clock: [h, m, s, _] } = Moment::of(ms);
    let name = |names: &[&'static str], at: u64| names.get(at as usize).copied().unwrap_or("");
    let (weekday, month) = (name(&WEEKDAYS, weekday), name(&MONTHS, month - 1));
    format!("{weekday}, {day:02} {month} {year:04} {h:02}:{m:02}:{s:02} GMT")
}

const DAY_MS: u64 = 86_400_000;
/// Days of 400 years.
const ERA: u64 = 146_097;
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        for (ms, date, http) in [
            (0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777_000, "1994-11-06T08:49:37.000Z", "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z", "Tue, 29 Feb 2000 00:00:00 GMT"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z", "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z", "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            assert_eq!((&*rfc3339(ms), &*http_date(ms)), (date, http));
        }
        assert_eq!(ms_of([1994, 11, 6], [8, 49, 37]), Some(784_111_777_000));
        for (date, time) in [
            ([1969, 12, 31], [0; 3]),
            ([2000, 0, 1], [0; 3]),
            ([2000, 13, 1], [0; 3]),
            ([2000, 1, 0], [0; 3]),
            ([2000, 1, 32], [0; 3]),
            ([2000, 1, 1], [24, 0, 0]),
            ([2000, 1, 1], [0, 60, 0]),
        ] {
            assert_eq!(ms_of(date, time), None, "{date:?} {time:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_again_in_whichever_zone() {
        for ms in [0, 784_111_777_000, 951_782_400_123, 4_107_542_399_999] {
            assert_eq!(read_rfc3339(&rfc3339(ms)), Some(ms));
        }
        for (text, ms) in [
            ("1994-11-06T08:49:37Z", Some(784_111_777_000)),
            ("1994-11-06t08:49:37z", Some(784_111_777_000)),
            ("1994-11-06 09:49:37+01:00", Some(784_111_777_000)),
            ("1994-11-05T22:19:37.5-10:30", Some(784_111_777_500)),
            ("1994-11-06T08:49:37.1239999Z", Some(784_111_777_123)),
            ("1970-01-01T00:00:00+00:01", None),
            ("1969-12-31T23:59:59Z", None),
            ("1994-11-06T08:49:37", None),
            ("1994-11-06T08:49:37.Z", None),
            ("1994-11-06T08:49:37.5", None),
            ("1994-11-06T08:49:37+24:00", None),
            ("1994-11-06T08:49:37+01:60", None),
            ("1994-11-06T08:49:37+1:00", None),
            ("1994-11-06T08:49:37*01:00", None),
            ("1994-11-06T08:49:37Zx", None),
            ("1994-11-06X08:49:37Z", None),
            ("1994-13-06T08:49:37Z", None),
            ("1994-1\u{e9}-06T08:49:37Z", None),
            ("+994-11-06T08:49:37Z", None),
            ("", None),
        ] {
            assert_eq!(read_rfc3339(text), ms, "{text}");
        }
    }

    #[test]
    fn every_day_of_five_centuries_follows_the_one_before() {
        let long = |year: u64| {
            year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
        };
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for n in 0..182_621u64 {
            let m = Moment::of(n * DAY_MS + 1);
            assert_eq!((m.year, m.month, m.day, m.weekday), (year, month, day, (n + 4) % 7));
            assert_eq!(ms_of([year, month, day], [0; 3]), Some(n * DAY_MS));
            let last = match month {
                2 => 28 + u64::from(long(year)),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            (day, month) = if day == last { (1, month + 1) } else { (day + 1, month) };
            (month, year) = if month == 13 { (1, year + 1) } else { (month, year) };
        }
    }
}
