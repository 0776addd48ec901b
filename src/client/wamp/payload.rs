//! Floor 5. What messages carry, as values: written in the form of the connection, read from it.
//!
//! A payload of others is well formed when it comes here, the codec has walked it; what can still
//! be wrong is a number that nothing holds or a key that stands twice. Absent on purpose: packing
//! (`ppt_scheme`): who passes payloads through packs them into one value of bytes.

use bytes::Bytes;

use crate::proto::wamp::{Payload as Spans, Raw};
use crate::value::{Bounds, Flaw, Form, Value, Walk, Writer};

/// Values in order, and values by name.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Payload {
    /// In order.
    pub args: Vec<Value>,
    /// By name.
    pub kwargs: Vec<(String, Value)>,
}

impl From<()> for Payload {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl From<Vec<Value>> for Payload {
    fn from(args: Vec<Value>) -> Self {
        Self { args, kwargs: Vec::new() }
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        vec![Value::Text(text.to_owned())].into()
    }
}

impl Payload {
    /// Written down.
    pub(super) fn spans(&self, form: Form) -> Spans {
        let args = (!self.args.is_empty()).then(|| {
            raw(form, |to| {
                to.list(self.args.len());
                self.args.iter().for_each(|value| value.write(to));
            })
        });
        let kwargs = (!self.kwargs.is_empty()).then(|| {
            raw(form, |to| {
                to.map(self.kwargs.len());
                for (key, value) in &self.kwargs {
                    to.key(key);
                    value.write(to);
                }
            })
        });
        Spans { args, kwargs }
    }

    /// Read.
    pub(super) fn read(spans: &Spans, bounds: Bounds) -> Result<Self, Flaw> {
        let args = match spans.args.as_ref().map(|raw| tree(raw, bounds)).transpose()? {
            Some(Value::List(args)) => args,
            _ => Vec::new(),
        };
        let kwargs = match spans.kwargs.as_ref().map(|raw| tree(raw, bounds)).transpose()? {
            Some(Value::Map(kwargs)) => kwargs,
            _ => Vec::new(),
        };
        Ok(Self { args, kwargs })
    }
}

/// One value, written down.
pub(super) fn value(form: Form, value: &Value) -> Raw {
    let mut out = Vec::new();
    value.write(&mut Writer::new(form, &mut out));
    Raw { form, bytes: Bytes::from(out) }
}

/// One value, read.
pub(super) fn tree(raw: &Raw, bounds: Bounds) -> Result<Value, Flaw> {
    let mut walk = Walk::new(raw.form, &raw.bytes, bounds);
    let value = Value::read(&mut walk)?;
    walk.finish()?;
    Ok(value)
}

fn raw(form: Form, write: impl FnOnce(&mut Writer<'_>)) -> Raw {
    let mut out = Vec::new();
    let mut writer = Writer::new(form, &mut out);
    write(&mut writer);
    writer.end();
    Raw { form, bytes: Bytes::from(out) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_read_as_they_were_written_in_every_form() {
        let payload = Payload {
            args: vec![
                Value::Int(-1),
                Value::Uint(u64::MAX),
                Value::Bytes(vec![0, 255]),
                Value::List(vec![Value::Null, Value::Float(0.5)]),
            ],
            kwargs: vec![("key".to_owned(), Value::Text("\u{e9}".to_owned()))],
        };
        for form in Form::ALL {
            let spans = payload.spans(form);
            assert_eq!(Payload::read(&spans, Bounds::default()), Ok(payload.clone()), "{form:?}");
            let nothing = Payload::default().spans(form);
            assert!(nothing.is_empty(), "{form:?}");
        }
    }

    #[test]
    fn a_key_that_stands_twice_is_a_flaw() {
        let twice = Bytes::from_static(b"{\"a\":1,\"a\":2}");
        let kwargs = Some(Raw { form: Form::Json, bytes: twice });
        let spans = Spans { args: None, kwargs };
        assert_eq!(Payload::read(&spans, Bounds::default()), Err(Flaw::Key));
    }
}
