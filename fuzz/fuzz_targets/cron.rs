//! Whatever is written as a schedule: fires come one after the other, and those before are those that were.
#![no_main]

use chrono_tz::{TZ_VARIANTS, Tz};
use libfuzzer_sys::fuzz_target;
use towpath_common::cron::CronSchedule;
use towpath_common::dag::{ClockChanges, Fold, Gap};
use towpath_common::time::Timestamp;

const FIRES: usize = 8;
/// Until about 2100, in seconds.
const SPAN: u32 = 4_102_444_800;

fuzz_target!(|input: (u16, u32, u8, &str)| {
    let (zone, from, changes, expression) = input;
    let timezone: Tz = TZ_VARIANTS[usize::from(zone) % TZ_VARIANTS.len()];
    let gap = [Gap::Shift, Gap::Skip][usize::from(changes) % 2];
    let fold = [Fold::First, Fold::Second, Fold::Both][usize::from(changes) % 3];
    let clock_changes = ClockChanges { gap, fold };
    let Ok(schedule) = CronSchedule::parse(expression, timezone, clock_changes) else { return };
    let mut at = Timestamp::from_micros(i64::from(from % SPAN) * 1_000_000);
    for _ in 0..FIRES {
        let Some(next) = schedule.next(at) else { break };
        assert!(next > at, "{expression} in {timezone}: {next} follows {at}");
        if let Some(before) = schedule.previous(next) {
            assert!(before < next, "{expression} in {timezone}: {before} is before {next}");
        }
        at = next;
    }
});
