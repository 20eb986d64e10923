//! Cron expressions in a timezone, by Airflow's rules for clock changes.
//!
//! An expression whose hour field is `*` steps in absolute time: it fires every hour, whatever the
//! clocks do. Any other names wall-clock times: one that the spring change leaves out is moved on by
//! the length of the gap, and one that the autumn change repeats fires at its second occurrence.
//!
//! Unlike Airflow, a search keeps the instant that it starts from and not just its wall time, so the
//! repeated hour hides no fire. The cron library is only asked about wall times.

use chrono::{DateTime, Duration, LocalResult, NaiveDateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use crate::dag::{ClockChanges, Fold, Gap};
use crate::time::Timestamp;

mod notation;

/// Longer than any zone has ever put its clocks forward or back at one moment, but for those that
/// have changed their side of the date line.
const CLOCK_CHANGE_MAX: Duration = Duration::hours(26);

const SECOND: i64 = 1_000_000;
/// Longer than any gap but those at the date line.
const GAP_MAX: Duration = Duration::hours(3);

#[derive(Debug, Clone)]
pub struct CronSchedule {
    cron: Cron,
    every_hour: bool,
    timezone: Tz,
    clock_changes: ClockChanges,
}

impl CronSchedule {
    /// Takes five fields or a preset, and what else [`notation`] reads. The error says what is wrong
    /// with the expression.
    pub fn parse(
        expression: &str,
        timezone: Tz,
        clock_changes: ClockChanges,
    ) -> Result<Self, String> {
        let notation = notation::read(expression)?;
        let cron = CronParser::builder()
            .seconds(Seconds::Required)
            .year(Year::Optional)
            .build()
            .parse(&notation.fields)
            .map_err(|error| error.to_string())?;
        Ok(Self { cron, every_hour: notation.every_hour, timezone, clock_changes })
    }

    /// The first fire after `from`.
    pub fn next(&self, from: Timestamp) -> Option<Timestamp> {
        if self.every_hour {
            // The library looks at whole seconds.
            let from = Timestamp::from_micros(from.micros().div_euclid(SECOND) * SECOND);
            let wall = self.wall(from);
            let next = self.cron.find_next_occurrence(&wall, false).ok()?;
            return Some(shift(from, next - wall));
        }
        let mut wall = self.wall(from) - CLOCK_CHANGE_MAX;
        let mut best: Option<Timestamp> = None;
        loop {
            wall = match self.cron.find_next_occurrence(&wall, false) {
                Ok(wall) => wall,
                Err(_) => return best,
            };
            let fires = self.fires(wall.naive_utc());
            let next = fires.iter().flatten().copied().filter(|fire| *fire > from).min();
            best = [best, next].into_iter().flatten().min();
            // A later wall time may come earlier while the clocks are put back, and no longer.
            let passed = wall - self.wall(from) > CLOCK_CHANGE_MAX;
            if best.is_some_and(|best| passed || !self.may_precede(wall, best)) {
                return best;
            }
        }
    }

    /// The last fire before `from`.
    pub fn previous(&self, from: Timestamp) -> Option<Timestamp> {
        if self.every_hour {
            let from =
                Timestamp::from_micros((from.micros() + SECOND - 1).div_euclid(SECOND) * SECOND);
            let wall = self.wall(from);
            let previous = self.cron.find_previous_occurrence(&wall, false).ok()?;
            return Some(shift(from, previous - wall));
        }
        let mut wall = self.wall(from) + CLOCK_CHANGE_MAX;
        let mut best: Option<Timestamp> = None;
        loop {
            wall = match self.cron.find_previous_occurrence(&wall, false) {
                Ok(wall) => wall,
                Err(_) => return best,
            };
            let fires = self.fires(wall.naive_utc());
            let previous = fires.iter().flatten().copied().filter(|fire| *fire < from).max();
            best = best.max(previous);
            let passed = self.wall(from) - wall > CLOCK_CHANGE_MAX;
            if best.is_some_and(|best| passed || !self.may_follow(wall, best)) {
                return best;
            }
        }
    }

    /// Whether a wall time after this one can be an earlier instant than `best`.
    fn may_precede(&self, wall: DateTime<Utc>, best: Timestamp) -> bool {
        let earliest = self.timezone.from_local_datetime(&wall.naive_utc()).earliest();
        // One in a gap is moved on, perhaps past those that follow it.
        earliest.is_none_or(|at| Timestamp::from(at) < best)
    }

    /// Whether a wall time before this one can be a later instant than `best`.
    fn may_follow(&self, wall: DateTime<Utc>, best: Timestamp) -> bool {
        // One in a gap is moved on past those that follow it, by no more than the gap's length.
        let latest = self.timezone.from_local_datetime(&wall.naive_utc()).latest();
        latest.is_none_or(|at| Timestamp::from(at + GAP_MAX) > best)
    }

    /// The instants at which a wall time fires.
    fn fires(&self, wall: NaiveDateTime) -> [Option<Timestamp>; 2] {
        let ClockChanges { gap, fold } = self.clock_changes;
        match self.timezone.from_local_datetime(&wall) {
            LocalResult::Single(at) => [Some(at.into()), None],
            LocalResult::Ambiguous(first, second) => match fold {
                Fold::First => [Some(first.into()), None],
                Fold::Second => [Some(second.into()), None],
                Fold::Both => [Some(first.into()), Some(second.into())],
            },
            LocalResult::None => match gap {
                Gap::Shift => [Some(local_instant(self.timezone, wall)), None],
                Gap::Skip => [None, None],
            },
        }
    }

    /// The first fire at or after `from`.
    pub fn align_next(&self, from: Timestamp) -> Option<Timestamp> {
        self.next(Timestamp::from_micros(from.micros() - 1))
    }

    /// The last fire at or before `from`.
    pub fn align_previous(&self, from: Timestamp) -> Option<Timestamp> {
        self.previous(Timestamp::from_micros(from.micros() + 1))
    }

    /// The wall clock at an instant, written as if it were UTC.
    fn wall(&self, at: Timestamp) -> DateTime<Utc> {
        at.to_utc().with_timezone(&self.timezone).naive_local().and_utc()
    }
}

fn shift(from: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_micros(from.micros() + by.num_microseconds().unwrap_or(i64::MAX))
}

/// The instant of a wall time: the second one of a repeated hour; beyond the gap for one that the
/// clocks leave out.
pub fn local_instant(timezone: Tz, wall: NaiveDateTime) -> Timestamp {
    match timezone.from_local_datetime(&wall) {
        LocalResult::Single(at) => at.into(),
        LocalResult::Ambiguous(_, second) => second.into(),
        LocalResult::None => {
            // With the offset from before the gap the wall time falls as far beyond the gap as it
            // lay inside it.
            let day_before = timezone.offset_from_utc_datetime(&(wall - Duration::days(1)));
            Timestamp::from((wall - day_before.fix()).and_utc())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        DateTime::parse_from_rfc3339(text).expect("an instant").into()
    }

    fn check(zone: &str, cron: &str, from: &str, expected: &[&str]) {
        let schedule =
            CronSchedule::parse(cron, zone.parse().expect("a zone"), ClockChanges::default())
                .expect("a cron");
        let mut here = at(from);
        let mut fires = Vec::new();
        for _ in expected {
            here = schedule.next(here).expect("fires for ever");
            fires.push(here);
        }
        let expected: Vec<_> = expected.iter().map(|text| at(text)).collect();
        assert_eq!(fires, expected, "{cron} in {zone} from {from}");
        let back = schedule.previous(fires[fires.len() - 1]).expect("fired before");
        if let Some(before_last) = fires.iter().nth_back(1) {
            assert_eq!(back, *before_last, "{cron} in {zone}, backwards");
        }
    }

    const NEW_YORK: &str = "America/New_York";

    #[test]
    fn in_spring_a_missing_time_moves_on_by_the_gap() {
        let from = "2026-03-08T05:00:00Z";
        check(NEW_YORK, "30 2 * * *", from, &["2026-03-08T07:30:00Z", "2026-03-09T06:30:00Z"]);
        check(NEW_YORK, "0 2 * * *", from, &["2026-03-08T07:00:00Z", "2026-03-09T06:00:00Z"]);
        check(
            NEW_YORK,
            "30 * * * *",
            "2026-03-08T05:00:00Z",
            &["2026-03-08T05:30:00Z", "2026-03-08T06:30:00Z", "2026-03-08T07:30:00Z"],
        );
        check(
            NEW_YORK,
            "0 1-3 * * *",
            from,
            &["2026-03-08T06:00:00Z", "2026-03-08T07:00:00Z", "2026-03-09T05:00:00Z"],
        );
        check(
            "Australia/Lord_Howe",
            "15 2 * * *",
            "2026-10-03T00:00:00Z",
            &["2026-10-03T15:45:00Z"],
        );
    }

    #[test]
    fn in_autumn_the_second_occurrence_fires_and_none_is_hidden() {
        check(
            NEW_YORK,
            "30 1 * * *",
            "2026-11-01T04:00:00Z",
            &["2026-11-01T06:30:00Z", "2026-11-02T06:30:00Z"],
        );
        check(NEW_YORK, "30 1 * * *", "2026-11-01T05:30:00Z", &["2026-11-01T06:30:00Z"]);
        check(
            NEW_YORK,
            "0 */2 * * *",
            "2026-11-01T03:59:00Z",
            &["2026-11-01T04:00:00Z", "2026-11-01T07:00:00Z", "2026-11-01T09:00:00Z"],
        );
    }

    #[test]
    fn day_of_month_and_day_of_week_are_alternatives() {
        check(
            "UTC",
            "0 0 13 * 5",
            "2026-01-01T00:00:00Z",
            &["2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z"],
        );
    }

    #[test]
    fn a_bad_expression_says_why() {
        let check = |text: &str, expected: &str| {
            let error =
                CronSchedule::parse(text, Tz::UTC, ClockChanges::default()).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("* * * *", "4 fields");
        check("0 0 2 * * * * *", "8 fields");
        check("@fortnightly", "not a preset");
        check("61 * * * *", "");
    }
}
