//! One event of one run: what follows from it.
//!
//! An event is taken in, then the run is settled in passes. Each pass judges what hangs below whatever
//! the last one ended, all by the states as they stood when it began: Airflow's order, which decides
//! where two rules race. Decisions are applied to the snapshot as they are made; if the shell cannot
//! commit them it throws the snapshot away and loads it again.

use towpath_common::dag::Builtin;
use towpath_common::decision::Decision;
use towpath_common::event::{Event, InstanceIndex};
use towpath_common::id::{TaskId, UNMAPPED};
use towpath_common::outcome::{Failure, FailureClass, Outcome, Outputs};
use towpath_common::plan::TaskIndex;
use towpath_common::snapshot::RunSnapshot;
use towpath_common::state::{RunState, TaskState};
use towpath_common::time::Timestamp;

use super::conclusion::run_outcome;
use super::flow::{Exclusion, all_below, exclusion, is_latest};
use super::judgement::{Expansion, expansion, verdicts};
use super::readiness::Verdict;
use super::retry::{self, Failed, Next};

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
    let mut work = Work::new(run, rules, now);
    work.take(event)?;
    Ok(work.settle())
}

/// Decides whatever the snapshot as it stands calls for. A snapshot that was only ever changed by
/// [`advance`] and loaded whole needs nothing but the schedule decisions of waiting instances.
pub fn settle(run: &mut RunSnapshot, rules: &Rules, now: Timestamp) -> Vec<Decision> {
    if run.run.state != RunState::Running {
        return Vec::new();
    }
    let mut work = Work::new(run, rules, now);
    work.look_at_all();
    work.settle()
}

/// The work on one event.
pub struct Work<'a> {
    pub(super) run: &'a mut RunSnapshot,
    rules: &'a Rules,
    pub(super) now: Timestamp,
    decisions: Vec<Decision>,
    /// What the next pass judges: a task, or one instance of a mapped one.
    pub(super) open: Vec<(TaskIndex, Option<u32>)>,
}

impl<'a> Work<'a> {
    pub fn new(run: &'a mut RunSnapshot, rules: &'a Rules, now: Timestamp) -> Self {
        Self { run, rules, now, decisions: Vec::new(), open: Vec::new() }
    }

    /// Takes the event in, and leaves what hangs below it to the next pass.
    pub fn take(&mut self, event: Event) -> Result<(), Stale> {
        match event {
            Event::RunStarted => self.start_run(),
            Event::Admitted { instance } => self.admit(instance),
            Event::AttemptClaimed { instance, attempt, worker, at } => {
                self.expect_out(instance, attempt)?;
                if self.run.instance(instance).state == TaskState::Running {
                    return Err(Stale::Instance);
                }
                self.decide(Decision::NoteClaim { instance, worker, at });
                Ok(())
            }
            Event::AttemptEnded { instance, attempt, worker, started_at, ended_at, outcome } => {
                self.expect_out(instance, attempt)?;
                // The news of the claim may have been lost; the report proves it.
                if self.run.instance(instance).state == TaskState::Queued {
                    self.decide(Decision::NoteClaim { instance, worker, at: started_at });
                }
                self.end_attempt(instance, ended_at, outcome);
                Ok(())
            }
            Event::AttemptLost { instance, attempt, why } => {
                self.expect_out(instance, attempt)?;
                let failure = Failure::new(FailureClass::WorkerLost, why);
                self.fail_attempt(instance, self.now, failure);
                Ok(())
            }
            Event::RetryDue { instance } => self.retry(instance),
            Event::WaitEnded { instance, attempt, outcome } => {
                let waiting = self.run.instance(instance);
                if waiting.state != TaskState::Deferred || waiting.attempt != attempt {
                    return Err(Stale::Attempt);
                }
                self.end_wait(instance, outcome);
                Ok(())
            }
            Event::PastMet { task } => {
                if !self.run.past_is_met(task) {
                    return Err(Stale::Instance);
                }
                self.open.push((task, None));
                Ok(())
            }
            Event::QueueTimedOut { instance, attempt } => self.time_out_queued(instance, attempt),
            Event::RunTimedOut => self.time_out(),
            Event::RunCancelled { by } => self.cancel(&by),
            Event::Cleared { instances, .. } => {
                self.clear(&instances);
                Ok(())
            }
            Event::Marked { instances, state, by } => {
                self.mark(&instances, state, &by);
                Ok(())
            }
            Event::RunMarked { state, by } => {
                self.mark_run(state, &by);
                Ok(())
            }
        }
    }

    /// Passes until nothing follows any more, then the run's own end.
    pub fn settle(mut self) -> Vec<Decision> {
        while self.pass() {}
        if self.run.is_stuck() {
            // Before the run is given up, everything is looked at once more.
            self.look_at_all();
            while self.pass() {}
        }
        self.conclude();
        self.decisions
    }

    /// Judges what is open by the states as they stand, then decides it. False if nothing was open.
    pub fn pass(&mut self) -> bool {
        let mut open = std::mem::take(&mut self.open);
        open.sort_unstable();
        open.dedup();
        if open.is_empty() || self.run.run.state != RunState::Running {
            return false;
        }
        for (task, _) in &open {
            self.expand(*task);
        }
        let mut judged = Vec::new();
        for (task, only) in open {
            judged.extend(verdicts(self.run, task, only));
        }
        for (instance, verdict) in judged {
            self.pronounce(instance, verdict);
        }
        true
    }

    /// All that is as it was born is judged in the next pass.
    pub fn look_at_all(&mut self) {
        self.open = (0..).take(self.run.plan.len()).map(|task| (task, None)).collect();
    }

    /// A run that had ended by other states than those that a person has now given it.
    pub(super) fn reconsider(&mut self) {
        let state = run_outcome(self.run);
        if self.run.run.state != state {
            self.decide(Decision::ReopenRun { at: self.now });
            self.decide(Decision::StartRun { at: self.now });
            self.decide(Decision::FinishRun { state, at: self.now });
        }
    }

    /// The run ends when all has ended, or when nothing that is left can ever begin.
    pub fn conclude(&mut self) {
        if self.run.run.state != RunState::Running {
            return;
        }
        let state = match self.run.unfinished() {
            0 => run_outcome(self.run),
            _ if self.run.is_stuck() => RunState::Failed,
            _ => return,
        };
        self.decide(Decision::FinishRun { state, at: self.now });
    }

    pub(super) fn decide(&mut self, decision: Decision) {
        self.run.apply(&decision);
        if let Decision::Finish { instance, .. } = decision {
            self.open_below(instance);
        }
        self.decisions.push(decision);
    }

    /// An instance has ended: whoever looks at it is judged in the next pass.
    pub(super) fn open_below(&mut self, ended: InstanceIndex) {
        let ended = self.run.instance(ended);
        let plan = &self.run.plan;
        for onlooker in plan.onlookers(ended.task) {
            let own = plan.same_group(ended.task, onlooker);
            let only = u32::try_from(ended.map_index).ok().filter(|_| own);
            self.open.push((onlooker, only));
        }
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
        self.look_at_all();
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
        let waits = matches!(waiting.state, TaskState::UpForRetry | TaskState::UpForReschedule);
        if !waits || !due {
            return Err(Stale::Instance);
        }
        self.schedule(instance);
        Ok(())
    }

    fn end_attempt(&mut self, instance: InstanceIndex, ended_at: Timestamp, outcome: Outcome) {
        match outcome {
            Outcome::Success { outputs } => self.succeed(instance, ended_at, outputs),
            Outcome::Skipped => {
                self.finish(instance, TaskState::Skipped, ended_at, None, Outputs::new());
            }
            Outcome::NotYet => self.look_again(instance, ended_at),
            Outcome::Failed(failure) => self.fail_attempt(instance, ended_at, failure),
        }
    }

    fn succeed(&mut self, instance: InstanceIndex, ended_at: Timestamp, outputs: Outputs) {
        let task = self.run.instance(instance).task;
        match exclusion(&self.run.plan, task, &outputs) {
            Ok(excluded) => {
                self.finish(instance, TaskState::Success, ended_at, None, outputs);
                self.exclude(instance, &excluded);
            }
            Err(why) => {
                self.fail_attempt(instance, ended_at, Failure::new(FailureClass::Output, why));
            }
        }
    }

    fn end_wait(&mut self, instance: InstanceIndex, outcome: Outcome) {
        let task = self.run.plan.task(self.run.instance(instance).task);
        let soft_fail = matches!(&task.builtin, Some(Builtin::Wait(wait)) if wait.soft_fail);
        match outcome {
            Outcome::Failed(failure) if soft_fail => {
                let outputs = Outputs::new();
                self.finish(instance, TaskState::Skipped, self.now, Some(failure), outputs);
            }
            outcome => self.end_attempt(instance, self.now, outcome),
        }
    }

    /// A command has not found yet what it looks for.
    fn look_again(&mut self, instance: InstanceIndex, ended_at: Timestamp) {
        let looked = self.run.instance(instance);
        let Some(poke) = self.run.plan.task(looked.task).poke else {
            let why = "it says \"not yet\" and has no poke";
            return self.fail_attempt(instance, ended_at, Failure::new(FailureClass::Output, why));
        };
        let since = looked.waiting_since.or(looked.started_at).unwrap_or(ended_at);
        if ended_at.since(since) >= poke.timeout {
            let why = format!("it was not found within {:?}", poke.timeout);
            let failure = Failure::new(FailureClass::SensorTimeout, why);
            return self.fail_attempt(instance, ended_at, failure);
        }
        let at = ended_at.plus(poke.interval);
        self.decide(Decision::Reschedule { instance, ended_at, at });
    }

    /// Skips at once what the instance has decided against.
    fn exclude(&mut self, by: InstanceIndex, excluded: &Exclusion) {
        let plan = &self.run.plan;
        let tasks: Vec<TaskId> =
            excluded.direct.iter().map(|task| plan.task(*task).id.clone()).collect();
        if tasks.is_empty() {
            return;
        }
        self.decide(Decision::Exclude { instance: by, tasks });
        for task in excluded.direct.iter().chain(&excluded.further) {
            for index in self.touched(by, *task) {
                // One that failed with what is above it is skipped after all.
                let skippable = [TaskState::None, TaskState::Scheduled, TaskState::UpstreamFailed];
                if skippable.contains(&self.run.instance(index).state) {
                    self.finish(index, TaskState::Skipped, self.now, None, Outputs::new());
                }
            }
        }
    }

    /// The instances of a task that a decision of this instance is about.
    fn touched(&self, by: InstanceIndex, task: TaskIndex) -> Vec<InstanceIndex> {
        let decider = self.run.instance(by);
        let all = self.run.instances_of(task);
        match usize::try_from(decider.map_index) {
            Ok(place) if self.run.plan.same_group(decider.task, task) => {
                all.get(place).copied().into_iter().collect()
            }
            _ => all.to_vec(),
        }
    }

    fn fail_attempt(&mut self, instance: InstanceIndex, ended_at: Timestamp, failure: Failure) {
        let failed = self.run.instance(instance);
        let task = self.run.plan.task(failed.task);
        let failed = Failed {
            dag_id: &self.run.run.dag_id,
            task_id: &task.id,
            logical_date: self.run.run.logical_date,
            instance: failed,
            policy: &task.retry,
        };
        match retry::after(&failed, &failure, self.rules.losses_max) {
            Next::Retry(delay) => {
                let at = ended_at.plus(delay);
                self.decide(Decision::Retry { instance, ended_at, at, failure });
            }
            Next::Fail => self.fail(instance, ended_at, failure),
            Next::Skip => {
                let outputs = Outputs::new();
                self.finish(instance, TaskState::Skipped, ended_at, Some(failure), outputs);
            }
        }
    }

    /// For good.
    fn fail(&mut self, instance: InstanceIndex, at: Timestamp, failure: Failure) {
        self.finish(instance, TaskState::Failed, at, Some(failure), Outputs::new());
        if self.run.plan.dag.fail_fast {
            let task = self.run.instance(instance).task;
            let why = format!("{} has failed and the Dag fails fast", self.run.plan.task(task).id);
            let failure = Failure::new(FailureClass::Cancelled, why);
            self.end_live(&failure, TaskState::Failed, |run, index| {
                let other = run.instance(index).task;
                other != task && !run.plan.is_teardown(other)
            });
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

    /// The attempt has failed for want of a worker.
    fn time_out_queued(&mut self, instance: InstanceIndex, attempt: u32) -> Result<(), Stale> {
        self.expect_out(instance, attempt)?;
        if self.run.instance(instance).state != TaskState::Queued {
            return Err(Stale::Instance);
        }
        self.stop(instance);
        let why = "no worker took it within its queue_timeout";
        let failure = Failure::new(FailureClass::QueueTimeout, why);
        self.fail_attempt(instance, self.now, failure);
        Ok(())
    }

    /// The run has failed, and what was not finished is skipped. Airflow's way.
    fn time_out(&mut self) -> Result<(), Stale> {
        if self.run.run.state != RunState::Running {
            return Err(Stale::Run);
        }
        let failure =
            Failure::new(FailureClass::RunTimeout, "the run took longer than its dagrun_timeout");
        self.end_live(&failure, TaskState::Skipped, |_, _| true);
        self.open.clear();
        self.decide(Decision::FinishRun { state: RunState::Failed, at: self.now });
        Ok(())
    }

    /// As Airflow marks a run failed: what runs is failed, what has not begun is skipped.
    fn cancel(&mut self, by: &str) -> Result<(), Stale> {
        if self.run.run.state.is_terminal() {
            return Err(Stale::Run);
        }
        let failure = Failure::new(FailureClass::Cancelled, format!("cancelled by {by}"));
        self.end_live(&failure, TaskState::Failed, |_, _| true);
        self.open.clear();
        self.decide(Decision::FinishRun { state: RunState::Failed, at: self.now });
        Ok(())
    }

    /// Whoever works on the instance is to stop.
    pub(super) fn stop(&mut self, instance: InstanceIndex) {
        let live = self.run.instance(instance);
        if live.state.is_out() {
            self.decide(Decision::Stop { instance, attempt: live.attempt });
        }
    }

    /// Ends what is live among those that are meant: what runs as told, the rest as skipped.
    fn end_live(
        &mut self,
        failure: &Failure,
        running: TaskState,
        meant: impl Fn(&RunSnapshot, InstanceIndex) -> bool,
    ) {
        for instance in 0..u32::try_from(self.run.instances.len()).expect("counted in u32") {
            let state = self.run.instance(instance).state;
            if state.is_terminal() || !meant(self.run, instance) {
                continue;
            }
            self.stop(instance);
            let end = if state == TaskState::Running { running } else { TaskState::Skipped };
            self.finish(instance, end, self.now, Some(failure.clone()), Outputs::new());
        }
    }

    /// It may run. What needs no worker has run at once.
    fn schedule(&mut self, instance: InstanceIndex) {
        self.decide(Decision::Schedule { instance });
        let task = self.run.instance(instance).task;
        match &self.run.plan.task(task).builtin {
            None => {}
            Some(Builtin::Empty) => self.succeed(instance, self.now, Outputs::new()),
            Some(Builtin::Wait(_)) => self.decide(Decision::Defer { instance, at: self.now }),
            Some(Builtin::LatestOnly) => {
                let excluded = if is_latest(&self.run.run, &self.run.plan.dag, self.now) {
                    Exclusion::default()
                } else {
                    all_below(&self.run.plan, task)
                };
                self.finish(instance, TaskState::Success, self.now, None, Outputs::new());
                self.exclude(instance, &excluded);
            }
        }
    }

    /// Makes the instances of a task that is expanded over something, once it is known over what.
    fn expand(&mut self, task: TaskIndex) {
        let is_born = self
            .run
            .instances_of(task)
            .first()
            .is_some_and(|index| self.run.instance(*index).state == TaskState::None);
        if !is_born {
            return;
        }
        match expansion(self.run, task) {
            Expansion::Known(instances) => self.decide(Decision::Expand { task, instances }),
            Expansion::Fewer(count) => {
                let gone = self.run.instances_of(task)[count as usize..].to_vec();
                gone.into_iter().for_each(|instance| self.pronounce(instance, Verdict::Remove));
            }
            Expansion::Never(verdict) => self.pronounce(task, verdict),
            Expansion::Refused(why) => {
                self.fail(task, self.now, Failure::new(FailureClass::Expand, why));
            }
            Expansion::None | Expansion::Empty | Expansion::Wait => {}
        }
    }

    fn pronounce(&mut self, instance: InstanceIndex, verdict: Verdict) {
        // Another verdict of this pass may have ended it.
        if self.run.instance(instance).state != TaskState::None {
            return;
        }
        let end = match verdict {
            Verdict::Wait => return,
            Verdict::Run if self.run.instance(instance).map_index > UNMAPPED => {
                return self.schedule(instance);
            }
            Verdict::Run => match expansion(self.run, self.run.instance(instance).task) {
                Expansion::None => return self.schedule(instance),
                Expansion::Empty => TaskState::Skipped,
                _ => return,
            },
            Verdict::UpstreamFailed => TaskState::UpstreamFailed,
            Verdict::Skip => TaskState::Skipped,
            Verdict::Remove => TaskState::Removed,
        };
        self.finish(instance, end, self.now, None, Outputs::new());
    }
}

#[cfg(test)]
#[path = "advance_tests.rs"]
mod tests;
