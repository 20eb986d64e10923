//! Variables and connections.

use async_trait::async_trait;
use towpath_common::id::EntryName;
use towpath_common::port::{StoreError, VaultStore};
use towpath_common::vault::{Entry, EntryKind};

use super::SqlStore;
use super::rows::time;
use crate::store::database::Row;
use crate::store::statement::Statement;

pub const STATEMENTS: &[&Statement] = &[&GET, &LIST, &PUT, &RESEAL, &DELETE];

macro_rules! columns {
    () => {
        "vault_entry.kind, vault_entry.name, vault_entry.sealed, vault_entry.secret, \
         vault_entry.description, vault_entry.updated_at"
    };
}

static GET: Statement = Statement::new(concat!(
    "SELECT ",
    columns!(),
    " FROM vault_entry WHERE vault_entry.kind = $1 AND vault_entry.name = $2"
));

static LIST: Statement = Statement::new(concat!(
    "SELECT ",
    columns!(),
    " FROM vault_entry WHERE vault_entry.kind = $1 ORDER BY vault_entry.name"
));

static PUT: Statement = Statement::new(
    "INSERT INTO vault_entry (kind, name, sealed, secret, description, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (kind, name) DO UPDATE SET
         sealed = excluded.sealed, secret = excluded.secret,
         description = excluded.description, updated_at = excluded.updated_at",
);

static RESEAL: Statement = Statement::new(
    "UPDATE vault_entry SET sealed = $4
     WHERE vault_entry.kind = $1 AND vault_entry.name = $2 AND vault_entry.sealed = $3",
);

static DELETE: Statement =
    Statement::new("DELETE FROM vault_entry WHERE vault_entry.kind = $1 AND vault_entry.name = $2");

#[async_trait]
impl VaultStore for SqlStore {
    async fn entry(&self, kind: EntryKind, name: &EntryName) -> Result<Option<Entry>, StoreError> {
        let args = vec![kind.as_str().into(), name.as_str().into()];
        self.database.fetch(&GET, args).await?.first().map(entry_from).transpose()
    }

    async fn entries(&self, kind: EntryKind) -> Result<Vec<Entry>, StoreError> {
        self.database
            .fetch(&LIST, vec![kind.as_str().into()])
            .await?
            .iter()
            .map(entry_from)
            .collect()
    }

    async fn put_entry(&self, entry: &Entry) -> Result<(), StoreError> {
        let args = vec![
            entry.kind.as_str().into(),
            entry.name.as_str().into(),
            entry.sealed.as_str().into(),
            i64::from(entry.secret).into(),
            entry.description.as_str().into(),
            entry.updated_at.micros().into(),
        ];
        self.database.execute(&PUT, args).await.map(drop)
    }

    async fn reseal(&self, entry: &Entry, before: &str) -> Result<bool, StoreError> {
        let args = vec![
            entry.kind.as_str().into(),
            entry.name.as_str().into(),
            before.into(),
            entry.sealed.as_str().into(),
        ];
        Ok(self.database.execute(&RESEAL, args).await? > 0)
    }

    async fn delete_entry(&self, kind: EntryKind, name: &EntryName) -> Result<bool, StoreError> {
        let args = vec![kind.as_str().into(), name.as_str().into()];
        Ok(self.database.execute(&DELETE, args).await? > 0)
    }
}

fn entry_from(row: &Row) -> Result<Entry, StoreError> {
    Ok(Entry {
        kind: row.parse(0)?,
        name: row.parse(1)?,
        sealed: row.text(2)?.to_owned(),
        secret: row.int(3)? != 0,
        description: row.text(4)?.to_owned(),
        updated_at: time(row.int(5)?),
    })
}
