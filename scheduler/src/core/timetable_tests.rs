//! Timetables by example and by property; what Airflow answered is compared in the tests crate.

use super::*;
use chrono::DateTime;
use chrono::{NaiveDate, TimeZone};
use proptest::prelude::*;
use towpath_common::dag::{ClockChanges, CronTimes, Fold, Gap};

fn at(text: &str) -> Timestamp {
    DateTime::parse_from_rfc3339(text).expect("an instant").into()
}

fn timetable(when: When, timezone: Tz, calendar: Calendar) -> Timetable {
    Timetable::new(&Schedule { when, timezone, assets: None, calendar }).expect("a schedule")
}

fn cron(text: &str, covers: Covers) -> When {
    When::Cron(CronTimes {
        expressions: vec![text.to_owned()],
        covers,
        clock_changes: ClockChanges::default(),
        first: FirstRun::default(),
    })
}

fn every(seconds: u64, months: u32, covers: Covers) -> When {
    When::Every(Period { months, duration: Duration::from_secs(seconds), covers })
}

const BOUNDS: Bounds = Bounds { start_date: None, end_date: None, catchup: true };

/// The ends of the runs that follow one another, all seen at one instant.
fn fires(table: &Timetable, bounds: Bounds, now: &str, count: usize) -> Vec<Timestamp> {
    let runs = table.runs(bounds, None, at(now));
    runs.take(count).map(|interval| interval.end).collect()
}

#[test]
fn a_step_is_anchored_at_the_start_date_and_does_not_drift() {
    let table = timetable(every(900, 0, Covers::NOTHING), Tz::UTC, Calendar::default());
    let start_date = Some(at("2026-01-01T00:07:00Z"));
    let bounds = Bounds { start_date, catchup: false, ..BOUNDS };
    let expected = ["2026-01-05T10:22:00Z", "2026-01-05T10:37:00Z"].map(at);
    assert_eq!(fires(&table, bounds, "2026-01-05T10:30:00Z", 2), expected);
}

#[test]
fn a_step_of_months_keeps_the_day_of_its_anchor() {
    let table = timetable(every(0, 1, Covers::NOTHING), Tz::UTC, Calendar::default());
    let bounds = Bounds { start_date: Some(at("2026-01-31T00:00:00Z")), ..BOUNDS };
    let expected = ["2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"].map(at);
    assert_eq!(fires(&table, bounds, "2026-01-01T00:00:00Z", 3), expected);
}

#[test]
fn days_that_do_not_count_are_passed_over() {
    let day = |text: &str| text.parse::<NaiveDate>().expect("a date");
    let exclude = [day("2026-01-02"), day("2026-01-03")].into();
    let calendar = Calendar { exclude, ..Calendar::default() };
    let table = timetable(cron("0 0 * * *", Covers::NOTHING), Tz::UTC, calendar);
    let bounds = Bounds { start_date: Some(at("2026-01-01T00:00:00Z")), ..BOUNDS };
    let expected = ["2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"].map(at);
    assert_eq!(fires(&table, bounds, "2026-01-10T00:00:00Z", 2), expected);
    let include = [day("2026-01-07")].into();
    let calendar = Calendar { include, ..Calendar::default() };
    let table = timetable(cron("0 0 * * *", Covers::NOTHING), Tz::UTC, calendar);
    assert_eq!(fires(&table, bounds, "2026-01-10T00:00:00Z", 9), [at("2026-01-07T00:00:00Z")]);
}

#[test]
fn the_policies_for_clock_changes_do_what_they_say() {
    let check = |gap, fold, text: &str, from: &str, expected: &[&str]| {
        let cron = CronSchedule::parse(text, Tz::America__New_York, ClockChanges { gap, fold })
            .expect("a cron");
        let mut here = at(from);
        for fire in expected {
            here = cron.next(here).expect("for ever");
            assert_eq!(here, at(fire), "{text} {gap} {fold}");
        }
    };
    let spring = "2026-03-08T05:00:00Z";
    check(Gap::Shift, Fold::Second, "30 2 * * *", spring, &["2026-03-08T07:30:00Z"]);
    check(Gap::Skip, Fold::Second, "30 2 * * *", spring, &["2026-03-09T06:30:00Z"]);
    let autumn = "2026-11-01T04:00:00Z";
    let (first, second, next) =
        ("2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z", "2026-11-02T06:30:00Z");
    check(Gap::Shift, Fold::First, "30 1 * * *", autumn, &[first, next]);
    check(Gap::Shift, Fold::Second, "30 1 * * *", autumn, &[second, next]);
    check(Gap::Shift, Fold::Both, "30 1 * * *", autumn, &[first, second, next]);
    check(
        Gap::Shift,
        Fold::Both,
        "0,30 1 * * *",
        autumn,
        &["2026-11-01T05:00:00Z", first, "2026-11-01T06:00:00Z", second],
    );
}

const ZONES: [Tz; 12] = [
    Tz::America__New_York,
    Tz::America__St_Johns,
    Tz::America__Santiago,
    Tz::America__Havana,
    Tz::Europe__Berlin,
    Tz::Europe__London,
    Tz::Europe__Dublin,
    Tz::Africa__Casablanca,
    Tz::Africa__Cairo,
    Tz::Asia__Beirut,
    Tz::Australia__Lord_Howe,
    Tz::Pacific__Auckland,
];

/// Every instant at which one of the zones changes its clocks, 2024 to 2031.
fn transitions() -> Vec<(Tz, i64)> {
    const HALF_HOUR: i64 = 1800;
    let (from, to) = (at("2024-01-01T00:00:00Z"), at("2032-01-01T00:00:00Z"));
    let (from, to) = (from.micros() / 1_000_000, to.micros() / 1_000_000);
    let offset = |zone: Tz, second: i64| {
        use chrono::Offset;
        let at = DateTime::from_timestamp(second, 0).expect("a time");
        zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()
    };
    let mut found = Vec::new();
    for zone in ZONES {
        let mut second = from;
        while second < to {
            if offset(zone, second) != offset(zone, second + HALF_HOUR) {
                found.push((zone, second + HALF_HOUR));
            }
            second += HALF_HOUR;
        }
    }
    found
}

/// The fires in a window by asking every minute: does its wall time match, at the right occurrence?
fn fires_by_enumeration(text: &str, zone: Tz, from: i64, to: i64) -> Vec<Timestamp> {
    let utc = CronSchedule::parse(text, Tz::UTC, ClockChanges::default()).expect("a cron");
    // All wall times near the window that match, put on the clock one by one.
    let wall_end = Timestamp::from_micros((to + 86_400) * 1_000_000);
    let mut wall = Timestamp::from_micros((from - 86_400) * 1_000_000);
    let mut fires = std::collections::BTreeSet::new();
    while let Some(next) = utc.next(wall).filter(|next| *next < wall_end) {
        fires.insert(local_instant(zone, next.to_utc().naive_utc()));
        wall = next;
    }
    let (from, to) = (from * 1_000_000, to * 1_000_000);
    fires.into_iter().filter(|fire| fire.micros() > from && fire.micros() < to).collect()
}

/// Around every transition, from every quarter of an hour, for wall-clock expressions.
#[test]
fn no_fire_is_skipped_from_any_instant_round_any_clock_change() {
    let transitions = transitions();
    assert!(transitions.len() > 12 * 8, "{} transitions", transitions.len());
    for (zone, change) in transitions {
        for text in ["30 1 * * *", "15 2 * * *", "0 0 * * *", "*/20 1-3 * * *"] {
            let cron = CronSchedule::parse(text, zone, ClockChanges::default()).expect("a cron");
            let (from, to) = (change - 6 * 3600, change + 6 * 3600);
            let expected = fires_by_enumeration(text, zone, from - 86_400, to + 2 * 86_400);
            for quarter in 0..48 {
                let here = Timestamp::from_micros((from + quarter * 900) * 1_000_000);
                let next = expected.iter().copied().find(|fire| *fire > here);
                assert_eq!(cron.next(here), next, "{text} in {zone} from {here}");
                let previous = expected.iter().rev().copied().find(|fire| *fire < here);
                assert_eq!(cron.previous(here), previous, "{text} in {zone} before {here}");
            }
        }
    }
}

proptest! {
    /// Wherever one starts, fires only grow, and going back comes to where one was.
    #[test]
    fn forward_and_back_agree(
        zone in 0usize..12,
        second in 1_704_067_200i64..1_956_528_000,
        text in prop::sample::select(vec![
            "0 * * * *", "30 1 * * *", "*/15 2 * * *", "0 */3 * * *", "0 9 * * 1-5", "0 0 1 * *",
        ]),
        fold in prop::sample::select(vec![Fold::First, Fold::Second, Fold::Both]),
        gap in prop::sample::select(vec![Gap::Shift, Gap::Skip]),
    ) {
        let cron = CronSchedule::parse(text, ZONES[zone], ClockChanges { gap, fold }).expect("a cron");
        let from = Timestamp::from_micros(second * 1_000_000);
        let next = cron.next(from).expect("for ever");
        prop_assert!(next > from);
        let after = cron.next(next).expect("for ever");
        prop_assert!(after > next);
        prop_assert_eq!(cron.previous(after), Some(next));
    }
}
