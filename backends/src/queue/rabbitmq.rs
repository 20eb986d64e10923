//! The queue on RabbitMQ: one durable quorum queue per lane, publisher confirms, and a dead-letter
//! queue for what no worker can read.
//!
//! Each lane is consumed on a channel of its own, where deliveries come and are acknowledged in order,
//! so that one `ack multiple` serves a whole batch.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{SelectAll, select_all};
use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery as Message;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, BasicRejectOptions,
    ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::runtime::default_runtime;
use lapin::tcp::OwnedTLSConfig;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use tokio::sync::Mutex;
use towpath_common::id::QueueName;
use towpath_common::message::Dispatch;
use towpath_common::port::{Consumer, Delivery, Queue, Unavailable};

use crate::{Authorities, CheckError};

const SERVICE: &str = "RabbitMQ";
const BLOCKED: &str = "it takes no messages: it is short of memory or disk";
/// Where messages go that no worker can read.
const DEAD_LETTERS: &str = "towpath.dead";
/// Messages of delivery mode 2 survive the broker.
const PERSISTENT: u8 = 2;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A lane that takes longer than this to confirm is broken: a quorum queue whose log was lost with its
/// broker is still declared and never confirms. It is deleted, and made anew by the next publication;
/// the messages in it were only reminders.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);

fn unavailable(error: impl std::fmt::Display) -> Unavailable {
    Unavailable::new(SERVICE, error)
}

/// Where the broker is.
#[derive(Clone)]
struct Address {
    url: String,
    authorities: Authorities,
}

pub struct RabbitQueue {
    address: Address,
    publisher: Mutex<Option<Publisher>>,
    /// Looks at lanes, whatever the publisher waits for.
    inspector: Mutex<Option<Publisher>>,
    consumers: Mutex<Option<Connection>>,
}

struct Publisher {
    /// The channel lives as long as its connection.
    connection: Connection,
    channel: Channel,
    declared: BTreeSet<QueueName>,
}

impl RabbitQueue {
    /// Connects on first use, and again whenever the connection was lost; encrypted if the URL is an `amqps://` one.
    pub fn new(url: &str, authorities: &Authorities) -> Self {
        Self {
            address: Address { url: url.to_owned(), authorities: authorities.clone() },
            publisher: Mutex::default(),
            inspector: Mutex::default(),
            consumers: Mutex::default(),
        }
    }

    /// Connects now.
    pub async fn check(&self) -> Result<(), CheckError> {
        connect(&self.address).await.map(drop).map_err(|error| {
            let why = error.detail;
            // The broker's words for a wrong account or virtual host, and the client's for what is
            // no address.
            let refused =
                ["ACCESS_REFUSED", "NOT_ALLOWED", "access refused", "URI", "uri", "Scheme"];
            let refused = refused.iter().any(|word| why.contains(word));
            if refused { CheckError::Refused(why) } else { CheckError::Away(why) }
        })
    }
}

async fn connect(address: &Address) -> Result<Connection, Unavailable> {
    let properties = ConnectionProperties::default().with_connection_name("towpath".into());
    let cert_chain = address.authorities.pem().map(str::to_owned);
    let tls = OwnedTLSConfig { identity: None, cert_chain };
    let runtime = default_runtime().map_err(unavailable)?;
    let connecting = Connection::connect_with_config(&address.url, properties, tls, runtime);
    match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(connected) => connected.map_err(unavailable),
        Err(_) => Err(unavailable("it does not answer")),
    }
}

fn lane(queue: &QueueName) -> String {
    format!("towpath.{queue}")
}

/// Quorum queues: replicable, and the faster kind for batches. Equal everywhere, or the broker refuses.
async fn declare(channel: &Channel, queue: &QueueName) -> Result<u32, Unavailable> {
    let mut arguments = FieldTable::default();
    let text = |value: &str| AMQPValue::LongString(value.into());
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments.insert("x-dead-letter-exchange".into(), text(""));
    arguments.insert("x-dead-letter-routing-key".into(), text(DEAD_LETTERS));
    let options = QueueDeclareOptions::durable();
    let declared = channel.queue_declare(lane(queue).as_str().into(), options, arguments).await;
    declared.map(|queue| queue.message_count()).map_err(unavailable)
}

async fn delete(address: &Address, lanes: &BTreeSet<&QueueName>) -> Result<(), Unavailable> {
    let connection = connect(address).await?;
    for queue in lanes {
        let channel = connection.create_channel().await.map_err(unavailable)?;
        let options = QueueDeleteOptions::default();
        let deleted = channel.queue_delete(lane(queue).as_str().into(), options).await;
        deleted.map_err(unavailable)?;
    }
    Ok(())
}

async fn declare_dead_letters(channel: &Channel) -> Result<(), Unavailable> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let options = QueueDeclareOptions::durable();
    channel.queue_declare(DEAD_LETTERS.into(), options, arguments).await.map_err(unavailable)?;
    Ok(())
}

impl Publisher {
    async fn open(address: &Address) -> Result<Self, Unavailable> {
        let connection = connect(address).await?;
        let channel = connection.create_channel().await.map_err(unavailable)?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(unavailable)?;
        declare_dead_letters(&channel).await?;
        Ok(Self { connection, channel, declared: BTreeSet::new() })
    }

    /// The broker takes nothing more in; what it has, workers may take.
    fn is_blocked(&self) -> bool {
        let status = self.connection.status();
        status.connected() && status.blocked()
    }

    async fn publish(&mut self, batch: &[Dispatch]) -> Result<(), Unavailable> {
        let mut confirms = Vec::with_capacity(batch.len());
        for dispatch in batch {
            if !self.declared.contains(&dispatch.queue) {
                declare(&self.channel, &dispatch.queue).await?;
                self.declared.insert(dispatch.queue.clone());
            }
            let body = dispatch.encode();
            let sent = self.channel.basic_publish(
                "".into(),
                lane(&dispatch.queue).as_str().into(),
                BasicPublishOptions::default(),
                &body,
                BasicProperties::default().with_delivery_mode(PERSISTENT),
            );
            confirms.push(sent.await.map_err(unavailable)?);
        }
        for confirm in confirms {
            match confirm.await.map_err(unavailable)? {
                Confirmation::Ack(None) => {}
                other => return Err(unavailable(format!("it did not take a message: {other:?}"))),
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Queue for RabbitQueue {
    async fn publish(&self, batch: &[Dispatch]) -> Result<(), Unavailable> {
        let mut place = self.publisher.lock().await;
        // Taken out, so that a failed or abandoned attempt leaves no half-used channel behind.
        let mut publisher = match place.take() {
            Some(publisher) if publisher.is_blocked() => {
                *place = Some(publisher);
                return Err(unavailable(BLOCKED));
            }
            Some(publisher) => publisher,
            None => Publisher::open(&self.address).await?,
        };
        match tokio::time::timeout(CONFIRM_TIMEOUT, publisher.publish(batch)).await {
            Ok(published) => published?,
            // Kept: until it is unblocked its connection cannot even be closed.
            Err(_) if publisher.is_blocked() => {
                *place = Some(publisher);
                return Err(unavailable(BLOCKED));
            }
            Err(_) => {
                let lanes: BTreeSet<&QueueName> = batch.iter().map(|d| &d.queue).collect();
                let deleting = delete(&self.address, &lanes);
                let deleted = tokio::time::timeout(CONNECT_TIMEOUT, deleting).await;
                let deleted = matches!(deleted, Ok(Ok(())));
                tracing::error!(?lanes, deleted, "lanes that do not confirm are made anew");
                return Err(unavailable("it does not confirm"));
            }
        }
        *place = Some(publisher);
        Ok(())
    }

    async fn depth(&self, queue: &QueueName) -> Result<u64, Unavailable> {
        let looking = async {
            let mut place = self.inspector.lock().await;
            // Taken out, so that a look that was given up leaves no half-used channel behind.
            let inspector = match place.take() {
                Some(inspector) => inspector,
                None => Publisher::open(&self.address).await?,
            };
            // Declaring again what exists answers with its count.
            let count = declare(&inspector.channel, queue).await?;
            *place = Some(inspector);
            Ok(u64::from(count))
        };
        match tokio::time::timeout(CONNECT_TIMEOUT, looking).await {
            Ok(depth) => depth,
            Err(_) => Err(unavailable("it does not answer")),
        }
    }

    async fn consume(
        &self,
        queues: &[QueueName],
        prefetch: u16,
    ) -> Result<Box<dyn Consumer>, Unavailable> {
        let mut place = self.consumers.lock().await;
        let connection = match place.take() {
            Some(connection) if connection.status().connected() => connection,
            _ => connect(&self.address).await?,
        };
        let mut lanes = Vec::new();
        for queue in queues {
            lanes.push(Lane::open(&connection, queue, prefetch).await?);
        }
        *place = Some(connection);
        let streams = lanes.iter_mut().enumerate().filter_map(|(index, lane)| {
            let stream = lane.stream.take()?;
            let ended = futures_util::stream::once(async { Err(unavailable("a lane was closed")) });
            let messages = stream.map(|message| message.map_err(unavailable)).chain(ended);
            Some(messages.map(move |message| (index, message)).boxed())
        });
        Ok(Box::new(RabbitConsumer { messages: select_all(streams), lanes, ready: Vec::new() }))
    }
}

struct Lane {
    queue: QueueName,
    channel: Channel,
    stream: Option<lapin::Consumer>,
}

impl Lane {
    async fn open(
        connection: &Connection,
        queue: &QueueName,
        prefetch: u16,
    ) -> Result<Self, Unavailable> {
        let channel = connection.create_channel().await.map_err(unavailable)?;
        declare_dead_letters(&channel).await?;
        declare(&channel, queue).await?;
        channel.basic_qos(prefetch, BasicQosOptions::default()).await.map_err(unavailable)?;
        let options = BasicConsumeOptions::default();
        let (name, tag) = (lane(queue), "");
        let consumer =
            channel.basic_consume(name.as_str().into(), tag.into(), options, FieldTable::default());
        let stream = Some(consumer.await.map_err(unavailable)?);
        Ok(Self { queue: queue.clone(), channel, stream })
    }
}

type Arrival = (usize, Result<Message, Unavailable>);

struct RabbitConsumer {
    lanes: Vec<Lane>,
    messages: SelectAll<futures_util::stream::BoxStream<'static, Arrival>>,
    /// Read and not handed out yet; kept here so that dropping a wait loses none of them.
    ready: Vec<Delivery>,
}

/// A tag is unique per channel; the lane's number in the high bits makes it so for the consumer.
const LANE_SHIFT: u32 = 48;

/// Reads the message, or hands it to the dead letters.
async fn read(lanes: &[Lane], (lane, message): Arrival) -> Result<Option<Delivery>, Unavailable> {
    let message = message?;
    let Lane { queue, channel, .. } = &lanes[lane];
    match Dispatch::decode(queue, &message.data) {
        Ok(dispatch) => {
            let tag = (lane as u64) << LANE_SHIFT | message.delivery_tag;
            Ok(Some(Delivery { tag, dispatch }))
        }
        Err(error) => {
            tracing::warn!(%queue, %error, "a message goes to {DEAD_LETTERS}");
            let options = BasicRejectOptions { requeue: false };
            channel.basic_reject(message.delivery_tag, options).await.map_err(unavailable)?;
            Ok(None)
        }
    }
}

#[async_trait]
impl Consumer for RabbitConsumer {
    async fn next_batch(&mut self, max: usize) -> Result<Vec<Delivery>, Unavailable> {
        while self.ready.is_empty() {
            let first = self.messages.next().await;
            let first = first.ok_or_else(|| unavailable("the connection was closed"))?;
            self.ready.extend(read(&self.lanes, first).await?);
        }
        // What is here already, and no waiting for more.
        while self.ready.len() < max {
            let Some(Some(next)) = self.messages.next().now_or_never() else { break };
            self.ready.extend(read(&self.lanes, next).await?);
        }
        Ok(self.ready.drain(..self.ready.len().min(max)).collect())
    }

    async fn ack(&mut self, deliveries: &[Delivery]) -> Result<(), Unavailable> {
        let mut last = BTreeMap::new();
        for delivery in deliveries {
            last.insert(delivery.tag >> LANE_SHIFT, delivery.tag & ((1 << LANE_SHIFT) - 1));
        }
        for (lane, tag) in last {
            let lane = usize::try_from(lane).map_err(unavailable)?;
            let options = BasicAckOptions { multiple: true };
            self.lanes[lane].channel.basic_ack(tag, options).await.map_err(unavailable)?;
        }
        Ok(())
    }

    async fn close(self: Box<Self>) {
        for lane in self.lanes {
            // A channel that is gone already has handed back what it held.
            let _ = lane.channel.close(200, "no free slot".into()).await;
        }
    }
}
