//! `towpath notification …`.

use towpath_common::time::Timestamp;
use towpath_operations::answer::Notification;

use crate::args::{Connection, NotificationVerb};
use crate::client::at;
use crate::outcome::Outcome;

pub async fn run(connection: &Connection, verb: NotificationVerb) -> anyhow::Result<Outcome> {
    let client = connection.client().await?;
    let NotificationVerb::List { limit } = verb;
    println!("{:<32} {:<14} {:<6} {:<14} ABOUT", "AT", "STATE", "TRIES", "OCCASION");
    for notification in client.list(at(&["notifications"]), Some(limit)).await? {
        let Notification { occasion, state, tries, error, run_key, task_id, .. } = notification;
        let about = task_id.map_or_else(String::new, |task| format!(" {task}"));
        let at = Timestamp::from(notification.at).to_string();
        println!("{at:<32} {state:<14} {tries:<6} {occasion:<14} {run_key}{about}");
        if let Some(error) = error {
            println!("    {error}");
        }
    }
    Ok(Outcome::Done)
}
