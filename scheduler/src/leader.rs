//! Who leads.
//!
//! **Authority** is the lease row in the store; a term is its holder and number. **Trust window:** a leader
//! trusts its lease only until the instant at which it *asked* for it, plus the lease, less a
//! margin, so that a slow answer never stretches a term. **Failure:** a leader that cannot renew stops
//! before the lease ends; the store refuses its commits in any case.

use std::time::Duration;

use tokio::sync::watch;
use towpath_common::port::{LEADER, Lease, StoreError};
use towpath_common::time::Timestamp;

use crate::{Fatal, SchedulerConfig, Services};

/// A term of leadership, renewed in the background while this value lives.
pub struct Term {
    lease: Lease,
    lost: watch::Receiver<Option<String>>,
    renewal: tokio::task::JoinHandle<()>,
}

impl Term {
    pub fn number(&self) -> i64 {
        self.lease.term
    }

    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Waits until the term is lost, and says why.
    pub async fn lost(&self) -> String {
        let mut lost = self.lost.clone();
        match lost.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => "the renewal has ended".to_owned(),
        }
    }

    /// Gives up the lease, so that a successor need not wait for its end.
    pub async fn resign(self, services: &Services) {
        self.renewal.abort();
        if let Err(error) = services.store.release_lease(&self.lease).await {
            tracing::info!(%error, "the lease was not released and will run out");
        }
    }
}

/// Waits until this scheduler leads; none if it is told to stop before.
pub async fn stand_for(
    services: &Services,
    config: &SchedulerConfig,
    shutdown: &mut watch::Receiver<bool>,
) -> Result<Option<Term>, Fatal> {
    let retry = config.lease / 10;
    loop {
        let asked = services.clock.now();
        let answer = services.store.acquire_lease(LEADER, &config.name, asked, config.lease).await;
        match answer {
            Ok(Some(lease)) => return Ok(Some(begin(services, config, lease, asked))),
            Ok(None) => {}
            Err(StoreError::Corrupt(why)) => return Err(Fatal(why)),
            Err(error) => tracing::warn!(%error, "cannot stand for leader"),
        }
        tokio::select! {
            biased;
            _ = shutdown.wait_for(|stop| *stop) => return Ok(None),
            () = tokio::time::sleep(retry) => {}
        }
    }
}

fn begin(services: &Services, config: &SchedulerConfig, lease: Lease, asked: Timestamp) -> Term {
    let (report_loss, lost) = watch::channel(None);
    let renewal = tokio::spawn({
        let (services, lease, length) = (services.clone(), lease.clone(), config.lease);
        async move {
            let why = renew(&services, &lease, asked, length).await;
            report_loss.send_replace(Some(why));
        }
    });
    Term { lease, lost, renewal }
}

/// Renews until it cannot, and says why.
async fn renew(services: &Services, lease: &Lease, asked: Timestamp, length: Duration) -> String {
    let margin = length / 5;
    let mut trusted_until = asked.plus(length - margin);
    loop {
        tokio::time::sleep(length / 4).await;
        let asking = services.clock.now();
        match services.store.renew_lease(lease, asking.plus(length)).await {
            Ok(()) => trusted_until = asking.plus(length - margin),
            Err(StoreError::Conflict(why)) => return why,
            Err(error) => tracing::warn!(%error, "the lease could not be renewed"),
        }
        if services.clock.now() >= trusted_until {
            return "the lease could not be renewed in time".to_owned();
        }
    }
}
