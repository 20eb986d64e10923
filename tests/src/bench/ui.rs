//! What a browser takes over what is large: a grid of 10,000 tasks by 50 runs, and a log of 100 MB.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use towpath_common::id::{AttemptKey, TaskId, UNMAPPED};
use towpath_worker::log_path;

use super::{Table, api};
use crate::cluster::Cluster;

const LOG_BYTES: usize = 100 << 20;

pub async fn measure(cluster: &Cluster, table: &mut Table) -> anyhow::Result<()> {
    let run = api::fill(cluster).await?;
    let (task, key) = (TaskId::new("t00000")?, run.key);
    let attempt = AttemptKey { run: key, task, map_index: UNMAPPED, number: 1 };
    write_log(&log_path(&cluster.dir().join("logs"), &run.dag_id, &run.run_id, &attempt))?;
    let (_api, address) = api::serve(cluster).await?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the repository")?;
    let output = Command::new("node")
        .arg("e2e/weight.mjs")
        .current_dir(root.join("ui"))
        .env("TOWPATH_URL", format!("http://{address}"))
        .env("TOWPATH_RUN", key.to_string())
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("node cannot be started; the UI is measured with Node 20 and Chromium")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for line in said.lines() {
        let (name, figure) = line.split_once(' ').context("a name and a figure")?;
        table.add(name, figure.parse()?);
    }
    Ok(())
}

fn write_log(path: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(path.parent().context("a folder")?)?;
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let (mut bytes, mut line) = (0, 0);
    while bytes < LOG_BYTES {
        let text = format!("line {line} of a task that has much to say: \x1b[32mok\x1b[0m\n");
        file.write_all(text.as_bytes())?;
        (bytes, line) = (bytes + text.len(), line + 1);
    }
    file.write_all(b"the last line\n")?;
    Ok(file.flush()?)
}
