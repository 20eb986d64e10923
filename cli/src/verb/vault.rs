//! `towpath variable …`, `towpath connection …`, `towpath encryption-key …`.

use std::io::Read;

use anyhow::Context;
use towpath_common::connection::Connection as Place;
use towpath_common::id::EntryName;
use towpath_common::port::Store;
use towpath_common::time::{Clock, SystemClock, Timestamp};
use towpath_common::vault::{Entry, EntryKind};
use towpath_operations::Operations;
use towpath_operations::answer::{ConnectionRequest, VariableRequest};
use towpath_rendering::{Keyring, Masker, Vault};

use crate::args::{Connection, ConnectionVerb, EncryptionKeyVerb, VariableVerb};
use crate::outcome::Outcome;

pub async fn variables(connection: &Connection, verb: VariableVerb) -> anyhow::Result<Outcome> {
    let desk = Desk::open(connection, EntryKind::Variable).await?;
    match verb {
        VariableVerb::List => desk.list().await?,
        VariableVerb::Set { name, value, secret, description } => {
            let request = VariableRequest { value: given(value)?, secret, description };
            desk.operations.put_variable(&name, &request).await?;
            println!("variable {name} is set");
        }
        VariableVerb::Get { name } => println!("{}", desk.opened(&name).await?),
        VariableVerb::Delete { name } => desk.delete(&name).await?,
    }
    Ok(Outcome::Done)
}

pub async fn connections(connection: &Connection, verb: ConnectionVerb) -> anyhow::Result<Outcome> {
    let desk = Desk::open(connection, EntryKind::Connection).await?;
    match verb {
        ConnectionVerb::List => desk.list().await?,
        ConnectionVerb::Set { name, uri, description } => {
            let text = given(uri)?;
            let place: Place = text.trim().parse().with_context(|| format!("connection {name}"))?;
            let request = ConnectionRequest { uri: text, description };
            desk.operations.put_connection(&name, &request).await?;
            println!("connection {name} is set: {place:?}");
        }
        ConnectionVerb::Get { name } => {
            let place: Place = desk.opened(&name).await?.parse()?;
            println!("{}", hidden(&place));
        }
        ConnectionVerb::Delete { name } => desk.delete(&name).await?,
    }
    Ok(Outcome::Done)
}

pub async fn keys(connection: &Connection, verb: EncryptionKeyVerb) -> anyhow::Result<Outcome> {
    match verb {
        EncryptionKeyVerb::Generate => println!("{}", Keyring::generate()),
        EncryptionKeyVerb::Rotate => {
            let mut sealed = 0;
            for kind in [EntryKind::Variable, EntryKind::Connection] {
                let desk = Desk::open(connection, kind).await?;
                for entry in desk.store().entries(kind).await? {
                    let text = desk.vault().open(&entry)?;
                    let anew = desk.sealed(&entry.name, &text)?;
                    // What somebody has set meanwhile was sealed with a present key.
                    sealed += u32::from(desk.store().reseal(&anew, &entry.sealed).await?);
                }
            }
            let key = connection.keyring()?.sealing()?.to_owned();
            println!("{sealed} variables and connections are sealed with key {key}");
        }
    }
    Ok(Outcome::Done)
}

/// The entries of one kind.
struct Desk {
    operations: Operations,
    kind: EntryKind,
}

impl Desk {
    async fn open(connection: &Connection, kind: EntryKind) -> anyhow::Result<Self> {
        Ok(Self { operations: connection.sealing_operations().await?, kind })
    }

    fn store(&self) -> &dyn Store {
        self.operations.services.store.as_ref()
    }

    fn vault(&self) -> &Vault {
        &self.operations.services.rendering.vault
    }

    fn sealed(&self, name: &EntryName, text: &str) -> anyhow::Result<Entry> {
        let sealed = self.vault().seal(self.kind, name.clone(), text, SystemClock.now());
        sealed.with_context(|| format!("{} {name}", self.kind))
    }

    async fn opened(&self, name: &EntryName) -> anyhow::Result<String> {
        let entry = self.store().entry(self.kind, name).await?;
        let entry = entry.with_context(|| format!("there is no {} {name}", self.kind))?;
        Ok(self.vault().open(&entry)?)
    }

    async fn list(&self) -> anyhow::Result<()> {
        println!("{:<30} {:<32} {:<8} DESCRIPTION", "NAME", "UPDATED", "SECRET");
        for entry in self.operations.entries(self.kind).await?.items {
            let secret = if entry.secret { "yes" } else { "no" };
            let updated_at = Timestamp::from(entry.updated_at).to_string();
            println!("{:<30} {updated_at:<32} {secret:<8} {}", entry.name, entry.description);
        }
        Ok(())
    }

    async fn delete(&self, name: &EntryName) -> anyhow::Result<()> {
        self.operations.delete_entry(self.kind, name).await?;
        println!("{} {name} is gone", self.kind);
        Ok(())
    }
}

/// What was given, or else what standard input holds.
fn given(value: Option<String>) -> anyhow::Result<String> {
    if let Some(value) = value {
        return Ok(value);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Each secret by its field, however short it is.
fn hidden(place: &Place) -> String {
    let secrets = place.secrets();
    let mut extra = serde_json::Value::Object(place.extra.clone());
    blank(&mut extra, &secrets);
    let shown = Place {
        password: place.password.as_ref().map(|_| STARS.to_owned()),
        extra: extra.as_object().cloned().unwrap_or_default(),
        ..place.clone()
    };
    Masker::new(secrets.iter().map(String::as_str)).text(&shown.uri()).replace("%2A%2A%2A", STARS)
}

const STARS: &str = "***";

fn blank(value: &mut serde_json::Value, secrets: &[String]) {
    use serde_json::Value;
    match value {
        Value::Object(entries) => entries.values_mut().for_each(|value| blank(value, secrets)),
        Value::Array(items) => items.iter_mut().for_each(|item| blank(item, secrets)),
        Value::String(text) if secrets.contains(text) => *text = STARS.to_owned(),
        Value::Number(number) if secrets.contains(&number.to_string()) => {
            *value = Value::from(STARS);
        }
        _ => {}
    }
}
