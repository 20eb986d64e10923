//! Three minutes of work under blows, from a fixed seed; `make soak` goes on for as long as one likes, and strikes
//! Docker too: what it does after a kill is not always right (see ADR 21), and says nothing about a change of ours.

use std::time::Duration;

use towpath_tests::soak::{Blow, Plan, run};

#[tokio::test]
async fn nothing_is_lost_under_blows() -> anyhow::Result<()> {
    let mut blows = Blow::ALL.to_vec();
    blows.retain(|blow| ![Blow::KillDocker, Blow::StopDocker].contains(blow));
    let plan = Plan { seed: 1, duration: Duration::from_secs(180), blows };
    println!("{}", run(&plan).await?);
    Ok(())
}
