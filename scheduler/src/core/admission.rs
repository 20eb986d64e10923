//! From scheduled to queued, under limits.
//!
//! What may run waits here, lane by lane, in one total order: logical date, then run, then instance. A lane
//! lets through as much as its workers can take soon and no more, so that what comes first is decided
//! late, here, and not by the order in which messages were published.

use std::collections::{BTreeMap, BTreeSet};

use towpath_common::event::InstanceIndex;
use towpath_common::id::{QueueName, RunKey};
use towpath_common::time::Timestamp;

/// What a lane lets through when no worker is known: the first one to come finds work at once.
pub const WINDOW_MIN: usize = 32;
/// Beyond this a lane's backlog in the broker buys no speed; it is twice the largest useful batch.
pub const WINDOW_MAX: usize = 8192;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    pub logical_date: Timestamp,
    pub run: RunKey,
    pub instance: InstanceIndex,
}

impl Candidate {
    fn place(&self) -> Place {
        (self.run, self.instance)
    }
}

type Place = (RunKey, InstanceIndex);

#[derive(Debug)]
struct Lane {
    waiting: BTreeSet<Candidate>,
    /// Queued and, as far as is known, not claimed; with the time when each was last published.
    out: BTreeMap<Place, Timestamp>,
    window: usize,
}

impl Default for Lane {
    fn default() -> Self {
        Self { waiting: BTreeSet::new(), out: BTreeMap::new(), window: WINDOW_MIN }
    }
}

/// All lanes, by name.
#[derive(Debug, Default)]
pub struct Lanes(BTreeMap<QueueName, Lane>);

impl Lanes {
    fn lane(&mut self, queue: &QueueName) -> &mut Lane {
        // Looked up twice rather than cloning the name for every call.
        if !self.0.contains_key(queue) {
            self.0.insert(queue.clone(), Lane::default());
        }
        self.0.get_mut(queue).expect("just put there")
    }

    /// A lane lets through twice what its workers run at once: one batch to run and one at hand.
    pub fn set_slots(&mut self, slots: &BTreeMap<QueueName, u32>) {
        for queue in slots.keys() {
            self.lane(queue);
        }
        for (queue, lane) in &mut self.0 {
            let slots = slots.get(queue).copied().unwrap_or(0) as usize;
            lane.window = (2 * slots).clamp(WINDOW_MIN, WINDOW_MAX);
        }
    }

    pub fn wait(&mut self, queue: &QueueName, candidate: Candidate) {
        self.lane(queue).waiting.insert(candidate);
    }

    pub fn stop_waiting(&mut self, queue: &QueueName, candidate: &Candidate) {
        self.lane(queue).waiting.remove(candidate);
    }

    /// The instance's attempt was published, by an earlier leader or again.
    pub fn note_out(&mut self, queue: &QueueName, place: Place, at: Timestamp) {
        self.lane(queue).out.insert(place, at);
    }

    /// The instance's attempt is claimed, or has ended.
    pub fn note_taken(&mut self, queue: &QueueName, place: Place) {
        self.lane(queue).out.remove(&place);
    }

    /// Takes from every lane what may go now, in order. It counts as published at `now`.
    pub fn admit(&mut self, now: Timestamp) -> Vec<Candidate> {
        let mut admitted = Vec::new();
        for lane in self.0.values_mut() {
            let room = lane.window.saturating_sub(lane.out.len());
            for _ in 0..room {
                let Some(candidate) = lane.waiting.pop_first() else { break };
                lane.out.insert(candidate.place(), now);
                admitted.push(candidate);
            }
        }
        admitted
    }

    /// Per lane: what was last published before `before`, at most `limit` of it, and how many are out
    /// in all.
    pub fn overdue(&self, before: Timestamp, limit: usize) -> Vec<(QueueName, Vec<Place>, usize)> {
        let overdue = |lane: &Lane| -> Vec<Place> {
            let late = lane.out.iter().filter(|(_, published)| **published < before);
            late.map(|(place, _)| *place).take(limit).collect()
        };
        let lanes =
            self.0.iter().map(|(queue, lane)| (queue.clone(), overdue(lane), lane.out.len()));
        lanes.filter(|(_, places, _)| !places.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(date: i64, instance: u32) -> Candidate {
        let run = RunKey(uuid::Uuid::nil());
        Candidate { logical_date: Timestamp::from_micros(date), run, instance }
    }

    const NOW: Timestamp = Timestamp::from_micros(0);

    fn queue(name: &str) -> QueueName {
        QueueName::new(name).expect("a name")
    }

    #[test]
    fn a_lane_never_lets_out_more_than_its_window_and_forgets_nobody() {
        let mut lanes = Lanes::default();
        let lane = queue("default");
        for instance in 0..100 {
            lanes.wait(&lane, candidate(i64::from(instance % 7), instance));
        }
        let mut seen = BTreeSet::new();
        while seen.len() < 100 {
            let admitted = lanes.admit(NOW);
            assert!(!admitted.is_empty() && admitted.len() <= WINDOW_MIN);
            assert!(lanes.admit(NOW).is_empty(), "the window is full");
            for candidate in admitted {
                assert!(seen.insert(candidate), "admitted twice");
                lanes.note_taken(&lane, candidate.place());
            }
        }
    }

    #[test]
    fn the_earliest_logical_date_goes_first_whatever_the_order_of_arrival() {
        let mut lanes = Lanes::default();
        let lane = queue("default");
        for date in [3, 1, 2] {
            lanes.wait(&lane, candidate(date, 9));
        }
        let dates: Vec<_> = lanes.admit(NOW).iter().map(|c| c.logical_date.micros()).collect();
        assert_eq!(dates, [1, 2, 3]);
    }

    #[test]
    fn a_full_lane_holds_nobody_back_in_another() {
        let mut lanes = Lanes::default();
        for instance in 0..50 {
            lanes.wait(&queue("slow"), candidate(0, instance));
        }
        lanes.admit(NOW);
        lanes.wait(&queue("fast"), candidate(9, 99));
        let next: Vec<_> = lanes.admit(NOW).iter().map(|c| c.instance).collect();
        assert_eq!(next, [99]);
    }

    #[test]
    fn the_window_follows_the_workers() {
        let mut lanes = Lanes::default();
        let lane = queue("default");
        lanes.set_slots(&BTreeMap::from([(lane.clone(), 100)]));
        for instance in 0..300 {
            lanes.wait(&lane, candidate(0, instance));
        }
        assert_eq!(lanes.admit(NOW).len(), 200);
    }
}
