//! Users, what they prove themselves with, and what they did.

use async_trait::async_trait;
use uuid::Uuid;

use super::StoreError;
use crate::id::DagId;
use crate::time::Timestamp;
use crate::user::{AuditEntry, Credential, CredentialKind, Roles, User};

/// Which entries of the audit log are listed. What is none does not narrow.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub who: Option<String>,
    /// The beginning of it.
    pub subject: Option<String>,
    pub action: Option<String>,
    pub dag_id: Option<DagId>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}

#[async_trait]
pub trait UserStore: Send + Sync {
    async fn user(&self, name: &str) -> Result<Option<User>, StoreError>;
    async fn user_by_subject(&self, subject: &str) -> Result<Option<User>, StoreError>;
    /// By name.
    async fn users(&self) -> Result<Vec<User>, StoreError>;
    /// False if the name, or the subject, is another's already.
    async fn add_user(&self, user: &User) -> Result<bool, StoreError>;
    /// Nothing else of the user. False if there is none.
    async fn set_roles(&self, name: &str, roles: &Roles) -> Result<bool, StoreError>;
    /// Puts it there, or in the place of the one of that name.
    async fn put_user(&self, user: &User) -> Result<(), StoreError>;
    /// With all that it proves itself with. False if there was none.
    async fn delete_user(&self, name: &str) -> Result<bool, StoreError>;
    async fn put_credential(&self, credential: &Credential) -> Result<(), StoreError>;
    /// With its user.
    async fn credential(&self, hash: &str) -> Result<Option<(Credential, User)>, StoreError>;
    /// Of one user or of all, the newest first.
    async fn credentials(
        &self,
        user: Option<&str>,
        kind: CredentialKind,
    ) -> Result<Vec<Credential>, StoreError>;
    /// False if there was none.
    async fn delete_credential(&self, id: Uuid) -> Result<bool, StoreError>;
    /// Forgets what has expired.
    async fn forget_expired(&self, now: Timestamp) -> Result<u64, StoreError>;
    async fn audit(&self, entry: &AuditEntry) -> Result<(), StoreError>;
    /// The newest first, after that one.
    async fn audit_page(
        &self,
        filter: &AuditFilter,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError>;
}
