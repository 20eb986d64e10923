//! One task, checked.

use std::time::Duration;

use serde_saphyr::Spanned;
use towpath_common::asset::check_name;
use towpath_common::dag::{
    Builtin, Claims, Fixture, Flow, Past, RetryPolicy, RetryRule, Task, TriggerRule,
};
use towpath_common::id::{PoolName, QueueName, TaskId};
use towpath_common::outcome::FailureClass;

use super::container::container;
use super::{Wrong, mapping, not_a_name, notify, wait};
use crate::authored::{AuthoredDag, AuthoredRetryRule, AuthoredTeardown, Scalar, TaskSettings};
use crate::layout::LaidTask;
use crate::quantity;

pub fn compile(laid: &LaidTask<'_>, dag: &AuthoredDag, wrong: &mut Wrong) -> Option<Task> {
    let LaidTask { name, task, settings, above, .. } = laid;
    let id = TaskId::new(name)
        .map_err(|why| wrong.add(task.referenced, not_a_name(name, "a task's name", &why)))
        .ok();
    let defaults = Task::new(id?);
    let queue = match &settings.queue {
        Some(queue) => wrong.take("a queue's name", queue, QueueName::new)?,
        None => defaults.queue,
    };
    let timeout = duration(settings.execution_timeout.as_ref(), wrong);
    let grace = duration(settings.stop_grace_period.as_ref(), wrong);
    let fixture = fixture(laid, wrong);
    let environment = settings.environment.iter();
    Some(Task {
        depends_on: above.iter().filter_map(|name| TaskId::new(name).ok()).collect(),
        trigger_rule: trigger_rule(laid, fixture, wrong),
        flow: flow(laid, wrong),
        fixture,
        expand: mapping::expand(laid, dag, wrong),
        command: command(laid, wrong),
        builtin: builtin(laid, wrong),
        environment: environment
            .map(|(name, value)| (name.clone(), value.value.0.clone()))
            .collect(),
        queue,
        claims: claims(laid, wrong),
        retry: retry_policy(settings, wrong),
        skip_exit_code: settings.skip_exit_code.unwrap_or(defaults.skip_exit_code),
        poke: wait::poke(laid, wrong),
        outlets: assets(&task.value.outlets, wrong),
        inlets: assets(&task.value.inlets, wrong),
        past: past(settings),
        notify: notify::of_task(settings, wrong),
        execution_timeout: timeout,
        queue_timeout: duration(settings.queue_timeout.as_ref(), wrong),
        stop_grace_period: grace.unwrap_or(defaults.stop_grace_period),
        container: container(settings, wrong),
        ..Task::new(defaults.id)
    })
}

pub fn duration(value: Option<&Spanned<Scalar>>, wrong: &mut Wrong) -> Option<Duration> {
    wrong.check(value?, |text| quantity::duration(&text.0))
}

fn command(laid: &LaidTask<'_>, wrong: &mut Wrong) -> Vec<String> {
    let Some(command) = &laid.task.value.command else { return Vec::new() };
    if command.value.is_empty() {
        wrong.add(command.referenced, "the command is empty; write the program and its arguments");
    }
    command.value.iter().map(|part| part.value.0.clone()).collect()
}

/// What decides by its outputs has a command that writes them.
fn flow(laid: &LaidTask<'_>, wrong: &mut Wrong) -> Option<Flow> {
    let authored = laid.task.value.flow.as_ref()?;
    if laid.task.value.command.is_none() {
        let message =
            format!("task {:?} has a flow and no command whose outputs could decide", laid.name);
        wrong.add(authored.referenced, message);
    }
    wrong.word("a flow", Some(authored))
}

/// What the scheduler itself does for a task without a command.
fn builtin(laid: &LaidTask<'_>, wrong: &mut Wrong) -> Option<Builtin> {
    let task = &laid.task.value;
    let kinds = [
        (task.command.is_some(), "command", None),
        (task.empty, "empty", Some(Builtin::Empty)),
        (task.latest_only, "latest_only", Some(Builtin::LatestOnly)),
        (
            task.wait.is_some(),
            "wait",
            task.wait.as_ref().and_then(|wait| wait::wait(wait, wrong)).map(Builtin::Wait),
        ),
    ];
    let mut given = kinds.iter().filter(|(given, ..)| *given);
    let all: Vec<&str> = kinds.iter().map(|(_, name, _)| *name).collect();
    match (given.next(), given.next()) {
        (Some((_, _, builtin)), None) => builtin.clone(),
        (None, _) => {
            let message = format!(
                "task {:?} says nothing that it does; give it one of {}",
                laid.name,
                all.join(", ")
            );
            wrong.add(laid.task.referenced, message);
            None
        }
        (Some((_, one, _)), Some((_, other, _))) => {
            let message =
                format!("task {:?} has {one} and {other}; a task does one thing", laid.name);
            wrong.add(laid.task.referenced, message);
            None
        }
    }
}

fn fixture(laid: &LaidTask<'_>, wrong: &mut Wrong) -> Option<Fixture> {
    let task = &laid.task.value;
    let teardown = match &task.teardown {
        None | Some(AuthoredTeardown::Plain(false)) => None,
        Some(AuthoredTeardown::Plain(true)) => Some(false),
        Some(AuthoredTeardown::Detailed(details)) => Some(details.on_failure_fail_dagrun),
    };
    match (task.setup, teardown) {
        (true, Some(_)) => {
            let message = format!("task {:?} is both a setup and a teardown", laid.name);
            wrong.add(laid.task.referenced, message);
            None
        }
        (true, None) => Some(Fixture::Setup),
        (false, Some(on_failure_fail_dagrun)) => Some(Fixture::Teardown { on_failure_fail_dagrun }),
        (false, None) => None,
    }
}

fn trigger_rule(laid: &LaidTask<'_>, fixture: Option<Fixture>, wrong: &mut Wrong) -> TriggerRule {
    let rule = wrong.word("a trigger rule", laid.settings.trigger_rule.as_ref());
    let is_mapped = laid.task.value.expand.is_some() || laid.mapped_group.is_some();
    if let (Some(TriggerRule::Always), Some(text), true) =
        (rule, &laid.settings.trigger_rule, is_mapped)
    {
        let message = format!(
            "task {:?} is expanded and cannot have the trigger rule always: over what it is expanded \
             must be known first",
            laid.name
        );
        wrong.add(text.referenced, message);
    }
    let default = match fixture {
        Some(Fixture::Teardown { .. }) => TriggerRule::AllDoneSetupSuccess,
        _ => TriggerRule::AllSuccess,
    };
    rule.unwrap_or(default)
}

fn claims(laid: &LaidTask<'_>, wrong: &mut Wrong) -> Claims {
    let settings = &laid.settings;
    let default = Claims::default();
    let pool =
        settings.pool.as_ref().and_then(|pool| wrong.take("a pool's name", pool, PoolName::new));
    let weight = settings.priority_weight.as_ref().and_then(|weight| {
        wrong.check(weight, |weight| {
            i32::try_from(*weight)
                .map_err(|_| format!("priority_weight is {weight}; it must fit in 32 bits"))
        })
    });
    let expand = laid.task.value.expand.as_ref().or(laid.mapped_group.as_ref().map(|(_, e)| *e));
    let of_map = expand.and_then(|expand| expand.value.max_active.as_ref());
    let of_map = wrong.count("max_active", of_map, 1);
    let per_run =
        wrong.count("max_active_tis_per_dagrun", settings.max_active_tis_per_dagrun.as_ref(), 1);
    Claims {
        pool: pool.unwrap_or(default.pool),
        pool_slots: wrong.count("pool_slots", settings.pool_slots.as_ref(), 1).unwrap_or(1),
        priority_weight: weight.unwrap_or(default.priority_weight),
        weight_rule: wrong.word("a weight rule", settings.weight_rule.as_ref()).unwrap_or_default(),
        max_active_tis_per_dag: wrong.count(
            "max_active_tis_per_dag",
            settings.max_active_tis_per_dag.as_ref(),
            1,
        ),
        max_active_tis_per_dagrun: [of_map, per_run].into_iter().flatten().min(),
    }
}

fn assets(names: &[Spanned<String>], wrong: &mut Wrong) -> Vec<String> {
    let mut checked = Vec::new();
    for name in names {
        checked.extend(wrong.check(name, |text| check_name(text).map(|()| text.clone())));
    }
    checked
}

fn past(settings: &TaskSettings) -> Past {
    match (settings.depends_on_past, settings.wait_for_downstream) {
        (_, Some(true)) => Past::AndDownstream,
        (Some(true), _) => Past::OwnInstance,
        _ => Past::None,
    }
}

fn retry_policy(settings: &TaskSettings, wrong: &mut Wrong) -> RetryPolicy {
    let default = RetryPolicy::default();
    let backoff = settings.retry_exponential_backoff.as_ref();
    let backoff = backoff.and_then(|factor| wrong.check(factor, |factor| self::backoff(*factor)));
    let rules = settings.retry_policy.iter().flatten();
    RetryPolicy {
        retries: wrong.count("retries", settings.retries.as_ref(), 0).unwrap_or(default.retries),
        delay: duration(settings.retry_delay.as_ref(), wrong).unwrap_or(default.delay),
        backoff: backoff.unwrap_or(default.backoff),
        max_delay: duration(settings.max_retry_delay.as_ref(), wrong),
        rules: rules.filter_map(|rule| retry_rule(rule, wrong)).collect(),
    }
}

fn retry_rule(rule: &AuthoredRetryRule, wrong: &mut Wrong) -> Option<RetryRule> {
    let mut classes = Vec::new();
    for class in &rule.on {
        classes.extend(wrong.word::<FailureClass>("a class of failure", Some(class)));
    }
    let log = rule.log.as_ref().and_then(|pattern| {
        wrong.check(pattern, |text| match regex::Regex::new(text) {
            Ok(_) => Ok(text.clone()),
            Err(error) => Err(format!("{text:?} is not a regular expression: {error}")),
        })
    });
    let then = wrong.word("what can follow a failure", Some(&rule.then));
    Some(RetryRule {
        classes,
        exit_codes: rule.exit_codes.clone(),
        log,
        then: then?,
        delay: duration(rule.delay.as_ref(), wrong),
    })
}

fn backoff(factor: f64) -> Result<f64, String> {
    match factor {
        0.0 => Ok(1.0),
        1.0.. if factor.is_finite() => Ok(factor),
        _ => Err(format!("the backoff is {factor}; write 0, or the factor of growth, such as 2")),
    }
}
