//! `towpath notification …`.

use crate::args::{Connection, NotificationVerb};
use crate::outcome::Outcome;
use crate::settings::WAIT_VERB;

pub async fn run(connection: &Connection, verb: NotificationVerb) -> anyhow::Result<Outcome> {
    let store = connection.store(WAIT_VERB).await?;
    let NotificationVerb::List { limit } = verb;
    println!("{:<32} {:<14} {:<6} {:<14} ABOUT", "AT", "STATE", "TRIES", "OCCASION");
    for (notification, status) in store.notifications(limit).await? {
        let about = match &notification.attempt {
            Some(attempt) => attempt.to_string(),
            None => notification.run.to_string(),
        };
        let at = status.at.to_string();
        let (state, tries, occasion) = (status.state, status.tries, notification.occasion);
        println!("{at:<32} {state:<14} {tries:<6} {occasion:<14} {about}");
        if let Some(error) = status.error {
            println!("    {error}");
        }
    }
    Ok(Outcome::Done)
}
