//! The document, health and metrics.

use super::*;

/// Requests made of the document, sensible and not: no 500, no status, type or body that the document does not name.
#[tokio::test]
async fn no_answer_is_a_surprise() -> anyhow::Result<()> {
    let place = Place::make().await?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the repository")?;
    let tool = root.join("target/schemathesis");
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
    let output = std::process::Command::new("python3")
        .arg(tool.join("bin/schemathesis"))
        .args(["run", &format!("{}/api/v1/openapi.json", place.served.url)])
        .args(["--header", &format!("Authorization: Bearer {}", place.admin())])
        .args(["--phases", "examples,coverage,fuzzing", "--checks", checks])
        .args(["--max-examples", "40", "--generation-deterministic", "--no-color"])
        .args(["--generation-with-security-parameters", "false"])
        // Streams do not end.
        .args(["--exclude-path", "/api/v1/events", "--exclude-path-regex", "log/follow$"])
        .env("PYTHONPATH", &tool)
        .current_dir(place.served.cluster.dir())
        .output()
        .context("python3 cannot be started; tests/install.sh installs schemathesis")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}{complained}");
    ensure!(said.contains("Tested: 5"), "{said}");
    Ok(())
}

/// Every name on the dashboard is one that a role counts.
#[tokio::test]
async fn the_roles_say_how_they_are_and_what_they_count() -> anyhow::Result<()> {
    let place = Place::make().await?;
    let get = |path: &'static str| answer(place.served.request(Method::GET, path));
    ensure!(get("/health/live").await?.status == 200);
    let ready = get("/health/ready").await?;
    ensure!(ready.status == 200 && ready.body["database"]["ready"] == true, "{ready:?}");
    let counted = get("/metrics").await?.text;
    let ended = "towpath_scheduler_task_instances_ended_total{state=\"success\"} 6";
    ensure!(counted.contains(ended), "{counted}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the repository")?;
    let dashboard = std::fs::read_to_string(root.join("docker/grafana/towpath.json"))?;
    let named = dashboard.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let named: Vec<&str> = named.filter(|word| word.starts_with("towpath_")).collect();
    ensure!(named.len() > 8, "{named:?}");
    for name in named {
        ensure!(counted.contains(name), "nobody counts {name}");
    }
    Ok(())
}
