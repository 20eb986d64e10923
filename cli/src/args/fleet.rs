//! What is asked of workers.

use clap::Subcommand;
use towpath_common::id::WorkerName;

#[derive(Debug, Subcommand)]
pub enum FleetVerb {
    /// List the workers, and say who leads.
    List,
    /// Have a worker finish what it runs and claim nothing more, until it is resumed or stopped.
    Drain { worker: WorkerName },
    /// Let a drained worker claim again.
    Resume { worker: WorkerName },
}
