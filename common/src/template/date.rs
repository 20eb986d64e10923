//! Dates, with the methods that people know from Airflow's, which are pendulum's.

use std::fmt;
use std::sync::Arc;

use chrono::{Datelike, Days, Months, NaiveDateTime, Timelike};
use chrono_tz::Tz;
use minijinja::value::{Kwargs, Object, ObjectRepr, Value};
use minijinja::{Environment, Error, ErrorKind, State};

use crate::cron::local_instant;
use crate::time::Timestamp;

/// Airflow's texts of a date, each a variable of the logical date and a filter on any date.
pub const DATE_FORMATS: &[(&str, &str)] = &[
    ("ds", "%Y-%m-%d"),
    ("ds_nodash", "%Y%m%d"),
    ("ts", "%Y-%m-%dT%H:%M:%S%:z"),
    ("ts_nodash", "%Y%m%dT%H%M%S"),
    ("ts_nodash_with_tz", "%Y%m%dT%H%M%S%z"),
];

/// The filters of the same names.
pub fn add_filters(environment: &mut Environment<'_>) {
    for (name, format) in DATE_FORMATS {
        environment.add_filter(*name, move |value: Value| -> Result<String, Error> {
            let date = value.downcast_object_ref::<DateTimeValue>().ok_or_else(|| {
                Error::new(ErrorKind::InvalidOperation, format!("{name} takes a date"))
            })?;
            Ok(date.format(format))
        });
    }
}

/// A date in a zone, with the methods that people know from Airflow's dates.
#[derive(Debug)]
pub struct DateTimeValue {
    pub at: Timestamp,
    pub zone: Tz,
}

impl DateTimeValue {
    pub fn utc(at: Timestamp) -> Self {
        Self { at, zone: Tz::UTC }
    }

    pub fn format(&self, format: &str) -> String {
        self.at.to_utc().with_timezone(&self.zone).format(format).to_string()
    }
}

impl DateTimeValue {
    fn local(&self) -> NaiveDateTime {
        self.at.to_utc().with_timezone(&self.zone).naive_local()
    }

    /// So much on, or back with a negative sign. Months and days are those of the calendar.
    fn moved(&self, by: &Kwargs, sign: i64) -> Result<Self, Error> {
        let amount = |name: &str| -> Result<i64, Error> {
            Ok(by.get::<Option<i64>>(name)?.unwrap_or(0).saturating_mul(sign))
        };
        let too_far = || Error::new(ErrorKind::InvalidOperation, "the date is out of range");
        let of = |name: &str, unit: i64| -> Result<i64, Error> {
            amount(name)?.checked_mul(unit).ok_or_else(too_far)
        };
        let sum = |parts: &[i64]| {
            let added = parts.iter().try_fold(0_i64, |sum, part| sum.checked_add(*part));
            added.ok_or_else(too_far)
        };
        let months = sum(&[of("years", 12)?, of("months", 1)?])?;
        let days = sum(&[of("weeks", 7)?, of("days", 1)?])?;
        let micros = sum(&[
            of("hours", 3_600_000_000)?,
            of("minutes", 60_000_000)?,
            of("seconds", 1_000_000)?,
        ])?;
        by.assert_all_used()?;
        let wall = in_calendar(self.local(), months, days).ok_or_else(too_far)?;
        let at = if months == 0 && days == 0 { self.at } else { local_instant(self.zone, wall) };
        let at = at.micros().checked_add(micros).ok_or_else(too_far)?;
        // Beyond what a date can be written as.
        chrono::DateTime::from_timestamp_micros(at).ok_or_else(too_far)?;
        Ok(Self { at: Timestamp::from_micros(at), ..*self })
    }
}

fn in_calendar(wall: NaiveDateTime, months: i64, days: i64) -> Option<NaiveDateTime> {
    let by = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
    let wall = if months < 0 { wall.checked_sub_months(by)? } else { wall.checked_add_months(by)? };
    let by = Days::new(days.unsigned_abs());
    if days < 0 { wall.checked_sub_days(by) } else { wall.checked_add_days(by) }
}

impl Object for DateTimeValue {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let wall = self.local();
        Some(match key.as_str()? {
            "year" => Value::from(wall.year()),
            "month" => Value::from(wall.month()),
            "day" => Value::from(wall.day()),
            "hour" => Value::from(wall.hour()),
            "minute" => Value::from(wall.minute()),
            "second" => Value::from(wall.second()),
            "day_of_year" => Value::from(wall.ordinal()),
            _ => return None,
        })
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format("%Y-%m-%d %H:%M:%S%:z"))
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let text = |args: &[Value]| -> Result<String, Error> {
            let (text,): (String,) = minijinja::value::from_args(args)?;
            Ok(text)
        };
        match method {
            "strftime" => strftime(self, &text(args)?),
            "isoformat" => Ok(Value::from(self.format("%Y-%m-%dT%H:%M:%S%:z"))),
            "to_date_string" => Ok(Value::from(self.format("%Y-%m-%d"))),
            "timestamp" => Ok(Value::from(self.at.micros() as f64 / 1e6)),
            "weekday" => Ok(Value::from(self.local().weekday().num_days_from_monday())),
            "add" | "subtract" => {
                let (by,): (Kwargs,) = minijinja::value::from_args(args)?;
                let sign = if method == "add" { 1 } else { -1 };
                Ok(Value::from_object(self.moved(&by, sign)?))
            }
            "in_timezone" | "in_tz" => {
                let name = text(args)?;
                let zone = name.parse().map_err(|_| {
                    Error::new(ErrorKind::InvalidOperation, format!("{name:?} is not a timezone"))
                })?;
                Ok(Value::from_object(Self { at: self.at, zone }))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

/// `format` comes from the template: chrono reports a bad one only while it prints.
fn strftime(date: &DateTimeValue, format: &str) -> Result<Value, Error> {
    use std::fmt::Write as _;
    let mut text = String::new();
    write!(text, "{}", date.at.to_utc().with_timezone(&date.zone).format(format)).map_err(
        |_| Error::new(ErrorKind::InvalidOperation, format!("{format:?} is not a strftime format")),
    )?;
    Ok(Value::from(text))
}
