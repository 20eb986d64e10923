//! What follows a failure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{RETRY_DELAY, micros, opt_micros};
use crate::outcome::{Failure, FailureClass};
use crate::words::words;

/// When a failed task is tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// How many tries may follow the first.
    pub retries: u32,
    #[serde(with = "micros")]
    pub delay: Duration,
    /// The delay grows by this factor with every try, and by up to as much again by chance; 1 keeps it
    /// as it is.
    pub backoff: f64,
    #[serde(default, with = "opt_micros", skip_serializing_if = "Option::is_none")]
    pub max_delay: Option<Duration>,
    /// The first that fits a failure decides; without one, the above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RetryRule>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { retries: 0, delay: RETRY_DELAY, backoff: 1.0, max_delay: None, rules: Vec::new() }
    }
}

/// What to do about failures of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryRule {
    /// Any class if there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<FailureClass>,
    /// Any code if there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exit_codes: Vec<i64>,
    /// A regular expression that the end of the log must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    pub then: Then,
    #[serde(default, with = "opt_micros", skip_serializing_if = "Option::is_none")]
    pub delay: Option<Duration>,
}

words!(
    /// What a rule makes of a failure.
    Then {
        /// Another try, while there are retries left.
        Retry = "retry",
        /// The task has failed, whatever retries are left.
        Fail = "fail",
        /// The task counts as skipped.
        Skip = "skip",
    }
);

impl RetryPolicy {
    /// The first rule that fits the failure.
    pub fn rule_for(&self, failure: &Failure) -> Option<&RetryRule> {
        (0..)
            .zip(&self.rules)
            .find(|(number, rule)| rule.fits(*number, failure))
            .map(|(_, rule)| rule)
    }
}

impl RetryRule {
    fn fits(&self, number: u32, failure: &Failure) -> bool {
        let class = self.classes.is_empty() || self.classes.contains(&failure.class);
        let code = self.exit_codes.is_empty()
            || failure.exit_code.is_some_and(|code| self.exit_codes.contains(&code));
        // The log is on the worker, and so it is the worker that has looked.
        let log = self.log.is_none() || failure.log_matches.contains(&number);
        class && code && log
    }
}
