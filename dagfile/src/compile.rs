//! From the authored form to the canonical one: every value checked, defaults merged, tasks sorted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use chrono_tz::{TZ_VARIANTS, Tz};
use serde_saphyr::{Location, Spanned};
use towpath_common::cron::{CronSchedule, local_instant};
use towpath_common::dag::{
    Container, DEFAULT_QUEUE, Dag, Param, ParamType, PullPolicy, RetryPolicy, Schedule, Task,
};
use towpath_common::id::{DagId, NameError, QueueName, TaskId};
use towpath_common::plan::Plan;
use towpath_common::template::{Known, check as check_template};
use towpath_common::time::Timestamp;

use crate::authored::{
    AuthoredDag, AuthoredParam, AuthoredSchedule, AuthoredTask, Resources, Scalar, TaskSettings,
};
use crate::diagnostic::Diagnostic;
use crate::suggest::hint;
use crate::{graph, quantity};

/// Airflow's defaults.
const MAX_ACTIVE_RUNS: u32 = 16;
const RETRY_DELAY: Duration = Duration::from_secs(300);
/// Compose's default.
const STOP_GRACE_PERIOD: Duration = Duration::from_secs(10);

pub fn compile(authored: &AuthoredDag) -> Result<Dag, Vec<Diagnostic>> {
    let mut wrong = Wrong::default();
    let dag_id = wrong.take("a Dag's name", &authored.dag, DagId::new);
    let schedule = schedule(authored.schedule.as_ref(), &mut wrong);
    let timezone = schedule.as_ref().map_or(Tz::UTC, |schedule| schedule.timezone);
    let mut date = |date: &Option<Spanned<Scalar>>| {
        date.as_ref().and_then(|date| wrong.check(date, |text| instant(&text.0, timezone)))
    };
    let (start_date, end_date) = (date(&authored.start_date), date(&authored.end_date));
    let max_active_runs = authored
        .max_active_runs
        .as_ref()
        .and_then(|n| wrong.check(n, |n| at_least(*n, 1, "max_active_runs")));
    let params = params(authored, &mut wrong);
    wrong.list.extend(graph::check(&authored.tasks.value));
    if authored.tasks.value.is_empty() {
        wrong.add(authored.tasks.referenced, "there are no tasks; a Dag has at least one");
    }
    let mut tasks = Vec::new();
    for (name, task) in &authored.tasks.value {
        tasks.extend(compile_task(name, task, &authored.defaults, &mut wrong));
    }
    let (Some(dag_id), Some(schedule), []) = (dag_id, schedule, wrong.list.as_slice()) else {
        return Err(wrong.list);
    };
    tasks.sort_by(|a, b| a.id.cmp(&b.id));
    let dag = Dag {
        dag_id,
        description: authored.description.clone(),
        team: authored.team.clone(),
        schedule,
        start_date,
        end_date,
        catchup: authored.catchup,
        max_active_runs: max_active_runs.unwrap_or(MAX_ACTIVE_RUNS),
        params,
        tasks,
    };
    check_templates(authored, &dag)?;
    Ok(dag)
}

/// What is wrong so far.
#[derive(Default)]
struct Wrong {
    list: Vec<Diagnostic>,
}

impl Wrong {
    fn add(&mut self, at: Location, message: impl Into<String>) {
        self.list.push(Diagnostic::at(at, message));
    }

    /// The value, or a diagnostic where it stands.
    fn check<T, U>(
        &mut self,
        value: &Spanned<T>,
        read: impl FnOnce(&T) -> Result<U, String>,
    ) -> Option<U> {
        read(&value.value).map_err(|message| self.add(value.referenced, message)).ok()
    }

    fn take<T>(
        &mut self,
        what: &str,
        name: &Spanned<String>,
        read: impl FnOnce(&str) -> Result<T, NameError>,
    ) -> Option<T> {
        self.check(name, |text| read(text).map_err(|why| not_a_name(text, what, &why)))
    }
}

fn not_a_name(text: &str, what: &str, why: &NameError) -> String {
    format!("{text:?} cannot be {what}: {why}")
}

fn at_least(value: i64, least: u32, what: &str) -> Result<u32, String> {
    match u32::try_from(value) {
        Ok(value) if value >= least => Ok(value),
        _ => Err(format!("{what} is {value}; it must be {least} or more")),
    }
}

fn schedule(authored: Option<&Spanned<AuthoredSchedule>>, wrong: &mut Wrong) -> Option<Schedule> {
    let manual = Schedule { cron: None, timezone: Tz::UTC };
    let Some(authored) = authored else { return Some(manual) };
    let (cron, at, timezone) = match &authored.value {
        AuthoredSchedule::Cron(text) if text == "none" => return Some(manual),
        AuthoredSchedule::Cron(text) => (text, authored.referenced, Some(Tz::UTC)),
        AuthoredSchedule::Detailed(detailed) => {
            let timezone = match &detailed.timezone {
                None => Some(Tz::UTC),
                Some(name) => wrong.check(name, |name| timezone_named(name)),
            };
            (&detailed.cron.value, detailed.cron.referenced, timezone)
        }
    };
    let cron = match CronSchedule::parse(cron, timezone.unwrap_or(Tz::UTC)) {
        Ok(_) => Some(cron.trim().to_owned()),
        Err(why) => {
            wrong.add(at, format!("{cron:?} is not a schedule: {why}"));
            None
        }
    };
    Some(Schedule { cron: Some(cron?), timezone: timezone? })
}

fn timezone_named(name: &str) -> Result<Tz, String> {
    name.parse().map_err(|_| {
        let known = TZ_VARIANTS.iter().map(|zone| zone.name());
        format!("{name:?} is not an IANA timezone such as Europe/Berlin{}", hint(name, known))
    })
}

/// A date is its first moment in the Dag's timezone.
fn instant(text: &str, timezone: Tz) -> Result<Timestamp, String> {
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(local_instant(timezone, date.and_hms_opt(0, 0, 0).unwrap_or_default()));
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.into());
    }
    if let Ok(wall) = text.parse::<NaiveDateTime>() {
        return Ok(local_instant(timezone, wall));
    }
    Err(format!("{text:?} is not a date; write 2013-01-31 or 2013-01-31T06:00:00Z"))
}

fn params(authored: &AuthoredDag, wrong: &mut Wrong) -> BTreeMap<String, Param> {
    let mut params = BTreeMap::new();
    for (name, param) in &authored.params {
        let AuthoredParam { kind, default, description } = &param.value;
        let kind = kind.as_ref().and_then(|kind| wrong.check(kind, |kind| param_type(kind)));
        if let (Some(kind), Some(default)) = (kind, default)
            && !kind.accepts(default)
        {
            let message =
                format!("the default of {name:?} is {default}, which is no {}", kind.as_str());
            wrong.add(param.referenced, message);
        }
        let param = Param { kind, default: default.clone(), description: description.clone() };
        params.insert(name.clone(), param);
    }
    params
}

const PARAM_TYPES: [ParamType; 6] = [
    ParamType::String,
    ParamType::Integer,
    ParamType::Number,
    ParamType::Boolean,
    ParamType::Array,
    ParamType::Object,
];

fn param_type(name: &str) -> Result<ParamType, String> {
    let found = PARAM_TYPES.into_iter().find(|kind| kind.as_str() == name);
    found.ok_or_else(|| {
        format!(
            "{name:?} is not a type of a param{}",
            hint(name, PARAM_TYPES.map(ParamType::as_str))
        )
    })
}

fn pull_policy(name: &str) -> Result<PullPolicy, String> {
    match name {
        "always" => Ok(PullPolicy::Always),
        "never" => Ok(PullPolicy::Never),
        "missing" | "if_not_present" => Ok(PullPolicy::Missing),
        _ => Err(format!(
            "{name:?} is not a pull policy{}",
            hint(name, ["always", "never", "missing"])
        )),
    }
}

fn compile_task(
    name: &str,
    authored: &Spanned<AuthoredTask>,
    defaults: &TaskSettings,
    wrong: &mut Wrong,
) -> Option<Task> {
    let task = &authored.value;
    let id = TaskId::new(name)
        .map_err(|why| wrong.add(authored.referenced, not_a_name(name, "a task's name", &why)))
        .ok();
    if task.command.value.is_empty() {
        wrong.add(
            task.command.referenced,
            "the command is empty; write the program and its arguments",
        );
    }
    let queue = match task.queue.as_ref().or(defaults.queue.as_ref()) {
        Some(queue) => wrong.take("a queue's name", queue, QueueName::new),
        None => QueueName::new(DEFAULT_QUEUE).ok(),
    };
    let mut depends_on: Vec<TaskId> =
        task.depends_on.iter().filter_map(|name| TaskId::new(&name.value).ok()).collect();
    depends_on.sort();
    depends_on.dedup();
    let settings = defaults.environment.iter().chain(&task.environment);
    let timeout = duration(either(&task.execution_timeout, &defaults.execution_timeout), wrong);
    let grace = duration(either(&task.stop_grace_period, &defaults.stop_grace_period), wrong);
    let retry = retry_policy(task, defaults, wrong);
    let container = container(task, defaults, wrong);
    Some(Task {
        id: id?,
        depends_on,
        command: task.command.value.iter().map(|part| part.value.0.clone()).collect(),
        environment: settings.map(|(name, value)| (name.clone(), value.value.0.clone())).collect(),
        queue: queue?,
        retry,
        execution_timeout: timeout,
        stop_grace_period: grace.unwrap_or(STOP_GRACE_PERIOD),
        container,
    })
}

fn either<'a, T>(own: &'a Option<T>, default: &'a Option<T>) -> Option<&'a T> {
    own.as_ref().or(default.as_ref())
}

fn duration(value: Option<&Spanned<Scalar>>, wrong: &mut Wrong) -> Option<Duration> {
    wrong.check(value?, |text| quantity::duration(&text.0))
}

fn retry_policy(task: &AuthoredTask, defaults: &TaskSettings, wrong: &mut Wrong) -> RetryPolicy {
    let retries = either(&task.retries, &defaults.retries)
        .and_then(|retries| wrong.check(retries, |n| at_least(*n, 0, "retries")));
    let backoff = either(&task.retry_exponential_backoff, &defaults.retry_exponential_backoff)
        .and_then(|factor| wrong.check(factor, |factor| backoff(*factor)));
    let delay = duration(either(&task.retry_delay, &defaults.retry_delay), wrong);
    RetryPolicy {
        retries: retries.unwrap_or(0),
        delay: delay.unwrap_or(RETRY_DELAY),
        backoff: backoff.unwrap_or(1.0),
        max_delay: duration(either(&task.max_retry_delay, &defaults.max_retry_delay), wrong),
    }
}

fn backoff(factor: f64) -> Result<f64, String> {
    match factor {
        0.0 => Ok(1.0),
        1.0.. if factor.is_finite() => Ok(factor),
        _ => Err(format!("the backoff is {factor}; write 0, or the factor of growth, such as 2")),
    }
}

fn container(task: &AuthoredTask, defaults: &TaskSettings, wrong: &mut Wrong) -> Container {
    let own: &Resources = &task.resources;
    let resources = &defaults.resources;
    let text = |value: Option<&Spanned<String>>| value.map(|value| value.value.clone());
    Container {
        image: text(either(&task.image, &defaults.image)),
        pull_policy: either(&task.pull_policy, &defaults.pull_policy)
            .and_then(|policy| wrong.check(policy, |name| pull_policy(name)))
            .unwrap_or_default(),
        working_dir: text(either(&task.working_dir, &defaults.working_dir)),
        user: either(&task.user, &defaults.user).cloned(),
        network: either(&task.network, &defaults.network).cloned(),
        cpu_millis: either(&own.cpu, &resources.cpu)
            .and_then(|cpu| wrong.check(cpu, |text| quantity::cpu(&text.0))),
        memory_bytes: either(&own.memory, &resources.memory)
            .and_then(|memory| wrong.check(memory, |text| quantity::memory(&text.0))),
        pids: either(&own.pids, &resources.pids)
            .and_then(|pids| wrong.check(pids, |n| at_least(*n, 1, "pids")))
            .map(u64::from),
    }
}

/// Every template against what will be known when it is rendered.
fn check_templates(authored: &AuthoredDag, dag: &Dag) -> Result<(), Vec<Diagnostic>> {
    let plan =
        Plan::new(dag.clone()).map_err(|missing| vec![Diagnostic::of_file(missing.to_string())])?;
    let params: BTreeSet<&str> = dag.params.keys().map(String::as_str).collect();
    let mut wrong = Wrong::default();
    for (name, task) in &authored.tasks.value {
        let Ok(id) = TaskId::new(name) else { continue };
        let above = plan.above(&id);
        let above: BTreeSet<&str> = above.iter().map(TaskId::as_str).collect();
        let known = Known { params: &params, above: &above };
        let environment =
            authored.defaults.environment.values().chain(task.value.environment.values());
        for text in task.value.command.value.iter().chain(environment) {
            wrong.check(text, |text| check_template(&text.0, &known));
        }
        let working_dir = either(&task.value.working_dir, &authored.defaults.working_dir);
        if let Some(text) = working_dir {
            wrong.check(text, |text| check_template(text, &known));
        }
    }
    wrong.list.dedup();
    if wrong.list.is_empty() { Ok(()) } else { Err(wrong.list) }
}
