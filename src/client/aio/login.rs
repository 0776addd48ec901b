//! Floor 5. How a client becomes known to a server, in each of the four ways (specification 3).
//!
//! A server never greets. Without TLS and in TLS that checks nobody a hello is not answered either;
//! with certificates there is no hello at all. So that the server has taken us in is known when it
//! answers a ping, and that is asked by whoever connects. Absent on purpose: that ping; messages.

#![expect(clippy::disallowed_types, reason = "a client on its own thread reads its own clock")]

use std::path::Path;
use std::time::{Duration, Instant};

use crate::proto::aio::inner::{self, Hidden};
use crate::proto::aio::{Frame, Meaning, Side, meaning};
use crate::proto::fault::FaultKind;

use super::Error;
use super::keys::{self, Keys, Whom};
use super::setup::{Plan, Security};
use super::tls;
use super::wire::Wire;

/// A connection on which the server knows us.
pub(super) fn open(plan: &Plan) -> Result<Wire, Error> {
    if let Some(wire) = attempt(plan)? {
        return Ok(wire);
    }
    // Something was handed out. It is shown at once, as the original does.
    let again = attempt(plan)?;
    again.ok_or(Error::Refused("what it had handed out was to be shown"))
}

/// None: the server has handed out what the next connection is to show.
fn attempt(plan: &Plan) -> Result<Option<Wire>, Error> {
    let deadline = Instant::now() + plan.dial;
    match &plan.security {
        Security::Plain => hello(plan, None, deadline).map(Some),
        Security::AllowAll => {
            hello(plan, Some(tls::session(Whom::Anybody, None)?), deadline).map(Some)
        }
        Security::Known(print) => {
            hello(plan, Some(tls::session(Whom::Known(*print), None)?), deadline).map(Some)
        }
        Security::Certificates(dir) => certified(plan, dir, deadline),
        Security::Token { tokens, certificates } => {
            token(plan, tokens, certificates.as_deref(), deadline)
        }
    }
}

fn hello(
    plan: &Plan,
    tls: Option<crate::client::mqtt::Session>,
    deadline: Instant,
) -> Result<Wire, Error> {
    let meant = Meaning::Hello { tls: tls.is_some(), name: plan.name.clone() };
    let mut wire = Wire::open(plan, tls, deadline)?;
    say(&mut wire, plan, &meant)?;
    Ok(wire)
}

fn certified(plan: &Plan, dir: &Path, deadline: Instant) -> Result<Option<Wire>, Error> {
    let keys = Keys::new(dir, &plan.name);
    if let Some(own) = keys.own() {
        let tls = tls::session(Whom::File(&keys.server()), Some(&own))?;
        return Wire::open(plan, Some(tls), deadline).map(Some);
    }
    let tls = tls::session(Whom::File(&keys.server()), Some(&keys.default()))?;
    let mut wire = Wire::open(plan, Some(tls), deadline)?;
    say(&mut wire, plan, &Meaning::GetCertificate(plan.name.clone()))?;
    // The server makes a key first, which may take its time.
    let deadline = Instant::now() + plan.dial.max(ENROL);
    match answer(&mut wire, "a certificate was asked for", deadline)? {
        Meaning::SetCertificate { crt, key } => {
            tls::check(crt.as_str(), key.reveal())?;
            keys.save(crt.as_str(), key.reveal())?;
            wire.close(Instant::now() + LINGER);
            Ok(None)
        }
        _ => Err(FaultKind::AioCommand.fault().into()),
    }
}

fn token(
    plan: &Plan,
    dir: &Path,
    certificates: Option<&Path>,
    deadline: Instant,
) -> Result<Option<Wire>, Error> {
    let tls = match certificates.map(|dir| Keys::new(dir, &plan.name)) {
        None => tls::session(Whom::Anybody, None)?,
        Some(keys) => tls::session(Whom::File(&keys.server()), Some(&keys.default()))?,
    };
    let kept = keys::token(dir, &plan.name)?;
    let mut wire = Wire::open(plan, Some(tls), deadline)?;
    let Some(kept) = kept else {
        say(&mut wire, plan, &Meaning::GetToken(plan.name.clone()))?;
        let Meaning::SetToken(fresh) = answer(&mut wire, "a token was asked for", deadline)? else {
            return Err(FaultKind::AioCommand.fault().into());
        };
        if !(1..=TOKEN_MAX).contains(&fresh.reveal().len()) {
            return Err(FaultKind::AioCommand.fault().into());
        }
        keys::save_token(dir, &plan.name, fresh.reveal())?;
        wire.close(Instant::now() + LINGER);
        return Ok(None);
    };
    let shown = Meaning::Authenticate(plan.name.clone(), Hidden::from(kept.as_str()));
    say(&mut wire, plan, &shown)?;
    match answer(&mut wire, "the token was shown", deadline)? {
        Meaning::Welcome => Ok(Some(wire)),
        _ => Err(FaultKind::AioCommand.fault().into()),
    }
}

fn say(wire: &mut Wire, plan: &Plan, meant: &Meaning) -> Result<(), Error> {
    let frame: Option<Frame> = inner::frame(meant, plan.name.as_str());
    let mut frame = frame.ok_or(Error::Setting("nothing to say"))?;
    frame.header.destination_id = Some(plan.server.clone());
    wire.send(&frame)?;
    wire.flush()
}

fn answer(wire: &mut Wire, asked: &'static str, deadline: Instant) -> Result<Meaning, Error> {
    let frame = wire.hear(deadline)?.ok_or(Error::Refused(asked))?;
    Ok(meaning(&frame, Side::Server)?)
}

/// For a certificate to be made.
const ENROL: Duration = Duration::from_secs(30);
/// For the server to close after it has handed something out.
const LINGER: Duration = Duration::from_millis(500);
/// The longest token that is kept.
const TOKEN_MAX: usize = 1_024;
