//! Floor 3. Is it alive, is it ready: asked by whoever restarts or balances, without a password.
//!
//! Alive means that the loop turned, which the answer itself shows. Ready names each thing that
//! was looked at and is not well. Absent on purpose: anything a stranger could use.

use crate::base::json::Writer;
use crate::base::time::Now;
use crate::hub::Hub;
use crate::hub::admin::{Answer, Check, Question};
use crate::proto::Ctx;

use super::call::Call;
use super::packet::Response;
use super::task::Step;

/// The loop turns.
pub fn livez(_: &Call, _: &mut Ctx<'_>) -> Step {
    Response::json(200, br#"{"status":"ok","failing":[]}"#.to_vec()).into()
}

/// Everything is there that is needed to serve.
pub fn readyz(_: &Call, _: &mut Ctx<'_>) -> Step {
    Step::Ask(Question::Health, ready)
}

fn ready(_: &Call, answer: Answer, _: &Hub, _: Now) -> Response {
    let Answer::Health(checks) = answer else { return Response::text(500, "") };
    let well = checks.iter().all(|check| check.ok);
    let mut json = Writer::new();
    json.open().field("status", if well { "ok" } else { "unavailable" });
    json.list("failing", |json| failing(&checks, json));
    json.close();
    Response::json(if well { 200 } else { 503 }, json.take())
}

/// What is not well.
pub(super) fn failing(checks: &[Check], json: &mut Writer) {
    for check in checks.iter().filter(|check| !check.ok) {
        json.open().field("check", check.name).field("text", &check.text).close();
    }
}
