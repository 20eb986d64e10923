//! Finds the built UI: `ui/dist`, or a page that says how to build it.

use std::path::Path;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = root.join("../ui/dist");
    let found = if built.join("index.html").is_file() { built } else { root.join("unbuilt") };
    println!("cargo::rustc-env=TOWPATH_UI_DIST={}", found.display());
    println!("cargo::rerun-if-changed={}", root.join("../ui/dist").display());
    println!("cargo::rerun-if-changed={}", root.join("unbuilt").display());
}
