//! Looking into a database: PostgreSQL, MySQL or MariaDB, by the name of a connection.
//!
//! The connection is a stored one or the environment's, so that no password is in a DAG file, a message or
//! a row.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions, MySqlRow};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Row, TypeInfo, ValueRef};
use towpath_common::connection::Connection;
use towpath_common::outcome::Outputs;

use super::look::Sight;

/// Connections to one database, whoever looks.
const CONNECTIONS_MAX: u32 = 4;
const LOOK_MAX: Duration = Duration::from_secs(30);

#[derive(Clone)]
enum Database {
    Postgres(PgPool),
    MySql(MySqlPool),
}

#[derive(Default)]
pub struct Databases(Mutex<HashMap<String, Database>>);

impl Databases {
    pub async fn look(&self, name: &str, connection: &Connection, query: &str) -> Sight {
        let database = match self.database(name, connection) {
            Ok(database) => database,
            Err(why) => return Sight::Never(why),
        };
        match tokio::time::timeout(LOOK_MAX, first_value(&database, query)).await {
            Err(_) => Sight::NotYet(format!("{name} has not answered within {LOOK_MAX:?}")),
            Ok(Ok(None)) => Sight::NotYet(format!("the query gives no row in {name}")),
            Ok(Ok(Some(true))) => Sight::Found(Outputs::new()),
            Ok(Ok(Some(false))) => {
                Sight::NotYet(format!("the query's first value in {name} is not true"))
            }
            Ok(Err(sqlx::Error::Database(error))) => {
                Sight::NotYet(format!("{name} refuses the query: {error}"))
            }
            Ok(Err(error)) => Sight::NotYet(format!("{name} cannot be asked: {error}")),
        }
    }

    fn database(&self, name: &str, connection: &Connection) -> Result<Database, String> {
        let uri = connection.uri();
        let mut databases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = databases.get(&uri) {
            return Ok(database.clone());
        }
        let database = open(name, connection)?;
        databases.insert(uri, database.clone());
        Ok(database)
    }
}

/// The connection's parts are handed over one by one: from a URL sqlx would log the extras that it does not know,
/// and it would log queries that are slow, with whatever templates have put into them.
fn open(name: &str, connection: &Connection) -> Result<Database, String> {
    let host = connection.host.as_deref().unwrap_or("localhost");
    let extra = |key: &str| connection.extra.get(key).and_then(serde_json::Value::as_str);
    let wrong = |key: &str| format!("the connection {name:?} has an unknown {key} in its extras");
    match connection.conn_type.as_str() {
        "postgres" => {
            let mut options = PgConnectOptions::new_without_pgpass().host(host);
            options = options.port(connection.port.unwrap_or(5432)).application_name("towpath");
            if let Some(login) = &connection.login {
                options = options.username(login);
            }
            if let Some(password) = &connection.password {
                options = options.password(password);
            }
            if let Some(schema) = &connection.schema {
                options = options.database(schema);
            }
            if let Some(mode) = extra("sslmode") {
                options = options.ssl_mode(mode.parse().map_err(|_| wrong("sslmode"))?);
            }
            if let Some(file) = extra("sslrootcert") {
                options = options.ssl_root_cert(file);
            }
            let pool =
                PgPoolOptions::new().max_connections(CONNECTIONS_MAX).acquire_timeout(LOOK_MAX);
            Ok(Database::Postgres(pool.connect_lazy_with(options.disable_statement_logging())))
        }
        "mysql" | "mariadb" => {
            let mut options = MySqlConnectOptions::new().host(host);
            options = options.port(connection.port.unwrap_or(3306));
            if let Some(login) = &connection.login {
                options = options.username(login);
            }
            if let Some(password) = &connection.password {
                options = options.password(password);
            }
            if let Some(schema) = &connection.schema {
                options = options.database(schema);
            }
            if let Some(mode) = extra("ssl_mode") {
                options = options.ssl_mode(mode.parse().map_err(|_| wrong("ssl_mode"))?);
            }
            if let Some(file) = extra("ssl_ca") {
                options = options.ssl_ca(file);
            }
            let pool = MySqlPoolOptions::new().max_connections(CONNECTIONS_MAX);
            let pool = pool.acquire_timeout(LOOK_MAX);
            Ok(Database::MySql(pool.connect_lazy_with(options.disable_statement_logging())))
        }
        other => Err(format!(
            "the connection {name:?} is of type {other:?}; a query is asked of postgres, mysql or mariadb"
        )),
    }
}

/// Whether the first value of the first row is true; none without a row. A prepared statement is one
/// statement, whatever a template has put into it.
async fn first_value(database: &Database, query: &str) -> Result<Option<bool>, sqlx::Error> {
    let query = AssertSqlSafe(query.to_owned());
    Ok(match database {
        Database::Postgres(pool) => {
            sqlx::query(query).fetch_optional(pool).await?.as_ref().map(is_true_in_postgres)
        }
        Database::MySql(pool) => {
            sqlx::query(query).fetch_optional(pool).await?.as_ref().map(is_true_in_mysql)
        }
    })
}

// Airflow's rule: the first value is neither null, false, zero nor empty.

fn is_true_in_postgres(row: &PgRow) -> bool {
    let Ok(value) = row.try_get_raw(0) else { return false };
    if value.is_null() {
        return false;
    }
    match value.type_info().name() {
        "BOOL" => row.try_get::<bool, _>(0).unwrap_or(false),
        "INT2" => row.try_get::<i16, _>(0).is_ok_and(|number| number != 0),
        "INT4" => row.try_get::<i32, _>(0).is_ok_and(|number| number != 0),
        "INT8" => row.try_get::<i64, _>(0).is_ok_and(|number| number != 0),
        "FLOAT4" => row.try_get::<f32, _>(0).is_ok_and(|number| number != 0.0),
        "FLOAT8" => row.try_get::<f64, _>(0).is_ok_and(|number| number != 0.0),
        // In binary it begins with the number of its digits, of which zero has none.
        "NUMERIC" => value.as_bytes().is_ok_and(|bytes| !bytes.starts_with(&[0, 0])),
        _ => row.try_get::<String, _>(0).map_or(true, |text| !is_nothing(&text)),
    }
}

fn is_true_in_mysql(row: &MySqlRow) -> bool {
    let Ok(value) = row.try_get_raw(0) else { return false };
    if value.is_null() {
        return false;
    }
    if let Ok(number) = row.try_get::<i64, _>(0) {
        return number != 0;
    }
    if let Ok(number) = row.try_get::<u64, _>(0) {
        return number != 0;
    }
    if let Ok(number) = row.try_get::<f64, _>(0) {
        return number != 0.0;
    }
    // Decimals come as texts.
    let text = row.try_get_unchecked::<String, _>(0);
    text.map_or(true, |text| !is_nothing(&text))
}

fn is_nothing(text: &str) -> bool {
    text.is_empty() || text.parse::<f64>().is_ok_and(|number| number == 0.0)
}
