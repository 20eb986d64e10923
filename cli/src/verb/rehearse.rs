//! `towpath dag test`: a Dag in virtual time, by the scheduler's own world, with scripted ends.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use towpath_common::id::{AttemptKey, Ids, PoolName, RandomIds, RunKey, WorkerName, instance_name};
use towpath_common::outcome::{Outcome as Ended, Report};
use towpath_common::params;
use towpath_common::plan::Plan;
use towpath_common::port::DagRecord;
use towpath_common::run::{DagRun, Pool, RunType};
use towpath_common::state::TaskState;
use towpath_common::time::Timestamp;
use towpath_dagfile::script::{self, Script};
use towpath_operations::instant;
use towpath_scheduler::core::Rules;
use towpath_scheduler::core::timetable::Timetable;
use towpath_scheduler::draft::Draft;
use towpath_scheduler::world::{Previous, World};

use super::files::read_all;
use crate::args::TestOptions;
use crate::outcome::Outcome;

/// The logical date of a script that names none.
const DATE: &str = "2026-01-01";
/// What lasts longer does not end.
const STEPS_MAX: usize = 1_000_000;

pub fn rehearse(options: &TestOptions) -> anyhow::Result<Outcome> {
    let read = read_all(std::slice::from_ref(&options.file))?.pop().context("one file was read")?;
    let script = match &options.script {
        None => Script::default(),
        Some(path) => {
            let name = path.display().to_string();
            let bytes = std::fs::read(path).with_context(|| format!("{name} cannot be read"))?;
            script::read(&name, &bytes)?
        }
    };
    let plan = Arc::new(Plan::new(read.dag)?);
    if let Some(unknown) = script.names().find(|name| plan.index_of(name).is_none()) {
        bail!("the script is about {unknown:?}, which is not a task of {}", plan.dag.dag_id);
    }
    let played = Stage::set(&plan, &script)?.play()?;
    match &options.golden {
        None => print!("{played}"),
        Some(path) if options.update => std::fs::write(path, &played)?,
        Some(path) => compare(path, &played)?,
    }
    Ok(Outcome::Done)
}

fn compare(path: &Path, played: &str) -> anyhow::Result<()> {
    let name = path.display();
    let golden = std::fs::read_to_string(path)
        .with_context(|| format!("{name} cannot be read; write it with --update"))?;
    if golden == played {
        println!("as in {name}");
        return Ok(());
    }
    let (mut old, mut new) = (golden.lines(), played.lines());
    for line in 1.. {
        match (old.next(), new.next()) {
            (None, None) => break,
            (old, new) if old == new => {}
            (old, new) => bail!(
                "it went otherwise than in {name}, line {line}:\n  golden: {}\n  now:    {}",
                old.unwrap_or("(nothing)"),
                new.unwrap_or("(nothing)")
            ),
        }
    }
    bail!("it went otherwise than in {name}")
}

/// What comes at an instant of virtual time; the number keeps those of one instant in order.
type Coming = Reverse<(Timestamp, u64, AttemptKey, bool)>;

struct Stage<'a> {
    script: &'a Script,
    world: World,
    run: RunKey,
    begin: Timestamp,
    now: Timestamp,
    coming: BinaryHeap<Coming>,
    ends: BTreeMap<AttemptKey, Ended>,
    number: u64,
    shown: BTreeMap<u32, TaskState>,
    text: String,
}

impl<'a> Stage<'a> {
    fn set(plan: &Arc<Plan>, script: &'a Script) -> anyhow::Result<Self> {
        let dag = &plan.dag;
        let date = script.date.as_ref().map_or(DATE, |text| &text.0);
        let logical_date = instant("date:", date, dag)?;
        let timetable = Timetable::new(&dag.schedule).map_err(anyhow::Error::msg)?;
        let interval = timetable.manual_interval(logical_date);
        let key = RunKey(RandomIds.uuid());
        let run = DagRun {
            run_id: "test".to_owned(),
            logical_date,
            params: params::resolve(dag, &script.params)?,
            ..DagRun::new(key, plan, RunType::Manual, interval, logical_date)
        };
        let mut world = World::new(Rules { losses_max: 3 });
        let pools = script.pools.iter().map(|(name, slots)| {
            Ok(Pool { name: PoolName::new(name)?, slots: *slots, include_deferred: false })
        });
        world.lanes.set_pools(pools.collect::<anyhow::Result<_>>()?);
        let record = DagRecord {
            dag_id: dag.dag_id.clone(),
            version: plan.version.clone(),
            paused: false,
            source_dir: None,
            last_interval: None,
            failed_in_a_row: 0,
        };
        // Only this run is played: the schedule is not asked.
        let unscheduled = towpath_common::dag::Dag { schedule: Default::default(), ..dag.clone() };
        world.put_dag(record, Arc::new(Plan::new(unscheduled)?), logical_date);
        let mut stage = Self {
            script,
            world,
            run: run.key,
            begin: logical_date,
            now: logical_date,
            coming: BinaryHeap::new(),
            ends: BTreeMap::new(),
            number: 0,
            shown: BTreeMap::new(),
            text: String::new(),
        };
        let mut draft = Draft::default();
        stage.world.add_run(run, Arc::clone(plan), &Previous::None, logical_date, &mut draft);
        stage.take(draft)?;
        Ok(stage)
    }

    /// Plays it to its end and returns what happened, line by line.
    fn play(mut self) -> anyhow::Result<String> {
        for _ in 0..STEPS_MAX {
            let mut draft = Draft::default();
            self.world.admit(self.now, &mut draft);
            self.take(draft)?;
            let next = self.coming.peek().map(|Reverse((at, ..))| *at);
            let ended = self.world.run(self.run).is_none_or(|run| run.run.state.is_terminal());
            let Some(at) = [next, self.world.next_timer()].into_iter().flatten().min() else {
                return Ok(self.finish());
            };
            if ended {
                return Ok(self.finish());
            }
            self.now = self.now.max(at);
            let mut draft = Draft::default();
            self.world.expire_timers(self.now, &mut draft);
            self.take(draft)?;
            while self.coming.peek().is_some_and(|Reverse((at, ..))| *at <= self.now) {
                let Some(Reverse((_, _, attempt, waits))) = self.coming.pop() else { break };
                self.end(attempt, waits)?;
            }
        }
        bail!("it does not end within {STEPS_MAX} steps")
    }

    fn end(&mut self, attempt: AttemptKey, waits: bool) -> anyhow::Result<()> {
        let Some(outcome) = self.ends.remove(&attempt) else { return Ok(()) };
        let mut draft = Draft::default();
        if waits {
            self.world.wait_ended(&attempt, outcome, self.now, &mut draft);
        } else {
            let worker = WorkerName::new("test")?;
            let (started_at, ended_at) = (self.now, self.now);
            let report = Report { attempt, worker, started_at, ended_at, outcome };
            self.world.reported(report, self.now, &mut draft);
        }
        self.take(draft)
    }

    /// Whatever was decided happens at once: there is nobody to wait for.
    fn take(&mut self, draft: Draft) -> anyhow::Result<()> {
        let worker = WorkerName::new("test")?;
        let dispatched = draft.dispatches.into_iter().map(|dispatch| (dispatch.attempt, false));
        let waiting = draft.waits.iter().filter_map(|place| self.world.attempt_key(*place));
        let begun: Vec<(AttemptKey, bool)> =
            dispatched.chain(waiting.map(|attempt| (attempt, true))).collect();
        for (attempt, waits) in begun {
            if !waits {
                let mut draft = Draft::default();
                self.world.claimed(&attempt, &worker, self.now, &mut draft);
            }
            let end = self.script.end(attempt.task.as_str(), attempt.map_index, attempt.number);
            self.number += 1;
            self.coming.push(Reverse((
                self.now.plus(end.after),
                self.number,
                attempt.clone(),
                waits,
            )));
            self.ends.insert(attempt, end.outcome);
        }
        self.show();
        Ok(())
    }

    /// Writes down every instance that has come to another state worth telling.
    fn show(&mut self) {
        let Some(run) = self.world.run(self.run) else { return };
        let after = self.now.since(self.begin).as_secs_f64();
        for task in 0..u32::try_from(run.plan.len()).unwrap_or(u32::MAX) {
            for index in run.instances_of(task) {
                let instance = run.instance(*index);
                let quiet = matches!(
                    instance.state,
                    TaskState::None | TaskState::Scheduled | TaskState::Queued
                );
                if quiet || self.shown.insert(*index, instance.state) == Some(instance.state) {
                    continue;
                }
                let why = instance.failure.as_ref().map(|why| format!(": {why}"));
                let why = why.filter(|_| instance.state != TaskState::Running).unwrap_or_default();
                let name = instance_name(&run.plan.task(task).id, instance.map_index);
                let _ = writeln!(self.text, "{after:>10.1}s {name} {}{why}", instance.state);
            }
        }
    }

    fn finish(mut self) -> String {
        if let Some(run) = self.world.run(self.run) {
            let after = self.now.since(self.begin).as_secs_f64();
            let _ = writeln!(self.text, "{after:>10.1}s the run: {}", run.run.state);
            for index in 0..u32::try_from(run.instances.len()).unwrap_or(0) {
                if !run.instance(index).state.is_terminal() {
                    let name = &run.plan.task(run.instance(index).task).id;
                    let why = self.world.why(self.run, index, self.now);
                    let _ = writeln!(self.text, "            {name} never ends: {why}");
                }
            }
        }
        self.text
    }
}
