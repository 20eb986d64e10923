//! When a Dag's next run comes due. Airflow's `CronTriggerTimetable`: a run fires at the cron instant,
//! which is also its logical date; its data interval has no length.

use towpath_common::cron::CronSchedule;
use towpath_common::run::DataInterval;
use towpath_common::time::Timestamp;

/// The bounds of a Dag's schedule.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub start_date: Option<Timestamp>,
    pub end_date: Option<Timestamp>,
    pub catchup: bool,
}

/// The next fire, due or still to come. Without catchup, of all fires that have been missed only the
/// latest is made up for.
pub fn next_fire(
    cron: &CronSchedule,
    bounds: Bounds,
    last: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let after_last = match last {
        Some(last) => Some(cron.next(last)?),
        None => None,
    };
    let first = match bounds.start_date {
        Some(start) => Some(cron.align_next(start)?),
        None => None,
    };
    let latest = if bounds.catchup { None } else { cron.align_previous(now) };
    let fire = [after_last, first, latest].into_iter().flatten().max()?;
    bounds.end_date.is_none_or(|end| fire <= end).then_some(fire)
}

/// The period that a run at this instant covers.
pub fn data_interval(fire: Timestamp) -> DataInterval {
    DataInterval { start: fire, end: fire }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use chrono_tz::Tz;

    fn at(text: &str) -> Timestamp {
        DateTime::parse_from_rfc3339(text).expect("an instant").into()
    }

    /// Airflow's answers for `0 0 * * *` in UTC at noon on 10 January 2026.
    #[test]
    fn fires_as_airflows_trigger_timetable_does() {
        let check = |start: &str,
                     end: Option<&str>,
                     catchup,
                     last: Option<&str>,
                     expected: Option<&str>| {
            let cron = CronSchedule::parse("0 0 * * *", Tz::UTC).expect("a cron");
            let bounds = Bounds { start_date: Some(at(start)), end_date: end.map(at), catchup };
            let fire = next_fire(&cron, bounds, last.map(at), at("2026-01-10T12:00:00Z"));
            assert_eq!(fire, expected.map(at), "{start} {last:?}");
        };
        let (first, third) = ("2026-01-01T00:00:00Z", "2026-01-01T03:00:00Z");
        check(first, None, true, None, Some(first));
        check(third, None, true, None, Some("2026-01-02T00:00:00Z"));
        check(first, None, false, None, Some("2026-01-10T00:00:00Z"));
        check(first, None, false, Some("2026-01-10T00:00:00Z"), Some("2026-01-11T00:00:00Z"));
        check("2026-02-01T00:00:00Z", None, false, None, Some("2026-02-01T00:00:00Z"));
        let end = Some("2026-01-05T00:00:00Z");
        check(first, end, true, Some("2026-01-04T00:00:00Z"), end);
        check(first, end, true, end, None);
        check(first, end, false, None, None);
    }
}
