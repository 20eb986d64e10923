//! Plays seeds: one with all that happened, or many with what came of them.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

/// Play Towpath in simulated time, with crashes and outages drawn from a seed.
#[derive(Debug, Parser)]
#[command(name = "towpath-sim", version)]
struct Args {
    /// The first seed.
    seed: u64,
    /// How many seeds, one after the other.
    #[arg(long, default_value_t = 1)]
    count: u64,
    /// Stop at the first seed that fails.
    #[arg(long)]
    first: bool,
    /// Play each twice, and compare the traces.
    #[arg(long)]
    twice: bool,
    /// Print all that happens.
    #[arg(long)]
    trace: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let began = Instant::now();
    let (mut hours, mut failed) = (0.0, 0);
    for seed in args.seed..args.seed + args.count {
        let mut played = towpath_simulation::play(seed, args.trace)?;
        if args.twice && towpath_simulation::play(seed, false)?.trace != played.trace {
            played.wrong.push("it did not play twice the same".to_owned());
        }
        hours += played.took.as_secs_f64() / 3600.0;
        played.lines.iter().for_each(|line| println!("{line}"));
        if args.count == 1 || !played.wrong.is_empty() {
            println!(
                "seed {seed}: trace {:016x}, {} calls, {} crashes, {} runs, {} attempts, {:.0} s",
                played.trace,
                played.calls,
                played.crashes,
                played.runs,
                played.attempts,
                played.took.as_secs_f64()
            );
        }
        for wrong in &played.wrong {
            println!("    {wrong}");
        }
        failed += u64::from(!played.wrong.is_empty());
        if args.first && failed > 0 {
            break;
        }
    }
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    println!(
        "{} seeds, {failed} failed, {hours:.1} simulated hours in {minutes:.1} minutes: {:.0} h a minute",
        args.count,
        hours / minutes
    );
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
