//! Floor 5. What a server is told about its clients: who is there, who is to go, whom to let in.
//!
//! What is changed so holds until the connector ends; the configuration is nobody's to write here.
//! Absent on purpose: what clients and servers are told alike (`orders`).

use crate::proto::aio::Name;
use crate::proto::aio::command::{Command, Question};
use crate::value::Value;

use super::hall::Hall;
use super::house::{House, lock};
use super::lists::{List, Pattern};

/// Every client that is there, by its name, and where it came from.
pub(super) fn peers(hall: &Hall) -> Value {
    let there = hall.all().into_iter().filter_map(|way| {
        let from = way.from()?;
        let place = vec![Value::Text(from.ip().to_string()), Value::Int(i64::from(from.port()))];
        Some((way.peer.as_str().to_owned(), Value::List(place)))
    });
    Value::Map(there.collect())
}

/// Send a client away; it may come again.
pub(super) fn disconnect(house: &House, hall: &Hall, question: &Question) {
    if let Some(way) = word(question, "client_id").and_then(|name| hall.way(name)) {
        hall.send_away(house, &way);
    }
}

/// What was given to a client opens nothing any more, and it is sent away.
pub(super) fn forget(house: &House, hall: &Hall, question: &Question) -> Result<(), String> {
    let name = word(question, "client_id").and_then(|name| Name::new(&name.into()));
    let name = name.ok_or("client_id is no name")?;
    let names = hall.serving.names.as_ref().ok_or("nothing is given to clients here")?;
    let key = ("remove_only_symlink".to_owned(), Value::Bool(true));
    names.forget(&name, question.with.contains(&key))?;
    hall.forget();
    // Whoever has the name then may be somebody else.
    hall.halves.forget(&name);
    disconnect(house, hall, question);
    Ok(())
}

/// Change a list of who may come, or who may not; why that is not done.
pub(super) fn enlist(house: &House, hall: &Hall, question: &Question) -> Result<(), String> {
    use Command::{Blacklist, Unblacklist, Whitelist};
    let mut lists = lock(&hall.lists);
    let list = match question.command {
        Blacklist | Unblacklist => &mut lists.black,
        _ => &mut lists.white,
    };
    let adds = matches!(question.command, Blacklist | Whitelist);
    for key in ["client_id", "client_ip"] {
        if let Some(whom) = word(question, key) {
            change(list, adds, (key, whom))?;
        }
    }
    let (after, names) = (lists.clone(), hall.serving.names.clone());
    drop(lists);
    if question.command != Blacklist {
        return Ok(());
    }
    if let (Some(names), Some(name)) =
        (names, word(question, "client_id").and_then(|name| Name::new(&name.into())))
    {
        // It may have been given nothing.
        let _ = names.forget(&name, false);
        hall.forget();
        hall.halves.forget(&name);
    }
    for way in hall.all() {
        let stays = after.admit_name(way.peer.as_str());
        if !(stays && way.from().is_none_or(|from| after.admit(from.ip()))) {
            hall.send_away(house, &way);
        }
    }
    Ok(())
}

fn change(list: &mut List, adds: bool, (key, whom): (&str, &str)) -> Result<(), String> {
    let full = || "the list is full".to_owned();
    match (key, adds) {
        ("client_id", true) => {
            let pattern = Pattern::new(whom).map_err(|why| why.to_string())?;
            if list.add_name(pattern) { Ok(()) } else { Err(full()) }
        }
        ("client_id", false) => {
            list.remove_name(whom);
            Ok(())
        }
        (_, true) => match list.add_address(whom) {
            Some(true) => Ok(()),
            Some(false) => Err(full()),
            None => Err("client_ip is no address".to_owned()),
        },
        (_, false) => {
            list.remove_address(whom);
            Ok(())
        }
    }
}

fn word<'a>(question: &'a Question, key: &str) -> Option<&'a str> {
    question.with.iter().find(|(it, _)| it == key)?.1.as_text()
}
