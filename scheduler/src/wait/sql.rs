//! Looking into a database: PostgreSQL, MySQL or MariaDB, by the name of a connection.
//!
//! The connection is a stored one or the environment's, so that no password is in a DAG file, a message or
//! a row.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use sqlx::AnyPool;
use sqlx::any::AnyPoolOptions;
use sqlx::{AssertSqlSafe, Column, Row, TypeInfo, ValueRef};
use towpath_common::connection::Connection;
use towpath_common::outcome::Outputs;
use towpath_rendering::{Vault, VaultError};

use super::look::Sight;

/// Connections to one database, whoever looks.
const CONNECTIONS_MAX: u32 = 4;
const LOOK_MAX: Duration = Duration::from_secs(30);

#[derive(Default)]
pub struct Databases(Mutex<HashMap<String, AnyPool>>);

impl Databases {
    pub async fn look(&self, vault: &Vault, connection: &str, query: &str) -> Sight {
        let found = match vault.connection(connection).await {
            Ok(found) => found,
            Err(VaultError::Store(error)) => return Sight::NotYet(error.to_string()),
            Err(error) => return Sight::Never(error.to_string()),
        };
        let Some(found) = found else {
            let name = Vault::environment_name(connection);
            return Sight::Never(format!(
                "there is no connection {connection:?}; make it with `towpath connection set`, or set \
                 {name} to its URI"
            ));
        };
        let pool = match self.pool(connection, &found) {
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

    fn pool(&self, name: &str, connection: &Connection) -> Result<AnyPool, String> {
        let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let url = url(name, connection)?;
        if let Some(pool) = pools.get(&url) {
            return Ok(pool.clone());
        }
        sqlx::any::install_default_drivers();
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(LOOK_MAX)
            .connect_lazy(&url)
            .map_err(|_| {
                format!("the connection {name:?} does not name a database as sqlx does")
            })?;
        pools.insert(url, pool.clone());
        Ok(pool)
    }
}

/// The database's own name for itself.
fn url(name: &str, connection: &Connection) -> Result<String, String> {
    let conn_type = match connection.conn_type.as_str() {
        "postgres" => "postgres",
        "mysql" | "mariadb" => "mysql",
        other => {
            return Err(format!(
                "the connection {name:?} is of type {other:?}; a query is asked of postgres, mysql or \
                 mariadb"
            ));
        }
    };
    Ok(Connection { conn_type: conn_type.to_owned(), ..connection.clone() }.uri())
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
