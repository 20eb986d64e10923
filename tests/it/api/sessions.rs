//! Sessions, tokens, and what is audited.

use super::*;

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
    // What a token has opened ends with it, and a session opens no other.
    let token = place
        .ask("all-author", Method::POST, "/tokens", Some(json!({"name": "t", "days": 1})))
        .await?;
    let by_token = |secret: Value| {
        let request = place.served.request(Method::POST, "/api/v1/session");
        answer(request.json(&json!({ "token": secret })))
    };
    let opened = by_token(token.body["secret"].clone()).await?;
    let session =
        opened.headers["set-cookie"].to_str()?.split(';').next().context("a cookie")?.to_owned();
    let look =
        || answer(place.served.request(Method::GET, "/api/v1/dags").header("Cookie", &session));
    ensure!(look().await?.status == 200);
    let secret = session.split_once('=').context("a secret")?.1;
    ensure!(by_token(json!(secret)).await?.status == 401);
    let path = format!("/tokens/{}", token.body["id"].as_str().context("an id")?);
    ensure!(place.ask("all-author", Method::DELETE, &path, None).await?.status == 204);
    ensure!(look().await?.status == 401);
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

#[tokio::test]
async fn a_provider_that_is_not_there_keeps_nobody_out() -> anyhow::Result<()> {
    let own = ["--public-url", "http://127.0.0.1:1"];
    let party = ["--oidc-issuer", "http://127.0.0.1:1", "--oidc-client-id", "towpath"];
    let served = Served::start(&[], &[&own[..], &party].concat()).await?;
    served.make_user("ann", &["viewer"], PASSWORD)?;
    let options = served.ask(None, Method::GET, "/session/options", None).await?;
    ensure!(options.body == json!({"password": true, "provider": "single sign-on"}), "{options:?}");
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let begun = client.get(format!("{}/api/v1/session/provider", served.url)).send().await?;
    let location = begun.headers().get("location").context("a redirect")?;
    ensure!(begun.status() == 303 && location == "/?login=provider_away", "{begun:?}");
    let login = json!({"user": "ann", "password": PASSWORD});
    let inside = served.ask(None, Method::POST, "/session", Some(&login)).await?;
    ensure!(inside.status == 200, "{inside:?}");
    let without = Place::make().await?;
    let refused = without.served.ask(None, Method::GET, "/session/provider", None).await?;
    ensure!(refused.status == 404 && refused.detail().contains("no provider"), "{refused:?}");
    Ok(())
}

#[test]
fn a_provider_that_is_half_set_up_is_refused_at_the_start() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let check = |args: &[&str], expected: &str| -> anyhow::Result<()> {
        let mut command = std::process::Command::new(towpath_tests::cluster::binary()?);
        command.arg("standalone").args(args).env("TOWPATH_LISTEN", "127.0.0.1:0");
        let output = command.current_dir(home.path()).output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(2) && told.contains(expected), "{args:?}: {told}");
        Ok(())
    };
    let own = ["--oidc-client-id", "x", "--public-url", "http://a.example"];
    check(&["--oidc-issuer", "http://b.example"], "--oidc-client-id <ID>")?;
    check(&[&["--oidc-issuer", "no url"], &own[..]].concat(), "the issuer \"no url\"")?;
    check(&[&["--oidc-issuer", "http://b.example", "--no-auth"], &own[..]].concat(), "--no-auth")?;
    check(&["--oidc-roles", "platform=king"], "\"king\" is not a role")
}
