//! Assets: names for data that tasks make and that Dags wait for.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::id::{DagId, NAME_LENGTH_MAX, RunKey, TaskId};
use crate::time::Timestamp;

/// A name or a URI. It means nothing to Towpath but itself.
pub type AssetName = String;

/// The error says what is wrong with the name.
pub fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > NAME_LENGTH_MAX || name.chars().any(char::is_control) {
        return Err(format!(
            "{name:?} cannot be an asset's name; use up to {NAME_LENGTH_MAX} printable characters"
        ));
    }
    Ok(())
}

/// When a Dag has what it waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssetCondition {
    Asset(AssetName),
    All(Vec<AssetCondition>),
    Any(Vec<AssetCondition>),
}

impl AssetCondition {
    pub fn holds(&self, is_there: &impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Asset(name) => is_there(name),
            Self::All(parts) => parts.iter().all(|part| part.holds(is_there)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(is_there)),
        }
    }

    pub fn assets(&self) -> BTreeSet<&str> {
        match self {
            Self::Asset(name) => BTreeSet::from([name.as_str()]),
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().flat_map(|part| part.assets()).collect()
            }
        }
    }
}

/// Somebody has made an asset anew. The log of events only grows; `sequence` is its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetEvent {
    pub sequence: u64,
    pub asset: AssetName,
    pub at: Timestamp,
    /// Who: an instance of a run, or a person.
    pub source: AssetSource,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssetSource {
    Task { dag_id: DagId, run: RunKey, run_id: String, task_id: TaskId, map_index: i32 },
    Person { by: String },
}

/// How far a Dag has consumed the events of an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetOffset {
    pub dag_id: DagId,
    pub asset: AssetName,
    pub sequence: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_nested_at_will() {
        let asset = |name: &str| AssetCondition::Asset(name.to_owned());
        let both = AssetCondition::All(vec![asset("b"), asset("c")]);
        let condition = AssetCondition::Any(vec![asset("a"), both]);
        let check = |there: &[&str], expected: bool| {
            assert_eq!(condition.holds(&|name: &str| there.contains(&name)), expected, "{there:?}");
        };
        check(&["a"], true);
        check(&["b"], false);
        check(&["b", "c"], true);
        check(&[], false);
        assert_eq!(condition.assets(), BTreeSet::from(["a", "b", "c"]));
    }
}
