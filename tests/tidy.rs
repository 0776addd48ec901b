//! The house rules as a test. What the manual's chapter on style marks *tidy* is checked here.
//!
//! Every rule is a pure function from a tree of files to its violations. Each has one test, which
//! shows that the rule finds what was planted (exactly, with file and line), that it leaves the
//! near miss alone, and that the project itself obeys. A rule with nothing to look at yet finds
//! nothing, and begins to bite by itself.

#[path = "tidy/clauses.rs"]
mod clauses;
#[path = "tidy/deps.rs"]
mod deps;
#[path = "tidy/features.rs"]
mod features;
#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/package.rs"]
mod package;
#[path = "tidy/pairs.rs"]
mod pairs;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tables.rs"]
mod tables;
#[path = "tidy/text.rs"]
mod text;
#[path = "tidy/tree.rs"]
mod tree;

use std::path::Path;
use std::sync::LazyLock;
use tree::{Tree, Violation};

static PROJECT: LazyLock<Tree> =
    LazyLock::new(|| Tree::load(Path::new(env!("CARGO_MANIFEST_DIR"))));

/// The rule finds exactly `expected` in what was planted, and nothing in the project.
fn judge(rule: fn(&Tree) -> Vec<Violation>, planted: &[(&str, &str)], expected: &[&str]) {
    let found: Vec<String> =
        rule(&Tree::planted(planted)).iter().map(Violation::to_string).collect();
    assert_eq!(found, expected, "in the planted tree");
    let found: Vec<String> = rule(&PROJECT).iter().map(Violation::to_string).collect();
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_project_was_loaded() {
    assert!(PROJECT.has("src/lib.rs") && PROJECT.has("tests/tidy.rs") && PROJECT.has("Cargo.toml"));
    assert!(PROJECT.src().map(|s| s.tokens.len()).sum::<usize>() > 1_000);
}

#[test]
fn every_file_says_its_floor() {
    judge(
        floors::headers,
        &[
            ("src/base/a.rs", "//! Floor 0. Right.\n"),
            ("src/hub/a_test.rs", "//! Floor 2. A test stands where its parent stands.\n"),
            ("src/hub/mod.rs", "//! Floor 1. Wrong.\n"),
            ("src/lib.rs", "// Floor 6. Not a doc comment.\n"),
            ("src/misc/a.rs", "//! Floor 2. No such room.\n"),
            ("src/misc/mod.rs", ""),
        ],
        &[
            "src/hub/mod.rs:1: the first line must begin `//! Floor 2. `",
            "src/lib.rs:1: the first line must begin `//! Floor 6. `",
            "src/misc/a.rs:1: stands on no floor; see the floors in the manual",
            "src/misc/mod.rs:1: stands on no floor; see the floors in the manual",
        ],
    );
}

#[test]
fn imports_only_go_down() {
    judge(
        floors::imports,
        &[
            ("src/engine/mod.rs", "use crate::{base::x, hub::{self, Hub}, os::Poller};"),
            ("src/hub/mod.rs", "// use crate::proto::X;\nuse crate::proto::fault::Fault;\n"),
            ("src/hub/a.rs", "fn f() { let s = \"crate::os\"; super::super::engine::run(s) }"),
            ("src/hub/b.rs", "use super::a; use crate::hub::c; mod t { use super::super::a; }"),
            ("src/journal/mod.rs", "\n\nuse crate::topic::Topic;"),
            ("src/proto/fault.rs", "use super::mqtt::peer; use crate::hub;"),
            ("src/proto/mqtt/peer.rs", "use crate::proto::{fault::F, prx1::decode};"),
            ("src/proto/prx1/peer.rs", "use super::super::Ctx; use crate::access::Rules;"),
            ("src/topic/mod.rs", "#[cfg(test)] mod t { use crate::testing::gen; }"),
            ("src/topic/a.rs", "fn f() { crate::laws!(x); crate::Broker::run() }"),
            ("src/testing/mod.rs", "use crate::engine::Engine;\nuse crate::os::driver;"),
            ("src/value/mod.rs", "use crate::testing::gen;"),
            ("src/main.rs", "use spindle::os::x; use spindle::base::y;"),
        ],
        &[
            "src/engine/mod.rs:1: engine (floor 4) may not know os (floor 5)",
            "src/hub/mod.rs:2: hub (floor 2) may not know proto (floor 3)",
            "src/hub/a.rs:1: hub (floor 2) may not know engine (floor 4)",
            "src/journal/mod.rs:3: journal (floor 1) may not know topic (floor 1)",
            "src/proto/mqtt/peer.rs:1: proto/mqtt (floor 3) may not know proto/prx1 (floor 3)",
            "src/proto/prx1/peer.rs:1: proto/prx1 (floor 3) may not know access (floor 3)",
            "src/topic/a.rs:1: topic (floor 1) may not know street (floor 6)",
            "src/testing/mod.rs:2: testing (floor 5) may not know os (floor 5)",
            "src/value/mod.rs:1: value (floor 1) may not know testing (floor 5)",
        ],
    );
}

#[test]
fn the_world_is_touched_on_the_street_only() {
    judge(
        floors::world,
        &[
            ("src/os/mod.rs", "use std::net::TcpStream;\nuse mio::Poll;"),
            ("src/base/a.rs", "use std::io;\nuse std::{fmt, fs::File};\n// std::env::var"),
            ("src/hub/a.rs", "fn f() { std::thread::sleep(d); }\nuse std::time::Duration;"),
            ("src/engine/a.rs", "fn now() -> Instant { x }\nfn f(libc: u8) { g(libc) }"),
            ("src/access/a.rs", "fn f() { bcrypt::verify(a, b); }"),
            ("src/testing/a.rs", "use std::env;"),
        ],
        &[
            "src/base/a.rs:2: touches the world: std::fs::File",
            "src/hub/a.rs:1: touches the world: std::thread::sleep",
            "src/engine/a.rs:1: touches the world: Instant",
            "src/access/a.rs:1: touches the world: bcrypt",
            "src/testing/a.rs:1: touches the world: std::env",
        ],
    );
}

#[test]
fn unsafe_has_two_rooms() {
    judge(
        text::unsafe_rooms,
        &[
            ("src/os/mmap.rs", "unsafe { map() }"),
            ("src/os/sys.rs", "unsafe { call() }"),
            ("benches/support/alloc.rs", "unsafe impl GlobalAlloc for Counting {}"),
            ("src/os/socket.rs", "// unsafe\n#[deny(unsafe_code)]\nfn f() { unsafe { call() } }"),
        ],
        &["src/os/socket.rs:3: unsafe outside os/mmap.rs and os/sys.rs"],
    );
}

#[test]
fn files_fit_in_a_head() {
    judge(
        text::file_budget,
        &[("src/a.rs", &"\n".repeat(800)), ("tests/b.rs", &"\n".repeat(801))],
        &["tests/b.rs:801: 801 lines, 800 are allowed"],
    );
}

#[test]
fn functions_fit_on_a_screen() {
    let body =
        |n: usize| format!("trait T {{ fn a(&self); }}\nfn f(x: [u8; 2]) {{{}}}", "\n".repeat(n));
    judge(
        text::function_budget,
        &[("src/a.rs", &body(69)), ("src/b.rs", &body(70))],
        &["src/b.rs:2: fn f: 71 lines, 70 are allowed"],
    );
}

#[test]
fn lines_fit_on_a_page() {
    let (fits, wide) = ("é".repeat(100), "é".repeat(101));
    judge(
        text::columns,
        &[("src/a.rs", &format!("{fits}\n{wide}\n// http://{wide}"))],
        &["src/a.rs:2: 101 columns"],
    );
}

#[test]
fn every_file_is_declared() {
    judge(
        pairs::dead_files,
        &[
            ("src/lib.rs", "pub mod hub; // mod lost;\nmod a { pub mod b; }"),
            ("src/main.rs", ""),
            ("src/a/b.rs", ""),
            ("src/hub/mod.rs", "mod group; #[cfg(test)] mod group_test;"),
            ("src/hub/group.rs", "mod deep;"),
            ("src/hub/group/deep.rs", ""),
            ("src/hub/group_test.rs", ""),
            ("src/hub/deep.rs", ""),
            ("src/lost.rs", ""),
        ],
        &[
            "src/hub/deep.rs:1: dead file: no `mod` leads here",
            "src/lost.rs:1: dead file: no `mod` leads here",
        ],
    );
}

#[test]
fn nothing_is_left_for_later() {
    let note = format!("// {}: later\n// XXXL is a size\n", concat!("TO", "DO"));
    let call = format!("fn f() {{ {}!() }}\nfn dbg() {{ dbg() }}", concat!("to", "do"));
    judge(
        text::leftovers,
        &[("src/a.rs", &note), ("src/b.rs", &call)],
        &[concat!("src/a.rs:1: left over: TO", "DO"), concat!("src/b.rs:1: left over: to", "do!")],
    );
}

#[test]
fn nobody_panics_without_a_reason() {
    judge(
        text::panics,
        &[
            ("src/main.rs", "fn main() { x.unwrap() }"),
            (
                "src/hub/a.rs",
                "fn f() { x.unwrap_or(1); y.unwrap() }\n#[test]\nfn t() { x.unwrap() }",
            ),
            ("src/hub/b.rs", "// PANIC: the slot was\n// taken above.\nfn f() { x.expect(\"s\") }"),
            ("src/hub/c.rs", "// PANIC: too far away\n\nfn f() { x.expect(\"s\") }"),
            ("src/hub/d.rs", "fn f() { panic!(\"no\") }\nfn g() { std::panic::catch_unwind(f) }"),
            ("src/hub/e.rs", "fn f() { match x { _ => unreachable!() } } // PANIC: never"),
            ("src/hub/f.rs", "#[cfg(not(test))]\nfn f() { unreachable!() }"),
            ("src/hub/f_test.rs", "fn f() { unreachable!() }"),
            (
                "src/hub/mod.rs",
                "#[cfg(any(test, feature = \"testing\"))]\npub mod fuzzing;\nmod h;",
            ),
            ("src/hub/fuzzing.rs", "fn f() { unreachable!() }"),
            ("src/hub/fuzzing/deep.rs", "fn f() { unreachable!() }"),
            ("src/hub/h.rs", "fn f() { x.unwrap() }"),
            (
                "src/hub/g.rs",
                "#[cfg(feature = \"testing\")]\npub mod fuzzing { fn f() { x.unwrap() } }",
            ),
        ],
        &[
            "src/hub/a.rs:1: .unwrap() without a `// PANIC:` reason",
            "src/hub/c.rs:3: .expect(..) without a `// PANIC:` reason",
            "src/hub/d.rs:1: panic! without a `// PANIC:` reason",
            "src/hub/f.rs:2: unreachable! without a `// PANIC:` reason",
            "src/hub/h.rs:1: .unwrap() without a `// PANIC:` reason",
        ],
    );
}

#[test]
fn ownership_is_plain() {
    judge(
        text::plain_ownership,
        &[
            ("src/hub/a.rs", "struct A(Rc<RefCell<u8>>);\nstruct B(Arc<Mutex<u8>>);"),
            ("src/os/a.rs", "struct B(Arc<Mutex<u8>>);\nasync fn f() {}"),
            ("src/hub/b.rs", "#[cfg(test)]\nmod t {\n    struct C(Arc<Mutex<u8>>);\n}"),
        ],
        &[
            "src/hub/a.rs:1: Rc<RefCell<_>>: give it one owner",
            "src/hub/a.rs:2: Arc<Mutex<_>> below floor 5: nobody there has a second thread",
            "src/os/a.rs:2: async: the turn is the only scheduler",
        ],
    );
}

#[test]
fn names_say_something() {
    judge(
        text::names,
        &[("src/a.rs", "struct SessionManager;\nfn get_name() {}\nfn get_mut() {}\nfn get() {}")],
        &[
            "src/a.rs:1: SessionManager: a Manager of what? name what it is",
            "src/a.rs:2: get_name: a getter is called like what it gets",
        ],
    );
}

#[test]
fn no_machine_is_named() {
    judge(
        text::machine_paths,
        &[("README.md", concat!("see ", "/wo", "rk/notes\nsee /home/user/notes"))],
        &[concat!("README.md:1: names a path of a machine: /wo", "rk/")],
    );
}

#[test]
fn every_protocol_has_its_rooms() {
    judge(
        pairs::rooms,
        &[
            ("src/proto/fault.rs", ""),
            ("src/proto/local/mod.rs", ""),
            ("src/proto/local/peer.rs", ""),
            ("src/proto/foo/mod.rs", ""),
            ("src/proto/foo/packet.rs", ""),
            ("src/proto/foo/decode.rs", ""),
            ("src/proto/foo/encode.rs", ""),
            ("src/proto/foo/fault.rs", ""),
            ("src/proto/prx1/mod.rs", ""),
            ("src/proto/prx1/packet.rs", ""),
            ("src/proto/prx1/decode.rs", ""),
            ("src/proto/prx1/encode.rs", ""),
            ("src/proto/prx1/peer.rs", ""),
            ("src/proto/prx1/fault.rs", ""),
        ],
        &[
            "src/proto/foo/peer.rs:1: a room of this protocol is missing",
            "src/proto/prx1/dialect.rs:1: a room of this protocol is missing",
        ],
    );
}

#[test]
fn every_fault_is_provoked() {
    let plain = "enum FaultKind {\n/// One.\nAlpha,\n#[doc = \"Two\"]\nBeta(u8),\n\
                 Gamma { at: u8 },\nDelta, Epsilon }";
    let table = "macro_rules! faults { ($($k:ident, $b:expr;)*) => {\n\
                 enum FaultKind { $($k),* } } }\n\
                 faults! {\n/// One.\nAlpha, Peer;\nBeta, Us;\n}";
    let wire = "# FaultKind Beta, clause 3\na> 00 ; a! Epsilon\n# Delta is no header\n";
    let unit = "fn f() { [FaultKind::Alpha, FaultKind::Gamma]; }";
    let scripts = [("tests/wire/prx1/1.wire", wire), ("src/proto/fault_test.rs", unit)];
    judge(
        pairs::faults,
        &[("src/proto/fault.rs", plain), scripts[0], scripts[1]],
        &["src/proto/fault.rs:7: FaultKind::Delta is broken by no script and no test"],
    );
    judge(
        pairs::faults,
        &[("src/proto/fault.rs", table), scripts[1]],
        &["src/proto/fault.rs:6: FaultKind::Beta is broken by no script and no test"],
    );
}

#[test]
fn every_fuzz_target_has_seeds() {
    judge(
        pairs::corpora,
        &[
            ("fuzz/Cargo.toml", "name = \"prx1\""),
            ("fuzz/corpus/prx1/connect", ""),
            ("fuzz/corpus/old/one", ""),
            ("fuzz/fuzz_targets/prx1.rs", ""),
            ("fuzz/fuzz_targets/world.rs", ""),
        ],
        &[
            "fuzz/fuzz_targets/world.rs:1: no seed in fuzz/corpus/world/",
            "fuzz/fuzz_targets/world.rs:1: not named in fuzz/Cargo.toml",
            "fuzz/corpus/old:1: a corpus without a target",
        ],
    );
}

#[test]
fn every_counter_is_in_the_manual() {
    let stats = "macro_rules! counters { () => { \"pattern\" } }\n\
                 counters! {\n/// Open.\nOpened, \"opened_total\";\nClosed, \"closed_total\";\n}";
    judge(
        pairs::counters,
        &[("src/base/stats.rs", stats), ("src/manual/metrics.md", "| `opened_total` | x |")],
        &["src/base/stats.rs:5: counter closed_total is not in src/manual/metrics.md"],
    );
}

#[test]
fn every_line_of_the_log_has_a_target_of_the_table() {
    let levels = "pub const TARGETS: [(&str, &str); 4] = [(\"os\", \"sockets\"),\n\
                  (\"conn\", \"who comes\"),\n(\"gone\", \"nothing\"),\n(\"rustls\", \"TLS\")];";
    let lines = "fn f() { log::warn!(\"in this room\") }\n\
                 fn g() { log::info!(target: \"spindle::conn\", a = 1; \"b\") }\n\
                 fn h() { log::info!(\n target: \"spindle::lost\", \"c\") }\n\
                 fn i() { log::debug!(target: \"spindle\", \"at the end\") }\n\
                 #[cfg(test)]\nmod t { fn f() { log::info!(target: \"x\", \"d\") } }";
    judge(
        tables::log_targets,
        &[
            ("src/os/logging/levels.rs", levels),
            ("src/os/a.rs", lines),
            ("src/hub/b.rs", "fn f() { log::error!(\"e\") }"),
        ],
        &[
            "src/os/a.rs:3: log target lost is not in src/os/logging/levels.rs",
            "src/hub/b.rs:1: log target hub is not in src/os/logging/levels.rs",
            "src/os/logging/levels.rs:3: nothing is logged as gone",
        ],
    );
}

#[test]
fn every_guard_has_its_test() {
    let guards = "# Guards\n| guard | where | killed by |\n|---|---|---|\n\
                  | one | `a.rs` | `hub::a_test::stays`, `goes` |\n\
                  | two | `b.rs` | none |\n| three | `b.rs` | `plain` |\n";
    let tests = "#[test]\nfn stays() {}\n#[test]\n#[should_panic]\npub fn goes() {}\nfn plain() {}";
    judge(
        pairs::guards,
        &[("tests/GUARDS.md", guards), ("src/hub/a_test.rs", tests)],
        &[
            "tests/GUARDS.md:5: a guard without a test",
            "tests/GUARDS.md:6: no test is called plain",
        ],
    );
}

#[test]
fn every_promise_is_shown() {
    let page = "| what | shown by |\n|---|---|\n| one | `stays`, `kill` |\n| two | |\n\
                | three | `gone` |\n";
    let drivers = "const D: &[Driver] = &[Driver::new(\"kill\", k)];\n#[test]\nfn stays() {}";
    judge(
        pairs::promises,
        &[
            ("SECURITY.md", "| what | shown by |\n|---|---|\n| one | nothing |\n"),
            ("src/manual/guarantees.md", page),
            ("tests/faults.rs", drivers),
        ],
        &[
            "src/manual/guarantees.md:4: a promise without a test",
            "src/manual/guarantees.md:5: no test is called gone",
            "SECURITY.md:3: a threat without a test",
        ],
    );
}

#[test]
fn every_feature_of_wamp_is_shown_or_has_a_reason() {
    let page = "| feature | does | how | shown by |\n|---|---|---|---|\n\
                | one | yes | So. | `stays`, `a-scene`, `wamp.check` |\n\
                | two | yes | So. | |\n| three | no | | |\n| four | no | Why not. | |\n\
                | five | perhaps | So. | `gone` |\n| six | no |\n";
    let checks = "@check(\"wamp.check\", over=1)\ndef check(t):\n    pass\n";
    judge(
        features::chapter,
        &[
            ("src/manual/wamp_features.md", page),
            ("src/proto/wamp/roles.rs", "features! {\n    One = \"one\";\n    Ten = \"ten\";\n}"),
            ("src/hub/a_test.rs", "#[test]\nfn stays() {}"),
            ("tests/wire/wamp/a-scene.wire", ""),
            ("tests/interop/checks/wamp_a.py", checks),
        ],
        &[
            "src/manual/wamp_features.md:4: nothing shows that it does: two",
            "src/manual/wamp_features.md:5: no reason why not: three",
            "src/manual/wamp_features.md:7: neither yes nor no: perhaps",
            "src/manual/wamp_features.md:7: nothing is called gone",
            "src/manual/wamp_features.md:8: a row has 4 cells, not 2",
            "src/proto/wamp/roles.rs:3: ten has no row in src/manual/wamp_features.md",
        ],
    );
}

#[test]
fn every_weakness_of_aioconnectors_has_a_row_and_what_shows_it() {
    let rows: String = (4..=20).map(|no| format!("| {no} | So. | Not. | `stays` |\n")).collect();
    let page = format!(
        "| no | what | does | shown by |\n|---|---|---|---|\n| 1 | So. | Not. | nothing |\n\
         | 2 | So. | `stays` |\n| 2 | So. | Not. | `gone`, `a-scene` |\n{rows}"
    );
    judge(
        features::weaknesses,
        &[
            ("src/manual/aio_weaknesses.md", &page),
            ("src/hub/a_test.rs", "#[test]\nfn stays() {}"),
            ("tests/wire/aio/a-scene.wire", ""),
        ],
        &[
            "src/manual/aio_weaknesses.md:3: nothing shows what is done about 1",
            "src/manual/aio_weaknesses.md:4: a row has 4 cells, not 3",
            "src/manual/aio_weaknesses.md:5: 2 is not in its place",
            "src/manual/aio_weaknesses.md:5: nothing is called gone",
            "src/manual/aio_weaknesses.md:1: 3 has no row",
        ],
    );
}

#[test]
fn every_public_module_is_in_the_tour() {
    judge(
        pairs::tour,
        &[
            ("src/lib.rs", "pub mod base;\nmod private;\npub mod hub;\n"),
            ("src/manual/architecture.md", "`base/` comes first; a hubbub is no hub_"),
        ],
        &["src/lib.rs:3: hub is missing in the manual's tour"],
    );
}

#[test]
fn every_statement_of_the_standards_has_its_script() {
    let list = "# All 4 of them.\n1.1-1 | B | Shown.\n1.1-2 | C | Not shown. | Why not.\n\
                1.1-3 | S | Both. | Why not.\n1.1-4 | S | Neither.\n";
    judge(
        clauses::table,
        &[
            ("tests/wire/mqtt3/CLAUSES", list),
            ("tests/wire/mqtt3/1.1-1-is-shown.wire", "# [MQTT-1.1-1] It is.\n"),
            ("tests/wire/mqtt3/1.1-3-is-shown.wire", "# [MQTT-1.1-3] It is.\n"),
            ("tests/wire/mqtt3/1.1-5-is-nothing.wire", "# [MQTT-1.1-5] It is not.\n"),
            ("tests/wire/mqtt3/1.1-1-again.wire", "# [MQTT-1.1-2] Another number.\n"),
            ("tests/wire/mqtt5/CLAUSES", "# 2 statements.\n1.1-1 | B | Alone. | Why not.\n"),
            ("src/manual/mqtt_clauses.md", "# MQTT, statement by statement\n\nOld.\n"),
        ],
        &[
            "tests/wire/mqtt3/CLAUSES:4: 1.1-3 has a script and a reason to have none",
            "tests/wire/mqtt3/CLAUSES:5: 1.1-4 has neither a script nor a reason to have none",
            "tests/wire/mqtt3/1.1-5-is-nothing.wire:1: no statement is called 1.1-5",
            "tests/wire/mqtt3/1.1-1-again.wire:1: named 1.1-1, and says Some(\"1.1-2\")",
            "tests/wire/mqtt5/CLAUSES:1: 1 statements, and its head says Some(2)",
            "src/manual/mqtt_clauses.md:3: not what the scripts make of it: \
             `cargo test --test tidy -- --ignored`",
        ],
    );
}

/// Not a test: writes the chapter anew.
#[test]
#[ignore = "writes src/manual/mqtt_clauses.md"]
fn the_chapter_of_statements_is_written() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(clauses::CHAPTER);
    std::fs::write(path, clauses::chapter_of(&PROJECT)).expect("the chapter can be written");
}

/// A chapter that a table makes, and the table.
type Chapter = (&'static str, fn() -> String);

/// All of them; some tables are only there with the features of the whole program.
const CHAPTERS: &[Chapter] = &[
    ("src/manual/rest.md", spindle::proto::http::openapi::chapter),
    #[cfg(feature = "os")]
    ("src/manual/configuration.md", spindle::config::chapter),
    #[cfg(feature = "os")]
    ("src/manual/metrics.md", spindle::os::logging::chapter),
    #[cfg(feature = "cli")]
    ("src/manual/cli.md", spindle::cli::chapter),
];

#[test]
fn chapters_are_what_their_tables_make_of_them() {
    let stale = |(path, made): &&Chapter| PROJECT.text(path) != Some(made().as_str());
    let stale: Vec<&str> = CHAPTERS.iter().filter(stale).map(|(path, _)| *path).collect();
    let why = "`cargo test --test tidy -- --ignored` writes them anew";
    assert!(stale.is_empty(), "{stale:?} are not what their tables say: {why}");
}

/// Not a test: writes the chapters anew.
#[test]
#[ignore = "writes chapters of src/manual"]
fn chapters_are_written() {
    for (path, made) in CHAPTERS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        std::fs::write(path, made()).expect("it can be written");
    }
}

#[test]
fn the_package_can_be_installed() {
    let cargo = "version = \"1.2.0\"\nmaintainer = \"Somebody\"\n\
                 [\"a/sysusers.conf\", \"usr/lib/sysusers.d/x.conf\", \"644\"],\n\
                 [\"a/y.conf\", \"usr/lib/sysusers.d/y.conf\", \"644\"],\n";
    let changes = "x (1.1.0-1) unstable; urgency=low\n\n -- Another <a@b>  Sat\n";
    judge(
        package::package,
        &[("Cargo.toml", cargo), ("src/manual/service/changelog", changes)],
        &[
            "Cargo.toml:1: the maintainer needs a name and an address: Somebody",
            "src/manual/service/changelog:1: its first line is not about 1.2.0: x (1.1.0-1) \
             unstable; urgency=low",
            "src/manual/service/changelog:1: it is not signed by Somebody",
            "Cargo.toml:1: a/sysusers.conf and usr/lib/sysusers.d/x.conf have different names",
        ],
    );
}

/// What the dashboard asks for is there to be asked for.
#[test]
fn the_dashboard_asks_for_metrics_of_the_table() {
    let text = PROJECT.text("src/manual/service/grafana.json").expect("the dashboard");
    let families = spindle::proto::http::families::FAMILIES;
    let known = |name: &str| families.iter().any(|(_, all)| all.iter().any(|f| f.name == name));
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let asked: Vec<&str> = text
        .split("spindle_")
        .skip(1)
        .map(|rest| rest.split(|c| !is_word(c)).next().unwrap_or_default())
        .map(|name| ["_bucket", "_sum", "_count"].iter().fold(name, |n, s| n.trim_end_matches(s)))
        .collect();
    assert!(asked.len() > 20, "{asked:?}");
    let lost: Vec<&&str> = asked.iter().filter(|name| !known(name)).collect();
    assert!(lost.is_empty(), "nobody counts {lost:?}");
}

#[test]
fn the_lexer_knows_code_from_text() {
    let raw = "fn a<'x>(s: &'x str) -> char { /* one /* two */ \" */\n\
               let r = r#\"a \"b\" unsafe\"#;\n\
               let c = ['\"', '\\'', '\\u{2019}', 'é', b'\"' as char]; // \"\n\
               let b = b\"\\\"unsafe\"; r#type::f(1..2, \"end\") }";
    let source = source::Source::new("a.rs", raw);
    let strings: Vec<&str> = source.strings.iter().map(|(_, s)| *s).collect();
    assert_eq!(strings, ["a \"b\" unsafe", "\\\"unsafe", "end"]);
    let words: Vec<&str> =
        source.tokens.iter().map(|t| t.text).filter(|t| source::is_word(t)).collect();
    let expected = "fn a s str char let r let c as char let b r type f";
    assert_eq!(words.join(" "), expected);
    assert_eq!(source.functions().len(), 1);
}

#[test]
fn what_the_crate_depends_on_may_be_shipped_and_is_wanted() {
    let list: toml::Table = std::fs::read_to_string("deny.toml")
        .expect("the list can be read")
        .parse()
        .expect("the list is TOML");
    let planted = serde_json::json!({"packages": [
        {"name": "own", "license": "MIT OR Apache-2.0", "source": null},
        {"name": "good", "license": "(MIT OR Nobody-1) AND Unicode-3.0", "source": "registry+x"},
        {"name": "old", "license": "Unlicense/MIT", "source": "registry+x"},
        {"name": "strict", "license": "MIT AND GPL-3.0", "source": "registry+x"},
        {"name": "half", "license": "MIT OR (ISC", "source": "registry+x"},
        {"name": "none", "license": null, "source": "registry+x"},
        {"name": "tokio", "license": "MIT", "source": "git+https://x"},
    ]});
    let found: Vec<_> = deps::deps(&planted, &list).iter().map(Violation::to_string).collect();
    let expected = [
        "deny.toml:1: strict comes under \"MIT AND GPL-3.0\", which is not allowed",
        "deny.toml:1: half comes under \"MIT OR (ISC\", which is not allowed",
        "deny.toml:1: none comes under \"\", which is not allowed",
        "deny.toml:1: tokio is not wanted",
        "deny.toml:1: tokio comes from git+https://x",
    ];
    assert_eq!(found, expected);
    let host = std::process::Command::new("rustc").arg("-vV").output().expect("rustc runs");
    let host = String::from_utf8(host.stdout).expect("it speaks UTF-8");
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).expect("it has a host");
    let asked = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--all-features", "--format-version", "1"])
        .args(["--filter-platform", host])
        .output()
        .expect("cargo runs");
    let all: serde_json::Value = serde_json::from_slice(&asked.stdout).expect("it speaks JSON");
    assert!(all["packages"].as_array().is_some_and(|all| all.len() > 50), "{all}");
    let found: Vec<_> = deps::deps(&all, &list).iter().map(Violation::to_string).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}
