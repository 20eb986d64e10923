//! All that is left to chance, drawn from one seed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub struct Chance(Mutex<fastrand::Rng>);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(fastrand::Rng::with_seed(seed)))
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// True so often.
    pub fn happens(&self, share: f64) -> bool {
        self.draw(|rng| rng.f64()) < share
    }

    pub fn below(&self, end: usize) -> usize {
        self.draw(|rng| rng.usize(..end.max(1)))
    }

    pub fn between(&self, least: Duration, most: Duration) -> Duration {
        let span = most.saturating_sub(least);
        least + span.mul_f64(self.draw(|rng| rng.f64()))
    }

    pub fn pick<'a, T>(&self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }
}
