//! What all that speak HTTP have in common.

use std::error::Error as _;

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
