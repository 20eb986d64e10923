//! The keys that variables and connections are sealed with: those of the environment, or an embedded home's own.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use towpath_common::port::Store;
use towpath_rendering::{Keyring, Rendering, Vault};

use crate::args::Connection;

impl Connection {
    /// The key of an embedded home is in a file of its own there. One that is shared by several machines is
    /// not written anywhere.
    fn key_file(&self) -> Option<PathBuf> {
        self.database_url.is_none().then(|| self.home.join("encryption.key"))
    }

    pub fn keyring(&self) -> anyhow::Result<Keyring> {
        if let Some(text) = &self.encryption_keys {
            return Keyring::read(text).context("TOWPATH_ENCRYPTION_KEYS cannot be used");
        }
        match self.key_file().filter(|path| path.exists()) {
            None => Ok(Keyring::default()),
            Some(path) => {
                let text = std::fs::read_to_string(&path);
                let text = text.with_context(|| format!("{} cannot be read", path.display()))?;
                Keyring::read(text.trim())
                    .with_context(|| format!("{} cannot be used", path.display()))
            }
        }
    }

    /// The keys to seal with; an embedded home that has none gets one.
    pub fn sealing_keyring(&self) -> anyhow::Result<Keyring> {
        let keyring = self.keyring()?;
        if keyring.sealing().is_ok() {
            return Ok(keyring);
        }
        let Some(path) = self.key_file() else { return Ok(keyring) };
        // Whole or not at all: who comes second finds the first one's key.
        let write = || -> std::io::Result<()> {
            std::fs::create_dir_all(&self.home)?;
            let mut file = tempfile::NamedTempFile::new_in(&self.home)?;
            file.write_all(Keyring::generate().as_bytes())?;
            file.as_file().sync_all()?;
            match file.persist_noclobber(&path) {
                Err(error) if error.error.kind() != std::io::ErrorKind::AlreadyExists => {
                    Err(error.error)
                }
                _ => Ok(()),
            }
        };
        write().with_context(|| format!("{} cannot be written", path.display()))?;
        self.keyring()
    }

    pub fn rendering(&self, store: &Arc<dyn Store>) -> anyhow::Result<Rendering> {
        Ok(rendering(store, self.keyring()?))
    }
}

pub fn rendering(store: &Arc<dyn Store>, keyring: Keyring) -> Rendering {
    // What is no text cannot be meant for it.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let vault = Arc::new(Vault::new(Arc::clone(store), keyring, environment));
    Rendering { store: Arc::clone(store), vault }
}
