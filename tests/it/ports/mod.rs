//! The contracts of the ports, each run against every adapter. What is not in here is not promised.

mod bus;
mod executor;
mod queue;
mod store;

use towpath_tests::cluster::Addresses;
use towpath_tests::service::postgres::fresh_database;
use towpath_tests::service::redis::DATABASES;

/// The address of a shared test service; the tests are run by `make test`, which sets it.
pub fn service(name: &str) -> String {
    let name = format!("TOWPATH_TEST_{name}");
    std::env::var(&name)
        .unwrap_or_else(|_| panic!("{name} is not set; run the tests with make test"))
}

/// The shared test services, with databases of this test's own, for Dags and runs of other tests have the same names.
pub async fn addresses() -> anyhow::Result<Addresses> {
    Ok(Addresses {
        database_url: fresh_database(&service("POSTGRES")).await?,
        rabbitmq_url: service("RABBITMQ"),
        redis_url: format!("{}/{}", service("REDIS"), std::process::id() % DATABASES),
    })
}
