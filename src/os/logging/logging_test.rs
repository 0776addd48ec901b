//! Floor 5. Lines in all forms, and a writer that loses nothing quietly and never waits.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use log::{Level, Record};

use super::format::{Form, Made, Said, line, told};
use super::writer::{Out, Writer};
use crate::base::tail::Ask;
use crate::os::clock::Clock;

const WALL: u64 = 1_709_251_200_007;

/// One line of each form.
fn lines(text: &str, pairs: &[(&str, log::kv::Value<'_>)]) -> [String; 3] {
    [Form::Text, Form::Json, Form::Journald].map(|form| {
        let args = format_args!("{text}");
        let record = Record::builder()
            .level(Level::Warn)
            .target("spindle::conn")
            .args(args)
            .key_values(&pairs)
            .build();
        line(form, WALL, &record).line
    })
}

#[test]
fn all_forms_have_the_same_keys() {
    use log::kv::Value;

    let user = Said(b"o'brien \"x\"");
    let pairs = [
        ("conn", Value::from("3.1")),
        ("user", Value::from_display(&user)),
        ("len", Value::from(7_u64)),
        ("retain", Value::from(true)),
    ];
    let [text, json, journald] = lines("it happened", &pairs);
    let tail = "spindle::conn it happened conn=3.1 user=\"o'brien \\\"x\\\"\" len=7 retain=true\n";
    assert_eq!(text, format!("2024-03-01T00:00:00.007Z WARN  {tail}"));
    assert_eq!(journald, format!("<4>{tail}"));
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let want = serde_json::json!({
        "time": "2024-03-01T00:00:00.007Z", "level": "warn", "target": "spindle::conn",
        "message": "it happened", "conn": "3.1", "user": "o'brien \"x\"", "len": 7,
        "retain": true,
    });
    assert_eq!(value, want);
}

#[test]
fn a_line_stays_one_line_whatever_is_in_it() {
    let wild = "a\nb\r\u{1b}[31m\u{7}\u{0}\u{9b}\u{202e}\u{2028}\"\\";
    let said = Said(wild.as_bytes());
    let broken = Said(b"\xff\xfe\n");
    let pairs = [
        ("k", log::kv::Value::from_display(&said)),
        ("broken", log::kv::Value::from_display(&broken)),
    ];
    for shown in lines(wild, &pairs) {
        let (body, end) = shown.split_at(shown.len() - 1);
        assert_eq!(end, "\n");
        let wild = |c: &char| c.is_control() || matches!(*c, '\u{202e}' | '\u{2028}');
        assert_eq!(body.chars().find(wild), None, "{body}");
        assert!(body.contains("xff"), "{body}");
        if body.starts_with('{') {
            let value: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!((&value["k"], &value["message"]), (&wild_text(), &wild_text()));
        }
    }
}

fn wild_text() -> serde_json::Value {
    "a\nb\r\u{1b}[31m\u{7}\u{0}\u{9b}\u{202e}\u{2028}\"\\".into()
}

#[test]
fn whoever_asks_is_told_the_same_in_all_forms() {
    use log::kv::Value;

    let user = Said(b"o'brien \"x\"\x1b\xff");
    let pairs = [
        ("user", Value::from_display(&user)),
        ("len", Value::from(7_u64)),
        ("below", Value::from(-3_i64)),
        ("retain", Value::from(true)),
        ("none", Value::from("")),
    ];
    let forms = [Form::Text, Form::Json, Form::Journald];
    let all = lines("a \u{1b}[31mred \"word\"", &pairs);
    for (form, line) in forms.into_iter().zip(all) {
        let (target, text) = told(form, &line).unwrap();
        assert_eq!(target, "spindle::conn", "{form:?}");
        assert_eq!(
            text,
            "a \\u{1b}[31mred \"word\" user=\"o'brien \\\"x\\\"\\u001b\\\\xff\" len=7 below=-3 \
             retain=true none=\"\"",
            "{form:?}"
        );
    }
}

#[test]
fn the_last_lines_can_be_asked_for() {
    let pipe = Pipe::default();
    pipe.open(true);
    let writer =
        Writer::write_to(Out::Pipe(Box::new(pipe)), Form::Text, Clock::start(), 16).unwrap();
    let ask = Ask { after: 0, least: Level::Trace, most: 10 };
    assert_eq!(writer.tail(ask).lines, []);
    writer.put(line(
        Form::Text,
        WALL,
        &Record::builder()
            .level(Level::Warn)
            .target("spindle::conn")
            .args(format_args!("it\nhappened"))
            .build(),
    ));
    writer.flush(SOON);
    let page = writer.tail(ask);
    let line = &page.lines[0];
    assert_eq!((line.number, line.at, line.level), (1, WALL, Level::Warn));
    assert_eq!((line.target.as_str(), line.text.as_str()), ("spindle::conn", "it\\nhappened"));
}

#[test]
fn what_is_long_is_cut() {
    let long = "\u{1b}x".repeat(100_000);
    let said = Said(long.as_bytes());
    let pairs = [("k", log::kv::Value::from(&*long)), ("s", log::kv::Value::from_display(&said))];
    for shown in lines(&long, &pairs) {
        assert!(shown.len() < 40_000, "{}", shown.len());
        assert!(shown.contains("..."));
    }
}

/// A line as it is.
fn made(text: &str) -> Made {
    Made { line: text.to_owned(), level: Level::Info, wall: WALL }
}

/// A pipe that somebody can close with a hand, and what came through it.
#[derive(Clone, Default)]
struct Pipe(Arc<Hand>);

/// Open or not, and what came; told when it is opened.
type Hand = (Mutex<(bool, Vec<u8>)>, Condvar);

impl Pipe {
    fn open(&self, open: bool) {
        self.0.0.lock().unwrap().0 = open;
        self.0.1.notify_all();
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.0.lock().unwrap().1.clone()).unwrap()
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let state = self.0.0.lock().unwrap();
        let mut state = self.0.1.wait_while(state, |state| !state.0).unwrap();
        state.1.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const SOON: Duration = Duration::from_secs(20);

#[test]
fn nobody_waits_for_a_log_that_is_stuck_and_what_is_lost_is_said() {
    let pipe = Pipe::default();
    let out = Out::Pipe(Box::new(pipe.clone()));
    let writer = Writer::write_to(out, Form::Text, Clock::start(), 16).unwrap();
    for n in 0..5_000 {
        writer.put(made(&format!("line {n}\n")));
    }
    let lost = writer.dropped();
    // At least the queue and what the thread took off it has a place.
    assert!(lost > 0 && lost <= 5_000 - 16, "{lost}");
    pipe.open(true);
    writer.flush(SOON);
    writer.put(made("the last\n"));
    writer.flush(SOON);
    let text = pipe.text();
    let kept = text.lines().filter(|l| l.starts_with("line ")).count() as u64;
    assert_eq!(kept + lost, 5_000);
    // It may be said in parts; together they are all of it.
    let said = text.lines().filter_map(|l| l.split_once(" lines lost: "));
    let said =
        said.filter_map(|(head, _)| head.rsplit_once("WARN  spindle::log ")?.1.parse::<u64>().ok());
    assert_eq!(said.sum::<u64>(), lost, "{text}");
    assert!(text.ends_with("the last\n"), "and not again: {text}");
}

#[test]
fn a_file_that_was_moved_away_is_opened_again() {
    let name = format!("spindle-log-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let moved = path.with_extension("1");
    let setup =
        super::Setup { level: log::LevelFilter::Info, form: Form::Json, file: Some(path.clone()) };
    let writer = Writer::start(&setup, Clock::start()).unwrap();
    writer.put(made("before\n"));
    writer.flush(SOON);
    std::fs::rename(&path, &moved).unwrap();
    writer.put(made("still\n"));
    writer.flush(SOON);
    assert!(writer.reopen());
    writer.put(made("after\n"));
    writer.flush(SOON);
    assert_eq!(std::fs::read_to_string(&moved).unwrap(), "before\nstill\n");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("log file opened again") && text.ends_with("after\n"), "{text}");
    for path in [path, moved] {
        std::fs::remove_file(path).unwrap();
    }
    let nowhere = super::Setup { file: Some("/nowhere/at/all".into()), ..setup };
    assert!(Writer::start(&nowhere, Clock::start()).is_err());
}
