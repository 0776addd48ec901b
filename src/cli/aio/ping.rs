//! Floor 6. `spindle aio ping`: is the server there, every two seconds.
//!
//! It ends with the first ping that is not answered. Absent on purpose: pinging clients, which only
//! a server can.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::value::Value;

use super::super::exit;
use super::{Link, Pace, print};

/// Flags of `aio ping`.
#[derive(Args, Clone, Debug)]
pub(in super::super) struct Ping {
    /// A configuration of a client of aioconnectors
    #[arg(value_name = "CONFIG")]
    config: Option<PathBuf>,
    /// End after so many answers
    #[arg(short = 'C', long, value_name = "PINGS")]
    count: Option<u64>,
    /// Milliseconds from one to the next
    #[arg(short, long, value_name = "MS", default_value_t = 2_000)]
    interval: u64,
}

impl Ping {
    pub(super) fn run(&self, link: &Link) -> u8 {
        let mut pace = Pace::begin();
        self.play(link, &mut pace).unwrap_or_else(|code| code)
    }

    fn play(&self, link: &Link, pace: &mut Pace) -> Result<u8, u8> {
        let config = link.config(self.config.as_ref())?;
        let client = link.connect(&link.builder(&config))?;
        let mut index = 0_u64;
        loop {
            index += 1;
            let data = format!("PING {}", index.to_string().repeat(5));
            let answer = client.ping_with(data.clone().into(), link.patience());
            let (took, received) = answer.map_err(|error| link.failed(&error))?;
            let ms = took.as_secs_f64() * 1e3;
            let line = if link.json {
                let same = received.frame.data == data.as_bytes();
                let pairs = vec![
                    ("data", print::text(data)),
                    ("same", Value::Bool(same)),
                    ("ms", Value::Float(ms)),
                ];
                print::json(pairs)
            } else {
                format!("{} after {ms:.3} ms", print::safe(&received.frame.data))
            };
            let done = !print::say(&line) || self.count == Some(index);
            if done || !pace.pause(Duration::from_millis(self.interval)) {
                return Ok(exit::DONE);
            }
        }
    }
}
