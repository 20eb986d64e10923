//! What all that speak HTTP have in common.

use std::error::Error as _;
use std::sync::OnceLock;

use reqwest::{Client, ClientBuilder};

/// Made when it is first asked for: it reads whom the machine believes, and a new leader has no time for that.
pub(crate) struct LazyClient {
    made: OnceLock<Result<Client, String>>,
    settings: fn() -> ClientBuilder,
}

impl LazyClient {
    pub fn new(settings: fn() -> ClientBuilder) -> Self {
        Self { made: OnceLock::new(), settings }
    }

    /// Or why there is none.
    pub fn get(&self) -> Result<&Client, String> {
        let made = self.made.get_or_init(|| {
            install_tls();
            (self.settings)().build().map_err(|error| error.to_string())
        });
        made.as_ref().map_err(Clone::clone)
    }
}

/// Chooses who does the cryptography, unless another part of the process has.
pub fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The innermost cause says what is wrong: "connection refused".
pub fn words(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    match error.source() {
        Some(_) => cause.to_string(),
        None => error.to_string(),
    }
}
