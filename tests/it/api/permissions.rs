//! Every endpoint, by every role, held everywhere, in the team and in another.

use super::*;

/// What an endpoint needs: the lowest role, and whether the team's own suffices.
enum Needs {
    /// In the team of the Dag; who may not see the Dag does not learn that it is there.
    InTeam(usize),
    /// In all teams.
    Everywhere(usize),
    /// Anywhere.
    Any,
}

fn endpoints(run: &str, version: &str) -> Vec<(Method, String, Option<Value>, Needs)> {
    use Needs::{Any, Everywhere, InTeam};
    let (get, post, put, patch, delete) =
        (Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE);
    let nobody = "00000000-0000-7000-8000-000000000000";
    let source = "dag: eastern\nteam: east\ntasks: {a: {command: [\"true\"]}}\n";
    let backfill =
        json!({"dag_id": "eastern", "from": "2026-01-01", "to": "2026-01-02", "dry_run": true});
    let mut all = vec![
        (get.clone(), "/session".into(), None, Any),
        (get.clone(), "/dags".into(), None, Any),
        (post.clone(), "/dags".into(), Some(json!({ "source": source })), InTeam(2)),
        (post.clone(), "/dag-plans".into(), Some(json!({ "source": source })), InTeam(2)),
        (patch.clone(), "/dags/eastern".into(), Some(json!({"paused": false})), InTeam(1)),
        (post.clone(), "/dags/eastern/runs".into(), Some(json!({})), InTeam(1)),
        (get.clone(), "/runs".into(), None, Any),
        (get.clone(), "/live-instances?state=running".into(), None, Any),
        (post.clone(), format!("/runs/{run}/clear"), Some(json!({"dry_run": true})), InTeam(1)),
        (
            post.clone(),
            format!("/runs/{run}/mark"),
            Some(json!({"state": "success", "dry_run": true})),
            InTeam(1),
        ),
        (post.clone(), "/backfills".into(), Some(backfill), InTeam(1)),
        (get.clone(), "/backfills".into(), None, Any),
        (get.clone(), "/workers".into(), None, Any),
        (patch.clone(), "/workers/w".into(), Some(json!({"draining": true})), Everywhere(1)),
        (get.clone(), "/pools".into(), None, Any),
        (put.clone(), "/pools/p".into(), Some(json!({"slots": 3})), Everywhere(1)),
        (delete.clone(), "/pools/p".into(), None, Everywhere(1)),
        (get.clone(), "/assets".into(), None, Any),
        (get.clone(), "/asset-events".into(), None, Any),
        (post.clone(), "/asset-events".into(), Some(json!({"asset": "a"})), Everywhere(1)),
        (get.clone(), "/notifications".into(), None, Any),
        (get.clone(), "/variables".into(), None, Any),
        (put.clone(), "/variables/v".into(), Some(json!({"value": "1"})), Everywhere(2)),
        (delete.clone(), "/variables/v".into(), None, Everywhere(2)),
        (get.clone(), "/connections".into(), None, Any),
        (put.clone(), "/connections/c".into(), Some(json!({"uri": "http://a:b@c"})), Everywhere(2)),
        (delete.clone(), "/connections/c".into(), None, Everywhere(2)),
        (get.clone(), "/audit".into(), None, Everywhere(3)),
        (get.clone(), "/audit/export".into(), None, Everywhere(3)),
        (get.clone(), "/users".into(), None, Everywhere(3)),
        (
            put.clone(),
            "/users/somebody".into(),
            Some(json!({"roles": {"east": "viewer"}})),
            Everywhere(3),
        ),
        (delete.clone(), "/users/somebody".into(), None, Everywhere(3)),
        (get.clone(), "/tokens".into(), None, Any),
        (post.clone(), "/tokens".into(), Some(json!({"name": "t", "days": 1})), Any),
        (delete.clone(), format!("/tokens/{nobody}"), None, Any),
        (get.clone(), format!("/backfills/{nobody}"), None, Any),
        (get.clone(), format!("/backfills/{nobody}/runs"), None, Any),
        (patch.clone(), format!("/backfills/{nobody}"), Some(json!({"state": "paused"})), Any),
        (post.clone(), format!("/runs/{run}/cancel"), None, InTeam(1)),
        (delete.clone(), "/session".into(), None, Any),
    ];
    let version = format!("/versions/{version}");
    for path in ["", "/versions", &version, "/graph", "/grid", "/next-runs", "/events"] {
        all.push((get.clone(), format!("/dags/eastern{path}"), None, InTeam(0)));
    }
    for path in [
        "",
        "/tasks",
        "/tasks/a",
        "/tasks/a/why",
        "/tasks/a/rendered",
        "/tasks/a/log",
        "/tasks/a/log/search?text=x",
        "/tasks/a/log/download",
        "/tasks/a/log/follow",
    ] {
        all.push((get.clone(), format!("/runs/{run}{path}"), None, InTeam(0)));
    }
    all
}

/// Every endpoint, by every role, held everywhere, in the Dag's team and in another.
#[tokio::test]
async fn roles_hold_in_their_teams_and_nowhere_else() -> anyhow::Result<()> {
    let place = Place::make().await?;
    let run = place.runs["eastern"].clone();
    let found = place.ask("all-admin", Method::GET, "/dags/eastern", None).await?;
    let version = found.body["version"].as_str().context("a version")?.to_owned();
    let all = endpoints(&run, &version);
    every_endpoint_is_among(&place, &all).await?;
    for (method, path, body, needs) in &all {
        for (rank, role) in ROLES.iter().enumerate() {
            for team in HELD {
                let who =
                    if team == "*" { format!("all-{role}") } else { format!("{team}-{role}") };
                let found = place.ask(&who, method.clone(), path, body.clone()).await?;
                let (may_see, may) = match needs {
                    Needs::InTeam(least) => (team != "west", team != "west" && rank >= *least),
                    Needs::Everywhere(least) => (true, team == "*" && rank >= *least),
                    Needs::Any => (true, true),
                };
                let words = format!("{who} {method} {path}: {} {}", found.status, found.detail());
                match (may_see, may) {
                    // What is not there is not there for an admin either.
                    (_, true) => ensure!(![401, 403].contains(&found.status), "{words}"),
                    // A Dag is deployed into a team that one knows by its name.
                    (false, _) if !path.starts_with("/dag-plans") && path != "/dags" => {
                        ensure!(found.status == 404, "{words}");
                    }
                    _ => ensure!(found.status == 403, "{words}"),
                }
                ensure!(found.status < 500, "{words}");
            }
        }
        let stranger = place.served.ask(None, method.clone(), path, body.as_ref()).await?;
        ensure!(stranger.status == 401, "a stranger {method} {path}: {}", stranger.status);
    }
    Ok(())
}

/// The matrix leaves no endpoint of the document out.
async fn every_endpoint_is_among(
    place: &Place,
    all: &[(Method, String, Option<Value>, Needs)],
) -> anyhow::Result<()> {
    let document = place.served.ask(None, Method::GET, "/openapi.json", None).await?.body;
    let shape = |path: &str| -> Vec<String> {
        path.split('?').next().unwrap_or(path).split('/').map(str::to_owned).collect()
    };
    for (path, operations) in document["paths"].as_object().context("paths")? {
        let documented = shape(path.trim_start_matches("/api/v1"));
        for method in operations.as_object().context("operations")?.keys() {
            let fits =
                |(asked, there): (&String, &String)| there.starts_with('{') || asked == there;
            let is_among = all.iter().any(|(known, asked, _, _)| {
                let asked = shape(asked);
                known.as_str().eq_ignore_ascii_case(method)
                    && asked.len() == documented.len()
                    && asked.iter().zip(&documented).all(fits)
            });
            // Whoever logs in is nobody yet; who watches hears what they may see.
            let apart = path.contains("/session/")
                || (method == "post" && path.ends_with("/session"))
                || path.ends_with("/events");
            ensure!(is_among || apart, "{method} {path} is not in the matrix");
        }
    }
    Ok(())
}

#[tokio::test]
async fn lists_are_sorted_and_as_wide_as_was_asked_for() -> anyhow::Result<()> {
    let place = Place::make().await?;
    let listed = async |path: &str| -> anyhow::Result<Value> {
        Ok(place.ask("all-admin", Method::GET, path, None).await?.body["items"].clone())
    };
    let run = place.runs["western"].as_str();
    let found = listed("/runs?dag_id=western&fields=run_key,state").await?;
    ensure!(found == json!([{ "run_key": run, "state": "success" }]), "{found}");
    let found = listed(&format!("/runs/{run}/tasks?fields=state")).await?;
    ensure!(found[0] == json!({ "state": "success" }), "{found}");
    let found = listed("/dags?search=west&fields=dag_id").await?;
    ensure!(found == json!([{ "dag_id": "western" }]), "{found}");
    let first = listed("/runs?sort=queued_at&fields=dag_id").await?;
    let last = listed("/runs?fields=dag_id").await?;
    let reversed: Vec<&Value> = last.as_array().context("runs")?.iter().rev().collect();
    let first: Vec<&Value> = first.as_array().context("runs")?.iter().collect();
    ensure!(first == reversed && first.len() == 3, "{first:?} {last}");
    Ok(())
}

/// A Dag's events are those of its runs, too, and of no other's.
#[tokio::test]
async fn a_dags_events_are_those_of_its_runs_too() -> anyhow::Result<()> {
    let place = Place::make().await?;
    let run = place.runs["eastern"].as_str();
    let clear = format!("/runs/{run}/clear");
    place.ask("all-operator", Method::POST, &clear, Some(json!({}))).await?;
    let found = place.ask("east-viewer", Method::GET, "/dags/eastern/events", None).await?;
    let items = found.body["items"].as_array().context("events")?;
    let events: Vec<(&str, &str)> = items
        .iter()
        .map(|e| (e["action"].as_str().unwrap_or(""), e["dag_id"].as_str().unwrap_or("")))
        .collect();
    let expected = ["task.clear", "run.trigger", "dag.deploy"].map(|action| (action, "eastern"));
    ensure!(events == expected, "{events:?}");
    Ok(())
}

#[tokio::test]
async fn lists_hold_only_what_one_may_see() -> anyhow::Result<()> {
    let place = Place::make().await?;
    let names = |answer: &Answer| -> Vec<String> {
        let items = answer.body["items"].as_array().cloned().unwrap_or_default();
        let mut names: Vec<String> =
            items.iter().filter_map(|item| item["dag_id"].as_str()).map(str::to_owned).collect();
        names.sort();
        names
    };
    for path in ["/dags", "/runs"] {
        let check = async |who: &str, expected: &[&str]| {
            let found = place.ask(who, Method::GET, path, None).await?;
            ensure!(names(&found) == expected, "{who} {path}: {:?}", names(&found));
            anyhow::Ok(())
        };
        check("all-viewer", &["eastern", "nobodys", "western"]).await?;
        check("east-admin", &["eastern"]).await?;
        check("west-viewer", &["western"]).await?;
    }
    Ok(())
}
