//! The three ports. Each has a production, an embedded and an in-memory adapter in
//! `towpath-backends`, and one conformance suite in `tests/` that all of them pass.

mod bus;
mod queue;
mod reading;
mod store;
mod users;

pub use bus::{Bus, BusEvent, Subscription};
pub use queue::{Consumer, Delivery, Queue};
pub use reading::{
    Cell, DagFilter, DagSummary, LiveRecord, ReadingStore, RunFilter, RunOrder, VersionRecord,
};
pub use store::{
    Commit, DagRecord, DagStore, Deployed, Deployment, LEADER, Lease, Orders, OutboxStore,
    PeopleStore, SchedulerStore, Store, StoreError, VaultStore, WorkerBeat, WorkerRecord,
    WorkerStore, XCom,
};

pub use users::{AuditFilter, UserStore};

/// A service that cannot be reached or that refused. The caller backs off and tries again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{service} is unavailable: {detail}")]
pub struct Unavailable {
    pub service: &'static str,
    pub detail: String,
}

impl Unavailable {
    pub fn new(service: &'static str, detail: impl std::fmt::Display) -> Self {
        Self { service, detail: detail.to_string() }
    }
}
