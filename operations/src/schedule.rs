//! Schedules in words, and the runs that they bring.

use towpath_common::asset::AssetCondition;
use towpath_common::dag::{Dag, Schedule, When};
use towpath_common::run::DataInterval;
use towpath_common::time::Timestamp;
use towpath_scheduler::core::timetable::{Bounds, Timetable};

use crate::{Refusal, Result};

/// The runs that come due from an instant on.
pub fn coming(
    dag: &Dag,
    last: Option<DataInterval>,
    from: Timestamp,
    count: usize,
) -> Result<Vec<DataInterval>> {
    let timetable = Timetable::new(&dag.schedule).map_err(Refusal::invalid)?;
    Ok(timetable.runs(Bounds::of(dag), last, from).take(count).collect())
}

/// As short as it can be said.
pub fn schedule_words(schedule: &Schedule) -> String {
    let clock = match &schedule.when {
        When::Never => None,
        When::Once => Some("once".to_owned()),
        When::Continuous => Some("continuous".to_owned()),
        When::Cron(times) => Some(times.expressions.join(", ")),
        When::Every(period) if period.months > 0 => Some(format!("every {} months", period.months)),
        When::Every(period) => Some(format!("every {}", length(period.duration.as_secs()))),
    };
    match (clock, schedule.assets.as_ref().map(condition_words)) {
        (None, None) => "none".to_owned(),
        (Some(clock), None) => clock,
        (None, Some(assets)) => assets,
        (Some(clock), Some(assets)) => format!("{clock} or {assets}"),
    }
}

fn condition_words(condition: &AssetCondition) -> String {
    let joined = |parts: &[AssetCondition], word: &str| {
        let parts: Vec<String> = parts.iter().map(condition_words).collect();
        if parts.len() > 1 { format!("({})", parts.join(word)) } else { parts.concat() }
    };
    match condition {
        AssetCondition::Asset(name) => name.clone(),
        AssetCondition::All(parts) => joined(parts, " and "),
        AssetCondition::Any(parts) => joined(parts, " or "),
    }
}

fn length(seconds: u64) -> String {
    let units = [(604_800, "w"), (86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let mut rest = seconds;
    let mut words = String::new();
    for (unit, letter) in units {
        if rest >= unit {
            words.push_str(&format!("{}{letter}", rest / unit));
            rest %= unit;
        }
    }
    if words.is_empty() { "0s".to_owned() } else { words }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_said_shortly() {
        let check = |schedule: &str, expected: &str| {
            let text = format!("dag: d\nschedule: {schedule}\ntasks: {{a: {{command: [x]}}}}");
            let dag = towpath_dagfile::read("d.yaml", text.as_bytes()).expect("a Dag");
            assert_eq!(schedule_words(&dag.schedule), expected);
        };
        check("none", "none");
        check("\"0 2 * * *\"", "0 2 * * *");
        check("{every: 90m}", "every 1h30m");
        check("{assets: {all: [a, {any: [b, c]}]}}", "(a and (b or c))");
    }
}
