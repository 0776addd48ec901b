//! Floor 6. What was recorded between the original broker and its clients, played once more.
//!
//! On the engine, under a simulated clock, every byte and every hang-up comes out as recorded, but
//! for the rows of the table "Exchanges" in `deviations.md`, and those come out as it says. A row
//! that names nothing recorded, or that does not deviate, fails too. Absent on purpose: sockets.

use serde_json::Value;
use spindle::testing::script::{Door, Fake, Step, Tongue, Users, World, spell};
use spindle::testing::stage::Stage;
use spindle::testing::words::unhex;

const RECORDED: &str = include_str!("vectors/prx1-exchanges.json");
const DEVIATIONS: &str = include_str!("../src/proto/prx1/deviations.md");

/// What a receive step brings: bytes, and whether the connection is open then.
type Receive = (Vec<u8>, bool);

/// A row of the table: exchange, variant, receive, ours, reason.
type Row = [String; 5];

fn rows() -> Vec<Row> {
    let table = DEVIATIONS.split("\n## Exchanges").nth(1).expect("the table");
    let lines = table.lines().filter(|line| line.starts_with("| `"));
    let cells = |line: &str| {
        let cells: Vec<String> =
            line.trim_matches('|').split('|').map(|c| c.trim().replace('`', "")).collect();
        cells.try_into().expect("five cells")
    };
    lines.map(cells).collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// What the receive steps of an exchange must bring: as recorded, with the rows put in.
fn expected(
    all: &[Value],
    rows: &[Row],
    variant: &str,
    name: &str,
    used: &mut [bool],
) -> Vec<Receive> {
    let mine = |row: &Row| row[0] == name && (row[1] == variant || row[1] == "both");
    let here: Vec<usize> = (0..rows.len()).filter(|i| mine(&rows[*i])).collect();
    if let Some(&i) = here.iter().find(|i| rows[**i][3] == "as 889f57c") {
        used[i] = true;
        return expected(all, rows, "889f57c", name, used);
    }
    let found = |e: &&Value| text(e, "name") == name && text(e, "variant") == variant;
    let exchange = all.iter().find(found).expect("a recording");
    let steps = exchange["steps"].as_array().expect("steps").iter();
    let mut receives: Vec<Receive> = steps
        .filter(|step| text(step, "op") == "recv")
        .map(|step| (unhex(text(step, "hex")).expect("hex"), step["closed"].is_null()))
        .collect();
    for i in here {
        used[i] = true;
        let at: usize = rows[i][2].parse().expect("the number of a receive");
        let ours = rows[i][3].replace(',', " ");
        let (bytes, state) = ours.split_once(' ').expect("bytes, and open or closed");
        let bytes = if bytes == "nothing" { "" } else { bytes };
        let row = (unhex(bytes).expect("hex"), state.trim() == "open");
        assert_ne!(receives[at - 1], row, "{name} {variant} {at} does not deviate");
        receives[at - 1] = row;
    }
    receives
}

fn stage(exchange: &Value) -> Stage {
    let broker = &exchange["broker"];
    let users = match text(broker, "acl") {
        "open" => Users::Samples,
        "readme" => Users::Readme,
        _ => Users::None,
    };
    let mut setup = spindle::testing::rig::Setup { users: users.file(), ..Default::default() };
    setup.limits.connect_ms_max = 1_000;
    setup.limits.idle_ms_max = broker["heartbeat"].as_u64().expect("seconds") * 1_000;
    Stage::new(&setup).expect("a broker")
}

/// Play it; what the receive steps brought.
fn play(exchange: &Value) -> Vec<Receive> {
    let mut stage = stage(exchange);
    let mut brought = Vec::new();
    for step in exchange["steps"].as_array().expect("steps") {
        let who = text(step, "conn");
        match text(step, "op") {
            "open" => stage.open(who, Tongue::Prx1, Door::Own, None).expect("a slot"),
            "send" => stage.say(who, &unhex(text(step, "hex")).expect("hex")).expect("sent"),
            "sleep" => pass(&mut stage, step["s"].as_f64()),
            "recv" => {
                pass(&mut stage, step["window_s"].as_f64());
                let heard = stage.hear(who, 0).expect("a wire");
                brought.push((heard, stage.ended(who).expect("a wire").is_none()));
            }
            other => panic!("{other} is no step"),
        }
    }
    brought
}

fn pass(stage: &mut Stage, seconds: Option<f64>) {
    let ms = (seconds.expect("seconds") * 1_000.0) as u64;
    stage.fake(&Step::Fake(Fake::Clock(ms))).expect("time passes");
}

#[test]
fn every_exchange_comes_out_as_recorded_or_as_listed() {
    let all: Vec<Value> = serde_json::from_str(RECORDED).expect("JSON");
    let rows = rows();
    let mut used = vec![false; rows.len()];
    let mut wrong = Vec::new();
    for exchange in &all {
        let (name, variant) = (text(exchange, "name"), text(exchange, "variant"));
        let wanted = expected(&all, &rows, variant, name, &mut used);
        for (i, (want, have)) in wanted.iter().zip(play(exchange)).enumerate() {
            if *want != have {
                wrong.push(format!(
                    "{name} {variant} receive {}: {} open {}, wanted {} open {}",
                    i + 1,
                    spell(&have.0),
                    have.1,
                    spell(&want.0),
                    want.1
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} receives differ:\n{}", wrong.len(), wrong.join("\n"));
    let unused: Vec<&Row> = rows.iter().zip(&used).filter(|(_, u)| !**u).map(|(r, _)| r).collect();
    assert!(unused.is_empty(), "rows that name nothing recorded: {unused:?}");
}
