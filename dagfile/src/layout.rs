//! From groups within groups to one flat list of tasks: full names, inherited settings, and what each
//! name in `depends_on` means where it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_saphyr::{Location, Spanned};

use crate::authored::{
    AuthoredDag, AuthoredExpand, AuthoredGroup, AuthoredTask, AuthoredTeardown, TaskSettings,
};
use crate::diagnostic::Diagnostic;
use crate::suggest::hint;

/// A task with all that follows from where it stands.
pub struct LaidTask<'a> {
    pub name: String,
    pub task: &'a Spanned<Box<AuthoredTask>>,
    pub settings: Rc<TaskSettings>,
    /// The expanded group that it is in.
    pub mapped_group: Option<(String, &'a Spanned<AuthoredExpand>)>,
    /// What comes directly before it, by full name.
    pub above: BTreeSet<String>,
}

/// A name in a `depends_on` or the like, and where it stands.
struct Reference<'a> {
    name: &'a str,
    at: Location,
    /// The groups around it, outermost first.
    scope: &'a str,
}

#[derive(Default)]
struct Layout<'a> {
    tasks: Vec<LaidTask<'a>>,
    names: BTreeSet<String>,
    /// The tasks of every group, by the group's full name, as numbers into `tasks`.
    groups: BTreeMap<String, Vec<usize>>,
    diagnostics: Vec<Diagnostic>,
}

/// The groups around a group while its inside is laid out.
struct Around<'a> {
    scope: String,
    settings: Rc<TaskSettings>,
    mapped: Option<(String, &'a Spanned<AuthoredExpand>)>,
}

/// All tasks of the Dag in the order of their full names, or what is wrong with the names.
pub fn lay_out(dag: &AuthoredDag) -> Result<Vec<LaidTask<'_>>, Vec<Diagnostic>> {
    let mut layout = Layout::default();
    let around =
        Around { scope: String::new(), settings: Rc::new(dag.defaults.clone()), mapped: None };
    if let Some(tasks) = &dag.tasks {
        layout.take_tasks(&tasks.value, &around);
    }
    layout.take_groups(&dag.groups, &around);
    layout.connect(dag);
    layout.tasks.sort_by(|a, b| a.name.cmp(&b.name));
    if layout.diagnostics.is_empty() { Ok(layout.tasks) } else { Err(layout.diagnostics) }
}

fn full_name(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

impl<'a> Layout<'a> {
    fn take_tasks(
        &mut self,
        tasks: &'a BTreeMap<String, Spanned<Box<AuthoredTask>>>,
        around: &Around<'a>,
    ) {
        for (name, task) in tasks {
            let full = full_name(&around.scope, name);
            let mut scope = around.scope.as_str();
            while !scope.is_empty() {
                self.groups.entry(scope.to_owned()).or_default().push(self.tasks.len());
                scope = scope.rsplit_once('.').map_or("", |(outer, _)| outer);
            }
            self.names.insert(full.clone());
            self.tasks.push(LaidTask {
                name: full,
                task,
                settings: task.value.over(&around.settings),
                mapped_group: around.mapped.clone(),
                above: BTreeSet::new(),
            });
        }
    }

    fn take_groups(
        &mut self,
        groups: &'a BTreeMap<String, Spanned<AuthoredGroup>>,
        around: &Around<'a>,
    ) {
        for (name, group) in groups {
            let scope = full_name(&around.scope, name);
            if name.contains('.') || name.is_empty() {
                self.wrong(
                    group.referenced,
                    format!("{name:?} cannot be a group's name: a dot parts groups from tasks"),
                );
            }
            if let (Some(_), Some(_)) = (&group.value.expand, &around.mapped) {
                self.wrong(
                    group.referenced,
                    format!("group {scope:?} is expanded and so is a group around it; expand one of them"),
                );
            }
            let own = group.value.expand.as_ref().map(|expand| (scope.clone(), expand));
            self.groups.entry(scope.clone()).or_default();
            let inside = Around {
                settings: group.value.defaults.over(&around.settings),
                mapped: own.or_else(|| around.mapped.clone()),
                scope,
            };
            self.take_tasks(&group.value.tasks, &inside);
            self.take_groups(&group.value.groups, &inside);
            if self.groups.get(&inside.scope).is_none_or(Vec::is_empty) {
                self.wrong(group.referenced, format!("group {:?} has no tasks", inside.scope));
            }
        }
    }

    fn wrong(&mut self, at: Location, message: String) {
        self.diagnostics.push(Diagnostic::at(at, message));
    }

    fn connect(&mut self, dag: &'a AuthoredDag) {
        for number in 0..self.tasks.len() {
            let laid = &self.tasks[number];
            let (task, name) = (laid.task, laid.name.clone());
            let scope = name.rsplit_once('.').map_or("", |(scope, _)| scope);
            let setups = match &task.value.teardown {
                Some(AuthoredTeardown::Detailed(details)) => details.setups.as_slice(),
                _ => &[],
            };
            let named =
                task.value.depends_on.iter().map(|name| (name.value.as_str(), name.referenced));
            let named = named.chain(setups.iter().map(|name| (name.as_str(), task.referenced)));
            let names: Vec<_> = named.collect();
            for (other, at) in names {
                let reference = Reference { name: other, at, scope };
                let what = format!("task {name:?}");
                let above = self.resolve(&what, &name, &reference);
                self.tasks[number].above.extend(above);
            }
        }
        self.connect_groups(&dag.groups, "");
    }

    /// What a group comes after, its first tasks come after.
    fn connect_groups(
        &mut self,
        groups: &'a BTreeMap<String, Spanned<AuthoredGroup>>,
        scope: &str,
    ) {
        for (name, group) in groups {
            let full = full_name(scope, name);
            self.connect_groups(&group.value.groups, &full);
            let members = self.groups.get(&full).cloned().unwrap_or_default();
            let names: BTreeSet<String> =
                members.iter().map(|number| self.tasks[*number].name.clone()).collect();
            let roots: Vec<usize> = members
                .into_iter()
                .filter(|number| self.tasks[*number].above.is_disjoint(&names))
                .collect();
            for dependency in &group.value.depends_on {
                let reference =
                    Reference { name: &dependency.value, at: dependency.referenced, scope };
                let above = self.resolve(&format!("group {full:?}"), &full, &reference);
                for root in &roots {
                    self.tasks[*root].above.extend(above.iter().cloned());
                }
            }
        }
    }

    /// The tasks that a name means: one, or the last ones of a group. It is looked for in the innermost
    /// group first.
    fn resolve(&mut self, what: &str, own: &str, reference: &Reference<'_>) -> Vec<String> {
        let mut scope = reference.scope;
        loop {
            let full = full_name(scope, reference.name);
            if self.names.contains(&full) {
                return vec![full];
            }
            if let Some(members) = self.groups.get(&full) {
                return self.last_of(members);
            }
            if scope.is_empty() {
                break;
            }
            scope = scope.rsplit_once('.').map_or("", |(outer, _)| outer);
        }
        let known = self.names.iter().chain(self.groups.keys()).map(String::as_str);
        let hint = hint(reference.name, known.filter(|name| *name != own));
        let message = format!("{what} depends on {:?}, which is not there{hint}", reference.name);
        self.wrong(reference.at, message);
        Vec::new()
    }

    /// The tasks of a group that no other task of it comes after. Teardowns are passed over: what follows
    /// a group need not wait for its putting away.
    fn last_of(&self, members: &[usize]) -> Vec<String> {
        let is_teardown =
            |number: usize| is_teardown(self.tasks[number].task.value.teardown.as_ref());
        let inner: BTreeSet<&str> = members
            .iter()
            .filter(|number| !is_teardown(**number))
            .flat_map(|number| self.tasks[*number].task.value.depends_on.iter())
            .map(|name| name.value.as_str())
            .collect();
        let is_named = |full: &str| {
            let tails = full.match_indices('.').map(|(dot, _)| &full[dot + 1..]);
            tails.chain([full]).any(|tail| inner.contains(tail))
        };
        let last: Vec<String> = members
            .iter()
            .filter(|number| !is_teardown(**number))
            .map(|number| self.tasks[*number].name.clone())
            .filter(|full| !is_named(full))
            .collect();
        if last.is_empty() {
            return members.iter().map(|number| self.tasks[*number].name.clone()).collect();
        }
        last
    }
}

fn is_teardown(teardown: Option<&AuthoredTeardown>) -> bool {
    !matches!(teardown, None | Some(AuthoredTeardown::Plain(false)))
}
