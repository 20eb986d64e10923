//! `towpath audit …`.

use towpath_common::time::Timestamp;
use towpath_operations::answer::AuditEntry;

use crate::args::{AuditVerb, Connection};
use crate::client::at;
use crate::outcome::Outcome;

pub async fn run(connection: &Connection, verb: AuditVerb) -> anyhow::Result<Outcome> {
    let client = connection.client().await?;
    match verb {
        AuditVerb::List { subject, who, limit } => {
            println!("{:<32} {:<16} {:<18} SUBJECT", "AT", "WHO", "ACTION");
            let place = at(&["audit"]).with_some("subject", subject).with_some("who", who);
            for entry in client.list::<AuditEntry>(place, Some(limit)).await? {
                let at = Timestamp::from(entry.at).to_string();
                println!("{at:<32} {:<16} {:<18} {}", entry.who, entry.action, entry.subject);
                println!("    {} -> {}", entry.before, entry.after);
            }
        }
        AuditVerb::Export => {
            client.copy(at(&["audit", "export"]), &mut std::io::stdout().lock()).await?;
        }
    }
    Ok(Outcome::Done)
}
