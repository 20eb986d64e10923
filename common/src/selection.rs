//! Which instances of a run a person means.

use serde::{Deserialize, Serialize};

use crate::id::TaskId;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Selection {
    /// All if there are none.
    pub tasks: Vec<TaskId>,
    /// Of the named tasks only the instance with this map index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_index: Option<i32>,
    /// And all tasks above them.
    pub upstream: bool,
    /// And all tasks below them.
    pub downstream: bool,
    /// Of all these, only those that failed or failed with something above.
    pub only_failed: bool,
}
