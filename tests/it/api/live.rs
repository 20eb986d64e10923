//! What changes, as it changes; keys, pages and tags.

use super::*;

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
async fn pages_go_on_where_the_last_ended() -> anyhow::Result<()> {
    let place = Place::make().await?;
    for _ in 0..4 {
        place.trigger("western").await?;
    }
    for name in ["Zoe", "ann", "bob"] {
        let pool = json!({ "slots": 1, "include_deferred": false });
        let event = json!({ "asset": format!("asset/{name}") });
        let asked = [
            (Method::PUT, format!("/users/{name}"), json!({ "roles": { "*": "viewer" } })),
            (Method::PUT, format!("/pools/{name}"), pool),
            (Method::PUT, format!("/variables/{name}"), json!({ "value": "v" })),
            (Method::PUT, format!("/connections/{name}"), json!({ "uri": "http://h" })),
            (Method::POST, "/asset-events".to_owned(), event),
        ];
        for (method, path, body) in asked {
            let done = place.ask("all-admin", method, &path, Some(body)).await?;
            ensure!((200..300).contains(&done.status), "{path}: {done:?}");
        }
    }
    eventually("three assets were made anew", WAIT, || async {
        let events = place.ask("all-admin", Method::GET, "/asset-events", None).await?;
        Ok((events.body["items"].as_array().map(Vec::len) == Some(3)).then_some(()))
    })
    .await?;
    let of_two = ["runs", "users", "tokens", "pools", "variables", "connections", "assets"];
    let of_two = of_two.map(|list| format!("/{list}?limit=2"));
    let of_one = ["/dags?limit=1", "/audit?limit=3", "/asset-events?limit=1"].map(str::to_owned);
    for path in of_two.into_iter().chain(of_one) {
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
    let begun = hear(&mut admin, &mut one, |(name, _, _)| name == "begin").await?;
    ensure!(!begun.1.is_empty(), "{begun:?}");
    let first = place.trigger("eastern").await?;
    // A claim is a worker's doing, and told nevertheless.
    hear(&mut admin, &mut one, |(_, _, data)| {
        let instances = data["instances"].as_array().cloned().unwrap_or_default();
        instances.iter().any(|one| one["task_id"] == "b" && one["state"] == "running")
    })
    .await?;
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
