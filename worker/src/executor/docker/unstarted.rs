//! Containers that a launch of this worker has made, or may have made, and whether somebody was asked to start them:
//! those that nobody was asked to start are made anew by the next try.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Made,
    Asked,
}

/// Of the launches that are under way, by the container's name.
#[derive(Default)]
pub struct Unstarted(Mutex<BTreeMap<String, Phase>>);

impl Unstarted {
    fn phases(&self) -> MutexGuard<'_, BTreeMap<String, Phase>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who was asked to start it before stays asked.
    pub fn made(&self, name: &str) {
        self.phases().entry(name.to_owned()).or_insert(Phase::Made);
    }

    /// It may begin from now on, whatever is answered.
    pub fn asked(&self, name: &str) {
        self.phases().insert(name.to_owned(), Phase::Asked);
    }

    pub fn has(&self, name: &str) -> bool {
        self.phases().get(name) == Some(&Phase::Made)
    }

    /// The launch is over.
    pub fn forget(&self, name: &str) {
        self.phases().remove(name);
    }
}
