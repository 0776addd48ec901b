//! Floor 6. `spindle aio cli`: the menu of the original, for connectors that run.
//!
//! It asks for the folder of their sockets, for a connector, and then for orders by number, as the
//! original does, so that what somebody is used to type works; it reads lines, so a pipe does as
//! well. With `--json` it asks nothing and prints a document for each answer. Absent on purpose:
//! reading attributes of a connector, which the original does before it asks for a list's client.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::client::aio::connector::Setup;
use crate::proto::aio::command::{Command, Question};
use crate::value::{Bounds, Form, Value, Walk};

use super::super::exit;
use super::orders::exchange;
use super::{Link, config, print};

/// Flags of `aio cli`.
#[derive(Args, Clone, Debug)]
pub(in super::super) struct Menu {}

/// What can be chosen, in the order of the original.
const ORDERS: [&str; 18] = [
    "start",
    "stop gracefully",
    "stop hard",
    "restart",
    "show_connected_peers",
    "ignore_peer_traffic",
    "peek_queues",
    "delete_client_certificate",
    "delete_client_token",
    "disconnect_client",
    "show_log_level",
    "set_log_level",
    "show_subscribe_message_types",
    "set_subscribe_message_types",
    "add_blacklist_client",
    "remove_blacklist_client",
    "add_whitelist_client",
    "remove_whitelist_client",
];
const LEVELS: [&str; 4] = ["ERROR", "WARNING", "INFO", "DEBUG"];

/// A connector that was chosen.
struct Chosen {
    name: String,
    socket: PathBuf,
    is_server: bool,
}

/// There will be no more lines.
struct Over;

/// Whoever types, and what is asked of them.
struct Talk<'a> {
    link: &'a Link,
    input: &'a mut dyn BufRead,
}

impl Menu {
    pub(super) fn run(&self, link: &Link) -> u8 {
        let mut input = std::io::stdin().lock();
        // The end of what is typed is as good as a q.
        let _: Result<(), Over> = Talk { link, input: &mut input }.play();
        exit::DONE
    }
}

impl Talk<'_> {
    fn play(&mut self) -> Result<(), Over> {
        self.say("Welcome to aioconnectors CLI");
        let usual = config::default_dir();
        let asked = format!(
            "\nPlease type your connector_files_dirpath, or Enter if it is {}",
            usual.display()
        );
        let typed = self.ask(&asked)?;
        let folder = if typed.is_empty() { usual } else { PathBuf::from(typed) };
        loop {
            let Some(chosen) = self.choose(&folder)? else { return Ok(()) };
            while self.order(&chosen)? {}
        }
    }

    /// Which connector, asked until there is such a one; none: it is enough.
    fn choose(&mut self, folder: &Path) -> Result<Option<Chosen>, Over> {
        loop {
            let there = there(folder);
            if !there.is_empty() {
                for (number, one) in there.iter().enumerate() {
                    self.say(&format!("{number})    {}", one.name));
                }
                self.say("\nPlease type the connector number you would like to run, or");
            }
            let typed = self.ask(
                "To check your server, please type your server <ip> <port>.\nTo check your \
                 client, please type your client name.\nType \"q\" to quit.",
            )?;
            if typed == "q" {
                return Ok(None);
            }
            let by_number = typed.parse::<usize>().ok().and_then(|at| there.into_iter().nth(at));
            let chosen = by_number.unwrap_or_else(|| named(folder, &typed));
            if chosen.socket.exists() {
                return Ok(Some(chosen));
            }
            self.say(&format!("The connector {} does not exist", chosen.name));
        }
    }

    /// One order; false: another connector.
    fn order(&mut self, to: &Chosen) -> Result<bool, Over> {
        self.say(&format!("\nConnector : {}", to.name));
        for (number, order) in ORDERS.iter().enumerate() {
            self.say(&format!("{number})    {order}"));
        }
        let asked = "\nPlease type the command number you would like to run, or q to quit";
        let typed = self.ask(asked)?;
        if typed == "q" {
            return Ok(false);
        }
        match typed.parse::<usize>().ok().filter(|number| *number < ORDERS.len()) {
            Some(number) => self.obey(to, number)?,
            None => self.say(&format!("Invalid number : {typed}")),
        }
        Ok(true)
    }

    fn obey(&mut self, to: &Chosen, number: usize) -> Result<(), Over> {
        let flag = |key: &str, value| (key.to_owned(), Value::Bool(value));
        match number {
            0 => self.give(to, Command::Start, Vec::new()),
            1 | 2 => {
                let with = vec![
                    flag("hard", number == 2),
                    flag("shutdown", false),
                    flag("enable_delete_files", true),
                    flag("client_wait_for_reconnect", false),
                ];
                self.give(to, Command::Stop, with);
            }
            3 => {
                let with = vec![flag("hard", false), ("sleep_between".to_owned(), Value::Int(2))];
                self.give(to, Command::Restart, with);
            }
            4 => self.give(to, Command::Peers, vec![truth("dump_result")]),
            5 => self.ignore(to)?,
            6 => self.give(to, Command::Queues, vec![truth("dump_result")]),
            7 if to.is_server => self.forget(to, Command::ForgetCertificate, "certificate")?,
            7 => self.drop_own(to, Command::DropCertificate, "certificate")?,
            8 if to.is_server => self.forget(to, Command::ForgetToken, "token")?,
            8 => self.drop_own(to, Command::DropToken, "token")?,
            9 if to.is_server => {
                if let Some(name) = self.client(to, "disconnect")? {
                    self.disconnect(to, &name);
                }
            }
            10 => self.give(to, Command::LogLevel, Vec::new()),
            11 => self.level(to)?,
            12 | 13 if to.is_server => self.say("Only available for clients"),
            12 => self.give(to, Command::Subscriptions, Vec::new()),
            13 => self.subscribe(to)?,
            14 if to.is_server => self.list(to, Command::Blacklist, "blacklist")?,
            15 if to.is_server => {
                self.list(to, Command::Unblacklist, "remove from the blacklist")?;
            }
            16 if to.is_server => self.list(to, Command::Whitelist, "whitelist")?,
            17 if to.is_server => {
                self.list(to, Command::Unwhitelist, "remove from the whitelist")?;
            }
            _ => self.say("A client cannot use this functionality"),
        }
        Ok(())
    }

    fn ignore(&mut self, to: &Chosen) -> Result<(), Over> {
        loop {
            let said = self.exchange(to, Command::Ignore, vec![truth("show")]);
            let Some(said) = said else { return Ok(()) };
            self.tell(Command::Ignore, &said);
            if said != "False" {
                let typed =
                    self.ask("Type \"y\" to stop ignoring peer traffic, or Enter to quit")?;
                if typed != "y" {
                    return Ok(());
                }
                let _ = self.exchange(to, Command::Ignore, vec![truth("disable")]);
                continue;
            }
            self.give(to, Command::Peers, vec![truth("dump_result")]);
            let typed = self.ask(
                "Type \"y\" to ignore peer traffic, or <peer name> to ignore a unique peer \
                 traffic, or q to quit",
            )?;
            let with = match typed.as_str() {
                "q" | "" => return Ok(()),
                "y" => truth("enable"),
                peer => ("unique_peer".to_owned(), Value::Text(peer.to_owned())),
            };
            let _ = self.exchange(to, Command::Ignore, vec![with]);
        }
    }

    /// A server forgets what a client shows, and hangs up on it.
    fn forget(&mut self, to: &Chosen, command: Command, what: &str) -> Result<(), Over> {
        let Some(name) = self.client(to, &format!("delete the {what} of"))? else { return Ok(()) };
        self.give(to, command, vec![client_id(&name)]);
        self.disconnect(to, &name);
        Ok(())
    }

    fn disconnect(&self, to: &Chosen, name: &str) {
        self.give(to, Command::Disconnect, vec![client_id(name)]);
    }

    fn drop_own(&mut self, to: &Chosen, command: Command, what: &str) -> Result<(), Over> {
        if self.sure(&format!("delete {}'s {what}", to.name))? {
            self.give(to, command, vec![truth("restart_client")]);
        }
        Ok(())
    }

    fn level(&mut self, to: &Chosen) -> Result<(), Over> {
        for (number, level) in LEVELS.iter().enumerate() {
            self.say(&format!("{number})    {level}"));
        }
        let asked = "\nPlease type the log level you would like to set, or q to quit";
        let typed = self.ask(asked)?;
        match typed.parse::<usize>().ok().and_then(|number| LEVELS.get(number)) {
            Some(level) => {
                let with = ("level".to_owned(), Value::Text((*level).to_owned()));
                self.give(to, Command::SetLogLevel, vec![with]);
            }
            None if typed == "q" => {}
            None => self.say(&format!("Invalid number : {typed}")),
        }
        Ok(())
    }

    fn subscribe(&mut self, to: &Chosen) -> Result<(), Over> {
        self.give(to, Command::Subscriptions, Vec::new());
        let typed = self.ask(
            "Please type the list of all message types you would like to subscribe, or q to quit",
        )?;
        if typed == "q" || !self.sure(&format!("subscribe to these message types : {typed}"))? {
            return Ok(());
        }
        let types = typed.split_whitespace().map(|kind| Value::Text(kind.to_owned())).collect();
        let with = vec![("message_types".to_owned(), Value::List(types))];
        self.give(to, Command::SetSubscriptions, with);
        Ok(())
    }

    /// A client by its name, or by its address.
    fn list(&mut self, to: &Chosen, command: Command, what: &str) -> Result<(), Over> {
        let Some(whom) = self.client(to, what)? else { return Ok(()) };
        // Names have no dots.
        let key = if is_address(&whom) { "client_ip" } else { "client_id" };
        self.give(to, command, vec![(key.to_owned(), Value::Text(whom))]);
        Ok(())
    }

    /// Which client, if that is meant.
    fn client(&mut self, to: &Chosen, what: &str) -> Result<Option<String>, Over> {
        self.give(to, Command::Peers, vec![truth("dump_result")]);
        let asked = format!("Please type the client that you would like to {what}, or q to quit");
        let typed = self.ask(&asked)?;
        if matches!(typed.as_str(), "q" | "") || !self.sure(&format!("{what} {typed}"))? {
            return Ok(None);
        }
        Ok(Some(typed))
    }

    fn sure(&mut self, what: &str) -> Result<bool, Over> {
        Ok(self.ask(&format!("Are you sure you want to {what} ? y/n"))? == "y")
    }

    /// Give an order, and say what is answered.
    fn give(&self, to: &Chosen, command: Command, with: Vec<(String, Value)>) {
        if let Some(said) = self.exchange(to, command, with) {
            self.tell(command, &said);
        }
    }

    fn exchange(
        &self,
        to: &Chosen,
        command: Command,
        with: Vec<(String, Value)>,
    ) -> Option<String> {
        let said = exchange(&to.socket, &Question { command, with }, self.link);
        said.map_err(|e| self.link.complain(&format!("Error: {}: {e}", to.socket.display()))).ok()
    }

    fn tell(&self, command: Command, said: &str) {
        if self.link.json {
            let pairs = vec![("order", print::text(command.word())), ("answer", print::text(said))];
            print::say(&print::json(pairs));
        } else {
            print::say(&print::safe_lines(said));
        }
    }

    /// For people.
    fn say(&self, text: &str) {
        if !self.link.json {
            print::say(&print::safe_lines(text));
        }
    }

    /// A line of what is typed.
    fn ask(&mut self, text: &str) -> Result<String, Over> {
        self.say(text);
        let mut line = String::new();
        match self.input.read_line(&mut line) {
            Ok(1..) => Ok(line.trim().to_owned()),
            Ok(0) | Err(_) => Err(Over),
        }
    }
}

fn truth(key: &str) -> (String, Value) {
    (key.to_owned(), Value::Bool(true))
}

fn client_id(name: &str) -> (String, Value) {
    ("client_id".to_owned(), Value::Text(name.to_owned()))
}

/// Four numbers and dots, perhaps with a mask.
fn is_address(text: &str) -> bool {
    let bare = text.split('/').next().unwrap_or_default();
    bare.parse::<std::net::IpAddr>().is_ok()
}

/// The connectors whose sockets are in the folder: by the names that the original notes there, and
/// those that nobody notes by what is left of their names.
fn there(folder: &Path) -> Vec<Chosen> {
    let noted = noted(&folder.join("active_connectors.json"));
    let mut all: Vec<Chosen> = noted.iter().map(|name| named(folder, name)).collect();
    all.retain(|one| one.socket.exists());
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten().take(SOCKETS_MAX) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix(COMMANDER) else { continue };
        let socket = entry.path();
        if all.iter().all(|one| one.socket != socket) {
            // What is left of a name has no such sign; that of a server stands before its port.
            let is_server = rest.contains('_');
            all.push(Chosen { name: rest.to_owned(), socket, is_server });
        }
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

/// What the original has noted.
fn noted(path: &Path) -> Vec<String> {
    let Ok(text) = std::fs::read(path) else { return Vec::new() };
    let mut walk = Walk::new(Form::Json, &text, Bounds { depth: 2, items: 10_000 });
    let value = Value::read(&mut walk).ok();
    let list = value.as_ref().and_then(Value::as_list).unwrap_or_default();
    list.iter().filter_map(Value::as_text).map(str::to_owned).collect()
}

/// The connector that is called so: a server by `IP PORT`, a client by its name.
fn named(folder: &Path, name: &str) -> Chosen {
    let socket = match name.split_once(char::is_whitespace) {
        Some((ip, port)) => {
            let ip: String = ip.chars().filter(char::is_ascii_alphanumeric).collect();
            let port: String = port.chars().filter(char::is_ascii_digit).collect();
            folder.join(format!("{COMMANDER}{ip}_{port}"))
        }
        None => Setup::new("", name, folder).commander(),
    };
    let is_server = name.contains(char::is_whitespace);
    Chosen { name: name.to_owned(), socket, is_server }
}

/// What the names of sockets for orders begin with.
const COMMANDER: &str = "uds_path_commander_";
/// How many connectors are looked for.
const SOCKETS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_an_address_and_a_client_a_name() {
        let socket = |name| named(Path::new("/run"), name).socket;
        let server = Path::new("/run/uds_path_commander_127001_10673");
        assert_eq!(socket("127.0.0.1 10673"), server);
        assert_eq!(socket("cl-1"), Path::new("/run/uds_path_commander_cl1"));
        assert_eq!(socket("../x"), Path::new("/run/uds_path_commander_x"));
        for address in ["127.0.0.1", "10.0.0.0/8", "::1"] {
            assert!(is_address(address));
        }
        assert!(!is_address("client1"));
    }
}
