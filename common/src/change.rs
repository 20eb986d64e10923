//! What has just changed, for those who watch. A wire type, like [`crate::message`]: losing any of it costs
//! a reload.

use serde::{Deserialize, Serialize};

use crate::id::{DagId, RunKey, TaskId};
use crate::state::{RunState, TaskState};

/// Of more instances than these nobody wants to hear one by one.
pub const INSTANCES_MAX: usize = 500;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Changes {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunChange>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<InstanceChange>,
    /// Runs of which too much has changed to name it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crowded: Vec<(DagId, RunKey)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunChange {
    pub run: RunKey,
    pub dag_id: DagId,
    pub run_id: String,
    pub state: RunState,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceChange {
    pub run: RunKey,
    pub dag_id: DagId,
    pub task: TaskId,
    pub map_index: i32,
    pub state: TaskState,
    pub attempt: u32,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.instances.is_empty() && self.crowded.is_empty()
    }

    /// Adds later ones.
    pub fn extend(&mut self, later: Self) {
        self.runs.extend(later.runs);
        self.instances.extend(later.instances);
        self.crowded.extend(later.crowded);
        if self.instances.len() > INSTANCES_MAX {
            let place = |change: InstanceChange| (change.dag_id, change.run);
            let mut runs: Vec<_> = self.instances.drain(..).map(place).collect();
            runs.dedup();
            self.crowded.extend(runs);
        }
        self.crowded.sort();
        self.crowded.dedup();
    }
}

/// A place in the feed of changes. Places are ordered, and later ones are greater.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Milliseconds since the epoch.
    pub at: u64,
    pub number: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.at, self.number)
    }
}

impl std::str::FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a place in the feed, such as 1700000000000-0");
        let (at, number) = text.split_once('-').ok_or_else(wrong)?;
        let number_of = |text: &str| text.parse().map_err(|_| wrong());
        Ok(Self { at: number_of(at)?, number: number_of(number)? })
    }
}

/// What came after a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    Changes(Vec<(Place, Changes)>),
    /// What came right after that place is no longer kept: everything may have changed. Go on from here.
    Gap(Place),
}
