//! Variables and connections: written, listed, never shown.

use serde_json::json;
use towpath_common::connection::Connection;
use towpath_common::id::EntryName;
use towpath_common::user::Role;
use towpath_common::vault::{Entry, EntryKind};

use crate::answer::{ConnectionRequest, Page, Part, VariableRequest, VaultEntry, time};
use crate::{Deed, Operations, Refusal, Result};

impl Operations {
    pub async fn entries(&self, kind: EntryKind, part: &Part) -> Result<Page<VaultEntry>> {
        self.require_any()?;
        let entries = self.store().entries(kind).await?.into_iter().map(|entry| VaultEntry {
            name: entry.name.to_string(),
            secret: entry.secret || kind == EntryKind::Connection,
            description: entry.description,
            updated_at: time(entry.updated_at),
        });
        Ok(Page::part(entries.collect(), part, |entry: &VaultEntry| entry.name.clone()))
    }

    pub async fn put_variable(&self, name: &EntryName, request: &VariableRequest) -> Result<()> {
        let VariableRequest { value, secret, description } = request;
        let entry = self.sealed(EntryKind::Variable, name, value)?;
        self.put_entry(Entry { secret: *secret, description: description.clone(), ..entry }).await
    }

    pub async fn put_connection(
        &self,
        name: &EntryName,
        request: &ConnectionRequest,
    ) -> Result<()> {
        let place: Connection = request
            .uri
            .trim()
            .parse()
            .map_err(|error| Refusal::Invalid(format!("connection {name}: {error}")))?;
        let text = serde_json::to_string(&place).map_err(Refusal::invalid)?;
        let entry = self.sealed(EntryKind::Connection, name, &text)?;
        self.put_entry(Entry { description: request.description.clone(), ..entry }).await
    }

    fn sealed(&self, kind: EntryKind, name: &EntryName, text: &str) -> Result<Entry> {
        // Before anything is sealed, so that who may not learns nothing of the keys.
        self.require(Role::Author, None)?;
        let sealed = self.services.rendering.vault.seal(kind, name.clone(), text, self.now());
        sealed.map_err(|error| Refusal::Conflict(format!("{kind} {name}: {error}")))
    }

    async fn put_entry(&self, entry: Entry) -> Result<()> {
        let known = self.store().entry(entry.kind, &entry.name).await?;
        let facts =
            |entry: &Entry| json!({ "secret": entry.secret, "description": entry.description });
        self.note(Deed {
            action: match entry.kind {
                EntryKind::Variable => "variable.set",
                EntryKind::Connection => "connection.set",
            },
            dag: None,
            subject: format!("{}/{}", entry.kind, entry.name),
            before: known.as_ref().map_or(json!(null), facts),
            after: facts(&entry),
        })
        .await?;
        Ok(self.store().put_entry(&entry).await?)
    }

    pub async fn delete_entry(&self, kind: EntryKind, name: &EntryName) -> Result<()> {
        self.require(Role::Author, None)?;
        if self.store().entry(kind, name).await?.is_none() {
            return Err(Refusal::NotFound(format!("there is no {kind} {name}")));
        }
        self.note(Deed {
            action: match kind {
                EntryKind::Variable => "variable.delete",
                EntryKind::Connection => "connection.delete",
            },
            dag: None,
            subject: format!("{kind}/{name}"),
            before: json!(null),
            after: json!(null),
        })
        .await?;
        self.store().delete_entry(kind, name).await?;
        Ok(())
    }
}
