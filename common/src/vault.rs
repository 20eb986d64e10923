//! Variables and connections as they are kept: sealed.

use crate::id::EntryName;
use crate::time::Timestamp;
use crate::words::words;

words!(
    EntryKind {
        Variable = "variable",
        Connection = "connection",
    }
);

/// A variable or a connection. Only who holds the key can read what is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub kind: EntryKind,
    pub name: EntryName,
    pub sealed: String,
    /// Whether logs must not show the value. Of a connection it is the password alone.
    pub secret: bool,
    pub description: String,
    pub updated_at: Timestamp,
}
