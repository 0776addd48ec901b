//! Floor 6. A command that answers calls: what it is given, what it prints, and its end.
//!
//! The call is its standard input, as one JSON document; what it prints is the result, JSON or
//! text. A call that is cancelled kills it. What is read of it has a bound. Absent on purpose: a
//! command that runs on and answers one call after the other.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use crate::client::wamp::{Failure, Invocation, Payload};
use crate::value::Value;

use super::values;

/// Run a command for a call.
pub(super) fn run(command: &str, lines: bool, invocation: &Invocation) -> Result<Payload, Failure> {
    let failed = |why: String| failure(&why);
    let mut child = Command::new("sh")
        .args(["-c", command])
        .env("SPINDLE_PROCEDURE", &invocation.procedure)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|e| failed(e.to_string()))?;
    let pieces = wire(&mut child, question(invocation), lines).map_err(|e| failed(e.to_string()));
    let said = pieces.and_then(|pieces| follow(&pieces, lines, invocation));
    if said.is_err() {
        end(&mut child);
    }
    let status = child.wait().map_err(|e| failed(e.to_string()))?;
    let said = said?;
    if status.success() { Ok(said) } else { Err(failed(status.to_string())) }
}

/// End it and all that it has begun, or what is left of it would hold our threads.
fn end(child: &mut Child) {
    let group = format!("kill -s KILL -- -{}", child.id());
    // It may have ended by itself.
    let _ = Command::new("sh").args(["-c", &group]).stderr(Stdio::null()).status();
    let _ = child.kill();
}

fn question(invocation: &Invocation) -> Vec<u8> {
    let mut all = vec![("procedure".to_owned(), Value::Text(invocation.procedure.clone()))];
    all.extend(values::members(&invocation.payload));
    let mut text = values::print(&Value::Map(all)).into_bytes();
    text.push(b'\n');
    text
}

/// Feed it and read it, each on a thread of its own: it may print before it has read.
fn wire(child: &mut Child, question: Vec<u8>, lines: bool) -> std::io::Result<Receiver<Vec<u8>>> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    std::thread::Builder::new().spawn(move || {
        if let Some(mut stdin) = stdin {
            // It need not read the question.
            let _ = stdin.write_all(&question);
        }
    })?;
    let (send, pieces) = bounded(16);
    std::thread::Builder::new().spawn(move || {
        let Some(stdout) = stdout else { return };
        let mut stdout = BufReader::new(stdout);
        loop {
            let mut piece = Vec::new();
            let mut most = (&mut stdout).take(PIECE_MAX);
            let read = match lines {
                true => most.read_until(b'\n', &mut piece),
                false => most.read_to_end(&mut piece),
            };
            // Who does not take it has ended.
            if !matches!(read, Ok(len) if len > 0) || send.send(piece).is_err() {
                return;
            }
        }
    })?;
    Ok(pieces)
}

/// What it prints, until it ends: the result. Lines before the last one go out as they come.
fn follow(
    pieces: &Receiver<Vec<u8>>,
    lines: bool,
    invocation: &Invocation,
) -> Result<Payload, Failure> {
    let mut all: Vec<u8> = Vec::new();
    let in_pieces = lines && invocation.receive_progress;
    loop {
        match pieces.recv_timeout(Duration::from_millis(50)) {
            Ok(piece) => {
                if in_pieces && !all.is_empty() {
                    // The caller may want no more; then the word of it comes next.
                    let _ = invocation.progress(vec![read(&all)]);
                    all.clear();
                }
                all.extend_from_slice(&piece);
                if all.len() as u64 >= PIECE_MAX {
                    return Err(failure("it prints more than a message can hold"));
                }
            }
            Err(RecvTimeoutError::Disconnected) if all.is_empty() => return Ok(().into()),
            Err(RecvTimeoutError::Disconnected) => return Ok(vec![read(&all)].into()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(interrupt) = invocation.interrupted() {
            return Err(Failure { uri: CANCELED.to_owned(), payload: interrupt.reason[..].into() });
        }
    }
}

/// JSON, or text without the last end of line.
fn read(printed: &[u8]) -> Value {
    let text = String::from_utf8_lossy(printed);
    values::value(text.strip_suffix('\n').unwrap_or(&text))
}

fn failure(why: &str) -> Failure {
    Failure { uri: FAILED.to_owned(), payload: why.into() }
}

const CANCELED: &str = "wamp.error.canceled";
const FAILED: &str = "spindle.error.command_failed";
/// No message is longer.
const PIECE_MAX: u64 = 16 << 20;
