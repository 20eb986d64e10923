//! What Docker is sent: the container's description, and the file for its outputs.

use std::collections::HashMap;
use std::io::Read;

use bollard::models::{ContainerCreateBody, DeviceMapping, HostConfig};
use towpath_common::id::AttemptKey;

use super::{DockerConfig, OUTPUT_PATH};
use crate::executor::AttemptSpec;

/// How much of the installation's name is in the names of its containers.
const NAME_MAX: usize = 12;
pub const LABEL_INSTALLATION: &str = "towpath.installation";
pub const LABEL_RUN: &str = "towpath.run";
pub const LABEL_TASK: &str = "towpath.task";
pub const LABEL_MAP_INDEX: &str = "towpath.map_index";
pub const LABEL_ATTEMPT: &str = "towpath.attempt";
/// What the attempt was given in confidence, for the masker of whoever takes it up.
pub const LABEL_SEALED: &str = "towpath.sealed";

/// A task that names no limit may have this many processes and threads.
const PIDS_DEFAULT: i64 = 1024;

pub fn container_name(installation: &str, attempt: &AttemptKey) -> String {
    // Runs of the same names have the same keys everywhere, and two installations may share a daemon. The end of an
    // installation's name is what two of them have least in common.
    let end = installation.char_indices().rev().nth(NAME_MAX - 1).map_or(0, |(at, _)| at);
    format!("towpath.{}.{attempt}", &installation[end..])
}

/// No new privileges, no capabilities, no mounts, limits on processes and memory: what a task gets that asks for
/// nothing. What it asks for has passed the worker's policy.
pub fn container(spec: &AttemptSpec, config: &DockerConfig) -> ContainerCreateBody {
    let wanted = &spec.container;
    let environment = spec.environment.iter().map(|(name, value)| format!("{name}={value}"));
    let output = format!("TOWPATH_OUTPUT={OUTPUT_PATH}");
    let limit = |value: Option<u64>| value.and_then(|value| i64::try_from(value).ok());
    let memory = limit(wanted.memory_bytes.or(Some(config.memory)));
    let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    let network = wanted.network.as_ref().unwrap_or(&config.network);
    ContainerCreateBody {
        image: wanted.image.clone(),
        cmd: Some(spec.command.clone()),
        env: Some(environment.chain([output]).collect()),
        working_dir: wanted.working_dir.clone(),
        user: wanted.user.clone(),
        labels: Some(labels(spec, &config.installation)),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(HostConfig {
            nano_cpus: limit(wanted.cpu_millis).map(|millis| millis * 1_000_000),
            memory,
            // No swap beyond the memory limit.
            memory_swap: memory,
            pids_limit: limit(wanted.pids).or(Some(PIDS_DEFAULT)),
            network_mode: Some(network.clone()),
            binds: Some(wanted.mounts.iter().map(ToString::to_string).collect()),
            devices: Some(wanted.devices.iter().map(|path| device(path)).collect()),
            privileged: wanted.privileged.then_some(true),
            cap_add: some(&wanted.cap_add),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

fn device(path: &str) -> DeviceMapping {
    DeviceMapping {
        path_on_host: Some(path.to_owned()),
        path_in_container: Some(path.to_owned()),
        cgroup_permissions: Some("rwm".to_owned()),
    }
}

fn labels(spec: &AttemptSpec, installation: &str) -> HashMap<String, String> {
    let attempt = &spec.attempt;
    let mut labels = HashMap::from([
        (LABEL_INSTALLATION.to_owned(), installation.to_owned()),
        (LABEL_RUN.to_owned(), attempt.run.to_string()),
        (LABEL_TASK.to_owned(), attempt.task.to_string()),
        (LABEL_MAP_INDEX.to_owned(), attempt.map_index.to_string()),
        (LABEL_ATTEMPT.to_owned(), attempt.number.to_string()),
    ]);
    labels.extend(spec.sealed.clone().map(|sealed| (LABEL_SEALED.to_owned(), sealed)));
    labels
}

/// An archive with the empty output file, which any user may write.
pub fn output_file() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut entry = |path: &str, kind: tar::EntryType, mode: u32| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(0);
        let path = path.trim_start_matches('/');
        archive.append_data(&mut header, path, std::io::empty()).expect("writing to memory")
    };
    let (dir, _) = OUTPUT_PATH.rsplit_once('/').expect("an absolute path");
    entry(&format!("{dir}/"), tar::EntryType::Directory, 0o777);
    entry(OUTPUT_PATH, tar::EntryType::Regular, 0o666);
    archive.into_inner().expect("writing to memory")
}

/// The content of the only file of an archive, at most one byte more than `limit`.
pub fn first_file(archive: &[u8], limit: u64) -> Result<Vec<u8>, String> {
    let mut archive = tar::Archive::new(archive);
    let mut entries = archive.entries().map_err(|error| error.to_string())?;
    let Some(entry) = entries.next() else { return Ok(Vec::new()) };
    let mut content = Vec::new();
    let entry = entry.map_err(|error| error.to_string())?;
    entry.take(limit + 1).read_to_end(&mut content).map_err(|error| error.to_string())?;
    Ok(content)
}
