//! What a task in a container takes beyond what the container itself takes.

use std::time::Instant;

use anyhow::Context;
use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::StreamExt;

use super::{Person, Table, percentile};
use crate::cluster::Cluster;
use crate::docker::{BUSYBOX, busybox_image};
use towpath_common::id::{Ids, RandomIds};

const REPETITIONS: usize = 15;

pub async fn measure(cluster: &Cluster, table: &mut Table) -> anyhow::Result<()> {
    busybox_image()?;
    let mut floor = Vec::new();
    for _ in 0..REPETITIONS {
        floor.push(cold_container().await?);
    }
    let floor = percentile(&mut floor, 0.5);
    table.add("docker_floor_ms_p50", floor);

    let _scheduler = cluster.start("scheduler", &["scheduler"])?;
    let _worker = cluster.worker("docker", &["--executor", "docker"])?;
    let person = Person { store: cluster.store.clone(), bus: cluster.bus()? };
    let text = format!(
        "dag: c\ntasks: {{t: {{image: {BUSYBOX}, pull_policy: never, command: [\"true\"]}}}}"
    );
    let dag = towpath_dagfile::read("c", text.as_bytes())?;
    person.deploy(&dag).await?;
    let mut tasks = Vec::new();
    for _ in 0..REPETITIONS {
        let run = person.trigger(&dag).await?;
        person.ended(run).await?;
        let records = person.store.instances(run).await?;
        let instance = &records.first().context("a task")?.instance;
        let (start, end) =
            (instance.started_at.context("started")?, instance.ended_at.context("ended")?);
        tasks.push(end.since(start).as_secs_f64() * 1000.0);
    }
    let task = percentile(&mut tasks, 0.5);
    table.add("docker_task_ms_p50", task);
    table.add("docker_overhead_ms_p50", task - floor);
    Ok(())
}

/// Create, start and wait, in milliseconds; the removal is not on a task's way either.
async fn cold_container() -> anyhow::Result<f64> {
    let docker = Docker::connect_with_defaults()?;
    let name = format!("towpath-bench-{}", RandomIds.uuid());
    let body = ContainerCreateBody {
        image: Some(BUSYBOX.to_owned()),
        cmd: Some(vec!["true".to_owned()]),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let began = Instant::now();
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    docker.create_container(Some(options), body).await?;
    let wait = WaitContainerOptionsBuilder::default().condition("next-exit").build();
    let mut exit = docker.wait_container(&name, Some(wait));
    let started = docker.start_container(&name, None);
    let (started, _) = tokio::join!(started, exit.next());
    started?;
    let elapsed = began.elapsed().as_secs_f64() * 1000.0;
    let remove = RemoveContainerOptionsBuilder::default().force(true).build();
    docker.remove_container(&name, Some(remove)).await?;
    Ok(elapsed)
}
