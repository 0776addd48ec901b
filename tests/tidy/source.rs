//! One source file as tidy sees it: raw lines, and tokens free of comments and strings.
//!
//! The lexer knows just enough of Rust to never mistake a comment, a string or a lifetime for
//! code, and to find where an item begins and ends. It keeps byte offsets, so that every finding
//! has its line. Absent on purpose: an expression grammar. No rule needs one.

/// A word, a lifetime, a number, `::`, or one sign.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) at: usize,
    pub(crate) text: &'a str,
    /// Compiled only for tests, or only with the feature `testing`.
    pub(crate) test: bool,
}

/// A file, cut up.
pub(crate) struct Source<'a> {
    pub(crate) path: &'a str,
    pub(crate) raw: &'a str,
    pub(crate) tokens: Vec<Token<'a>>,
    /// Contents of string literals, with the offset of their first byte.
    pub(crate) strings: Vec<(usize, &'a str)>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(path: &'a str, raw: &'a str) -> Self {
        let mut lexer = Lexer { raw, at: 0, tokens: Vec::new(), strings: Vec::new() };
        lexer.run();
        let Lexer { tokens, strings, .. } = lexer;
        let mut source = Self { path, raw, tokens, strings };
        source.mark_tests();
        source
    }

    /// The line of a byte offset, counted from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        1 + self.raw.as_bytes()[..at].iter().filter(|b| **b == b'\n').count()
    }

    pub(crate) fn text(&self, i: usize) -> &'a str {
        self.tokens.get(i).map_or("", |t| t.text)
    }

    /// Do the tokens from `i` on read like this?
    pub(crate) fn reads(&self, i: usize, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(k, w)| self.text(i + k) == *w)
    }

    /// From an opening bracket to the index of the one that closes it.
    pub(crate) fn closing(&self, open: usize) -> usize {
        let mut depth = 0usize;
        for i in open..self.tokens.len() {
            match self.text(i) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return i;
            }
        }
        self.tokens.len().saturating_sub(1)
    }

    /// The last token of the item, field or statement that begins at `i`.
    fn item_end(&self, mut i: usize) -> usize {
        while self.reads(i, &["#", "["]) {
            i = self.closing(i + 1) + 1;
        }
        let comma_ends = !ITEM_WORDS.contains(&self.text(i));
        while i < self.tokens.len() {
            match self.text(i) {
                "{" => return self.closing(i),
                "(" | "[" => i = self.closing(i),
                ";" | "}" => return i,
                "," if comma_ends => return i,
                _ => {}
            }
            i += 1;
        }
        self.tokens.len().saturating_sub(1)
    }

    /// Mark what `#[test]`, `#[cfg(test)]` and `#[cfg(feature = "testing")]` govern.
    fn mark_tests(&mut self) {
        let mut i = 0;
        while i < self.tokens.len() {
            let inner = self.reads(i, &["#", "!", "["]);
            if !inner && !self.reads(i, &["#", "["]) {
                i += 1;
                continue;
            }
            let open = i + if inner { 2 } else { 1 };
            let close = self.closing(open);
            if self.is_test_attribute(open + 1, close) {
                let end = if inner { self.tokens.len() - 1 } else { self.item_end(close + 1) };
                self.tokens[i..=end].iter_mut().for_each(|t| t.test = true);
            }
            i = close + 1;
        }
    }

    fn is_test_attribute(&self, first: usize, close: usize) -> bool {
        if self.text(first) == "test" {
            return true;
        }
        if self.text(first) != "cfg" {
            return false;
        }
        let words = &self.tokens[first..close];
        let span = self.tokens[first].at..self.tokens[close].at;
        let testing = self.strings.iter().any(|(at, s)| span.contains(at) && *s == "testing");
        let named = testing || words.iter().any(|t| t.text == "test");
        named && !words.iter().any(|t| t.text == "not")
    }

    /// Every function: its name, and its first and last token.
    pub(crate) fn functions(&self) -> Vec<(&'a str, usize, usize)> {
        let mut found = Vec::new();
        for i in 0..self.tokens.len() {
            if self.text(i) != "fn" || !is_word(self.text(i + 1)) {
                continue;
            }
            let mut j = i + 2;
            while j < self.tokens.len() && !matches!(self.text(j), "{" | ";") {
                j = if matches!(self.text(j), "(" | "[") { self.closing(j) + 1 } else { j + 1 };
            }
            if self.text(j) == "{" {
                found.push((self.text(i + 1), i, self.closing(j)));
            }
        }
        found
    }

    /// Names of functions that carry `#[test]`.
    pub(crate) fn test_names(&self) -> Vec<&'a str> {
        let mut found = Vec::new();
        for i in 0..self.tokens.len() {
            if !self.reads(i, &["#", "[", "test", "]"]) {
                continue;
            }
            let mut j = i + 4;
            while self.reads(j, &["#", "["]) {
                j = self.closing(j + 1) + 1;
            }
            while is_word(self.text(j)) && self.text(j) != "fn" {
                j += 1;
            }
            if self.text(j) == "fn" {
                found.push(self.text(j + 1));
            }
        }
        found
    }

    /// Inline modules: name, and first and last token of the body.
    pub(crate) fn inline_modules(&self) -> Vec<(&'a str, usize, usize)> {
        (0..self.tokens.len())
            .filter(|i| self.text(*i) == "mod" && self.text(i + 2) == "{")
            .map(|i| (self.text(i + 1), i + 2, self.closing(i + 2)))
            .collect()
    }

    /// Where the module declared at token `i` may live.
    pub(crate) fn module_files(&self, i: usize) -> [String; 2] {
        let (folder, file) = self.path.rsplit_once('/').unwrap_or(("", self.path));
        let mut base = folder.to_owned();
        if !matches!(file, "mod.rs" | "lib.rs" | "main.rs") {
            base = format!("{base}/{}", file.trim_end_matches(".rs"));
        }
        for (name, first, last) in self.inline_modules() {
            if (first..=last).contains(&i) {
                base = format!("{base}/{name}");
            }
        }
        let name = self.text(i + 1);
        [format!("{base}/{name}.rs"), format!("{base}/{name}/mod.rs")]
    }
}

pub(crate) fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Items may hold commas in their generics; fields, variants and match arms end at one.
const ITEM_WORDS: &[&str] = &[
    "pub",
    "fn",
    "mod",
    "impl",
    "use",
    "struct",
    "enum",
    "const",
    "static",
    "type",
    "trait",
    "unsafe",
    "extern",
    "macro_rules",
    "let",
    "async",
    "union",
];

struct Lexer<'a> {
    raw: &'a str,
    at: usize,
    tokens: Vec<Token<'a>>,
    strings: Vec<(usize, &'a str)>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.raw[self.at..]
    }

    fn run(&mut self) {
        while let Some(c) = self.rest().chars().next() {
            let rest = self.rest();
            if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.block_comment();
            } else if c == '"' {
                self.string(1, 0);
            } else if c == '\'' {
                self.quote();
            } else if c.is_alphabetic() || c == '_' {
                self.word();
            } else if c.is_ascii_digit() {
                // `1.0` is one number, `0..n` and `1.max(2)` are not.
                let len = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
                self.push(len.unwrap_or(rest.len()));
            } else if rest.starts_with("::") {
                self.push(2);
            } else if c.is_whitespace() {
                self.at += c.len_utf8();
            } else {
                self.push(c.len_utf8());
            }
        }
    }

    fn push(&mut self, len: usize) {
        let text = &self.raw[self.at..self.at + len];
        self.tokens.push(Token { at: self.at, text, test: false });
        self.at += len;
    }

    fn block_comment(&mut self) {
        let mut depth = 0usize;
        loop {
            let rest = self.rest();
            if rest.starts_with("/*") {
                depth += 1;
                self.at += 2;
            } else if rest.starts_with("*/") {
                depth -= 1;
                self.at += 2;
            } else {
                self.at += rest.chars().next().map_or(0, char::len_utf8);
            }
            if depth == 0 || self.rest().is_empty() {
                return;
            }
        }
    }

    /// A string whose opening takes `open` bytes; with `hashes`, or `open > 1`, a raw one.
    fn string(&mut self, open: usize, hashes: usize) {
        let start = self.at + open;
        let raw = open > 1;
        let end_mark = format!("\"{}", "#".repeat(hashes));
        let body = &self.raw[start..];
        let mut len = 0;
        while len < body.len() {
            if body[len..].starts_with(&end_mark) {
                break;
            }
            let skip = usize::from(!raw && body[len..].starts_with('\\'));
            len += body[len..].chars().take(1 + skip).map(char::len_utf8).sum::<usize>();
        }
        self.strings.push((start, &body[..len]));
        // A string stands for itself as one sign, so that `f("x")` and `f()` read differently.
        self.tokens.push(Token { at: self.at, text: "\"", test: false });
        self.at = (start + len + end_mark.len()).min(self.raw.len());
    }

    /// A character, or a lifetime.
    fn quote(&mut self) {
        let mut chars = self.rest()[1..].chars();
        let first = chars.next();
        if first == Some('\\') {
            let body = &self.rest()[3..];
            self.at += 4 + body.find('\'').unwrap_or(0);
        } else if chars.next() == Some('\'') {
            self.at += 2 + first.map_or(0, char::len_utf8);
        } else {
            let name = &self.rest()[1..];
            let len = name.find(|c: char| !(c.is_alphanumeric() || c == '_'));
            self.push(1 + len.unwrap_or(name.len()));
        }
    }

    /// A word, unless it is the prefix of a string or of a byte.
    fn word(&mut self) {
        let rest = self.rest();
        let len = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let (word, after) = rest.split_at(len);
        let hashes = after.len() - after.trim_start_matches('#').len();
        let raw_string = matches!(word, "r" | "br" | "cr") && after[hashes..].starts_with('"');
        if raw_string {
            self.string(len + hashes + 1, hashes);
        } else if matches!(word, "b" | "c") && after.starts_with('"') {
            self.at += 1;
            self.string(1, 0);
        } else if word == "b" && after.starts_with('\'') {
            self.at += 1;
            self.quote();
        } else {
            self.push(len);
        }
    }
}
