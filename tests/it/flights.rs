//! The flights pipeline, embedded, against a count that shares no code with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use sqlx::{Connection, Row, SqliteConnection};
use towpath_tests::cluster::binary;

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").join("examples/flights")
}

/// A table of the source, as rows by column name.
fn table(name: &str) -> Vec<BTreeMap<String, String>> {
    let archive = example().join("data").join(format!("{name}.csv.zip"));
    let output = Command::new("python3")
        .args(["-c", "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); sys.stdout.buffer.write(z.read(z.namelist()[0]))"])
        .arg(archive)
        .output()
        .expect("python3 unpacks it");
    let text = String::from_utf8(output.stdout).expect("text");
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let row = |line: &str| {
        header.iter().map(|n| (*n).to_owned()).zip(line.split(',').map(str::to_owned)).collect()
    };
    lines.map(row).collect()
}

#[derive(Debug, Default, PartialEq)]
struct Summary {
    flights: i64,
    cancelled: i64,
    dep_delays: Vec<f64>,
    arr_delays: Vec<f64>,
    with_weather: i64,
}

fn counted(dates: &[&str]) -> BTreeMap<(String, String), Summary> {
    let weather: std::collections::BTreeSet<(String, String)> = table("weather")
        .into_iter()
        .map(|row| (row["origin"].clone(), row["time_hour"].clone()))
        .collect();
    let mut summaries: BTreeMap<(String, String), Summary> = BTreeMap::new();
    for row in table("flights") {
        let date = format!("{}-{:0>2}-{:0>2}", row["year"], row["month"], row["day"]);
        if !dates.contains(&date.as_str()) {
            continue;
        }
        let summary = summaries.entry((date, row["carrier"].clone())).or_default();
        summary.flights += 1;
        summary.cancelled += i64::from(row["dep_time"] == "NA");
        summary.dep_delays.extend(row["dep_delay"].parse::<f64>());
        summary.arr_delays.extend(row["arr_delay"].parse::<f64>());
        let met = weather.contains(&(row["origin"].clone(), row["time_hour"].clone()));
        summary.with_weather += i64::from(met);
    }
    summaries
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn close(found: Option<f64>, expected: Option<f64>) -> bool {
    match (found, expected) {
        (Some(found), Some(expected)) => (found - expected).abs() < 1e-9,
        (None, None) => true,
        _ => false,
    }
}

#[tokio::test]
async fn every_row_of_the_summary_is_right_and_a_date_may_run_twice() {
    let dir = tempfile::tempdir().expect("a folder");
    let database = dir.path().join("warehouse.db");
    let dates = ["2013-01-01", "2013-01-02"];
    for _ in 0..2 {
        let output = Command::new(binary().expect("it is built"))
            .args(["dag", "run"])
            .arg(example().join("flights.yaml"))
            .args(["--from", dates[0], "--until", dates[1]])
            .env("TOWPATH_VAR_WAREHOUSE_URL", format!("sqlite:///{}", database.display()))
            .env("TOWPATH_VAR_DASHBOARD", dir.path().join("dashboard.html"))
            .current_dir(dir.path())
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{output:?}");
    }
    let page = std::fs::read_to_string(dir.path().join("dashboard.html")).expect("a page");
    assert_eq!(page.matches("<svg").count(), 3);

    let url = format!("sqlite://{}", database.display());
    let mut connection = SqliteConnection::connect(&url).await.expect("opens");
    let rows =
        sqlx::query("SELECT * FROM daily_summary").fetch_all(&mut connection).await.expect("reads");
    let expected = counted(&dates);
    assert_eq!(rows.len(), expected.len());
    let mut total = 0;
    for row in rows {
        let key: (String, String) = (row.get("date"), row.get("carrier"));
        let counted = &expected[&key];
        let on_time = counted.arr_delays.iter().filter(|delay| **delay < 15.0).count();
        assert_eq!(row.get::<i64, _>("flights"), counted.flights, "{key:?}");
        assert_eq!(row.get::<i64, _>("cancelled"), counted.cancelled, "{key:?}");
        assert_eq!(row.get::<i64, _>("on_time"), on_time as i64, "{key:?}");
        assert_eq!(row.get::<i64, _>("with_weather"), counted.with_weather, "{key:?}");
        assert!(close(row.get("mean_dep_delay"), mean(&counted.dep_delays)), "{key:?}");
        assert!(close(row.get("mean_arr_delay"), mean(&counted.arr_delays)), "{key:?}");
        total += counted.flights;
    }
    let flights: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM flights")
        .fetch_one(&mut connection)
        .await
        .expect("reads");
    assert_eq!(flights, total);
}
