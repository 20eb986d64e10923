//! The bus's contract: memory, Redis.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use towpath_backends::Authorities;
use towpath_backends::bus::{MemoryBus, RedisBus};
use towpath_common::change::{Changes, InstanceChange, News, Place};
use towpath_common::id::{AttemptKey, RunKey, UNMAPPED, WorkerName};
use towpath_common::message::{Announcement, Topic};
use towpath_common::port::{Bus, BusEvent, Subscription};
use towpath_common::state::TaskState;
use towpath_common::time::Timestamp;
use towpath_tests::process::{eventually, free_port};
use towpath_tests::service::Redis;

const LONG: Duration = Duration::from_secs(10);

fn claimed(number: u32) -> Announcement {
    let task = "a".parse().expect("a name");
    let run = RunKey(uuid::Uuid::nil());
    Announcement::Claimed {
        worker: WorkerName::new("w").expect("a name"),
        at: Timestamp::from_micros(5),
        attempts: vec![AttemptKey { run, task, map_index: UNMAPPED, number }],
    }
}

async fn next(subscription: &mut Box<dyn Subscription>) -> BusEvent {
    timeout(LONG, subscription.next()).await.expect("it comes in time")
}

async fn exercise(bus: Arc<dyn Bus>) {
    bus.announce(Topic::Scheduler, &claimed(0)).await.expect("nobody needs to listen");
    let mut one = bus.subscribe(Topic::Scheduler).await;
    let mut two = bus.subscribe(Topic::Scheduler).await;
    let mut other = bus.subscribe(Topic::Workers).await;
    for number in 1..=50 {
        bus.announce(Topic::Scheduler, &claimed(number)).await.expect("announced");
    }
    bus.announce(Topic::Workers, &Announcement::CommandWaiting).await.expect("announced");
    for number in 1..=50 {
        let expected = BusEvent::Announced(claimed(number));
        assert_eq!(next(&mut one).await, expected, "in order");
        assert_eq!(next(&mut two).await, expected, "for everybody");
    }
    assert_eq!(next(&mut other).await, BusEvent::Announced(Announcement::CommandWaiting));
    assert_eq!(one.try_next(), None);
}

fn change(number: u32) -> Changes {
    let instance = InstanceChange {
        run: RunKey(uuid::Uuid::nil()),
        dag_id: "d".parse().expect("a name"),
        task: "a".parse().expect("a name"),
        map_index: UNMAPPED,
        state: TaskState::Running,
        attempt: number,
    };
    Changes { instances: vec![instance], ..Changes::default() }
}

/// What has come after a place, until so many have.
async fn read(bus: &dyn Bus, mut place: Place, count: usize) -> Vec<(Place, Changes)> {
    let mut found = Vec::new();
    while found.len() < count {
        match timeout(LONG, bus.news(&place)).await.expect("in time").expect("it answers") {
            News::Changes(changes) => found.extend(changes),
            News::Gap(end) => panic!("nothing was lost before {end}"),
        }
        place = found.last().map_or(place, |(last, _)| last.clone());
    }
    found
}

async fn the_feed_goes_on_from_any_place_that_is_kept(bus: Arc<dyn Bus>) {
    let begin = bus.feed_end().await.expect("it answers");
    for number in 1..=20 {
        bus.tell(&change(number)).await.expect("told");
    }
    let all = read(bus.as_ref(), begin.clone(), 20).await;
    let told: Vec<Changes> = all.iter().map(|(_, changes)| changes.clone()).collect();
    assert_eq!(told, (1..=20).map(change).collect::<Vec<_>>(), "in order");
    assert!(all.is_sorted_by(|(one, _), (other, _)| one < other), "later places are greater");
    let rest = read(bus.as_ref(), all[14].0.clone(), 5).await;
    assert_eq!(rest, all[15..], "from the middle");
    let end = bus.feed_end().await.expect("it answers");
    assert_eq!(end, all[19].0);
    let waiting = bus.news(&end);
    bus.tell(&change(21)).await.expect("told");
    assert!(
        matches!(waiting.await.expect("it answers"), News::Changes(changes) if changes.len() == 1)
    );
    let text: Place = end.to_string().parse().expect("its own text");
    assert_eq!(text, end);
    let unknown = Place { at: end.at + 1_000_000, number: 0 };
    let news = bus.news(&unknown).await.expect("it answers");
    assert!(matches!(news, News::Gap(_)), "a place of another life: {news:?}");
}

#[tokio::test]
async fn memory() {
    exercise(Arc::new(MemoryBus::default())).await;
    the_feed_goes_on_from_any_place_that_is_kept(Arc::new(MemoryBus::default())).await;
}

#[tokio::test]
async fn redis() {
    // A server of its own: topics are the same for all users of a database.
    let dir = tempfile::tempdir().expect("a folder");
    let server = Redis::start(dir.path()).await.expect("it starts");
    let bus = || Arc::new(RedisBus::new(&server.url(), &Authorities::default()).expect("a URL"));
    exercise(bus()).await;
    the_feed_goes_on_from_any_place_that_is_kept(bus()).await;
}

#[tokio::test]
async fn an_outage_is_a_gap_and_then_all_goes_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Redis::start(dir.path()).await.expect("it starts");
    let bus = RedisBus::new(&server.url(), &Authorities::default()).expect("a URL");
    let mut subscription = bus.subscribe(Topic::Scheduler).await;
    bus.announce(Topic::Scheduler, &claimed(1)).await.expect("announced");
    assert_eq!(next(&mut subscription).await, BusEvent::Announced(claimed(1)));
    server.kill().await.expect("killed");
    assert!(bus.announce(Topic::Scheduler, &claimed(2)).await.is_err(), "it says that it is away");
    server.start_again().await.expect("it is back");
    assert_eq!(next(&mut subscription).await, BusEvent::Gap);
    it_is_heard_again(&bus, &claimed(3)).await;
    assert_eq!(next(&mut subscription).await, BusEvent::Announced(claimed(3)));
}

#[tokio::test]
async fn a_server_that_has_fallen_silent_is_waited_for_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Redis::start(dir.path()).await.expect("it starts");
    let bus = RedisBus::new(&server.url(), &Authorities::default()).expect("a URL");
    bus.announce(Topic::Scheduler, &claimed(0)).await.expect("announced");
    server.signal(Signal::SIGSTOP).expect("stopped");
    let tried = timeout(2 * LONG, async {
        for number in 1..1000 {
            assert!(bus.announce(Topic::Scheduler, &claimed(number)).await.is_err());
        }
        bus.subscribe(Topic::Scheduler).await
    });
    let mut late = tried.await.expect("most of them learn at once that it is away");
    server.signal(Signal::SIGCONT).expect("goes on");
    it_is_heard_again(&bus, &claimed(0)).await;
    assert_eq!(next(&mut late).await, BusEvent::Gap);
}

async fn it_is_heard_again(bus: &RedisBus, news: &Announcement) {
    eventually("it is found that it is back", 2 * LONG, || async {
        Ok(bus.announce(Topic::Scheduler, news).await.ok())
    })
    .await
    .expect("announced");
}

/// Something else may stand at its address.
#[tokio::test]
async fn a_server_that_answers_nonsense_is_one_that_is_away() {
    let address = format!("127.0.0.1:{}", free_port().expect("a port"));
    let url = format!("redis://{address}");
    tokio::spawn(talk_nonsense(address, mpsc::unbounded_channel().0));
    // One each, for the second word to a service that is away is not tried.
    let bus = || RedisBus::new(&url, &Authorities::default()).expect("a URL");
    let told = timeout(2 * LONG, async {
        assert!(bus().announce(Topic::Scheduler, &claimed(1)).await.is_err());
        assert!(bus().tell(&change(1)).await.is_err());
        assert!(bus().feed_end().await.is_err());
        assert!(bus().news(&Place { at: 0, number: 0 }).await.is_err());
        let mut subscription = bus().subscribe(Topic::Scheduler).await;
        assert_eq!(subscription.try_next(), None);
    });
    told.await.expect("it answers in time");
}

/// Something else stood there for a while.
#[tokio::test]
async fn nonsense_is_forgotten_when_the_server_is_back() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut server = Redis::start(dir.path()).await?;
    let bus = RedisBus::new(&server.url(), &Authorities::default())?;
    bus.feed_end().await?;
    server.kill().await?;
    let address = server.url().trim_start_matches("redis://").to_owned();
    let (answered, mut answers) = mpsc::unbounded_channel();
    let nonsense = tokio::spawn(talk_nonsense(address, answered));
    bus.feed_end().await.expect_err("it is no Redis");
    timeout(2 * LONG, answers.recv()).await?;
    nonsense.abort();
    let _ = nonsense.await;
    server.start_again().await?;
    eventually("it is asked again", 2 * LONG, || async { Ok(bus.feed_end().await.ok()) }).await?;
    Ok(())
}

async fn talk_nonsense(address: String, answered: mpsc::UnboundedSender<()>) {
    let listener = TcpListener::bind(address).await.expect("the port is free");
    while let Ok((mut socket, _)) = listener.accept().await {
        // What a browser would be told, and some bytes that mean nothing to anybody.
        let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n\x00\xff\xfe$-7\r\n").await;
        // Nobody need count them.
        let _ = answered.send(());
    }
}

#[tokio::test]
async fn a_subscription_to_a_server_that_is_away_begins_with_a_gap() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Redis::start(dir.path()).await.expect("it starts");
    let bus = RedisBus::new(&server.url(), &Authorities::default()).expect("a URL");
    server.kill().await.expect("killed");
    let mut subscription = bus.subscribe(Topic::Scheduler).await;
    server.start_again().await.expect("it is back");
    assert_eq!(next(&mut subscription).await, BusEvent::Gap);
    bus.announce(Topic::Scheduler, &claimed(1)).await.expect("announced");
    assert_eq!(next(&mut subscription).await, BusEvent::Announced(claimed(1)));
}

/// Who is refused one thing may say another.
#[tokio::test]
async fn a_refusal_is_no_outage() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Redis::start(dir.path()).await.expect("it starts");
    let client = redis::Client::open(server.url()).expect("a URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("it answers");
    let mut taken = redis::cmd("SET");
    taken.arg("towpath:changes").arg("no stream");
    taken.query_async::<()>(&mut connection).await.expect("set");
    let bus = RedisBus::new(&server.url(), &Authorities::default()).expect("a URL");
    assert!(bus.tell(&change(1)).await.is_err(), "the feed's name is taken");
    bus.announce(Topic::Scheduler, &claimed(1)).await.expect("announced");
}
