//! What follows a failed attempt: another, and when, or an end.
//!
//! There are two budgets. What the task does wrong uses its own `retries`; what the platform does
//! wrong (a lost worker) uses the platform's, and is tried again at once.

use std::time::Duration;

use sha1::{Digest, Sha1};
use towpath_common::dag::{RetryPolicy, Then};
use towpath_common::id::{DagId, TaskId};
use towpath_common::outcome::{Failure, FailureClass};
use towpath_common::run::Instance;
use towpath_common::time::Timestamp;

/// Airflow's ceiling for a delay that grows.
const DELAY_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Whose failure it is.
#[derive(Debug, Clone, Copy)]
pub struct Failed<'a> {
    pub dag_id: &'a DagId,
    pub task_id: &'a TaskId,
    pub logical_date: Timestamp,
    pub instance: &'a Instance,
    pub policy: &'a RetryPolicy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another try after this delay.
    Retry(Duration),
    Fail,
    Skip,
}

pub fn after(failed: &Failed<'_>, failure: &Failure, losses_max: u32) -> Next {
    if matches!(
        failure.class,
        FailureClass::Cancelled | FailureClass::RunTimeout | FailureClass::SensorTimeout
    ) {
        return Next::Fail;
    }
    let Failed { instance, policy, .. } = failed;
    let rule = policy.rule_for(failure);
    match rule.map(|rule| rule.then) {
        Some(Then::Fail) => return Next::Fail,
        Some(Then::Skip) => return Next::Skip,
        Some(Then::Retry) | None => {}
    }
    let own_delay = rule.and_then(|rule| rule.delay);
    let (left, delay) = if failure.class.is_infrastructure() {
        (instance.losses < losses_max, own_delay.unwrap_or_default())
    } else {
        let delay = own_delay.unwrap_or_else(|| delay(failed));
        (instance.failures < policy.retries, delay)
    };
    if left { Next::Retry(delay) } else { Next::Fail }
}

/// Airflow's formula: the delay times the factor to the power of the earlier failures, and by chance up to
/// as much again. The chance is a hash, so that the same failure always waits as long.
fn delay(failed: &Failed<'_>) -> Duration {
    let policy = failed.policy;
    let ceiling = policy.max_delay.unwrap_or(DELAY_MAX).min(DELAY_MAX);
    if policy.backoff <= 1.0 {
        return policy.delay.min(policy.max_delay.unwrap_or(Duration::MAX));
    }
    let exponent = i32::try_from(failed.instance.failures).unwrap_or(i32::MAX);
    let base = (policy.delay.as_secs_f64() * policy.backoff.powi(exponent)).ceil().max(1.0);
    let most = DELAY_MAX.as_secs();
    // Beyond the ceiling it does not matter how far.
    let base = if base < most as f64 { base as u64 } else { return ceiling };
    Duration::from_secs(base + chance(failed, base)).min(ceiling)
}

/// SHA-1 of the try's name, modulo `base`.
fn chance(failed: &Failed<'_>, base: u64) -> u64 {
    let date = failed.logical_date.to_utc().format("%Y-%m-%d %H:%M:%S%.f%:z");
    let number = failed.instance.failures + 1;
    let name = format!("{}#{}#{date}#{number}", failed.dag_id, failed.task_id);
    let digits = Sha1::digest(name.as_bytes());
    digits.iter().fold(0, |rest, digit| (rest * 256 + u64::from(*digit)) % base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use towpath_common::dag::RetryRule;

    fn policy(retries: u32, backoff: f64, max_delay: Option<u64>) -> RetryPolicy {
        RetryPolicy {
            retries,
            delay: Duration::from_secs(30),
            backoff,
            max_delay: max_delay.map(Duration::from_secs),
            rules: Vec::new(),
        }
    }

    fn next(policy: &RetryPolicy, failure: &Failure, failures: u32, losses: u32) -> Next {
        let instance = Instance { failures, losses, ..Instance::new(0) };
        let failed = Failed {
            dag_id: &DagId::new("d").expect("a name"),
            task_id: &TaskId::new("t").expect("a name"),
            logical_date: Timestamp::from_micros(1_514_764_800_000_000),
            instance: &instance,
            policy,
        };
        after(&failed, failure, 3)
    }

    fn check(policy: &RetryPolicy, class: FailureClass, failures: u32, losses: u32) -> Option<u64> {
        match next(policy, &Failure::new(class, ""), failures, losses) {
            Next::Retry(delay) => Some(delay.as_secs()),
            Next::Fail | Next::Skip => None,
        }
    }

    #[test]
    fn a_task_has_its_retries_and_no_more() {
        let constant = policy(2, 1.0, None);
        assert_eq!(check(&constant, FailureClass::Exit, 0, 0), Some(30));
        assert_eq!(check(&constant, FailureClass::Timeout, 1, 9), Some(30));
        assert_eq!(check(&constant, FailureClass::Exit, 2, 0), None);
        assert_eq!(check(&policy(0, 1.0, None), FailureClass::Exit, 0, 0), None);
    }

    #[test]
    fn the_delay_grows_with_a_chance_that_is_always_the_same_and_ends_at_its_ceiling() {
        let growing = policy(100, 2.0, None);
        for failures in 0..8 {
            let base = 30 << failures;
            let delay = check(&growing, FailureClass::Exit, failures, 0).expect("tried again");
            assert!((base..2 * base).contains(&delay), "{delay} after {failures}");
            assert_eq!(check(&growing, FailureClass::Exit, failures, 0), Some(delay));
        }
        assert_eq!(check(&policy(100, 2.0, Some(100)), FailureClass::Exit, 2, 0), Some(100));
        assert_eq!(check(&growing, FailureClass::Exit, 99, 0), Some(86_400));
    }

    /// `int(sha1(b"d#t#2018-01-01 00:00:00+00:00#1").hexdigest(), 16) % 30`, by Python.
    #[test]
    fn the_chance_is_airflows() {
        assert_eq!(check(&policy(1, 2.0, None), FailureClass::Exit, 0, 0), Some(30 + CHANCE));
    }

    const CHANCE: u64 = 13;

    #[test]
    fn losses_have_their_own_budget() {
        let none = policy(0, 1.0, None);
        assert_eq!(check(&none, FailureClass::WorkerLost, 7, 2), Some(0));
        assert_eq!(check(&none, FailureClass::WorkerLost, 0, 3), None);
    }

    #[test]
    fn what_was_cancelled_stays_cancelled() {
        assert_eq!(check(&policy(5, 1.0, None), FailureClass::Cancelled, 0, 0), None);
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rule =
            |classes: &[FailureClass], exit_codes: &[i64], log: Option<&str>, then| RetryRule {
                classes: classes.to_vec(),
                exit_codes: exit_codes.to_vec(),
                log: log.map(str::to_owned),
                then,
                delay: Some(Duration::from_secs(7)),
            };
        let mut policy = policy(1, 1.0, None);
        policy.rules = vec![
            rule(&[FailureClass::Oom], &[], None, Then::Fail),
            rule(&[], &[3, 4], None, Then::Skip),
            rule(&[FailureClass::Exit], &[], Some("deadlock"), Then::Retry),
        ];
        let exit = |code| Failure { exit_code: Some(code), ..Failure::new(FailureClass::Exit, "") };
        assert_eq!(next(&policy, &Failure::new(FailureClass::Oom, ""), 0, 0), Next::Fail);
        assert_eq!(next(&policy, &exit(4), 0, 0), Next::Skip);
        let matched = Failure { log_matches: vec![2], ..exit(1) };
        assert_eq!(next(&policy, &matched, 0, 0), Next::Retry(Duration::from_secs(7)));
        assert_eq!(next(&policy, &matched, 1, 0), Next::Fail);
        assert_eq!(next(&policy, &exit(1), 0, 0), Next::Retry(Duration::from_secs(30)));
    }
}
