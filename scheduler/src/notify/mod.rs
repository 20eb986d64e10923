//! Telling people: what the outbox holds is delivered, and tried again until it is.
//!
//! **Authority.** The leader delivers. **Invariant.** A notification is in the outbox before anybody is told, and is
//! told at least once; its key goes with it, so that a receiver can tell a second time from the first.
//! **Failure handling.** Every failure is tried again, ever more rarely, for about half a day.

mod email;
mod http;
mod words;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};
use towpath_common::notification::{Channel, Notification, NotificationState, NotificationStatus};
use towpath_common::plan::Plan;
use towpath_common::port::StoreError;
use towpath_common::run::DagRun;
use towpath_rendering::{Masker, RenderError, Subject};

use crate::Services;
use words::Story;

/// How many are delivered at once.
const BATCH: u32 = 16;
/// How often the outbox is looked into without being told to.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// Between tries: the first pause, which doubles, and the longest.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(3600);
const TRIES_MAX: u32 = 24;
/// How long one delivery may take.
const DELIVERY_MAX: Duration = Duration::from_secs(20);

/// Delivers until it is dropped.
pub struct Notifier {
    bell: Arc<Notify>,
    task: AbortHandle,
}

impl Notifier {
    pub fn start(services: &Services) -> Self {
        let bell = Arc::new(Notify::new());
        let post = Arc::new(Post { services: services.clone(), http: http::client() });
        let task = tokio::spawn(deliver_all(post, Arc::clone(&bell))).abort_handle();
        Self { bell, task }
    }

    /// There is something in the outbox.
    pub fn ring(&self) {
        self.bell.notify_one();
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn deliver_all(post: Arc<Post>, bell: Arc<Notify>) {
    loop {
        let now = post.services.clock.now();
        let due = post.services.store.due_notifications(now, BATCH).await;
        let due = due.unwrap_or_else(|error| {
            tracing::info!(%error, "the outbox cannot be looked into");
            Vec::new()
        });
        let full = due.len() == BATCH as usize;
        let mut deliveries = JoinSet::new();
        for (notification, tries) in due {
            let post = Arc::clone(&post);
            deliveries.spawn(async move { post.try_once(&notification, tries).await });
        }
        while deliveries.join_next().await.is_some() {}
        if !full {
            // What failed just now is due again in a second or later.
            tokio::select! {
                () = bell.notified() => {}
                () = tokio::time::sleep(PAUSE_MIN.max(post.pause().await)) => {}
            }
        }
    }
}

struct Post {
    services: Services,
    http: Result<reqwest::Client, String>,
}

/// Why somebody could not be told, in words that hold no secret.
type Undelivered = String;

impl Post {
    /// Until something waits that is not due yet, and at most the usual time.
    async fn pause(&self) -> Duration {
        let soon = self.services.clock.now().plus(LOOK_INTERVAL);
        match self.services.store.due_notifications(soon, 1).await {
            Ok(due) if !due.is_empty() => PAUSE_MIN,
            _ => LOOK_INTERVAL,
        }
    }

    async fn try_once(&self, notification: &Notification, tries: u32) {
        let delivered = tokio::time::timeout(DELIVERY_MAX, self.deliver(notification)).await;
        let delivered = delivered.unwrap_or_else(|_| Err("it took too long".to_owned()));
        let (now, tries) = (self.services.clock.now(), tries + 1);
        let status = match delivered {
            Ok(()) => NotificationStatus {
                state: NotificationState::Delivered,
                at: now,
                tries,
                error: None,
            },
            Err(error) => {
                tracing::warn!(notification = %notification.key, tries, %error, "not delivered");
                let over = tries >= TRIES_MAX;
                let state = if over {
                    NotificationState::Undeliverable
                } else {
                    NotificationState::Waiting
                };
                let pause = PAUSE_MIN.saturating_mul(1 << (tries - 1).min(30)).min(PAUSE_MAX);
                NotificationStatus { state, at: now.plus(pause), tries, error: Some(error) }
            }
        };
        if let Err(error) = self.services.store.note_status(&notification.key, &status).await {
            tracing::info!(notification = %notification.key, %error, "it may be told again");
        }
    }

    async fn deliver(&self, notification: &Notification) -> Result<(), Undelivered> {
        let (run, plan) = self.subject(notification).await.map_err(|error| error.to_string())?;
        let records = self.services.store.instances(run.key).await.map_err(|e| e.to_string())?;
        let story = Story { notification, run: &run, records: &records };
        let subject = Subject {
            plan: &plan,
            run: &run,
            attempt: notification.attempt.as_ref(),
            exception: notification.failure.as_ref(),
        };
        let templates = notification.channel.templates();
        let rendered = self.services.rendering.render(subject, templates).await;
        let rendered = rendered.map_err(|error| match error {
            RenderError::Failed(failure) => failure.to_string(),
            RenderError::Store(error) => error.to_string(),
        })?;
        let channel = notification.channel.clone().with_texts(rendered.texts);
        let told = self.tell(&channel, &story, &rendered.masker).await;
        told.map_err(|why| rendered.masker.text(&why))
    }

    async fn tell(
        &self,
        channel: &Channel,
        story: &Story<'_>,
        masker: &Masker,
    ) -> Result<(), Undelivered> {
        let client = || self.http.as_ref().map_err(Clone::clone);
        let key = &story.notification.key;
        match channel {
            Channel::Webhook { url, headers, body } => {
                let body = body.clone().unwrap_or_else(|| story.json().to_string());
                http::post(client()?, url, headers, body, key).await
            }
            Channel::Slack { url, text } => {
                let text = text.clone().unwrap_or_else(|| story.line());
                let body = serde_json::json!({ "text": text }).to_string();
                http::post(client()?, url, &Default::default(), body, key).await
            }
            Channel::Email { connection, to, subject, body } => {
                let vault = &self.services.rendering.vault;
                let found =
                    vault.connection(connection).await.map_err(|error| error.to_string())?;
                let server =
                    found.ok_or_else(|| format!("there is no connection {connection:?}"))?;
                let letter = email::Letter {
                    to,
                    subject: subject.clone().unwrap_or_else(|| story.line()),
                    body: body.clone().unwrap_or_else(|| story.text()),
                    key,
                };
                let secrets = Masker::new(server.secrets().iter().map(String::as_str));
                let sent = email::send(&server, letter).await;
                sent.map_err(|why| masker.text(&secrets.text(&why)))
            }
        }
    }

    async fn subject(
        &self,
        notification: &Notification,
    ) -> Result<(DagRun, Arc<Plan>), StoreError> {
        let store = &self.services.store;
        let gone = |what: &str| StoreError::Corrupt(format!("the {what} that it is about is gone"));
        let run = store.run(notification.run).await?.ok_or_else(|| gone("run"))?;
        let dag = store.dag_version(&run.version).await?.ok_or_else(|| gone("version"))?;
        let plan = Plan::new(dag).map_err(|missing| StoreError::Corrupt(missing.to_string()))?;
        Ok((run, Arc::new(plan)))
    }
}
