//! One task, many instances: over what a task is expanded, and which element each instance has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::id::TaskId;
use crate::words::words;

/// The most instances that one expansion may make.
pub const INSTANCES_MAX: u64 = 100_000;

words!(
    /// How several lists are combined.
    Combine {
        /// Every element with every other; the last name changes fastest.
        Product = "product",
        /// The first with the first, the second with the second, as far as the shortest goes.
        Zip = "zip",
    }
);

/// A task, or all tasks of a group, once per element.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expand {
    pub combine: Combine,
    /// By the name that templates use: `{{ map.NAME }}`.
    pub over: BTreeMap<String, MapSource>,
    /// The group whose tasks share this expansion: each instance sees its own neighbours only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What people see instead of the map index, as a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_index_template: Option<String>,
}

/// Where a list, or a map, comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MapSource {
    Literal(Value),
    Param(String),
    /// An output of a task above. If that task is mapped itself: the list of its instances' outputs.
    Output {
        task: TaskId,
        key: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {found}; only a list or a map can be expanded over")]
pub struct NotExpandable {
    pub what: String,
    pub found: &'static str,
}

/// How many elements a value has.
pub fn length(what: &str, value: &Value) -> Result<u64, NotExpandable> {
    let found = match value {
        Value::Array(list) => return Ok(list.len() as u64),
        Value::Object(map) => return Ok(map.len() as u64),
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
    };
    Err(NotExpandable { what: what.to_owned(), found })
}

/// The element at a place. That of a map is its entry: `{"key": …, "value": …}`.
pub fn element(value: &Value, place: u64) -> Option<Value> {
    let place = usize::try_from(place).ok()?;
    match value {
        Value::Array(list) => list.get(place).cloned(),
        Value::Object(map) => {
            map.iter().nth(place).map(|(key, value)| json!({ "key": key, "value": value }))
        }
        _ => None,
    }
}

impl Expand {
    /// How many instances lists of these lengths make, in the order of the names.
    pub fn instances(&self, lengths: impl Iterator<Item = u64>) -> u64 {
        match self.combine {
            Combine::Product => lengths.fold(1, u64::saturating_mul),
            Combine::Zip => lengths.min().unwrap_or(0),
        }
    }

    /// The places in lists of these lengths that an instance has.
    pub fn places(&self, lengths: &[u64], map_index: u64) -> Vec<u64> {
        match self.combine {
            Combine::Zip => vec![map_index; lengths.len()],
            Combine::Product => {
                let mut rest = map_index;
                let mut places = vec![0; lengths.len()];
                for (place, length) in places.iter_mut().zip(lengths).rev() {
                    *place = rest % length.max(&1);
                    rest /= length.max(&1);
                }
                places
            }
        }
    }

    /// The tasks whose outputs are expanded over.
    pub fn tasks(&self) -> impl Iterator<Item = (&TaskId, &str)> {
        self.over.values().filter_map(|source| match source {
            MapSource::Output { task, key } => Some((task, key.as_str())),
            MapSource::Literal(_) | MapSource::Param(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(combine: Combine) -> Expand {
        Expand { combine, over: BTreeMap::new(), group: None, map_index_template: None }
    }

    #[test]
    fn a_product_names_every_pair_once_and_the_last_changes_fastest() {
        let product = expand(Combine::Product);
        assert_eq!(product.instances([2, 3].into_iter()), 6);
        let places: Vec<_> = (0..6).map(|i| product.places(&[2, 3], i)).collect();
        assert_eq!(places, [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]);
        assert_eq!(product.instances([2, 0].into_iter()), 0);
    }

    #[test]
    fn a_zip_ends_with_the_shortest() {
        let zip = expand(Combine::Zip);
        assert_eq!(zip.instances([2, 3].into_iter()), 2);
        assert_eq!(zip.places(&[2, 3], 1), [1, 1]);
    }

    #[test]
    fn lists_and_maps_have_elements_and_nothing_else_has() {
        assert_eq!(element(&json!(["a", "b"]), 1), Some(json!("b")));
        let entry = element(&json!({"x": 1}), 0);
        assert_eq!(entry, Some(json!({"key": "x", "value": 1})));
        let error = length("outputs.list.files", &json!("a")).expect_err("refused").to_string();
        assert!(error.contains("outputs.list.files is a text"), "{error}");
    }
}
