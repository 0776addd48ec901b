//! Floor 6. The original's recovery file: ten seconds of requests and answers.
//!
//! `{"index":2,"time_stamp":1795175652,"requests_10s":[...],"responses_10s":[...]}`: two rings of
//! ten seconds, the place that is filled next, and when that was. It is written beside, made
//! durable and then put in place, so that a start finds the old one or the new one. What the
//! original did wrong is not done again: one second too many was dropped, and an index beyond the
//! ring ended the program. Absent on purpose: totals, which the journal has.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::base::json::{Value, Writer};

/// Seconds of the rings.
const SECONDS: usize = 10;
/// A file longer than this is none of ours.
const LEN_MAX: u64 = 64 << 10;

/// Requests and answers of each of the last ten seconds, the newest first, as of some time in
/// seconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Seconds {
    pub(super) at: u64,
    pub(super) counts: [(u64, u64); SECONDS],
}

/// Read it. An error says what is wrong with it; no file is none.
pub(super) fn read(path: &Path) -> Result<Option<Seconds>, String> {
    let wrong = |what: &str| format!("{}: {what}", path.display());
    let len = match fs::metadata(path) {
        Ok(about) => about.len(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(wrong(&e.to_string())),
    };
    if len > LEN_MAX {
        return Err(wrong("too long for a recovery file"));
    }
    let text = fs::read(path).map_err(|e| wrong(&e.to_string()))?;
    parse(&text).map(Some).map_err(wrong)
}

fn parse(text: &[u8]) -> Result<Seconds, &'static str> {
    let all = Value::parse(text, 4, 64).map_err(|_| "not JSON")?;
    let number = |name| all.at(name).and_then(Value::whole);
    let at = number("time_stamp").ok_or("no time_stamp")?;
    let index = number("index").filter(|n| *n < SECONDS as u64).ok_or("no index from 0 to 9")?;
    let ring = |name| {
        let Some(Value::List(list)) = all.at(name) else { return None };
        let counts: Option<Vec<u64>> = list.iter().map(Value::whole).collect();
        counts.filter(|counts| counts.len() == SECONDS)
    };
    let asked = ring("requests_10s").ok_or("requests_10s is not ten counts")?;
    let answered = ring("responses_10s").ok_or("responses_10s is not ten counts")?;
    let counts = core::array::from_fn(|ago| {
        let place = (index as usize + 2 * SECONDS - 1 - ago) % SECONDS;
        (asked.get(place).copied().unwrap_or(0), answered.get(place).copied().unwrap_or(0))
    });
    Ok(Seconds { at, counts })
}

/// Write it, all of it or nothing.
pub(super) fn write(path: &Path, seconds: &Seconds) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let mut file = fs::File::create(beside)?;
    file.write_all(&spelled(seconds))?;
    file.sync_all()?;
    fs::rename(beside, path)
}

fn spelled(seconds: &Seconds) -> Vec<u8> {
    let mut json = Writer::new();
    json.open().field("index", 0_u64).field("time_stamp", seconds.at);
    json.list("requests_10s", |json| {
        for (asked, _) in seconds.counts.iter().rev() {
            json.value(*asked);
        }
    });
    json.list("responses_10s", |json| {
        for (_, answered) in seconds.counts.iter().rev() {
            json.value(*answered);
        }
    });
    json.close();
    json.take()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_originals_file_is_understood() {
        let text = br#"{"index":2,"time_stamp":1795175652,"requests_10s":[9,8,0,1,2,3,4,5,6,7],
            "responses_10s":[19,18,10,11,12,13,14,15,16,17]}"#;
        let read = parse(text).unwrap();
        assert_eq!(read.at, 1_795_175_652);
        let asked: Vec<u64> = read.counts.iter().map(|(asked, _)| *asked).collect();
        assert_eq!(asked, [8, 9, 7, 6, 5, 4, 3, 2, 1, 0], "the newest stands before the index");
        assert_eq!(read.counts[0].1, 18);
    }

    #[test]
    fn what_is_written_is_read() {
        let counts = core::array::from_fn(|n| (n as u64, 100 + n as u64));
        let seconds = Seconds { at: 7, counts };
        assert_eq!(parse(&spelled(&seconds)), Ok(seconds));
    }

    #[test]
    fn what_is_none_is_refused() {
        let ring = "[1,2,3,4,5,6,7,8,9,0]";
        let file = |index: &str, ring: &str| {
            format!(
                "{{\"index\":{index},\"time_stamp\":1,\"requests_10s\":{ring},\
                 \"responses_10s\":{ring}}}"
            )
        };
        assert!(parse(file("9", ring).as_bytes()).is_ok());
        for text in [
            String::new(),
            "{}".into(),
            file("10", ring),
            file("-1", ring),
            file("0", "[1]"),
            file("0", "[1,2,3,4,5,6,7,8,9,-1]"),
            file("0", "7"),
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
