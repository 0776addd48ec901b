//! wamp_async, driven line by line: one JSON request per line on standard input, one JSON answer
//! or event per line on standard output.
//!
//! One process is one client: to drop a connection without a word, end the process. Nothing is
//! decided here: a request becomes one call of the library, and what the library says becomes one
//! line. Absent on purpose: options (the library has none), octets (it carries JSON values only),
//! reconnection, timeouts, expectations.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::sync::{RwLock, mpsc, oneshot};
use wamp_async::{
    AuthenticationChallengeResponse, AuthenticationMethod, Client, ClientConfig, SerializerType,
    WampArgs, WampDict, WampError, WampId, WampKwArgs,
};

type Outcome = Result<(Option<WampArgs>, Option<WampKwArgs>), WampError>;

/// Invocations that nobody answered yet, by the number they were told under.
#[derive(Default)]
struct Pending {
    last: u64,
    waiting: HashMap<u64, oneshot::Sender<Outcome>>,
}

type Shared = Arc<Mutex<Pending>>;

#[tokio::main]
async fn main() {
    let (tell, mut asks) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines().map_while(Result::ok);
        for ask in lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok()) {
            if tell.send(ask).is_err() {
                return;
            }
        }
        std::process::exit(0);
    });
    let Some(first) = asks.recv().await else { return };
    let shared = Shared::default();
    match joined(&first).await {
        Ok(client) => serve(client, &shared, asks).await,
        Err(e) => {
            let (reason, message) = spelled(&e);
            say(&json!({"ev": "closed", "reason": reason, "message": message}));
        }
    }
}

async fn joined(ask: &Value) -> Result<Client<'static>, WampError> {
    let serializer = match text(&ask["serializer"]).as_str() {
        "msgpack" => SerializerType::MsgPack,
        _ => SerializerType::Json,
    };
    let config = ClientConfig::default()
        .set_serializers(vec![serializer])
        .set_max_msg_size(1 << 24)
        .set_ssl_verify(false);
    let (mut client, (events, calls)) = Client::connect(text(&ask["url"]), Some(config)).await?;
    tokio::spawn(async {
        let ended = events.await;
        let message = ended.err().map(|e| e.to_string());
        say(&json!({"ev": "closed", "reason": null, "message": message}));
    });
    if let Some(mut calls) = calls {
        tokio::spawn(async move {
            while let Some(call) = calls.recv().await {
                tokio::spawn(call);
            }
        });
    }
    let realm = text(&ask["realm"]);
    if ask["auth"].is_object() {
        let ticket = text(&ask["auth"]["ticket"]);
        let answer = move |_: AuthenticationMethod, _: WampDict| {
            let ticket = ticket.clone();
            async move { Ok(AuthenticationChallengeResponse::with_signature(ticket)) }
        };
        let methods = vec![AuthenticationMethod::Ticket];
        let authid = text(&ask["auth"]["authid"]);
        client.join_realm_with_authentication(realm, methods, authid, answer).await?;
    } else {
        client.join_realm(realm).await?;
    }
    say(&json!({"ev": "joined", "session": null, "details": {}}));
    Ok(client)
}

async fn serve(client: Client<'static>, shared: &Shared, asks: mpsc::UnboundedReceiver<Value>) {
    let mut asks = asks;
    let client = Arc::new(RwLock::new(client));
    while let Some(ask) = asks.recv().await {
        match ask["do"].as_str() {
            // Waited for aside: whoever calls itself has to answer meanwhile.
            Some("call") => drop(tokio::spawn(call(Arc::clone(&client), ask))),
            Some("leave") => {
                let left = client.write().await.leave_realm().await;
                answer(&ask, left.map(|()| json!({})));
                // Not told to disconnect: the library panics if the router was faster.
                say(&json!({"ev": "closed", "reason": "wamp.close.normal", "message": null}));
                std::process::exit(0);
            }
            _ => {
                let done = act(&*client.read().await, shared, &ask).await;
                answer(&ask, done);
            }
        }
    }
}

async fn act(client: &Client<'static>, shared: &Shared, ask: &Value) -> Result<Value, WampError> {
    match ask["do"].as_str() {
        Some("subscribe") => subscribe(client, ask).await,
        Some("unsubscribe") => client.unsubscribe(id_of(&ask["id"])?).await.map(|()| json!({})),
        Some("publish") => {
            let acknowledge = ask["options"]["acknowledge"] == true;
            let (args, kwargs) = carried(ask);
            let id = client.publish(text(&ask["topic"]), args, kwargs, acknowledge).await?;
            Ok(json!({"id": id}))
        }
        Some("register") => register(client, shared, ask).await,
        Some("unregister") => client.unregister(id_of(&ask["id"])?).await.map(|()| json!({})),
        Some("yield") => {
            settle(shared, ask, Ok(carried(ask)));
            Ok(json!({}))
        }
        Some("error") => {
            let error = WampError::ServerError(text(&ask["uri"]), WampDict::new());
            settle(shared, ask, Err(error));
            Ok(json!({}))
        }
        _ => Err(WampError::from("the library has no word for it".to_owned())),
    }
}

async fn subscribe(client: &Client<'static>, ask: &Value) -> Result<Value, WampError> {
    let (id, mut events) = client.subscribe(text(&ask["topic"])).await?;
    let name = ask["s"].clone();
    tokio::spawn(async move {
        while let Some((publication, args, kwargs)) = events.recv().await {
            let details = json!({"publication": publication});
            say(&json!({
                "ev": "event", "s": name, "args": args, "kwargs": kwargs, "details": details,
            }));
        }
    });
    Ok(json!({"id": id}))
}

async fn register(
    client: &Client<'static>,
    shared: &Shared,
    ask: &Value,
) -> Result<Value, WampError> {
    let (name, shared) = (ask["r"].clone(), Arc::clone(shared));
    let run = move |args: Option<WampArgs>, kwargs: Option<WampKwArgs>| {
        let (tell, told) = oneshot::channel();
        let mut pending = shared.lock().unwrap_or_else(PoisonError::into_inner);
        pending.last += 1;
        let number = pending.last;
        pending.waiting.insert(number, tell);
        drop(pending);
        say(&json!({
            "ev": "invocation", "i": number, "r": name, "args": args, "kwargs": kwargs,
            "details": {},
        }));
        async move {
            let gone = WampError::from("nobody answered".to_owned());
            told.await.unwrap_or(Err(gone))
        }
    };
    let id = client.register(text(&ask["procedure"]), run).await?;
    Ok(json!({"id": id}))
}

async fn call(client: Arc<RwLock<Client<'static>>>, ask: Value) {
    let (args, kwargs) = carried(&ask);
    let done = client.read().await.call(text(&ask["procedure"]), args, kwargs).await;
    answer(&ask, done.map(|(args, kwargs)| json!({"args": args, "kwargs": kwargs})));
}

fn settle(shared: &Shared, ask: &Value, outcome: Outcome) {
    let mut pending = shared.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(tell) = pending.waiting.remove(&ask["i"].as_u64().unwrap_or_default()) {
        let _ = tell.send(outcome);
    }
}

fn carried(ask: &Value) -> (Option<WampArgs>, Option<WampKwArgs>) {
    (ask["args"].as_array().cloned(), ask["kwargs"].as_object().cloned())
}

fn id_of(value: &Value) -> Result<WampId, WampError> {
    serde_json::from_value(value.clone()).map_err(|e| WampError::from(e.to_string()))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The URI of an error, if it has one, and what the library makes of it.
fn spelled(error: &WampError) -> (Value, String) {
    match error {
        WampError::ServerError(uri, _) => (json!(uri), error.to_string()),
        _ => (Value::Null, error.to_string()),
    }
}

fn answer(ask: &Value, done: Result<Value, WampError>) {
    let n = &ask["n"];
    match done {
        Ok(ok) => say(&json!({"n": n, "ok": ok})),
        Err(e) => {
            let (uri, message) = spelled(&e);
            say(&json!({"n": n, "no": {"uri": uri, "text": message}}));
        }
    }
}

fn say(line: &Value) {
    let mut out = std::io::stdout().lock();
    // Nobody reads any more: the process is about to be ended.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
