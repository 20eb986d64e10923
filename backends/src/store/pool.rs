//! Connections to PostgreSQL that may be dead without anybody saying so: a network that is cut, a machine that is gone.
//! TCP finds out after a quarter of an hour; who has waited for an answer for much less gives all of them up.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use towpath_common::port::StoreError;

use super::database::{ACQUIRE_TIMEOUT, classify};
use crate::Authorities;

/// Far longer than any statement of the roles takes.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The server, too, gives up who has fallen silent: a leader that stops in the middle of a commit holds the lease's
/// row, which its successor needs.
const SESSION: [(&str, &str); 5] = [
    ("idle_in_transaction_session_timeout", "10s"),
    ("lock_timeout", "20s"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
];

#[derive(Debug)]
pub struct PostgresPool {
    options: PgConnectOptions,
    pool_options: PgPoolOptions,
    /// How long an answer is waited for.
    patience: Duration,
    /// With the number of those given up before it.
    current: RwLock<(u64, PgPool)>,
}

/// The connections of a moment.
#[derive(Debug, Clone)]
pub struct Connections {
    of: Arc<PostgresPool>,
    number: u64,
    pool: PgPool,
}

impl PostgresPool {
    pub fn open(
        url: &str,
        authorities: &Authorities,
        connections: u32,
        patience: Duration,
    ) -> Result<Self, StoreError> {
        let options = verified(url.parse().map_err(classify)?, url, authorities);
        let options = options.application_name("towpath").options(SESSION);
        let pool_options = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false);
        let first = pool_options.clone().connect_lazy_with(options.clone());
        Ok(Self { options, pool_options, patience, current: RwLock::new((0, first)) })
    }

    pub fn now(self: &Arc<Self>) -> Connections {
        let (number, pool) = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        Connections { of: Arc::clone(self), number, pool }
    }

    fn give_up(&self, number: u64) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.0 == number {
            let fresh = self.pool_options.clone().connect_lazy_with(self.options.clone());
            *current = (number + 1, fresh);
        }
    }
}

impl Connections {
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub async fn answer<T>(
        &self,
        asked: impl Future<Output = sqlx::Result<T>>,
    ) -> Result<T, StoreError> {
        let patience = self.of.patience;
        match tokio::time::timeout(patience, asked).await {
            Ok(answer) => answer.map_err(classify),
            Err(_) => {
                self.of.give_up(self.number);
                let why = format!("the database has not answered within {patience:?}");
                Err(StoreError::Unavailable(why))
            }
        }
    }
}

/// Who names authorities wants to be sure of whom it talks to: without an `sslmode` in the URL the server must have a
/// certificate and the name in it, and with `require` a certificate, as for PostgreSQL's own clients.
fn verified(options: PgConnectOptions, url: &str, authorities: &Authorities) -> PgConnectOptions {
    let Some(pem) = authorities.pem() else { return options };
    let options = options.ssl_root_cert_from_pem(pem.as_bytes().to_vec());
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let names = |key: &str| query.split('&').any(|pair| pair.split('=').next() == Some(key));
    match options.get_ssl_mode() {
        _ if !names("sslmode") && !names("ssl-mode") => options.ssl_mode(PgSslMode::VerifyFull),
        PgSslMode::Require => options.ssl_mode(PgSslMode::VerifyCa),
        _ => options,
    }
}
