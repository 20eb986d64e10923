//! Dags drawn from chance: layers of tasks that wait for some of those before them.

use std::fmt::Write as _;

use towpath_common::dag::Dag;

use crate::chance::Chance;

/// As the text of a DAG file.
pub fn draw(chance: &Chance, name: &str) -> anyhow::Result<Dag> {
    let tasks = 1 + chance.below(14);
    let mut text = format!("dag: {name}\nmax_active_runs: {}\ntasks:\n", 1 + chance.below(4));
    for task in 0..tasks {
        let upstream: Vec<String> = (0..task)
            .filter(|_| chance.happens(1.5 / task as f64))
            .map(|task| format!("t{task}"))
            .collect();
        let rule = match chance.below(10) {
            0 => "all_done",
            1 => "none_failed",
            _ => "all_success",
        };
        let (retries, delay) = (chance.below(4), 1 + chance.below(20));
        let _ = writeln!(
            text,
            "  t{task}: {{image: i, command: [x], depends_on: [{}], trigger_rule: {rule}, retries: {retries}, retry_delay: {delay}s}}",
            upstream.join(", ")
        );
    }
    Ok(towpath_dagfile::read(name, text.as_bytes())?)
}
