//! Users, credentials and the audit log.

use async_trait::async_trait;
use towpath_common::port::{AuditFilter, UserStore};
use towpath_common::time::Timestamp;
use towpath_common::user::{AuditEntry, Credential, CredentialKind, Roles, User};
use uuid::Uuid;

use super::{MemoryStore, Result};

#[async_trait]
impl UserStore for MemoryStore {
    async fn user(&self, name: &str) -> Result<Option<User>> {
        Ok(self.tables().users.get(name).cloned())
    }

    async fn user_by_subject(&self, subject: &str) -> Result<Option<User>> {
        let tables = self.tables();
        let mut users = tables.users.values();
        Ok(users.find(|user| user.subject.as_deref() == Some(subject)).cloned())
    }

    async fn users(&self) -> Result<Vec<User>> {
        Ok(self.tables().users.values().cloned().collect())
    }

    async fn put_user(&self, user: &User) -> Result<()> {
        let mut tables = self.tables();
        let created_at = tables.users.get(&user.name).map_or(user.created_at, |u| u.created_at);
        tables.users.insert(user.name.clone(), User { created_at, ..user.clone() });
        Ok(())
    }

    async fn add_user(&self, user: &User) -> Result<bool> {
        let mut tables = self.tables();
        let same = |other: &User| user.subject.is_some() && other.subject == user.subject;
        if tables.users.contains_key(&user.name) || tables.users.values().any(same) {
            return Ok(false);
        }
        tables.users.insert(user.name.clone(), user.clone());
        Ok(true)
    }

    async fn set_roles(&self, name: &str, roles: &Roles) -> Result<bool> {
        let mut tables = self.tables();
        let Some(user) = tables.users.get_mut(name) else { return Ok(false) };
        user.roles = roles.clone();
        Ok(true)
    }

    async fn delete_user(&self, name: &str) -> Result<bool> {
        let mut tables = self.tables();
        tables.credentials.retain(|_, credential| credential.user != name);
        Ok(tables.users.remove(name).is_some())
    }

    async fn put_credential(&self, credential: &Credential) -> Result<()> {
        let mut tables = self.tables();
        tables.credentials.entry(credential.id).or_insert_with(|| credential.clone());
        Ok(())
    }

    async fn credential(&self, hash: &str) -> Result<Option<(Credential, User)>> {
        let tables = self.tables();
        let found = tables.credentials.values().find(|credential| credential.hash == hash);
        Ok(found.and_then(|found| Some((found.clone(), tables.users.get(&found.user)?.clone()))))
    }

    async fn credentials(
        &self,
        user: Option<&str>,
        kind: CredentialKind,
    ) -> Result<Vec<Credential>> {
        let tables = self.tables();
        let wanted = |credential: &&Credential| {
            credential.kind == kind && user.is_none_or(|user| credential.user == user)
        };
        let mut found: Vec<Credential> =
            tables.credentials.values().filter(wanted).cloned().collect();
        found.sort_by_key(|credential| (std::cmp::Reverse(credential.created_at), credential.id));
        Ok(found)
    }

    async fn delete_credential(&self, id: Uuid) -> Result<bool> {
        Ok(self.tables().credentials.remove(&id).is_some())
    }

    async fn forget_expired(&self, now: Timestamp) -> Result<u64> {
        let mut tables = self.tables();
        let before = tables.credentials.len();
        tables.credentials.retain(|_, credential| credential.expires_at >= now);
        Ok((before - tables.credentials.len()) as u64)
    }

    async fn audit(&self, entry: &AuditEntry) -> Result<()> {
        self.tables().audit.entry(entry.id).or_insert_with(|| entry.clone());
        Ok(())
    }

    async fn audit_page(
        &self,
        filter: &AuditFilter,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>> {
        let tables = self.tables();
        let wanted = |entry: &&AuditEntry| {
            filter.who.as_ref().is_none_or(|who| entry.who == *who)
                && filter.subject.as_ref().is_none_or(|s| entry.subject.starts_with(s.as_str()))
                && filter.dag_id.as_ref().is_none_or(|dag_id| entry.dag_id.as_ref() == Some(dag_id))
                && filter.action.as_ref().is_none_or(|action| entry.action == *action)
                && filter.from.is_none_or(|from| entry.at >= from)
                && filter.to.is_none_or(|to| entry.at <= to)
                && after.is_none_or(|after| entry.id < after)
        };
        let newest_first = tables.audit.values().rev().filter(wanted);
        Ok(newest_first.take(limit as usize).cloned().collect())
    }
}
