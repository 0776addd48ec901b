//! Floor 6. `spindle hash`: a password in, the line for a users file out.
//!
//! The password comes from standard input, never from the command line, where everybody on the
//! machine could read it. Absent on purpose: writing users files.

use std::io::Read;

use crate::access::scram;

use super::ctl::object;
use super::{FAILED, complain, say, say_json};

/// Read, hash, print.
pub(super) fn run(by_scram: bool, json: bool) -> u8 {
    let mut text = Vec::new();
    let limit = MAX as u64 + 2;
    if let Err(e) = std::io::stdin().lock().take(limit).read_to_end(&mut text) {
        return complain(&format!("cannot read the password: {e}"), FAILED);
    }
    // The end of the line is not part of the password.
    while text.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
        text.pop();
    }
    if text.is_empty() || text.len() > MAX || text.contains(&0) {
        let line = format!("a password has 1 to {MAX} bytes, and no NUL among them");
        return complain(&line, FAILED);
    }
    if by_scram {
        let mut salt = [0; 16];
        return match getrandom::fill(&mut salt) {
            Ok(()) => tell("scram_sha_256", &scram::hash(&text, salt), json),
            Err(e) => complain(&format!("no random salt: {e}"), FAILED),
        };
    }
    match bcrypt::hash(&text, COST) {
        Ok(hash) => tell("password_hash", &hash, json),
        Err(e) => complain(&format!("cannot hash the password: {e}"), FAILED),
    }
}

fn tell(key: &str, hash: &str, json: bool) -> u8 {
    if json { say_json(&object(vec![(key, hash.into())])) } else { say(hash) }
}

/// What bcrypt looks at.
pub(super) const MAX: usize = 72;
/// A quarter of a second on a small machine.
pub(super) const COST: u32 = 12;
