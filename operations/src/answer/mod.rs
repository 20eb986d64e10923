//! What is asked and answered, as the API writes it. Times are RFC 3339 in UTC, durations are seconds.

mod dag;
mod fleet;
mod request;
mod run;
mod user;

pub use dag::*;
pub use fleet::*;
pub use request::*;
pub use run::*;
pub use user::*;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use towpath_common::time::Timestamp;
use utoipa::ToSchema;

/// A part of a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// What to pass as `after` for the next part; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Of `limit` items the last one says where to go on; of fewer there is no more.
    pub fn of<S>(
        found: Vec<S>,
        limit: u32,
        cursor: impl Fn(&S) -> String,
        item: impl FnMut(S) -> T,
    ) -> Self {
        let full = found.len() >= limit as usize;
        let next = found.last().filter(|_| full).map(cursor);
        Self { items: found.into_iter().map(item).collect(), next }
    }
}

/// Which part of a list is asked for.
pub struct Part {
    /// `next` of the part before.
    pub after: Option<String>,
    pub limit: u32,
}

impl<T> Page<T> {
    /// A part of what is known whole, in the order of its keys.
    pub(crate) fn part(mut items: Vec<T>, part: &Part, key: impl Fn(&T) -> String) -> Self {
        items.sort_by_cached_key(&key);
        if let Some(after) = &part.after {
            items.retain(|item| key(item) > *after);
        }
        items.truncate(part.limit as usize);
        Self::of(items, part.limit, key, |item| item)
    }
}

/// All of it.
impl<T> From<Vec<T>> for Page<T> {
    fn from(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

pub(crate) fn time(at: Timestamp) -> DateTime<Utc> {
    at.to_utc()
}

pub(crate) fn opt_time(at: Option<Timestamp>) -> Option<DateTime<Utc>> {
    at.map(Timestamp::to_utc)
}
