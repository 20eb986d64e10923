//! What the services alone allow: 10,000 durable messages with three batched row updates, one Redis
//! write and one multiple acknowledgement per batch, and no orchestrator.

use std::time::Instant;

use anyhow::Context;
use futures_util::{FutureExt, StreamExt};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use redis::AsyncCommands;
use sqlx::{Connection as _, Executor, PgConnection};

use super::{Table, median};
use crate::cluster::Addresses;

const MESSAGES: i64 = 10_000;
const BATCH: usize = 500;
const WINDOW: usize = 2000;
const PREFETCH: u16 = 1024;
const BODY_BYTES: usize = 300;
const QUEUE: &str = "floor";
const UPDATE: &str = "UPDATE floor SET state = $2 FROM UNNEST($1::BIGINT[]) AS wanted(id) WHERE floor.id = wanted.id";

pub async fn measure(addresses: &Addresses, table: &mut Table) -> anyhow::Result<()> {
    let mut rates = Vec::new();
    for _ in 0..3 {
        let mut database = PgConnection::connect(&addresses.database_url).await?;
        database
            .execute(
                "DROP TABLE IF EXISTS floor; \
                 CREATE TABLE floor (id BIGINT PRIMARY KEY, state BIGINT NOT NULL) WITH (fillfactor = 70);",
            )
            .await?;
        sqlx::query("INSERT INTO floor SELECT i, 0 FROM generate_series(0, $1 - 1) AS i")
            .bind(MESSAGES)
            .execute(&mut database)
            .await?;
        let connection =
            Connection::connect(&addresses.rabbitmq_url, ConnectionProperties::default()).await?;
        let (sending, receiving) =
            (connection.create_channel().await?, connection.create_channel().await?);
        declare(&sending).await?;
        let began = Instant::now();
        let consumer = tokio::spawn(consume(receiving, addresses.clone()));
        publish(&sending, &mut database).await?;
        consumer.await??;
        rates.push(MESSAGES as f64 / began.elapsed().as_secs_f64());
    }
    table.add("floor_messages_per_s", median(rates));
    Ok(())
}

async fn declare(channel: &Channel) -> anyhow::Result<()> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    channel.queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), arguments).await?;
    Ok(())
}

async fn publish(channel: &Channel, database: &mut PgConnection) -> anyhow::Result<()> {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut open = std::collections::VecDeque::new();
    for batch in (0..MESSAGES).collect::<Vec<_>>().chunks(BATCH) {
        sqlx::query(UPDATE).bind(batch).bind(1i64).execute(&mut *database).await?;
        for id in batch {
            let mut body = id.to_le_bytes().to_vec();
            body.resize(BODY_BYTES, 0);
            let properties = BasicProperties::default().with_delivery_mode(2);
            let options = BasicPublishOptions::default();
            open.push_back(
                channel.basic_publish("".into(), QUEUE.into(), options, &body, properties).await?,
            );
            if open.len() >= WINDOW
                && let Some(confirm) = open.pop_front()
            {
                confirm.await?;
            }
        }
    }
    for confirm in open {
        confirm.await?;
    }
    Ok(())
}

async fn consume(channel: Channel, addresses: Addresses) -> anyhow::Result<()> {
    let mut database = PgConnection::connect(&addresses.database_url).await?;
    let client = redis::Client::open(addresses.redis_url)?;
    let mut redis = client.get_multiplexed_async_connection().await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let mut messages =
        channel.basic_consume(QUEUE.into(), "".into(), options, FieldTable::default()).await?;
    let mut done = 0;
    while done < MESSAGES {
        let first = messages.next().await.context("a message")??;
        let mut batch = vec![first];
        while let Some(Some(more)) = messages.next().now_or_never() {
            batch.push(more?);
        }
        let ids: Vec<i64> = batch
            .iter()
            .map(|message| message.data[..8].try_into().map(i64::from_le_bytes))
            .collect::<Result<_, _>>()?;
        for state in [2i64, 3] {
            sqlx::query(UPDATE).bind(&ids).bind(state).execute(&mut database).await?;
        }
        let _: String = redis.xadd("floor", "*", &[("done", ids.len())]).await?;
        let last = batch.last().context("a batch")?.delivery_tag;
        channel.basic_ack(last, BasicAckOptions { multiple: true }).await?;
        done += i64::try_from(ids.len())?;
    }
    Ok(())
}
