//! Whether everything was done, told by the witness, by what Towpath says, and by what is left over.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::bail;
use towpath_common::outcome::FailureClass;
use towpath_common::run::{DagRun, InstanceRecord};
use towpath_common::state::{RunState, TaskState};
use towpath_worker::log_path;

use super::blow::Blow;
use super::stage::Stage;
use super::work::Round;
use crate::docker::{containers_at, run_at};
use crate::process::eventually;

/// How long what is left over may take to be cleared away.
const TIDY_WITHIN: Duration = Duration::from_secs(60);
const TOLD_MAX: usize = 30;

/// What the witness has seen of one attempt.
#[derive(Default)]
struct Seen {
    starts: u32,
    lines: u32,
    ends: u32,
}

#[derive(Debug, Default)]
pub struct Figures {
    pub blows: BTreeMap<Blow, u32>,
    pub tasks: usize,
    pub attempts: u32,
    /// Attempts that were taken for lost.
    pub lost: usize,
    /// Attempts that came to their end, and were taken for lost for all that.
    pub done_twice: usize,
    pub lines: u32,
    pub lines_lost_by_docker: u32,
    /// From the last remedy to the end of the last run.
    pub caught_up: Duration,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blows: u32 = self.blows.values().sum();
        writeln!(f, "{blows} blows: {:?}", self.blows)?;
        writeln!(f, "{} tasks, each completed once", self.tasks)?;
        writeln!(f, "{} attempts, {} of them lost", self.attempts, self.lost)?;
        writeln!(f, "{} ran to the end and were done again", self.done_twice)?;
        let lost = self.lines_lost_by_docker;
        writeln!(
            f,
            "{} lines of logs; {lost} more went with a Docker that was killed",
            self.lines
        )?;
        write!(f, "{:.1} s from the last remedy to the end", self.caught_up.as_secs_f64())
    }
}

pub async fn judge(
    stage: &Stage,
    rounds: &[Round],
    blows: BTreeMap<Blow, u32>,
    caught_up: Duration,
) -> anyhow::Result<Figures> {
    let witness = std::fs::read_to_string(stage.witness())?;
    let mut seen = seen(&witness);
    let mut figures = Figures { blows, caught_up, ..Figures::default() };
    let mut wrong = Vec::new();
    for run in rounds.iter().flat_map(|round| &round.runs) {
        let store = &stage.cluster.store;
        let run = store.run(run.key).await?.unwrap_or_else(|| run.clone());
        if run.state != RunState::Success {
            wrong.push(format!("{} has ended as {}", run.run_id, run.state));
        }
        for record in store.instances(run.key).await? {
            let ended = store.ended_attempts(run.key, &record.task, -1).await?;
            let attempts = (1..=record.instance.attempt).map(|number| {
                let key = (run.run_id.clone(), record.task.to_string(), number);
                (number, seen.remove(&key).unwrap_or_default())
            });
            let attempts: Vec<(u32, Seen)> = attempts.collect();
            let about = About { stage, run: &run, record: &record };
            about.judge(&attempts, &ended, &mut figures, &mut wrong);
        }
    }
    for (run, task, number) in seen.keys() {
        wrong.push(format!("{run} {task}: attempt {number} ran and was never decided"));
    }
    let left = tidy(stage).await;
    wrong.extend(left.err().map(|error| error.to_string()));
    if !wrong.is_empty() {
        let told: Vec<&str> = wrong.iter().take(TOLD_MAX).map(String::as_str).collect();
        // The longest first: what is cut off from a record is its beginning.
        bail!("{}\n{} wrongs:\n{}", stage.cluster.logs(), wrong.len(), told.join("\n"));
    }
    Ok(figures)
}

fn seen(witness: &str) -> BTreeMap<(String, String, u32), Seen> {
    let mut seen: BTreeMap<_, Seen> = BTreeMap::new();
    for line in witness.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [what, run, task, number] = words[..] else { continue };
        let Ok(number) = number.parse() else { continue };
        let attempt = seen.entry((run.to_owned(), task.to_owned(), number)).or_default();
        match what {
            "start" => attempt.starts += 1,
            "line" => attempt.lines += 1,
            "end" => attempt.ends += 1,
            _ => {}
        }
    }
    seen
}

struct About<'a> {
    stage: &'a Stage,
    run: &'a DagRun,
    record: &'a InstanceRecord,
}

impl About<'_> {
    fn judge(
        &self,
        attempts: &[(u32, Seen)],
        ended: &[InstanceRecord],
        figures: &mut Figures,
        wrong: &mut Vec<String>,
    ) {
        let name = format!("{} {}", self.run.run_id, self.record.task);
        let mut tell = |what: String| wrong.push(format!("{name}: {what}"));
        let instance = &self.record.instance;
        if instance.state != TaskState::Success {
            tell(format!("it has ended as {}: {:?}", instance.state, instance.failure));
            return;
        }
        for (number, seen) in attempts.iter().filter(|(_, seen)| seen.starts > 1) {
            tell(format!("attempt {number} was started {} times", seen.starts));
        }
        let classes = ended.iter().filter_map(|r| Some(r.instance.failure.as_ref()?.class));
        for class in classes.filter(|class| *class != FailureClass::WorkerLost) {
            tell(format!("an attempt failed with {class}, which was not its own doing"));
        }
        let Some(((number, last), earlier)) = attempts.split_last() else {
            tell("it succeeded without an attempt".to_owned());
            return;
        };
        if (last.starts, last.ends) != (1, 1) {
            tell(format!("attempt {number}, its last: {} starts, {} ends", last.starts, last.ends));
        }
        match self.logged(*number) {
            Ok(lines) if lines == last.lines => figures.lines += lines,
            Ok(lines) if lines < last.lines && self.outlived_docker() => {
                figures.lines += lines;
                figures.lines_lost_by_docker += last.lines - lines;
            }
            Ok(lines) => tell(format!("its log has {lines} of {} lines", last.lines)),
            Err(error) => tell(error),
        }
        figures.tasks += 1;
        figures.attempts += number;
        figures.lost += earlier.len();
        figures.done_twice += earlier.iter().filter(|(_, seen)| seen.ends > 0).count();
    }

    /// Whether its container ran while Docker was killed: what Docker had read of it then is nowhere.
    fn outlived_docker(&self) -> bool {
        let instance = &self.record.instance;
        let (Some(from), Some(to)) = (instance.started_at, instance.ended_at) else { return false };
        self.stage.docker_kills.iter().any(|kill| (from..=to).contains(kill))
    }

    /// How many lines the log has, in their order and none of them twice.
    fn logged(&self, number: u32) -> Result<u32, String> {
        let attempt = self.record.attempt();
        let path = log_path(self.stage.logs(), &self.run.dag_id, &self.run.run_id, &attempt);
        let text = std::fs::read_to_string(&path);
        let text = text.map_err(|error| format!("the log of attempt {number}: {error}"))?;
        let mut next = 0;
        let mut count = 0;
        for line in text.lines().filter(|line| !line.starts_with("[towpath ")) {
            let found = line.strip_prefix("line ").and_then(|number| number.parse::<u32>().ok());
            let in_order = found.filter(|found| *found >= next);
            next = 1 + in_order.ok_or_else(|| format!("its log has {line:?} after line {next}"))?;
            count += 1;
        }
        Ok(count)
    }
}

/// No container, volume, network, slot or spooled report is left over.
async fn tidy(stage: &Stage) -> anyhow::Result<()> {
    let host = stage.dockerd.host();
    let store = &stage.cluster.store;
    let installation = store.installation("unnamed").await?;
    let left = || async {
        let containers = containers_at(&host, &installation)?;
        let volumes = run_at(&host, &["volume", "ls", "--quiet"])?;
        let networks = run_at(&host, &["network", "ls", "--quiet", "--filter", "type=custom"])?;
        let running: u32 = store.workers().await?.iter().map(|worker| worker.running).sum();
        let spooled = spooled(stage);
        let words = format!(
            "{containers:?}, volumes {volumes:?}, networks {networks:?}, {running} slots, {spooled} reports"
        );
        let is_bare = [&volumes, &networks].iter().all(|names| names.trim().is_empty());
        let is_tidy = containers.is_empty() && is_bare && running == 0 && spooled == 0;
        anyhow::Ok((is_tidy, words))
    };
    let tidied = eventually("nothing is left over", TIDY_WITHIN, || async {
        Ok(left().await?.0.then_some(()))
    });
    match tidied.await {
        Ok(()) => Ok(()),
        Err(error) => bail!("{error}: {}", left().await?.1),
    }
}

fn spooled(stage: &Stage) -> usize {
    let of = |worker: &str| stage.cluster.dir().join("worker").join(worker).join("spool");
    let count = |dir| std::fs::read_dir(dir).map_or(0, |entries| entries.count());
    ["near", "far", "hands"].map(|worker| count(of(worker))).into_iter().sum()
}
