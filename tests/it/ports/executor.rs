//! The executor's contract: process and Docker, which run real commands; and noop, which runs none.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use towpath_common::dag::{Container, PullPolicy};
use towpath_common::id::{AttemptKey, Ids, RandomIds, RunKey, UNMAPPED};
use towpath_common::outcome::{Failure, FailureClass};
use towpath_common::policy::ContainerPolicy;
use towpath_tests::docker::{BUSYBOX, busybox_image, containers_of, run};
use towpath_tests::process::eventually;
use towpath_worker::executor::{
    AttemptSpec, DockerConfig, DockerExecutor, Ended, Execution, Executor, LaunchError,
    NoopExecutor, ProcessExecutor,
};
use towpath_worker::{AttemptLog, log_path};

mod containment;
mod flood;

const LONG: Duration = Duration::from_secs(30);

struct Bench {
    executor: Arc<dyn Executor>,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new(executor: impl FnOnce(&Path) -> Arc<dyn Executor>) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        Self { executor: executor(dir.path()), dir }
    }

    fn spec(&self, script: &str) -> AttemptSpec {
        AttemptSpec {
            attempt: AttemptKey {
                run: RunKey(RandomIds.uuid()),
                task: "a".parse().expect("a name"),
                map_index: UNMAPPED,
                number: 1,
            },
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
            environment: BTreeMap::from([("GREETING".to_owned(), "hello $world".to_owned())]),
            container: Container {
                image: Some(BUSYBOX.to_owned()),
                working_dir: Some("/tmp".to_owned()),
                ..Container::default()
            },
            sealed: None,
            source_dir: None,
        }
    }

    fn log(&self, spec: &AttemptSpec) -> (AttemptLog, std::path::PathBuf) {
        let dag = "d".parse().expect("a name");
        let path = log_path(self.dir.path(), &dag, &spec.attempt.run.to_string(), &spec.attempt);
        (AttemptLog::new(path.clone()), path)
    }

    async fn launch(&self, spec: &AttemptSpec) -> (Box<dyn Execution>, std::path::PathBuf) {
        let (log, path) = self.log(spec);
        self.executor.prepare(None, &spec.container).await.expect("prepared");
        (self.executor.launch(spec, log).await.expect("launched"), path)
    }

    /// Runs a script to its end: how it ended, what it printed, what it passed on.
    async fn run(&self, script: &str) -> (Ended, String, Vec<u8>) {
        let (mut execution, path) = self.launch(&self.spec(script)).await;
        let ended = timeout(LONG, execution.wait()).await.expect("it ends");
        let output = execution.output(100).await.expect("it has outputs");
        execution.remove().await;
        (ended, std::fs::read_to_string(path).unwrap_or_default(), output)
    }
}

fn refusal<T>(answer: Result<T, LaunchError>) -> Failure {
    match answer {
        Err(LaunchError::Refused(failure)) => failure,
        Err(LaunchError::Away(away)) => panic!("{away}"),
        Ok(_) => panic!("it is not refused"),
    }
}

fn exited(code: i64) -> Ended {
    Ended::Exited { code, oom: false }
}

async fn exercise(bench: &Bench) {
    bench.executor.check().await.expect("it can run something");
    codes_and_output_are_told_exactly(bench).await;
    the_command_finds_its_environment_and_folder(bench).await;
    outputs_are_passed_on(bench).await;
    a_stop_is_gentle_first_and_then_is_not(bench).await;
    what_cannot_be_started_says_why(bench).await;
}

async fn codes_and_output_are_told_exactly(bench: &Bench) {
    let (ended, log, _) =
        bench.run("i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done; exit 3").await;
    assert_eq!(ended, exited(3));
    assert_eq!(log, (0..500).map(|i| format!("line {i}\n")).collect::<String>());
    let (ended, log, _) = bench.run("printf out; printf err >&2").await;
    assert_eq!(ended, exited(0));
    assert!(log.contains("out") && log.contains("err"), "{log}");
}

async fn the_command_finds_its_environment_and_folder(bench: &Bench) {
    let (_, log, _) = bench.run("echo \"$GREETING\"; pwd").await;
    assert_eq!(log, "hello $world\n/tmp\n");
}

async fn outputs_are_passed_on(bench: &Bench) {
    let (.., output) =
        bench.run("echo rows=3 >> $TOWPATH_OUTPUT; echo b=c >> $TOWPATH_OUTPUT").await;
    assert_eq!(output, b"rows=3\nb=c\n");
    let (.., output) = bench.run("true").await;
    assert_eq!(output, b"");
    let (.., output) = bench
        .run("i=0; while [ $i -lt 50 ]; do echo 0123456789 >> $TOWPATH_OUTPUT; i=$((i+1)); done")
        .await;
    assert_eq!(output.len(), 101, "one byte more than asked for, so that it shows");
}

async fn a_stop_is_gentle_first_and_then_is_not(bench: &Bench) {
    let gentle = "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    let (ended, log) = stop(bench, gentle, LONG).await;
    assert_eq!(ended, exited(5));
    assert!(log.starts_with("ready\n") && log.ends_with("bye\n"), "{log}");
    let deaf = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
    let (ended, _) = stop(bench, deaf, Duration::from_millis(300)).await;
    assert_eq!(ended, exited(137));
}

/// Starts a script, stops it once it is ready, and waits for its end.
async fn stop(bench: &Bench, script: &str, grace: Duration) -> (Ended, String) {
    let (mut execution, path) = bench.launch(&bench.spec(script)).await;
    let log = || std::fs::read_to_string(&path).unwrap_or_default();
    eventually("it is ready, and its log says so while it runs", LONG, || async {
        Ok(log().contains("ready").then_some(()))
    })
    .await
    .expect("it is ready");
    let began = Instant::now();
    timeout(LONG, execution.stop(grace)).await.expect("stopped");
    let ended = timeout(LONG, execution.wait()).await.expect("it has ended");
    assert!(began.elapsed() < LONG);
    execution.remove().await;
    (ended, log())
}

async fn what_cannot_be_started_says_why(bench: &Bench) {
    let mut spec = bench.spec("true");
    spec.command = vec!["/no/such/program".to_owned()];
    let (log, _) = bench.log(&spec);
    let failure = refusal(bench.executor.launch(&spec, log).await);
    assert_eq!(failure.class, FailureClass::Launch);
    assert!(failure.message.contains("/no/such/program"), "{failure}");
}

#[tokio::test]
async fn process() {
    let bench = Bench::new(|dir| Arc::new(ProcessExecutor::new(dir.join("scratch"))));
    exercise(&bench).await;
    let left = std::fs::read_dir(bench.dir.path().join("scratch")).expect("reads").count();
    assert_eq!(left, 0, "no output file is left");
    a_child_in_the_background_ends_with_its_task(&bench).await;
    let (ended, ..) = bench.run("kill -9 $$").await;
    assert_eq!(ended, exited(137), "128 and the signal's number");
}

async fn a_child_in_the_background_ends_with_its_task(bench: &Bench) {
    let (_, log, _) = bench.run("sleep 600 & echo $!").await;
    let pid = log.trim().to_owned();
    eventually("the child is gone", LONG, || async {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        Ok((stat.is_empty() || stat.contains(") Z ")).then_some(()))
    })
    .await
    .expect("it is gone");
}

fn docker() -> (Bench, String) {
    docker_with(&ContainerPolicy::default())
}

fn docker_with(policy: &ContainerPolicy) -> (Bench, String) {
    busybox_image().expect("an image");
    let installation = format!("test-{}", RandomIds.uuid());
    let bench = Bench::new(|dir| {
        let config = DockerConfig {
            installation: installation.clone(),
            network: "none".into(),
            memory: 64 << 20,
            policy: policy.clone(),
            launches_dir: dir.join("launches"),
        };
        Arc::new(DockerExecutor::new(config).expect("an address"))
    });
    (bench, installation)
}

#[tokio::test]
async fn docker_containers() {
    let (bench, installation) = docker();
    exercise(&bench).await;
    assert_eq!(containers_of(&installation).expect("lists"), Vec::<String>::new());
}

#[tokio::test]
async fn a_container_that_was_left_is_found_and_taken_up_with_its_whole_output() {
    let (bench, installation) = docker();
    let spec = bench.spec("echo one; sleep 1; echo two; exit 4");
    let (execution, path) = bench.launch(&spec).await;
    drop(execution);
    assert_eq!(bench.executor.traces().await.expect("lists"), std::slice::from_ref(&spec.attempt));
    let mut execution = bench
        .executor
        .attach(&spec.attempt, AttemptLog::new(path.clone()))
        .await
        .expect("attached");
    assert_eq!(timeout(LONG, execution.wait()).await.expect("it ends"), exited(4));
    assert_eq!(std::fs::read_to_string(path).expect("a log"), "one\ntwo\n");
    execution.remove().await;
    assert_eq!(containers_of(&installation).expect("lists"), Vec::<String>::new());
}

/// Runs of the same names have the same keys in both.
#[tokio::test]
async fn two_installations_on_one_daemon_leave_one_another_alone() {
    let (one, of_one) = docker();
    let (two, of_two) = docker();
    let spec = one.spec("sleep 60");
    let (first, _) = one.launch(&spec).await;
    let (second, _) = two.launch(&spec).await;
    first.remove().await;
    assert_eq!(containers_of(&of_one).expect("Docker answers"), [""; 0]);
    assert_eq!(containers_of(&of_two).expect("Docker answers").len(), 1);
    assert_eq!(two.executor.traces().await.expect("Docker answers"), [spec.attempt]);
    second.remove().await;
}

#[tokio::test]
async fn limits_and_labels_are_on_the_container() {
    let (bench, installation) = docker();
    let mut spec = bench.spec("sleep 60");
    spec.container = Container {
        cpu_millis: Some(250),
        memory_bytes: Some(32 << 20),
        pids: Some(9),
        user: Some("1234".to_owned()),
        ..spec.container
    };
    spec.sealed = Some("v1.key.text".to_owned());
    let (execution, _) = bench.launch(&spec).await;
    let sealed = bench.executor.sealed(&spec.attempt).await.expect("Docker answers");
    assert_eq!(sealed, spec.sealed, "whoever takes it up can tell its secrets");
    let name = containers_of(&installation).expect("Docker answers").pop().expect("it is there");
    let format = "{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} \
                  {{.Config.User}} {{.HostConfig.NetworkMode}} {{.HostConfig.CapDrop}} \
                  {{.HostConfig.SecurityOpt}} {{index .Config.Labels \"towpath.task\"}}";
    let told = run("docker", &["inspect", "--format", format, &name]).expect("inspects");
    assert_eq!(told, "250000000 33554432 9 1234 none [ALL] [no-new-privileges] a");
    execution.remove().await;
    let sealed = bench.executor.sealed(&spec.attempt).await;
    assert_eq!(sealed.expect("Docker answers"), None, "it is gone");
}

#[tokio::test]
async fn a_task_over_its_memory_limit_is_told_as_such() {
    let (bench, _) = docker();
    let mut spec = bench.spec("tail /dev/zero");
    spec.container.memory_bytes = Some(16 << 20);
    let (mut execution, _) = bench.launch(&spec).await;
    let ended = timeout(LONG, execution.wait()).await.expect("it ends");
    assert_eq!(ended, Ended::Exited { code: 137, oom: true });
    let facts = execution.facts().await.expect("its container is still there");
    assert_eq!((facts.exit_code, facts.oom_killed), (Some(137), true));
    assert_eq!((facts.image.as_str(), facts.memory_limit_bytes), (BUSYBOX, Some(16 << 20)));
    assert!(facts.image_id.starts_with("sha256:"), "{facts:?}");
    execution.remove().await;
}

#[tokio::test]
async fn what_a_container_uses_is_seen_while_it_runs() {
    let (bench, _) = docker();
    let (mut execution, _) = bench.launch(&bench.spec("while :; do :; done")).await;
    let execution = tokio::sync::Mutex::new(&mut execution);
    let used = eventually("its use is seen", LONG, || async {
        let facts = execution.lock().await.facts().await;
        Ok(facts.filter(|facts| facts.memory_peak_bytes > Some(0) && facts.cpu_seconds > Some(0.0)))
    });
    let used = used.await.expect("it is seen");
    assert!(used.memory_peak_bytes < Some(1 << 30) && used.exit_code == Some(0), "{used:?}");
    let execution = execution.into_inner();
    execution.stop(Duration::ZERO).await;
    timeout(LONG, execution.wait()).await.expect("it ends");
    bench.executor.remove(&bench.executor.traces().await.expect("lists")[0]).await;
}

#[tokio::test]
async fn an_image_that_cannot_be_had_is_told_in_the_registrys_words() {
    let (bench, _) = docker();
    let container = |pull_policy| Container {
        image: Some("localhost:1/no/such:image".to_owned()),
        pull_policy,
        ..Container::default()
    };
    for policy in [PullPolicy::Missing, PullPolicy::Always, PullPolicy::Never] {
        let failure = refusal(bench.executor.prepare(None, &container(policy)).await);
        assert_eq!(failure.class, FailureClass::ImagePull, "{failure}");
        assert!(failure.message.contains("localhost:1/no/such:image"), "{failure}");
    }
}

#[tokio::test]
async fn noop_succeeds_at_once_and_leaves_nothing() {
    let bench = Bench::new(|_| Arc::new(NoopExecutor::default()));
    let (ended, log, output) = bench.run("exit 1").await;
    assert_eq!((ended, log.as_str(), output.as_slice()), (exited(0), "", b"".as_slice()));
    assert_eq!(bench.executor.traces().await.expect("lists"), []);
}
