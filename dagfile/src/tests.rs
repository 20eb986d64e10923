//! The DAG file by example: what is read, and what is said of each mistake.

use super::*;

fn errors(text: &str) -> String {
    read("x.yaml", text.as_bytes()).expect_err("it is refused").to_string()
}

/// The one diagnostic of a file made of these tasks.
fn check(text: &str, expected: &str) {
    assert_eq!(errors(text), expected, "{text}");
}

#[test]
fn defaults_are_merged_and_tasks_sorted() {
    let dag = read(
        "x.yaml",
        b"dag: d
schedule: {cron: '0 2 * * *', timezone: America/New_York}
start_date: 2013-01-01
defaults: {image: team/x:1, retries: 2, retry_delay: 30s, environment: {A: 1, B: x}}
tasks:
  load: {command: [load, 5], depends_on: [extract], environment: {B: y}, retries: 0}
  extract: {command: [extract, '{{ ds }}'], resources: {cpu: 0.5, memory: 64Mi}, execution_timeout: 2m}
",
    )
    .expect("it is fine");
    let [extract, load] = dag.tasks.as_slice() else { panic!("two tasks") };
    assert_eq!((extract.id.as_str(), load.id.as_str()), ("extract", "load"));
    assert_eq!(load.command, ["load", "5"]);
    assert_eq!(load.environment.values().collect::<Vec<_>>(), ["1", "y"]);
    assert_eq!((extract.retry.retries, load.retry.retries), (2, 0));
    assert_eq!(extract.container.cpu_millis, Some(500));
    assert_eq!(extract.execution_timeout.map(|t| t.as_secs()), Some(120));
    // Midnight in New York.
    assert_eq!(dag.start_date.map(|t| t.to_string()).as_deref(), Some("2013-01-01T05:00:00+00:00"));
}

#[test]
fn the_same_content_is_the_same_version_however_it_is_written() {
    let read = |text: &str| read("x.yaml", text.as_bytes()).expect("fine").version();
    let block = read("dag: d\ntasks:\n  b:\n    command: [b]\n  a:\n    command: [a]\n");
    let flow = read("# a comment\ntasks: {a: {command: ['a']}, b: {command: [b]}}\ndag: d\n");
    assert_eq!(block, flow);
    assert_ne!(block, read("dag: d\ntasks: {a: {command: [a]}, b: {command: [c]}}\n"));
}

#[test]
fn a_cycle_is_named_node_by_node() {
    check(
        "dag: d
tasks:
  a: {command: [x], depends_on: [c]}
  b: {command: [x], depends_on: [a]}
  c: {command: [x], depends_on: [b]}
",
        "x.yaml:3:6: the tasks wait for one another in a cycle: a → b → c → a",
    );
    check(
        "dag: d\ntasks:\n  a: {command: [x], depends_on: [a]}\n",
        "x.yaml:3:6: the tasks wait for one another in a cycle: a → a",
    );
}

#[test]
fn each_mistake_is_told_with_its_place_and_what_would_be_right() {
    check(
        "dag: d\ntasks:\n  a: {command: [x], retrys: 1}\n",
        "x.yaml:3:21: unknown key \"retrys\"; did you mean \"retries\"?",
    );
    check(
        "dag: d\ntasks:\n  extract: {command: [x]}\n  b: {command: [x], depends_on: [extrct]}\n",
        "x.yaml:4:34: task \"b\" depends on \"extrct\", which is not there; did you mean \"extract\"?",
    );
    check(
        "dag: d\ntasks:\n  a: {command: [x]}\n  a: {command: [y]}\n",
        "x.yaml:4:3: the key \"a\" is here twice; give each task and each key once",
    );
    check(
        "dag: d\nschedule: {cron: 0 0 * * *, timezone: Asia/Soul}\ntasks: {a: {command: [x]}}\n",
        "x.yaml:2:39: \"Asia/Soul\" is not an IANA timezone such as Europe/Berlin; did you mean \"Asia/Seoul\"?",
    );
    check(
        "dag: d\ntasks:\n  a: {command: [x], retries: -1}\n",
        "x.yaml:3:30: retries is -1; it must be 0 or more",
    );
    check(
        "dag: d\ntasks:\n  a: {command: [x], retry_delay: soon}\n",
        "x.yaml:3:34: \"soon\" is not a duration; write one like 30s, 5m, 1h30m or 250ms",
    );
    check("dag: d\ntasks: {}\n", "x.yaml:2:8: there are no tasks; a Dag has at least one");
    check("tasks: {a: {command: [x]}}\n", "x.yaml:1:1: the key \"dag\" is missing");
    check(
        "dag: d\ntasks: {a: {command: [x, '{{ dz }}']}}\n",
        "x.yaml:2:26: the variable \"dz\" is undefined; there are params, outputs, var, conn, macros, ds, \
         ds_nodash, ts, ts_nodash, ts_nodash_with_tz, logical_date, data_interval_start, data_interval_end, \
         run_id, dag_run, dag, task, ti, task_instance, task_instance_key_str, triggering_asset_events, \
         start_date, inlets, outlets, test_mode, map_index_template, exception, \
         prev_data_interval_start_success, prev_data_interval_end_success, prev_start_date_success, \
         prev_end_date_success",
    );
}

#[test]
fn mistakes_of_meaning_are_told_before_anything_runs() {
    let check = |task: &str, words: &str| {
        let text = errors(&format!("dag: d\ntasks:\n  a: {{command: [x]}}\n  b: {task}\n"));
        assert!(text.contains(words), "{task}: {text}");
    };
    check("{}", "says nothing that it does; give it one of command, empty, latest_only, wait");
    check("{command: [x], empty: true}", "has command and empty; a task does one thing");
    check("{empty: true, flow: branch}", "has a flow and no command");
    check("{command: [x], trigger_rule: all_sucess}", "did you mean \"all_success\"?");
    check("{command: [x], setup: true, teardown: true}", "both a setup and a teardown");
    check("{command: [x], expand: {over: {f: 7}}}", "7 cannot be expanded over");
    check("{command: [x], expand: {over: {f: {param: g}}}}", "the Dag has no param \"g\"");
    check("{command: [x], expand: {over: {f: {output: c.files}}}}", "\"c\" is not a task");
    check(
        "{command: [x], expand: {over: {f: [1]}}, trigger_rule: always}",
        "cannot have the trigger rule always",
    );
    check("{command: [x, '{{ map.f }}']}", "the task is not expanded over anything");
    check("{wait: {file: x, time: y}}", "waits for one thing");
    check(
        "{command: [x], retry_policy: [{on: [oom], then: explode}]}",
        "is not what can follow a failure",
    );
    check("{command: [x], retry_policy: [{log: '(', then: fail}]}", "is not a regular expression");
    check("{command: [x], pool_slots: 0}", "pool_slots is 0; it must be 1 or more");
    let own = errors("dag: d\nschedule: {assets: [x]}\ntasks: {a: {command: [y], outlets: [x]}}\n");
    assert!(own.contains("it would start itself for ever"), "{own}");
    let nested = "dag: d\ngroups:\n  g:\n    expand: {over: {x: [1]}}\n    tasks: {a: {command: [y], expand: {over: {z: [1]}}}}\n";
    assert!(errors(nested).contains("expand one of them"));
}

#[test]
fn groups_are_laid_out_and_their_settings_inherited() {
    let dag = read(
        "x.yaml",
        b"dag: d
defaults: {retries: 1}
tasks:
  first: {command: [x]}
  last: {command: [x], depends_on: [g]}
groups:
  g:
    depends_on: [first]
    defaults: {retries: 2, queue: q}
    tasks:
      a: {command: [x]}
      b: {command: [x], depends_on: [a], retries: 3}
    groups:
      inner: {depends_on: [a], tasks: {c: {command: [x]}}}
",
    )
    .expect("it is fine");
    let told: Vec<String> = dag
        .tasks
        .iter()
        .map(|task| {
            let above: Vec<&str> = task.depends_on.iter().map(|id| id.as_str()).collect();
            format!("{}: {} {} {}", task.id, above.join(","), task.retry.retries, task.queue)
        })
        .collect();
    let expected = [
        "first:  1 default",
        "g.a: first 2 q",
        "g.b: g.a 3 q",
        "g.inner.c: g.a 2 q",
        "last: g.b,g.inner.c 1 default",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_bad_cron_says_what_is_wrong_with_it() {
    let text = errors("dag: d\nschedule: '0 25 * * *'\ntasks: {a: {command: [x]}}\n");
    assert!(text.starts_with("x.yaml:2:11: \"0 25 * * *\" is not a schedule: "), "{text}");
    let text = errors("dag: d\nschedule: 0 0 *\ntasks: {a: {command: [x]}}\n");
    assert!(text.contains("it has 3 fields; write five"), "{text}");
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once() {
    let text = errors("dag: 'a b'\nmax_active_runs: 0\ntasks: {a: {command: [], retries: -2}}\n");
    assert_eq!(text.lines().count(), 4, "{text}");
}

#[test]
fn what_is_no_dag_file_is_refused_quickly() {
    let large = vec![b'#'; 10 * 1024 * 1024];
    let text = read("x.yaml", &large).expect_err("too large").to_string();
    assert_eq!(
        text,
        "x.yaml: it has 10485760 bytes and at most 8388608 are allowed; is it a DAG file?"
    );
    let text = read("x.yaml", b"dag: d\ntasks: \xff\n").expect_err("not UTF-8").to_string();
    assert_eq!(text, "x.yaml:2:8: it is not valid UTF-8 here; save the file as UTF-8");
    assert!(errors("dag: [\n").starts_with("x.yaml:"));
    assert!(errors("").starts_with("x.yaml"));
    assert!(errors("- a\n- b\n").starts_with("x.yaml:1:1: "));
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text =
        String::from("dag: d\nparams:\n  p:\n    default:\n      a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..=9 {
        let before = vec![format!("*a{}", level - 1); 10].join(",");
        text.push_str(&format!("      a{level}: &a{level} [{before}]\n"));
    }
    text.push_str("tasks: {a: {command: [x]}}\n");
    let told = errors(&text);
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("alias"), "{told}");
}

#[test]
fn an_alias_of_ordinary_size_is_followed() {
    let dag = read(
        "x.yaml",
        b"dag: d\ntasks:\n  a: {command: &c [x, y]}\n  b: {command: *c, depends_on: [a]}\n",
    )
    .expect("fine");
    assert_eq!(dag.tasks[1].command, ["x", "y"]);
}

#[test]
fn what_people_mistake_most_often_is_told_in_words() {
    let head = "dag: d\ntasks:\n  a:\n";
    let list = "a list belongs here, such as [sh, -c, \"echo hello\"]";
    check(&format!("{head}    command: echo hi\n"), &format!("x.yaml:4:14: {list}"));
    let number = "x.yaml:5:14: a whole number belongs here";
    check(&format!("{head}    command: [x]\n    retries: two\n"), number);
    assert!(errors("").contains("it is empty"), "{}", errors(""));
}

#[test]
fn what_leads_out_of_a_container_is_checked() {
    let task = |line: &str| format!("dag: d\ntasks:\n  a:\n    command: [x]\n    {line}\n");
    check(
        &task("mounts: [{source: data, target: t}]"),
        "x.yaml:5:14: the target \"t\" is not an absolute path",
    );
    check(
        &task("mounts: [{source: ../data, target: /t}]"),
        "x.yaml:5:14: the source \"../data\" is neither an absolute path nor the name of a volume",
    );
    check(
        &task("devices: [fuse]"),
        "x.yaml:5:15: \"fuse\" is not a device; write one like /dev/fuse",
    );
    let text = task("cap_add: [cap_net_raw]");
    let dag = read("x.yaml", text.as_bytes()).expect("valid");
    assert_eq!(dag.tasks[0].container.cap_add, ["NET_RAW"]);
}
