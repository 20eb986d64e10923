//! The simulation finds what it is there to find: Towpath is broken in fifteen places that matter, and each is seen.

use std::path::Path;
use std::process::Command;

#[test]
fn each_is_seen() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../simulation/mutants.sh");
    // It leaves a core to the tests beside it.
    let output = Command::new(script).env("CARGO_BUILD_JOBS", "1").output().expect("it is there");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    assert!(said.matches("seen: ").count() == 15, "{said}");
}
