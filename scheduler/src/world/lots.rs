//! Runs that share a number of places: those of a Dag, or those of one backfill.

use std::collections::{BTreeMap, BTreeSet};

use towpath_common::backfill::{Backfill, BackfillId, BackfillState};
use towpath_common::event::Event;
use towpath_common::id::{DagId, RunKey};
use towpath_common::run::DagRun;
use towpath_common::time::Timestamp;

use super::World;
use crate::draft::Draft;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lot {
    Dag(DagId),
    Backfill(BackfillId),
}

impl Lot {
    pub fn of(run: &DagRun) -> Self {
        run.backfill.map_or_else(|| Self::Dag(run.dag_id.clone()), Self::Backfill)
    }
}

/// Live runs: those that are under way, and those that wait for a place, in order.
#[derive(Debug, Default)]
pub struct Members {
    pub running: BTreeSet<RunKey>,
    /// By logical date; of a backfill in reverse, by the date's negative.
    queued: BTreeSet<(i64, RunKey)>,
}

impl Members {
    pub fn len(&self) -> usize {
        self.running.len() + self.queued.len()
    }
}

#[derive(Debug, Default)]
pub struct Lots {
    members: BTreeMap<Lot, Members>,
    backfills: BTreeMap<BackfillId, Backfill>,
    /// All live runs of each Dag, by date.
    dates: BTreeMap<DagId, BTreeSet<(Timestamp, RunKey)>>,
}

impl Lots {
    fn order(&self, run: &DagRun) -> i64 {
        let backfill = run.backfill.and_then(|id| self.backfills.get(&id));
        let date = run.logical_date.micros();
        if backfill.is_some_and(|backfill| backfill.spec.reverse) { -date } else { date }
    }

    pub fn queue(&mut self, run: &DagRun) {
        let order = self.order(run);
        let members = self.members.entry(Lot::of(run)).or_default();
        members.running.remove(&run.key);
        members.queued.insert((order, run.key));
        self.dates.entry(run.dag_id.clone()).or_default().insert((run.logical_date, run.key));
    }

    pub fn start(&mut self, run: &DagRun) {
        let order = self.order(run);
        let members = self.members.entry(Lot::of(run)).or_default();
        members.queued.remove(&(order, run.key));
        members.running.insert(run.key);
        self.dates.entry(run.dag_id.clone()).or_default().insert((run.logical_date, run.key));
    }

    pub fn leave(&mut self, run: &DagRun) {
        let order = self.order(run);
        let lot = Lot::of(run);
        if let Some(members) = self.members.get_mut(&lot) {
            members.queued.remove(&(order, run.key));
            members.running.remove(&run.key);
            if members.len() == 0 {
                self.members.remove(&lot);
            }
        }
        if let Some(dates) = self.dates.get_mut(&run.dag_id) {
            dates.remove(&(run.logical_date, run.key));
            if dates.is_empty() {
                self.dates.remove(&run.dag_id);
            }
        }
    }

    pub fn get(&self, lot: &Lot) -> Option<&Members> {
        self.members.get(lot)
    }

    pub fn len(&self, lot: &Lot) -> usize {
        self.members.get(lot).map_or(0, Members::len)
    }

    /// The live runs of a Dag, by date.
    pub fn of_dag(&self, dag_id: &DagId) -> impl DoubleEndedIterator<Item = (Timestamp, RunKey)> {
        self.dates.get(dag_id).into_iter().flatten().copied()
    }

    pub fn backfill(&self, id: BackfillId) -> Option<&Backfill> {
        self.backfills.get(&id)
    }
}

impl World {
    /// A backfill that has not ended; its runs are added apart.
    pub fn put_backfill(&mut self, backfill: Backfill) {
        self.lots.backfills.insert(backfill.id, backfill);
    }

    /// A backfill that was asked for, with its runs.
    pub fn begin_backfill(&mut self, backfill: Backfill, now: Timestamp, draft: &mut Draft) {
        let lot = Lot::Backfill(backfill.id);
        draft.backfills.insert(backfill.id);
        self.put_backfill(backfill);
        self.start_runs(&lot, now, draft);
        self.end_backfill_if_done(&lot, draft);
    }

    pub fn set_backfill(
        &mut self,
        id: BackfillId,
        state: BackfillState,
        by: &str,
        now: Timestamp,
        draft: &mut Draft,
    ) {
        let Some(backfill) = self.lots.backfills.get_mut(&id) else {
            tracing::info!(backfill = %id, "it has ended; nothing is changed");
            return;
        };
        backfill.state = state;
        draft.backfills.insert(id);
        let lot = Lot::Backfill(id);
        if state == BackfillState::Cancelled {
            let queued: Vec<RunKey> = self
                .lots
                .get(&lot)
                .map(|members| members.queued.iter().map(|(_, key)| *key).collect())
                .unwrap_or_default();
            for run in queued {
                self.cancel(run, format!("{by}, with its backfill"), now, draft);
            }
        }
        self.start_runs(&lot, now, draft);
        self.end_backfill_if_done(&lot, draft);
    }

    /// Lets queued runs of the lot start, in order, while there is room for them.
    pub(super) fn start_runs(&mut self, lot: &Lot, now: Timestamp, draft: &mut Draft) {
        let Some(room) = self.room(lot) else { return };
        let Some(members) = self.lots.get(lot) else { return };
        let room = room.saturating_sub(members.running.len());
        let next: Vec<RunKey> = members.queued.iter().take(room).map(|(_, key)| *key).collect();
        for key in next {
            // A run that is queued always can start.
            let _ = self.advance(key, Event::RunStarted, now, draft);
        }
    }

    /// How many runs of the lot may be under way; none if it is paused.
    fn room(&self, lot: &Lot) -> Option<usize> {
        let dag_id = match lot {
            Lot::Dag(dag_id) => dag_id,
            Lot::Backfill(id) => &self.lots.backfill(*id)?.spec.dag_id,
        };
        let dag = self.dags.get(dag_id).filter(|dag| !dag.record.paused)?;
        match lot {
            Lot::Dag(_) => Some(dag.plan.dag.max_active_runs as usize),
            Lot::Backfill(id) => {
                let backfill = self.lots.backfill(*id)?;
                let running = backfill.state == BackfillState::Running;
                running.then_some(backfill.spec.max_active_runs as usize)
            }
        }
    }

    /// The lots whose runs may start when a Dag is unpaused.
    pub(super) fn lots_of(&self, dag_id: &DagId) -> Vec<Lot> {
        let of_dag = self.lots.backfills.values().filter(|b| b.spec.dag_id == *dag_id);
        let backfills = of_dag.map(|backfill| Lot::Backfill(backfill.id));
        backfills.chain([Lot::Dag(dag_id.clone())]).collect()
    }

    pub(super) fn end_backfill_if_done(&mut self, lot: &Lot, draft: &mut Draft) {
        let Lot::Backfill(id) = lot else { return };
        if self.lots.len(lot) > 0 {
            return;
        }
        if let Some(backfill) = self.lots.backfills.get_mut(id) {
            if backfill.state != BackfillState::Cancelled {
                backfill.state = BackfillState::Completed;
            }
            draft.backfills.insert(*id);
            draft.ended_backfills.push(*id);
        }
    }

    pub fn forget_backfills(&mut self, ended: &[BackfillId]) {
        for id in ended {
            self.lots.backfills.remove(id);
        }
    }
}
