//! Nothing is lost: real services, real processes, `kill -9`.
//!
//! Each test runs 200 short tasks and 3 long containers and kills one part of the system while they run.
//! Every command appends a line to a witness file outside Towpath, so that what really ran is known from
//! elsewhere than from the system under test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::Signal;
use towpath_common::run::DagRun;
use towpath_common::state::{RunState, TaskState};
use towpath_tests::cluster::{Addresses, Cluster};
use towpath_tests::docker::{BUSYBOX, busybox_image, containers_of, run};
use towpath_tests::process::{Process, eventually};
use towpath_tests::service::Services;

const SHORT_TASKS: usize = 200;
const LONG_TASKS: usize = 3;
/// Longer than the broker's `consumer_timeout` of ten seconds and than every outage.
const LONG_SECONDS: u32 = 16;
const OUTAGE: Duration = Duration::from_secs(5);
const WITHIN: Duration = Duration::from_secs(150);

/// A cluster with services of its own: a worker for processes and one for containers.
struct Scene {
    services: Services,
    cluster: Cluster,
    scheduler: Option<Process>,
    processes: Option<Process>,
    containers: Option<Process>,
}

impl Scene {
    async fn set() -> anyhow::Result<Self> {
        busybox_image()?;
        let services = Services::start().await?;
        let addresses = Addresses {
            database_url: services.postgres.url(),
            rabbitmq_url: services.rabbitmq.url(),
            redis_url: services.redis.url(),
        };
        let cluster = Cluster::new(addresses).await?;
        let mut scene =
            Self { services, cluster, scheduler: None, processes: None, containers: None };
        scene.scheduler = Some(scene.cluster.scheduler()?);
        scene.start_workers()?;
        Ok(scene)
    }

    fn start_workers(&mut self) -> anyhow::Result<()> {
        self.start_processes()?;
        self.start_containers()
    }

    fn start_processes(&mut self) -> anyhow::Result<()> {
        let short =
            ["--executor", "process", "--queues", "short", "--lease", "6", "--concurrency", "4"];
        self.processes = Some(self.cluster.worker("processes", &short)?);
        Ok(())
    }

    fn start_containers(&mut self) -> anyhow::Result<()> {
        let long = ["--executor", "docker", "--queues", "long", "--lease", "20", "--drain", "1"];
        self.containers = Some(self.cluster.worker("containers", &long)?);
        Ok(())
    }

    fn witness(&self) -> PathBuf {
        self.cluster.dir().join("witness")
    }

    /// Starts the work, and returns when a part of it is done and the containers run.
    async fn begin(&self) -> anyhow::Result<DagRun> {
        self.cluster.apply("work", &dag_file(&self.witness()))?;
        let run = self.cluster.trigger("work", "work").await?;
        eventually("a part is done and the containers run", WITHIN, || async {
            let Ok(records) = self.cluster.store.instances(run.key).await else { return Ok(None) };
            let done = records.iter().filter(|r| r.instance.state == TaskState::Success).count();
            let running = self.long_containers().await?.len();
            Ok((done > 40 && running == LONG_TASKS).then_some(()))
        })
        .await
        .map_err(|error| error.context(self.cluster.logs()))?;
        Ok(run)
    }

    async fn installation(&self) -> anyhow::Result<String> {
        Ok(self.cluster.store.installation("unnamed").await?)
    }

    async fn long_containers(&self) -> anyhow::Result<Vec<String>> {
        containers_of(&self.installation().await?)
    }

    /// Waits for the end, and checks that everything was done, once where that can be had.
    async fn end(self, run: &DagRun, lost_attempts: bool) -> anyhow::Result<()> {
        let run = self.cluster.ended(run, WITHIN).await?;
        let logs = self.cluster.logs();
        assert_eq!(run.state, RunState::Success, "{logs}");
        let records = self.cluster.store.instances(run.key).await?;
        let succeeded = records.iter().filter(|r| r.instance.state == TaskState::Success).count();
        assert_eq!(succeeded, SHORT_TASKS + LONG_TASKS, "{logs}");
        let witnessed = witnessed(&self.witness());
        for record in &records {
            let task = record.task.as_str();
            let attempts = record.instance.attempt;
            let seen = witnessed.get(task).copied().unwrap_or(0);
            if task.starts_with("long") {
                assert_eq!(attempts, 1, "a container outlives its worker\n{logs}");
            } else if !lost_attempts {
                assert_eq!((attempts, seen), (1, 1), "{task} ran once\n{logs}");
            } else {
                // What died with its worker may have spoken before and speaks again.
                assert!(seen >= 1 && seen <= attempts, "{task}: {seen} of {attempts}\n{logs}");
            }
        }
        eventually("no container is left over", Duration::from_secs(20), || async {
            Ok(self.long_containers().await?.is_empty().then_some(()))
        })
        .await?;
        Ok(())
    }
}

/// The short tasks run as processes, the long ones in containers that print as they go.
fn dag_file(witness: &Path) -> String {
    let mut text = String::from("dag: work\ntasks:\n");
    for i in 0..SHORT_TASKS {
        let script = format!("sleep 0.1; echo $TOWPATH_TASK_ID >> {}", witness.display());
        text.push_str(&format!("  short{i:03}: {{queue: short, command: [sh, -c, '{script}']}}\n"));
    }
    for i in 0..LONG_TASKS {
        let script = format!(
            "i=0; while [ $i -lt {LONG_SECONDS} ]; do echo tick $i; sleep 1; i=$((i+1)); done"
        );
        text.push_str(&format!(
            "  long{i}: {{queue: long, image: {BUSYBOX}, pull_policy: never, command: [sh, -c, '{script}']}}\n"
        ));
    }
    text
}

/// How often each task has spoken.
fn witnessed(path: &Path) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for line in std::fs::read_to_string(path).unwrap_or_default().lines() {
        *counts.entry(line.to_owned()).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn the_scheduler_is_killed() -> anyhow::Result<()> {
    let mut scene = Scene::set().await?;
    let run = scene.begin().await?;
    scene.scheduler.take().expect("it runs").kill()?;
    tokio::time::sleep(OUTAGE).await;
    scene.scheduler = Some(scene.cluster.scheduler()?);
    scene.end(&run, false).await
}

#[tokio::test]
async fn the_workers_are_killed_and_containers_are_adopted() -> anyhow::Result<()> {
    let mut scene = Scene::set().await?;
    let run_record = scene.begin().await?;
    let brief =
        format!("{{queue: long, image: {BUSYBOX}, pull_policy: never, command: [sleep, '8']}}");
    scene.cluster.apply("brief", &format!("dag: brief\ntasks: {{t: {brief}}}\n"))?;
    let long = scene.long_containers().await?;
    let brief = scene.cluster.trigger("brief", "brief").await?;
    let label = format!("label=towpath.installation={}", scene.installation().await?);
    let listed = |more: &[&str]| {
        let ps = ["ps", "--filter", &label, "--format", "{{.Names}}"];
        let names = run("docker", &[&ps[..], more].concat())?;
        anyhow::Ok(names.lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let it = eventually("it runs beside them", WITHIN, || async {
        Ok(listed(&[])?.into_iter().find(|name| !long.contains(name)))
    })
    .await?;
    let containers = scene.long_containers().await?;
    scene.processes.take().expect("it runs").kill()?;
    scene.containers.take().expect("it runs").kill()?;
    eventually("it exits while nobody looks", WITHIN, || async {
        Ok(listed(&["--filter", "status=exited"])?.contains(&it).then_some(()))
    })
    .await?;
    assert_eq!(scene.long_containers().await?, containers, "they outlive their worker");
    scene.start_workers()?;
    let brief = scene.cluster.ended(&brief, WITHIN).await?;
    assert_eq!(brief.state, RunState::Success, "{}", scene.cluster.logs());
    assert_eq!(scene.cluster.store.instances(brief.key).await?[0].instance.attempt, 1);
    let log = eventually("the logs are complete", WITHIN, || async {
        let Ok(log) = scene.cluster.run(&["task", "logs", "work", "long0"]) else {
            return Ok(None);
        };
        Ok(log.contains(&format!("tick {}\n", LONG_SECONDS - 1)).then_some(log))
    })
    .await?;
    let expected: String = (0..LONG_SECONDS).map(|i| format!("tick {i}\n")).collect();
    assert_eq!(log, expected, "no line is lost or doubled by the adoption");
    scene.end(&run_record, true).await
}

/// Another worker on the same Docker takes up or removes what was left there.
#[tokio::test]
async fn what_a_worker_has_left_for_ever_its_neighbour_sees_to() -> anyhow::Result<()> {
    let mut scene = Scene::set().await?;
    let run = scene.begin().await?;
    scene.containers.take().expect("it runs").kill()?;
    let neighbour = ["--executor", "docker", "--queues", "long", "--lease", "20"];
    scene.containers = Some(scene.cluster.worker("neighbour", &neighbour)?);
    let ended = scene.cluster.ended(&run, WITHIN).await?;
    assert_eq!(ended.state, RunState::Success, "{}", scene.cluster.logs());
    let left = eventually("no container is left over", Duration::from_secs(60), || async {
        Ok(scene.long_containers().await?.is_empty().then_some(()))
    });
    left.await.with_context(|| scene.cluster.logs())
}

#[tokio::test]
async fn rabbitmq_is_killed() -> anyhow::Result<()> {
    let mut scene = Scene::set().await?;
    let run = scene.begin().await?;
    scene.services.rabbitmq.kill().await?;
    tokio::time::sleep(OUTAGE).await;
    scene.services.rabbitmq.start_again().await?;
    scene.end(&run, false).await
}

#[tokio::test]
async fn redis_falls_silent_and_is_killed() -> anyhow::Result<()> {
    let mut scene = Scene::set().await?;
    let run = scene.begin().await?;
    scene.services.redis.signal(Signal::SIGSTOP)?;
    let task = "{queue: short, command: ['true']}";
    scene.cluster.apply("silent", &format!("dag: silent\ntasks: {{t: {task}}}\n"))?;
    let silent = scene.cluster.trigger("silent", "silent").await?;
    let ended = scene.cluster.ended(&silent, WITHIN).await?;
    assert_eq!(ended.state, RunState::Success, "work is taken and done with nobody told of it");
    scene.services.redis.kill().await?;
    tokio::time::sleep(OUTAGE).await;
    scene.services.redis.start_again().await?;
    scene.end(&run, false).await
}

#[tokio::test]
async fn postgres_is_killed() -> anyhow::Result<()> {
    let mut scene = Scene::set().await?;
    let run = scene.begin().await?;
    scene.services.postgres.kill().await?;
    tokio::time::sleep(OUTAGE).await;
    scene.services.postgres.start_again().await?;
    scene.end(&run, false).await
}

#[tokio::test]
async fn a_cancelled_run_leaves_no_container() -> anyhow::Result<()> {
    let scene = Scene::set().await?;
    let begun = scene.begin().await?;
    let name = scene.long_containers().await?.pop().expect("they run");
    scene.cluster.run(&["run", "cancel", "work"])?;
    let ended = scene.cluster.ended(&begun, WITHIN).await?;
    assert_eq!(ended.state, RunState::Failed);
    eventually("the containers are gone", Duration::from_secs(30), || async {
        Ok(scene.long_containers().await?.is_empty().then_some(()))
    })
    .await?;
    assert!(run("docker", &["inspect", &name]).is_err());
    let ran = witnessed(&scene.witness()).len();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(witnessed(&scene.witness()).len(), ran, "nothing starts after the cancel");
    Ok(())
}

/// What a worker could not report any more its next life reports.
#[tokio::test]
async fn a_report_outlives_its_worker() -> anyhow::Result<()> {
    let mut scene = Scene::set().await?;
    let (begun, go) = (scene.cluster.dir().join("begun"), scene.cluster.dir().join("go"));
    let script = format!(
        "echo t >> {}; while [ ! -e {} ]; do sleep 0.1; done",
        begun.display(),
        go.display()
    );
    let task = format!("{{queue: short, command: [sh, -c, '{script}']}}");
    scene.cluster.apply("brief", &format!("dag: brief\ntasks: {{t: {task}}}\n"))?;
    let brief = scene.cluster.trigger("brief", "brief").await?;
    eventually("it has begun", WITHIN, || async { Ok(begun.exists().then_some(())) }).await?;
    scene.services.postgres.kill().await?;
    std::fs::write(&go, "")?;
    let spool = scene.cluster.dir().join("worker").join("processes").join("spool");
    eventually("its report is kept", WITHIN, || async {
        let kept = std::fs::read_dir(&spool).into_iter().flatten().flatten();
        let mut kept = kept.filter(|entry| entry.path().extension().is_some_and(|e| e == "json"));
        Ok(kept.next().map(drop))
    })
    .await?;
    scene.processes.take().expect("it runs").kill()?;
    // Before its lease is over for those that can ask the database again.
    scene.start_processes()?;
    scene.services.postgres.start_again().await?;
    let ended = scene.cluster.ended(&brief, WITHIN).await?;
    assert_eq!(ended.state, RunState::Success, "{}", scene.cluster.logs());
    let records = scene.cluster.store.instances(brief.key).await?;
    assert_eq!(records[0].instance.attempt, 1, "{}", scene.cluster.logs());
    assert_eq!(witnessed(&begun)["t"], 1);
    Ok(())
}

/// A worker that is told to stop finishes what it runs and takes nothing new; another takes the rest. One whose
/// containers run longer than it may wait leaves them to its next life: an upgrade costs no attempt.
#[tokio::test]
async fn a_worker_drains() -> anyhow::Result<()> {
    let mut scene = Scene::set().await?;
    let run = scene.begin().await?;
    let status = scene.containers.take().expect("it runs").terminate(Duration::from_secs(30))?;
    assert!(status.success(), "{status}");
    scene.start_containers()?;
    let status = scene.processes.take().expect("it runs").terminate(Duration::from_secs(30))?;
    assert!(status.success(), "{status}");
    let on_record = scene.cluster.store.workers().await?;
    assert!(on_record.iter().all(|record| record.worker.as_str() != "processes"), "{on_record:?}");
    let other =
        ["--executor", "process", "--queues", "short", "--lease", "6", "--concurrency", "4"];
    scene.processes = Some(scene.cluster.worker("another", &other)?);
    scene.end(&run, false).await
}
