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

use crate::time::Timestamp;

/// Longer than any zone has ever put its clocks forward or back at one moment, but for those that
/// have changed their side of the date line.
const CLOCK_CHANGE_MAX: Duration = Duration::hours(26);

#[derive(Debug, Clone)]
pub struct CronSchedule {
    cron: Cron,
    every_hour: bool,
    timezone: Tz,
}

impl CronSchedule {
    /// Takes five fields or a preset. The error says what is wrong with the expression.
    pub fn parse(expression: &str, timezone: Tz) -> Result<Self, String> {
        let fields = expand_preset(expression)?;
        let count = fields.split_whitespace().count();
        if count != 5 {
            return Err(format!(
                "it has {count} fields; write five: minute, hour, day of month, month, day of week"
            ));
        }
        let cron = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build()
            .parse(fields)
            .map_err(|error| error.to_string())?;
        let hour = fields.split_whitespace().nth(1).expect("five fields");
        Ok(Self { cron, every_hour: matches!(hour, "*" | "*/1" | "0-23"), timezone })
    }

    /// The first fire after `from`.
    pub fn next(&self, from: Timestamp) -> Option<Timestamp> {
        if self.every_hour {
            let wall = self.wall(from);
            let next = self.cron.find_next_occurrence(&wall, false).ok()?;
            return Some(shift(from, next - wall));
        }
        let mut wall = self.wall(from) - CLOCK_CHANGE_MAX;
        loop {
            wall = self.cron.find_next_occurrence(&wall, false).ok()?;
            let fire = self.instant(wall.naive_utc());
            if fire > from {
                return Some(fire);
            }
        }
    }

    /// The last fire before `from`.
    pub fn previous(&self, from: Timestamp) -> Option<Timestamp> {
        if self.every_hour {
            let wall = self.wall(from);
            let previous = self.cron.find_previous_occurrence(&wall, false).ok()?;
            return Some(shift(from, previous - wall));
        }
        let mut wall = self.wall(from) + CLOCK_CHANGE_MAX;
        loop {
            wall = self.cron.find_previous_occurrence(&wall, false).ok()?;
            let fire = self.instant(wall.naive_utc());
            if fire < from {
                return Some(fire);
            }
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

    fn instant(&self, wall: NaiveDateTime) -> Timestamp {
        local_instant(self.timezone, wall)
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

fn expand_preset(expression: &str) -> Result<&str, String> {
    let expression = expression.trim();
    Ok(match expression {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@quarterly" => "0 0 1 */3 *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        preset if preset.starts_with('@') => {
            return Err(format!(
                "{preset} is not a preset; there are @hourly, @daily, @midnight, @weekly, @monthly, \
                 @quarterly, @yearly and @annually"
            ));
        }
        fields => fields,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        DateTime::parse_from_rfc3339(text).expect("an instant").into()
    }

    fn check(zone: &str, cron: &str, from: &str, expected: &[&str]) {
        let schedule = CronSchedule::parse(cron, zone.parse().expect("a zone")).expect("a cron");
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
            let error = CronSchedule::parse(text, Tz::UTC).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("* * * *", "4 fields");
        check("0 0 2 * * *", "6 fields");
        check("@fortnightly", "not a preset");
        check("61 * * * *", "");
    }
}
