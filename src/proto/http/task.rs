//! Floor 3. What a request has come to: an answer, or a question that leads to one.
//!
//! A route says what it needs; asking and saying is the peer's. Rows of a long answer are written
//! as they are found, and the document around them before and behind. Absent on purpose: bytes of
//! HTTP.

use crate::base::json::Writer;
use crate::base::time::Now;
use crate::hub::Hub;
use crate::hub::admin::{Answer, Operation, Question, Search, SessionRow, SubRow};
use crate::hub::watch::Aim;

use super::call::Call;
use super::packet::Response;

/// Turns an answer into what is said.
pub type Render = fn(&Call, Answer, &Hub, Now) -> Response;

/// What is to be done for a request.
#[derive(Debug)]
pub enum Step {
    /// Say this.
    Say(Response),
    /// Ask this, and turn the answer into what is said.
    Ask(Question, Render),
    /// Find these, and write them so.
    Rows(Box<Search>, Shape),
    /// Whoever drives the machine does this; what it says about it is said.
    Operate(Operation),
    /// Say what happens as it happens: a snapshot every second, or this.
    Watch(Option<Aim>),
    /// Not now: try again when there is room.
    Later,
}

impl From<Response> for Step {
    fn from(response: Response) -> Self {
        Self::Say(response)
    }
}

/// How rows are written.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// What stands before them.
    pub begin: fn(&mut Writer),
    /// A session.
    pub session: fn(&SessionRow, &mut Writer),
    /// A subscription.
    pub subscription: fn(&SubRow, &mut Writer),
    /// What stands behind them, given how many there were.
    pub end: fn(&Call, &Search, u64, &mut Writer),
    /// Called when it is known how many there are; may begin anew.
    pub counted: fn(&Call, &mut Search),
}
