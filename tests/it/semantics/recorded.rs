//! Dags that Airflow has run, run for real: parallel, by processes, with nothing scripted but what each
//! command does. Only those whose end does not hang on the order are taken.

use serde_json::{Value, json};

use super::Place;

/// Every so many of them.
const STEP: usize = 6;

#[tokio::test]
async fn recorded_dags_end_for_real_as_they_did_in_airflow() -> anyhow::Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/it/conformance/airflow/trigger_rules.json");
    let recorded: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let all = recorded["dags"].as_array().expect("a list of Dags");
    let sample: Vec<&Value> =
        all.iter().filter(|dag| dag["order_sensitive"] == false).step_by(STEP).collect();
    assert!(sample.len() > 30);
    let place = Place::embedded().await?;
    for case in &sample {
        let name = case["id"].as_str().expect("a name");
        place.cluster.apply(name, &serde_json::to_string(&dag(case))?)?;
        place.cluster.run(&["dag", "trigger", name, "--run-id", "r"])?;
    }
    for case in sample {
        let name = case["id"].as_str().expect("a name");
        let run = place.ended(name, "r").await?;
        let ended = ended(&place, &run, case).await?;
        assert_eq!(ended, case["expected"], "{case}");
    }
    Ok(())
}

/// JSON is YAML.
fn dag(case: &Value) -> Value {
    let tasks = case["tasks"].as_array().expect("tasks").iter();
    let tasks: serde_json::Map<String, Value> = tasks
        .map(|task| (task["id"].as_str().expect("a name").to_owned(), self::task(task)))
        .collect();
    json!({ "dag": case["id"], "fail_fast": case["fail_fast"], "tasks": tasks })
}

fn task(recorded: &Value) -> Value {
    let outcome = recorded["outcome"].as_str().expect("an outcome");
    let mut task = json!({
        "depends_on": recorded["upstream"],
        "trigger_rule": recorded["trigger_rule"],
        "command": ["sh", "-c", script(outcome, &recorded["follow"])],
    });
    match outcome {
        "branch" => task["flow"] = json!("branch"),
        "short_circuit" => task["flow"] = json!("short_circuit"),
        "short_circuit_respect" => task["flow"] = json!("short_circuit_direct"),
        "mapped" => task["expand"] = json!({ "over": { "outcome": recorded["map"] } }),
        _ => {}
    }
    if recorded["is_setup"] == true {
        task["setup"] = json!(true);
    }
    if recorded["is_teardown"] == true {
        let fails = recorded["on_failure_fail_dagrun"] == true;
        task["teardown"] = json!({ "on_failure_fail_dagrun": fails });
    }
    task
}

fn script(outcome: &str, follow: &Value) -> String {
    match outcome {
        "success" => "exit 0".to_owned(),
        "skip" => "exit 99".to_owned(),
        "fail" => "exit 1".to_owned(),
        "branch" => format!("echo '{}' >> $TOWPATH_OUTPUT", json!({ "branch": follow })),
        "mapped" => "case {{ map.outcome }} in success) exit 0;; skip) exit 99;; *) exit 1;; esac"
            .to_owned(),
        _ => r#"echo '{"short_circuit": true}' >> $TOWPATH_OUTPUT"#.to_owned(),
    }
}

/// In the format of the recording.
async fn ended(
    place: &Place,
    run: &towpath_common::run::DagRun,
    case: &Value,
) -> anyhow::Result<Value> {
    let mut records = place.cluster.store.instances(run.key).await?;
    records.sort_by_key(|record| record.instance.map_index);
    let mut tasks = serde_json::Map::new();
    for task in case["tasks"].as_array().expect("tasks") {
        let name = task["id"].as_str().expect("a name");
        let of_task: Vec<_> = records.iter().filter(|r| r.task.as_str() == name).collect();
        let states: Vec<Value> = of_task.iter().map(|r| json!(r.instance.state)).collect();
        let is_mapped = of_task.iter().any(|record| record.instance.map_index >= 0);
        let state = match (is_mapped, states.first()) {
            (true, _) => json!(states),
            (false, Some(state)) => state.clone(),
            (false, None) => json!("none"),
        };
        tasks.insert(name.to_owned(), state);
    }
    Ok(json!({ "run_state": run.state, "tasks": tasks }))
}
