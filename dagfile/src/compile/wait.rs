//! What a task waits for, checked.

use std::time::Duration;

use serde_saphyr::Spanned;
use towpath_common::dag::{
    NOT_YET_EXIT_CODE, ObjectTarget, POKE_INTERVAL, Poke, Target, WAIT_TIMEOUT, Wait,
};
use towpath_common::id::{DagId, TaskId};

use super::Wrong;
use super::task::duration;
use crate::authored::{
    AuthoredExternal, AuthoredHttp, AuthoredS3, AuthoredSql, AuthoredTrigger, AuthoredWait,
};
use crate::layout::LaidTask;
use crate::quantity;

pub fn wait(authored: &Spanned<AuthoredWait>, wrong: &mut Wrong) -> Option<Wait> {
    let wait = &authored.value;
    let mut targets = Vec::new();
    if let Some(at) = &wait.time {
        targets.push(Target::Time { at: at.value.0.clone() });
    }
    if let Some(after) = duration(wait.delta.as_ref(), wrong) {
        targets.push(Target::Delta { after });
    }
    if let Some(pattern) = &wait.file {
        targets.push(Target::File { pattern: pattern.value.clone() });
    }
    if let Some(AuthoredHttp { url, headers, contains }) = &wait.http {
        let (url, headers) = (url.value.clone(), headers.clone());
        targets.push(Target::Http { url, headers, contains: contains.clone() });
    }
    if let Some(AuthoredSql { connection, query }) = &wait.sql {
        let query = query.value.clone();
        targets.push(Target::Sql { connection: connection.clone(), query });
    }
    targets.extend(wait.s3.as_ref().map(|s3| Target::S3(object(s3, wrong))));
    if let Some(asset) = &wait.asset {
        targets.push(Target::Asset { name: asset.value.clone() });
    }
    targets
        .extend(wait.external_task.as_ref().and_then(|external| self::external(external, wrong)));
    targets.extend(wait.trigger_dag.as_ref().and_then(|trigger| self::trigger(trigger, wrong)));
    let given = [
        wait.time.is_some(),
        wait.delta.is_some(),
        wait.file.is_some(),
        wait.http.is_some(),
        wait.sql.is_some(),
        wait.s3.is_some(),
        wait.asset.is_some(),
        wait.external_task.is_some(),
        wait.trigger_dag.is_some(),
    ];
    if given.iter().filter(|given| **given).count() != 1 {
        let message = "a task waits for one thing: time, delta, file, http, sql, s3, asset, external_task or trigger_dag";
        wrong.add(authored.referenced, message);
    }
    Some(Wait {
        target: targets.pop()?,
        poke_interval: pause(duration(wait.poke_interval.as_ref(), wrong), POKE_INTERVAL),
        exponential_backoff: wait.exponential_backoff,
        timeout: duration(wait.timeout.as_ref(), wrong).unwrap_or(WAIT_TIMEOUT),
        soft_fail: wait.soft_fail,
    })
}

fn object(s3: &AuthoredS3, wrong: &mut Wrong) -> ObjectTarget {
    let size = s3.min_size.as_ref().and_then(|size| wrong.check(size, |t| quantity::bytes(&t.0)));
    ObjectTarget {
        connection: s3.connection.clone(),
        bucket: s3.bucket.value.clone(),
        key: s3.key.value.clone(),
        min_size: size.unwrap_or(0),
        min_age: duration(s3.min_age.as_ref(), wrong).unwrap_or_default(),
    }
}

/// Looking without a pause would do nothing else.
fn pause(given: Option<Duration>, default: Duration) -> Duration {
    given.unwrap_or(default).max(Duration::from_millis(100))
}

fn external(external: &AuthoredExternal, wrong: &mut Wrong) -> Option<Target> {
    let task = external.task.as_ref().map(|task| wrong.take("a task's name", task, TaskId::new));
    Some(Target::ExternalTask {
        dag_id: wrong.take("a Dag's name", &external.dag, DagId::new)?,
        task_id: match task {
            Some(task) => Some(task?),
            None => None,
        },
        earlier: duration(external.earlier.as_ref(), wrong).unwrap_or_default(),
        fail_when_failed: external.fail_when_failed,
    })
}

fn trigger(trigger: &AuthoredTrigger, wrong: &mut Wrong) -> Option<Target> {
    let params = trigger.params.iter().map(|(name, value)| (name.clone(), value.0.clone()));
    Some(Target::TriggeredRun {
        dag_id: wrong.take("a Dag's name", &trigger.dag, DagId::new)?,
        params: params.collect(),
        wait: trigger.wait,
    })
}

pub fn poke(laid: &LaidTask<'_>, wrong: &mut Wrong) -> Option<Poke> {
    let poke = laid.task.value.poke.as_ref()?;
    if laid.task.value.command.is_none() {
        wrong.add(
            laid.task.referenced,
            format!("task {:?} has poke and no command to run again", laid.name),
        );
    }
    if let Some(mode) = poke.mode.as_ref().filter(|mode| mode.value != "reschedule") {
        let message = format!(
            "the mode is {:?}; there is reschedule: between two looks no slot is taken",
            mode.value
        );
        wrong.add(mode.referenced, message);
    }
    Some(Poke {
        interval: pause(duration(poke.interval.as_ref(), wrong), POKE_INTERVAL),
        timeout: duration(poke.timeout.as_ref(), wrong).unwrap_or(WAIT_TIMEOUT),
        exit_code: poke.exit_code.unwrap_or(NOT_YET_EXIT_CODE),
    })
}
