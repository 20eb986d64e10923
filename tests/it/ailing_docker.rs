//! A task under a Docker daemon that is late, answers with errors, and dies in the middle of everything it is asked.

use std::time::Duration;

use towpath_common::run::DagRun;
use towpath_common::state::RunState;
use towpath_tests::ailing::Ailment::{Break, Error, Stall};
use towpath_tests::ailing::{Ailing, Plan};
use towpath_tests::cluster::Cluster;
use towpath_tests::docker::{BUSYBOX, busybox_image, containers_of};
use towpath_tests::process::{Process, eventually};

use crate::ports::addresses;

/// A scheduler, one worker with a lane of its own, and one task for it.
struct Scene {
    cluster: Cluster,
    _scheduler: Process,
    lane: String,
}

impl Scene {
    async fn set() -> anyhow::Result<Self> {
        busybox_image()?;
        let cluster = Cluster::new(addresses().await?).await?;
        let scheduler = cluster.scheduler()?;
        let lane = format!("ailing{}", std::process::id());
        Ok(Self { cluster, _scheduler: scheduler, lane })
    }

    fn worker(&self, docker: &Ailing) -> anyhow::Result<Process> {
        let args = ["worker", "--name", "w", "--queues", &self.lane, "--executor", "docker"];
        let mut worker = self.cluster.towpath(&args)?;
        worker.env("DOCKER_HOST", &docker.host);
        Process::start("worker", &mut worker, self.cluster.dir())
    }

    async fn begin(&self) -> anyhow::Result<DagRun> {
        let script = "echo said; echo n=1 >> $TOWPATH_OUTPUT; sleep 2; echo done";
        let task = format!("image: {BUSYBOX}, queue: {}, command: [sh, -c, '{script}']", self.lane);
        self.cluster.apply("d", &format!("dag: d\ntasks: {{a: {{{task}}}}}\n"))?;
        self.cluster.trigger("d", "r").await
    }

    async fn containers(&self) -> anyhow::Result<Vec<String>> {
        containers_of(&self.cluster.store.installation("unnamed").await?)
    }

    /// One attempt is enough, its container runs once, its outputs and its log are whole, and nothing is left over.
    async fn end(&self, run: &DagRun) -> anyhow::Result<()> {
        let cluster = &self.cluster;
        let run = cluster.ended(run, Duration::from_secs(180)).await?;
        let logs = cluster.logs();
        assert_eq!(run.state, RunState::Success, "{logs}");
        let records = cluster.store.instances(run.key).await?;
        assert_eq!(records[0].instance.attempt, 1, "{logs}");
        let outputs = cluster.store.outputs(run.key, &["a".parse()?]).await?;
        assert_eq!(outputs[0].outputs["n"], "1", "{logs}");
        let log = cluster.dir().join("logs/dag_id=d/run_id=r/task_id=a/attempt=1.log");
        assert_eq!(std::fs::read_to_string(log)?, "said\ndone\n", "{logs}");
        eventually("no container is left over", Duration::from_secs(60), || async {
            Ok(self.containers().await?.is_empty().then_some(()))
        })
        .await
    }
}

async fn check(plan: Plan) -> anyhow::Result<()> {
    let scene = Scene::set().await?;
    let docker = Ailing::start(plan).await?;
    let _worker = scene.worker(&docker)?;
    let run = scene.begin().await?;
    scene.end(&run).await?;
    assert_eq!(docker.left(), [], "all of it went wrong that was to\n{}", scene.cluster.logs());
    Ok(())
}

#[tokio::test]
async fn that_answers_with_errors() -> anyhow::Result<()> {
    check(vec![
        ("POST /containers/create", Error, 2),
        ("PUT /containers/", Error, 2),
        ("GET /images/", Error, 1),
        ("/json", Error, 3),
        ("DELETE /containers/", Error, 1),
    ])
    .await
}

#[tokio::test]
async fn that_breaks_off_when_it_has_done_what_it_was_asked() -> anyhow::Result<()> {
    check(vec![
        ("POST /containers/create", Break, 2),
        ("PUT /containers/", Break, 1),
        ("/start", Break, 1),
        ("/wait", Break, 1),
        ("/archive", Break, 1),
        ("DELETE /containers/", Break, 1),
    ])
    .await
}

#[tokio::test]
async fn that_takes_longer_than_a_lease() -> anyhow::Result<()> {
    check(vec![("POST /containers/create", Stall, 1), ("/start", Stall, 1)]).await
}

/// Its worker dies between the two: the next life of the worker starts what the earlier one has made.
#[tokio::test]
async fn that_makes_a_container_which_nobody_starts() -> anyhow::Result<()> {
    let scene = Scene::set().await?;
    let docker = Ailing::start(vec![("PUT /containers/", Error, u32::MAX)]).await?;
    let worker = scene.worker(&docker)?;
    let run = scene.begin().await?;
    eventually("the container is made", Duration::from_secs(60), || async {
        Ok((!scene.containers().await?.is_empty()).then_some(()))
    })
    .await?;
    worker.kill()?;
    let _worker = scene.worker(&Ailing::start(vec![]).await?)?;
    scene.end(&run).await
}
