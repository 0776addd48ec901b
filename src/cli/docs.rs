//! Floor 6. Completions, man pages and the manual's chapter: made from the same flags as --help.
//!
//! Nothing is written by hand that the flags say already, so none of it can be out of date; the
//! chapter is compared with the file by `tests/tidy.rs`. Absent on purpose: guides; the manual has
//! them.

use std::path::{Path, PathBuf};

use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;

use super::ctl::object;
use super::json::Value;
use super::{FAILED, complain, exit, say, say_json};

/// The whole command line.
fn whole() -> Command {
    super::Args::command()
}

/// Print what a shell completes by.
pub(super) fn completions(shell: Shell) -> u8 {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut whole(), "spindle", &mut text);
    say(String::from_utf8_lossy(&text).trim_end())
}

/// Print one man page, or write them all into a folder.
pub(super) fn man(verb: Option<&str>, folder: Option<&Path>) -> u8 {
    let done = match folder {
        Some(folder) => pages(folder),
        None => page(verb).map(|text| {
            say(text.trim_end());
        }),
    };
    match done {
        Ok(()) => 0,
        Err(why) => complain(&why, FAILED),
    }
}

fn page(verb: Option<&str>) -> Result<String, String> {
    let mut whole = whole();
    whole.build();
    let command = match verb {
        None => whole,
        Some(verb) => {
            let found = whole.find_subcommand(verb).cloned();
            let name = format!("spindle-{verb}");
            found.ok_or_else(|| format!("there is no command {verb}"))?.name(name)
        }
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text).map_err(|e| e.to_string())?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn pages(folder: &Path) -> Result<(), String> {
    let put = |name: &str, text: String| -> Result<(), String> {
        let path: PathBuf = folder.join(format!("{name}.1"));
        std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
    };
    put("spindle", page(None)?)?;
    for verb in whole().get_subcommands() {
        put(&format!("spindle-{}", verb.get_name()), page(Some(verb.get_name()))?)?;
    }
    Ok(())
}

/// The manual's chapter on the command line.
#[must_use]
pub fn chapter() -> String {
    let mut text = String::from(
        "# The command line\n\n\
         Made by `spindle man --markdown` from the flags themselves.\n\n\
         `pub` and `sub` have the letters, the output and the exit codes of mosquitto's clients.\n\
         What a flag does not say, its environment variable says, then the context (`spindle \
         context`), then\nthe default.\n",
    );
    let mut whole = whole();
    whole.build();
    for verb in whole.get_subcommands().filter(|verb| verb.get_name() != "help") {
        describe(verb, &mut vec![verb.get_name().to_owned()], &mut text);
    }
    text += "\n## Exit codes\n\n";
    text += &exit::markdown();
    text
}

fn describe(command: &Command, path: &mut Vec<String>, text: &mut String) {
    let plain = |styled: Option<&StyledStr>| {
        styled.map(ToString::to_string).unwrap_or_default().replace('\n', " ")
    };
    let marks = if path.len() == 1 { "##" } else { "###" };
    *text += &format!("\n{marks} {}\n\n{}\n", path.join(" "), plain(command.get_about()));
    let below = path.len() > 1;
    let shown = |arg: &&Arg| {
        let id = arg.get_id().as_str();
        // What all verbs below one share stands with that one.
        if below && arg.is_global_set() {
            return false;
        }
        id != "help" && id != "version" && !arg.is_hide_set()
    };
    let args: Vec<&Arg> = command.get_arguments().filter(shown).collect();
    if !args.is_empty() {
        *text += "\n| | |\n|---|---|\n";
    }
    for arg in args {
        let mut doc = plain(arg.get_help());
        if let Some(name) = arg.get_env() {
            doc += &format!(" (`{}`)", name.to_string_lossy());
        }
        let defaults = arg.get_default_values().iter().map(|value| value.to_string_lossy());
        let defaults: Vec<_> = defaults.collect();
        if arg.get_action().takes_values() && !defaults.is_empty() && !doc.contains("[default: ") {
            doc += &format!(" [default: {}]", defaults.join(" "));
        }
        let values = arg.get_possible_values();
        if arg.get_action().takes_values() && !values.is_empty() {
            let names: Vec<&str> = values.iter().map(|value| value.get_name()).collect();
            doc += &format!(" ({})", names.join(", "));
        }
        let row = format!("| {} | {} |\n", spelled(arg), doc.replace('|', "\\|"));
        *text += &row;
    }
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        path.push(verb.get_name().to_owned());
        describe(verb, path, text);
        path.pop();
    }
}

/// Print the whole command line as a document.
pub(super) fn json() -> u8 {
    let mut whole = whole();
    whole.build();
    say_json(&document(&whole))
}

/// A command with its flags and what is below it. What all below one share stands with that one.
fn document(command: &Command) -> Value {
    let plain = |styled: Option<&StyledStr>| {
        styled.map(ToString::to_string).unwrap_or_default().replace('\n', " ")
    };
    let flag = |arg: &Arg| {
        object(vec![
            ("flag", spelled(arg).trim_matches('`').into()),
            ("about", plain(arg.get_help()).as_str().into()),
            ("required", Value::Bool(arg.is_required_set())),
        ])
    };
    let args = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let below = command.get_subcommands().filter(|verb| verb.get_name() != "help");
    object(vec![
        ("name", command.get_name().into()),
        ("about", plain(command.get_about()).as_str().into()),
        ("flags", Value::List(args.map(flag).collect())),
        ("commands", Value::List(below.map(document).collect())),
    ])
}

/// `-t, --topic FILTER`
fn spelled(arg: &Arg) -> String {
    let values: Vec<String> = match arg.get_value_names() {
        Some(names) if arg.get_action().takes_values() => {
            names.iter().map(ToString::to_string).collect()
        }
        _ => Vec::new(),
    };
    let mut names = Vec::new();
    names.extend(arg.get_short().map(|letter| format!("-{letter}")));
    names.extend(arg.get_long().map(|word| format!("--{word}")));
    let text = match (names.is_empty(), values.is_empty()) {
        (true, true) => arg.get_id().to_string().to_uppercase(),
        (true, false) => values.join(" "),
        (false, true) => names.join(", "),
        (false, false) if arg.is_require_equals_set() => {
            format!("{}[={}]", names.join(", "), values.join(" "))
        }
        (false, false) => format!("{} {}", names.join(", "), values.join(" ")),
    };
    format!("`{text}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flag_contradicts_another() {
        whole().debug_assert();
    }

    /// What ends in a document already, prints for another program, runs until it is stopped, or
    /// has nothing to say when all is well.
    const WITHOUT_JSON: &[&str] = &[
        "serve",
        "connector",
        "bench null",
        "pub",
        "reply",
        "completions",
        "config default",
        "config schema",
        "context add",
        "context select",
        "context rm",
        "foo-proxy",
        "foo-server",
        "foo-client",
    ];

    fn without_json(command: &Command, path: &str, given: bool, found: &mut Vec<String>) {
        let given = given || command.get_arguments().any(|arg| arg.get_long() == Some("json"));
        let below: Vec<&Command> =
            command.get_subcommands().filter(|verb| verb.get_name() != "help").collect();
        if below.is_empty() && !given {
            found.push(path.trim_start().to_owned());
        }
        for verb in below {
            // Only what is global holds for verbs below.
            let global = command
                .get_arguments()
                .any(|arg| arg.get_long() == Some("json") && arg.is_global_set());
            let path = format!("{path} {}", verb.get_name());
            without_json(verb, &path, global, found);
        }
    }

    #[test]
    fn what_says_something_says_it_as_json_too() {
        let mut whole = whole();
        whole.build();
        let mut found = Vec::new();
        without_json(&whole, "", false, &mut found);
        found.sort();
        let mut known = WITHOUT_JSON.to_vec();
        known.sort_unstable();
        assert_eq!(found, known);
    }

    #[test]
    fn every_verb_has_a_page() {
        for verb in whole().get_subcommands() {
            let text = page(Some(verb.get_name())).unwrap();
            assert!(text.contains(".SH NAME"), "{}", verb.get_name());
        }
        assert!(page(Some("nonsense")).is_err());
    }
}
