//! Floor 6. The binary: argv in, an exit code out; everything else is the library's.

use std::process::ExitCode;

fn main() -> ExitCode {
    spindle::cli::run()
}
