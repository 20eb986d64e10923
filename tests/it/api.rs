//! The API: who may do what, what is refused and in which words, and that no answer is a surprise.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use towpath_tests::process::eventually;
use towpath_tests::served::{Answer, Served, answer};

const PASSWORD: &str = "a password that is long";
const WAIT: Duration = Duration::from_secs(20);

fn dags() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("it/api")
}

/// Users of every role in every place, and a run in each team.
struct Place {
    served: Served,
    tokens: BTreeMap<String, String>,
    /// By Dag.
    runs: BTreeMap<String, String>,
}

const ROLES: [&str; 4] = ["viewer", "operator", "author", "admin"];
/// Where a role is held: in all teams, in the Dag's own, in another.
const HELD: [&str; 3] = ["*", "east", "west"];

impl Place {
    async fn make() -> anyhow::Result<Self> {
        let served = Served::start(&[&dags()], &[]).await?;
        let mut tokens = BTreeMap::new();
        for role in ROLES {
            for team in HELD {
                let name =
                    if team == "*" { format!("all-{role}") } else { format!("{team}-{role}") };
                served.make_user(&name, &[&format!("{team}={role}")], PASSWORD)?;
                tokens.insert(name.clone(), served.token(&name)?);
            }
        }
        let mut place = Self { served, tokens, runs: BTreeMap::new() };
        for dag in ["eastern", "western", "nobodys"] {
            let run = place.trigger(dag).await?;
            place.runs.insert(dag.to_owned(), run);
        }
        Ok(place)
    }

    fn admin(&self) -> &str {
        &self.tokens["all-admin"]
    }

    async fn ask(
        &self,
        who: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Answer> {
        let token = self.tokens.get(who).with_context(|| format!("no user {who}"))?;
        self.served.ask(Some(token), method, path, body.as_ref()).await
    }

    async fn trigger(&self, dag: &str) -> anyhow::Result<String> {
        let path = format!("/dags/{dag}/runs");
        let asked = self.ask("all-admin", Method::POST, &path, Some(json!({}))).await?;
        ensure!(asked.status == 202, "{asked:?}");
        let key = asked.body["run_key"].as_str().context("a key")?.to_owned();
        self.ended(&key).await?;
        Ok(key)
    }

    async fn ended(&self, run: &str) -> anyhow::Result<Value> {
        let path = format!("/runs/{run}");
        eventually("the run has ended", WAIT, || async {
            let found = self.ask("all-admin", Method::GET, &path, None).await?;
            let is_over =
                ["success", "failed"].contains(&found.body["state"].as_str().unwrap_or(""));
            Ok(is_over.then_some(found.body))
        })
        .await
    }
}

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
                    (false, _) if path != "/dags" => ensure!(found.status == 404, "{words}"),
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
            let apart =
                (method == "post" && path.ends_with("/session")) || path.ends_with("/events");
            ensure!(is_among || apart, "{method} {path} is not in the matrix");
        }
    }
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

#[tokio::test]
async fn bad_input_is_told_in_words_that_help() -> anyhow::Result<()> {
    let place = Place::make().await?;
    let run = &place.runs["eastern"];
    let check =
        async |method: Method, path: &str, body: Option<Value>, status: u16, words: &str| {
            let found = place.ask("all-admin", method.clone(), path, body).await?;
            let said = format!("{method} {path}: {} {}", found.status, found.detail());
            ensure!(found.status == status && found.detail().contains(words), "{said}");
            let kind = found.headers.get("content-type").and_then(|value| value.to_str().ok());
            ensure!(kind == Some("application/problem+json"), "{said}: {kind:?}");
            anyhow::Ok(())
        };
    let (get, post, put) = (Method::GET, Method::POST, Method::PUT);
    check(get.clone(), "/dags/nothing", None, 404, "there is no Dag nothing").await?;
    check(get.clone(), "/dags/no%20name", None, 400, "is not allowed").await?;
    check(get.clone(), "/dags/..%2f..%2fetc%2fpasswd", None, 400, "is not allowed").await?;
    check(get.clone(), "/dags?limit=0", None, 400, "between 1 and 1000").await?;
    check(get.clone(), "/dags?colour=red", None, 400, "unknown field `colour`").await?;
    check(get.clone(), "/runs?state=lost", None, 400, "\"lost\" is not a RunState").await?;
    check(get.clone(), "/runs?after=nonsense", None, 400, "not the next of an earlier page")
        .await?;
    check(get.clone(), "/runs/nonsense", None, 400, "UUID").await?;
    check(get.clone(), "/runs/00000000-0000-7000-8000-000000000000", None, 404, "there is no run")
        .await?;
    check(
        get.clone(),
        &format!("/runs/{run}/tasks/nothing"),
        None,
        404,
        "has no task nothing; it has: a",
    )
    .await?;
    check(
        get.clone(),
        &format!("/runs/{run}/tasks/a/log?attempt=7"),
        None,
        404,
        "has no attempt 7",
    )
    .await?;
    check(get.clone(), "/dags/eastern/next-runs?from=tomorrow", None, 400, "is not a date").await?;
    check(get.clone(), "/nothing", None, 404, "/api/v1/openapi.json").await?;
    let trigger = "/dags/eastern/runs";
    check(
        post.clone(),
        trigger,
        Some(json!({"params": {"rows": 0}})),
        400,
        "does not fit its schema",
    )
    .await?;
    check(post.clone(), trigger, Some(json!({"params": {"row": 1}})), 400, "it has: rows").await?;
    check(post.clone(), trigger, Some(json!({"run_id": "../x"})), 400, "cannot be a run's id")
        .await?;
    check(post.clone(), trigger, Some(json!({"when": "now"})), 400, "unknown field `when`").await?;
    check(post.clone(), &format!("/runs/{run}/cancel"), None, 409, "has already ended").await?;
    check(
        post.clone(),
        "/dags",
        Some(json!({"source": "dag: x\nschedule: \"99 * * * *\"\ntasks: {a: {command: [x]}}"})),
        400,
        "DAG file:2",
    )
    .await?;
    check(
        put.clone(),
        "/connections/c",
        Some(json!({"uri": "nonsense"})),
        400,
        "type://login:password@host",
    )
    .await?;
    check(put.clone(), "/users/u", Some(json!({"password": "short"})), 400, "from 10 to").await?;
    let oversized = announced_size(&place, 5 * 1024 * 1024).await?;
    ensure!(oversized.starts_with("HTTP/1.1 413"), "{oversized}");
    let unread = place
        .served
        .request(post.clone(), "/api/v1/dags")
        .bearer_auth(place.admin())
        .body("dag: x");
    ensure!(answer(unread).await?.status == 415);
    let wrong = place.served.request(Method::DELETE, "/api/v1/dags").bearer_auth(place.admin());
    ensure!(answer(wrong).await?.status == 405);
    Ok(())
}

/// The beginning of the answer to a body of so many bytes, of which none is sent.
async fn announced_size(place: &Place, bytes: usize) -> anyhow::Result<String> {
    let address = place.served.url.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let head = format!(
        "POST /api/v1/dags HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {bytes}\r\n\r\n",
        place.admin()
    );
    stream.write_all(head.as_bytes()).await?;
    let mut answer = vec![0; 1024];
    let read = tokio::time::timeout(WAIT, stream.read(&mut answer)).await??;
    Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
}

#[tokio::test]
async fn a_key_makes_asking_twice_asking_once() -> anyhow::Result<()> {
    let place = Place::make().await?;
    let ask = || {
        let request = place.served.request(Method::POST, "/api/v1/dags/western/runs");
        let request = request.bearer_auth(place.admin()).header("Idempotency-Key", "k1");
        answer(request.json(&json!({})))
    };
    let (one, other) = tokio::try_join!(ask(), ask())?;
    ensure!((one.status, other.status) == (202, 202), "{one:?} {other:?}");
    ensure!(one.body["run_key"] == other.body["run_key"], "{one:?} {other:?}");
    place.ended(one.body["run_key"].as_str().context("a key")?).await?;
    let again = ask().await?;
    ensure!(again.body["run_key"] == one.body["run_key"], "{again:?}");
    let runs = place.ask("all-admin", Method::GET, "/runs?dag_id=western", None).await?;
    ensure!(runs.body["items"].as_array().map(Vec::len) == Some(2), "{runs:?}");
    Ok(())
}

#[tokio::test]
async fn sessions_need_their_csrf_token_and_end() -> anyhow::Result<()> {
    let place = Place::make().await?;
    let login = |password: &str| {
        let request = place.served.request(Method::POST, "/api/v1/session");
        answer(request.json(&json!({"user": "all-operator", "password": password})))
    };
    let session = login(PASSWORD).await?;
    ensure!(session.status == 200, "{session:?}");
    let cookie = session.headers["set-cookie"].to_str()?.to_owned();
    ensure!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let cookie = cookie.split(';').next().context("a cookie")?.to_owned();
    let ask = |method: Method, path: &str, csrf: Option<&str>| {
        let request =
            place.served.request(method, &format!("/api/v1{path}")).header("Cookie", &cookie);
        let request = match csrf {
            Some(token) => request.header("X-CSRF-Token", token),
            None => request,
        };
        answer(request.json(&json!({})))
    };
    let csrf = session.body["csrf_token"].as_str().context("a token")?;
    let trigger = "/dags/eastern/runs";
    let without = ask(Method::POST, trigger, None).await?;
    ensure!(without.status == 403 && without.detail().contains("X-CSRF-Token"), "{without:?}");
    ensure!(ask(Method::POST, trigger, Some("guessed")).await?.status == 403);
    ensure!(ask(Method::POST, trigger, Some(csrf)).await?.status == 202);
    ensure!(ask(Method::DELETE, "/session", Some(csrf)).await?.status == 204);
    ensure!(ask(Method::GET, "/dags", None).await?.status == 401);
    // Guessing is slow.
    for _ in 0..5 {
        ensure!(login("a guess").await?.status == 401);
    }
    let limited = login(PASSWORD).await?;
    ensure!(limited.status == 429 && limited.headers.contains_key("retry-after"), "{limited:?}");
    // A disabled user's token opens nothing.
    let body = json!({"disabled": true});
    ensure!(
        place.ask("all-admin", Method::PUT, "/users/all-operator", Some(body)).await?.status == 200
    );
    ensure!(place.ask("all-operator", Method::GET, "/dags", None).await?.status == 401);
    Ok(())
}

#[tokio::test]
async fn changes_are_audited_with_who_and_what() -> anyhow::Result<()> {
    let place = Place::make().await?;
    place
        .ask("east-operator", Method::PATCH, "/dags/eastern", Some(json!({"paused": true})))
        .await?;
    let secret = "the-secret-value";
    let body = json!({"value": secret, "secret": true});
    place.ask("all-author", Method::PUT, "/variables/password", Some(body)).await?;
    let found = place.ask("all-admin", Method::GET, "/audit?subject=dag/eastern", None).await?;
    let entry = &found.body["items"][0];
    let facts =
        json!([entry["who"], entry["action"], entry["team"], entry["before"], entry["after"]]);
    let expected =
        json!(["east-operator", "dag.pause", "east", {"paused": false}, {"paused": true}]);
    ensure!(facts == expected, "{facts}");
    let export = place.ask("all-admin", Method::GET, "/audit/export", None).await?;
    ensure!(
        export.text.contains("variable.set") && !export.text.contains(secret),
        "{}",
        export.text
    );
    let own = place.ask("east-viewer", Method::GET, "/dags/eastern/events", None).await?;
    ensure!(own.body["items"][0]["action"] == "dag.pause", "{own:?}");
    Ok(())
}

#[tokio::test]
async fn pages_go_on_where_the_last_ended() -> anyhow::Result<()> {
    let place = Place::make().await?;
    for _ in 0..4 {
        place.trigger("western").await?;
    }
    for path in ["/runs?limit=2", "/dags?limit=1", "/audit?limit=3"] {
        let whole =
            place.ask("all-admin", Method::GET, &path.replace(char::is_numeric, "9"), None).await?;
        let expected = whole.body["items"].as_array().context("items")?.clone();
        let (mut found, mut after) = (Vec::new(), None::<String>);
        loop {
            let next = after.as_ref().map(|after| format!("&after={after}")).unwrap_or_default();
            let page = place.ask("all-admin", Method::GET, &format!("{path}{next}"), None).await?;
            found.extend(page.body["items"].as_array().context("items")?.clone());
            match page.body["next"].as_str() {
                Some(next) => after = Some(next.to_owned()),
                None => break,
            }
        }
        found.truncate(expected.len());
        ensure!(found == expected, "{path}: {} and {}", found.len(), expected.len());
    }
    Ok(())
}

#[tokio::test]
async fn what_one_has_already_is_not_sent_again() -> anyhow::Result<()> {
    let place = Place::make().await?;
    let first = place.ask("all-viewer", Method::GET, "/dags/eastern/graph", None).await?;
    let tag = first.headers["etag"].to_str()?.to_owned();
    let request = place.served.request(Method::GET, "/api/v1/dags/eastern/graph");
    let again =
        answer(request.bearer_auth(&place.tokens["all-viewer"]).header("If-None-Match", &tag))
            .await?;
    ensure!(again.status == 304 && again.text.is_empty(), "{again:?}");
    Ok(())
}

/// An event's name, id and data.
type Event = (String, String, Value);

/// Reads events until one fits.
async fn hear(
    response: &mut reqwest::Response,
    buffer: &mut String,
    fits: impl Fn(&Event) -> bool,
) -> anyhow::Result<Event> {
    loop {
        while let Some((block, rest)) = buffer.split_once("\n\n") {
            let field = |name: &str| {
                let line = block.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap_or_default().trim().to_owned()
            };
            let data = serde_json::from_str(&field("data:")).unwrap_or(Value::Null);
            let event = (field("event:"), field("id:"), data);
            *buffer = rest.to_owned();
            if fits(&event) {
                return Ok(event);
            }
        }
        let chunk =
            tokio::time::timeout(WAIT, response.chunk()).await.context("nothing was heard")??;
        buffer.push_str(&String::from_utf8(chunk.context("the stream has ended")?.to_vec())?);
    }
}

#[tokio::test]
async fn changes_are_heard_as_they_happen_and_after_a_break() -> anyhow::Result<()> {
    let place = Place::make().await?;
    let watch = async |who: &str, last: Option<&str>| {
        let request = place.served.request(Method::GET, "/api/v1/events");
        let request = request.bearer_auth(&place.tokens[who]);
        let request = match last {
            Some(id) => request.header("Last-Event-ID", id),
            None => request,
        };
        anyhow::Ok(request.send().await?)
    };
    let mut admin = watch("all-viewer", None).await?;
    let mut western = watch("west-viewer", None).await?;
    let (mut one, mut other) = (String::new(), String::new());
    let first = place.trigger("eastern").await?;
    let about = |key: String| {
        move |(name, _, data): &Event| {
            let runs = data["runs"].as_array().cloned().unwrap_or_default();
            let ended = |run: &Value| run["run_key"] == *key && run["state"] == "success";
            name == "changes" && runs.iter().any(ended)
        }
    };
    let (_, place_in_feed, _) = hear(&mut admin, &mut one, about(first)).await?;
    drop(admin);
    let missed = place.trigger("eastern").await?;
    let mut back = watch("all-viewer", Some(&place_in_feed)).await?;
    hear(&mut back, &mut String::new(), about(missed)).await?;
    // Somebody of another team has heard nothing of it.
    let own = place.trigger("western").await?;
    let (_, _, data) = hear(&mut western, &mut other, |(name, _, _)| name == "changes").await?;
    let dags: Vec<&Value> =
        data["runs"].as_array().into_iter().flatten().map(|run| &run["dag_id"]).collect();
    ensure!(dags.iter().all(|dag| **dag == "western") && !dags.is_empty(), "{data} {own}");
    // A place that is not known is a reset.
    let mut lost = watch("all-viewer", Some("1-1")).await?;
    hear(&mut lost, &mut String::new(), |(name, _, _)| name == "reset").await?;
    Ok(())
}

#[tokio::test]
async fn an_open_address_is_for_this_machine_alone() -> anyhow::Result<()> {
    let served = Served::start(&[&dags()], &["--no-auth"]).await?;
    let found = served.ask(None, Method::GET, "/dags", None).await?;
    ensure!(found.status == 200, "{found:?}");
    let elsewhere = served.request(Method::GET, "/api/v1/dags").header("Host", "evil.example");
    ensure!(answer(elsewhere).await?.status == 403);
    let forged = served.request(Method::POST, "/api/v1/dags/eastern/runs").json(&json!({}));
    ensure!(answer(forged).await?.status == 403);
    let mut command =
        served.cluster.towpath(&["standalone", "--no-auth", "--listen", "0.0.0.0:0"])?;
    let refused = command.output()?;
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(
        refused.status.code() == Some(2) && words.contains("loopback address alone"),
        "{words}"
    );
    Ok(())
}

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
