//! The shipped compose file, as a user starts it, in a folder and a project of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use towpath_tests::cluster::binary;
use towpath_tests::docker::run;
use towpath_tests::process::eventually;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_owned()
}

/// Runs a program in the repository; fails if it does.
fn here(program: &str, args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(args)
        // The stack's image is the shipped one but for what the compiler optimises, for which it takes long.
        .env("TOWPATH_PROFILE", "dev")
        .current_dir(root())
        .output()
        .context(program.to_owned())?;
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if !output.status.success() {
        bail!("{program} {args:?}: {text}");
    }
    Ok(text)
}

/// The binary of this machine against the stack.
fn towpath(args: &[&str]) -> anyhow::Result<String> {
    let settings = std::fs::read_to_string(root().join("docker/local.env"))?;
    let settings = settings.lines().filter_map(|line| line.split_once('='));
    let output = Command::new(binary()?)
        .args(args)
        .envs(settings.filter(|(name, _)| name.starts_with("TOWPATH_")))
        .current_dir(root())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("towpath {args:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(text)
}

/// Takes the stack down however the test ends.
struct Stack;

impl Drop for Stack {
    fn drop(&mut self) {
        let _ = here("docker-compose", &["down", "--volumes", "--timeout", "5"]);
    }
}

#[tokio::test]
async fn the_stack_runs_the_flights_and_scales() -> anyhow::Result<()> {
    here("tests/stand-ins.sh", &[])?;
    let _stack = Stack;
    here("make", &["up"])?;
    let applied = towpath(&["dag", "apply", "examples/flights/flights.yaml"])?;
    assert!(applied.contains("flights_daily deployed"), "{applied}");
    let unchanged = towpath(&["dag", "apply", "examples/flights/flights.yaml"])?;
    assert!(unchanged.contains("flights_daily unchanged"), "{unchanged}");
    let trigger = ["dag", "trigger", "flights_daily", "--date", "2013-01-03", "--watch"];
    let watched = towpath(&trigger)?;
    assert!(watched.contains("success        7      0"), "{watched}");
    let listed = towpath(&["run", "list"])?;
    assert!(listed.contains("manual__2013-01-03T05:00:00+00:00 success"), "{listed}");
    let log = towpath(&["task", "logs", "manual__2013-01-03T05:00:00+00:00", "check", "--follow"])?;
    assert!(log.contains("flights: 914\n"), "{log}");
    the_warehouse_has_the_date_and_no_container_is_left()?;
    here("docker-compose", &["up", "--detach", "--scale", "worker=3"])?;
    eventually("three workers are healthy", Duration::from_secs(60), || async {
        let filter = ["ps", "--filter", "name=_worker_", "--filter", "health=healthy", "--quiet"];
        Ok((run("docker", &filter)?.lines().count() == 3).then_some(()))
    })
    .await
}

fn the_warehouse_has_the_date_and_no_container_is_left() -> anyhow::Result<()> {
    let query = "SELECT COUNT(*), SUM(flights) FROM daily_summary";
    let url = "postgresql://analytics:analytics@127.0.0.1/warehouse";
    let psql = ["exec", "-T", "postgres", "psql", "--no-align", "--tuples-only", url, "-c", query];
    let rows = here("docker-compose", &psql)?;
    assert!(rows.contains("|914"), "{rows}");
    let left = run("docker", &["ps", "--all", "--quiet", "--filter", "label=towpath.task=load"])?;
    assert_eq!(left, "");
    Ok(())
}
