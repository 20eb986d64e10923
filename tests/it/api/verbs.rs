//! The command line through a server: the same verbs, the same words.

use std::process::{Command, Output};

use super::*;

/// The binary in a place of its own, which knows a server and nothing else.
fn elsewhere(url: &str, token: Option<&str>, home: &Path, args: &[&str]) -> anyhow::Result<Output> {
    let mut command = Command::new(towpath_tests::cluster::binary()?);
    command.args(args).env("TOWPATH_SERVER", url).env("TOWPATH_WAIT", "1").current_dir(home);
    if let Some(token) = token {
        command.env("TOWPATH_TOKEN", token);
    }
    Ok(command.output()?)
}

fn words(output: &Output) -> String {
    let (said, complained) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(said), String::from_utf8_lossy(complained))
}

#[tokio::test]
async fn verbs_say_the_same_through_a_server() -> anyhow::Result<()> {
    let place = Place::make().await?;
    let home = tempfile::tempdir()?;
    std::fs::copy(dags().join("eastern.yaml"), home.path().join("eastern.yaml"))?;
    let (run, file) = (&place.runs["eastern"], home.path().join("eastern.yaml"));
    let run_id = place.ended(run).await?["run_id"].as_str().context("an id")?.to_owned();
    let (named, file) = (format!("eastern/{run_id}"), file.display().to_string());
    let verbs: &[&[&str]] = &[
        &["dag", "list"],
        &["dag", "show", "eastern"],
        &["dag", "plan", &file],
        &["dag", "next-runs", "eastern", "--from", "2026-01-01"],
        &["run", "list"],
        &["run", "list", "--dag", "western", "--limit", "1"],
        &["run", "show", run],
        &["run", "show", &named],
        &["run", "watch", &named],
        &["task", "logs", &named, "a"],
        &["task", "logs", &named, "a", "--follow"],
        &["task", "why", &named, "a"],
        &["task", "render", &named, "a"],
        &["task", "clear", &named, "a", "--dry-run"],
        &["backfill", "list"],
        &["fleet", "list"],
        &["fleet", "drain", "nobody"],
        &["pool", "list"],
        &["asset", "list"],
        &["asset", "events"],
        &["variable", "list"],
        &["connection", "list"],
        &["notification", "list"],
        &["user", "list"],
        &["token", "list"],
        &["audit", "list"],
        &["audit", "export"],
        // What is refused is refused in the same words, too.
        &["run", "show", "nowhere"],
        &["dag", "show", "nothing"],
        &["dag", "trigger", "eastern", "--param", "x=1"],
        &["dag", "trigger", "eastern", "--date", "yesterday"],
        &["task", "logs", &named, "a", "--attempt", "9"],
        &["task", "logs", &named, "zzz"],
    ];
    for verb in verbs {
        let here = place.served.cluster.towpath(verb)?.output()?;
        let there = elsewhere(&place.served.url, Some(place.admin()), home.path(), verb)?;
        ensure!(words(&here) == words(&there), "{verb:?}\n{}\n{}", words(&here), words(&there));
        ensure!(here.status == there.status, "{verb:?}: {} {}", here.status, there.status);
    }
    Ok(())
}

#[tokio::test]
async fn a_server_is_changed_from_elsewhere() -> anyhow::Result<()> {
    let place = Place::make().await?;
    let home = tempfile::tempdir()?;
    let text = "dag: far\ntasks:\n  a: {command: [sh, -c, 'echo from $PWD; exit 3']}\n";
    std::fs::write(home.path().join("far.yaml"), text)?;
    let admin = place.admin();
    let far = |args: &[&str]| elsewhere(&place.served.url, Some(admin), home.path(), args);
    let check = |args: &[&str], code: i32, expected: &str| -> anyhow::Result<()> {
        let output = far(args)?;
        let told = words(&output);
        ensure!(output.status.code() == Some(code) && told.contains(expected), "{args:?}: {told}");
        Ok(())
    };
    check(&["dag", "apply", "far.yaml"], 0, "far deployed")?;
    check(&["dag", "plan", "far.yaml"], 0, "far: unchanged")?;
    check(&["dag", "trigger", "far", "--run-id", "r", "--watch"], 1, "far r")?;
    check(&["task", "logs", "far/r", "a"], 0, "from ")?;
    let logged = words(&far(&["task", "logs", "far/r", "a"])?);
    ensure!(!logged.contains(&home.path().display().to_string()), "a folder from elsewhere");
    check(&["run", "cancel", "far/r"], 2, "r has already ended: failed")?;
    check(&["task", "clear", "far/r", "a"], 0, "1 instances are being cleared")?;
    check(&["dag", "pause", "far"], 0, "far paused")?;
    let range = ["--from", "2026-01-01", "--to", "2026-01-02", "--dry-run"];
    let refused = "eastern has no schedule";
    check(&[&["backfill", "create", "eastern"], &range[..]].concat(), 2, refused)?;
    check(&["pool", "set", "narrow", "2"], 0, "pool narrow has 2 slots")?;
    check(&["variable", "set", "v", "1"], 0, "variable v is set")?;
    check(&["connection", "set", "c", "http://u:p@h"], 0, "connection c is set")?;
    check(&["asset", "materialize", "coal"], 0, "coal is new")?;
    check(&["token", "create", "east-viewer", "--role", "viewer"], 0, "towpath_")?;
    check(&["token", "create", "nobody-at-all"], 2, "there is no user nobody-at-all")?;
    check(&["variable", "get", "v"], 2, "no server gives out what is sealed")?;
    // What runs where the database is finds all of it.
    let listed = place.served.cluster.run(&["pool", "list"])?;
    ensure!(listed.contains("narrow"), "{listed}");
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_with_a_server_is_told_with_its_setting() -> anyhow::Result<()> {
    let place = Place::make().await?;
    let home = tempfile::tempdir()?;
    let url = place.served.url.as_str();
    let viewer = place.tokens["east-viewer"].as_str();
    let stranger = "the token (--token, TOWPATH_TOKEN) is unknown or expired";
    let cases: [(&str, Option<&str>, &[&str], &str); 6] = [
        (url, None, &["dag", "list"], "it wants a token"),
        (url, Some("towpath_x"), &["dag", "list"], stranger),
        ("http://127.0.0.1:1", Some("t"), &["dag", "list"], "TOWPATH_SERVER) did not answer"),
        ("localhost:8080", Some("t"), &["dag", "list"], "is not a URL such as https://"),
        (url, Some(viewer), &["dag", "trigger", "eastern"], "this needs the role operator"),
        (url, Some(viewer), &["dag", "trigger", "western"], "there is no Dag western"),
    ];
    for (url, token, args, expected) in cases {
        let output = elsewhere(url, token, home.path(), args)?;
        let told = words(&output);
        ensure!(output.status.code() == Some(2), "{url} {args:?}: {told}");
        ensure!(told.contains(expected) && told.lines().count() == 1, "{url} {args:?}: {told}");
    }
    ensure!(std::fs::read_dir(home.path())?.next().is_none(), "nothing is made here");
    Ok(())
}
