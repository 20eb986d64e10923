//! When the runs of a Dag come due, as data.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{is_default, micros};
use crate::asset::AssetCondition;
use crate::words::words;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    pub when: When,
    pub timezone: Tz,
    /// Besides, or instead: when these assets have been made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assets: Option<AssetCondition>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub calendar: Calendar,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { when: When::Never, timezone: Tz::UTC, assets: None, calendar: Calendar::default() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Only people and other Dags start it.
    Never,
    /// One run, at the start date.
    Once,
    /// The next run as soon as the last one has ended.
    Continuous,
    Cron(CronTimes),
    Every(Period),
}

/// The times that one or more cron expressions name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CronTimes {
    pub expressions: Vec<String>,
    pub covers: Covers,
    #[serde(default, skip_serializing_if = "is_default")]
    pub clock_changes: ClockChanges,
    #[serde(default, skip_serializing_if = "is_default")]
    pub first: FirstRun,
}

/// A fixed step, from the start date on (without one: from the epoch).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    #[serde(default, skip_serializing_if = "is_default")]
    pub months: u32,
    #[serde(with = "micros")]
    pub duration: Duration,
    pub covers: Covers,
}

/// The period of data that a run covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Covers {
    /// So long before the instant at which it fires; by default no time at all.
    Before {
        #[serde(with = "micros")]
        length: Duration,
    },
    /// From one time of the schedule to the next; the run fires at the end.
    Interval,
}

impl Covers {
    pub const NOTHING: Self = Self::Before { length: Duration::ZERO };
}

words!(
    /// What happens to a time that the clocks leave out when they are put forward.
    Gap {
        /// It is moved on by the length of the gap. Airflow's way.
        Shift = "shift",
        /// It does not fire that day.
        Skip = "skip",
    }
);

words!(
    /// What happens to a time that comes twice when the clocks are put back.
    Fold {
        First = "first",
        /// Airflow's way.
        Second = "second",
        Both = "both",
    }
);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockChanges {
    pub gap: Gap,
    pub fold: Fold,
}

impl Default for ClockChanges {
    fn default() -> Self {
        Self { gap: Gap::Shift, fold: Fold::Second }
    }
}

/// Of a Dag without a start date: whether the time that was last before its first look is made up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstRun {
    /// If it is no longer ago than a tenth of the step, or five minutes.
    #[default]
    IfRecent,
    Now,
    /// If it is no longer ago than this.
    Within(#[serde(with = "micros")] Duration),
}

/// Which days count, by their date in the schedule's timezone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Calendar {
    /// If there are any: only these.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub include: BTreeSet<NaiveDate>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub exclude: BTreeSet<NaiveDate>,
}

impl Calendar {
    pub fn has(&self, date: NaiveDate) -> bool {
        !self.exclude.contains(&date) && (self.include.is_empty() || self.include.contains(&date))
    }
}
