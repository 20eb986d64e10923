//! Users, credentials and the audit log.

use async_trait::async_trait;
use towpath_common::port::{AuditFilter, StoreError, UserStore};
use towpath_common::time::Timestamp;
use towpath_common::user::{AuditEntry, Credential, CredentialKind, Roles, User};
use uuid::Uuid;

use super::SqlStore;
use super::reading::opt_micros;
use super::rows::{from_json, time, to_json};
use crate::store::database::{Row, Value};
use crate::store::statement::Statement;

pub const STATEMENTS: &[&Statement] = &[
    &GET_USER,
    &GET_USER_BY_SUBJECT,
    &LIST_USERS,
    &PUT_USER,
    &ADD_USER,
    &SET_ROLES,
    &DELETE_USER,
    &PUT_CREDENTIAL,
    &GET_CREDENTIAL,
    &LIST_CREDENTIALS,
    &DELETE_CREDENTIAL,
    &FORGET_EXPIRED,
    &PUT_AUDIT,
    &AUDIT_PAGE,
];

/// The columns that [`user_from`] reads.
macro_rules! user_columns {
    () => {
        "app_user.name, app_user.password_hash, app_user.subject, app_user.roles, \
         app_user.disabled, app_user.created_at"
    };
}

/// The columns that [`credential_from`] reads.
macro_rules! credential_columns {
    () => {
        "credential.credential_id, credential.kind, credential.user_name, credential.hash, \
         credential.name, credential.role_max, credential.created_at, credential.expires_at"
    };
}

static GET_USER: Statement =
    Statement::new(concat!("SELECT ", user_columns!(), " FROM app_user WHERE app_user.name = $1"));

static GET_USER_BY_SUBJECT: Statement = Statement::new(concat!(
    "SELECT ",
    user_columns!(),
    " FROM app_user WHERE app_user.subject = $1"
));

static LIST_USERS: Statement =
    Statement::new(concat!("SELECT ", user_columns!(), " FROM app_user ORDER BY app_user.name"));

static PUT_USER: Statement = Statement::new(
    "INSERT INTO app_user (name, password_hash, subject, roles, disabled, created_at)
     VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (name) DO UPDATE SET
         password_hash = excluded.password_hash, subject = excluded.subject,
         roles = excluded.roles, disabled = excluded.disabled",
);

static ADD_USER: Statement = Statement::new(
    "INSERT INTO app_user (name, password_hash, subject, roles, disabled, created_at)
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
);

static SET_ROLES: Statement =
    Statement::new("UPDATE app_user SET roles = $2 WHERE app_user.name = $1");

static DELETE_USER: Statement = Statement::new("DELETE FROM app_user WHERE app_user.name = $1");

static PUT_CREDENTIAL: Statement = Statement::new(
    "INSERT INTO credential
         (credential_id, kind, user_name, hash, name, role_max, created_at, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
     ON CONFLICT (credential_id) DO NOTHING",
);

static GET_CREDENTIAL: Statement = Statement::new(concat!(
    "SELECT ",
    user_columns!(),
    ", ",
    credential_columns!(),
    " FROM credential JOIN app_user ON app_user.name = credential.user_name
     WHERE credential.hash = $1"
));

static LIST_CREDENTIALS: Statement = Statement::new(concat!(
    "SELECT ",
    credential_columns!(),
    " FROM credential
     WHERE credential.kind = $1 AND (CAST($2 AS TEXT) IS NULL OR credential.user_name = $2)
     ORDER BY credential.created_at DESC, credential.credential_id"
));

static DELETE_CREDENTIAL: Statement =
    Statement::new("DELETE FROM credential WHERE credential.credential_id = $1");

static FORGET_EXPIRED: Statement =
    Statement::new("DELETE FROM credential WHERE credential.expires_at < $1");

static PUT_AUDIT: Statement = Statement::new(
    "INSERT INTO audit (audit_id, at, who, action, team, dag_id, subject, before, after)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
     ON CONFLICT (audit_id) DO NOTHING",
);

static AUDIT_PAGE: Statement = Statement::new(
    "SELECT audit.audit_id, audit.at, audit.who, audit.action, audit.team, audit.subject,
         audit.before, audit.after, audit.dag_id
     FROM audit
     WHERE (CAST($1 AS TEXT) IS NULL OR audit.who = $1)
         AND (CAST($2 AS TEXT) IS NULL OR SUBSTR(audit.subject, 1, LENGTH($2)) = $2)
         AND (CAST($3 AS TEXT) IS NULL OR audit.action = $3)
         AND (CAST($4 AS BIGINT) IS NULL OR audit.at >= $4)
         AND (CAST($5 AS BIGINT) IS NULL OR audit.at <= $5)
         AND (CAST($6 AS TEXT) IS NULL OR audit.audit_id < $6)
         AND (CAST($7 AS TEXT) IS NULL OR audit.dag_id = $7)
     ORDER BY audit.audit_id DESC LIMIT $8",
);

fn user_from(row: &Row) -> Result<User, StoreError> {
    Ok(User {
        name: row.text(0)?.to_owned(),
        password_hash: row.opt_text(1)?.map(str::to_owned),
        subject: row.opt_text(2)?.map(str::to_owned),
        roles: from_json(row.text(3)?)?,
        disabled: row.int(4)? != 0,
        created_at: time(row.int(5)?),
    })
}

fn columns_of(user: &User) -> Vec<Value> {
    vec![
        user.name.as_str().into(),
        user.password_hash.clone().into(),
        user.subject.clone().into(),
        to_json(&user.roles).into(),
        i64::from(user.disabled).into(),
        user.created_at.micros().into(),
    ]
}

/// From the columns after `first`.
fn credential_from(row: &Row, first: usize) -> Result<Credential, StoreError> {
    Ok(Credential {
        id: row.parse(first)?,
        kind: row.parse(first + 1)?,
        user: row.text(first + 2)?.to_owned(),
        hash: row.text(first + 3)?.to_owned(),
        name: row.text(first + 4)?.to_owned(),
        role_max: row.parse(first + 5)?,
        created_at: time(row.int(first + 6)?),
        expires_at: time(row.int(first + 7)?),
    })
}

fn audit_from(row: &Row) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry {
        id: row.parse(0)?,
        at: time(row.int(1)?),
        who: row.text(2)?.to_owned(),
        action: row.text(3)?.to_owned(),
        team: row.opt_text(4)?.map(str::to_owned),
        subject: row.text(5)?.to_owned(),
        before: from_json(row.text(6)?)?,
        after: from_json(row.text(7)?)?,
        dag_id: row.opt_parse(8)?,
    })
}

#[async_trait]
impl UserStore for SqlStore {
    async fn user(&self, name: &str) -> Result<Option<User>, StoreError> {
        let rows = self.database.fetch(&GET_USER, vec![name.into()]).await?;
        rows.first().map(user_from).transpose()
    }

    async fn user_by_subject(&self, subject: &str) -> Result<Option<User>, StoreError> {
        let rows = self.database.fetch(&GET_USER_BY_SUBJECT, vec![subject.into()]).await?;
        rows.first().map(user_from).transpose()
    }

    async fn users(&self) -> Result<Vec<User>, StoreError> {
        self.database.fetch(&LIST_USERS, vec![]).await?.iter().map(user_from).collect()
    }

    async fn put_user(&self, user: &User) -> Result<(), StoreError> {
        self.database.execute(&PUT_USER, columns_of(user)).await.map(drop)
    }

    async fn add_user(&self, user: &User) -> Result<bool, StoreError> {
        Ok(self.database.execute(&ADD_USER, columns_of(user)).await? > 0)
    }

    async fn set_roles(&self, name: &str, roles: &Roles) -> Result<bool, StoreError> {
        let args = vec![name.into(), to_json(roles).into()];
        Ok(self.database.execute(&SET_ROLES, args).await? > 0)
    }

    async fn delete_user(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.database.execute(&DELETE_USER, vec![name.into()]).await? > 0)
    }

    async fn put_credential(&self, credential: &Credential) -> Result<(), StoreError> {
        let args = vec![
            credential.id.to_string().into(),
            credential.kind.as_str().into(),
            credential.user.as_str().into(),
            credential.hash.as_str().into(),
            credential.name.as_str().into(),
            credential.role_max.as_str().into(),
            credential.created_at.micros().into(),
            credential.expires_at.micros().into(),
        ];
        self.database.execute(&PUT_CREDENTIAL, args).await.map(drop)
    }

    async fn credential(&self, hash: &str) -> Result<Option<(Credential, User)>, StoreError> {
        let rows = self.database.fetch(&GET_CREDENTIAL, vec![hash.into()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some((credential_from(row, 6)?, user_from(row)?)))
    }

    async fn credentials(
        &self,
        user: Option<&str>,
        kind: CredentialKind,
    ) -> Result<Vec<Credential>, StoreError> {
        let args = vec![kind.as_str().into(), user.map(str::to_owned).into()];
        let rows = self.database.fetch(&LIST_CREDENTIALS, args).await?;
        rows.iter().map(|row| credential_from(row, 0)).collect()
    }

    async fn delete_credential(&self, id: Uuid) -> Result<bool, StoreError> {
        let args = vec![id.to_string().into()];
        Ok(self.database.execute(&DELETE_CREDENTIAL, args).await? > 0)
    }

    async fn forget_expired(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.database.execute(&FORGET_EXPIRED, vec![now.micros().into()]).await
    }

    async fn audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        let args = vec![
            entry.id.to_string().into(),
            entry.at.micros().into(),
            entry.who.as_str().into(),
            entry.action.as_str().into(),
            entry.team.clone().into(),
            entry.dag_id.as_ref().map(ToString::to_string).into(),
            entry.subject.as_str().into(),
            to_json(&entry.before).into(),
            to_json(&entry.after).into(),
        ];
        self.database.execute(&PUT_AUDIT, args).await.map(drop)
    }

    async fn audit_page(
        &self,
        filter: &AuditFilter,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let args = vec![
            filter.who.clone().into(),
            filter.subject.clone().into(),
            filter.action.clone().into(),
            opt_micros(filter.from),
            opt_micros(filter.to),
            Value::from(after.map(|id| id.to_string())),
            filter.dag_id.as_ref().map(ToString::to_string).into(),
            i64::from(limit).into(),
        ];
        self.database.fetch(&AUDIT_PAGE, args).await?.iter().map(audit_from).collect()
    }
}
