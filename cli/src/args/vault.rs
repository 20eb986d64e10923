//! What is kept sealed, and who is told.

use clap::Subcommand;
use towpath_common::id::EntryName;

#[derive(Debug, Subcommand)]
pub enum VariableVerb {
    /// List variables by name; their values stay sealed.
    List,
    /// Make a variable, or change it.
    Set {
        name: EntryName,
        /// Its value [default: what is on standard input, without the last line break].
        value: Option<String>,
        /// Keep it out of logs; names like API_TOKEN or PASSWORD are kept out anyway.
        #[arg(long)]
        secret: bool,
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Print a variable's value.
    Get {
        name: EntryName,
    },
    Delete {
        name: EntryName,
    },
}

#[derive(Debug, Subcommand)]
pub enum ConnectionVerb {
    /// List connections by name; what they are stays sealed.
    List,
    /// Make a connection, or change it.
    Set {
        name: EntryName,
        /// type://login:password@host:port/schema?key=value, or Airflow's JSON [default: what is on standard
        /// input, which keeps a password out of the shell's history].
        uri: Option<String>,
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Print a connection without its secrets.
    Get {
        name: EntryName,
    },
    Delete {
        name: EntryName,
    },
}

#[derive(Debug, Subcommand)]
pub enum EncryptionKeyVerb {
    /// Print a new key. Put it before the others in TOWPATH_ENCRYPTION_KEYS, everywhere, then rotate.
    Generate,
    /// Seal everything anew with the first key; then the others can go.
    Rotate,
}

#[derive(Debug, Subcommand)]
pub enum NotificationVerb {
    /// List notifications, the newest first.
    List {
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
}
