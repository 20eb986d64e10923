//! The examples end as their comments say, wherever they run.

use std::io::{Read, Write};
use std::net::TcpListener;

use towpath_common::state::RunState;

use super::Place;

async fn everywhere(
    name: &str,
    check: impl AsyncFn(&Place) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    check(&Place::embedded().await?).await?;
    check(&Place::stack(name).await?).await
}

async fn ends(
    place: &Place,
    dag: &str,
    run_id: &str,
    more: &[&str],
    state: RunState,
    states: &[&str],
) -> anyhow::Result<()> {
    let run = place.run(dag, run_id, more).await?;
    let found = place.states(&run).await?;
    assert_eq!(found, states, "{dag} {run_id}\n{}", place.cluster.logs());
    assert_eq!(run.state, state, "{dag} {run_id}");
    Ok(())
}

#[tokio::test]
async fn branches_and_short_circuits_skip_what_is_not_followed() -> anyhow::Result<()> {
    everywhere("branching", async |place| {
        place.apply_example("branching")?;
        for (day, other) in [("weekday", "weekend"), ("weekend", "weekday")] {
            let mut states = [
                "choose success".to_owned(),
                "join success".to_owned(),
                "nothing_new success".to_owned(),
                "optional skipped".to_owned(),
                "publish skipped".to_owned(),
                format!("{day} success"),
                format!("{other} skipped"),
            ];
            states.sort();
            let states: Vec<&str> = states.iter().map(String::as_str).collect();
            let param = format!("day={day}");
            let more = ["--param", param.as_str()];
            ends(place, "branching", day, &more, RunState::Success, &states).await?;
        }
        let refused = place.cluster.run(&["dag", "trigger", "branching", "--param", "day=noon"]);
        let why = refused.expect_err("it does not fit the schema").to_string();
        assert!(why.contains("which does not fit its schema"), "{why}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_teardown_runs_after_a_failure_and_leaves_the_end_to_the_work() -> anyhow::Result<()> {
    everywhere("teardown", async |place| {
        place.apply_example("setup_teardown")?;
        let states =
            ["make_cluster success", "query failed", "remove_cluster success", "report success"];
        ends(place, "setup_teardown", "r", &[], RunState::Success, &states).await
    })
    .await
}

#[tokio::test]
async fn a_task_becomes_one_instance_per_element() -> anyhow::Result<()> {
    everywhere("mapping", async |place| {
        place.apply_example("mapping")?;
        let states = [
            "each.check[0] success",
            "each.check[1] success",
            "each.fetch[0] success",
            "each.fetch[1] success",
            "every_pair[0] success",
            "every_pair[1] success",
            "every_pair[2] success",
            "every_pair[3] success",
            "gather success",
            "list success",
            "load[0] success",
            "load[1] success",
            "load[2] success",
            "of_a_map[0] success",
            "of_a_map[1] success",
            "over_nothing skipped",
            "side_by_side[0] success",
            "side_by_side[1] success",
        ];
        ends(place, "mapping", "r", &[], RunState::Success, &states).await?;
        let shown = place.cluster.run(&["run", "show", "mapping/r"])?;
        assert!(shown.contains("load[1] (b.csv)"), "{shown}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_follows_a_failure_depends_on_its_kind() -> anyhow::Result<()> {
    everywhere("retries", async |place| {
        place.apply_example("retries")?;
        let states = [
            "deadlocked success",
            "done success",
            "grows_slowly success",
            "not_worth_it failed",
            "nothing_to_do skipped",
        ];
        let more = ["--param", "folder=/tmp"];
        ends(place, "retries", "r", &more, RunState::Failed, &states).await?;
        let run = place.ended("retries", "r").await?;
        let attempts = place.cluster.store.instances(run.key).await?;
        let attempts: Vec<u32> = attempts.iter().map(|record| record.instance.attempt).collect();
        assert_eq!(
            attempts.iter().filter(|n| **n == 1).count(),
            2,
            "no try too many: {attempts:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn limits_hold_and_everything_has_its_turn() -> anyhow::Result<()> {
    everywhere("limits", async |place| {
        place.cluster.run(&["pool", "set", "warehouse", "2"])?;
        place.apply_example("limits")?;
        let states = [
            "heavy success",
            "in_order success",
            "light_1 success",
            "light_2 success",
            "many[0] success",
            "many[1] success",
            "many[2] success",
            "many[3] success",
            "many[4] success",
            "many[5] success",
        ];
        let more = ["--date", "2026-01-01"];
        ends(place, "limits", "r", &more, RunState::Success, &states).await
    })
    .await
}

/// None lost while there is no room, none consumed twice.
#[tokio::test]
async fn a_dag_runs_when_its_assets_have_been_made_anew() -> anyhow::Result<()> {
    everywhere("assets", async |place| {
        place.apply_example("assets_consumer")?;
        place.apply_example("assets")?;
        place.run("assets", "first", &[]).await?;
        let store = &place.cluster.store;
        let consumer = towpath_common::id::DagId::new("assets_consumer")?;
        let runs_now = async || store.latest_runs(&consumer, None, 10).await;
        assert!(runs_now().await?.is_empty(), "one of two is not both");
        place.cluster.run(&["asset", "materialize", "weather"])?;
        let runs = async |count: usize| {
            towpath_tests::process::eventually("the consumer runs", super::PATIENCE, || async {
                let runs = runs_now().await?;
                let ended = runs.iter().all(|run| run.state.is_terminal());
                Ok((runs.len() == count && ended).then_some(runs))
            })
            .await
        };
        runs(1).await?;
        // Several events of one asset are taken by one run.
        for run_id in ["second", "third"] {
            place.run("assets", run_id, &[]).await?;
        }
        place.cluster.run(&["asset", "materialize", "weather"])?;
        let runs = runs(2).await?;
        let mut consumed: Vec<u64> =
            runs.iter().flat_map(|run| run.asset_events.iter().map(|e| e.sequence)).collect();
        consumed.sort_unstable();
        assert_eq!(consumed, [1, 2, 3, 4, 5], "every event once");
        let listed = place.cluster.run(&["asset", "list"])?;
        assert!(listed.contains("weather") && listed.contains("file:///tmp/flights"), "{listed}");
        let events = place.cluster.run(&["asset", "events", "file:///tmp/flights"])?;
        assert!(events.contains("assets/third make"), "{events}");
        Ok(())
    })
    .await
}

/// Answers "not ready" once, and "ready" from then on.
fn answering() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let body = if number == 0 { "not yet" } else { "ready" };
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    Ok(port)
}

#[tokio::test]
async fn what_waits_takes_no_worker_and_goes_on_when_it_comes() -> anyhow::Result<()> {
    everywhere("waits", async |place| {
        place.apply_example("branching")?;
        place.apply_example("waits")?;
        let folder = tempfile::tempdir()?;
        let (port, at) = (format!("port={}", answering()?), folder.path().display());
        let at = format!("folder={at}");
        let args = ["dag", "trigger", "waits", "--run-id", "r", "--param", &port, "--param", &at];
        place.cluster.run(&args)?;
        towpath_tests::process::eventually("it waits for the file", super::PATIENCE, || async {
            let told = place.cluster.run(&["task", "why", "waits/r", "a_file"]);
            Ok(told.ok().filter(|told| told.contains("waits for something outside")))
        })
        .await?;
        std::fs::write(folder.path().join("a.csv"), "1,2\n")?;
        let run = place.ended("waits", "r").await?;
        let states = [
            "a_file success",
            "a_moment success",
            "after_that success",
            "an_answer success",
            "an_instant success",
            "another_dag success",
            "its_own_way success",
            "nobody_there skipped",
            "use_it success",
        ];
        assert_eq!(place.states(&run).await?, states, "{}", place.cluster.logs());
        assert_eq!(place.cluster.run(&["task", "logs", "waits/r", "use_it"])?, "1,2\n");
        let records = place.cluster.store.instances(run.key).await?;
        let nobody =
            records.iter().find(|r| r.task.as_str() == "nobody_there").expect("it is there");
        let why = nobody.instance.failure.as_ref().expect("it says why").to_string();
        assert!(why.contains("did not come within") && why.contains("refused"), "{why}");
        Ok(())
    })
    .await
}
