//! The web UI in a real browser, on the real binary with real runs. What the browser does is in `ui/e2e`; the
//! screenshots are in `target/screenshots`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use towpath_tests::cluster::{Addresses, Cluster};
use towpath_tests::process::{Process, eventually, free_port};
use towpath_tests::served::{Served, make_user};
use towpath_tests::service::Services;

const ADMIN_PASSWORD: &str = "a password of the admin";
const VIEWER_PASSWORD: &str = "a password of the viewer";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_owned()
}

/// A test of the browser at this address.
fn browser(tests: &str, url: &str) -> Command {
    let mut command = Command::new("node");
    command
        .args(["--test", "--test-reporter=spec", tests])
        .current_dir(root().join("ui"))
        .env("TOWPATH_URL", url)
        .env("TOWPATH_SCREENSHOTS", root().join("target/screenshots"))
        .env("TOWPATH_ADMIN_PASSWORD", ADMIN_PASSWORD)
        .env("TOWPATH_VIEWER_PASSWORD", VIEWER_PASSWORD);
    command
}

async fn browse(tests: &str, args: &[&str]) -> anyhow::Result<()> {
    let (own, flights) = (root().join("ui/e2e/dags"), root().join("examples/flights"));
    let served = Served::start(&[&own, &flights], args).await?;
    served.make_user("admin", &["admin"], ADMIN_PASSWORD)?;
    served.make_user("viewer", &["viewer"], VIEWER_PASSWORD)?;
    let mut browser = browser(tests, &served.url);
    browser.env("TOWPATH_DAGS", served.cluster.dir().join("dags"));
    passed(tests, browser)
}

fn passed(tests: &str, mut browser: Command) -> anyhow::Result<()> {
    let output = browser
        .output()
        .context("node cannot be started; the tests of the UI need Node 20 and make ui")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{tests} has failed\n{said}\n{complained}");
    Ok(())
}

#[tokio::test]
async fn people_do_their_work_in_it() -> anyhow::Result<()> {
    browse("e2e/flows.test.mjs", &[]).await
}

#[tokio::test]
async fn people_log_in_through_their_provider() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let address = format!("127.0.0.1:{}", free_port()?);
    let public_url = format!("http://{address}");
    let mut provider = Command::new("node");
    provider.arg("e2e/provider.mjs").current_dir(root().join("ui"));
    provider.env("TOWPATH_PUBLIC_URL", &public_url);
    let _provider = Process::start("provider", &mut provider, dir.path())?;
    let log = dir.path().join("provider.log");
    let issuer = eventually("the provider is there", Duration::from_secs(20), || async {
        let said = std::fs::read_to_string(&log)?;
        Ok(said.lines().find_map(|line| line.strip_prefix("issuer ").map(str::to_owned)))
    })
    .await?;
    let own = ["--listen", &address, "--public-url", &public_url, "--oidc-name", "the works"];
    let party = ["--oidc-issuer", &issuer, "--oidc-client-id", "towpath"];
    let secret = ["--oidc-client-secret", "a secret that both know"];
    let roles = ["--oidc-roles", "platform=admin,analysts=analytics:viewer"];
    browse("e2e/login.test.mjs", &[&own[..], &party, &secret, &roles].concat()).await
}

/// With services of its own, that are killed while somebody looks.
#[tokio::test]
async fn what_is_away_is_told_and_comes_back() -> anyhow::Result<()> {
    let mut services = Services::start().await?;
    let cluster = Cluster::new(Addresses {
        database_url: services.postgres.url(),
        rabbitmq_url: services.rabbitmq.url(),
        redis_url: services.redis.url(),
    })
    .await?;
    let address = format!("127.0.0.1:{}", free_port()?);
    let serve = || cluster.start("api", &["api", "--listen", &address]);
    let api = serve()?;
    let daily = std::fs::read_to_string(root().join("ui/e2e/dags/daily.yaml"))?;
    cluster.apply("daily", &daily)?;
    make_user(&cluster, "admin", &["admin"], ADMIN_PASSWORD)?;
    let signals = tempfile::tempdir()?;
    let hear = |name: &'static str| {
        let path = signals.path().join(name);
        eventually(name, Duration::from_secs(60), move || {
            let heard = path.exists().then_some(());
            async move { Ok(heard) }
        })
    };
    let say = |name: &str| std::fs::write(signals.path().join(name), "");
    let tests = "e2e/outage.test.mjs";
    let mut browser = browser(tests, &format!("http://{address}"));
    browser.env("TOWPATH_SIGNALS", signals.path());
    let looking = tokio::task::spawn_blocking(move || passed(tests, browser));
    let outages = async {
        hear("all-is-well").await?;
        services.postgres.kill().await?;
        say("database-is-away")?;
        hear("seen-without-database").await?;
        services.postgres.start_again().await?;
        say("database-is-back")?;
        hear("seen-with-database").await?;
        api.kill()?;
        say("server-is-away")?;
        hear("seen-without-server").await?;
        let api = serve()?;
        say("server-is-back")?;
        anyhow::Ok(api)
    };
    // It serves until the browser has seen it.
    let serving = outages.await;
    looking.await?.map_err(|error| error.context(cluster.logs()))?;
    serving.map(drop)
}

#[tokio::test]
async fn every_view_is_drawn_accessible_and_fits() -> anyhow::Result<()> {
    browse("e2e/views.test.mjs", &[]).await
}
