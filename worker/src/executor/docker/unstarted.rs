//! Launches that are under way, and whether somebody was asked to start their containers: what nobody was asked to
//! start can be started, by the next try or by the next life of this worker. Where nothing is known, it may have been
//! asked for; and after a kill of Docker even a container that has run can look as if it had not begun.
//!
//! An empty file per container, which is renamed with its phase.

use std::fs::{File, create_dir_all, remove_file, rename};
use std::io;
use std::path::PathBuf;

pub struct Unstarted {
    dir: PathBuf,
}

impl Unstarted {
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    fn of(&self, name: &str, phase: &str) -> PathBuf {
        self.dir.join(format!("{name}.{phase}"))
    }

    fn making_file(&self, name: &str) -> PathBuf {
        self.of(name, "making")
    }

    fn asked_file(&self, name: &str) -> PathBuf {
        self.of(name, "asked")
    }

    /// Who was asked to start it before stays asked.
    pub fn making(&self, name: &str) {
        if self.asked_file(name).exists() {
            return;
        }
        let written = create_dir_all(&self.dir).and_then(|()| File::create(self.making_file(name)));
        if let Err(error) = written {
            tracing::warn!(container = name, %error, "it costs its attempt if it is not started now");
        }
    }

    /// It may begin from now on, whatever is answered.
    pub fn asked(&self, name: &str) -> io::Result<()> {
        match rename(self.making_file(name), self.asked_file(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    pub fn has(&self, name: &str) -> bool {
        self.making_file(name).exists()
    }

    /// The launch is over.
    pub fn forget(&self, name: &str) {
        // Most have none of them any more.
        let _ = remove_file(self.making_file(name));
        let _ = remove_file(self.asked_file(name));
    }
}
