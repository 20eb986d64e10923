//! The bus on Redis: one publish/subscribe channel per topic. A subscription reconnects for ever and
//! reports each outage as a gap.

mod breaker;

use std::io::{self, ErrorKind::TimedOut};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, PubSub};
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::streams::{StreamId, StreamRangeReply, StreamReadReply};
use redis::{
    ConnectionAddr, ErrorKind, FromRedisValue, IntoConnectionInfo, RedisError, RedisResult,
    TlsCertificates,
};
use tokio::sync::{Mutex, mpsc, oneshot};
use towpath_common::change::{Changes, News, Place};
use towpath_common::message::{Announcement, Topic};
use towpath_common::port::{Bus, BusEvent, Subscription, Unavailable};

use self::breaker::Breaker;
use crate::{Authorities, CheckError};

const SERVICE: &str = "Redis";
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long somebody waits for what is answered at once.
const PATIENCE: Duration = Duration::from_secs(1);
/// A connection whose other end has not been heard for so long has ended, as when its machine has lost power or a
/// network has swallowed it; it is asked for a sign of life this often.
const SILENCE: Duration = Duration::from_secs(15);
const SIGNS: Duration = Duration::from_secs(5);
/// How long somebody waits for the beginning of a subscription. One that begins later begins with a gap.
const SUBSCRIBE_PATIENCE: Duration = Duration::from_millis(500);
const RECONNECT_FIRST: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(2);
/// Batches between the socket and its listener. A listener that is further behind is better off with
/// a gap and a look into the store.
const BACKLOG: usize = 1024;
/// The stream of changes, and about how many entries of it are kept.
const FEED: &str = "towpath:changes";
const FEED_MAX: usize = 5000;
/// How long one look waits for news, in milliseconds, and for how many at most.
const NEWS_WAIT_MS: usize = 1000;
const NEWS_MAX: usize = 500;

const BEGINNING: Place = Place { at: 0, number: 0 };

fn unavailable(error: impl std::fmt::Display) -> Unavailable {
    Unavailable::new(SERVICE, error)
}

/// Even a refusal is an answer, with a code that is known here or with another.
fn is_away(error: &RedisError) -> bool {
    !matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
}

pub struct RedisBus {
    client: redis::Client,
    publisher: Arc<Line>,
    /// A look that waits holds up its whole connection, so it has one of its own.
    reader: Line,
    /// Nobody waits for Redis again and again while it is away.
    breaker: Breaker,
}

/// A connection that is made on first use, and made again when it has ended.
struct Line {
    client: redis::Client,
    connection: Mutex<Option<ConnectionManager>>,
}

impl Line {
    fn new(client: redis::Client) -> Self {
        Self { client, connection: Mutex::default() }
    }

    async fn connected(&self) -> RedisResult<ConnectionManager> {
        let mut place = self.connection.lock().await;
        if let Some(connection) = &*place {
            return Ok(connection.clone());
        }
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(Some(TIMEOUT))
            .set_number_of_retries(0);
        let connection = ConnectionManager::new_with_config(self.client.clone(), config).await?;
        Ok(place.insert(connection).clone())
    }

    async fn run<T: FromRedisValue>(&self, command: &redis::Cmd) -> RedisResult<T> {
        let answer = command.query_async(&mut self.connected().await?).await;
        // It connects again by itself after breaks alone; what else went wrong then it would repeat for ever.
        if answer.as_ref().is_err_and(|error| is_away(error) && !error.is_io_error()) {
            *self.connection.lock().await = None;
        }
        answer
    }
}

impl RedisBus {
    /// Connects on first use; encrypted if the URL is a `rediss://` one.
    pub fn new(url: &str, authorities: &Authorities) -> Result<Self, Unavailable> {
        let info = url.into_connection_info().map_err(unavailable)?;
        let info = info.set_tcp_settings(tcp_settings());
        let client = match (info.addr(), authorities.pem()) {
            (ConnectionAddr::TcpTls { .. }, Some(pem)) => {
                let root_cert = Some(pem.as_bytes().to_vec());
                let certificates = TlsCertificates { client_tls: None, root_cert };
                redis::Client::build_with_tls(info, certificates)
            }
            _ => redis::Client::open(info),
        };
        let client = client.map_err(unavailable)?;
        let publisher = Arc::new(Line::new(client.clone()));
        let reader = Line::new(client.clone());
        Ok(Self { client, publisher, reader, breaker: Breaker::default() })
    }

    /// Connects now.
    pub async fn check(&self) -> Result<(), CheckError> {
        let connecting = self.client.get_multiplexed_async_connection();
        match tokio::time::timeout(TIMEOUT, connecting).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.kind() == redis::ErrorKind::AuthenticationFailed => {
                Err(CheckError::Refused(error.to_string()))
            }
            Ok(Err(error)) => Err(CheckError::Away(error.to_string())),
            Err(_) => Err(CheckError::Away("it does not answer".to_owned())),
        }
    }

    /// Asks what is answered at once, unless Redis was away a moment ago.
    async fn ask<T: FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, Unavailable> {
        if self.breaker.is_open() {
            return Err(unavailable("it was away a moment ago"));
        }
        let asking = tokio::time::timeout(PATIENCE, self.publisher.run(command));
        let answer = asking.await.unwrap_or_else(|_| Err(io::Error::from(TimedOut).into()));
        if answer.as_ref().is_err_and(is_away) {
            let publisher = Arc::clone(&self.publisher);
            self.breaker.open(move || {
                let publisher = Arc::clone(&publisher);
                let ping = redis::cmd("PING");
                async move { !publisher.run::<()>(&ping).await.is_err_and(|error| is_away(&error)) }
            });
        }
        answer.map_err(unavailable)
    }

    /// The first or the last entry of the feed.
    async fn edge(
        &self,
        command: &str,
        from: &str,
        to: &str,
    ) -> Result<Option<Place>, Unavailable> {
        let mut range = redis::cmd(command);
        range.arg(FEED).arg(from).arg(to).arg("COUNT").arg(1);
        let reply: StreamRangeReply = self.ask(&range).await?;
        reply.ids.first().map(|entry| entry.id.parse().map_err(unavailable)).transpose()
    }
}

#[async_trait]
impl Bus for RedisBus {
    async fn announce(&self, topic: Topic, what: &Announcement) -> Result<(), Unavailable> {
        let text = serde_json::to_vec(what).map_err(unavailable)?;
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(channel(&self.client, topic)).arg(text);
        self.ask(&publish).await
    }

    async fn subscribe(&self, topic: Topic) -> Box<dyn Subscription> {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let (began, begun) = oneshot::channel();
        tokio::spawn(listen(self.client.clone(), topic, began, sender));
        let _ = tokio::time::timeout(SUBSCRIBE_PATIENCE, begun).await;
        Box::new(RedisSubscription(receiver))
    }

    async fn tell(&self, changes: &Changes) -> Result<(), Unavailable> {
        let text = serde_json::to_vec(changes).map_err(unavailable)?;
        let mut add = redis::cmd("XADD");
        add.arg(FEED).arg("MAXLEN").arg("~").arg(FEED_MAX).arg("*").arg("changes").arg(text);
        self.ask(&add).await
    }

    async fn feed_end(&self) -> Result<Place, Unavailable> {
        Ok(self.edge("XREVRANGE", "+", "-").await?.unwrap_or(BEGINNING))
    }

    async fn news(&self, after: &Place) -> Result<News, Unavailable> {
        let first = self.edge("XRANGE", "-", "+").await?.unwrap_or(BEGINNING);
        let end = self.feed_end().await?;
        // What was trimmed, and what a Redis that has lost its memory no longer knows.
        if *after > end || (*after != BEGINNING && *after < first) {
            return Ok(News::Gap(end));
        }
        let mut read = redis::cmd("XREAD");
        read.arg("COUNT").arg(NEWS_MAX).arg("BLOCK").arg(NEWS_WAIT_MS);
        read.arg("STREAMS").arg(FEED).arg(after.to_string());
        let reply: Option<StreamReadReply> = self.reader.run(&read).await.map_err(unavailable)?;
        let entries = reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids);
        let entry = |entry: StreamId| {
            let place = entry.id.parse().map_err(unavailable)?;
            let text: Vec<u8> = entry.get("changes").unwrap_or_default();
            // What cannot be read, a newer program's, is no change that this one could show.
            Ok((place, serde_json::from_slice(&text).unwrap_or_default()))
        };
        entries.map(entry).collect::<Result<_, _>>().map(News::Changes)
    }
}

fn tcp_settings() -> TcpSettings {
    let keepalive = TcpKeepalive::new().with_time(SIGNS).with_interval(SIGNS);
    let settings = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(SILENCE);
    settings
}

/// Channels are one for all databases of a server, so its number is in their names: who has a database of their own
/// hears nobody else.
fn channel(client: &redis::Client, topic: Topic) -> String {
    format!("{}:{}", topic.as_str(), client.get_connection_info().redis_settings().db())
}

async fn subscribe(client: &redis::Client, topic: Topic) -> Result<PubSub, Unavailable> {
    let connecting = async {
        let mut pubsub = client.get_async_pubsub().await?;
        pubsub.subscribe(channel(client, topic)).await?;
        Ok::<_, redis::RedisError>(pubsub)
    };
    match tokio::time::timeout(TIMEOUT, connecting).await {
        Ok(connected) => connected.map_err(unavailable),
        Err(_) => Err(unavailable("it does not answer")),
    }
}

/// Feeds the listener until it is gone.
async fn listen(
    client: redis::Client,
    topic: Topic,
    began: oneshot::Sender<()>,
    sender: mpsc::Sender<BusEvent>,
) {
    let mut began = Some(began);
    while let Ok(mut pubsub) = connect(&client, topic, &sender).await {
        // Somebody has waited for the first beginning. What was said before any other may have been missed.
        let nothing_missed = began.take().is_some_and(|began| began.send(()).is_ok());
        if !nothing_missed {
            tracing::info!(topic = topic.as_str(), "listening to Redis again");
            if sender.send(BusEvent::Gap).await.is_err() {
                return;
            }
        }
        if forward(&mut pubsub, &sender).await.is_err() {
            return;
        }
        tracing::warn!(topic = topic.as_str(), "the connection to Redis is lost");
        tokio::time::sleep(RECONNECT_FIRST).await;
    }
}

/// Until it is connected, or the listener is gone.
async fn connect(
    client: &redis::Client,
    topic: Topic,
    sender: &mpsc::Sender<BusEvent>,
) -> Result<PubSub, ListenerGone> {
    let mut pause = RECONNECT_FIRST;
    let mut said = false;
    loop {
        match subscribe(client, topic).await {
            Ok(pubsub) => return Ok(pubsub),
            Err(error) if !said => tracing::warn!(%error, topic = topic.as_str(), "not listening"),
            Err(_) => {}
        }
        said = true;
        tokio::time::sleep(pause).await;
        if sender.is_closed() {
            return Err(ListenerGone);
        }
        pause = (2 * pause).min(RECONNECT_MAX);
    }
}

struct ListenerGone;

/// Until the connection ends, which is `Ok`, or the listener is gone.
async fn forward(pubsub: &mut PubSub, sender: &mpsc::Sender<BusEvent>) -> Result<(), ListenerGone> {
    let mut messages = pubsub.on_message();
    loop {
        let message = tokio::select! {
            message = messages.next() => message,
            () = sender.closed() => return Err(ListenerGone),
        };
        let Some(message) = message else { return Ok(()) };
        let event = match serde_json::from_slice(message.get_payload_bytes()) {
            Ok(announcement) => BusEvent::Announced(announcement),
            Err(error) => {
                tracing::warn!(%error, "an announcement cannot be read");
                BusEvent::Gap
            }
        };
        sender.send(event).await.map_err(|_| ListenerGone)?;
    }
}

struct RedisSubscription(mpsc::Receiver<BusEvent>);

#[async_trait]
impl Subscription for RedisSubscription {
    async fn next(&mut self) -> BusEvent {
        match self.0.recv().await {
            Some(event) => event,
            // The feeding task ends only with this listener.
            None => std::future::pending().await,
        }
    }

    fn try_next(&mut self) -> Option<BusEvent> {
        self.0.try_recv().ok()
    }
}
