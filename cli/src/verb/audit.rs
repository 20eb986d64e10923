//! `towpath audit …`.

use std::io::Write;

use towpath_common::port::AuditFilter;
use towpath_common::time::Timestamp;
use towpath_operations::PAGE_MAX;

use crate::args::{AuditVerb, Connection};
use crate::outcome::Outcome;

pub async fn run(connection: &Connection, verb: AuditVerb) -> anyhow::Result<Outcome> {
    let operations = connection.operations().await?;
    match verb {
        AuditVerb::List { subject, who, limit } => {
            let filter = AuditFilter { subject, who, ..AuditFilter::default() };
            println!("{:<32} {:<16} {:<18} SUBJECT", "AT", "WHO", "ACTION");
            for entry in operations.audit(&filter, None, limit).await?.items {
                let at = Timestamp::from(entry.at).to_string();
                println!("{at:<32} {:<16} {:<18} {}", entry.who, entry.action, entry.subject);
                println!("    {} -> {}", entry.before, entry.after);
            }
        }
        AuditVerb::Export => {
            let mut after = None;
            let mut out = std::io::stdout().lock();
            loop {
                let page = operations.audit(&AuditFilter::default(), after, PAGE_MAX).await?;
                for entry in &page.items {
                    writeln!(out, "{}", serde_json::to_string(entry)?)?;
                }
                match page.next {
                    Some(next) => after = Some(next.parse()?),
                    None => break,
                }
            }
        }
    }
    Ok(Outcome::Done)
}
