//! Floor 1. Tests of `tree`: what is asked of a value, and what is refused to become one.

use super::fuzzing::tree;
use super::{Bounds, Flaw, Form, Value, Walk};

fn json(text: &str) -> Value {
    tree(Form::Json, text.as_bytes()).unwrap()
}

#[test]
fn whole_doubles_are_whole_numbers() {
    for (value, whole) in [
        (Value::Int(-7), Some(-7)),
        (Value::Int(i64::MIN), Some(i64::MIN)),
        (Value::Float(4_294_967_296.0), Some(1 << 32)),
        (Value::Float(9_007_199_254_740_992.0), Some(1 << 53)),
        (Value::Float(-0.0), Some(0)),
        (Value::Float(-9_223_372_036_854_775_808.0), Some(i64::MIN)),
        (Value::Float(9_223_372_036_854_774_784.0), Some(i64::MAX - 1023)),
        (Value::Float(9_223_372_036_854_775_808.0), None),
        (Value::Float(-9_223_372_036_854_777_856.0), None),
        (Value::Float(0.5), None),
        (Value::Float(f64::NAN), None),
        (Value::Float(f64::INFINITY), None),
        (Value::Uint(1 << 63), None),
        (Value::Text("1".into()), None),
        (Value::Bool(true), None),
        (Value::Null, None),
    ] {
        assert_eq!(value.as_int(), whole, "{value:?}");
    }
}

#[test]
fn a_value_is_what_it_is_and_nothing_else() {
    let values = [
        json("true"),
        json("\"a\""),
        json("[1]"),
        Value::Bytes(vec![1]),
        json("{\"a\":1}"),
        json("1"),
    ];
    let are: Vec<[bool; 4]> = values
        .iter()
        .map(|v| {
            let text = v.as_text() == Some("a");
            let list = v.as_list() == Some(&[Value::Int(1)]);
            let bytes = v.as_bytes() == Some(&[1]);
            assert_eq!(v.as_text().is_some(), text);
            assert_eq!(v.as_list().is_some(), list);
            assert_eq!(v.as_bytes().is_some(), bytes);
            [v.as_bool() == Some(true), text, list, bytes]
        })
        .collect();
    let only = |at: usize| core::array::from_fn(|i| i == at);
    assert_eq!(are, [only(0), only(1), only(2), only(3), [false; 4], [false; 4]]);
}

#[test]
fn null_counts_as_absent() {
    let options = json("{\"a\":null,\"b\":false,\"c\":{\"a\":1}}");
    assert_eq!(options.get("a"), None);
    assert_eq!(options.get("b"), Some(&Value::Bool(false)));
    assert_eq!(options.get("c").and_then(|c| c.get("a")), Some(&Value::Int(1)));
    assert_eq!(options.get("d"), None);
    assert_eq!(json("[1]").get("a"), None);
}

#[test]
fn a_key_stands_once_in_a_map_however_many_there_are() {
    for len in [1, 2, 16, 17, 18, 1_000] {
        let mut keys: Vec<String> = (0..len).map(|i| format!("\"{i}\":{{\"0\":{i}}}")).collect();
        let text = format!("{{{}}}", keys.join(","));
        let Value::Map(pairs) = json(&text) else { panic!("{text}") };
        assert!(pairs.iter().enumerate().all(|(i, (key, _))| *key == i.to_string()), "in order");
        keys.push(format!("\"{}\":1", len / 2));
        let text = format!("{{{}}}", keys.join(","));
        assert_eq!(tree(Form::Json, text.as_bytes()), Err(Flaw::Key), "{len}");
        let mut walk = Walk::new(Form::Json, text.as_bytes(), Bounds::default());
        assert_eq!(walk.skip(), Ok(()), "a walk does not look at that");
    }
}

#[test]
fn a_tree_is_never_deep_whatever_the_walk_allows() {
    let bounds = Bounds { depth: 20_000, items: 65_536 };
    for (open, close) in [("[", "]"), ("{\"\":", "}")] {
        for (depth, end) in [(128, None), (129, Some(Flaw::Depth)), (20_000, Some(Flaw::Depth))] {
            let text = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let mut walk = Walk::new(Form::Json, text.as_bytes(), bounds);
            assert_eq!(walk.clone().skip(), Ok(()));
            assert_eq!(Value::read(&mut walk).err(), end, "{depth}");
        }
    }
}

#[test]
fn values_are_read_one_by_one_from_within() {
    let mut walk = Walk::new(Form::Json, b"[{\"a\":[]},2]", Bounds::default());
    walk.next().unwrap();
    assert_eq!(Value::read(&mut walk), Ok(json("{\"a\":[]}")));
    assert_eq!(Value::read(&mut walk), Ok(Value::Int(2)));
    assert_eq!(Value::read(&mut walk), Err(Flaw::Short), "the list ends where a value is due");
    assert_eq!(walk.at_end(), Ok(true), "and its end is still to be read");
}
