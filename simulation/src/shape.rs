//! Dags drawn from chance: layers of tasks that wait for some of those before them.
//!
//! The first letter of a task says what it is, so that an auditor need not read DAG files: `t` runs, `p` runs in the
//! [`POOL`], `m` is expanded over a list and `o` over the output of the task before it, `w` waits without a worker.

use std::fmt::Write as _;

use crate::chance::Chance;

pub const POOL: &str = "narrow";
pub const POOL_SLOTS: u32 = 2;
/// How many instances of an `m` task may be out in a run.
pub const MAPPED_OUT: usize = 2;
/// What a scheduled Dag has runs for: five intervals, some before and some after the beginning of time.
const SCHEDULE: &str = "schedule: '*/5 * * * *'\nstart_date: 2025-12-31T23:45:00Z\nend_date: 2026-01-01T00:05:00Z\ncatchup: true\n";
pub const SCHEDULED_RUNS: usize = 5;
/// What is made up for: four intervals before all of these.
pub const BACKFILL: (&str, &str) = ("2025-12-31T22:00:00Z", "2025-12-31T22:15:00Z");
pub const BACKFILLED_RUNS: usize = 4;
/// How many runs of a backfill may be live.
pub const BACKFILL_WIDTH: usize = 2;

/// What stays as it is however often the Dag is deployed.
#[derive(Debug, Clone, Copy)]
pub struct Nature {
    pub active_runs: usize,
    pub active_tasks: usize,
    pub scheduled: bool,
}

impl Nature {
    pub fn draw(chance: &Chance) -> Self {
        Self {
            active_runs: 1 + chance.below(4),
            active_tasks: 2 + chance.below(20),
            scheduled: chance.happens(0.25),
        }
    }
}

/// A version of the Dag, as the text of a DAG file.
pub fn draw(chance: &Chance, name: &str, nature: Nature) -> String {
    let Nature { active_runs, active_tasks, scheduled } = nature;
    let mut text = format!(
        "dag: {name}\nmax_active_runs: {active_runs}\nmax_active_tasks_per_dag: {active_tasks}\n{}tasks:\n",
        if scheduled { SCHEDULE } else { "" }
    );
    let mut names: Vec<String> = Vec::new();
    for number in 0..=chance.below(14) {
        let mut upstream: Vec<&str> = names
            .iter()
            .filter(|_| chance.happens(1.5 / number as f64))
            .map(String::as_str)
            .collect();
        let (kind, source) = match (chance.below(20), names.last()) {
            (0..=2, _) => ("p", None),
            (3, _) => ("m", None),
            (4, Some(source)) if !source.starts_with('w') => ("o", Some(source.as_str())),
            (5, _) => ("w", None),
            _ => ("t", None),
        };
        upstream.extend(source.filter(|source| !upstream.contains(source)));
        let name = format!("{kind}{number}");
        let _ = writeln!(
            text,
            "  {name}: {{{}, depends_on: [{}], trigger_rule: {}}}",
            what(chance, kind, source),
            upstream.join(", "),
            rule(chance)
        );
        names.push(name);
    }
    text
}

fn rule(chance: &Chance) -> &'static str {
    match chance.below(10) {
        0 => "all_done",
        1 => "none_failed",
        _ => "all_success",
    }
}

fn what(chance: &Chance, kind: &str, source: Option<&str>) -> String {
    if kind == "w" {
        return format!("wait: {{delta: {}s}}", chance.below(90));
    }
    let (retries, delay) = (chance.below(4), 1 + chance.below(20));
    let mut keys = format!("image: i, command: [x], retries: {retries}, retry_delay: {delay}s");
    keys += match kind {
        "p" => format!(", pool: {POOL}"),
        "m" => format!(", expand: {{over: {{n: [1, 2, 3, 4, 5]}}, max_active: {MAPPED_OUT}}}"),
        _ => source.map_or_else(String::new, |task| {
            format!(", expand: {{over: {{n: {{output: {task}.items}}}}}}")
        }),
    }
    .as_str();
    if chance.happens(0.1) {
        keys += ", execution_timeout: 30s";
    }
    keys
}
