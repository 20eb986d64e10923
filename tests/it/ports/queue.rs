//! The queue's contract: memory, RabbitMQ.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lapin::options::{BasicGetOptions, BasicPublishOptions};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use tokio::time::timeout;
use towpath_backends::Authorities;
use towpath_backends::queue::{MemoryQueue, RabbitQueue};
use towpath_common::id::{AttemptKey, Ids, QueueName, RandomIds, RunKey, UNMAPPED};
use towpath_common::message::Dispatch;
use towpath_common::port::{Consumer, Queue};
use towpath_tests::process::eventually;
use towpath_tests::service::RabbitMq;

use super::service;

const LONG: Duration = Duration::from_secs(10);
/// Long enough for a message that should not come.
const SHORT: Duration = Duration::from_millis(300);

/// A lane that no other test uses.
fn lane() -> QueueName {
    QueueName::new(&RandomIds.uuid().to_string()).expect("a name")
}

fn dispatches(lane: &QueueName, count: u32) -> Vec<Dispatch> {
    let run = RunKey(RandomIds.uuid());
    let task = |i: u32| format!("t{i}").parse().expect("a name");
    let attempt = |i| AttemptKey { run, task: task(i), map_index: UNMAPPED, number: 1 };
    (0..count)
        .map(|i| Dispatch { queue: lane.clone(), attempt: attempt(i), clear_number: 0 })
        .collect()
}

async fn consume(queue: &Arc<dyn Queue>, lane: &QueueName, prefetch: u16) -> Box<dyn Consumer> {
    queue.consume(std::slice::from_ref(lane), prefetch).await.expect("it consumes")
}

/// Takes and acknowledges until that many have come.
async fn take(consumer: &mut Box<dyn Consumer>, count: usize) -> BTreeSet<AttemptKey> {
    let mut taken = BTreeSet::new();
    while taken.len() < count {
        let batch =
            timeout(LONG, consumer.next_batch(100)).await.expect("in time").expect("a batch");
        consumer.ack(&batch).await.expect("acknowledged");
        taken.extend(batch.into_iter().map(|delivery| delivery.dispatch.attempt));
    }
    taken
}

fn attempts(dispatches: &[Dispatch]) -> BTreeSet<AttemptKey> {
    dispatches.iter().map(|dispatch| dispatch.attempt.clone()).collect()
}

async fn exercise(queue: Arc<dyn Queue>) {
    what_is_published_comes_once(&queue).await;
    no_more_than_the_prefetch_is_out(&queue).await;
    what_is_not_acknowledged_goes_to_others(&queue).await;
    lanes_are_apart_and_one_consumer_takes_from_several(&queue).await;
    the_depth_counts_what_waits(&queue).await;
}

async fn what_is_published_comes_once(queue: &Arc<dyn Queue>) {
    let lane = lane();
    let sent = dispatches(&lane, 500);
    let mut consumer = consume(queue, &lane, 50).await;
    queue.publish(&sent).await.expect("published");
    assert_eq!(take(&mut consumer, sent.len()).await, attempts(&sent));
    assert!(timeout(SHORT, consumer.next_batch(1)).await.is_err(), "nothing comes twice");
    consumer.close().await;
}

async fn no_more_than_the_prefetch_is_out(queue: &Arc<dyn Queue>) {
    let lane = lane();
    queue.publish(&dispatches(&lane, 5)).await.expect("published");
    let (mut one, mut other) = (consume(queue, &lane, 2).await, consume(queue, &lane, 2).await);
    let mut held = 0;
    for consumer in [&mut one, &mut other] {
        while let Ok(batch) = timeout(SHORT, consumer.next_batch(10)).await {
            held += batch.expect("a batch").len();
        }
    }
    assert_eq!(held, 4, "two each; the fifth waits");
    one.close().await;
    other.close().await;
}

async fn what_is_not_acknowledged_goes_to_others(queue: &Arc<dyn Queue>) {
    let lane = lane();
    let sent = dispatches(&lane, 10);
    queue.publish(&sent).await.expect("published");
    let mut first = consume(queue, &lane, 10).await;
    let some = timeout(LONG, first.next_batch(3)).await.expect("in time").expect("a batch");
    first.ack(&some[..1]).await.expect("acknowledged");
    first.close().await;
    let mut second = consume(queue, &lane, 10).await;
    let rest = take(&mut second, 9).await;
    assert!(!rest.contains(&some[0].dispatch.attempt), "the acknowledged one is gone for good");
    second.close().await;
}

async fn lanes_are_apart_and_one_consumer_takes_from_several(queue: &Arc<dyn Queue>) {
    let lanes = [lane(), lane()];
    let mut consumer = queue.consume(&lanes, 5).await.expect("it consumes");
    let mut sent = dispatches(&lanes[0], 20);
    sent.extend(dispatches(&lanes[1], 20));
    let other = lane();
    queue.publish(&dispatches(&other, 3)).await.expect("published");
    queue.publish(&sent).await.expect("published");
    assert_eq!(take(&mut consumer, sent.len()).await, attempts(&sent));
    consumer.close().await;
}

async fn the_depth_counts_what_waits(queue: &Arc<dyn Queue>) {
    let lane = lane();
    assert_eq!(queue.depth(&lane).await.expect("answers"), 0);
    queue.publish(&dispatches(&lane, 7)).await.expect("published");
    eventually("the broker counts seven", LONG, || async {
        Ok((queue.depth(&lane).await? == 7).then_some(()))
    })
    .await
    .expect("it counts");
    let mut consumer = consume(queue, &lane, 7).await;
    take(&mut consumer, 7).await;
    eventually("nothing waits", LONG, || async {
        Ok((queue.depth(&lane).await? == 0).then_some(()))
    })
    .await
    .expect("it counts");
    consumer.close().await;
}

#[tokio::test]
async fn memory() {
    exercise(Arc::new(MemoryQueue::default())).await;
}

#[tokio::test]
async fn rabbitmq() {
    exercise(Arc::new(RabbitQueue::new(&service("RABBITMQ"), &Authorities::default()))).await;
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_kept_apart() {
    let url = service("RABBITMQ");
    let queue: Arc<dyn Queue> = Arc::new(RabbitQueue::new(&url, &Authorities::default()));
    let lane = lane();
    let good = dispatches(&lane, 1);
    let mut consumer = consume(&queue, &lane, 5).await;
    let connection =
        Connection::connect(&url, ConnectionProperties::default()).await.expect("connects");
    let channel = connection.create_channel().await.expect("a channel");
    let name = format!("towpath.{lane}");
    let of_another_version = format!(r#"{{"v": 99, "marker": "{lane}"}}"#).into_bytes();
    let truncated = format!(r#"{{"v": 1, "marker": "{lane}", "#).into_bytes();
    let no_text = [b"\xff\xfe".as_slice(), lane.as_str().as_bytes()].concat();
    let large = format!("{lane}{}", "x".repeat(10_000_000)).into_bytes();
    let poisons = [of_another_version, truncated, no_text, large];
    for poison in &poisons {
        let options = BasicPublishOptions::default();
        let properties = BasicProperties::default();
        let to = name.as_str().into();
        let published = channel.basic_publish("".into(), to, options, poison, properties).await;
        published.expect("published");
    }
    queue.publish(&good).await.expect("published");
    assert_eq!(take(&mut consumer, 1).await, attempts(&good), "the lane goes on");
    for poison in poisons {
        eventually("the message is among the dead letters", LONG, || async {
            let letter =
                channel.basic_get("towpath.dead".into(), BasicGetOptions { no_ack: true }).await?;
            Ok(letter.is_some_and(|letter| letter.data == poison).then_some(()))
        })
        .await
        .expect("it is kept, and in its turn");
    }
    consumer.close().await;
}

/// Nobody publishes to a broker that is short of memory, and what it has is not thrown away for that.
#[tokio::test]
async fn a_broker_that_is_short_of_memory_keeps_its_lanes() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let broker = RabbitMq::start(dir.path()).await?;
    let queue = RabbitQueue::new(&broker.url(), &Authorities::default());
    let lane = lane();
    let sent = dispatches(&lane, 2);
    queue.publish(&sent[..1]).await?;
    broker.control(&["set_vm_memory_high_watermark", "0.00001"])?;
    let refused = queue.publish(&sent[1..]).await.expect_err("it takes no more");
    assert!(refused.to_string().contains("short of memory"), "{refused}");
    assert_eq!(queue.depth(&lane).await?, 1, "what was there before");
    broker.control(&["set_vm_memory_high_watermark", "0.9"])?;
    eventually("it takes messages again", 6 * LONG, || async {
        Ok(queue.publish(&sent[1..]).await.ok())
    })
    .await?;
    let queue: Arc<dyn Queue> = Arc::new(queue);
    assert_eq!(take(&mut consume(&queue, &lane, 10).await, 2).await, attempts(&sent));
    Ok(())
}
