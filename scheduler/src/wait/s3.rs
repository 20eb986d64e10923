//! Looking into an object store that speaks S3.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ClientOptions, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig};
use serde_json::Value;
use towpath_common::connection::Connection;
use towpath_common::dag::ObjectTarget;
use towpath_common::outcome::Outputs;
use towpath_common::time::Timestamp;

use super::look::Sight;
use crate::http::install_tls;

const LOOK_MAX: Duration = Duration::from_secs(30);

/// Clients of buckets, whoever looks.
#[derive(Default)]
pub struct Buckets(Mutex<HashMap<(String, String), Arc<AmazonS3>>>);

impl Buckets {
    pub async fn look(
        &self,
        name: &str,
        connection: &Connection,
        target: &ObjectTarget,
        now: Timestamp,
    ) -> Sight {
        let bucket = match self.bucket(name, connection, &target.bucket) {
            Ok(bucket) => bucket,
            Err(why) => return Sight::Never(why),
        };
        let pattern = match glob::Pattern::new(&target.key) {
            Ok(pattern) => pattern,
            Err(error) => {
                return Sight::Never(format!("{:?} is not a pattern: {error}", target.key));
            }
        };
        let place = format!("s3://{}/{}", target.bucket, target.key);
        // As it stands: a key is not to be encoded a second time.
        let path = match Path::parse(fixed_part(&target.key)) {
            Ok(path) => path,
            Err(error) => return Sight::Never(format!("{place} is not a key: {error}")),
        };
        match tokio::time::timeout(LOOK_MAX, found(&bucket, target, &path, &pattern)).await {
            Err(_) => Sight::NotYet(format!("{name} has not answered within {LOOK_MAX:?}")),
            Ok(Err(error)) => Sight::NotYet(format!("{place} cannot be looked for: {error}")),
            Ok(Ok(objects)) => judge(&place, objects, target, now),
        }
    }

    fn bucket(
        &self,
        name: &str,
        connection: &Connection,
        bucket: &str,
    ) -> Result<Arc<AmazonS3>, String> {
        let key = (connection.uri(), bucket.to_owned());
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(client(connection, bucket).map_err(|error| {
            format!("the connection {name:?} does not name an S3 store: {error}")
        })?);
        clients.insert(key, Arc::clone(&client));
        Ok(client)
    }
}

/// Airflow's connection of type aws: the access key as login, the secret key as password, and in the extras
/// `region_name` and `endpoint_url`. Without a login the environment says who we are.
fn client(connection: &Connection, bucket: &str) -> object_store::Result<AmazonS3> {
    install_tls();
    let text = |name: &str| connection.extra.get(name).and_then(Value::as_str);
    let mut builder = match (&connection.login, &connection.password) {
        (Some(login), Some(password)) => {
            AmazonS3Builder::new().with_access_key_id(login).with_secret_access_key(password)
        }
        _ => AmazonS3Builder::from_env(),
    };
    if let Some(endpoint) = text("endpoint_url") {
        builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
    }
    // The wait itself tries again.
    let once = RetryConfig { max_retries: 0, retry_timeout: LOOK_MAX, ..RetryConfig::default() };
    builder
        .with_bucket_name(bucket)
        .with_region(text("region_name").unwrap_or("us-east-1"))
        .with_client_options(ClientOptions::new().with_allow_http(true).with_timeout(LOOK_MAX))
        .with_retry(once)
        .build()
}

const WILDCARDS: [char; 3] = ['*', '?', '['];

/// The key, or of a pattern the folder before its first wildcard: that much the store sorts out itself.
fn fixed_part(key: &str) -> &str {
    match key.find(WILDCARDS) {
        None => key,
        Some(wild) => key[..wild].rfind('/').map_or("", |end| &key[..end]),
    }
}

/// The objects that are meant: the one of this key, or all in a folder, or all that fit the pattern.
async fn found(
    bucket: &AmazonS3,
    target: &ObjectTarget,
    path: &Path,
    pattern: &glob::Pattern,
) -> object_store::Result<Vec<ObjectMeta>> {
    let is_pattern = target.key.contains(WILDCARDS);
    if is_pattern || target.key.ends_with('/') {
        let folder = (!path.as_ref().is_empty()).then_some(path);
        let fits = |object: &ObjectMeta| !is_pattern || pattern.matches(object.location.as_ref());
        let listed = bucket.list(folder);
        return listed.try_filter(|object| std::future::ready(fits(object))).try_collect().await;
    }
    match bucket.head(path).await {
        Ok(object) => Ok(vec![object]),
        Err(object_store::Error::NotFound { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Large enough and untouched for long enough: whoever writes it has finished.
fn judge(place: &str, objects: Vec<ObjectMeta>, target: &ObjectTarget, now: Timestamp) -> Sight {
    let Some(first) = objects.first().cloned() else {
        return Sight::NotYet(format!("there is nothing at {place}"));
    };
    let old_enough = |object: &ObjectMeta| {
        Timestamp::from_micros(object.last_modified.timestamp_micros()).plus(target.min_age) <= now
    };
    let ready =
        objects.into_iter().find(|object| object.size >= target.min_size && old_enough(object));
    match ready {
        Some(object) => Sight::Found(Outputs::from_iter([
            ("key".to_owned(), Value::from(object.location.to_string())),
            ("size".to_owned(), Value::from(object.size)),
            ("last_modified".to_owned(), Value::from(object.last_modified.to_rfc3339())),
        ])),
        None => Sight::NotYet(format!(
            "{} has {} bytes of {} since {}; it must be {:?} old",
            first.location, first.size, target.min_size, first.last_modified, target.min_age
        )),
    }
}
