//! What a container gets that asks for nothing, and what it gets that asks.

use towpath_common::dag::Mount;
use towpath_common::policy::{Allowed, AllowedMount};

use super::*;

/// Each way out ends with a word of its own if it is barred.
const WAYS_OUT: &[(&str, &str)] = &[
    ("grep -q 'NoNewPrivs:.*1' /proc/self/status && echo barred", "new privileges"),
    ("grep -q 'CapEff:.*0000000000000000' /proc/self/status && echo barred", "capabilities"),
    ("grep -q 'CapBnd:.*0000000000000000' /proc/self/status && echo barred", "to gain some"),
    ("ls /var/run/docker.sock /run/docker.sock 2>/dev/null || echo barred", "Docker's socket"),
    ("mount -t tmpfs none /tmp 2>/dev/null || echo barred", "mounting"),
    ("mknod /tmp/disk b 8 0 2>/dev/null || echo barred", "a device of the machine"),
    ("chroot / true 2>/dev/null || echo barred", "another root"),
    ("echo 1 2>/dev/null > /proc/sys/kernel/hostname || echo barred", "the kernel's settings"),
    ("nsenter -t 1 -m true 2>/dev/null || echo barred", "the machine's namespaces"),
    ("[ \"$(ls /sys/class/net)\" = lo ] && echo barred", "the network"),
    ("env | grep -E 'DATABASE|RABBITMQ|REDIS|ENCRYPTION|TOKEN' || echo barred", "credentials"),
    ("[ \"$(ps | wc -l)\" -lt 10 ] && echo barred", "the machine's processes"),
];

#[tokio::test]
async fn a_container_that_asks_for_nothing_cannot_get_out() {
    let (bench, _) = docker();
    for (way, what) in WAYS_OUT {
        let (_, log, _) = bench.run(way).await;
        assert_eq!(log, "barred\n", "{what}");
    }
}

#[tokio::test]
async fn a_container_that_asks_for_nothing_cannot_take_everything() {
    let (bench, _) = docker();
    // A shell that forks until it is refused; the loop ends with the first refusal.
    let forks = "i=0; while [ $i -lt 2000 ]; do sleep 20 & i=$((i+1)); done 2>/dev/null; echo all";
    let (_, log, _) = bench.run(forks).await;
    assert!(!log.contains("all"), "{log}");
    let (ended, ..) = bench.run("x=0123456789abcdef; while :; do x=$x$x; done").await;
    assert_eq!(ended, Ended::Exited { code: 137, oom: true }, "the worker's limit is the task's");
}

fn refusal_of(policy: &ContainerPolicy, team: Option<&str>, container: Container) -> String {
    policy.check(team, &container).expect_err("refused")
}

#[tokio::test]
async fn what_the_policy_allows_is_had_and_the_rest_refused_by_the_worker() {
    let shared = tempfile::tempdir().expect("a folder");
    let source = shared.path().display().to_string();
    std::fs::write(shared.path().join("words"), "from outside\n").expect("written");
    std::os::unix::fs::symlink("/etc", shared.path().join("link")).expect("linked");
    let allowed = Allowed {
        mounts: vec![AllowedMount { source: source.clone(), read_only: true }],
        cap_add: vec!["NET_RAW".to_owned()],
        ..Allowed::default()
    };
    let teams = BTreeMap::from([("trusted".to_owned(), allowed)]);
    let policy = ContainerPolicy { teams, ..ContainerPolicy::default() };
    let (bench, _) = docker_with(&policy);
    let mount = |source: String| Mount { source, target: "/shared".to_owned(), read_only: true };
    let with = |source: String| Container {
        mounts: vec![mount(source)],
        cap_add: vec!["NET_RAW".to_owned()],
        ..bench.spec("true").container
    };
    let mut spec = bench.spec("cat /shared/words; touch /shared/new 2>/dev/null || echo read-only");
    spec.container = with(source.clone());
    bench.executor.prepare(Some("trusted"), &spec.container).await.expect("allowed");
    let (log, path) = bench.log(&spec);
    let mut execution = bench.executor.launch(&spec, log).await.expect("launched");
    timeout(LONG, execution.wait()).await.expect("it ends");
    execution.remove().await;
    let said = std::fs::read_to_string(path).expect("a log");
    assert_eq!(said, "from outside\nread-only\n");

    let refused = async |team: Option<&str>, container: Container| {
        let failure = refusal(bench.executor.prepare(team, &container).await);
        assert_eq!(failure.class, FailureClass::Launch, "{failure}");
        failure.message
    };
    let of_nobody = refused(None, with(source.clone())).await;
    assert_eq!(of_nobody, refusal_of(&policy, None, with(source.clone())));
    let linked = refused(Some("trusted"), with(format!("{source}/link"))).await;
    assert!(linked.contains("mount /etc:/shared:ro is not allowed"), "{linked}");
}
