//! Three minutes of work under blows, from a fixed seed; `make soak` goes on for as long as one likes.

use std::time::Duration;

use towpath_tests::soak::{Blow, Plan, run};

#[tokio::test]
async fn nothing_is_lost_under_blows() -> anyhow::Result<()> {
    let plan = Plan { seed: 1, duration: Duration::from_secs(180), blows: Blow::ALL.to_vec() };
    println!("{}", run(&plan).await?);
    Ok(())
}
