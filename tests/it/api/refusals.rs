//! What is refused, and in which words; and clients that are slow.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

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
    check(get.clone(), "/runs?fields=run_key,colour", None, 400, "no field \"colour\"").await?;
    check(get.clone(), "/runs?sort=colour", None, 400, "is not a RunOrder").await?;
    let either = format!("/runs/{run}/tasks/a/log?first=1&last=1");
    check(get.clone(), &either, None, 400, "either last, or first and count").await?;
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
    check(get.clone(), "/dags?search=%00", None, 400, "NUL character").await?;
    let trigger = "/dags/eastern/runs";
    check(post.clone(), trigger, Some(json!({"run_id": "a\0b"})), 400, "NUL character").await?;
    let whole = json!({"state": "failed", "past": true});
    check(post.clone(), &format!("/runs/{run}/mark"), Some(whole), 400, "without tasks").await?;
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
    let oversized = announced_size(&place, 20 * 1024 * 1024).await?;
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
    let head = format!(
        "POST /api/v1/dags HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {bytes}\r\n\r\n",
        place.admin()
    );
    said_to(place, &head).await
}

/// The beginning of the answer to this and nothing more; empty if the connection is closed.
async fn said_to(place: &Place, text: &str) -> anyhow::Result<String> {
    let address = place.served.url.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.write_all(text.as_bytes()).await?;
    let mut answer = vec![0; 1024];
    let read = tokio::time::timeout(WAIT, stream.read(&mut answer)).await??;
    Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
}

/// Who announces a body, or begins a request, and says no more is not waited for for ever.
#[tokio::test]
async fn slow_clients_are_let_go() -> anyhow::Result<()> {
    let place = Place::make().await?;
    let (body, head, nothing) = tokio::try_join!(
        announced_size(&place, 100),
        said_to(&place, "GET /api/v1/dags HTTP/1.1\r\nHost: local"),
        said_to(&place, "")
    )?;
    ensure!(nothing.is_empty() || nothing.starts_with("HTTP/1.1 408"), "{nothing}");
    ensure!(body.starts_with("HTTP/1.1 400"), "{body}");
    ensure!(head.is_empty() || head.starts_with("HTTP/1.1 408"), "{head}");
    Ok(())
}
