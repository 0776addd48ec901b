//! Floor 6. What values look like: in a file, in one line of text, and when they are shown.
//!
//! A kind says the same in every place it is read from, and a value is shown as it could be
//! written. Absent on purpose: what a value means.

use toml::de::DeValue;

/// What the value of a key looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Any text.
    Text,
    /// A file or folder; in a file, one relative to the folder of that file.
    Path,
    /// A text that is never shown.
    Secret,
    /// true or false.
    Flag,
    /// A whole number.
    Number,
    /// One of these.
    Word(&'static [&'static str]),
    /// Several texts; separated by commas where there is only one line.
    Texts,
}

/// A value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// A text of any kind.
    Text(String),
    /// true or false.
    Flag(bool),
    /// A whole number.
    Number(u64),
    /// Several texts.
    Texts(Vec<String>),
}

impl Kind {
    /// In words.
    #[must_use]
    pub fn words(self) -> String {
        match self {
            Self::Text | Self::Path | Self::Secret => "a text".into(),
            Self::Flag => "true or false".into(),
            Self::Number => "a whole number".into(),
            Self::Word(words) => one_of(words),
            Self::Texts => "a list of texts".into(),
        }
    }

    /// Read a value from one line of text.
    pub fn read(self, text: &str) -> Result<Value, String> {
        match self {
            Self::Text | Self::Path | Self::Secret => Ok(Value::Text(text.to_owned())),
            Self::Flag => text.parse().map(Value::Flag).map_err(|_| self.wants(text)),
            Self::Number => number(text).map(Value::Number).ok_or_else(|| self.wants(text)),
            Self::Word(words) if words.contains(&text) => Ok(Value::Text(text.to_owned())),
            Self::Word(_) => Err(self.wants(text)),
            Self::Texts => {
                let bare = text.trim_start_matches('[').trim_end_matches(']');
                let all = bare.split(',').map(str::trim).filter(|part| !part.is_empty());
                Ok(Value::Texts(all.map(str::to_owned).collect()))
            }
        }
    }

    /// Read a value from a file. A secret is not quoted in what is said about it.
    pub(super) fn take(self, value: &DeValue<'_>) -> Result<Value, String> {
        let wrong = || Err(format!("is {}, not {}", self.words(), found(value)));
        match (self, value) {
            (Self::Texts, DeValue::Array(all)) => {
                let texts = all.iter().map(|one| one.get_ref().as_str().map(str::to_owned));
                match texts.collect::<Option<Vec<String>>>() {
                    Some(texts) => Ok(Value::Texts(texts)),
                    None => Err("is a list of texts, and something in it is none".into()),
                }
            }
            (Self::Flag, DeValue::Boolean(flag)) => Ok(Value::Flag(*flag)),
            (Self::Number, DeValue::Integer(n)) => {
                let n = u64::from_str_radix(n.as_str(), n.radix());
                n.map(Value::Number).map_err(|_| "is a whole number, 0 or more".into())
            }
            (Self::Text | Self::Path | Self::Secret, DeValue::String(text)) => {
                Ok(Value::Text(text.to_string()))
            }
            (Self::Word(_), DeValue::String(text)) => self.read(text).map_err(|why| match why {
                why if text.len() <= QUOTED => why,
                _ => format!("is {}", self.words()),
            }),
            _ => wrong(),
        }
    }

    fn wants(self, text: &str) -> String {
        format!("is {}, not {text:?}", self.words())
    }
}

impl Value {
    /// As a file would have it.
    #[must_use]
    pub fn toml(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Flag(flag) => flag.to_string(),
            Self::Number(n) => n.to_string(),
            Self::Texts(texts) => {
                let all: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
                format!("[{}]", all.join(", "))
            }
        }
    }

    /// As JSON, which for values of these kinds is the same.
    #[must_use]
    pub fn json(&self) -> String {
        self.toml()
    }

    /// As one line of text.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Texts(texts) => texts.join(","),
            other => other.toml(),
        }
    }
}

/// A text in quotes, the same in TOML and JSON.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A whole number whose digits may be set apart.
fn number(text: &str) -> Option<u64> {
    let digits = text.replace('_', "");
    let all = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    all.then(|| digits.parse().ok())?
}

/// Words as a sentence has them.
fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Longer texts are not repeated in what is said about them.
const QUOTED: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_what_a_file_says() {
        let words = Kind::Word(&["a", "b", "c"]);
        assert_eq!(Kind::Number.read("2_000"), Ok(Value::Number(2_000)));
        assert_eq!(Kind::Flag.read("true"), Ok(Value::Flag(true)));
        assert_eq!(words.read("b"), Ok(Value::Text("b".into())));
        let texts = Value::Texts(vec!["a".into(), "b c".into()]);
        assert_eq!(Kind::Texts.read("a, b c,"), Ok(texts.clone()));
        assert_eq!(texts.toml(), r#"["a", "b c"]"#);
        assert_eq!(texts.text(), "a,b c");
        for (kind, text, why) in [
            (Kind::Number, "-1", "is a whole number, not \"-1\""),
            (Kind::Flag, "yes", "is true or false, not \"yes\""),
            (words, "d", "is a, b or c, not \"d\""),
        ] {
            assert_eq!(kind.read(text), Err(why.to_owned()));
        }
    }

    #[test]
    fn quotes_are_those_of_toml_and_json() {
        let odd = "a\"b\\c\nd\u{1}é\u{7f}";
        let text = quoted(odd);
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), odd);
        let table: toml::Table = toml::from_str(&format!("x = {text}")).unwrap();
        assert_eq!(table["x"].as_str(), Some(odd));
    }
}
