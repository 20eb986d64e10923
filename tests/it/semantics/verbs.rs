//! What people change by hand.

use towpath_common::state::{RunState, TaskState};

use super::Place;

const FLAKY: &str = "dag: flaky
tasks:
  extract: {command: [sh, -c, 'echo rows=3 >> $TOWPATH_OUTPUT']}
  load: {depends_on: [extract], command: [test, -e, GATE]}
  report: {depends_on: [load], command: [echo, '{{ outputs.extract.rows }}']}
";

/// A run of [`FLAKY`] that has failed at `load`, and the file that lets it go on.
async fn failed(
    place: &Place,
) -> anyhow::Result<(towpath_common::run::DagRun, std::path::PathBuf)> {
    let gate = place.cluster.dir().join("gate");
    place.apply("flaky", &FLAKY.replace("GATE", &gate.display().to_string()))?;
    let run = place.run("flaky", "r", &[]).await?;
    assert_eq!(run.state, RunState::Failed);
    let states = ["extract success", "load failed", "report upstream_failed"];
    assert_eq!(place.states(&run).await?, states);
    Ok((run, gate))
}

#[tokio::test]
async fn a_run_is_resumed_from_the_failed_task() -> anyhow::Result<()> {
    for place in [Place::embedded().await?, Place::stack("clear").await?] {
        let (_, gate) = failed(&place).await?;
        let dry = place.cluster.run(&[
            "task",
            "clear",
            "flaky/r",
            "load",
            "--downstream",
            "--dry-run",
        ])?;
        assert!(dry.ends_with("2 instances would be changed\n"), "{dry}");
        std::fs::write(&gate, "")?;
        place.cluster.run(&["run", "clear", "flaky/r", "--only-failed"])?;
        let run = succeeded(&place, "r").await?;
        assert_eq!(
            place.states(&run).await?,
            ["extract success", "load success", "report success"]
        );
        let attempts: Vec<u32> = place
            .cluster
            .store
            .instances(run.key)
            .await?
            .iter()
            .map(|r| r.instance.attempt)
            .collect();
        assert_eq!(attempts, [1, 2, 1], "what had succeeded is not run again");
        let earlier = place.cluster.store.ended_attempts(run.key, &"load".parse()?, -1).await?;
        assert_eq!(earlier.len(), 1, "the failed attempt is remembered: {earlier:?}");
    }
    Ok(())
}

async fn succeeded(place: &Place, run_id: &str) -> anyhow::Result<towpath_common::run::DagRun> {
    let store = &place.cluster.store;
    towpath_tests::process::eventually("the run succeeds", super::PATIENCE, || async {
        let run = store.find_runs(None, run_id).await?.pop();
        Ok(run.filter(|run| run.state == RunState::Success))
    })
    .await
}

#[tokio::test]
async fn a_task_marked_as_a_success_lets_what_failed_with_it_run() -> anyhow::Result<()> {
    let place = Place::embedded().await?;
    failed(&place).await?;
    place.cluster.run(&["task", "mark", "flaky/r", "load", "--as", "success"])?;
    let run = succeeded(&place, "r").await?;
    assert_eq!(place.state(&run, "report").await?, TaskState::Success);
    Ok(())
}

#[tokio::test]
async fn a_run_is_run_again_on_the_latest_version() -> anyhow::Result<()> {
    let place = Place::embedded().await?;
    let (old, gate) = failed(&place).await?;
    std::fs::write(&gate, "")?;
    let more = "  archive: {depends_on: [report], command: [\"true\"]}\n";
    let text = FLAKY.replace("GATE", &gate.display().to_string());
    place.apply("flaky", &format!("{text}{more}"))?;
    place.cluster.run(&["run", "clear", "flaky/r", "--only-failed", "--latest"])?;
    let run = succeeded(&place, "r").await?;
    assert_ne!(run.version, old.version);
    assert_eq!(place.state(&run, "archive").await?, TaskState::Success);
    Ok(())
}

/// The new version renumbers the tasks; the elements of the list are those that were found before.
#[tokio::test]
async fn a_mapped_task_is_run_again_on_the_latest_version() -> anyhow::Result<()> {
    const MAPPED: &str = "dag: mapped
tasks:
  list: {command: [sh, -c, 'echo ''{\"files\": [1, 2, 3]}'' >> $TOWPATH_OUTPUT']}
  load:
    depends_on: [list]
    expand: {over: {n: {output: list.files}}}
    command: [sh, -c, '[ {{ map.n }} = 1 ] || [ -e GATE ]']
";
    let place = Place::embedded().await?;
    let gate = place.cluster.dir().join("gate");
    let text = MAPPED.replace("GATE", &gate.display().to_string());
    place.apply("mapped", &text)?;
    let run = place.run("mapped", "r", &[]).await?;
    let states = ["list success", "load[0] success", "load[1] failed", "load[2] failed"];
    assert_eq!(place.states(&run).await?, states);
    std::fs::write(&gate, "")?;
    place.apply("mapped", &format!("{text}  archive: {{command: [\"true\"]}}\n"))?;
    place.cluster.run(&["run", "clear", "mapped/r", "--only-failed", "--latest"])?;
    let run = succeeded(&place, "r").await?;
    let states = ["archive success", "list success"].into_iter().map(str::to_owned);
    let states: Vec<String> = states.chain((0..3).map(|n| format!("load[{n}] success"))).collect();
    assert_eq!(place.states(&run).await?, states);
    Ok(())
}

/// What the new version lacks is stopped, and nobody waits for it.
#[tokio::test]
async fn a_task_that_the_latest_version_lacks_is_removed() -> anyhow::Result<()> {
    let place = Place::embedded().await?;
    let (started, stopped) =
        (place.cluster.dir().join("started"), place.cluster.dir().join("stopped"));
    let text = "dag: d
tasks:
  a: {command: [\"true\"]}
  b: {command: [sh, -c, \"trap 'touch STOPPED; exit 1' TERM; touch STARTED; while :; do sleep 0.1; done\"]}
";
    let text = text
        .replace("STOPPED", &stopped.display().to_string())
        .replace("STARTED", &started.display().to_string());
    place.apply("d", &text)?;
    let run = place.cluster.trigger("d", "r").await?;
    let there = |path: std::path::PathBuf| async move {
        towpath_tests::process::eventually("the file is there", super::PATIENCE, || async {
            Ok(path.exists().then_some(()))
        })
        .await
    };
    there(started).await?;
    place.apply("d", "dag: d\ntasks: {a: {command: [\"true\"]}, c: {command: [\"true\"]}}\n")?;
    let preview = place.cluster.run(&["run", "clear", "d/r", "--latest", "--dry-run"])?;
    let previewed =
        |task: &str| preview.lines().any(|line| line.split_whitespace().any(|w| w == task));
    assert!(previewed("a") && previewed("c") && !previewed("b"), "{preview}");
    place.cluster.run(&["run", "clear", "d/r", "--latest"])?;
    assert_eq!(place.ended("d", "r").await?.state, RunState::Success);
    there(stopped).await?;
    assert_eq!(place.state(&run, "b").await?, TaskState::Removed);
    Ok(())
}

const DAILY: &str = "dag: daily
schedule: {cron: '0 0 * * *'}
start_date: 2026-01-01
tasks:
  a: {command: [\"true\"]}
  b: {depends_on: [a], depends_on_past: true, command: [\"true\"]}
";

#[tokio::test]
async fn a_backfill_fills_a_range_and_is_an_object_of_its_own() -> anyhow::Result<()> {
    for place in [Place::embedded().await?, Place::stack("backfill").await?] {
        place.apply("daily", DAILY)?;
        let range = ["backfill", "create", "daily", "--from", "2026-01-01", "--to", "2026-01-05"];
        let failed = [&range[..], &["--reprocess", "failed"]].concat();
        let dry = place.cluster.run(&[&failed[..], &["--dry-run"]].concat())?;
        assert!(dry.ends_with("5 runs would be created or run again\n"), "{dry}");
        let refused = place.cluster.run(&range).expect_err("it depends on the past").to_string();
        assert!(refused.contains("say --reprocess failed or completed"), "{refused}");
        place.cluster.run(&failed)?;
        let run = place.ended("daily", "backfill__2026-01-05T00:00:00+00:00").await?;
        assert_eq!(run.state, RunState::Success);
        let store = &place.cluster.store;
        let backfill = towpath_tests::process::eventually("it ends", super::PATIENCE, || async {
            let first = store.backfills(None).await?.pop();
            Ok(first.filter(|b| b.state == towpath_common::backfill::BackfillState::Completed))
        })
        .await?;
        let runs = store.backfill_runs(backfill.id).await?;
        assert_eq!(runs.len(), 5);
        assert!(runs.iter().all(|run| run.state == RunState::Success), "{runs:?}");
        let only =
            [&range[..], &["--reprocess", "completed", "--tasks", "a", "--dry-run"]].concat();
        assert!(place.cluster.run(&only)?.contains("clear and run again"));
    }
    Ok(())
}

#[tokio::test]
async fn a_paused_backfill_waits_and_a_cancelled_one_ends() -> anyhow::Result<()> {
    let place = Place::embedded().await?;
    place.apply(
        "slow",
        "dag: slow\nschedule: '0 0 * * *'\ntasks: {a: {pool: none_yet, command: [\"true\"]}}\n",
    )?;
    let create = ["backfill", "create", "slow", "--from", "2026-01-01", "--to", "2026-01-04"];
    let told = place.cluster.run(&[&create[..], &["--max-active-runs", "1"]].concat())?;
    let id = told
        .lines()
        .last()
        .and_then(|line| line.split([' ', ':']).nth(1))
        .expect("its id")
        .to_owned();
    let state = async |wanted: &str| {
        towpath_tests::process::eventually(wanted, super::PATIENCE, || async {
            let shown = place.cluster.run(&["backfill", "show", &id]);
            Ok(shown.ok().filter(|shown| shown.lines().next().is_some_and(|l| l.contains(wanted))))
        })
        .await
    };
    state("running").await?;
    place.cluster.run(&["backfill", "pause", &id])?;
    state("paused").await?;
    place.cluster.run(&["backfill", "cancel", &id])?;
    let shown = state("cancelled").await?;
    let failed = shown.lines().filter(|line| line.contains("failed")).count();
    assert!(failed >= 3, "those that had not begun have failed: {shown}");
    Ok(())
}

#[tokio::test]
async fn why_names_the_first_thing_that_an_instance_waits_for() -> anyhow::Result<()> {
    let place = Place::embedded().await?;
    let text = "dag: w\ntasks:\n  a: {pool: small, command: [\"true\"]}\n  b: {depends_on: [a], empty: true}\n";
    place.apply("w", text)?;
    place.cluster.run(&["dag", "trigger", "w", "--run-id", "r"])?;
    let why = async |task: &str, words: &str| {
        towpath_tests::process::eventually(words, super::PATIENCE, || async {
            let told = place.cluster.run(&["task", "why", "w/r", task]);
            Ok(told.ok().filter(|told| told.contains(words)))
        })
        .await
        .map(drop)
    };
    why("a", "there is no pool \"small\"").await?;
    why("b", "waits for a (scheduled)").await?;
    place.cluster.run(&["dag", "pause", "w"])?;
    why("a", "w is paused").await?;
    place.cluster.run(&["dag", "unpause", "w"])?;
    place.cluster.run(&["pool", "set", "small", "1"])?;
    why("b", "it has ended: success").await
}

#[tokio::test]
async fn a_run_that_is_asked_for_twice_with_one_key_is_one_run() -> anyhow::Result<()> {
    let place = Place::embedded().await?;
    place.apply("k", "dag: k\ntasks: {a: {empty: true}}\n")?;
    for _ in 0..2 {
        place.cluster.run(&["dag", "trigger", "k", "--idempotency-key", "order-7", "--watch"])?;
    }
    let listed = place.cluster.run(&["run", "list"])?;
    assert_eq!(listed.lines().count(), 2, "a head and one run: {listed}");
    Ok(())
}

#[tokio::test]
async fn a_drained_worker_claims_nothing_until_it_is_resumed() -> anyhow::Result<()> {
    for (place, worker) in
        [(Place::embedded().await?, "standalone"), (Place::stack("drain").await?, "w")]
    {
        place.apply("d", "dag: d\ntasks: {a: {command: [\"true\"]}}\n")?;
        place.run("d", "before", &[]).await?;
        let told = place.cluster.run(&["worker", "drain", worker])?;
        assert!(told.contains("claims nothing more"), "{told}");
        let log = place.cluster.dir().join(format!("{worker}.log"));
        towpath_tests::process::eventually("the worker has heard it", super::PATIENCE, || async {
            Ok(std::fs::read_to_string(&log)?.contains("nothing more is claimed").then_some(()))
        })
        .await?;
        let held = place.cluster.trigger("d", "held").await?;
        // Two more come and are waited for in turn, so that the first had its time.
        for later in ["later", "latest"] {
            place.cluster.trigger("d", later).await?;
        }
        let state = place.state(&held, "a").await?;
        assert!(
            [TaskState::None, TaskState::Scheduled, TaskState::Queued].contains(&state),
            "{state}"
        );
        let listed = place.cluster.run(&["fleet", "list"])?;
        assert!(listed.contains(" drained "), "{listed}");
        place.cluster.run(&["fleet", "resume", worker])?;
        for run in ["held", "later", "latest"] {
            succeeded(&place, run).await?;
        }
        let audited =
            place.cluster.run(&["audit", "list", "--subject", &format!("worker/{worker}")])?;
        assert!(audited.contains("worker.drain") && audited.contains("worker.resume"), "{audited}");
    }
    Ok(())
}

/// Hours of virtual time in a moment, and the first difference from what was.
#[test]
fn a_dag_is_played_in_virtual_time_against_a_golden_file() -> anyhow::Result<()> {
    let played = |golden: &std::path::Path| {
        let args =
            ["dag", "test", "retries.yaml", "--script", "tests/retries.script.yaml", "--golden"];
        let mut command = std::process::Command::new(towpath_tests::cluster::binary()?);
        anyhow::Ok(command.args(args).arg(golden).current_dir(super::examples()).output()?)
    };
    let golden = super::examples().join("tests/retries.golden.txt");
    let output = played(&golden)?;
    assert!(output.status.success(), "{output:?}");
    let other = tempfile::NamedTempFile::new()?;
    let text =
        std::fs::read_to_string(&golden)?.replace("not_worth_it failed", "not_worth_it success");
    std::fs::write(other.path(), text)?;
    let output = played(other.path())?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("line 7") && told.contains("not_worth_it failed: exit"), "{told}");
    Ok(())
}

/// Mistakes end as failed tasks that say what is wrong.
#[tokio::test]
async fn what_cannot_be_done_fails_with_the_words_that_help() -> anyhow::Result<()> {
    let place = Place::embedded().await?;
    let text = "dag: wrong
tasks:
  choose: {flow: branch, command: [sh, -c, 'echo branch=elsewhere >> $TOWPATH_OUTPUT']}
  here: {depends_on: [choose], empty: true}
  list: {command: [sh, -c, 'echo \"{\\\"files\\\": 7}\" >> $TOWPATH_OUTPUT']}
  over_a_number: {expand: {over: {file: {output: list.files}}}, command: [echo, '{{ map.file }}']}
  no_connection: {wait: {sql: {connection: nowhere, query: select 1}}}
";
    place.apply("wrong", text)?;
    let run = place.run("wrong", "r", &[]).await?;
    assert_eq!(run.state, RunState::Failed);
    let records = place.cluster.store.instances(run.key).await?;
    let check = |task: &str, words: &str| {
        let record = records.iter().find(|record| record.task.as_str() == task);
        let failure = record.and_then(|r| r.instance.failure.as_ref()).expect(task).to_string();
        assert!(failure.contains(words), "{task}: {failure}");
    };
    check("choose", "names \"elsewhere\", which is not directly below; directly below are here");
    check(
        "over_a_number",
        "outputs.list.files is a number; only a list or a map can be expanded over",
    );
    check("no_connection", "set TOWPATH_CONN_NOWHERE to its URI");
    Ok(())
}
