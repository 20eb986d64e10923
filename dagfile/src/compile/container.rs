//! How a task's container is made.

use serde_saphyr::Spanned;
use towpath_common::dag::{Container, Mount, PullPolicy};

use super::{Wrong, at_least};
use crate::authored::{AuthoredMount, TaskSettings};
use crate::quantity;
use crate::suggest::hint;

pub(super) fn container(settings: &TaskSettings, wrong: &mut Wrong) -> Container {
    let resources = &settings.resources;
    let text = |value: &Option<Spanned<String>>| value.as_ref().map(|value| value.value.clone());
    let policy = settings.pull_policy.as_ref();
    Container {
        image: text(&settings.image),
        pull_policy: policy
            .and_then(|policy| wrong.check(policy, |name| pull_policy(name)))
            .unwrap_or_default(),
        working_dir: text(&settings.working_dir),
        user: settings.user.clone(),
        network: settings.network.clone(),
        cpu_millis: resources
            .cpu
            .as_ref()
            .and_then(|cpu| wrong.check(cpu, |text| quantity::cpu(&text.0))),
        memory_bytes: resources
            .memory
            .as_ref()
            .and_then(|memory| wrong.check(memory, |text| quantity::memory(&text.0))),
        pids: resources
            .pids
            .as_ref()
            .and_then(|pids| wrong.check(pids, |n| at_least(*n, 1, "pids")))
            .map(u64::from),
        mounts: settings
            .mounts
            .iter()
            .flatten()
            .filter_map(|authored| wrong.check(authored, mount))
            .collect(),
        cap_add: settings.cap_add.iter().flatten().map(|name| capability(name)).collect(),
        devices: settings
            .devices
            .iter()
            .flatten()
            .filter_map(|path| wrong.check(path, |path| device(path)))
            .collect(),
        privileged: settings.privileged.unwrap_or_default(),
    }
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

fn mount(authored: &AuthoredMount) -> Result<Mount, String> {
    let AuthoredMount { source, target, read_only } = authored;
    let is_volume = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
    };
    if !source.starts_with('/') && !is_volume(source) {
        return Err(format!(
            "the source {source:?} is neither an absolute path nor the name of a volume"
        ));
    }
    if !target.starts_with('/') {
        return Err(format!("the target {target:?} is not an absolute path"));
    }
    if [source, target].iter().any(|path| path.contains(':')) {
        return Err("a path of a mount has no colon".to_owned());
    }
    Ok(Mount { source: source.clone(), target: target.clone(), read_only: *read_only })
}

/// Docker knows them with and without their prefix; one way to write them is one thing to allow.
pub(crate) fn capability(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    name.strip_prefix("CAP_").map(str::to_owned).unwrap_or(name)
}

fn device(path: &str) -> Result<String, String> {
    match path.starts_with("/dev/") && !path.contains("..") {
        true => Ok(path.to_owned()),
        false => Err(format!("{path:?} is not a device; write one like /dev/fuse")),
    }
}
