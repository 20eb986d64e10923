//! Identities. Each is a type of its own, so that a task's name is never taken for a run's.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest name that is accepted for a Dag, a task, a queue or a worker. Airflow's limit; it
/// also keeps container names within what Docker takes.
pub const NAME_LENGTH_MAX: usize = 250;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("it is empty")]
    Empty,
    #[error("it has {0} characters and at most {NAME_LENGTH_MAX} are allowed")]
    TooLong(usize),
    #[error("{0:?} is not allowed; use letters, digits, '_', '-' and '.'")]
    Character(char),
    #[error("it must start with a letter, a digit or '_'")]
    Start,
}

fn check_name(name: &str) -> Result<(), NameError> {
    let first = name.chars().next().ok_or(NameError::Empty)?;
    if name.len() > NAME_LENGTH_MAX {
        return Err(NameError::TooLong(name.len()));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if let Some(c) = name.chars().find(|c| !allowed(*c)) {
        return Err(NameError::Character(c));
    }
    if matches!(first, '-' | '.') {
        return Err(NameError::Start);
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            pub fn new(name: &str) -> Result<Self, NameError> {
                check_name(name)?;
                Ok(Self(name.into()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;

            fn try_from(name: String) -> Result<Self, NameError> {
                Self::new(&name)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0.to_string()
            }
        }
    };
}

name!(
    /// The name of a Dag.
    DagId
);
name!(
    /// The name of a task in its Dag.
    TaskId
);
name!(
    /// A named lane that workers subscribe to.
    QueueName
);
name!(
    /// Shared capacity, in slots.
    PoolName
);
name!(
    /// The name of a variable or a connection.
    EntryName
);
name!(
    /// A worker, by the name it keeps across restarts.
    WorkerName
);

/// The content hash of a Dag's canonical form: 64 hexadecimal digits of SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionId(Arc<str>);

impl VersionId {
    pub fn from_hex(hex: &str) -> Self {
        Self(hex.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits: what people are shown.
    pub fn short(&self) -> &str {
        &self.0[..self.0.len().min(12)]
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The machine's name for a run. People use its `run_id`, which is unique only within its Dag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunKey(pub Uuid);

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RunKey {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text).map(Self)
    }
}

/// The `map_index` of an instance whose task is not mapped (Airflow's value).
pub const UNMAPPED: i32 = -1;

/// What people call an instance: the task's name, with the map index of a mapped one.
pub fn instance_name(task: &TaskId, map_index: i32) -> String {
    if map_index == UNMAPPED { task.to_string() } else { format!("{task}[{map_index}]") }
}

/// One try of a task instance. `number` counts the tries of its instance from 1 and is the fence:
/// whatever carries an older number changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptKey {
    pub run: RunKey,
    pub task: TaskId,
    pub map_index: i32,
    pub number: u32,
}

/// `run.task.number`, with the map index before the number where there is one. It names containers,
/// log files and spool files, so it holds nothing that those do not take.
impl fmt::Display for AttemptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.map_index == UNMAPPED {
            write!(f, "{}.{}.{}", self.run, self.task, self.number)
        } else {
            let Self { run, task, map_index, number } = self;
            write!(f, "{run}.{task}.m{map_index}.{number}")
        }
    }
}

/// The only source of identity for every shell. Ids are ordered by the time of their making.
pub trait Ids: Send + Sync {
    fn uuid(&self) -> Uuid;
}

/// Version 7 UUIDs: time, then randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl Ids for RandomIds {
    #[allow(clippy::disallowed_methods)] // This is the source that the others are handed.
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_why_it_is_refused() {
        let check = |name: &str, expected: &str| {
            let error = TaskId::new(name).expect_err("refused").to_string();
            assert!(error.contains(expected), "{name}: {error}");
        };
        check("", "empty");
        check("a b", "' ' is not allowed");
        check("-a", "must start");
        check(&"x".repeat(251), "251 characters");
        assert_eq!(TaskId::new("load.v2_a-b").expect("fine").as_str(), "load.v2_a-b");
    }
}
