//! A circuit breaker: while a service is away, who would speak to it learns so at once instead of waiting for it
//! each time anew, and one task looks whether it is back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub struct Breaker {
    is_open: Arc<AtomicBool>,
}

impl Breaker {
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Until the service answers.
    pub fn open<F>(&self, answers: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = bool> + Send,
    {
        if self.is_open.swap(true, Ordering::Relaxed) {
            return;
        }
        // Nobody looks for a breaker that is gone.
        let is_open = Arc::downgrade(&self.is_open);
        tokio::spawn(async move {
            loop {
                let Some(is_open) = is_open.upgrade() else { return };
                if answers().await {
                    is_open.store(false, Ordering::Relaxed);
                    return;
                }
                drop(is_open);
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
}
