//! Whatever a task writes into its output: it is taken as entries that can be kept, or it has an error with a line.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| match towpath_common::output::parse(bytes) {
    Ok(outputs) => {
        assert!(outputs.keys().all(|key| !key.is_empty()));
        serde_json::to_vec(&outputs).expect("plain JSON");
    }
    Err(why) => assert!(!why.is_empty()),
});
