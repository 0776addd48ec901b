//! Floor 6. Passwords guessed as fast as they can be sent, and somebody who knows theirs.
//!
//! Guesses come from another address than the one who belongs here. A guess is answered like any
//! other or refused for want of time; the one who knows the password gets in, and comes in again
//! and again. Absent on purpose: how long a guesser must wait (`access/throttle_test.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use super::overload::{MQTT, beside_canary};
use super::overload_rig::{Outcome, Scratch, ensure, told};
use super::overload_words::{Hello, Wire};

/// Who guess at the same time.
const GUESSERS: usize = 150;
/// What one check takes of a worker; optimised or not, about as long.
const COST: u32 = if cfg!(debug_assertions) { 6 } else { 8 };

pub(crate) fn guesses(long: bool) -> Outcome {
    let dir = Scratch::new("users")?;
    let hash = bcrypt::hash("pencil", COST).map_err(told)?;
    let group =
        "[groups.all]\ntype = \"inclusive\"\nrules = [\"can publish #\", \"can subscribe #\"]\n";
    let users = format!(
        "mode = \"strict\"\nguests = \"all\"\n{group}[[users]]\nname = \"ann\"\ngroup = \"all\"\n\
         password_hash = \"{hash}\"\n"
    );
    let file = dir.0.join("users.toml");
    std::fs::write(&file, users).map_err(told)?;
    let file = file.display().to_string();
    let listen = [MQTT, "mqtt://[::1]:0"];
    beside_canary("login", &listen, &["--users", &file], |rig| {
        let seconds = Duration::from_secs(if long { 20 } else { 4 });
        let over = Arc::new(AtomicBool::new(false));
        let target = rig.addresses[1].clone();
        let crowd: Vec<_> = (0..GUESSERS)
            .map(|n| {
                let (over, target) = (Arc::clone(&over), target.clone());
                thread::spawn(move || guess(&target, n, &over))
            })
            .collect();
        let good = come_and_go(rig.address(), seconds);
        over.store(true, Relaxed);
        let mut answers = BTreeMap::new();
        for guesser in crowd {
            for (code, count) in guesser.join().map_err(|_| "a guesser fell")? {
                *answers.entry(code).or_insert(0) += count;
            }
        }
        let took = good?;
        let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
        let all: u64 = answers.values().sum();
        ensure(!answers.contains_key("0x0"), || format!("a guess was let in: {answers:?}"))?;
        let busy = answers.get("0x89").copied().unwrap_or_default();
        ensure(busy > 0 && all > busy, || format!("no flood: {answers:?}"))?;
        ensure(worst < Duration::from_secs(2), || format!("a good login took {worst:?}"))?;
        rig.has_said(&["login refused", "address=::1", "user=ann"])?;
        rig.has_said(&["limit reached", "who=::", "limit=verify_per_address_max"])?;
        Ok(vec![format!(
            "{all} guesses in {seconds:?}, answered {answers:?}; {} good logins, {median:.0?} in \
             the middle, {worst:.0?} at most",
            took.len()
        )])
    })
}

/// Guess until it is over: how often each answer came.
fn guess(address: &str, n: usize, over: &AtomicBool) -> BTreeMap<String, u64> {
    let mut answers = BTreeMap::new();
    for round in 0.. {
        if over.load(Relaxed) {
            break;
        }
        let (id, password) = (format!("guesser-{n}"), format!("{n}-{round}"));
        let hello = Hello { id: &id, user: Some(("ann", &password)), ..Hello::default() };
        let answer = Wire::open(address).and_then(|mut wire| wire.hello(&hello));
        let answer = answer.map_or_else(|why| why, |code| format!("{code:#x}"));
        *answers.entry(answer).or_insert(0) += 1;
    }
    answers
}

/// Log in again and again: how long each login took, in order of that.
fn come_and_go(address: &str, seconds: Duration) -> Result<Vec<Duration>, String> {
    let (start, mut took) = (Instant::now(), Vec::new());
    while start.elapsed() < seconds {
        let before = Instant::now();
        let hello = Hello { id: "ann", user: Some(("ann", "pencil")), ..Hello::default() };
        Wire::join(address, &hello).map_err(|why| format!("ann stays out: {why}"))?;
        took.push(before.elapsed());
        thread::sleep(Duration::from_millis(50));
    }
    took.sort_unstable();
    Ok(took)
}
