//! A task under a Docker daemon that is late, answers with errors, and dies in the middle of everything it is asked.

use std::time::Duration;

use towpath_common::state::RunState;
use towpath_tests::ailing::Ailment::{Break, Error};
use towpath_tests::ailing::{Ailing, Plan};
use towpath_tests::cluster::{Addresses, Cluster};
use towpath_tests::docker::{BUSYBOX, busybox_image, containers_of};
use towpath_tests::process::{Process, eventually};

use crate::ports::{addresses, service};

/// One attempt is enough, its container runs once, its outputs and its log are whole, and nothing is left over.
async fn check(plan: Plan, redis: u8) -> anyhow::Result<()> {
    busybox_image()?;
    let cluster = Cluster::new(Addresses {
        redis_url: format!("{}/{redis}", service("REDIS")),
        ..addresses().await?
    })
    .await?;
    let docker = Ailing::start(plan).await?;
    let lane = format!("ailing{}", std::process::id());
    let _scheduler = cluster.scheduler()?;
    let args = ["worker", "--name", "w", "--queues", &lane, "--executor", "docker"];
    let mut worker = cluster.towpath(&args)?;
    worker.env("DOCKER_HOST", &docker.host);
    let _worker = Process::start("worker", &mut worker, cluster.dir())?;
    let script = "echo said; echo n=1 >> $TOWPATH_OUTPUT; sleep 2; echo done";
    let task = format!("image: {BUSYBOX}, queue: {lane}, command: [sh, -c, '{script}']");
    cluster.apply("d", &format!("dag: d\ntasks: {{a: {{{task}}}}}\n"))?;
    let run = cluster.trigger("d", "r").await?;
    let run = cluster.ended(&run, Duration::from_secs(120)).await?;
    let logs = cluster.logs();
    assert_eq!(run.state, RunState::Success, "{logs}");
    assert_eq!(docker.left(), [], "all of it went wrong that was to\n{logs}");
    let records = cluster.store.instances(run.key).await?;
    assert_eq!(records[0].instance.attempt, 1, "{logs}");
    let outputs = cluster.store.outputs(run.key, &["a".parse()?]).await?;
    assert_eq!(outputs[0].outputs["n"], "1", "{logs}");
    let log = cluster.dir().join("logs/dag_id=d/run_id=r/task_id=a/attempt=1.log");
    assert_eq!(std::fs::read_to_string(log)?, "said\ndone\n", "{logs}");
    let installation = cluster.store.installation("unnamed").await?;
    eventually("no container is left over", Duration::from_secs(60), || async {
        Ok(containers_of(&installation)?.is_empty().then_some(()))
    })
    .await
}

#[tokio::test]
async fn that_answers_with_errors() -> anyhow::Result<()> {
    check(
        vec![
            ("POST /containers/create", Error, 2),
            ("PUT /containers/", Error, 2),
            ("GET /images/", Error, 1),
            ("/json", Error, 3),
            ("DELETE /containers/", Error, 1),
        ],
        4,
    )
    .await
}

#[tokio::test]
async fn that_breaks_off_when_it_has_done_what_it_was_asked() -> anyhow::Result<()> {
    check(
        vec![
            ("POST /containers/create", Break, 2),
            ("PUT /containers/", Break, 1),
            ("/start", Break, 1),
            ("/wait", Break, 1),
            ("/archive", Break, 1),
            ("DELETE /containers/", Break, 1),
        ],
        5,
    )
    .await
}
