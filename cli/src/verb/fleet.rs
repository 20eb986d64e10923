//! `towpath fleet …`.

use towpath_common::id::WorkerName;
use towpath_operations::answer::{Fleet, Worker, WorkerPatch};

use crate::args::{Connection, FleetVerb};
use crate::client::{Client, at};
use crate::outcome::Outcome;

pub async fn run(connection: &Connection, verb: FleetVerb) -> anyhow::Result<Outcome> {
    let client = connection.client().await?;
    match verb {
        FleetVerb::List => list(&client.get(at(&["workers"])).await?),
        FleetVerb::Drain { worker } => {
            set(&client, &worker, true).await?;
            println!("{worker} claims nothing more; what it runs is finished");
        }
        FleetVerb::Resume { worker } => {
            set(&client, &worker, false).await?;
            println!("{worker} claims again");
        }
    }
    Ok(Outcome::Done)
}

async fn set(client: &Client, worker: &WorkerName, draining: bool) -> anyhow::Result<()> {
    client.patch(at(&["workers", worker.as_str()]), &WorkerPatch { draining }).await
}

fn list(fleet: &Fleet) {
    match &fleet.leader {
        Some(leader) => println!("{leader} leads"),
        None => println!("no scheduler leads"),
    }
    println!("{:<24} {:<9} {:>7} {:>6} QUEUES", "WORKER", "STATE", "RUNNING", "SLOTS");
    for worker in &fleet.workers {
        let queues = worker.queues.join(", ");
        let (name, running, slots) = (&worker.worker, worker.running, worker.slots);
        println!("{name:<24} {:<9} {running:>7} {slots:>6} {queues}", state(worker));
    }
}

fn state(worker: &Worker) -> &'static str {
    match (worker.alive, worker.draining, worker.running) {
        (false, _, _) => "silent",
        (true, false, _) => "alive",
        (true, true, 0) => "drained",
        (true, true, _) => "draining",
    }
}
