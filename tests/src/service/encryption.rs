//! Certificates for the services of a test.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::postgres::run;

/// An authority, and what it has certified: a server by the name of `localhost`, and by no other.
pub struct Encryption {
    dir: PathBuf,
}

const NAMES: &str = "subjectAltName=DNS:localhost";

impl Encryption {
    /// What the servers of this folder have in common, made by the first.
    pub fn below(dir: &Path) -> anyhow::Result<Self> {
        let dir = dir.join("encryption");
        let this = Self { dir };
        if !this.dir.exists() {
            this.make()?;
        }
        Ok(this)
    }

    fn make(&self) -> anyhow::Result<()> {
        std::fs::create_dir(&self.dir)?;
        let [authority, authority_key] = [self.authority(), self.dir.join("authority.key")];
        let [request, names] = [self.dir.join("request"), self.dir.join("names")];
        std::fs::write(&names, NAMES)?;
        let new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let mut make_authority = Command::new("openssl");
        make_authority.args(new).args([
            "-x509",
            "-days",
            "2",
            "-subj",
            "/CN=towpath test authority",
        ]);
        make_authority.arg("-keyout").arg(&authority_key).arg("-out").arg(&authority);
        run(&mut make_authority)?;
        let mut ask = Command::new("openssl");
        ask.args(new).args(["-subj", "/CN=localhost"]);
        ask.arg("-keyout").arg(self.key()).arg("-out").arg(&request);
        run(&mut ask)?;
        let mut certify = Command::new("openssl");
        certify.args(["x509", "-req", "-days", "2", "-CAcreateserial", "-in"]).arg(&request);
        certify.arg("-CA").arg(&authority).arg("-CAkey").arg(&authority_key);
        certify.arg("-extfile").arg(&names).arg("-out").arg(self.certificate());
        run(&mut certify)?;
        // The servers read it under accounts of their own; PostgreSQL wants it to itself.
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(self.key(), readable)?;
        Ok(())
    }

    /// The certificate of the authority.
    pub fn authority(&self) -> PathBuf {
        self.dir.join("authority.pem")
    }

    pub fn certificate(&self) -> PathBuf {
        self.dir.join("server.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.dir.join("server.key")
    }
}
