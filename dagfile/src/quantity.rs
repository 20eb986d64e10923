//! Durations, sizes and parts of a core, as people write them.

use std::time::Duration;

/// `30s`, `5m`, `1h30m`, `250ms`, `2d`, or a number of seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration; write one like 30s, 5m, 1h30m or 250ms");
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|_| wrong());
    }
    let mut total = 0.0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let seconds = match unit.trim() {
            "ms" => 0.001,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return Err(wrong()),
        };
        total += number.parse::<f64>().map_err(|_| wrong())? * seconds;
        rest = tail;
    }
    Duration::try_from_secs_f64(total).map_err(|_| wrong())
}

/// A step of a schedule: a duration, or months and years: `1mo`, `3mo`, `1y`.
pub fn step(text: &str) -> Result<(u32, Duration), String> {
    let months = |number: &str, each: u32| {
        let count: u32 = number.trim().parse().ok()?;
        count.checked_mul(each).filter(|months| *months > 0)
    };
    let calendar = match (text.strip_suffix("mo"), text.strip_suffix('y')) {
        (Some(number), _) => Some(months(number, 1)),
        (None, Some(number)) => Some(months(number, 12)),
        (None, None) => None,
    };
    let wrong = || format!("{text:?} is not a step; write one like 15m, 36h, 7d, 1mo or 1y");
    match calendar {
        Some(Some(months)) => Ok((months, Duration::ZERO)),
        Some(None) => Err(wrong()),
        None => match duration(text) {
            Ok(step) if step > Duration::ZERO => Ok((0, step)),
            _ => Err(wrong()),
        },
    }
}

/// An amount that a container can be limited to.
pub fn memory(text: &str) -> Result<u64, String> {
    let bytes = bytes(text)?;
    // Docker refuses less.
    if bytes < 6 << 20 {
        return Err(format!("{text:?} is less than 6Mi, the least that a container can have"));
    }
    Ok(bytes)
}

/// `512Mi`, `2Gi`, `1500M`, or a number of bytes.
pub fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not an amount of bytes; write one like 512Mi or 2Gi");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "b" | "B" => 1,
        "k" | "K" | "kB" | "KB" => 1000,
        "M" | "MB" | "m" => 1000 * 1000,
        "G" | "GB" | "g" => 1000 * 1000 * 1000,
        "Ki" | "KiB" => 1 << 10,
        "Mi" | "MiB" => 1 << 20,
        "Gi" | "GiB" => 1 << 30,
        "Ti" | "TiB" => 1 << 40,
        _ => return Err(wrong()),
    };
    let bytes = number.parse::<f64>().map_err(|_| wrong())? * factor as f64;
    Ok(bytes as u64)
}

/// `0.5`, `2`, or `500m`, in thousandths of a core.
pub fn cpu(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a number of cores; write one like 0.5, 2 or 500m");
    let millis = match text.strip_suffix('m') {
        Some(millis) => millis.parse::<f64>().map_err(|_| wrong())?,
        None => text.parse::<f64>().map_err(|_| wrong())? * 1000.0,
    };
    if millis.is_finite() && (1.0..=1e9).contains(&millis) {
        Ok(millis as u64)
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let millis = |text: &str| duration(text).map(|d| d.as_millis()).ok();
        assert_eq!(millis("30"), Some(30_000));
        assert_eq!(millis("1h30m"), Some(5_400_000));
        assert_eq!(millis("250ms"), Some(250));
        assert_eq!(millis("1.5s"), Some(1500));
        for wrong in ["", "x", "5 weeks", "-1s", "-5", "m5", "5x"] {
            assert_eq!(millis(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn steps() {
        assert_eq!(step("1y"), Ok((12, Duration::ZERO)));
        assert_eq!(step("3mo"), Ok((3, Duration::ZERO)));
        assert_eq!(step("15m"), Ok((0, Duration::from_secs(900))));
        assert!(step("0s").is_err() && step("mo").is_err() && step("often").is_err());
    }

    #[test]
    fn memory_and_cores() {
        assert_eq!(memory("512Mi"), Ok(512 << 20));
        assert_eq!(memory("1.5Gi"), Ok(3 << 29));
        assert_eq!(memory("10000000"), Ok(10_000_000));
        assert!(memory("1Mi").is_err() && memory("lots").is_err());
        assert_eq!((cpu("0.5"), cpu("250m"), cpu("2")), (Ok(500), Ok(250), Ok(2000)));
        assert!(cpu("0").is_err() && cpu("-1").is_err());
    }
}
