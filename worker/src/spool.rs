//! Reports that the store could not take yet, one file each, so that they outlive the worker.

use std::path::PathBuf;

use towpath_common::outcome::Report;

#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
}

impl Spool {
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    fn path(&self, report: &Report) -> PathBuf {
        self.dir.join(format!("{}.json", report.attempt))
    }

    /// Written whole or not at all: under another name first.
    pub fn keep(&self, reports: &[Report]) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.dir)?;
        for report in reports {
            let path = self.path(report);
            let unfinished = path.with_extension("part");
            std::fs::write(&unfinished, serde_json::to_vec(report)?)?;
            std::fs::rename(&unfinished, &path)?;
        }
        Ok(())
    }

    pub fn discard(&self, reports: &[Report]) {
        for report in reports {
            // Most were never kept.
            let _ = std::fs::remove_file(self.path(report));
        }
    }

    /// What an earlier life of this worker has left. A file that cannot be read is left where it is.
    pub fn left_over(&self) -> Vec<Report> {
        let Ok(entries) = std::fs::read_dir(&self.dir) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort_unstable();
        let reports = paths.into_iter().filter_map(|path| {
            let read = std::fs::read(&path).map_err(|error| error.to_string());
            let report = read.and_then(|b| serde_json::from_slice(&b).map_err(|e| e.to_string()));
            report
                .inspect_err(|error| tracing::error!(path = %path.display(), %error, "a spooled report cannot be read"))
                .ok()
        });
        reports.collect()
    }
}
