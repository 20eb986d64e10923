//! `make soak MINUTES=… SEED=…`: work under blows, and whether all of it was done. `soak MINUTES SEED [BLOW …]` strikes
//! with these alone.

use std::time::Duration;

use anyhow::Context;
use towpath_tests::soak::{Blow, Plan, run};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let usage = "soak MINUTES SEED [BLOW …]";
    let minutes: f64 = args.next().context(usage)?.parse().context(usage)?;
    let seed: u64 = args.next().context(usage)?.parse().context(usage)?;
    let named: Vec<Blow> = args
        .map(|name| {
            Blow::named(&name)
                .with_context(|| format!("{name} is no blow; there are {:?}", Blow::ALL))
        })
        .collect::<anyhow::Result<_>>()?;
    let blows = if named.is_empty() { Blow::ALL.to_vec() } else { named };
    let duration = Duration::from_secs_f64(60.0 * minutes);
    let plan = Plan { seed, duration, blows };
    tokio::select! {
        figures = run(&plan) => println!("{}", figures?),
        // What was set up is taken down as it is dropped.
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(())
}
