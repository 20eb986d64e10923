//! Notifications.

use async_trait::async_trait;
use serde_json::{Value as Json, json};
use towpath_common::notification::{Notification, NotificationState, NotificationStatus};
use towpath_common::port::{OutboxStore, StoreError};
use towpath_common::time::Timestamp;

use super::SqlStore;
use super::rows::{from_json, narrow, of_teams, teams, time, to_json};
use crate::store::database::Value;
use crate::store::statement::Statement;

pub const STATEMENTS: &[&Statement] = &[&PUT_NOTIFICATIONS, &DUE, &NOTE, &LIST];

/// Each is put there once, however often it is decided.
pub static PUT_NOTIFICATIONS: Statement = Statement::new(
    "INSERT INTO notification (notification_key, run_key, body, state, at, tries, created_at)
     SELECT
         item.value ->> 'key', item.value ->> 'run_key', item.value ->> 'body', 'waiting',
         CAST(item.value ->> 'at' AS BIGINT), 0, CAST(item.value ->> 'at' AS BIGINT)
     FROM {rows} WHERE 0 = 0
     ON CONFLICT (notification_key) DO NOTHING",
);

static DUE: Statement = Statement::new(
    "SELECT notification.notification_key, notification.body, notification.tries FROM notification
     WHERE notification.state = 'waiting' AND notification.at <= $1
     ORDER BY notification.at, notification.notification_key LIMIT $2",
);

static NOTE: Statement = Statement::new(
    "UPDATE notification SET state = $2, at = $3, tries = $4,
         error = CASE WHEN $2 = 'waiting' THEN COALESCE($5, notification.error) ELSE $5 END
     WHERE notification.notification_key = $1 AND notification.state = 'waiting'",
);

static LIST: Statement = Statement::new(concat!(
    "SELECT notification.body, notification.state, notification.at, notification.tries,
         notification.error
     FROM notification
     WHERE (CAST($1 AS TEXT) IS NULL OR notification.run_key IN (
         SELECT dag_run.run_key FROM dag_run JOIN dag ON dag.dag_id = dag_run.dag_id WHERE ",
    of_teams!(),
    "))
     AND (CAST($2 AS TEXT) IS NULL OR (notification.created_at, notification.notification_key) < (
         SELECT last.created_at, last.notification_key FROM notification AS last
         WHERE last.notification_key = $2))
     ORDER BY notification.created_at DESC, notification.notification_key DESC LIMIT $3"
));

pub fn notification_to_json(notification: &Notification) -> Json {
    json!({
        "key": notification.key,
        "run_key": notification.run,
        "body": to_json(notification),
        "at": notification.at,
    })
}

#[async_trait]
impl OutboxStore for SqlStore {
    async fn due_notifications(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Notification, u32)>, StoreError> {
        let rows =
            self.database.fetch(&DUE, vec![now.micros().into(), i64::from(limit).into()]).await?;
        let mut due = Vec::with_capacity(rows.len());
        for row in &rows {
            let (key, tries) = (row.text(0)?, narrow(row.int(2)?)?);
            match from_json(row.text(1)?) {
                Ok(notification) => due.push((notification, tries)),
                // Written by another version perhaps. It must not hold up the others.
                Err(error) => {
                    let (state, error) =
                        (NotificationState::Undeliverable, Some(error.to_string()));
                    let status = NotificationStatus { state, at: now, tries, error };
                    self.note_status(key, &status).await?;
                }
            }
        }
        Ok(due)
    }

    async fn note_status(&self, key: &str, status: &NotificationStatus) -> Result<(), StoreError> {
        let args = vec![
            key.into(),
            status.state.as_str().into(),
            status.at.micros().into(),
            i64::from(status.tries).into(),
            status.error.clone().into(),
        ];
        self.database.execute(&NOTE, args).await.map(drop)
    }

    async fn notifications(
        &self,
        names: Option<&[String]>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(Notification, NotificationStatus)>, StoreError> {
        let after = Value::from(after.map(str::to_owned));
        let args = vec![teams(names), after, i64::from(limit).into()];
        let rows = self.database.fetch(&LIST, args).await?;
        let readable = rows
            .iter()
            .filter(|row| row.text(0).is_ok_and(|body| from_json::<Notification>(body).is_ok()));
        let told = readable.map(|row| {
            let status = NotificationStatus {
                state: row.parse(1)?,
                at: time(row.int(2)?),
                tries: narrow(row.int(3)?)?,
                error: row.opt_text(4)?.map(str::to_owned),
            };
            Ok((from_json(row.text(0)?)?, status))
        });
        told.collect()
    }
}
