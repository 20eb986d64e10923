//! The services, reached encrypted: believed if an authority vouches for them under the name that they are called by,
//! and refused otherwise. What they are reached with is in no error.

use std::time::Duration;

use towpath_backends::bus::RedisBus;
use towpath_backends::queue::RabbitQueue;
use towpath_backends::store::SqlStore;
use towpath_backends::{Authorities, CheckError};
use towpath_common::state::RunState;
use towpath_tests::cluster::{Addresses, Cluster};
use towpath_tests::service::postgres::fresh_database;
use towpath_tests::service::{Encryption, Services};

const DAG: &str = "dag: sealed\ntasks:\n  only: {command: [echo, hello]}\n";

/// Looks at each of the three.
async fn look(urls: [&str; 3], authorities: &Authorities) -> [Result<(), CheckError>; 3] {
    let [postgres, rabbitmq, redis] = urls;
    [
        SqlStore::open(postgres, authorities, 1).expect("a URL").check().await,
        RabbitQueue::new(rabbitmq, authorities).check().await,
        RedisBus::new(redis, authorities).expect("a URL").check().await,
    ]
}

#[tokio::test]
async fn services_are_believed_that_the_authority_vouches_for_and_no_others() {
    let services = Services::start().await.expect("they start");
    let own = Encryption::below(services.dir()).expect("it is there");
    let other = tempfile::tempdir().expect("a folder");
    let stranger = Encryption::below(other.path()).expect("made");
    let postgres = fresh_database(&services.postgres.encrypted_url()).await.expect("made");
    let [rabbitmq, redis] = [services.rabbitmq.encrypted_url(), services.redis.encrypted_url()];
    let urls = [postgres.as_str(), rabbitmq.as_str(), redis.as_str()];
    let own = Authorities::read(&own.authority()).expect("certificates");
    for (url, found) in urls.iter().zip(look(urls, &own).await) {
        assert_eq!(found, Ok(()), "{url}");
    }
    let stranger = Authorities::read(&stranger.authority()).expect("certificates");
    for (url, found) in urls.iter().zip(look(urls, &stranger).await) {
        let why = found.expect_err(url).to_string();
        assert!(why.to_lowercase().contains("certificate"), "{url}: {why}");
    }
    let unnamed = urls.map(|url| url.replace("localhost", "127.0.0.1"));
    let unnamed = [unnamed[0].as_str(), unnamed[1].as_str(), unnamed[2].as_str()];
    for (url, found) in unnamed.iter().zip(look(unnamed, &own).await) {
        let why = found.expect_err(url).to_string();
        assert!(why.to_lowercase().contains("certificate"), "{url}: {why}");
    }
}

#[tokio::test]
async fn a_run_goes_through_encrypted_services() {
    let services = Services::start().await.expect("they start");
    let authority = Encryption::below(services.dir()).expect("it is there").authority();
    let plain = fresh_database(&services.postgres.url()).await.expect("made");
    let addresses = Addresses {
        database_url: plain,
        rabbitmq_url: services.rabbitmq.encrypted_url(),
        redis_url: services.redis.encrypted_url(),
    };
    let mut cluster = Cluster::new(addresses).await.expect("set up");
    let encrypted = cluster.addresses.database_url.replace("127.0.0.1", "localhost");
    cluster.addresses.database_url = encrypted.replace("sslmode=disable", "sslmode=verify-full");
    let authority = authority.display().to_string();
    let trusting = ["--ca-file", authority.as_str()];
    let scheduler = cluster.start("scheduler", &[&["scheduler"], &trusting[..]].concat());
    let worker = ["worker", "--name", "w", "--executor", "process"];
    let worker = cluster.start("worker", &[&worker, &trusting[..]].concat());
    let _roles = (scheduler.expect("started"), worker.expect("started"));
    let file = cluster.dir().join("sealed.yaml");
    std::fs::write(&file, DAG).expect("written");
    let file = file.display().to_string();
    cluster.run(&[&["dag", "apply", &file], &trusting[..]].concat()).expect("deployed");
    let asked = ["dag", "trigger", "sealed", "--run-id", "one"];
    cluster.run(&[&asked, &trusting[..]].concat()).expect("asked for");
    let run = cluster.find("one").await.expect("created");
    let run = cluster.ended(&run, Duration::from_secs(60)).await.expect("it ends");
    assert_eq!(run.state, RunState::Success);
}

/// In whatever way the services cannot be used.
#[tokio::test]
async fn passwords_are_in_no_error() {
    const PASSWORD: &str = "hunter2hunter2";
    let services = Services::start().await.expect("they start");
    let working = [
        ("TOWPATH_DATABASE_URL", services.postgres.url()),
        ("TOWPATH_RABBITMQ_URL", services.rabbitmq.url()),
        ("TOWPATH_REDIS_URL", services.redis.url()),
    ];
    let cluster = Cluster::embedded().await.expect("a folder");
    for (setting, url) in &working {
        let (scheme, rest) = url.split_once("://").expect("a URL");
        let rest = rest.rsplit('@').next().expect("a host");
        let host = rest.split('/').next().expect("a host");
        // That asks for another password, that is nobody, that is nowhere, that is none.
        for host in [host, "127.0.0.1:1", "no.such.host.invalid:1", "host:port", "[::1"] {
            let url = format!("{scheme}://somebody:{PASSWORD}@{host}/x");
            let worker = ["worker", "--wait", "1", "--executor", "process"];
            let mut worker = cluster.towpath(&worker).expect("built");
            worker.envs(working.clone()).env(setting, &url).env("TOWPATH_LOG", "trace");
            let output = worker.output().expect("it ends");
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(!output.status.success(), "{url}");
            assert!(said.contains(setting), "{url}: it says which setting: {said}");
            assert!(!said.contains(PASSWORD), "{url}: {said}");
        }
    }
}
