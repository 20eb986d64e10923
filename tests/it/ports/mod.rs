//! The contracts of the ports, each run against every adapter. What is not in here is not promised.

mod bus;
mod executor;
mod queue;
mod store;

/// The address of a shared test service; the tests are run by `make test`, which sets it.
pub fn service(name: &str) -> String {
    let name = format!("TOWPATH_TEST_{name}");
    std::env::var(&name)
        .unwrap_or_else(|_| panic!("{name} is not set; run the tests with make test"))
}
