//! Whatever comes from the broker or the bus: what is understood is said again in the same words.
#![no_main]

use libfuzzer_sys::fuzz_target;
use towpath_common::change::Changes;
use towpath_common::id::QueueName;
use towpath_common::message::{Announcement, Dispatch};
use towpath_common::outcome::Report;

fuzz_target!(|body: &[u8]| {
    let queue = QueueName::new("default").expect("a name");
    if let Ok(dispatch) = Dispatch::decode(&queue, body) {
        let again = Dispatch::decode(&queue, &dispatch.encode()).expect("its own words");
        assert_eq!(again, dispatch);
    }
    if let Ok(announcement) = serde_json::from_slice::<Announcement>(body) {
        let text = serde_json::to_vec(&announcement).expect("plain JSON");
        let again: Announcement = serde_json::from_slice(&text).expect("its own words");
        assert_eq!(again, announcement);
    }
    if let Ok(report) = serde_json::from_slice::<Report>(body) {
        let text = serde_json::to_vec(&report).expect("plain JSON");
        assert_eq!(serde_json::from_slice::<Report>(&text).expect("its own words"), report);
    }
    let _ = serde_json::from_slice::<Changes>(body);
});
