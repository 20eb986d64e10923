//! Documents that are made from the code are as the code makes them. `make docs` writes them again.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_owned()
}

fn check(path: &str, expected: &str) {
    let path = root().join(path);
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        std::fs::write(&path, expected).expect("written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{} is out of date; run make docs", path.display());
}

#[test]
fn the_state_tables_are_drawn() {
    check("docs/STATES.md", &towpath_common::state::render_states());
}

#[test]
fn the_schema_of_the_dag_file_is_published() {
    check("docs/dag-file.schema.json", &format!("{:#}\n", towpath_dagfile::schema()));
}

#[test]
fn the_api_is_documented() {
    let document = towpath_api::document().to_pretty_json().expect("JSON");
    check("docs/openapi.json", &format!("{document}\n"));
}

/// Every key of the DAG file has its place in the reference.
#[test]
fn the_reference_names_every_key() {
    let reference = std::fs::read_to_string(root().join("docs/dag-file.md")).expect("it is there");
    let schema = towpath_dagfile::schema();
    let mut keys = Vec::new();
    collect_keys(&schema, &mut keys);
    assert!(keys.len() > 30, "{keys:?}");
    for key in keys {
        assert!(reference.contains(&format!("`{key}`")), "docs/dag-file.md does not name {key}");
    }
}

fn collect_keys(schema: &serde_json::Value, keys: &mut Vec<String>) {
    match schema {
        serde_json::Value::Object(map) => {
            if let Some(serde_json::Value::Object(properties)) = map.get("properties") {
                keys.extend(properties.keys().cloned());
            }
            map.values().for_each(|value| collect_keys(value, keys));
        }
        serde_json::Value::Array(list) => list.iter().for_each(|value| collect_keys(value, keys)),
        _ => {}
    }
}

/// Every example is a valid DAG file, and so is the one of the README.
#[test]
fn the_examples_are_valid() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("it is there");
    let example = readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    towpath_dagfile::read("README.md", example.expect("an example").as_bytes()).expect("valid");
    let reference = std::fs::read_to_string(root().join("docs/dag-file.md")).expect("it is there");
    let example = reference.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    towpath_dagfile::read("dag-file.md", example.expect("an example").as_bytes()).expect("valid");
    let mut examples = vec![root().join("examples/flights/flights.yaml")];
    let semantics = std::fs::read_dir(root().join("examples/semantics")).expect("a folder");
    examples.extend(semantics.flatten().map(|entry| entry.path()).filter(|path| path.is_file()));
    assert!(examples.len() > 6, "{examples:?}");
    for path in examples {
        let name = path.display().to_string();
        towpath_dagfile::read(&name, &std::fs::read(&path).expect("reads")).expect("valid");
    }
}
