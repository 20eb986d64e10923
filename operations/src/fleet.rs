//! Who does the work, who is told, and who did what.

use serde_json::json;
use towpath_common::id::WorkerName;
use towpath_common::message::{Announcement, Topic};
use towpath_common::notification::{Notification as Stored, NotificationStatus};
use towpath_common::port::{AuditFilter, WorkerRecord};
use towpath_common::user::{AuditEntry as StoredAudit, Role};
use uuid::Uuid;

use crate::answer::{AuditEntry, Fleet, Notification, Page, Worker, WorkerPatch, time};
use crate::{Deed, Operations, Refusal, Result};

impl Operations {
    pub async fn fleet(&self) -> Result<Fleet> {
        self.require_any()?;
        let now = self.now();
        let worker = |record: WorkerRecord| Worker {
            worker: record.worker.to_string(),
            queues: record.queues.iter().map(ToString::to_string).collect(),
            slots: record.slots,
            running: record.running,
            lease_until: time(record.lease_until),
            alive: record.lease_until > now,
            draining: record.draining,
        };
        let leader = self.store().leader().await?.filter(|lease| lease.expires_at > now);
        Ok(Fleet {
            leader: leader.map(|lease| lease.holder),
            workers: self.store().workers().await?.into_iter().map(worker).collect(),
        })
    }

    /// Has a worker finish what it runs and claim nothing more, or claim again.
    pub async fn patch_worker(&self, worker: &WorkerName, patch: &WorkerPatch) -> Result<()> {
        self.require(Role::Operator, None)?;
        let known = self.store().workers().await?;
        let known = known.into_iter().find(|record| record.worker == *worker);
        let gone = || Refusal::NotFound(format!("there is no worker {worker}"));
        let before = known.ok_or_else(gone)?.draining;
        self.note(Deed {
            action: if patch.draining { "worker.drain" } else { "worker.resume" },
            dag: None,
            subject: format!("worker/{worker}"),
            before: json!({ "draining": before }),
            after: json!({ "draining": patch.draining }),
        })
        .await?;
        if !self.store().set_draining(worker, patch.draining).await? {
            return Err(gone());
        }
        let orders = Announcement::Orders { worker: worker.clone() };
        if let Err(error) = self.services.bus.announce(Topic::Workers, &orders).await {
            tracing::warn!(%error, "the worker learns it with its next sign of life");
        }
        Ok(())
    }

    /// The newest first, those before `after`.
    pub async fn notifications(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<Notification>> {
        self.require_any()?;
        let teams = self.visible_teams();
        let told = self.store().notifications(teams.as_deref(), after, limit).await?;
        let answered = |(notification, status): (Stored, NotificationStatus)| Notification {
            key: notification.key,
            occasion: notification.occasion,
            state: status.state,
            at: time(status.at),
            tries: status.tries,
            error: status.error,
            run_key: notification.run.0,
            task_id: notification.attempt.map(|attempt| attempt.task.to_string()),
        };
        Ok(Page::of(told, limit, |(notification, _)| notification.key.clone(), answered))
    }

    pub async fn audit(
        &self,
        filter: &AuditFilter,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Page<AuditEntry>> {
        self.require(Role::Admin, None)?;
        let found = self.store().audit_page(filter, after, limit).await?;
        Ok(Page::of(found, limit, |entry| entry.id.to_string(), audit_entry))
    }

    /// What was done to a Dag, its runs and its backfills: for whoever may see it.
    pub async fn dag_events(
        &self,
        dag_id: &towpath_common::id::DagId,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Page<AuditEntry>> {
        self.deployed(dag_id).await?;
        let filter = AuditFilter { dag_id: Some(dag_id.clone()), ..AuditFilter::default() };
        let found = self.store().audit_page(&filter, after, limit).await?;
        Ok(Page::of(found, limit, |entry| entry.id.to_string(), audit_entry))
    }
}

fn audit_entry(entry: StoredAudit) -> AuditEntry {
    AuditEntry {
        id: entry.id,
        at: time(entry.at),
        who: entry.who,
        action: entry.action,
        team: entry.team,
        dag_id: entry.dag_id.map(|dag_id| dag_id.to_string()),
        subject: entry.subject,
        before: entry.before,
        after: entry.after,
    }
}
