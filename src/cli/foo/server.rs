//! Floor 6. `spindle foo-server`: answers requests, for whoever tries a proxy.
//!
//! A thread for each connection is plenty for that. Absent on purpose: TLS, bounds, and speed that
//! anybody should measure a proxy by.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use super::super::{FAILED, complain, say};
use super::{everywhere, hash, or_env};

/// Lines longer than this end their connection.
const LINE_MAX: u64 = 1 << 20;

/// Answer every request with a digest of it: the original's test server
#[derive(clap::Args, Debug)]
pub(crate) struct Server {
    /// Where to listen [default: :8001]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

impl Server {
    pub(crate) fn run(self) -> u8 {
        let at = everywhere(&or_env(self.listen, "server-listen", ":8001"));
        let listener = match TcpListener::bind(&at) {
            Ok(listener) => listener,
            Err(e) => return complain(&format!("cannot listen on {at}: {e}"), FAILED),
        };
        let bound = listener.local_addr().map_or(at, |bound| bound.to_string());
        say(&format!("Listening on {bound}"));
        for stream in listener.incoming() {
            let Ok(stream) = stream else { continue };
            let served = std::thread::Builder::new().stack_size(128 << 10);
            // Without a thread for it, a connection is closed by being dropped.
            let _ = served.spawn(move || serve(&stream));
        }
        0
    }
}

/// Until its end, or until it cannot be told anything more.
fn serve(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut input = BufReader::new(stream);
    let (mut line, mut said) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        let read = std::io::Read::take(&mut input, LINE_MAX).read_until(b'\n', &mut line);
        if read.is_err() || line.pop() != Some(b'\n') {
            return;
        }
        said.extend_from_slice(hash::reply(&line).as_bytes());
        said.push(b'\n');
        // What came together is answered together.
        if input.buffer().is_empty() || said.len() > 1 << 16 {
            let mut out = stream;
            if out.write_all(&said).is_err() {
                return;
            }
            said.clear();
        }
    }
}
