//! Variables, connections and notifications.

use async_trait::async_trait;
use towpath_common::id::EntryName;
use towpath_common::notification::{Notification, NotificationState, NotificationStatus};
use towpath_common::port::{OutboxStore, VaultStore};
use towpath_common::time::Timestamp;
use towpath_common::vault::{Entry, EntryKind};

use super::{MemoryStore, Result, Tables};

impl Tables {
    pub(super) fn put_notification(&mut self, notification: &Notification) {
        let (state, at) = (NotificationState::Waiting, notification.at);
        let status = NotificationStatus { state, at, tries: 0, error: None };
        let new = || (notification.clone(), status);
        self.notifications.entry(notification.key.clone()).or_insert_with(new);
    }
}

#[async_trait]
impl VaultStore for MemoryStore {
    async fn entry(&self, kind: EntryKind, name: &EntryName) -> Result<Option<Entry>> {
        Ok(self.tables().entries.get(&(kind, name.clone())).cloned())
    }

    async fn entries(&self, kind: EntryKind) -> Result<Vec<Entry>> {
        let tables = self.tables();
        Ok(tables.entries.values().filter(|entry| entry.kind == kind).cloned().collect())
    }

    async fn put_entry(&self, entry: &Entry) -> Result<()> {
        self.tables().entries.insert((entry.kind, entry.name.clone()), entry.clone());
        Ok(())
    }

    async fn reseal(&self, entry: &Entry, before: &str) -> Result<bool> {
        let mut tables = self.tables();
        let known = tables.entries.get_mut(&(entry.kind, entry.name.clone()));
        let Some(known) = known.filter(|known| known.sealed == before) else { return Ok(false) };
        known.sealed = entry.sealed.clone();
        Ok(true)
    }

    async fn delete_entry(&self, kind: EntryKind, name: &EntryName) -> Result<bool> {
        Ok(self.tables().entries.remove(&(kind, name.clone())).is_some())
    }
}

#[async_trait]
impl OutboxStore for MemoryStore {
    async fn due_notifications(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Notification, u32)>> {
        let tables = self.tables();
        let is_due = |status: &NotificationStatus| {
            status.state == NotificationState::Waiting && status.at <= now
        };
        let mut due: Vec<_> = tables.notifications.values().filter(|(_, d)| is_due(d)).collect();
        due.sort_by_key(|(_, status)| status.at);
        let due = due.into_iter().take(limit as usize);
        Ok(due.map(|(notification, status)| (notification.clone(), status.tries)).collect())
    }

    async fn note_status(&self, key: &str, status: &NotificationStatus) -> Result<()> {
        if let Some((_, known)) = self.tables().notifications.get_mut(key)
            && known.state == NotificationState::Waiting
        {
            let waits = status.state == NotificationState::Waiting;
            let error = status.error.clone().or_else(|| known.error.clone().filter(|_| waits));
            *known = NotificationStatus { error, ..status.clone() };
        }
        Ok(())
    }

    async fn notifications(
        &self,
        teams: Option<&[String]>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(Notification, NotificationStatus)>> {
        let tables = self.tables();
        let visible = |(notification, _): &&(Notification, NotificationStatus)| {
            let run = tables.runs.get(&notification.run);
            teams.is_none() || run.is_some_and(|run| tables.is_visible(&run.dag_id, teams))
        };
        let mut all: Vec<_> = tables.notifications.values().filter(visible).cloned().collect();
        all.sort_by(|(a, _), (b, _)| (b.at, &b.key).cmp(&(a.at, &a.key)));
        if let Some((last, _)) = after.and_then(|after| tables.notifications.get(after)) {
            all.retain(|(one, _)| (one.at, &one.key) < (last.at, &last.key));
        }
        all.truncate(limit as usize);
        Ok(all)
    }
}
