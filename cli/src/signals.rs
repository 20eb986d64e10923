//! SIGTERM and SIGINT, as a value to be watched.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Becomes true with the first signal. The second ends the process at once.
pub fn shutdown() -> anyhow::Result<watch::Receiver<bool>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if !first {
                std::process::exit(130);
            }
            sender.send_replace(true);
        }
    });
    Ok(receiver)
}
