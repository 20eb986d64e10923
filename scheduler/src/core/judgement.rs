//! What becomes of the instances of a task as the run now stands: everything that is looked at before
//! and besides the trigger rule.

use towpath_common::dag::{Builtin, Expand, Fixture, INSTANCES_MAX, TriggerRule};
use towpath_common::event::InstanceIndex;
use towpath_common::id::TaskId;
use towpath_common::plan::TaskIndex;
use towpath_common::snapshot::{RunSnapshot, UpstreamCounts};
use towpath_common::state::TaskState;

use super::readiness::{SetupCounts, Upstream, Verdict, judge};

/// Whether a task can be expanded.
pub enum Expansion {
    /// Its instances are there already, or it has just one.
    None,
    /// It is known over what, and how many that makes.
    Known(u32),
    /// It was expanded further before it was cleared.
    Fewer(u32),
    /// Over nothing.
    Empty,
    /// What it is expanded over is not there yet.
    Wait,
    /// And never will be.
    Never(Verdict),
    /// It cannot be expanded over what it is given.
    Refused(String),
}

/// Judges whether the task is to be expanded now.
pub fn expansion(run: &RunSnapshot, task: TaskIndex) -> Expansion {
    let Some(expand) = &run.plan.task(task).expand else { return Expansion::None };
    let before = u32::try_from(run.instances_of(task).len()).expect("counted in u32");
    if run.is_expanded(task) && !run.may_be_expanded_anew(task) {
        return Expansion::None;
    }
    let sources = expand.tasks().filter_map(|(id, _)| run.plan.index_of(id.as_str()));
    let verdict = sources.map(|source| source_verdict(run, source)).max_by_key(|v| weight(*v));
    match verdict {
        Some(Verdict::Wait) => Expansion::Wait,
        Some(Verdict::Run) | None => match counted(run, expand) {
            Expansion::Known(count) if run.is_expanded(task) && count == before => Expansion::None,
            Expansion::Known(count) if run.is_expanded(task) && count < before => {
                Expansion::Fewer(count)
            }
            Expansion::Empty if run.is_expanded(task) => Expansion::Fewer(0),
            other => other,
        },
        Some(never) => Expansion::Never(never),
    }
}

fn source_verdict(run: &RunSnapshot, source: TaskIndex) -> Verdict {
    let states = run.instances_of(source).iter().map(|index| run.instance(*index).state);
    let verdicts = states.map(|state| match state {
        TaskState::Success => Verdict::Run,
        TaskState::Failed | TaskState::UpstreamFailed => Verdict::UpstreamFailed,
        // Of a mapped source, an instance without an output is one element less.
        TaskState::Skipped | TaskState::Removed if run.is_expanded(source) => Verdict::Run,
        TaskState::Skipped | TaskState::Removed => Verdict::Skip,
        _ => Verdict::Wait,
    });
    verdicts.max_by_key(|verdict| weight(*verdict)).unwrap_or(Verdict::Run)
}

/// Of several verdicts the heaviest counts.
fn weight(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Run => 0,
        Verdict::Wait => 1,
        Verdict::Skip | Verdict::Remove => 2,
        Verdict::UpstreamFailed => 3,
    }
}

fn counted(run: &RunSnapshot, expand: &Expand) -> Expansion {
    let mut lengths = Vec::with_capacity(expand.over.len());
    for (name, source) in &expand.over {
        match run.length(source) {
            None => return Expansion::Wait,
            Some(Ok(length)) => lengths.push(length),
            Some(Err(why)) => return Expansion::Refused(format!("expand.{name}: {why}")),
        }
    }
    match expand.instances(lengths.into_iter()) {
        0 => Expansion::Empty,
        count if count > INSTANCES_MAX => Expansion::Refused(format!(
            "it would make {count} instances and at most {INSTANCES_MAX} are allowed"
        )),
        count => Expansion::Known(u32::try_from(count).expect("at most INSTANCES_MAX")),
    }
}

/// Judges the task's instances that are as they were born, or only the one with this map index.
pub fn verdicts(
    run: &RunSnapshot,
    task: TaskIndex,
    only: Option<u32>,
) -> Vec<(InstanceIndex, Verdict)> {
    let Some(setup) = setup_verdict(run, task) else { return Vec::new() };
    let of_task = run.instances_of(task);
    let place = only.filter(|_| run.is_expanded(task)).map(|i| i as usize);
    let of_task = match place {
        Some(place) => of_task.get(place..=place).unwrap_or(&[]),
        None => of_task,
    };
    let born = of_task.iter().filter(|index| run.instance(**index).state == TaskState::None);
    let shared = (!sees_own_neighbours(run, task)).then(|| *run.upstream_counts(task));
    let setups = setup_counts(run, task);
    let rule = run.plan.task(task).trigger_rule;
    let held_back = run.waits_for_past(task);
    let verdict = |index: InstanceIndex| {
        let map_index = u32::try_from(run.instance(index).map_index).ok();
        let verdict = match setup {
            Verdict::Run if excluded(run, task, map_index) => Verdict::Skip,
            Verdict::Run => {
                let counts = shared.unwrap_or_else(|| neighbours(run, task, map_index));
                judge(rule, &Upstream { counts, setups, map_index })
            }
            ends => ends,
        };
        // What is certain to end is not held back by the past.
        if held_back && verdict == Verdict::Run { Verdict::Wait } else { verdict }
    };
    let mut born = born.copied().peekable();
    if shared.is_some_and(|counts| counts.removed == 0) {
        // One verdict for all of them.
        return match born.peek().map(|first| verdict(*first)) {
            None | Some(Verdict::Wait) => Vec::new(),
            Some(verdict) => born.map(|index| (index, verdict)).collect(),
        };
    }
    let judged = born.map(|index| (index, verdict(index)));
    judged.filter(|(_, verdict)| *verdict != Verdict::Wait).collect()
}

/// Setups that are not directly above the task come before its rule. None: it waits for one.
fn setup_verdict(run: &RunSnapshot, task: TaskIndex) -> Option<Verdict> {
    let setups = run.plan.indirect_setups(task);
    if setups.is_empty() || run.plan.task(task).trigger_rule == TriggerRule::Always {
        return Some(Verdict::Run);
    }
    let mut counts = UpstreamCounts::default();
    for index in setups.iter().flat_map(|setup| run.instances_of(*setup)) {
        counts.total += 1;
        counts.count(run.instance(*index).state);
    }
    if counts.failed + counts.upstream_failed > 0 {
        Some(Verdict::UpstreamFailed)
    } else if counts.skipped > 0 {
        Some(Verdict::Skip)
    } else {
        (counts.success + counts.removed >= counts.total).then_some(Verdict::Run)
    }
}

/// The setups directly above, for the one rule that asks.
fn setup_counts(run: &RunSnapshot, task: TaskIndex) -> SetupCounts {
    let mut counts = SetupCounts::default();
    if run.plan.task(task).trigger_rule != TriggerRule::AllDoneSetupSuccess {
        return counts;
    }
    let setups = run
        .plan
        .upstream(task)
        .iter()
        .filter(|above| Fixture::is_setup(run.plan.task(**above).fixture));
    for index in setups.flat_map(|setup| run.instances_of(*setup)) {
        counts.total += 1;
        match run.instance(*index).state {
            TaskState::Success => counts.success += 1,
            TaskState::Skipped => counts.skipped += 1,
            _ => {}
        }
    }
    counts
}

/// Whether instances of the task see other counts than one another.
fn sees_own_neighbours(run: &RunSnapshot, task: TaskIndex) -> bool {
    run.plan.map_group(task).is_some()
        && run.plan.upstream(task).iter().any(|above| run.plan.same_group(task, *above))
}

/// What an instance of a mapped group sees above: of its group its own index, of the rest all.
fn neighbours(run: &RunSnapshot, task: TaskIndex, map_index: Option<u32>) -> UpstreamCounts {
    let mut counts = UpstreamCounts::default();
    for above in run.plan.upstream(task) {
        let mut of_above = run.instances_of(*above);
        if run.plan.same_group(task, *above)
            && let Some(place) = map_index.map(|i| i as usize)
        {
            of_above = of_above.get(place..=place).unwrap_or(of_above);
        }
        for index in of_above {
            counts.total += 1;
            counts.count(run.instance(*index).state);
        }
    }
    counts
}

/// An instance directly above has decided that this one does not run.
fn excluded(run: &RunSnapshot, task: TaskIndex, map_index: Option<u32>) -> bool {
    let id: &TaskId = &run.plan.task(task).id;
    let decides = |above: &&TaskIndex| {
        let above = run.plan.task(**above);
        above.flow.is_some() || above.builtin == Some(Builtin::LatestOnly)
    };
    let deciders = run.plan.upstream(task).iter().filter(decides);
    deciders.flat_map(|above| decider(run, task, *above, map_index)).any(|index| {
        run.instance(*index).excluded.as_ref().is_some_and(|excluded| excluded.contains(id))
    })
}

fn decider(
    run: &RunSnapshot,
    task: TaskIndex,
    above: TaskIndex,
    map_index: Option<u32>,
) -> &[InstanceIndex] {
    let of_above = run.instances_of(above);
    match map_index.map(|i| i as usize) {
        Some(place) if run.plan.same_group(task, above) => {
            of_above.get(place..=place).unwrap_or(of_above)
        }
        _ => of_above,
    }
}
