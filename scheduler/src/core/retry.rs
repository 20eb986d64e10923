//! Whether a failed attempt is followed by another, and when.
//!
//! There are two budgets. What the task does wrong uses its own `retries`; what the platform does
//! wrong (a lost worker) uses the platform's, and is tried again at once.

use std::time::Duration;

use towpath_common::dag::RetryPolicy;
use towpath_common::outcome::{Failure, FailureClass};
use towpath_common::run::Instance;

/// Airflow's ceiling for a delay that grows.
const DELAY_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long to wait before the next try; none if there is none.
pub fn next_try(
    instance: &Instance,
    failure: &Failure,
    policy: &RetryPolicy,
    losses_max: u32,
) -> Option<Duration> {
    match failure.class {
        FailureClass::Cancelled => None,
        class if class.is_infrastructure() => {
            (instance.losses < losses_max).then_some(Duration::ZERO)
        }
        _ => (instance.failures < policy.retries).then(|| delay(policy, instance.failures)),
    }
}

/// The delay after `earlier` failures and one more.
fn delay(policy: &RetryPolicy, earlier: u32) -> Duration {
    let ceiling = policy.max_delay.unwrap_or(DELAY_MAX).min(DELAY_MAX);
    if policy.backoff <= 1.0 {
        return policy.delay.min(ceiling);
    }
    let exponent = i32::try_from(earlier).unwrap_or(i32::MAX);
    let seconds = policy.delay.as_secs_f64() * policy.backoff.powi(exponent);
    Duration::try_from_secs_f64(seconds).unwrap_or(DELAY_MAX).min(ceiling)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(retries: u32, backoff: f64, max_delay: Option<u64>) -> RetryPolicy {
        RetryPolicy {
            retries,
            delay: Duration::from_secs(30),
            backoff,
            max_delay: max_delay.map(Duration::from_secs),
        }
    }

    fn check(policy: &RetryPolicy, class: FailureClass, failures: u32, losses: u32) -> Option<u64> {
        let instance = Instance { failures, losses, ..Instance::new(0) };
        next_try(&instance, &Failure::new(class, ""), policy, 3).map(|delay| delay.as_secs())
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
    fn the_delay_grows_to_its_ceiling() {
        let growing = policy(100, 2.0, Some(100));
        assert_eq!(check(&growing, FailureClass::Exit, 1, 0), Some(60));
        assert_eq!(check(&growing, FailureClass::Exit, 2, 0), Some(100));
        assert_eq!(check(&policy(100, 2.0, None), FailureClass::Exit, 99, 0), Some(86_400));
    }

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
}
