//! The containers of this installation, read back into attempts.

use std::collections::HashMap;

use bollard::Docker;
use bollard::query_parameters::ListContainersOptionsBuilder;
use towpath_common::id::AttemptKey;
use towpath_common::port::Unavailable;

use super::body::{
    LABEL_ATTEMPT, LABEL_INSTALLATION, LABEL_MAP_INDEX, LABEL_RUN, LABEL_SEALED, LABEL_TASK,
};
use super::{SERVICE, is_missing, words};

pub async fn list(docker: &Docker, installation: &str) -> Result<Vec<AttemptKey>, Unavailable> {
    let label = format!("{LABEL_INSTALLATION}={installation}");
    let filters = HashMap::from([("label".to_owned(), vec![label])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let containers = docker.list_containers(Some(options)).await;
    let containers = containers.map_err(|error| Unavailable::new(SERVICE, words(&error)))?;
    let labels = containers.into_iter().filter_map(|container| container.labels);
    Ok(labels.filter_map(|labels| attempt_from(&labels)).collect())
}

/// What was sealed for whoever takes up the attempt in this container.
pub async fn sealed(docker: &Docker, container: &str) -> Result<Option<String>, Unavailable> {
    match docker.inspect_container(container, None).await {
        Ok(found) => Ok(found.config.and_then(|config| config.labels?.remove(LABEL_SEALED))),
        // Whoever takes it up will find it gone.
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(Unavailable::new(SERVICE, words(&error))),
    }
}

fn attempt_from(labels: &HashMap<String, String>) -> Option<AttemptKey> {
    Some(AttemptKey {
        run: labels.get(LABEL_RUN)?.parse().ok()?,
        task: labels.get(LABEL_TASK)?.parse().ok()?,
        map_index: labels.get(LABEL_MAP_INDEX)?.parse().ok()?,
        number: labels.get(LABEL_ATTEMPT)?.parse().ok()?,
    })
}
