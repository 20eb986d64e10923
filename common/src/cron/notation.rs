//! Cron's notation as Airflow's users write it, in that of the library.
//!
//! Airflow takes five fields, a sixth for **seconds** and a seventh for years; ranges that wrap
//! (`22-4`, `FRI-MON`); and `L5` for the last Friday of a month.

/// What the library is given, and what has to be known of the expression besides.
#[derive(Debug, PartialEq, Eq)]
pub struct Notation {
    /// Seconds first, then the five fields, then years if they are given.
    pub fields: String,
    /// The hour field names every hour.
    pub every_hour: bool,
}

/// The names of a field's values, from its least value on.
struct Field {
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

/// In their order.
const FIELDS: [&str; 7] =
    ["minute", "hour", "day of month", "month", "day of week", "second", "year"];

const PLAIN: &[&str] = &[];
const MINUTE: Field = Field { least: 0, most: 59, names: PLAIN };
const HOUR: Field = Field { least: 0, most: 23, names: PLAIN };
const DAY: Field = Field { least: 1, most: 31, names: PLAIN };
const MONTH: Field = Field {
    least: 1,
    most: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAY: Field =
    Field { least: 0, most: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

pub fn read(expression: &str) -> Result<Notation, String> {
    let fields: Vec<&str> = expand_preset(expression)?.split_whitespace().collect();
    if !(5..=7).contains(&fields.len()) {
        return Err(format!(
            "it has {} fields; write five: minute, hour, day of month, month, day of week (a sixth \
             would be seconds)",
            fields.len()
        ));
    }
    for (name, field) in FIELDS.iter().zip(&fields) {
        // The library takes a list of nothing, and then looks for its time for ever.
        if field.split(',').any(str::is_empty) {
            return Err(format!("its {name} {field:?} has a comma without a value beside it"));
        }
    }
    let hour = normal(fields[1], &HOUR)?;
    let every_hour = hour == "*";
    let mut out = vec![
        fields.get(5).map_or(Ok("0".to_owned()), |seconds| normal(seconds, &MINUTE))?,
        normal(fields[0], &MINUTE)?,
        hour,
        normal(fields[2], &DAY)?,
        normal(fields[3], &MONTH)?,
        weekdays(fields[4])?,
    ];
    out.extend(fields.get(6).map(|years| (*years).to_owned()));
    Ok(Notation { fields: out.join(" "), every_hour })
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
                 @quarterly, @yearly, @annually, @once and @continuous"
            ));
        }
        fields => fields,
    })
}

/// A field with its wrapping ranges split, and `*` for whatever names every value.
fn normal(text: &str, field: &Field) -> Result<String, String> {
    let lower = text.to_lowercase();
    let parts: Vec<String> =
        lower.split(',').map(|part| part_in(part, field)).collect::<Result<_, _>>()?;
    let whole = format!("{}-{}", field.least, field.most);
    let every = |part: &String| *part == "*" || *part == whole || *part == "*/1";
    Ok(if parts.iter().any(every) { "*".to_owned() } else { parts.join(",") })
}

fn part_in(part: &str, field: &Field) -> Result<String, String> {
    if matches!(part, "w" | "lw") || part.starts_with('h') {
        return Err(format!("{part:?} is not a value of its field"));
    }
    let (range, step) = part.split_once('/').map_or((part, None), |(r, s)| (r, Some(s)));
    let Some((from, to)) = range.split_once('-') else { return Ok(part.to_owned()) };
    let (Some(from), Some(to)) = (value(from, field), value(to, field)) else {
        return Ok(part.to_owned());
    };
    let step: u32 = match step {
        None => 1,
        Some(step) => step
            .parse()
            .ok()
            .filter(|step| *step > 0)
            .ok_or_else(|| format!("the step of {part:?} is not a number"))?,
    };
    if from <= to {
        let step = if step == 1 { String::new() } else { format!("/{step}") };
        return Ok(format!("{from}-{to}{step}"));
    }
    if from > field.most || to < field.least {
        return Ok(part.to_owned());
    }
    // Round the end of the field and on from its beginning.
    let count = field.most - field.least + 1;
    let last = to + count;
    let values = (from..=last).step_by(step as usize);
    let mut values: Vec<u32> = values.map(|v| if v > field.most { v - count } else { v }).collect();
    values.sort_unstable();
    Ok(values.iter().map(u32::to_string).collect::<Vec<_>>().join(","))
}

fn value(text: &str, field: &Field) -> Option<u32> {
    let named = field.names.iter().position(|name| *name == text);
    match named {
        Some(place) => u32::try_from(place).ok().map(|place| place + field.least),
        None => text.parse().ok(),
    }
}

/// `L5` is the last Friday; the library writes it `5L` and so does nobody who comes from Airflow.
fn weekdays(text: &str) -> Result<String, String> {
    let lower = text.to_lowercase();
    let parts = lower.split(',').map(|part| match part.strip_prefix('l') {
        Some(day) if !day.is_empty() => Ok(format!("{day}L")),
        _ if part.len() > 1 && part.ends_with('l') => {
            Err(format!("{part:?} is not a day of the week; the last Friday is L5"))
        }
        _ => Ok(part.replace("7-", "0-")),
    });
    let joined = parts.collect::<Result<Vec<_>, _>>()?.join(",");
    if joined.contains('L') || joined.contains('#') {
        return Ok(joined);
    }
    // A range up to Sunday: 7 is 0 to the library, and so is it to `normal`.
    let upto_sunday = joined.replace("-7", "-sun");
    normal(&upto_sunday, &WEEKDAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_airflow_takes_is_put_in_the_librarys_words() {
        let check = |text: &str, fields: &str, every_hour: bool| {
            let read = read(text).expect(text);
            assert_eq!((read.fields.as_str(), read.every_hour), (fields, every_hour), "{text}");
        };
        check("5 4 * * *", "0 5 4 * * *", false);
        check("0 0-23 * * *", "0 0 * * * *", true);
        check("0 22-1 * * FRI-MON", "0 0 0,1,22,23 * * 0,1,5,6", false);
        check("0 0 * * SAT-SUN", "0 0 0 * * 0,6", false);
        check("0 0 * * L5", "0 0 0 * * 5L", false);
        check("0 12 * * * 30", "30 0 12 * * *", false);
        check("0 0 * * * * 2030", "* 0 0 * * * 2030", false);
        check("@weekly", "0 0 0 * * 0", false);
    }

    #[test]
    fn what_airflow_refuses_is_refused() {
        for text in ["0 0 W * *", "0 0 LW * *", "0 0 * * 1L", "H H * * *", "@reboot", "", "* * * *"]
        {
            assert!(read(text).is_err(), "{text}");
        }
        for text in [", * * * *", "0,,30 * * * *", "0 0 * * 1,", "0 0 * * * 0 ,"] {
            assert!(read(text).expect_err(text).contains("comma without a value"), "{text}");
        }
    }
}
