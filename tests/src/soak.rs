//! Hours of work under blows: real services, real processes, and a driver that strikes one of them every
//! one to three seconds. At the end everything is healed, and what was done is compared with a witness file outside
//! Towpath.
//!
//! The seed draws the blows and their order; what they meet is up to the machine.

mod blow;
mod namespace;
mod stage;
mod verdict;
mod work;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context;

pub use blow::Blow;
use blow::Struck;
use stage::Stage;
pub use verdict::Figures;
use work::Round;

/// How long the work may take after everything is healed.
const HEALED_WITHIN: Duration = Duration::from_secs(300);
/// The pauses between two blows.
const PAUSES: std::ops::Range<f64> = 1.0..3.0;
/// Between two looks at what is to be done.
const PASS: Duration = Duration::from_millis(100);

#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    /// How long it is struck; the end comes in its own time.
    pub duration: Duration,
    /// What it is struck with.
    pub blows: Vec<Blow>,
}

/// Fails with all that is wrong in the end.
pub async fn run(plan: &Plan) -> anyhow::Result<Figures> {
    let mut chance = fastrand::Rng::with_seed(plan.seed);
    let mut stage = Stage::set().await?;
    let began = Instant::now();
    work::deploy(&stage)?;
    let mut rounds = vec![Round::new(0)];
    let mut blows: BTreeMap<Blow, u32> = BTreeMap::new();
    let mut struck: Vec<Struck> = Vec::new();
    let mut next = Instant::now();
    while began.elapsed() < plan.duration {
        blow::heal(&mut stage, &mut struck, Instant::now(), &mut chance).await?;
        if Instant::now() >= next {
            let blow = plan.blows[chance.usize(..plan.blows.len())];
            if let Some(one) = blow::strike(&mut stage, &struck, blow, &mut chance).await? {
                println!("{:>7.1} s  {one}", began.elapsed().as_secs_f64());
                *blows.entry(blow).or_default() += 1;
                struck.push(one);
            }
            let pause = PAUSES.start + chance.f64() * (PAUSES.end - PAUSES.start);
            next = Instant::now() + Duration::from_secs_f64(pause);
        }
        let number = rounds.len();
        let last = rounds.last_mut().context("a round")?;
        last.go_on(&stage).await?;
        if last.has_ended(&stage).await {
            rounds.push(Round::new(number));
        }
        tokio::time::sleep(PASS).await;
    }
    let for_ever = Instant::now() + Duration::from_secs(3600);
    blow::heal(&mut stage, &mut struck, for_ever, &mut chance).await?;
    println!("{:>7.1} s  all is healed", began.elapsed().as_secs_f64());
    let healed = Instant::now();
    for round in &mut rounds {
        round.begun(&stage).await?;
        round.ended(&stage, HEALED_WITHIN).await?;
    }
    println!("{:>7.1} s  all is done", began.elapsed().as_secs_f64());
    verdict::judge(&stage, &rounds, blows, healed.elapsed()).await
}
