//! Floor 6. How a line of the log looks: time, level, target, text.
//!
//! Time is UTC with milliseconds, so that lines of two machines can be laid side by side; journald
//! knows the time itself. Absent on purpose: colours and rotation.

use std::fmt;
use std::fs::File;
use std::io::Write;

use env_logger::{Builder, Target};
use log::{Level, LevelFilter, Record};

use crate::config::value::quoted;
use crate::config::{Format, Log};
use crate::os::clock::Clock;

/// Write the log as it is configured. How much of it can be changed later.
pub(super) fn start(to: &Log) -> Result<(), String> {
    let clock = Clock::start();
    let mut builder = Builder::new();
    let form = to.format;
    builder.filter_level(LevelFilter::Trace).target(Target::Stderr).format(move |f, record| {
        let at = Utc(clock.now().wall);
        match form {
            Format::Text => {
                writeln!(f, "{at} {:5} {} {}", record.level(), record.target(), record.args())
            }
            Format::Json => writeln!(f, "{}", json(&at, record)),
            Format::Journald => {
                let priority = priority(record.level());
                writeln!(f, "<{priority}>{} {}", record.target(), record.args())
            }
        }
    });
    if let Some(path) = &to.file {
        let file = File::options().append(true).create(true).open(path);
        let file = file.map_err(|e| format!("{}: {e}", path.display()))?;
        builder.target(Target::Pipe(Box::new(file)));
    }
    // A second start in one process keeps the first.
    let _ = builder.try_init();
    log::set_max_level(to.level);
    Ok(())
}

fn json(at: &Utc, record: &Record<'_>) -> String {
    format!(
        "{{\"time\":\"{at}\",\"level\":\"{}\",\"target\":{},\"text\":{}}}",
        record.level().as_str().to_ascii_lowercase(),
        quoted(record.target()),
        quoted(&record.args().to_string())
    )
}

/// As `syslog` counts them.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Milliseconds since 1970, spelled as RFC 3339 wants it.
struct Utc(u64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, ms) = (self.0 / 1_000, self.0 % 1_000);
        let (days, time) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = date(days);
        let (h, m, s) = (time / 3_600, time / 60 % 60, time % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z")
    }
}

/// Year, month and day of a day counted from 1970. Years begin in March here, so that the leap day
/// is the last of its year; 400 of them have always the same number of days.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (era * 400 + year + u64::from(month <= 2), month, of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |s: u64| Utc(s * 1_000 + 7).to_string();
        assert_eq!(at(0), "1970-01-01T00:00:00.007Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.007Z");
        assert_eq!(at(951_868_799), "2000-02-29T23:59:59.007Z");
        assert_eq!(at(1_709_251_200), "2024-03-01T00:00:00.007Z");
        assert_eq!(at(1_798_761_599), "2026-12-31T23:59:59.007Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00.007Z");
    }
}
