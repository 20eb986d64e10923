//! `macros`: Airflow's functions.

use std::sync::Arc;

use chrono::{NaiveDate, NaiveDateTime};
use chrono_tz::Tz;
use minijinja::value::{Object, Serde, Value};
use minijinja::{Error, ErrorKind, State};
use uuid::Uuid;

use super::date::DateTimeValue;
use super::lookup::refused;
use crate::time::{Clock, SystemClock};

/// The names under `macros`.
pub const MACROS: &[&str] =
    &["ds_add", "ds_format", "json", "uuid", "time", "random", "datetime", "dateutil"];

#[derive(Debug)]
pub struct Macros;

impl Object for Macros {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let module = MACROS.iter().find(|name| Some(**name) == key.as_str())?;
        Some(Value::from_object(Module(module)))
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match method {
            "ds_add" => {
                let (date, days): (String, i64) = minijinja::value::from_args(args)?;
                let moved = read_date(&date, "%Y-%m-%d")?.checked_add_signed(
                    chrono::TimeDelta::try_days(days)
                        .ok_or_else(|| refused(format!("{days} days are too many")))?,
                );
                let moved = moved.ok_or_else(|| refused("the date is out of range".to_owned()))?;
                Ok(Value::from(moved.format("%Y-%m-%d").to_string()))
            }
            "ds_format" => {
                let (date, from, to): (String, String, String) = minijinja::value::from_args(args)?;
                print_date(read_date(&date, &from)?, &to)
            }
            "random" => {
                let () = minijinja::value::from_args(args)?;
                // The random bits of a UUID, as a fraction.
                let bits = u32::try_from(Uuid::new_v4().as_u128() & 0xffff_ffff).unwrap_or(0);
                Ok(Value::from(f64::from(bits) / f64::from(u32::MAX)))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

/// A module of Python's that `macros` gives, as far as templates use it.
#[derive(Debug)]
struct Module(&'static str);

impl Object for Module {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let inner = match (self.0, key.as_str()?) {
            ("dateutil", "parser") => "dateutil.parser",
            _ => return None,
        };
        Some(Value::from_object(Module(inner)))
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let now = || SystemClock.now();
        match (self.0, method) {
            ("json", "dumps") => {
                let (value,): (Value,) = minijinja::value::from_args(args)?;
                serde_json::to_string(&value).map(Value::from).map_err(|e| refused(e.to_string()))
            }
            ("json", "loads") => {
                let (text,): (String,) = minijinja::value::from_args(args)?;
                let value: Result<serde_json::Value, _> = serde_json::from_str(&text);
                value.map(|v| Value::from(Serde(v))).map_err(|_| refused("it is not JSON".into()))
            }
            ("uuid", "uuid4") => Ok(Value::from(Uuid::new_v4().to_string())),
            ("time", "time") => Ok(Value::from(now().micros() as f64 / 1e6)),
            ("datetime", "now" | "utcnow") => Ok(Value::from_object(DateTimeValue::utc(now()))),
            ("dateutil.parser", "parse") => {
                let (text,): (String,) = minijinja::value::from_args(args)?;
                let at = chrono::DateTime::parse_from_rfc3339(&text.replacen(' ', "T", 1));
                let at = at.map(Into::into).or_else(|_| {
                    let wall = read_date(&text, "%Y-%m-%d")?;
                    Ok::<_, Error>(crate::cron::local_instant(Tz::UTC, wall))
                })?;
                Ok(Value::from_object(DateTimeValue::utc(at)))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

fn read_date(text: &str, format: &str) -> Result<NaiveDateTime, Error> {
    let date =
        NaiveDate::parse_from_str(text, format).map(|date| date.and_time(Default::default()));
    let read = date.or_else(|_| NaiveDateTime::parse_from_str(text, format));
    read.map_err(|_| refused(format!("{text:?} is not a date of the form {format}")))
}

/// `format` comes from the template: chrono reports a bad one only while it prints.
fn print_date(date: NaiveDateTime, format: &str) -> Result<Value, Error> {
    use std::fmt::Write as _;
    let mut text = String::new();
    write!(text, "{}", date.format(format))
        .map_err(|_| refused(format!("{format:?} is not a strftime format")))?;
    Ok(Value::from(text))
}
