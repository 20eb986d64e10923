//! One SQL text for two databases.
//!
//! A statement is written once, in the subset that PostgreSQL and SQLite share: `$N` placeholders, no
//! vendor functions, `now` always a parameter. Three fragments differ and are written as names:
//!
//! | fragment | is |
//! | --- | --- |
//! | `{rows}` | a batch: the JSON array in `$1`, unpacked to rows of `item.value` |
//! | `{for update}` | a lock on the rows read, where others write at the same time |
//! | `{for share}` | a lock against others' writing, likewise |
//!
//! A test prepares every statement of [`all`] on both databases.

use std::sync::OnceLock;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Postgres,
    Sqlite,
}

impl Dialect {
    /// SQLite needs no row locks: it has one writer at a time.
    fn fragments(self) -> [(&'static str, &'static str); 3] {
        match self {
            Self::Postgres => [
                ("{rows}", "jsonb_array_elements($1::jsonb) AS item(value)"),
                ("{for update}", "FOR UPDATE"),
                ("{for share}", "FOR SHARE"),
            ],
            Self::Sqlite => {
                [("{rows}", "json_each($1) AS item"), ("{for update}", ""), ("{for share}", "")]
            }
        }
    }
}

/// A statement, and its text in each dialect once it has been asked for.
#[derive(Debug)]
pub struct Statement {
    text: &'static str,
    postgres: OnceLock<String>,
    sqlite: OnceLock<String>,
}

impl Statement {
    pub const fn new(text: &'static str) -> Self {
        Self { text, postgres: OnceLock::new(), sqlite: OnceLock::new() }
    }

    pub fn text(&'static self, dialect: Dialect) -> &'static str {
        let place = match dialect {
            Dialect::Postgres => &self.postgres,
            Dialect::Sqlite => &self.sqlite,
        };
        place.get_or_init(|| {
            let fragments = dialect.fragments();
            fragments.iter().fold(self.text.to_owned(), |text, (name, sql)| text.replace(name, sql))
        })
    }
}

/// Every statement of the stores.
pub fn all() -> impl Iterator<Item = &'static Statement> {
    use super::sql::{dags, outbox, people, reading, scheduling, upkeep, users, vault, working};
    [
        dags::STATEMENTS,
        scheduling::STATEMENTS,
        working::STATEMENTS,
        people::STATEMENTS,
        vault::STATEMENTS,
        outbox::STATEMENTS,
        reading::STATEMENTS,
        upkeep::STATEMENTS,
        upkeep::DELETES,
        users::STATEMENTS,
    ]
    .into_iter()
    .flatten()
    .copied()
}
