//! What is told when a channel has no words of its own.

use serde_json::{Value, json};
use towpath_common::id::instance_name;
use towpath_common::notification::{Notification, Occasion};
use towpath_common::run::{DagRun, InstanceRecord};
use towpath_common::state::TaskState;

/// How many failed tasks of a run are named.
const NAMED_MAX: usize = 10;

pub struct Story<'a> {
    pub notification: &'a Notification,
    pub run: &'a DagRun,
    /// The run's instances as they are when it is told.
    pub records: &'a [InstanceRecord],
}

impl Story<'_> {
    /// In one line.
    pub fn line(&self) -> String {
        let Notification { occasion, attempt, failure, .. } = self.notification;
        let run = format!("{} {}", self.run.dag_id, self.run.run_id);
        let what = match occasion {
            Occasion::Failure => "failed",
            Occasion::Retry => "failed and is tried again",
            Occasion::Success => "succeeded",
            Occasion::Skipped => "was skipped",
            Occasion::Deadline => {
                return format!("{run} has missed its deadline; it is {}", self.run.state);
            }
        };
        let why = failure.as_ref().map(|failure| format!(": {failure}")).unwrap_or_default();
        match attempt {
            Some(attempt) => {
                let task = instance_name(&attempt.task, attempt.map_index);
                format!("{run}: {task} {what} (try {}){why}", attempt.number)
            }
            None => format!("{run} {what}{}", self.failed_tasks()),
        }
    }

    fn failed_tasks(&self) -> String {
        let failed = |record: &&InstanceRecord| record.instance.state == TaskState::Failed;
        let names: Vec<String> = self
            .records
            .iter()
            .filter(failed)
            .map(|record| instance_name(&record.task, record.instance.map_index))
            .collect();
        match names.len() {
            0 => String::new(),
            1..=NAMED_MAX => format!(": {}", names.join(", ")),
            count => format!(": {} and {} more", names[..NAMED_MAX].join(", "), count - NAMED_MAX),
        }
    }

    /// At more length.
    pub fn text(&self) -> String {
        let DagRun { dag_id, run_id, logical_date, data_interval, state, .. } = self.run;
        format!(
            "{}\n\nDag: {dag_id}\nRun: {run_id}, {state}\nLogical date: {logical_date}\nData interval: {} to {}\n",
            self.line(),
            data_interval.start,
            data_interval.end
        )
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let Notification { key, occasion, attempt, failure, at, .. } = self.notification;
        json!({
            "key": key,
            "occasion": occasion,
            "text": self.line(),
            "at": at.to_string(),
            "dag_id": self.run.dag_id,
            "run_id": self.run.run_id,
            "run_state": self.run.state,
            "logical_date": self.run.logical_date.to_string(),
            "task_id": attempt.as_ref().map(|attempt| &attempt.task),
            "map_index": attempt.as_ref().map(|attempt| attempt.map_index),
            "try_number": attempt.as_ref().map(|attempt| attempt.number),
            "failure": failure.as_ref().map(|failure| {
                json!({ "class": failure.class, "message": failure.message, "exit_code": failure.exit_code })
            }),
        })
    }
}
