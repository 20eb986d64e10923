//! What a worker does.

use async_trait::async_trait;
use towpath_common::command::InboxItem;
use towpath_common::id::{AttemptKey, WorkerName};
use towpath_common::outcome::{ContainerFacts, Report};
use towpath_common::port::{Orders, WorkerBeat, WorkerRecord, WorkerStore};
use towpath_common::run::InstanceRecord;
use towpath_common::state::TaskState;
use towpath_common::time::Timestamp;

use super::{MemoryStore, Result, place};

#[async_trait]
impl WorkerStore for MemoryStore {
    async fn installation(&self, proposed: &str) -> Result<String> {
        Ok(self.tables().installation.get_or_insert_with(|| proposed.to_owned()).clone())
    }

    async fn claim(
        &self,
        worker: &WorkerName,
        attempts: &[AttemptKey],
        now: Timestamp,
    ) -> Result<Vec<AttemptKey>> {
        let mut tables = self.tables();
        let mut claimed = Vec::new();
        for attempt in attempts {
            let Some(record) = tables.instances.get_mut(&place(attempt)) else { continue };
            let instance = &mut record.instance;
            let this_call = instance.state == TaskState::Running
                && instance.worker.as_ref() == Some(worker)
                && instance.started_at == Some(now);
            let free = instance.state == TaskState::Queued || this_call;
            if instance.attempt == attempt.number && free {
                instance.state = TaskState::Running;
                instance.worker = Some(worker.clone());
                instance.started_at = Some(now);
                claimed.push(attempt.clone());
            }
        }
        Ok(claimed)
    }

    async fn adopt(
        &self,
        worker: &WorkerName,
        attempts: &[AttemptKey],
        now: Timestamp,
    ) -> Result<Vec<(AttemptKey, Timestamp)>> {
        let mut tables = self.tables();
        let mut adopted = Vec::new();
        for attempt in attempts {
            let owner = tables.running(attempt).and_then(|instance| instance.worker.clone());
            let free = owner.is_some_and(|owner| owner == *worker || !tables.lives(&owner, now));
            if let (true, Some(record)) = (free, tables.instances.get_mut(&place(attempt))) {
                record.instance.worker = Some(worker.clone());
                adopted.push((attempt.clone(), record.instance.started_at.unwrap_or(now)));
            }
        }
        Ok(adopted)
    }

    async fn report(&self, reports: &[Report]) -> Result<Vec<AttemptKey>> {
        let mut tables = self.tables();
        let mut taken = Vec::new();
        for report in reports {
            if tables.holds(&report.worker, &report.attempt)
                && tables.put_inbox(InboxItem::report(report.clone()), report.ended_at)
            {
                taken.push(report.attempt.clone());
            }
        }
        Ok(taken)
    }

    async fn beat(&self, beat: &WorkerBeat) -> Result<Orders> {
        let mut tables = self.tables();
        let draining = tables.workers.get(&beat.worker).is_some_and(|known| known.draining);
        let record = WorkerRecord {
            worker: beat.worker.clone(),
            queues: beat.queues.clone(),
            slots: beat.slots,
            running: u32::try_from(beat.running.len()).unwrap_or(u32::MAX),
            lease_until: beat.at.plus(beat.lease),
            draining,
        };
        tables.workers.insert(beat.worker.clone(), record);
        let gone = beat.running.iter().filter(|attempt| !tables.holds(&beat.worker, attempt));
        Ok(Orders { gone: gone.cloned().collect(), draining })
    }

    async fn put_facts(&self, attempt: &AttemptKey, facts: &ContainerFacts) -> Result<()> {
        self.tables().facts.insert(attempt.clone(), facts.clone());
        Ok(())
    }

    async fn retire(&self, worker: &WorkerName) -> Result<()> {
        self.tables().workers.remove(worker);
        Ok(())
    }

    async fn held(&self, worker: &WorkerName) -> Result<Vec<AttemptKey>> {
        let tables = self.tables();
        let keys = tables.instances.values().map(InstanceRecord::attempt);
        Ok(keys.filter(|attempt| tables.holds(worker, attempt)).collect())
    }

    async fn current(&self, attempts: &[AttemptKey]) -> Result<Vec<AttemptKey>> {
        let tables = self.tables();
        Ok(attempts.iter().filter(|attempt| tables.running(attempt).is_some()).cloned().collect())
    }
}
