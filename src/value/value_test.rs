//! Floor 1. Tests of the whole room: what one form says, the others say too.

use super::{Bounds, Form, Value, Walk, Writer, transcode};

fn sample() -> Value {
    Value::List(vec![
        Value::Int(48),
        Value::Uint(u64::MAX),
        Value::Int(i64::MIN),
        Value::Map(vec![
            ("a".into(), Value::List(vec![Value::Null, Value::Bool(true), Value::Float(-0.5)])),
            ("b".into(), Value::Map(Vec::new())),
            ("c".into(), Value::Bytes(vec![0, 255])),
        ]),
        Value::Text("gr\u{fc}n \"\u{1}".into()),
    ])
}

fn written(value: &Value, form: Form) -> Vec<u8> {
    let mut out = Vec::new();
    value.write(&mut Writer::new(form, &mut out));
    out
}

#[test]
fn what_one_form_says_every_other_says_too() {
    for from in Form::ALL {
        let bytes = written(&sample(), from);
        for to in Form::ALL {
            let mut out = Vec::new();
            transcode(from, &bytes, to, &mut out, Bounds::default()).unwrap();
            assert_eq!(out, written(&sample(), to), "{from:?} to {to:?}");
            let mut walk = Walk::new(to, &out, Bounds::default());
            assert_eq!(Value::read(&mut walk), Ok(sample()), "{to:?}");
            assert_eq!(walk.finish(), Ok(()), "{to:?}");
        }
    }
}
