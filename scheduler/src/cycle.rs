//! The one loop: gather, advance, admit, commit, dispatch.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use towpath_common::command::{InboxBody, InboxItem};
use towpath_common::id::{AttemptKey, DagId, WorkerName};
use towpath_common::message::{Announcement, Topic};
use towpath_common::outcome::Outcome;
use towpath_common::port::{BusEvent, Commit, StoreError, Subscription};

use crate::dispatch::Dispatcher;
use crate::draft::Draft;
use crate::feed::Teller;
use crate::leader::Term;
use crate::measure;
use crate::notify::Notifier;
use crate::sweep::{LaneDepths, Outside, Watch, sweep};
use crate::takeover::{load, load_dag};
use crate::wait::Waiter;
use crate::world::World;
use crate::{SchedulerConfig, Services};

/// How many inbox items are read at once.
const INBOX_BATCH: u32 = 1000;
/// How many announcements one pass takes in before it commits.
const ANNOUNCEMENTS_MAX: usize = 64;
/// Between attempts to reach a store that is away.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// How long a leader that is told to stop may take to tell of what it has committed: a standby may wait for it.
const FAREWELL: Duration = Duration::from_millis(500);

/// Why a term ended; the `?` of the loop.
pub(crate) enum End {
    Shutdown,
    /// Another leads, or this one cannot prove that it does.
    Deposed(String),
    Fatal(String),
}

/// Leads until the term or the process ends.
pub async fn lead(
    services: &Services,
    config: &SchedulerConfig,
    term: &Term,
    shutdown: &watch::Receiver<bool>,
) -> End {
    tokio::select! {
        biased;
        why = term.lost() => End::Deposed(why),
        () = stopped_for(shutdown.clone(), FAREWELL) => End::Shutdown,
        end = cycle(services, config, term, shutdown.clone()) => end,
    }
}

async fn stopped_for(mut shutdown: watch::Receiver<bool>, time: Duration) {
    let _ = shutdown.wait_for(|stop| *stop).await;
    tokio::time::sleep(time).await;
}

async fn cycle(
    services: &Services,
    config: &SchedulerConfig,
    term: &Term,
    shutdown: watch::Receiver<bool>,
) -> End {
    let mut cycle = match Cycle::begin(services, config, term, shutdown).await {
        Ok(cycle) => cycle,
        Err(end) => return end,
    };
    let end = loop {
        if let Err(end) = cycle.turn().await {
            break end;
        }
    };
    if let End::Shutdown = end {
        cycle.outside.dispatcher.finish().await;
    }
    end
}

pub(crate) struct Cycle<'a> {
    pub services: &'a Services,
    config: &'a SchedulerConfig,
    term: &'a Term,
    shutdown: watch::Receiver<bool>,
    pub world: World,
    pub draft: Draft,
    outside: Outside,
    announcements: Box<dyn Subscription>,
    inbox_tick: tokio::time::Interval,
    sweep_tick: tokio::time::Interval,
    watch: Watch,
    waiter: Waiter,
    notifier: Notifier,
    teller: Teller,
    /// Workers to strike off after the next commit.
    dead: Vec<WorkerName>,
}

/// What woke the loop.
enum Wake {
    Shutdown,
    Announced(BusEvent),
    Inbox,
    Sweep,
    Timer,
    Waited(AttemptKey, Outcome),
}

impl<'a> Cycle<'a> {
    async fn begin(
        services: &'a Services,
        config: &'a SchedulerConfig,
        term: &'a Term,
        shutdown: watch::Receiver<bool>,
    ) -> Result<Self, End> {
        let ticking = |period| {
            let mut tick = interval(period);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            tick
        };
        // Listening begins before loading, so that nothing is said in between unheard.
        let announcements = services.bus.subscribe(Topic::Scheduler).await;
        let mut watch = Watch::begin(services.clock.now());
        let (world, draft) = loop {
            match load(services.store.as_ref(), config, services.clock.now()).await {
                Ok(loaded) => break loaded,
                Err(error) => outlast(error, &mut watch, services).await?,
            }
        };
        Ok(Self {
            services,
            config,
            term,
            shutdown,
            world,
            draft,
            outside: Outside {
                dispatcher: Dispatcher::start(services.queue.clone()),
                depths: LaneDepths::default(),
            },
            announcements,
            inbox_tick: ticking(config.inbox_interval),
            sweep_tick: ticking(config.sweep_interval),
            watch,
            waiter: Waiter::new(services),
            notifier: Notifier::start(services),
            teller: Teller::start(services.bus.clone()),
            dead: Vec::new(),
        })
    }

    async fn turn(&mut self) -> Result<(), End> {
        match self.gather().await {
            Wake::Shutdown => return Err(End::Shutdown),
            Wake::Announced(event) => {
                if self.hear(Some(event)) {
                    self.read_inbox().await?;
                }
            }
            Wake::Inbox => {
                // It may be due again before anything else has its turn.
                let said = self.announcements.try_next();
                self.hear(said);
                self.read_inbox().await?;
            }
            Wake::Sweep => self.sweep().await?,
            Wake::Timer => {}
            Wake::Waited(attempt, outcome) => {
                let now = self.services.clock.now();
                self.world.wait_ended(&attempt, outcome, now, &mut self.draft);
            }
        }
        self.expire_timers().await?;
        self.start_consumers().await?;
        self.world.admit(self.services.clock.now(), &mut self.draft);
        self.commit().await
    }

    async fn gather(&mut self) -> Wake {
        let until_timer = self.world.next_timer().map(|at| at.since(self.services.clock.now()));
        let timer = async {
            match until_timer {
                Some(wait) => tokio::time::sleep_until(Instant::now() + wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = self.shutdown.wait_for(|stop| *stop) => Wake::Shutdown,
            _ = self.sweep_tick.tick() => Wake::Sweep,
            () = timer => Wake::Timer,
            (attempt, outcome) = self.waiter.next() => Wake::Waited(attempt, outcome),
            // Before what is said, for what nobody says is not to wait for an end of the talk.
            _ = self.inbox_tick.tick() => Wake::Inbox,
            event = self.announcements.next() => Wake::Announced(event),
        }
    }

    /// Takes in an announcement and all that have come with it. True if the inbox holds more than was said.
    fn hear(&mut self, mut next: Option<BusEvent>) -> bool {
        let mut look_into_inbox = false;
        let mut heard = 0;
        while let Some(event) = next {
            look_into_inbox |= self.take_in(event);
            heard += 1;
            if heard == ANNOUNCEMENTS_MAX {
                break;
            }
            next = self.announcements.try_next();
        }
        look_into_inbox
    }

    /// True if the inbox holds more than was said.
    fn take_in(&mut self, event: BusEvent) -> bool {
        let now = self.services.clock.now();
        match event {
            BusEvent::Announced(Announcement::Claimed { worker, at, attempts }) => {
                for attempt in &attempts {
                    self.world.claimed(attempt, &worker, at, &mut self.draft);
                }
                false
            }
            BusEvent::Announced(Announcement::Reported { reports }) => {
                for report in reports {
                    self.world.reported(report, now, &mut self.draft);
                }
                false
            }
            BusEvent::Announced(Announcement::CommandWaiting) | BusEvent::Gap => true,
            BusEvent::Announced(_) => false,
        }
    }

    async fn read_inbox(&mut self) -> Result<(), End> {
        match self.services.store.inbox(INBOX_BATCH).await {
            Ok(items) => {
                for item in items {
                    self.take_item(item).await?;
                }
                Ok(())
            }
            Err(error) => self.outlast(error).await,
        }
    }

    async fn take_item(&mut self, item: InboxItem) -> Result<(), End> {
        match item.body {
            InboxBody::Report(report) => {
                self.world.reported(report, self.services.clock.now(), &mut self.draft);
            }
            InboxBody::Command(command) => {
                self.obey(command).await?;
                self.draft.consumed.push(item.id);
            }
            InboxBody::Unreadable(why) => {
                tracing::error!(item = %item.id, %why, "an item of the inbox is left out");
                self.draft.consumed.push(item.id);
            }
        }
        Ok(())
    }

    pub async fn load_dag(&mut self, dag_id: &DagId) -> Result<(), End> {
        // Its pause may be decided in this very pass.
        self.commit().await?;
        let store = self.services.store.as_ref();
        let now = self.services.clock.now();
        while let Err(error) = load_dag(store, &mut self.world, dag_id, now).await {
            self.outlast(error).await?;
        }
        Ok(())
    }

    async fn expire_timers(&mut self) -> Result<(), End> {
        let now = self.services.clock.now();
        let due = self.world.expire_timers(now, &mut self.draft);
        self.create_scheduled(due).await
    }

    async fn sweep(&mut self) -> Result<(), End> {
        let Self { services, config, world, watch, outside, draft, .. } = self;
        match sweep(services, config, world, *watch, outside, draft).await {
            Ok(dead) => {
                self.dead.extend(dead);
                Ok(())
            }
            Err(error) => self.outlast(error).await,
        }
    }

    /// Commits what was drafted, then tells whom it concerns.
    pub async fn commit(&mut self) -> Result<(), End> {
        let commit = self.world.commit_of(&mut self.draft);
        if !commit.is_empty() {
            self.write(&commit).await?;
        }
        if !commit.notifications.is_empty() {
            self.notifier.ring();
        }
        let draft = std::mem::take(&mut self.draft);
        let world = &self.world;
        let claimed = draft
            .claimed
            .iter()
            .filter_map(|(run, instance)| Some(world.run(*run)?.record(*instance)));
        let records = commit.instances.iter().cloned().chain(claimed);
        self.teller.tell(&commit, records, |run| Some(world.run(run)?.run.dag_id.clone()));
        draft.waits_over.iter().for_each(|place| self.waiter.stop(*place));
        for place in self.world.take_deferred().into_iter().chain(draft.waits) {
            self.world.waiting(place).into_iter().for_each(|waiting| self.waiter.start(waiting));
        }
        self.world.forget_runs(&draft.ended_runs);
        self.world.forget_backfills(&draft.ended_backfills);
        self.outside.dispatcher.dispatch(draft.dispatches);
        if !draft.stops.is_empty() {
            let stop = Announcement::Stop { attempts: draft.stops };
            if let Err(error) = self.services.bus.announce(Topic::Workers, &stop).await {
                tracing::info!(%error, "workers learn what to stop with their next heartbeat");
            }
        }
        for worker in std::mem::take(&mut self.dead) {
            // If it stays on record it is found dead again.
            let _ = self.services.store.retire(&worker).await;
        }
        Ok(())
    }

    async fn write(&mut self, commit: &Commit) -> Result<(), End> {
        loop {
            let (now, begun) = (self.services.clock.now(), Instant::now());
            match self.services.store.commit(self.term.lease(), commit, now).await {
                Ok(()) => {
                    measure::committed(commit, begun.elapsed());
                    return Ok(());
                }
                Err(error) => self.outlast(error).await?,
            }
        }
    }

    pub async fn outlast(&mut self, error: StoreError) -> Result<(), End> {
        outlast(error, &mut self.watch, self.services).await
    }
}

/// Waits a moment after an outage, and ends the term after anything else.
async fn outlast(error: StoreError, watch: &mut Watch, services: &Services) -> Result<(), End> {
    match error {
        StoreError::Unavailable(why) => {
            tracing::warn!(%why, "the database is away");
            tokio::time::sleep(RETRY_PAUSE).await;
            watch.interrupt(services.clock.now());
            Ok(())
        }
        StoreError::Conflict(why) => Err(End::Deposed(why)),
        StoreError::Corrupt(why) => Err(End::Fatal(why)),
    }
}
