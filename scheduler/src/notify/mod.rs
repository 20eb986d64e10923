//! Telling people: what the outbox holds is delivered, and tried again until it is.
//!
//! **Authority.** The leader delivers. **Invariant.** A notification is in the outbox before anybody is told, and is
//! told at least once; its key goes with it, so that a receiver can tell a second time from the first.
//! **Failure handling.** Every failure is tried again, ever more rarely, for about half a day.

mod email;
mod http;
mod words;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use towpath_common::notification::{Channel, Notification, NotificationState, NotificationStatus};
use towpath_common::plan::Plan;
use towpath_common::port::StoreError;
use towpath_common::run::DagRun;
use towpath_common::time::Timestamp;
use towpath_rendering::{Masker, RenderError, Subject};

use crate::Services;
use crate::http::LazyClient;
use words::Story;

/// How many are delivered at once.
const AT_ONCE: usize = 16;
/// And of them to one receiver: one that does not answer leaves room for others.
const AT_ONCE_TO_ONE: usize = AT_ONCE / 2;
/// How many are read at once.
const BATCH: u32 = 256;
/// How often the outbox is looked into without being told to.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Between tries: the first pause, which doubles, and the longest.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(3600);
/// How long a receiver that has failed is left alone at most, whoever else has something for it.
const REST_MAX: Duration = Duration::from_secs(60);
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
        let round = Round {
            post,
            under_way: JoinSet::new(),
            settled: BTreeMap::new(),
            rests: BTreeMap::new(),
            busy: BTreeMap::new(),
        };
        let task = tokio::spawn(round.run(Arc::clone(&bell))).abort_handle();
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

/// A delivery that has come to its end.
type Tried = (Notification, u32, Result<(), Undelivered>);

/// The postman's round.
struct Round {
    post: Arc<Post>,
    under_way: JoinSet<Tried>,
    /// By key, what the store is still to be told, and none for what is under way: neither is delivered again.
    settled: BTreeMap<String, Option<NotificationStatus>>,
    /// Receivers that have failed: how often in a row, and until when they are left alone. One that does not answer
    /// holds up nobody else.
    rests: BTreeMap<String, (u32, Timestamp)>,
    /// How many deliveries to each receiver are under way.
    busy: BTreeMap<String, usize>,
}

impl Round {
    async fn run(mut self, bell: Arc<Notify>) {
        loop {
            tokio::select! {
                biased;
                () = bell.notified() => {}
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
                Some(tried) = self.under_way.join_next() => self.end(tried).await,
            }
            while let Some(tried) = self.under_way.try_join_next() {
                self.end(tried).await;
            }
            loop {
                match self.begin().await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        tracing::info!(%error, "the outbox cannot be looked into");
                        tokio::time::sleep(LOOK_INTERVAL).await;
                        break;
                    }
                }
            }
        }
    }

    /// Notes what is still to be noted, and takes up what is due while there is room. True if there may be more
    /// behind what was put off.
    async fn begin(&mut self) -> Result<bool, StoreError> {
        self.note_settled().await?;
        if self.under_way.len() >= AT_ONCE {
            return Ok(false);
        }
        let now = self.post.services.clock.now();
        let due = self.post.services.store.due_notifications(now, BATCH).await?;
        let (full, mut put_off) = (due.len() == BATCH as usize, false);
        for (notification, tries) in due {
            if self.settled.contains_key(&notification.key) {
                continue;
            }
            let receiver = receiver(&notification.channel);
            let rest = self.rests.get(receiver).map(|(_, until)| *until);
            if let Some(until) = rest.filter(|until| *until > now) {
                let state = NotificationState::Waiting;
                let status = NotificationStatus { state, at: until, tries, error: None };
                self.post.services.store.note_status(&notification.key, &status).await?;
                put_off = true;
                continue;
            }
            if self.under_way.len() >= AT_ONCE {
                break;
            }
            let busy = self.busy.entry(receiver.to_owned()).or_default();
            if *busy >= AT_ONCE_TO_ONE {
                continue;
            }
            *busy += 1;
            self.settled.insert(notification.key.clone(), None);
            let post = Arc::clone(&self.post);
            self.under_way.spawn(async move {
                let delivering = AssertUnwindSafe(post.deliver(&notification)).catch_unwind();
                let delivered = match tokio::time::timeout(DELIVERY_MAX, delivering).await {
                    Err(_) => Err("it took too long".to_owned()),
                    Ok(Err(_)) => Err("it broke off; the scheduler's log has why".to_owned()),
                    Ok(Ok(delivered)) => delivered,
                };
                (notification, tries, delivered)
            });
        }
        Ok(full && put_off)
    }

    async fn end(&mut self, tried: Result<Tried, JoinError>) {
        // It catches its own panics, and nobody aborts it.
        let Ok((notification, tries, delivered)) = tried else { return };
        let (now, tries) = (self.post.services.clock.now(), tries + 1);
        let receiver = receiver(&notification.channel);
        if let Some(count) = self.busy.get_mut(receiver) {
            *count -= 1;
            if *count == 0 {
                self.busy.remove(receiver);
            }
        }
        let status = match delivered {
            Ok(()) => {
                self.rests.remove(receiver);
                let state = NotificationState::Delivered;
                NotificationStatus { state, at: now, tries, error: None }
            }
            Err(error) => {
                tracing::warn!(notification = %notification.key, tries, %error, "not delivered");
                let failures = self.rests.get(receiver).map_or(0, |(failures, _)| *failures) + 1;
                let rest = now.plus(pause(failures).min(REST_MAX));
                self.rests.insert(receiver.to_owned(), (failures, rest));
                let over = tries >= TRIES_MAX;
                let state = if over {
                    NotificationState::Undeliverable
                } else {
                    NotificationState::Waiting
                };
                NotificationStatus { state, at: now.plus(pause(tries)), tries, error: Some(error) }
            }
        };
        self.settled.insert(notification.key, Some(status));
    }

    async fn note_settled(&mut self) -> Result<(), StoreError> {
        let ended: Vec<(String, NotificationStatus)> = self
            .settled
            .iter()
            .filter_map(|(key, status)| Some((key.clone(), status.clone()?)))
            .collect();
        for (key, status) in ended {
            self.post.services.store.note_status(&key, &status).await?;
            self.settled.remove(&key);
        }
        Ok(())
    }
}

/// Whoever is told, as the Dag names it.
fn receiver(channel: &Channel) -> &str {
    match channel {
        Channel::Webhook { url, .. } | Channel::Slack { url, .. } => url,
        Channel::Email { connection, .. } => connection,
    }
}

fn pause(failures: u32) -> Duration {
    PAUSE_MIN.saturating_mul(1 << (failures - 1).min(30)).min(PAUSE_MAX)
}

struct Post {
    services: Services,
    http: LazyClient,
}

/// Why somebody could not be told, in words that hold no secret.
type Undelivered = String;

impl Post {
    async fn deliver(&self, notification: &Notification) -> Result<(), Undelivered> {
        let (run, plan) = self.subject(notification).await.map_err(|error| error.to_string())?;
        // Only what is told of whole runs names their failed tasks.
        let records = match &notification.attempt {
            Some(_) => Ok(Vec::new()),
            None => self.services.store.instances(run.key).await,
        };
        let records = records.map_err(|error| error.to_string())?;
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
        let key = &story.notification.key;
        match channel {
            Channel::Webhook { url, headers, body } => {
                let body = body.clone().unwrap_or_else(|| story.json().to_string());
                http::post(self.http.get()?, url, headers, body, key).await
            }
            Channel::Slack { url, text } => {
                let text = text.clone().unwrap_or_else(|| story.line());
                let body = serde_json::json!({ "text": text }).to_string();
                http::post(self.http.get()?, url, &Default::default(), body, key).await
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
