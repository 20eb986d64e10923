//! Variables and connections, opened. As in Airflow the environment comes before the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use towpath_common::connection::{Connection, is_sensitive};
use towpath_common::id::{AttemptKey, EntryName};
use towpath_common::port::{Store, StoreError};
use towpath_common::time::Timestamp;
use towpath_common::vault::{Entry, EntryKind};

use crate::keyring::{KeyError, Keyring};

const OF_VARIABLES: &str = "TOWPATH_VAR_";
const OF_CONNECTIONS: &str = "TOWPATH_CONN_";

#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error("the {kind} {name:?} cannot be opened: {why}")]
    Sealed { kind: EntryKind, name: String, why: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A value, and whether logs must not show it.
pub struct Opened {
    pub text: String,
    pub secret: bool,
}

pub struct Vault {
    store: Arc<dyn Store>,
    keys: Keyring,
    /// The environment's variables and connections, by the names that it has for them.
    environment: BTreeMap<String, String>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.keys)
    }
}

impl Vault {
    /// Of the environment what is meant for it is kept: `TOWPATH_VAR_NAME` and `TOWPATH_CONN_NAME`.
    pub fn new(
        store: Arc<dyn Store>,
        keys: Keyring,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Self {
        let meant = |name: &str| name.starts_with(OF_VARIABLES) || name.starts_with(OF_CONNECTIONS);
        Self { store, keys, environment: environment.filter(|(name, _)| meant(name)).collect() }
    }

    pub async fn variable(&self, name: &str) -> Result<Option<Opened>, VaultError> {
        if let Some(text) = self.of_environment(OF_VARIABLES, name) {
            return Ok(Some(Opened { text: text.to_owned(), secret: is_sensitive(name) }));
        }
        let Some(entry) = self.entry(EntryKind::Variable, name).await? else { return Ok(None) };
        let secret = entry.secret || is_sensitive(name);
        Ok(Some(Opened { text: self.open(&entry)?, secret }))
    }

    pub async fn connection(&self, name: &str) -> Result<Option<Connection>, VaultError> {
        let text = match self.of_environment(OF_CONNECTIONS, name) {
            Some(text) => text.to_owned(),
            None => match self.entry(EntryKind::Connection, name).await? {
                Some(entry) => self.open(&entry)?,
                None => return Ok(None),
            },
        };
        text.parse().map(Some).map_err(|why| sealed(EntryKind::Connection, name, why))
    }

    /// How the environment names a connection, for the words that tell people to set it.
    pub fn environment_name(connection: &str) -> String {
        environment_name(OF_CONNECTIONS, connection)
    }

    fn of_environment(&self, prefix: &str, name: &str) -> Option<&str> {
        self.environment.get(&environment_name(prefix, name)).map(String::as_str)
    }

    async fn entry(&self, kind: EntryKind, name: &str) -> Result<Option<Entry>, VaultError> {
        match EntryName::new(name) {
            Ok(name) => Ok(self.store.entry(kind, &name).await?),
            // Nothing of such a name can have been stored.
            Err(_) => Ok(None),
        }
    }

    pub fn open(&self, entry: &Entry) -> Result<String, VaultError> {
        let opened = self.keys.open(&place(entry.kind, &entry.name), &entry.sealed);
        opened.map_err(|why| sealed(entry.kind, entry.name.as_str(), why))
    }

    /// What an attempt was given in confidence, sealed for whoever takes the attempt up. None without a key.
    pub fn seal_for(&self, attempt: &AttemptKey, secrets: &[String]) -> Option<String> {
        let text = serde_json::to_string(secrets).ok()?;
        self.keys.seal(&format!("attempt:{attempt}"), &text).ok()
    }

    pub fn open_for(&self, attempt: &AttemptKey, sealed: &str) -> Option<Vec<String>> {
        let text = self.keys.open(&format!("attempt:{attempt}"), sealed).ok()?;
        serde_json::from_str(&text).ok()
    }

    pub fn seal(
        &self,
        kind: EntryKind,
        name: EntryName,
        text: &str,
        now: Timestamp,
    ) -> Result<Entry, KeyError> {
        let sealed = self.keys.seal(&place(kind, &name), text)?;
        let description = String::new();
        Ok(Entry { kind, name, sealed, secret: false, description, updated_at: now })
    }
}

/// An entry opens under its own name only.
fn place(kind: EntryKind, name: &EntryName) -> String {
    format!("{kind}:{name}")
}

fn environment_name(prefix: &str, name: &str) -> String {
    format!("{prefix}{}", name.to_uppercase().replace(['-', '.'], "_"))
}

fn sealed(kind: EntryKind, name: &str, why: impl std::fmt::Display) -> VaultError {
    VaultError::Sealed { kind, name: name.to_owned(), why: why.to_string() }
}
