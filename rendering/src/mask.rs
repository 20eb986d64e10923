//! Secrets are starred out of whatever people read: as they are, and in the forms in which programs print
//! them: base64 at any offset, percent-encoded, escaped for JSON.

use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use towpath_common::connection::{gather_leaves, percent_encoded};

const STARS: &[u8] = b"***";
/// Shorter secrets are left: starring out every `a` hides nothing and spoils the text. Airflow's length.
const LENGTH_MIN: usize = 5;

/// Lines of a secret that are at least so long are secrets too: programs print keys line by line.
const LINE_MIN: usize = 8;

/// Knows some secrets and shows none.
#[derive(Default)]
pub struct Masker {
    finder: Option<AhoCorasick>,
    patterns: Vec<Vec<u8>>,
    /// It is not known what is secret.
    hides_all: bool,
}

impl std::fmt::Debug for Masker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} patterns", self.patterns.len())
    }
}

impl Masker {
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let parts = secrets.into_iter().flat_map(parts);
        let mut patterns: Vec<Vec<u8>> =
            parts.filter(|part| part.len() >= LENGTH_MIN).flat_map(|part| forms(&part)).collect();
        patterns.sort();
        patterns.dedup();
        // The longest that begins at a place is meant.
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&patterns);
        let finder = finder.ok().filter(|_| !patterns.is_empty());
        Self { finder, patterns, hides_all: false }
    }

    /// For when the secrets cannot be told any more: nothing is shown.
    pub fn of_everything() -> Self {
        Self { hides_all: true, ..Self::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    pub fn text(&self, text: &str) -> String {
        if self.hides_all {
            return String::from_utf8_lossy(STARS).into_owned();
        }
        let mut masked = Vec::with_capacity(text.len());
        self.mask_before(text.as_bytes(), text.len(), &mut masked);
        String::from_utf8_lossy(&masked).into_owned()
    }

    /// Whether the text holds a secret.
    pub fn finds(&self, text: &str) -> bool {
        self.hides_all || self.finder.as_ref().is_some_and(|finder| finder.is_match(text))
    }

    /// Whether a name or a value in the JSON holds one, however it was escaped.
    pub fn finds_in(&self, entries: &Map<String, Value>) -> bool {
        let mut texts: Vec<String> = entries.keys().cloned().collect();
        entries.values().for_each(|value| gather_texts(value, &mut texts));
        texts.iter().any(|text| self.finds(text))
    }

    /// For bytes that come in pieces.
    pub fn stream(self: &Arc<Self>) -> MaskedStream {
        MaskedStream { masker: Arc::clone(self), held: Vec::new() }
    }

    /// Masks what begins before `limit`, and returns how many bytes that took.
    fn mask_before(&self, bytes: &[u8], limit: usize, masked: &mut Vec<u8>) -> usize {
        let mut done = 0;
        for found in self.finder.iter().flat_map(|finder| finder.find_iter(bytes)) {
            if found.start() >= limit {
                break;
            }
            masked.extend_from_slice(&bytes[done..found.start()]);
            masked.extend_from_slice(STARS);
            done = found.end();
        }
        let end = limit.max(done);
        masked.extend_from_slice(&bytes[done..end]);
        end
    }

    /// Where something begins that may become a secret when more comes.
    fn may_begin(&self, bytes: &[u8]) -> usize {
        let longest = self.patterns.iter().map(Vec::len).max().unwrap_or(0);
        let first = bytes.len().saturating_sub(longest.saturating_sub(1));
        let begins = |at: &usize| {
            let end = &bytes[*at..];
            self.patterns
                .iter()
                .any(|pattern| pattern.len() > end.len() && pattern.starts_with(end))
        };
        (first..bytes.len()).find(begins).unwrap_or(bytes.len())
    }
}

/// One stream of bytes. What may be the beginning of a secret is held back until it is known.
#[derive(Debug)]
pub struct MaskedStream {
    masker: Arc<Masker>,
    held: Vec<u8>,
}

impl MaskedStream {
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.masker.hides_all {
            return Vec::new();
        }
        if self.masker.is_empty() {
            return bytes.to_vec();
        }
        self.held.extend_from_slice(bytes);
        let limit = self.masker.may_begin(&self.held);
        let mut masked = Vec::with_capacity(self.held.len());
        let done = self.masker.mask_before(&self.held, limit, &mut masked);
        self.held.drain(..done);
        masked
    }

    /// No more comes.
    pub fn finish(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        let mut masked = Vec::with_capacity(held.len());
        self.masker.mask_before(&held, held.len(), &mut masked);
        masked
    }
}

/// All names and values in it.
fn gather_texts(value: &Value, texts: &mut Vec<String>) {
    if let Value::Object(entries) = value {
        texts.extend(entries.keys().cloned());
        entries.values().for_each(|value| gather_texts(value, texts));
    } else if let Value::Array(items) = value {
        items.iter().for_each(|item| gather_texts(item, texts));
    } else {
        gather_leaves(value, texts);
    }
}

/// What of a secret is one by itself: without the space around it, its long lines, and if it is JSON the texts and
/// numbers in it.
fn parts(secret: &str) -> Vec<String> {
    let trimmed = secret.trim();
    let mut parts = vec![secret.to_owned(), trimmed.to_owned()];
    let lines = trimmed.lines().map(str::trim).filter(|line| line.len() >= LINE_MIN);
    parts.extend(lines.map(str::to_owned));
    if let Ok(value @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(trimmed) {
        gather_leaves(&value, &mut parts);
    }
    parts
}

fn forms(secret: &str) -> Vec<Vec<u8>> {
    let json = Value::from(secret).to_string();
    let json = &json[1..json.len() - 1];
    let mut forms = vec![
        secret.as_bytes().to_vec(),
        json.as_bytes().to_vec(),
        percent_encoded(json).into_bytes(),
        utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string().into_bytes(),
        percent_encoded(secret).into_bytes(),
    ];
    for offset in 0..3 {
        forms.extend(in_base64(secret, offset).map(String::into_bytes));
    }
    forms
}

/// The characters that the secret alone decides when it stands at this offset in an encoded text, in both
/// alphabets.
fn in_base64(secret: &str, offset: usize) -> [String; 2] {
    let padded = [&[0; 3][..offset], secret.as_bytes()].concat();
    // A character holds 6 bits: the first and the last may hold bits of the neighbours.
    let first = (8 * offset).div_ceil(6);
    let last = 8 * padded.len() / 6;
    let cut = |text: String| text[first..last].to_owned();
    [cut(STANDARD_NO_PAD.encode(&padded)), cut(URL_SAFE_NO_PAD.encode(&padded))]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "hunter2&more";

    fn masker() -> Arc<Masker> {
        Arc::new(Masker::new([SECRET, "hunter2&more-still", "abc"]))
    }

    /// Masks the text in pieces that are cut everywhere.
    fn check(text: &str, expected: &str) {
        for size in 1..=text.len() {
            let mut stream = masker().stream();
            let mut masked = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                masked.extend(stream.push(piece));
            }
            masked.extend(stream.finish());
            assert_eq!(String::from_utf8_lossy(&masked), expected, "in pieces of {size}");
        }
        assert_eq!(masker().text(text), expected);
    }

    #[test]
    fn secrets_are_found_across_pieces() {
        check("a hunter2&more b", "a *** b");
        check("hunter2&more-still hunter2&more-stil", "*** ***-stil");
        check("hunter2&mor hunter2&morehunter2&more", "hunter2&mor ******");
        check("short ones stay: abc", "short ones stay: abc");
        check("", "");
    }

    #[test]
    fn secrets_are_found_in_every_form() {
        check("https://me:hunter2%26more@host", "https://me:***@host");
        let dashed = Masker::new(["a-b/c-d"]);
        assert_eq!(dashed.text("a%2Db%2Fc%2Dd a-b%2Fc-d"), "*** ***", "both are common");
        for before in ["", "u", "us", "user:"] {
            for after in ["", "x", "xy"] {
                let plain = format!("{before}{SECRET}{after}");
                let encoded = base64::prelude::BASE64_STANDARD.encode(&plain);
                let masked = masker().text(&encoded);
                assert!(masked.contains("***"), "{plain} as {encoded} is {masked}");
                assert!(encoded.len() - masked.len() + 3 > SECRET.len(), "all but the edges");
            }
        }
        let json = Masker::new([r#"{"user": "someone", "pw": ["hunter2", 123456]}"#]);
        assert_eq!(json.text("hunter2 123456 someone else"), "*** *** *** else");
        let key = Masker::new(["-----BEGIN-----\nMIIEvQIBADANB\nab\n"]);
        assert_eq!(key.text("line MIIEvQIBADANB, ab"), "line ***, ab");
        let entries = serde_json::from_str(r#"{"a": [{"b": "p\u00e4ssword"}]}"#).expect("JSON");
        assert!(Masker::new(["pässword"]).finds_in(&entries), "however it was escaped");
        assert!(Masker::of_everything().finds("x") && Masker::of_everything().text("x") == "***");
        assert!(Masker::new(["a\"quoted\nsecret"]).finds(r#"{"x": "a\"quoted\nsecret"}"#));
    }
}
