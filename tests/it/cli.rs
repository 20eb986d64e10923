//! The command line as a user meets it: what it says, and how it ends.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use towpath_tests::cluster::{Cluster, binary};
use towpath_tests::process::eventually;

use crate::ports::{addresses, service};

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn towpath(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary().expect("it is built"));
        command.args(args).current_dir(self.0.path()).env("TOWPATH_LISTEN", "127.0.0.1:0");
        for setting in ["DATABASE_URL", "RABBITMQ_URL", "REDIS_URL", "HOME", "LOG_DIR"] {
            command.env_remove(format!("TOWPATH_{setting}"));
        }
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.towpath(args).output().expect("it runs")
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.0.path().join(name), content).expect("written");
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const HELLO: &str = "dag: hello
params: {who: {type: string, default: world}}
tasks:
  greet: {command: [sh, -c, 'echo hello {{ params.who }} on {{ ds }}; echo rows=3 >> $TOWPATH_OUTPUT']}
  count: {command: [sh, -c, 'test {{ outputs.greet.rows }} = 3'], depends_on: [greet]}
";

#[test]
fn a_file_runs_embedded_and_leaves_nothing() {
    let home = Home::new();
    home.write("hello.yaml", HELLO);
    let output =
        home.run(&["dag", "run", "hello.yaml", "--date", "2013-01-03", "--param", "who=you"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = text(&output.stdout);
    assert!(told.contains("manual__2013-01-03T00:00:00+00:00 success"), "{told}");
    let left: Vec<_> = std::fs::read_dir(home.path()).expect("reads").flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn kept_logs_are_shown_and_a_second_run_has_a_name_of_its_own() {
    let home = Home::new();
    home.write("hello.yaml", HELLO);
    for expected in ["manual__2013-01-03T00:00:00+00:00", "manual__2013-01-03T00:00:00+00:00__2"] {
        let output = home.run(&["dag", "run", "hello.yaml", "--date", "2013-01-03", "--keep"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let output = home.run(&["task", "logs", expected, "greet"]);
        assert_eq!(text(&output.stdout), "hello world on 2013-01-03\n", "{output:?}");
    }
    let listed = text(&home.run(&["run", "list"]).stdout);
    assert_eq!(listed.lines().count(), 3, "{listed}");
    let output = home.run(&["task", "logs", "manual__2013-01-03T00:00:00+00:00", "gret"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("has no task gret; it has: count, greet"));
}

#[test]
fn a_failed_run_exits_with_1_and_tells_why() {
    let home = Home::new();
    home.write(
        "bad.yaml",
        "dag: bad\ntasks:\n  a: {command: [sh, -c, 'echo the reason; exit 3']}\n  b: {command: [x], depends_on: [a]}\n",
    );
    let output = home.run(&["dag", "run", "bad.yaml"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = text(&output.stdout);
    assert!(told.contains("a failed: exit: it exited with code 3"), "{told}");
    assert!(told.contains("    the reason"), "{told}");
}

#[test]
fn a_task_that_runs_too_long_is_stopped_and_retried_by_policy() {
    let home = Home::new();
    home.write(
        "slow.yaml",
        "dag: slow\ntasks:\n  a: {command: [sleep, 600], execution_timeout: 300ms, stop_grace_period: 1s, retries: 1, retry_delay: 100ms}\n",
    );
    let began = Instant::now();
    let output = home.run(&["dag", "run", "slow.yaml", "--keep"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(began.elapsed() < Duration::from_secs(60));
    let told = text(&output.stdout);
    assert!(told.contains("timeout: it ran longer than its execution_timeout of 300ms"), "{told}");
    let list = text(&home.run(&["run", "list"]).stdout);
    let run = list
        .lines()
        .nth(1)
        .and_then(|line| line.split_whitespace().nth(1))
        .expect("a run")
        .to_owned();
    let shown = text(&home.run(&["run", "show", &run]).stdout);
    assert_eq!(shown.lines().filter(|line| line.starts_with("a ")).count(), 2, "{shown}");
}

/// One clear error each, exit code 2, nothing stored.
#[test]
fn what_is_no_dag_file_is_refused_with_its_place() {
    let home = Home::new();
    let bomb: String = (1..=9)
        .map(|i| {
            let inner = vec![format!("*a{}", i - 1); 10].join(",");
            format!("      a{i}: &a{i} [{inner}]\n")
        })
        .collect();
    let cases: [(&str, Vec<u8>, &str); 12] = [
        ("cycle", b"dag: d\ntasks:\n  a: {command: [x], depends_on: [b]}\n  b: {command: [x], depends_on: [a]}\n".to_vec(), ":3:6: the tasks wait for one another in a cycle: a → b → a"),
        ("key", b"dag: d\ntasks: {a: {comand: [x]}}\n".to_vec(), "unknown key \"comand\"; did you mean \"command\"?"),
        ("missing", b"dag: d\ntasks: {a: {command: [x], depends_on: [z]}}\n".to_vec(), "depends on \"z\", which is not there"),
        ("double", b"dag: d\ntasks:\n  a: {command: [x]}\n  a: {command: [x]}\n".to_vec(), ":4:3: the key \"a\" is here twice"),
        ("cron", b"dag: d\nschedule: '99 * * * *'\ntasks: {a: {command: [x]}}\n".to_vec(), ":2:11: \"99 * * * *\" is not a schedule"),
        ("zone", b"dag: d\nschedule: {cron: '@daily', timezone: Mars/Base}\ntasks: {a: {command: [x]}}\n".to_vec(), "\"Mars/Base\" is not an IANA timezone"),
        ("template", b"dag: d\ntasks: {a: {command: ['{{ nothing }}']}}\n".to_vec(), "the variable \"nothing\" is undefined"),
        ("retry", b"dag: d\ntasks: {a: {command: [x], retries: -1}}\n".to_vec(), "retries is -1; it must be 0 or more"),
        ("large", vec![b'#'; 10 << 20], "it has 10485760 bytes"),
        ("utf8", b"dag: \xff\n".to_vec(), ":1:6: it is not valid UTF-8 here"),
        ("bomb", format!("dag: d\nparams:\n  p:\n    default:\n      a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n{bomb}tasks: {{a: {{command: [x]}}}}\n").into_bytes(), "when its aliases are followed"),
        ("empty", Vec::new(), "empty.yaml"),
    ];
    for (name, content, expected) in cases {
        let file = format!("{name}.yaml");
        home.write(&file, content);
        for verb in ["validate", "apply", "run"] {
            let output = home.run(&["dag", verb, &file]);
            let told = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{name}: {told}");
            assert!(told.contains(expected) && told.contains(&file), "{name}: {told}");
            assert_eq!(told.lines().count(), 2, "{name}: one line of error: {told}");
        }
    }
    assert_eq!(text(&home.run(&["dag", "list"]).stdout).lines().count(), 1, "nothing is stored");
}

#[test]
fn params_and_dates_are_checked_before_anything_runs() {
    let home = Home::new();
    home.write(
        "p.yaml",
        "dag: p\nparams: {n: {type: integer}}\ntasks: {a: {command: [\"true\"]}}\n",
    );
    let refuse = |args: &[&str], expected: &str| {
        let output = home.run(&[&["dag", "run", "p.yaml"], args].concat());
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(expected), "{told}");
    };
    refuse(&[], "the param \"n\" has no default; give it with --param n=VALUE");
    refuse(&["--param", "n=x"], "\"x\" is not of type \"integer\"");
    refuse(&["--param", "m=1"], "p has no param \"m\"; it has: n");
    refuse(&["--param", "n=1", "--date", "yesterday"], "is not a date; write 2013-01-31");
    let output = home.run(&["dag", "run", "p.yaml", "--param", "n=1"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// One line that names the service and the setting, exit code 2, within ten seconds.
#[test]
fn a_wrong_service_url_is_told_with_its_setting() {
    let home = Home::new();
    let database = format!("sqlite://{}", home.path().join("x.db").display());
    let (rabbitmq, redis) = (service("RABBITMQ"), service("REDIS"));
    let wrong_account = rabbitmq.replace("guest:guest", "guest:wrong");
    let wrong_database = service("POSTGRES").replace("/postgres", "/nowhere");
    let cases: [(&str, &str, &str, &str); 8] = [
        ("postgres://127.0.0.1:1/x", &rabbitmq, &redis, "TOWPATH_DATABASE_URL"),
        (&wrong_database, &rabbitmq, &redis, "TOWPATH_DATABASE_URL"),
        ("mysql://localhost/x", &rabbitmq, &redis, "TOWPATH_DATABASE_URL"),
        (&database, "amqp://127.0.0.1:1", &redis, "TOWPATH_RABBITMQ_URL"),
        (&database, &wrong_account, &redis, "TOWPATH_RABBITMQ_URL"),
        (&database, "http://localhost", &redis, "TOWPATH_RABBITMQ_URL"),
        (&database, &rabbitmq, "redis://127.0.0.1:1", "TOWPATH_REDIS_URL"),
        (&database, &rabbitmq, "localhost", "TOWPATH_REDIS_URL"),
    ];
    for (database, rabbitmq, redis, setting) in cases {
        let began = Instant::now();
        let output = home
            .towpath(&["scheduler", "--wait", "2", "--database-url", database])
            .args(["--rabbitmq-url", rabbitmq, "--redis-url", redis])
            .env("TOWPATH_LOG", "error")
            .output()
            .expect("it runs");
        let told = text(&output.stderr);
        let case = format!("{database} {rabbitmq} {redis}: {told}");
        assert_eq!(output.status.code(), Some(2), "{case}");
        assert!(told.starts_with("towpath: ") && told.contains(setting), "{case}");
        assert_eq!(told.lines().count(), 1, "{case}");
        assert!(began.elapsed() < Duration::from_secs(10), "{case}");
    }
}

#[test]
fn standalone_serves_until_it_is_told_to_stop() {
    let home = Home::new();
    std::fs::create_dir(home.path().join("dags")).expect("made");
    home.write("dags/hello.yaml", HELLO);
    let tick = "dag: tick\nschedule: '* * * * *'\ntasks: {a: {command: [\"true\"]}}\n";
    home.write("dags/tick.yaml", tick);
    let mut command = home.towpath(&["standalone", "--dags", "dags"]);
    let process = towpath_tests::process::Process::start("standalone", &mut command, home.path());
    let process = process.expect("it starts");
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let listed = text(&home.run(&["dag", "list"]).stdout);
        if listed.contains("hello") {
            break;
        }
        let log = std::fs::read_to_string(home.path().join("standalone.log"));
        assert!(Instant::now() < until, "the Dag is not deployed: {listed}{log:?}");
    }
    let output = home.run(&["dag", "trigger", "hello", "--date", "2013-01-03", "--watch"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    loop {
        let listed = text(&home.run(&["run", "list", "--dag", "tick"]).stdout);
        let ended = |line: &str| line.contains("scheduled__") && line.contains("success");
        if listed.lines().any(ended) {
            break;
        }
        assert!(Instant::now() < until, "the schedule has not fired: {listed}");
    }
    let status = process.terminate(Duration::from_secs(20)).expect("it ends");
    assert!(status.success(), "{status}");
}

/// Docker is away: the worker says so and claims nothing; when it is there, the work is done.
#[tokio::test]
async fn a_worker_without_docker_claims_nothing() -> anyhow::Result<()> {
    let cluster = Cluster::new(addresses().await?).await?;
    let _scheduler = cluster.scheduler()?;
    // A lane of its own: other tests use the same broker.
    let lane = format!("lane{}", std::process::id());
    let args = ["worker", "--name", "w", "--queues", &lane, "--executor", "docker"];
    let mut without = cluster.towpath(&args)?;
    without.env("DOCKER_HOST", "unix:///nowhere.sock");
    let worker = towpath_tests::process::Process::start("worker", &mut without, cluster.dir())?;
    cluster.apply("d", &format!("dag: d\ntasks: {{a: {{queue: {lane}, command: [x]}}}}"))?;
    let run = cluster.trigger("d", "r").await?;
    eventually("the worker says that Docker is away", Duration::from_secs(20), || async {
        let log = std::fs::read_to_string(cluster.dir().join("worker.log"))?;
        Ok(log.contains("Docker is unavailable").then_some(()))
    })
    .await?;
    let records = cluster.store.instances(run.key).await?;
    assert!(records.iter().all(|record| record.instance.worker.is_none()), "{records:?}");
    worker.terminate(Duration::from_secs(20))?;
    let process = ["--queues", lane.as_str(), "--executor", "process"];
    let _worker = cluster.worker("w2", &process)?;
    let ended = cluster.ended(&run, Duration::from_secs(30)).await?;
    assert_eq!(ended.state, towpath_common::state::RunState::Failed, "there is no program x");
    Ok(())
}

/// Pause holds what has not begun; a run keeps the version that it began with.
#[tokio::test]
async fn a_paused_dag_waits_and_a_run_keeps_its_version() -> anyhow::Result<()> {
    let cluster = Cluster::new(addresses().await?).await?;
    let lane = format!("pause{}", std::process::id());
    let _scheduler = cluster.scheduler()?;
    let process = ["--queues", lane.as_str(), "--executor", "process"];
    let _worker = cluster.worker("w", &process)?;
    let dag = |word: &str| {
        format!("dag: d\ndefaults: {{queue: {lane}}}\ntasks: {{a: {{command: [echo, {word}]}}}}")
    };
    cluster.apply("d", &dag("old"))?;
    cluster.run(&["dag", "pause", "d"])?;
    let run = cluster.trigger("d", "r").await?;
    cluster.apply("d", &dag("new"))?;
    let later = cluster.trigger("d", "later").await?;
    assert_ne!(run.version, later.version);
    assert!(
        cluster.store.instances(run.key).await?.is_empty(),
        "nothing starts while it is paused"
    );
    cluster.run(&["dag", "unpause", "d"])?;
    for (run, word) in [(&run, "old\n"), (&later, "new\n")] {
        let ended = cluster.ended(run, Duration::from_secs(30)).await?;
        assert_eq!(ended.state, towpath_common::state::RunState::Success);
        assert_eq!(cluster.run(&["task", "logs", &run.run_id, "a"])?, word);
    }
    Ok(())
}

#[test]
fn what_leads_out_of_a_container_is_deployed_only_where_the_policy_allows_it() {
    let home = Home::new();
    let task =
        "command: [\"true\"], image: x, network: host, mounts: [{source: /data/a, target: /a}]";
    home.write("d.yaml", format!("dag: d\nteam: a\ntasks:\n  t: {{{task}}}\n"));
    let refused = home.run(&["dag", "apply", "d.yaml"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let words = "the task t: network host is not allowed to tasks of team a (container policy)";
    assert!(text(&refused.stderr).contains(words), "{refused:?}");
    home.write("policy.yaml", "teams:\n  a: {networks: [host], mounts: [{sauce: /data}]}\n");
    let policy = ["--container-policy", "policy.yaml"];
    let mistyped = home.run(&[&policy[..], &["dag", "apply", "d.yaml"]].concat());
    assert!(text(&mistyped.stderr).contains("policy.yaml:2:"), "{mistyped:?}");
    home.write("policy.yaml", "teams:\n  a: {networks: [host], mounts: [{source: /data}]}\n");
    let allowed = home.run(&[&policy[..], &["dag", "apply", "d.yaml"]].concat());
    assert_eq!(allowed.status.code(), Some(0), "{allowed:?}");
}

#[tokio::test]
async fn a_home_is_one_process_s_and_other_yaml_may_lie_beside_dag_files() -> anyhow::Result<()> {
    let home = Home::new();
    home.write("hello.yaml", HELLO);
    home.write("compose.yaml", "services: {}\n");
    let start = |name: &str| {
        let mut command = home.towpath(&["standalone", "--dags", ".", "--no-auth"]);
        towpath_tests::process::Process::start(name, &mut command, home.path())
    };
    let said = |name: &str| {
        std::fs::read_to_string(home.path().join(format!("{name}.log"))).unwrap_or_default()
    };
    let _first = start("first")?;
    eventually("it serves", Duration::from_secs(30), || async {
        Ok(said("first").contains("1 DAG files deployed").then_some(()))
    })
    .await?;
    assert!(said("first").contains("compose.yaml: left out"), "{}", said("first"));
    let mut second = start("second")?;
    eventually("the second ends", Duration::from_secs(30), || async {
        Ok(said("second").contains("is in use by another towpath process").then_some(()))
    })
    .await?;
    eventually("it has ended", Duration::from_secs(5), || {
        let ended = second.has_ended();
        async { Ok(ended?.then_some(())) }
    })
    .await
}

#[test]
fn everything_in_one_process_is_on_sqlite() {
    let home = Home::new();
    let mut command = home.towpath(&["standalone"]);
    let output = command.env("TOWPATH_DATABASE_URL", "postgres://nobody@127.0.0.1:1/x").output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stderr).contains("is on SQLite"), "{output:?}");
}

/// A run of long ago with all that is its, one of today, and one that goes on.
#[tokio::test]
async fn what_ended_long_ago_is_shown_kept_and_cleaned_away() -> anyhow::Result<()> {
    for cluster in [Cluster::embedded().await?, Cluster::new(addresses().await?).await?] {
        let is_embedded = cluster.addresses.rabbitmq_url.is_empty();
        let _engine = match is_embedded {
            true => vec![cluster.standalone()?],
            false => vec![cluster.scheduler()?, cluster.worker("w", &["--executor", "process"])?],
        };
        cluster.apply(
            "d",
            "dag: d\ntasks: {a: {command: [sh, -c, 'echo said; echo n=1 >> $TOWPATH_OUTPUT']}}\n",
        )?;
        for run in ["one", "two", "three"] {
            let run = cluster.trigger("d", run).await?;
            cluster.ended(&run, Duration::from_secs(60)).await?;
        }
        let checked = cluster.run(&["db", "check"])?;
        assert!(checked.contains("3  dag_run\n"), "{checked}");
        let logs = |run: &str| cluster.dir().join(format!("logs/dag_id=d/run_id={run}"));
        assert!(logs("one").is_dir() && logs("three").is_dir());
        // Nothing is older than a day; all is older than no day at all.
        assert!(cluster.run(&["db", "clean", "--days", "1"])?.starts_with("0 runs are deleted"));
        let exported = cluster.run(&["db", "export", "--days", "0", "--keep", "2"])?;
        let line: serde_json::Value = serde_json::from_str(exported.trim())?;
        assert_eq!(line["run"]["run_id"], "one", "{exported}");
        assert_eq!(line["instances"][0]["instance"]["instance"]["state"], "success", "{exported}");
        let told = cluster.run(&["db", "clean", "--days", "0", "--keep", "2", "--dry-run"])?;
        assert_eq!(told, "d/one\n1 runs would be deleted, with their logs\n");
        assert!(logs("one").is_dir());
        cluster.run(&["db", "clean", "--days", "0", "--keep", "2"])?;
        assert!(!logs("one").exists() && logs("two").is_dir());
        let left = cluster.run(&["run", "list"])?;
        assert!(!left.contains("one") && left.contains("two") && left.contains("three"), "{left}");
        let checked = cluster.run(&["db", "check"])?;
        for count in ["2  dag_run\n", "2  task_instance\n", "2  xcom\n"] {
            assert!(checked.contains(count), "{count}: {checked}");
        }
    }
    Ok(())
}
