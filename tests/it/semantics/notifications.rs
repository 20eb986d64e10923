//! People are told, by real receivers on loopback that refuse everything once.

use std::process::Command;

use anyhow::Context;
use serde_json::Value;
use towpath_common::notification::NotificationState;
use towpath_common::state::RunState;
use towpath_tests::cluster::Cluster;
use towpath_tests::process::{Process, eventually, free_port};
use towpath_tests::receiver::{Received, Receiver};

use super::{PATIENCE, Place};

const TOLD: &str = r#"
dag: told
on_failure: [{email: {connection: mail, to: ["ops@example.org", "Data <data@example.org>"], body: "{{ dag_run.run_id }} of {{ dag.dag_id }}"}}]
tasks:
  flaky:
    retries: 1
    retry_delay: 100ms
    command: [sh, -c, '[ {{ ti.try_number }} = 2 ]']
    on_retry: [{webhook: {url: "URL/retry"}}]
    on_success: [{slack: {url: "URL/{{ var.value.room }}"}}]
    on_failure: [{slack: {url: "URL/never"}}]
  broken:
    command: [sh, -c, 'exit 7']
    on_failure:
      - webhook:
          url: "URL/broken"
          headers: {Authorization: "Bearer {{ conn.hook.password }}"}
          body: '{"why": "{{ exception }}", "task": "{{ ti.task_id }}"}'
  nothing: {command: [sh, -c, 'exit 99'], on_skipped: [{slack: {url: "URL/skipped", text: "{{ ti.task_id }} had nothing to do"}}]}
"#;

/// A mail server, and the folder that it puts messages in.
fn mail_server(place: &Place, tls: &[&str]) -> anyhow::Result<(Process, u16)> {
    let port = free_port()?;
    let mut server = Command::new("/usr/bin/python3");
    server.args(["-m", "aiosmtpd", "-n", "-l", &format!("127.0.0.1:{port}")]).args(tls);
    server.args(["-c", "aiosmtpd.handlers.Mailbox"]).arg(place.cluster.dir().join("mail"));
    Ok((Process::start("smtp", &mut server, place.cluster.dir())?, port))
}

async fn letters(place: &Place) -> anyhow::Result<Vec<String>> {
    let folder = place.cluster.dir().join("mail/new");
    eventually("a letter comes", PATIENCE, || async {
        let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(None) };
        let letters: Vec<String> =
            entries.flatten().filter_map(|e| std::fs::read_to_string(e.path()).ok()).collect();
        Ok((!letters.is_empty()).then_some(letters))
    })
    .await
}

/// What the receiver has taken, once it is so much.
async fn received(receiver: &Receiver, count: usize) -> anyhow::Result<Vec<Received>> {
    eventually("all are told", PATIENCE, || async {
        let taken = receiver.taken();
        Ok((taken.len() >= count).then_some(taken))
    })
    .await
}

fn at<'a>(received: &'a [Received], path: &str) -> anyhow::Result<&'a Received> {
    let found: Vec<_> = received.iter().filter(|message| message.path == path).collect();
    anyhow::ensure!(found.len() == 1, "{path} was told {} times: {received:?}", found.len());
    Ok(found[0])
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_told_of_what_they_asked_for() -> anyhow::Result<()> {
    for place in [Place::embedded().await?, Place::stack("told").await?] {
        let receiver = Receiver::start().await?;
        let (_server, port) = mail_server(&place, &[])?;
        let uri = format!(
            "smtp://127.0.0.1:{port}?from_email=towpath%40example.org&disable_ssl=true&disable_tls=true"
        );
        place.cluster.run(&["connection", "set", "mail", &uri])?;
        place.cluster.run(&["connection", "set", "hook", "http://:sesame-open@hook"])?;
        place.cluster.run(&["variable", "set", "room", "alerts"])?;
        place.apply("told", &TOLD.replace("URL", &receiver.url))?;
        let run = place.run("told", "r", &[]).await?;
        assert_eq!(run.state, RunState::Failed);
        let told = received(&receiver, 4).await?;
        let retry: Value = serde_json::from_str(&at(&told, "/retry")?.body)?;
        assert_eq!(retry["occasion"], "on_retry");
        assert_eq!((&retry["task_id"], &retry["try_number"]), (&"flaky".into(), &1.into()));
        assert_eq!(retry["failure"]["exit_code"], 1);
        let key = retry["key"].as_str().context("a key")?;
        assert_eq!(at(&told, "/retry")?.headers["idempotency-key"], key);
        let success = &at(&told, "/alerts")?.body;
        assert_eq!(success, r#"{"text":"told r: flaky succeeded (try 2)"}"#);
        let broken = at(&told, "/broken")?;
        assert_eq!(broken.body, r#"{"why": "exit: it exited with code 7", "task": "broken"}"#);
        assert_eq!(broken.headers["authorization"], "Bearer sesame-open");
        assert_eq!(at(&told, "/skipped")?.body, r#"{"text":"nothing had nothing to do"}"#);
        let letters = letters(&place).await?;
        assert_eq!(letters.len(), 1);
        for part in [
            "Subject: told r failed: broken",
            "From: towpath@example.org",
            "r of told",
            "X-Towpath-Key: ",
        ] {
            assert!(letters[0].contains(part), "{part} in {}", letters[0]);
        }
        assert_eq!(receiver.refused(), 4, "each was refused once and came again");
        eventually("all are noted", PATIENCE, || async {
            let kept = place.cluster.store.notifications(None, None, 10).await?;
            let delivered = kept.iter().filter(|(_, s)| s.state == NotificationState::Delivered);
            Ok((kept.len() == 5 && delivered.count() == 5).then_some(()))
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_tells_of_its_failure() -> anyhow::Result<()> {
    let place = Place::embedded().await?;
    let receiver = Receiver::start().await?;
    let (_server, port) = mail_server(&place, &[])?;
    let alerts =
        serde_json::json!({ "conn_type": "http", "password": format!("{}/alerts", receiver.url) });
    let mail = format!(
        "smtp://127.0.0.1:{port}?from_email=towpath%40mail.example&disable_ssl=true&disable_tls=true"
    );
    place.cluster.run(&["connection", "set", "alerts", &alerts.to_string()])?;
    place.cluster.run(&["connection", "set", "mail", &mail])?;
    place.apply_example("notifications")?;
    place.run("notifications", "r", &["--date", "2026-01-05"]).await?;
    let told = received(&receiver, 1).await?;
    let words = r#"{"text":"load of 2026-01-05: exit: it exited with code 1"}"#;
    assert_eq!(at(&told, "/alerts")?.body, words, "the second failure alone is told of");
    assert!(letters(&place).await?[0].contains("notifications r failed: load"));
    Ok(())
}

/// By STARTTLS and by TLS from the start, with the server's certificate checked.
#[tokio::test(flavor = "multi_thread")]
async fn letters_go_over_tls() -> anyhow::Result<()> {
    for (flags, extra) in
        [(["--tlscert", "--tlskey"], "&disable_ssl=true"), (["--smtpscert", "--smtpskey"], "")]
    {
        let cluster = Cluster::embedded().await?;
        let (cert, key) = (cluster.dir().join("cert.pem"), cluster.dir().join("key.pem"));
        let (cert, key) = (cert.display().to_string(), key.display().to_string());
        let made = Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mail",
            ])
            .args([
                "-addext",
                "subjectAltName=IP:127.0.0.1",
                "-addext",
                "basicConstraints=CA:FALSE",
            ])
            .args(["-keyout", &key, "-out", &cert])
            .output()?;
        anyhow::ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut role = cluster.towpath(&["standalone"])?;
        let process =
            Process::start("standalone", role.env("SSL_CERT_FILE", &cert), cluster.dir())?;
        let place = Place { cluster, processes: vec![process], lane: "default".to_owned() };
        let (_server, port) = mail_server(&place, &[flags[0], &cert, flags[1], &key])?;
        let uri = format!("smtp://127.0.0.1:{port}?from_email=a%40example.org{extra}");
        place.cluster.run(&["connection", "set", "mail", &uri])?;
        place.apply(
            "tls",
            "dag: tls\non_success: [{email: {connection: mail, to: [b@example.org]}}]\ntasks: {a: {empty: true}}\n",
        )?;
        place.run("tls", "r", &[]).await?;
        assert!(letters(&place).await?[0].contains("tls r succeeded"));
    }
    Ok(())
}

/// A deadline is told of though its run never began and the scheduler was killed before it came.
#[tokio::test(flavor = "multi_thread")]
async fn a_missed_deadline_is_told_of_once() -> anyhow::Result<()> {
    let mut place = Place::embedded().await?;
    let receiver = Receiver::start().await?;
    let gate = place.cluster.dir().join("gate");
    let text = "
dag: late
max_active_runs: 1
deadlines:
  - {reference: queued_at, interval: 2s, notify: [{slack: {url: 'URL/{{ run_id }}'}}]}
  - {reference: logical_date, interval: 10y, notify: [{slack: {url: 'URL/never'}}]}
  - {reference: started_at, interval: 1s, notify: [{slack: {url: 'URL/started-{{ run_id }}'}}]}
tasks: {a: {wait: {file: GATE, poke_interval: 100ms}}}
";
    let text = text.replace("URL", &receiver.url).replace("GATE", &gate.display().to_string());
    place.apply("late", &text.replace("10y", "3650d"))?;
    for run in ["one", "two"] {
        place.cluster.trigger("late", run).await?;
    }
    for process in place.processes.drain(..) {
        process.kill()?;
    }
    assert!(receiver.taken().is_empty(), "nothing was late yet");
    place.processes.push(place.cluster.start("again", &["standalone"])?);
    let told = received(&receiver, 3).await?;
    at(&told, "/one")?;
    at(&told, "/started-one")?;
    let two = at(&told, "/two")?;
    assert_eq!(two.body, r#"{"text":"late two has missed its deadline; it is queued"}"#);
    std::fs::write(&gate, "")?;
    for run in ["one", "two"] {
        assert_eq!(place.ended("late", run).await?.state, RunState::Success);
    }
    assert!(receiver.taken().iter().all(|message| message.path != "/never"));
    Ok(())
}

/// A hundred messages to somebody who takes the connection and never answers; one behind them to somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn one_who_does_not_answer_holds_up_nobody_else() -> anyhow::Result<()> {
    let place = Place::embedded().await?;
    let receiver = Receiver::start().await?;
    let mute = std::net::TcpListener::bind("127.0.0.1:0")?;
    let numbers: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let text = "dag: mute
params: {n: {type: array, default: [NUMBERS]}}
tasks:
  many: {expand: {over: {n: {param: n}}}, empty: true, on_success: [{slack: {url: 'http://MUTE/'}}]}
  one: {depends_on: [many], empty: true, on_success: [{slack: {url: 'URL/one'}}]}
";
    let text = text
        .replace("NUMBERS", &numbers.join(", "))
        .replace("MUTE", &mute.local_addr()?.to_string())
        .replace("URL", &receiver.url);
    place.apply("mute", &text)?;
    place.run("mute", "r", &[]).await?;
    at(&received(&receiver, 1).await?, "/one")?;
    eventually("it is noted, and the others still wait", PATIENCE, || async {
        let kept = place.cluster.store.notifications(None, None, 200).await?;
        let delivered = kept.iter().filter(|(_, s)| s.state == NotificationState::Delivered);
        Ok((kept.len() == 101 && delivered.count() == 1).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_delivered_stays_with_the_reason() -> anyhow::Result<()> {
    let place = Place::embedded().await?;
    place.apply(
        "d",
        "dag: d
on_success: [{slack: {url: 'http://127.0.0.1:1/'}}, {email: {connection: none, to: [a@b.c]}}]
tasks: {a: {empty: true, on_success: [{webhook: {url: 'http://{{ conn.none.host }}/'}}]}}
",
    )?;
    place.run("d", "r", &[]).await?;
    let listed = eventually("all were tried", PATIENCE, || async {
        let listed = place.cluster.run(&["notification", "list"])?;
        Ok((listed.matches("waiting").count() == 3 && !listed.contains(" 0 ")).then_some(listed))
    })
    .await?;
    for words in ["Connection refused", "there is no connection \"none\"", "undefined"] {
        assert!(listed.contains(words), "{words} in {listed}");
    }
    Ok(())
}
