//! Why something was not done, by what the caller does next.

use towpath_common::port::StoreError;
use towpath_rendering::RenderError;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Ask for something that is there.
    #[error("{0}")]
    NotFound(String),
    /// Ask otherwise.
    #[error("{0}")]
    Invalid(String),
    /// Look at how things stand, then ask again.
    #[error("{0}")]
    Conflict(String),
    /// Ask somebody who may.
    #[error("{0}")]
    Forbidden(String),
    /// Ask again later.
    #[error("{0}")]
    Unavailable(String),
    /// Tell somebody who can mend it.
    #[error("{0}")]
    Broken(String),
}

impl Refusal {
    pub fn invalid(why: impl std::fmt::Display) -> Self {
        Self::Invalid(why.to_string())
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        match error {
            StoreError::Conflict(_) => Self::Conflict(text),
            StoreError::Unavailable(_) => Self::Unavailable(text),
            StoreError::Corrupt(_) => Self::Broken(text),
        }
    }
}

impl From<RenderError> for Refusal {
    fn from(error: RenderError) -> Self {
        match error {
            RenderError::Failed(failure) => Self::Invalid(failure.to_string()),
            RenderError::Store(error) => error.into(),
        }
    }
}

pub type Result<T> = std::result::Result<T, Refusal>;
