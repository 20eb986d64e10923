//! What tasks do in a `dag test`: each attempt's end, instead of running it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use towpath_common::Word;
use towpath_common::outcome::{Failure, FailureClass, Outcome};

use crate::authored::Scalar;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::{quantity, yaml};

/// How long an attempt takes that the script does not mention.
const TAKES: Duration = Duration::from_secs(1);

/// A test of a Dag: its circumstances, and what its tasks do.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// The logical date: a date, or an instant; 2026-01-01 by default.
    pub date: Option<Scalar>,
    pub params: Map<String, Value>,
    /// Pools by name, with their slots.
    pub pools: BTreeMap<String, u32>,
    /// Tasks by name, `NAME[0]` for one instance of a mapped one; a list gives one entry per attempt, of
    /// which the last one goes for all further ones.
    tasks: BTreeMap<String, OneOrMore>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    More(Vec<Scripted>),
    One(Box<Scripted>),
}

/// What one attempt does. It succeeds unless it says otherwise.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Scripted {
    takes: Option<Scalar>,
    outputs: Map<String, Value>,
    /// A class of failure.
    fails: Option<String>,
    exit_code: Option<i64>,
    skips: bool,
}

/// An attempt's end, and when it comes.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    pub after: Duration,
    pub outcome: Outcome,
}

pub fn read(file: &str, bytes: &[u8]) -> Result<Script, Diagnostics> {
    let wrong = |diagnostic| Diagnostics { file: file.to_owned(), list: vec![diagnostic] };
    let script: Script = yaml::parse_as(bytes).map_err(wrong)?;
    for (name, entry) in &script.tasks {
        for scripted in entry.all() {
            scripted
                .end()
                .map_err(|why| wrong(Diagnostic::of_file(format!("task {name:?}: {why}"))))?;
        }
    }
    Ok(script)
}

impl OneOrMore {
    fn all(&self) -> &[Scripted] {
        match self {
            Self::More(list) => list,
            Self::One(one) => std::slice::from_ref(one),
        }
    }
}

impl Scripted {
    fn end(&self) -> Result<End, String> {
        let after = self.takes.as_ref().map_or(Ok(TAKES), |text| quantity::duration(&text.0))?;
        let outcome = match (&self.fails, self.skips) {
            (Some(_), true) => return Err("it cannot both fail and be skipped".to_owned()),
            (None, true) => Outcome::Skipped,
            (None, false) => Outcome::Success { outputs: self.outputs.clone() },
            (Some(class), false) => {
                let class: FailureClass = class.parse().map_err(|_| {
                    let words = FailureClass::WORDS.join(", ");
                    format!("{class:?} is not a class of failure; there are {words}")
                })?;
                let failure = Failure::new(class, "as the script says");
                Outcome::Failed(Failure { exit_code: self.exit_code, ..failure })
            }
        };
        Ok(End { after, outcome })
    }
}

impl Script {
    /// The tasks and instances that it mentions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tasks.keys().map(|name| name.split('[').next().unwrap_or(name))
    }

    /// What this attempt does.
    pub fn end(&self, task: &str, map_index: i32, number: u32) -> End {
        let own = self.tasks.get(&format!("{task}[{map_index}]"));
        let entry = own.or_else(|| self.tasks.get(task));
        let all = entry.map_or(&[][..], OneOrMore::all);
        let place = (number as usize).saturating_sub(1).min(all.len().saturating_sub(1));
        let success = || End { after: TAKES, outcome: Outcome::Success { outputs: Map::new() } };
        // Every entry was tried when the script was read.
        all.get(place).and_then(|scripted| scripted.end().ok()).unwrap_or_else(success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_has_its_end_and_the_last_goes_on() {
        let text =
            "tasks:\n  a: [{fails: oom, takes: 5m}, {outputs: {n: 3}}]\n  b[1]: {skips: true}\n";
        let script = read("s.yaml", text.as_bytes()).expect("a script");
        let first = script.end("a", -1, 1);
        assert_eq!(first.after, Duration::from_secs(300));
        assert!(
            matches!(first.outcome, Outcome::Failed(failure) if failure.class == FailureClass::Oom)
        );
        for number in 2..4 {
            let outputs = Map::from_iter([("n".to_owned(), 3.into())]);
            assert_eq!(script.end("a", -1, number).outcome, Outcome::Success { outputs });
        }
        assert_eq!(script.end("b", 1, 1).outcome, Outcome::Skipped);
        assert_eq!(script.end("b", 0, 1).after, TAKES);
    }

    #[test]
    fn a_mistake_is_named() {
        let check = |text: &str, words: &str| {
            let told = read("s.yaml", text.as_bytes()).expect_err("refused").to_string();
            assert!(told.contains(words), "{told}");
        };
        check("tasks: {a: {fails: loudly}}", "\"loudly\" is not a class of failure");
        check("tasks: {a: {takes: long}}", "not a duration");
        check("task: {}", "unknown key \"task\"");
    }
}
