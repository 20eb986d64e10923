//! Looking into a database: PostgreSQL, MySQL or MariaDB, by the name of a connection.
//!
//! A connection is a URI in the environment of the scheduler, `TOWPATH_CONN_NAME`, so that no password
//! is in a DAG file, a message or a row.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use sqlx::AnyPool;
use sqlx::any::AnyPoolOptions;
use sqlx::{AssertSqlSafe, Column, Row, TypeInfo, ValueRef};
use towpath_common::outcome::Outputs;

use super::look::Sight;

/// Connections to one database, whoever looks.
const CONNECTIONS_MAX: u32 = 4;
const LOOK_MAX: Duration = Duration::from_secs(30);

#[derive(Default)]
pub struct Databases(Mutex<HashMap<String, AnyPool>>);

impl Databases {
    pub async fn look(&self, connection: &str, query: &str) -> Sight {
        let pool = match self.pool(connection) {
            Ok(pool) => pool,
            Err(why) => return Sight::Never(why),
        };
        let ask = sqlx::query(AssertSqlSafe(query.to_owned())).fetch_optional(&pool);
        match tokio::time::timeout(LOOK_MAX, ask).await {
            Err(_) => Sight::NotYet(format!("{connection} has not answered within {LOOK_MAX:?}")),
            Ok(Ok(None)) => Sight::NotYet(format!("the query gives no row in {connection}")),
            Ok(Ok(Some(row))) if is_true(&row) => Sight::Found(Outputs::new()),
            Ok(Ok(Some(_))) => {
                Sight::NotYet(format!("the query's first value in {connection} is not true"))
            }
            Ok(Err(sqlx::Error::Database(error))) => {
                Sight::NotYet(format!("{connection} refuses the query: {error}"))
            }
            Ok(Err(error)) => Sight::NotYet(format!("{connection} cannot be asked: {error}")),
        }
    }

    fn pool(&self, connection: &str) -> Result<AnyPool, String> {
        let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(connection) {
            return Ok(pool.clone());
        }
        let name = format!("TOWPATH_CONN_{}", connection.to_uppercase().replace(['-', '.'], "_"));
        let url = std::env::var(&name)
            .map_err(|_| format!("there is no connection {connection:?}; set {name} to its URI"))?;
        // Airflow's names of the same.
        let url =
            url.replacen("postgresql://", "postgres://", 1).replacen("mariadb://", "mysql://", 1);
        sqlx::any::install_default_drivers();
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(LOOK_MAX)
            .connect_lazy(&url)
            .map_err(|_| format!("{name} is not the URI of a PostgreSQL or MySQL database"))?;
        pools.insert(connection.to_owned(), pool.clone());
        Ok(pool)
    }
}

/// Airflow's rule: the first value is neither null, false, zero nor empty.
fn is_true(row: &sqlx::any::AnyRow) -> bool {
    let Some(column) = row.columns().first() else { return false };
    if row.try_get_raw(0).is_ok_and(|value| value.is_null()) || column.type_info().is_null() {
        return false;
    }
    if let Ok(number) = row.try_get::<i64, _>(0) {
        return number != 0;
    }
    if let Ok(number) = row.try_get::<f64, _>(0) {
        return number != 0.0;
    }
    if let Ok(flag) = row.try_get::<bool, _>(0) {
        return flag;
    }
    match row.try_get::<String, _>(0) {
        Ok(text) => !matches!(text.as_str(), "" | "0"),
        Err(_) => true,
    }
}
