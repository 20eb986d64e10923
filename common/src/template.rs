//! Templates: Jinja with Airflow's variables.
//!
//! A task's command, environment and working directory are templates. They are rendered on the worker
//! just before launch, and checked when the Dag is deployed: a name that cannot be known is refused
//! before anything runs, and what is undefined when rendering is an error, never an empty text.

mod bounds;
mod check;
mod context;
mod date;
mod lookup;
mod macros;
mod pull;

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::Value;
use minijinja::{Environment, Error, UndefinedBehavior};

use crate::dag::{Dag, Task};
use crate::id::{AttemptKey, TaskId};
use crate::outcome::{Failure, Outputs};
use crate::run::DagRun;

pub use check::{Known, check, connections};
pub use lookup::{Lookup, NothingToLookUp};
pub use pull::Pull;

/// What a template of one attempt can name.
pub struct Facts<'a> {
    pub dag: &'a Dag,
    pub task: Option<&'a Task>,
    pub run: &'a DagRun,
    /// None: they are about the whole run.
    pub attempt: Option<&'a AttemptKey>,
    pub outputs: &'a BTreeMap<TaskId, Outputs>,
    /// The elements that a mapped instance has, by name.
    pub map: Option<&'a BTreeMap<String, serde_json::Value>>,
    /// Why the task failed: for what is told of it, not for itself.
    pub exception: Option<&'a Failure>,
    /// Whoever answers what is asked for only while rendering.
    pub lookup: Arc<dyn Lookup>,
}

/// Renders the templates of one attempt.
pub struct Renderer {
    environment: Environment<'static>,
    context: Value,
}

impl Renderer {
    pub fn new(facts: &Facts<'_>) -> Self {
        Self { environment: environment(), context: context::of(facts) }
    }

    /// The error's text says what is undefined or malformed, and in which template.
    pub fn render(&self, template: &str) -> Result<String, String> {
        if !is_template(template) {
            return Ok(template.to_owned());
        }
        let mut text = bounds::Text::default();
        let parsed = self.environment.template_from_str(template);
        let rendered =
            parsed.and_then(|parsed| parsed.render_captured_to(&self.context, &mut text));
        rendered.map_err(|error| format!("{template:?}: {}", words(&error)))?;
        Ok(text.into_string())
    }
}

/// Whether rendering can change the text.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Whether any of the texts asks for the outputs of other tasks.
pub fn wants_outputs<'a>(mut texts: impl Iterator<Item = &'a str>) -> bool {
    texts.any(|text| is_template(text) && text.contains("outputs"))
}

/// Whether any of the texts may ask for what is only looked up while rendering.
pub fn wants_lookup<'a>(mut texts: impl Iterator<Item = &'a str>) -> bool {
    let asks = |text: &str| ["var", "conn", "xcom_pull", "prev_"].iter().any(|w| text.contains(w));
    texts.any(|text| is_template(text) && asks(text))
}

fn words(error: &Error) -> String {
    if let Some(words) = bounds::words(error) {
        return words;
    }
    match error.detail() {
        Some(detail) => format!("{} ({detail})", error.kind()),
        None => error.kind().to_string(),
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    date::add_filters(&mut environment);
    bounds::set(&mut environment);
    environment
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::connection::Connection;
    use crate::id::{DagId, RunKey};
    use crate::plan::Plan;
    use crate::port::XCom;
    use crate::run::{DataInterval, RunType};
    use crate::time::Timestamp;

    /// A variable, a connection, outputs of one mapped task, and a run that succeeded.
    #[derive(Debug)]
    struct Kept;

    impl Lookup for Kept {
        fn variable(&self, name: &str) -> Result<Option<String>, String> {
            match name {
                "sealed" => Err("the variable \"sealed\" cannot be opened".to_owned()),
                "a" => Ok(Some("b".to_owned())),
                "limits" => Ok(Some(r#"{"rows": [1, 2]}"#.to_owned())),
                _ => Ok(None),
            }
        }

        fn connection(&self, name: &str) -> Result<Option<Connection>, String> {
            let uri = "postgres://me:p%40ss@db:5433/flights?region=eu";
            Ok((name == "warehouse").then(|| uri.parse().expect("a URI")))
        }

        fn pull(&self, pull: &Pull) -> Result<Vec<XCom>, String> {
            let xcom = |task: &str, map_index: i32, outputs: &str| XCom {
                run: RunKey(uuid::Uuid::nil()),
                task: task.parse().expect("a name"),
                map_index,
                outputs: serde_json::from_str(outputs).expect("JSON"),
            };
            let all = match pull.include_prior_dates {
                true => vec![xcom("load", -1, r#"{"rows": 7}"#)],
                false => vec![
                    xcom("list", -1, r#"{"return_value": ["x", "y"], "count": 2}"#),
                    xcom("each", 0, r#"{"rows": 1}"#),
                    xcom("each", 1, r#"{"rows": 2}"#),
                ],
            };
            Ok(all.into_iter().filter(|xcom| pull.tasks.contains(&xcom.task)).collect())
        }

        fn previous_success(&self) -> Result<Option<DagRun>, String> {
            Ok(None)
        }
    }

    fn render(template: &str) -> Result<String, String> {
        let dag = Dag::new(DagId::new("flights").expect("a name"), Vec::new());
        let at = Timestamp::from_micros(1_514_764_800_000_000);
        let plan = Plan::new(dag).expect("a graph");
        let interval = DataInterval { start: at, end: at };
        let run = DagRun {
            params: serde_json::from_str(r#"{"carrier": "UA"}"#).expect("JSON"),
            ..DagRun::new(RunKey(uuid::Uuid::nil()), &plan, RunType::Manual, interval, at)
        };
        let task = TaskId::new("load").expect("a name");
        let attempt = AttemptKey { run: run.key, task: task.clone(), map_index: -1, number: 1 };
        let outputs =
            BTreeMap::from([(task, serde_json::from_str(r#"{"rows": 3}"#).expect("JSON"))]);
        Renderer::new(&Facts {
            dag: &plan.dag,
            task: None,
            run: &run,
            attempt: Some(&attempt),
            outputs: &outputs,
            map: None,
            exception: None,
            lookup: Arc::new(Kept),
        })
        .render(template)
    }

    #[test]
    fn airflows_variables_have_airflows_values() {
        let check = |template: &str, expected: &str| {
            assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
        };
        check("{{ ds }} {{ ds_nodash }}", "2018-01-01 20180101");
        check("{{ ts }}", "2018-01-01T00:00:00+00:00");
        check("{{ ts_nodash }} {{ ts_nodash_with_tz }}", "20180101T000000 20180101T000000+0000");
        check("{{ logical_date }}", "2018-01-01 00:00:00+00:00");
        check("{{ data_interval_end | ds_nodash }}", "20180101");
        check("{{ logical_date.in_timezone('Asia/Seoul').strftime('%H') }}", "09");
        check("{{ run_id }}", "manual__2018-01-01T00:00:00+00:00");
        check("{{ params.carrier }}/{{ outputs.load.rows + 1 }}", "UA/4");
        check("{{ var.value.a }}{{ var.value.get('x', 'y') }}", "by");
        check("{{ var.json.limits.rows[1] }}", "2");
        check("{{ var.value.get('x', default_var='y') }}", "y");
        check("{{ conn.warehouse.host }}:{{ conn.warehouse.port }}", "db:5433");
        check("{{ conn.warehouse.password }}/{{ conn.warehouse.extra_dejson.region }}", "p@ss/eu");
        check("{{ conn.warehouse.get_uri() }}", "postgres://me:p%40ss@db:5433/flights?region=eu");
        check("{{ conn.get('nowhere', 'none') }}", "none");
        check("{{ prev_start_date_success or 'never' }}", "never");
        check(
            "{{ dag_run.run_type }} {{ task_instance_key_str }}",
            "manual flights__load__20180101",
        );
        check("no template, {braces}", "no template, {braces}");
    }

    #[test]
    fn dates_and_macros_are_airflows() {
        let check = |template: &str, expected: &str| {
            assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
        };
        check(
            "{{ logical_date.subtract(days=1) | ds }} {{ logical_date.add(months=1).month }}",
            "2017-12-31 2",
        );
        check("{{ macros.ds_add(ds, -1) }}", "2017-12-31");
        check("{{ macros.ds_format(ds, '%Y-%m-%d', '%d.%m.%y') }}", "01.01.18");
        check("{{ macros.dateutil.parser.parse('2018-02-03').day }}", "3");
        check("{{ macros.json.loads('[4]')[0] }}{{ macros.json.dumps({'a': 1}) }}", "4{\"a\":1}");
        assert_eq!(render("{{ macros.uuid.uuid4() }}").expect("renders").len(), 36);
        for far in ["hours=9223372036854775807", "years=400000", "days=-99999999999"] {
            let error = render(&format!("{{{{ logical_date.add({far}) }}}}")).expect_err(far);
            assert!(error.contains("out of range"), "{error}");
        }
        let error = render("{{ macros.ds_add('1.1.2018', 1) }}").expect_err("no date");
        assert!(error.contains("\"1.1.2018\" is not a date of the form %Y-%m-%d"), "{error}");
    }

    #[test]
    fn outputs_are_pulled_as_in_airflow() {
        let check = |template: &str, expected: &str| {
            assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
        };
        check("{{ ti.xcom_pull(task_ids='list')[1] }}", "y");
        check("{{ ti.xcom_pull('list', key='count') }}", "2");
        check("{{ ti.xcom_pull(task_ids='each', key='rows') }}", "[1, 2]");
        check("{{ ti.xcom_pull(task_ids='each', key='rows', map_indexes=1) }}", "2");
        check("{{ ti.xcom_pull(task_ids='each', key='rows', map_indexes=[1, 0]) }}", "[2, 1]");
        check("{{ ti.xcom_pull(task_ids=['list', 'none'], key='count') }}", "[2, None]");
        check("{{ ti.xcom_pull(task_ids='none', default='d') }}", "d");
        check("{{ ti.xcom_pull(key='rows', include_prior_dates=True) }}", "7");
        assert!(render("{{ ti.xcom_pull(task_ids='list', what=1) }}").is_err(), "no such argument");
    }

    #[test]
    fn what_is_undefined_is_an_error() {
        for template in [
            "{{ nothing }}",
            "{{ params.nothing }}",
            "{{ var.value.nothing }}",
            "{{ var.json.nothing.x }}",
            "{{ conn.nothing.host }}",
        ] {
            let error = render(template).expect_err(template);
            assert!(error.contains("undefined"), "{error}");
        }
        assert!(render("{{ logical_date.strftime('%Q!') }}").is_err());
        let error = render("{{ var.value.sealed }}").expect_err("sealed");
        assert!(error.contains("cannot be opened"), "{error}");
        assert!(render("{{ var.json.a }}").expect_err("no JSON").contains("\"a\" is not JSON"));
    }

    #[test]
    fn a_template_is_checked_before_anything_runs() {
        let (params, above) = (BTreeSet::from(["carrier"]), BTreeSet::from(["extract"]));
        let known = Known { params: &params, above: &above, map: None, of_run: false };
        for fine in [
            "{{ ds }}",
            "{{ params.carrier }}",
            "{{ outputs.extract.rows }}",
            "{% for i in range(3) %}{{ i }}{% endfor %}",
            "{{ var.value.get('x', 1) }}",
            "{{ conn.db.password }}{{ var.json.x.y }}{{ prev_end_date_success }}",
            "{{ logical_date.add(days=1) | ds }}{{ macros.ds_add(ds, 1) }}",
        ] {
            assert_eq!(check(fine, &known), Ok(()), "{fine}");
        }
        let refuse = |template: &str, expected: &str| {
            let error = check(template, &known).expect_err(template);
            assert!(error.contains(expected), "{template}: {error}");
        };
        refuse("{{ dz }}", "\"dz\" is undefined");
        refuse("{{ params.carier }}", "it has carrier");
        refuse("{{ outputs.load.rows }}", "not above this task");
        refuse("{{ ds", "syntax error");
        refuse("{{ macros.ds_sub(ds, 1) }}", "`macros.ds_sub` is undefined; there are ds_add");
        assert_eq!(connections("{{ conn.a.host }} {{ conn.get('c') }}{{ conn.b }}").len(), 2);
    }
}
