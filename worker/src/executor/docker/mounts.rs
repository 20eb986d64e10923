//! What a container is to see of the worker's machine: where it leads, and whether Docker keeps it safe.

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use bollard::Docker;
use towpath_common::dag::Mount;
use towpath_common::outcome::{Failure, FailureClass};

use super::launch_error;
use crate::executor::LaunchError;

/// The first version of Docker that copies files without mounting anything in its own namespace.
const SAFE_SINCE: u32 = 23;

/// The mount with its source as it is found: a link in an allowed folder may lead out of it. What is not there yet is
/// where it would be made.
pub async fn resolved(mount: &Mount) -> Result<Mount, Failure> {
    if !mount.source.starts_with('/') {
        // A volume.
        return Ok(mount.clone());
    }
    let refused = |error: Error| {
        let why = format!("mount {mount}: where it leads cannot be told: {error}");
        Failure::new(FailureClass::Launch, why)
    };
    let found = found(Path::new(&mount.source)).await.map_err(refused)?;
    Ok(Mount { source: found.display().to_string(), ..mount.clone() })
}

async fn found(path: &Path) -> std::io::Result<PathBuf> {
    let mut missing = Vec::new();
    for ancestor in path.ancestors() {
        match tokio::fs::canonicalize(ancestor).await {
            Ok(found) => return Ok(missing.iter().rev().fold(found, |path, name| path.join(name))),
            // A link to nowhere is there, and may be to somewhere by the time it is followed.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if tokio::fs::symlink_metadata(ancestor).await.is_ok() {
                    return Err(error);
                }
                missing.extend(ancestor.file_name());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(path.to_owned())
}

/// Before that version Docker mounts what a container sees below the container's own files while these are copied (its
/// outputs are), and if it is killed then it may delete the one with the other. A single file survives it.
pub async fn are_safe(docker: &Docker, mount: &Mount) -> Result<(), LaunchError> {
    let is_volume = !mount.source.starts_with('/');
    let file = tokio::fs::metadata(&mount.source).await;
    if mount.read_only || is_volume || file.is_ok_and(|found| !found.is_dir()) {
        return Ok(());
    }
    let found = docker.version().await.map_err(|error| launch_error(&error))?;
    let version = found.version.unwrap_or_default();
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major >= SAFE_SINCE) {
        return Ok(());
    }
    let why = format!(
        "mount {mount}: Docker {version} can delete what is in a folder that is mounted writable, when it is killed; \
         use Docker {SAFE_SINCE} or newer, or mount it read-only, or single files"
    );
    Err(Failure::new(FailureClass::Launch, why).into())
}
