//! Reading DAG files.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use towpath_operations::Authored;

/// Reads and checks them all; nothing is deployed if one is wrong. A folder stands for the DAG files in
/// it.
pub fn read_all(files: &[PathBuf]) -> anyhow::Result<Vec<Authored>> {
    let mut read = Vec::new();
    let mut wrong = Vec::new();
    let mut all = Vec::new();
    for path in files {
        if !path.is_dir() {
            all.push(path.clone());
            continue;
        }
        let found = dag_files(path)?;
        if found.is_empty() {
            bail!("the folder {} holds no .yaml file", path.display());
        }
        all.extend(found);
    }
    for file in &all {
        match read_file(file)? {
            Ok(dag) => read.push(dag),
            Err(diagnostics) => wrong.push(diagnostics.to_string()),
        }
    }
    if wrong.is_empty() { Ok(read) } else { Err(Refused(wrong.join("\n")).into()) }
}

/// The `.yaml` and `.yml` files of a folder, by name.
pub fn dag_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("the folder {} cannot be read", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "yaml" || kind == "yml") {
            files.push(path);
        }
    }
    files.sort();
    files.retain(|path| is_meant(path));
    Ok(files)
}

/// Other YAML may lie beside DAG files. Whoever has mistyped the key learns why the file is left out.
fn is_meant(path: &Path) -> bool {
    // What cannot be read is told where it is read.
    let Ok(text) = std::fs::read(path) else { return true };
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    let is_dag = lines.any(|line| {
        ["dag:", "\"dag\"", "'dag'", "{"].iter().any(|beginning| line.starts_with(beginning))
    });
    if !is_dag {
        eprintln!("{}: left out, for it has no key \"dag\"", path.display());
    }
    is_dag
}

/// The diagnostics, one a line.
#[derive(Debug, thiserror::Error)]
#[error("not a valid DAG file\n{0}")]
struct Refused(String);

fn read_file(file: &Path) -> anyhow::Result<Result<Authored, towpath_dagfile::Diagnostics>> {
    let name = file.display().to_string();
    let bytes = std::fs::read(file).with_context(|| format!("{name} cannot be read"))?;
    let source_dir = std::path::absolute(file).ok();
    let source_dir = source_dir.as_deref().and_then(Path::parent);
    let source_dir = source_dir.map(|dir| dir.display().to_string());
    let source = String::from_utf8_lossy(&bytes).into_owned();
    Ok(towpath_dagfile::read(&name, &bytes).map(|dag| Authored { dag, source, source_dir }))
}
