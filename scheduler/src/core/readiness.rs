//! Whether upstream states permit an instance to run: its trigger rule, over counters.

use towpath_common::run::UpstreamCounts;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Something above it has not ended.
    Wait,
    Run,
    UpstreamFailed,
    Skip,
}

/// `all_success`, Airflow's default: a failure above decides at once, and so does a skip.
pub fn all_success(upstream: &UpstreamCounts) -> Verdict {
    if upstream.failed + upstream.upstream_failed > 0 {
        Verdict::UpstreamFailed
    } else if upstream.skipped > 0 {
        Verdict::Skip
    } else if upstream.success + upstream.removed < upstream.total {
        Verdict::Wait
    } else {
        Verdict::Run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every combination of up to four upstream instances, against the rule in words.
    #[test]
    fn all_success_over_all_small_cases() {
        for total in 0..=4 {
            for success in 0..=total {
                for failed in 0..=total - success {
                    for upstream_failed in 0..=total - success - failed {
                        for skipped in 0..=total - success - failed - upstream_failed {
                            let counts = UpstreamCounts {
                                total,
                                success,
                                failed,
                                upstream_failed,
                                skipped,
                                removed: 0,
                            };
                            let expected = match (failed + upstream_failed, skipped) {
                                (1.., _) => Verdict::UpstreamFailed,
                                (0, 1..) => Verdict::Skip,
                                (0, 0) if success == total => Verdict::Run,
                                (0, 0) => Verdict::Wait,
                            };
                            assert_eq!(all_success(&counts), expected, "{counts:?}");
                        }
                    }
                }
            }
        }
    }
}
