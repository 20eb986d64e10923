//! Connections to PostgreSQL that may be dead without anybody saying so: a network that is cut, a machine that is gone.
//! TCP finds out after a quarter of an hour; who has waited for an answer for much less gives all of them up.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use towpath_common::port::StoreError;

use super::database::{ACQUIRE_TIMEOUT, classify};

/// Far longer than any statement takes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct PostgresPool {
    options: PgConnectOptions,
    pool_options: PgPoolOptions,
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
    pub fn open(url: &str, connections: u32) -> Result<Self, StoreError> {
        let options: PgConnectOptions = url.parse().map_err(classify)?;
        let options = options.application_name("towpath");
        let pool_options = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false);
        let first = pool_options.clone().connect_lazy_with(options.clone());
        Ok(Self { options, pool_options, current: RwLock::new((0, first)) })
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
        match tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
            Ok(answer) => answer.map_err(classify),
            Err(_) => {
                self.of.give_up(self.number);
                let why = format!("the database has not answered within {ANSWER_TIMEOUT:?}");
                Err(StoreError::Unavailable(why))
            }
        }
    }
}
