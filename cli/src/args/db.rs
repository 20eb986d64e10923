//! What is asked of the database itself.

use clap::{Args as ClapArgs, Subcommand};

#[derive(Debug, Subcommand)]
pub enum DbVerb {
    /// Say which schema the database has, how much is in it, and what of it should not be so.
    Check,
    /// Bring the schema up to this program's, while what runs on it goes on.
    Migrate,
    /// Delete runs that ended long ago, with their instances, outputs, notifications and logs; a hundred at a time.
    Clean {
        #[command(flatten)]
        retention: RetentionOptions,
        /// Say which, and delete none.
        #[arg(long)]
        dry_run: bool,
    },
    /// Print the runs that `clean` would delete with their instances and attempts, a run of JSON a line; outputs and
    /// logs are not in it.
    Export {
        #[command(flatten)]
        retention: RetentionOptions,
    },
}

#[derive(Debug, ClapArgs)]
pub struct RetentionOptions {
    /// Runs that ended longer ago than so many days.
    #[arg(long)]
    pub days: u32,
    /// But not the latest so many of each Dag, by their logical dates.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: u32,
}
