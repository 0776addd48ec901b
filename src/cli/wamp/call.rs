//! Floor 6. `spindle wamp call`: one call, and what came of it.
//!
//! Absent on purpose: calls in parts; what a shell has is there at once.

use clap::Args;

use crate::client::wamp::{Amount, CallOptions, Client, Error, Outcome, Payload, Text};
use crate::value::Value;

use super::super::exit;
use super::{Link, values};

/// Flags of `wamp call`.
#[derive(Args, Clone, Debug)]
pub(in super::super) struct Call {
    /// The procedure
    #[arg(value_name = "PROC")]
    procedure: String,
    /// Values: JSON, or text where it is none
    #[arg(value_name = "ARGS", allow_negative_numbers = true)]
    args: Vec<String>,
    /// Values by name: a JSON object
    #[arg(long, value_name = "JSON")]
    kwargs: Option<String>,
    /// All values are text
    #[arg(long)]
    text: bool,
    /// Milliseconds after which it is cancelled and ends with 27 [default: none]
    #[arg(long, value_name = "MS")]
    timeout: Option<u64>,
    /// Take results in pieces, and print each
    #[arg(long)]
    progress: bool,
    /// The callee may know who called
    #[arg(long)]
    disclose: bool,
    /// How to choose among callees: `partition`
    #[arg(long, value_name = "MODE", requires = "rkey")]
    runmode: Option<String>,
    /// By what to choose
    #[arg(long, value_name = "KEY", requires = "runmode")]
    rkey: Option<String>,
}

impl Call {
    pub(super) fn run(&self, link: &Link) -> u8 {
        let payload = match values::payload(&self.args, self.kwargs.as_deref(), self.text) {
            Ok(payload) => payload,
            Err(why) => return link.wrong(&why),
        };
        let options = CallOptions {
            timeout: self.timeout.map(Amount),
            receive_progress: self.progress,
            disclose_me: self.disclose,
            runmode: self.runmode.as_deref().map(Text::from),
            rkey: self.rkey.as_deref().map(Text::from),
            ..CallOptions::default()
        };
        match link.connect() {
            Ok(client) => ask(link, &client, &self.procedure, options, payload, values::line),
            Err(code) => code,
        }
    }
}

/// Call, and print every result.
pub(super) fn ask(
    link: &Link,
    client: &Client,
    procedure: &str,
    options: CallOptions,
    payload: Payload,
    plain: impl Fn(&Payload) -> String,
) -> u8 {
    let print = |outcome: &Outcome| {
        let text = match link.json {
            true => document(outcome),
            false => plain(&outcome.payload),
        };
        if !text.is_empty() {
            values::say(&text);
        }
    };
    let call = client.begin(procedure, options, payload);
    match call.and_then(|call| call.finish(|outcome| print(&outcome))) {
        Ok(outcome) => {
            print(&outcome);
            exit::DONE
        }
        Err(error) => {
            if let (true, Error::Failed(failure)) = (link.json, &error) {
                values::say(&values::failure(failure));
            }
            link.failed(&error)
        }
    }
}

fn document(outcome: &Outcome) -> String {
    let mut all = values::members(&outcome.payload);
    if !outcome.last {
        all.push(("progress".to_owned(), Value::Bool(true)));
    }
    values::print(&Value::Map(all))
}
