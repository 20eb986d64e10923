//! From bytes to the authored form, within limits: a file cannot make its reader work or remember more
//! than its size accounts for.

use serde::de::DeserializeOwned;
use serde_saphyr::Error;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};

use crate::FILE_MAX;
use crate::authored::AuthoredDag;
use crate::diagnostic::Diagnostic;
use crate::suggest::hint;

/// Nodes after aliases are followed; a Dag of 100,000 tasks with ten keys each fits.
const NODES_MAX: usize = 4_000_000;
/// Anchors and aliases serve a file of a few hundred lines; a bomb needs more.
const ALIASES_MAX: usize = 1000;
/// What is put under anchors, in parser events.
const ANCHORED_MAX: usize = 100_000;

pub fn parse(bytes: &[u8]) -> Result<AuthoredDag, Diagnostic> {
    parse_as(bytes)
}

pub fn parse_as<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Diagnostic> {
    if bytes.len() > FILE_MAX {
        return Err(Diagnostic::of_file(format!(
            "it has {} bytes and at most {FILE_MAX} are allowed; is it a DAG file?",
            bytes.len()
        )));
    }
    let text =
        std::str::from_utf8(bytes).map_err(|error| invalid_utf8(bytes, error.valid_up_to()))?;
    let mut options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Merge,
        // Only true and false: a param may be called n or no.
        strict_booleans: true,
    };
    if let Some(budget) = &mut options.budget {
        budget.max_nodes = NODES_MAX;
        budget.max_events = 2 * NODES_MAX;
        budget.max_aliases = ALIASES_MAX;
        budget.max_recorded_anchor_events = ANCHORED_MAX;
    }
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| explain(error.without_snippet()))
}

fn invalid_utf8(bytes: &[u8], valid_up_to: usize) -> Diagnostic {
    let before = String::from_utf8_lossy(&bytes[..valid_up_to]);
    let line = before.matches('\n').count() as u64 + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) as u64 + 1;
    Diagnostic {
        line,
        column,
        message: "it is not valid UTF-8 here; save the file as UTF-8".into(),
    }
}

/// The parser's error in our words where ours say more.
fn explain(error: &Error) -> Diagnostic {
    let message = match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            format!("unknown key {field:?}{}", hint(field, expected.iter().copied()))
        }
        Error::SerdeMissingField { field, .. } => format!("the key {field:?} is missing"),
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("the key {key:?} is here twice; give each task and each key once")
        }
        other => match plain(other) {
            text if text.contains("budget breached") => {
                "it grows beyond what a DAG file may be when its aliases are followed; write it \
                 without them"
                    .to_owned()
            }
            text => match words_for(&text) {
                Some(words) => words.to_owned(),
                None => text,
            },
        },
    };
    match error.location() {
        Some(location) => Diagnostic::at(location, message),
        None => Diagnostic::of_file(message),
    }
}

/// What would be right, for what the parser says most often.
fn words_for(text: &str) -> Option<&'static str> {
    Some(match text {
        "expected sequence start" => "a list belongs here, such as [sh, -c, \"echo hello\"]",
        "expected mapping start" => "keys and values belong here, such as {key: value}",
        "expected string scalar" => {
            "a text belongs here; put it between quotes if it holds a colon"
        }
        "unexpected end of input" => "it is empty",
        _ if text.starts_with("invalid i64") => "a whole number belongs here",
        _ => return None,
    })
}

/// The parser's message without the place, which the diagnostic has already.
fn plain(error: &Error) -> String {
    let text = error.render_with_options(serde_saphyr::render_options! {
        snippets: serde_saphyr::SnippetMode::Off,
    });
    let first = text.lines().next().unwrap_or_default();
    match first.find(" at line ") {
        Some(place) => first[..place].to_owned(),
        None => first.to_owned(),
    }
}
