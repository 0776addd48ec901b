//! Floor 6. Where threads of a bench run, so that two cores are divided as it says.
//!
//! By util-linux's `taskset` and `chrt`; a machine that cannot do it says so and measures on.

use crate::report;
use std::process::{Command, Stdio};

/// Ask the scheduler something for the calling thread alone. A machine that cannot do it says so.
fn schedule(program: &str, args: &[&str]) -> bool {
    let me = std::fs::read_link("/proc/thread-self").expect("a thread's number");
    let me = me.file_name().expect("a number").to_owned();
    let status = Command::new(program).args(args).arg(me).stdout(Stdio::null()).status();
    let done = status.is_ok_and(|s| s.success());
    if !done {
        report::say(&format!("place {program} {}: not done", args.join(" ")));
    }
    done
}

/// From now on this thread, and what it starts, runs on this core only.
pub(crate) fn stay_on(core: &str) {
    schedule("taskset", &["--cpu-list", "--pid", core]);
}

/// From now on this thread runs when nobody else wants to; false where that may not be.
pub(crate) fn give_way() -> bool {
    schedule("chrt", &["--idle", "--pid", "0"])
}

/// From now on this thread runs before all others of its core; false where that may not be.
pub(crate) fn go_first() -> bool {
    schedule("chrt", &["--fifo", "--pid", "50"])
}
