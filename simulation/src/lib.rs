//! The whole of Towpath in one process, from one seed: schedulers and workers as they are, on the store in memory,
//! with a queue, a bus and machines that fail, in time that passes only when nobody has anything to do.
//!
//! **Invariant.** Whatever goes wrong is drawn from the seed. Two things are not: in which order tokio wakes those who
//! wait for one watch, and when a file is written; so two plays of a seed may differ in the order of what happens in
//! the same moment.

mod auditor;
mod chance;
mod fleet;
mod gate;
mod people;
mod queue;
mod shape;
mod store;
mod yard;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;
use tokio::time::sleep;
use towpath_backends::bus::MemoryBus;
use towpath_backends::queue::MemoryQueue;
use towpath_backends::store::MemoryStore;

use fleet::{Ground, Kind};
use gate::{Faults, Service, Weather};

/// How long all may take to end once nothing goes wrong any more.
const HEALING: Duration = Duration::from_secs(4 * 3600);
const LOOK: Duration = Duration::from_secs(5);

/// What came of a seed.
#[derive(Debug)]
pub struct Played {
    pub seed: u64,
    /// Of all that happened, in order.
    pub trace: u64,
    pub calls: u64,
    pub crashes: u64,
    pub runs: usize,
    pub attempts: usize,
    /// In simulated time.
    pub took: Duration,
    /// What the auditor found.
    pub wrong: Vec<String>,
    /// If they were asked for.
    pub lines: Vec<String>,
}

/// Plays a seed to its end.
pub fn play(seed: u64, keeps_lines: bool) -> anyhow::Result<Played> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .context("a runtime")?;
    let played = runtime.block_on(run(seed, keeps_lines));
    runtime.shutdown_background();
    played
}

async fn run(seed: u64, keeps_lines: bool) -> anyhow::Result<Played> {
    let dir = tempfile::tempdir()?;
    let draw = chance::Chance::new(seed ^ 0x5eed);
    let mut faults = Faults::default();
    // Some seeds have all of it, some one kind, some none.
    for rate in [
        &mut faults.crash,
        &mut faults.lost_answer,
        &mut faults.lost_message,
        &mut faults.doubled_message,
    ] {
        *rate = if draw.happens(0.7) {
            0.1 * f64::from(u8::try_from(draw.below(20))?) / 100.0
        } else {
            0.0
        };
    }
    faults.lost_message *= 10.0;
    faults.doubled_message *= 10.0;
    let weather = Arc::new(Weather::new(seed, faults, keeps_lines));
    let (end, over) = watch::channel(false);
    let ground = Ground {
        weather: Arc::clone(&weather),
        store: Arc::new(MemoryStore::default()),
        queue: MemoryQueue::default(),
        bus: MemoryBus::default(),
        ids: Arc::default(),
        yard: yard::Yard::new(seed),
        history: Arc::default(),
        dir: dir.path().to_owned(),
        over,
    };
    let mut processes = Vec::new();
    for number in 0..=draw.below(3) {
        processes
            .push(tokio::spawn(ground.clone().keep(format!("scheduler{number}"), Kind::Scheduler)));
    }
    for number in 0..=draw.below(4) {
        processes.push(tokio::spawn(ground.clone().keep(format!("worker{number}"), Kind::Worker)));
    }
    let storms = tokio::spawn(storms(ground.clone()));
    people::work(&ground, 3 + draw.below(12)).await?;
    sleep(weather.chance.between(Duration::ZERO, Duration::from_secs(60))).await;
    storms.abort();
    weather.clear_up();
    weather.note(|| "all faults end".to_owned());
    heal(&ground).await;
    end.send_replace(true);
    for process in processes {
        process.await.context("a process")?;
    }
    let wrong = auditor::audit(&ground).await?;
    let (trace, calls, crashes, lines) = weather.told();
    let (runs, attempts) = (ground.store.every_run().len(), ground.yard.seen().len());
    let took = weather.elapsed();
    Ok(Played { seed, trace, calls, crashes, runs, attempts, took, wrong, lines })
}

/// Services go away and come back; containers are removed by hand.
async fn storms(ground: Ground) {
    let weather = &ground.weather;
    loop {
        sleep(weather.chance.between(Duration::from_secs(5), Duration::from_secs(60))).await;
        let time = weather.chance.between(Duration::from_millis(100), Duration::from_secs(20));
        match weather.chance.below(6) {
            0 => weather.take_away(Service::Store, time),
            1 => weather.take_away(Service::Queue, time),
            2 => weather.take_away(Service::Bus, time),
            3 => weather.take_away(Service::Docker, time),
            4 => ground.yard.remove_any(weather.chance.below(1000)),
            _ => {}
        }
    }
}

/// Waits until every run has ended and nothing runs, or for as long as that may take.
async fn heal(ground: &Ground) {
    let until = ground.weather.elapsed() + HEALING;
    while ground.weather.elapsed() < until {
        sleep(LOOK).await;
        let ended = ground.store.every_run().iter().all(|run| run.state.is_terminal());
        if ended && ground.store.is_settled() && ground.yard.left().is_empty() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All seeds of a range; what the auditor finds is told with the seed that shows it.
    fn check(seeds: std::ops::Range<u64>) {
        let mut crashes = 0;
        for seed in seeds {
            let played = play(seed, false).expect("it plays");
            assert_eq!(played.wrong, Vec::<String>::new(), "towpath-sim {seed} --trace");
            assert!(played.runs > 0 && played.calls > 100, "{played:?}");
            crashes += played.crashes;
        }
        assert!(crashes > 1000, "{crashes} crashes: nothing went wrong");
    }

    #[test]
    fn the_first_seeds_are_well() {
        check(0..500);
    }

    #[test]
    fn the_second_seeds_are_well() {
        check(500..1000);
    }

    #[test]
    fn the_third_seeds_are_well() {
        check(1000..1500);
    }

    #[test]
    fn the_last_seeds_are_well() {
        check(1500..2000);
    }
}
