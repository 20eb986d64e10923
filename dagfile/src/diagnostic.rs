//! What is wrong with a DAG file, where, and what would be right.

use std::fmt;

use serde_saphyr::Location;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// From 1; 0 if the whole file is meant.
    pub line: u64,
    /// From 1, in characters.
    pub column: u64,
    pub message: String,
}

impl Diagnostic {
    pub fn at(location: Location, message: impl Into<String>) -> Self {
        Self { line: location.line(), column: location.column(), message: message.into() }
    }

    pub fn of_file(message: impl Into<String>) -> Self {
        Self { line: 0, column: 0, message: message.into() }
    }
}

/// All that is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    pub file: String,
    pub list: Vec<Diagnostic>,
}

impl std::error::Error for Diagnostics {}

/// One line each: `file:line:column: message`, as compilers print it and editors read it.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Diagnostic { line, column, message }) in self.list.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            match line {
                0 => write!(f, "{separator}{}: {message}", self.file)?,
                _ => write!(f, "{separator}{}:{line}:{column}: {message}", self.file)?,
            }
        }
        Ok(())
    }
}
