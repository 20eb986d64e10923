//! What a task takes up, and how it stands to others that want the same.

use serde::{Deserialize, Serialize};

use super::is_default;
use crate::id::PoolName;
use crate::words::words;

/// The pool of a task that names none. It has no limit unless it is given one.
pub const DEFAULT_POOL: &str = "default_pool";

/// A task's place in the queue for what is scarce.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub pool: PoolName,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub pool_slots: u32,
    #[serde(default = "one_weight", skip_serializing_if = "is_one_weight")]
    pub priority_weight: i32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub weight_rule: WeightRule,
    /// In all runs of the Dag together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_active_tis_per_dag: Option<u32>,
    /// In one run: of a mapped task, how many of its instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_active_tis_per_dagrun: Option<u32>,
}

impl Default for Claims {
    fn default() -> Self {
        Self {
            pool: PoolName::new(DEFAULT_POOL).expect("a name"),
            pool_slots: 1,
            priority_weight: 1,
            weight_rule: WeightRule::default(),
            max_active_tis_per_dag: None,
            max_active_tis_per_dagrun: None,
        }
    }
}

words!(
    /// What a task's weight is made of.
    #[derive(Default)]
    WeightRule {
        /// Its own and those of all tasks below it: a run's first tasks go first.
        #[default]
        Downstream = "downstream",
        /// Its own and those of all tasks above it: runs that are nearly done are finished first.
        Upstream = "upstream",
        Absolute = "absolute",
    }
);

fn one() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // The signature is serde's.
fn is_one(value: &u32) -> bool {
    *value == 1
}

fn one_weight() -> i32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_one_weight(value: &i32) -> bool {
    *value == 1
}
