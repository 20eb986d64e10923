//! One attempt, from its claim to its report: prepare, launch, watch, report.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use towpath_common::dag::Task;
use towpath_common::id::AttemptKey;
use towpath_common::outcome::{Failure, FailureClass, Outcome, Outputs, Report};
use towpath_common::output::{OUTPUT_MAX, parse};
use towpath_common::port::{StoreError, Unavailable};
use towpath_common::time::Timestamp;
use towpath_rendering::{Masker, RenderError};

use crate::context::RunContext;
use crate::desk::{Desk, StopReason};
use crate::executor::{AttemptSpec, Ended, Execution, LaunchError};
use crate::log::{AttemptLog, log_path};

/// Between tries to reach a service that is away.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// How long what runs commands may be away before the attempt is given to another worker.
const AWAY_MAX: Duration = Duration::from_secs(120);

/// How long the facts of an ended container are waited for.
const FACTS_PATIENCE: Duration = Duration::from_secs(5);

/// The output by which a task says that there was nothing to do.
const SKIP: &str = "skip";

/// Outputs are kept where everybody can read them.
const REVEALING: &str = "its outputs hold a secret that it was given; pass on the name of the \
    connection or the variable, and let the next task ask for it itself";

/// How an attempt comes to this worker, with the time of its claim.
#[derive(Debug, Clone, Copy)]
pub enum Beginning {
    Launch {
        claimed_at: Timestamp,
    },
    /// It was launched by an earlier worker.
    Attach {
        claimed_at: Timestamp,
    },
}

impl Beginning {
    fn claimed_at(self) -> Timestamp {
        match self {
            Self::Launch { claimed_at } | Self::Attach { claimed_at } => claimed_at,
        }
    }
}

/// What became of the attempt, as far as this worker is concerned.
enum End {
    Report(Outcome),
    /// Nobody waits for its report.
    Gone,
}

type Stopped = watch::Receiver<Option<StopReason>>;

pub async fn run(desk: &Desk, attempt: &AttemptKey, beginning: Beginning, stopped: Stopped) {
    let mut course =
        Course { desk, attempt, beginning, stopped, execution: None, masker: Arc::default() };
    let outcome = match course.run().await {
        End::Report(outcome) => outcome,
        End::Gone => {
            tracing::info!(%attempt, "stopped, for it is no longer this worker's");
            desk.services.executor.remove(attempt).await;
            return;
        }
    };
    let report = Report {
        attempt: attempt.clone(),
        worker: desk.config.name.clone(),
        started_at: beginning.claimed_at(),
        ended_at: desk.services.clock.now(),
        outcome,
    };
    desk.reporter.report(report).await;
    course.keep_facts().await;
    // Only now: until the store has the report, what is left of the attempt is its only record.
    match course.execution {
        Some(execution) => execution.remove().await,
        // A launch that was broken off may have left something.
        None => desk.services.executor.remove(attempt).await,
    }
}

struct Course<'a> {
    desk: &'a Desk,
    attempt: &'a AttemptKey,
    beginning: Beginning,
    stopped: Stopped,
    execution: Option<Box<dyn Execution>>,
    /// Knows what the attempt was given in confidence.
    masker: Arc<Masker>,
}

impl Course<'_> {
    async fn run(&mut self) -> End {
        let context = match self.context().await {
            Ok(context) => context,
            Err(error) => return failed(FailureClass::Launch, error.to_string()),
        };
        let Some(task) = context.task(&self.attempt.task) else {
            return failed(FailureClass::Launch, "its version has no such task");
        };
        let run = &context.run;
        let path = log_path(&self.desk.config.log_dir, &run.dag_id, &run.run_id, self.attempt);
        let log = AttemptLog::new(path);
        let begun = match self.beginning {
            Beginning::Launch { .. } => self.launch(&context, task, &log).await,
            Beginning::Attach { .. } => self.attach(&context, task, &log).await,
        };
        let end = match begun {
            Ok(()) => self.watch(task).await,
            Err(end) => end,
        };
        match end {
            End::Report(Outcome::Failed(mut failure)) => {
                failure.log_matches = log.matches(&task.retry.rules).await;
                failure.message = self.masker.text(&failure.message);
                log.note(self.desk.services.clock.now(), &format!("failed: {failure}")).await;
                fail(failure)
            }
            end => end,
        }
    }

    /// What people look at afterwards; it holds up neither the report nor, for long, the slot.
    async fn keep_facts(&mut self) {
        let Some(execution) = &mut self.execution else { return };
        let (attempt, store) = (self.attempt, &self.desk.services.store);
        let keeping = async {
            match execution.facts().await {
                Some(facts) => store.put_facts(attempt, &facts).await,
                None => Ok(()),
            }
        };
        match tokio::time::timeout(FACTS_PATIENCE, keeping).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%attempt, %error, "its container's facts are not kept")
            }
            Err(_) => tracing::warn!(%attempt, "its container's facts could not be had in time"),
        }
    }

    /// Waits out an absent store: the attempt is claimed and nobody else would run it.
    async fn context(&self) -> Result<Arc<RunContext>, StoreError> {
        let store = self.desk.services.store.as_ref();
        loop {
            match self.desk.contexts.of(store, self.attempt.run).await {
                Err(StoreError::Unavailable(_)) => tokio::time::sleep(RETRY_PAUSE).await,
                answer => return answer,
            }
        }
    }

    async fn launch(
        &mut self,
        context: &RunContext,
        task: &Task,
        log: &AttemptLog,
    ) -> Result<(), End> {
        let (desk, attempt) = (self.desk, self.attempt);
        let given = OnceLock::new();
        let launching = async {
            let (spec, masker) = spec(desk, context, task, attempt).await?;
            let log = log.masked(given.get_or_init(|| masker));
            start(desk, context.plan.dag.team.as_deref(), &spec, &log).await
        };
        let timed_out = self.timed_out(task.execution_timeout);
        let launched = tokio::select! {
            biased;
            end = stopped(&mut self.stopped) => Err(end),
            launched = launching => launched.map_err(fail),
            end = timed_out => Err(end),
        };
        self.masker = given.into_inner().unwrap_or_default();
        self.execution = Some(launched?);
        Ok(())
    }

    async fn attach(
        &mut self,
        context: &RunContext,
        task: &Task,
        log: &AttemptLog,
    ) -> Result<(), End> {
        let (desk, attempt) = (self.desk, self.attempt);
        loop {
            let attaching = async {
                let masker = masker_of(desk, context, task, attempt).await?;
                let log = log.masked(&masker);
                Ok::<_, LaunchError>((masker, desk.services.executor.attach(attempt, log).await?))
            };
            let attached = tokio::select! {
                biased;
                end = stopped(&mut self.stopped) => return Err(end),
                attached = attaching => attached,
            };
            match attached {
                Ok((masker, execution)) => {
                    self.masker = masker;
                    self.execution = Some(execution);
                    return Ok(());
                }
                Err(LaunchError::Refused(failure)) => return Err(fail(failure)),
                Err(LaunchError::Away(error)) => {
                    tracing::warn!(%attempt, %error, "cannot be taken up yet");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    /// Resolves when the attempt has had its time, counted from its claim.
    fn timed_out(&self, timeout: Option<Duration>) -> impl Future<Output = End> + use<> {
        let elapsed = self.desk.services.clock.now().since(self.beginning.claimed_at());
        async move {
            let Some(timeout) = timeout else { return std::future::pending().await };
            tokio::time::sleep(timeout.saturating_sub(elapsed)).await;
            let why = format!("it ran longer than its execution_timeout of {timeout:?}");
            failed(FailureClass::Timeout, why)
        }
    }

    async fn watch(&mut self, task: &Task) -> End {
        let timed_out = self.timed_out(task.execution_timeout);
        let Some(execution) = &mut self.execution else {
            return failed(FailureClass::Launch, "nothing was launched");
        };
        let ended = tokio::select! {
            biased;
            ended = execution.wait() => Ok(ended),
            end = stopped(&mut self.stopped) => Err(end),
            end = timed_out => Err(end),
        };
        match ended {
            Ok(Ended::Exited { code: 0, .. }) => match tokio::select! {
                biased;
                output = execution.output(OUTPUT_MAX) => output,
                end = stopped(&mut self.stopped) => return end,
            } {
                Ok(bytes) if bytes.is_empty() => {
                    End::Report(Outcome::Success { outputs: Outputs::new() })
                }
                Ok(bytes) if self.masker.finds(&String::from_utf8_lossy(&bytes)) => {
                    failed(FailureClass::Output, REVEALING)
                }
                Ok(bytes) => match parse(&bytes) {
                    Ok(outputs) if self.masker.finds_in(&outputs) => {
                        failed(FailureClass::Output, REVEALING)
                    }
                    Ok(outputs) if outputs.get(SKIP) == Some(&Value::Bool(true)) => {
                        End::Report(Outcome::Skipped)
                    }
                    Ok(outputs) => End::Report(Outcome::Success { outputs }),
                    Err(error) => failed(FailureClass::Output, error),
                },
                Err(failure) => fail(failure),
            },
            Ok(Ended::Exited { code, oom: false }) if code == task.skip_exit_code => {
                End::Report(Outcome::Skipped)
            }
            Ok(Ended::Exited { code, oom: false })
                if task.poke.is_some_and(|poke| poke.exit_code == code) =>
            {
                End::Report(Outcome::NotYet)
            }
            Ok(ended) => End::Report(Outcome::Failed(explain(ended))),
            Err(end) => {
                execution.stop(task.stop_grace_period).await;
                execution.wait().await;
                end
            }
        }
    }
}

/// Waits for what runs commands, for a while: those who have claimed the attempt are the only ones to run it.
async fn start(
    desk: &Desk,
    team: Option<&str>,
    spec: &AttemptSpec,
    log: &AttemptLog,
) -> Result<Box<dyn Execution>, Failure> {
    let executor = &desk.services.executor;
    let launching = async || {
        executor.prepare(team, &spec.container).await?;
        executor.launch(spec, log.clone()).await
    };
    let mut away_since = None;
    loop {
        let away = match launching().await {
            Ok(execution) => return Ok(execution),
            Err(LaunchError::Refused(failure)) => return Err(failure),
            Err(LaunchError::Away(away)) => away,
        };
        tracing::warn!(attempt = %spec.attempt, error = %away, "cannot be launched yet");
        let now = desk.services.clock.now();
        if now.since(*away_since.get_or_insert(now)) > AWAY_MAX {
            return Err(Failure::new(FailureClass::WorkerLost, away.to_string()));
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// What the attempt runs with, however long the store is away.
async fn spec(
    desk: &Desk,
    context: &RunContext,
    task: &Task,
    attempt: &AttemptKey,
) -> Result<(AttemptSpec, Arc<Masker>), Failure> {
    loop {
        match context.spec(&desk.services.rendering, task, attempt).await {
            Ok(spec) => return Ok(spec),
            Err(RenderError::Failed(failure)) => return Err(failure),
            Err(RenderError::Store(StoreError::Unavailable(_))) => {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            Err(RenderError::Store(error)) => {
                return Err(Failure::new(FailureClass::Launch, error.to_string()));
            }
        }
    }
}

/// What an earlier worker gave the attempt in confidence: from what it has sealed, or else from asking again, and if
/// neither can be had anything may be a secret.
async fn masker_of(
    desk: &Desk,
    context: &RunContext,
    task: &Task,
    attempt: &AttemptKey,
) -> Result<Arc<Masker>, Unavailable> {
    let masker = match desk.services.executor.sealed(attempt).await? {
        Some(sealed) => desk.services.rendering.masker_of(attempt, &sealed).map(Arc::new),
        None => spec(desk, context, task, attempt).await.ok().map(|(_, masker)| masker),
    };
    Ok(masker.unwrap_or_else(|| {
        tracing::warn!(%attempt, "its secrets cannot be told any more: its output is not shown");
        Arc::new(Masker::of_everything())
    }))
}

/// Waits until somebody stops the attempt from without.
async fn stopped(stopped: &mut Stopped) -> End {
    let reason = stopped.wait_for(Option::is_some).await.map(|reason| *reason);
    match reason {
        Ok(Some(StopReason::Gone)) => End::Gone,
        Ok(Some(StopReason::Shutdown)) | Ok(None) | Err(_) => {
            failed(FailureClass::WorkerLost, "the worker was shut down")
        }
    }
}

fn fail(failure: Failure) -> End {
    End::Report(Outcome::Failed(failure))
}

fn failed(class: FailureClass, message: impl Into<String>) -> End {
    fail(Failure::new(class, message))
}

fn explain(ended: Ended) -> Failure {
    match ended {
        Ended::Vanished(why) => Failure::new(FailureClass::WorkerLost, why),
        Ended::Exited { code, oom } => {
            let (class, message) = match code {
                _ if oom => (FailureClass::Oom, "it was killed at its memory limit".to_owned()),
                129.. if code <= 192 => {
                    (FailureClass::Signal, format!("it was ended by signal {}", code - 128))
                }
                _ => (FailureClass::Exit, format!("it exited with code {code}")),
            };
            Failure { exit_code: Some(code), ..Failure::new(class, message) }
        }
    }
}
