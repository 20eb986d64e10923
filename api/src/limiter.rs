//! Guessing passwords is slow: a few tries a minute for a name, and somewhat more for an address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(60);
const TRIES_OF_NAME: u32 = 5;
const TRIES_OF_ADDRESS: u32 = 30;
/// Of more the oldest is forgotten.
const KEPT_MAX: usize = 10_000;

#[derive(Debug, PartialEq, Eq, Hash, Clone)]
enum Key {
    Name(String),
    Address(IpAddr),
}

/// Tries since the first of a window.
#[derive(Debug, Default)]
pub struct LoginLimiter(Mutex<HashMap<Key, (Instant, u32)>>);

fn keys(name: Option<&str>, address: IpAddr) -> impl Iterator<Item = (Key, u32)> {
    let name = name.map(|name| (Key::Name(name.to_owned()), TRIES_OF_NAME));
    name.into_iter().chain([(Key::Address(address), TRIES_OF_ADDRESS)])
}

impl LoginLimiter {
    /// Counts a try, or says how long to wait before the next. A try counts as failed until it has not, so that
    /// many at once are no more than their number.
    pub fn admit(&self, name: Option<&str>, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = keys(name, address).filter_map(|(key, max)| {
            let (begun, tries) = kept.get(&key)?;
            let left = WINDOW.checked_sub(now.duration_since(*begun))?;
            (*tries >= max && !left.is_zero()).then_some(left)
        });
        if let Some(wait) = waits.max() {
            return Err(wait);
        }
        for (key, _) in keys(name, address) {
            if kept.len() >= KEPT_MAX && !kept.contains_key(&key) {
                let oldest = kept.iter().min_by_key(|(_, (begun, _))| *begun);
                if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                    kept.remove(&oldest);
                }
            }
            let entry = kept.entry(key).or_insert((now, 0));
            if now.duration_since(entry.0) >= WINDOW {
                *entry = (now, 0);
            }
            entry.1 += 1;
        }
        Ok(())
    }

    pub fn succeeded(&self, name: Option<&str>, address: IpAddr) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, _) in keys(name, address) {
            match (&key, kept.get_mut(&key)) {
                (Key::Address(_), Some((_, tries))) => *tries = tries.saturating_sub(1),
                _ => drop(kept.remove(&key)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_try_waits_and_the_next_minute_does_not() {
        let limiter = LoginLimiter::default();
        let (begin, address) = (Instant::now(), IpAddr::from([127, 0, 0, 1]));
        let admit = |name, at| limiter.admit(name, address, at).is_ok();
        for _ in 0..5 {
            assert!(admit(Some("ann"), begin));
        }
        assert!(!admit(Some("ann"), begin));
        assert!(admit(Some("bob"), begin));
        assert!(admit(None, begin));
        assert!(admit(Some("ann"), begin + WINDOW));
        limiter.succeeded(Some("ann"), address);
        for _ in 0..5 {
            assert!(admit(Some("ann"), begin + WINDOW));
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let limiter = LoginLimiter::default();
        let begin = Instant::now();
        for number in 0..KEPT_MAX + 100 {
            let address = IpAddr::from((number as u128).to_be_bytes());
            let _ = limiter.admit(Some(&number.to_string()), address, begin);
        }
        assert!(limiter.0.lock().expect("nobody has panicked").len() <= KEPT_MAX);
    }
}
