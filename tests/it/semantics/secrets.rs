//! Secrets reach the tasks that ask for them, and nothing else: no table, no message, no log, no answer.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use towpath_common::run::DagRun;
use towpath_common::state::RunState;
use towpath_rendering::{Keyring, Masker};
use towpath_tests::cluster::{Addresses, Cluster};
use towpath_tests::docker::{BUSYBOX, busybox_image, containers_of, run as docker};
use towpath_tests::process::eventually;
use towpath_tests::tap::Tap;

use super::{PATIENCE, Place};
use crate::ports::addresses;

const CANARY: &str = "c4n4ry-5ings/low+er";

/// Every way in which a task can give its secrets away, and one that can be told apart: `WITNESS`.
const LEAKY: &str = r#"
dag: leaky
tasks:
  use:
    environment: {PASSWORD: "{{ conn.db.password }}", TOKEN: "{{ var.value.token }}", URI: "{{ conn.db.get_uri() }}"}
    command:
      - sh
      - -c
      - |
        echo "$PASSWORD $TOKEN $URI" > WITNESS
        echo "log in with $PASSWORD"; echo "$URI" >&2
        printf 'user:%s' "$TOKEN" | base64
        for part in 'c4n4r' 'y-5ings/lo' 'w+er'; do printf '%s' "$part"; sleep 0.05; done; echo
  outputs: {environment: {PASSWORD: "{{ conn.db.password }}"}, command: [sh, -c, 'echo "x=$PASSWORD" >> $TOWPATH_OUTPUT']}
  launch: {command: ["/no/such/{{ conn.db.password }}"], on_failure: [{webhook: {url: "http://127.0.0.1:1/{{ conn.db.password }}"}}]}
  wrong: {command: ["{{ macros.ds_add(conn.db.password, 1) }}"]}
  start: {wait: {trigger_dag: {dag: leaky, params: {x: "{{ conn.db.password }}"}}}}
  unpacked: {environment: {PASSWORD: "{{ var.json.login.password }}"}, command: [sh, -c, 'echo "$PASSWORD"; echo "{\"x\": \"$PASSWORD\"}" >> $TOWPATH_OUTPUT']}
  wait: {wait: {http: {url: "http://127.0.0.1:1/{{ var.value.token }}"}, timeout: 1s, poke_interval: 100ms}}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_canary_is_found_nowhere() -> anyhow::Result<()> {
    let (embedded, tap) = (Place::embedded().await?, Tap::default());
    let own = addresses().await?;
    let tapped = Cluster::new(Addresses {
        database_url: tap.on(&own.database_url).await?,
        rabbitmq_url: tap.on(&own.rabbitmq_url).await?,
        redis_url: tap.on(&own.redis_url).await?,
    });
    let stack = Place::with_roles(tapped.await?, "canary")?;
    for place in [&embedded, &stack] {
        let run = leak(place).await?;
        let witness = std::fs::read_to_string(place.cluster.dir().join("witness"))?;
        assert!(witness.starts_with(&format!("{CANARY} {CANARY} postgres://me:")), "{witness}");
        let log = place.cluster.run(&["task", "logs", "leaky/r", "use"])?;
        let encoded = log.lines().nth(3).unwrap_or_default();
        assert!(log.contains("log in with ***\n") && log.contains("postgres://me:***@"), "{log}");
        assert!(encoded.contains("***") && log.lines().any(|line| line == "***"), "{log}");
        let shown = place.cluster.run(&["task", "render", "leaky/r", "use"])?;
        assert!(shown.contains("PASSWORD=***"), "{shown}");
        let told = place.cluster.run(&["run", "show", "leaky/r"])?;
        assert!(told.contains("its outputs hold a secret"), "{told}");
        let listed = place.cluster.run(&["connection", "get", "db"])?;
        // Of each Dag the latest run is kept, and not exported.
        let later = place.cluster.trigger("leaky", "later").await?;
        place.cluster.ended(&later, PATIENCE).await?;
        let exported = place.cluster.run(&["db", "export", "--days", "0"])?;
        assert!(exported.contains("leaky"), "{exported}");
        let audited = place.cluster.run(&["audit", "list"])?;
        let notified = place.cluster.run(&["notification", "list"])?;
        for text in [
            log,
            shown,
            told,
            listed,
            exported,
            audited,
            notified,
            format!("{:?}", place.states(&run).await?),
        ] {
            assert!(!masker().finds(&text), "{text}");
        }
        std::fs::remove_file(place.cluster.dir().join("witness"))?;
        search(place.cluster.dir())?;
    }
    let passed = String::from_utf8_lossy(&tap.passed()).into_owned();
    assert!(passed.contains("leaky") && passed.contains("v1."), "the tap has seen the traffic");
    assert!(!masker().finds(&passed), "a message or a row held it");
    Ok(())
}

fn masker() -> Masker {
    Masker::new([CANARY])
}

/// Plants the canary and has tasks do all that they can with it.
async fn leak(place: &Place) -> anyhow::Result<DagRun> {
    pipe(
        &place.cluster,
        &["connection", "set", "db"],
        &format!("postgres://me:{}@db/x", "c4n4ry-5ings%2Flow%2Ber"),
    )?;
    pipe(&place.cluster, &["variable", "set", "token"], CANARY)?;
    let login = serde_json::json!({ "user": "me", "password": CANARY }).to_string();
    pipe(&place.cluster, &["variable", "set", "login", "--secret"], &login)?;
    let witness = place.cluster.dir().join("witness");
    place.apply("leaky", &LEAKY.replace("WITNESS", &witness.display().to_string()))?;
    let run = place.run("leaky", "r", &[]).await?;
    assert_eq!(run.state, RunState::Failed);
    let states = [
        "launch failed",
        "outputs failed",
        "start failed",
        "unpacked failed",
        "use success",
        "wait failed",
        "wrong failed",
    ];
    assert_eq!(place.states(&run).await?, states);
    Ok(run)
}

/// Runs a verb with this on its standard input.
fn pipe(cluster: &Cluster, args: &[&str], text: &str) -> anyhow::Result<()> {
    let mut child = cluster.towpath(args)?.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    child.stdin.take().expect("piped").write_all(text.as_bytes())?;
    anyhow::ensure!(child.wait()?.success(), "towpath {args:?}");
    Ok(())
}

/// Everything that the roles have written: databases with their journals, logs, spools.
fn search(dir: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            search(&path)?;
        } else {
            let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
            assert!(!masker().finds(&text), "{} holds it", path.display());
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_key_is_replaced_without_a_break() -> anyhow::Result<()> {
    let place = Place::embedded().await?;
    place.cluster.run(&["variable", "set", "day", "monday"])?;
    place.cluster.run(&["connection", "set", "db", "postgres://me:pw@db/x"])?;
    let (old, new) = (place.cluster.key.clone(), Keyring::generate());
    let with = |keys: &str, args: &[&str]| -> anyhow::Result<(bool, String)> {
        let output = place.cluster.towpath(args)?.env("TOWPATH_ENCRYPTION_KEYS", keys).output()?;
        let text = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8(text)?))
    };
    let (known, words) = with(&new, &["variable", "get", "day"])?;
    assert!(!known && words.contains("was sealed with key"), "{words}");
    let (rotated, words) = with(&format!("{new},{old}"), &["encryption-key", "rotate"])?;
    assert!(rotated && words.starts_with("2 variables and connections"), "{words}");
    assert_eq!(with(&new, &["variable", "get", "day"])?, (true, "monday\n".to_owned()));
    assert!(!with(&old, &["variable", "get", "day"])?.0, "the old key opens nothing any more");
    // The running worker has the old key alone: its task fails with the words that help.
    place.apply("d", "dag: d\ntasks: {a: {command: [echo, '{{ conn.db.host }}']}}\n")?;
    place.run("d", "r", &[]).await?;
    let told = place.cluster.run(&["run", "show", "d/r"])?;
    assert!(
        told.contains("the connection \"db\" cannot be opened: it was sealed with key"),
        "{told}"
    );
    Ok(())
}

/// The password is replaced and the worker killed while a container has the old one: its successor, which writes the log
/// again from the start, still knows what must not be in it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_container_was_given_stays_masked_when_its_worker_dies() -> anyhow::Result<()> {
    busybox_image()?;
    let mut place = Place::stack("adopted").await?;
    let lane = format!("{}-docker", place.lane);
    let worker = ["--queues", lane.as_str(), "--executor", "docker"];
    let first = place.cluster.worker("containers", &worker)?;
    pipe(&place.cluster, &["connection", "set", "db"], "postgres://me:old-password@db/x")?;
    let text = format!(
        "dag: long
tasks:
  t:
    queue: {lane}
    image: {BUSYBOX}
    pull_policy: never
    environment: {{PASSWORD: \"{{{{ conn.db.password }}}}\"}}
    command: [sh, -c, 'echo begin $PASSWORD; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo end $PASSWORD']
"
    );
    place.apply("long", &text)?;
    let run = place.cluster.trigger("long", "r").await?;
    let log = || place.cluster.run(&["task", "logs", "long/r", "t"]).unwrap_or_default();
    eventually("it has begun", PATIENCE, || async { Ok((log() == "begin ***\n").then_some(())) })
        .await?;
    pipe(&place.cluster, &["connection", "set", "db"], "postgres://me:new-password@db/x")?;
    first.kill()?;
    place.processes.push(place.cluster.worker("containers", &worker)?);
    let installation = place.cluster.store.installation("unnamed").await?;
    let containers = containers_of(&installation)?;
    assert_eq!(containers.len(), 1, "{run:?}");
    docker("docker", &["exec", &containers[0], "touch", "/tmp/go"])?;
    assert_eq!(place.ended("long", "r").await?.state, RunState::Success);
    assert_eq!(place.cluster.run(&["task", "logs", "long/r", "t"])?, "begin ***\nend ***\n");
    Ok(())
}

/// The second run sees what the first has passed on, and neither shows what it was given.
#[tokio::test]
async fn the_example_shows_nothing() -> anyhow::Result<()> {
    for place in [Place::embedded().await?, Place::stack("secrets").await?] {
        pipe(&place.cluster, &["variable", "set", "api_token"], CANARY)?;
        pipe(
            &place.cluster,
            &["connection", "set", "warehouse"],
            "postgres://me:sesame-open@db/x",
        )?;
        place.apply_example("secrets")?;
        let mut since = "the beginning";
        for (run, date) in [("one", "2026-01-05T00:00:00Z"), ("two", "2026-01-06T00:00:00Z")] {
            place.run("secrets", run, &["--date", date]).await?;
            let log = place.cluster.run(&["task", "logs", &format!("secrets/{run}"), "load"])?;
            assert_eq!(log, format!("loading into postgres://me:***@db/x since {since}, as ***\n"));
            since = "2026-01-05T00:00:00+00:00";
        }
    }
    Ok(())
}

#[tokio::test]
async fn outputs_are_pulled_across_tasks_runs_and_dags() -> anyhow::Result<()> {
    let place = Place::embedded().await?;
    place.apply(
        "first",
        "dag: first
tasks:
  each: {expand: {over: {n: [1, 2]}}, command: [sh, -c, 'echo rows={{ map.n }}{{ params.digit }} >> $TOWPATH_OUTPUT']}
  maybe: {command: [sh, -c, '[ {{ params.digit }} = 1 ] || exit 0; echo seen={{ ds }} >> $TOWPATH_OUTPUT']}
  last:
    depends_on: [each, maybe]
    command: [sh, -c, \"echo '{{ ti.xcom_pull(task_ids='each', key='rows') | join('+') }} {{ ti.xcom_pull(task_ids='each', key='rows', map_indexes=1) }} {{ ti.xcom_pull('maybe', key='seen', include_prior_dates=True) }} {{ prev_data_interval_end_success }}'\"]
params: {digit: {type: string, default: '1'}}
",
    )?;
    let dated = |date| ["--date", date, "--param", "digit=1"];
    place.run("first", "one", &dated("2026-01-04T00:00:00Z")).await?;
    place.run("first", "two", &["--date", "2026-01-05T00:00:00Z", "--param", "digit=2"]).await?;
    let printed = |run: &str| place.cluster.run(&["task", "logs", run, "last"]);
    assert_eq!(printed("first/one")?, "11+21 21 2026-01-04 None\n");
    assert_eq!(printed("first/two")?, "12+22 22 2026-01-04 2026-01-04 00:00:00+00:00\n");
    place.apply(
        "second",
        "dag: second
tasks: {last: {command: [echo, \"{{ ti.xcom_pull(task_ids='maybe', dag_id='first', key='seen') }} {{ ti.xcom_pull('each', 'first', 'rows', run_id='two') }}\"]}}
",
    )?;
    place.run("second", "r", &["--date", "2026-01-04T00:00:00Z"]).await?;
    assert_eq!(printed("second/r")?, "2026-01-04 ['12', '22']\n");
    Ok(())
}
