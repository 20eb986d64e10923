//! Whether upstream states permit an instance to run: its trigger rule, over counters.
//!
//! A rule first looks whether it can already be decided that the instance never runs, then whether it
//! may run now. The table is Airflow's, and so is what "done" means to each rule.

use towpath_common::dag::TriggerRule;
use towpath_common::snapshot::UpstreamCounts;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Something above it has not ended.
    Wait,
    Run,
    UpstreamFailed,
    Skip,
    /// It was expanded further than what is above it.
    Remove,
}

/// The setups directly above a teardown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SetupCounts {
    pub total: u32,
    pub success: u32,
    pub skipped: u32,
}

/// What a rule is judged by. `map_index` is none for an instance that is not mapped.
#[derive(Debug, Clone, Copy)]
pub struct Upstream {
    pub counts: UpstreamCounts,
    pub setups: SetupCounts,
    pub map_index: Option<u32>,
}

pub fn judge(rule: TriggerRule, upstream: &Upstream) -> Verdict {
    if upstream.counts.total == 0 || rule == TriggerRule::Always {
        return Verdict::Run;
    }
    early(rule, upstream).unwrap_or(if may_run(rule, upstream) {
        Verdict::Run
    } else {
        Verdict::Wait
    })
}

/// What is certain although something above may not have ended.
fn early(rule: TriggerRule, upstream: &Upstream) -> Option<Verdict> {
    let UpstreamCounts { total, success, failed, upstream_failed, skipped, removed } =
        upstream.counts;
    let broken = failed + upstream_failed;
    let done = upstream.counts.done();
    let all_done = done >= total;
    let end = |certain: bool, verdict| certain.then_some(verdict);
    match rule {
        TriggerRule::AllSuccess => {
            end(broken > 0, Verdict::UpstreamFailed).or(end(skipped > 0, Verdict::Skip)).or(end(
                removed > 0 && success > 0 && upstream.map_index.is_some_and(|i| i >= success),
                Verdict::Remove,
            ))
        }
        TriggerRule::AllFailed => end(success + skipped > 0, Verdict::Skip),
        TriggerRule::AllSkipped => end(success + broken > 0, Verdict::Skip),
        TriggerRule::OneSuccess => end(all_done && done == skipped, Verdict::Skip)
            .or(end(all_done && success == 0, Verdict::UpstreamFailed)),
        TriggerRule::OneFailed => end(all_done && broken == 0, Verdict::Skip),
        TriggerRule::OneDone => end(all_done && success + failed == 0, Verdict::Skip),
        TriggerRule::NoneFailed => end(broken > 0, Verdict::UpstreamFailed),
        TriggerRule::NoneFailedMinOneSuccess => {
            end(broken > 0, Verdict::UpstreamFailed).or(end(skipped == total, Verdict::Skip))
        }
        TriggerRule::NoneSkipped => end(skipped > 0, Verdict::Skip),
        TriggerRule::AllDoneMinOneSuccess => end(skipped > 0, Verdict::Skip)
            .or(end(done - skipped >= total - skipped && success == 0, Verdict::UpstreamFailed)),
        TriggerRule::AllDoneSetupSuccess => {
            let SetupCounts { total, success, skipped } = upstream.setups;
            let decided = all_done && total > 0;
            end(decided && skipped >= total, Verdict::Skip)
                .or(end(decided && success == 0, Verdict::UpstreamFailed))
        }
        TriggerRule::AllDone | TriggerRule::Always => None,
    }
}

fn may_run(rule: TriggerRule, upstream: &Upstream) -> bool {
    let UpstreamCounts { total, success, failed, upstream_failed, skipped, removed } =
        upstream.counts;
    let done = upstream.counts.done();
    // What was removed counts for a mapped instance as if it had never been there.
    let gone = if upstream.map_index.is_some() { removed } else { 0 };
    match rule {
        TriggerRule::AllSuccess => success + gone >= total,
        TriggerRule::AllFailed => failed + upstream_failed + gone >= total,
        TriggerRule::AllSkipped => skipped >= total,
        TriggerRule::OneSuccess => success > 0,
        TriggerRule::OneFailed => failed + upstream_failed > 0,
        TriggerRule::OneDone => success + failed > 0,
        TriggerRule::NoneFailed | TriggerRule::NoneFailedMinOneSuccess => {
            success + skipped + gone >= total
        }
        TriggerRule::NoneSkipped => done >= total && skipped == 0,
        TriggerRule::AllDoneMinOneSuccess => done >= total && skipped == 0 && success > 0,
        TriggerRule::AllDone | TriggerRule::AllDoneSetupSuccess => done >= total,
        TriggerRule::Always => true,
    }
}

#[cfg(test)]
#[path = "readiness_tests.rs"]
mod tests;
