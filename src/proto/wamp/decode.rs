//! Floor 3. Bytes of one whole message into the message, or the rule that they break.
//!
//! Elements are read in their order by the table of `packet.rs`, options by those of `options.rs`.
//! `Arguments` and `ArgumentsKw` are walked once, so they are known to be well formed, and kept as
//! the span they stand in. What is refused says where: message, element, option. Absent on
//! purpose: where a message begins and ends (the transport knows), and rules about URIs, which are
//! answered with an ERROR and not with the end.

use std::fmt;

use bytes::Bytes;

use super::encode::{Out, Said};
use super::options::{Dict, RevokedDetails};
use super::packet::{Ended, Failure, Message, Origin, Sender, Unread};
use super::parts::{Amount, ID_MAX, Payload, Raw, Text};
use crate::proto::fault::{Fault, FaultKind};
use crate::value::{Bounds, Flaw, Form, Item, Walk};

/// The code of INVOCATION, which is all that a client may say an ERROR about.
const INVOCATION: u64 = 68;

/// How much one message may hold; how long it may be is for the transport to say.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    /// Depth and items, of all that is in it.
    pub walk: Bounds,
    /// Bytes of a URI, a name, a signature or any other text outside the payload.
    pub text: usize,
    /// Entries of one list in options, and keys that have no table.
    pub entries: usize,
}

impl Default for Most {
    fn default() -> Self {
        Self { walk: Bounds::default(), text: 65_535, entries: 4_096 }
    }
}

/// Where something was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// The message, once its code is known.
    pub message: &'static str,
    /// The element of it.
    pub element: &'static str,
    /// The option in the element.
    pub option: &'static str,
}

/// A message that was not understood. Each is worth an ABORT (`fault.rs` makes it).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused {
    /// The rule.
    pub fault: Fault,
    /// Where it was broken.
    pub place: Place,
    /// What is wrong with the bytes, if it is that.
    pub flaw: Option<Flaw>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { message, element, option } = self.place;
        let parts = [message, element, option];
        let mut before = "";
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            write!(f, "{before}{part}")?;
            before = ".";
        }
        let colon = if before.is_empty() { "" } else { ": " };
        write!(f, "{colon}{}", self.fault.kind.text())?;
        self.flaw.map_or(Ok(()), |flaw| write!(f, " ({})", flaw.text()))
    }
}

/// Read one message of `sender`.
pub fn decode(form: Form, whole: &Bytes, sender: Sender, most: &Most) -> Result<Message, Refused> {
    let walk = Walk::new(form, whole, most.walk);
    let at = Field { walk, form, whole, span: whole, most, place: Place::default() };
    let mut elements = Elements { at, sender };
    let at = &mut elements.at;
    if !matches!(at.next()?, Item::List) || at.at_end()? {
        return Err(at.refused(FaultKind::WampNotList));
    }
    let code = at.next()?;
    let Some(code) = number(&code) else { return Err(at.refused(FaultKind::WampType)) };
    let code = u64::try_from(code).map_err(|_| at.refused(FaultKind::WampCode))?;
    let message = Message::read(code, &mut elements)?;
    elements.at.place = Place { message: message.name(), ..Place::default() };
    let Elements { mut at, .. } = elements;
    if !at.at_end()? {
        return Err(at.refused(FaultKind::WampArity));
    }
    at.next()?;
    let place = at.place;
    at.walk.finish().map_err(|flaw| unreadable(flaw, place))?;
    match &message {
        Message::Failure(Failure { kind, .. })
            if *kind != INVOCATION && sender == Sender::Client =>
        {
            let place = Place { element: "kind", ..place };
            Err(Refused { fault: FaultKind::WampErrorType.fault(), place, flaw: None })
        }
        _ => Ok(message),
    }
}

/// The elements of one message, as they are taken.
pub(super) struct Elements<'a> {
    at: Field<'a>,
    sender: Sender,
}

impl Elements<'_> {
    /// The code is known: may it be said?
    pub(super) fn begin(&mut self, message: &'static str, origin: Origin) -> Result<(), Refused> {
        self.at.place.message = message;
        if origin.allows(self.sender) {
            Ok(())
        } else {
            Err(self.refused(FaultKind::WampDirection))
        }
    }

    /// The next element.
    pub(super) fn element<T: Element>(&mut self, name: &'static str) -> Result<T, Refused> {
        self.at.place = Place { element: name, option: "", ..self.at.place };
        T::read(&mut self.at)
    }

    pub(super) fn refused(&self, kind: FaultKind) -> Refused {
        self.at.refused(kind)
    }
}

/// A walk over an element or an option, and where it is.
pub(super) struct Field<'a> {
    walk: Walk<'a>,
    form: Form,
    whole: &'a Bytes,
    span: &'a [u8],
    most: &'a Most,
    place: Place,
}

impl<'a> Field<'a> {
    fn next(&mut self) -> Result<Item<'a>, Refused> {
        self.walk.next().map_err(|flaw| unreadable(flaw, self.place))
    }

    fn at_end(&mut self) -> Result<bool, Refused> {
        self.walk.at_end().map_err(|flaw| unreadable(flaw, self.place))
    }

    /// The next value by itself.
    fn inner(&mut self) -> Result<Self, Refused> {
        let span = self.walk.span().map_err(|flaw| unreadable(flaw, self.place))?;
        let Self { form, whole, most, place, .. } = *self;
        Ok(Self { walk: Walk::new(form, span, most.walk), form, whole, span, most, place })
    }

    /// A map, by its table. What the table does not know is passed over.
    pub(super) fn dict<D: Dict>(&mut self, first: &Item<'_>) -> Result<D, Refused> {
        if !matches!(first, Item::Map) {
            return Err(self.refused(FaultKind::WampType));
        }
        let mut dict = D::default();
        loop {
            let key = match self.next()? {
                Item::End => return Ok(dict),
                Item::Text(key) => key,
                _ => return Err(unreadable(Flaw::Key, self.place)),
            };
            let mut field = self.inner()?;
            dict.learn(&key, &mut field)?;
        }
    }

    /// The value of an option. Null is the same as none there.
    pub(super) fn value<T: Heard + Default>(&mut self, name: &'static str) -> Result<T, Refused> {
        self.place.option = name;
        match self.next()? {
            Item::Null => Ok(T::default()),
            first => T::hear(first, self),
        }
    }

    /// Is the value a list?
    pub(super) fn is_list(&self) -> Result<bool, Refused> {
        let first = Walk::new(self.form, self.span, self.most.walk).next();
        // What has no meaning here is no list either.
        Ok(matches!(first, Ok(Item::List)))
    }

    /// The value as it stands, if it is not null.
    pub(super) fn raw(&mut self) -> Result<Option<Raw>, Refused> {
        let first = self.walk.next();
        let raw = Raw { form: self.form, bytes: self.whole.slice_ref(self.span) };
        Ok((!matches!(first, Ok(Item::Null))).then_some(raw))
    }

    pub(super) fn most(&self) -> &Most {
        self.most
    }

    pub(super) fn refused(&self, kind: FaultKind) -> Refused {
        Refused { fault: kind.fault(), place: self.place, flaw: None }
    }
}

fn unreadable(flaw: Flaw, place: Place) -> Refused {
    let kind = match flaw {
        Flaw::Depth | Flaw::Items => FaultKind::WampDeep,
        _ => FaultKind::WampUndecodable,
    };
    Refused { fault: kind.fault(), place, flaw: Some(flaw) }
}

/// What one value says.
pub(super) trait Heard: Sized {
    /// From its first item, and what follows that.
    fn hear(first: Item<'_>, at: &mut Field<'_>) -> Result<Self, Refused>;
}

/// One element of a message, or all that are left.
pub(super) trait Element: Sized {
    /// Take it.
    fn read(at: &mut Field<'_>) -> Result<Self, Refused>;

    /// How many elements it is.
    fn count(&self) -> usize {
        1
    }

    /// Write it.
    fn write(&self, to: &mut Out<'_>);
}

impl<T: Heard + Said> Element for T {
    fn read(at: &mut Field<'_>) -> Result<Self, Refused> {
        if at.at_end()? {
            return Err(at.refused(FaultKind::WampArity));
        }
        let first = at.next()?;
        T::hear(first, at)
    }

    fn write(&self, to: &mut Out<'_>) {
        self.say(to);
    }
}

impl Element for Payload {
    fn read(at: &mut Field<'_>) -> Result<Self, Refused> {
        let args = part(at, "args", |first| matches!(first, Item::List))?;
        let kwargs = part(at, "kwargs", |first| matches!(first, Item::Map))?;
        Ok(Self { args, kwargs })
    }

    fn count(&self) -> usize {
        match (&self.args, &self.kwargs) {
            (_, Some(_)) => 2,
            (Some(_), None) => 1,
            (None, None) => 0,
        }
    }

    fn write(&self, to: &mut Out<'_>) {
        to.payload(self);
    }
}

/// A part of a payload, if there is one and something is in it.
fn part(
    at: &mut Field<'_>,
    name: &'static str,
    is: impl Fn(&Item<'_>) -> bool,
) -> Result<Option<Raw>, Refused> {
    at.place.element = name;
    if at.at_end()? {
        return Ok(None);
    }
    let mut value = at.inner()?;
    // An item that has no meaning here is no list and no map.
    let first = value.walk.next().unwrap_or(Item::Null);
    if !is(&first) {
        return Err(value.refused(FaultKind::WampType));
    }
    if value.at_end()? {
        return Ok(None);
    }
    Ok(Some(Raw { form: value.form, bytes: value.whole.slice_ref(value.span) }))
}

impl Element for Ended {
    fn read(at: &mut Field<'_>) -> Result<Self, Refused> {
        let Amount(request) = Amount::read(at)?;
        let revoked = if at.at_end()? { None } else { Some(RevokedDetails::read(at)?) };
        if request == 0 && revoked.is_none() {
            return Err(at.refused(FaultKind::WampId));
        }
        Ok(Self { request, revoked })
    }

    fn count(&self) -> usize {
        1 + usize::from(self.revoked.is_some())
    }

    fn write(&self, to: &mut Out<'_>) {
        Amount(self.request).write(to);
        if let Some(revoked) = &self.revoked {
            revoked.write(to);
        }
    }
}

impl Element for Unread {
    fn read(at: &mut Field<'_>) -> Result<Self, Refused> {
        part(at, "details", |first| matches!(first, Item::Map)).map(|_| Self)
    }

    fn count(&self) -> usize {
        0
    }

    fn write(&self, _: &mut Out<'_>) {}
}

/// A whole number. Some write those above 2^32 as floats.
fn number(item: &Item<'_>) -> Option<i128> {
    match *item {
        Item::Int(n) => Some(n.into()),
        Item::Uint(n) => Some(n.into()),
        Item::Float(n) if n.fract() == 0.0 => Some(n as i128),
        _ => None,
    }
}

fn ranged(first: &Item<'_>, at: &Field<'_>, least: u64, kind: FaultKind) -> Result<u64, Refused> {
    let number = number(first).ok_or_else(|| at.refused(FaultKind::WampType))?;
    let fits = |n: &u64| (least..=ID_MAX).contains(n);
    u64::try_from(number).ok().filter(fits).ok_or_else(|| at.refused(kind))
}

impl Heard for u64 {
    fn hear(first: Item<'_>, at: &mut Field<'_>) -> Result<Self, Refused> {
        ranged(&first, at, 1, FaultKind::WampId)
    }
}

impl Heard for Amount {
    fn hear(first: Item<'_>, at: &mut Field<'_>) -> Result<Self, Refused> {
        ranged(&first, at, 0, FaultKind::WampOption).map(Self)
    }
}

impl Heard for bool {
    fn hear(first: Item<'_>, at: &mut Field<'_>) -> Result<Self, Refused> {
        match first {
            Item::Bool(flag) => Ok(flag),
            _ => Err(at.refused(FaultKind::WampType)),
        }
    }
}

impl Heard for Text {
    fn hear(first: Item<'_>, at: &mut Field<'_>) -> Result<Self, Refused> {
        match first {
            // In JSON, a text that begins with NUL may stand for bytes.
            Item::Text(text) if text.starts_with('\0') => Err(at.refused(FaultKind::WampType)),
            Item::Text(text) if text.len() > at.most.text => Err(at.refused(FaultKind::WampLong)),
            Item::Text(text) => Ok(Self::shared(at.whole, text)),
            _ => Err(at.refused(FaultKind::WampType)),
        }
    }
}

impl<T: Heard> Heard for Vec<T> {
    fn hear(first: Item<'_>, at: &mut Field<'_>) -> Result<Self, Refused> {
        if !matches!(first, Item::List) {
            return Err(at.refused(FaultKind::WampType));
        }
        let mut all = Self::new();
        loop {
            match at.next()? {
                Item::End => return Ok(all),
                _ if all.len() >= at.most.entries => return Err(at.refused(FaultKind::WampDeep)),
                item => all.push(T::hear(item, at)?),
            }
        }
    }
}

impl<T: Heard> Heard for Option<T> {
    fn hear(first: Item<'_>, at: &mut Field<'_>) -> Result<Self, Refused> {
        T::hear(first, at).map(Some)
    }
}

impl<T: Heard> Heard for Box<T> {
    fn hear(first: Item<'_>, at: &mut Field<'_>) -> Result<Self, Refused> {
        T::hear(first, at).map(Self::new)
    }
}
