//! Work with files, which may take its time, beside the loop.
//!
//! **Invariant.** On a runtime that has one thread it is done at once: what is played from a seed plays the same twice.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::spawn_blocking;

/// Done to its end, also if nobody waits for it any more.
pub async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return work();
    }
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and nobody hears the answer.
            Err(_) => std::future::pending().await,
        },
    }
}
