//! Guessing passwords is slow: a few tries a minute for a name, and somewhat more for an address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(60);
const TRIES_OF_NAME: u32 = 5;
const TRIES_OF_ADDRESS: u32 = 30;
/// Beyond so many the oldest windows are forgotten.
const KEPT_MAX: usize = 10_000;

#[derive(Debug, PartialEq, Eq, Hash, Clone)]
enum Key {
    Name(String),
    Address(IpAddr),
}

/// Failed tries since the first of a window.
#[derive(Debug, Default)]
pub struct LoginLimiter(Mutex<HashMap<Key, (Instant, u32)>>);

impl LoginLimiter {
    /// How long to wait before the next try.
    pub fn wait(&self, name: &str, address: IpAddr, now: Instant) -> Option<Duration> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = [
            (Key::Name(name.to_owned()), TRIES_OF_NAME),
            (Key::Address(address), TRIES_OF_ADDRESS),
        ];
        let waits = keys.iter().filter_map(|(key, max)| {
            let (begun, tries) = kept.get(key)?;
            let left = WINDOW.checked_sub(now.duration_since(*begun))?;
            (tries >= max).then_some(left)
        });
        waits.max()
    }

    pub fn failed(&self, name: &str, address: IpAddr, now: Instant) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, (begun, _)| now.duration_since(*begun) < WINDOW);
        }
        for key in [Key::Name(name.to_owned()), Key::Address(address)] {
            let entry = kept.entry(key).or_insert((now, 0));
            if now.duration_since(entry.0) >= WINDOW {
                *entry = (now, 0);
            }
            entry.1 += 1;
        }
    }

    pub fn succeeded(&self, name: &str) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(&Key::Name(name.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_try_waits_and_the_next_minute_does_not() {
        let limiter = LoginLimiter::default();
        let (begin, address) = (Instant::now(), IpAddr::from([127, 0, 0, 1]));
        for _ in 0..5 {
            assert_eq!(limiter.wait("ann", address, begin), None);
            limiter.failed("ann", address, begin);
        }
        assert!(limiter.wait("ann", address, begin).is_some());
        assert_eq!(limiter.wait("bob", address, begin), None);
        assert_eq!(limiter.wait("ann", address, begin + WINDOW + WINDOW), None);
    }
}
