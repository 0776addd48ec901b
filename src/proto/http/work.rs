//! Floor 3. From a request that may be carried out to its answer.
//!
//! What a route wants is done here: say something, ask the machine and say what follows from its
//! answer, write rows as they are found, or go on saying what happens. Absent on purpose: reading
//! requests, and who may make them (`peer`).

use crate::base::id::Ticket;
use crate::base::json::Writer;
use crate::base::outbound::Outbound;
use crate::base::time::Now;
use crate::hub::Hub;
use crate::hub::admin::{Answer, Operation, Question, Search};
use crate::proto::{Ask, Ctx};

use super::call::Call;
use super::encode::{self, Extent};
use super::events::{self, Stream};
use super::packet::{EVENTS, JSON, Method, Request, Response};
use super::peer::{Peer, State};
use super::routes::Route;
use super::task::{Render, Shape, Step};
use super::{problem, v1};

/// What is written of a long answer before it is said.
const AHEAD: usize = 32 << 10;
/// An answer that is no longer than this has a length.
const SHORT: usize = 64 << 10;

/// An answer in the making.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) call: Call,
    pub(super) route: &'static Route,
    pub(super) task: Task,
}

#[derive(Debug)]
pub(super) enum Task {
    /// The question is with the machine, or waits to be taken there.
    Once(Option<Question>, Render),
    /// So are rows.
    Rows { search: Option<Box<Search>>, shape: Shape, json: Writer, told: Told },
    /// Whoever drives the machine does something; how what it says is written.
    Operating(u32, fn(&str, &mut Writer)),
    /// A trace is begun.
    Aiming(Option<Question>),
    /// Events are said as they happen.
    Events(Stream),
    /// There is no room now.
    Later,
}

/// How far rows have come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// So many were written.
    rows: u64,
    /// It is known how many there are.
    counted: bool,
    /// The head of the answer is said.
    begun: bool,
}

impl Work {
    /// Some of the answer is out already.
    pub(super) fn is_begun(&self) -> bool {
        match &self.task {
            Task::Events(_) => true,
            Task::Rows { told, .. } => told.begun,
            _ => false,
        }
    }
}

impl Peer {
    pub(super) fn carry_out(&mut self, call: Call, route: &'static Route, ctx: &mut Ctx<'_>) {
        let task = match (route.act)(&call, ctx) {
            Step::Say(response) => return self.respond(ctx.now, &call.request, response),
            Step::Ask(question, render) => Task::Once(Some(question), render),
            Step::Rows(search, shape) => {
                let mut json = Writer::new();
                (shape.begin)(&mut json);
                Task::Rows { search: Some(search), shape, json, told: Told::default() }
            }
            Step::Operate(what) => {
                self.serial += 1;
                let ticket = Ticket { conn: ctx.conn, serial: self.serial };
                let write = words_of(&what);
                ctx.asks.push(Ask::Operate { ticket, what });
                Task::Operating(self.serial, write)
            }
            Step::Watch(_) if call.is_head() => {
                let response = Response::new(200, EVENTS, "");
                return self.respond(ctx.now, &call.request, response);
            }
            Step::Watch(aim) => {
                if !self.watching && ctx.hub.viewers >= ctx.hub.limits.http_viewers_max {
                    let full = problem::of(503, "as many watch already as may");
                    let full = full.with("Retry-After", "10");
                    return self.respond(ctx.now, &call.request, full);
                }
                ctx.hub.viewers += usize::from(!self.watching);
                self.watching = true;
                match aim {
                    Some(aim) => Task::Aiming(Some(Question::Trace(aim))),
                    None => {
                        let stream = Stream::new(None);
                        self.say_events_head(ctx.now, &call.request, &stream);
                        Task::Events(stream)
                    }
                }
            }
            Step::Later => {
                ctx.asks.push(Ask::Stall);
                Task::Later
            }
        };
        self.waits = false;
        self.state = State::Working(Box::new(Work { call, route, task }));
    }

    /// Something the machine is to be asked.
    pub fn poll_question(&mut self) -> Option<Question> {
        if self.said.len() - self.sent >= AHEAD {
            return None;
        }
        let State::Working(work) = &mut self.state else { return None };
        match &mut work.task {
            Task::Once(question, _) | Task::Aiming(question) => question.take(),
            Task::Rows { search, .. } => search.take().map(Question::Search),
            Task::Events(stream) if self.said.is_empty() => stream.poll_question(),
            Task::Events(_) | Task::Operating(..) | Task::Later => None,
        }
    }

    pub(super) fn has_question(&self) -> bool {
        let State::Working(work) = &self.state else { return false };
        match &work.task {
            // What waits for the disk is asked again when that wakes us, not before.
            Task::Once(question, _) => question.is_some() && !self.waits,
            Task::Aiming(question) => question.is_some(),
            Task::Rows { search, .. } => search.is_some(),
            Task::Events(stream) => stream.is_due(),
            Task::Operating(..) | Task::Later => false,
        }
    }

    /// Whoever drives the machine has done what was wanted, or not.
    pub fn on_operated(&mut self, now: Now, serial: u32, result: Result<String, String>) {
        let State::Working(work) = &self.state else { return };
        let Task::Operating(asked, write) = work.task else { return };
        if asked != serial {
            return;
        }
        let request = work.call.request.clone();
        let response = match result {
            Ok(text) => v1::data(|json| {
                json.open();
                write(&text, json);
                json.close();
            }),
            Err(why) => problem::of(409, &why),
        };
        self.respond(now, &request, response);
    }

    /// The machine has answered.
    pub fn on_answer(&mut self, now: Now, answer: Answer, hub: &Hub) {
        let State::Working(work) = core::mem::replace(&mut self.state, State::Over) else { return };
        let Work { call, route, task } = *work;
        let again = |task| State::Working(Box::new(Work { call: call.clone(), route, task }));
        match task {
            Task::Once(_, render) if matches!(answer, Answer::Wait(_)) => {
                let Answer::Wait(question) = answer else { return };
                self.waits = true;
                self.state = again(Task::Once(Some(question), render));
            }
            Task::Aiming(_) => match answer {
                Answer::Tracing(Some(trace)) => {
                    let stream = Stream::new(Some(trace));
                    self.say_events_head(now, &call.request, &stream);
                    self.state = again(Task::Events(stream));
                }
                _ => self.respond(now, &call.request, problem::of(503, "too many traces")),
            },
            Task::Events(stream) => {
                let piece = stream.write(now, &answer);
                let mut out = Outbound::default();
                encode::piece(&piece, self.extent, &mut out);
                self.said.extend_from_slice(&out.to_vec());
                self.state = again(Task::Events(stream));
            }
            Task::Once(_, render) => {
                let response = render(&call, answer, hub, now);
                self.respond(now, &call.request, response);
            }
            Task::Rows { shape, mut json, mut told, .. } => {
                let mut search = write_rows(answer, shape, &mut json, &mut told.rows);
                if search.total.is_some() && !told.counted {
                    told.counted = true;
                    (shape.counted)(&call, &mut search);
                }
                let over = search.is_over();
                if over {
                    (shape.end)(&call, &search, told.rows, &mut json);
                }
                if over && !told.begun {
                    let response = Response::json(200, json.take());
                    return self.respond(now, &call.request, response);
                }
                // A long answer is begun when it turns out to be one.
                if told.begun || json.len() >= SHORT {
                    self.say_rows(now, &call.request, &mut json, &mut told.begun, over);
                }
                if !over {
                    let task = Task::Rows { search: Some(search), shape, json, told };
                    self.state = State::Working(Box::new(Work { call, route, task }));
                }
            }
            Task::Later | Task::Operating(..) => {}
        }
    }

    /// Say that events follow.
    fn say_events_head(&mut self, now: Now, request: &Request, stream: &Stream) {
        self.begin(request, None);
        // Behind a stream nothing can follow.
        self.last = true;
        let head = encode::head(now.wall, 200, EVENTS, &[], self.extent, true);
        self.said.extend_from_slice(&head);
        let mut out = Outbound::default();
        encode::piece(events::HELLO, self.extent, &mut out);
        self.said.extend_from_slice(&out.to_vec());
        self.since = stream.since(now);
    }

    /// Say what is written of a long answer.
    pub(super) fn say_rows(
        &mut self,
        now: Now,
        request: &Request,
        json: &mut Writer,
        begun: &mut bool,
        over: bool,
    ) {
        let mut out = Outbound::default();
        if !*begun {
            *begun = true;
            self.begin(request, None);
            let head = encode::head(now.wall, 200, JSON, &[], self.extent, self.last);
            out.put_slice(&head);
        }
        let bytes = json.take();
        if request.method != Method::Head {
            encode::piece(&bytes, self.extent, &mut out);
            if over {
                encode::end(self.extent, &mut out);
            }
        }
        self.said.extend_from_slice(&out.to_vec());
        if over {
            self.state = State::Answering;
        }
    }

    /// Decide how the end of an answer is told.
    pub(super) fn begin(&mut self, request: &Request, len: Option<usize>) {
        self.last |= !request.keep;
        self.extent = match len {
            Some(len) => Extent::Len(len),
            None if request.modern => Extent::Chunks,
            None => Extent::Rest,
        };
        self.last |= self.extent == Extent::Rest;
    }

    /// Say a whole answer.
    pub(super) fn respond(&mut self, now: Now, request: &Request, response: Response) {
        let Response { status, media, fields, body, after, last } = response;
        self.last |= last;
        self.begin(request, Some(body.len()));
        if matches!(status, 204 | 304) {
            self.extent = Extent::None;
        }
        let head = encode::head(now.wall, status, media, &fields, self.extent, self.last);
        self.said.extend_from_slice(&head);
        if request.method != Method::Head {
            self.said.extend_from_slice(&body);
        }
        self.after = self.after.max(after);
        self.state = State::Answering;
    }

    /// It is time for the next event.
    pub(super) fn on_tick(&mut self, now: Now) {
        let State::Working(work) = &mut self.state else { return };
        if let Task::Events(stream) = &mut work.task {
            self.since = stream.since(now);
            stream.on_tick();
        }
    }
}

/// How what was said of an operation is written.
fn words_of(what: &Operation) -> fn(&str, &mut Writer) {
    match what {
        Operation::Measure(_) => |text, json| {
            json.field("rtt_us", text.parse::<u64>().ok());
        },
        _ => |text, json| {
            json.field("result", text);
        },
    }
}

/// Write what was found.
fn write_rows(answer: Answer, shape: Shape, json: &mut Writer, shown: &mut u64) -> Box<Search> {
    match answer {
        Answer::Sessions(rows, search) => {
            for row in &rows {
                (shape.session)(row, json);
            }
            *shown += rows.len() as u64;
            search
        }
        Answer::Subscriptions(rows, search) => {
            for row in &rows {
                (shape.subscription)(row, json);
            }
            *shown += rows.len() as u64;
            search
        }
        // What was not asked is an end.
        _ => Box::new(Search { total: Some(0), ..Search::default() }),
    }
}
