//! Templates, checked against what will be known when they are rendered.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_saphyr::Location;
use towpath_common::dag::{Builtin, Dag};
use towpath_common::plan::Plan;
use towpath_common::template::{Known, check as check_text, is_template};

use super::{Wrong, notify};
use crate::authored::{AuthoredDag, TaskSettings};
use crate::diagnostic::Diagnostic;
use crate::layout::LaidTask;

/// Every template against what will be known when it is rendered.
pub fn check(
    authored: &AuthoredDag,
    laid: &[LaidTask<'_>],
    dag: &Dag,
) -> Result<(), Vec<Diagnostic>> {
    let of_run = templates_of_run(authored);
    // Most large files are generated and hold no template at all.
    let any = (0..).zip(laid).any(|(index, laid): (usize, _)| {
        let texts = templates(laid, dag.tasks[index].builtin.as_ref());
        texts.iter().any(|(text, _)| is_template(text))
    });
    if !any && of_run.is_empty() {
        return Ok(());
    }
    let plan =
        Plan::new(dag.clone()).map_err(|missing| vec![Diagnostic::of_file(missing.to_string())])?;
    let params: BTreeSet<&str> = dag.params.keys().map(String::as_str).collect();
    let mut wrong = Wrong::default();
    let nothing = BTreeSet::new();
    let known = Known { params: &params, above: &nothing, map: None, of_run: true };
    wrong.check_texts(of_run, &known);
    for (index, laid) in (0..).zip(laid) {
        let texts = templates(laid, plan.task(index).builtin.as_ref());
        if !texts.iter().any(|(text, _)| is_template(text)) {
            continue;
        }
        let above = plan.above(index);
        let above: BTreeSet<&str> = above.iter().map(|task| plan.task(*task).id.as_str()).collect();
        let expand = plan.task(index).expand.as_ref();
        let map = expand.map(|expand| expand.over.keys().map(String::as_str).collect());
        let known = Known { params: &params, above: &above, map: map.as_ref(), of_run: false };
        wrong.check_texts(texts, &known);
    }
    wrong.list.dedup();
    if wrong.list.is_empty() { Ok(()) } else { Err(wrong.list) }
}

/// The templates of what is told of whole runs.
fn templates_of_run(dag: &AuthoredDag) -> Vec<(Cow<'static, str>, Location)> {
    let of_deadlines = dag.deadlines.iter().map(|deadline| &deadline.notify);
    let lists = [&dag.on_failure, &dag.on_success].into_iter().chain(of_deadlines);
    let texts = lists.flat_map(|list| notify::templates(list));
    texts.map(|(text, at)| (Cow::Owned(text), at)).collect()
}

/// All templates of a task, with their places.
fn templates<'a>(
    laid: &'a LaidTask<'_>,
    builtin: Option<&'a Builtin>,
) -> Vec<(Cow<'a, str>, Location)> {
    let mut texts: Vec<(Cow<'a, str>, Location)> = Vec::new();
    let command = laid.task.value.command.iter().flat_map(|command| &command.value);
    for text in command.chain(laid.settings.environment.values()) {
        texts.push((text.value.0.as_str().into(), text.referenced));
    }
    let own = laid.task.value.expand.iter().filter_map(|e| e.value.map_index_template.as_ref());
    for text in laid.settings.working_dir.iter().chain(own) {
        texts.push((text.value.as_str().into(), text.referenced));
    }
    if let (Some(authored), Some(Builtin::Wait(wait))) = (&laid.task.value.wait, builtin) {
        let of_target = wait.target.templates().into_iter();
        texts.extend(of_target.map(|text| (text.into(), authored.referenced)));
    }
    let TaskSettings { on_failure, on_retry, on_success, on_skipped, .. } = &*laid.settings;
    for list in [on_failure, on_retry, on_success, on_skipped].into_iter().flatten() {
        let told = notify::templates(list);
        texts.extend(told.into_iter().map(|(text, at)| (Cow::Owned(text), at)));
    }
    texts
}

impl Wrong {
    fn check_texts(&mut self, texts: Vec<(Cow<'_, str>, Location)>, known: &Known<'_>) {
        for (text, at) in texts {
            if let Err(message) = check_text(&text, known) {
                self.add(at, message);
            }
        }
    }
}
