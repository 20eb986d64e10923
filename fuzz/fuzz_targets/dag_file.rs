//! Whatever is written in a DAG file: it is a Dag that is kept and read again as the same, or it has an error with a place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use towpath_common::dag::Dag;
use towpath_common::plan::Plan;

fuzz_target!(|bytes: &[u8]| match towpath_dagfile::read("fuzzed.yaml", bytes) {
    Ok(dag) => {
        let kept: Dag = serde_json::from_str(&dag.canonical_json()).expect("it is read again");
        assert_eq!(kept.version(), dag.version());
        Plan::new(dag).expect("what is accepted can be planned");
    }
    Err(diagnostics) => assert!(!diagnostics.to_string().is_empty()),
});
