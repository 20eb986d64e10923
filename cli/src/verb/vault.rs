//! `towpath variable …`, `towpath connection …`, `towpath encryption-key …`.

use anyhow::{Context, bail};
use serde::Serialize;
use towpath_common::connection::Connection as Place;
use towpath_common::id::EntryName;
use towpath_common::time::{Clock, SystemClock, Timestamp};
use towpath_common::vault::EntryKind;
use towpath_operations::answer::{ConnectionRequest, VariableRequest, VaultEntry};
use towpath_rendering::{Keyring, Masker, Rendering};

use crate::args::{Connection, ConnectionVerb, EncryptionKeyVerb, VariableVerb};
use crate::client::at;
use crate::keys::rendering;
use crate::outcome::Outcome;
use crate::secret::secret;
use crate::settings::WAIT_VERB;

pub async fn variables(connection: &Connection, verb: VariableVerb) -> anyhow::Result<Outcome> {
    let desk = Desk { connection, kind: EntryKind::Variable };
    match verb {
        VariableVerb::List => desk.list().await?,
        VariableVerb::Set { name, value, secret, description } => {
            let request = VariableRequest { value: given(value)?, secret, description };
            desk.put(&name, &request).await?;
            println!("variable {name} is set");
        }
        VariableVerb::Get { name } => println!("{}", desk.opened(&name).await?),
        VariableVerb::Delete { name } => desk.delete(&name).await?,
    }
    Ok(Outcome::Done)
}

pub async fn connections(connection: &Connection, verb: ConnectionVerb) -> anyhow::Result<Outcome> {
    let desk = Desk { connection, kind: EntryKind::Connection };
    match verb {
        ConnectionVerb::List => desk.list().await?,
        ConnectionVerb::Set { name, uri, description } => {
            let text = given(uri)?;
            let place: Place = text.trim().parse().with_context(|| format!("connection {name}"))?;
            let request = ConnectionRequest { uri: text, description };
            desk.put(&name, &request).await?;
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
            let Rendering { store, vault } = unsealing(connection).await?;
            let mut sealed = 0;
            for kind in [EntryKind::Variable, EntryKind::Connection] {
                for entry in store.entries(kind).await? {
                    let text = vault.open(&entry)?;
                    let name = entry.name.clone();
                    let anew = vault.seal(kind, name, &text, SystemClock.now());
                    let anew = anew.with_context(|| format!("{kind} {}", entry.name))?;
                    // What somebody has set meanwhile was sealed with a present key.
                    sealed += u32::from(store.reseal(&anew, &entry.sealed).await?);
                }
            }
            let key = connection.keyring()?.sealing()?.to_owned();
            println!("{sealed} variables and connections are sealed with key {key}");
        }
    }
    Ok(Outcome::Done)
}

/// For what no API gives out.
async fn unsealing(connection: &Connection) -> anyhow::Result<Rendering> {
    if connection.server.is_some() {
        bail!(
            "no server gives out what is sealed; run this where the database and the keys are, without --server"
        );
    }
    Ok(rendering(&connection.store(WAIT_VERB).await?, connection.sealing_keyring()?))
}

/// The entries of one kind.
struct Desk<'a> {
    connection: &'a Connection,
    kind: EntryKind,
}

impl Desk<'_> {
    fn list_name(&self) -> &'static str {
        match self.kind {
            EntryKind::Variable => "variables",
            EntryKind::Connection => "connections",
        }
    }

    async fn put(&self, name: &EntryName, request: &impl Serialize) -> anyhow::Result<()> {
        let client = self.connection.sealing_client().await?;
        client.put(at(&[self.list_name(), name.as_str()]), request).await
    }

    async fn opened(&self, name: &EntryName) -> anyhow::Result<String> {
        let Rendering { store, vault } = unsealing(self.connection).await?;
        let entry = store.entry(self.kind, name).await?;
        let entry = entry.with_context(|| format!("there is no {} {name}", self.kind))?;
        Ok(vault.open(&entry)?)
    }

    async fn list(&self) -> anyhow::Result<()> {
        println!("{:<30} {:<32} {:<8} DESCRIPTION", "NAME", "UPDATED", "SECRET");
        let client = self.connection.client().await?;
        for entry in client.list::<VaultEntry>(at(&[self.list_name()]), None).await? {
            let secret = if entry.secret { "yes" } else { "no" };
            let updated_at = Timestamp::from(entry.updated_at).to_string();
            println!("{:<30} {updated_at:<32} {secret:<8} {}", entry.name, entry.description);
        }
        Ok(())
    }

    async fn delete(&self, name: &EntryName) -> anyhow::Result<()> {
        let client = self.connection.client().await?;
        client.delete(at(&[self.list_name(), name.as_str()])).await?;
        println!("{} {name} is gone", self.kind);
        Ok(())
    }
}

/// What was given, or else what standard input holds.
fn given(value: Option<String>) -> anyhow::Result<String> {
    if let Some(value) = value {
        return Ok(value);
    }
    let text = secret("Value: ")?;
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
