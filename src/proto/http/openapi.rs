//! Floor 3. The table of routes as an OpenAPI 3.1 document, and as a chapter of the manual.
//!
//! Rows of answers are described by one line each, a name and a letter for every member, beside
//! the functions that write them; a test holds what is said against what is described. Absent on
//! purpose: anything a route's row does not have.

use crate::base::json::Writer;

use super::packet::{EVENTS, METRICS, PROBLEM, TEXT};
use super::routes::{Group, Param, ROUTES, Route, Says};

/// What is in a row: `name:kind`, kinds `s` text, `i` whole number, `n` number, `b` yes or no,
/// `o` anything; `?` may be null. A `*` in front: a list.
pub const ROWS: &[(&str, &str)] = &[
    ("Health", "status:s failing:*Failing"),
    ("Failing", "check:s text:s"),
    ("Stats", "version:s now:s start:s uptime_seconds:n connections:i journal:s counters:o"),
    (
        "GmqttClient",
        "client_id:s username:s remote_addr:s clean_session:b keep_alive:i \
      connected_at:s",
    ),
    (
        "GmqttSession",
        "client_id:s status:s remote_addr:s clean_session:b subscriptions:i \
      max_inflight:i inflight_len:i max_msg_queue:i msg_queue_len:i msg_queue_dropped:i \
      connected_at:s offline_at:s",
    ),
    ("GmqttSubscription", "client_id:s qos:i name:s at:s"),
    ("GmqttDone", "code:i result:*Any"),
    (
        "Client",
        "id:s protocol:s user:s state:s address:s? listener:i? connected_at:s? \
      away_since:s? durable:b expiry_seconds:i? keepalive_seconds:i subscriptions:i inflight:i \
      inflight_max:i queued:i queued_max:i queued_bytes:i dropped:i blocked:b",
    ),
    (
        "ClientDetail",
        "id:s protocol:s user:s state:s address:s? listener:i? connected_at:s? \
      away_since:s? durable:b expiry_seconds:i? keepalive_seconds:i subscriptions:i inflight:i \
      inflight_max:i queued:i queued_max:i queued_bytes:i dropped:i blocked:b \
      subscribed:*Subscription events:*Event",
    ),
    ("Rtt", "rtt_us:i?"),
    ("Event", "at:s event:s detail:s"),
    ("Subscription", "client:s user:s protocol:s filter:s group:s? qos:i no_local:b since:s?"),
    ("Level", "level:s topic:s retained:b below:i below_is_more:b"),
    ("Kept", "topic:s stored_bytes:i expires_at:s? on_disk:b"),
    ("Value", "topic:s encoding:s payload:s bytes:i qos:i published_at:s? expires_at:s?"),
    ("Queue", "address:s creator:s durable:b items:i in_memory:i drainers:i"),
    (
        "Listener",
        "listener:i protocol:s address:s tls:b inside:s proxy:b durability:s \
      connections:i accepted:i certificate_until:s?",
    ),
    ("Limit", "name:s value:s? default:s doc:s"),
    ("Unspelled", "protocol:s topic:s count:i"),
    ("LogLine", "number:i at:s level:s target:s text:s"),
    ("Ruling", "allowed:b why:s"),
    ("Ban", "kind:s value:s until:s? reason:s"),
    ("Banned", "closed:i"),
    ("Matched", "matched:i"),
    ("Done", "result:s"),
    ("Caller", "name:s role:s"),
    ("Any", ""),
];

/// The document.
#[must_use]
pub fn document() -> Vec<u8> {
    let mut json = Writer::new();
    json.open().field("openapi", "3.1.0").object("info", |json| {
        json.field("title", "spindle")
            .field("version", env!("CARGO_PKG_VERSION"))
            .field("description", "Administration of a spindle broker.");
    });
    json.object("paths", |json| {
        let mut seen: Vec<&str> = Vec::new();
        for route in ROUTES {
            if !seen.contains(&route.path) {
                seen.push(route.path);
                json.object(route.path, |json| {
                    for route in ROUTES.iter().filter(|other| other.path == route.path) {
                        let name = route.method.name().to_ascii_lowercase();
                        json.object(&name, |json| operation(route, json));
                    }
                });
            }
        }
    });
    json.list("security", |json| {
        for name in ["basic", "bearer"] {
            json.open().list(name, |_| {}).close();
        }
    });
    json.object("components", |json| {
        json.object("securitySchemes", |json| {
            for name in ["basic", "bearer"] {
                json.object(name, |json| {
                    json.field("type", "http").field("scheme", name);
                });
            }
        });
        json.object("schemas", |json| {
            for (name, row) in ROWS {
                json.object(name, |json| schema(row, json));
            }
            json.object("Problem", |json| {
                schema("type:s title:s status:i detail:s", json);
            });
        });
    });
    json.close();
    json.take()
}

fn operation(route: &Route, json: &mut Writer) {
    let id: String =
        route.path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let id = format!("{}{id}", route.method.name().to_ascii_lowercase());
    json.field("operationId", &id).field("summary", route.doc);
    if route.role.is_none() {
        json.list("security", |_| {});
    }
    json.list("parameters", |json| {
        for name in open_places(route.path) {
            json.open().field("name", name).field("in", "path").field("required", true);
            json.object("schema", |json| {
                json.field("type", "string").field("minLength", 1u64);
            });
            json.close();
        }
        for param in route.query {
            json.open().field("name", param.name).field("in", "query");
            json.field("required", param.required).field("description", param.doc);
            json.object("schema", |json| kind_of(param, json)).close();
        }
    });
    if !route.body.is_empty() {
        json.object("requestBody", |json| body(route, json));
    }
    json.object("responses", |json| {
        match route.says {
            Says::Nothing => json.object("204", |json| {
                json.field("description", "Done.");
            }),
            _ => json.object("200", |json| {
                json.field("description", route.doc);
                json.object("content", |json| content(route.says, json));
            }),
        };
        json.object("default", |json| {
            json.field("description", "What went wrong.").object("content", |json| {
                match route.group {
                    Group::Gmqtt => text(TEXT, json),
                    Group::Plain | Group::V1 | Group::Console => {}
                }
                json.object(PROBLEM, |json| refer("Problem", json));
                json.object("application/json", |json| {
                    json.object("schema", |json| {
                        json.field("type", "object");
                    });
                });
            });
        });
    });
}

fn kind_of(param: &Param, json: &mut Writer) {
    json.field("type", param.kind);
    if let Some(one_of) = param.one_of {
        json.list("enum", |json| {
            for value in one_of.split(' ') {
                json.value(value);
            }
        });
    }
    if let Some((least, most)) = param.range {
        json.field("minimum", least).field("maximum", most);
    }
}

fn body(route: &Route, json: &mut Writer) {
    let required = route.body.iter().any(|param| param.required);
    json.field("required", required).object("content", |json| {
        let forms = route.group == Group::Gmqtt;
        let media = ["application/json", "application/x-www-form-urlencoded"];
        for media in media.iter().take(if forms { 2 } else { 1 }) {
            json.object(media, |json| {
                json.object("schema", |json| {
                    json.field("type", "object").object("properties", |json| {
                        for param in route.body {
                            json.object(param.name, |json| {
                                kind_of(param, json);
                                json.field("description", param.doc);
                            });
                        }
                    });
                    json.list("required", |json| {
                        for param in route.body.iter().filter(|param| param.required) {
                            json.value(param.name);
                        }
                    });
                });
            });
        }
    });
}

fn text(media: &str, json: &mut Writer) {
    json.object(media, |json| {
        json.object("schema", |json| {
            json.field("type", "string");
        });
    });
}

fn content(says: Says, json: &mut Writer) {
    match says {
        Says::Nothing => {}
        Says::Metrics => text(METRICS, json),
        Says::Events => text(EVENTS, json),
        Says::File(media) => text(media, json),
        Says::Row(name) => {
            json.object("application/json", |json| refer(name, json));
        }
        Says::Anything => {
            json.object("application/json", |json| {
                json.object("schema", |json| {
                    json.field("type", "object");
                });
            });
        }
        Says::Data(name) => around(json, |json| {
            json.object("data", |json| reference(name, json));
        }),
        Says::Page(name) => around(json, |json| {
            json.object("data", |json| list_of(name, json));
            json.object("meta", |json| {
                json.field("type", "object");
            });
        }),
        Says::Gmqtt(name) => around(json, |json| {
            json.object("list", |json| list_of(name, json));
            for key in ["page", "page_size", "current_count", "total_count", "total_page"] {
                json.object(key, |json| {
                    json.field("type", "integer");
                });
            }
        }),
    }
}

fn around(json: &mut Writer, properties: impl FnOnce(&mut Writer)) {
    json.object("application/json", |json| {
        json.object("schema", |json| {
            json.field("type", "object").object("properties", properties);
        });
    });
}

fn list_of(name: &str, json: &mut Writer) {
    json.field("type", "array").object("items", |json| reference(name, json));
}

fn refer(name: &str, json: &mut Writer) {
    json.object("schema", |json| reference(name, json));
}

fn reference(name: &str, json: &mut Writer) {
    json.field("$ref", &format!("#/components/schemas/{name}"));
}

fn schema(row: &str, json: &mut Writer) {
    let members = || row.split_whitespace().filter_map(|member| member.split_once(':'));
    json.field("type", "object").object("properties", |json| {
        for (name, kind) in members() {
            json.object(name, |json| member(kind, json));
        }
    });
    json.list("required", |json| {
        for (name, _) in members() {
            json.value(name);
        }
    });
}

fn member(kind: &str, json: &mut Writer) {
    if let Some(name) = kind.strip_prefix('*') {
        return list_of(name, json);
    }
    let (kind, maybe) = kind.strip_suffix('?').map_or((kind, false), |kind| (kind, true));
    let kind = match kind {
        "s" => "string",
        "i" => "integer",
        "n" => "number",
        "b" => "boolean",
        _ => "object",
    };
    match maybe {
        true => json.list("type", |json| {
            json.value(kind).value("null");
        }),
        false => json.field("type", kind),
    };
}

fn open_places(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// The chapter of the manual.
#[must_use]
pub fn chapter() -> String {
    let mut out = INTRODUCTION.to_owned();
    let groups = [
        (Group::Plain, "Health and numbers"),
        (Group::V1, "The API"),
        (Group::Gmqtt, "gmqtt's API"),
        (Group::Console, "The console"),
    ];
    for (group, title) in groups {
        out += &format!("\n## {title}\n\n| request | role | what it does | answer |\n");
        out += "|---|---|---|---|\n";
        for route in ROUTES.iter().filter(|route| route.group == group) {
            let role = route.role.map_or("—", |role| role.name());
            let (method, path) = (route.method.name(), route.path);
            let says = said(route.says);
            out += &format!("| `{method} {path}` | {role} | {} | {says} |\n", route.doc);
        }
        let with = |route: &&Route| {
            route.group == group && !(route.query.is_empty() && route.body.is_empty())
        };
        for route in ROUTES.iter().filter(with) {
            out += &format!("\n`{} {}`:\n\n", route.method.name(), route.path);
            for param in route.query.iter().chain(route.body) {
                let must = if param.required { ", required" } else { "" };
                let one_of = param.one_of.map(|all| format!(" One of: {all}.")).unwrap_or_default();
                out +=
                    &format!("* `{}` ({}{must}): {}{one_of}\n", param.name, param.kind, param.doc);
            }
        }
    }
    out += "\n## Rows\n\n| row | members |\n|---|---|\n";
    for (name, row) in ROWS.iter().filter(|(_, row)| !row.is_empty()) {
        let names = row.split_whitespace().filter_map(|member| member.split_once(':'));
        let names: Vec<String> = names.map(|(name, _)| format!("`{name}`")).collect();
        out += &format!("| {name} | {} |\n", names.join(", "));
    }
    out
}

fn said(says: Says) -> String {
    match says {
        Says::Nothing => "204".into(),
        Says::Metrics => "Prometheus' text".into(),
        Says::Events => "a stream of events".into(),
        Says::Anything => "a document".into(),
        Says::File(media) => format!("a file, `{media}`"),
        Says::Row(name) => name.into(),
        Says::Data(name) => format!("`data`: {name}"),
        Says::Page(name) => format!("`data`: list of {name}"),
        Says::Gmqtt(name) => format!("page of {name}"),
    }
}

const INTRODUCTION: &str = "\
# Administration over HTTP

Every path of the listeners `http://`, `https://` and `http+unix:`. The same table is served as an
OpenAPI 3.1 document at `/openapi.json`.

Who may: `viewer` looks, `operator` changes too. A name and a password (Basic) are an administrator
of the configuration, a token (Bearer) is one of its tokens; on a socket in the file system whoever
may open it is an operator. Without administrators only what has no role is answered over TCP.
There is no default password. What changes something is refused when a page of another origin
asks for it, and a request for a host that is none of the broker's names is refused at all.

Lists are `{\"data\": [...], \"meta\": {\"next\": ...}}`; `next` goes into the parameter `after`
of the next request, and is null at the end. A client id is any text: in a path it is escaped
(`a/b` is `a%2Fb`), and what a path cannot hold goes into the query of the path in the singular
(`/api/v1/client?id=..` for `/api/v1/clients/{id}`), for browsers, curl and proxies take `.` and
`..` for steps. What goes wrong is said as RFC 9457 has it
(`application/problem+json`); gmqtt's paths keep that API's texts.

```text
curl -u ann http://127.0.0.1:18083/api/v1/clients?state=any
curl --unix-socket spindle-data/admin.sock http://localhost/api/v1/clients/c1 -X DELETE
```
";

#[cfg(test)]
mod tests {
    use super::super::packet::Method;
    use super::*;

    #[test]
    fn the_document_is_json_and_every_reference_leads_somewhere() {
        let text = document();
        let all: serde_json::Value = serde_json::from_slice(&text).expect("a document");
        let known = all["components"]["schemas"].as_object().expect("schemas");
        let text = String::from_utf8(text).expect("text");
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap_or_default();
            assert!(known.contains_key(name), "{name}");
        }
        for route in ROUTES {
            let method = route.method.name().to_ascii_lowercase();
            assert!(all["paths"][route.path][&method]["responses"].is_object(), "{}", route.path);
            assert!(route.doc.ends_with('.'), "{}", route.doc);
            assert_ne!(route.method, Method::Head, "a HEAD is a GET that says less");
        }
    }
}
