//! Who vouches for the services, where connections to them are encrypted.

use std::path::Path;
use std::sync::Arc;

/// Certificates of authorities, as PEM, that are believed: by Redis's client alone, by the others besides those that the
/// machine trusts.
#[derive(Debug, Clone, Default)]
pub struct Authorities(Option<Arc<str>>);

impl Authorities {
    /// The error says what is wrong with the file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let pem = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        if !pem.contains("-----BEGIN CERTIFICATE-----") {
            return Err(
                "it holds no certificate; PEM is wanted, -----BEGIN CERTIFICATE----- and so on"
                    .to_owned(),
            );
        }
        Ok(Self(Some(pem.into())))
    }

    /// None: only those that the machine trusts.
    pub fn pem(&self) -> Option<&str> {
        self.0.as_deref()
    }
}
