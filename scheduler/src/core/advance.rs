//! One event of one run: what follows from it.
//!
//! Decisions are applied to the snapshot as they are made, because each may bring about the next (a
//! failure fails what hangs below it). If the shell cannot commit them it throws the snapshot away
//! and loads it again.

use towpath_common::decision::Decision;
use towpath_common::event::{Event, InstanceIndex};
use towpath_common::outcome::{Failure, FailureClass, Outcome, Outputs};
use towpath_common::run::RunSnapshot;
use towpath_common::state::{RunState, TaskState};
use towpath_common::time::Timestamp;

use super::readiness::{Verdict, all_success};
use super::retry::next_try;

/// What the platform allows, the same for every Dag.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// How many lost attempts of one instance are made up for.
    pub losses_max: u32,
}

/// The event speaks of something that is no longer so. It changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    #[error("the run has ended or has already started")]
    Run,
    #[error("the instance has moved on")]
    Instance,
    #[error("it is about an older attempt")]
    Attempt,
}

/// Applies the event to the run and returns all that was decided, in order.
pub fn advance(
    run: &mut RunSnapshot,
    event: Event,
    rules: &Rules,
    now: Timestamp,
) -> Result<Vec<Decision>, Stale> {
    let mut pass = Pass { run, rules, now, decisions: Vec::new(), ended: Vec::new() };
    match event {
        Event::RunStarted => pass.start_run()?,
        Event::Admitted { instance } => pass.admit(instance)?,
        Event::AttemptClaimed { instance, attempt, worker, at } => {
            pass.expect_out(instance, attempt)?;
            if pass.run.instance(instance).state == TaskState::Running {
                return Err(Stale::Instance);
            }
            pass.decide(Decision::NoteClaim { instance, worker, at });
        }
        Event::AttemptEnded { instance, attempt, worker, started_at, ended_at, outcome } => {
            pass.expect_out(instance, attempt)?;
            // The news of the claim may have been lost; the report proves it.
            if pass.run.instance(instance).state == TaskState::Queued {
                pass.decide(Decision::NoteClaim { instance, worker, at: started_at });
            }
            pass.end_attempt(instance, ended_at, outcome);
        }
        Event::AttemptLost { instance, attempt, why } => {
            pass.expect_out(instance, attempt)?;
            let failure = Failure::new(FailureClass::WorkerLost, why);
            pass.fail_attempt(instance, now, failure);
        }
        Event::RetryDue { instance } => pass.retry(instance)?,
        Event::RunCancelled { by } => pass.cancel(&by)?,
    }
    pass.settle_below();
    Ok(pass.decisions)
}

/// Decides whatever the snapshot as it stands calls for. A snapshot that was only ever changed by
/// [`advance`] and loaded whole needs nothing but the schedule decisions of waiting instances.
pub fn settle(run: &mut RunSnapshot, rules: &Rules, now: Timestamp) -> Vec<Decision> {
    if run.run.state != RunState::Running {
        return Vec::new();
    }
    let mut pass = Pass { run, rules, now, decisions: Vec::new(), ended: Vec::new() };
    pass.judge_all();
    pass.settle_below();
    pass.decisions
}

/// The work on one event.
struct Pass<'a> {
    run: &'a mut RunSnapshot,
    rules: &'a Rules,
    now: Timestamp,
    decisions: Vec<Decision>,
    /// Instances that have ended in this pass and whose downstream is not judged yet.
    ended: Vec<InstanceIndex>,
}

impl Pass<'_> {
    fn decide(&mut self, decision: Decision) {
        self.run.apply(&decision);
        if let Decision::Finish { instance, .. } = decision {
            self.ended.push(instance);
        }
        self.decisions.push(decision);
    }

    /// The attempt is the instance's latest and is queued or running.
    fn expect_out(&self, instance: InstanceIndex, attempt: u32) -> Result<(), Stale> {
        let instance = self.run.instance(instance);
        if instance.attempt != attempt {
            return Err(Stale::Attempt);
        }
        if !instance.state.is_out() { Err(Stale::Instance) } else { Ok(()) }
    }

    fn start_run(&mut self) -> Result<(), Stale> {
        if self.run.run.state != RunState::Queued {
            return Err(Stale::Run);
        }
        self.decide(Decision::StartRun { at: self.now });
        self.judge_all();
        Ok(())
    }

    fn admit(&mut self, instance: InstanceIndex) -> Result<(), Stale> {
        if self.run.instance(instance).state != TaskState::Scheduled {
            return Err(Stale::Instance);
        }
        self.decide(Decision::Queue { instance, at: self.now });
        Ok(())
    }

    fn retry(&mut self, instance: InstanceIndex) -> Result<(), Stale> {
        let waiting = self.run.instance(instance);
        let due = waiting.retry_at.is_some_and(|at| at <= self.now);
        if waiting.state != TaskState::UpForRetry || !due {
            return Err(Stale::Instance);
        }
        self.decide(Decision::Schedule { instance });
        Ok(())
    }

    fn end_attempt(&mut self, instance: InstanceIndex, ended_at: Timestamp, outcome: Outcome) {
        match outcome {
            Outcome::Success { outputs } => {
                self.finish(instance, TaskState::Success, ended_at, None, outputs);
            }
            Outcome::Failed(failure) => self.fail_attempt(instance, ended_at, failure),
        }
    }

    fn fail_attempt(&mut self, instance: InstanceIndex, ended_at: Timestamp, failure: Failure) {
        let failed = self.run.instance(instance);
        let policy = &self.run.plan.task(failed.task).retry;
        match next_try(failed, &failure, policy, self.rules.losses_max) {
            Some(delay) => {
                let at = ended_at.plus(delay);
                self.decide(Decision::Retry { instance, ended_at, at, failure });
            }
            None => {
                self.finish(instance, TaskState::Failed, ended_at, Some(failure), Outputs::new());
            }
        }
    }

    fn finish(
        &mut self,
        instance: InstanceIndex,
        state: TaskState,
        at: Timestamp,
        failure: Option<Failure>,
        outputs: Outputs,
    ) {
        self.decide(Decision::Finish { instance, state, at, failure, outputs });
    }

    /// As Airflow marks a run failed: what runs is failed, what has not begun is skipped.
    fn cancel(&mut self, by: &str) -> Result<(), Stale> {
        if self.run.run.state.is_terminal() {
            return Err(Stale::Run);
        }
        for instance in 0..u32::try_from(self.run.instances.len()).expect("counted in u32") {
            let live = self.run.instance(instance);
            let (state, attempt) = (live.state, live.attempt);
            if state.is_terminal() {
                continue;
            }
            if state.is_out() {
                self.decide(Decision::Stop { instance, attempt });
            }
            let failure = Failure::new(FailureClass::Cancelled, format!("cancelled by {by}"));
            let end =
                if state == TaskState::Running { TaskState::Failed } else { TaskState::Skipped };
            self.finish(instance, end, self.now, Some(failure), Outputs::new());
        }
        self.ended.clear();
        self.decide(Decision::FinishRun { state: RunState::Failed, at: self.now });
        Ok(())
    }

    fn judge_all(&mut self) {
        for instance in 0..u32::try_from(self.run.instances.len()).expect("counted in u32") {
            self.judge(instance);
        }
    }

    /// Judges what hangs below each instance that ended, and what hangs below those that end by it.
    fn settle_below(&mut self) {
        let plan = std::sync::Arc::clone(&self.run.plan);
        while let Some(ended) = self.ended.pop() {
            for below in plan.downstream(self.run.instance(ended).task) {
                self.judge(*below);
            }
        }
        if self.run.run.state == RunState::Running && self.run.unfinished() == 0 {
            let state = self.run_outcome();
            self.decide(Decision::FinishRun { state, at: self.now });
        }
    }

    fn judge(&mut self, instance: InstanceIndex) {
        if self.run.instance(instance).state != TaskState::None {
            return;
        }
        let end = match all_success(self.run.upstream_counts(instance)) {
            Verdict::Wait => return,
            Verdict::Run => return self.decide(Decision::Schedule { instance }),
            Verdict::UpstreamFailed => TaskState::UpstreamFailed,
            Verdict::Skip => TaskState::Skipped,
        };
        self.finish(instance, end, self.now, None, Outputs::new());
    }

    /// The leaves decide.
    fn run_outcome(&self) -> RunState {
        let failed = self.run.instances.iter().any(|instance| {
            self.run.plan.is_leaf(instance.task)
                && matches!(instance.state, TaskState::Failed | TaskState::UpstreamFailed)
        });
        if failed { RunState::Failed } else { RunState::Success }
    }
}

#[cfg(test)]
#[path = "advance_tests.rs"]
mod tests;
